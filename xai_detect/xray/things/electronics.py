"""Electronic things a passenger may carry."""

# ruff: noqa: RUF005 - adding a tuple to an outline moves it; nothing is concatenated

import numpy as np

from xai_detect.xray.things.outlines import (
    Number,
    Outline,
    band,
    ellipse,
    moved,
    rectangle,
    scaled,
    spline,
)
from xai_detect.xray.things.solids import Item, Lathe, Part, Prism, Wire


def board(outline: Outline, rng: np.random.Generator, chips: int) -> list[Part]:
    """Circuit board of glass fibre and copper with chips, capacitors and connectors."""
    low, high = outline.min(axis=0), outline.max(axis=0)
    parts: list[Part] = [Prism("glass", outline, -0.6, 0.4), Prism("copper", outline, 0.4, 0.47)]
    for _ in range(chips):
        place = low + (high - low) * rng.uniform(0.06, 0.94, 2)
        size = rng.uniform(3, 15, 2)
        metal = ("copper", "steel", "aluminium", "glass", "lead")[
            rng.choice(5, p=[0.35, 0.2, 0.2, 0.2, 0.05])
        ]
        top = {"copper": 0.5, "steel": 0.9, "aluminium": 3.0, "glass": 2.5, "lead": 0.15}[metal]
        parts.append(
            Prism(metal, rectangle(size[0], size[1]) + place, 0, top * rng.uniform(0.5, 1.4))
        )
    return parts


def laptop(rng: np.random.Generator) -> Item:
    """Laptop: shells, screen, board, battery cells, drive, fan, heat pipe, hinges."""
    width = rng.uniform(280, 370)
    height = width * rng.uniform(0.65, 0.72)
    case = "aluminium" if rng.random() < 0.5 else "pmma"
    wall = 0.8 if case == "aluminium" else 1.8
    rim = rectangle(width, height, 10)
    main = rectangle(width * rng.uniform(0.5, 0.75), height * 0.45, 3) + (
        rng.uniform(-20, 20),
        -height * 0.22,
    )
    parts: list[Part] = [
        *(Prism(case, rim, z, z + wall) for z in (-10.0, -3.0, 3.0, 8.0)),
        Prism("glass", scaled(rim, 0.94), 6, 7.1),
        *board(main, rng, 34),
    ]
    cells = int(rng.integers(3, 7))
    for index in range(cells):
        x = (index - (cells - 1) / 2) * width * 0.8 / cells
        cell = rectangle(width * 0.74 / cells, height * 0.3, 2) + (x, height * 0.26)
        parts += [Prism("lithium_cobalt", cell, 0, 1.0), Prism("copper", cell, 0, 0.12)]
    fan = ellipse(45, 45, 30) + (-width * 0.33, -height * 0.3)
    parts += [
        Prism("copper", fan, 0, 0.4, (scaled(fan, 0.45),)),
        Prism("steel", scaled(fan, 0.3), 0, 4),
        Prism(
            "copper",
            band(
                [(-width * 0.3, -height * 0.36), (0, -height * 0.4), (width * 0.1, -height * 0.2)],
                7,
            ),
            0,
            1.5,
        ),
        *(
            Prism("steel", rectangle(30, 8, 2) + (s * width * 0.35, -height * 0.48), -4, 4)
            for s in (-1, 1)
        ),
    ]
    if rng.random() < 0.5:
        drive = rectangle(98, 68, 3) + (width * 0.28, -height * 0.1)
        parts += [
            Prism("aluminium", drive, -4, 2),
            Prism("steel", ellipse(62, 62, 36) + drive.mean(axis=0), 0, 0.8),
        ]
    return Item("laptop", tuple(parts), case)


def tablet(rng: np.random.Generator) -> Item:
    """Tablet: glass, aluminium back, two flat cells, narrow board."""
    width, height = rng.uniform(190, 250), rng.uniform(130, 175)
    rim = rectangle(width, height, 10)
    parts: list[Part] = [
        Prism("glass", rim, 2, 3.2),
        Prism("aluminium", rim, -3, -2.2),
        Prism("aluminium", rim, -3, 3, (scaled(rim, 0.97),)),
        *board(rectangle(width * 0.2, height * 0.8) - (width * 0.36, 0), rng, 16),
        *(
            Prism(
                "lithium_cobalt", rectangle(width * 0.3, height * 0.8, 3) + (x * width, 0), -1, 0.1
            )
            for x in (-0.05, 0.28)
        ),
    ]
    return Item("tablet", tuple(parts), "glass")


