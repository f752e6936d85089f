"""Strokes and words on RGB pictures, made to stay visible on any colours.

Every stroke has a core and a black halo: white on black differs from every pseudo-colour, also
for colour-blind readers. Pictures are uint8 arrays ``(h, w, 3)`` that are drawn on in place.
Coordinates are picture pixels, ``(x, y)``.
"""

import cv2
import numpy as np
from PIL import Image, ImageDraw

from xai_detect.output.drawing.faces import font, pieces
from xai_detect.values.boxes import Box

Colour = tuple[int, int, int]
Point = tuple[float | int, float | int]

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
FUCHSIA: Colour = (255, 0, 255)
INK: Colour = (26, 28, 33)
QUIET: Colour = (88, 92, 102)

_SHIFT = 4
"""Binary places of sub-pixel coordinates."""


def stroke(
    canvas: np.ndarray, points: np.ndarray, *, core: Colour, width: int, dashed: bool = False
) -> None:
    """An open line through ``points`` ``(n, 2)`` with a black halo.

    Args:
        canvas: The picture.
        points: Where the line goes.
        core: Colour of the line.
        width: Its width in pixels, halo left out.
        dashed: Whether to leave gaps.
    """
    pieces = _dashes(points, 5.0 + 2 * width, 3.0 + 2 * width) if dashed else [points]
    fixed = [np.rint(piece * 2**_SHIFT).astype(np.int32) for piece in pieces if len(piece) > 1]
    cv2.polylines(canvas, fixed, False, BLACK, width + 2, cv2.LINE_AA, _SHIFT)
    for _ in range(3 if width == 1 else 1):  # one pass of a thin line is too faint on its halo
        cv2.polylines(canvas, fixed, False, core, width, cv2.LINE_AA, _SHIFT)


def _dashes(points: np.ndarray, on: float, off: float) -> list[np.ndarray]:
    steps = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate([[0.0], steps.cumsum()])
    if len(points) < 2 or along[-1] <= on:
        return [points]
    pieces = []
    for start in np.arange(0.0, along[-1], on + off):
        at = np.linspace(start, min(start + on, along[-1]), max(2, int(on)))
        pieces.append(np.stack([np.interp(at, along, points[:, axis]) for axis in (0, 1)], axis=1))
    return pieces


def brackets(canvas: np.ndarray, box: Box, width: int = 2) -> None:
    """The corners of a box: the outline of what is in it stays free."""
    x1, y1, x2, y2 = box
    across = min(max(0.2 * (x2 - x1), 6.0), 36.0, (x2 - x1) / 2)
    down = min(max(0.2 * (y2 - y1), 6.0), 36.0, (y2 - y1) / 2)
    corners = [(x1, y1, 1, 1), (x2, y1, -1, 1), (x2, y2, -1, -1), (x1, y2, 1, -1)]
    lines = [
        np.array([[x + across * right, y], [x, y], [x, y + down * below]], float)
        for x, y, right, below in corners
    ]
    for line in lines:
        stroke(canvas, line, core=BLACK, width=width)
    for line in lines:
        stroke(canvas, line, core=WHITE, width=width)


def outline(canvas: np.ndarray, box: Box) -> None:
    """A dashed rectangle: something that was not found."""
    stroke(canvas, _sides(box), core=WHITE, width=2, dashed=True)


def frame(canvas: np.ndarray, box: Box) -> None:
    """A double rectangle: a place that decides."""
    stroke(canvas, _sides(box), core=WHITE, width=6)
    stroke(canvas, _sides(box), core=FUCHSIA, width=2)


def _sides(box: Box) -> np.ndarray:
    x1, y1, x2, y2 = box
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2], [x1, y1]], float)


def text_width(text: str, size: int, *, bold: bool = False) -> int:
    """Width of a line of text in pixels."""
    return int(np.ceil(sum(font.getlength(part) for part, font in pieces(text, size, bold=bold))))


def shortened(text: str, room: int, size: int, *, bold: bool = False) -> str:
    """The text, cut in the middle if it needs more than ``room`` pixels."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    if text_width(text, size, bold=bold) <= room:
        return text
    keep = len(text) - 1
    while keep > 2:
        head, tail = text[: (keep + 1) // 2], text[len(text) - keep // 2 :]
        if text_width(f"{head}…{tail}", size, bold=bold) <= room:
            return f"{head}…{tail}"
        keep -= max(1, keep // 12)
    return "…"


def write(
    canvas: np.ndarray,
    at: Point,
    text: str,
    *,
    size: int,
    colour: Colour = INK,
    bold: bool = False,
) -> None:
    """A line of text whose middle left is ``at``."""
    width = text_width(text, size, bold=bold) + 4
    left, middle = round(at[0]), round(at[1])
    top = middle - size
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = min(left + width, canvas.shape[1]), min(middle + size, canvas.shape[0])
    if x1 >= x2 or y1 >= y2:
        return
    patch = Image.fromarray(canvas[y1:y2, x1:x2])
    # one base line for all typefaces of the text: that of the first, set in the middle
    rises, falls = font(size, bold=bold).getmetrics()
    pen, base = float(left - x1), middle - y1 + (rises - falls + 1) // 2
    for part, face in pieces(text, size, bold=bold):
        ImageDraw.Draw(patch).text((pen, base), part, fill=colour, font=face, anchor="ls")
        pen += face.getlength(part)
    canvas[y1:y2, x1:x2] = np.asarray(patch)


class Tags:
    """Labels on a picture that keep clear of each other and of the edges."""

    def __init__(self, canvas: np.ndarray) -> None:
        self._canvas = canvas
        self._taken: list[tuple[int, int, int, int]] = []

    def put(self, at: Point, text: str, *, core: Colour, size: int = 13) -> None:
        """White words on black with an edge in ``core``, near ``at``, preferably above it."""
        width = self._canvas.shape[1]
        text = shortened(text, max(width - 14, 8), size, bold=True)
        wide, high = text_width(text, size, bold=True) + 12, size + 9
        x, y = round(at[0]), round(at[1])
        offers = [(x, y - high - 3), (x, y + 4), (x - wide, y - high - 3), (x - wide, y + 4)]
        offers += [(x, y + step * (high + 3)) for step in (-3, 2, -4, 3, -5, 4, -6, 5)]
        boxes = [self._placed(left, top, wide, high) for left, top in offers]
        chosen = next((box for box in boxes if not self._collides(box)), boxes[0])
        self._taken.append(chosen)
        left, top, right, bottom = chosen
        cv2.rectangle(self._canvas, (left, top), (right - 1, bottom - 1), BLACK, -1)
        cv2.rectangle(self._canvas, (left + 1, top + 1), (right - 2, bottom - 2), core, 1)
        write(
            self._canvas, (left + 6, (top + bottom) / 2), text, size=size, colour=WHITE, bold=True
        )

    def _placed(self, left: int, top: int, wide: int, high: int) -> tuple[int, int, int, int]:
        height, width = self._canvas.shape[:2]
        left, top = max(0, min(left, width - wide)), max(0, min(top, height - high))
        return (left, top, left + wide, top + high)

    def _collides(self, box: tuple[int, int, int, int]) -> bool:
        return any(
            box[0] < taken[2] and taken[0] < box[2] and box[1] < taken[3] and taken[1] < box[3]
            for taken in self._taken
        )
