"""Cartoon faces with three labels: a mask is worn, the person is a woman, the person is old.

Drawn from a seed, with the exact outline of the person. The background is a ward (a pale green wall
with a cross) or a street (a brown wall with windows), chosen apart from the labels or along with
the mask.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

LABELS = ("mask", "woman", "old")
SIDE = 96
FINE = 4
"""Drawn so many times larger, then reduced: smooth edges."""

Colour = tuple[int, int, int]
SKINS: tuple[Colour, ...] = ((247, 215, 186), (224, 176, 132), (161, 108, 72), (98, 62, 42))
HAIRS: tuple[Colour, ...] = ((44, 30, 24), (96, 58, 30), (196, 150, 70), (150, 60, 30))
GREY: Colour = (205, 205, 208)


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One drawing.

    Attributes:
        image: RGB ``(SIDE, SIDE, 3)``.
        person: Which pixels show the person, ``(SIDE, SIDE)``.
        labels: 0 or 1 per name in ``LABELS``.
        ward: Whether the background is a ward.
    """

    image: NDArray[np.uint8]
    person: NDArray[np.bool_]
    labels: tuple[int, int, int]
    ward: bool


def draw(rng: np.random.Generator, tied: float = 0.5) -> Face:
    """One face.

    Args:
        rng: Decides everything.
        tied: How often a mask goes with the ward, and no mask with the street; 0.5 is chance, 1
            always, 0 never.
    """
    mask, woman, old = (int(rng.random() < 0.5) for _ in range(3))
    ward = bool(mask) == bool(rng.random() < tied)
    size = SIDE * FINE
    image = _ward(size, rng) if ward else _street(size, rng)
    before = image.copy()
    _person(image, rng, mask, woman, old)
    drawn = (image != before).any(axis=2).astype(np.uint8)
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    noisy = small + rng.normal(0, 4, small.shape)
    person = cv2.resize(drawn * 255, (SIDE, SIDE), interpolation=cv2.INTER_AREA) > 127
    return Face(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), person, (mask, woman, old), ward)


def _ward(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    image = np.full((size, size, 3), (196, 226, 214), np.uint8)
    image[:] = np.clip(image + rng.integers(-10, 11, 3), 0, 255)
    x, y = int(rng.choice([0.13, 0.87]) * size), int(rng.uniform(0.12, 0.3) * size)
    arm, thick = int(0.08 * size), int(0.03 * size)
    cv2.rectangle(image, (x - arm, y - thick), (x + arm, y + thick), (200, 52, 52), -1)
    cv2.rectangle(image, (x - thick, y - arm), (x + thick, y + arm), (200, 52, 52), -1)
    return image


def _street(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    image = np.full((size, size, 3), (178, 140, 112), np.uint8)
    image[:] = np.clip(image + rng.integers(-10, 11, 3), 0, 255)
    for x in (0.04, 0.8):
        top = float(rng.uniform(0.03, 0.2))
        low, high = (
            (int(x * size), int(top * size)),
            (
                int((x + 0.16) * size),
                int((top + 0.28) * size),
            ),
        )
        cv2.rectangle(image, low, high, (92, 120, 150), -1)
        cv2.rectangle(image, low, high, (70, 50, 40), max(1, size // 90))
    return image


def _person(
    image: NDArray[np.uint8], rng: np.random.Generator, mask: int, woman: int, old: int
) -> None:
    size = len(image)

    def at(x: float, y: float) -> tuple[int, int]:
        return int(centre[0] + x * scale), int(centre[1] + y * scale)

    scale = size * float(rng.uniform(0.27, 0.32))
    centre = size * (0.5 + rng.uniform(-0.06, 0.06)), size * (0.5 + rng.uniform(-0.03, 0.05))
    skin = SKINS[int(rng.integers(len(SKINS)))]
    hair = GREY if old else HAIRS[int(rng.integers(len(HAIRS)))]
    shirt = tuple(int(one) for one in rng.integers(40, 220, 3))
    line = max(1, round(0.035 * scale))
    if woman:
        cv2.ellipse(image, at(0, 0.15), _axes(1.08 * scale, 1.35 * scale), 0, 0, 360, hair, -1)
    cv2.ellipse(image, at(0, 1.9), _axes(1.25 * scale, 0.75 * scale), 0, 0, 360, shirt, -1)
    cv2.rectangle(image, at(-0.25, 0.8), at(0.25, 1.3), skin, -1)
    cv2.ellipse(image, at(0, 0), _axes(0.8 * scale, scale), 0, 0, 360, skin, -1)
    cv2.ellipse(image, at(0, -0.35), _axes(0.84 * scale, 0.72 * scale), 0, 180, 360, hair, -1)
    dark = tuple(int(0.45 * one) for one in skin)
    for side in (-1, 1):
        cv2.circle(image, at(0.32 * side, -0.05), round(0.1 * scale), (250, 250, 250), -1)
        cv2.circle(image, at(0.32 * side, -0.05), round(0.05 * scale), (30, 30, 30), -1)
        cv2.line(image, at(0.18 * side, -0.24), at(0.46 * side, -0.26), dark, line)
        if old:
            for turn in (-0.08, 0.04, 0.16):
                start, end = at(0.5 * side, 0.0 + turn / 2), at(0.68 * side, turn)
                cv2.line(image, start, end, dark, line)
    if old:
        for row in (-0.33, -0.3):
            cv2.line(image, at(-0.3, row), at(0.3, row), dark, max(1, line // 2))
    if mask:
        cloth = (150, 196, 228) if rng.random() < 0.5 else (236, 238, 242)
        corners = [at(-0.66, 0.2), at(0, 0.1), at(0.66, 0.2), at(0.5, 0.78), at(0, 0.98)]
        corners.append(at(-0.5, 0.78))
        cv2.fillPoly(image, [np.array(corners, np.int32)], cloth)
        for row in (0.4, 0.6):
            cv2.line(image, at(-0.55, row), at(0.55, row), (120, 150, 175), max(1, line // 2))
    else:
        cv2.line(image, at(0, 0.0), at(-0.08, 0.3), dark, line)
        cv2.ellipse(
            image, at(0, 0.5), _axes(0.28 * scale, 0.12 * scale), 0, 10, 170, (150, 50, 50), line
        )


def _axes(across: float, down: float) -> tuple[int, int]:
    return round(across), round(down)
