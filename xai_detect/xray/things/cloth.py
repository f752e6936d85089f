"""Things that are worn or held: cloth, leather, spectacles, umbrella."""

# ruff: noqa: RUF005 - adding a tuple to an outline moves it; nothing is concatenated
import numpy as np

from xai_detect.xray.things.outlines import band, blob, ellipse, rectangle, scaled, spline
from xai_detect.xray.things.solids import Item, Lathe, Part, Prism, Wire
from xai_detect.xray.things.textures import soft_sheet


def shirt(rng: np.random.Generator) -> Item:
    """Folded shirt or blouse with a row of buttons."""
    rim = blob(rng.uniform(180, 300), rng.uniform(150, 250), 0.06, rng)
    y = rng.uniform(-30, 30)
    buttons: tuple[Part, ...] = tuple(
        Prism("melamine", ellipse(10, 10, 12) + (float(x), y), -1, 1)
        for x in np.arange(-70, 80, 32)
    )
    cloth = soft_sheet("cellulose", rim, rng.uniform(6, 22), rng)
    return Item("shirt", (cloth, *(buttons if rng.random() < 0.6 else ())), "cellulose")


def trousers(rng: np.random.Generator) -> Item:
    """Folded trousers with rivets, a zip and a button."""
    rim = blob(rng.uniform(220, 330), rng.uniform(130, 210), 0.05, rng)
    cloth = soft_sheet("cellulose", rim, rng.uniform(12, 30), rng, 0.5)
    zip_path = np.array([(20, 30, 0), (75, 34, 0.0)])
    parts: list[Part] = [cloth, Wire("brass", zip_path, 2.2)]
    parts += [Prism("brass", ellipse(8, 8, 12) + xy, -1, 1) for xy in rng.uniform(-60, 60, (4, 2))]
    return Item("trousers", tuple(parts), "cellulose")


def towel(rng: np.random.Generator) -> Item:
    """Rolled or folded towel."""
    rim = blob(rng.uniform(160, 320), rng.uniform(90, 200), 0.05, rng)
    return Item(
        "towel", (soft_sheet("cellulose", rim, rng.uniform(25, 60), rng, 0.45),), "cellulose"
    )


def shoe(rng: np.random.Generator) -> Item:
    """Shoe on its sole: profiled rubber sole, upper, eyelets, sometimes a steel shank."""
    length = rng.uniform(230, 300)
    width = length * rng.uniform(0.32, 0.38)
    path = [
        (-length / 2, 0),
        (-length * 0.2, 2),
        (length * 0.15, 0),
        (length * 0.38, -4),
        (length / 2, -6),
    ]
    outline = band(
        spline(path, 20),
        np.interp(
            np.linspace(0, 1, 20),
            [0, 0.1, 0.4, 0.75, 0.95, 1],
            [width * 0.45, width * 0.7, width * 0.66, width, width * 0.6, width * 0.25],
        ),
    )
    grooves = tuple(
        Prism("polyethylene", band([(x, -width * 0.3), (x + 8, width * 0.28)], 6), 0, 6)
        for x in np.arange(-length * 0.42, length * 0.42, 15)
    )
    parts: list[Part] = [
        Prism("polyethylene", outline, 0, rng.uniform(8, 14)),
        *grooves,
        Prism("pmma", outline, 0, 22, (scaled(outline, 0.9),)),
        soft_sheet("cellulose", outline, 14, rng, 0.4),
        *(
            Prism("brass", ellipse(5, 5, 10) + (length * 0.12 + i * 11, s * 13), -1, 1)
            for i in range(4)
            for s in (-1, 1)
        ),
    ]
    if rng.random() < 0.5:
        parts.append(Prism("steel", rectangle(length * 0.35, 12, 4) - (length * 0.12, 0), 0, 1.2))
    return Item("shoe", tuple(parts), "polyethylene")


def belt(rng: np.random.Generator) -> Item:
    """Rolled leather belt with a metal buckle."""
    turns = rng.uniform(1.5, 2.5)
    angle = np.linspace(0, 2 * np.pi * turns, 90)
    radius = 35 + 5 * angle / (2 * np.pi)
    path = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    buckle = rectangle(46, 38, 6) + path[-1]
    parts = (
        Prism("pmma", band(path, 4), -16, 16),
        Prism("steel", buckle, -2, 2, (scaled(buckle, 0.72),)),
        Wire("steel", np.column_stack([path[-1] + [(-20, 0), (20, 0)], [0, 0.0]]), 3.5),
    )
    return Item("belt", parts, "pmma")


def umbrella(rng: np.random.Generator) -> Item:
    """Folded umbrella: steel shaft, eight ribs, cloth, handle."""
    length = rng.uniform(220, 330)
    x = length / 2
    ribs = tuple(
        Wire("steel", np.array([(-x + 30, y * 0.5, z * 0.5), (0, y, z), (x - 30, y * 0.7, z)]), 2.2)
        for y, z in ((-14, -8), (-9, 6), (-4, -10), (2, 9), (7, -6), (12, 4), (16, 0), (-17, 2))
    )
    parts: tuple[Part, ...] = (
        Lathe("steel", (-x + 20, x - 20), (4.5, 4.0), 0.9),
        *ribs,
        Lathe("polyethylene", (-x + 40, x - 20), (24, 19), 4),
        Lathe("pmma", (-x, -x + 50), (13, 14), 4),
        Lathe("steel", (x - 24, x - 10), (6, 6)),
    )
    return Item("umbrella", parts, "steel")


def glasses(rng: np.random.Generator) -> Item:
    """Spectacles: two lenses, metal or plastic frame, folded arms."""
    frame = "steel" if rng.random() < 0.5 else "pmma"
    thick = 1.6 if frame == "steel" else 4.0
    parts: list[Part] = []
    for x in (-34, 34):
        lens = ellipse(52, rng.uniform(36, 46), 30) + (x, 0)
        parts += [
            Prism("pmma", lens, -1, 1),
            Prism(frame, scaled(lens, 1.08), -thick, thick, (lens,)),
        ]
    parts += [
        Wire(frame, np.array([(-9, -6, 0), (0, -9, 0), (9, -6, 0.0)]), thick * 1.4),
        Wire("steel", np.array([(-62, -10, 4), (40, 10, 6.0)]), 2.4),
        Wire("steel", np.array([(62, -10, 4), (-40, 14, 6.0)]), 2.4),
    ]
    return Item("glasses", tuple(parts), frame)
