"""What speaks for one detection, in numbers.

``weigh`` reads the map (where is the evidence?) and asks the detector again with parts of the image
removed (does it agree?). Names in the record; NaN means unmeasured:

==================== ==============================================================================
score                confidence for the target's class at its box, in [0, 1]
inside, ring         share of positive evidence in the box, and in the ring around it (15 %, 8 px)
outside              share beyond the ring
chance_inside        mean of ``inside`` over same-size boxes placed elsewhere (placebo)
lift                 ``inside / chance_inside``
percentile           share of placebo boxes that hold less evidence than the box
without_box          score with the box's content continued from its surroundings
context_only         score with box and ring emptied: what the surroundings alone are worth
box_only             score with everything beyond the ring emptied, the better of two fills
box_only_least       the same, the worse of two fills
without_outside      score with the strongest outside evidence removed; ``score`` if there is none
without_elsewhere    score with the mirror image of that region removed instead (placebo)
necessity            ``1 - without_box / score``, cut to [0, 1]
sufficiency          ``box_only / score``, cut to [0, 1]
outside_effect       ``1 - without_outside / score``, less the same for the placebo, in [-1, 1]
rival                confidence for the runner-up class in the same box
rival_label          which class that is
margin               log-odds of the class against the strongest other, whole image
margin_box_only      the same when only the box is left, the worse of two fills
rival_box_only       the strongest other class in that fill
rival_box_label      which class that is
margin_without_outside  the same margin with the strongest outside evidence removed
completeness_error   the method's own, as a share of the score difference; absent if it has none
repeatability        cosine of the map with one of a shifted, slightly noisy copy, in [-1, 1]
input_level          1 if the method sees the whole input, 0 if only the last layers, or nothing
box_share            share of the image that the box covers
forward_passes       forward passes spent here, repeatability left out
trust                one number in [0, 1] for ranking; see ``trust_score``
==================== ==============================================================================

A box that is the whole image, as a classifier's, has no outside: everything that compares the two
is unmeasured there.

A detection is "found" in a changed image when any raw prediction overlaps its box by IoU >= 0.5.
A sealed black box shows final detections only: what it does not report counts 0 here, but how far
the score fell is unknown, so its ratios and rivals are unmeasured.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xai_detect.detectors.protocol import Detector, Raw, RawDetector
from xai_detect.explainers.methods import METHODS
from xai_detect.scores.scalars import class_kept, class_survival
from xai_detect.scores.survival import FAINT
from xai_detect.trust.maps import outside_region, shares
from xai_detect.trust.repeatability import repeat_explanations, similarity
from xai_detect.values import boxes, fills
from xai_detect.values.boxes import Box
from xai_detect.values.detections import Target
from xai_detect.values.findings import Evidence, Explanation
from xai_detect.values.frame import Frame

RING_SHARE, RING_LEAST = 0.15, 8.0
"""Width of the ring, share of the side and pixels: edges just outside are legitimate evidence."""

FAINTEST = 1e-4
"""Confidences below this are all the same: nothing."""

RIVALS = (
    "rival", "rival_label", "rival_box_only", "rival_box_label",
    "margin", "margin_box_only", "margin_without_outside",
)  # fmt: skip

RATIOS = ("necessity", "sufficiency", "outside_effect")

NEEDS_OUTSIDE = (
    "context_only", "box_only", "box_only_least", "without_outside", "without_elsewhere",
    "sufficiency", "outside_effect", "rival_box_only", "rival_box_label", "margin_box_only",
    "margin_without_outside",
)  # fmt: skip
"""What compares the box with its surroundings."""

MOST_PASSES = 7
"""Forward passes that ``weigh`` spends on one detection, repeatability left out."""

EMPTY = {"photo": ("grey", "mean"), "xray": ("air", "mean")}
"""Fills that mean "nothing there" around a kept box; two, so that no one fill decides."""


def near_box(box: Box) -> Box:
    """The box grown by the ring."""
    return boxes.grow(box, RING_SHARE, RING_LEAST)


def weigh(
    detector: Detector,
    image: Float[Tensor, "3 h w"],
    target: Target,
    explanation: Explanation,
    repeat: Explanation | None = None,
    unchanged: Raw | None = None,
) -> Evidence:
    """Measure what speaks for one detection.

    Args:
        detector: The detector that found the target.
        image: RGB in [0, 1].
        target: The question that ``explanation`` answers.
        explanation: Its map.
        repeat: The map of a shifted, noisy copy, from ``repeat_explanations``; None computes it.
        unchanged: The detector's raw predictions for the image as it is, which serve all its
            detections; None computes them.

    Returns:
        The numbers listed at the top of this module.
    """
    if repeat is None:
        repeat = repeat_explanations(detector, image, [explanation])[0]
    size = (image.shape[1], image.shape[2])
    method = METHODS.get(explanation.method)
    values = {
        **shares(explanation.heatmap, target.box, near_box(target.box)),
        **_removals(detector, image, target, explanation.heatmap, unchanged),
        "repeatability": similarity(explanation.heatmap, repeat.heatmap),
        "input_level": math.nan if method is None else float(method.input_level),
        "box_share": float(boxes.mask(target.box, size).float().mean()),
    }
    if values["box_share"] == 1:
        values.update(dict.fromkeys(NEEDS_OUTSIDE, math.nan))
    if "completeness_error" in explanation.measured:
        values["completeness_error"] = explanation.measured["completeness_error"]
    return Evidence({**values, "trust": trust_score(values)}, _words(target, values))


def _words(target: Target, values: dict[str, float]) -> dict[str, str]:
    words = {"name": target.name}
    for name in ("rival", "rival_box"):
        label = values[f"{name}_label"]
        if not math.isnan(label):
            words[f"{name}_name"] = target.class_names[int(label)]
    return words


def trust_score(values: dict[str, float]) -> float:
    """One number in [0, 1] to rank detections by: the score, discounted where support is missing.

    The score in the whole image times the mean of three supports: what is lost without the box
    (``necessity``), what the box keeps alone (``sufficiency``), and what survives the removal of
    the strongest outside evidence. NaN if one of them is unmeasured.
    """
    steady = 1 - max(0.0, values["outside_effect"])
    return values["score"] * (values["necessity"] + values["sufficiency"] + steady) / 3


def _removals(
    detector: Detector,
    image: Tensor,
    target: Target,
    heatmap: Tensor,
    unchanged: Raw | None,
) -> dict[str, float]:
    size = (image.shape[1], image.shape[2])
    box, near = boxes.mask(target.box, size), boxes.mask(near_box(target.box), size)
    first, second = EMPTY[detector.provenance.domain]
    beyond = outside_region(heatmap, near)
    changed = [
        fills.hide(image, box, "inpaint"),
        fills.hide(image, near, first),
        fills.hide(image, ~near, first),
        fills.hide(image, ~near, second),
    ]
    if beyond is not None:
        changed += [
            fills.hide(image, beyond, "inpaint"),
            fills.hide(image, _mirrored(beyond, near), "inpaint"),
        ]
    if unchanged is None:
        changed = [image, *changed]
    found = _survivals(detector, changed, target)
    if unchanged is not None:
        frame = detector.frame(size)
        whole = class_survival(unchanged, target.box, frame).cpu()
        found = torch.cat([whole, found])
    values = {
        "score": float(found[0, target.label]),
        "without_box": float(found[1, target.label]),
        "context_only": float(found[2, target.label]),
        "box_only": float(found[3:5, target.label].max()),
        "box_only_least": float(found[3:5, target.label].min()),
        "without_outside": float(found[0 if beyond is None else 5, target.label]),
        "without_elsewhere": float(found[0 if beyond is None else 6, target.label]),
        "forward_passes": float(len(changed)),
    }
    if not isinstance(detector, RawDetector):
        return {**values, **dict.fromkeys((*RATIOS, *RIVALS), math.nan)}
    without = found[0 if beyond is None else 5]
    return {**values, **_ratios(values), **_rivals(found[0], found[3:5], without, target.label)}


def _survivals(
    detector: Detector, images: Sequence[Tensor], target: Target
) -> Float[Tensor, "n c"]:
    """Per image and class, the confidence still found at the target's box; one image at a time."""
    frame: Frame = detector.frame((images[0].shape[1], images[0].shape[2]))
    rows = []
    for one in images:
        pixels = frame.to_input(one[None])
        if isinstance(detector, RawDetector):
            rows.append(class_survival(detector.raw(pixels), target.box, frame))
        else:
            rows.append(class_kept(detector.detect(pixels, frame, FAINT)[0], target.box)[None])
    return torch.cat(rows).cpu()


