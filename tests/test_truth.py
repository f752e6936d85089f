"""What images show: columns say what the items said."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xai_detect.errors import InputError
from xai_detect.values.truth import (
    ANY_CLASS,
    Fate,
    Item,
    Kind,
    Missed,
    Outcome,
    Scan,
    Truth,
)


def scan(*items):
    return Scan("a.jpg", Path("a.jpg"), 7, (20, 30), items)


def test_items_become_columns():
    truth = scan(
        Item((0.0, 1.0, 4.0, 3.0), 2, 5.5),
        Item((1.0, 1.0, 2.0, 2.0), 0, 1.0, difficult=True),
        Item((3.0, 4.0, 9.0, 8.0), None, 24.0, crowd=True),
        Item((0.0, 0.0, 9.0, 8.0), 1, 72.0, crowd=True),
    ).truth()
    assert truth.boxes.tolist() == [[0, 1, 4, 3], [1, 1, 2, 2], [3, 4, 9, 8], [0, 0, 9, 8]]
    assert truth.labels.tolist() == [2, 0, ANY_CLASS, 1]
    assert truth.areas.tolist() == [5.5, 1.0, 24.0, 72.0]
    assert truth.crowd.tolist() == [False, False, True, True]
    assert truth.difficult.tolist() == [False, True, False, False]
    assert truth.counted.tolist() == [True, False, False, False]
    assert len(truth) == 4


def test_the_label_of_every_class_is_none_of_them():
    assert ANY_CLASS < 0


def test_a_clean_image_has_columns_without_rows():
    truth = scan().truth()
    assert len(truth) == 0
    assert truth.boxes.shape == (0, 4)
    assert truth.labels.dtype == torch.int64
    assert truth.counted.dtype == truth.crowd.dtype == truth.difficult.dtype == torch.bool


def test_plain_objects_all_count_and_take_their_areas_from_the_boxes():
    truth = Truth.of(
        torch.tensor([[0.0, 0.0, 4.0, 3.0], [1.0, 1.0, 2.0, 3.0]]), torch.tensor([1, 0])
    )
    assert truth.boxes.tolist() == [[0, 0, 4, 3], [1, 1, 2, 3]]
    assert truth.labels.tolist() == [1, 0]
    assert truth.areas.tolist() == [12.0, 2.0]
    assert truth.counted.tolist() == [True, True]


def test_only_a_region_of_many_holds_for_all_classes():
    with pytest.raises(InputError, match="must be a crowd region"):
        scan(Item((0.0, 0.0, 1.0, 1.0), None, 1.0)).truth()
    with pytest.raises(InputError, match="must be a crowd region"):
        scan(Item((0.0, 0.0, 1.0, 1.0), None, 1.0, difficult=True)).truth()


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=6))
def test_what_must_be_found_is_neither_a_region_nor_difficult(kinds):
    items = [
        Item((0.0, 0.0, 2.0, 2.0), 0, 4.0, crowd=crowd, difficult=difficult)
        for crowd, difficult in kinds
    ]
    assert scan(*items).truth().counted.tolist() == [
        not crowd and not difficult for crowd, difficult in kinds
    ]


RIGHT, NOTHING = Fate(Kind.RIGHT, "zebra", 0.8), Fate(Kind.BACKGROUND)
PLACED = Fate(Kind.BADLY_PLACED, "zebra", 0.3)
AGAIN = Fate(Kind.DUPLICATE, "zebra", 0.6, 0)


def test_right_is_yes_no_or_not_said():
    fates = (
        RIGHT,
        AGAIN,
        PLACED,
        Fate(Kind.WRONG_NAME, "cow", 0.9),
        Fate(Kind.BOTH, "cow", 0.2),
        NOTHING,
        Fate(Kind.IGNORED),
    )
    assert Outcome(fates, ()).right == (True, False, False, False, False, False, None)
    assert {fate.kind for fate in fates} == set(Kind)
    assert Outcome((), ()).right == ()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Fate(Kind.RIGHT, "zebra"), "give both"),
        (lambda: Fate(Kind.BACKGROUND, "zebra"), "give neither"),
        (lambda: Fate(Kind.IGNORED, iou=0.5), "give neither"),
        (lambda: Fate(Kind.RIGHT, "zebra", 1.1), "expected 0 to 1"),
        (lambda: Fate(Kind.BOTH, "zebra", -0.1), "expected 0 to 1"),
        (lambda: Fate(Kind.BOTH, "zebra", float("nan")), "expected 0 to 1"),
        (lambda: Fate(Kind.DUPLICATE, "zebra", 0.5), "without the detection"),
        (lambda: Fate(Kind.RIGHT, "zebra", 0.5, 1), "give none"),
        (lambda: Fate(Kind.BACKGROUND, of=1), "give none"),
        (lambda: Outcome((NOTHING, AGAIN), ()), "right or ignored"),
        (lambda: Outcome((AGAIN,), ()), "row of another"),
        (lambda: Outcome((RIGHT, Fate(Kind.DUPLICATE, "zebra", 0.5, 2)), ()), "row of another"),
        (lambda: Outcome((RIGHT, Fate(Kind.DUPLICATE, "zebra", 0.5, -2)), ()), "row of another"),
        (lambda: Outcome((RIGHT,), (missed(0),)), "badly placed or has the wrong name"),
        (lambda: Outcome((PLACED,), (missed(1),)), "badly placed or has the wrong name"),
        (lambda: Outcome((PLACED,), (missed(-1),)), "badly placed or has the wrong name"),
    ],
)
def test_an_outcome_that_cannot_be_is_refused(made, message):
    with pytest.raises(InputError, match=message):
        made()


def missed(beside):
    return Missed("zebra", (0.0, 0.0, 1.0, 1.0), beside)


def test_what_may_stand_beside_each_other():
    name = Fate(Kind.WRONG_NAME, "cow", 0.9)
    known = Outcome((PLACED, name, RIGHT), (missed(0), missed(1), missed(None)))
    assert [item.beside for item in known.missed] == [0, 1, None]
    Outcome((Fate(Kind.IGNORED), AGAIN), ())  # two boxes on an object that need not be found
    Outcome((Fate(Kind.WRONG_NAME, "cow", 0.9, 1), RIGHT), ())
    assert Fate(Kind.BOTH, "cow", 0.0).iou == 0
    assert Fate(Kind.RIGHT, "", 1.0).name == ""  # a data set may have a class without a name
