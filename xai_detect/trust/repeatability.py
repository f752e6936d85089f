"""Does the map survive what should not matter: a shift of two input pixels and faint noise?"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.place import Image, place
from xai_detect.detectors.protocol import Detector
from xai_detect.explainers.explain import explain
from xai_detect.explainers.protocol import Method
from xai_detect.trust.maps import smooth
from xai_detect.values.boxes import Box
from xai_detect.values.detections import Target
from xai_detect.values.findings import Explanation
from xai_detect.values.frame import Frame

SHIFT = 2
"""Input pixels to the right and down: less than half of the finest cell, 8 pixels, so that the same
candidate still answers for the same object."""

NOISE = 0.01
"""Standard deviation of the noise, with values in [0, 1]: under three grey levels of 255."""

SCALE = 0.03
"""Maps are compared at this coarseness: a Gaussian's standard deviation, share of the side."""


def repeat_explanations(
    detector: Detector, image: Image, explanations: Sequence[Explanation], method: Method[Any]
) -> list[Explanation]:
    """Explain the same targets on a shifted, slightly noisy copy; maps are shifted back.

    The copy is made of what the network sees, so that the shift means the same for a large and for
    a small image. The method's ``brief`` form is used: a coarser map is harder to repeat, so what
    passes here would pass with the full one. Candidates stay the same, so the question is the same.

    Args:
        detector: The detector that found the targets.
        image: RGB in [0, 1], placed or not.
        explanations: Maps of one method with one set of settings.
        method: That method.

    Returns:
        One explanation each; maps and boxes in content pixels.
    """
    if not explanations:
        return []
    placed = place(detector, image)
    content = placed.content
    noise = torch.randn(content.shape, generator=torch.Generator().manual_seed(0))
    moved = placed.at_content((_shifted(content, SHIFT) + NOISE * noise).clamp(0, 1))
    targets = [_moved(found.target, placed.frame) for found in explanations]
    repeats = explain(method.brief(), detector, moved, targets)
    return [replace(found, heatmap=_shifted(found.heatmap[None], -SHIFT)[0]) for found in repeats]


def similarity(a: Float[Tensor, "h w"], b: Float[Tensor, "h w"]) -> float:
    """Cosine of two smoothed maps, in [-1, 1]; about 0 if unrelated, NaN if one is all 0."""
    first, second = smooth(a.double(), SCALE).flatten(), smooth(b.double(), SCALE).flatten()
    norm = float(first.norm() * second.norm())
    return float(first @ second) / norm if norm > 0 else math.nan


def _moved(target: Target, frame: Frame) -> Target:
    return replace(target, box=_pushed(target.box, frame), proposal=_pushed(target.proposal, frame))


def _pushed(box: Box, frame: Frame) -> Box:
    x1, y1, x2, y2 = frame.box_to_content(box)
    return (x1 + SHIFT, y1 + SHIFT, x2 + SHIFT, y2 + SHIFT)


def _shifted(values: Float[Tensor, "c h w"], by: int) -> Float[Tensor, "c h w"]:
    """Move content right and down by ``by`` pixels; the border repeats."""
    rows = (torch.arange(values.shape[1]) - by).clamp(0, values.shape[1] - 1)
    columns = (torch.arange(values.shape[2]) - by).clamp(0, values.shape[2] - 1)
    return values[:, rows][:, :, columns]
