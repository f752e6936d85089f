"""Gradients and path integrals at the level of the input, through Captum.

The network runs on *input* pixels; gradients are pulled back to *image* pixels once, at the end,
which is exact because placing an image in the input is linear. Padding never receives attribution.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import captum.attr
import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect import fills
from xai_detect.detectors.protocol import Detector, WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.explainers.protocol import Attribution
from xai_detect.frame import Frame
from xai_detect.images import load_image
from xai_detect.types import Target

SETTLED = 20
"""A piece that misses less than this part of the tolerance is never cut again."""


class Probe:
    """Scores and gradients of several targets at one point, one forward pass for all.

    Attributes:
        forward_passes: Forward passes so far.
        backward_passes: Backward passes so far.
    """

    def __init__(self, detector: WhiteBoxDetector, targets: Sequence[Target], frame: Frame) -> None:
        self.forward_passes = 0
        self.backward_passes = 0
        self._detector = detector
        self._targets = targets
        self._frame = frame

    def scores(self, pixels: Float[Tensor, "1 3 i j"]) -> Float[Tensor, "k"]:
        """Log-odds of every target, differentiable in ``pixels``."""
        self.forward_passes += 1
        log_odds = self._detector.candidate(pixels, self._targets, self._frame).log_odds[0]
        return torch.stack([log_odds[row, t.label] for row, t in enumerate(self._targets)])

    def gradients(
        self, pixels: Float[Tensor, "1 3 i j"]
    ) -> tuple[Float[Tensor, "k 3 i j"], Float[Tensor, "k"]]:
        """Gradients and scores of every target, detached."""
        with torch.enable_grad():
            point = pixels.detach().requires_grad_()
            scores = self.scores(point)
            self.backward_passes += len(scores)
            rows = [self._backward(row, scores, point) for row in range(len(scores))]
        return torch.cat(rows), scores.detach()

    def _backward(self, row: int, scores: Tensor, point: Tensor) -> Tensor:
        last = row == len(scores) - 1
        return torch.autograd.grad(scores[row], point, retain_graph=not last)[0]

    def passes(self) -> dict[str, float]:
        """What has been spent, as an explanation records it."""
        return {
            "forward_passes": float(self.forward_passes),
            "backward_passes": float(self.backward_passes),
        }


def baseline_image(
    image: Float[Tensor, "3 h w"], baseline: str, domain: str
) -> Float[Tensor, "3 h w"]:
    """The image that stands for "nothing there".

    Args:
        image: RGB in [0, 1].
        baseline: ``auto`` (air in X-ray images, blur in photographs), a name in ``FILLS``, or the
            path of an image of the same size.
        domain: ``photo`` or ``xray``.

    Raises:
        InputError: If it is neither, or the image has another size.
    """
    if baseline == "auto":
        baseline = fills.default_fill(domain)
    if baseline in fills.FILLS:
        return fills.hide_all(image, baseline)
    try:
        given = load_image(baseline)
    except InputError as error:
        raise InputError(
            f"baseline {baseline!r} is neither one of {', '.join(fills.FILLS)} nor a readable "
            f"image: {error}"
        ) from error
    if given.shape != image.shape:
        raise InputError(
            f"baseline {baseline!r} is {given.shape[2]} x {given.shape[1]} pixels, but the image "
            f"is {image.shape[2]} x {image.shape[1]}: make them the same size"
        )
    return given


@dataclass(frozen=True, slots=True)
class InputXGradient:
    """Gradient times the image's difference from a baseline: a path of one step.

    Shrikumar et al., "Not Just a Black Box: Learning Important Features Through Propagating
    Activation Differences", 2016, arXiv 1605.01713; there the baseline is black.

    Attributes:
        baseline: What the image is compared with; see ``baseline_image``.
    """

    name: ClassVar[str] = "input_x_gradient"
    input_level: ClassVar[bool] = True
    baseline: str = "auto"

    def __call__(
        self, detector: WhiteBoxDetector, image: Float[Tensor, "3 h w"], targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return attributions in log-odds per pixel, summed over colours."""
        frame = detector.frame((image.shape[1], image.shape[2]))
        return self.attribute(Probe(detector, targets, frame), frame, image, detector)

    def attribute(
        self, probe: Probe, frame: Frame, image: Float[Tensor, "3 h w"], detector: Detector
    ) -> list[Attribution]:
        """Attributions from the gradients of a probe."""
        gradients, _ = probe.gradients(frame.to_input(image[None]))
        change = image - baseline_image(image, self.baseline, detector.provenance.domain)
        maps = (frame.pull_back(gradients.cpu()) * change).sum(dim=1)
        return [Attribution(one, probe.passes()) for one in maps]

    def brief(self) -> "InputXGradient":
        """The method itself, which is as cheap as can be."""
        return self

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """One forward pass, one backward pass per target."""
        return 1.0, float(targets)


