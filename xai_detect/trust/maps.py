"""Numbers read off the maps of one detection: where the positive evidence lies.

Maps and boxes are in content pixels: at the resolution at which the network saw the image, so that
neither an answer nor its cost depends on the size of the photograph.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xai_detect.values import smoothing
from xai_detect.values.boxes import Box, Size

SMOOTHING = 0.01
"""Standard deviation of the Gaussian that makes regions out of a pixel map, share of the longer
side; at least two pixels."""


class Shares(NamedTuple):
    """Shares of the positive evidence of one map; NaN where there is none, or no outside.

    Attributes:
        box: In the box, or in the foreground that stands for it.
        ring: In the ring around it.
        outside: Beyond.
        elsewhere: In the region of the size of box and ring that holds most of it elsewhere.
        region: That region, in content pixels; None where there is none.
    """

    box: float
    ring: float
    outside: float
    elsewhere: float
    region: Box | None

    @property
    def ratio(self) -> float:
        """``elsewhere`` over what box and ring hold."""
        near = self.box + self.ring
        if near > 0:
            return self.elsewhere / near
        return math.inf if self.elsewhere > 0 else math.nan


SHARES_OF = ("box", "ring", "outside", "elsewhere", "ratio")
"""What is read off a map, by name."""

NOTHING = Shares(math.nan, math.nan, math.nan, math.nan, None)


def smooth(heatmap: Float[Tensor, "h w"], share: float = SMOOTHING) -> Float[Tensor, "h w"]:
    """The map under a Gaussian of at least two pixels; its sum is kept."""
    width = max(2.0, share * max(heatmap.shape))
    return torch.from_numpy(smoothing.smooth(heatmap.contiguous().numpy(), width))


def shares(
    heatmap: Float[Tensor, "a b"], box: Bool[Tensor, "a b"], near: Bool[Tensor, "a b"]
) -> Shares:
    """Where the positive evidence of a smoothed map lies.

    Args:
        heatmap: Signed, as it was made.
        box: The box, or what is known to be the object.
        near: The same with what touches it.
    """
    positive = smooth(heatmap).double().clamp(min=0)
    total = float(positive.sum())
    if total == 0 or bool(near.all()) or bool(heatmap.max() == heatmap.min()):
        return NOTHING
    positive /= total
    inside, close = float(positive[box].sum()), float(positive[near].sum())
    held, region = best_elsewhere(positive, near)
    return Shares(inside, close - inside, 1 - close, held, region)


def best_elsewhere(evidence: Float[Tensor, "a b"], near: Bool[Tensor, "a b"]) -> tuple[float, Box]:
    """The rectangle of the size of ``near`` with the most evidence that is not in ``near``.

    It does not touch ``near`` where there is room for that; where there is none, what it shares
    with ``near`` counts for nothing.
    """
    rows, columns = near.any(dim=1).nonzero(), near.any(dim=0).nonzero()
    tall = int(rows[-1] - rows[0]) + 1
    wide = int(columns[-1] - columns[0]) + 1
    held = _windows(torch.where(near, 0.0, evidence), (tall, wide))
    touching = _windows(_grown(near).double(), (tall, wide)) > 0.5
    if not bool(touching.all()):
        held = held.masked_fill(touching, -1.0)
    place = int(held.argmax())
    top, left = divmod(place, held.shape[1])
    return float(held[top, left]), (float(left), float(top), float(left + wide), float(top + tall))


def _windows(values: Float[Tensor, "a b"], size: Size) -> Float[Tensor, "p q"]:
    """Sums over all rectangles of a size, by their upper left corner."""
    summed = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    summed[1:, 1:] = values.numpy().cumsum(axis=0).cumsum(axis=1)
    tall, wide = size
    found = (
        summed[tall:, wide:]
        - summed[:-tall, wide:]
        - summed[tall:, :-wide]
        + summed[:-tall, :-wide]
    )
    return torch.from_numpy(found)


def _grown(near: Bool[Tensor, "a b"]) -> Bool[Tensor, "a b"]:
    """One pixel more on every side: what touches."""
    return torch.nn.functional.max_pool2d(near[None].float(), 3, 1, 1)[0] > 0


def bounds(region: Bool[Tensor, "a b"] | None) -> Box | None:
    """The box around a mask; None if there is none or it is empty."""
    if region is None:
        return None
    rows, columns = region.any(dim=1).nonzero(), region.any(dim=0).nonzero()
    if not len(rows):
        return None
    return (
        float(columns[0]), float(rows[0]), float(columns[-1]) + 1, float(rows[-1]) + 1
    )  # fmt: skip
