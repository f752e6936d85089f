"""Visual Precision Search: regions ranked by what showing and hiding them does, one at a time.

The search optimises what insertion and deletion curves measure, with its own fill: score its maps
with another one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, runtime_checkable

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

Ranking = Callable[[Scores, int], list[int]]
"""Orders so many regions by an objective over sets of them, the most important first."""


@runtime_checkable
class Settings(Protocol):
    """What searches over superpixels have in common; ``VisualPrecisionSearch`` says what it is."""

    @property
    def regions(self) -> int:
        """Superpixels, about."""

    @property
    def mode(self) -> str:
        """What is made large."""

    @property
    def fill(self) -> str:
        """What hidden regions become."""

    @property
    def scalar(self) -> str:
        """What is explained."""

    @property
    def batch(self) -> int | None:
        """Images per forward pass; None for what suits the device."""

    @property
    def seed(self) -> int:
        """Of everything random."""


def check_mode(mode: str) -> None:
    """Refuse a mode that is neither ``insertion`` nor ``deletion``.

    Raises:
        InputError: If it is.
    """
    if mode not in MODES:
        raise InputError(f"mode is {mode!r}; expected one of {', '.join(MODES)}")


def check_regions(regions: int) -> None:
    """Refuse a number of regions that leaves nothing to rank.

    Raises:
        InputError: If it is below 2.
    """
    if regions < 2:
        raise InputError(f"regions is {regions}; expected at least 2, so that there is a choice")


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


def search_regions(
    detector: Detector,
    placed: Placed,
    targets: Sequence[Target],
    settings: Settings,
    rank: Ranking,
) -> list[Attribution]:
    """Rank superpixels for every target; sets that two targets ask about are shown once.

    Args:
        detector: Any detector.
        placed: The image.
        targets: The questions.
        settings: What the method was set up with.
        rank: The search.
    """
    survival = Survival(detector, placed, targets, settings.scalar, settings.batch)
    labels = shuffled(cut(placed.content, settings.regions, "slico"), settings.seed)
    fill = fills.resolved(settings.fill, detector.provenance.domain)
    known = RegionScores(survival, labels, fills.Hiding(placed.content, fill))
    maps, measured = [], []
    for row in range(len(targets)):
        scores = known.of(row)
        worth = objective(scores, known.everything, settings.mode)
        values = region_values(worth, rank(worth, known.count), settings.mode)
        maps.append(painted(values.float(), labels, survival.frame))
        whole, empty = scores([known.everything, 0]).tolist()
        measured.append({"score": whole, "baseline_score": empty, "regions": float(known.count)})
    return [
        Attribution(heatmap, {**numbers, **survival.passes()})
        for heatmap, numbers in zip(maps, measured, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class VisualPrecisionSearch:
    """Superpixels in the order in which showing them helps, and hiding them hurts, the most.

    Chen et al., "Interpreting Object-level Foundation Models via Visual Precision Search",
    CVPR 2025. Costs about ``regions * (regions + 1)`` forward passes per target (half in mode
    ``deletion``). Where regions have no effect on
    the score, all values are 0.

    Attributes:
        regions: Superpixels to cut the image into, about; the paper takes 100.
        mode: What is made large; see ``objective``.
        fill: What hidden regions become; a name in ``FILLS``, or ``auto``: air in X-ray images,
            blur in photographs. The release takes the mean or black.
        scalar: What is explained: a name in ``SURVIVAL``, or ``auto``.
        batch: Images per forward pass, None for what suits the device; never changes a result.
        seed: Which region wins a tie.
    """

    name: ClassVar[str] = "vps"
    input_level: ClassVar[bool] = True
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.SCORES
    citation: ClassVar[str] = (
        "Chen et al., Interpreting Object-level Foundation Models via Visual Precision Search, "
        "CVPR 2025"
    )
    regions: int = 50
    mode: str = "insertion"
    fill: str = "auto"
    scalar: str = "auto"
    batch: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_regions(self.regions)
        check_mode(self.mode)
        fills.check(self.fill)

    def __call__(
        self, detector: Detector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return each region's value in the scalar's unit, at least 0."""
        return search_regions(detector, placed, targets, self, greedy)

    def brief(self) -> "VisualPrecisionSearch":
        """A coarser search: no more than 16 regions."""
        return replace(self, regions=min(self.regions, 16))

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """The first round is shared, the others are each target's own."""
        sides = 1 if self.mode == "deletion" else 2
        first, rest = self.regions, self.regions * (self.regions - 1) / 2
        return float(sides * (first + rest * targets)), 0.0
