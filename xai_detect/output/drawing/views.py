"""Pictures of verdicts: what a person looks at.

The original colours are never tinted: in X-ray images hue already means material. Evidence is
outlined on the original, and shown as heat only on a grey copy beside it. All heat has one
absolute scale: evidence per pixel as a multiple of an even spread over the image.
"""

import cv2
import numpy as np

from xai_detect.output.drawing import panels
from xai_detect.output.drawing.states import map_refusal, state_of, tally
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
from xai_detect.values.findings import Inspection

CAPTION = 40
"""Height of a view's top line, which repeats the verdict; the rest stands without it."""

_TITLE, _FOOT, _MARGIN, _GAP = 28, 74, 10, 12
_READABLE = 1200  # wider pages are often shown reduced, so their words grow with them
_LEAST_PANEL, _LEAST_VIEW = 240, 720
_PAPER: Colour = (255, 255, 255)


def view(inspection: Inspection, row: int) -> np.ndarray:
    """One detection: outlined original, heat on grey, and a close-up if the box is small."""
    what = panels.scene(inspection, row)
    size = inspection.detections.image_size
    window = panels.whole(size)
    target = inspection.targets[row]
    refusal = map_refusal(inspection.verdicts[row])
    if refusal is None:
        shown = [
            (f"Evidence for {target.name}", panels.outlined(what, window)),
            ("Heat on a grey copy", panels.heat(what, window)),
        ]
    else:
        shown = [("The detection; no map is shown", panels.outlined(what, window))]
    near = panels.close_up(target.box, size)
    if near is not None:
        times = f"{near.scale / window.scale:.1f}"
        shown.append(
            (f"Close-up of the box, {times} times", panels.outlined(what, near, tags=False))
        )
    canvas = _laid_out(shown)
    _caption(canvas, inspection, row)
    if refusal is None:
        _legend(canvas)
    else:
        size_ = round(13 * _zoom(canvas.shape[1]))
        text = shortened(f"No map: {refusal}", canvas.shape[1] - 2 * _MARGIN, size_)
        write(canvas, (_MARGIN, canvas.shape[0] - _FOOT / 2), text, size=size_)
    return canvas


def body(picture: np.ndarray) -> np.ndarray:
    """A view without its caption, for pages that say the verdict in text."""
    return picture[CAPTION:]


def overview(inspection: Inspection) -> np.ndarray:
    """The whole image: every detection with class, confidence and state; missed objects dashed."""
    window = panels.whole(inspection.detections.image_size)
    canvas = window.cut(panels.as_bytes(inspection.image))
    found = list(zip(inspection.targets, inspection.detections, inspection.verdicts, strict=True))
    missed = inspection.outcome.missed if inspection.outcome is not None else ()
    for _, box in missed:
        outline(canvas, window.box(box))
    for target, _, _ in found:
        brackets(canvas, window.box(target.box))
    tags = Tags(canvas)
    for target, own, verdict in found:
        state = state_of(verdict)
        x, y = window.point(target.box[0], target.box[1])
        tags.put((x, y), f"{state.mark} {own.name} {own.score:.2f}", core=WHITE)
    for name, box in missed:
        tags.put(window.point(box[0], box[1]), f"missed: {name}", core=WHITE)
    page = _laid_out([("", canvas)], foot=0)
    text = " · ".join(
        f"{state.mark} {count} {state.word}" for state, count in tally(inspection.verdicts)
    )
    _headline(page, text or "nothing found", INK, inspection.source)
    return page


def _laid_out(shown: list[tuple[str, np.ndarray]], foot: int = _FOOT) -> np.ndarray:
    """A page with the panels side by side, room above for a caption and below for a legend."""
    widths = [max(panel.shape[1], _LEAST_PANEL) for _, panel in shown]
    width = max(sum(widths) + _GAP * (len(shown) - 1) + 2 * _MARGIN, _LEAST_VIEW)
    zoom = _zoom(width)
    title = round(_TITLE * zoom) if any(name for name, _ in shown) else 0
    foot = max(round(foot * zoom), _MARGIN)
    height = CAPTION + title + max(panel.shape[0] for _, panel in shown) + foot
    page = np.full((height, width, 3), _PAPER, np.uint8)
    left = _MARGIN
    for (name, panel), room in zip(shown, widths, strict=True):
        top = CAPTION + title
        page[top : top + panel.shape[0], left : left + panel.shape[1]] = panel
        if name:
            words = round(13 * zoom)
            text = shortened(name, room, words, bold=True)
            write(page, (left, CAPTION + title / 2), text, size=words, bold=True)
        left += room + _GAP
    return page


def _caption(page: np.ndarray, inspection: Inspection, row: int) -> None:
    own, target = inspection.detections.target(row), inspection.targets[row]
    state = state_of(inspection.verdicts[row])
    text = f"{state.mark} {state.word} · {own.name} {own.score:.2f}"
    if target.label != own.label:
        text += f" · asked about {target.name}"
    _headline(page, text, state.colour, inspection.source)


def _headline(page: np.ndarray, text: str, colour: Colour, source: str) -> None:
    room = page.shape[1] - 2 * _MARGIN
    text = shortened(text, round(0.85 * room), 17, bold=True)
    write(page, (_MARGIN, CAPTION / 2), text, size=17, colour=colour, bold=True)
    left = room - text_width(text, 17, bold=True) - 24
    name = shortened(source.replace("\\", "/").rsplit("/", 1)[-1], left, 13)
    at = page.shape[1] - _MARGIN - text_width(name, 13)
    write(page, (at, CAPTION / 2), name, size=13, colour=QUIET)


def _zoom(width: int) -> float:
    return max(width / _READABLE, 1.0)


def _legend(page: np.ndarray) -> None:
    """What the lines mean, and the heat's scale with its unit."""
    zoom = _zoom(page.shape[1])
    y = page.shape[0] - (_FOOT - 17) * zoom
    lines = (
        ("holds 50 %", 0, False),
        ("holds 80 % of the evidence", 1, False),
        ("the same outside the box", 0, True),
    )
    left, words = float(_MARGIN) + 2, round(12 * zoom)
    for name, place, outside in lines:
        core, widths = panels.LINES[outside]
        sample = np.array([[left, y], [left + 34 * zoom, y]], float)
        stroke(page, sample, core=core, width=widths[place], dashed=outside)
        write(page, (left + 41 * zoom, y), name, size=words)
        left += 57 * zoom + text_width(name, words)
    _scale(page, zoom)


def _scale(page: np.ndarray, zoom: float) -> None:
    left, width, half = _MARGIN + 2, round(240 * zoom), round(5 * zoom)
    y, words = page.shape[0] - round((_FOOT - 43) * zoom), round(11 * zoom)
    ramp = panels.heat_colours().astype(np.uint8)[None, :, :]
    page[y - half : y + half, left : left + width] = cv2.resize(ramp, (width, 2 * half))
    lifts = (1, 3, 10, 30, 100)
    for lift, place in zip(lifts, panels.heat_value(np.array(lifts, float)), strict=True):
        at = left + round(float(place) * (width - 1))
        cv2.line(page, (at, y + half), (at, y + half + 3), INK, 1)
        label = f"{lift}x"
        offset = min(text_width(label, words) / 2, at - _MARGIN)
        write(page, (at - offset, y + half + 11 * zoom), label, size=words)
    text = "Heat: evidence per pixel, 1x = spread evenly. One scale for all images."
    write(page, (left + width + 24 * zoom, y), text, size=round(12 * zoom))
