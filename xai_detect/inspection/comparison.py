"""One image, several questions, several settings of one method: maps side by side, with numbers.

What the numbers of a panel mean; NaN where there is no foreground:

==================== ==============================================================================
score                confidence for the class in the image as it is, in [0, 1]
sum                  sum of the map, in the unit of the method's scalar
foreground_share     share of the positive evidence that lies on the foreground
foreground_area      share of the image that the foreground covers: what a map without any
                     preference would give (chance)
without_background   score with everything but the foreground replaced by the fill
without_foreground   score with the foreground replaced by the fill
==================== ==============================================================================
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xai_detect.detectors.place import Image, place
from xai_detect.detectors.protocol import Detector
from xai_detect.errors import InputError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.protocol import Method
from xai_detect.scores.survival import Survival
from xai_detect.values import boxes, fills
from xai_detect.values.detections import Target
from xai_detect.values.findings import Explanation
from xai_detect.values.frame import Placed, nearest

REMOVALS = ("without_background", "without_foreground")


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One map of a comparison.

    Attributes:
        variant: The settings that set its column apart, in words.
        explanation: The map.
        values: The numbers listed at the top of this module.
    """

    variant: str
    explanation: Explanation
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Maps of one image.

    Attributes:
        image: RGB in [0, 1].
        foregrounds: Per target, what should matter; None if nobody said.
        rows: Per target, one panel per variant, in the same order everywhere.
        fill: What took the place of removed pixels.
    """

    image: Float[Tensor, "3 h w"]
    foregrounds: tuple[Bool[Tensor, "h w"] | None, ...]
    rows: tuple[tuple[Panel, ...], ...]
    fill: str


def compare(
    detector: Detector,
    image: Image,
    targets: Sequence[Target],
    variants: Mapping[str, Method[Any]],
    *,
    foreground: Bool[Tensor, "i j"] | None = None,
    fill: str = "auto",
    contrast: str | None = None,
) -> Comparison:
    """Explain several targets with several settings, and ask again without fore- and background.

    Args:
        detector: Any detector or classifier.
        image: RGB in [0, 1].
        targets: The questions: one row each.
        variants: Methods by the words over their column.
        foreground: What should matter; None takes each target's box, unless that is the whole
            image.
        fill: What removed pixels become: ``auto`` or a name in ``FILLS``.
        contrast: The class that every question is compared with; see ``explain``.

    Raises:
        InputError: If there are no targets or variants, or the foreground has another size.
    """
    if not targets or not variants:
        raise InputError("there is nothing to compare; give at least one class and one method")
    placed = place(detector, image)
    size = placed.frame.image_size
    if foreground is not None and foreground.shape != size:
        raise InputError(
            f"the foreground mask is {foreground.shape[1]} x {foreground.shape[0]} pixels, but "
            f"the image is {size[1]} x {size[0]}: make them the same size"
        )
    fill = fills.resolved(fill, detector.provenance.domain)
    masks = [_foreground(target, size, foreground) for target in targets]
    scores = _scores(detector, placed, targets, masks, fill)
    columns = [
        (name, explain(method, detector, placed, targets, contrast))
        for name, method in variants.items()
    ]
    rows = tuple(
        tuple(
            Panel(name, maps[row], {**scores[row], **_shares(maps[row].heatmap, masks[row])})
            for name, maps in columns
        )
        for row in range(len(targets))
    )
    return Comparison(placed.image, tuple(masks), rows, fill)


def _foreground(
    target: Target, size: boxes.Size, given: Bool[Tensor, "h w"] | None
) -> Bool[Tensor, "h w"] | None:
    """What should matter for a target; all or nothing of the image says nothing."""
    found = boxes.mask(target.box, size) if given is None else given
    return None if bool(found.all()) or not bool(found.any()) else found


def _scores(
    detector: Detector,
    placed: Placed,
    targets: Sequence[Target],
    masks: Sequence[Tensor | None],
    fill: str,
) -> list[dict[str, float]]:
    """Scores with and without fore- and background; what targets have in common is asked once."""
    survival = Survival(detector, placed, targets)
    whole = survival.of_inputs(placed.pixels)[0]
    content = placed.content
    asked: dict[int, Tensor] = {}
    found = []
    for row, mask in enumerate(masks):
        values = {"score": float(whole[row]), **dict.fromkeys(REMOVALS, math.nan)}
        if mask is not None:
            if id(mask) not in asked:
                seen = nearest(mask, placed.frame.content_size)
                pair = [fills.hide(content, ~seen, fill), fills.hide(content, seen, fill)]
                asked[id(mask)] = survival.of_contents(torch.stack(pair))
            without = asked[id(mask)][:, row].tolist()
            values.update(zip(REMOVALS, without, strict=True))
        found.append(values)
    return found


def _shares(heatmap: Float[Tensor, "h w"], mask: Bool[Tensor, "h w"] | None) -> dict[str, float]:
    positive = heatmap.double().clamp(min=0)
    total = float(positive.sum())
    known = mask is not None and total > 0
    return {
        "sum": float(heatmap.double().sum()),
        "foreground_share": float(positive[mask].sum()) / total if known else math.nan,
        "foreground_area": math.nan if mask is None else float(mask.float().mean()),
    }
