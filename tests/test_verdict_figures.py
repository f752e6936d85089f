"""Verdicts next to what was so: figures and intervals against slow loops over lists."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_statistics import slow_auroc, slow_bootstrap

from xai_detect.measures.statistics import wilson
from xai_detect.measures.verdicts import Judged, LevelCounts, verdict_figures
from xai_detect.values.findings import Level

judged = st.builds(
    Judged,
    level=st.sampled_from(Level),
    trust=st.sampled_from([0.1, 0.4, 0.4, 0.8, math.nan]),
    confidence=st.sampled_from([0.3, 0.5, 0.9]),
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
    measured = [[row for row in rows if not math.isnan(row.trust)] for rows in known]

    def gain(rows):
        return over("trust")(rows) - over("confidence")(rows)

    for ranking, rows, statistic in (
        (figures.trust, measured, over("trust")),
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


def test_many_images_have_the_intervals_of_a_slow_loop():
    generator = np.random.default_rng(5)
    groups = [
        [
            Judged(Level.TRUSTED, float(generator.random()), float(generator.random()), bool(up))
            for up in generator.integers(0, 2, size=3)
        ]
        for _ in range(60)
    ]
    figures = verdict_figures(groups, repeats=40, seed=7)
    expected = slow_bootstrap(groups, over("trust"), 40, 0.95, 7)
    assert figures.trust.interval == pytest.approx(expected)
    assert figures.gain.auroc == figures.trust.auroc - figures.confidence_same.auroc
    usual = verdict_figures(groups).trust
    assert usual == verdict_figures(groups, repeats=1000, seed=0).trust
    assert usual != verdict_figures(groups, repeats=1001, seed=0).trust


def test_the_share_of_a_level_leaves_out_what_is_neither_right_nor_wrong():
    counts = LevelCounts(right=3, wrong=1, ignored=5)
    assert counts.share_right == 0.75
    assert counts.interval == wilson(3, 4)
    nothing = LevelCounts(right=0, wrong=0, ignored=5)
    assert math.isnan(nothing.share_right)
    assert all(map(math.isnan, nothing.interval))
    assert LevelCounts(0, 2, 0).share_right == 0
