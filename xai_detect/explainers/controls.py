"""Maps that ask the network nothing about the target: every number is read against them.

A centred blob wins the usual localisation scores, so a method has shown something only by what it
scores above these controls. None of them can be evidence, so none counts as input-level: a verdict
never rests on one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import cv2
import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.protocol import Detector, Raw, RawDetector
from xai_detect.errors import InputError
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.scores.survival import FAINT
from xai_detect.values import boxes
from xai_detect.values.boxes import Box, Size
from xai_detect.values.detections import Detections, Target
from xai_detect.values.frame import Frame, Placed

CONTROL = "control; no evidence in it"

SIGMA_SHARE = 1 / 6
"""Standard deviation of ``centre_gaussian`` as a share of the box's side."""

C = TypeVar("C", bound="_Control")


def _given(heatmap: Float[Tensor, "h w"], forward_passes: float = 0.0) -> Attribution:
    return Attribution(heatmap, {"forward_passes": forward_passes, "backward_passes": 0.0})


class _Control:
    """What all controls have in common: nothing cheaper exists, and no pass is spent."""

    __slots__ = ()
    input_level: ClassVar[bool] = False
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.NOTHING
    citation: ClassVar[str] = CONTROL

    def brief(self: C) -> C:
        """The control itself."""
        return self

    def expected_passes(self, _targets: int) -> tuple[float, float]:
        """None."""
        return 0.0, 0.0


@dataclass(frozen=True, slots=True)
class Flat(_Control):
    """The same value, 1, everywhere: what chance scores."""

    name: ClassVar[str] = "flat"

    def __call__(
        self, _detector: Detector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return maps of ones."""
        return [_given(torch.ones(placed.frame.image_size)) for _ in targets]


@dataclass(frozen=True, slots=True)
class UniformBox(_Control):
    """1 inside the box, 0 outside: what the box itself gives away."""

    name: ClassVar[str] = "box"

    def __call__(
        self, _detector: Detector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return the boxes as maps."""
        size = placed.frame.image_size
        return [_given(boxes.mask(target.box, size).float()) for target in targets]


@dataclass(frozen=True, slots=True)
class CentreGaussian(_Control):
    """A Gaussian at the box's centre, a sixth of each side wide: the strongest blind guess."""

    name: ClassVar[str] = "centre_gaussian"

    def __call__(
        self, _detector: Detector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return maps with a peak of 1 at the box's centre."""
        size = placed.frame.image_size
        return [_given(_gaussian(target.box, size)) for target in targets]


def _gaussian(box: Box, size: Size) -> Float[Tensor, "h w"]:
    down, across = (
        _bell((low + high) / 2, (high - low) * SIGMA_SHARE, length)
        for low, high, length in ((box[1], box[3], size[0]), (box[0], box[2], size[1]))
    )
    return down[:, None] * across[None, :]


def _bell(centre: float, sigma: float, length: int) -> Float[Tensor, "n"]:
    # Half a pixel at least: a narrower bell can fall between two pixel centres and vanish.
    distance = (torch.arange(length) + 0.5 - centre) / max(sigma, 0.5)
    return torch.exp(-0.5 * distance**2)


@dataclass(frozen=True, slots=True)
class Edges(_Control):
    """Sobel's gradient magnitude, summed over colours: what any outline-loving map resembles."""

    name: ClassVar[str] = "edges"

    def __call__(
        self, _detector: Detector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return the same map for every target; unit: brightness per pixel, times 8."""
        array = placed.image.permute(1, 2, 0).contiguous().cpu().numpy()
        across, down = (
            torch.from_numpy(
                cv2.Sobel(array, cv2.CV_32F, *order, ksize=3, borderType=cv2.BORDER_REPLICATE)
            )
            for order in ((1, 0), (0, 1))
        )
        heatmap = torch.hypot(across, down).sum(dim=2)
        return [_given(heatmap) for _ in targets]


@dataclass(frozen=True, slots=True)
class Random(_Control):
    """Uniform noise in [0, 1), the same for every target.

    Attributes:
        seed: Of the noise.
    """

    name: ClassVar[str] = "random"
    seed: int = 0

    def __call__(
        self, _detector: Detector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return noise."""
        generator = torch.Generator().manual_seed(self.seed)
        heatmap = torch.rand(placed.frame.image_size, generator=generator)
        return [_given(heatmap) for _ in targets]


@dataclass(frozen=True, slots=True)
class Objectness(_Control):
    """The detector's own heat map: how sure it is of anything at all, and where.

    Every raw prediction lays its largest class confidence on the cell under its box's centre; a
    cell keeps the largest. A sealed detector's final detections stand for its raw predictions. The
    map says where boxes are, whatever the target, and nothing about why.

    Attributes:
        cell: Side of a cell in input pixels.
    """

    name: ClassVar[str] = "objectness"
    needs: ClassVar[Needs] = Needs.SCORES
    citation: ClassVar[str] = (
        f"{CONTROL}; a class map as in Redmon et al., You Only Look Once, CVPR 2016"
    )
    cell: int = 8

    def __post_init__(self) -> None:
        if self.cell < 1:
            raise InputError(f"cell is {self.cell} pixels; expected at least 1")

    def __call__(
        self, detector: Detector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return the same map for every target, confidences in [0, 1]."""
        frame, pixels = placed.frame, placed.pixels
        if isinstance(detector, RawDetector):
            found, confidences = _strongest(detector.raw(pixels))
        else:
            found, confidences = _final(detector.detect(pixels, frame, FAINT)[0], frame)
        heatmap = frame.map_to_image(self._laid(found, confidences, frame.input_size)[None])[0]
        return [_given(heatmap, 1.0) for _ in targets]

    def expected_passes(self, _targets: int) -> tuple[float, float]:
        """One forward pass."""
        return 1.0, 0.0

    def _laid(
        self, found: Float[Tensor, "a 4"], confidences: Float[Tensor, "a"], size: Size
    ) -> Float[Tensor, "i j"]:
        rows, columns = (-(-length // self.cell) for length in size)
        across, down = ((found[:, :2] + found[:, 2:]) / 2).unbind(dim=1)
        inside = (across >= 0) & (across < size[1]) & (down >= 0) & (down < size[0])
        place = (down[inside] // self.cell * columns + across[inside] // self.cell).long()
        cells = torch.zeros(rows * columns).scatter_reduce(0, place, confidences[inside], "amax")
        whole = cells.view(rows, columns)
        whole = whole.repeat_interleave(self.cell, 0).repeat_interleave(self.cell, 1)
        return whole[: size[0], : size[1]]


def _strongest(raw: Raw) -> tuple[Float[Tensor, "a 4"], Float[Tensor, "a"]]:
    """The box and confidence of each raw prediction's likeliest class, in input pixels."""
    confidences, labels = raw.probabilities[0].cpu().max(dim=1)
    found = raw.boxes[0].cpu()
    columns = labels if found.shape[1] > 1 else torch.zeros_like(labels)
    return found[torch.arange(len(found)), columns], confidences


def _final(found: Detections, frame: Frame) -> tuple[Float[Tensor, "a 4"], Float[Tensor, "a"]]:
    return frame.boxes_to_input(found.boxes.cpu()), found.scores.cpu()
