"""Average precision as COCO defines it, and curves over the confidence threshold.

pycocotools does the scoring and is fed from this package's own records, never from a file, so
that every data set takes the same path.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType

import numpy as np
import torch
from jaxtyping import Float
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from xai_detect.values.detections import Detections
from xai_detect.values.truth import ANY_CLASS, Truth

FIGURES = (
    "AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
    "AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large",
)  # fmt: skip
"""COCO's twelve numbers in its own order, each in [0, 1]; NaN where no object counts."""

RECALLS = np.linspace(0, 1, 101)
"""Recall levels at which COCO reads precision."""

Row = dict[str, int | float | list[float]]
"""An object or a detection as pycocotools wants it."""


@dataclass(frozen=True, slots=True, eq=False)
class AveragePrecision:
    """COCO's numbers for a whole data set.

    Attributes:
        figures: By the names in ``FIGURES``.
        per_class: AP of each class over IoU 0.50 to 0.95; NaN for a class without objects.
        per_class_50: AP of each class at IoU 0.50; NaN likewise.
        curves_50: Precision at each of ``RECALLS`` for each class at IoU 0.50; NaN likewise.
    """

    figures: Mapping[str, float]
    per_class: tuple[float, ...]
    per_class_50: tuple[float, ...]
    curves_50: Float[Tensor, "c 101"]


def _silent(method: FunctionType) -> FunctionType:
    """A method of pycocotools without its prints; the standard output of all threads stays."""
    scope = {**method.__globals__, "print": lambda *_words, **_settings: None}
    return FunctionType(
        method.__code__, scope, method.__name__, method.__defaults__, method.__closure__
    )


class _Store(COCO):  # type: ignore[misc]
    """COCO without prints."""

    createIndex = _silent(COCO.createIndex)  # noqa: N815 - its own name


class _Evaluator(COCOeval):  # type: ignore[misc]
    """COCOeval that also knows difficult objects; the original lets only crowds be ignored."""

    evaluate = _silent(COCOeval.evaluate)
    accumulate = _silent(COCOeval.accumulate)
    summarize = _silent(COCOeval.summarize)

    def _prepare(self) -> None:
        super()._prepare()
        for rows in self._gts.values():
            for row in rows:
                row["ignore"] = row["iscrowd"] or row["difficult"]


def average_precision(
    images: Sequence[tuple[Detections, Truth]], class_count: int
) -> AveragePrecision:
    """Score detections against the truth, at most 100 per image and class.

    Args:
        images: All detections down to a confidence of about 0.001, and the truth, of every image;
            also of images without objects.
        class_count: Labels run from 0 to this, exclusive.
    """
    # COCOeval reads an object id of 0 as "unmatched", so all ids start at 1.
    truths = [
        row
        for image, (_, truth) in enumerate(images, start=1)
        for row in _truth_rows(image, truth, class_count)
    ]
    found = [
        row
        for image, (detections, _) in enumerate(images, start=1)
        for row in _detection_rows(image, detections)
    ]
    evaluator = _Evaluator(
        _index(truths, len(images), class_count),
        _index(found, len(images), class_count),
        "bbox",
    )
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    figures = {name: _or_nan(value) for name, value in zip(FIGURES, evaluator.stats, strict=True)}
    precision = evaluator.eval["precision"][:, :, :, 0, -1]  # (IoU, recall, class)
    precision = np.where(precision < 0, np.nan, precision)
    return AveragePrecision(
        figures=figures,
        per_class=tuple(precision.mean(axis=(0, 1)).tolist()),
        per_class_50=tuple(precision[0].mean(axis=0).tolist()),
        curves_50=torch.from_numpy(precision[0].T.copy()),
    )


def _or_nan(value: float) -> float:
    return math.nan if value < 0 else float(value)


def _truth_rows(image: int, truth: Truth, class_count: int) -> Iterator[Row]:
    for box, label, area, crowd, difficult in zip(
        truth.boxes.tolist(),
        truth.labels.tolist(),
        truth.areas.tolist(),
        truth.crowd.tolist(),
        truth.difficult.tolist(),
        strict=True,
    ):
        for held_for in range(class_count) if label == ANY_CLASS else (label,):
            row = _row(image, box, held_for)
            yield row | {"area": area, "iscrowd": int(crowd), "difficult": int(difficult)}


def _detection_rows(image: int, detections: Detections) -> Iterator[Row]:
    for box, label, score in zip(
        detections.boxes.tolist(),
        detections.labels.tolist(),
        detections.scores.tolist(),
        strict=True,
    ):
        area = (box[2] - box[0]) * (box[3] - box[1])
        yield _row(image, box, label) | {
            "area": area, "iscrowd": 0, "difficult": 0, "score": score
        }  # fmt: skip


def _row(image: int, box: Sequence[float], label: int) -> Row:
    x1, y1, x2, y2 = box
    return {"image_id": image, "category_id": label + 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}


def _index(rows: list[Row], image_count: int, class_count: int) -> COCO:
    store = _Store()
    store.dataset = {
        "images": [{"id": image + 1} for image in range(image_count)],
        "categories": [{"id": label + 1} for label in range(class_count)],
        "annotations": [row | {"id": number} for number, row in enumerate(rows, start=1)],
    }
    store.createIndex()
    return store


@dataclass(frozen=True, slots=True, eq=False)
class ThresholdCurve:
    """Precision, recall and F1 of all classes together at every confidence that occurs.

    Attributes:
        confidence: Thresholds, falling; detections at or above each are kept.
        precision: In [0, 1].
        recall: In [0, 1]; NaN everywhere without objects.
        f1: In [0, 1].
    """

    confidence: Float[Tensor, "t"]
    precision: Float[Tensor, "t"]
    recall: Float[Tensor, "t"]
    f1: Float[Tensor, "t"]

    @property
    def best(self) -> tuple[float, float]:
        """The largest F1 and the confidence where it is reached; NaN without detections."""
        if len(self.f1) == 0:
            return (math.nan, math.nan)
        row = int(self.f1.argmax())
        return (float(self.f1[row]), float(self.confidence[row]))


def threshold_curve(
    scores: Float[Tensor, "n"], right: Float[Tensor, "n"], object_count: int
) -> ThresholdCurve:
    """Follow precision, recall and F1 while the confidence threshold falls.

    Args:
        scores: Confidence of every detection of the data set that is right or wrong, any order.
        right: 1.0 where it found an object, else 0.0.
        object_count: Objects there are to find.
    """
    order = scores.argsort(descending=True)
    confidence, hits = scores[order].double(), right[order].double().cumsum(0)
    kept = torch.arange(1, len(scores) + 1, dtype=torch.float64)
    # Equal scores pass the threshold together: only the last of them is a point of the curve.
    last = torch.ones(len(scores), dtype=torch.bool)
    last[:-1] = confidence[1:] < confidence[:-1]
    confidence, hits, kept = confidence[last], hits[last], kept[last]
    recall = hits / object_count if object_count else torch.full_like(hits, math.nan)
    return ThresholdCurve(confidence, hits / kept, recall, 2 * hits / (kept + object_count))
