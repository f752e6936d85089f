"""Class activation maps tied to the place of one detection: SSGrad-CAM, SSGrad-CAM++, G-CAME.

``A`` is a layer's activation, ``g`` the gradient of the target's score there. The papers draw the
positive part of each map; here the sign is kept.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.errors import InputError
from xai_detect.explainers.activations.cam import GradientMap, rate, weighted
from xai_detect.explainers.activations.layers import OpenLayers, Slope
from xai_detect.values.detections import Target

TINY = 1e-30
"""Stands for 0 in a denominator whose numerator is 0 as well."""


def space(gradient: Float[Tensor, "c n m"]) -> Float[Tensor, "c n m"]:
    """The space map: each channel's gradient by size, as a share of its largest."""
    size = gradient.abs()
    return size / size.amax(dim=(1, 2), keepdim=True).clamp(min=TINY)


@dataclass(frozen=True, slots=True)
class SpatialMap(GradientMap):
    """What the two spatially sensitive maps share.

    Attributes:
        layer: See ``GradientMap``.
        scalar: See ``GradientMap``.
        spatial: Where the space map ``S`` acts: on the activations that are summed (``map``), or
            on the gradients that make the weights (``weight``), which ties the weights to the
            detection and leaves the map itself free.
    """

    spatial: str = "map"

    def __post_init__(self) -> None:
        GradientMap.__post_init__(self)
        if self.spatial not in ("map", "weight"):
            raise InputError(f"spatial is {self.spatial!r}; expected 'map' or 'weight'")

    def summed(
        self, layers: OpenLayers, slope: Slope, weights: Float[Tensor, "c"]
    ) -> Float[Tensor, "h w"]:
        """The weighted sum of channels; with ``map``, of channels times their space maps."""
        activation = layers.activations[slope.layer]
        if self.spatial == "weight":
            return weighted(activation, weights)
        window = weighted(slope.beneath(activation) * space(slope.values), weights)
        return slope.spread(window, (activation.shape[1], activation.shape[2]))


@dataclass(frozen=True, slots=True)
class SSGradCam(SpatialMap):
    """SSGrad-CAM: Grad-CAM whose channels are masked by where their gradient is large.

    ``sum_c mean(g_c) S_c A_c`` with ``S_c = |g_c| / max |g_c|``.

    Yamauchi, Ishikawa, "Spatial Sensitive Grad-CAM: Visual Explanations for Object Detection by
    Incorporating Spatial Sensitivity", ICIP 2022.

    Attributes:
        layer: See ``GradientMap``.
        scalar: See ``GradientMap``.
        spatial: See ``SpatialMap``.
    """

    name: ClassVar[str] = "ssgrad_cam"
    citation: ClassVar[str] = "Yamauchi, Ishikawa, Spatial Sensitive Grad-CAM, ICIP 2022"

    def combine(self, layers: OpenLayers, slope: Slope, target: Target) -> Float[Tensor, "h w"]:
        """The weighted sum of channels."""
        del target
        activation = layers.activations[slope.layer]
        gradient = slope.values
        if self.spatial == "weight":
            gradient = gradient * space(gradient)
        cells = activation.shape[1] * activation.shape[2]
        return self.summed(layers, slope, gradient.sum(dim=(1, 2)) / cells)


@dataclass(frozen=True, slots=True)
class SSGradCamPlusPlus(SpatialMap):
    """SSGrad-CAM++: Grad-CAM++ read inside the box, with space maps.

    ``w_c = sum(alpha ReLU(g_c))`` over the cells of the box, ``alpha = g^2 / (2 g^2 + sum(A_c)
    g^3)``; map ``sum_c w_c S_c A_c``. With ``spatial="weight"`` it is ``w_c = sum(alpha ReLU(g_c
    S_c))`` and ``sum_c w_c A_c``. Cells outside the box count for nothing in the weights.

    Yamauchi, "Spatial Sensitive Grad-CAM++: Improved Visual Explanation for Object Detectors via
    Weighted Combination of Gradient Map", CVPR Workshops 2024.

    Attributes:
        layer: See ``GradientMap``.
        scalar: See ``GradientMap``.
        spatial: See ``SpatialMap``.
    """

    name: ClassVar[str] = "ssgrad_cam_plus_plus"
    citation: ClassVar[str] = "Yamauchi, Spatial Sensitive Grad-CAM++, CVPR Workshops 2024"

    def combine(self, layers: OpenLayers, slope: Slope, target: Target) -> Float[Tensor, "h w"]:
        """The weighted sum of channels."""
        inside = slope.beneath(layers.cells(slope.layer, target).to(slope.values))
        alpha = rate(layers.activations[slope.layer].sum(dim=(1, 2)), slope.values) * inside
        gradient = slope.values.clamp(min=0)
        if self.spatial == "weight":
            gradient = gradient * space(slope.values)
        return self.summed(layers, slope, (alpha * gradient).sum(dim=(1, 2)))


