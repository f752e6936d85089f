"""Pictures of verdicts: what a person looks at.

The original colours are never tinted: in X-ray images hue already means material. Evidence is
outlined on the original, and shown as heat only on a grey copy beside it. All heat has one
absolute scale, in the unit of both maps of a verdict; maps of other methods are drawn as if they
added up to the detection's score in it.
"""

import cv2
import numpy as np

from xai_detect.output.drawing import panels
from xai_detect.output.drawing.faces import drawable, drawn_name, legible, picture_words
from xai_detect.output.drawing.states import STATES, level_word, map_refusal, tally
from xai_detect.output.drawing.strokes import (
    INK,
    QUIET,
    WHITE,
    Colour,
    Tags,
    brackets,
    outline,
    shortened,
    stroke,
    text_width,
    write,
)
from xai_detect.output.folder.records import file_name
from xai_detect.values.findings import Inspection
from xai_detect.words.catalogue import Catalogue

CAPTION = 40
"""Height of a view's top line, which repeats the verdict."""

_TITLE, _FOOT, _MARGIN, _GAP = 28, 74, 10, 12
_READABLE = 1200  # wider pages are often shown reduced, so their words grow with them
_LEAST_PANEL, _LEAST_VIEW = 240, 720
_PAPER: Colour = (255, 255, 255)


def view(inspection: Inspection, row: int, language: str = "en") -> np.ndarray:
    """One detection: a row per map, with outlined original, heat, and a close-up of a small box.

    Without a map, or with one that must not be shown, the detection alone.
    """
    words = picture_words(language)
    what = panels.scene(inspection, row, words)
    refusal = map_refusal(inspection.evidence[row], words) or words.say("map.none")
    size = inspection.detections.image_size
    window, near = panels.whole(size), panels.close_up(what.box, size)
    rows = []
    for shown in what.layers or (None,):
        title = words.say("picture.detection", why=refusal) if shown is None else shown.title
        rows.append([(title, panels.outlined(what, window, shown))])
        if shown is not None:
            rows[-1].append((words.say("picture.heat"), panels.heat(what, window, shown)))
        if near is not None:
            times = words.say("picture.close_up", times=near.scale / window.scale)
            rows[-1].append((times, panels.outlined(what, near, shown, tags=False)))
    canvas = _laid_out(rows, foot=_FOOT if what.layers else 0)
    _caption(canvas, inspection, row, words)
    if what.layers:
        _legend(canvas, words)
    return canvas


def overview(inspection: Inspection, language: str = "en") -> np.ndarray:
    """The whole image: every detection with class, confidence and state; missed objects dashed."""
    words = picture_words(language)
    window = panels.whole(inspection.detections.image_size)
    canvas = window.cut(panels.as_bytes(inspection.image))
    found = list(zip(inspection.detections, inspection.verdicts, strict=True))
    missed = inspection.outcome.missed if inspection.outcome is not None else ()
    for item in missed:
        outline(canvas, window.box(item.box))
    for own, _ in found:
        brackets(canvas, window.box(own.box))
    tags = Tags(canvas)
    for own, verdict in found:
        mark, name = STATES[verdict.level].mark, drawn_name(own.name, own.label, words)
        x, y = window.point(own.box[0], own.box[1])
        tags.put((x, y), f"{mark} {name} {own.score:.2f}", core=WHITE)
    for item in missed:
        name = _drawn(item.name, inspection.detections.class_names, words)
        at = window.point(item.box[0], item.box[1])
        tags.put(at, words.say("picture.missed", name=name), core=WHITE)
    page = _laid_out([[("", canvas)]], foot=0)
    text = " · ".join(
        f"{STATES[level].mark} {count} {level_word(level, words)}"
        for level, count in tally(inspection.verdicts)
    )
    _headline(page, text or words.say("picture.nothing"), INK, inspection.source)
    return page


def _drawn(name: str, names: tuple[str, ...], words: Catalogue) -> str:
    """A name as it stands in pictures; one without a number is given as far as it can be drawn."""
    if name in names:
        return drawn_name(name, names.index(name), words)
    return legible(name)


