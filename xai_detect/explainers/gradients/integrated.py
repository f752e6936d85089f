"""Gradients and path integrals at the level of the input.

The network runs on *input* pixels; gradients are pulled back to *image* pixels once, at the end,
which is exact because placing an image in the input is linear. Padding never receives attribution.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.protocol import Detector, WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.explainers.gradients.path import StraightPath
from xai_detect.explainers.gradients.probe import Probe
from xai_detect.explainers.gradients.whole_path import ENGINES, WholePath
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.values import fills
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed
from xai_detect.values.images import load_image

TOGETHER = 12
"""Most targets that share a path: what is held for each until its map is complete fills memory."""

RULES = ("auto", "pieces", "gausslegendre")
"""How ``IntegratedGradients`` integrates; it says what each is."""

POINTLESS = "iou_probability"
"""The scalar that has no gradient at the image itself: its IoU is at its peak there."""


@runtime_checkable
class FromGradients(Protocol):
    """A method that is made of a probe's gradients, whichever probe that is."""

    @property
    def scalar(self) -> str:
        """What is explained: a name in ``DIFFERENTIABLE``."""

    def attribute(self, probe: Probe, placed: Placed, detector: Detector) -> list[Attribution]:
        """One attribution per target of the probe."""

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """About how many forward and backward passes a call with so many targets takes."""


def in_groups(
    method: FromGradients,
    detector: WhiteBoxDetector,
    placed: Placed,
    targets: Sequence[Target],
) -> list[Attribution]:
    """Attributions of any number of targets; at most ``TOGETHER`` share passes and memory."""
    groups = [targets[row : row + TOGETHER] for row in range(0, len(targets), TOGETHER)]
    found = [
        method.attribute(Probe(detector, group, placed, method.scalar), placed, detector)
        for group in groups
    ]
    spent = {
        name: sum(group[0].measured[name] for group in found)
        for name in ("forward_passes", "backward_passes")
    }
    return [
        Attribution(attribution.heatmap, {**attribution.measured, **spent})
        for group in found
        for attribution in group
    ]


def paths_of(targets: int) -> int:
    """How many groups of targets share a path."""
    return math.ceil(targets / TOGETHER)


def refuse_pointless(name: str, scalar: str) -> None:
    """Refuse the scalar that a method of one gradient, taken at the image itself, cannot use.

    Raises:
        InputError: If it is ``iou_probability``.
    """
    if scalar == POINTLESS:
        raise InputError(
            f"{name} takes its gradient at the image itself, where the IoU in {scalar!r} is at "
            "its peak and has none; use it with integrated_gradients, guided_ig or "
            "expected_gradients, or choose the scalar 'probability'"
        )


