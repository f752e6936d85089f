"""Numbers of a box as they are written, and the box cut to its image."""

import math
from collections.abc import Iterable, Sequence

from xai_detect.data.problems import Problems
from xai_detect.values.boxes import Box, Size

ROUNDING = 1.0
"""Pixels by which a box may leave the image without a word: annotation tools round."""


def numbers(words: Iterable[str]) -> tuple[float, ...] | None:
    """The words as finite numbers, or None if one of them is not."""
    try:
        values = tuple(float(word) for word in words)
    except ValueError:
        return None
    return values if all(math.isfinite(value) for value in values) else None


def fit(box: Sequence[float], size: Size, what: str, problems: Problems) -> Box | None:
    """A box cut to the image, or None if nothing is left; says so in ``problems``.

    Args:
        box: Corners in image pixels.
        size: ``(height, width)`` of the image.
        what: What to call the box in a problem.
        problems: What is wrong is noted here.
    """
    height, width = size
    x1, y1, x2, y2 = box
    if not all(math.isfinite(value) for value in box):
        problems.lost(what, ": the box holds a value that is not finite")
        return None
    if x2 <= x1 or y2 <= y1:
        problems.lost(
            what,
            f": the box {_words(box)} is inverted or has no area",
            ": the box is inverted or has no area",
        )
        return None
    cut = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
    if cut[2] <= cut[0] or cut[3] <= cut[1]:
        problems.lost(
            what,
            f": the box {_words(box)} lies outside the {width} x {height} image",
            ": the box lies outside the image",
        )
        return None
    if max(abs(was - now) for was, now in zip(box, cut, strict=True)) > ROUNDING:
        problems.note(
            what,
            f": the box {_words(box)} reaches out of the {width} x {height} image; cut to it",
            ": the box reaches out of the image; cut to it",
        )
    return cut


def _words(box: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in box) + ")"


def area_of(box: Box) -> float:
    """Area of a box in square pixels."""
    return (box[2] - box[0]) * (box[3] - box[1])
