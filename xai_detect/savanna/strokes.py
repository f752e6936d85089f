"""Strokes: smooth curves with a thickness, of which animals and trees are made."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

Rng = np.random.Generator
Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]
Point = tuple[float, float]
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """A curve of discs that lie close enough for a smooth edge.

    Attributes:
        part: What it belongs to.
        coat: Which colouring it takes.
        points: ``(n, 2)`` x and y, y up.
        radii: ``(n,)`` in the same unit.
        tone: Brightness; the far side of an animal is darker.
    """

    part: str
    coat: str
    points: Floats
    radii: Floats
    tone: float = 1.0


class Covered(NamedTuple):
    """Pixels under a curve: rows, columns, and which point of the curve lies nearest to each."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    nearest: NDArray[np.intp]


def stroke(
    part: str,
    coat: str,
    points: Sequence[Point] | Floats,
    radii: Sequence[float],
    tone: float = 1.0,
) -> Stroke:
    """A spline through the points; radii are interpolated between evenly spaced ones."""
    through = np.asarray(points, dtype=float)
    length = np.linalg.norm(np.diff(through, axis=0), axis=1).sum()
    count = int(np.clip(np.ceil(length / (0.7 * min(radii))), 4, 60)) + 1
    along = np.linspace(0, len(radii) - 1, count)
    thick = np.interp(along, np.arange(len(radii)), radii)
    return Stroke(part, coat, _spline(len(through), count) @ through, thick, tone)


@cache
def _spline(given: int, wanted: int) -> Floats:
    """Weights ``(wanted, given)`` of a natural spline, which is linear in what it goes through."""
    spline = CubicSpline(np.arange(given), np.eye(given), bc_type="natural")
    return np.asarray(spline(np.linspace(0, given - 1, wanted)))


def cover(points: Floats, radii: Floats, size: tuple[int, int]) -> Covered:
    """Pixels under a curve of discs.

    Args:
        points: ``(n, 2)`` x and y in pixels, y down.
        radii: ``(n,)`` in pixels.
        size: Height and width of the canvas; what lies beyond is left out.
    """
    height, width = size
    reach = radii[:, None] + 1
    x1, y1 = np.clip(np.floor((points - reach).min(axis=0)), 0, (width, height)).astype(int)
    x2, y2 = np.clip(np.ceil((points + reach).max(axis=0)), 0, (width, height)).astype(int)
    rows, columns = np.mgrid[y1:y2, x1:x2].reshape(2, -1)
    if not rows.size:
        return Covered(rows, columns, rows)
    at = np.stack([columns + 0.5, rows + 0.5], axis=1).astype(np.float32)
    discs, radii = points.astype(np.float32), radii.astype(np.float32)
    # |at|^2 is the same for all discs, so it decides only what is inside
    power = (discs**2).sum(axis=1) - radii**2 - 2 * (at @ discs.T)
    nearest = power.argmin(axis=1)
    inside = power[np.arange(len(at)), nearest] + (at**2).sum(axis=1) <= 0
    return Covered(rows[inside], columns[inside], nearest[inside])
