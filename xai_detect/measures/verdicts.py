"""Whether verdicts and trust scores tell right detections from wrong, next to plain confidence."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xai_detect.measures.statistics import Drawn, Interval, bootstrap, drawn_auroc, wilson
from xai_detect.values.findings import Level


@dataclass(frozen=True, slots=True)
class Judged:
    """One detection with its verdict and what it really was.

    Attributes:
        level: The verdict.
        trust: Trust score in [0, 1]; NaN where unmeasured.
        confidence: What the detector reported, in [0, 1].
        right: Whether it found an object; None on a crowd or difficult object, where there is no
            right and wrong.
    """

    level: Level
    trust: float
    confidence: float
    right: bool | None


@dataclass(frozen=True, slots=True)
class LevelCounts:
    """What one verdict level holds.

    Attributes:
        right: Detections that found an object.
        wrong: Detections that found none.
        ignored: Detections that are neither.
    """

    right: int
    wrong: int
    ignored: int

    @property
    def share_right(self) -> float:
        """Right ones among right and wrong, in [0, 1]; NaN without any. Chance: the share of all.

        It has to be read against the same share over all levels.
        """
        judged = self.right + self.wrong
        return self.right / judged if judged else math.nan

    @property
    def interval(self) -> Interval:
        """95 % Wilson interval of ``share_right``."""
        return wilson(self.right, self.right + self.wrong)


@dataclass(frozen=True, slots=True)
class Ranking:
    """How well a score ranks right detections above wrong ones.

    Attributes:
        auroc: In [0, 1]; 0.5 is chance; NaN without both kinds.
        interval: 95 % bootstrap interval over images.
        n: Detections it rests on.
    """

    auroc: float
    interval: Interval
    n: int


@dataclass(frozen=True, slots=True)
class VerdictFigures:
    """Verdicts and trust scores against ground truth.

    Attributes:
        levels: What each level holds.
        trust: Ranking by trust score, over the detections that have one.
        confidence: Ranking by plain confidence, over all right and wrong detections.
        confidence_same: Ranking by plain confidence, over the detections that have a trust score.
        gain: ``trust`` less ``confidence_same``, with the interval of the paired difference; its
            ``auroc`` lies in [-1, 1] and 0 is chance.
        unmeasured: Right and wrong detections without a trust score.
    """

    levels: Mapping[Level, LevelCounts]
    trust: Ranking
    confidence: Ranking
    confidence_same: Ranking
    gain: Ranking
    unmeasured: int


def verdict_figures(
    images: Sequence[Sequence[Judged]], *, repeats: int = 1000, seed: int = 0
) -> VerdictFigures:
    """Summarise judged detections.

    Args:
        images: The judged detections of each image; images are what the bootstrap draws.
        repeats: Bootstrap resamples.
        seed: Of the bootstrap.
    """
    every = [row for rows in images for row in rows]
    image = np.repeat(np.arange(len(images)), [len(rows) for rows in images])
    trust = np.array([row.trust for row in every], dtype=float)
    confidence = np.array([row.confidence for row in every], dtype=float)
    right = np.array([row.right is True for row in every], dtype=bool)
    judged = np.array([row.right is not None for row in every], dtype=bool)
    measured = judged & ~np.isnan(trust)

    def auroc_over(scores: np.ndarray, rows: np.ndarray) -> Callable[[Drawn], float]:
        by_row, image_of_row = drawn_auroc(scores[rows], right[rows]), image[rows]
        return lambda drawn: by_row(drawn[image_of_row])

    by_trust = auroc_over(trust, measured)
    by_confidence = auroc_over(confidence, judged)
    by_confidence_same = auroc_over(confidence, measured)

    def figures(drawn: Drawn) -> tuple[float, float, float, float]:
        first, same = by_trust(drawn), by_confidence_same(drawn)
        return first, by_confidence(drawn), same, first - same

    with_trust, all_judged = int(measured.sum()), int(judged.sum())
    values = figures(np.ones(len(images), dtype=np.int64))
    intervals = bootstrap(len(images), figures, repeats=repeats, seed=seed)
    counts = (with_trust, all_judged, with_trust, with_trust)
    first, plain, same, gain = map(Ranking, values, intervals, counts)
    return VerdictFigures(
        levels={level: _counts(level, every) for level in Level},
        trust=first,
        confidence=plain,
        confidence_same=same,
        gain=gain,
        unmeasured=all_judged - with_trust,
    )


def _counts(level: Level, rows: Sequence[Judged]) -> LevelCounts:
    held = [row.right for row in rows if row.level is level]
    return LevelCounts(held.count(True), held.count(False), held.count(None))
