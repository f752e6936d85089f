"""Black-box detectors from ONNX files, as ultralytics exports them, through onnxruntime.

What comes out says how much is shown. ``(batch, 4 + classes, candidates)`` are the raw predictions
of a network exported without suppression: boxes as centre and size in input pixels, then a
probability per class. ``(batch, most, 6)`` are finished detections of an end-to-end network, or of
one exported with suppression inside: box, score, class. Such a box is sealed.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from ultralytics.utils.nms import non_max_suppression
from ultralytics.utils.ops import xywh2xyxy

from xai_detect.detectors.black_box.file import About, open_network
from xai_detect.detectors.black_box.network import Network
from xai_detect.detectors.protocol import Detector, Raw
from xai_detect.detectors.yolo.conventions import GREY, MOST_DETECTIONS
from xai_detect.errors import InputError, WeightsError
from xai_detect.values.boxes import Size
from xai_detect.values.detections import Detections, Provenance
from xai_detect.values.frame import Frame

QUERIES = "RTDETRDecoder"
"""The head whose images are stretched and whose boxes are shares of the input's sides."""

FINISHED = 6
"""Numbers per finished detection: four of the box, score, class."""


class _Input(NamedTuple):
    """How images are placed in a network's input.

    Attributes:
        size: ``(height, width)`` of a fixed input; None where any will do.
        side: Longest side of any other, in pixels.
        stride: Sides of any other are multiples of it.
        stretched: Whether images are stretched over the input.
    """

    size: Size | None
    side: int
    stride: int
    stretched: bool

    def frame(self, image_size: Size) -> Frame:
        """Where an image of this size goes."""
        if self.stretched:
            return Frame.stretch(image_size, self.size or (self.side, self.side))
        return Frame.letterbox(
            image_size,
            self.size or self.side,
            stride=self.stride,
            fill=GREY,
            rectangle=self.size is None,
        )


class OnnxDetector:
    """A network that shows its raw predictions: every mask method works, no gradients."""

    def __init__(
        self,
        network: Network,
        provenance: Provenance,
        class_names: tuple[str, ...],
        placing: _Input,
        iou: float,
    ) -> None:
        """Wrap a network whose output is ``(batch, 4 + classes, candidates)``.

        Args:
            network: The network.
            provenance: Where it comes from.
            class_names: Names in label order.
            placing: How images are placed in its input.
            iou: Boxes of one class that overlap more are suppressed.
        """
        self.provenance = provenance
        self.class_names = class_names
        self.frame = placing.frame
        self.device = network.device
        self.fixed_batch = network.batch
        self._network = network
        self._iou = iou

    def detect(
        self, pixels: Float[Tensor, "b 3 i j"], frame: Frame, confidence: float = 0.25
    ) -> list[Detections]:
        """Find objects as ``YOLO.predict`` does: threshold, then suppress within each class."""
        _check(confidence)
        return [self._select(rows, frame, confidence) for rows in self._network(pixels)]

    def _select(self, output: Float[Tensor, "n a"], frame: Frame, confidence: float) -> Detections:
        found, rows = non_max_suppression(
            output[None].clone(), confidence, self._iou, max_det=MOST_DETECTIONS, return_idxs=True,
            nc=len(self.class_names),
        )  # fmt: skip
        return _detections(found[0], rows[0].view(-1).long(), frame, self.class_names)

    def raw(self, pixels: Float[Tensor, "b 3 i j"]) -> Raw:
        """Every raw prediction."""
        output = self._network(pixels).transpose(1, 2)
        return Raw(xywh2xyxy(output[:, :, :4])[:, :, None], output[:, :, 4:].contiguous())


class SealedOnnxDetector:
    """A network that answers with finished detections and shows nothing else."""

    def __init__(
        self,
        network: Network,
        provenance: Provenance,
        class_names: tuple[str, ...],
        placing: _Input,
    ) -> None:
        """Wrap a network whose output is ``(batch, most, 6)``.

        Args:
            network: The network.
            provenance: Where it comes from.
            class_names: Names in label order.
            placing: How images are placed in its input.
        """
        self.provenance = provenance
        self.class_names = class_names
        self.frame = placing.frame
        self.device = network.device
        self.fixed_batch = network.batch
        self._network = network
        self._shares = placing.stretched

    def detect(
        self, pixels: Float[Tensor, "b 3 i j"], frame: Frame, confidence: float = 0.25
    ) -> list[Detections]:
        """What the network reports above the threshold, and above any that was built into it."""
        _check(confidence)
        output = self._network(pixels)
        if self._shares:
            height, width = pixels.shape[2:]
            scale = output.new_tensor([width, height, width, height])
            output = torch.cat([xywh2xyxy(output[..., :4]) * scale, output[..., 4:]], dim=2)
        return [self._select(rows, frame, confidence) for rows in output]

    def _select(self, output: Float[Tensor, "n 6"], frame: Frame, confidence: float) -> Detections:
        rows = output[:, 4].argsort(descending=True, stable=True)
        rows = rows[output[rows, 4] > confidence]
        return _detections(output[rows], rows, frame, self.class_names)


