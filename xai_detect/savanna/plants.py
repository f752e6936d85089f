"""Trees and bushes as strokes: a unit wide and a unit tall, their foot at (0, 0), y up."""

import numpy as np

from xai_detect.savanna.strokes import Point, Rng, Stroke, stroke

TREES = ("acacia", "round", "palm")


def grown(kind: str, rng: Rng) -> list[Stroke]:
    """A tree's strokes, the farthest first.

    Args:
        kind: One of ``TREES``.
        rng: Decides the shape.
    """
    lean = rng.normal(0, 0.04)
    match kind:
        case "acacia":
            return _acacia(lean, rng)
        case "round":
            return _round(lean, rng)
        case _:
            return _palm(rng)


def bush(rng: Rng) -> list[Stroke]:
    """A dense bush's strokes, which fill most of the unit square."""
    made = []
    for tone, lift, spread in ((0.58, 0.0, 1.0), (0.78, 0.05, 0.86), (0.98, 0.10, 0.62)):
        for _ in range(12):
            turn, far = rng.uniform(0, np.pi), rng.uniform(0.2, 1.0)
            x, y = 0.36 * spread * far * np.cos(turn), lift + 0.12 + 0.60 * far * np.sin(turn)
            made.append(_clump(x, y, rng.uniform(0.13, 0.19), 0.13, tone))
    return made


def _clump(x: float, y: float, wide: float, tall: float, tone: float) -> Stroke:
    """Leaves: an oval of half axes ``wide`` and ``tall``, or a disc."""
    reach = max(wide - tall, 0.001)
    return stroke("tree", "leaf", ((x - reach, y), (x + reach, y)), (0.8 * tall, tall, 0.8 * tall),
                  tone)  # fmt: skip


def _bark(points: tuple[Point, ...], radii: tuple[float, ...], tone: float = 1.0) -> Stroke:
    return stroke("tree", "bark", points, radii, tone)


def _acacia(lean: float, rng: Rng) -> list[Stroke]:
    """Boughs that part low and carry a flat, wide crown."""
    made = [
        _bark(((0.0, 0.0), (lean, 0.40), (lean + 0.45 * reach, 0.66), (reach, 0.88)),
              (0.045, 0.034, 0.022, 0.016))
        for reach in (-0.30, -0.12, 0.10, 0.28)
    ]  # fmt: skip
    for tone, lift, spread in ((0.66, 0.0, 1.0), (0.88, 0.035, 0.96), (1.12, 0.07, 0.84)):
        for x in np.linspace(-0.37, 0.37, 11) * spread:
            y = 0.86 + lift + 0.055 * (1 - (x / 0.4) ** 2) + rng.normal(0, 0.008)
            made.append(_clump(float(x), y, rng.uniform(0.09, 0.125), 0.04, tone))
    return made


def _round(lean: float, rng: Rng) -> list[Stroke]:
    """A thick trunk under a ball of leaves."""
    made = [_bark(((0.0, 0.0), (lean, 0.3), (1.5 * lean, 0.6)), (0.075, 0.055, 0.04), 0.85)]
    for tone, lift, spread in ((0.55, 0.0, 1.0), (0.72, 0.035, 0.85), (0.92, 0.075, 0.62)):
        for _ in range(12):
            turn, far = rng.uniform(0, 2 * np.pi), spread * rng.uniform(0.35, 1.0)
            x, y = 0.27 * far * np.cos(turn) - lift, 0.68 + lift + 0.19 * far * np.sin(turn)
            made.append(_clump(x, y, 0.15 * spread, 0.13 * spread, tone))
    return made


def _palm(rng: Rng) -> list[Stroke]:
    """A thin bowed trunk and fronds that hang."""
    bow = rng.choice([-1, 1]) * rng.uniform(0.04, 0.12)
    top = (0.4 * bow, 0.86)
    made = [_bark(((0.0, 0.0), (bow, 0.45), top), (0.042, 0.03, 0.026), 1.15)]
    for turn in np.deg2rad(np.linspace(-200, 20, 9) + rng.normal(0, 6, 9)):
        x, y = np.cos(turn), -np.sin(turn)
        middle = (top[0] + 0.22 * x, 0.89 + 0.12 * y)
        tip = (top[0] + 0.40 * x, 0.86 + 0.10 * y - 0.13 * abs(x))
        tone = rng.uniform(0.7, 1.0)
        made.append(stroke("tree", "leaf", (top, middle, tip), (0.02, 0.034, 0.014), tone))
    return made
