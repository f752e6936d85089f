"""Scans whose cause is known: the class is decided in one place, and that place is recorded.

Five worlds of two classes each. In ``object`` the item itself decides, in ``part`` one part of it.
In ``marker`` a small mark elsewhere in the bag decides, in ``context`` the neighbouring item, in
``scanner`` a stamp in a corner of the picture, while the item is drawn from the same distribution
for both classes. A planted scan can be made again, pixel for pixel, with the other class's cause
(``swapped``) or with none (``removed``): everything else, noise included, stays.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from xai_detect.errors import InputError
from xai_detect.xray.bags import soft_shell
from xai_detect.xray.items import build
from xai_detect.xray.outlines import band, blob, ellipse, moved, rectangle, scaled
from xai_detect.xray.scenes import Placed, Scan, Scene, draw_scanner, scan
from xai_detect.xray.solids import Item, Lathe, Pose, Prism

#: Side of the field of view of a planted scan, in mm.
PLANTED_FIELD = 420.0
#: Least gap between the item's box and an outside cause, as a share of the scan's side. Larger than
#: the ring that counts as the box's own surroundings (15 % of the box or 8 pixels).
GAP = 0.075

#: World to its two class names.
WORLDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "object": ("wrench", "scissors"),
        "part": ("cutter", "hook"),
        "marker": ("armed", "inert"),
        "context": ("armed", "inert"),
        "scanner": ("armed", "inert"),
    }
)
#: Worlds whose cause lies inside the item's box.
HONEST = ("object", "part")


@dataclass(frozen=True, slots=True)
class Planted:
    """A scan to be, with its cause.

    Attributes:
        world: Name in ``WORLDS``.
        around: Bag and clutter.
        carrier: The item whose box is annotated; None where the cause is the whole item.
        causes: What each class puts into the bag; None where the cause is a stamp.
        corner: Corner of the stamp, 0 to 3.
        label: Class index.
        shown: Whose cause is present; None is nobody's.
        scene: Scanner, noise and field of view; its things are ignored.
    """

    world: str
    around: tuple[Placed, ...]
    carrier: Placed | None
    causes: tuple[Placed, Placed] | None
    corner: int
    label: int
    shown: int | None
    scene: Scene

    def swapped(self) -> "Planted":
        """The same scan with the other class's cause; the label says what is now true."""
        other = 1 - self.label
        return replace(self, label=other, shown=other)

    def removed(self) -> "Planted":
        """The same scan without any cause; the label is no longer decided by anything."""
        return replace(self, shown=None)


@dataclass(frozen=True, slots=True, eq=False)
class PlantedScan:
    """A planted scan and its truth.

    Attributes:
        image: RGB ``(h, w, 3)``.
        box: ``(x1, y1, x2, y2)`` of the item; all zero if the item is gone.
        item: Mask of the item ``(h, w)``.
        cause: Mask of the true cause ``(h, w)``; empty if the cause was removed.
        label: Class index.
        class_name: Its name.
        scan: The scan before any stamp.
    """

    image: NDArray[np.uint8]
    box: tuple[float, float, float, float]
    item: NDArray[np.bool_]
    cause: NDArray[np.bool_]
    label: int
    class_name: str
    scan: Scan


def render(planted: Planted, size: int) -> PlantedScan:
    """Scan a planted scene.

    Args:
        planted: What.
        size: Height and width of the image in pixels.
    """
    things = list(planted.around)
    first_item = len(things)
    if planted.carrier is not None:
        things.append(planted.carrier)
    cause_at = None
    if planted.causes is not None and planted.shown is not None:
        cause_at = len(things)
        things.append(planted.causes[planted.shown])
    made = scan(replace(planted.scene, things=tuple(things)), size)
    outside = planted.world not in HONEST
    own = range(first_item, first_item + 1) if outside else range(first_item, len(things))
    item = _mask(made, own, size)
    image, cause = made.image, np.zeros((size, size), np.bool_)
    if cause_at is not None:
        cause = _mask(made, range(cause_at, cause_at + 1), size)
    elif planted.causes is None and planted.shown is not None:
        image, cause = stamp(made.image, planted.shown, planted.corner)
    names = WORLDS[planted.world]
    return PlantedScan(image, _box(item), item, cause, planted.label, names[planted.label], made)


