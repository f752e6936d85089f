"""VX-CODE: square patches, shown or hidden in the order that changes the detection the most."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from xai_detect.detectors.protocol import Detector
from xai_detect.errors import InputError
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.explainers.regions import shuffled, squares
from xai_detect.explainers.search.region_scores import (
    RegionScores,
    Scores,
    best_first,
    first_best,
    painted,
)
from xai_detect.explainers.search.vps import check_mode, objective
from xai_detect.scores.survival import Survival
from xai_detect.values import boxes, fills
from xai_detect.values.boxes import Box
from xai_detect.values.detections import Target
from xai_detect.values.frame import Frame, Placed

SMALL, MEDIUM = 0.01, 0.2
"""Shares of the image up to which a box counts as small, or as medium."""

SIDES = (24, 16, 8)
"""Patches along the image's longer side for a small, a medium and a large box."""

MARGIN = 1 / 7
"""How far around a small or medium box patches are tried, as a share of the image's sides."""

TYPICAL = 100
"""About how many patches are tried where their number follows from the box."""


class Ranked:
    """Patches in the order found, and what the score had reached before each was added."""

    def __init__(self) -> None:
        self.order: list[int] = []
        self.before: list[float] = []


def rank_sets(
    scores: Scores, candidates: Sequence[int], together: int, early: int, singles: int
) -> Ranked:
    """Add patches, the best set first.

    Args:
        scores: What is made large.
        candidates: Patches to rank.
        together: Patches in a set.
        early: How many patches are chosen in sets; the rest one by one.
        singles: Sets are formed of the so many patches that are best alone.
    """
    ranked, chosen, left = Ranked(), 0, list(candidates)
    while left:
        size = min(together, len(left)) if len(ranked.order) < early else 1
        for patch in _best_set(scores, chosen, left, size, singles):
            ranked.before.append(float(scores([chosen])[0]))
            ranked.order.append(patch)
            chosen |= 1 << patch
            left.remove(patch)
    return ranked


def _best_set(
    scores: Scores, chosen: int, left: Sequence[int], size: int, singles: int
) -> tuple[int, ...]:
    """The best set of a size, in the order whose scores on the way have the largest sum."""
    alone = scores([chosen | 1 << patch for patch in left])
    if size == 1:
        return (left[first_best(alone)],)
    strong = sorted(best_first(alone)[: max(singles, size)])
    sets = list(itertools.combinations([left[place] for place in strong], size))
    best = sets[first_best(scores([chosen | _bits(members) for members in sets]))]
    orders = list(itertools.permutations(best))
    sums = [
        scores([chosen | _bits(order[:end]) for end in range(1, size + 1)]).sum()
        for order in orders
    ]
    return orders[first_best(torch.stack(sums))]


def _bits(regions: Sequence[int]) -> int:
    return sum(1 << region for region in regions)