def phone(rng: np.random.Generator) -> Item:
    """Smartphone: glass, frame, one cell, board, camera, speaker magnet."""
    length, width = rng.uniform(125, 165), rng.uniform(60, 78)
    rim = rectangle(length, width, 9)
    cell = rectangle(length * 0.52, width * 0.62, 3) - (length * 0.12, width * 0.1)
    parts: list[Part] = [
        Prism("glass", rim, 2.5, 4.2),
        Prism("aluminium", rim, -3.5, -2.8),
        Prism("aluminium", rim, -3.5, 3.5, (scaled(rim, 0.95),)),
        Prism("lithium_cobalt", cell, 0, 1.8),
        Prism("copper", cell, 0, 0.2),
        *board(rectangle(length * 0.27, width * 0.85) + (length * 0.34, 0), rng, 14),
        Prism("steel", ellipse(11, 11, 16) + (length * 0.42, -width * 0.28), 0, 3),
        Prism("steel", rectangle(14, 10, 1) + (-length * 0.43, width * 0.2), 0, 2),
    ]
    return Item("phone", tuple(parts), "glass")


def _cord(length: float, rng: np.random.Generator) -> np.ndarray:
    """A loosely coiled path ``(n, 3)``."""
    angle = np.linspace(0, rng.uniform(3, 8) * np.pi, 130)
    radius = length / 12 * (1 + 0.25 * np.sin(angle * rng.uniform(0.3, 0.9)))
    drift = np.outer(angle / angle[-1], rng.normal(0, length / 14, 2))
    x, y = radius * np.cos(angle) * rng.uniform(0.6, 1.5), radius * np.sin(angle)
    return np.column_stack([x + drift[:, 0], y + drift[:, 1], np.zeros(len(angle))])


def cable(rng: np.random.Generator) -> Item:
    """Coiled cable with two plugs."""
    path = _cord(rng.uniform(400, 800), rng)
    gauge = rng.uniform(0.8, 1.8)
    plugs = tuple(
        part
        for end in (path[0, :2], path[-1, :2])
        for part in (
            Prism("pvc", rectangle(22, 12, 3) + end, -3, 3),
            Prism("steel", rectangle(16, 9, 1) + end, -2, -0.8),
        )
    )
    return Item(
        "cable", (Wire("copper", path, gauge), Wire("pvc", path, gauge * 2.6), *plugs), "copper"
    )


def charger(rng: np.random.Generator) -> Item:
    """Plug-in charger: transformer, capacitors, prongs, cord."""
    size = rng.uniform(38, 70, 2)
    rim = rectangle(size[0], size[1], 7)
    path = _cord(rng.uniform(300, 500), rng) * 0.8 + (size[0] * 0.8, 0, 0)
    core = rectangle(size[0] * 0.34, size[1] * 0.4, 2)
    parts: list[Part] = [
        Prism("pvc", rim, -14, 14, (scaled(rim, 0.9),)),
        Prism("pmma", rim, -14, -12),
        Prism("pmma", rim, 12, 14),
        Prism("steel", core, -5, 3),
        Prism("copper", scaled(core, 0.7), -3, 2),
        *board(scaled(rim, 0.85), rng, 8),
        *(
            Prism("aluminium", ellipse(9, 9, 16) + xy, -6, 6)
            for xy in rng.uniform(-0.35, 0.35, (3, 2)) * size
        ),
        *(
            Lathe("brass", (-19, 0), (2.3, 2.3), None, (-float(size[0]) / 2, y, 0.0))
            for y in (-9.5, 9.5)
        ),
        Wire("copper", path, 1.3),
        Wire("pvc", path, 3.4),
    ]
    return Item("charger", tuple(parts), "copper")


def headphones(rng: np.random.Generator) -> Item:
    """Over-ear headphones: sprung band, two cups with magnets, cord."""
    angle = np.linspace(0, np.pi, 30)
    radius = rng.uniform(70, 85)
    bow = np.stack([radius * np.cos(angle), -radius * np.sin(angle)], axis=1)
    parts: list[Part] = [Prism("pmma", band(bow, 8), -9, 9), Prism("steel", band(bow, 3), -5, 5)]
    for x in (-radius, radius):
        cup = ellipse(42, 74, 30) + (x, 12)
        parts += [
            Prism("pmma", cup, -16, -12),
            Prism("pmma", cup, 12, 16),
            Prism("polyethylene", cup, -10, 10, (scaled(cup, 0.55),)),
            Prism("steel", ellipse(24, 24, 24) + (x, 12), -3, 3),
            Prism("copper", ellipse(14, 14, 20) + (x, 12), -1, 1),
        ]
    return Item("headphones", tuple(parts), "pmma")


