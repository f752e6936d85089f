"""D-CLOSE and D-CRISP: random segments, and random grids, at several levels, fused into one map."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from xai_detect.detectors.protocol import Detector
from xai_detect.errors import InputError
from xai_detect.explainers.masks.bank import Draw, MaskBank, Mixer, Raster
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.explainers.regions import cut
from xai_detect.scores.survival import Survival, check_batch
from xai_detect.values import fills
from xai_detect.values.boxes import Size
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed

SAME = 1e-6
"""Level maps that vary by less are flat: a network's rounding varies as much between batches."""

BRIEF = 1000
"""Masks of the brief form."""


class SegmentBank(NamedTuple):
    """Masks that show whole segments, enlarged, through a window at random.

    Attributes:
        labels: The segment of every pixel.
        keep: Chance that a segment is shown.
        enlarge: The segments are drawn larger by this share of themselves; 0 leaves them in place.
        seed: Names the bank.
    """

    labels: Int[Tensor, "h w"]
    keep: float
    enlarge: float
    seed: tuple[int, ...]

    @property
    def regions(self) -> int:
        """How many segments there are."""
        return int(self.labels.max()) + 1

    def masks(self, count: int, batch: int) -> Iterator[Float[Tensor, "n h w"]]:
        """So many masks, 0 hidden to 1 shown, each with a draw of its own."""
        generator = np.random.default_rng(self.seed)
        large = [round(length * (1 + self.enlarge)) for length in self.labels.shape]
        spare = [length - seen for length, seen in zip(large, self.labels.shape, strict=True)]
        for start in range(0, count, batch):
            drawn = []
            for _ in range(start, min(start + batch, count)):
                shown = torch.from_numpy(generator.random(self.regions) < self.keep)
                top, left = (int(generator.integers(free + 1)) for free in spare)
                drawn.append(_window(self.labels, shown, (large[0], large[1]), (top, left)))
            yield torch.stack(drawn)


def _window(
    labels: Int[Tensor, "h w"], shown: Bool[Tensor, "r"], large: Size, corner: tuple[int, int]
) -> Float[Tensor, "h w"]:
    """A part of the segments drawn bilinearly at a larger size, as large as they were."""
    rows, down = _neighbours(labels.shape[0], large[0], corner[0])
    columns, across = _neighbours(labels.shape[1], large[1], corner[1])
    seen = labels[
        int(rows.min()) : int(rows.max()) + 1, int(columns.min()) : int(columns.max()) + 1
    ]
    part = shown[seen].float()
    rows, columns = rows - rows.min(), columns - columns.min()
    part = torch.lerp(part[rows[0]], part[rows[1]], down[:, None])
    return torch.lerp(part[:, columns[0]], part[:, columns[1]], across)


def _neighbours(
    length: int, large: int, first: int
) -> tuple[Int[Tensor, "2 length"], Float[Tensor, "length"]]:
    """The two pixels between which each pixel of a window lies, and how far it is to the second."""
    places = (torch.arange(first, first + length) + 0.5) * (length / large) - 0.5
    places = places.clamp(min=0)
    low = places.floor().long().clamp(max=length - 1)
    return torch.stack([low, (low + 1).clamp(max=length - 1)]), places - low


class GridBank(NamedTuple):
    """Masks of a grid of cells, as D-RISE's.

    Attributes:
        bank: The grid's masks.
        size: ``(height, width)`` to draw at.
    """

    bank: MaskBank
    size: Size

    @property
    def regions(self) -> int:
        """How many cells there are."""
        return self.bank.grid**2

    def masks(self, count: int, batch: int) -> Iterator[Float[Tensor, "n h w"]]:
        """So many masks, 0 hidden to 1 shown."""
        raster = Raster(self.bank.grid, self.size)
        for draw in self.bank.blocks(count):
            for start in range(0, len(draw.shown), batch):
                yield raster.masks(Draw(*(column[start : start + batch] for column in draw)))


