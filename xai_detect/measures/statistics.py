"""Ranking, intervals and correlation. Every interval is stated, none is assumed to be narrow."""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
Values = Sequence[float | int] | np.ndarray
Interval = tuple[float, float]
NO_INTERVAL: Interval = (math.nan, math.nan)


def auroc(scores: Values, positive: Sequence[bool] | np.ndarray) -> float:
    """Chance that a random positive scores above a random negative, ties counted half.

    Args:
        scores: Finite values, larger meaning more positive.
        positive: Which rows are positive.

    Returns:
        A value in [0, 1]; 0.5 is chance, also for constant scores. NaN if one class is missing.
    """
    values, is_positive = np.asarray(scores, dtype=float), np.asarray(positive, dtype=bool)
    above, below = int(is_positive.sum()), int((~is_positive).sum())
    if above == 0 or below == 0 or np.isnan(values).any():
        return math.nan
    rank_sum = float(ranks(values)[is_positive].sum())
    return (rank_sum - above * (above + 1) / 2) / (above * below)


def ranks(values: Values) -> np.ndarray:
    """Ranks from 1, smallest first; equal values share the mean of their ranks."""
    _, group, size = np.unique(
        np.asarray(values, dtype=float), return_inverse=True, return_counts=True
    )
    last: np.ndarray = np.cumsum(size)
    return (last - (size - 1) / 2)[group]


def spearman(a: Values, b: Values) -> float:
    """Correlation of ranks, in [-1, 1]; 0 is chance.

    Returns:
        NaN for fewer than two pairs, or if either side is constant or holds a NaN.
    """
    left, right = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if len(left) < 2 or np.isnan(left).any() or np.isnan(right).any():
        return math.nan
    x, y = ranks(left), ranks(right)
    x, y = x - x.mean(), y - y.mean()
    scale = math.sqrt(float((x * x).sum()) * float((y * y).sum()))
    return float((x * y).sum()) / scale if scale > 0 else math.nan


def wilson(successes: int, trials: int, z: float = 1.959964) -> Interval:
    """Interval of a share, sound also near 0 and 1 and for few trials.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22, 1927.

    Args:
        successes: How often it happened.
        trials: How often it could have.
        z: Normal quantile; the default gives 95 %.

    Returns:
        Limits in [0, 1]; NaN without trials.
    """
    if trials == 0:
        return NO_INTERVAL
    share = successes / trials
    weight = z * z / trials
    centre = (share + weight / 2) / (1 + weight)
    spread = z / (1 + weight) * math.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    return (max(centre - spread, 0.0), min(centre + spread, 1.0))


def bootstrap(
    images: Sequence[T],
    statistic: Callable[[Sequence[T]], float],
    *,
    repeats: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a statistic when images are drawn again with replacement.

    Images and not detections are drawn, because detections of one image are not independent.

    Args:
        images: One entry per image, whatever ``statistic`` reads.
        statistic: From a resample to a number.
        repeats: Number of resamples.
        level: Share of the resamples inside the interval, in (0, 1).
        seed: Of an own generator; the same seed gives the same interval.

    Returns:
        ``(low, high)``. Resamples whose statistic is NaN are left out; if more than half are, or
        there are fewer than two images, both ends are NaN.
    """
    if len(images) < 2:
        return NO_INTERVAL
    generator = np.random.default_rng(seed)
    values = np.array(
        [
            statistic([images[row] for row in generator.integers(len(images), size=len(images))])
            for _ in range(repeats)
        ]
    )
    values = values[~np.isnan(values)]
    if 2 * len(values) < repeats:
        return NO_INTERVAL
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return (float(low), float(high))
