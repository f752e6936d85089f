"""ParchGrad: in a convolution's backward pass, let the relevant channels speak.

Park, Jeon, Choi, "ParchGrad: Controlled Internal Gradients for Reliable Saliency Map", preprint
2023, for image classifiers; carried over to detectors here, one prediction at a time. Completeness
is lost, because the map is no longer built from the derivative of the score.

What was found (``docs/parchgrad.md``): beneath a single gradient, with the channels that a class
raises in whole images, more of the evidence lies on the known cause, also where it is not the
object. Channels that are chosen inside boxes never show such a cause: their maps are on the object
whatever the network looks at.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.errors import ExplainError, InputError
from xai_detect.explainers.gradients.guided_ig import GuidedIG
from xai_detect.explainers.gradients.integrated import (
    FromGradients,
    InputXGradient,
    IntegratedGradients,
    refuse_pointless,
)
from xai_detect.explainers.gradients.probe import Probe
from xai_detect.explainers.gradients.smooth import ExpectedGradients, SmoothGrad
from xai_detect.explainers.parchgrad.channels import drawn_anew, record, smallest
from xai_detect.explainers.parchgrad.gradient import Choice, PartitionedProbe, Rule
from xai_detect.explainers.parchgrad.layers import Layer, strengths
from xai_detect.explainers.parchgrad.statistics import (
    OVER,
    Statistics,
    how_to_fit,
    load_statistics,
    shipped_statistics,
)
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed

NORMAL = 0.05
"""A channel whose strengths look normal (Shapiro-Wilk p at or above this) is never relevant."""

FEWEST = 2
"""Boxes of a class below which it has no variance, so no test."""

UNDER = (
    "gradient", "input_x_gradient", "smoothgrad", "integrated_gradients", "guided_ig",
    "expected_gradients",
)  # fmt: skip
OF = {"image": "images", "box": "boxes"}
MODES = ("cls", "ins")
CONTROLS = ("", "random", "other_class")


@dataclass(frozen=True, slots=True)
class ParchGrad:
    """Gradients in which the channels that matter to the class or the instance drown out the rest.

    At each hooked convolution the output channels are split into relevant ones and the rest, by
    statistics over boxes; the gradient of the rest is silenced, or weighed down, and that of the
    relevant ones raised so that the layer keeps its influence beside parallel branches.

    Attributes:
        under: What is made of the gradients: ``gradient`` (log-odds per unit of brightness), or
            the method of that name in ``METHODS``: ``input_x_gradient``, ``smoothgrad``,
            ``integrated_gradients``, ``guided_ig`` or ``expected_gradients``.
        mode: Relevant are the channels that are stronger where the target's class is shown than
            where it is not (``cls``), or stronger here than mostly (``ins``).
        statistics: Path of the file made by ``xai-detect fit-parchgrad``; empty: the file that
            ships with a shipped detector.
        quantile: Share of a layer's channels that are candidates for being relevant.
        alpha: In ``cls`` mode, a limit on their p-value instead of the quantile.
        share: Share of the convolutions, counted from the head, that are hooked.
        gamma: The spread of the relevant part becomes this many times that of the rest; None
            silences the rest.
        conserve_variance: Keep the spread of the sum of both.
        support: Take spreads where the gradient is not 0, not over the whole layer.
        over: Where strength is taken: over the ``image``, or over the ``box``, which hides every
            reason that lies elsewhere.
        control: For comparison: ``random`` relevant channels, as many; or those of
            ``other_class``, drawn at random.
        seed: Of the control, and of the samples of the method beneath.
        baseline: What the image is compared with; see ``baseline_image``.
        steps: Steps or samples of the method beneath; none of integrated gradients is cut again.
            The split is made once, at the image.
        noise: Of ``smoothgrad``.
        references: Of ``expected_gradients``.
        scalar: What is explained: a name in ``DIFFERENTIABLE``.
    """

    name: ClassVar[str] = "parchgrad"
    input_level: ClassVar[bool] = True
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.GRADIENTS
    citation: ClassVar[str] = "Park, Jeon, Choi, ParchGrad, preprint 2023"
    under: str = "input_x_gradient"
    mode: str = "cls"
    statistics: str = ""
    quantile: float = 0.3
    alpha: float | None = None
    share: float = 1.0
    gamma: float | None = None
    conserve_variance: bool = True
    support: bool = False
    over: str = "image"
    control: str = ""
    seed: int = 0
    baseline: str = "auto"
    steps: int = 32
    noise: float = 0.15
    references: str = "auto"
    scalar: str = "logit"

    def __post_init__(self) -> None:
        for field, known in (
            ("under", UNDER),
            ("mode", MODES),
            ("over", OVER),
            ("control", CONTROLS),
        ):
            if getattr(self, field) not in known:
                words = ", ".join(repr(word) for word in known)
                raise InputError(f"{field} is {getattr(self, field)!r}; choose from {words}")
        for field in ("quantile", "share"):
            if not 0 < getattr(self, field) <= 1:
                raise InputError(f"{field} is {getattr(self, field)}; expected a share in (0, 1]")
        if self.gamma is not None and not 0 < self.gamma < math.inf:
            raise InputError(f"gamma is {self.gamma}; expected a positive number, or None")
        if self.alpha is not None and (self.mode == "ins" or not 0 <= self.alpha <= 1):
            raise InputError(f"alpha is {self.alpha}; expected a limit in [0, 1], in cls mode only")
        if self.mode == "ins" and self.control == "other_class":
            raise InputError("the control 'other_class' needs mode 'cls'; use 'random'")
        if self.steps < 1:
            raise InputError(f"steps is {self.steps}; expected at least 1")
        if self._beneath() is None:
            refuse_pointless(f"parchgrad under {self.under!r}", self.scalar)

    def __call__(
        self, detector: WhiteBoxDetector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return attributions summed over colours; ``completeness_error`` is not defined."""
        path = self.statistics or shipped_statistics(detector)
        if path is None:
            raise InputError(
                f"parchgrad needs statistics of the detector, and none ship for "
                f"{detector.provenance.name}; {how_to_fit(detector)}"
            )
        statistics = load_statistics(path, detector, self.over)
        passes, p = self._p_values(statistics, detector, placed, targets)
        choices = [self._choose(statistics, row) for row in p]
        rule = Rule(self.gamma, self.conserve_variance, self.support)
        probe = PartitionedProbe(detector, targets, placed, choices, rule, self.scalar)
        probe.forward_passes += passes
        with probe.partitioned():
            found = self._attribute(probe, placed, detector)
        return [
            Attribution(attribution.heatmap, {**attribution.measured, **record(choice)})
            for attribution, choice in zip(found, choices, strict=True)
        ]

    def brief(self) -> "ParchGrad":
        """The same with at most 16 steps, if it has steps at all."""
        return replace(self, steps=min(self.steps, 16))

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """Those of the method beneath, and one forward pass more for ``ins``."""
        watched = 1.0 if self.mode == "ins" else 0.0
        beneath = self._beneath()
        if beneath is None:
            return watched + 1.0, float(targets)
        forward, backward = beneath.expected_passes(targets)
        return watched + forward, backward

    def _beneath(self) -> FromGradients | None:
        """What is made of the gradients; None: nothing."""
        match self.under:
            case "input_x_gradient":
                return InputXGradient(self.baseline, self.scalar)
            case "smoothgrad":
                return SmoothGrad(self.steps, self.noise, self.seed, self.scalar)
            case "integrated_gradients":
                return IntegratedGradients(
                    self.steps, self.steps, baseline=self.baseline, scalar=self.scalar
                )
            case "guided_ig":
                return GuidedIG(self.steps, baseline=self.baseline, scalar=self.scalar)
            case "expected_gradients":
                return ExpectedGradients(self.references, self.steps, self.seed, self.scalar)
        return None

    def _attribute(
        self, probe: Probe, placed: Placed, detector: WhiteBoxDetector
    ) -> list[Attribution]:
        beneath = self._beneath()
        if beneath is not None:
            return beneath.attribute(probe, placed, detector)
        gradients, _ = probe.gradients(probe.pixels)
        maps = placed.frame.attributions(gradients.cpu())
        return [Attribution(heatmap, probe.passes()) for heatmap in maps]

    def _p_values(
        self,
        statistics: Statistics,
        detector: WhiteBoxDetector,
        placed: Placed,
        targets: Sequence[Target],
    ) -> tuple[int, Float[Tensor, "n k"]]:
        """Forward passes spent, and how little each channel has to do with each target."""
        if self.mode == "cls":
            rows = [self._class_row(statistics, target) for target in targets]
            return 0, torch.from_numpy(np.stack([statistics.p(row) for row in rows]))
        height, width = placed.frame.image_size
        whole = (0.0, 0.0, float(width), float(height))
        places = [whole if self.over == "image" else target.box for target in targets]
        boxes = placed.frame.boxes_to_input(torch.tensor(places))
        found = strengths(detector, statistics.layers, placed.pixels, boxes).double()
        known = statistics.known
        mean, deviation = torch.from_numpy(known.mean), torch.from_numpy(known.deviation)
        p = torch.special.ndtr((mean - found) / deviation)
        return 1, torch.where(p.isnan(), 1.0, p)

    def _class_row(self, statistics: Statistics, target: Target) -> int:
        known = [row for row, n in enumerate(statistics.counts[:-1].tolist()) if n >= FEWEST]
        if self.control == "other_class":
            others = [row for row in known if row != target.label]
            if not others:
                raise ExplainError(
                    f"{self._told()} knows no class besides {target.name!r} to compare with"
                )
            draw = torch.randint(len(others), (1,), generator=self._generator())
            return others[int(draw)]
        if target.label not in known:
            few = f"{statistics.counts[target.label]} {OF[self.over]} of {target.name!r}"
            raise ExplainError(
                f"{self._told()} was fitted on {few}, too few to know its channels; fit on more "
                "images, or use mode='ins'"
            )
        rest = statistics.total - int(statistics.counts[target.label])
        if rest < FEWEST:
            raise ExplainError(
                f"{self._told()} knows {rest} {OF[self.over]} without {target.name!r} to compare "
                "with; fit on images of other things as well, or use over='box'"
            )
        return target.label

    def _told(self) -> str:
        """The statistics in a message."""
        return self.statistics or "the statistics file that ships"

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)

    def _choose(self, statistics: Statistics, p: Float[Tensor, "k"]) -> Choice:
        """The relevant channels of the upper layers; a layer may have none."""
        screen = torch.from_numpy(statistics.normality) < NORMAL
        first = len(statistics.layers) - math.ceil(self.share * len(statistics.layers))
        generator = self._generator()
        choice: dict[Layer, Tensor] = {}
        start = 0
        for number, layer in enumerate(statistics.layers):
            here = slice(start, start + layer.channels)
            start += layer.channels
            if number < first:
                continue
            low = smallest(p[here], layer.groups, self.quantile)
            if self.alpha is not None:
                low = p[here] <= self.alpha
            choice[layer] = low & screen[here]
            if self.control == "random":
                choice[layer] = drawn_anew(choice[layer], layer.groups, generator)
        return choice
