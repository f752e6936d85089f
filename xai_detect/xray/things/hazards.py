"""Tools and pressurised, burning or electric items that a screener must stop."""

# ruff: noqa: RUF005 - adding a tuple to an outline moves it; nothing is concatenated

import numpy as np

from xai_detect.xray.things.outlines import band, ellipse, moved, polygon, rectangle, scaled
from xai_detect.xray.things.solids import Item, Lathe, Prism, Wire


def wrench(rng: np.random.Generator) -> Item:
    """Combination or open-ended wrench, 130 to 280 mm, forged steel."""
    length = rng.uniform(130, 280)
    head = length * rng.uniform(0.14, 0.19)
    jaw = head * rng.uniform(0.42, 0.55)
    thick = rng.uniform(4.5, 9)
    tilt = rng.uniform(0.1, 0.4)
    end = length / 2 - head / 2
    open_end = ellipse(head * 1.05, head, 30)
    jaw_outline = moved(_bitten(open_end, jaw), end, 0, tilt)
    handle = band(
        [(-end, 0), (0, 0), (end - head * 0.25, 0)], (head * 0.42, head * 0.36, head * 0.46)
    )
    parts = [
        Prism("steel", jaw_outline, -thick / 2, thick / 2),
        Prism("steel", handle, -thick * 0.4, thick * 0.4),
    ]
    if rng.random() < 0.6:
        hexagon = ellipse(head * 0.6, head * 0.6, 12)
        parts.append(
            Prism(
                "steel",
                ellipse(head * 0.95, head * 0.95, 30) - (end, 0),
                -thick / 2,
                thick / 2,
                (hexagon - (end, 0),),
            )
        )
    else:
        second = moved(_bitten(open_end * 0.9, jaw * 0.85), -end, 0, np.pi + tilt)
        parts.append(Prism("steel", second, -thick / 2, thick / 2))
    return Item("wrench", tuple(parts), "steel")


def _bitten(outline: np.ndarray, jaw: float) -> np.ndarray:
    """The outline with a rectangular mouth of width ``jaw`` cut in from +x."""
    reach = outline[:, 0].max()
    keep = outline[~((np.abs(outline[:, 1]) < jaw / 2) & (outline[:, 0] > 0))]
    angle = np.arctan2(keep[:, 1], keep[:, 0])
    keep = keep[np.argsort(np.mod(angle, 2 * np.pi))]
    mouth = polygon(
        [
            (reach * 0.75, -jaw / 2),
            (-reach * 0.05, -jaw / 2),
            (-reach * 0.05, jaw / 2),
            (reach * 0.75, jaw / 2),
        ]
    )
    return np.concatenate([keep, mouth])


def hammer(rng: np.random.Generator) -> Item:
    """Claw or cross-peen hammer, 220 to 340 mm, wood or steel handle."""
    length = rng.uniform(220, 340)
    head = rng.uniform(85, 125)
    wide = rng.uniform(20, 28)
    handle = ("cellulose", "cellulose", "steel", "pmma")[rng.integers(4)]
    half = rng.uniform(5, 7) if handle == "steel" else rng.uniform(11, 15)
    top = -length / 2
    face = rectangle(wide, head * 0.3, 3) + (top, head * 0.32)
    neck = rectangle(wide * 0.75, head * 0.45, 2) + (top, 0)
    claw = polygon(
        [
            (top - wide / 2, -head * 0.15),
            (top + wide * 0.4, -head * 0.2),
            (top + wide * 0.9, -head * 0.6),
            (top + wide * 0.55, -head * 0.58),
            (top - wide * 0.4, -head * 0.38),
        ]
    )
    parts: tuple[Prism | Lathe, ...] = (
        Prism("steel", face, -wide * 0.42, wide * 0.42),
        Prism("steel", neck, -wide * 0.34, wide * 0.34),
        Prism("steel", claw, -wide * 0.4, -wide * 0.1),
        Prism("steel", claw, wide * 0.1, wide * 0.4),
        Lathe(
            handle,
            (top, -length * 0.1, length / 2 - 8, length / 2),
            (half * 0.85, half * 0.9, half * 1.2, half * 0.8),
        ),
    )
    if handle != "cellulose":
        parts = (
            *parts,
            Lathe("polyethylene", (length * 0.1, length / 2), (half * 1.35, half * 1.45), 3.5),
        )
    return Item("hammer", parts, "steel")


