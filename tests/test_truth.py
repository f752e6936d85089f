"""What images show: columns say what the items said."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xai_detect.errors import InputError
from xai_detect.values.truth import ANY_CLASS, Item, Scan, Truth


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
