"""Gradients averaged over a whole straight path by Gauss-Legendre, by this package or by Captum."""

from collections.abc import Sequence

import captum.attr
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.explainers.gradients.probe import POINTS, Probe

ENGINES = ("shared", "captum")
"""Who integrates: ``shared`` takes one forward pass per point for all targets; ``captum`` is
``captum.attr.IntegratedGradients``, called once per target."""


class WholePath:
    """The straight line between two inputs, integrated as a whole.

    Attributes:
        first: Score of every target at the start.
        last: Score of every target at the end.
        evaluations: Points at which gradients were taken so far.
    """

    def __init__(
        self,
        probe: Probe,
        start: Float[Tensor, "1 3 i j"],
        end: Float[Tensor, "1 3 i j"],
        engine: str,
    ) -> None:
        self._probe = probe
        self._start = start
        self._end = end
        self._average = self._by_captum if engine == "captum" else self._shared
        with torch.no_grad():
            self.first, self.last = probe.scores(start), probe.scores(end)
        self.evaluations = 0

    def integrate(
        self, steps: int, max_steps: int, tolerance: float
    ) -> tuple[Float[Tensor, "k 3 i j"], Float[Tensor, "k"]]:
        """Average gradient over the path, and what each target's attributions sum to.

        Targets that miss more than ``tolerance`` are integrated anew with twice as many points,
        while no more than ``max_steps`` are spent in all.
        """
        difference = self.last - self.first
        change = (self._end - self._start).flatten()
        total = torch.zeros_like(self._end).repeat(len(difference), 1, 1, 1)
        attributed = torch.zeros_like(difference)
        rows, points = list(range(len(difference))), steps
        while True:
            total[rows] = self._average(points, rows)
            self.evaluations += points
            attributed[rows] = total[rows].flatten(1) @ change
            gap = (attributed - difference).abs()
            failing = gap > tolerance * difference.abs()
            rows, points = [row for row in rows if bool(failing[row])], 2 * points
            if not rows or self.evaluations + points > max_steps:
                return total.cpu(), attributed

    def _shared(self, points: int, rows: Sequence[int]) -> Float[Tensor, "r 3 i j"]:
        """By the points and weights that Captum takes, all targets from one pass."""
        places, weights = np.polynomial.legendre.leggauss(points)
        total: Tensor = torch.zeros_like(self._end).repeat(len(rows), 1, 1, 1)
        for place, weight in zip((1 + places) / 2, weights / 2, strict=True):
            point = self._start + float(place) * (self._end - self._start)
            total.add_(self._probe.gradients(point, rows)[0], alpha=float(weight))
        return total

    def _by_captum(self, points: int, rows: Sequence[int]) -> Float[Tensor, "r 3 i j"]:
        """Captum's average gradient: attributions without the factor ``inputs - baselines``."""
        engine = captum.attr.IntegratedGradients(self._probe.batch_scores, multiply_by_inputs=False)
        self._probe.backward_passes += points * len(rows)
        found = [
            engine.attribute(
                self._end,
                baselines=self._start,
                target=row,
                n_steps=points,
                method="gausslegendre",
                internal_batch_size=POINTS,
            )
            for row in rows
        ]
        return torch.cat(found).to(self._end)
