"""Marks of one detection as a picture of lines, to lie over the image: an SVG file.

The same lines as in ``panels``, with coordinates in image pixels; strokes keep their width at any
zoom. Names come from strangers, so all text is escaped, and nothing in the file can run.
"""

from collections.abc import Iterator, Sequence
from unicodedata import east_asian_width
from xml.sax.saxutils import escape

import cv2
import numpy as np
from contourpy import contour_generator

from xai_detect.output.drawing.panels import LINES, Layer, Scene, heat_colours, heat_value
from xai_detect.output.drawing.strokes import BLACK, FUCHSIA, WHITE, Colour
from xai_detect.values.boxes import Box, Size

FINE = 320
"""Longer side, in cells, of the grid on which lines are found."""

COARSE = 160
"""Longer side of a picture of heat, in pixels: the map is smoothed by more than one of them."""

_KEPT = 0.35
"""Cells by which a line may be off once points are left out."""

_LETTER = 1 / 46
"""Height of letters, share of the image's longer side."""


def marks(what: Scene, shown: Layer | None) -> str:
    """The detection's corners, lines around its evidence, and what decides it, as one SVG.

    Args:
        what: The detection.
        shown: The map; None draws the detection without one.
    """
    height, width = what.pixels.shape[:2]
    pieces = [_corners(what.box)]
    if shown is not None:
        pieces += _evidence(shown, (height, width))
    for _, place in what.places:
        pieces += [_stroke(_sides(place), WHITE, 6), _stroke(_sides(place), FUCHSIA, 2)]
    letter = _LETTER * max(height, width)
    texts = [(place[:2], does, WHITE) for does, place in what.places]
    if shown is not None:
        texts += [
            (part.top, what.words.say("picture.outside", number=number, share=part.share), FUCHSIA)
            for number, part in enumerate(shown.parts, start=1)
        ]
    pieces += _texts(texts, letter, (height, width))
    return _whole(pieces, (height, width))


def heat(shown: Layer) -> np.ndarray:
    """Evidence as heat, to lie over a grey copy of the image: ``(h, w, 4)`` uint8, RGBA."""
    scale = min(COARSE / max(shown.density.shape), 1.0)
    rows, columns = (max(1, round(side * scale)) for side in shown.density.shape)
    value = heat_value(cv2.resize(shown.density, (columns, rows), interpolation=cv2.INTER_AREA))
    colours = heat_colours()[np.rint(255 * value).astype(int)]
    return np.rint(np.dstack([colours, 242 * value])).astype(np.uint8)


def _whole(pieces: Sequence[str], size: Size) -> str:
    height, width = size
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" fill="none" stroke-linejoin="round" '
        f'stroke-linecap="round">{"".join(pieces)}</svg>'
    )


def _corners(box: Box) -> str:
    x1, y1, x2, y2 = box
    across, down = 0.2 * (x2 - x1), 0.2 * (y2 - y1)
    corners = ((x1, y1, 1, 1), (x2, y1, -1, 1), (x2, y2, -1, -1), (x1, y2, 1, -1))
    path = "".join(
        f"M{_number(x + across * right)} {_number(y)}L{_number(x)} {_number(y)}"
        f"L{_number(x)} {_number(y + down * below)}"
        for x, y, right, below in corners
    )
    return _stroke(path, WHITE, 2)


def _sides(box: Box) -> str:
    x1, y1, x2, y2 = (_number(side) for side in box)
    return f"M{x1} {y1}H{x2}V{y2}H{x1}Z"


def _stroke(path: str, core: Colour, width: int, *, dashed: bool = False) -> str:
    """A line with a dark halo, as wide at any zoom."""
    dash = f' stroke-dasharray="{5 + 2 * width} {3 + 2 * width}"' if dashed else ""
    same = 'vector-effect="non-scaling-stroke"'
    return "".join(
        f'<path d="{path}" {same} stroke="rgb{colour}" stroke-width="{wide}"{dash}/>'
        for colour, wide in ((BLACK, width + 2), (core, width))
    )


def _evidence(shown: Layer, size: Size) -> Iterator[str]:
    # the region that holds more first, so that it lies underneath
    for place, (level, region) in reversed(list(enumerate(shown.outlines))):
        kept = np.where((shown.density < level) | region, shown.density, 0)
        paths = {False: "", True: ""}
        for points, outside in lines(kept, level, shown.near, size):
            paths[outside] += _path(points)
        for outside, path in paths.items():
            core, widths = LINES[outside]
            if path:
                yield _stroke(path, core, widths[place], dashed=outside)


