"""Closed outlines in millimetres, the raw material of prisms.

An outline is an ``(n, 2)`` float array of x, y corners, centred near the origin.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.float64]
#: A length or angle; spelt out because a strict type checker takes no int for a float.
Number = int | float
#: Corner points as an array, or as a list of pairs.
Points = NDArray[np.number] | Sequence[Number] | Sequence[Sequence[Number] | Outline]


def polygon(points: Points) -> Outline:
    """An outline from corner points."""
    return np.asarray(points, dtype=np.float64)


def rectangle(width: Number, height: Number, corner: Number = 0.0) -> Outline:
    """A rectangle with its corners rounded by ``corner`` mm, centred."""
    half_width, half_height = width / 2, height / 2
    corner = min(corner, half_width, half_height)
    if corner <= 0:
        x, y = half_width, half_height
        return polygon([(-x, -y), (x, -y), (x, y), (-x, y)])
    arc = np.linspace(0, np.pi / 2, 6)
    quarters = []
    for turn, (sign_x, sign_y) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        angle = arc + turn * np.pi / 2
        quarters.append(
            np.stack(
                [
                    sign_x * (half_width - corner) + corner * np.cos(angle),
                    sign_y * (half_height - corner) + corner * np.sin(angle),
                ],
                axis=1,
            )
        )
    return np.concatenate(quarters)


def ellipse(width: Number, height: Number, points: int = 40) -> Outline:
    """An ellipse with the given full width and height."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([width / 2 * np.cos(angle), height / 2 * np.sin(angle)], axis=1)


def blob(width: Number, height: Number, roughness: Number, rng: np.random.Generator) -> Outline:
    """An ellipse whose radius wanders by the share ``roughness``: cloth, food, soft bags."""
    angle = np.linspace(0, 2 * np.pi, 56, endpoint=False)
    radius = np.ones_like(angle)
    for order in range(2, 8):
        amplitude = roughness * rng.normal() / order**0.7
        radius += amplitude * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    # a power below 1 squares the ellipse a little, as folded things are
    radius *= (np.abs(np.cos(angle)) ** 3 + np.abs(np.sin(angle)) ** 3) ** (-1 / 3)
    return np.stack(
        [width / 2 * radius * np.cos(angle), height / 2 * radius * np.sin(angle)], axis=1
    )


def band(path: Points, widths: Number | Points) -> Outline:
    """A strip along a centre line: both edges of ``path`` offset by half its width."""
    line = np.asarray(path, dtype=np.float64)
    half = np.broadcast_to(np.asarray(widths, dtype=np.float64) / 2, (len(line),))[:, None]
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    return np.concatenate([line + across * half, (line - across * half)[::-1]])


def moved(outline: Outline, x: Number, y: Number, turn: Number = 0.0) -> Outline:
    """The outline turned about the origin by ``turn`` radians, then shifted."""
    cos, sin = np.cos(turn), np.sin(turn)
    return outline @ np.array([[cos, sin], [-sin, cos]]) + np.array([x, y])


def scaled(outline: Outline, factor: Number) -> Outline:
    """The outline shrunk or grown about its mean point."""
    centre = outline.mean(axis=0)
    return (outline - centre) * factor + centre


def spline(points: Points, count: int = 40) -> NDArray[np.float64]:
    """A smooth open path through points (Catmull-Rom)."""
    knots = np.asarray(points, dtype=np.float64)
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    at = np.linspace(0, len(knots) - 1 - 1e-9, count)
    index = at.astype(int)
    t = (at - index)[:, None]
    a, b, c, d = (padded[index + i] for i in range(4))
    return np.asarray(
        0.5
        * (
            2 * b
            + (c - a) * t
            + (2 * a - 5 * b + 4 * c - d) * t**2
            + (3 * b - a - 3 * c + d) * t**3
        )
    )
