"""A function from images to boxes, scores and labels, as a black-box detector."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.lending import ordinary
from xai_detect.detectors.own.named import (
    OWN,
    checked_domain,
    checked_names,
    checked_threshold,
)
from xai_detect.errors import InputError
from xai_detect.values.boxes import Size
from xai_detect.values.detections import Detections, Provenance
from xai_detect.values.frame import Frame

Answer = tuple[Any, Any, Any]
"""Boxes ``(n, 4)``, scores ``(n,)`` and labels ``(n,)``, as arrays, tensors or lists."""

Predict = Callable[[Any], Any]
"""From an RGB image ``(h, w, 3)`` of uint8 to an ``Answer``, or from a list of them to a list."""


def wrap(
    predict: Predict,
    class_names: Sequence[str],
    *,
    domain: str = "photo",
    batched: bool = False,
    imgsz: int | None = None,
    name: str | None = None,
) -> "FunctionDetector":
    """A detector from a function that is given RGB images (not BGR) and answers with boxes.

    ``predict(image)`` is given one image, a uint8 array ``(height, width, 3)`` in RGB order, and
    answers with ``boxes, scores, labels``: boxes ``(n, 4)`` as ``(x1, y1, x2, y2)`` in pixels of
    that image, scores in [0, 1], labels from 0 into ``class_names``. Nothing found is three empty
    lists. Let it report weak boxes as well, down to 0.001 where it can: masks are compared by them.

    What comes of it is a black box: every method that needs no gradients explains it, and its
    detections are never TRUSTED.

    Args:
        predict: The function.
        class_names: Names in label order, without a background.
        domain: ``photo`` or ``xray``.
        batched: Whether ``predict`` is given a list of images, all of one size, and answers with a
            list of answers, which is faster on a GPU.
        imgsz: Images are brought to this longest side, in pixels, before ``predict`` sees them;
            None hands them over as they are. A verdict shows hundreds of changed copies, and large
            ones take memory.
        name: What a report calls the detector; None takes the function's own name.

    Raises:
        InputError: If the names, the domain or the size make no sense. Later, when it is called: if
            an answer has another form; the message says what was answered.
    """
    if not callable(predict):
        raise InputError(
            f"predict is a {type(predict).__name__}; expected a function from an RGB image "
            "to boxes, scores and labels"
        )
    if imgsz is not None and not 1 <= imgsz <= 8192:
        raise InputError(f"imgsz is {imgsz}; expected a side between 1 and 8192 pixels")
    shown = name or str(getattr(predict, "__name__", type(predict).__name__))
    side = "any" if imgsz is None else str(imgsz)
    provenance = Provenance(shown, OWN, "", checked_domain(domain), side)
    return FunctionDetector(predict, checked_names(class_names), provenance, batched, imgsz)


class _Found(NamedTuple):
    """One checked answer, in pixels of the image that ``predict`` was given."""

    boxes: Float[Tensor, "n 4"]
    scores: Float[Tensor, "n"]
    labels: Tensor


class FunctionDetector:
    """A function as a detector that shows its reported boxes and nothing else; see ``wrap``."""

    def __init__(
        self,
        predict: Predict,
        class_names: tuple[str, ...],
        provenance: Provenance,
        batched: bool,
        imgsz: int | None,
    ) -> None:
        self.class_names = class_names
        self.provenance = provenance
        self._predict = predict
        self._batched = batched
        self._side = imgsz

    def frame(self, image_size: Size) -> Frame:
        """The image as it is, or brought to the longest side that was asked for; no padding."""
        if self._side is None or max(image_size) == self._side:
            return Frame.unchanged(image_size)
        return Frame.letterbox(image_size, self._side, stride=1, fill=0.0)

    def detect(
        self, pixels: Float[Tensor, "b 3 i j"], frame: Frame, confidence: float = 0.25
    ) -> list[Detections]:
        """What the function reports above the threshold, and above its own."""
        checked_threshold(confidence)
        rounded = (pixels.detach().cpu() * 255).round().clamp(0, 255).to(torch.uint8)
        images = [np.ascontiguousarray(image.permute(1, 2, 0).numpy()) for image in rounded]
        return [self._select(found, frame, confidence) for found in self._ask(images)]

    def _ask(self, images: list[np.ndarray]) -> list[_Found]:
        with ordinary(), torch.no_grad():
            if not self._batched:
                answers = [self._predict(image) for image in images]
            else:
                answers = self._predict(images) if images else []
        if not isinstance(answers, list | tuple) or len(answers) != len(images):
            count = f" of {len(answers)}" if isinstance(answers, list | tuple) else ""
            raise InputError(
                f"{self.provenance.name} answered {len(images)} images with a "
                f"{type(answers).__name__}{count}; expected a list with boxes, scores and labels "
                "of each: leave batched out if it takes one image"
            )
        return [self._checked(answer, image) for answer, image in zip(answers, images, strict=True)]

    def _checked(self, answer: Any, image: np.ndarray) -> _Found:
        """An answer as tensors.

        Raises:
            InputError: If it has another form.
        """
        name, classes = self.provenance.name, len(self.class_names)
        if not isinstance(answer, list | tuple) or len(answer) != 3:
            count = f" of {len(answer)}" if isinstance(answer, list | tuple) else ""
            raise InputError(
                f"{name} answered with a {type(answer).__name__}{count}; expected boxes, scores "
                "and labels of one image"
            )
        boxes, scores, labels = map(_numbers, (name,) * 3, ("boxes", "scores", "labels"), answer)
        if not (boxes.size or scores.size or labels.size):
            return _Found(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
        rows = scores.size
        if boxes.shape != (rows, 4) or scores.shape != (rows,) or labels.shape != (rows,):
            raise InputError(
                f"{name} answered with boxes {boxes.shape}, scores {scores.shape} and labels "
                f"{labels.shape}; expected (n, 4), (n,) and (n,)"
            )
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise InputError(
                f"{name} answered with boxes or scores that are not finite; expected numbers: "
                "leave such boxes out, or mend the weights"
            )
        if scores.min() < 0 or scores.max() > 1:
            raise InputError(
                f"{name} answered with scores from {scores.min():g} to {scores.max():g}; expected "
                "[0, 1]: take the sigmoid of logits, and divide percentages by 100"
            )
        if not (labels == labels.round()).all() or labels.min() < 0 or labels.max() >= classes:
            raise InputError(
                f"{name} answered with labels from {labels.min():g} to {labels.max():g}; expected "
                f"whole numbers from 0 to {classes - 1}, one for each class name: leave the "
                "background out and count from 0"
            )
        if (boxes[:, 2:] < boxes[:, :2]).any():
            raise InputError(
                f"{name} answered with a box whose right or lower side comes first; expected (x1, "
                "y1, x2, y2): from a corner and a size, add them"
            )
        if max(image.shape[:2]) > 2 and boxes.max() <= 1:
            raise InputError(
                f"{name} answered with boxes up to {boxes.max():g} in an image of {image.shape[1]} "
                f"x {image.shape[0]}; expected pixels: multiply shares by its width and height"
            )
        return _Found(
            torch.from_numpy(boxes).float(),
            torch.from_numpy(scores).float(),
            torch.from_numpy(labels).long(),
        )

    def _select(self, found: _Found, frame: Frame, confidence: float) -> Detections:
        rows = found.scores.argsort(descending=True, stable=True)
        rows = rows[found.scores[rows] > confidence]
        boxes = frame.boxes_to_image(found.boxes[rows])
        return Detections(
            boxes=boxes,
            scores=found.scores[rows],
            labels=found.labels[rows],
            candidates=rows,
            proposals=boxes,
            image_size=frame.image_size,
            class_names=self.class_names,
        )


def _numbers(name: str, what: str, given: Any) -> np.ndarray:
    """Boxes, scores or labels as an array of floats.

    Raises:
        InputError: If they are no numbers.
    """
    if isinstance(given, Tensor):
        given = given.detach().cpu().double().numpy()
    try:
        return np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name} answered with {what} that are no table of numbers ({error}); expected arrays: "
            "boxes (n, 4), scores (n,) and labels (n,) as numbers, not names"
        ) from error
