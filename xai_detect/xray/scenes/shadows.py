"""Shadows: thickness along parallel beams after a rotation in three axes.

A beam runs along z of the scan. Every part gives its chord length per pixel; parts simply add.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from xai_detect.xray.physics.materials import DENSITY
from xai_detect.xray.physics.scanner import RANK, Plane, coefficients
from xai_detect.xray.things.solids import Item, Lathe, Part, Pose, Prism, Sheet, Wire

#: Matter thinner than this many millimetres along the beam is not part of an item's mask.
MASK_FROM = 0.03
_SUBPIXEL = 4  # bits of a fixed-point coordinate in OpenCV's drawing calls
_STEEPEST = 0.35  # smallest cosine between an item's normal and the beam; steeper is clamped


@dataclass(frozen=True, slots=True, eq=False)
class Shadow:
    """One item's matter on the scan.

    Attributes:
        top: First row it touches.
        left: First column it touches.
        planes: Coefficients ``(RANK, h, w)`` of its matter.
        mask: Where it is, seen or not (amodal); exact.
        grams: Mass per material, from the projected thickness.
    """

    top: int
    left: int
    planes: Plane
    mask: NDArray[np.bool_]
    grams: dict[str, float] = field(default_factory=dict)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """``(x1, y1, x2, y2)`` of the mask in scan pixels; all zero if the mask is empty."""
        rows, columns = (
            np.any(self.mask, axis=1).nonzero()[0],
            np.any(self.mask, axis=0).nonzero()[0],
        )
        if len(rows) == 0:
            return (0.0, 0.0, 0.0, 0.0)
        return (
            float(self.left + columns[0]),
            float(self.top + rows[0]),
            float(self.left + columns[-1] + 1),
            float(self.top + rows[-1] + 1),
        )


@dataclass(frozen=True, slots=True)
class _View:
    """Maps item millimetres to pixels of one scan."""

    rotation: NDArray[np.float64]
    shift: NDArray[np.float64]  # pixels
    scale: float  # pixels per mm
    size: tuple[int, int]

    def pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Project ``(n, 3)`` item points to ``(n, 2)`` pixel coordinates."""
        return np.asarray((points @ self.rotation[:2].T) * self.scale + self.shift)

    @property
    def lean(self) -> float:
        """Cosine between the item's normal and the beam."""
        return max(abs(float(self.rotation[2, 2])), _STEEPEST)

    def window(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[int, ...] | None:
        """Rows and columns ``(top, bottom, left, right)`` around an extent, cut to the scan."""
        left, top = np.floor(low).astype(int) - 1
        right, bottom = np.ceil(high).astype(int) + 2
        top, left = max(int(top), 0), max(int(left), 0)
        bottom, right = min(int(bottom), self.size[0]), min(int(right), self.size[1])
        return (top, bottom, left, right) if bottom > top and right > left else None


def cast(item: Item, pose: Pose, pixels_per_mm: float, size: tuple[int, int]) -> Shadow:
    """Project an item.

    Args:
        item: What.
        pose: Where, in mm from the scan's top left corner, and how it lies.
        pixels_per_mm: Scan resolution.
        size: ``(height, width)`` of the scan in pixels; what lies outside is cut off.
    """
    view = _View(pose.rotation(), np.array([pose.x, pose.y]) * pixels_per_mm, pixels_per_mm, size)
    drawn = [
        (part.material, *result) for part in item.parts if (result := _draw(part, view)) is not None
    ]
    if not drawn:
        empty = np.zeros((RANK, 0, 0), np.float32)
        return Shadow(0, 0, empty, np.zeros((0, 0), np.bool_))
    top, left = min(d[1] for d in drawn), min(d[2] for d in drawn)
    bottom = max(d[1] + d[3].shape[0] for d in drawn)
    right = max(d[2] + d[3].shape[1] for d in drawn)
    planes = np.zeros((RANK, bottom - top, right - left), np.float32)
    total = np.zeros(planes.shape[1:], np.float32)
    grams: dict[str, float] = {}
    for material, row, column, thickness in drawn:
        height, width = thickness.shape
        here = (slice(row - top, row - top + height), slice(column - left, column - left + width))
        for plane, factor in zip(planes, coefficients(material), strict=True):
            plane[here] += factor * thickness
        total[here] += thickness
        volume = float(thickness.sum()) / pixels_per_mm**2 / 1000  # cm3
        grams[material] = grams.get(material, 0.0) + volume * DENSITY[material]
    return Shadow(top, left, planes, total > MASK_FROM, grams)


def _draw(part: Part, view: _View) -> tuple[int, int, Plane] | None:
    match part:
        case Prism():
            return _draw_prism(part, view)
        case Lathe():
            return _draw_lathe(part, view)
        case Wire():
            return _draw_wire(part, view)
        case Sheet():
            return _draw_sheet(part, view)


def _draw_prism(part: Prism, view: _View) -> tuple[int, int, Plane] | None:
    """Stack slices of the outline, each shifted as its height leans."""
    depth = part.top - part.bottom
    slide = depth * view.scale * float(np.hypot(view.rotation[0, 2], view.rotation[1, 2]))
    count = int(np.clip(np.ceil(slide / 1.5), 1, 12))
    heights = part.bottom + (np.arange(count) + 0.5) * depth / count
    flat = view.pixels(np.column_stack([part.outline, np.zeros(len(part.outline))]))
    shifts = np.outer(heights, view.rotation[:2, 2]) * view.scale
    window = view.window(
        flat.min(axis=0) + shifts.min(axis=0), flat.max(axis=0) + shifts.max(axis=0)
    )
    if window is None:
        return None
    top, bottom, left, right = window
    holes = [view.pixels(np.column_stack([hole, np.zeros(len(hole))])) for hole in part.holes]
    thickness = np.zeros((bottom - top, right - left), np.float32)
    step = depth / count / view.lean / 255
    for shift in shifts:
        origin = shift - (left + 0.5, top + 0.5)
        cover = np.zeros(thickness.shape, np.uint8)
        _fill(cover, flat + origin, 255)
        for hole in holes:
            _fill(cover, hole + origin, 0)
        cv2.scaleAdd(cover.astype(np.float32), step, thickness, dst=thickness)
    return top, left, thickness


def _fill(cover: NDArray[np.uint8], points: NDArray[np.float64], value: int) -> None:
    fixed = np.rint(points * 2**_SUBPIXEL).astype(np.int32)
    cv2.fillPoly(cover, [fixed], (value,), lineType=cv2.LINE_AA, shift=_SUBPIXEL)


def _draw_lathe(part: Lathe, view: _View) -> tuple[int, int, Plane] | None:
    """Chord of the circle at each axis position; a leaning axis shortens and smears it."""
    axis = view.rotation @ np.array([np.cos(part.turn), np.sin(part.turn), 0.0])
    flat = min(max(float(np.hypot(axis[0], axis[1])), _STEEPEST), 1.0)
    direction = axis[:2] / max(float(np.hypot(axis[0], axis[1])), 1e-6)
    centre = view.pixels(np.asarray([part.centre]))[0]
    widest = max(part.radii)
    smear = widest * float(np.sqrt(1 - flat**2))
    ends = np.array([part.along[0] * flat - smear, part.along[-1] * flat + smear])
    reach = np.abs(np.array([-direction[1], direction[0]])) * widest
    corners = centre + np.outer(ends, direction) * view.scale
    window = view.window(
        corners.min(axis=0) - reach * view.scale, corners.max(axis=0) + reach * view.scale
    )
    if window is None:
        return None
    top, bottom, left, right = window
    x = (np.arange(left, right, dtype=np.float32) + 0.5 - np.float32(centre[0])) / view.scale
    y = (np.arange(top, bottom, dtype=np.float32) + 0.5 - np.float32(centre[1])) / view.scale
    u = x[None, :] * direction[0] + y[:, None] * direction[1]
    v = y[:, None] * direction[0] - x[None, :] * direction[1]
    thickness = np.zeros(u.shape, np.float32)
    count = int(np.clip(np.ceil(smear * view.scale / 1.5), 1, 7))
    offsets = smear * 0.8 * np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
    for offset in offsets:
        radius = np.interp(
            ((u - offset) / flat).ravel(), part.along, part.radii, left=0, right=0
        ).reshape(u.shape)
        chord = np.sqrt(np.maximum(radius**2 - v**2, 0))
        if part.wall is not None:
            chord -= np.sqrt(np.maximum(np.maximum(radius - part.wall, 0) ** 2 - v**2, 0))
        thickness += (2 / flat / len(offsets)) * chord.astype(np.float32)
    return top, left, thickness


def _draw_wire(part: Wire, view: _View) -> tuple[int, int, Plane] | None:
    points = view.pixels(part.path)
    width = part.diameter * view.scale
    window = view.window(points.min(axis=0) - width, points.max(axis=0) + width)
    if window is None:
        return None
    top, bottom, left, right = window
    cover = np.zeros((bottom - top, right - left), np.uint8)
    fixed = np.rint((points - (left + 0.5, top + 0.5)) * 2**_SUBPIXEL).astype(np.int32)
    line = max(round(width), 1)
    cv2.polylines(cover, [fixed], False, (255,), line, cv2.LINE_AA, _SUBPIXEL)
    # same cross-section as a round wire, spread over the line's whole pixels
    mean = np.pi / 4 * part.diameter * (width / line) / 255
    return top, left, cover.astype(np.float32) * np.float32(mean)


def _draw_sheet(part: Sheet, view: _View) -> tuple[int, int, Plane] | None:
    x, y = part.width / 2, part.height / 2
    corners = view.pixels(np.array([(-x, -y, 0.0), (x, -y, 0.0), (-x, y, 0.0), (x, y, 0.0)]))
    window = view.window(corners.min(axis=0), corners.max(axis=0))
    if window is None:
        return None
    top, bottom, left, right = window
    height, width = part.thickness.shape
    source = np.array([(0, 0), (width, 0), (0, height)], np.float32) - 0.5
    target = (corners[:3] - (left + 0.5, top + 0.5)).astype(np.float32)
    matrix = cv2.getAffineTransform(source, target)
    warped = cv2.warpAffine(part.thickness, matrix, (right - left, bottom - top))
    return top, left, np.asarray(warped / np.float32(view.lean), np.float32)
