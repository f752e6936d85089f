"""One picture inside a view: the outlined original, or heat on a grey copy.

A panel shows a window of the image at some scale; everything is kept in image pixels until it is
drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import cv2
import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from torch import Tensor

from xai_detect.explainers.gradients.sighted_path import FLOOR
from xai_detect.output.drawing import contours
from xai_detect.output.drawing.faces import drawn_name
from xai_detect.output.drawing.states import deciding, map_refusal
from xai_detect.output.drawing.strokes import (
    FUCHSIA,
    WHITE,
    Colour,
    Tags,
    brackets,
    frame,
    stroke,
)
from xai_detect.output.drawing.titles import map_title
from xai_detect.output.folder.judged import maps_of
from xai_detect.values import boxes
from xai_detect.values.boxes import Box, Size
from xai_detect.values.findings import Explanation, Inspection
from xai_detect.words.catalogue import ENGLISH, Catalogue

SIDE = (640, 1000)
"""A panel's longer side in pixels: smaller images are enlarged to the first, larger ones reduced
to the second."""

CLOSE_UP_BELOW = 0.15
"""A box whose longer side is under this share of the image's gets a close-up."""

HEAT = (0.1, 10.0)
"""Evidence per hundredth of the image's area, in floored log-odds, at which heat begins and is
strongest. With this little everywhere, a map is not drawn: there is nothing to see."""

