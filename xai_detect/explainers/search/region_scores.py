"""A detector's answers when only some regions of an image are shown, each asked for once.

Regions live on the image as the network sees it: placed in the input, padding left out. A set of
regions is an ``int`` whose bit *r* says whether region *r* is in it.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from xai_detect.scores.survival import Survival
from xai_detect.values import fills
from xai_detect.values.frame import Frame, nearest

Scores = Callable[[Sequence[int]], Float[Tensor, "n"]]
"""One number for each of several sets of regions."""

TIE = 1e-6
"""Scores closer than this are the same: what a network computes in another batch may differ so."""


def painted(
    values: Float[Tensor, "m"], labels: Int[Tensor, "i j"], frame: Frame
) -> Float[Tensor, "h w"]:
    """A map over the image with each region in its value."""
    return nearest(values[labels], frame.image_size)


def first_best(found: Float[Tensor, "n"]) -> int:
    """Place of the largest value, the first of several that are the same."""
    return int((found >= found.max() - TIE).int().argmax())


def best_first(found: Float[Tensor, "n"]) -> list[int]:
    """Places from the largest value to the smallest; what is the same keeps its order."""
    return (found / TIE).round().argsort(descending=True, stable=True).tolist()


class RegionScores:
    """Scores of all targets with some regions shown; no set is asked about twice.

    Attributes:
        count: How many regions there are.
        everything: The set of all regions.
    """

    def __init__(
        self, survival: Survival, labels: Int[Tensor, "a b"], hiding: fills.Hiding
    ) -> None:
        """Prepare.

        Args:
            survival: Asks the detector.
            labels: Region of each pixel of the content.
            hiding: Hides parts of the content.
        """
        self.count = int(labels.max()) + 1
        self.everything = (1 << self.count) - 1
        self._survival = survival
        self._labels = labels
        self._hiding = hiding
        self._known: dict[int, Tensor] = {}

    def __call__(self, shown: Sequence[int]) -> Float[Tensor, "n k"]:
        """Scores of every target with only these sets of regions shown."""
        new = [regions for regions in dict.fromkeys(shown) if regions not in self._known]
        for start in range(0, len(new), self._survival.batch):
            some = new[start : start + self._survival.batch]
            scores = self._survival.of_contents(self.composed(some)).double()
            self._known.update(zip(some, scores, strict=True))
        return torch.stack([self._known[regions] for regions in shown])

    def of(self, row: int) -> Scores:
        """The scores of one target."""
        return lambda shown: self(shown)[:, row]

    def composed(self, shown: Sequence[int]) -> Float[Tensor, "n 3 a b"]:
        """Contents with only these sets of regions shown."""
        hidden = ~torch.stack([_bits(regions, self.count) for regions in shown])
        return self._hiding(hidden[:, self._labels])


def _bits(regions: int, count: int) -> Tensor:
    packed = np.frombuffer(regions.to_bytes(-(-count // 8), "little"), dtype=np.uint8)
    return torch.from_numpy(np.unpackbits(packed, count=count, bitorder="little").astype(bool))
