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
without_elsewhere    score with as many pixels elsewhere removed instead (placebo); NaN without room
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
is unmeasured there. All of it is read and removed at the resolution at which the network sees the
image, in content pixels, so that the numbers of a large and of a small copy are the same.

A detection is "found" in a changed image when any raw prediction overlaps its box by IoU >= 0.5.
A sealed black box shows final detections only: what it does not report counts 0 here, but how far
the score fell is unknown, so its ratios and rivals are unmeasured.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.detectors.place import Image, place
from xai_detect.detectors.protocol import Detector, Raw, RawDetector
from xai_detect.errors import InputError
from xai_detect.explainers.methods import METHODS, build_method
from xai_detect.explainers.protocol import Method
from xai_detect.scores.scalars import class_kept, class_survival
from xai_detect.scores.survival import FAINT, fitting_batch
from xai_detect.trust.maps import elsewhere, outside_region, shares
from xai_detect.trust.repeatability import repeat_explanations, similarity
from xai_detect.values import boxes, fills
from xai_detect.values.boxes import Box
from xai_detect.values.detections import Target
from xai_detect.values.findings import Evidence, Explanation
from xai_detect.values.frame import Frame, Placed

RING_SHARE, RING_LEAST = 0.15, 8.0
"""Width of the ring, share of the side and input pixels: edges just outside are legitimate."""

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

NAMES = (
    "score", "inside", "ring", "outside", "chance_inside", "lift", "percentile", "without_box",
    "context_only", "box_only", "box_only_least", "without_outside", "without_elsewhere", *RATIOS,
    *RIVALS, "completeness_error", "repeatability", "input_level", "box_share", "forward_passes",
    "trust",
)  # fmt: skip
"""All numbers there are; what they mean stands at the top."""


def near_box(box: Box) -> Box:
    """The box grown by the ring."""
    return boxes.grow(box, RING_SHARE, RING_LEAST)


def weigh(
    detector: Detector,
    image: Image,
    target: Target,
    explanation: Explanation,
    repeat: Explanation | None = None,
    unchanged: Raw | None = None,
    method: Method[Any] | None = None,
) -> Evidence:
    """Measure what speaks for one detection.

    Args:
        detector: The detector that found the target.
        image: RGB in [0, 1], placed or not.
        target: The question that ``explanation`` answers.
        explanation: Its map.
        repeat: The map of a shifted, noisy copy, from ``repeat_explanations``; None computes it.
        unchanged: The detector's raw predictions for the image as it is, which serve all its
            detections; None computes them.
        method: What made the map; None takes the one of that name in ``METHODS``. A map of another
            one, whose method is not given, has neither repeatability nor ``input_level``.

    Returns:
        The numbers listed at the top of this module.

    Raises:
        InputError: If the repeated map is not one of content pixels.
    """
    placed = place(detector, image)
    if method is None and explanation.method in METHODS:
        method = build_method(explanation.method, **explanation.settings)
    if repeat is None and method is not None:
        repeat = repeat_explanations(detector, placed, [explanation], method)[0]
    heatmap = placed.frame.map_to_content(explanation.heatmap)
    if repeat is not None and repeat.heatmap.shape != heatmap.shape:
        raise InputError(
            f"the repeated map is {tuple(repeat.heatmap.shape)}, but the network saw the image at "
            f"{tuple(heatmap.shape)}: pass one of repeat_explanations, or none"
        )
    box = placed.frame.box_to_content(target.box)
    values = {
        **shares(heatmap, box, near_box(box)),
        **_removals(detector, placed, target, heatmap, unchanged),
        "repeatability": math.nan if repeat is None else similarity(heatmap, repeat.heatmap),
        "input_level": math.nan if method is None else float(method.input_level),
        "box_share": float(boxes.mask(box, placed.frame.content_size).float().mean()),
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
    if math.isnan(values["outside_effect"]):
        return math.nan
    steady = 1 - max(0.0, values["outside_effect"])
    return values["score"] * (values["necessity"] + values["sufficiency"] + steady) / 3


def _removals(
    detector: Detector,
    placed: Placed,
    target: Target,
    heatmap: Float[Tensor, "a b"],
    unchanged: Raw | None,
) -> dict[str, float]:
    content, own = placed.content, placed.frame.box_to_content(target.box)
    size = placed.frame.content_size
    box, near = boxes.mask(own, size), boxes.mask(near_box(own), size)
    first, second = EMPTY[detector.provenance.domain]
    beyond = outside_region(heatmap, near)
    placebo = None if beyond is None else elsewhere(beyond, near)
    changed = {
        "without_box": fills.hide(content, box, "inpaint"),
        "context_only": fills.hide(content, near, first),
        "first": fills.hide(content, ~near, first),
        "second": fills.hide(content, ~near, second),
    }
    if beyond is not None:
        changed["without_outside"] = fills.hide(content, beyond, "inpaint")
    if placebo is not None:
        changed["without_elsewhere"] = fills.hide(content, placebo, "inpaint")
    inputs = placed.frame.pad(torch.stack(list(changed.values())))
    rows = _survivals(detector, inputs, target, placed.frame)
    found = dict(zip(changed, rows, strict=True))
    if unchanged is None:
        whole = _survivals(detector, placed.pixels, target, placed.frame)[0]
    else:
        whole = class_survival(unchanged, target.box, placed.frame)[0].cpu()
    if beyond is None:
        found["without_outside"] = found["without_elsewhere"] = whole
    alone = torch.stack([found["first"], found["second"]])
    values = {
        "score": float(whole[target.label]),
        "without_box": float(found["without_box"][target.label]),
        "context_only": float(found["context_only"][target.label]),
        "box_only": float(alone[:, target.label].max()),
        "box_only_least": float(alone[:, target.label].min()),
        "without_outside": float(found["without_outside"][target.label]),
        "without_elsewhere": math.nan,
        "forward_passes": float(len(inputs) + (unchanged is None)),
    }
    if "without_elsewhere" in found:
        values["without_elsewhere"] = float(found["without_elsewhere"][target.label])
    if not isinstance(detector, RawDetector):
        return {**values, **dict.fromkeys((*RATIOS, *RIVALS), math.nan)}
    rivals = _rivals(whole, alone, found["without_outside"], target.label)
    return {**values, **_ratios(values), **rivals}


def _survivals(
    detector: Detector, inputs: Float[Tensor, "n 3 i j"], target: Target, frame: Frame
) -> Float[Tensor, "n c"]:
    """Per input and class, the confidence still found at the target's box."""
    rows = []
    for some in torch.split(inputs, fitting_batch(detector, frame)):
        if isinstance(detector, RawDetector):
            rows.append(class_survival(detector.raw(some), target.box, frame).cpu())
        else:
            found = detector.detect(some, frame, FAINT)
            rows.append(torch.stack([class_kept(each, target.box) for each in found]).cpu())
    return torch.cat(rows)


def _ratios(values: dict[str, float]) -> dict[str, float]:
    score = values["score"]
    if score == 0:
        return dict.fromkeys(RATIOS, math.nan)
    lost = (values["without_elsewhere"] - values["without_outside"]) / score
    return {
        "necessity": _unit(1 - values["without_box"] / score),
        "sufficiency": _unit(values["box_only"] / score),
        "outside_effect": lost if math.isnan(lost) else max(-1.0, min(1.0, lost)),
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
    boxes_alone = [_against(survivals, label) for survivals in alone]
    rival_box, strongest_box, margin_box = min(boxes_alone, key=lambda lead: lead[2])
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


def _unit(value: float) -> float:
    return max(0.0, min(1.0, value))
