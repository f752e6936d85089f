"""What a detector still finds when only some regions of an image are shown, and which to show."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from xai_detect.detectors.protocol import Detector
from xai_detect.scores.survival import Survival
from xai_detect.values import fills
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed

DRAWS = 10
"""Most draws per coalition that is still wanted; many draw what was drawn before."""


class Game:
    """The score of every target as a function of the regions that are shown.

    Attributes:
        survival: Reads the scores, and counts the passes.
    """

    def __init__(
        self,
        survival: Survival,
        hiding: fills.Hiding,
        regions: Int[Tensor, "a b"],
    ) -> None:
        """Prepare.

        Args:
            survival: Asks the detector about the image's changed copies.
            hiding: Hides parts of the content.
            regions: Number of the region of every pixel of the content.
        """
        self.survival = survival
        self._hiding = hiding
        self._regions = regions

    def values(self, shown: Bool[Tensor, "n m"]) -> Float[Tensor, "n k"]:
        """The scores of all targets, for every coalition of shown regions."""
        parts = [
            self.survival.of_contents(self._hiding(~some[:, self._regions]))
            for some in torch.split(shown, self.survival.batch)
        ]
        return torch.cat(parts).double()


def game(
    detector: Detector,
    placed: Placed,
    targets: Sequence[Target],
    regions: Int[Tensor, "a b"],
    *,
    masker: str,
    scalar: str,
    batch: int | None,
) -> Game:
    """The game of the regions of an image's content; see ``Game`` and ``Survival``.

    Raises:
        InputError: If there is no such masker or scalar.
    """
    survival = Survival(detector, placed, targets, scalar, batch)
    fill = fills.resolved_masker(masker, detector.provenance.domain)
    return Game(survival, fills.Hiding(placed.content, fill), regions)


class Coalitions(NamedTuple):
    """Pairs of coalitions: some regions shown, then exactly the others.

    Attributes:
        shown: The first of each pair; none is shown twice, none shows all or nothing.
        weights: What each of the two counts in the regression.
        drawn: Whether a pair was drawn at random; the others stand for themselves.
    """

    shown: Bool[Tensor, "p m"]
    weights: Float[Tensor, "p"]
    drawn: Bool[Tensor, "p"]


def coalitions(regions: int, pairs: int, seed: int) -> Coalitions:
    """The coalitions that Kernel SHAP's regression weighs most, in pairs of complements.

    A coalition of size ``s`` among ``m`` regions weighs ``(m - 1) / (C(m, s) s (m - s))``. Sizes
    are taken whole, from the smallest, while they get no more pairs than their share; from the
    others coalitions are drawn with chances as their weights, and one that is drawn again counts
    again. With as many pairs as there are, this is all of them.

    Args:
        regions: How many there are.
        pairs: At most so many.
        seed: Of the draw.
    """
    chosen: list[tuple[int, ...]] = []
    weights: list[float] = []
    sizes = list(range(1, regions // 2 + 1))
    masses = [(regions - 1) / (s * (regions - s)) * (1 if 2 * s == regions else 2) for s in sizes]
    while sizes:
        size, mass = sizes[0], masses[0]
        halved = 2 if 2 * size == regions else 1
        count = math.comb(regions, size) // halved
        if (pairs - len(chosen)) * mass / sum(masses) < count - 1e-9:
            break
        whole = itertools.combinations(range(regions), size)
        chosen += itertools.islice(whole, count)  # of halves, those with region 0 come first
        weights += [mass / 2 / count] * count
        sizes, masses = sizes[1:], masses[1:]
    taken = len(chosen)
    if sizes and taken < pairs:
        drawn = _drawn(regions, pairs - taken, sizes, masses, seed)
        chosen += drawn
        share = sum(masses) / 2 / sum(drawn.values())
        weights += [share * count for count in drawn.values()]
    shown = torch.zeros(len(chosen), regions, dtype=torch.bool)
    for row, some in enumerate(chosen):
        shown[row, list(some)] = True
    return Coalitions(
        shown, torch.tensor(weights, dtype=torch.float64), torch.arange(len(chosen)) >= taken
    )


def _drawn(
    regions: int, pairs: int, sizes: list[int], masses: list[float], seed: int
) -> dict[tuple[int, ...], int]:
    """Different coalitions and how often each pair was drawn."""
    generator = np.random.default_rng(seed)
    chances = np.array(masses) / sum(masses)
    counts: dict[tuple[int, ...], int] = {}
    for _ in range(DRAWS * pairs):
        size = int(generator.choice(sizes, p=chances))
        some = tuple(sorted(generator.permutation(regions)[:size].tolist()))
        if 2 * size == regions and some[0] != 0:  # name a pair of halves by the one with region 0
            some = tuple(sorted(set(range(regions)) - set(some)))
        counts[some] = counts.get(some, 0) + 1
        if len(counts) == pairs:
            break
    return counts
