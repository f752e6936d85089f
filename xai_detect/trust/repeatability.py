"""Does the map survive what should not matter: a shift of two pixels and faint noise?"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.protocol import Detector
from xai_detect.explainers.explain import explain
from xai_detect.explainers.methods import build_method
from xai_detect.trust.maps import smooth
from xai_detect.values.boxes import Box
from xai_detect.values.detections import Target
from xai_detect.values.findings import Explanation

SHIFT = 2
"""Pixels to the right and down."""

NOISE = 0.01
"""Standard deviation of the noise, with values in [0, 1]: under three grey levels of 255."""

SCALE = 0.03
"""Maps are compared at this coarseness: a Gaussian's standard deviation, share of the side."""


def repeat_explanations(
    detector: Detector, image: Float[Tensor, "3 h w"], explanations: Sequence[Explanation]
) -> list[Explanation]:
    """Explain the same targets on a shifted, slightly noisy copy; maps are shifted back.

    The method's ``brief`` form is used: a coarser map is harder to repeat, so what passes here
    would pass with the full one. Candidates stay the same, so the question is the same. The
    explanations must come from one method with one set of settings.
    """
    if not explanations:
        return []
    method = build_method(explanations[0].method, **explanations[0].settings).brief()
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    moved = (_shifted(image, SHIFT) + NOISE * noise).clamp(0, 1)
    targets = [_moved(one.target) for one in explanations]
    repeats = explain(method, detector, moved, targets)
    return [replace(one, heatmap=_shifted(one.heatmap[None], -SHIFT)[0]) for one in repeats]


def similarity(a: Float[Tensor, "h w"], b: Float[Tensor, "h w"]) -> float:
    """Cosine of two smoothed maps, in [-1, 1]; about 0 if unrelated, NaN if one is all 0."""
    first, second = smooth(a.double(), SCALE).flatten(), smooth(b.double(), SCALE).flatten()
    norm = float(first.norm() * second.norm())
    return float(first @ second) / norm if norm > 0 else math.nan


def _moved(target: Target) -> Target:
    return replace(target, box=_pushed(target.box), proposal=_pushed(target.proposal))


def _pushed(box: Box) -> Box:
    return (box[0] + SHIFT, box[1] + SHIFT, box[2] + SHIFT, box[3] + SHIFT)


def _shifted(values: Float[Tensor, "c h w"], by: int) -> Float[Tensor, "c h w"]:
    """Move content right and down by ``by`` pixels; the border repeats."""
    rows = (torch.arange(values.shape[1]) - by).clamp(0, values.shape[1] - 1)
    columns = (torch.arange(values.shape[2]) - by).clamp(0, values.shape[2] - 1)
    return values[:, rows][:, :, columns]
