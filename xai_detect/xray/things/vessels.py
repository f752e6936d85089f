"""Food and drink, and what holds liquids."""

# ruff: noqa: RUF005 - adding a tuple to an outline moves it; nothing is concatenated
import numpy as np

from xai_detect.xray.things.outlines import band, rectangle, scaled, spline
from xai_detect.xray.things.solids import Item, Lathe, Prism
from xai_detect.xray.things.textures import soft_sheet


def bottle(rng: np.random.Generator) -> Item:
    """Plastic bottle, partly filled with water or juice, with its cap."""
    length, radius = rng.uniform(170, 280), rng.uniform(27, 42)
    x = length / 2
    along = (-x, -x + 8, x - 75, x - 32, x - 28, x)
    radii = (radius * 0.8, radius, radius, 14.0, 13.0, 13.0)
    fill = -x + (length - 40) * rng.uniform(0.1, 1.0)
    inner = tuple(r - 0.6 for r in radii)
    keep = [i for i, a in enumerate(along) if a < fill]
    liquid_along = (*(along[i] for i in keep), fill)
    liquid = (*(inner[i] for i in keep), float(np.interp(fill, along, inner)))
    parts = (
        Lathe("pmma", along, radii, 0.8),
        Lathe("water", liquid_along, liquid),
        Lathe("polyethylene", (x - 16, x), (15, 15), 2.0),
        Lathe("polyethylene", (x - 2, x), (15, 15)),
    )
    return Item("bottle", parts, "water")


def glass_bottle(rng: np.random.Generator) -> Item:
    """Glass bottle with a thick base and a metal crown or cork."""
    length, radius = rng.uniform(160, 270), rng.uniform(26, 38)
    x = length / 2
    along = (-x, -x + 4, x - 95, x - 62, x - 8, x)
    radii = (radius * 0.95, radius, radius, 14.0, 12.0, 13.0)
    parts = (
        Lathe("glass", along, radii, rng.uniform(2.2, 3.6)),
        Lathe("glass", (-x, -x + 6), (radius, radius)),
        Lathe("water", (-x + 6, x - 95, x - 80), (radius - 3, radius - 3, 18)),
        Lathe("steel", (x - 6, x), (14, 13), 0.3),
    )
    return Item("glass_bottle", parts, "glass")


def drink_can(rng: np.random.Generator) -> Item:
    """Aluminium drink can, full."""
    length, radius = rng.uniform(115, 168), rng.uniform(26, 33)
    x = length / 2
    along, radii = (-x, -x + 8, x - 12, x), (radius * 0.75, radius, radius, radius * 0.82)
    parts = (
        Lathe("aluminium", along, radii, 0.25),
        Lathe("aluminium", (x - 1.5, x), (radius * 0.8, radius * 0.8)),
        Lathe("water", (-x + 6, x - 18), (radius - 1, radius - 1)),
    )
    return Item("drink_can", parts, "aluminium")


def thermos(rng: np.random.Generator) -> Item:
    """Vacuum flask: double steel wall and plastic cup."""
    length, radius = rng.uniform(190, 280), rng.uniform(30, 40)
    x = length / 2
    parts = (
        Lathe("steel", (-x, x - 60, x - 45), (radius, radius, radius * 0.7), 0.5),
        Lathe("steel", (-x + 6, x - 62, x - 40), (radius - 5, radius - 5, radius * 0.5), 0.5),
        Lathe("steel", (-x, -x + 2), (radius, radius)),
        Lathe("water", (-x + 8, x - 90), (radius - 6, radius - 6)),
        Lathe("polyethylene", (x - 55, x), (radius * 0.85, radius * 0.8), 3),
    )
    return Item("thermos", parts, "steel")


def food_box(rng: np.random.Generator) -> Item:
    """Plastic box of rice, sweets or sandwiches."""
    width, height, deep = rng.uniform(110, 190), rng.uniform(80, 140), rng.uniform(35, 60)
    rim = rectangle(width, height, 14)
    fill = ("sugar", "water", "cellulose", "salt")[rng.choice(4, p=[0.4, 0.35, 0.2, 0.05])]
    parts = (
        Prism("polyethylene", rim, 0, 1.5),
        Prism("polyethylene", rim, 0, deep, (scaled(rim, 0.97),)),
        Prism("polyethylene", scaled(rim, 1.04), deep, deep + 2),
        soft_sheet(
            fill,
            scaled(rim, 0.92),
            deep * rng.uniform(0.4, 0.9) * (0.3 if fill == "salt" else 1),
            rng,
            0.5,
            3,
        ),
    )
    return Item("food_box", parts, fill)


def cosmetics(rng: np.random.Generator) -> Item:
    """Tube or jar of cream."""
    length, radius = rng.uniform(70, 160), rng.uniform(14, 26)
    x = length / 2
    parts = (
        Lathe("polyethylene", (-x, x - 30, x - 22), (radius * 0.5, radius, radius * 0.8), 1.0),
        Lathe("water", (-x + 4, x - 32), (radius * 0.5, radius - 1)),
        Lathe("polyethylene", (x - 24, x), (radius * 0.7, radius * 0.7), 2.0),
    )
    return Item("cosmetics", parts, "water")


def perfume(rng: np.random.Generator) -> Item:
    """Glass flask with a metal collar and cap."""
    width, height = rng.uniform(40, 65), rng.uniform(55, 90)
    body = rectangle(height, width, 6)
    cap = rectangle(26, 24, 3) + (height / 2 + 15, 0)
    parts = (
        Prism("glass", body, -14, 14, (scaled(body, 0.84),)),
        Prism("glass", body, -14, -11),
        Prism("glass", body, 11, 14),
        Prism("water", scaled(body, 0.82) - (height * 0.05, 0), -10, 10),
        Prism("pmma", cap, -10, 10),
        Prism("aluminium", scaled(cap, 0.8), -8, -7),
        Lathe("steel", (height / 2 - 2, height / 2 + 8), (8, 8), 1.0),
    )
    return Item("perfume", parts, "glass")


def fruit(rng: np.random.Generator) -> Item:
    """Apple, orange or banana."""
    if rng.random() < 0.3:
        path = spline([(-80, 20), (-30, -8), (30, -8), (80, 20)], 24)
        layers = tuple(
            Prism("water", band(path, w), -h / 2, h / 2)
            for w, h in ((34, 9), (29, 9), (21, 8), (12, 6))
        )
        return Item("fruit", layers, "water")
    radius = rng.uniform(30, 44)
    u = np.linspace(-1, 1, 21)
    return Item(
        "fruit", (Lathe("water", tuple(u * radius), tuple(radius * np.sqrt(1 - u**2))),), "water"
    )
