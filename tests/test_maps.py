"""Shares, placebo boxes and regions of a map, by hand and against slow loops."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xai_detect.trust.maps import placebo_shares, shares, smooth
from xai_detect.trust.removals import elsewhere, outside_region
from xai_detect.trust.repeatability import similarity
from xai_detect.values import boxes


def test_shares_by_hand():
    heatmap = torch.zeros(40, 40)
    heatmap[10, 10], heatmap[10, 21], heatmap[35, 35], heatmap[0, 0] = 6.0, 3.0, 1.0, -50.0
    box = (5.0, 5.0, 15.0, 15.0)
    found = shares(heatmap, box, boxes.near(box))
    assert found["inside"] == pytest.approx(0.6)
    assert found["ring"] == pytest.approx(0.3)
    assert found["outside"] == pytest.approx(0.1)


@pytest.mark.parametrize("heatmap", [torch.zeros(20, 20), torch.ones(20, 20), -torch.rand(20, 20)])
def test_a_map_without_evidence_has_no_shares(heatmap):
    box = (2.0, 2.0, 8.0, 8.0)
    assert all(math.isnan(value) for value in shares(heatmap, box, box).values())


def test_an_even_map_has_no_lift():
    heatmap = torch.ones(64, 64)
    heatmap[0, 0] = 1.001
    found = shares(heatmap, (16.0, 16.0, 32.0, 32.0), (8.0, 8.0, 40.0, 40.0))
    assert found["inside"] == pytest.approx(1 / 16, rel=1e-2)
    assert found["lift"] == pytest.approx(1, rel=1e-2)


@given(height=st.integers(4, 40), width=st.integers(4, 40), seed=st.integers(0, 9), data=st.data())
def test_placebo_boxes_match_a_loop(height, width, seed, data):
    tall = data.draw(st.integers(1, height))
    wide = data.draw(st.integers(1, width))
    evidence = torch.rand(height, width, generator=torch.Generator().manual_seed(seed)).double()
    fast = placebo_shares(evidence, (0.0, 0.0, float(wide), float(tall)))
    tops = torch.linspace(0, height - tall, 8).round().long()
    lefts = torch.linspace(0, width - wide, 8).round().long()
    slow = [evidence[t : t + tall, left : left + wide].sum() for t in tops for left in lefts]
    assert len(fast) >= 32
    torch.testing.assert_close(fast, torch.stack(slow))


def test_the_outside_region_is_where_the_evidence_is():
    heatmap = torch.zeros(100, 100)
    heatmap[70:80, 70:80] = 1.0
    heatmap[10:30, 10:30] = 5.0
    near = boxes.mask((5.0, 5.0, 40.0, 40.0), (100, 100))
    region = outside_region(heatmap, near)
    assert region is not None
    assert region[75, 75]
    assert not (region & near).any()
    assert 50 <= region.sum() <= 21 * 21


def test_no_evidence_outside_gives_no_region():
    heatmap = torch.zeros(30, 30)
    heatmap[15, 15] = 1.0
    assert outside_region(heatmap, torch.ones(30, 30, dtype=torch.bool)) is None


def test_smoothing_keeps_the_sum():
    heatmap = torch.zeros(80, 80)
    heatmap[40, 40] = 3.0
    assert float(smooth(heatmap).sum()) == pytest.approx(3.0, rel=1e-4)


def test_similarity_of_a_map_with_itself_its_negative_and_nothing():
    heatmap = torch.rand(40, 40, generator=torch.Generator().manual_seed(0))
    assert similarity(heatmap, heatmap) == pytest.approx(1)
    assert similarity(heatmap, -heatmap) == pytest.approx(-1)
    assert math.isnan(similarity(heatmap, torch.zeros(40, 40)))


def square(top, left, side, size=(40, 40)):
    region = torch.zeros(size, dtype=torch.bool)
    region[top : top + side, left : left + side] = True
    return region


@pytest.mark.parametrize(
    ("region", "near"),
    [
        (square(2, 2, 6), square(16, 16, 8)),  # its mirror image is free
        (square(17, 17, 6), square(2, 2, 8)),  # mirrors onto itself
        (square(2, 2, 6), square(30, 30, 10)),  # mirrors into the box
        (square(0, 0, 20), square(20, 20, 20)),  # mirrors into the box altogether
    ],
)
def test_the_placebo_has_the_size_of_the_region_and_touches_neither_it_nor_the_box(region, near):
    placebo = elsewhere(region, near)
    assert int(placebo.sum()) == int(region.sum())
    assert not (placebo & (region | near)).any()


def test_a_free_mirror_image_is_the_placebo():
    region, near = square(2, 3, 6), square(16, 16, 8)
    assert torch.equal(elsewhere(region, near), square(32, 31, 6))


def test_a_placebo_is_as_compact_as_its_region():
    placebo = elsewhere(square(17, 17, 6), square(2, 2, 8))
    rows, columns = placebo.nonzero(as_tuple=True)
    assert int(rows.max() - rows.min()) < 20
    assert int(columns.max() - columns.min()) < 20


def test_without_room_there_is_no_placebo():
    assert elsewhere(square(0, 0, 30), square(30, 0, 10)) is None
    half = torch.zeros(40, 40, dtype=torch.bool)
    half[:20] = True
    none = torch.zeros_like(half)
    assert torch.equal(elsewhere(half, none), ~half), "exactly as much as there is"
    half[20, 0] = True
    assert elsewhere(half, none) is None


@given(
    seed=st.integers(0, 99), height=st.integers(3, 30), width=st.integers(3, 30),
    share=st.floats(0.01, 0.6),
)  # fmt: skip
def test_a_placebo_never_touches_what_it_is_compared_with(seed, height, width, share):
    generator = torch.Generator().manual_seed(seed)
    region = torch.rand(height, width, generator=generator) < share
    near = (torch.rand(height, width, generator=generator) < share) & ~region
    if not region.any():
        return
    placebo = elsewhere(region, near)
    room = int((~(region | near)).sum())
    if placebo is None:
        assert room < int(region.sum())
    else:
        assert int(placebo.sum()) == int(region.sum())
        assert not (placebo & (region | near)).any()


def test_smoothing_keeps_the_sum_at_the_border_too():
    heatmap = torch.zeros(60, 60)
    heatmap[0, 0], heatmap[59, 30] = 2.0, -1.0
    assert float(smooth(heatmap).sum()) == pytest.approx(1.0, rel=1e-4)
