"""Shares, placebo boxes and regions of a map, by hand and against slow loops."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xai_detect.trust.maps import outside_region, placebo_shares, shares, smooth
from xai_detect.trust.repeatability import similarity
from xai_detect.values import boxes


def test_shares_by_hand():
    heatmap = torch.zeros(40, 40)
    heatmap[10, 10], heatmap[10, 21], heatmap[35, 35], heatmap[0, 0] = 6.0, 3.0, 1.0, -50.0
    box = (5.0, 5.0, 15.0, 15.0)
    found = shares(heatmap, box, boxes.grow(box, 0.15, 8.0))
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
