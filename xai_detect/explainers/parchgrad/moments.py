"""Moments of channel strengths per class, and the two tests that are made of them."""

from typing import NamedTuple

import numpy as np
import scipy.special
import scipy.stats
from jaxtyping import Float, Float64, Integer


class Moments(NamedTuple):
    """Number, mean and sum of squared deviations of some boxes, per channel."""

    n: float | np.ndarray
    mean: np.ndarray
    squares: np.ndarray

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation with n - 1; NaN below two boxes."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.sqrt(np.where(self.n > 1, self.squares / (self.n - 1.0), np.nan))


class Tally:
    """Moments per row, one row a class and the last one background.

    Attributes:
        n: Boxes ``(r, 1)``.
        mean: Of each channel ``(r, k)``; 0 without boxes.
        squares: Squared deviations from it, summed ``(r, k)``.
    """

    def __init__(self, rows: int, channels: int) -> None:
        self.n = np.zeros((rows, 1))
        self.mean = np.zeros((rows, channels))
        self.squares = np.zeros((rows, channels))

    def add(self, rows: Integer[np.ndarray, "b"], values: Float64[np.ndarray, "b k"]) -> None:
        """Count boxes, each for its row.

        Deviations are taken from the first value of a row's boxes, so that a channel that never
        varies keeps a variance of exactly 0.
        """
        for row in np.unique(rows):
            own = values[rows == row]
            off = own - own[0]
            mean = own[0] + off.mean(axis=0)
            squares = ((own - mean) ** 2).sum(axis=0)
            held, count = self.n[row], len(own)
            change = mean - self.mean[row]
            total = held + count
            self.mean[row] += change * (count / total)
            self.squares[row] += squares + change**2 * (held * count / total)
            self.n[row] = total

    def row(self, row: int) -> Moments:
        """What one row holds."""
        return Moments(float(self.n[row, 0]), self.mean[row], self.squares[row])


def without(whole: Moments, part: Moments) -> Moments:
    """What is left of the whole without a part of it (Chan, Golub, LeVeque 1983, backwards)."""
    n = whole.n - part.n
    if n <= 0:
        return Moments(0.0, np.zeros_like(whole.mean), np.zeros_like(whole.mean))
    mean = (whole.n * whole.mean - part.n * part.mean) / n
    between = part.n * n / whole.n * (part.mean - mean) ** 2
    return Moments(n, mean, np.maximum(whole.squares - part.squares - between, 0.0))


def welch(own: Moments, rest: Moments) -> Float64[np.ndarray, "k"]:
    """p-value of "the mean of ``own`` exceeds that of ``rest``", variances not taken as equal.

    Welch, "The generalization of 'Student's' problem when several different population variances
    are involved", Biometrika 34, 1947, with Satterthwaite's degrees of freedom. 1 where there are
    fewer than two boxes on a side, or where neither varies and the means agree.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = own.deviation**2 / own.n, rest.deviation**2 / rest.n
        t = (own.mean - rest.mean) / np.sqrt(a + b)
        freedom = (a + b) ** 2 / (a**2 / (own.n - 1.0) + b**2 / (rest.n - 1.0))
    certain = np.where(t > 0, 0.0, 1.0)  # means differ and neither side varies
    p = np.where(np.isinf(t), certain, scipy.special.stdtr(freedom, -t))
    return np.where(np.isnan(p), 1.0, p)


def shapiro(values: Float[np.ndarray, "n k"]) -> Float64[np.ndarray, "k"]:
    """Shapiro-Wilk p-value per column; 1 for a constant column or fewer than three values.

    Shapiro, Wilk, "An analysis of variance test for normality", Biometrika 52, 1965.
    """
    found = np.ones(values.shape[1])
    if len(values) >= 3:
        for column in np.flatnonzero(np.ptp(values, axis=0) > 0):
            found[column] = scipy.stats.shapiro(values[:, column].astype(np.float64)).pvalue
    return found
