"""Class activation maps from gradients: Grad-CAM, Grad-CAM++, HiResCAM, LayerCAM.

``A`` is a layer's activation, ``g`` the gradient of the target's score there. The papers draw the
positive part of each map; here the sign is kept. Maps of late layers cannot show evidence far from
the box: the head looks at a few cells around it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.explainers.activations.layers import AUTO, OpenLayers, Slope, checked_layer
from xai_detect.explainers.gradients.integrated import refuse_pointless
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.values.detections import Target
from xai_detect.values.frame import Placed


@dataclass(frozen=True, slots=True)
class GradientMap:
    """What maps made of activations and gradients share; each says how it combines the two.

    Attributes:
        layer: ``auto`` for the levels that enter the head, or names of layers separated by commas;
            ``activations`` says how several are joined.
        scalar: What is explained: a name in ``DIFFERENTIABLE``.
    """

    name: ClassVar[str]
    input_level: ClassVar[bool] = False
    takes_placed: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs.GRADIENTS
    citation: ClassVar[str]
    layer: str = AUTO
    scalar: str = "logit"

    def __post_init__(self) -> None:
        checked_layer(self.layer)
        refuse_pointless(self.name, self.scalar)

    def __call__(
        self, detector: WhiteBoxDetector, placed: Placed, targets: Sequence[Target]
    ) -> list[Attribution]:
        """Return one signed map per target; ``layers_reached`` counts layers with a gradient."""
        layers = OpenLayers(detector, placed, targets, self.layer)
        found = []
        for target, slopes in zip(targets, layers.slopes(self.scalar), strict=True):
            maps = {slope.layer: self.combine(layers, slope, target) for slope in slopes}
            found.append((layers.to_image(maps), {"layers_reached": float(len(maps))}))
        return [
            Attribution(heatmap, {**measured, **layers.passes()}) for heatmap, measured in found
        ]

    def combine(self, layers: OpenLayers, slope: Slope, target: Target) -> Float[Tensor, "h w"]:
        """The map of one target over the cells of one layer."""
        raise NotImplementedError

    def brief(self) -> "GradientMap":
        """The method itself, which is as cheap as can be."""
        return self

    def expected_passes(self, targets: int) -> tuple[float, float]:
        """One forward pass; one backward pass per target, or one for all through patches."""
        return 1.0, float(targets)


def weighted(activation: Float[Tensor, "c h w"], weights: Float[Tensor, "c"]) -> Tensor:
    """The sum of channels, each times its weight."""
    return torch.einsum("c,chw->hw", weights, activation)


def product(
    layers: OpenLayers, slope: Slope, gradient: Float[Tensor, "c n m"]
) -> Float[Tensor, "h w"]:
    """Gradient in the slope's window times activation, summed over channels."""
    activation = layers.activations[slope.layer]
    window = (gradient * slope.beneath(activation)).sum(dim=0)
    return slope.spread(window, (activation.shape[1], activation.shape[2]))


def rate(sums: Float[Tensor, "c"], gradient: Float[Tensor, "c n m"]) -> Float[Tensor, "c n m"]:
    """Grad-CAM++'s alpha, ``g^2 / (2 g^2 + sum(A) g^3)``; 0 where there is no gradient.

    Where the denominator is 0, 1 stands for it, as in the authors' code.
    """
    below = 2 * gradient**2 + sums[:, None, None] * gradient**3
    return gradient**2 / torch.where(below == 0, 1.0, below)


@dataclass(frozen=True, slots=True)
class GradCam(GradientMap):
    """Grad-CAM: channels weighted by their mean gradient, ``sum_c mean(g_c) A_c``.

    The mean forgets where the gradient was, so boxes of one class get maps that differ in little
    but scale, and parts of the image far from the box light up.

    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", ICCV 2017.

    Attributes:
        layer: See ``GradientMap``.
        scalar: See ``GradientMap``.
    """

    name: ClassVar[str] = "grad_cam"
    citation: ClassVar[str] = "Selvaraju et al., Grad-CAM, ICCV 2017"

    def combine(self, layers: OpenLayers, slope: Slope, target: Target) -> Float[Tensor, "h w"]:
        """The weighted sum of channels."""
        del target
        activation = layers.activations[slope.layer]
        cells = activation.shape[1] * activation.shape[2]
        return weighted(activation, slope.values.sum(dim=(1, 2)) / cells)


@dataclass(frozen=True, slots=True)
class GradCamPlusPlus(GradientMap):
    """Grad-CAM++: channels weighted by their positive gradients, weak ones counted up.

    ``w_c = sum(alpha ReLU(g_c))`` with ``alpha = g^2 / (2 g^2 + sum(A_c) g^3)``, map ``sum_c w_c
    A_c``. Weakly tied to the box, like Grad-CAM.

    Chattopadhay et al., "Grad-CAM++: Generalized Gradient-based Visual Explanations for Deep
    Convolutional Networks", WACV 2018.

    Attributes:
        layer: See ``GradientMap``.
        scalar: See ``GradientMap``.
    """

    name: ClassVar[str] = "grad_cam_plus_plus"
    citation: ClassVar[str] = "Chattopadhay et al., Grad-CAM++, WACV 2018"

    def combine(self, layers: OpenLayers, slope: Slope, target: Target) -> Float[Tensor, "h w"]:
        """The weighted sum of channels."""
        del target
        activation = layers.activations[slope.layer]
        alpha = rate(activation.sum(dim=(1, 2)), slope.values)
        return weighted(activation, (alpha * slope.values.clamp(min=0)).sum(dim=(1, 2)))


@dataclass(frozen=True, slots=True)
class HiResCam(GradientMap):
    """HiResCAM: gradient times activation in every cell, ``sum_c g_c A_c``.

    The first-order share of each cell in the score; where everything after the layer is linear, it
    is exact.

    Draelos, Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional
    neural networks", 2020, arXiv 2011.08891.

    Attributes:
        layer: See ``GradientMap``.
        scalar: See ``GradientMap``.
    """

    name: ClassVar[str] = "hires_cam"
    citation: ClassVar[str] = "Draelos, Carin, Use HiResCAM instead of Grad-CAM, 2020"

    def combine(self, layers: OpenLayers, slope: Slope, target: Target) -> Float[Tensor, "h w"]:
        """Gradient times activation, summed over channels."""
        del target
        return product(layers, slope, slope.values)


@dataclass(frozen=True, slots=True)
class LayerCam(GradientMap):
    """LayerCAM: positive gradient times activation in every cell, ``sum_c ReLU(g_c) A_c``.

    Meant for early layers as well, where pooled gradients say little.

    Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", IEEE
    Transactions on Image Processing 2021.

    Attributes:
        layer: See ``GradientMap``.
        scalar: See ``GradientMap``.
    """

    name: ClassVar[str] = "layer_cam"
    citation: ClassVar[str] = "Jiang et al., LayerCAM, IEEE TIP 2021"

    def combine(self, layers: OpenLayers, slope: Slope, target: Target) -> Float[Tensor, "h w"]:
        """Positive gradient times activation, summed over channels."""
        del target
        return product(layers, slope, slope.values.clamp(min=0))
