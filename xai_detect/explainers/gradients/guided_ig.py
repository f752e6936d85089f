"""Guided integrated gradients: a path on which gradients stay small for as long as may be."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.protocol import Detector, WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.explainers.gradients.integrated import baseline_image, completeness, in_groups
from xai_detect.explainers.gradients.probe import Probe
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed


def advance(
    alpha: Float[np.ndarray, "n"],
    gradient: Float[np.ndarray, "n"],
    weight: Float[np.ndarray, "n"],
    position: float,
    fraction: float,
    max_dist: float,
) -> Float[np.ndarray, "n"]:
    """How far along every feature is after one step of the guided path.

    Features that lag behind are pulled up to the lower bound. Then, of those not yet at the upper
    bound, the share with the smallest gradients moves towards it, exactly far enough to meet the
    distance; where that is not enough they move fully, and the next smallest follow.

    Args:
        alpha: How far each feature is before the step: 0 at the baseline, 1 at the image.
        gradient: At the point where the step begins.
        weight: Each feature's distance between baseline and image, above 0.
        position: Share of the whole distance that lies behind after the step.
        fraction: Share of the features that move at a time; those that tie with the last as well.
        max_dist: How far a feature may be from ``position``.
    """
    low, high = max(position - max_dist, 0.0), min(position + max_dist, 1.0)
    if position >= 1:
        return np.ones_like(alpha)
    alpha = alpha.clip(min=low)
    missing = float((weight * (position - alpha)).sum(dtype=np.float64))
    free = np.flatnonzero(alpha < high)
    size = np.abs(gradient[free])
    size[np.isnan(size)] = np.inf
    room = (weight * (high - alpha))[free]
    while missing > 0 and len(free):
        rank = math.ceil(fraction * len(free))
        least = size <= np.partition(size, rank - 1)[rank - 1]
        # positions, because picking by them is several times faster than by flags
        chosen, rest = np.flatnonzero(least), np.flatnonzero(~least)
        spare = float(room[chosen].sum(dtype=np.float64))
        here = free[chosen]
        if spare > missing:
            alpha[here] += missing / spare * (high - alpha[here])
            break
        alpha[here] = high
        missing -= spare
        free, size, room = free[rest], size[rest], room[rest]
    return alpha


@dataclass(frozen=True, slots=True)
class GuidedIG:
    """Integrated gradients on a path that the network chooses: small gradients first.

    At every step the input pixels and colours with the smallest gradients move towards the image,
    so that the path avoids the places where large gradients of unrelated pixels make a map noisy.
    Each target has its own path. Pixels are those of the network's input; what is found there is
    pulled back to the image as for integrated gradients.

    The map sums to ``score(image) - score(baseline)`` up to ``completeness_error``. Each gradient
    counts for the step that begins at its point, as published, and steps are equal.

    Kapishnikov et al., "Guided Integrated Gradients: an Adaptive Path Method for Removing Noise",
    CVPR 2021; there 200 steps.

    Attributes:
        steps: Steps, each with one forward and one backward pass per target.
        fraction: Share of the pixels that move at a time, in (0, 1].
        max_dist: How far a pixel may lead or lag, as a share of the path; 0 is the straight path.
        baseline: Start of the path; see ``baseline_image``.
        scalar: What is explained: a name in ``DIFFERENTIABLE``.
    """

    name: ClassVar[str] = "guided_ig"
    input_level: ClassVar[bool] = True
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.GRADIENTS
    citation: ClassVar[str] = "Kapishnikov et al., Guided Integrated Gradients, CVPR 2021"
    steps: int = 50
    fraction: float = 0.25
    max_dist: float = 0.02
    baseline: str = "auto"
    scalar: str = "logit"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"steps is {self.steps}; expected at least 1")
        if not 0 < self.fraction <= 1:
            raise InputError(f"fraction is {self.fraction}; expected a share in (0, 1]")
        if not 0 <= self.max_dist <= 1:
            raise InputError(f"max_dist is {self.max_dist}; expected a share in [0, 1]")

    def __call__(
        self, detector: WhiteBoxDetector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return attributions in the scalar's unit per pixel, summed over colours."""
        return in_groups(self, detector, placed, targets)

    def attribute(self, probe: Probe, placed: Placed, detector: Detector) -> list[Attribution]:
        """Attributions from the gradients of a probe."""
        start_image = baseline_image(placed.image, self.baseline, detector.provenance.domain)
        start = placed.frame.to_input(start_image[None])
        with torch.no_grad():
            last = probe.scores(probe.pixels).cpu()
        mean_gradient, first = self._walk(probe, start, len(last))
        maps = placed.frame.attributions(mean_gradient, placed.image - start_image)
        change = (probe.pixels - start).double()
        attributed = (mean_gradient * change).flatten(1).sum(dim=1)
        return [
            Attribution(
                heatmap,
                {
                    **completeness(float(first[row]), float(last[row]), float(attributed[row])),
                    "steps": float(self.steps),
                    **probe.passes(),
                },
            )
            for row, heatmap in enumerate(maps)
        ]

    def _walk(
        self, probe: Probe, start: Float[Tensor, "1 3 i j"], paths: int
    ) -> tuple[Float[Tensor, "k 3 i j"], Float[Tensor, "k"]]:
        """The gradient averaged along every target's path, and the scores where they start."""
        origin, change = start.flatten().numpy(), (probe.pixels - start).flatten().numpy()
        moving = np.flatnonzero(change)
        weight = np.abs(change[moving])
        alphas = np.zeros((paths, len(moving)), np.float32)
        total = np.zeros((paths, len(change)), np.float32)
        first = torch.zeros(paths)
        for step in range(self.steps):
            points = np.repeat(origin[None], paths, axis=0)
            points[:, moving] += alphas * change[moving]
            found, scores = probe.paired_gradients(
                torch.from_numpy(points).view(paths, *start.shape[1:])
            )
            gradients = found.cpu().flatten(1).numpy()[:, moving]
            first = scores.cpu() if step == 0 else first
            position = (step + 1) / self.steps
            for row, (alpha, gradient) in enumerate(zip(alphas, gradients, strict=True)):
                moved = advance(alpha, gradient, weight, position, self.fraction, self.max_dist)
                total[row, moving] += (moved - alpha) * gradient
                alphas[row] = moved
        return torch.from_numpy(total).view(paths, *start.shape[1:]), first

    def brief(self) -> "GuidedIG":
        """The same with at most 16 steps."""
        return replace(self, steps=min(self.steps, 16))

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """Paths differ, so that forward passes are not shared: one per step and target."""
        return self.steps * targets + 1.0, float(self.steps * targets)
