"""Small inspections whose every number is known, for the tests of what is written and drawn."""

import math

import torch

from xai_detect.values.detections import Detections, Provenance
from xai_detect.values.findings import (
    Answer,
    Asked,
    Evidence,
    Explanation,
    Inspection,
    Level,
    Verdict,
)

NAMES = ("zebra", "<b>giraffe</b>")
DETECTOR = Provenance("toy.pt", "ultralytics", "ab" * 32, "photo", "64")
SETTINGS = {"steps": 8, "baseline": "auto", "sizes": (3, 4)}
MEASURED = {"seconds": 0.5}
SENTENCE = "The object decides. Nothing to do."
NUMBERS = "Box and ring alone keep 98 % of the score."
REASONS = {
    Level.TRUSTED: Answer.OBJECT,
    Level.UNCERTAIN: Answer.UNCLEAR,
    Level.UNTRUSTED: Answer.SURROUNDINGS,
}
"""The usual reason of each level."""


def spot(size, row, column, side=3, value=1.0):
    heatmap = torch.zeros(size)
    heatmap[row : row + side, column : column + side] = value
    return heatmap


def verdict(level, reason=None):
    return Verdict(
        level, reason or REASONS[level], "object", SENTENCE, NUMBERS, ("settled", "repeatability")
    )


def evidence(name="zebra", reason=Answer.OBJECT, **words):
    """Evidence whose tests agree; ``places`` are those of the presence test and of the map."""
    values = {
        "score": 0.9,
        "probability": 0.87,
        "detected_box": 0.74,
        "detected_ring": math.nan,
        "detected_outside": 0.06,
        "class_box": 0.5,
        "class_outside": 0.25,
        "evidence_outside": 1.0,
    }
    answers = dict.fromkeys(("reason", "presence"), str(reason))
    said = {"name": "unmeasured", "map": "reliable", "class": name, "fitted": "400 photographs"}
    places = {"map": ((40.0, 2.0, 50.0, 8.0),)}
    if reason is Answer.SURROUNDINGS:
        places["presence"] = ((41.0, 20.0, 55.0, 36.0),)
    return Evidence(values, {**answers, **said, **words}, places)


def explanations(targets, heatmaps, method="sighted"):
    return tuple(
        None
        if heatmap is None
        else Explanation(heatmap, target, method, SETTINGS, {"seconds": 0.5})
        for heatmap, target in zip(heatmaps, targets, strict=True)
    )


def inspection(
    source="zoo/zebra.jpg",
    *,
    rows=2,
    size=(40, 60),
    level=Level.TRUSTED,
    reason=None,
    heatmaps=None,
    contrasts=None,
    added=None,
    image=None,
    asked=None,
    seed=0,
    **words,
):
    """An image with ``rows`` detections side by side, the first the most confident."""
    generator = torch.Generator().manual_seed(seed)
    if image is None:
        image = (torch.rand(3, *size, generator=generator) * 255).round() / 255
    lefts = torch.arange(rows, dtype=torch.float32) * 20 + 2
    boxes = torch.stack(
        [lefts, torch.full((rows,), 5.0), lefts + 14, torch.full((rows,), 30.5)], dim=1
    )
    detections = Detections(
        boxes=boxes.reshape(-1, 4),
        scores=torch.tensor([0.9, 0.6, 0.3][:rows]),
        labels=torch.arange(rows) % 2,
        candidates=torch.arange(rows) + 7,
        proposals=boxes.reshape(-1, 4),
        image_size=size,
        class_names=NAMES,
    )
    targets = tuple(detections)

    def noise():
        return [torch.randn(size, generator=generator) * 1e-9 for _ in range(rows)]

    reason = reason or REASONS[level]
    question = asked and Asked(asked, False, 0.03, f"The image shows no {asked} here.")
    return Inspection(
        source=source,
        image=image,
        detections=detections,
        explanations=explanations(targets, noise() if heatmaps is None else heatmaps),
        contrasts=explanations(targets, noise() if contrasts is None else contrasts),
        added=explanations(targets, [None] * rows if added is None else added, "d_rise"),
        evidence=tuple(evidence(target.name, reason, **words) for target in targets),
        verdicts=tuple(verdict(level, reason) for _ in targets),
        asked=(question or None,) * rows,
        provenance=DETECTOR,
    )