def lines(
    density: np.ndarray, level: float, near: Box, size: Size
) -> Iterator[tuple[np.ndarray, bool]]:
    """Where a density crosses a level, cut where that leaves a box; open at the image's border.

    Args:
        density: Evidence, over any grid.
        level: The level.
        near: The box, in image pixels.
        size: ``(height, width)`` of the image.

    Yields:
        Points ``(n, 2)`` in image pixels, and whether they lie outside the box.
    """
    scale = min(FINE / max(density.shape), 1.0)
    rows, columns = (max(2, round(side * scale)) for side in density.shape)
    grid = cv2.resize(density.astype(np.float64), (columns, rows), interpolation=cv2.INTER_AREA)
    down, across = size[0] / rows, size[1] / columns
    for line in contour_generator(z=grid).lines(level):
        points = np.asarray(line, np.float32)
        x, y = ((points + 0.5) * (across, down)).T
        outside = (x < near[0]) | (y < near[1]) | (x > near[2]) | (y > near[3])
        turns = np.flatnonzero(outside[1:] != outside[:-1]) + 1
        # cut before points are left out: where a line is straight, few are kept
        for piece in np.split(np.arange(len(points)), turns):
            # one point more, so that no gap is left where the line changes its colour
            end = min(piece[-1] + 2, len(points))
            kept = _fewer(points[piece[0] : end])
            yield (kept + 0.5) * (across, down), bool(outside[piece[0]])


def _fewer(points: np.ndarray) -> np.ndarray:
    """A line with only the points that it needs; one that is closed stays so."""
    kept = cv2.approxPolyDP(points[:, None], _KEPT, closed=False)[:, 0]
    if (points[0] == points[-1]).all() and (kept[0] != kept[-1]).any():
        return np.concatenate([kept, kept[:1]])  # OpenCV takes such a line for a ring
    return kept


def _path(points: np.ndarray) -> str:
    return "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in points)


def _texts(
    texts: Sequence[tuple[Sequence[float], str, Colour]], letter: float, size: Size
) -> Iterator[str]:
    """Words on dark plates beside their points, kept inside the image and off each other."""
    taken: list[Box] = []
    most = letter
    for at, text, core in texts:
        letters = sum(map(_width, text))
        letter = min(most, size[1] / (letters + 0.8))
        wide, high = letter * (letters + 0.8), 1.6 * letter
        left = max(0.0, min(at[0], size[1] - wide))
        top = _free_row((left, at[1] - 1.2 * high, left + wide, at[1] - 0.2 * high), taken, size)
        taken.append((left, top, left + wide, top + high))
        yield (
            f'<rect x="{_number(left)}" y="{_number(top)}" width="{_number(wide)}" '
            f'height="{_number(high)}" rx="{_number(letter / 4)}" fill="rgb(20,21,25)" '
            f'stroke="rgb{core}" vector-effect="non-scaling-stroke"/>'
            f'<text x="{_number(left + 0.4 * letter)}" y="{_number(top + 1.15 * letter)}" '
            f'font-family="system-ui, sans-serif" font-weight="600" fill="#fff" '
            f'font-size="{_number(letter)}" textLength="{_number(wide - 0.8 * letter)}" '
            f'lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
        )


def _width(letter: str) -> float:
    """About how wide a letter is, in heights; those of Korean are as wide as high."""
    return 1.0 if east_asian_width(letter) in "WF" else 0.62


def _free_row(plate: Box, taken: Sequence[Box], size: Size) -> float:
    """The top of a plate, as near as may be to where it is wanted and off the others."""
    left, wanted, right, bottom = plate
    high, least = bottom - wanted, max(0.0, size[0] - (bottom - wanted))
    wanted = min(max(wanted, 0.0), least)
    for step in range(4 * len(taken) + 1):
        for top in (wanted + step * high / 2, wanted - step * high / 2):
            here = (left, top, right, top + high)
            if 0 <= top <= least and not any(_overlap(here, other) for other in taken):
                return top
    return wanted


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _number(value: float) -> str:
    """As few digits as show where it is."""
    return f"{value:.1f}".removesuffix(".0")
