"""Firearms and blades: items a screener must stop."""

# ruff: noqa: RUF005 - adding a tuple to an outline moves it; nothing is concatenated

import numpy as np

from xai_detect.xray.things.outlines import Number, band, ellipse, moved, polygon, rectangle, scaled
from xai_detect.xray.things.solids import Item, Lathe, Prism, Wire


def pistol(rng: np.random.Generator) -> Item:
    """Semi-automatic pistol, 150 to 210 mm: slide with barrel bore, frame, guard, magazine."""
    length, height = rng.uniform(150, 210), rng.uniform(95, 135)
    slide = rng.uniform(20, 26)
    grip_width = rng.uniform(28, 36)
    rake = rng.uniform(0.15, 0.38)
    metal = "steel" if rng.random() < 0.7 else "aluminium"
    frame = "steel" if rng.random() < 0.5 else "pmma"
    wall = rng.uniform(1.8, 4.0)
    back = length / 2
    grip_length = height - slide
    grip = moved(rectangle(grip_width, grip_length, 5), 0, grip_length / 2, -rake)
    grip = grip + (back - grip_width * 0.75, slide / 2 - 3)
    magazine = scaled(grip, 0.72)
    guard_x = back - grip_width * 1.15 - 20
    guard = ellipse(42, 28, 24) + (guard_x, slide / 2 + 11)
    barrel = (-length / 2, -length / 2 + length * 0.55)
    parts = (
        Prism(metal, rectangle(length, slide, 3), -11, -11 + wall),
        Prism(metal, rectangle(length, slide, 3), 11 - wall, 11),
        Prism(
            metal, moved(rectangle(length * 0.42, slide * 0.9), back - length * 0.22, 0), -1.5, 1.5
        ),
        Lathe("steel", barrel, (6.5, 6.5), 2.0, centre=(0, -slide * 0.1, 0)),
        Prism(
            frame,
            moved(rectangle(length * 0.8, slide * 0.45, 2), length * 0.1, slide * 0.55),
            -8,
            8,
        ),
        Prism(frame, grip, -12, 12),
        Prism("steel", magazine, -1, 1),
        Prism("brass", scaled(grip, 0.55), -1.5, 1.5),
        Prism(metal, guard, -3.5, 3.5, (scaled(guard, 0.74),)),
        Wire(
            "steel", np.array([(guard_x + 4, slide / 2, 0), (guard_x + 1, slide / 2 + 16, 0.0)]), 4
        ),
        Prism("steel", moved(rectangle(9, 8, 1), back - 3, -slide / 2 - 2, 0.4), -3, 3),
        Prism("steel", moved(rectangle(5, 4), -back + 8, -slide / 2 - 2), -2, 2),
    )
    return Item("pistol", parts, "steel")


def revolver(rng: np.random.Generator) -> Item:
    """Revolver, 160 to 240 mm: barrel, drum with chambers, curved grip, hammer."""
    barrel = rng.uniform(60, 125)
    drum_length, drum = rng.uniform(36, 44), rng.uniform(17, 21)
    grip_material = ("cellulose", "pmma", "melamine")[rng.integers(3)]
    path = np.array([(40, 2), (58, 14), (70, 38), (76, 66), (84, 80)]) * rng.uniform(0.9, 1.1)
    grip = band(path, (26, 28, 26, 30, 28))
    guard = ellipse(40, 30, 24) + (20, drum + 8)
    frame = polygon([(-22, -drum - 4), (44, -drum - 2), (52, 8), (40, 22), (-22, drum + 2)])
    window = rectangle(drum_length - 2, drum * 1.7, 2)
    along = (-22 - barrel, -22.0)
    parts = (
        Lathe("steel", along, (8.0, 9.0), 3.6, centre=(0, -drum * 0.55, 0)),
        Prism("steel", moved(rectangle(barrel * 0.9, 9), -22 - barrel * 0.45, -drum * 0.05), -3, 3),
        Lathe(
            "steel", (-drum_length / 2, drum_length / 2), (drum, drum), drum * rng.uniform(0.2, 0.4)
        ),
        Lathe("brass", (-drum_length / 2 + 3, drum_length / 2), (4, 4), centre=(0, -drum * 0.6, 0)),
        Lathe("brass", (-drum_length / 2 + 3, drum_length / 2), (4, 4), centre=(0, drum * 0.6, 0)),
        Prism("steel", frame, -3, 3, (window,)),
        Prism("steel", grip, -1, 1),
        Prism(grip_material, scaled(grip, 1.05), -14, 14),
        Prism("steel", guard, -4, 4, (scaled(guard, 0.74),)),
        Wire("steel", np.array([(18, drum, 0), (22, drum + 9, 0), (19, drum + 18, 0.0)]), 4),
        Wire("steel", np.array([(44, -drum, 0), (56, -drum - 12, 0.0)]), 7),
        Prism("steel", moved(rectangle(7, 6), -18 - barrel, -drum * 0.55 - 10), -1.5, 1.5),
    )
    return Item("revolver", parts, "steel")


