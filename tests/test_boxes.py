"""Geometry by hand, at the edges, and against slow loops."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xai_detect.values import boxes

numbers = st.floats(-50, 50, width=32)
corners = st.tuples(numbers, numbers, numbers, numbers)


def test_area_by_hand():
    given_boxes = torch.tensor([[0.0, 0.0, 2.0, 3.0], [1.0, 1.0, 1.0, 9.0], [5.0, 5.0, 4.0, 4.0]])
    assert boxes.area(given_boxes).tolist() == [6.0, 0.0, 0.0]


def test_area_of_one_box_and_of_boxes_in_any_arrangement():
    assert boxes.area(torch.tensor([0.0, 0.0, 2.0, 3.0])).item() == 6.0
    table = torch.tensor([[[0.0, 0.0, 2.0, 3.0]], [[1.0, 1.0, 2.0, 6.0]]])
    assert boxes.area(table).tolist() == [[6.0], [5.0]]


def test_iou_by_hand():
    a = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
    b = torch.tensor([[1.0, 1.0, 3.0, 3.0], [2.0, 2.0, 3.0, 3.0], [0.0, 0.0, 2.0, 2.0]])
    torch.testing.assert_close(boxes.iou(a, b), torch.tensor([[1 / 7, 0.0, 1.0]]))


def test_boxes_smaller_than_a_pixel_count_like_any_other():
    one = torch.tensor([[0.25, 0.25, 0.75, 0.75]])
    half = torch.tensor([[0.25, 0.25, 0.5, 0.75]])
    assert boxes.iou(one, torch.cat([one, half])).tolist() == [[1.0, 0.5]]


def test_boxes_without_area_share_nothing():
    point = torch.ones(1, 4)
    assert boxes.iou(point, point).item() == 0.0


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0)])
def test_iou_of_nothing_keeps_its_shape(n, m):
    assert boxes.iou(torch.rand(n, 4), torch.rand(m, 4)).shape == (n, m)


@given(a=corners, b=corners)
def test_iou_is_a_share_and_symmetric(a, b):
    one, other = torch.tensor([a]), torch.tensor([b])
    value = float(boxes.iou(one, other))
    assert 0 <= value <= 1 + 1e-6
    assert value == pytest.approx(float(boxes.iou(other, one)))


@given(st.lists(st.tuples(*[st.integers(0, 12)] * 4), min_size=2, max_size=2))
def test_iou_equals_counting_cells(pair):
    cells = []
    for x1, y1, x2, y2 in pair:
        cells.append({(x, y) for x in range(x1, x2) for y in range(y1, y2)})
    union = cells[0] | cells[1]
    expected = len(cells[0] & cells[1]) / len(union) if union else 0.0
    a, b = torch.tensor(pair, dtype=torch.float32)
    assert float(boxes.iou(a[None], b[None])) == pytest.approx(expected)


def test_grow_takes_the_larger_of_share_and_least():
    assert boxes.grow((10.0, 10.0, 30.0, 20.0), 0.1, 1.5) == (8.0, 8.5, 32.0, 21.5)
    assert boxes.grow((10.0, 10.0, 30.0, 20.0), 0.5, 1.5) == (0.0, 5.0, 40.0, 25.0)


def test_the_ring_by_hand():
    """15 % of 100 pixels across; 8 pixels down, since 15 % of 40 is less."""
    box = (20.0, 50.0, 120.0, 90.0)
    assert boxes.near(box) == (5.0, 42.0, 135.0, 98.0)
    assert boxes.near_in_image(box, (300, 200), (300, 200)) == (5.0, 42.0, 135.0, 98.0)
    # The network sees half as many columns and a quarter of the rows: 50 x 10 there.
    seen = boxes.near_in_image(box, (400, 200), (100, 100))
    assert seen == (20 - 2 * 8, 50 - 4 * 8, 120 + 2 * 8, 90 + 4 * 8)


@given(box=corners, height=st.integers(1, 30), width=st.integers(1, 30))
def test_mask_equals_asking_every_pixel_centre(box, height, width):
    seen = boxes.mask(box, (height, width))
    expected = torch.tensor(
        [
            [box[0] <= x + 0.5 < box[2] and box[1] <= y + 0.5 < box[3] for x in range(width)]
            for y in range(height)
        ]
    )
    assert not (expected & ~seen).any()
    if expected.any():
        assert torch.equal(seen, expected)


def test_a_box_thinner_than_a_pixel_gets_the_one_under_its_centre():
    assert boxes.mask((2.6, 1.6, 2.9, 1.8), (4, 4)).nonzero().tolist() == [[1, 2]]
    assert boxes.mask((0.0, 3.9, 4.0, 3.95), (4, 4)).nonzero().tolist() == [
        [3, 0], [3, 1], [3, 2], [3, 3]
    ]  # fmt: skip


def test_a_centre_on_the_first_edge_is_inside_and_on_the_last_is_not():
    assert boxes.mask((0.5, 1.5, 1.5, 2.5), (4, 4)).nonzero().tolist() == [[1, 0]]


@pytest.mark.parametrize("box", [(9, 9, 12, 12), (-5, -5, -1, -1), (3, 3, 2, 2), (1, 1, 1, 3)])
def test_nothing_is_inside_a_box_that_is_outside_or_has_no_area(box):
    assert not boxes.mask(tuple(float(side) for side in box), (4, 4)).any()


def test_a_box_over_the_edge_is_cut():
    assert int(boxes.mask((-3.0, -3.0, 2.0, 1.0), (4, 4)).sum()) == 2
