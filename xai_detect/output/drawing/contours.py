"""Which regions hold the evidence: the arithmetic behind the drawn lines.

Only positive evidence is drawn. It is smoothed a little first, because single pixels of an
attribution map mean little; shares are always those of the unsmoothed map.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float
from torch import Tensor

from xai_detect.values import boxes
from xai_detect.values.boxes import Box
from xai_detect.values.smoothing import smooth

SMOOTHING = 0.015
"""Standard deviation of the smoothing as a share of the image's longer side."""

SHARES = (0.5, 0.8)
"""Shares of the positive evidence whose smallest regions are outlined."""

LEAST_SHARE = 0.01
"""Regions that hold a smaller share of the positive evidence are not outlined."""

MAX_PARTS = 5
"""Most regions outside the box that get a number."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A region of evidence beyond a box and its ring.

    Attributes:
        share: Share of all positive evidence, in [0, 1].
        top: Its uppermost point ``(x, y)`` in image pixels.
    """

    share: float
    top: tuple[float, float]


def positive(heatmap: Float[Tensor, "h w"]) -> np.ndarray:
    """The positive evidence as shares that sum to 1; all zero if there is none."""
    values = heatmap.numpy().clip(min=0).astype(np.float64)
    total = values.sum()
    return (values / total if total > 0 else values).astype(np.float32)


def smoothed(shares: np.ndarray) -> np.ndarray:
    """Shares under a narrow Gaussian; they still sum to 1."""
    return smooth(shares, max(SMOOTHING * max(shares.shape), 0.5))


def threshold(density: np.ndarray, share: float) -> float:
    """The value whose upper region is the smallest that holds ``share`` of the whole.

    Infinite if the density is zero everywhere: then no region holds anything.
    """
    values = np.sort(density, axis=None)[::-1].astype(np.float64)
    held = values.cumsum()
    if held[-1] <= 0:
        return float("inf")
    return float(values[np.searchsorted(held, share * held[-1])])


def region(shares: np.ndarray, density: np.ndarray, level: float) -> np.ndarray:
    """Where ``density`` reaches ``level``, without crumbs that hold less than ``LEAST_SHARE``."""
    inside = (density >= level).astype(np.uint8)
    count, labels = cv2.connectedComponents(inside)
    held = np.bincount(labels.ravel(), weights=shares.ravel(), minlength=count)
    held[0] = 0
    return (held >= LEAST_SHARE)[labels]


def parts_outside(shares: np.ndarray, evidence: np.ndarray, near: Box) -> list[Part]:
    """The regions of ``evidence`` beyond a box and its ring, weightiest first.

    Args:
        shares: Positive evidence per pixel, summing to 1.
        evidence: The region that holds most of it.
        near: The detection grown by its ring, in image pixels.
    """
    size = (shares.shape[0], shares.shape[1])
    beyond = evidence & ~boxes.mask(near, size).numpy()
    count, labels = cv2.connectedComponents(beyond.astype(np.uint8))
    held = np.bincount(labels.ravel(), weights=shares.ravel(), minlength=count)
    heaviest = [label for label in np.argsort(-held) if label != 0 and held[label] >= LEAST_SHARE]
    return [Part(float(held[label]), _top(labels == label)) for label in heaviest[:MAX_PARTS]]


def _top(region_: np.ndarray) -> tuple[float, float]:
    row = int(region_.any(axis=1).argmax())
    columns = np.flatnonzero(region_[row])
    return (float(columns.mean()) + 0.5, row + 0.5)


def lift(density: np.ndarray, pixels: int) -> np.ndarray:
    """Evidence per pixel as a multiple of an even spread over ``pixels`` pixels; 1 is chance."""
    return density * pixels