def blade(
    length: Number, width: Number, thick: Number, point: Number, steel: str = "steel"
) -> tuple[Prism, ...]:
    """A blade from x = 0 to ``length``: wedge cross-section, belly towards +y, clipped point.

    Args:
        length: Length in mm.
        width: Width at the root in mm.
        thick: Thickness of the spine in mm.
        point: Where along the length the belly starts to rise, as a share.
        steel: Material.
    """
    outline = polygon(
        [
            (0, -width / 2),
            (length * 0.92, -width * 0.38),
            (length, -width * 0.1),
            (length * (0.5 + point / 2), width * 0.36),
            (length * point, width / 2),
            (0, width / 2),
        ]
    )
    layers = []
    for share, bevel in ((0.4, 0.0), (0.35, 0.25), (0.25, 0.5)):
        # thicker towards the spine: each layer stops further from the edge
        layer = outline.copy()
        layer[:, 1] = np.where(layer[:, 1] > -width * 0.1, layer[:, 1] - bevel * width, layer[:, 1])
        layer[:, 1] = np.maximum(layer[:, 1], outline[:, 1].min())
        layers.append(Prism(steel, layer, -thick * share / 2, thick * share / 2))
    return tuple(layers)


def straight_knife(rng: np.random.Generator) -> Item:
    """Kitchen or sheath knife, blade 90 to 220 mm, riveted or moulded handle."""
    length, width = rng.uniform(90, 220), rng.uniform(20, 44)
    thick = rng.uniform(1.6, 3.4)
    handle = rng.uniform(95, 125)
    grip = rectangle(handle, rng.uniform(20, 28), 8) - (handle / 2, 0)
    material = ("pmma", "cellulose", "steel", "polyethylene")[rng.integers(4)]
    half = 1.6 if material == "steel" else rng.uniform(7, 10)
    rivets = tuple(
        Prism("brass", ellipse(6, 6, 12) + (-handle * share, 0), -half, half)
        for share in (0.2, 0.5, 0.8)
    )
    tang = Prism(
        "steel", rectangle(handle * 0.9, 12, 3) - (handle * 0.45, 0), -thick / 2, thick / 2
    )
    bolster = Prism("steel", rectangle(9, width * 0.8, 2), -half * 0.8, half * 0.8)
    parts = (
        *blade(length, width, thick, rng.uniform(0.45, 0.85)),
        tang,
        Prism(material, grip, -half, half),
        bolster,
        *(rivets if rng.random() < 0.6 else ()),
    )
    return Item("straight_knife", _centred(parts, (length - handle) / 2), "steel")


def folding_knife(rng: np.random.Generator) -> Item:
    """Pocket knife, folded, half open or open; blade 60 to 100 mm, liners and pivot."""
    length, width = rng.uniform(62, 100), rng.uniform(15, 24)
    handle = length + rng.uniform(15, 28)
    opened = rng.choice([0.0, np.pi, rng.uniform(1.6, 3.0)], p=[0.25, 0.5, 0.25])
    scale = ("aluminium", "pmma", "steel", "melamine")[rng.integers(4)]
    grip = band(
        [(0, 0), (-handle * 0.35, 2), (-handle * 0.7, 0), (-handle, 5)],
        (width * 1.05, width * 1.15, width, width * 1.1),
    )
    side = 0.7 if scale == "steel" else 3.0
    liner = scaled(grip, 0.93)
    turn = np.pi - opened
    turned = tuple(
        Prism(p.material, moved(p.outline, 0, 0, turn), p.bottom, p.top)
        for p in blade(length, width, rng.uniform(2.2, 3.2), rng.uniform(0.4, 0.7))
    )
    parts = (
        *turned,
        Prism(scale, grip, -6, -6 + side),
        Prism(scale, grip, 6 - side, 6),
        Prism("steel", liner, -2.6, -2.0),
        Prism("steel", liner, 2.0, 2.6),
        Prism("steel", ellipse(8, 8, 14), -5, 5),
        Prism("steel", band([(-handle * 0.2, -width * 0.45), (-handle * 0.95, -2)], 3), -1, 1),
        *(Prism("steel", ellipse(4, 4, 10) + (-handle * s, 1), -6, 6) for s in (0.35, 0.65, 0.93)),
    )
    return Item(
        "folding_knife", _centred(parts, -handle / 2 + (length / 2 if opened > 1 else 0)), "steel"
    )


