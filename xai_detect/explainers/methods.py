"""Every explanation method by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from xai_detect.errors import InputError, near
from xai_detect.explainers.activations.cam import GradCam, GradCamPlusPlus, HiResCam, LayerCam
from xai_detect.explainers.activations.odam import Odam
from xai_detect.explainers.activations.plain_cam import Cam, EigenCam
from xai_detect.explainers.activations.spatial_cam import GCame, SSGradCam, SSGradCamPlusPlus
from xai_detect.explainers.controls import (
    CentreGaussian,
    Edges,
    Flat,
    Objectness,
    Random,
    UniformBox,
)
from xai_detect.explainers.gradients.guided_backprop import GuidedBackprop
from xai_detect.explainers.gradients.guided_ig import GuidedIG
from xai_detect.explainers.gradients.integrated import InputXGradient, IntegratedGradients
from xai_detect.explainers.gradients.sighted import SightedGradients
from xai_detect.explainers.gradients.smooth import ExpectedGradients, SmoothGrad
from xai_detect.explainers.masks.d_close import DClose
from xai_detect.explainers.masks.d_rise import DRise
from xai_detect.explainers.masks.occlusion import Occlusion
from xai_detect.explainers.parchgrad.method import ParchGrad
from xai_detect.explainers.protocol import PlacedMethod
from xai_detect.explainers.relevance.attention import Attention
from xai_detect.explainers.relevance.lrp import LRP
from xai_detect.explainers.search.phasewin import PhaseWin
from xai_detect.explainers.search.vps import VisualPrecisionSearch
from xai_detect.explainers.search.vx_code import VxCode
from xai_detect.explainers.settings import checked_settings
from xai_detect.explainers.shapley.kernel_shap import KernelShap
from xai_detect.explainers.shapley.partition_shap import PartitionShap
from xai_detect.explainers.xrai.method import XRAI

METHODS: Mapping[str, type[Any]] = MappingProxyType(
    {
        "integrated_gradients": IntegratedGradients,
        "sighted_gradients": SightedGradients,
        "input_x_gradient": InputXGradient,
        "parchgrad": ParchGrad,
        "lrp": LRP,
        "attention": Attention,
        "kernel_shap": KernelShap,
        "partition_shap": PartitionShap,
        "smoothgrad": SmoothGrad,
        "expected_gradients": ExpectedGradients,
        "guided_backprop": GuidedBackprop,
        "guided_ig": GuidedIG,
        "xrai": XRAI,
        "vps": VisualPrecisionSearch,
        "phasewin": PhaseWin,
        "vx_code": VxCode,
        "flat": Flat,
        "box": UniformBox,
        "centre_gaussian": CentreGaussian,
        "edges": Edges,
        "random": Random,
        "objectness": Objectness,
        "occlusion": Occlusion,
        "d_rise": DRise,
        "d_close": DClose,
        "cam": Cam,
        "grad_cam": GradCam,
        "grad_cam_plus_plus": GradCamPlusPlus,
        "hires_cam": HiResCam,
        "layer_cam": LayerCam,
        "eigen_cam": EigenCam,
        "ssgrad_cam": SSGradCam,
        "ssgrad_cam_plus_plus": SSGradCamPlusPlus,
        "g_came": GCame,
        "odam": Odam,
    }
)


def build_method(name: str, **settings: object) -> PlacedMethod[Any]:
    """A method by name, with its defaults or with the given hyper-parameters.

    Raises:
        InputError: If there is no such method, it has no such setting, or a setting is of another
            type or out of range.
    """
    if name not in METHODS:
        hint = near(name, METHODS) or f"choose from {', '.join(METHODS)}"
        raise InputError(f"there is no method {name!r}; {hint}")
    method: PlacedMethod[Any] = METHODS[name](**checked_settings(METHODS[name], settings))
    return method
