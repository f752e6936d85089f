"""A network and the function that decodes its output, as a white-box detector."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xai_detect.detectors.asked import check_candidates, check_targets
from xai_detect.detectors.classifier.layout import Colour
from xai_detect.detectors.classifier.network import Normalise
from xai_detect.detectors.doctor import require_torchvision
from xai_detect.detectors.lending import (
    Around,
    contiguous_gradients,
    device_of,
    handed_over,
    lent,
)
from xai_detect.detectors.own.named import (
    OWN,
    checked_domain,
    checked_names,
    checked_threshold,
)
from xai_detect.detectors.own.tried import check_layers, check_trial
from xai_detect.detectors.protocol import Candidates, Named, Raw
from xai_detect.detectors.weights.checkpoint import check_finite, content_digest
from xai_detect.detectors.yolo.conventions import GREY, MOST_DETECTIONS
from xai_detect.errors import InputError
from xai_detect.values.boxes import Size
from xai_detect.values.detections import Detections, Provenance, Target
from xai_detect.values.frame import Frame

Decode = Callable[[Any], tuple[Tensor, Tensor]]
"""From what the network answers to boxes ``(n, k, 4)`` and log-odds ``(n, k, c)``."""

PLACINGS = ("letterbox", "stretch")


class Placing(NamedTuple):
    """How images become the network's input.

    Attributes:
        size: ``(height, width)`` of the input in pixels.
        preprocessing: One of ``PLACINGS``.
        fill: For ``letterbox``: value of the padding, in [0, 1].
    """

    size: Size
    preprocessing: str
    fill: float

    def frame(self, image_size: Size) -> Frame:
        """Where an image of this size goes."""
        if self.preprocessing == "stretch":
            return Frame.stretch(image_size, self.size)
        return Frame.letterbox(image_size, self.size, stride=1, fill=self.fill, rectangle=False)


@torch.inference_mode(False)
def wrap_network(
    network: nn.Module,
    decode: Decode,
    class_names: Sequence[str],
    *,
    size: int | Size = 640,
    preprocessing: str = "letterbox",
    fill: float = GREY,
    mean: Colour = (0.0, 0.0, 0.0),
    std: Colour = (1.0, 1.0, 1.0),
    iou: float | None = 0.7,
    feature_layers: Sequence[str] = (),
    domain: str = "photo",
    name: str | None = None,
) -> "NetworkDetector":
    """A white-box detector from a torch network, given RGB images, and what decodes its output.

    ``decode(network(pixels))`` must give, for ``n`` images, boxes ``(n, k, 4)`` as
    ``(x1, y1, x2, y2)`` in input pixels and log-odds ``(n, k, c)`` of the confidence in each class:
    all ``k`` predictions, the same number for every image and in the same order, before thresholds
    and suppression, and with gradients. Log-odds are ``ln(p / (1 - p))``: the logit of a sigmoid.

    The network is tried once on an empty image. It is borrowed: it runs where it lies, in
    evaluation mode, and is given back as it was.

    Args:
        network: Takes ``(n, 3, height, width)``; its output is handed to ``decode``.
        decode: From the network's output to boxes and log-odds.
        class_names: Names in label order, without a background.
        size: Side of a square input, or ``(height, width)``, in pixels.
        preprocessing: ``letterbox`` fits an image into the input and pads the rest, half on either
            side; ``stretch`` lays it over the whole input.
        fill: For ``letterbox``: value of the padding, in [0, 1].
        mean: Taken off each colour in [0, 1] before the network.
        std: What the rest is divided by.
        iou: Boxes of one class that overlap more are suppressed; None suppresses none.
        feature_layers: Names in ``network`` of the layers that enter the head, finest first, for
            methods that read activations; each answers with one map ``(n, c, h, w)``.
        domain: ``photo`` or ``xray``.
        name: What a report calls the detector; None takes the network's class.

    Raises:
        InputError: If an argument makes no sense, or what is decoded has another form.
        WeightsError: If the network holds NaN.
    """
    sides = (size, size) if isinstance(size, int) else size
    if not all(1 <= side <= 8192 for side in sides):
        raise InputError(f"size is {size}; expected sides between 1 and 8192 pixels")
    if preprocessing not in PLACINGS:
        raise InputError(
            f"there is no preprocessing {preprocessing!r}; choose from {', '.join(PLACINGS)}"
        )
    if not 0 <= fill <= 1:
        raise InputError(f"fill is {fill}; expected a value of the padding from 0 to 1")
    if iou is not None and not 0 <= iou <= 1:
        raise InputError(f"iou is {iou}; expected a limit in [0, 1], or None")
    if len(mean) != 3 or len(std) != 3 or not all(spread > 0 for spread in std):
        raise InputError(f"mean is {mean} and std {std}; expected three numbers each, std above 0")
    names, shown = checked_names(class_names), name or f"{type(network).__name__} in memory"
    check_layers(network, feature_layers)
    check_finite(network, shown)
    words = f"{sides[1]} x {sides[0]}, {preprocessing}"
    provenance = Provenance(shown, OWN, content_digest(network), checked_domain(domain), words)
    return NetworkDetector(
        Normalised(network, mean, std), decode, names, provenance,
        Placing(sides, preprocessing, fill), iou,
        tuple(f"network.{layer}" for layer in feature_layers),
    )  # fmt: skip


class Normalised(Around):
    """From RGB in [0, 1] to what a network answers."""

    def __init__(self, network: nn.Module, mean: Colour, std: Colour) -> None:
        super().__init__()
        self.normalise = Normalise(mean, std).to(device_of(network))
        self.network = network
        self.training = self.normalise.training = network.training

    def forward(self, pixels: Tensor) -> Any:
        """The network's output, whatever it is."""
        return self.network(self.normalise(pixels))