def _laid_out(rows: list[list[tuple[str, np.ndarray]]], foot: int = _FOOT) -> np.ndarray:
    """A page of panels in rows and columns, room above for a caption and below for a legend."""
    columns = range(max(map(len, rows)))
    rooms = [
        max([_LEAST_PANEL, *(row[place][1].shape[1] for row in rows if place < len(row))])
        for place in columns
    ]
    width = max(sum(rooms) + _GAP * (len(rooms) - 1) + 2 * _MARGIN, _LEAST_VIEW)
    zoom = _zoom(width)
    titled = any(name for row in rows for name, _ in row)
    title = round(_TITLE * zoom) if titled else 0
    foot = max(round(foot * zoom), _MARGIN)
    heights = [title + max(panel.shape[0] for _, panel in row) for row in rows]
    page = np.full((CAPTION + sum(heights) + foot, width, 3), _PAPER, np.uint8)
    top = CAPTION
    for row, height in zip(rows, heights, strict=True):
        left = _MARGIN
        for (name, panel), room in zip(row, rooms, strict=False):
            under = top + title
            page[under : under + panel.shape[0], left : left + panel.shape[1]] = panel
            if name:
                words = round(13 * zoom)
                text = shortened(name, room, words, bold=True)
                write(page, (left, top + title / 2), text, size=words, bold=True)
            left += room + _GAP
        top += height
    return page


def _caption(page: np.ndarray, inspection: Inspection, row: int, words: Catalogue) -> None:
    own, asked = inspection.detections.target(row), inspection.asked[row]
    level = inspection.verdicts[row].level
    state, name = STATES[level], drawn_name(own.name, own.label, words)
    text = f"{state.mark} {level_word(level, words)} · {name} {own.score:.2f}"
    if asked is not None:
        seen = "asked_seen" if asked.supported else "asked_not_seen"
        about = _drawn(asked.name, inspection.detections.class_names, words)
        text += f" · {words.say(f'picture.{seen}', asked=about)}"
    refusal = map_refusal(inspection.evidence[row], words)
    if refusal is not None:
        text += f" · {refusal}"
    _headline(page, text, state.colour, inspection.source)


def _headline(page: np.ndarray, text: str, colour: Colour, source: str) -> None:
    room = page.shape[1] - 2 * _MARGIN
    text = shortened(text, round(0.85 * room), 17, bold=True)
    write(page, (_MARGIN, CAPTION / 2), text, size=17, colour=colour, bold=True)
    left = room - text_width(text, 17, bold=True) - 24
    name = shortened(drawn_source(source), left, 13)
    at = page.shape[1] - _MARGIN - text_width(name, 13)
    write(page, (at, CAPTION / 2), name, size=13, colour=QUIET)


def drawn_source(source: str) -> str:
    """A file's own name as it stands in pictures: where it cannot be drawn, that of its views."""
    name = source.replace("\\", "/").rsplit("/", 1)[-1]
    return name if drawable(name) else file_name(source)


def _zoom(width: int) -> float:
    return max(width / _READABLE, 1.0)


def _legend(page: np.ndarray, words: Catalogue) -> None:
    """What the lines mean, and the heat's scale with its unit."""
    zoom = _zoom(page.shape[1])
    y = page.shape[0] - (_FOOT - 17) * zoom
    lines = (
        (words.say("picture.holds_half"), 0, False),
        (words.say("picture.holds_most"), 1, False),
        (words.say("picture.holds_outside"), 0, True),
    )
    left, high = float(_MARGIN) + 2, round(12 * zoom)
    for name, place, outside in lines:
        core, widths = panels.LINES[outside]
        sample = np.array([[left, y], [left + 34 * zoom, y]], float)
        stroke(page, sample, core=core, width=widths[place], dashed=outside)
        write(page, (left + 41 * zoom, y), name, size=high)
        left += 57 * zoom + text_width(name, high)
    _scale(page, zoom, words)


def _scale(page: np.ndarray, zoom: float, words: Catalogue) -> None:
    left, width, half = _MARGIN + 2, round(240 * zoom), round(5 * zoom)
    y, high = page.shape[0] - round((_FOOT - 43) * zoom), round(11 * zoom)
    ramp = panels.heat_colours().astype(np.uint8)[None, :, :]
    page[y - half : y + half, left : left + width] = cv2.resize(ramp, (width, 2 * half))
    amounts = np.geomspace(*panels.HEAT, 5)
    for amount, place in zip(amounts, panels.heat_value(amounts), strict=True):
        at = left + round(float(place) * (width - 1))
        cv2.line(page, (at, y + half), (at, y + half + 3), INK, 1)
        label = f"{float(f'{amount:.1g}'):g}"
        offset = min(text_width(label, high) / 2, at - _MARGIN)
        write(page, (at - offset, y + half + 11 * zoom), label, size=high)
    beside = (left + width + 24 * zoom, y)
    write(page, beside, words.say("picture.scale"), size=round(12 * zoom))
