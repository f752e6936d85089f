"""Composing the planted worlds: what lies where, and which of it decides the class."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from xai_detect.errors import InputError
from xai_detect.xray.scenes.planted import GAP, HONEST, PLANTED_FIELD, WORLDS, Planted, gap, render
from xai_detect.xray.scenes.scan import Placed, Scene, draw_scanner
from xai_detect.xray.things.bags import soft_shell
from xai_detect.xray.things.items import build
from xai_detect.xray.things.outlines import band, blob, ellipse, moved, rectangle, scaled
from xai_detect.xray.things.solids import Item, Lathe, Pose, Prism


def compose_planted(world: str, rng: np.random.Generator) -> Planted:
    """A random planted scene, its class drawn evenly.

    Raises:
        InputError: If there is no such world.
    """
    if world not in WORLDS:
        raise InputError(f"no planted world {world!r}; expected one of {', '.join(WORLDS)}")
    middle = PLANTED_FIELD / 2
    rim = blob(rng.uniform(330, 375), rng.uniform(280, 330), 0.02, rng)
    shell = Item("pouch", tuple(soft_shell(rim, 90, rng)), "cellulose")
    x, y = middle + rng.uniform(-8, 8, 2)
    lie = Pose(float(x), float(y), float(rng.uniform(0, 2 * np.pi)))
    label = int(rng.integers(2))
    spot, far = _spots(world, rng)
    carrier, causes = _MAKERS[world](spot, far, rng)
    around = [Placed(shell, lie, None)]
    for name in rng.choice(_CLUTTER, int(rng.integers(2, 5))):
        x, y = middle + rng.uniform(-110, 110, 2)
        pose = Pose(float(x), float(y), float(rng.uniform(0, 2 * np.pi)))
        around.append(Placed(build(str(name), rng), pose, str(name)))
    scanner = replace(draw_scanner(rng), palette=str(rng.choice(["standard", "vivid", "teal"])))
    scene = Scene((), scanner, int(rng.integers(2**31)), "pouch", PLANTED_FIELD)
    return Planted(world, tuple(around), carrier, causes, int(rng.integers(4)), label, label, scene)


_CLUTTER = ("cable", "pens", "toothbrush", "cosmetics", "glasses", "food_box", "shirt", "mouse")

Point = tuple[float, float]
Made = tuple[Placed | None, tuple[Placed, Placed] | None]


def _spots(world: str, rng: np.random.Generator) -> tuple[Point, Point]:
    """Where the item lies, and where an outside cause lies: near for context, far for a marker."""
    middle, turn = PLANTED_FIELD / 2, rng.uniform(0, 2 * np.pi)
    direction = np.array([np.cos(turn), np.sin(turn)])
    if world in HONEST:
        spot = middle + direction * rng.uniform(0, 60)
        return (float(spot[0]), float(spot[1])), (0.0, 0.0)
    spot = middle + direction * rng.uniform(45, 70)
    apart = (125, 150) if world == "context" else (130, 165)
    across = turn + np.pi + rng.uniform(-0.35, 0.35)
    far = spot + np.array([np.cos(across), np.sin(across)]) * rng.uniform(*apart)
    return (float(spot[0]), float(spot[1])), (float(far[0]), float(far[1]))


def _lying(spot: Point, rng: np.random.Generator, tilt: float = 0.15) -> Pose:
    leans = np.clip(rng.normal(0, tilt, 2), -0.4, 0.4)
    return Pose(*spot, float(rng.uniform(0, 2 * np.pi)), float(leans[0]), float(leans[1]))


def _object(spot: Point, far: Point, rng: np.random.Generator) -> Made:
    del far
    pose = _lying(spot, rng)
    wrench, scissors = build("wrench", rng), build("scissors", rng)
    return None, (Placed(wrench, pose, "wrench"), Placed(scissors, pose, "scissors"))


def _part(spot: Point, far: Point, rng: np.random.Generator) -> Made:
    """A handle that carries either a straight blade or a hook; the handle never tells which."""
    del far
    pose = _lying(spot, rng)
    grip, reach = rng.uniform(70, 95), rng.uniform(60, 85)
    thick = rng.uniform(1.5, 2.5)
    handle = Item(
        "handle",
        (
            Lathe("pmma", (-grip, -grip + 6, -grip / 2, 0), (9, 12, 10, 8)),
            Lathe("steel", (-grip + 12, 4), (2.6, 2.6)),
            Lathe("steel", (-6, 3), (9, 8), 1.2),
        ),
        "pmma",
    )
    blade = moved(rectangle(reach, 24, 2), reach / 2 + 2, 0)
    straight = Item("blade", (Prism("steel", blade, 0, thick),), "steel")
    angle = np.linspace(-np.pi / 2, np.pi * 0.75, 24)
    bow = np.stack([np.cos(angle), np.sin(angle)], axis=1) * reach * 0.26
    bow += (reach * 0.72, reach * 0.26)
    path = np.concatenate([[(0, 0), (reach * 0.4, 0)], bow])
    hook = Item("hook", (Prism("steel", band(path, 7.5), -thick, thick * 1.5),), "steel")
    carrier = Placed(handle, pose, "handle")
    return carrier, (Placed(straight, pose, "blade"), Placed(hook, pose, "hook"))


def _marker(spot: Point, far: Point, rng: np.random.Generator) -> Made:
    """A ring or a cross of steel, far from a spray can."""
    size = rng.uniform(34, 40)
    pose = _lying(far, rng, 0.05)
    rim = ellipse(size, size, 36)
    ring = Item("ring", (Prism("steel", rim, -2, 2, (scaled(rim, 0.62),)),), "steel")
    arms = tuple(Prism("steel", rectangle(*sides), -2, 2) for sides in ((size, 9), (9, size)))
    cross = Item("cross", arms, "steel")
    carrier = Placed(_short("spray_can", 130.0, rng), _lying(spot, rng), "spray_can")
    return carrier, (Placed(ring, pose, "ring"), Placed(cross, pose, "cross"))


def _context(spot: Point, far: Point, rng: np.random.Generator) -> Made:
    """A tape measure or a perfume flask next to a spray can."""
    pose = _lying(far, rng)
    tape, flask = build("tape_measure", rng), build("perfume", rng)
    carrier = Placed(_short("spray_can", 130.0, rng), _lying(spot, rng), "spray_can")
    return carrier, (Placed(tape, pose, "tape_measure"), Placed(flask, pose, "perfume"))


def _stamped(spot: Point, far: Point, rng: np.random.Generator) -> Made:
    del far
    return Placed(build("power_bank", rng), _lying(spot, rng), "power_bank"), None


def _short(name: str, longest: float, rng: np.random.Generator) -> Item:
    """An item no longer than ``longest`` mm, the first that fits of many drawn."""
    for _ in range(1000):
        item = build(name, rng)
        lathes = [part for part in item.parts if isinstance(part, Lathe)]
        if max(part.along[-1] for part in lathes) * 2 <= longest:
            return item
    raise InputError(f"no {name} shorter than {longest} mm in 1000 tries")


_MAKERS: Mapping[str, Callable[[Point, Point, np.random.Generator], Made]] = MappingProxyType(
    {
        "object": _object,
        "part": _part,
        "marker": _marker,
        "context": _context,
        "scanner": _stamped,
    }
)


def compose_apart(world: str, rng: np.random.Generator, size: int = 192) -> Planted:
    """A planted scene in which both classes' outside causes keep ``GAP`` from the box."""
    while True:
        planted = compose_planted(world, rng)
        if world in HONEST:
            return planted
        gaps = [gap(render(scene, size)) for scene in (planted, planted.swapped())]
        if min(gaps) >= GAP * size:
            return planted