class NetworkDetector:
    """A network with its decoder, white box; a candidate is a row of what is decoded.

    Attributes:
        module: From RGB in [0, 1] to the network's output.
        feature_layers: Names in ``module``; empty where nobody named them.
    """

    def __init__(
        self,
        module: Normalised,
        decode: Decode,
        class_names: tuple[str, ...],
        provenance: Provenance,
        placing: Placing,
        iou: float | None,
        feature_layers: tuple[str, ...],
    ) -> None:
        """Try the network once; see ``wrap_network``.

        Raises:
            InputError: If what is decoded has another form.
        """
        self.module: nn.Module = module
        self.class_names = class_names
        self.provenance = provenance
        self.frame = placing.frame
        self.feature_layers = feature_layers
        self._decode = decode
        self._iou = iou
        with lent(self.module), contiguous_gradients(self.module):
            check_trial(module, decode, len(class_names), placing.size, feature_layers)

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return device_of(self.module)

    def detect(
        self, pixels: Float[Tensor, "b 3 i j"], frame: Frame, confidence: float = 0.25
    ) -> list[Detections]:
        """Each prediction with its best class, above the threshold, suppressed within classes."""
        checked_threshold(confidence)
        raw = self.raw(pixels)
        return [
            self._select(boxes[:, 0], scores, frame, confidence)
            for boxes, scores in zip(raw.boxes, raw.probabilities, strict=True)
        ]

    def look(
        self, pixels: Float[Tensor, "b 3 i j"], frames: Sequence[Frame], confidence: float = 0.25
    ) -> tuple[list[Detections], Named]:
        """What ``detect`` and ``named`` give, from one pass."""
        checked_threshold(confidence)
        whole = self.named(pixels)
        rows = zip(whole.raw.boxes[:, :, 0], whole.raw.probabilities, frames, strict=True)
        return [self._select(*row, confidence) for row in rows], whole

    def named(self, pixels: Float[Tensor, "b 3 i j"]) -> Named:
        """Every prediction with the number of its row."""
        raw = self.raw(pixels)
        rows = torch.arange(raw.boxes.shape[1], device=raw.boxes.device)
        return Named(raw, rows.expand(len(pixels), -1), None)

    def _select(self, boxes: Tensor, scores: Tensor, frame: Frame, confidence: float) -> Detections:
        require_torchvision()
        from torchvision.ops import batched_nms

        best, labels = scores.max(dim=1)
        rows = (best > confidence).nonzero()[:, 0]
        rows = rows[best[rows].argsort(descending=True, stable=True)]
        if self._iou is not None:
            rows = rows[
                batched_nms(boxes[rows].float(), best[rows].float(), labels[rows], self._iou)
            ]
        rows = rows[:MOST_DETECTIONS]
        in_image = frame.boxes_to_image(boxes[rows]).cpu().float()
        in_image[:, 2:] = torch.maximum(in_image[:, :2], in_image[:, 2:])
        return Detections(
            boxes=in_image,
            scores=best[rows].cpu().float(),
            labels=labels[rows].cpu(),
            candidates=rows.cpu(),
            proposals=in_image,
            image_size=frame.image_size,
            class_names=self.class_names,
        )

    def raw(self, pixels: Float[Tensor, "b 3 i j"]) -> Raw:
        """Every prediction."""
        with lent(self.module), torch.no_grad():
            boxes, log_odds = self._forward(pixels)
        return Raw(boxes[:, :, None], log_odds.sigmoid())

    def candidate(
        self, pixels: Float[Tensor, "b 3 i j"], targets: Sequence[Target], frame: Frame
    ) -> Candidates:
        """Log-odds and boxes of the targets' rows, differentiable in ``pixels``."""
        del frame  # a row is named by its number alone
        check_targets(targets, len(self.class_names))
        with lent(self.module):
            boxes, log_odds = self._forward(pixels)
        check_candidates(targets, log_odds.shape[1])
        rows = torch.tensor(
            [target.candidate for target in targets], dtype=torch.int64, device=log_odds.device
        )
        return Candidates(log_odds[:, rows].to(pixels.device), boxes[:, rows].to(pixels.device))

    def score(
        self, pixels: Float[Tensor, "b 3 i j"], target: Target, frame: Frame | None = None
    ) -> Float[Tensor, "b"]:
        """Log-odds of the target's class at its row, differentiable in ``pixels``."""
        frame = frame or Frame.unchanged((pixels.shape[2], pixels.shape[3]))
        return self.candidate(pixels, [target], frame).log_odds[:, 0, target.label]

    def _forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        with contiguous_gradients(self.module):
            boxes, log_odds = self._decode(self.module(handed_over(pixels, self.module)))
        return boxes.to(pixels.dtype), log_odds.to(pixels.dtype)
