import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from xai_detect.measures.statistics import auroc, bootstrap, drawn_auroc, wilson

few = st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=12)


def slow_auroc(scores, positive):
    pairs = [
        0.5 if a == b else float(a > b)
        for a, up in zip(scores, positive, strict=True)
        if up
        for b, other in zip(scores, positive, strict=True)
        if not other
    ]
    return sum(pairs) / len(pairs) if pairs else math.nan


@given(few)
def test_auroc_equals_counting_all_pairs(rows):
    scores, positive = [row[0] for row in rows], [row[1] for row in rows]
    assert auroc(scores, positive) == pytest.approx(slow_auroc(scores, positive), nan_ok=True)


def test_auroc_by_hand():
    assert auroc([0.9, 0.8, 0.3], [True, False, True]) == 0.5
    assert auroc([1, 2, 3], [False, False, True]) == 1
    assert auroc([1, 1, 1], [False, True, True]) == 0.5


@pytest.mark.parametrize(
    ("scores", "positive"),
    [([], []), ([1, 2], [True, True]), ([1, 2], [False, False]), ([1, math.nan], [True, False])],
)
def test_auroc_has_no_answer_without_both_kinds_or_with_a_missing_score(scores, positive):
    assert math.isnan(auroc(scores, positive))


@given(few)
def test_auroc_turned_around_is_the_rest_to_one(rows):
    scores, positive = np.array([row[0] for row in rows]), [row[1] for row in rows]
    assert auroc(1 - scores, positive) == pytest.approx(1 - auroc(scores, positive), nan_ok=True)
    others = [not up for up in positive]
    assert auroc(scores, others) == pytest.approx(1 - auroc(scores, positive), nan_ok=True)


@given(few, st.randoms())
def test_auroc_knows_no_order_of_rows_and_no_scale(rows, random):
    shuffled = random.sample(rows, len(rows))
    expected = auroc([row[0] for row in rows], [row[1] for row in rows])
    found = auroc([math.exp(row[0]) for row in shuffled], [row[1] for row in shuffled])
    assert found == pytest.approx(expected, nan_ok=True)


@given(few)
def test_auroc_is_the_statistic_of_mann_and_whitney(rows):
    up = [score for score, positive in rows if positive]
    down = [score for score, positive in rows if not positive]
    if up and down:
        expected = mannwhitneyu(up, down, method="asymptotic").statistic / (len(up) * len(down))
        assert auroc([row[0] for row in rows], [row[1] for row in rows]) == expected


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), max_size=12))
def test_auroc_of_drawn_rows_equals_that_of_the_rows_written_out(rows):
    scores, positive = [row[0] for row in rows], [row[1] for row in rows]
    drawn = np.array([row[2] for row in rows], dtype=np.int64)
    written = [row for row in rows for _ in range(row[2])]
    expected = slow_auroc([row[0] for row in written], [row[1] for row in written])
    assert drawn_auroc(scores, positive)(drawn) == pytest.approx(expected, nan_ok=True)


def test_wilson_against_published_values():
    # Newcombe, Statistics in Medicine 17, 1998, table I, method 3.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=1e-4)
    assert all(map(math.isnan, wilson(0, 0)))


def test_wilson_is_exact_to_six_digits():
    # (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n) with z = 1.959964
    assert wilson(3, 7) == pytest.approx((0.158220, 0.749542), abs=1e-6)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_lies_in_the_unit_interval_and_is_symmetric(case):
    successes, trials = case
    low, high = wilson(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    assert low < high
    assert wilson(trials - successes, trials) == pytest.approx((1 - high, 1 - low))
    wider = np.subtract(*wilson(10 * successes, 10 * trials)[::-1])
    assert wider < high - low


def slow_bootstrap(rows, statistic, repeats, level, seed):
    """Images written out as often as they were drawn."""
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(repeats):
        chosen = [rows[row] for row in generator.integers(len(rows), size=len(rows))]
        values.append(statistic(chosen))
    values = [value for value in values if not math.isnan(value)]
    if len(values) < repeats / 2:
        return (math.nan, math.nan)
    return tuple(np.quantile(values, [(1 - level) / 2, (1 + level) / 2]))


def mean(rows):
    return float(np.mean(rows)) if len(rows) else math.nan


def mean_of(values):
    return lambda drawn: [float(np.average(values, weights=drawn))]


@given(
    st.lists(st.integers(-3, 9), min_size=2, max_size=6),
    st.sampled_from([0.5, 0.9, 0.95]),
    st.integers(0, 3),
)
def test_bootstrap_equals_a_slow_loop_over_lists(values, level, seed):
    def spread(drawn):
        kept = np.repeat(values, drawn)
        return [float(kept.mean()), float(kept.max() - kept.min()), float(kept.max())]

    found = bootstrap(len(values), spread, repeats=30, level=level, seed=seed)
    for interval, statistic in zip(
        found, (np.mean, lambda rows: max(rows) - min(rows), max), strict=True
    ):
        assert interval == pytest.approx(slow_bootstrap(values, statistic, 30, level, seed))


def test_bootstrap_repeats_with_its_seed_and_holds_the_mean():
    values = list(np.random.default_rng(3).normal(size=200))
    ((low, high),) = bootstrap(200, mean_of(values), seed=1)
    assert ((low, high),) == bootstrap(200, mean_of(values), seed=1)
    assert ((low, high),) != bootstrap(200, mean_of(values), seed=2)
    assert low < mean(values) < high
    # The mean of 200 unit normals has a standard error of 0.071.
    assert high - low == pytest.approx(2 * 1.96 * 0.0707, rel=0.15)


def test_bootstrap_draws_as_many_images_as_there_are():
    seen = []
    bootstrap(5, lambda drawn: seen.append(drawn) or [0.0], repeats=7)
    assert len(seen) == 7
    assert {(len(drawn), int(drawn.sum())) for drawn in seen} == {(5, 5)}
    seen.clear()
    bootstrap(5, lambda drawn: seen.append(drawn) or [0.0])
    assert len(seen) == 1000


def test_bootstrap_leaves_the_global_generator_alone():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    bootstrap(2, mean_of([1.0, 2.0]))
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@pytest.mark.parametrize("images", [0, 1])
def test_bootstrap_has_no_answer_for_fewer_than_two_images(images):
    intervals = bootstrap(images, lambda _: [0.5, 0.5])
    assert len(intervals) == 2
    assert all(math.isnan(end) for interval in intervals for end in interval)
    assert bootstrap(2, lambda _: [0.5, 0.5], repeats=3) == ((0.5, 0.5), (0.5, 0.5))


@pytest.mark.parametrize(("answered", "known"), [(0, False), (9, False), (10, True), (20, True)])
def test_bootstrap_has_no_answer_where_more_than_half_of_the_resamples_have_none(answered, known):
    calls = []

    def statistic(_drawn):
        calls.append(0)
        return [float(len(calls)) if len(calls) <= answered else math.nan, 1.0]

    first, second = bootstrap(3, statistic, repeats=20)
    assert all(math.isnan(end) != known for end in first)
    assert second == (1.0, 1.0)
    if answered == 10:
        assert first == pytest.approx(tuple(np.quantile(np.arange(1, 11), [0.025, 0.975])))
