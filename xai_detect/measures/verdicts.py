"""Whether verdicts and trust scores tell right detections from wrong, next to plain confidence."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from xai_detect.measures.statistics import Interval, auroc, bootstrap, wilson
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


Rows = Sequence[Judged]


def verdict_figures(
    images: Sequence[Rows], *, repeats: int = 1000, seed: int = 0
) -> VerdictFigures:
    """Summarise judged detections.

    Args:
        images: The judged detections of each image; images are what the bootstrap draws.
        repeats: Bootstrap resamples.
        seed: Of the bootstrap.
    """
    every = [row for rows in images for row in rows]
    judged = [[row for row in rows if row.right is not None] for rows in images]
    measured = [[row for row in rows if not math.isnan(row.trust)] for rows in judged]

    def ranking(groups: Sequence[Rows], statistic: Callable[[Rows], float]) -> Ranking:
        def over(resample: Sequence[Rows]) -> float:
            return statistic([row for rows in resample for row in rows])

        interval = bootstrap(groups, over, repeats=repeats, seed=seed)
        return Ranking(over(groups), interval, sum(map(len, groups)))

    trust = ranking(measured, _by_trust)
    return VerdictFigures(
        levels={level: _counts(level, every) for level in Level},
        trust=trust,
        confidence=ranking(judged, _by_confidence),
        confidence_same=ranking(measured, _by_confidence),
        gain=ranking(measured, lambda rows: _by_trust(rows) - _by_confidence(rows)),
        unmeasured=sum(map(len, judged)) - trust.n,
    )


def _counts(level: Level, rows: Rows) -> LevelCounts:
    held = [row.right for row in rows if row.level is level]
    return LevelCounts(held.count(True), held.count(False), held.count(None))


def _by_trust(rows: Rows) -> float:
    return auroc([row.trust for row in rows], [row.right is True for row in rows])


def _by_confidence(rows: Rows) -> float:
    return auroc([row.confidence for row in rows], [row.right is True for row in rows])
