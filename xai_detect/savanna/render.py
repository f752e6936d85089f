"""Draws a scene: the picture, and what in it is what."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from xai_detect.errors import InputError
from xai_detect.savanna import plants
from xai_detect.savanna.animals import PARTS, SPECIES, drawn
from xai_detect.savanna.coats import Coat
from xai_detect.savanna.land import grass, landscape, shade
from xai_detect.savanna.scene import Animal, Plant, Scene
from xai_detect.savanna.strokes import Covered, Floats, Mask, Rng, Stroke, cover
from xai_detect.savanna.styles import STYLES, Style
from xai_detect.values.boxes import Box

OVERSAMPLING = 2
"""Scenes are drawn so many times larger, then shrunk, so edges are smooth."""

LIGHT = np.array([-0.35, 0.94])
"""Where the light comes from, y up."""

LEAST = 32
"""Smallest side of a picture in pixels."""

NOTHING, TRUNK, CROWN = -1, -2, -3
"""What a pixel belongs to where it is no animal's."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A picture and its truth; masks hold what is seen, so nothing that something else covers.

    Attributes:
        image: RGB ``(s, s, 3)``.
        boxes: ``(x1, y1, x2, y2)`` of each animal in pixels.
        labels: Index into ``SPECIES`` of each.
        parts: Of each animal, a mask ``(s, s)`` per name in ``PARTS``; they do not overlap.
        tree: Mask ``(s, s)`` of the tree; empty if there is none.
        crown: The same of its leaves alone.
        shown: Share of the tree that is seen, not covered or cut off; NaN if there is none.
    """

    image: NDArray[np.uint8]
    boxes: tuple[Box, ...]
    labels: tuple[int, ...]
    parts: tuple[dict[str, Mask], ...]
    tree: Mask
    crown: Mask
    shown: float


def render(scene: Scene, side: int) -> Drawn:
    """Draw a scene into a square image.

    Args:
        scene: What is drawn.
        side: Of the image, in pixels.

    Raises:
        InputError: If the image would be too small to hold an animal.
    """
    if side < LEAST:
        raise InputError(f"a side of {side} pixels holds no animal; give {LEAST} or more")
    style, big = STYLES[scene.style], side * OVERSAMPLING
    land, camera = (np.random.default_rng([scene.seed, stream]) for stream in (0, 1))
    image = landscape(big, scene.horizon * big, style, land)
    owner = np.full((big, big), NOTHING, np.int16)
    whole = 0
    things: list[Animal | Plant] = [*scene.animals]
    things += [plant for plant in (scene.tree, scene.bush) if plant is not None]
    for thing in sorted(things, key=lambda one: one.foot):
        if isinstance(thing, Animal):
            _animal(image, owner, thing, scene.animals.index(thing), style)
        elif thing is scene.tree:
            whole = _plant(image, owner, thing, style)
        else:
            _plant(image, owner, thing, style)
    front = max(animal.foot for animal in scene.animals) * big
    grass(image, (front + 0.015 * big, 1.02 * big), 26, land)
    tree = (owner == TRUNK) | (owner == CROWN)
    return Drawn(
        image=_photographed(image, side, style, camera),
        boxes=tuple(_bounds(owner, k, side) for k in range(len(scene.animals))),
        labels=tuple(SPECIES.index(animal.species) for animal in scene.animals),
        parts=tuple(_parts(owner, k, side) for k in range(len(scene.animals))),
        tree=_shrunk(tree, side),
        crown=_shrunk(owner == CROWN, side),
        shown=int(tree.sum()) / whole if whole else float("nan"),
    )


def strokes_of(species: str, seed: int, style: Style) -> list[Stroke]:
    """An animal's strokes in its own unit."""
    return drawn(species, style, np.random.default_rng([seed, 0]))


