"""Ranking and intervals. Every interval is stated, none is assumed to be narrow."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import binomtest

Values = Sequence[float | int] | np.ndarray
Drawn = np.ndarray
"""How often each row, or each image, is there: whole numbers from 0."""

Interval = tuple[float, float]
NO_INTERVAL: Interval = (math.nan, math.nan)


def auroc(scores: Values, positive: Sequence[bool] | np.ndarray) -> float:
    """Chance that a random positive scores above a random negative, ties counted half.

    Args:
        scores: Finite values, larger meaning more positive.
        positive: Which rows are positive.

    Returns:
        A value in [0, 1]; 0.5 is chance, also for constant scores. NaN if one class or a score is
        missing.
    """
    return drawn_auroc(scores, positive)(np.ones(len(scores), dtype=np.int64))


def drawn_auroc(scores: Values, positive: Sequence[bool] | np.ndarray) -> Callable[[Drawn], float]:
    """``auroc`` as a function of how often each row is drawn; rows are sorted once for all draws.

    Args:
        scores: As in ``auroc``.
        positive: As in ``auroc``.
    """
    values, is_positive = np.asarray(scores, dtype=float), np.asarray(positive, dtype=bool)
    up, down = np.flatnonzero(is_positive), np.flatnonzero(~is_positive)
    down = down[values[down].argsort()]
    below = np.searchsorted(values[down], values[up], side="left")
    not_above = np.searchsorted(values[down], values[up], side="right")
    missing = bool(np.isnan(values).any())

    def of(drawn: Drawn) -> float:
        # negatives up to each place; a tie counts as one half below and one half not above
        running = np.concatenate([[0], drawn[down].cumsum()])
        pairs = int(drawn[up].sum()) * int(running[-1])
        if missing or pairs == 0:
            return math.nan
        return int(drawn[up] @ (running[below] + running[not_above])) / (2 * pairs)

    return of


def wilson(successes: int, trials: int) -> Interval:
    """95 % interval of a share, sound also near 0 and 1 and for few trials.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22, 1927.

    Args:
        successes: How often it happened.
        trials: How often it could have.

    Returns:
        Limits in [0, 1]; NaN without trials.
    """
    if trials == 0:
        return NO_INTERVAL
    interval = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return (float(interval.low), float(interval.high))


def bootstrap(
    images: int,
    statistics: Callable[[Drawn], Sequence[float]],
    *,
    repeats: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[Interval, ...]:
    """Percentile intervals of statistics when images are drawn again with replacement.

    Images and not detections are drawn, because detections of one image are not independent. All
    statistics see the same draws, so the interval of a difference is that of a paired one.

    Args:
        images: Number of images.
        statistics: From how often each image was drawn to as many numbers as there are intervals.
        repeats: Number of resamples.
        level: Share of the resamples inside the interval, in (0, 1).
        seed: Of an own generator; the same seed gives the same interval.

    Returns:
        ``(low, high)`` of each statistic. Resamples where it is NaN are left out; if more than
        half are, or there are fewer than two images, both ends are NaN.
    """
    if images < 2:
        return (NO_INTERVAL,) * len(statistics(np.ones(images, dtype=np.int64)))
    generator = np.random.default_rng(seed)
    rows = [
        statistics(np.bincount(generator.integers(images, size=images), minlength=images))
        for _ in range(repeats)
    ]
    return tuple(_percentiles(values, level) for values in np.array(rows, dtype=float).T)


def _percentiles(values: np.ndarray, level: float) -> Interval:
    known = values[~np.isnan(values)]
    if 2 * len(known) < len(values):
        return NO_INTERVAL
    tail = (1 - level) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return (float(low), float(high))