@dataclass(frozen=True, slots=True)
class DClose:
    """Random segments of several sizes are hidden; the maps of all sizes are fused.

    A level's map is the mean score of the masks that showed a pixel, between 0 where it is least
    and 1 where it is most. From the finest level to the coarsest, ``map = (map + level) * level``.
    So the map has no sign and no unit: rescaling each level is part of the published method, and
    nothing is rescaled after it. Levels in which no mask changed the score are left out; if all
    are, the map is 0.

    Truong et al., "Towards Better Explanations for Object Detection", 2023, arXiv 2306.02744, but
    with a draw for every mask and not for every batch. With ``grids``, random grids are further
    levels, after Andres, Del Ser, "D-CRISP", ECAI 2025.

    Attributes:
        masks: Masks to show, shared out evenly over all levels.
        levels: Levels of segments; each has twice as many as the one before.
        segments: Segments of the coarsest level.
        grids: Cells per side of further levels of random grids.
        keep: Chance that a segment or cell is shown.
        enlarge: Segments are drawn larger by this share of themselves, and a window of the
            image's size is moved over them; 0 leaves them in place.
        fill: What is hidden becomes this; ``auto`` is air in X-ray images, blur in photographs.
        scalar: The score: a name in ``SURVIVAL``; ``auto`` is ``max_raw`` where it can be read.
        batch: Masks per forward pass, None for what suits the device; never changes the map.
        seed: Names the masks.
    """

    name: ClassVar[str] = "d_close"
    input_level: ClassVar[bool] = True
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.SCORES
    citation: ClassVar[str] = (
        "Truong et al., Towards Better Explanations for Object Detection, 2023, arXiv 2306.02744"
    )
    masks: int = 4000
    levels: int = 5
    segments: int = 150
    grids: tuple[int, ...] = ()
    keep: float = 0.5
    enlarge: float = 2.2
    fill: str = "auto"
    scalar: str = "auto"
    batch: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {"levels": (0, 8), "segments": (1, 10_000), "enlarge": (0, 10)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(
                    f"{name} is {getattr(self, name)}; expected a value from {low} to {high}"
                )
        several = self.levels + len(self.grids)
        if several == 0:
            raise InputError("levels is 0 and grids is empty; give one of them")
        if self.masks < 2 * several:
            raise InputError(
                f"masks is {self.masks}; expected at least two for each of {several} levels"
            )
        for number, grid in enumerate(self.grids):
            self._grid_bank(number, grid)
        if not 0 < self.keep < 1:
            raise InputError(f"keep is {self.keep}; expected a chance between 0 and 1")
        fills.check(self.fill)
        check_batch(self.batch)
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; expected 0 or more")

    def __call__(
        self, detector: Detector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return fused maps, 0 where every level sees least."""
        survival = Survival(detector, placed, targets, self.scalar, self.batch)
        mixer = Mixer(placed, fills.resolved(self.fill, detector.provenance.domain))
        banks = self._banks(placed.content)
        shares = [len(part) for part in np.array_split(np.arange(self.masks), len(banks))]
        levels = (
            _level(bank.masks(count, survival.batch), mixer, survival)
            for bank, count in zip(banks, shares, strict=True)
        )
        maps = torch.zeros(len(targets), *placed.frame.input_size)
        maps[:, *placed.frame.content] = fused(levels)
        measured = {"levels": float(len(banks)), **survival.passes()}
        return [Attribution(heatmap, measured) for heatmap in placed.frame.map_to_image(maps)]

    def brief(self) -> "DClose":
        """A coarser map from other masks: no more than 1000."""
        return replace(self, masks=min(self.masks, BRIEF), seed=self.seed + 1)

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """One forward pass per mask, however many targets."""
        del targets
        return float(self.masks), 0.0

    def _banks(self, content: Float[Tensor, "3 h w"]) -> list[SegmentBank | GridBank]:
        """All levels, the finest first."""
        banks: list[SegmentBank | GridBank] = []
        for number in range(self.levels):
            labels = cut(content, self.segments * 2**number, "slic")
            banks.append(SegmentBank(labels, self.keep, self.enlarge, (self.seed, number)))
        for number, grid in enumerate(self.grids):
            size = (content.shape[1], content.shape[2])
            banks.append(GridBank(self._grid_bank(number, grid), size))
        return sorted(banks, key=lambda bank: -bank.regions)

    def _grid_bank(self, number: int, grid: int) -> MaskBank:
        """Grids of one size that is given twice are still drawn apart."""
        return MaskBank("iid", grid, self.keep, len(self.grids) * self.seed + number)


def _level(
    masks: Iterator[Float[Tensor, "n h w"]], mixer: Mixer, survival: Survival
) -> Float[Tensor, "k h w"]:
    """The mean score of the masks that showed a pixel, less a constant; flat if no score changed.

    A pixel that no mask showed gets the mean score of all.
    """
    weighted: Tensor | float = 0.0
    shown: Tensor | float = 0.0
    total, count, first = torch.zeros(0), 0, None
    for some in masks:
        scores = survival.of_inputs(mixer.show(some))
        first = scores[0] if first is None else first
        scores = scores - first  # so that equal scores leave exactly nothing
        weighted = weighted + torch.einsum("nk,nhw->khw", scores, some)
        shown = shown + some.sum(dim=0)
        total = scores.sum(dim=0) + (total if count else 0.0)
        count += len(some)
    shown = torch.as_tensor(shown)
    means = torch.as_tensor(weighted) / shown.clamp(min=SAME)
    return torch.where(shown > SAME, means, (total / count)[:, None, None])


def fused(levels: Iterable[Float[Tensor, "k h w"]]) -> Float[Tensor, "k h w"]:
    """Levels from the finest to the coarsest in one map per target: ``(map + level) * level``.

    Each level is first stretched from 0 to 1; flat ones are left out.
    """
    total: Tensor | None = None
    for level in levels:
        low, high = level.flatten(1).aminmax(dim=1)
        tells = (high - low > SAME)[:, None, None]
        width = (high - low).clamp(min=SAME)[:, None, None]
        stretched = torch.where(tells, (level - low[:, None, None]) / width, 0.0)
        if total is None:
            total, begun = stretched, tells
            continue
        further = torch.where(begun, (total + stretched) * stretched, stretched)
        total, begun = torch.where(tells, further, total), begun | tells
    if total is None:
        raise InputError("there is no level to fuse")
    return total
