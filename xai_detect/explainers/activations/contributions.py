"""Which channels speak for a detection: a vector by which detections of one network are compared.

Per channel of the layers that enter the head, the sum over cells of the positive part of activation
times gradient of the class's log-odds. Where in the image a cell lies is left out, so that two
detections are alike that are named for the same features.
"""

from collections.abc import Sequence
from typing import TypeGuard

import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.lending import lent
from xai_detect.detectors.protocol import Detector, WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.explainers.activations.layers import OpenLayers, Slope
from xai_detect.values.detections import UNKNOWN, Target
from xai_detect.values.frame import Placed


def opens(detector: Detector) -> TypeGuard[WhiteBoxDetector]:
    """Whether the layers that enter the head are known, and their gradients can be asked for."""
    return isinstance(detector, WhiteBoxDetector) and bool(detector.feature_layers)


def contributions(
    detector: Detector, placed: Placed, targets: Sequence[Target]
) -> list[Float[Tensor, "d"] | None]:
    """What each channel contributes to each target, all levels in a row, at length 1.

    One forward pass for all, and one small backward pass where the detector's head runs on patches.

    Args:
        detector: The detector that found the targets.
        placed: The image.
        targets: Detections in it.

    Returns:
        One vector per target, none of its numbers below 0. None for a black box, a detector whose
        layers are not known or give no maps, a box from elsewhere, and a target that no channel
        speaks for.
    """
    rows = [row for row, target in enumerate(targets) if target.candidate != UNKNOWN]
    found: list[Tensor | None] = [None] * len(targets)
    if not rows or not opens(detector):
        return found
    with lent(detector.module):
        try:
            layers = OpenLayers(detector, placed, [targets[row] for row in rows])
        except InputError:  # layers that give no maps: a picture less, and no reason to stop a run
            return found
        for row, slopes in zip(rows, layers.slopes("logit"), strict=True):
            found[row] = _direction(layers.activations, slopes)
    return found


def _direction(
    activations: Sequence[Float[Tensor, "_ _ _"]], slopes: Sequence[Slope]
) -> Float[Tensor, "d"] | None:
    levels = [activation.new_zeros(len(activation)) for activation in activations]
    for slope in slopes:
        product = slope.values * slope.beneath(activations[slope.layer])
        levels[slope.layer] = product.clamp(min=0).sum(dim=(1, 2))
    vector = torch.cat(levels).detach().float().cpu()
    length = float(vector.norm())
    return vector / length if 0 < length < float("inf") else None
