"""Numbers and regions read off one signed map.

Maps and boxes are in content pixels: at the resolution at which the network saw the image, so that
neither an answer nor its cost depends on the size of the photograph.
"""

import math

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from xai_detect.values import boxes, smoothing
from xai_detect.values.boxes import Box, Size

PLACEBO_BOXES = 64
"""Same-size boxes per detection against which its share of evidence is read."""

SMOOTHING = 0.01
"""Standard deviation of the Gaussian that makes regions out of a pixel map, share of the longer
side; at least two pixels."""

REGION_SHARE = 0.5
"""Part of the outside evidence that ``outside_region`` holds, its rim left out."""

RIM = 2.5
"""Width of the rim around that region, in standard deviations of the smoothing."""


def smooth(heatmap: Float[Tensor, "h w"], share: float = SMOOTHING) -> Float[Tensor, "h w"]:
    """The map under a Gaussian of at least two pixels; its sum is kept."""
    return torch.from_numpy(smoothing.smooth(heatmap.contiguous().numpy(), _sigma(heatmap, share)))


def _sigma(heatmap: Tensor, share: float) -> float:
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


def outside_region(
    heatmap: Float[Tensor, "h w"], near: Bool[Tensor, "h w"]
) -> Bool[Tensor, "h w"] | None:
    """The smallest region beyond the ring that holds half of the evidence there, and its rim.

    The rim keeps what is inpainted there from continuing the very thing that is removed.
    None if there is no positive evidence beyond the ring.
    """
    beyond = smooth(heatmap.clamp(min=0))
    beyond = torch.where(near, 0.0, beyond)
    total = float(beyond.sum())
    if total <= 0:
        return None
    ranked, order = beyond.flatten().sort(descending=True)
    count = int((ranked.cumsum(0) < REGION_SHARE * total).sum()) + 1
    region = torch.zeros(heatmap.numel(), dtype=torch.uint8)
    region[order[:count]] = 1
    side = 2 * round(RIM * _sigma(heatmap, SMOOTHING)) + 1
    grown = cv2.dilate(region.view(heatmap.shape).numpy(), np.ones((side, side), np.uint8))
    return torch.from_numpy(grown).bool() & ~near


def elsewhere(region: Bool[Tensor, "h w"], near: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"] | None:
    """A placebo for the removal of a region: as many pixels, none of them in it or in ``near``.

    The region turned by half a turn about the image's centre; where that falls on the region or on
    ``near``, the free pixels closest to it take its place. None if there are too few free pixels.
    """
    free, wanted = ~(region | near), int(region.sum())
    if int(free.sum()) < wanted:
        return None
    turned = region.flip(0, 1) & free
    if not bool(turned.any()):
        turned = _farthest(free, region)
    distance = _distance(turned).masked_fill(~free, float("inf")).flatten()
    chosen = torch.zeros(region.numel(), dtype=torch.bool)
    chosen[distance.argsort(stable=True)[:wanted]] = True
    return chosen.view(region.shape)


def _farthest(free: Bool[Tensor, "h w"], region: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """The free pixel that is farthest from a region, the first of several."""
    place = _distance(region).masked_fill(~free, -1.0).flatten().argmax()
    chosen = torch.zeros(free.numel(), dtype=torch.bool)
    chosen[place] = True
    return chosen.view(free.shape)


def _distance(region: Bool[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Each pixel's distance to the region, in pixels; 0 inside."""
    outside = (~region).numpy().astype(np.uint8)
    return torch.from_numpy(cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
