"""Animals as strokes, in units of their shoulder height: they face right, feet at y = 0, y up."""

from typing import NamedTuple

import numpy as np

from xai_detect.savanna.strokes import Floats, Point, Rng, Stroke, stroke
from xai_detect.savanna.styles import Style

PARTS = ("body", "neck", "head", "legs")
"""Ears, horns, tusks and trunk count as head, the mane as neck, the tail as body."""

FAR = 0.72
"""Brightness of what stands on the far side."""


class Build(NamedTuple):
    """A species' shape, in shoulder heights and degrees.

    Attributes:
        size: Shoulder height in units of a zebra's.
        rump: Where the hind legs and the back begin.
        chest: Where the front legs and the back end.
        girth: Radius of the barrel.
        leg: Radius of a leg.
        neck: Length of the neck.
        thick: Its radius at the chest and at the head.
        raised: Least and greatest angle of the neck.
        head: Length of the head.
        skull: Its radius.
        droop: How far the muzzle points down.
    """

    size: float
    rump: Point
    chest: Point
    girth: float
    leg: float
    neck: float
    thick: tuple[float, float]
    raised: tuple[int, int]
    head: float
    skull: float
    droop: int


BUILDS = {
    "zebra": Build(
        1.0, (-0.55, 0.80), (0.42, 0.80), 0.235, 0.088, 0.52, (0.19, 0.115), (28, 58), 0.36, 0.105,
        62,
    ),
    "giraffe": Build(
        1.05, (-0.40, 0.80), (0.30, 0.92), 0.20, 0.078, 1.02, (0.155, 0.08), (52, 80), 0.30, 0.085,
        80,
    ),
    "elephant": Build(
        1.08, (-0.48, 0.70), (0.36, 0.74), 0.325, 0.135, 0.24, (0.27, 0.22), (8, 26), 0.20, 0.215,
        40,
    ),
    "antelope": Build(
        0.92, (-0.44, 0.80), (0.36, 0.82), 0.19, 0.062, 0.46, (0.125, 0.075), (38, 66), 0.27, 0.085,
        68,
    ),
}  # fmt: skip
SPECIES = tuple(BUILDS)


def drawn(species: str, style: Style, rng: Rng) -> list[Stroke]:
    """An animal's strokes in a random pose, the farthest first.

    Args:
        species: One of ``SPECIES``.
        style: Its proportions.
        rng: Decides the pose.
    """
    build = BUILDS[species]
    build = build._replace(
        girth=build.girth * style.girth * rng.uniform(0.94, 1.08),
        leg=build.leg * style.leg,
        neck=build.neck * style.neck,
        head=build.head * style.head,
        skull=build.skull * style.head,
    )
    heavy = species == "elephant"
    stride = rng.uniform(0.02, 0.22)
    swings = [sign * stride + rng.normal(0, 0.03) for sign in (1, -1, -1, 1)]
    legs = [
        _leg(build, heavy, *place, swing)
        for place, swing in zip(
            ((True, 0.10, FAR), (False, -0.06, FAR), (True, 0.02, 1.0), (False, 0.03, 1.0)),
            swings,
            strict=True,
        )
    ]
    front = _front(build, species, rng)
    return [*legs[0], *legs[1], *_trunk(build, species, rng), *legs[2], *legs[3], *front]


def _leg(
    build: Build, heavy: bool, hind: bool, shift: float, tone: float, swing: float
) -> list[Stroke]:
    """A leg and its hoof; the hoof stands ``swing`` ahead of the hip."""
    x, y = build.rump if hind else build.chest
    x += shift
    knee = (x + 0.55 * swing + (-0.035 if hind else 0.03), 0.43 * y)
    hoof = (x + swing, 0.45 * build.leg)
    ankle = (0.3 * knee[0] + 0.7 * hoof[0], 0.16 * y)
    widths = (1.5, 0.95, 0.95, 0.7) if heavy else (1.9 if hind else 1.55, 0.95, 0.55, 0.6)
    toe = (hoof[0] + 0.35 * build.leg, 0.38 * build.leg)
    return [
        stroke(
            "legs", "leg", ((x, 0.86 * y), knee, ankle, hoof), [w * build.leg for w in widths], tone
        ),
        stroke("legs", "hoof", (hoof, toe), (0.5 * build.leg, 0.4 * build.leg), tone),
    ]


def _trunk(build: Build, species: str, rng: Rng) -> list[Stroke]:
    """Tail and barrel."""
    (x1, y1), (x2, y2) = build.rump, build.chest
    length, swing = 0.25 if species == "antelope" else 0.42, rng.uniform(-0.08, 0.05)
    x, y = x1 - 0.75 * build.girth, y1 + 0.45 * build.girth
    tail = ((x, y), (x - 0.09, y - 0.5 * length), (x - 0.08 + swing, y - length))
    spine = (build.rump, ((x1 + x2) / 2, (y1 + y2) / 2 - 0.03), build.chest)
    girths = (build.girth, 1.06 * build.girth, 0.98 * build.girth)
    return [
        stroke("body", "coat", tail, (0.03, 0.022, 0.018)),
        stroke("body", "tuft", tail[1:], (0.018, 0.036)),
        stroke("body", "barrel", spine, girths),
    ]


