"""A detector and its verdicts held against ground truth.

COCO's figures rest on every detection above a confidence of 0.001. Precision, recall, F1, the
confusion matrix and the verdicts rest on those above the operating threshold. An image is searched
once and its detections are matched once: weak detections never change what becomes of strong ones.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool
from torch import Tensor

from xai_detect.data.classes import fitted, pair_classes, pairing_line, relabel, select
from xai_detect.data.problems import Problems
from xai_detect.data.records import Dataset
from xai_detect.detectors.protocol import Detector, Named
from xai_detect.errors import DiskError, InputError, XaiDetectError
from xai_detect.evaluation.figures import Evaluation
from xai_detect.inspection.ahead import BATCH, Seen, check_together, look_ahead
from xai_detect.inspection.image import inspect
from xai_detect.measures.detection import average_precision, threshold_curve
from xai_detect.measures.matching import Counts, Matches, confusion, counts_per_class, match
from xai_detect.measures.mistakes import mistakes
from xai_detect.measures.verdicts import Judged, verdict_figures
from xai_detect.values.detections import Detections
from xai_detect.values.findings import Inspection
from xai_detect.values.frame import Placed
from xai_detect.values.images import load_image
from xai_detect.values.thresholds import Thresholds
from xai_detect.values.truth import Scan, Truth

LOWEST_CONFIDENCE = 0.001
"""Detections above this enter AP, as in the detectors' own validation."""

Inspector = Callable[[Placed, str, Detections, Named | None], Inspection]
"""Explains and judges detections, given the placed image, its name, what is to be judged, and the
predictions behind that; None where these are not known."""

Relabel = Callable[[Detections], tuple[Detections, list[int]]]


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """One image: every detection in the data set's labels, and what became of it.

    Attributes:
        scan: The image and what it shows.
        truth: What it shows, as columns.
        detections: All above ``LOWEST_CONFIDENCE``.
        kept: Which of them lie above the operating threshold.
        matches: What became of each.
        judged: Those that have a verdict.
        unexplained: Why there are no verdicts; empty if nothing went wrong.
    """

    scan: Scan
    truth: Truth
    detections: Detections
    kept: Bool[Tensor, "n"]
    matches: Matches
    judged: tuple[Judged, ...] = ()
    unexplained: str = ""

    @property
    def above(self) -> Detections:
        """The detections above the operating threshold."""
        return select(self.detections, self.kept.nonzero().flatten())


def evaluate(
    detector: Detector,
    dataset: Dataset,
    *,
    confidence: float | Thresholds = 0.25,
    explain: bool = True,
    inspector: Inspector | None = None,
    progress: Callable[[int, int], None] | None = None,
    batch: int = BATCH,
    seed: int = 0,
) -> Evaluation:
    """Run a detector over a data set and hold detections and verdicts against the truth.

    Classes are paired by name, whatever the case, spaces, hyphens and underscores. Detections of
    classes that the data set does not have are dropped; objects of classes that the detector does
    not have stay and are missed. Both are listed in ``problems``, as is every unreadable image.

    Args:
        detector: The detector.
        dataset: Images with ground truth.
        confidence: Operating threshold in [0.001, 1], one for all classes or some with their own;
            detections above it are judged.
        explain: Whether to explain and judge them; by far the slowest part.
        inspector: Explains and judges the detections of one image, given the image, its name,
            these detections and the predictions behind them; None means ``inspect``. A run that was
            begun before can hand out its results.
        progress: Called after each image with the number done and the number of all.
        batch: Images that are read before they are looked at together.
        seed: Of the bootstrap intervals.

    Raises:
        InputError: If no class of the detector is one of the data set's, a threshold is outside
            [0.001, 1] or names a class that the detector does not have, ``batch`` is below 1, or
            no image can be read.
    """
    check_together(batch)
    thresholds = Thresholds.of(confidence)
    if not thresholds.lowest >= LOWEST_CONFIDENCE:
        raise InputError(
            f"confidence is {thresholds.lowest:g}; expected {LOWEST_CONFIDENCE:g} to 1"
        )
    thresholds.limits(detector.class_names)
    dataset = fitted(dataset, detector.class_names)
    labels, notes = pair_classes(detector.class_names, dataset.class_names)
    judge: Inspector | None = None
    if explain:
        judge = inspector or _inspector(detector)
    problems, seen = Problems(), []
    own_labels = partial(relabel, labels=labels, class_names=dataset.class_names)
    looked = look_ahead(
        detector, dataset.scans, lambda scan: load_image(scan.path), LOWEST_CONFIDENCE,
        batch=batch, predicted=explain,
    )  # fmt: skip
    for done, (scan, found) in enumerate(looked, start=1):
        if isinstance(found, InputError) and not isinstance(found, DiskError):
            problems.image(scan.path, found)
        elif isinstance(found, XaiDetectError):
            raise found
        elif found is not None:
            image = _see(scan, found, thresholds, own_labels, judge)
            seen.append(image)
            if image.unexplained:
                problems.note(scan.name, f": {image.unexplained}; its verdicts are left out")
        if progress is not None:
            progress(done, len(dataset))
    lines = [*dataset.losses.lines, *dataset.problems, *notes, *problems.lines()]
    if not seen:
        raise InputError(f"no image of {dataset.name} could be evaluated; {' '.join(lines[:1])}")
    return _summary(
        dataset, detector.provenance.name, thresholds, seen, lines, seed, explain,
        pairing_line(detector.class_names, dataset.class_names),
    )  # fmt: skip


