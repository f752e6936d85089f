import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_detect.measures.statistics import auroc, bootstrap, ranks, spearman, wilson

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


def test_equal_values_share_their_mean_rank():
    assert ranks([3, 1, 3, 2]).tolist() == [3.5, 1, 3.5, 2]
    assert ranks([]).tolist() == []


def test_spearman_by_hand():
    assert spearman([1, 2, 3], [10, 20, 900]) == pytest.approx(1)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    # ranks 1 2 3 4 against 1 3 2 4: 1 - 6 * 2 / (4 * 15)
    assert spearman([1, 2, 3, 4], [1, 9, 8, 10]) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("a", "b"), [([], []), ([1], [2]), ([1, 1], [1, 2]), ([1, 2], [math.nan, 1])]
)
def test_spearman_has_no_answer(a, b):
    assert math.isnan(spearman(a, b))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=10))
def test_spearman_equals_pearson_of_slow_ranks(rows):
    def slow_ranks(values):
        return [sum(b < a for b in values) + (sum(b == a for b in values) + 1) / 2 for a in values]

    a, b = [row[0] for row in rows], [row[1] for row in rows]
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert math.isnan(spearman(a, b))
    else:
        expected = np.corrcoef(slow_ranks(a), slow_ranks(b))[0, 1]
        assert spearman(a, b) == pytest.approx(expected)


def test_wilson_against_published_values():
    # Newcombe, Statistics in Medicine 17, 1998, table I, method 3.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=1e-4)
    assert all(map(math.isnan, wilson(0, 0)))


def mean(rows):
    return float(np.mean(rows)) if len(rows) else math.nan


def test_bootstrap_repeats_with_its_seed_and_holds_the_mean():
    values = list(np.random.default_rng(3).normal(size=200))
    low, high = bootstrap(values, mean, seed=1)
    assert (low, high) == bootstrap(values, mean, seed=1)
    assert low < mean(values) < high
    # The mean of 200 unit normals has a standard error of 0.071.
    assert high - low == pytest.approx(2 * 1.96 * 0.0707, rel=0.15)


def test_bootstrap_leaves_the_global_generator_alone():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    bootstrap([1.0, 2.0], mean)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_bootstrap_has_no_answer_for_one_image_or_mostly_nan():
    assert all(map(math.isnan, bootstrap([1.0], mean)))
    assert all(map(math.isnan, bootstrap([1.0, 2.0], lambda _: math.nan)))
    low, high = bootstrap([1.0, 2.0], lambda rows: mean(rows) if 2.0 in rows else math.nan)
    assert 1 < low <= high <= 2
