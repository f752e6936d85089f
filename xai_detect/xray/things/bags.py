"""Bags, trays and cases: the shell around the items, and where items may lie.

A bag is an item like any other (walls, seams, zips, wheels, rods as solids) plus the half-axes of
the room inside. The item frame is centred on the bag.
"""

# ruff: noqa: RUF005 - adding a tuple to an outline moves it; nothing is concatenated

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from xai_detect.errors import InputError
from xai_detect.xray.things.outlines import (
    Number,
    Outline,
    band,
    blob,
    ellipse,
    moved,
    rectangle,
    scaled,
    spline,
)
from xai_detect.xray.things.solids import Item, Part, Prism, Wire
from xai_detect.xray.things.textures import soft_sheet


@dataclass(frozen=True, slots=True)
class Bag:
    """A shell and the room inside it.

    Attributes:
        shell: The bag itself.
        room: Half width and half height in mm of the rectangle in which items may be centred.
    """

    shell: Item
    room: tuple[float, float]


def _ring(outline: Outline, material: str, depth: Number, share: Number) -> Prism:
    """The standing wall of a bag seen edge-on: a rim of the outline, ``depth`` mm tall."""
    return Prism(material, outline, -depth / 2, depth / 2, (scaled(outline, 1 - share),))


def _pulls(outline: Outline, count: int, rng: np.random.Generator) -> list[Part]:
    """Metal zip pulls hanging near the rim."""
    parts: list[Part] = []
    for index in rng.integers(0, len(outline), count):
        turn = rng.uniform(0, 2 * np.pi)
        pull = moved(rectangle(24, 8, 3), 0, 0, turn) + outline[index] * rng.uniform(0.8, 1.05)
        parts += [
            Prism("aluminium", pull, -1.5, 1.5, (scaled(pull, 0.45),)),
            Prism("steel", moved(rectangle(9, 8, 1), 0, 0, turn) + pull[0], -2, 2),
        ]
    return parts


def _zip(outline: Outline, share: Number, rng: np.random.Generator) -> list[Part]:
    """A metal or plastic zip along part of the rim."""
    start, count = int(rng.integers(len(outline))), int(len(outline) * rng.uniform(0.4, 0.9))
    loop = np.roll(scaled(outline, share), -start, axis=0)[:count]
    path = np.column_stack([loop, np.zeros(len(loop))])
    return [Wire(("pmma", "aluminium", "pvc")[rng.integers(3)], path, rng.uniform(2.5, 4.5))]


def suitcase(rng: np.random.Generator) -> Bag:
    """Trolley case: shell, frame, two telescopic rods, wheels, lining, zip."""
    width, height = rng.uniform(460, 590), rng.uniform(320, 400)
    rim = rectangle(width, height, 35)
    shell = ("pmma", "polyethylene", "aluminium")[rng.choice(3, p=[0.5, 0.4, 0.1])]
    wall = 1.0 if shell == "aluminium" else 2.4
    parts: list[Part] = [
        Prism(shell, rim, -100, -100 + wall),
        Prism(shell, rim, 100 - wall, 100),
        _ring(rim, shell, 45, 0.012),
        _ring(scaled(rim, 0.98), "cellulose", 60, 0.025),
        soft_sheet("cellulose", scaled(rim, 0.97), 9, rng, 0.7, 4),
    ]
    rods = rng.uniform(0.18, 0.3) * height
    for y in (-rods, rods):
        parts.append(
            Prism("aluminium", rectangle(width * 0.94, rng.uniform(12, 20), 2) + (0, y), -1.6, 1.6)
        )
        for x in (-width / 2 - 8,):
            parts += [
                Prism("polyethylene", ellipse(34, 42, 24) + (x, y * 1.4), -14, 14),
                Prism("steel", ellipse(12, 12, 14) + (x, y * 1.4), -12, 12),
            ]
    parts.append(Prism("steel", band([(width / 2 - 4, -rods), (width / 2 - 4, rods)], 8), -3, 3))
    for _ in range(int(rng.integers(4, 14))):
        place = rim[rng.integers(len(rim))] * rng.uniform(0.88, 0.97) * rng.uniform(0.6, 1.0, 2)
        parts.append(Prism("steel", ellipse(8, 8, 10) + place, -4, 4))
    parts += _zip(rim, 1.0, rng) + _pulls(rim, 3, rng)
    return Bag(Item("suitcase", tuple(parts), shell), (width * 0.36, height * 0.32))


def soft_shell(rim: Outline, depth: Number, rng: np.random.Generator) -> list[Part]:
    """Cloth or leather walls ``depth`` mm tall: rim, padding, piping, zip and pulls."""
    parts: list[Part] = [
        _ring(rim, "pmma", depth * 0.25, 0.016),
        soft_sheet("cellulose", rim, rng.uniform(7, 14), rng, 0.5, 5),
        Prism("polyethylene", rim, 0, 1.2),
    ]
    for share in rng.uniform(0.55, 0.97, int(rng.integers(2, 5))):
        loop = scaled(rim, float(share)) + rng.normal(0, 8, 2)
        closed = np.concatenate([loop, loop[:1]])
        path = np.column_stack([closed, np.zeros(len(closed))])
        parts.append(
            Wire(("pmma", "pvc", "polyethylene")[rng.integers(3)], path, rng.uniform(2.0, 4.0))
        )
    return parts + _zip(rim, 0.96, rng) + _pulls(rim, int(rng.integers(2, 7)), rng)


