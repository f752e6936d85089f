"""Box geometry on plain tensors.

Boxes are ``(x1, y1, x2, y2)`` corners in pixels. Pixel *i* covers the span from ``i`` to ``i + 1``,
so a box's width is ``x2 - x1``, with no "plus one". Sizes are ``(height, width)``.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Size = tuple[int, int]
Box = tuple[float, float, float, float]
Sides = int | Size
"""Of a network's input: the longest side, or height and width."""

RING_SHARE, RING_LEAST = 0.15, 8.0
"""Width of the ring around a box, share of the side and content pixels: edges just outside are
legitimate evidence."""


def area(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """Area of each box in square pixels; a box turned inside out has area 0."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)


def iou(a: Float[Tensor, "n 4"], b: Float[Tensor, "m 4"]) -> Float[Tensor, "n m"]:
    """Intersection over union of every pair, in [0, 1].

    Two boxes without area share nothing: their IoU is 0, not NaN, so a degenerate box can never
    win a match and never poisons a mean.
    """
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = (high - low).clamp(min=0).prod(dim=2)
    union = area(a)[:, None] + area(b)[None, :] - overlap
    return torch.where(union > 0, overlap / union, 0.0)


def grow(box: Box, share: float, least: float) -> Box:
    """Push each side out by ``share`` of the box's width or height, at least ``least`` pixels."""
    across = max(share * (box[2] - box[0]), least)
    down = max(share * (box[3] - box[1]), least)
    return (box[0] - across, box[1] - down, box[2] + across, box[3] + down)


def near(box: Box) -> Box:
    """A box grown by its ring, both in content pixels; beyond it evidence counts as outside."""
    return grow(box, RING_SHARE, RING_LEAST)


def near_in_image(box: Box, image_size: Size, content_size: Size) -> Box:
    """``near`` of a box in image pixels, in image pixels, where a network saw another size."""
    down, across = (new / old for new, old in zip(content_size, image_size, strict=True))
    x1, y1, x2, y2 = near((box[0] * across, box[1] * down, box[2] * across, box[3] * down))
    return (x1 / across, y1 / down, x2 / across, y2 / down)


def mask(box: Box, size: Size) -> Bool[Tensor, "h w"]:
    """Pixels whose centre lies inside the box; the part outside the image is cut off.

    A box thinner than a pixel that holds no centre gets the pixel under its own centre, so that
    a detection always has at least one pixel, unless it lies outside the image altogether.
    """
    height, width = size
    rows = _inside(box[1], box[3], height)
    columns = _inside(box[0], box[2], width)
    return rows[:, None] & columns[None, :]


def _inside(low: float, high: float, length: int) -> Bool[Tensor, "n"]:
    centres = torch.arange(length) + 0.5
    inside = (centres >= low) & (centres < high)
    if not inside.any() and high > low and 0 <= (low + high) / 2 < length:
        inside[int((low + high) / 2)] = True
    return inside
