"""The maps that ``parchgrad.py`` measures: ParchGrad's variants, plain methods and controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor

import xai_detect as xd
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.explainers.gradients.integrated import InputXGradient, IntegratedGradients
from xai_detect.explainers.gradients.probe import Probe
from xai_detect.explainers.gradients.smooth import SmoothGrad
from xai_detect.explainers.parchgrad.method import ParchGrad
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.values.frame import Placed

UNDER = ("gradient", "input_x_gradient", "smoothgrad", "integrated_gradients")
UNSIGNED = ("gradient", "smoothgrad")
STEPS = 8
"""Of integrated gradients and SmoothGrad, plain and beneath ParchGrad alike."""


@dataclass(frozen=True, slots=True)
class PlainGradient:
    """The gradient itself, summed over colours."""

    name: ClassVar[str] = "gradient"
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.GRADIENTS

    def __call__(
        self, detector: WhiteBoxDetector, placed: Placed, targets: Sequence[xd.Target]
    ) -> list[Attribution]:
        """Return log-odds per unit of brightness."""
        probe = Probe(detector, targets, placed)
        gradients, _ = probe.gradients(probe.pixels)
        maps = placed.frame.attributions(gradients.cpu())
        return [Attribution(heatmap, probe.passes()) for heatmap in maps]


@dataclass(frozen=True, slots=True)
class Variant:
    """A map to be measured; without a mode it is the plain method, or a control map."""

    under: str
    mode: str = ""
    share: float = 0.0
    control: str = ""

    @property
    def key(self) -> str:
        """One string for tables."""
        return "|".join((self.under, self.mode, f"{self.share:g}", self.control))

    def method(self, statistics: str) -> Any:
        """The method that makes it."""
        if self.mode:
            return ParchGrad(
                self.under, self.mode, statistics, share=self.share, control=self.control,
                steps=STEPS,
            )  # fmt: skip
        match self.under:
            case "gradient":
                return PlainGradient()
            case "input_x_gradient":
                return InputXGradient()
            case "smoothgrad":
                return SmoothGrad(STEPS)
            case "integrated_gradients":
                return IntegratedGradients(STEPS, STEPS)
        return self.under


PLAIN = tuple(Variant(under) for under in UNDER)
TRIVIAL = (Variant("box"), Variant("centre_gaussian"), Variant("edges"))
SPLIT = tuple(
    Variant(under, mode, share)
    for under in UNDER
    for mode in ("cls", "ins")
    for share in (1.0, 0.5)
)


def beside(chosen: Mapping[str, Variant]) -> tuple[Variant, ...]:
    """What is read on the fresh half: both modes over the share of layers that was chosen."""
    return tuple(
        replace(variant, mode=mode) for variant in chosen.values() for mode in ("cls", "ins")
    )


def controls(chosen: Mapping[str, Variant]) -> tuple[Variant, ...]:
    """For each method beneath, other channels in the place of those that its best variant takes."""
    return tuple(
        replace(variant, control=control)
        for variant in chosen.values()
        for control in (("random", "other_class") if variant.mode == "cls" else ("random",))
    )


def evidence(heatmap: Tensor, variant: Variant) -> Tensor:
    """What of a map is for the detection."""
    return heatmap.abs() if variant.under in UNSIGNED else heatmap.clamp(min=0)
