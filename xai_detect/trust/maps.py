"""Numbers read off one signed map.

Maps and boxes are in content pixels: at the resolution at which the network saw the image, so that
neither an answer nor its cost depends on the size of the photograph.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from xai_detect.values import boxes, smoothing
from xai_detect.values.boxes import Box, Size

PLACEBO_BOXES = 64
"""Same-size boxes per detection against which its share of evidence is read."""

SMOOTHING = 0.01
"""Standard deviation of the Gaussian that makes regions out of a pixel map, share of the longer
side; at least two pixels."""


def smooth(heatmap: Float[Tensor, "h w"], share: float = SMOOTHING) -> Float[Tensor, "h w"]:
    """The map under a Gaussian of at least two pixels; its sum is kept."""
    return torch.from_numpy(
        smoothing.smooth(heatmap.contiguous().numpy(), smoothing_width(heatmap, share))
    )


def smoothing_width(heatmap: Tensor, share: float = SMOOTHING) -> float:
    """Standard deviation of the Gaussian that a map is smoothed with, in pixels."""
    return max(2.0, share * max(heatmap.shape))


def shares(heatmap: Float[Tensor, "h w"], box: Box, near: Box) -> dict[str, float]:
    """Shares of the positive evidence in the box, in the ring and beyond, with their chance level.

    All are NaN for a map without positive values, because no evidence was obtained, and for a box
    that is the whole image, because it would hold any map.
    """
    positive = heatmap.double().clamp(min=0)
    total = float(positive.sum())
    size: Size = (heatmap.shape[0], heatmap.shape[1])
    if total == 0 or _flat(heatmap) or bool(boxes.mask(box, size).all()):
        names = ("inside", "ring", "outside", "chance_inside", "lift", "percentile")
        return dict.fromkeys(names, math.nan)
    inside = float(positive[boxes.mask(box, size)].sum()) / total
    close = float(positive[boxes.mask(near, size)].sum()) / total
    placebo = placebo_shares(positive / total, box)
    chance = float(placebo.mean())
    return {
        "inside": inside,
        "ring": close - inside,
        "outside": 1 - close,
        "chance_inside": chance,
        "lift": inside / chance if chance > 0 else math.inf if inside > 0 else math.nan,
        "percentile": float((placebo < inside).double().mean()),
    }


def _flat(heatmap: Tensor) -> bool:
    return bool(heatmap.max() == heatmap.min())


def placebo_shares(evidence: Float[Tensor, "h w"], box: Box) -> Float[Tensor, "n"]:
    """What boxes of the same size hold elsewhere in the image.

    Their places are spread evenly over all that fit, by a fixed rule, so that the answer does not
    depend on chance. Some overlap the box itself, the more of them the larger it is.
    """
    height, width = evidence.shape
    tall = min(height, max(1, round(box[3] - box[1])))
    wide = min(width, max(1, round(box[2] - box[0])))
    summed = functional.pad(evidence.cumsum(0).cumsum(1), (1, 0, 1, 0))
    side = math.isqrt(PLACEBO_BOXES)
    tops = torch.linspace(0, height - tall, side).round().long()
    lefts = torch.linspace(0, width - wide, side).round().long()
    top, left = (grid.flatten() for grid in torch.meshgrid(tops, lefts, indexing="ij"))
    bottom, right = top + tall, left + wide
    return summed[bottom, right] - summed[top, right] - summed[bottom, left] + summed[top, left]
