"""A window slides over the image; the map is what hiding it costs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from xai_detect.detectors.protocol import Detector
from xai_detect.errors import InputError
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.scores.survival import Survival, check_batch
from xai_detect.values import fills
from xai_detect.values.boxes import Size
from xai_detect.values.detections import Target
from xai_detect.values.frame import Frame, Placed

TYPICAL_SHAPE = (3, 4)
"""Height to width that ``expected_passes`` counts windows for."""


@dataclass(frozen=True, slots=True)
class Occlusion:
    """Every pixel gets the score's drop, averaged over the windows that hid it.

    Positive where hiding costs score, negative where it helps; in units of the score per window.
    What lies further inside than a window is wide is seen only in part at a time: evidence that
    is spread out, or shown twice, is missed.

    Zeiler, Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.

    Attributes:
        window: Side of the window; below 1 a share of the image's longer side, else image pixels.
        stride: Step between windows, in the same way.
        fill: What is hidden becomes this; ``auto`` is air in X-ray images, blur in photographs.
        scalar: The score: a name in ``SURVIVAL``; ``auto`` is ``max_raw`` where it can be read.
        batch: Windows per forward pass, None for what suits the device; never changes the map.
    """

    name: ClassVar[str] = "occlusion"
    input_level: ClassVar[bool] = True
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.SCORES
    citation: ClassVar[str] = (
        "Zeiler, Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014"
    )
    window: float = 0.1
    stride: float = 0.05
    fill: str = "auto"
    scalar: str = "auto"
    batch: int | None = None

    def __post_init__(self) -> None:
        for name in ("window", "stride"):
            if not getattr(self, name) > 0:
                raise InputError(
                    f"{name} is {getattr(self, name)}; expected a share of the image's longer side "
                    "between 0 and 1, or a number of pixels from 1"
                )
        fills.check(self.fill)
        check_batch(self.batch)

    def __call__(
        self, detector: Detector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return score drops, averaged over the windows that cover a pixel."""
        size = placed.frame.image_size
        survival = Survival(detector, placed, targets, self.scalar, self.batch)
        fill = fills.resolved(self.fill, detector.provenance.domain)
        windows = self.windows(size)
        whole = survival.of_inputs(survival.pixels)[0]
        total, covered = torch.zeros(len(targets), *size), torch.zeros(size)
        hiding = fills.Hiding(placed.content, fill)
        for some in torch.split(windows, survival.batch):
            drops = whole - survival.of_contents(hiding(_in_content(some, placed.frame)))
            for (top, left, bottom, right), drop in zip(some.tolist(), drops, strict=True):
                total[:, top:bottom, left:right] += drop[:, None, None]
                covered[top:bottom, left:right] += 1
        return [
            Attribution(heatmap, {"windows": float(len(windows)), **survival.passes()})
            for heatmap in total / covered
        ]

    def windows(self, size: Size) -> Int[Tensor, "n 4"]:
        """Top, left, bottom and right of every window, in image pixels; they cover the image."""
        rows, columns = (self._starts(length, max(size)) for length in size)
        side = self._pixels(self.window, max(size))
        return torch.tensor(
            [
                [top, left, min(top + side, size[0]), min(left + side, size[1])]
                for top in rows
                for left in columns
            ]
        )

    def brief(self) -> "Occlusion":
        """The same windows at twice the distance, as long as they still meet."""
        wider = 2 * self.stride
        same_unit = (wider < 1) == (self.stride < 1)
        apart = (wider < 1) == (self.window < 1) and wider > self.window
        return replace(self, stride=wider) if same_unit and not apart else self

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """One pass per window of an image three to four, and one for the unchanged image."""
        del targets
        longer = 640
        size = (longer * TYPICAL_SHAPE[0] // TYPICAL_SHAPE[1], longer)
        rows, columns = (len(self._starts(length, longer)) for length in size)
        return float(rows * columns + 1), 0.0

    def _starts(self, length: int, longer: int) -> list[int]:
        """First pixels of the windows; the last window ends where the image does."""
        side, step = self._pixels(self.window, longer), self._pixels(self.stride, longer)
        last = max(length - side, 0)
        return [*range(0, last, min(step, side)), last]

    @staticmethod
    def _pixels(length: float, longer: int) -> int:
        return max(round(length * longer if length < 1 else length), 1)


def _in_content(windows: Int[Tensor, "m 4"], frame: Frame) -> Bool[Tensor, "m a b"]:
    """Windows over the part of the input that holds the image; at least a pixel each."""
    height, width = frame.content_size
    masks = torch.zeros(len(windows), height, width, dtype=torch.bool)
    for mask, window in zip(masks, windows.tolist(), strict=True):
        top, bottom = _span(window[0], window[2], frame.scale[0], height)
        left, right = _span(window[1], window[3], frame.scale[1], width)
        mask[top:bottom, left:right] = True
    return masks


def _span(low: int, high: int, scale: float, length: int) -> tuple[int, int]:
    first = min(round(low * scale), length - 1)
    return first, max(round(high * scale), first + 1)