def completeness(first: float, last: float, attributed: float) -> dict[str, float]:
    """Both scores, and what the map misses as a share of their difference; NaN without one."""
    gap = abs(attributed - (last - first))
    return {
        "score": last,
        "baseline_score": first,
        "completeness_error": gap / abs(last - first) if last != first else math.nan,
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
    baseline = fills.resolved(baseline, domain)
    if fills.is_fill(baseline):
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
        scalar: What is explained: a name in ``DIFFERENTIABLE``.
    """

    name: ClassVar[str] = "input_x_gradient"
    input_level: ClassVar[bool] = True
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.GRADIENTS
    citation: ClassVar[str] = "Shrikumar et al., Not Just a Black Box, 2016"
    baseline: str = "auto"
    scalar: str = "logit"

    def __post_init__(self) -> None:
        refuse_pointless(self.name, self.scalar)

    def __call__(
        self, detector: WhiteBoxDetector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return attributions in the scalar's unit per pixel, summed over colours."""
        probe = Probe(detector, targets, placed, self.scalar)
        return self.attribute(probe, placed, detector)

    def attribute(self, probe: Probe, placed: Placed, detector: Detector) -> list[Attribution]:
        """Attributions from the gradients of a probe."""
        gradients, _ = probe.gradients(probe.pixels)
        start = baseline_image(placed.image, self.baseline, detector.provenance.domain)
        maps = placed.frame.attributions(gradients.cpu(), placed.image - start)
        return [Attribution(heatmap, probe.passes()) for heatmap in maps]

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
    too coarse. So the path is cut into pieces, short where it starts, each is integrated by the
    midpoint rule, and a piece whose attributions miss its own score difference is cut again. The
    rule ``gausslegendre`` takes the whole path at once, as is usual elsewhere, and more points.

    Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks", ICML 2017.

    Attributes:
        steps: Pieces to begin with, between the squares of equal steps, or points of the whole
            path; with ``max_steps`` the same, nothing is cut again or doubled.
        max_steps: Most gradient evaluations; they serve up to twelve targets at once.
        tolerance: Completeness error to stay under, as a share of the score difference.
        baseline: Start of the path; see ``baseline_image``.
        scalar: What is explained: a name in ``DIFFERENTIABLE``.
        engine: ``shared``, where one forward pass serves all targets; or ``captum``, Captum's own
            integrated gradients, run for each target: the same map by the same rule.
        rule: ``pieces``, ``gausslegendre``, or ``auto``: ``pieces`` if shared, else the other.
    """

    name: ClassVar[str] = "integrated_gradients"
    input_level: ClassVar[bool] = True
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.GRADIENTS
    citation: ClassVar[str] = (
        "Sundararajan, Taly, Yan, Axiomatic Attribution for Deep Networks, ICML 2017"
    )
    steps: int = 8
    max_steps: int = 128
    tolerance: float = 0.05
    baseline: str = "auto"
    scalar: str = "logit"
    engine: str = "shared"
    rule: str = "auto"

    def __post_init__(self) -> None:
        for name, known in (("engine", ENGINES), ("rule", RULES)):
            if getattr(self, name) not in known:
                raise InputError(
                    f"the {name} of {self.name} is {getattr(self, name)!r}; "
                    f"choose from {', '.join(known)}"
                )
        if self.engine == "captum" and self.rule == "pieces":
            raise InputError(
                "Captum integrates a path as a whole, but rule is 'pieces'; leave rule out, or use "
                "engine='shared'"
            )
        if not 1 <= self.steps <= self.max_steps:
            raise InputError(
                f"steps is {self.steps} and max_steps {self.max_steps}; "
                "expected 1 <= steps <= max_steps"
            )

    def __call__(
        self, detector: WhiteBoxDetector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return attributions in the scalar's unit per pixel, summed over colours."""
        return in_groups(self, detector, placed, targets)

    def attribute(self, probe: Probe, placed: Placed, detector: Detector) -> list[Attribution]:
        """Attributions from the gradients of a probe."""
        start = baseline_image(placed.image, self.baseline, detector.provenance.domain)
        ends = placed.frame.to_input(start[None]), probe.pixels
        path = StraightPath(probe, *ends) if self._cut else WholePath(probe, *ends, self.engine)
        mean_gradient, attributed = path.integrate(self.steps, self.max_steps, self.tolerance)
        maps = placed.frame.attributions(mean_gradient, placed.image - start)
        return [
            Attribution(heatmap, _measured(probe, path, attributed, row))
            for row, heatmap in enumerate(maps)
        ]

    @property
    def _cut(self) -> bool:
        return self.rule == "pieces" or (self.rule == "auto" and self.engine == "shared")

    def brief(self) -> "IntegratedGradients":
        """A coarser map of the same kind, to compare with: no more than 24 evaluations."""
        return replace(
            self,
            steps=min(self.steps, 8),
            max_steps=min(self.max_steps, 24),
            tolerance=max(self.tolerance, 0.25),
        )

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """About 24 evaluations where pieces may be cut again, as measured on COCO detectors.

        Points of a whole path are doubled as often as they may be, if need be.
        """
        if not self._cut:
            evaluations = float(self.steps)
            while 2 * evaluations + self.steps <= self.max_steps:
                evaluations = 2 * evaluations + self.steps
            runs = targets if self.engine == "captum" else paths_of(targets)
            return evaluations * runs + 2 * paths_of(targets), evaluations * targets
        if self.steps + 2 > self.max_steps:
            return float((self.steps + 2) * paths_of(targets)), float(self.steps * targets)
        evaluations = float(min(24, self.max_steps))
        return (evaluations + self.steps + 1) * paths_of(targets), evaluations * targets


def _measured(
    probe: Probe, path: StraightPath | WholePath, attributed: Tensor, row: int
) -> dict[str, float]:
    scores = float(path.first[row]), float(path.last[row])
    return {
        **completeness(*scores, float(attributed[row])),
        "steps": float(path.evaluations),
        **probe.passes(),
    }