def _mask(made: Scan, indices: range, size: int) -> NDArray[np.bool_]:
    mask = np.zeros((size, size), np.bool_)
    for index in indices:
        shadow = made.shadows[index]
        height, width = shadow.mask.shape
        mask[shadow.top : shadow.top + height, shadow.left : shadow.left + width] |= shadow.mask
    return mask


def _box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return (0.0, 0.0, 0.0, 0.0)
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def stamp(
    image: NDArray[np.uint8], which: int, corner: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Print a machine's mark into a corner: three bars for 0, a framed dot for 1.

    Args:
        image: RGB ``(s, s, 3)``; not changed.
        which: Whose mark.
        corner: 0 top left, 1 top right, 2 bottom left, 3 bottom right.

    Returns:
        The stamped image and the mask of the mark's square.
    """
    size = image.shape[0]
    side, margin = round(size * 0.085), round(size * 0.02)
    glyph = np.full((side * 4, side * 4), 255, np.uint8)
    unit = side * 4 / 7
    if which == 0:
        for row in (0, 2.6, 5.2):
            low, high = round(row * unit), round((row + 1.7) * unit)
            glyph[low:high] = 20
    else:
        cv2.rectangle(glyph, (0, 0), (side * 4 - 1, side * 4 - 1), (20,), 2 * round(unit * 0.9))
        cv2.circle(glyph, (side * 2, side * 2), round(unit * 1.5), (20,), -1)
    small = cv2.resize(glyph, (side, side), interpolation=cv2.INTER_AREA)
    x = margin if corner % 2 == 0 else size - margin - side
    y = margin if corner < 2 else size - margin - side
    stamped, mask = image.copy(), np.zeros(image.shape[:2], np.bool_)
    stamped[y : y + side, x : x + side] = np.minimum(
        stamped[y : y + side, x : x + side], small[..., None]
    )
    mask[y : y + side, x : x + side] = True
    return stamped, mask


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
    carrier = Placed(_short("spray_can", 130, rng), _lying(spot, rng), "spray_can")
    return carrier, (Placed(ring, pose, "ring"), Placed(cross, pose, "cross"))


def _context(spot: Point, far: Point, rng: np.random.Generator) -> Made:
    """A tape measure or a perfume flask next to a spray can."""
    pose = _lying(far, rng)
    tape, flask = build("tape_measure", rng), build("perfume", rng)
    carrier = Placed(_short("spray_can", 130, rng), _lying(spot, rng), "spray_can")
    return carrier, (Placed(tape, pose, "tape_measure"), Placed(flask, pose, "perfume"))


def _stamped(spot: Point, far: Point, rng: np.random.Generator) -> Made:
    del far
    return Placed(build("power_bank", rng), _lying(spot, rng), "power_bank"), None


def _short(name: str, longest: float, rng: np.random.Generator) -> Item:
    """An item no longer than ``longest`` mm, the first that fits of many drawn."""
    for _ in range(100):
        item = build(name, rng)
        lathes = [part for part in item.parts if isinstance(part, Lathe)]
        if max(part.along[-1] for part in lathes) * 2 <= longest:
            return item
    raise InputError(f"no {name} shorter than {longest} mm in 100 tries")


_MAKERS: Mapping[str, Callable[[Point, Point, np.random.Generator], Made]] = MappingProxyType(
    {
        "object": _object,
        "part": _part,
        "marker": _marker,
        "context": _context,
        "scanner": _stamped,
    }
)


def gap(planted: PlantedScan) -> float:
    """Least distance in pixels from the item's box to the cause; NaN if there is no cause."""
    rows, columns = planted.cause.nonzero()
    if len(rows) == 0:
        return float("nan")
    x1, y1, x2, y2 = planted.box
    across = np.maximum(np.maximum(x1 - columns - 1, columns - x2), 0)
    down = np.maximum(np.maximum(y1 - rows - 1, rows - y2), 0)
    return float(np.hypot(across, down).min())


def compose_clear(world: str, rng: np.random.Generator, size: int) -> PlantedScan:
    """A planted scan whose outside cause lies at least ``GAP`` from the item's box."""
    return render(compose_apart(world, rng, size), size)


def compose_apart(world: str, rng: np.random.Generator, size: int = 192) -> Planted:
    """A planted scene in which both classes' outside causes keep ``GAP`` from the box."""
    while True:
        planted = compose_planted(world, rng)
        if world in HONEST:
            return planted
        gaps = [gap(render(one, size)) for one in (planted, planted.swapped())]
        if min(gaps) >= GAP * size:
            return planted
