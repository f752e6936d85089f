"""Every explanation method by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from xai_detect.errors import InputError, near
from xai_detect.explainers.baselines import (
    CentreGaussian,
    Edges,
    Flat,
    Objectness,
    Random,
    UniformBox,
)
from xai_detect.explainers.gradient import InputXGradient, IntegratedGradients
from xai_detect.explainers.guided_backprop import GuidedBackprop
from xai_detect.explainers.parchgrad import ParchGrad
from xai_detect.explainers.partition_shap import PartitionShap
from xai_detect.explainers.protocol import Method
from xai_detect.explainers.settings import checked_settings
from xai_detect.explainers.shapley import KernelShap
from xai_detect.explainers.smooth import ExpectedGradients, SmoothGrad

METHODS: Mapping[str, type[Any]] = MappingProxyType(
    {
        "integrated_gradients": IntegratedGradients,
        "input_x_gradient": InputXGradient,
        "parchgrad": ParchGrad,
        "kernel_shap": KernelShap,
        "partition_shap": PartitionShap,
        "smoothgrad": SmoothGrad,
        "expected_gradients": ExpectedGradients,
        "guided_backprop": GuidedBackprop,
        "flat": Flat,
        "box": UniformBox,
        "centre_gaussian": CentreGaussian,
        "edges": Edges,
        "random": Random,
        "objectness": Objectness,
    }
)


def build_method(name: str, **settings: Any) -> Method[Any]:
    """A method by name, with its defaults or with the given hyper-parameters.

    Raises:
        InputError: If there is no such method, it has no such setting, or a setting is of another
            type or out of range.
    """
    if name not in METHODS:
        hint = near(name, METHODS) or f"choose from {', '.join(METHODS)}"
        raise InputError(f"there is no method {name!r}; {hint}")
    method: Method[Any] = METHODS[name](**checked_settings(METHODS[name], settings))
    return method