LINES: Mapping[bool, tuple[Colour, tuple[int, int]]] = {
    False: (WHITE, (3, 1)),
    True: (FUCHSIA, (3, 2)),
}
"""Colour, and widths around 50 % and 80 % of the evidence, near the box and beyond its ring."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of the image a panel shows, and how large.

    Attributes:
        left: First column.
        top: First row.
        right: Column after the last.
        bottom: Row after the last.
        scale: Panel pixels per image pixel.
    """

    left: int
    top: int
    right: int
    bottom: int
    scale: float

    def cut(self, array: np.ndarray, *, smooth: bool = False) -> np.ndarray:
        """That part of an image-sized array, resized."""
        part = np.ascontiguousarray(array[self.top : self.bottom, self.left : self.right])
        size = (
            max(1, round(part.shape[1] * self.scale)),
            max(1, round(part.shape[0] * self.scale)),
        )
        if self.scale < 1:
            how = cv2.INTER_AREA
        elif smooth or self.scale < 4:
            how = cv2.INTER_LINEAR
        else:
            how = cv2.INTER_NEAREST  # pixels stay pixels: nothing is invented
        return cv2.resize(part, size, interpolation=how)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Image pixels to panel pixels."""
        return ((x - self.left) * self.scale, (y - self.top) * self.scale)

    def box(self, box: Box) -> Box:
        """Image pixels to panel pixels."""
        return (*self.point(box[0], box[1]), *self.point(box[2], box[3]))


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One map of a detection, ready to be drawn in any window.

    Attributes:
        title: Which question it answers.
        kind: One of ``folder.judged.KINDS``.
        near: The detection and the ring in which evidence counts as near, in image pixels.
        density: Smoothed positive evidence per hundredth of the image's area, in floored log-odds.
        outlines: Threshold and region of each share in ``contours.SHARES``; none where the evidence
            is so little that it looks like nothing.
        parts: What lies beyond ``near``, weightiest first.
    """

    title: str
    kind: str
    near: Box
    density: np.ndarray
    outlines: tuple[tuple[float, np.ndarray], ...]
    parts: tuple[contours.Part, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One detection, ready to be drawn in any window.

    Attributes:
        pixels: The image, ``(h, w, 3)`` uint8.
        box: The detection.
        places: What decides it in its surroundings, if anything does: what each place does, and
            the place.
        layers: Its maps; none if none may be shown.
        words: Those of the language in which it is drawn.
    """

    pixels: np.ndarray
    box: Box
    places: tuple[tuple[str, Box], ...]
    layers: tuple[Layer, ...]
    words: Catalogue


def whole(size: Size) -> Window:
    """The window that shows the whole image."""
    longer = max(size)
    scale = max(SIDE[0] / longer, 1.0) if longer < SIDE[0] else min(SIDE[1] / longer, 1.0)
    return Window(0, 0, size[1], size[0], scale)


def close_up(box: Box, size: Size) -> Window | None:
    """A square around a small box; None if the box is large enough as it is."""
    height, width = size
    longer = max(box[2] - box[0], box[3] - box[1])
    if longer >= CLOSE_UP_BELOW * max(size) or min(size) < 32:
        return None
    side = round(min(max(3 * longer, 32), *size))
    left = round(min(max((box[0] + box[2] - side) / 2, 0), width - side))
    top = round(min(max((box[1] + box[3] - side) / 2, 0), height - side))
    window = whole(size)
    return Window(left, top, left + side, top + side, min(size) * window.scale / side)


def as_bytes(image: Float[Tensor, "3 h w"]) -> np.ndarray:
    """The image as ``(h, w, 3)`` uint8."""
    return np.rint(image.permute(1, 2, 0).numpy() * 255).astype(np.uint8)


def scene(inspection: Inspection, row: int, words: Catalogue = ENGLISH) -> Scene:
    """Everything that will be drawn for one detection."""
    verdict, evidence = inspection.verdicts[row], inspection.evidence[row]
    target, size = inspection.detections.target(row), inspection.detections.image_size
    other = inspection.lookalikes[row] if inspection.lookalikes else None
    places, layers = deciding(verdict, evidence), []
    for kind, rows in maps_of(inspection).items():
        made = rows[row]
        if made is None or (map_refusal(evidence) is not None and kind != "added"):
            continue
        title = map_title(kind, target, evidence, other, made.method, words, drawn_name)
        total = worth(target.score) if kind == "added" else None
        layers.append(layer(title, made, size, kind=kind, worth=total))
    return Scene(
        as_bytes(inspection.image),
        target.box,
        tuple((words.say(f"picture.decides_{test}"), place) for test, place in places),
        tuple(layers),
        words,
    )


def worth(score: float) -> float:
    """A confidence in [0, 1] in floored log-odds, the unit of both maps of a verdict."""
    kept = min(max(score, 1e-6), 1 - 1e-6)  # log-odds are finite
    return float(np.logaddexp(0, np.log(kept) - np.log1p(-kept) - FLOOR))


def layer(
    title: str,
    made: Explanation,
    size: Size,
    *,
    kind: str = "detected",
    worth: float | None = None,
) -> Layer:
    """One map of a detection in an image of ``(height, width)`` pixels.

    Args:
        title: Which question it answers.
        made: The map, in floored log-odds.
        size: Of the image.
        kind: One of ``folder.judged.KINDS``.
        worth: What the positive evidence is to add up to, for maps in another unit.
    """
    near = boxes.near_in_image(made.target.box, size, made.content_size or size)
    density = contours.evidence(made.heatmap)
    if worth is not None:
        density *= worth / (density.mean() * 100 or 1.0)
    if density.max() < HEAT[0]:
        return Layer(title, kind, near, density, (), ())
    levels = [contours.threshold(density, share) for share in contours.SHARES]
    outlines = tuple((level, contours.region(density, level)) for level in levels)
    parts = tuple(contours.parts_outside(density, outlines[-1][1], near))
    return Layer(title, kind, near, density, outlines, parts)


def outlined(what: Scene, window: Window, shown: Layer | None, *, tags: bool = True) -> np.ndarray:
    """The original colours with the box's corners, lines around the evidence, and what decides."""
    canvas = window.cut(what.pixels)
    brackets(canvas, window.box(what.box))
    if shown is not None:
        _evidence(canvas, window, shown)
    for _, place in what.places:
        frame(canvas, window.box(place))
    if tags:
        put = Tags(canvas)
        for does, place in what.places:
            put.put(window.point(place[0], place[1]), does, core=WHITE)
        for number, part in enumerate(shown.parts if shown is not None else (), start=1):
            said = what.words.say("picture.outside", number=number, share=part.share)
            put.put(window.point(*part.top), said, core=FUCHSIA)
    return canvas


def _evidence(canvas: np.ndarray, window: Window, shown: Layer) -> None:
    near = window.box(shown.near)
    # the region that holds more first, so that it lies underneath
    for place, (level, region) in reversed(list(enumerate(shown.outlines))):
        kept = np.where((shown.density < level) | region, shown.density, 0)
        for line, outside in _lines(window.cut(kept, smooth=True) >= level, near):
            core, width = LINES[outside][0], LINES[outside][1][place]
            stroke(canvas, line, core=core, width=width, dashed=outside)


def _lines(region: np.ndarray, near: Box) -> list[tuple[np.ndarray, bool]]:
    """The region's outline, cut where it crosses ``near``; whether each piece is outside.

    The panel's own edge is left out: where a region runs on beyond it, there is no border.
    """
    found, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    height, width = region.shape
    pieces = []
    for contour in found:
        points = _rounded(contour[:, 0, :] + 0.5)
        x, y = points.T
        outside = (x < near[0]) | (y < near[1]) | (x > near[2]) | (y > near[3])
        edge = (x < 1.5) | (y < 1.5) | (x > width - 1.5) | (y > height - 1.5)
        kind = np.where(edge, 2, outside)
        turns = np.flatnonzero(kind != np.roll(kind, 1))
        first = turns[0] if len(turns) else 0
        points, kind = np.roll(points, -first, axis=0), np.roll(kind, -first)
        points = np.vstack([points, points[:1]])
        bounds = [*(turns - first), len(kind)] if len(turns) else [0, len(kind)]
        pieces += [
            (points[start : end + 1], bool(kind[start]))
            for start, end in pairwise(bounds)
            if kind[start] < 2
        ]
    return pieces


def _rounded(points: np.ndarray) -> np.ndarray:
    """A closed chain of pixels without its staircase."""
    if len(points) < 12:
        return points
    return np.mean([np.roll(points, step, axis=0) for step in range(-2, 3)], axis=0)


def heat(what: Scene, window: Window, shown: Layer) -> np.ndarray:
    """Evidence as heat on a grey copy."""
    grey = cv2.cvtColor(window.cut(what.pixels), cv2.COLOR_RGB2GRAY)
    # Kept to dark greys, so that the bright end of the heat stands out on white backgrounds too.
    canvas = np.repeat((40 + 0.5 * grey)[:, :, None], 3, axis=2)
    value = heat_value(window.cut(shown.density, smooth=True))
    alpha = (0.95 * value)[:, :, None]
    canvas = (1 - alpha) * canvas + alpha * heat_colours()[np.rint(255 * value).astype(int)]
    canvas = np.rint(canvas).astype(np.uint8)
    brackets(canvas, window.box(what.box))
    return canvas


def heat_value(density: np.ndarray) -> np.ndarray:
    """Place on the one scale, 0 to 1: the logarithm of evidence between the ends of ``HEAT``."""
    least, most = HEAT
    return (np.log(np.maximum(density, least) / least) / np.log(most / least)).clip(0, 1)


@lru_cache(maxsize=1)
def heat_colours() -> np.ndarray:
    """256 colours in steps that look equal, also to colour-blind readers."""
    return 255 * mpl.colormaps["inferno"](np.linspace(0.25, 1, 256))[:, :3]
