"""Composes scenes: who stands where, and what hides a part of the tree."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from xai_detect.savanna.animals import BUILDS, SPECIES
from xai_detect.savanna.plants import TREES
from xai_detect.savanna.render import extent, strokes_of
from xai_detect.savanna.scene import Animal, Cover, Plant, Scene, known
from xai_detect.savanna.strokes import Rng
from xai_detect.savanna.styles import STYLES
from xai_detect.values.boxes import Box

GAP_BOX, GAP_IMAGE = 0.17, 0.055
"""Room between the first animal and the tree: share of the box's longer side, and of the image.
That is more than the ring that counts as a box's own (15 % of each side, or 8 pixels of 192)."""

SHARED = 0.12
"""Two animals share at most this much of the smaller one's box."""

CLEAR = 0.02
"""Least distance of an animal from the image's edge."""

POSES, PLACES = 6, 16
"""So many poses are drawn for a further animal, and places for each; it is left out where none
fits."""


def compose(
    seed: int,
    species: str | None = None,
    tree: str | None = None,
    *,
    companions: int | None = None,
    cover: Cover | None = None,
    style: str = "painted",
) -> Scene:
    """A scene from a seed.

    Args:
        seed: Decides everything that is not asked for.
        species: Of the first animal; None draws one.
        tree: Its kind; None for none. Its place is the same for all kinds.
        companions: How many further animals are placed, as far as there is room; None draws it.
        cover: What hides a part of the tree; None draws it.
        style: Name in ``STYLES``.

    Raises:
        InputError: If there is no such species, tree or style.
    """
    known(style, tuple(STYLES), "style")
    if species is not None:
        known(species, SPECIES, "species")
    if tree is not None:
        known(tree, TREES, "tree")
    rng = np.random.default_rng([seed, 7])
    # drawn whether asked for or not, so that the rest does not depend on what is asked for
    drawn = (str(rng.choice(SPECIES)), int(rng.integers(3)), Cover(rng.choice(list(Cover))))
    count = drawn[1] if companions is None else companions
    hides = drawn[2] if cover is None else cover
    horizon = rng.uniform(0.50, 0.64)
    first = _first(species or drawn[0], style, rng)
    side = 1 if first.x < 0.5 else -1
    plant, bush = _tree(first, side, horizon, hides, style, rng)
    animals = [first]
    if hides is Cover.ANIMAL:
        animals += _before(plant, animals, style, rng)
    for _ in range(max(0, count - len(animals) + 1)):
        animals += _companion(animals, plant, horizon, style, rng)
    planted = Scene(tuple(animals), plant, bush, hides, horizon, style, seed)
    return planted.with_tree(tree)


def box_of(animal: Animal, style: str) -> Box:
    """Where an animal will be drawn, in shares of the image's side."""
    left, low, right, high = _reach(animal.species, animal.seed, style)
    half = animal.size * (right - left) / 2
    top, bottom = animal.foot - animal.size * high, animal.foot - animal.size * low
    return animal.x - half, top, animal.x + half, bottom


@lru_cache(maxsize=256)
def _reach(species: str, seed: int, style: str) -> Box:
    """How far an animal's strokes reach, in its own unit."""
    return extent(strokes_of(species, seed, STYLES[style]))


def _first(species: str, style: str, rng: Rng) -> Animal:
    """The animal that the scene is about: at one side, in front."""
    side, faces = (int(rng.choice([-1, 1])) for _ in range(2))
    size = BUILDS[species].size * rng.uniform(0.19, 0.285)
    animal = Animal(species, 0.5, rng.uniform(0.84, 0.94), size, faces, _seed(rng))
    left, _, right, _ = box_of(animal, style)
    edge = rng.uniform(CLEAR, 0.07) + (right - left) / 2
    return replace(animal, x=edge if side < 0 else 1 - edge)