def mouse(rng: np.random.Generator) -> Item:
    """Computer mouse with board, wheel, sometimes two batteries."""
    length = rng.uniform(90, 118)
    rim = ellipse(length, length * 0.58, 36)
    parts: list[Part] = [
        Prism("pmma", rim, 0, 30, (scaled(rim, 0.93),)),
        Prism("pmma", rim, 0, 4),
        *board(scaled(rim, 0.7), rng, 9),
        Lathe("polyethylene", (-4, 4), (11, 11), None, (length * 0.25, 0, 0), np.pi / 2),
    ]
    if rng.random() < 0.5:
        parts += battery(rng, -length * 0.12, 0).parts
    return Item("mouse", tuple(parts), "pmma")


def battery(rng: np.random.Generator, x: Number = 0.0, y: Number = 0.0) -> Item:
    """Alkaline cell: steel can, zinc and manganese inside (as brass of low density)."""
    radius, half = (7.2, 25.0) if rng.random() < 0.6 else (5.2, 22.0)
    parts = (
        Lathe("steel", (-half, half), (radius, radius), 0.35, (x, y, 0.0)),
        Lathe("salt", (-half + 2, half - 2), (radius - 0.5, radius - 0.5), None, (x, y, 0.0)),
        Lathe("brass", (-half, half - 6), (1.2, 1.2), None, (x, y, 0.0)),
        Lathe("steel", (half, half + 2), (2.5, 2.5), None, (x, y, 0.0)),
    )
    return Item("battery", parts, "steel")


def camera(rng: np.random.Generator) -> Item:
    """Compact or system camera: metal body, lens stack, board, battery."""
    width, height = rng.uniform(95, 135), rng.uniform(62, 92)
    rim = rectangle(width, height, 8)
    lens = ellipse(height * 0.72, height * 0.72, 36) + (width * 0.12, 0)
    parts: list[Part] = [
        Prism("aluminium", rim, -16, -14.5),
        Prism("pmma", rim, 14, 17),
        Prism("pmma", rim, -15, 15, (scaled(rim, 0.94),)),
        Prism("aluminium", lens, -5, 25, (scaled(lens, 0.86),)),
        *(Prism("glass", scaled(lens, s), 0, t) for s, t in ((0.8, 5.0), (0.66, 4.0), (0.45, 4.0))),
        *board(scaled(rim, 0.86), rng, 18),
        Prism("lithium_cobalt", rectangle(28, height * 0.6, 2) - (width * 0.35, 0), 0, 1.8),
    ]
    return Item("camera", tuple(parts), "aluminium")


def hair_dryer(rng: np.random.Generator) -> Item:
    """Hair dryer: motor, heater coil on mica, switch, handle, cord."""
    length = rng.uniform(170, 230)
    handle = moved(rectangle(34, 125, 12), -length * 0.2, 78, rng.uniform(-0.2, 0.1))
    coil = np.linspace(0, 9 * 2 * np.pi, 120)
    heater = np.column_stack(
        [np.linspace(10, length * 0.4, 120), 22 * np.sin(coil), 22 * np.cos(coil)]
    )
    x = length / 2
    parts: list[Part] = [
        Lathe("pmma", (-x, -x + 30, x - 20, x), (30, 38, 30, 24), 2.4),
        Prism("pmma", handle, -15, 15, (scaled(handle, 0.88),)),
        Lathe("steel", (-x + 35, -x + 70), (15, 15)),
        Lathe("copper", (-x + 40, -x + 64), (9, 9), 2),
        Wire("steel", heater, 1.2),
        Prism("copper", rectangle(14, 20, 1) + handle.mean(axis=0), -4, 4),
        Wire("copper", spline_cord(handle.mean(axis=0), rng), 2.4),
    ]
    return Item("hair_dryer", tuple(parts), "pmma")


def spline_cord(start: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A cord wandering away from ``start``, as a path ``(n, 3)``."""
    steps = rng.normal(0, 45, (6, 2)).cumsum(axis=0) + start + (0, 60)
    path = spline(np.concatenate([[start], steps]), 60)
    return np.column_stack([path, np.zeros(len(path))])


def watch(rng: np.random.Generator) -> Item:
    """Wrist watch with case, movement and strap."""
    size = rng.uniform(34, 46)
    case = ellipse(size, size, 30)
    strap = band([(-size * 2, 0), (size * 2, 0)], 19)
    metal = rng.random() < 0.5
    parts: tuple[Part, ...] = (
        Prism("steel", case, -4, 4, (scaled(case, 0.82),)),
        Prism("steel", case, -4, -2.8),
        Prism("brass", scaled(case, 0.6), -1, 0.6),
        Prism("glass", case, 3, 4.5),
        Prism("steel" if metal else "pmma", strap, -1.0 if metal else -2, 0.6 if metal else 2),
    )
    return Item("watch", parts, "steel")
