"""What kind of wrong: by hand, against a slow loop from the definition, and what always holds."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from test_matching import detected, found, objects, real

from xai_detect.measures.matching import match
from xai_detect.measures.mistakes import mistakes
from xai_detect.values.truth import ANY_CLASS, Kind, Truth

A, B, FAR = (0, 0, 10, 10), (20, 0, 30, 10), (60, 60, 70, 70)
PART_OF_A = (0, 0, 10, 4)
"""Overlaps A by an IoU of 0.4."""


def told(detections, truth):
    return mistakes(detections, truth, match(detections, truth))


def kinds(detections, truth):
    return list(told(detections, truth).kinds)


def test_every_kind_by_hand():
    truth = real((A, 0), (B, 1), ((40, 0, 50, 10), 2, "difficult"))
    result = told(
        found(
            (A, 0, 0.9),
            ((0, 0, 10, 8), 0, 0.8),
            (B, 0, 0.7),
            ((20, 0, 30, 3), 1, 0.6),
            ((20, 0, 30, 2), 2, 0.5),
            (FAR, 0, 0.4),
            ((40, 0, 50, 10), 2, 0.3),
        ),
        truth,
    )
    assert result.kinds == (
        Kind.RIGHT,
        Kind.DUPLICATE,
        Kind.WRONG_NAME,
        Kind.BADLY_PLACED,
        Kind.BOTH,
        Kind.BACKGROUND,
        Kind.IGNORED,
    )
    assert result.truth.tolist() == [0, 0, 1, 1, 1, -1, -1]
    expected = torch.tensor([1, 0.8, 1, 0.3, 0.2, math.nan, math.nan], dtype=torch.float64)
    torch.testing.assert_close(result.iou, expected, equal_nan=True)
    assert result.taker.tolist() == [-1, 0, -1, -1, -1, -1, -1]
    assert result.missed.tolist() == [False, True, False]
    assert result.beside.tolist() == [-1, 2, -1]  # the wrong name is the more confident one


def test_a_badly_placed_box_knows_what_it_missed_and_who_found_it_instead():
    result = told(found((PART_OF_A, 0, 0.9), (A, 0, 0.8)), real((A, 0)))
    assert result.kinds == (Kind.BADLY_PLACED, Kind.RIGHT)
    assert result.taker.tolist() == [1, -1]  # the less confident box found it
    assert result.beside.tolist() == [-1]
    alone = told(found((PART_OF_A, 0, 0.9), (PART_OF_A, 0, 0.8)), real((FAR, 0), (A, 0)))
    assert alone.kinds == (Kind.BADLY_PLACED, Kind.BADLY_PLACED)
    assert alone.taker.tolist() == [-1, -1]
    assert alone.beside.tolist() == [-1, 0]


def test_two_names_on_one_item_are_a_right_one_and_a_wrong_name():
    result = told(found((A, 1, 0.9), (A, 0, 0.8)), real((A, 0)))
    assert result.kinds == (Kind.WRONG_NAME, Kind.RIGHT)
    assert (result.taker.tolist(), result.beside.tolist()) == ([1, -1], [-1])


def test_overlaps_of_exactly_the_limits():
    half, less = real(((0, 0, 10, 5), 0)), real(((0, 0, 10, 4.99), 0))
    assert kinds(found((A, 0, 0.9), (A, 0, 0.8)), half) == [Kind.RIGHT, Kind.DUPLICATE]
    assert kinds(found((A, 0, 0.9)), less) == [Kind.BADLY_PLACED]
    assert kinds(found((A, 1, 0.9)), half) == [Kind.WRONG_NAME]
    assert kinds(found((A, 1, 0.9)), less) == [Kind.BOTH]
    tenth, below = real(((0, 0, 10, 1), 0)), real(((0, 0, 10, 0.99), 0))
    assert kinds(found((A, 0, 0.9)), tenth) == [Kind.BADLY_PLACED]
    assert kinds(found((A, 0, 0.9)), below) == [Kind.BACKGROUND]
    assert kinds(found((A, 1, 0.9)), tenth) == [Kind.BACKGROUND]
    assert kinds(found((A, 1, 0.9)), real(((0, 0, 10, 1.01), 0))) == [Kind.BOTH]


def test_limits_of_ones_own():
    detections, truth = found((PART_OF_A, 0, 0.9), (PART_OF_A, 1, 0.8)), real((A, 0))
    loose = mistakes(detections, truth, match(detections, truth, 0.4), 0.4)
    assert loose.kinds == (Kind.RIGHT, Kind.WRONG_NAME)
    strict = mistakes(detections, truth, match(detections, truth), 0.5, 0.45)
    assert strict.kinds == (Kind.BACKGROUND, Kind.BACKGROUND)
    nothing = mistakes(found((FAR, 0, 0.9)), truth, match(found((FAR, 0, 0.9)), truth), 0.5, 0.0)
    assert nothing.kinds == (Kind.BACKGROUND,)


def test_the_first_kind_that_fits_in_the_order_of_the_definition():
    near_zebra = real(((0, 0, 10, 2), 0), (A, 1))
    assert kinds(found((A, 0, 0.9)), near_zebra) == [Kind.BADLY_PLACED]
    stacked = real((A, 0), ((0, 0, 10, 9), 1))
    assert kinds(found((A, 0, 0.9), (A, 0, 0.8)), stacked) == [Kind.RIGHT, Kind.WRONG_NAME]


def test_of_several_objects_the_one_it_overlaps_most():
    truth = real(((0, 0, 10, 6), 1), ((0, 0, 10, 8), 2))
    assert told(found((A, 0, 0.9)), truth).truth.tolist() == [1]
    truth = real(((0, 0, 10, 4), 0), ((0, 0, 10, 3), 0))
    assert told(found((A, 0, 0.9)), truth).truth.tolist() == [0]


def test_a_second_box_on_a_difficult_object_is_a_duplicate():
    result = told(found((A, 0, 0.9), (A, 0, 0.8)), real((A, 0, "difficult")))
    assert result.kinds == (Kind.IGNORED, Kind.DUPLICATE)
    assert (result.taker.tolist(), result.beside.tolist()) == ([-1, 0], [-1])


def test_a_difficult_object_is_annotated_but_not_missed():
    result = told(found((A, 1, 0.9)), real((A, 0, "difficult")))
    assert (result.kinds, result.beside.tolist()) == ((Kind.WRONG_NAME,), [-1])


def test_in_a_crowd_of_another_class_the_name_is_wrong():
    inside = (2, 2, 5, 5)
    result = told(found((inside, 0, 0.9), (inside, 1, 0.8)), real((A, 0, "crowd")))
    assert result.kinds == (Kind.IGNORED, Kind.WRONG_NAME)
    assert result.taker.tolist() == [-1, -1]  # a crowd is never used up
    assert result.iou[1] == 1  # all of the detection lies inside


def test_a_region_for_all_classes_is_not_an_object():
    truth = real((A, ANY_CLASS, "crowd"))
    part = (0, 0, 10, 30)  # a third of it lies in the region
    assert kinds(found((A, 1, 0.9), (part, 1, 0.8)), truth) == [Kind.IGNORED, Kind.BACKGROUND]


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 2), (2, 0)])
def test_nothing_to_tell_apart_keeps_its_shape(n, m):
    result = told(found(*[(A, 0, 0.5)] * n), real(*[(A, 0)] * m))
    assert result.kinds == (Kind.BACKGROUND,) * n
    assert (result.truth.shape, result.iou.shape, result.taker.shape) == ((n,), (n,), (n,))
    assert result.beside.tolist() == [-1] * m


def test_boxes_without_area_lie_on_nothing():
    line = (5, 5, 5, 9)
    assert kinds(found((line, 0, 0.9)), real((A, 0))) == [Kind.BACKGROUND]
    assert kinds(found((A, 0, 0.9)), real((line, 0))) == [Kind.BACKGROUND]


def share(a, b, crowd):
    """Overlap of two boxes on plain numbers."""
    across = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    down = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    own = (a[2] - a[0]) * (a[3] - a[1])
    whole = own if crowd else own + (b[2] - b[0]) * (b[3] - b[1]) - across * down
    return across * down / whole if whole else 0


def slow_mistakes(detections, truth):
    """The definition, one condition after the other, over pairs of plain numbers."""
    matches = match(detections, truth)
    taken = {}
    for row in range(len(detections)):
        for item in (int(matches.truth[row]), int(matches.excused[row])):
            if item >= 0 and not truth.crowd[item]:
                taken[item] = row
    result = []
    for row, target in enumerate(detections):
        if matches.right[row]:
            result.append((Kind.RIGHT, int(matches.truth[row]), -1))
            continue
        if matches.ignored[row]:
            result.append((Kind.IGNORED, -1, -1))
            continue
        own, other, used = (0, -1), (0, -1), (0, -1)
        for item in range(len(truth)):
            label = int(truth.labels[item])
            if label == ANY_CLASS:
                continue
            overlap = share(target.box, truth.boxes[item].tolist(), bool(truth.crowd[item]))
            if label != target.label:
                other = (overlap, item) if overlap > other[0] else other
                continue
            own = (overlap, item) if overlap > own[0] else own
            if item in taken:
                used = (overlap, item) if overlap > used[0] else used
        if 0.1 <= own[0] < 0.5:
            kind, item = Kind.BADLY_PLACED, own[1]
        elif other[0] >= 0.5:
            kind, item = Kind.WRONG_NAME, other[1]
        elif used[0] >= 0.5:
            kind, item = Kind.DUPLICATE, used[1]
        elif max(own[0], other[0]) <= 0.1:
            kind, item = Kind.BACKGROUND, -1
        else:
            kind, item = Kind.BOTH, other[1]
        result.append((kind, item, taken.get(item, -1)))
    beside = []
    for item in range(len(truth)):
        near = [
            row
            for row, (kind, on, _) in enumerate(result)
            if on == item and kind in (Kind.BADLY_PLACED, Kind.WRONG_NAME)
        ]
        missed = truth.counted[item] and item not in taken
        beside.append(near[0] if near and missed else -1)
    return result, beside


def scored(rows):
    return found(*[(box, label, 1 - n / 10) for n, (box, label) in enumerate(rows)])


@given(detected, objects)
def test_mistakes_equal_a_slow_loop_from_the_definition(rows, truth_rows):
    detections, truth = scored(rows), real(*truth_rows)
    result = told(detections, truth)
    expected, beside = slow_mistakes(detections, truth)
    told_apart = list(zip(result.kinds, result.truth.tolist(), result.taker.tolist(), strict=True))
    assert told_apart == expected
    assert result.beside.tolist() == beside


@given(detected, objects)
def test_the_kinds_share_out_the_detections(rows, truth_rows):
    detections, truth = scored(rows), real(*truth_rows)
    matches, result = match(detections, truth), told(detections, truth)
    assert [kind is Kind.RIGHT for kind in result.kinds] == matches.right.tolist()
    assert [kind is Kind.IGNORED for kind in result.kinds] == matches.ignored.tolist()
    assert result.missed.sum() + matches.right.sum() == truth.counted.sum()
    assert not result.missed[matches.truth[matches.right]].any()
    assert (result.missed & ~truth.counted).sum() == 0
    for row, kind in enumerate(result.kinds):
        held = int(result.truth[row])
        assert (
            (held < 0) == (kind in (Kind.BACKGROUND, Kind.IGNORED)) == bool(result.iou[row].isnan())
        )
        same = held >= 0 and int(truth.labels[held]) == int(detections.labels[row])
        assert same == (kind in (Kind.RIGHT, Kind.DUPLICATE, Kind.BADLY_PLACED))
        if kind is Kind.DUPLICATE:  # of one that is as good a match and more confident
            assert 0 <= int(result.taker[row]) < row
            assert result.iou[row] >= 0.5


wide = st.tuples(*[st.integers(0, 600)] * 2, *[st.integers(1, 600)] * 2).map(
    lambda row: (row[0], row[1], row[0] + row[2], row[1] + row[3])
)


@given(
    st.lists(st.tuples(wide, st.integers(0, 1)), max_size=6),
    st.lists(
        st.tuples(wide, st.integers(0, 1), st.sampled_from(["", "", "crowd", "difficult"])),
        max_size=5,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_annotations_changes_nothing(rows, truth_rows, random):
    detections, truth = scored(rows), real(*truth_rows)
    for box, _ in rows:  # of equal overlaps the first is taken, whichever that is
        shares = [share(box, other, kind == "crowd") for other, _, kind in truth_rows]
        assume(len({round(value, 9) for value in shares if value}) == sum(map(bool, shares)))
    order = list(range(len(truth)))
    random.shuffle(order)
    moved = Truth(
        truth.boxes[order],
        truth.labels[order],
        truth.areas[order],
        truth.crowd[order],
        truth.difficult[order],
    )
    first, second = told(detections, truth), told(detections, moved)
    assert first.kinds == second.kinds
    assert first.truth.tolist() == [order[row] if row >= 0 else -1 for row in second.truth.tolist()]
    assert first.taker.tolist() == second.taker.tolist()
    assert first.beside[order].tolist() == second.beside.tolist()


@given(detected, objects, st.integers(0, 8))
def test_leaving_out_weak_detections_never_changes_the_kind_of_a_stronger_one(
    rows, truth_rows, count
):
    truth = real(*truth_rows)
    assert kinds(scored(rows[:count]), truth) == kinds(scored(rows), truth)[:count]