def box_cutter(rng: np.random.Generator) -> Item:
    """Utility knife: segmented snap-off blade in a plastic or metal slider."""
    handle, width = rng.uniform(110, 160), rng.uniform(16, 26)
    out = rng.uniform(20, 70)
    body = ("pmma", "polyethylene", "aluminium")[rng.integers(3)]
    high = width * 0.5
    x0, x1 = -handle * 0.35, handle / 2 + out
    edge = polygon([(x0, -high / 2), (x1 - high * 0.6, -high / 2), (x1, high / 2), (x0, high / 2)])
    marks = tuple(
        Prism("steel", band([(x - 2, high / 2), (x + 2, -high / 2)], 0.9), 0, 0.35)
        for x in np.arange(x0 + 6, x1 - 6, 6.5)
    )
    track = rectangle(handle, width, 5)
    slot = rectangle(handle * 0.75, width * 0.32, 2)
    wall = 1.2 if body == "aluminium" else 3.2
    parts = (
        Prism("steel", edge, -0.4, 0.4),
        *marks,
        Prism(body, track, -7, -7 + wall),
        Prism(body, track, 7 - wall, 7, (slot,)),
        Prism("steel", rectangle(handle * 0.92, width * 0.7, 1), -1.6, -0.9, (slot,)),
        Prism("pmma", moved(rectangle(22, width * 0.6, 3), rng.uniform(-20, 25), 0), 2, 11),
        Prism("steel", ellipse(6, 6, 12) + (-handle * 0.42, 0), -6, 6),
    )
    return Item("box_cutter", _centred(parts, out / 2), "steel")


def scissors(rng: np.random.Generator) -> Item:
    """Scissors, 120 to 220 mm, opened by 0 to 40 degrees, plastic or metal rings."""
    length = rng.uniform(120, 220)
    half_angle = rng.uniform(0.0, 0.35)
    front = length * rng.uniform(0.48, 0.6)
    rear = length - front
    ring = rng.uniform(0.30, 0.38) * rear * 1.25
    handle = "steel" if rng.random() < 0.4 else "pmma"
    parts: list[Prism] = [Prism("steel", ellipse(9, 9, 14), -4, 4)]
    for side in (1, -1):
        turn = side * half_angle
        edge = polygon(
            [
                (0, -side * 7),
                (front * 0.85, -side * 4),
                (front, 0),
                (front * 0.5, side * 3),
                (0, side * 5),
            ]
        )
        shank = band([(4, 0), (-rear * 0.3, side * 5), (-rear * 0.55, side * 9)], (12, 9, 8))
        eye = ellipse(ring * 1.5, ring, 28) + (-rear * 0.55 - ring * 0.62, side * (ring * 0.5 + 4))
        low, high = (0.2, 1.9) if side > 0 else (-1.9, -0.2)
        thick = 3.0 if handle == "steel" else 5.5
        parts += [
            Prism("steel", moved(edge, 0, 0, turn), low, high),
            Prism("steel", moved(shank, 0, 0, turn), low * 1.6, high * 1.6),
            Prism(
                handle,
                moved(eye, 0, 0, turn),
                -thick,
                thick,
                (moved(scaled(eye, 0.68), 0, 0, turn),),
            ),
        ]
        if handle != "steel":
            parts.append(
                Prism("pmma", moved(scaled(shank, 1.15) - (rear * 0.12, 0), 0, 0, turn), -5, 5)
            )
    return Item("scissors", _centred(tuple(parts), (front - rear) / 2), "steel")


def _centred(parts: tuple[Prism, ...], x: Number) -> tuple[Prism, ...]:
    """The parts shifted by ``-x`` along the item's axis, so that poses turn about the middle."""
    return tuple(
        Prism(p.material, p.outline - (x, 0), p.bottom, p.top, tuple(h - (x, 0) for h in p.holes))
        for p in parts
    )
