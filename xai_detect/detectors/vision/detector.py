"""Torchvision networks: Faster R-CNN, RetinaNet, FCOS, SSD and SSDlite.

The network normalises by itself, and finds the image at the size to which it would bring it.
Torchvision counts classes from 1, with 0 for the background; here labels count from 0 and the
background is no class.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xai_detect.detectors.asked import check_candidates, check_targets
from xai_detect.detectors.lending import device_of, handed_over, lent
from xai_detect.detectors.protocol import Candidates, Named, Raw
from xai_detect.detectors.vision.heads import OpenNetwork, Parts
from xai_detect.errors import ExplainError, InputError, WeightsError
from xai_detect.values.boxes import Size
from xai_detect.values.detections import Detections, Provenance, Target
from xai_detect.values.frame import Frame

SAME_SCORE = 1e-5
SAME_BOX = 0.01
"""How far a reported row may lie from its raw prediction: rounding, in score and in pixels."""


class TorchvisionDetector:
    """A torchvision detection network, white box.

    A candidate is an anchor, counted over all levels, or the proposal of a two-stage network; the
    latter is found again by its place, ``target.proposal``, not by its number.
    """

    def __init__(
        self,
        network: nn.Module,
        class_names: Sequence[str],
        provenance: Provenance,
    ) -> None:
        """Wrap a network; it runs where it lies, in evaluation mode, and is left as it is.

        Args:
            network: A ``FasterRCNN``, ``RetinaNet``, ``FCOS`` or ``SSD``.
            class_names: Without the background. A sigmoid head may have no background column.
            provenance: Where the weights come from.

        Raises:
            WeightsError: If the network is of another kind.
        """
        self._open = OpenNetwork(network, provenance.name)
        self.module: Any = network
        self.class_names: tuple[str, ...] = tuple(class_names)
        self.provenance = provenance
        self.feature_layers: tuple[str, ...] = self._open.feature_layers()

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return device_of(self.module)

    def frame(self, image_size: Size) -> Frame:
        """The image at the size to which the network would bring it by itself.

        Raises:
            InputError: If the network would shrink its shorter side to nothing.
        """
        inner = self._inner(image_size)
        if min(inner) < 1:
            raise InputError(
                f"an image of {image_size[1]} x {image_size[0]} pixels is too thin for this "
                f"network, which shrinks the longer side to {self.module.transform.max_size}; "
                "crop it first"
            )
        return replace(Frame.stretch(image_size, inner), quantised=False)

    def _inner(self, size: Size) -> Size:
        """What the network's own transform makes of a size."""
        transform = self.module.transform
        if transform.fixed_size is not None:
            width, height = transform.fixed_size
            return (int(height), int(width))
        scale = min(transform.min_size[-1] / min(size), transform.max_size / max(size))
        return (int(size[0] * scale), int(size[1] * scale))

    def covered(self, input_size: Size) -> tuple[int, int, int, int]:
        """The input and what the network adds to its right and below, in input pixels."""
        step = self.module.transform.size_divisible
        height, width = (
            round(side * -(-small // step) * step / small)
            for side, small in zip(input_size, self._inner(input_size), strict=True)
        )
        return (0, 0, width, height)

    def detect(
        self, pixels: Float[Tensor, "b 3 i j"], frame: Frame, confidence: float = 0.25
    ) -> list[Detections]:
        """Find objects by the network's own forward pass, then drop those below ``confidence``.

        The network's own threshold (0.05 or 0.01 unless built otherwise) stays.
        """
        if not 0 <= confidence <= 1:
            raise InputError(f"confidence is {confidence}; expected a threshold in [0, 1]")
        size = (pixels.shape[2], pixels.shape[3])
        with lent(self.module), torch.no_grad():
            with self._open.watched(size) as seen:
                results = self.module(list(handed_over(pixels, self.module)))
            parts = seen()
            return [
                self._select(result, parts, item, frame, confidence)
                for item, result in enumerate(results)
            ]

    def _select(
        self, result: dict[str, Tensor], parts: Parts, item: int, frame: Frame, confidence: float
    ) -> Detections:
        labels = result["labels"] - self._background(parts)
        kept = (result["scores"] > confidence) & (labels >= 0)
        boxes, scores, labels = result["boxes"][kept], result["scores"][kept], labels[kept]
        rows = self._matched(boxes, scores, labels, parts, item)
        places = self._open.proposals(parts, item, rows) if self._open.two_stage else boxes
        return Detections(
            boxes=frame.boxes_to_image(boxes).cpu().float(),
            scores=scores.cpu().float(),
            labels=labels.cpu(),
            candidates=rows.cpu(),
            proposals=frame.boxes_to_image(places).cpu().float(),
            image_size=frame.image_size,
            class_names=self.class_names,
        )

    def _background(self, parts: Parts) -> int:
        """Columns of the head before the first class."""
        spare = parts.logits[0].shape[1] - len(self.class_names)
        if spare not in (0, 1):
            raise WeightsError(
                f"{self.provenance.name} scores {parts.logits[0].shape[1]} classes, but there are "
                f"{len(self.class_names)} names; expected one each, the background left out"
            )
        return spare

    def _matched(
        self, boxes: Tensor, scores: Tensor, labels: Tensor, parts: Parts, item: int
    ) -> Tensor:
        """Which raw prediction each reported row is; the network's postprocessing does not say."""
        probabilities = self._probabilities(parts, item)
        rows = torch.zeros_like(labels)
        for index, label in enumerate(labels.tolist()):
            close = (probabilities[:, label] - scores[index]).abs() <= SAME_SCORE
            near = close.nonzero()[:, 0]
            apart = self._boxes(parts, item, near, labels[index].expand(len(near))) - boxes[index]
            if not len(near) or float(apart.abs().amax(dim=1).min()) > SAME_BOX:
                raise ExplainError(
                    f"the network reported a {self.class_names[label]} that is none of its raw "
                    "predictions; its postprocessing is not torchvision's own"
                )
            rows[index] = near[apart.abs().amax(dim=1).argmin()]
        return rows

    def raw(self, pixels: Float[Tensor, "b 3 i j"]) -> Raw:
        """Every raw prediction; images with fewer proposals are filled up with probability 0."""
        return self.named(pixels).raw

    def named(self, pixels: Float[Tensor, "b 3 i j"]) -> Named:
        """Every raw prediction with its number and, of a two-stage network, its proposal."""
        with lent(self.module), torch.no_grad():
            return self._named(pixels)

    def _named(self, pixels: Tensor) -> Named:
        parts = self._open.run(handed_over(pixels, self.module))
        first, items = self._background(parts), range(len(pixels))
        boxes = [self._open.boxes(parts, item, slice(None)) for item in items]
        if self._open.two_stage:
            boxes = [found[:, first:] for found in boxes]
        probabilities = [self._probabilities(parts, item) for item in items]
        places = [self._open.proposals(parts, item, slice(None)) for item in items]
        raw = Raw(_stacked(boxes, pixels), _stacked(probabilities, pixels))
        rows = torch.arange(raw.boxes.shape[1]).expand(len(pixels), -1)
        return Named(raw, rows, _stacked(places, pixels) if self._open.two_stage else None)

    def candidate(
        self, pixels: Float[Tensor, "b 3 i j"], targets: Sequence[Target], frame: Frame
    ) -> Candidates:
        """Log-odds and box at the targets' anchors or proposals, differentiable in ``pixels``."""
        check_targets(targets, len(self.class_names))
        with lent(self.module):
            return self._candidate(pixels, targets, frame)

    def _candidate(self, pixels: Tensor, targets: Sequence[Target], frame: Frame) -> Candidates:
        given = handed_over(pixels, self.module)
        labels = torch.tensor([target.label for target in targets], device=self.device)
        rows = torch.tensor([target.candidate for target in targets], device=self.device)
        places = None
        if self._open.two_stage:
            places = torch.tensor([target.proposal for target in targets]).view(-1, 4)
            places = frame.boxes_to_input(places).to(given)
            rows = torch.arange(len(targets), device=self.device)
        parts = self._open.run(given, places)
        if places is None:
            check_candidates(targets, len(parts.anchors[0]))
        first, items = self._background(parts), range(len(pixels))
        log_odds = [self._open.log_odds(parts, item, rows)[:, first:] for item in items]
        boxes = [self._boxes(parts, item, rows, labels) for item in items]
        return Candidates(
            torch.stack(log_odds).to(pixels.device, pixels.dtype),
            torch.stack(boxes).to(pixels.device, pixels.dtype),
        )

    def score(
        self, pixels: Float[Tensor, "b 3 i j"], target: Target, frame: Frame | None = None
    ) -> Float[Tensor, "b"]:
        """Log-odds of the target's class at its candidate, differentiable in ``pixels``."""
        frame = frame or Frame.unchanged((pixels.shape[2], pixels.shape[3]))
        return self.candidate(pixels, [target], frame).log_odds[:, 0, target.label]

    def _probabilities(self, parts: Parts, item: int) -> Tensor:
        return self._open.probabilities(parts, item)[:, self._background(parts) :]

    def _boxes(self, parts: Parts, item: int, rows: Tensor, labels: Tensor) -> Tensor:
        """One box per row, for the row's label."""
        decoded = self._open.boxes(parts, item, rows)
        groups = labels + self._background(parts) if self._open.two_stage else labels * 0
        return decoded[torch.arange(len(rows), device=rows.device), groups]


def _stacked(values: Sequence[Tensor], pixels: Tensor) -> Tensor:
    """One row per image, short ones filled up with 0."""
    return nn.utils.rnn.pad_sequence(list(values), batch_first=True).to(pixels.dtype)
