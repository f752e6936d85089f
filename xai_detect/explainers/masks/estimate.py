"""From the scores of masked images to maps, each with the interval it is known to."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn import functional

from xai_detect.errors import InputError
from xai_detect.explainers.masks.bank import PHASES, Draw, MaskBank, Raster
from xai_detect.values.boxes import Size

ESTIMATORS = ("covariance", "regression", "ridge")
"""How maps are estimated; ``MaskEstimator`` says what each is."""

MOST_POINTS = 24
"""Points per side at which a regression looks at the masks and the spread is measured."""

SMOOTH = 1.0
"""Cells over which a regression expects slopes to be alike: standard deviation of a Gaussian."""

NORMAL = 1.959964
"""Normal quantile of a 95 % interval."""

LEFT_OVER = 0.1
"""Least share of its own deviation that a mask is taken to keep after a fit it took part in."""


class Estimate(NamedTuple):
    """Maps and how well they are known, in units of the score.

    Attributes:
        heatmaps: Covariance of score and visibility over the variance of a cell that is on or off:
            what the score gains, on average, where something is shown.
        half_widths: The 95 % interval of a pixel is the map plus or minus this; NaN where too few
            masks were shown to tell.
    """

    heatmaps: Float[Tensor, "k h w"]
    half_widths: Float[Tensor, "k h w"]


class _Stretch(NamedTuple):
    """Some masks with their scores, less their means: cells, the mask at some points, the shift."""

    cells: Float[Tensor, "m c"]
    points: Float[Tensor, "m p"]
    phases: Int[Tensor, "m"]
    scores: Float[Tensor, "m k"]


class _Fit(NamedTuple):
    """A ridge regression of every target's score on the mask at some points.

    Attributes:
        slopes: Score per visibility.
        axes: Directions in which the masks that were shown do not hang together, smooth ones long.
        shrunk: One over each direction's sum of squares plus the target's penalty.
    """

    slopes: Float[Tensor, "p k"]
    axes: Float[Tensor, "p p"]
    shrunk: Float[Tensor, "p k"]

    def left_over(self, points: Float[Tensor, "m p"], unit: int) -> Float[Tensor, "m k"]:
        """Share of its own deviation that a mask keeps: the fit bends towards what it has seen."""
        leverage = (points @ self.axes).square() @ self.shrunk
        return (1 - unit * leverage).clamp(min=LEFT_OVER)


class MaskEstimator:
    """Maps from the scores of a bank's first masks, which are drawn anew each time and never kept.

    - ``covariance``: the mean of ``(score - mean score) * mask``, over ``keep * (1 - keep)``.
      Petsiuk et al., "Black-box Explanation of Object Detectors via Saliency Maps", CVPR 2021,
      less the mean weight.
    - ``regression``: the same quantity with less noise. A ridge regression foretells the score from
      the mask. The covariance of what it foretells is known exactly, because the odds of the bank
      are, so that only what it missed is left to chance: a control variate.
    - ``ridge``: the covariance of what the same regression foretells, without what it missed. Least
      noise, but weak evidence is drawn towards 0 and towards its surroundings. Its interval is
      that of ``regression``.

    Sums are kept per cell and shift and drawn at full size at the end, which is exact, because
    drawing is linear.
    """

    def __init__(self, bank: MaskBank, size: Size, estimator: str = "covariance") -> None:
        """Prepare.

        Args:
            bank: Where the masks come from.
            size: ``(height, width)`` of the maps.
            estimator: One of ``ESTIMATORS``.

        Raises:
            InputError: If there is no such estimator.
        """
        if estimator not in ESTIMATORS:
            raise InputError(
                f"there is no estimator {estimator!r}; choose from {', '.join(ESTIMATORS)}"
            )
        self._bank = bank
        self._size = size
        self._fits = estimator != "covariance"
        self._foretold_only = estimator == "ridge"
        side = min(bank.grid, MOST_POINTS)
        self._points = Raster(bank.grid, (side, side))
        self._likely = _smooth_slopes(side, bank.grid / side) if self._fits else None
        self._scale = bank.keep * (1 - bank.keep)

    def estimate(self, scores: Float[Tensor, "n k"], half: int | None = None) -> Estimate:
        """Maps and intervals.

        Args:
            scores: Of masks ``0`` to ``n``, one column per target.
            half: 0 or 1 takes every other unit of the masks, from the first or the second on; None
                takes all.
        """
        sums, spread = self._sums(scores, half)
        maps = Raster(self._bank.grid, self._size).spread(sums)
        side = math.isqrt(spread.shape[1])
        widths = functional.interpolate(
            spread.view(-1, 1, side, side), size=self._size, mode="bilinear", align_corners=False
        )[:, 0]
        return Estimate(maps.float(), NORMAL * widths.float())

    def agreement(self, scores: Float[Tensor, "n k"]) -> Float[Tensor, "k"]:
        """Rank correlation of the maps of two halves of the masks, at some points of the image.

        Spearman's, in [-1, 1]; NaN where a map is flat, because then there is nothing to agree on.
        """
        halves = [self._points.spread(self._sums(scores, half)[0]).flatten(1) for half in (0, 1)]
        return torch.tensor([_rank_correlation(*pair) for pair in zip(*halves, strict=True)])

    def _sums(
        self, scores: Tensor, half: int | None = None
    ) -> tuple[Float[Tensor, "k p p g g"], Float[Tensor, "k q"]]:
        """Maps on the grid, apart by shift, and the standard error of the map at the points."""
        fit = self._fit(scores, half) if self._fits else None
        grid = self._bank.grid
        sums = torch.zeros(scores.shape[1], PHASES**2, grid**2, dtype=torch.float64)
        spread = _Spread(self._bank.unit)
        count = 0
        for part in self._stretches(scores, half):
            missed, alone = part.scores, part.scores
            if fit is not None:
                missed = part.scores - part.points @ fit.slopes
                alone = missed / fit.left_over(part.points, min(self._bank.unit, 2))
            for phase in range(PHASES**2):
                rows = part.phases == phase
                sums[:, phase] += missed[rows].T @ part.cells[rows]
            spread.add(alone, part.points)
            count += len(part.scores)
        sums = sums.view(-1, PHASES, PHASES, grid, grid) / (count * self._scale)
        if fit is not None:
            sums = self._foretold(fit) + (0.0 if self._foretold_only else sums)
        return sums, spread.standard_error() / (count * self._scale)

    def _stretches(self, scores: Tensor, half: int | None) -> Iterator[_Stretch]:
        count, unit = len(scores), self._bank.unit
        kept = torch.ones(count, dtype=torch.bool)
        if half is not None:
            kept = (torch.arange(count) // unit) % 2 == half
        centred = scores.double() - scores[kept].double().mean(dim=0)
        first = 0
        for draw in self._bank.blocks(count):
            rows = kept[first : first + len(draw.shown)]
            some = Draw(draw.shown[rows], draw.phases[rows])
            yield _Stretch(
                some.shown.flatten(1).double() - self._bank.keep,
                self._points.masks(some).flatten(1).double() - self._bank.keep,
                some.phases[:, 0] * PHASES + some.phases[:, 1],
                centred[first : first + len(draw.shown)][rows],
            )
            first += len(draw.shown)

    def _fit(self, scores: Tensor, half: int | None) -> _Fit:
        likely = torch.as_tensor(self._likely)
        points, targets = self._points.rows.shape[1] ** 2, scores.shape[1]
        gram = torch.zeros(points, points, dtype=torch.float64)
        moments = torch.zeros(points, targets, dtype=torch.float64)
        squares, count = torch.zeros(targets, dtype=torch.float64), 0
        for part in self._stretches(scores, half):
            seen = part.points @ likely
            gram += seen.T @ seen
            moments += seen.T @ part.scores
            squares += part.scores.square().sum(dim=0)
            count += len(part.scores)
        lengths, axes = torch.linalg.eigh(gram)
        lengths = lengths.clamp(min=0)
        along = axes.T @ moments
        penalties = _penalties(lengths, along, squares, count)
        shrunk = 1 / (lengths[:, None] + penalties)
        axes = likely @ axes
        return _Fit(axes @ (along * shrunk), axes, shrunk)

    def _foretold(self, fit: _Fit) -> Float[Tensor, "k p p g g"]:
        """The covariance of what the fit foretells with every cell, apart by shift."""
        side = self._points.rows.shape[1]
        slopes = fit.slopes.T.reshape(-1, side, side)
        rows, columns = self._points.rows.double(), self._points.columns.double()
        return torch.einsum("phg,qwf,khw->kpqgf", rows, columns, slopes) / PHASES**2


class _Spread:
    """The standard error of a sum over masks, each unit of masks being one sample."""

    def __init__(self, unit: int) -> None:
        self._unit = unit
        self._units = 0
        self._first: Tensor | float = 0.0
        self._second: Tensor | float = 0.0

    def add(self, scores: Float[Tensor, "m k"], points: Float[Tensor, "m p"]) -> None:
        """Count masks, in whole units; what is left over is not counted."""
        units = len(scores) // self._unit
        shape = (units, self._unit, -1)
        scores = scores[: units * self._unit].view(shape)
        points = points[: units * self._unit].view(shape)
        self._units += units
        products = [torch.einsum("um,ump->up", column, points) for column in scores.unbind(dim=2)]
        self._first = self._first + torch.stack([product.sum(dim=0) for product in products])
        self._second = self._second + torch.stack(
            [product.square().sum(dim=0) for product in products]
        )

    def standard_error(self) -> Float[Tensor, "k p"]:
        """NaN if there are fewer than two units."""
        total, squares = torch.as_tensor(self._first), torch.as_tensor(self._second)
        if self._units < 2:
            return torch.full_like(total, math.nan)
        deviations = (squares - total.square() / self._units).clamp(min=0)
        return (deviations * self._units / (self._units - 1)).sqrt()


def _smooth_slopes(side: int, spacing: float) -> Float[Tensor, "p p"]:
    """Slopes made of independent normal numbers, so that neighbours are alike.

    Args:
        side: Points per side.
        spacing: Cells from point to point.
    """
    places = torch.cartesian_prod(torch.arange(side), torch.arange(side)).double() * spacing
    alike = torch.exp(-torch.cdist(places, places).square() / (2 * SMOOTH**2))
    variances, axes = torch.linalg.eigh(alike)
    return axes * variances.clamp(min=0).sqrt()


def _penalties(
    lengths: Float[Tensor, "p"],
    along: Float[Tensor, "p k"],
    squares: Float[Tensor, "k"],
    count: int,
) -> Float[Tensor, "k"]:
    """The ridge penalty of each target by generalised cross-validation.

    Golub, Heath, Wahba, "Generalized Cross-Validation as a Method for Choosing a Good Ridge
    Parameter", Technometrics 21, 1979.
    """
    scale = lengths.mean()
    steps = torch.linspace(-3, 4, 71, dtype=lengths.dtype)
    tried = scale * 10**steps
    inverse = 1 / (lengths[:, None] + tried)  # (p, tried)
    explained = along.square().T @ (2 * inverse - lengths[:, None] * inverse.square())
    spare = count - 1 - (lengths[:, None] * inverse).sum(dim=0)
    loss = ((squares[:, None] - explained) / spare.square()).masked_fill(spare <= 0, torch.inf)
    best = loss.argmin(dim=1).clamp(1, len(tried) - 2)[:, None]
    low, middle, high = (loss.gather(1, best + step)[:, 0] for step in (-1, 0, 1))
    # The lowest point of the parabola through three steps: rounding in the scores must not make
    # the penalty jump from one step to the next.
    bend = low - 2 * middle + high
    shift = torch.where(bend > 0, (low - high) / (2 * bend.clamp(min=1e-300)), 0.0)
    at = steps[best[:, 0]] + shift.nan_to_num(0.0).clamp(-1, 1) * (steps[1] - steps[0])
    return scale * 10**at


def _rank_correlation(heatmap: Tensor, other: Tensor) -> float:
    if heatmap.min() == heatmap.max() or other.min() == other.max():
        return math.nan
    return float(spearmanr(heatmap.numpy(), other.numpy()).statistic)
