"""A detector's answers when only some regions of an image are shown, each asked for once.

Regions live on the image as the network sees it: placed in the input, padding left out. A set of
regions is an ``int`` whose bit *r* says whether region *r* is in it.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from skimage.segmentation import slic
from torch import Tensor
from torch.nn import functional

from xai_detect.scores.survival import Survival
from xai_detect.values import fills
from xai_detect.values.boxes import Size
from xai_detect.values.frame import Frame

Scores = Callable[[Sequence[int]], Float[Tensor, "n"]]
"""One number for each of several sets of regions."""

RULER, ITERATIONS = 20.0, 20
"""SLICO's compactness to begin with, and its iterations, as in Visual Precision Search."""

TIE = 1e-6
"""Scores closer than this are the same: what a network computes in another batch may differ so."""


def superpixels(content: Float[Tensor, "3 i j"], count: int, seed: int = 0) -> Int[Tensor, "i j"]:
    """SLICO superpixels, about ``count``, numbered at random.

    Achanta et al., "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods", PAMI 2012,
    in the form that adapts its compactness.
    """
    found = slic(
        content.permute(1, 2, 0).numpy(),
        n_segments=count,
        compactness=RULER,
        max_num_iter=ITERATIONS,
        slic_zero=True,
        start_label=0,
        channel_axis=2,
    )
    _, numbers = np.unique(found, return_inverse=True)
    return shuffled(torch.from_numpy(numbers.reshape(found.shape)), seed)


def patches(size: Size, side: int, seed: int = 0) -> Int[Tensor, "i j"]:
    """Squares, ``side`` of them along the longer side, numbered at random."""
    edge = -(-max(size) // side)
    rows, columns = (torch.arange(length) // edge for length in size)
    return shuffled(rows[:, None] * (int(columns[-1]) + 1) + columns[None, :], seed)


def shuffled(labels: Int[Tensor, "i j"], seed: int) -> Int[Tensor, "i j"]:
    """The same regions, numbered at random.

    Searches break ties by the lower number; in reading order the top left corner would win them.
    """
    count = int(labels.max()) + 1
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order[labels]


def painted(
    values: Float[Tensor, "m"], labels: Int[Tensor, "i j"], frame: Frame
) -> Float[Tensor, "h w"]:
    """A map over the image with each region in its value."""
    return functional.interpolate(
        values[labels][None, None], size=frame.image_size, mode="nearest-exact"
    )[0, 0]


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
        self, survival: Survival, labels: Int[Tensor, "i j"], fill: str, domain: str
    ) -> None:
        """Prepare.

        Args:
            survival: Asks the detector.
            labels: Region of each pixel of the image as the network sees it.
            fill: What hidden regions become: a name in ``FILLS``, or ``auto`` for the domain's.
            domain: ``photo`` or ``xray``.
        """
        self.count = int(labels.max()) + 1
        self.everything = (1 << self.count) - 1
        self._survival = survival
        self._labels = labels
        name = fills.default_fill(domain) if fill == "auto" else fill
        self._hiding = fills.Hiding(content_of(survival.pixels, survival.frame)[0], name)
        self._known: dict[int, Tensor] = {}

    def __call__(self, shown: Sequence[int]) -> Float[Tensor, "n k"]:
        """Scores of every target with only these sets of regions shown."""
        new = [one for one in dict.fromkeys(shown) if one not in self._known]
        for start in range(0, len(new), self._survival.batch):
            some = new[start : start + self._survival.batch]
            scores = self._survival.of_inputs(self.composed(some)).double()
            self._known.update(zip(some, scores, strict=True))
        return torch.stack([self._known[one] for one in shown])

    def of(self, row: int) -> Scores:
        """The scores of one target."""
        return lambda shown: self(shown)[:, row]

    def composed(self, shown: Sequence[int]) -> Float[Tensor, "n 3 i j"]:
        """Inputs with only these sets of regions shown; padding stays as it is."""
        hidden = ~torch.stack([_bits(one, self.count) for one in shown])
        inputs = self._survival.pixels.repeat(len(shown), 1, 1, 1)
        content_of(inputs, self._survival.frame)[:] = self._hiding(hidden[:, self._labels])
        return inputs


def content_of(pixels: Float[Tensor, "b 3 i j"], frame: Frame) -> Float[Tensor, "b 3 h w"]:
    """A view of inputs without their padding."""
    height, width = frame.content_size
    return pixels[:, :, frame.top : frame.top + height, frame.left : frame.left + width]


def _bits(one: int, count: int) -> Tensor:
    packed = np.frombuffer(one.to_bytes(-(-count // 8), "little"), dtype=np.uint8)
    return torch.from_numpy(np.unpackbits(packed, count=count, bitorder="little").astype(bool))