def _ratios(values: dict[str, float]) -> dict[str, float]:
    score = values["score"]
    if score == 0:
        return dict.fromkeys(RATIOS, math.nan)
    lost = (values["without_elsewhere"] - values["without_outside"]) / score
    return {
        "necessity": _unit(1 - values["without_box"] / score),
        "sufficiency": _unit(values["box_only"] / score),
        "outside_effect": max(-1.0, min(1.0, lost)),
    }


def _rivals(
    whole: Float[Tensor, "c"],
    alone: Float[Tensor, "2 c"],
    without: Float[Tensor, "c"],
    label: int,
) -> dict[str, float]:
    if len(whole) < 2:
        return dict.fromkeys(RIVALS, math.nan)
    rival, strongest, margin = _against(whole, label)
    boxes_alone = [_against(one, label) for one in alone]
    rival_box, strongest_box, margin_box = min(boxes_alone, key=lambda one: one[2])
    return {
        "rival": strongest,
        "rival_label": float(rival),
        "rival_box_only": strongest_box,
        "rival_box_label": float(rival_box),
        "margin": margin,
        "margin_box_only": margin_box,
        "margin_without_outside": _against(without, label)[2],
    }


def _against(found: Float[Tensor, "c"], label: int) -> tuple[int, float, float]:
    """The strongest other class, its confidence, and the log-odds by which the label leads it."""
    others = found.clone()
    others[label] = -1
    rival = int(others.argmax())
    odds = found[[label, rival]].double().clamp(FAINTEST, 1 - FAINTEST).logit()
    return rival, float(found[rival]), float(odds[0] - odds[1])


def _mirrored(region: Bool[Tensor, "h w"], near: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """The region turned by half a turn about the image's centre, box and ring left out."""
    return region.flip(0, 1) & ~near


def _unit(value: float) -> float:
    return max(0.0, min(1.0, value))