def _inspector(detector: Detector) -> Inspector:
    return lambda image, name, found, whole: inspect(
        detector, image, detections=found, whole=whole, source=name
    )


def _see(
    scan: Scan,
    looked: Seen,
    thresholds: Thresholds,
    own_labels: Relabel,
    judge: Inspector | None,
) -> _Seen:
    found = looked.detections
    detections, rows = own_labels(found)
    above = thresholds.keep(found)
    truth = scan.truth()
    matches = match(detections, truth)
    seen = partial(_Seen, scan, truth, detections, above[rows], matches)
    if judge is None:
        return seen()
    asked = select(found, above.nonzero().flatten())
    try:
        inspection = judge(looked.placed, scan.name, asked, looked.whole)
    except DiskError:  # the judge keeps its verdicts somewhere: without room, going on is no use
        raise
    except XaiDetectError as error:
        return seen(unexplained=str(error))
    own, at = own_labels(inspection.detections)
    if inspection.detections is asked:
        return seen(judged=_judged(inspection, own, at, matches.of(above[rows])))
    # handed out by a run that found them itself
    return seen(judged=_judged(inspection, own, at, match(own, truth)))


def _judged(
    inspection: Inspection, own: Detections, rows: Sequence[int], matches: Matches
) -> tuple[Judged, ...]:
    """Verdicts next to what is so.

    Args:
        inspection: The verdicts.
        own: Its detections of classes that the data set has, in the data set's labels.
        rows: Which of the inspection's these are.
        matches: What became of each of them.
    """
    return tuple(
        Judged(
            level=inspection.verdicts[row].level,
            reason=inspection.verdicts[row].reason,
            name=name,
            probability=inspection.evidence[row].get("probability", math.nan),
            confidence=float(inspection.detections.scores[row]),
            outside=inspection.evidence[row].outside,
            right=None if ignored else right,
        )
        for row, name, ignored, right in zip(
            rows,
            (target.name for target in own),
            matches.ignored.tolist(),
            matches.right.tolist(),
            strict=True,
        )
    )


def _summary(
    dataset: Dataset,
    detector: str,
    thresholds: Thresholds,
    seen: Sequence[_Seen],
    problems: Sequence[str],
    seed: int,
    explained: bool,
    pairing: str,
) -> Evaluation:
    class_count = len(dataset.class_names)
    images = [(image.above, image.truth, image.matches.of(image.kept)) for image in seen]
    counts = [counts_per_class(*image, class_count) for image in images]
    judged = [(image.detections.scores, image.matches, ~image.matches.ignored) for image in seen]
    curve = threshold_curve(
        torch.cat([scores[rows] for scores, _, rows in judged]),
        torch.cat([matches.right[rows].float() for _, matches, rows in judged]),
        sum(int(image.truth.counted.sum()) for image in seen),
    )
    became = [mistakes(*image) for image in images]
    clean = [image for image in seen if not len(image.truth)]
    return Evaluation(
        dataset=dataset.name,
        detector=detector,
        class_names=dataset.class_names,
        thresholds=thresholds,
        precision_figures=average_precision(
            [(image.detections, image.truth) for image in seen], class_count
        ),
        counts=tuple(sum(column, Counts(0, 0, 0)) for column in zip(*counts, strict=True)),
        curve=curve,
        confusion=sum(
            (confusion(*image, class_count) for image in images),
            torch.zeros(class_count + 1, class_count + 1, dtype=torch.int64),
        ),
        kinds=Counter(kind for image in became for kind in image.kinds),
        nearly_found=sum(int((image.beside >= 0).sum()) for image in became),
        ious=torch.cat([matches.iou[matches.right] for _, _, matches in images]),
        n_images=len(seen),
        verdicts=verdict_figures([image.judged for image in seen], seed=seed)
        if explained
        else None,
        problems=tuple(problems),
        losses=dataset.losses,
        pairing=pairing,
        n_clean=len(clean),
        false_alarms=sum(int(image.kept.sum()) for image in clean),
        detections={image.scan.image_id: image.detections for image in seen},
    )
