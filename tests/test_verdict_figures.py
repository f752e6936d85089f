"""Verdicts next to what was so: figures and intervals against slow loops over lists."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_statistics import slow_auroc, slow_bootstrap

from xai_detect.measures.statistics import wilson
from xai_detect.measures.verdicts import Judged, LevelCounts, verdict_figures
from xai_detect.values.findings import Answer, Level

judged = st.builds(
    Judged,
    level=st.sampled_from(Level),
    reason=st.sampled_from(Answer),
    name=st.sampled_from(["zebra", "giraffe"]),
    probability=st.sampled_from([0.1, 0.4, 0.4, 0.8, math.nan]),
    confidence=st.sampled_from([0.3, 0.5, 0.9]),
    outside=st.sampled_from([True, False, None]),
    right=st.sampled_from([True, False, None]),
)
images = st.lists(st.lists(judged, max_size=4), max_size=5)


def over(name):
    def statistic(groups):
        rows = [row for rows in groups for row in rows]
        return slow_auroc([getattr(row, name) for row in rows], [row.right for row in rows])

    return statistic


@settings(max_examples=40)
@given(images, st.integers(0, 2))
def test_figures_and_intervals_equal_slow_loops(groups, seed):
    figures = verdict_figures(groups, repeats=20, seed=seed)
    known = [[row for row in rows if row.right is not None] for rows in groups]
    measured = [[row for row in rows if not math.isnan(row.probability)] for rows in known]

    def gain(rows):
        return over("probability")(rows) - over("confidence")(rows)

    for ranking, rows, statistic in (
        (figures.probability, measured, over("probability")),
        (figures.confidence, known, over("confidence")),
        (figures.confidence_same, measured, over("confidence")),
        (figures.gain, measured, gain),
    ):
        assert ranking.auroc == pytest.approx(statistic(rows), nan_ok=True)
        assert ranking.n == sum(map(len, rows))
        expected = (math.nan, math.nan)
        if len(groups) > 1:
            expected = slow_bootstrap(rows, statistic, 20, 0.95, seed)
        assert ranking.interval == pytest.approx(expected, nan_ok=True)
    assert figures.unmeasured == sum(map(len, known)) - sum(map(len, measured))
    every = [row for rows in groups for row in rows]
    for level in Level:
        held = [row.right for row in every if row.level is level]
        counts = figures.levels[level]
        assert (counts.right, counts.wrong, counts.ignored) == tuple(
            sum(right is kind for right in held) for kind in (True, False, None)
        )
        reasons = [row.reason for row in every if row.level is level]
        for answer in Answer:
            assert counts.reasons[answer] == reasons.count(answer)
            share = reasons.count(answer) / len(reasons) if reasons else math.nan
            assert counts.shares[answer] == pytest.approx(share, nan_ok=True)
    assert set(figures.decided) == {row.name for row in every}
    for name, decided in figures.decided.items():
        for answer in Answer:
            assert decided[answer] == sum((row.name, row.reason) == (name, answer) for row in every)
    for shown in (True, False, None):
        assert figures.outside[shown] == [row.outside for row in every].count(shown)


def test_many_images_have_the_intervals_of_a_slow_loop():
    generator = np.random.default_rng(5)
    groups = [
        [
            Judged(
                Level.TRUSTED,
                Answer.OBJECT,
                "zebra",
                float(generator.random()),
                float(generator.random()),
                False,
                bool(up),
            )
            for up in generator.integers(0, 2, size=3)
        ]
        for _ in range(60)
    ]
    figures = verdict_figures(groups, repeats=40, seed=7)
    expected = slow_bootstrap(groups, over("probability"), 40, 0.95, 7)
    assert figures.probability.interval == pytest.approx(expected)
    assert figures.gain.auroc == figures.probability.auroc - figures.confidence_same.auroc
    usual = verdict_figures(groups).probability
    assert usual == verdict_figures(groups, repeats=1000, seed=0).probability
    assert usual != verdict_figures(groups, repeats=1001, seed=0).probability


def test_the_share_of_a_level_leaves_out_what_is_neither_right_nor_wrong():
    counts = LevelCounts(right=3, wrong=1, ignored=5, reasons={})
    assert counts.share_right == 0.75
    assert counts.interval == wilson(3, 4)
    nothing = LevelCounts(right=0, wrong=0, ignored=5, reasons={})
    assert math.isnan(nothing.share_right)
    assert all(map(math.isnan, nothing.interval))
    assert LevelCounts(0, 2, 0, {}).share_right == 0
