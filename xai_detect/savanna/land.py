"""The land to stand in: sky, sun, clouds, hills, water, distant bushes and grass."""

import cv2
import numpy as np

from xai_detect.savanna.strokes import Floats, Point, Rng
from xai_detect.savanna.styles import Style

BANDS = 5
"""So many bands stand for a running colour in a style that draws in bands."""


def landscape(side: int, horizon: float, style: Style, rng: Rng) -> Floats:
    """An empty landscape, RGB ``(side, side, 3)`` from 0 to 255.

    Args:
        side: In pixels.
        horizon: Its row in pixels.
        style: How it is drawn.
        rng: Decides the rest.
    """
    mood = style.moods[rng.integers(len(style.moods))]
    sky, haze, far, near = (np.array(colour) + rng.normal(0, 5, 3) for colour in mood)
    y = np.arange(side)[:, None]
    up = np.clip(y / horizon, 0, 1) ** 1.4
    down = np.clip((y - horizon) / (side - horizon), 0, 1)
    if style.hatched:
        up, down = np.floor(up * BANDS) / BANDS, np.floor(down * BANDS) / BANDS
    column = np.where(y < horizon, sky + (haze - sky) * up, far + (near - far) * down)
    image = np.repeat(column[:, None].astype(np.float32), side, axis=1)
    _sun(image, haze, rng)
    _clouds(image, rng)
    _hills(image, horizon, haze, far, rng)
    if rng.random() < 0.3:
        _water(image, horizon, sky * 0.85 + haze * 0.12, near * 0.72, rng)
    for _ in range(int(rng.integers(2, 8))):
        _distant_bush(image, horizon, np.array(style.leaves, float), rng)
    grass(image, (horizon + 0.03 * side, float(side)), 90, rng)
    return image


def shade(image: Floats, foot: Point, wide: float) -> None:
    """A soft shadow on the ground under a thing ``wide`` pixels wide whose foot is at x, y."""
    side = len(image)
    x, y, reach, blur = int(foot[0]), int(foot[1]), int(wide / 2), side / 130
    tall = max(1, round(0.018 * side))
    mask = np.zeros(image.shape[:2], np.float32)
    cv2.ellipse(mask, (x, y), (reach, tall), 0, 0, 360, 1.0, -1)
    rows = slice(max(0, int(y - tall - 4 * blur)), int(y + tall + 4 * blur))
    image[rows] *= (1 - 0.38 * cv2.GaussianBlur(mask[rows], (0, 0), blur))[..., None]


def grass(image: Floats, rows: Point, count: int, rng: Rng) -> None:
    """Tufts between two rows, larger towards the viewer."""
    side = len(image)
    for _ in range(count):
        x, y = rng.uniform(0, side), rng.uniform(*rows)
        ground = image[min(int(y), side - 1), int(x)]
        colour = ground * rng.uniform(0.66, 1.16) * np.array([0.94, 1.02, 0.86])
        near = (y / side) ** 3
        for lean in rng.normal(0, 0.4, 4):
            tall = 0.042 * side * near * rng.uniform(0.5, 1)
            foot, tip = (x + 4 * lean, y), (x + 0.035 * side * near * lean, y - tall)
            thick = max(1, round(side / 200 * near))
            _line(image, foot, tip, colour, thick)


def _line(image: Floats, start: Point, end: Point, colour: Floats, thick: int) -> None:
    here, there = ((int(x), int(y)) for x, y in (start, end))
    cv2.line(image, here, there, colour.tolist(), thick, cv2.LINE_AA)


def _oval(image: Floats, at: Point, radii: Point, colour: Floats) -> None:
    centre, axes = (int(at[0]), int(at[1])), (int(radii[0]), int(radii[1]))
    cv2.ellipse(image, centre, axes, 0, 0, 360, colour.tolist(), -1, cv2.LINE_AA)


def _sun(image: Floats, haze: Floats, rng: Rng) -> None:
    side = len(image)
    x, y, shines = rng.uniform(0, side), rng.uniform(0.08, 0.35) * side, rng.random() < 0.5
    if shines:
        gold = 0.4 * haze + 0.6 * np.array([255.0, 244.0, 214.0])
        _oval(image, (x, y), (0.045 * side, 0.045 * side), gold)


def _clouds(image: Floats, rng: Rng) -> None:
    side = len(image)
    white = np.zeros((side, side), np.float32)
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(0, side), rng.uniform(0.05, 0.30) * side
        for _ in range(5):
            at = (x + rng.normal(0, 0.06) * side, y + rng.normal(0, 0.008) * side)
            radii = (rng.uniform(0.04, 0.09) * side, rng.uniform(0.01, 0.022) * side)
            _oval(white, at, radii, np.ones(1))
    soft = 0.75 * cv2.GaussianBlur(white, (0, 0), side / 110)[..., None]
    image += (252 - image) * soft


def _hills(image: Floats, horizon: float, haze: Floats, far: Floats, rng: Rng) -> None:
    side = len(image)
    x, y = np.arange(side) / side, np.arange(side)[:, None]
    green = 0.72 * far + np.array([6.0, 16.0, 10.0])
    for height, tone in ((0.07, 0.45), (0.035, 0.75)):
        long = np.sin(x * rng.uniform(4, 9) + rng.uniform(0, 6))
        short = np.sin(x * rng.uniform(14, 22))
        rise = height * side * (0.55 + 0.3 * long + 0.15 * short)
        image[(y > horizon - rise) & (y < horizon)] = haze + (green - haze) * tone


def _water(image: Floats, horizon: float, colour: Floats, shore: Floats, rng: Rng) -> None:
    side = len(image)
    at = (rng.uniform(0.1, 0.9) * side, horizon + (side - horizon) * rng.uniform(0.15, 0.35))
    wide, tall = rng.uniform(0.14, 0.3) * side, rng.uniform(0.012, 0.03) * side
    _oval(image, at, (wide + side / 64, tall + side / 96), shore)
    _oval(image, at, (wide, tall), colour)


def _distant_bush(image: Floats, horizon: float, leaves: Floats, rng: Rng) -> None:
    side = len(image)
    x, wide = rng.uniform(0, side), rng.uniform(0.012, 0.03) * side
    green = 0.84 * leaves * rng.uniform(0.8, 1.15)
    for _ in range(4):
        at = (x + rng.normal(0, wide), horizon + rng.uniform(-0.4, 0.3) * wide)
        _oval(image, at, (wide, 0.6 * wide), green * rng.uniform(0.85, 1.15))