def backpack(rng: np.random.Generator) -> Bag:
    """Rucksack: soft body, pockets, piping, zips, two straps with buckles."""
    width, height = rng.uniform(400, 500), rng.uniform(290, 360)
    rim = blob(width, height, 0.025, rng)
    parts = soft_shell(rim, 120, rng)
    for side in (-1, 1):
        path = spline(
            [
                (width * 0.45, side * 40),
                (width * 0.65, side * rng.uniform(60, 160)),
                (width * 0.3, side * (height * 0.62)),
                (-width * 0.35, side * height * 0.5),
            ],
            40,
        )
        parts.append(Prism("cellulose", band(path, 38), -7, 7))
        parts.append(Prism("polyethylene", band(path, 24), -1, 1))
        buckle = rectangle(30, 26, 3) + path[30]
        parts.append(Prism("aluminium", buckle, -2, 2, (scaled(buckle, 0.6),)))
    return Bag(Item("backpack", tuple(parts), "cellulose"), (width * 0.32, height * 0.29))


def handbag(rng: np.random.Generator) -> Bag:
    """Handbag: leather walls, frame, two handles, metal rings."""
    width, height = rng.uniform(300, 420), rng.uniform(220, 310)
    rim = blob(width, height, 0.03, rng)
    parts = soft_shell(rim, 110, rng)
    for offset in (0.0, rng.uniform(8, 25)):
        path = spline(
            [
                (-width * 0.28, -height * 0.45),
                (-width * 0.2, -height * 0.8 - offset),
                (width * 0.2, -height * 0.8 - offset),
                (width * 0.28, -height * 0.45),
            ],
            40,
        )
        parts.append(Prism("pmma", band(path, 13), -6, 6))
    for x in (-0.28, 0.28):
        ring = ellipse(26, 26, 24) + (x * width, -height * 0.43)
        parts.append(Prism("brass", ring, -1.6, 1.6, (scaled(ring, 0.7),)))
    return Bag(Item("handbag", tuple(parts), "pmma"), (width * 0.33, height * 0.3))


def briefcase(rng: np.random.Generator) -> Bag:
    """Document case: padded walls, compartments, handle, locks."""
    width, height = rng.uniform(390, 460), rng.uniform(290, 340)
    rim = rectangle(width, height, 28)
    parts = soft_shell(rim, 100, rng)
    path = spline(
        [(-65, -height / 2), (-55, -height / 2 - 45), (55, -height / 2 - 45), (65, -height / 2)], 30
    )
    parts.append(Prism("pmma", band(path, 20), -7, 7))
    for x in (-width * 0.3, width * 0.3):
        parts.append(Prism("steel", rectangle(26, 16, 3) + (x, -height * 0.46), -2, 2))
    return Bag(Item("briefcase", tuple(parts), "cellulose"), (width * 0.36, height * 0.32))


def tray(rng: np.random.Generator) -> Bag:
    """Security tray: plastic floor, slanted walls, rim with ribs."""
    width, height = rng.uniform(500, 580), rng.uniform(360, 430)
    rim = rectangle(width, height, 24)
    lean = rng.uniform(-0.03, 0.03, 2) * (width, height)
    floor = scaled(rim, 0.9) + lean
    parts: list[Part] = [
        Prism("polyethylene", rim, 0, 2.4),
        Prism("polyethylene", rim, 0, rng.uniform(4, 9), (floor,)),
        _ring(rim, "polyethylene", 20, 0.02),
        _ring(floor, "polyethylene", 16, 0.008),
    ]
    parts += [
        Prism("polyethylene", rectangle(5, 10) + (x * width, -height / 2), 0, 22)
        for x in np.linspace(-0.4, 0.4, 5)
    ]
    return Bag(Item("tray", tuple(parts), "polyethylene"), (width * 0.36, height * 0.34))


def parcel(rng: np.random.Generator) -> Bag:
    """Cardboard box with flaps, tape and filling."""
    width, height = rng.uniform(320, 520), rng.uniform(240, 380)
    rim = rectangle(width, height, 3)
    parts: list[Part] = [
        Prism("cellulose", rim, -80, -76),
        Prism("cellulose", rim, 76, 80),
        _ring(rim, "cellulose", 160, 0.016),
        Prism("cellulose", rectangle(width, height * 0.5) + (0, height * 0.22), 70, 76),
        Prism("polyethylene", rectangle(width * 1.02, 50), 80, 81),
        soft_sheet("polyethylene", scaled(rim, 0.95), 4, rng, 0.9, 4),
    ]
    return Bag(Item("parcel", tuple(parts), "cellulose"), (width * 0.36, height * 0.34))


#: Bag kind to builder.
BAGS: Mapping[str, Callable[[np.random.Generator], Bag]] = MappingProxyType(
    {
        "suitcase": suitcase,
        "backpack": backpack,
        "handbag": handbag,
        "briefcase": briefcase,
        "tray": tray,
        "parcel": parcel,
    }
)


def build_bag(kind: str, rng: np.random.Generator) -> Bag:
    """One bag of a kind, its sizes and materials drawn from ``rng``.

    Raises:
        InputError: If there is no such kind.
    """
    if kind not in BAGS:
        raise InputError(f"no bag {kind!r}; expected one of {', '.join(BAGS)}")
    return BAGS[kind](rng)