def _tree(
    first: Animal, side: int, horizon: float, hides: Cover, style: str, rng: Rng
) -> tuple[Plant, Plant | None]:
    """A tree on the other ``side`` of the image, clear of the first animal's ring, and its bush."""
    left, top, right, bottom = box_of(first, style)
    gap = max(GAP_BOX * max(right - left, bottom - top), GAP_IMAGE)
    start = right + gap if side > 0 else 1 - left + gap  # counted from the animal's own edge
    wide = min(1 - start - 0.01, rng.uniform(0.28, 0.46))
    tall = wide * rng.uniform(1.15, 1.45)
    x = rng.uniform(start + wide / 2, 1 - wide / 2)
    foot = horizon + (first.foot - horizon) * rng.uniform(0.25, 0.8)
    if hides is Cover.EDGE:
        x = 1 + wide * rng.uniform(-0.12, 0.08)
    tree = Plant(TREES[0], x if side > 0 else 1 - x, foot, wide, tall, _seed(rng))
    if hides is not Cover.BUSH:
        return tree, None
    broad = wide * rng.uniform(0.6, 0.8)
    at = max(x + wide * rng.uniform(-0.2, 0.2), start + broad / 2)
    bush = Plant("bush", at if side > 0 else 1 - at, foot + 0.012, broad,
                 tall * rng.uniform(1.2, 1.4), _seed(rng))  # fmt: skip
    return tree, bush


def _before(tree: Plant, others: Sequence[Animal], style: str, rng: Rng) -> list[Animal]:
    """An animal that stands before the tree and hides a part of it; none where it does not fit."""
    for animal in _poses(rng):
        size = min(animal.size * rng.uniform(0.55, 0.85) * tree.tall, 0.25)
        for _ in range(PLACES):
            x = tree.x + tree.wide * rng.uniform(-0.25, 0.25)
            placed = replace(animal, x=x, foot=tree.foot + rng.uniform(0.005, 0.03), size=size)
            if _fits(placed, others, style):
                return [placed]
    return []


def _companion(
    others: Sequence[Animal], tree: Plant, horizon: float, style: str, rng: Rng
) -> list[Animal]:
    """A further animal that hides little of the tree; none where it does not fit."""
    crown = (tree.x - tree.wide / 2, tree.foot - tree.tall, tree.x + tree.wide / 2, tree.foot)
    for animal in _poses(rng):
        for _ in range(PLACES):
            foot = rng.uniform(horizon + 0.05, 0.97)
            size = animal.size * (0.075 + 0.13 * (foot - horizon) / (0.94 - horizon))
            placed = replace(animal, x=rng.uniform(0.1, 0.9), foot=foot, size=size)
            apart = _shared(box_of(placed, style), crown) <= SHARED
            if apart and _fits(placed, others, style):
                return [placed]
    return []


def _poses(rng: Rng) -> Iterator[Animal]:
    """Animals that have no place yet; their size is in units of a zebra's."""
    for _ in range(POSES):
        species = str(rng.choice(SPECIES))
        size = BUILDS[species].size * rng.uniform(0.85, 1.15)
        yield Animal(species, 0.5, 0.5, size, int(rng.choice([-1, 1])), _seed(rng))


def _fits(animal: Animal, others: Sequence[Animal], style: str) -> bool:
    """Whether an animal lies in the image and hides little of the others."""
    box = box_of(animal, style)
    inside = min(box) >= CLEAR and max(box) <= 1 - CLEAR
    return inside and all(_shared(box, box_of(one, style)) <= SHARED for one in others)


def _shared(box: Box, other: Box) -> float:
    """Shared area of two boxes as a share of the smaller one's."""
    wide = min(box[2], other[2]) - max(box[0], other[0])
    tall = min(box[3], other[3]) - max(box[1], other[1])
    areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (box, other)]
    return max(wide, 0.0) * max(tall, 0.0) / min(areas)


def _seed(rng: Rng) -> int:
    return int(rng.integers(2**31))