@dataclass(frozen=True, slots=True)
class IntegratedGradients:
    """The gradient averaged on the straight path from a baseline to the image.

    The map sums to ``score(image) - score(baseline)`` up to ``completeness_error``. Detectors
    saturate: nearly all of the score is won in the first tenth of the path, where equal steps are
    too coarse. So the path is cut into pieces, short where it starts, Captum integrates each by the
    midpoint rule, and a piece whose attributions miss its own score difference is cut again.

    Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks", ICML 2017.

    Attributes:
        steps: Pieces to begin with, between the squares of equal steps; with ``max_steps`` the
            same, nothing is cut again.
        max_steps: Most gradient evaluations for one call; they serve all targets.
        tolerance: Completeness error to stay under, as a share of the score difference.
        baseline: Start of the path; see ``baseline_image``.
    """

    name: ClassVar[str] = "integrated_gradients"
    input_level: ClassVar[bool] = True
    steps: int = 8
    max_steps: int = 128
    tolerance: float = 0.05
    baseline: str = "auto"

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= self.max_steps:
            raise InputError(
                f"steps is {self.steps} and max_steps {self.max_steps}; "
                "expected 1 <= steps <= max_steps"
            )

    def __call__(
        self, detector: WhiteBoxDetector, image: Float[Tensor, "3 h w"], targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return attributions in log-odds per pixel, summed over colours."""
        frame = detector.frame((image.shape[1], image.shape[2]))
        return self.attribute(Probe(detector, targets, frame), frame, image, detector)

    def attribute(
        self, probe: Probe, frame: Frame, image: Float[Tensor, "3 h w"], detector: Detector
    ) -> list[Attribution]:
        """Attributions from the gradients of a probe."""
        start_image = baseline_image(image, self.baseline, detector.provenance.domain)
        path = _Path(probe, frame.to_input(start_image[None]), frame.to_input(image[None]))
        mean_gradient, attributed = path.integrate(self.steps, self.max_steps, self.tolerance)
        maps = (frame.pull_back(mean_gradient) * (image - start_image)).sum(dim=1)
        return [
            Attribution(heatmap, _measured(probe, path, attributed, row))
            for row, heatmap in enumerate(maps)
        ]

    def brief(self) -> "IntegratedGradients":
        """A coarser map of the same kind, to compare with: no more than 8 evaluations."""
        return replace(
            self,
            steps=min(self.steps, 8),
            max_steps=min(self.max_steps, 8),
            tolerance=max(self.tolerance, 0.25),
        )

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """About 24 evaluations where pieces may be cut again, as measured on COCO detectors."""
        evaluations = self.steps if self.steps == self.max_steps else min(24.0, self.max_steps)
        return evaluations + self.steps + 1, evaluations * targets


def _measured(probe: Probe, path: "_Path", attributed: Tensor, row: int) -> dict[str, float]:
    first, last = float(path.first[row]), float(path.last[row])
    gap = abs(float(attributed[row]) - (last - first))
    return {
        "score": last,
        "baseline_score": first,
        "completeness_error": gap / abs(last - first) if last != first else math.nan,
        "steps": float(path.evaluations),
        **probe.passes(),
    }


class _Piece(NamedTuple):
    """A piece of the path, with every target's score at both ends."""

    low: float
    high: float
    before: Float[Tensor, "k"]
    after: Float[Tensor, "k"]


class _Held(NamedTuple):
    """A piece that may still be cut: its gradient, what it attributes, and by how much it misses.

    ``missed`` is a share of each target's whole score difference. The gradient is kept in half
    precision, which is finer than the rule that made it.
    """

    piece: _Piece
    gradient: Float[Tensor, "k 3 i j"]
    attributed: Float[Tensor, "k"]
    missed: Float[Tensor, "k"]


class _Sums:
    """What the pieces add up to; pieces that miss too much are held apart until they are cut.

    Attributes:
        attributed: What each target's attributions sum to.
    """

    def __init__(
        self, change: Float[Tensor, "1 3 i j"], difference: Float[Tensor, "k"], settled: float
    ) -> None:
        self.attributed = torch.zeros_like(difference)
        self._change = change
        self._difference = difference
        self._settled = settled
        self._total: Tensor = torch.zeros_like(change).repeat(len(difference), 1, 1, 1)
        self._held: list[_Held] = []

    def add(self, piece: _Piece, gradient: Float[Tensor, "k 3 i j"]) -> None:
        """Count a piece, and hold it apart if it misses its own score difference."""
        width = piece.high - piece.low
        attributed = (gradient * self._change).flatten(1).sum(dim=1) * width
        gap = (attributed - (piece.after - piece.before)).abs()
        missed = gap / self._difference.abs().clamp(min=torch.finfo(gap.dtype).tiny)
        self.attributed += attributed
        if bool((missed > self._settled).any()):
            self._held.append(_Held(piece, gradient.half(), attributed, missed))
        else:
            self._total += gradient * width

    def take_worst(self, tolerance: float) -> _Held | None:
        """Take back the piece that misses most; None if every target is within ``tolerance``."""
        gap = (self.attributed - self._difference).abs()
        failing = gap > tolerance * self._difference.abs()
        if not self._held or not bool(failing.any()):
            return None
        misses = torch.stack([held.missed[failing].amax() for held in self._held])
        worst = self._held.pop(int(misses.argmax()))
        self.attributed -= worst.attributed
        return worst

    def gradient(self) -> Float[Tensor, "k 3 i j"]:
        """The average gradient over the whole path."""
        for held in self._held:
            self._total += held.gradient.float() * (held.piece.high - held.piece.low)
        self._held.clear()
        return self._total


class _Path:
    """The straight line between two inputs, integrated piece by piece.

    Attributes:
        first: Score of every target at the start.
        last: Score of every target at the end.
        evaluations: Gradient evaluations so far, those of pieces that were cut again included.
    """

    def __init__(
        self, probe: Probe, start: Float[Tensor, "1 3 i j"], end: Float[Tensor, "1 3 i j"]
    ) -> None:
        self._probe = probe
        self._start = start
        self._change = end - start
        self.first = self._scores(0.0)
        self.last = self._scores(1.0)
        self.evaluations = 0

    def integrate(
        self, steps: int, max_steps: int, tolerance: float
    ) -> tuple[Float[Tensor, "k 3 i j"], Float[Tensor, "k"]]:
        """Average gradient over the path, and what each target's attributions sum to.

        The piece that misses most is cut first, until no target misses more than ``tolerance``.
        """
        edges = [(step / steps) ** 2 for step in range(steps + 1)]
        scores = [self.first, *(self._scores(edge) for edge in edges[1:-1]), self.last]
        sums = _Sums(self._change, self.last - self.first, tolerance / SETTLED)
        for piece in zip(edges, edges[1:], scores, scores[1:], strict=False):
            sums.add(_Piece(*piece), self._gradient(piece[0], piece[1]))
        while self.evaluations + 2 <= max_steps:
            worst = sums.take_worst(tolerance)
            if worst is None:
                break
            for piece, gradient in self._thirds(worst):
                sums.add(piece, gradient)
        return sums.gradient().cpu(), sums.attributed

    def _thirds(self, held: _Held) -> list[tuple[_Piece, Tensor]]:
        """The piece cut in three; the gradient of the whole is the middle third's as well."""
        low, high, before, after = held.piece
        third = (high - low) / 3
        first, second = low + third, high - third
        left, right = self._scores(first), self._scores(second)
        return [
            (_Piece(low, first, before, left), self._gradient(low, first)),
            (_Piece(first, second, left, right), held.gradient.float()),
            (_Piece(second, high, right, after), self._gradient(second, high)),
        ]

    def _gradient(self, low: float, high: float) -> Float[Tensor, "k 3 i j"]:
        """Captum's midpoint rule on one piece of the path: its average gradient.

        Captum differentiates one target at a time; its gradient function is replaced by one that
        returns all targets' gradients of the same forward pass, stacked along the channels.
        """

        def all_targets(inputs: tuple[Tensor], **_settings: Any) -> tuple[Tensor]:
            gradients, _scores = self._probe.gradients(inputs[0])
            return (gradients.flatten(0, 1)[None],)

        engine = captum.attr.IntegratedGradients(self._probe.scores, multiply_by_inputs=False)
        engine.gradient_func = all_targets
        stacked = engine.attribute(
            self._start + high * self._change,
            baselines=self._start + low * self._change,
            n_steps=1,
            method="gausslegendre",
        )
        self.evaluations += 1
        unstacked: Tensor = stacked[0].unflatten(0, (-1, 3))
        return unstacked

    def _scores(self, position: float) -> Float[Tensor, "k"]:
        with torch.no_grad():
            return self._probe.scores(self._start + position * self._change)
