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


SPOT = 0.1
"""Side of the square under which evidence is compared, share of the longer side: about a cue's."""


class Shares(NamedTuple):
    """Where the positive evidence of one map lies, as shares of it; NaN without any, or no outside.

    Attributes:
        box: In the box, or in the foreground that stands for it.
        ring: In the ring around it.
        outside: Beyond.
        elsewhere: In the square of side ``SPOT`` that holds most beyond and touches no ring.
        ratio: ``elsewhere`` over what the best such square holds of box and ring.
        gathered: ``elsewhere`` over ``outside``: whether it lies in one place or all over.
        region: That square, in content pixels; None where there is none.
    """

    box: float
    ring: float
    outside: float
    elsewhere: float
    ratio: float
    gathered: float
    region: Box | None


SHARES_OF = ("box", "ring", "outside", "elsewhere", "ratio", "gathered")
"""What is read off a map, by name."""

NOTHING = Shares(math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, None)


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
    no_sides = bool(near.all()) or not bool(near.any())  # the second: a box beside the image
    if total == 0 or no_sides or bool(heatmap.max() == heatmap.min()):
        return NOTHING
    positive /= total
    inside, close = float(positive[box].sum()), float(positive[near].sum())
    side = max(1, round(SPOT * max(heatmap.shape)))
    held, region = strongest_spot(positive, ~near, side, _grown(near))
    own, _ = strongest_spot(positive, near, side)
    ratio = held / own if own > 0 else math.inf if held > 0 else math.nan
    outside = max(1 - close, 0.0)
    gathered = held / outside if outside > 0 else 0.0
    return Shares(inside, close - inside, outside, held, ratio, gathered, region)


def strongest_spot(
    evidence: Float[Tensor, "a b"],
    counted: Bool[Tensor, "a b"],
    side: int,
    avoided: Bool[Tensor, "a b"] | None = None,
) -> tuple[float, Box]:
    """The square with the most evidence, and what it holds.

    Args:
        evidence: Not negative.
        counted: Where evidence counts.
        side: Of the square, in pixels; it is cut to the map's size.
        avoided: What it may not touch, where there is room for that.
    """
    height, width = evidence.shape
    size = (min(side, height), min(side, width))
    held = _windows(torch.where(counted, evidence, 0.0), size)
    if avoided is not None:
        touching = _windows(avoided.double(), size) > 0.5
        if not bool(touching.all()):
            held = held.masked_fill(touching, -1.0)
    top, left = divmod(int(held.argmax()), held.shape[1])
    region = (float(left), float(top), float(left + size[1]), float(top + size[0]))
    return max(float(held[top, left]), 0.0), region


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
