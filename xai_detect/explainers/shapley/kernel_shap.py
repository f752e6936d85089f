"""Shapley values of regions from a weighted regression: Kernel SHAP."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xai_detect.detectors.protocol import Detector
from xai_detect.errors import InputError
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.explainers.regions import SEGMENTS, cut
from xai_detect.explainers.shapley.coalitions import Coalitions, coalitions, game
from xai_detect.scores.survival import check_batch
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed, nearest

GROUPS = 10
"""Groups of drawn pairs that are left out in turn to see how much the values still move."""

NORMAL = 1.96
"""Standard errors on each side of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class KernelShap:
    """Shapley values of regions: what each adds to the score, averaged over all orders.

    Coalitions of shown regions come in pairs of complements, and the values are the weighted least
    squares fit to their scores whose sum is exactly ``score(all) - score(nothing)``. The regions
    decide what shapes the evidence can take, and the masker decides its sign; with few samples,
    noise looks like structure, so the interval is measured along.

    Lundberg, Lee, "A Unified Approach to Interpreting Model Predictions", NIPS 2017, arXiv
    1705.07874.

    Attributes:
        regions: About how many regions; see ``cut``.
        segments: ``slic`` or ``grid``.
        samples: Most images shown to the detector; with ``2**regions`` the values are exact.
        masker: What a hidden region becomes: a fill's name; ``auto`` inpaints in X-ray images
            (``inpaint_telea``) and blurs in photographs.
        seed: Of the coalitions drawn.
        scalar: What is explained: a name in ``SURVIVAL``, or ``auto``.
        batch: Images per forward pass, None for what suits the device; never changes a result.
    """

    name: ClassVar[str] = "kernel_shap"
    input_level: ClassVar[bool] = True
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.SCORES
    citation: ClassVar[str] = (
        "Lundberg, Lee, A Unified Approach to Interpreting Model Predictions, NIPS 2017"
    )
    regions: int = 64
    segments: str = "slic"
    samples: int = 1000
    masker: str = "auto"
    seed: int = 0
    scalar: str = "auto"
    batch: int | None = None

    def __post_init__(self) -> None:
        if self.segments not in SEGMENTS:
            raise InputError(
                f"there are no segments {self.segments!r}; choose from {', '.join(SEGMENTS)}"
            )
        if self.regions < 1:
            raise InputError(f"regions is {self.regions}; expected at least 1")
        if self.samples < _least(self.regions):
            raise InputError(
                f"samples is {self.samples} for {self.regions} regions; expected at least "
                f"{_least(self.regions)}, two per region and two for all and nothing"
            )
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; expected 0 or more")
        check_batch(self.batch)

    def __call__(
        self, detector: Detector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return values in the scalar's unit, spread evenly over the pixels of each region.

        ``measured`` holds, besides the scores of the whole and the hidden image, the mean
        half-width of a region's 95 % interval, ``interval``, in the scalar's unit and, as
        ``interval_share``, over the largest value. It is 0 where all coalitions were shown.
        """
        frame = placed.frame
        smaller = min(placed.image, placed.content, key=torch.numel)
        cells = cut(smaller, self.regions, self.segments)
        count = int(cells.max()) + 1
        regions = nearest(cells, frame.image_size)
        asked = game(
            detector, placed, targets, nearest(cells, frame.content_size),
            masker=self.masker, scalar=self.scalar, batch=self.batch,
        )  # fmt: skip
        drawn = coalitions(count, (self.samples - 2) // 2, self.seed)
        ends = torch.tensor([False, True])[:, None].expand(2, count)
        scores = asked.values(torch.cat([ends, drawn.shown, ~drawn.shown]))
        values = solve(drawn, scores)
        half = NORMAL * standard_error(drawn, scores)
        sizes = regions.flatten().bincount(minlength=count)
        maps = (values / sizes[:, None]).T[:, regions].float()
        passes = asked.survival.passes()
        return [
            Attribution(heatmap, _measured(scores[:2, row], values[:, row], half[:, row]) | passes)
            for row, heatmap in enumerate(maps)
        ]

    def brief(self) -> "KernelShap":
        """A quarter of the samples, but never fewer than the regression needs."""
        fewer = max(_least(self.regions), self.samples // 4)
        return replace(self, samples=min(self.samples, fewer))

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """All samples, whatever the number of targets."""
        del targets
        return float(self.samples), 0.0


def _least(regions: int) -> int:
    return 2 * regions + 2


def solve(drawn: Coalitions, scores: Float[Tensor, "n k"]) -> Float[Tensor, "m k"]:
    """The values whose sums over coalitions come closest to the scores.

    They sum to the score of all regions less that of none. Where the coalitions leave a choice, it
    is the one with the least deviation from equal values.

    Args:
        drawn: Pairs of coalitions and their weights.
        scores: Of nothing shown, of all shown, of the first of each pair, of the second of each.
    """
    regions = drawn.shown.shape[1]
    gain = scores[1] - scores[0]
    equal = gain / regions
    if not len(drawn.shown):
        return equal.expand(regions, -1).clone()
    shown = torch.cat([drawn.shown, ~drawn.shown]).double()
    left = scores[2:] - scores[0] - shown.sum(dim=1, keepdim=True) * equal
    # Deviations from equal values sum to 0: they are sought among vectors without a mean.
    centred = shown - shown.mean(dim=1, keepdim=True)
    root = drawn.weights.sqrt().repeat(2)[:, None]
    found = torch.linalg.lstsq(root * centred, root * left, driver="gelsd").solution
    return equal + found - found.mean(dim=0)


def standard_error(drawn: Coalitions, scores: Tensor) -> Float[Tensor, "m k"]:
    """How far values may be off because coalitions were drawn: the jackknife over groups of pairs.

    NaN with fewer drawn pairs than groups.
    """
    numbers = drawn.drawn.cumsum(dim=0) - 1
    pairs = int(drawn.drawn.sum())
    shape = (drawn.shown.shape[1], scores.shape[1])
    if pairs == 0:
        return torch.zeros(shape, dtype=torch.float64)
    if pairs < GROUPS:
        return torch.full(shape, math.nan, dtype=torch.float64)
    parts = [
        solve(*_without(drawn, scores, drawn.drawn & (numbers % GROUPS == group)))
        for group in range(GROUPS)
    ]
    apart = torch.stack(parts) - torch.stack(parts).mean(dim=0)
    return ((GROUPS - 1) / GROUPS * apart.square().sum(dim=0)).sqrt()


def _without(
    drawn: Coalitions, scores: Tensor, out: Bool[Tensor, "p"]
) -> tuple[Coalitions, Tensor]:
    """The same sample without some drawn pairs, the others standing for them."""
    random = drawn.weights[drawn.drawn].sum()
    weights = torch.where(drawn.drawn, random / (random - drawn.weights[out].sum()), 1.0)
    kept = torch.cat([torch.tensor([True, True]), ~out, ~out])
    part = Coalitions(drawn.shown[~out], (drawn.weights * weights)[~out], drawn.drawn[~out])
    return part, scores[kept]


def _measured(ends: Tensor, values: Tensor, half: Tensor) -> dict[str, float]:
    nothing, whole = ends.tolist()
    gain, largest = whole - nothing, float(values.abs().max())
    interval = float(half.mean())
    return {
        "score": whole,
        "baseline_score": nothing,
        "completeness_error": abs(float(values.sum()) - gain) / abs(gain) if gain else math.nan,
        "interval": interval,
        "interval_share": interval / largest if largest > 0 else math.nan,
        "regions": float(len(values)),
    }
