"""A detector and its verdicts held against ground truth.

COCO's figures rest on every detection above a confidence of 0.001. Precision, recall, F1, the
confusion matrix and the verdicts rest on those above the operating threshold.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from xai_detect.data.classes import pair_classes, relabel, select
from xai_detect.data.records import Dataset
from xai_detect.detectors.protocol import Detector
from xai_detect.errors import InputError, XaiDetectError
from xai_detect.evaluation.figures import Evaluation
from xai_detect.explainers.explain import require
from xai_detect.explainers.methods import build_method
from xai_detect.inspection.image import inspect
from xai_detect.measures.detection import average_precision, threshold_curve
from xai_detect.measures.matching import Counts, Matches, confusion, counts_per_class, match
from xai_detect.measures.verdicts import Judged, verdict_figures
from xai_detect.values.detections import Detections
from xai_detect.values.findings import Inspection
from xai_detect.values.images import load_image
from xai_detect.values.truth import Scan, Truth

LOWEST_CONFIDENCE = 0.001
"""Detections above this enter AP, as in the detectors' own validation."""

Inspector = Callable[[Float[Tensor, "3 h w"], str], Inspection]


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """One image: every detection, those above the threshold, and the judged ones."""

    truth: Truth
    detections: Detections
    kept: Detections
    matches: Matches
    judged: tuple[Judged, ...]


def evaluate(
    detector: Detector,
    dataset: Dataset,
    *,
    confidence: float = 0.25,
    explain: bool = True,
    method: str = "integrated_gradients",
    inspector: Inspector | None = None,
    progress: Callable[[int, int], None] | None = None,
    each: Callable[[Scan, Detections], None] | None = None,
    seed: int = 0,
) -> Evaluation:
    """Run a detector over a data set and hold detections and verdicts against the truth.

    Classes are paired by name, whatever the case, with ``_`` and a space alike. Detections of
    classes that the data set does not have are dropped; objects of classes that the detector does
    not have stay and are missed. Both are listed in ``problems``, as is every unreadable image.

    Args:
        detector: The detector.
        dataset: Images with ground truth.
        confidence: Operating threshold in [0, 1]; detections above it are judged.
        explain: Whether to explain and judge them; by far the slowest part.
        method: The explanation method, by name.
        inspector: Explains and judges one image, given the image and its name, with the same
            threshold; None means ``inspect``. A run that was begun before can hand out its results.
        progress: Called after each image with the number done and the number of all.
        each: Called with each image and every detection that enters AP, in the data set's labels.
        seed: Of the bootstrap intervals.

    Raises:
        InputError: If no class of the detector is one of the data set's, the threshold is outside
            [0, 1], or no image can be read.
    """
    if not LOWEST_CONFIDENCE <= confidence <= 1:
        raise InputError(f"confidence is {confidence:g}; expected {LOWEST_CONFIDENCE:g} to 1")
    labels, notes = pair_classes(detector.class_names, dataset.class_names)
    judge: Inspector | None = None
    if explain:
        judge = inspector or _inspector(detector, method, confidence)
    problems = [*dataset.problems, *notes]
    seen: list[_Seen] = []
    own_labels = partial(relabel, labels=labels, class_names=dataset.class_names)
    for done, scan in enumerate(dataset.scans, start=1):
        before = len(seen)
        try:
            seen.append(_see(detector, scan, confidence, own_labels, judge))
        except InputError as error:
            problems.append(f"{error}; the image is left out")
        except _UnexplainedError as error:
            seen.append(_see(detector, scan, confidence, own_labels, None))
            problems.append(f"{scan.name}: {error}; its verdicts are left out")
        if each is not None and len(seen) > before:
            each(scan, seen[-1].detections)
        if progress is not None:
            progress(done, len(dataset))
    if not seen:
        raise InputError(f"no image of {dataset.name} could be evaluated; {' '.join(problems[:1])}")
    return _summary(dataset, detector.provenance.name, confidence, seen, problems, seed, explain)


def _inspector(detector: Detector, method: str, confidence: float) -> Inspector:
    require(build_method(method), detector)

    def judge(image: Float[Tensor, "3 h w"], name: str) -> Inspection:
        return inspect(detector, image, method=method, confidence=confidence, source=name)

    return judge


class _UnexplainedError(Exception):
    """One image could be read and searched, but not explained."""


Relabel = Callable[[Detections], tuple[Detections, list[int]]]


def _see(
    detector: Detector,
    scan: Scan,
    confidence: float,
    own_labels: Relabel,
    judge: Inspector | None,
) -> _Seen:
    image = load_image(scan.path)
    frame = detector.frame((image.shape[1], image.shape[2]))
    raw = detector.detect(frame.to_input(image[None]), frame, confidence=LOWEST_CONFIDENCE)[0]
    detections, _ = own_labels(raw)
    truth = scan.truth()
    kept = select(detections, (detections.scores > confidence).nonzero().flatten())
    judged: tuple[Judged, ...] = ()
    if judge is not None:
        try:
            judged = _judged(judge(image, scan.name), own_labels, truth)
        except XaiDetectError as error:
            raise _UnexplainedError(str(error)) from error
    return _Seen(truth, detections, kept, match(kept, truth), judged)


def _judged(inspection: Inspection, own_labels: Relabel, truth: Truth) -> tuple[Judged, ...]:
    detections, rows = own_labels(inspection.detections)
    matches = match(detections, truth)
    return tuple(
        Judged(
            level=inspection.verdicts[row].level,
            trust=inspection.evidence[row].get("trust", math.nan),
            confidence=float(detections.scores[number]),
            right=None if bool(matches.ignored[number]) else bool(matches.right[number]),
        )
        for number, row in enumerate(rows)
    )


def _summary(
    dataset: Dataset,
    detector: str,
    confidence: float,
    seen: Sequence[_Seen],
    problems: Sequence[str],
    seed: int,
    explained: bool,
) -> Evaluation:
    class_count = len(dataset.class_names)
    counts = [counts_per_class(one.kept, one.truth, one.matches, class_count) for one in seen]
    fates = [(one.detections.scores, match(one.detections, one.truth)) for one in seen]
    curve = threshold_curve(
        torch.cat([scores[~matches.ignored] for scores, matches in fates]),
        torch.cat([matches.right[~matches.ignored].float() for _, matches in fates]),
        sum(int(one.truth.counted.sum()) for one in seen),
    )
    return Evaluation(
        dataset=dataset.name,
        detector=detector,
        class_names=dataset.class_names,
        confidence=confidence,
        precision_figures=average_precision(
            [(one.detections, one.truth) for one in seen], class_count
        ),
        counts=tuple(sum(column, Counts(0, 0, 0)) for column in zip(*counts, strict=True)),
        curve=curve,
        confusion=sum(
            (confusion(one.kept, one.truth, class_count) for one in seen),
            torch.zeros(class_count + 1, class_count + 1, dtype=torch.int64),
        ),
        ious=torch.cat([one.matches.iou[one.matches.right] for one in seen]),
        n_images=len(seen),
        verdicts=verdict_figures([one.judged for one in seen], seed=seed) if explained else None,
        problems=tuple(problems),
    )
