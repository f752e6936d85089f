"""Everything an evaluation found, as one record and as plain values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from xai_detect.data.problems import Losses
from xai_detect.measures.detection import AveragePrecision, ThresholdCurve
from xai_detect.measures.matching import Counts
from xai_detect.measures.statistics import Interval
from xai_detect.measures.verdicts import Ranking, VerdictFigures
from xai_detect.values.detections import Detections
from xai_detect.values.findings import Answer
from xai_detect.values.json import plain
from xai_detect.values.thresholds import Thresholds
from xai_detect.values.truth import Kind


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What an evaluation found; every figure is NaN where there was nothing to measure it on.

    Attributes:
        dataset: Name of the data set.
        detector: Name of the detector.
        class_names: The data set's classes; all figures and matrices follow their order.
        thresholds: The operating threshold; detections above it are kept.
        precision_figures: COCO's figures, whole and per class.
        counts: Right, wrong and missed per class at the operating threshold and IoU 0.5.
        curve: Precision, recall and F1 of all classes over every threshold, at IoU 0.5.
        confusion: Rows are the truth, columns the prediction, the last of each is background.
        kinds: How many detections are of each kind at the operating threshold.
        nearly_found: Missed objects with a detection beside them that is badly placed or gives them
            the wrong name.
        ious: Overlap of each right detection at the operating threshold with its object.
        n_images: Images that were evaluated.
        verdicts: The verdicts' figures; None if detections were not explained.
        problems: One sentence per kind of image, box or class that was left out; that most is lost
            stands first.
        detections: Those behind AP, in the data set's labels, by the data set's id of the image.
        losses: How much of the truth does not count, by reason.
        pairing: How the classes were paired, in one sentence.
        n_clean: Images in which nothing is annotated.
        false_alarms: Detections in these at the operating threshold.
    """

    dataset: str
    detector: str
    class_names: tuple[str, ...]
    thresholds: Thresholds
    precision_figures: AveragePrecision
    counts: tuple[Counts, ...]
    curve: ThresholdCurve
    confusion: Int[Tensor, "k k"]
    kinds: Mapping[Kind, int]
    nearly_found: int
    ious: Float[Tensor, "p"]
    n_images: int
    verdicts: VerdictFigures | None
    problems: tuple[str, ...]
    detections: Mapping[int | str, Detections]
    losses: Losses = field(default_factory=Losses)
    pairing: str = ""
    n_clean: int = 0
    false_alarms: int = 0

    @property
    def total(self) -> Counts:
        """Counts over all classes."""
        return sum(self.counts, Counts(0, 0, 0))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; None stands for NaN, which JSON does not have.

        An infinite number becomes text, as everywhere in this package's files.
        """
        total, (best_f1, best_confidence) = self.total, self.curve.best
        values = {
            "dataset": self.dataset,
            "detector": self.detector,
            **self.precision_figures.figures,
            "confidence": self.thresholds.default,
            "confidence_by_class": self.thresholds.by_class,
            "precision": total.precision,
            "recall": total.recall,
            "f1": total.f1,
            "best_f1": best_f1,
            "best_f1_confidence": best_confidence,
            "iou_mean": float(self.ious.mean()) if len(self.ious) else math.nan,
            "n_images": self.n_images,
            "n_clean_images": self.n_clean,
            "false_alarms_per_clean_image": self.false_alarms / self.n_clean
            if self.n_clean
            else math.nan,
            "n_objects": total.right + total.missed,
            "n_detections": total.right + total.wrong,
            "class_names": list(self.class_names),
            "per_class": self._per_class(),
            "kinds": {kind.value: self.kinds.get(kind, 0) for kind in Kind},
            "missed": {"all": total.missed, "nearly_found": self.nearly_found},
            "confusion": self.confusion.tolist(),
            "trust": None if self.verdicts is None else _trust_values(self.verdicts),
            "pairing": self.pairing,
            "truth": self.losses.as_dict(),
            "problems": list(self.problems),
        }
        return plain(values)

    def _per_class(self) -> dict[str, dict[str, float]]:
        figures = self.precision_figures
        return {
            name: {
                "AP": ap,
                "AP50": ap50,
                "precision": counts.precision,
                "recall": counts.recall,
                "f1": counts.f1,
                "n_objects": counts.right + counts.missed,
                "n_detections": counts.right + counts.wrong,
            }
            for name, ap, ap50, counts in zip(
                self.class_names,
                figures.per_class,
                figures.per_class_50,
                self.counts,
                strict=True,
            )
        }


def _trust_values(figures: VerdictFigures) -> dict[str, Any]:
    def named(name: str, ranking: Ranking) -> dict[str, float | Interval]:
        return {name: ranking.auroc, f"{name}_interval": ranking.interval}

    return {
        "levels": {
            level.value: {
                "right": counts.right,
                "wrong": counts.wrong,
                "ignored": counts.ignored,
                "share_right": counts.share_right,
                "share_right_interval": counts.interval,
                "reasons": _named(counts.reasons),
                "share_of_reasons": _named(counts.shares),
            }
            for level, counts in figures.levels.items()
        },
        "decided_by": {name: _named(counts) for name, counts in figures.decided.items()},
        "evidence_outside": {
            "shown": figures.outside[True],
            "not_shown": figures.outside[False],
            "unmeasured": figures.outside[None],
        },
        **named("auroc_probability", figures.probability),
        **named("auroc_confidence", figures.confidence),
        **named("auroc_confidence_same", figures.confidence_same),
        **named("auroc_gain", figures.gain),
        "n": figures.confidence.n,
        "n_measured": figures.probability.n,
        "n_unmeasured": figures.unmeasured,
    }


def _named(counts: Mapping[Answer, int] | Mapping[Answer, float]) -> dict[str, int | float]:
    return {answer.value: count for answer, count in counts.items()}
