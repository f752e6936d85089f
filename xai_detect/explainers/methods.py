"""Every explanation method by name."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from xai_detect.detectors.registered import METHODS as GROUP
from xai_detect.detectors.registered import names, registered
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
from xai_detect.explainers.protocol import Method
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


PARTS = ("name", "input_level", "needs", "citation", "brief", "expected_passes", "__call__")
"""What a class of another package must have to be a method."""


def build_method(name: str, **settings: object) -> Method[Any]:
    """A method by name, with its defaults or with the given hyper-parameters.

    A name that is not in ``METHODS`` is looked up among those that other packages register (entry
    points ``xai_detect.methods``).

    Raises:
        InputError: If there is no such method, it has no such setting, or a setting is of another
            type or out of range.
    """
    kind = METHODS.get(name) or _foreign(name)
    method: Method[Any] = kind(**checked_settings(kind, settings))
    return method


def _foreign(name: str) -> type[Any]:
    """The class of a method that another package registered.

    Raises:
        InputError: If there is none, or it is no method.
    """
    found = registered(GROUP, name)
    if found is None:
        known = [*METHODS, *names(GROUP)]
        hint = near(name, known) or f"choose from {', '.join(known)}"
        raise InputError(f"there is no method {name!r}; {hint}")
    lacks = [part for part in PARTS if not hasattr(found, part)]
    if not isinstance(found, type) or not dataclasses.is_dataclass(found) or lacks:
        raise InputError(
            f"{name!r} was registered by another package and is no method; expected a frozen "
            f"dataclass with {', '.join(PARTS)}, as ImageMethod in explainers/protocol.py says"
        )
    return found