@dataclass(frozen=True, slots=True)
class GCame(GradientMap):
    """G-CAME: each channel under a Gaussian around the place of its gradient, by its mean gradient.

    ``sum_c mean(g_c) A_c G_c``, where ``G_c`` is a Gaussian between 0 and 1 whose width is ``|ln
    |mean(g_c)|| / k * ln(stride)`` cells, ``k = floor(sqrt(h w) - 1) / 6``. The centre is the
    middle of the channel's gradient: the only cell that has one at the authors' layers, where they
    take the first. The width hangs on the size of the gradient and so on the scalar's unit, and
    the Gaussian alone keeps the map at the box: do not read it as evidence that the box decides.

    Nguyen et al., "G-CAME: Gaussian-Class Activation Mapping Explainer for Object Detectors",
    CAIAC 2024, arXiv 2306.03400.

    Attributes:
        layer: See ``GradientMap``.
        scalar: See ``GradientMap``.
    """

    name: ClassVar[str] = "g_came"
    citation: ClassVar[str] = "Nguyen et al., G-CAME, CAIAC 2024"

    def combine(self, layers: OpenLayers, slope: Slope, target: Target) -> Float[Tensor, "h w"]:
        """The weighted sum of channels, each under its Gaussian."""
        del target
        activation = layers.activations[slope.layer]
        height, width = activation.shape[1:]
        means = slope.values.sum(dim=(1, 2)) / (height * width)
        used = means != 0
        if not bool(used.any()):
            return torch.zeros_like(activation[0])
        rows, columns = _middles(slope, used)
        reach = max(math.floor(math.sqrt(height * width) - 1), 1) / 6
        down, across = layers.stride(slope.layer)
        stride = math.sqrt(down * across)
        widths = (means[used].abs().log().abs() / reach * abs(math.log(stride))).clamp(min=1e-3)
        gaussians = _gaussians(rows, columns, widths, (height, width))
        return weighted(activation[used] * gaussians, means[used])


def _middles(slope: Slope, used: Tensor) -> tuple[Float[Tensor, "c"], Float[Tensor, "c"]]:
    """Row and column around which each channel's gradient lies, weighted by its size."""
    size = slope.values[used].abs()
    share = size / size.sum(dim=(1, 2), keepdim=True).clamp(min=TINY)
    rows, columns = (
        torch.arange(length, device=share.device, dtype=share.dtype) + start
        for length, start in ((share.shape[1], slope.top), (share.shape[2], slope.left))
    )
    return share.sum(dim=2) @ rows, share.sum(dim=1) @ columns


def _gaussians(
    rows: Float[Tensor, "c"],
    columns: Float[Tensor, "c"],
    widths: Float[Tensor, "c"],
    size: tuple[int, int],
) -> Float[Tensor, "c h w"]:
    """Gaussians scaled so that the highest cell is 1 and the lowest 0; all 1 where flat."""
    down, across = (torch.arange(length, device=rows.device, dtype=rows.dtype) for length in size)
    apart = (down - rows[:, None])[:, :, None] ** 2 + (across - columns[:, None])[:, None] ** 2
    power = -apart / (2 * widths[:, None, None] ** 2)
    # Taken from the highest cell first, so that a narrow Gaussian between cells does not vanish.
    heights = (power - power.amax(dim=(1, 2), keepdim=True)).exp()
    lowest = heights.amin(dim=(1, 2), keepdim=True)
    return torch.where(lowest < 1, (heights - lowest) / (1 - lowest).clamp(min=TINY), 1.0)
