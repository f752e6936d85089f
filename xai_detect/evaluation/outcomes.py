"""Which detections are right and which objects were missed, where an image is annotated."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xai_detect.data.classes import pair_classes, relabel
from xai_detect.data.records import Dataset
from xai_detect.measures.matching import match
from xai_detect.values.findings import Inspection
from xai_detect.values.truth import Outcome, Scan


@dataclass(frozen=True, slots=True, eq=False)
class GroundTruth:
    """Annotations, ready to be compared with a detector's answers.

    Attributes:
        scans: By the image's resolved path.
        labels: The data set's label of each of the detector's labels that it shares.
        class_names: The data set's classes, in label order.
    """

    scans: Mapping[Path, Scan]
    labels: Mapping[int, int]
    class_names: tuple[str, ...]


def ground_truth(dataset: Dataset, class_names: tuple[str, ...]) -> GroundTruth:
    """The annotations of a data set in a detector's words.

    Args:
        dataset: Images with annotations.
        class_names: The detector's classes.

    Raises:
        InputError: If detector and data set share no class.
    """
    labels, _ = pair_classes(class_names, dataset.class_names)
    scans = {scan.path.resolve(): scan for scan in dataset.scans}
    return GroundTruth(scans, labels, dataset.class_names)


def outcome(known: GroundTruth, inspection: Inspection) -> Outcome | None:
    """What became of each detection and each object; None if the image is not annotated.

    Pairs are formed as in ``measures.matching.match``. Detections of classes that the data set
    does not have are neither right nor wrong; objects of classes that the detector does not have
    are not counted as missed.
    """
    scan = known.scans.get(Path(inspection.source).resolve())
    if scan is None:
        return None
    detections, rows = relabel(inspection.detections, known.labels, known.class_names)
    truth = scan.truth()
    matches = match(detections, truth)
    right: list[bool | None] = [None] * len(inspection.detections)
    for number, row in enumerate(rows):
        right[row] = None if bool(matches.ignored[number]) else bool(matches.right[number])
    found, shared = set(matches.truth.tolist()), set(known.labels.values())
    missed = tuple(
        (known.class_names[item.label], item.box)
        for row, item in enumerate(scan.items)
        if item.label in shared and bool(truth.counted[row]) and row not in found
    )
    return Outcome(tuple(right), missed)
