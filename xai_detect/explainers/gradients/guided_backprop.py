"""Guided backpropagation: of a gradient, only what raises the score through open units."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.explainers.gradients.integrated import refuse_pointless
from xai_detect.explainers.gradients.probe import Probe
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed

RECTIFIERS: Mapping[Callable[..., object], Callable[..., Tensor]] = MappingProxyType(
    {
        functional.relu: functional.relu,
        functional.relu_: functional.relu,
        torch.relu: torch.relu,
        torch.relu_: torch.relu,
        Tensor.relu: torch.relu,
        Tensor.relu_: torch.relu,
        functional.relu6: functional.relu6,
        functional.leaky_relu: functional.leaky_relu,
        functional.leaky_relu_: functional.leaky_relu,
        functional.elu: functional.elu,
        functional.elu_: functional.elu,
        functional.silu: functional.silu,
        functional.mish: functional.mish,
        functional.gelu: functional.gelu,
        functional.hardswish: functional.hardswish,
    }
)
"""Every form of an activation, and the form that leaves its input as it was."""


class Guided(TorchFunctionMode):
    """While it is entered, rectifiers pass back positive gradients of positive outputs only.

    It watches calls and not modules, so that activations without a module of their own are guided
    too, one that is used by many layers is no special case, and no hook is left on the network. A
    rule once attached holds for the backward pass, also after leaving.
    """

    def __torch_function__(
        self,
        func: Callable[..., object],
        _types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        """Run one call of torch."""
        given = dict(kwargs or {})
        calm = RECTIFIERS.get(func)
        if calm is None:
            return func(*args, **given)
        if "inplace" in given:
            given["inplace"] = False
        output = calm(*args, **given)
        if output.requires_grad:
            shown = output.detach()
            # zero where the output is not above 0, then where the gradient is not
            output.register_hook(  # type: ignore[no-untyped-call]
                lambda gradient: torch.ops.aten.threshold_backward(gradient, shown, 0).relu_()
            )
        return output


@dataclass(frozen=True, slots=True)
class GuidedBackprop:
    """The gradient, let through an activation only where it and the activation's output are > 0.

    For ReLU this is the published rule. Detectors mostly use SiLU, for which none is published:
    here the same two conditions hold, and SiLU's own derivative applies where they are met; its
    output is positive where its input is, so the small negative part is closed. Leaky ReLU, ELU,
    GELU, Mish and Hardswish are treated alike; gates such as sigmoid and softmax are left alone.

    The map is no derivative of the score and comes out much the same for different classes
    (Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018): a picture, no evidence.

    Springenberg, Dosovitskiy, Brox, Riedmiller, "Striving for Simplicity: The All Convolutional
    Net", ICLR 2015 workshop. Captum's own knows ReLU modules only, one target at a time.

    Attributes:
        scalar: What is explained: a name in ``DIFFERENTIABLE``.
    """

    name: ClassVar[str] = "guided_backprop"
    input_level: ClassVar[bool] = True
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.GRADIENTS
    citation: ClassVar[str] = "Springenberg et al., Striving for Simplicity, ICLR 2015 workshop"
    scalar: str = "logit"

    def __post_init__(self) -> None:
        refuse_pointless(self.name, self.scalar)

    def __call__(
        self, detector: WhiteBoxDetector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return the guided gradient per unit of brightness, summed over colours."""
        probe = Probe(detector, targets, placed, self.scalar)
        with Guided():
            gradients, _ = probe.gradients(probe.pixels)
        maps = placed.frame.attributions(gradients.cpu())
        return [Attribution(heatmap, probe.passes()) for heatmap in maps]

    def brief(self) -> "GuidedBackprop":
        """The method itself, which is as cheap as can be."""
        return self

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """One forward pass, one backward pass per target."""
        return 1.0, float(targets)
