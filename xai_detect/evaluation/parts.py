"""Where on its annotated object the evidence for a detection lies, and what is usual there."""

from collections.abc import Iterator, Sequence

import torch

from xai_detect.data.records import Dataset
from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.evaluation.outcomes import GroundTruth, ground_truth, outcome
from xai_detect.explainers.explain import explain
from xai_detect.explainers.gradients.sighted import SightedGradients
from xai_detect.inspection.image import detect
from xai_detect.trust.parts import Usual, part_shares, usual_of
from xai_detect.values import boxes
from xai_detect.values.detections import Target
from xai_detect.values.findings import Explanation, Inspection, PartsFound, PartShare
from xai_detect.values.images import load_image
from xai_detect.values.truth import Item, Kind, Scan

OVERLAP = 0.5
"""IoU from which an annotated object is that of a detection, whatever its class."""


def parts_found(
    known: GroundTruth, scan: Scan, inspection: Inspection, language: str = "en"
) -> tuple[PartsFound | None, ...]:
    """The parts of each detection's object; None where it has none or there is no map.

    Args:
        known: The annotations, and what is usual.
        scan: Those of this image.
        inspection: What was found in it.
        language: Of the sentences.
    """
    found: list[PartsFound | None] = []
    rows = zip(inspection.detections, inspection.explanations, inspection.evidence, strict=True)
    for target, made, evidence in rows:
        item = object_of(scan.items, target)
        if item is None or made is None or evidence.words.get("map") != "reliable":
            found.append(None)
            continue
        shares = _shares(made, item)
        if known.usual is None:
            found.append(PartsFound(shares))
        else:
            outside = evidence["detected_outside"]
            found.append(known.usual.compare(target.name, shares, outside, language))
    return tuple(found)


def object_of(items: Sequence[Item], target: Target) -> Item | None:
    """The annotated object with parts that a detection overlaps most; None if it is too little."""
    able = [item for item in items if item.parts]
    if not able:
        return None
    own = torch.tensor([target.box], dtype=torch.float64)
    overlap = boxes.iou(own, torch.tensor([item.box for item in able], dtype=torch.float64))[0]
    best = int(overlap.argmax())
    return able[best] if float(overlap[best]) >= OVERLAP else None


def usual_in(detector: WhiteBoxDetector, dataset: Dataset, data: str) -> Usual:
    """What is usual of the confirmed detections of a data set whose parts are annotated.

    Args:
        detector: The detector.
        dataset: Images with ground truth and parts.
        data: What to call them, in words.

    Raises:
        InputError: If data set and detector share no class.
    """
    return usual_of(confirmed_parts(detector, dataset), data)


def confirmed_parts(
    detector: WhiteBoxDetector, dataset: Dataset
) -> Iterator[tuple[str, tuple[PartShare, ...]]]:
    """Class and parts of every right detection; images that cannot be read are passed over.

    Raises:
        InputError: If data set and detector share no class.
    """
    known = ground_truth(dataset, detector.class_names)
    for scan in dataset.scans:
        if not any(item.parts for item in scan.items):
            continue
        try:
            placed = place(detector, load_image(scan.path))
        except InputError:  # told where the data set is inspected
            continue
        found = detect(detector, placed)
        right = [
            (own, item)
            for own, fate in zip(found, outcome(known, scan, found).fates, strict=True)
            if fate.kind is Kind.RIGHT and (item := object_of(scan.items, own)) is not None
        ]
        made = explain(SightedGradients(), detector, placed, [own for own, _ in right])
        for (own, item), explanation in zip(right, made, strict=True):
            yield own.name, _shares(explanation, item)


def _shares(made: Explanation, item: Item) -> tuple[PartShare, ...]:
    return part_shares(made.heatmap, {part.name: part.mask() for part in item.parts})