@dataclass(frozen=True, slots=True)
class VxCode:
    """Patches in the order in which they restore, or destroy, the detection the fastest.

    Yamauchi, Kera, Kawamoto, "Explaining Object Detectors via Collective Contribution of Pixels",
    CVPR 2026. A patch's heat is what was still missing (``insertion``) or still left
    (``deletion``) of the score when its turn came. With ``n`` patches, one by one costs
    ``n * (n + 1) / 2`` forward passes per target; sets of two or three add up to 435 or 4060 per
    set chosen.

    Attributes:
        together: Patches chosen at once, 1 to 3.
        side: Patches along the image's longer side; 0: 24, 16 or 8 by the box's share of the image
            (up to 1 %, up to 20 %, more).
        mode: ``insertion`` shows patches on the fill, ``deletion`` hides them.
        early: Share of the patches that is chosen in sets, the rest one by one.
        singles: Sets are formed of the so many patches that are best alone.
        fill: What hidden patches become; a name in ``FILLS``, or ``auto``: air in X-ray images,
            blur in photographs. The paper takes black or a wide blur.
        scalar: What is explained: a name in ``SURVIVAL``, or ``auto``. The paper compares class
            vectors, as ``max_raw_cos`` does; on sigmoid heads a faint copy then scores like the
            object.
        batch: Images per forward pass, None for what suits the device; never changes a result.
        seed: Which patch wins a tie.
    """

    name: ClassVar[str] = "vx_code"
    input_level: ClassVar[bool] = True
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.SCORES
    citation: ClassVar[str] = (
        "Yamauchi, Kera, Kawamoto, Explaining Object Detectors via Collective Contribution of "
        "Pixels, CVPR 2026"
    )
    together: int = 1
    side: int = 0
    mode: str = "insertion"
    early: float = 0.1
    singles: int = 30
    fill: str = "auto"
    scalar: str = "auto"
    batch: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_mode(self.mode)
        fills.check(self.fill)
        if self.together not in (1, 2, 3):
            raise InputError(f"together is {self.together}; expected 1, 2 or 3 patches at once")
        if self.side < 0:
            raise InputError(f"side is {self.side}; expected at least 1 patch, or 0 to go by boxes")
        if not 0 <= self.early <= 1:
            raise InputError(f"early is {self.early}; expected a share of the patches, 0 to 1")
        if self.singles < 1:
            raise InputError(f"singles is {self.singles}; expected at least 1")

    def __call__(
        self, detector: Detector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return each patch's heat in the scalar's unit, in [0, 1]; 0 where none was tried."""
        survival = Survival(detector, placed, targets, self.scalar, self.batch)
        frame = placed.frame
        sides = [self._side(target.box, frame) for target in targets]
        grids = {side: shuffled(squares(frame.content_size, side), self.seed) for side in sides}
        hiding = fills.Hiding(placed.content, fills.resolved(self.fill, detector.provenance.domain))
        known = {side: RegionScores(survival, labels, hiding) for side, labels in grids.items()}
        rows = [
            self._attribute(known[side], grids[side], survival, target, row)
            for row, (side, target) in enumerate(zip(sides, targets, strict=True))
        ]
        return [
            Attribution(heatmap, {**measured, **survival.passes()}) for heatmap, measured in rows
        ]

    def _attribute(
        self,
        known: RegionScores,
        labels: Int[Tensor, "i j"],
        survival: Survival,
        target: Target,
        row: int,
    ) -> tuple[Float[Tensor, "h w"], dict[str, float]]:
        scores = known.of(row)
        candidates = near_patches(target.box, labels, survival.frame)
        raised = (
            scores if self.mode == "insertion" else objective(scores, known.everything, "deletion")
        )
        early = math.ceil(self.early * len(candidates))
        ranked = rank_sets(raised, candidates, self.together, early, self.singles)
        heat = torch.zeros(known.count)
        heat[torch.tensor(ranked.order, dtype=torch.int64)] = 1 - torch.tensor(ranked.before)
        whole, empty = scores([known.everything, 0]).tolist()
        measured = {"score": whole, "baseline_score": empty, "regions": float(len(candidates))}
        return painted(heat, labels, survival.frame), measured

    def _side(self, box: Box, frame: Frame) -> int:
        share = _share(box, frame)
        return self.side or SIDES[(share > SMALL) + (share > MEDIUM)]

    def brief(self) -> "VxCode":
        """A coarser search: no more than 6 patches along a side, one by one."""
        return replace(self, side=min(self.side or 6, 6), together=1)

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """Every patch of the grid, or about a hundred where their number follows from the box."""
        count = self.side**2 or TYPICAL
        one_by_one = count * (count + 1) / 2
        sets = math.ceil(self.early * count / self.together) if self.together > 1 else 0
        each = math.comb(min(self.singles, count), self.together)
        return float(targets * (one_by_one + sets * each)), 0.0


def near_patches(box: Box, labels: Int[Tensor, "i j"], frame: Frame) -> list[int]:
    """The patches that are tried: all for a large box, else those that touch its surroundings."""
    if _share(box, frame) > MEDIUM:
        return list(range(int(labels.max()) + 1))
    height, width = frame.image_size
    around = (
        box[0] - MARGIN * width, box[1] - MARGIN * height,
        box[2] + MARGIN * width, box[3] + MARGIN * height,
    )  # fmt: skip
    inside = boxes.mask(frame.box_to_content(around), frame.content_size)
    return sorted(set(labels[inside].tolist()))


def _share(box: Box, frame: Frame) -> float:
    height, width = frame.image_size
    return float(boxes.area(torch.tensor(box))) / (height * width)
