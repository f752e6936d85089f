"""What became of detections and which objects were missed, where an image is annotated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xai_detect.data.classes import fitted, pair_classes, relabel
from xai_detect.data.records import Dataset
from xai_detect.measures.matching import match
from xai_detect.measures.mistakes import mistakes
from xai_detect.trust.parts import Usual
from xai_detect.values.detections import Detections
from xai_detect.values.truth import Fate, Kind, Missed, Outcome, Scan


@dataclass(frozen=True, slots=True, eq=False)
class GroundTruth:
    """Annotations, ready to be compared with a detector's answers.

    Attributes:
        scans: By the image's resolved path.
        labels: The data set's label of each of the detector's labels that it shares.
        class_names: The data set's classes, in label order.
        category_ids: The data set's id of each of the detector's classes; see ``category_ids``.
        usual: On which parts the evidence of confirmed detections lies; None where unknown.
    """

    scans: Mapping[Path, Scan]
    labels: Mapping[int, int]
    class_names: tuple[str, ...]
    category_ids: tuple[int | str, ...]
    usual: Usual | None = None

    def scan(self, source: str | Path) -> Scan | None:
        """The annotations of an image; None if it is not annotated."""
        return self.scans.get(Path(source).resolve())


def ground_truth(dataset: Dataset, class_names: tuple[str, ...]) -> GroundTruth:
    """The annotations of a data set in a detector's words.

    Args:
        dataset: Images with annotations.
        class_names: The detector's classes.

    Raises:
        InputError: If detector and data set share no class.
    """
    dataset = fitted(dataset, class_names)
    labels, _ = pair_classes(class_names, dataset.class_names)
    scans = {scan.path.resolve(): scan for scan in dataset.scans}
    return GroundTruth(scans, labels, dataset.class_names, category_ids(dataset, class_names))


def category_ids(dataset: Dataset, class_names: Sequence[str]) -> tuple[int | str, ...]:
    """The data set's id of each of a detector's classes.

    A class that the data set does not have gets a number above all of its ids, or its own name if
    they are text, so that it is never taken for another.

    Raises:
        InputError: If detector and data set share no class.
    """
    dataset = fitted(dataset, tuple(class_names))
    labels, _ = pair_classes(class_names, dataset.class_names)
    numbers = [number for number in dataset.class_ids if isinstance(number, int)]
    beyond = max(numbers, default=0) + 1
    return tuple(
        dataset.class_ids[labels[label]]
        if label in labels
        else (beyond + label if len(numbers) == len(dataset.class_ids) else name)
        for label, name in enumerate(class_names)
    )


def outcome(known: GroundTruth, scan: Scan, found: Detections) -> Outcome:
    """What became of each detection and each object of an annotated image.

    Pairs are formed as in ``measures.matching.match`` and what is wrong is told apart as in
    ``measures.mistakes``. Detections of classes that the data set does not have are neither right
    nor wrong; objects of classes that the detector does not have are not counted as missed.

    Args:
        known: The annotations.
        scan: Those of this image.
        found: What the detector found in it.
    """
    detections, rows = relabel(found, known.labels, known.class_names)
    truth = scan.truth()
    became = mistakes(detections, truth, match(detections, truth))

    def row_of(number: int) -> int | None:
        return rows[number] if number >= 0 else None

    fates = [Fate(Kind.IGNORED)] * len(found)
    for row, kind, item, iou, taker in zip(
        rows,
        became.kinds,
        became.truth.tolist(),
        became.iou.tolist(),
        became.taker.tolist(),
        strict=True,
    ):
        if item < 0:
            fates[row] = Fate(kind)
        else:
            name = known.class_names[int(truth.labels[item])]
            fates[row] = Fate(kind, name, iou, row_of(taker))
    shared = set(known.labels.values())
    missed = tuple(
        Missed(known.class_names[item.label], item.box, row_of(beside))
        for item, free, beside in zip(
            scan.items, became.missed.tolist(), became.beside.tolist(), strict=True
        )
        if free and item.label in shared
    )
    return Outcome(tuple(fates), missed)
