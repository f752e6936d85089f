"""Places in the surroundings: how one is found without gradients, and what of it is shown.

Rectangles are tried from large to small. All in content pixels.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xai_detect.values import boxes
from xai_detect.values.boxes import Box, Size

WINDOW, DEPTH = 0.6, 3
"""A part is this much of its parent's side, so that neighbours overlap; so many levels."""

REACH, WIDEST = 0.03, 4.0
"""A piece is shown as far as the evidence that touches it keeps this share of the piece's peak; as
it is, where that were more than so many times its area."""


def beyond(places: Sequence[Box], near: Bool[Tensor, "a b"]) -> Bool[Tensor, "a b"]:
    """What rectangles cover, without what belongs to the object."""
    size: Size = (near.shape[0], near.shape[1])
    covered = torch.zeros_like(near)
    for place in places:
        covered |= boxes.mask(place, size)
    return covered & ~near


def smallest(near: Bool[Tensor, "a b"], holds: Callable[[Bool[Tensor, "a b"]], bool]) -> Box | None:
    """The smallest of nested parts of an image that hold what is looked for; None where none does.

    Args:
        near: What belongs to the object; no part covers it.
        holds: Whether a part does, asked of the larger ones first.
    """
    height, width = near.shape
    whole: Box = (0.0, 0.0, float(width), float(height))
    found: Box | None = None
    for _ in range(DEPTH):
        parts = ((part, beyond([part], near)) for part in parts_of(found or whole))
        fitting = (part for part, mask in parts if bool(mask.any()) and holds(mask))
        smaller = next(fitting, None)
        if smaller is None:
            break
        found = smaller
    return found


def parts_of(place: Box) -> list[Box]:
    """Five overlapping parts of a rectangle: at its corners and in its middle."""
    x1, y1, x2, y2 = place
    wide, tall = (x2 - x1) * WINDOW, (y2 - y1) * WINDOW
    corners = [(x, y) for y in (y1, y2 - tall) for x in (x1, x2 - wide)]
    middle = (x1 + (x2 - x1 - wide) / 2, y1 + (y2 - y1 - tall) / 2)
    return [(x, y, x + wide, y + tall) for x, y in (*corners, middle)]


def grown(place: Box, share: float, size: Size) -> Box:
    """A rectangle pushed out by a share of its sides, as far as it lies in the image."""
    x1, y1, x2, y2 = boxes.grow(place, share, 0.0)
    return (max(x1, 0.0), max(y1, 0.0), min(x2, float(size[1])), min(y2, float(size[0])))


def covered(box: Box, place: Box) -> float:
    """Share of a box that a rectangle covers."""
    low, high = map(max, box[:2], place[:2]), map(min, box[2:], place[2:])
    shared, whole = boxes.area(torch.tensor([(*low, *high), box])).tolist()
    return shared / whole if whole > 0 else 1.0


def moved(
    places: Sequence[Box], hidden: Bool[Tensor, "a b"], near: Bool[Tensor, "a b"]
) -> Bool[Tensor, "a b"] | None:
    """As large a part elsewhere, which touches neither the object nor the places: a placebo.

    Of the 25 positions of the first place on an even grid, moved together with the others, the one
    that hides most; None if there is none with half the area.

    Args:
        places: Rectangles.
        hidden: What they hide.
        near: What belongs to the object.
    """
    height, width = hidden.shape
    x1, y1, x2, y2 = places[0]
    best, most = None, int(hidden.sum()) // 2
    for down in range(5):
        for across in range(5):
            right = (width - x2 + x1) * across / 4 - x1
            below = (height - y2 + y1) * down / 4 - y1
            shifted = [(a + right, b + below, c + right, d + below) for a, b, c, d in places]
            part = beyond(shifted, near | hidden)
            if int(part.sum()) > most:
                best, most = part, int(part.sum())
    return best


def pieces(region: Bool[Tensor, "a b"]) -> list[Bool[Tensor, "a b"]]:
    """The connected pieces of a region, largest first; what touches by a corner is connected."""
    count, numbers = cv2.connectedComponents(region.numpy().astype(np.uint8), connectivity=8)
    found = [torch.from_numpy(numbers == number) for number in range(1, count)]
    return sorted(found, key=lambda piece: -int(piece.sum()))


def reached(region: Bool[Tensor, "a b"], evidence: Float[Tensor, "a b"]) -> Bool[Tensor, "a b"]:
    """A region as it is shown: as far as the evidence that touches its pieces reaches.

    A region that was hidden is no larger than it has to be for the name to go, which is often a
    part of the thing that decides.

    Args:
        region: What was hidden.
        evidence: Smoothed, none below zero, none on what belongs to the object.
    """
    shown = region.clone()
    for piece in pieces(region):
        strong = (evidence >= REACH * float(evidence[piece].max())) & (evidence > 0)
        (grown,) = (one for one in pieces(strong | piece) if bool((one & piece).any()))
        if int(grown.sum()) <= WIDEST * int(piece.sum()):
            shown |= grown
    return shown
