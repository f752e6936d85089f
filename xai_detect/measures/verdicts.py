"""Whether verdicts and probabilities tell right detections from wrong, next to plain confidence.

Beside that, what decides the detections of each class: which a detector names by its objects.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xai_detect.measures.statistics import Drawn, Interval, bootstrap, drawn_auroc, wilson
from xai_detect.values.findings import Answer, Level


@dataclass(frozen=True, slots=True)
class Judged:
    """One detection with its verdict and what it really was.

    Attributes:
        level: The verdict.
        reason: What decides it.
        name: Its class.
        probability: Probability of being right, in [0, 1]; NaN where unmeasured.
        confidence: What the detector reported, in [0, 1].
        outside: Whether a map shows evidence outside; None where that is unmeasured.
        right: Whether it found an object; None on a crowd or difficult object, where there is no
            right and wrong.
    """

    level: Level
    reason: Answer
    name: str
    probability: float
    confidence: float
    outside: bool | None
    right: bool | None


@dataclass(frozen=True, slots=True)
class LevelCounts:
    """What one verdict level holds.

    Attributes:
        right: Detections that found an object.
        wrong: Detections that found none.
        ignored: Detections that are neither.
        reasons: How many of all of these each answer decides.
    """

    right: int
    wrong: int
    ignored: int
    reasons: Mapping[Answer, int]

    @property
    def shares(self) -> dict[Answer, float]:
        """Share of the level's detections that each answer decides; NaN without any."""
        count = self.right + self.wrong + self.ignored
        return {
            answer: self.reasons.get(answer, 0) / count if count else math.nan for answer in Answer
        }

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
    """Verdicts and probabilities against ground truth.

    Attributes:
        levels: What each level holds.
        decided: What decides the detections of each class that was reported: counts by class and
            answer, right or not.
        outside: Of how many detections a map shows evidence outside (True) or none does (False),
            and where that is unmeasured (None).
        probability: Ranking by probability of being right, over the detections that have one.
        confidence: Ranking by plain confidence, over all right and wrong detections.
        confidence_same: Ranking by plain confidence, over the detections that have a probability.
        gain: ``probability`` less ``confidence_same``, with the interval of the paired difference;
            its ``auroc`` lies in [-1, 1] and 0 is chance.
        unmeasured: Right and wrong detections without a probability.
    """

    levels: Mapping[Level, LevelCounts]
    decided: Mapping[str, Mapping[Answer, int]]
    outside: Mapping[bool | None, int]
    probability: Ranking
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
    probability = np.array([row.probability for row in every], dtype=float)
    confidence = np.array([row.confidence for row in every], dtype=float)
    right = np.array([row.right is True for row in every], dtype=bool)
    judged = np.array([row.right is not None for row in every], dtype=bool)
    measured = judged & ~np.isnan(probability)

    def auroc_over(scores: np.ndarray, rows: np.ndarray) -> Callable[[Drawn], float]:
        by_row, image_of_row = drawn_auroc(scores[rows], right[rows]), image[rows]
        return lambda drawn: by_row(drawn[image_of_row])

    by_probability = auroc_over(probability, measured)
    by_confidence = auroc_over(confidence, judged)
    by_confidence_same = auroc_over(confidence, measured)

    def figures(drawn: Drawn) -> tuple[float, float, float, float]:
        first, same = by_probability(drawn), by_confidence_same(drawn)
        return first, by_confidence(drawn), same, first - same

    with_one, all_judged = int(measured.sum()), int(judged.sum())
    values = figures(np.ones(len(images), dtype=np.int64))
    intervals = bootstrap(len(images), figures, repeats=repeats, seed=seed)
    counts = (with_one, all_judged, with_one, with_one)
    first, plain, same, gain = map(Ranking, values, intervals, counts)
    return VerdictFigures(
        levels={level: _counts(level, every) for level in Level},
        decided=_decided(every),
        outside={key: sum(row.outside is key for row in every) for key in (True, False, None)},
        probability=first,
        confidence=plain,
        confidence_same=same,
        gain=gain,
        unmeasured=all_judged - with_one,
    )


def _counts(level: Level, rows: Sequence[Judged]) -> LevelCounts:
    held = [row for row in rows if row.level is level]
    right = [row.right for row in held]
    return LevelCounts(right.count(True), right.count(False), right.count(None), _by_reason(held))


def _decided(rows: Sequence[Judged]) -> dict[str, Mapping[Answer, int]]:
    names = sorted({row.name for row in rows})
    return {name: _by_reason([row for row in rows if row.name == name]) for name in names}


def _by_reason(rows: Sequence[Judged]) -> dict[Answer, int]:
    counts = Counter(row.reason for row in rows)
    return {answer: counts[answer] for answer in Answer}
