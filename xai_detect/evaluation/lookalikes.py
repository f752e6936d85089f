"""Wrong names: the class that is annotated beside the one that was reported, and what decides.

Where a detection has the wrong name for reasons inside the box, nothing of its surroundings is to
blame: a person is shown the two names and where one beats the other.
"""

import math
from dataclasses import replace

import torch

from xai_detect.detectors.lending import lent
from xai_detect.detectors.protocol import Detector, WhiteBoxDetector
from xai_detect.evaluation.outcomes import GroundTruth
from xai_detect.explainers.explain import explain
from xai_detect.explainers.gradients.sighted import SightedGradients
from xai_detect.trust.maps import shares
from xai_detect.trust.scene import Scene, ring
from xai_detect.values import boxes
from xai_detect.values.detections import UNKNOWN, Target
from xai_detect.values.findings import Explanation, Inspection, Lookalike
from xai_detect.values.frame import Placed
from xai_detect.values.truth import Kind
from xai_detect.words.catalogue import catalogue

NAMED = (Kind.WRONG_NAME, Kind.BOTH)
"""Kinds of detections whose name is not that of their object."""


def with_lookalikes(
    inspection: Inspection,
    known: GroundTruth,
    detector: Detector,
    placed: Placed,
    language: str = "en",
) -> Inspection:
    """The inspection with the annotated class of each detection that has a wrong name.

    Args:
        inspection: One that was held against the annotations.
        known: The annotations.
        detector: The detector behind it.
        placed: The image.
        language: Of the sentences.
    """
    fates = inspection.outcome.fates if inspection.outcome is not None else ()
    if not any(fate.kind in NAMED for fate in fates):
        return inspection
    own = {known.class_names[theirs]: ours for ours, theirs in known.labels.items()}
    found: list[Lookalike | None] = []
    between: list[Explanation | None] = []
    for row, fate in enumerate(fates):
        label = own.get(fate.name) if fate.kind in NAMED else None
        if label is None or label == int(inspection.detections.labels[row]):
            found.append(None)
            between.append(None)
            continue
        made = _between(inspection, row, label, detector, placed)
        found.append(_lookalike(inspection.detections.target(row), label, made, detector, placed,
                                language))  # fmt: skip
        between.append(None if made is inspection.contrasts[row] else made)
    return replace(inspection, lookalikes=tuple(found), between=tuple(between))


def _between(
    inspection: Inspection, row: int, label: int, detector: Detector, placed: Placed
) -> Explanation | None:
    """Why the reported and not the annotated class; None where the other maps were not made."""
    target, contrast = inspection.detections.target(row), inspection.contrasts[row]
    name = detector.class_names[label]
    if contrast is None or inspection.evidence[row].words.get("rival") == name:
        return contrast
    method = SightedGradients(scalar="margin")
    return explain(method, detector, placed, [target], contrast=name)[0]


def _lookalike(
    target: Target,
    label: int,
    made: Explanation | None,
    detector: Detector,
    placed: Placed,
    language: str,
) -> Lookalike:
    margin = near = math.nan
    if isinstance(detector, WhiteBoxDetector) and target.candidate != UNKNOWN:
        with lent(detector.module), torch.no_grad():
            (log_odds,) = detector.candidate(placed.pixels, [target], placed.frame).log_odds[0]
        margin = float(log_odds[target.label] - log_odds[label])
    if made is not None:
        scene = Scene(detector, placed)
        box = scene.box(target)
        lies = shares(
            placed.frame.map_to_content(made.heatmap),
            boxes.mask(box, scene.size),
            ring(box, scene.size),
        )
        near = lies.box + lies.ring
    words = catalogue(language)
    said = {"class": target.name, "annotated": detector.class_names[label]}
    sentence = words.say("lookalike.annotated", **said)
    if not math.isnan(margin):
        sentence += " " + words.say("lookalike.margin", **said, margin=margin)
    if not math.isnan(near):
        sentence += " " + words.say("lookalike.lies", **said, near=words.fraction(near))
    return Lookalike(detector.class_names[label], margin, near, sentence)