def extent(strokes: Sequence[Stroke]) -> Box:
    """Left, lowest, right and highest edge of strokes, y up."""
    low = np.min([(one.points - one.radii[:, None]).min(axis=0) for one in strokes], axis=0)
    high = np.max([(one.points + one.radii[:, None]).max(axis=0) for one in strokes], axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _animal(
    image: Floats, owner: NDArray[np.int16], animal: Animal, number: int, style: Style
) -> None:
    """Draw one animal and its outline, and note whose its pixels are."""
    big, strokes = len(image), strokes_of(animal.species, animal.seed, style)
    coat = Coat(animal.species, style, np.random.default_rng([animal.seed, 1]))
    scale = animal.size * big
    left, _, right, _ = extent(strokes)
    x = animal.x * big - animal.faces * scale * (left + right) / 2
    origin = np.array([x, animal.foot * big])
    shade(image, (animal.x * big, animal.foot * big), scale * (right - left))
    layer, mine = np.zeros_like(image), np.full(owner.shape, NOTHING, np.int16)
    for one in strokes:
        points = origin + one.points * scale * (animal.faces, -1)
        spots = cover(points, one.radii * scale, owner.shape)
        layer[spots.rows, spots.columns] = _coloured(
            one, coat, spots, points, scale, animal.faces, style
        )
        mine[spots.rows, spots.columns] = number * len(PARTS) + PARTS.index(one.part)
    body = mine != NOTHING
    line = (cv2.dilate(body.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~body
    image[line] += (np.array(style.outline) - image[line]) * style.weight
    image[body], owner[body] = layer[body], mine[body]
    owner[line] = NOTHING


def _coloured(
    one: Stroke, coat: Coat, spots: Covered, points: Floats, scale: float, faces: int, style: Style
) -> Floats:
    """RGB of a stroke's pixels: its coat under a soft light from above."""
    at = np.stack([spots.columns + 0.5, spots.rows + 0.5], axis=1)
    offset = (at - points[spots.nearest]) / scale * (faces, -1)
    tangent = np.gradient(one.points, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    steps = np.linalg.norm(np.diff(one.points, axis=0), axis=1)
    way = np.concatenate([[0.0], steps.cumsum()])[spots.nearest]
    along = way + (offset * tangent[spots.nearest]).sum(axis=1)
    across = (offset * normal[spots.nearest]).sum(axis=1) / one.radii[spots.nearest]
    rgb = coat.colour(one.coat, along, across, one.points[spots.nearest] + offset)
    lit = np.clip(across * (normal[spots.nearest] @ LIGHT), -1, 1)
    return np.clip(rgb * ((0.98 + style.shading * lit) * one.tone)[:, None], 0, 255)


def _plant(image: Floats, owner: NDArray[np.int16], plant: Plant, style: Style) -> int:
    """Draw a tree or a bush, and note whose its pixels are; gives its area, edge or no edge."""
    big, rng = len(image), np.random.default_rng([plant.seed, 0])
    strokes = plants.bush(rng) if plant.kind == "bush" else plants.grown(plant.kind, rng)
    tints = {
        "bark": np.array(style.bark) * rng.uniform(0.8, 1.1),
        "leaf": np.array(style.leaves) * rng.uniform(0.85, 1.12) + rng.normal(0, 5, 3),
    }
    belongs = {"bark": TRUNK, "leaf": NOTHING if plant.kind == "bush" else CROWN}
    wide, tall = plant.wide * big, plant.tall * big
    shade(image, (plant.x * big, plant.foot * big), 0.8 * wide)
    # a canvas that is twice as wide, so that the part beyond the edge counts as well
    beyond = big // 2
    canvas = np.zeros((big, big + 2 * beyond), bool)
    origin = np.array([plant.x * big + beyond, plant.foot * big])
    for one in strokes:
        spots = cover(origin + one.points * (wide, -tall), one.radii * wide, canvas.shape)
        canvas[spots.rows, spots.columns] = True
        here = (spots.columns >= beyond) & (spots.columns < beyond + big)
        rows, columns = spots.rows[here], spots.columns[here] - beyond
        tone = one.tone if style.shading else 1 + 0.35 * (one.tone - 1)
        image[rows, columns] = np.clip(tints[one.coat] * tone, 0, 255)
        owner[rows, columns] = belongs[one.coat]
    return int(canvas.sum())


def _photographed(image: Floats, side: int, style: Style, camera: Rng) -> NDArray[np.uint8]:
    """The picture at its size, on its paper, with the camera's light and noise."""
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    paper = cv2.GaussianBlur(camera.normal(0, 1, (side, side)), (0, 0), 0.8)[..., None]
    light, noise = camera.uniform(0.92, 1.05), camera.uniform(0, 5)
    small = small * light + 2.8 * style.grain * paper + camera.normal(0, noise, small.shape)
    return np.clip(small, 0, 255).astype(np.uint8)


def _bounds(owner: NDArray[np.int16], number: int, side: int) -> Box:
    """The box around an animal's pixels."""
    found = np.zeros((side, side), bool)
    for mask in _parts(owner, number, side).values():
        found |= mask
    if not found.any():
        return (0.0, 0.0, 0.0, 0.0)
    x, y = (np.flatnonzero(found.any(axis=axis)) for axis in (0, 1))
    return float(x[0]), float(y[0]), float(x[-1] + 1), float(y[-1] + 1)


def _parts(owner: NDArray[np.int16], number: int, side: int) -> dict[str, Mask]:
    """Masks of an animal's parts; a pixel that two parts share goes to the first."""
    masks: dict[str, Mask] = {}
    free = np.ones((side, side), bool)
    for index, part in enumerate(PARTS):
        masks[part] = _shrunk(owner == number * len(PARTS) + index, side) & free
        free &= ~masks[part]
    return masks


def _shrunk(mask: Mask, side: int) -> Mask:
    """A mask at the image's size: pixels of which it covers half or more."""
    small = cv2.resize(mask.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(small >= 0.5)
