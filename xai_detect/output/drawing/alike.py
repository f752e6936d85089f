"""A detection and the confirmed ones that are most similar to it, side by side in one strip.

Each is cropped to its box with some room. The original colours are never tinted; lines around the
evidence are those of a view.
"""

from typing import NamedTuple

import numpy as np

from xai_detect.output.drawing import panels
from xai_detect.output.drawing.faces import drawn_name, picture_words
from xai_detect.output.drawing.panels import Layer, Scene, Window
from xai_detect.output.drawing.states import map_refusal
from xai_detect.output.drawing.strokes import QUIET, shortened, write
from xai_detect.output.drawing.views import drawn_source
from xai_detect.values.boxes import Box, Size
from xai_detect.values.findings import Alike, Explanation, Inspection
from xai_detect.words.catalogue import Catalogue

SIDE = 360
"""A panel's longer side in pixels."""

ROOM = 0.3
"""What is shown around a box, as a share of its longer side."""

LEAST = 32.0
"""At least so many pixels of the image are shown, however small the box."""

_MARGIN, _GAP, _TITLE, _LEAST_PANEL = 10, 14, 64, 280


class _Panel(NamedTuple):
    """One of the detections, drawn: what stands above it in three lines, and the picture."""

    title: str
    beneath: str
    file: str
    picture: np.ndarray


def strip(inspection: Inspection, row: int, language: str = "en") -> np.ndarray | None:
    """One detection and the confirmed ones beside it, ``(h, w, 3)`` uint8.

    None where there are none, or their images are not there, as in what was read from a folder.
    """
    beside = inspection.alike[row] if inspection.alike else ()
    words = picture_words(language)
    found = [panel for other in beside if (panel := _other(inspection, row, other, words))]
    return _laid_out([_own(inspection, row, words), *found]) if found else None


def window(box: Box, size: Size) -> Window:
    """The part of an image around a box, enlarged or reduced to a panel."""
    height, width = size
    across, down = box[2] - box[0], box[3] - box[1]
    room = ROOM * max(across, down)
    left, right = _span(box[0], box[2], max(across + 2 * room, LEAST), width)
    top, bottom = _span(box[1], box[3], max(down + 2 * room, LEAST), height)
    return Window(left, top, right, bottom, SIDE / max(right - left, bottom - top))


def _span(low: float, high: float, length: float, most: int) -> tuple[int, int]:
    """So many pixels around the middle of a span, as far as the image goes; at least one."""
    middle = (low + high) / 2
    first = min(max(int(np.floor(middle - length / 2)), 0), most - 1)
    return first, max(min(int(np.ceil(middle + length / 2)), most), first + 1)


def _own(inspection: Inspection, row: int, words: Catalogue) -> _Panel:
    target, size = inspection.detections.target(row), inspection.detections.image_size
    refusal = map_refusal(inspection.evidence[row], words)
    made = None if refusal else inspection.explanations[row]
    what = Scene(panels.as_bytes(inspection.image), target.box, (), (), words)
    title = f"{drawn_name(target.name, target.label, words)} {target.score:.2f}"
    picture = panels.outlined(what, window(target.box, size), _layer(made, size), tags=False)
    beneath = _joined(words.say("picture.alike_own"), refusal)
    return _Panel(title, beneath, "", picture)


def _other(inspection: Inspection, row: int, other: Alike, words: Catalogue) -> _Panel | None:
    if other.image is None or other.place is None:
        return None
    target, size = inspection.detections.target(row), (other.image.shape[1], other.image.shape[2])
    what = Scene(panels.as_bytes(other.image), other.place, (), (), words)
    layer = _layer(other.explanation, size)
    title = f"{drawn_name(target.name, target.label, words)} {other.score:.2f}"
    refusal = words.say("map.unreliable") if layer is None else None
    beneath = _joined(words.say("picture.alike", similarity=other.similarity), refusal)
    picture = panels.outlined(what, window(other.place, size), layer, tags=False)
    return _Panel(title, beneath, drawn_source(other.source), picture)


def _joined(said: str, refusal: str | None) -> str:
    return said if refusal is None else f"{said} · {refusal}"


def _layer(made: Explanation | None, size: Size) -> Layer | None:
    return None if made is None else panels.layer("", made, size)


def _laid_out(found: list[_Panel]) -> np.ndarray:
    """A page with a column for each, three lines of text above its picture."""
    rooms = [max(panel.picture.shape[1], _LEAST_PANEL) for panel in found]
    height = _TITLE + max(panel.picture.shape[0] for panel in found) + _MARGIN
    width = sum(rooms) + _GAP * (len(found) - 1) + 2 * _MARGIN
    page = np.full((height, width, 3), 255, np.uint8)
    left = _MARGIN
    for panel, room in zip(found, rooms, strict=True):
        high, wide = panel.picture.shape[:2]
        page[_TITLE : _TITLE + high, left : left + wide] = panel.picture
        write(page, (left, 14), shortened(panel.title, room, 15, bold=True), size=15, bold=True)
        for y, text in ((34, panel.beneath), (51, panel.file)):
            write(page, (left, y), shortened(text, room, 12), size=12, colour=QUIET)
        left += room + _GAP
    return page