def power_bank(rng: np.random.Generator) -> Item:
    """Power bank: 1 to 4 round or flat lithium cells, circuit board, metal or plastic shell."""
    cells = int(rng.integers(1, 5))
    shell = "aluminium" if rng.random() < 0.5 else "pmma"
    parts: list[Prism | Lathe | Wire] = []
    if rng.random() < 0.6:
        width, length = cells * 19.5 + 6, rng.uniform(88, 104)
        for cell in range(cells):
            y = (cell - (cells - 1) / 2) * 19.2
            parts += [
                Lathe("lithium_cobalt", (-30, 30), (7.4, 7.4), 4.2, centre=(-6, y, 0)),
                Lathe("steel", (-33, 33), (9.1, 9.1), 0.3, centre=(-6, y, 0)),
                Lathe("copper", (-31, 31), (3.0, 3.0), 0.5, centre=(-6, y, 0)),
            ]
        high = 21.0
    else:
        width, length, high = rng.uniform(55, 75), rng.uniform(105, 150), rng.uniform(9, 15)
        pack = rectangle(length * 0.78, width * 0.84, 3) - (length * 0.06, 0)
        parts += [
            Prism("lithium_cobalt", pack, 0, high * 0.20),
            Prism("copper", pack, 0, high * 0.018),
            Prism("aluminium", scaled(pack, 1.02), 0, high * 0.05),
            Prism("polyethylene", pack, 0, high * 0.3),
        ]
    outline = rectangle(length, width, 7)
    board = rectangle(13, width * 0.8, 1) + (length * 0.42, 0)
    wall = 0.9 if shell == "aluminium" else 2.0
    parts += [
        Prism(shell, outline, -high / 2, -high / 2 + wall),
        Prism(shell, outline, high / 2 - wall, high / 2),
        Prism(shell, outline, -high / 2, high / 2, (scaled(outline, 1 - 2.6 * wall / width),)),
        Prism("glass", board, -0.8, 0.8),
        Prism("copper", scaled(board, 0.9), 0, 0.12),
        *(
            Prism("steel", rectangle(13, 12, 1) + (length * 0.43, y), -2.5, -1.4)
            for y in (-width * 0.2, width * 0.2)
        ),
        *(
            Prism("copper", rectangle(5, 5) + (length * 0.38, y), 0, rng.uniform(0.6, 2.5))
            for y in rng.uniform(-width * 0.35, width * 0.35, 4)
        ),
    ]
    return Item("power_bank", tuple(parts), "lithium_cobalt")


def lighter(rng: np.random.Generator) -> Item:
    """Disposable or metal-cased lighter, 60 to 85 mm, with its steel hood and wheel."""
    length, width = rng.uniform(62, 84), rng.uniform(20, 30)
    x = length / 2
    hood = rectangle(15, width * 0.85, 3) + (x - 8, 0)
    common = (
        Prism("steel", hood, -6, -5.3),
        Prism("steel", hood, 5.3, 6),
        Lathe("steel", (-4, 4), (4.2, 4.2), centre=(x - 14, width * 0.18, 0), turn=np.pi / 2),
        Lathe("brass", (-12, 4), (1.6, 1.6), centre=(x - 14, -width * 0.2, 0)),
    )
    if rng.random() < 0.3:
        case = rectangle(length, width * 1.25, 4)
        parts: tuple[Prism | Lathe, ...] = (
            Prism("brass", case, -6.5, -5.9),
            Prism("brass", case, 5.9, 6.5),
            Prism("brass", case, -6, 6, (scaled(case, 0.93),)),
            Prism("cellulose", rectangle(length * 0.6, width, 2) - (length * 0.15, 0), -4, 4),
            Prism("steel", rectangle(length * 0.9, width, 2), -4.5, -4.1),
            *common,
        )
    else:
        body = rectangle(length * 0.8, width, 6) - (length * 0.1, 0)
        parts = (
            Prism("pmma", body, -7, 7, (scaled(body, 0.86),)),
            Prism("pmma", body, -7, -5.5),
            Prism("pmma", body, 5.5, 7),
            Prism("polyethylene", scaled(body, 0.8), -4, 4),
            *common,
        )
    return Item("lighter", parts, "steel")


def spray_can(rng: np.random.Generator) -> Item:
    """Aerosol can, 120 to 230 mm: metal wall, domed ends, dip tube, liquid, valve and cap."""
    length, radius = rng.uniform(120, 230), rng.uniform(17, 33)
    metal, wall = ("steel", 0.28) if rng.random() < 0.6 else ("aluminium", 0.6)
    x = length / 2
    cap = rng.uniform(22, 45)
    shoulder = x - cap
    fill = -x + (shoulder + x) * rng.uniform(0.45, 0.85)
    along = (-x, -x + 3, shoulder - radius * 0.5, shoulder)
    liquid = "water" if rng.random() < 0.6 else "polyethylene"
    path = np.array([(shoulder, 0, 0), (0, radius * 0.2, 0), (-x + 6, radius * 0.7, 0.0)])
    parts = (
        Lathe(metal, along, (radius * 0.95, radius, radius, radius * 0.45), wall),
        Lathe(metal, (-x, -x + 4.5), (radius, radius), 1.2),
        Lathe(metal, (-x + 2, -x + 8), (radius * 0.4, radius * 0.9), wall * 2),
        Lathe(liquid, (-x + 5, fill), (radius - 1, radius - 1)),
        Lathe("steel", (shoulder - 6, shoulder + 3), (radius * 0.42, radius * 0.4), 1.0),
        Lathe("brass", (shoulder - 10, shoulder + 2), (3.5, 3.5), 1.5),
        Lathe("steel", (-3.2, 0, 3.2), (1.0, 3.4, 1.0), centre=(-x + 12, -radius * 0.5, 0)),
        Lathe("polyethylene", (shoulder + 2, shoulder + 12), (6, 5)),
        Lathe(
            "polyethylene",
            (shoulder - 2, x - 2, x),
            (radius * 0.92, radius * 0.9, radius * 0.8),
            1.3,
        ),
        Wire("polyethylene", path, 3.0),
    )
    return Item("spray_can", parts, metal)
