"""Random thickness fields for matter without edges: cloth, food, powders."""

import cv2
import numpy as np

from xai_detect.xray.physics.scanner import Plane
from xai_detect.xray.things.outlines import Number, Outline
from xai_detect.xray.things.solids import Sheet


def smooth_noise(
    height: int, width: int, cell: Number, rng: np.random.Generator, octaves: int = 3
) -> Plane:
    """Smooth noise in [0, 1] with features of ``cell`` pixels and finer ones at half weight."""
    field = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        step = max(cell / 2**octave, 1.0)
        shape = (int(height / step) + 2, int(width / step) + 2)
        coarse = rng.random(shape, dtype=np.float32)
        field += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    low, high = float(field.min()), float(field.max())
    return np.asarray((field - low) / max(high - low, 1e-6), np.float32)


def soft_sheet(
    material: str,
    outline: Outline,
    thickness: Number,
    rng: np.random.Generator,
    folds: Number = 0.6,
    edge: Number = 6.0,
) -> Sheet:
    """A soft body inside an outline: thick in the middle, thin at the rim, with folds.

    Args:
        material: What it is made of.
        outline: Its rim, in mm.
        thickness: Typical thickness in mm.
        rng: Source of the folds.
        folds: Share of the thickness that varies.
        edge: Width of the rim's taper, in mm.
    """
    per_mm = 0.5
    reach = np.abs(outline).max(axis=0) + 3
    width, height = (int(2 * value * per_mm) + 2 for value in reach)
    cover = np.zeros((height, width), np.uint8)
    points = (outline * per_mm + (width / 2, height / 2)) * 16
    cv2.fillPoly(cover, [np.rint(points).astype(np.int32)], (255,), cv2.LINE_AA, 4)
    rim = cv2.GaussianBlur(cover.astype(np.float32) / 255, (0, 0), max(edge * per_mm, 0.6))
    rim = np.clip(rim * 2 - 1, 0, 1) ** 0.6
    noise = smooth_noise(height, width, rng.uniform(12, 40), rng)
    # ridges of the noise look like folds, its hills like padding
    ridges = 1 - np.abs(2 * smooth_noise(height, width, rng.uniform(15, 45), rng, 2) - 1)
    varied = 1 - folds + folds * (0.9 * noise + 1.1 * ridges**4)
    return Sheet(
        material, np.asarray(thickness * rim * varied, np.float32), width / per_mm, height / per_mm
    )
