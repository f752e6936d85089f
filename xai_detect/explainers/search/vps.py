"""Visual Precision Search: regions ranked by what showing and hiding them does, one at a time.

The search optimises what insertion and deletion curves measure, with its own fill: score its maps
with another one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.protocol import Detector
from xai_detect.errors import InputError
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.explainers.regions import cut, shuffled
from xai_detect.explainers.search.region_scores import RegionScores, Scores, first_best, painted
from xai_detect.scores.survival import Survival
from xai_detect.values import fills
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed

MODES = ("insertion", "deletion")


def check_mode(mode: str) -> None:
    """Refuse a mode that is neither ``insertion`` nor ``deletion``.

    Raises:
        InputError: If it is.
    """
    if mode not in MODES:
        raise InputError(f"mode is {mode!r}; expected one of {', '.join(MODES)}")


def objective(scores: Scores, everything: int, mode: str) -> Scores:
    """What a search makes as large as it can: how much a set of regions is worth.

    - ``insertion``: the score with only the set shown (clue) plus 1 minus the score with the set
      hidden (collaboration), in [0, 2]: the published objective.
    - ``deletion``: the collaboration alone, in [0, 1]: what removing the set costs.
    """

    def worth(sets: Sequence[int]) -> Tensor:
        without = [everything & ~shown for shown in sets]
        if mode == "deletion":
            return 1 - scores(without)
        found = scores([*sets, *without])
        return found[: len(sets)] + 1 - found[len(sets) :]

    return worth


def greedy(worth: Scores, count: int) -> list[int]:
    """Regions in the order in which each adds most to those before it."""
    chosen, order, left = 0, [], list(range(count))
    while left:
        best = left.pop(first_best(worth([chosen | 1 << region for region in left])))
        chosen |= 1 << best
        order.append(best)
    return order


def region_values(worth: Scores, order: Sequence[int], mode: str) -> Float[Tensor, "m"]:
    """The value of each region: how much the objective still moves, whatever the sign.

    Visual Precision Search (``insertion``) gives the first region some value, and each next one
    less by what it changed, so that a value is what all *later* regions change. The last is 0 here;
    the release divides the same values by their span. A first region that does everything alone
    leaves all values 0. In ``deletion`` a value is what the region itself and all later ones
    change.
    """
    sets = [0]
    for region in order:
        sets.append(sets[-1] | 1 << region)
    moved = worth(sets).diff().abs()
    left = torch.cat([moved.flip(0).cumsum(0).flip(0), moved.new_zeros(1)])
    values = torch.zeros_like(moved)
    values[torch.tensor(order)] = left[:-1] if mode == "deletion" else left[1:]
    return values


@dataclass(frozen=True, slots=True)
class SuperpixelSearch:
    """What searches over superpixels share; each says how it ranks them.

    Attributes:
        regions: Superpixels to cut the image into, about.
        mode: What is made large; see ``objective``.
        fill: What hidden regions become; a name in ``FILLS``, or ``auto``: air in X-ray images,
            blur in photographs. Visual Precision Search's release takes the mean or black.
        scalar: What is explained: a name in ``SURVIVAL``, or ``auto``.
        batch: Images per forward pass, None for what suits the device; never changes a result.
        seed: Of everything random, and which region wins a tie.
    """

    name: ClassVar[str]
    input_level: ClassVar[bool] = True
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.SCORES
    citation: ClassVar[str]
    regions: int = 50
    mode: str = "insertion"
    fill: str = "auto"
    scalar: str = "auto"
    batch: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.regions < 2:
            raise InputError(
                f"regions is {self.regions}; expected at least 2, so that there is a choice"
            )
        check_mode(self.mode)
        fills.check(self.fill)

    def __call__(
        self, detector: Detector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return each region's value in the scalar's unit, at least 0.

        Sets of regions that two targets ask about are shown once.
        """
        survival = Survival(detector, placed, targets, self.scalar, self.batch)
        labels = shuffled(cut(placed.content, self.regions, "slico"), self.seed)
        fill = fills.resolved(self.fill, detector.provenance.domain)
        known = RegionScores(survival, labels, fills.Hiding(placed.content, fill))
        maps, measured = [], []
        for row in range(len(targets)):
            scores = known.of(row)
            worth = objective(scores, known.everything, self.mode)
            values = region_values(worth, self.rank(worth, known.count), self.mode)
            maps.append(painted(values.float(), labels, survival.frame))
            whole, empty = scores([known.everything, 0]).tolist()
            measured.append(
                {"score": whole, "baseline_score": empty, "regions": float(known.count)}
            )
        return [
            Attribution(heatmap, {**numbers, **survival.passes()})
            for heatmap, numbers in zip(maps, measured, strict=True)
        ]

    def rank(self, worth: Scores, count: int) -> list[int]:
        """Order ``count`` regions by an objective over sets of them, the most important first."""
        raise NotImplementedError

    def brief(self) -> "SuperpixelSearch":
        """A coarser search: no more than 16 regions."""
        return replace(self, regions=min(self.regions, 16))

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """What the search asks for, as far as it is known beforehand; no backward passes."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class VisualPrecisionSearch(SuperpixelSearch):
    """Superpixels in the order in which showing them helps, and hiding them hurts, the most.

    Chen et al., "Interpreting Object-level Foundation Models via Visual Precision Search",
    CVPR 2025. Costs about ``regions * (regions + 1)`` forward passes per target (half in mode
    ``deletion``). Where regions have no effect on the score, all values are 0. The paper cuts the
    image into 100 regions.

    Attributes:
        regions: See ``SuperpixelSearch``, as for all the others.
    """

    name: ClassVar[str] = "vps"
    citation: ClassVar[str] = (
        "Chen et al., Interpreting Object-level Foundation Models via Visual Precision Search, "
        "CVPR 2025"
    )

    def rank(self, worth: Scores, count: int) -> list[int]:
        """In the order in which each adds most to those before it."""
        return greedy(worth, count)

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """The first round is shared, the others are each target's own."""
        sides = 1 if self.mode == "deletion" else 2
        first, rest = self.regions, self.regions * (self.regions - 1) / 2
        return float(sides * (first + rest * targets)), 0.0