def _check(confidence: float) -> None:
    if not 0 <= confidence <= 1:
        raise InputError(f"confidence is {confidence}; expected a threshold in [0, 1]")


def _detections(
    found: Float[Tensor, "n 6"], rows: Tensor, frame: Frame, class_names: tuple[str, ...]
) -> Detections:
    in_image = frame.boxes_to_image(found[:, :4])
    in_image[:, 2:] = torch.maximum(in_image[:, :2], in_image[:, 2:])
    return Detections(
        boxes=in_image,
        scores=found[:, 4],
        labels=found[:, 5].round().long(),
        candidates=rows,
        proposals=in_image,
        image_size=frame.image_size,
        class_names=class_names,
    )


def load_onnx(
    path: Path, domain: str, device: torch.device | None, imgsz: int | None = None, iou: float = 0.7
) -> Detector:
    """A detector from a file: with ``raw`` where its predictions can be seen, else sealed.

    Args:
        path: The ``.onnx`` file.
        domain: ``photo`` or ``xray``.
        device: Where to run; None takes a GPU if both torch and onnxruntime can use it.
        imgsz: Longest side of the input in pixels, where the file leaves it open.
        iou: Boxes of one class that overlap more are suppressed; not where that happens inside.

    Raises:
        InputError: If the size or limit makes no sense, or the file was exported for another size.
        MissingExtraError: If onnx or onnxruntime is not installed.
        WeightsError: If the file is damaged, refused or no detector.
    """
    if imgsz is not None and not 1 <= imgsz <= 8192:
        raise InputError(f"imgsz is {imgsz}; expected a side between 1 and 8192 pixels")
    if not 0 <= iou <= 1:
        raise InputError(f"iou is {iou}; expected a limit in [0, 1]")
    network, about, sha256 = open_network(path, device)
    if about.task not in ("", "detect"):
        raise WeightsError(f"{path.name} is a {about.task} model; expected a detector")
    size = network.size
    if size is not None and imgsz not in (None, max(size)):
        raise InputError(
            f"imgsz is {imgsz}, but {path.name} was exported for inputs of {size[1]} x {size[0]} "
            "pixels; leave it out, or export with dynamic=True"
        )
    side = -(-(imgsz or about.side) // about.stride) * about.stride
    placing = _Input(size, side, about.stride, about.head == QUERIES)
    # The declared shape may be symbolic or wrong: one run on nothing shows the true one.
    output = network(torch.full((1, 3, *(size or (side, side))), GREY))
    words = str(max(size or (side, side)))
    if size is not None and size[0] != size[1]:
        words = f"{size[1]} x {size[0]}"
    provenance = Provenance(path.name, "onnx", sha256, domain, words)
    if output.ndim == 3 and output.shape[2] == FINISHED:
        return SealedOnnxDetector(network, provenance, _sealed_names(about, path), placing)
    names = _raw_names(output, about, path)
    return OnnxDetector(network, provenance, names, placing, iou)


def _sealed_names(about: About, path: Path) -> tuple[str, ...]:
    if about.names is None:
        raise WeightsError(
            f"{path.name} reports finished detections but names no classes; add a metadata entry "
            "'names' such as {0: 'gun', 1: 'knife'}, as ultralytics' exports have"
        )
    return about.names


def _raw_names(output: Tensor, about: About, path: Path) -> tuple[str, ...]:
    shape = tuple(output.shape)
    classes = shape[1] - 4 if len(shape) == 3 else 0
    fits = classes > 0 and (classes < shape[2] if about.names is None else True)
    if not fits or (about.names is not None and len(about.names) != classes):
        known = f" with {len(about.names)} classes" if about.names else ""
        raise WeightsError(
            f"{path.name} gives {shape}, which is no detector's answer; expected (batch, "
            f"4 + classes, candidates){known}, or (batch, most, 6) of finished detections"
        )
    probabilities = output[:, 4:]
    if not (output.isfinite().all() and 0 <= probabilities.min() <= probabilities.max() <= 1):
        raise WeightsError(
            f"{path.name} gives class scores from {float(probabilities.min()):.3g} to "
            f"{float(probabilities.max()):.3g}; expected probabilities, after the sigmoid"
        )
    return about.names or tuple(f"class {number}" for number in range(classes))