def _front(build: Build, species: str, rng: Rng) -> list[Stroke]:
    """Mane, neck and head."""
    grazing = species in ("zebra", "antelope") and rng.random() < 0.25
    angle = np.deg2rad(rng.uniform(-40, -22) if grazing else rng.uniform(*build.raised))
    ahead = np.array([np.cos(angle), np.sin(angle)])
    above = np.array([-np.sin(angle), np.cos(angle)])
    low, high = build.thick
    base = np.array([build.chest[0] - 0.03, build.chest[1] + 0.35 * build.girth])
    top = base + build.neck * ahead
    bend = (base + top) / 2 + build.neck * np.array([0.05, -0.02])
    made = []
    if species in ("zebra", "giraffe"):
        crest = (0.7 * base + 0.3 * top + 0.5 * low * above, bend + 0.66 * low * above,
                 top + 0.95 * high * above)  # fmt: skip
        bristles = (0.02, 0.06, 0.05) if species == "zebra" else (0.02, 0.035, 0.03)
        made.append(stroke("neck", "mane", np.array(crest), bristles))
    throat = np.array([base - (0.10, 0.12), base, bend, top])
    made.append(stroke("neck", "coat", throat, (low, 1.05 * low, (low + 1.3 * high) / 2.3, high)))
    if species == "elephant":
        return made + _proboscis(build, top, rng)
    turn = 0.55 * angle + np.deg2rad(rng.uniform(-8, 8) - build.droop)
    return made + _face(build, species, top, turn, rng)


def _face(build: Build, species: str, nape: Floats, turn: float, rng: Rng) -> list[Stroke]:
    """Head, ears, horns and eye of a grazer whose muzzle points to ``turn``."""
    ahead, above = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])

    def at(*spots: Point) -> Floats:
        """Places along the head, in its lengths, and above it, in its radii."""
        along, up = np.array(spots).T[..., None]
        return np.asarray(nape + ahead * along * build.head + above * up * build.skull)

    size, made = build.skull, []
    if species == "giraffe":
        for k in (-0.30, -0.06):
            tip = (k - 0.26, 1.7)
            made.append(stroke("head", "coat", at((k, 0.5), tip), (0.026, 0.02)))
            made.append(stroke("head", "hoof", at(tip, (k - 0.29, 1.85)), (0.028, 0.028)))
    if species == "antelope":
        sweep = rng.uniform(0.8, 1.3)
        for k, tone in ((0.0, FAR), (0.08, 1.0)):
            horn = at((k, 0.7), (k - 0.45, 1.9), (k - 1.15 * sweep, 2.6), (k - 1.35 * sweep, 3.9))
            made.append(stroke("head", "horn", horn, (0.032, 0.026, 0.02, 0.012), tone))
    return [
        *made,
        stroke("head", "coat", at((-0.22, 0.7), (-0.5, 1.5)), (0.035, 0.02), 0.85),
        stroke("head", "coat", at((-0.1, 0.05), (0.35, -0.1), (0.95, -0.2)),
               (size, 0.92 * size, 0.55 * size)),
        stroke("head", "muzzle", at((0.84, -0.2), (1.0, -0.25)), (0.57 * size, 0.55 * size)),
        stroke("head", "coat", at((-0.08, 0.75), (-0.3, 1.75)), (0.04, 0.02)),
        stroke("head", "eye", at((0.18, 0.33), (0.2, 0.33)), (0.024, 0.024)),
    ]  # fmt: skip


def _proboscis(build: Build, nape: Floats, rng: Rng) -> list[Stroke]:
    """Head, trunk, tusk, ear and eye of an elephant."""
    curl, size = rng.uniform(-0.1, 0.25), build.skull

    def at(*spots: Point) -> Floats:
        return np.asarray(nape + np.array(spots))

    nose = at((0.12, -0.05), (0.27, -0.25), (0.25, -0.52), (0.28 + curl, -0.66))
    tusk = at((0.17, -0.2), (0.30, -0.34), (0.44, -0.33))
    ear = at((-0.10, 0.08), (-0.17, -0.08), (-0.13, -0.24))
    return [
        stroke("head", "coat", at((-0.02, 0.0), (0.12, -0.04)), (size, 0.82 * size)),
        stroke("head", "coat", nose, (0.15, 0.10, 0.07, 0.05)),
        stroke("head", "tusk", tusk, (0.034, 0.028, 0.016)),
        stroke("head", "coat", ear, (0.13, 0.17, 0.07), 0.86),
        stroke("head", "eye", at((0.15, 0.02), (0.16, 0.02)), (0.022, 0.022)),
    ]
