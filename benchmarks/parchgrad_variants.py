"""The maps that ``parchgrad.py`` measures: ParchGrad's variants, plain methods and controls."""

from collections.abc import Sequence
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
    layers: float = 0.0
    over: str = ""
    quantile: float = 0.0
    control: str = ""

    @property
    def key(self) -> str:
        """One string for tables."""
        numbers = f"{self.layers:g}", self.over, f"{self.quantile:g}"
        return "|".join((self.under, self.mode, *numbers, self.control))

    @classmethod
    def of(cls, key: str) -> "Variant":
        """The variant of a key."""
        under, mode, layers, over, quantile, control = key.split("|")
        return cls(under, mode, float(layers), over, float(quantile), control)

    def method(self, statistics: str) -> Any:
        """The method that makes it."""
        if self.mode:
            return ParchGrad(
                self.under, self.mode, statistics, share=self.layers, over=self.over,
                quantile=self.quantile, control=self.control, steps=STEPS,
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
IN_BOX = tuple(
    Variant(under, mode, layers, "box", 0.1)
    for under in UNDER
    for mode in ("cls", "ins")
    for layers in (1.0, 0.5)
)
IN_IMAGE = tuple(
    Variant(under, "cls", 1.0, "image", quantile) for under in UNDER for quantile in (0.1, 0.3)
)
MORE = tuple(
    Variant(under, *rest)
    for under in ("gradient", "input_x_gradient")
    for rest in (
        ("cls", 0.5, "image", 0.3),
        ("ins", 1.0, "image", 0.3),
        ("cls", 1.0, "box", 0.3),
    )
)
SPLIT = (*IN_BOX, *IN_IMAGE, *MORE)
"""The settings that are chosen among; the costly methods beneath see fewer."""

CONTROLLED = ("input_x_gradient", "integrated_gradients")


def on_fresh(chosen: Sequence[Variant]) -> tuple[Variant, ...]:
    """What was chosen, beneath two methods also over the box, and with other channels instead."""
    controlled = [variant for variant in chosen if variant.under in CONTROLLED]
    boxed = [replace(variant, over="box", quantile=0.1) for variant in controlled]
    controls = [
        replace(variant, control=control)
        for variant in controlled
        for control in (("random", "other_class") if variant.mode == "cls" else ("random",))
    ]
    return tuple(dict.fromkeys((*chosen, *boxed, *controls)))


def evidence(heatmap: Tensor, variant: Variant) -> Tensor:
    """What of a map is for the detection."""
    return heatmap.abs() if variant.under in UNSIGNED else heatmap.clamp(min=0)
