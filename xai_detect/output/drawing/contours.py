"""Which regions hold the evidence: the arithmetic behind the drawn lines.

A map is smoothed a little first, because its single pixels mean little: what stands beside as
much counter-evidence is no evidence. The positive part of the rest is drawn, and shares are of it.
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


def evidence(heatmap: Float[Tensor, "h w"]) -> np.ndarray:
    """The positive part of a smoothed map, per hundredth of the image's area.

    In the map's own unit: over an image of a hundred equal parts it is what each of them holds.
    """
    width = max(SMOOTHING * max(heatmap.shape), 0.5)
    smoothed = smooth(heatmap.numpy().astype(np.float64), width)
    return smoothed.clip(min=0) * (heatmap.numel() / 100)


def threshold(density: np.ndarray, share: float) -> float:
    """The value whose upper region is the smallest that holds ``share`` of the whole.

    Infinite if the density is zero everywhere: then no region holds anything.
    """
    values = np.sort(density, axis=None)[::-1].astype(np.float64)
    held = values.cumsum()
    if held[-1] <= 0:
        return float("inf")
    return float(values[np.searchsorted(held, share * held[-1])])


def region(density: np.ndarray, level: float) -> np.ndarray:
    """Where ``density`` reaches ``level``, without crumbs that hold less than ``LEAST_SHARE``."""
    labels, held = _pieces(density, density >= level)
    return (held >= LEAST_SHARE)[labels]


def parts_outside(density: np.ndarray, drawn: np.ndarray, near: Box) -> list[Part]:
    """The pieces of a region beyond a box and its ring, weightiest first.

    Args:
        density: Positive evidence.
        drawn: The region that holds most of it.
        near: The detection grown by its ring, in image pixels.
    """
    size = (density.shape[0], density.shape[1])
    labels, held = _pieces(density, drawn & ~boxes.mask(near, size).numpy())
    heaviest = [label for label in np.argsort(-held) if held[label] >= LEAST_SHARE]
    return [Part(float(held[label]), _top(labels == label)) for label in heaviest[:MAX_PARTS]]


def _pieces(density: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Connected pieces, labelled from 1, and the share of the evidence that each label holds."""
    count, labels = cv2.connectedComponents(where.astype(np.uint8))
    held = np.bincount(labels.ravel(), weights=density.ravel(), minlength=count)
    held[0] = 0
    return labels, held / (density.sum() or 1.0)


def _top(region_: np.ndarray) -> tuple[float, float]:
    row = int(region_.any(axis=1).argmax())
    columns = np.flatnonzero(region_[row])
    return (float(columns.mean()) + 0.5, row + 0.5)
