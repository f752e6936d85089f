"""Solids: what an item is built of, in its own frame.

An item is a tuple of parts (x, y in the plane it lies in, z up, millimetres);
``shadows`` casts them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xai_detect.xray.physics.scanner import Plane
from xai_detect.xray.things.outlines import Number, Outline


@dataclass(frozen=True, slots=True)
class Prism:
    """An outline extruded from ``bottom`` to ``top``; ``holes`` are cut through it."""

    material: str
    outline: Outline
    bottom: Number
    top: Number
    holes: tuple[Outline, ...] = ()


@dataclass(frozen=True, slots=True)
class Lathe:
    """A body of revolution about an axis in the item plane.

    Attributes:
        material: What it is made of.
        along: Positions on the axis where the radius is given, increasing, in mm.
        radii: Outer radius at each position, in mm.
        wall: Wall thickness in mm; None is solid.
        centre: Where the axis' zero lies.
        turn: Direction of the axis in the item plane, in radians.
    """

    material: str
    along: tuple[Number, ...]
    radii: tuple[Number, ...]
    wall: Number | None = None
    centre: tuple[Number, Number, Number] = (0.0, 0.0, 0.0)
    turn: Number = 0.0


@dataclass(frozen=True, slots=True)
class Wire:
    """A round wire along a path ``(n, 3)``."""

    material: str
    path: NDArray[np.float64]
    diameter: Number


@dataclass(frozen=True, slots=True)
class Sheet:
    """A thickness field in mm over a rectangle ``width`` by ``height`` around the origin."""

    material: str
    thickness: Plane
    width: Number
    height: Number


Part = Prism | Lathe | Wire | Sheet


@dataclass(frozen=True, slots=True)
class Item:
    """Something in a bag, in its own frame.

    Attributes:
        name: Item type.
        parts: What it is built of.
        material: The material that names it in the annotations.
    """

    name: str
    parts: tuple[Part, ...]
    material: str


@dataclass(frozen=True, slots=True)
class Pose:
    """Where an item lies: rotation by ``tilt_x``, ``tilt_y``, then ``angle``; centre in mm."""

    x: Number
    y: Number
    angle: Number = 0.0
    tilt_x: Number = 0.0
    tilt_y: Number = 0.0
    mirrored: bool = False

    def rotation(self) -> NDArray[np.float64]:
        """The 3 by 3 rotation matrix (with a reflection if ``mirrored``)."""
        cx, sx = np.cos(self.tilt_x), np.sin(self.tilt_x)
        cy, sy = np.cos(self.tilt_y), np.sin(self.tilt_y)
        cz, sz = np.cos(self.angle), np.sin(self.angle)
        about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        flip = np.diag([-1.0 if self.mirrored else 1.0, 1.0, 1.0])
        return np.asarray(about_z @ about_y @ about_x @ flip)
