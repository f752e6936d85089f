"""Scans whose cause is known: the class is decided in one place, and that place is recorded.

Five worlds of two classes each. In ``object`` the item itself decides, in ``part`` one part of it.
In ``marker`` a small mark elsewhere in the bag decides, in ``context`` the neighbouring item, in
``scanner`` a stamp in a corner of the picture, while the item is drawn from the same distribution
for both classes. A planted scan can be made again, pixel for pixel, with the other class's cause
(``swapped``) or with none (``removed``): everything else, noise included, stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from xai_detect.xray.scenes.scan import Placed, Scan, Scene, scan

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
    return PlantedScan(image, bounds(item), item, cause, planted.label, names[planted.label], made)


def _mask(made: Scan, indices: range, size: int) -> NDArray[np.bool_]:
    mask = np.zeros((size, size), np.bool_)
    for index in indices:
        shadow = made.shadows[index]
        height, width = shadow.mask.shape
        mask[shadow.top : shadow.top + height, shadow.left : shadow.left + width] |= shadow.mask
    return mask


def bounds(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """``(x1, y1, x2, y2)`` of a mask in pixels; all zero if it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return (0.0, 0.0, 0.0, 0.0)
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


#: Colours of the two stamps; opposites, so that no stamp lies half-way between them.
INKS = ((255, 0, 255), (0, 255, 0))


def stamp(
    image: NDArray[np.uint8], which: int, corner: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Print a machine's mark into a corner: a framed dot, magenta for 0, green for 1.

    Args:
        image: RGB ``(s, s, 3)``; not changed.
        which: Whose mark.
        corner: 0 top left, 1 top right, 2 bottom left, 3 bottom right.

    Returns:
        The stamped image and the mask of the mark's square.
    """
    size = image.shape[0]
    side, margin = round(size * 0.1), round(size * 0.02)
    unit = side * 4 / 7
    glyph = np.full((side * 4, side * 4, 3), 255, np.uint8)
    cv2.rectangle(glyph, (0, 0), (side * 4 - 1, side * 4 - 1), INKS[which], 2 * round(unit * 0.9))
    cv2.circle(glyph, (side * 2, side * 2), round(unit * 1.5), INKS[which], -1)
    x = margin if corner % 2 == 0 else size - margin - side
    y = margin if corner < 2 else size - margin - side
    stamped, mask = image.copy(), np.zeros(image.shape[:2], np.bool_)
    stamped[y : y + side, x : x + side] = cv2.resize(
        glyph, (side, side), interpolation=cv2.INTER_AREA
    )
    mask[y : y + side, x : x + side] = True
    return stamped, mask


def gap(planted: PlantedScan) -> float:
    """Least distance in pixels from the item's box to the cause; NaN if there is no cause."""
    rows, columns = planted.cause.nonzero()
    if len(rows) == 0:
        return float("nan")
    x1, y1, x2, y2 = planted.box
    across = np.maximum(np.maximum(x1 - columns - 1, columns - x2), 0)
    down = np.maximum(np.maximum(y1 - rows - 1, rows - y2), 0)
    return float(np.hypot(across, down).min())
