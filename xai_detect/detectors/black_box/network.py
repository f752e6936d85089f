"""A network in an ONNX file: batches of images in, one tensor out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.errors import InputError, WeightsError
from xai_detect.values.boxes import Size

PRECISIONS: Mapping[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}


class Network:
    """A network in an ONNX file with one image input and one output.

    Attributes:
        size: ``(height, width)`` of the input; None where any will do.
        batch: Images it takes at a time; None where any number will do.
        device: Where it runs.
    """

    def __init__(self, session: Any, name: str) -> None:
        """Check what goes in.

        Args:
            session: An open ``onnxruntime.InferenceSession``.
            name: The file's, for messages.

        Raises:
            WeightsError: If it takes no images, or gives more than one answer.
        """
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise WeightsError(
                f"{name} has {len(inputs)} inputs and {len(outputs)} outputs; expected a detector "
                "with one of each, such as ultralytics exports"
            )
        shape = [side if isinstance(side, int) else None for side in inputs[0].shape]
        if len(shape) != 4 or shape[1] not in (3, None) or inputs[0].type not in PRECISIONS:
            raise WeightsError(
                f"{name} takes {inputs[0].type} of shape {inputs[0].shape}; expected images as "
                "float of shape (batch, 3, height, width)"
            )
        if (shape[2] is None) != (shape[3] is None):
            raise WeightsError(
                f"{name} fixes one side of its input and not the other ({inputs[0].shape}); "
                "export it with both fixed or both dynamic"
            )
        self.batch: int | None = shape[0]
        self.size: Size | None = None if not shape[2] or not shape[3] else (shape[2], shape[3])
        on_gpu = session.get_providers()[:1] == ["CUDAExecutionProvider"]
        self.device = torch.device("cuda" if on_gpu else "cpu")
        self._session = session
        self._name = name
        self._input = inputs[0].name
        self._precision = PRECISIONS[inputs[0].type]

    def __call__(self, pixels: Float[Tensor, "b 3 i j"]) -> Tensor:
        """The output for a batch of any size, on the CPU; a fixed batch is filled up and cut.

        Raises:
            InputError: If the network takes images of another size.
        """
        size = (pixels.shape[2], pixels.shape[3])
        if self.size not in (None, size):
            raise InputError(
                f"{self._name} takes inputs of {_words(self.size)} pixels, but got {_words(size)}: "
                "place the image with the detector's own frame"
            )
        given = pixels.detach().cpu().numpy().astype(self._precision, copy=False)
        count = max(len(given), 1)  # of no images, the shape of the answer is still to be found
        step = self.batch or count
        parts = [self._run(given[row : row + step], step) for row in range(0, count, step)]
        return torch.from_numpy(np.concatenate(parts)).float()

    def _run(self, given: np.ndarray, step: int) -> np.ndarray:
        rest = np.zeros((step - len(given), *given.shape[1:]), given.dtype)
        filled = np.concatenate([given, rest])
        try:
            (found,) = self._session.run(None, {self._input: filled})
        except refusals() as error:
            raise WeightsError(f"{self._name} cannot be run: {first_line(error)}") from error
        if not isinstance(found, np.ndarray) or found.ndim == 0 or len(found) != len(filled):
            raise WeightsError(
                f"{self._name} gives {getattr(found, 'shape', type(found).__name__)} for "
                f"{len(filled)} images; expected one answer for each, such as a detector gives"
            )
        return found[: len(given)]


def _words(size: Size | None) -> str:
    return "any" if size is None else f"{size[1]} x {size[0]}"


def first_line(error: Exception) -> str:
    """What an error says, without the stack that the runtime prints along."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def refusals() -> tuple[type[Exception], ...]:
    """What onnxruntime raises; its classes share no parent but ``Exception``."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    found = [kind for kind in vars(state).values() if isinstance(kind, type)]
    return tuple(kind for kind in found if issubclass(kind, Exception))
