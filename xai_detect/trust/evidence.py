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

from xai_detect.detectors.place import Image, place
from xai_detect.detectors.protocol import Detector, Raw
from xai_detect.errors import InputError
from xai_detect.explainers.methods import METHODS, build_method
from xai_detect.explainers.protocol import Method
from xai_detect.trust.maps import shares
from xai_detect.trust.removals import RATIOS, RIVALS, removals
from xai_detect.trust.repeatability import repeat_explanations, similarity
from xai_detect.values import boxes
from xai_detect.values.detections import Target
from xai_detect.values.findings import Evidence, Explanation

NEEDS_OUTSIDE = (
    "context_only", "box_only", "box_only_least", "without_outside", "without_elsewhere",
    "sufficiency", "outside_effect", "rival_box_only", "rival_box_label", "margin_box_only",
    "margin_without_outside",
)  # fmt: skip
"""What compares the box with its surroundings."""

NAMES = (
    "score", "inside", "ring", "outside", "chance_inside", "lift", "percentile", "without_box",
    "context_only", "box_only", "box_only_least", "without_outside", "without_elsewhere", *RATIOS,
    *RIVALS, "completeness_error", "repeatability", "input_level", "box_share", "forward_passes",
    "trust",
)  # fmt: skip
"""All numbers there are; what they mean stands at the top."""


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
        **shares(heatmap, box, boxes.near(box)),
        **removals(detector, placed, target, heatmap, unchanged),
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
