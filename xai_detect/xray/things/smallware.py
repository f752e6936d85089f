"""Books, keys, coins, pens and the tools that are allowed."""

# ruff: noqa: RUF005 - adding a tuple to an outline moves it; nothing is concatenated
import numpy as np

from xai_detect.xray.things.outlines import band, ellipse, moved, polygon, rectangle, scaled
from xai_detect.xray.things.solids import Item, Lathe, Part, Prism, Wire


def book(rng: np.random.Generator) -> Item:
    """Book: page block between thicker covers."""
    width, height = rng.uniform(120, 210), rng.uniform(160, 280)
    pages = rng.uniform(10, 45)
    parts = (
        Prism("cellulose", rectangle(width, height, 1), -pages / 2, pages / 2),
        Prism("cellulose", rectangle(width + 6, height + 6, 1), -pages / 2 - 3, -pages / 2),
        Prism("cellulose", rectangle(width + 6, height + 6, 1), pages / 2, pages / 2 + 3),
        Prism("cellulose", rectangle(7, height + 6) - (width / 2, 0), -pages / 2, pages / 2),
    )
    return Item("book", parts, "cellulose")


def keys(rng: np.random.Generator) -> Item:
    """Ring with two to five keys."""
    parts: list[Part] = []
    angle = np.linspace(0, 2 * np.pi, 30)
    ring = np.stack([14 * np.cos(angle), 14 * np.sin(angle), np.zeros(30)], axis=1)
    parts.append(Wire("steel", ring, 3.0))
    for _ in range(int(rng.integers(2, 6))):
        turn, length = rng.uniform(0, 2 * np.pi), rng.uniform(28, 42)
        head = ellipse(22, 20, 16) + (25, 0)
        teeth = rng.uniform(3, 7, 9)
        x = np.linspace(34, 34 + length, 9)
        shaft = polygon([*zip(x, -np.full(9, 4.0), strict=True), *zip(x[::-1], teeth, strict=True)])
        metal = "brass" if rng.random() < 0.5 else "steel"
        parts += [
            Prism(
                metal,
                moved(head, 0, 0, turn),
                -1,
                1,
                (moved(ellipse(6, 6, 10) + (19, 0), 0, 0, turn),),
            ),
            Prism(metal, moved(shaft, 0, 0, turn), -1, 1),
        ]
    return Item("keys", tuple(parts), "brass")


def coins(rng: np.random.Generator) -> Item:
    """A handful of coins, some overlapping."""
    parts = tuple(
        Prism(
            ("copper", "brass", "steel")[rng.integers(3)],
            ellipse(d, d, 24) + rng.uniform(-30, 30, 2),
            0,
            1.8,
        )
        for d in rng.uniform(16, 26, int(rng.integers(3, 10)))
    )
    return Item("coins", parts, "copper")


def toothbrush(rng: np.random.Generator) -> Item:
    """Toothbrush with bristles held by brass staples."""
    length = rng.uniform(160, 195)
    path = [(-length / 2, 0), (0, 2), (length * 0.3, 0), (length / 2, 0)]
    head = rectangle(26, 11, 4) + (length / 2 - 14, 0)
    parts = (
        Prism("polyethylene", band(path, (11, 13, 6, 8)), -4, 4),
        Prism("polyethylene", head, 0, 14),
        Prism("brass", scaled(head, 0.8), 0, 0.25),
    )
    return Item("toothbrush", parts, "polyethylene")


def pens(rng: np.random.Generator) -> Item:
    """One to five pens with metal tips and springs."""
    parts: list[Part] = []
    for _ in range(int(rng.integers(1, 6))):
        turn, y = rng.uniform(-0.25, 0.25), rng.uniform(-25, 25)
        place = (float(rng.uniform(-10, 10)), float(y), 0.0)
        metal = "brass" if rng.random() < 0.5 else "steel"
        parts += [
            Lathe("polyethylene", (-70, 66), (4.8, 4.8), 1.4, place, turn),
            Lathe(metal, (60, 72), (3.0, 0.8), None, place, turn),
            Lathe("steel", (-66, -30), (1.0, 1.0), None, (place[0], place[1] + 5, 0.0), turn),
        ]
    return Item("pens", tuple(parts), "polyethylene")


def screwdriver(rng: np.random.Generator) -> Item:
    """Small screwdriver below the length limit: an allowed tool."""
    shaft, handle = rng.uniform(45, 75), rng.uniform(60, 80)
    radius = rng.uniform(9, 13)
    parts = (
        Lathe("steel", (0, shaft - 5, shaft), (2.4, 2.4, 1.0)),
        Lathe("steel", (-25, 0), (2.4, 2.4)),
        Lathe(
            "pmma",
            (-handle, -handle + 5, -handle * 0.3, 0),
            (radius * 0.8, radius, radius * 0.9, radius * 0.6),
        ),
    )
    return Item("screwdriver", parts, "pmma")


def tape_measure(rng: np.random.Generator) -> Item:
    """Steel tape rolled in a plastic case: an allowed tool."""
    size = rng.uniform(55, 75)
    case = rectangle(size, size, 16)
    roll = ellipse(size * 0.78, size * 0.78, 36)
    parts = (
        Prism("pmma", case, -17, -14),
        Prism("pmma", case, 14, 17),
        Prism("steel", roll, -2.2, 2.2, (ellipse(size * 0.35, size * 0.35, 24),)),
        Prism("steel", ellipse(8, 8, 12), -10, 10),
        Prism("steel", moved(rectangle(5, 16), size / 2 + 2, size * 0.35), -1, 1),
    )
    return Item("tape_measure", parts, "steel")
