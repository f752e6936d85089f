"""Shares and regions of a map, by hand and against slow loops."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xai_detect.trust.maps import NOTHING, Shares, best_elsewhere, bounds, shares, smooth
from xai_detect.trust.repeatability import similarity
from xai_detect.values import boxes

SIZE = (60, 60)


def square(top, left, side, size=SIZE):
    region = torch.zeros(size, dtype=torch.bool)
    region[top : top + side, left : left + side] = True
    return region


def test_shares_by_hand():
    heatmap = torch.zeros(SIZE)
    heatmap[20, 20], heatmap[20, 31], heatmap[50, 50], heatmap[3, 50] = 6.0, 3.0, 0.7, 0.3
    heatmap[50, 10] = -50.0
    found = shares(heatmap, square(14, 14, 13), square(8, 8, 29))
    assert found.box == pytest.approx(0.6, abs=5e-3)  # the smoothed spots reach over the edges
    assert found.ring == pytest.approx(0.3, abs=5e-3)
    assert found.outside == pytest.approx(0.1, abs=2e-3)
    assert found.elsewhere == pytest.approx(0.07, abs=2e-3)
    assert found.box + found.ring + found.outside == pytest.approx(1)
    assert found.ratio == found.elsewhere / (found.box + found.ring)
    x1, y1, x2, y2 = found.region
    assert (x2 - x1, y2 - y1) == (29, 29)
    assert x1 <= 44 <= 56 <= x2 <= 60, "all of the smoothed spot"
    assert y1 <= 44 <= 56 <= y2 <= 60


@pytest.mark.parametrize("heatmap", [torch.zeros(SIZE), torch.ones(SIZE), -torch.rand(SIZE) - 0.1])
def test_a_map_without_evidence_has_no_shares(heatmap):
    assert shares(heatmap, square(5, 5, 9), square(3, 3, 13)) is NOTHING


@pytest.mark.parametrize("near", [square(0, 0, 60), torch.zeros(SIZE, dtype=torch.bool)])
def test_without_two_sides_there_are_no_shares(near):
    heatmap = torch.rand(SIZE, generator=torch.Generator().manual_seed(0))
    found = shares(heatmap, near, near)
    assert all(math.isnan(value) for value in (*found[:4], found.ratio))
    assert found.region is None


@pytest.mark.parametrize(
    ("box", "ring", "elsewhere", "ratio"),
    [(0.5, 0.25, 0.15, 0.2), (0.0, 0.0, 0.4, math.inf), (0.0, 0.5, 0.5, 1.0)],
)
def test_the_ratio_is_evidence_elsewhere_over_box_and_ring(box, ring, elsewhere, ratio):
    assert Shares(box, ring, 1 - box - ring, elsewhere, None).ratio == pytest.approx(ratio)


def test_without_evidence_anywhere_the_ratio_is_unmeasured():
    assert math.isnan(Shares(0.0, 0.0, 1.0, 0.0, None).ratio)


def slow_best(evidence, near):
    """All windows of the size of what is near: those that touch it only if there are no others."""
    rows, columns = near.nonzero().T
    tall = int(rows.max() - rows.min()) + 1
    wide = int(columns.max() - columns.min()) + 1
    free, touching = [], []
    for top in range(near.shape[0] - tall + 1):
        for left in range(near.shape[1] - wide + 1):
            window = torch.zeros_like(near)
            window[top : top + tall, left : left + wide] = True
            around = torch.zeros_like(near)
            around[max(top - 1, 0) : top + tall + 1, max(left - 1, 0) : left + wide + 1] = True
            held = float(evidence[window & ~near].sum())
            (touching if bool((around & near).any()) else free).append((held, top, left))
    held, top, left = max(free or touching, key=lambda found: found[0])
    return held, (float(left), float(top), float(left + wide), float(top + tall)), bool(free)


@given(
    size=st.tuples(st.integers(3, 14), st.integers(3, 14)), seed=st.integers(0, 99), data=st.data()
)
def test_the_best_region_elsewhere_is_that_of_a_slow_search(size, seed, data):
    height, width = size
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    tall = data.draw(st.integers(1, height - top))
    wide = data.draw(st.integers(1, width - left))
    near = torch.zeros(size, dtype=torch.bool)
    near[top : top + tall, left : left + wide] = True
    evidence = torch.rand(size, generator=torch.Generator().manual_seed(seed)).double()
    held, region = best_elsewhere(evidence, near)
    expected, place, free = slow_best(evidence, near)
    assert held == pytest.approx(expected)
    assert not free or region == place


def test_the_best_region_has_the_size_of_an_irregular_mask():
    near = square(10, 10, 6) | square(20, 12, 3)
    evidence = torch.zeros(SIZE).double()
    evidence[40:53, 40:46] = 1.0
    assert best_elsewhere(evidence, near) == (13 * 6.0, (40.0, 40.0, 46.0, 53.0))


def test_bounds_hold_a_mask_and_no_more():
    assert bounds(square(3, 5, 4) | square(20, 2, 1)) == (2.0, 3.0, 9.0, 21.0)
    assert bounds(None) is None
    assert bounds(torch.zeros(SIZE, dtype=torch.bool)) is None


@given(box=st.tuples(*[st.integers(0, 19)] * 4))
def test_the_bounds_of_a_box_are_the_box(box):
    x1, x2 = sorted(box[::2])
    y1, y2 = sorted(box[1::2])
    place = (float(x1), float(y1), float(x2 + 1), float(y2 + 1))
    assert bounds(boxes.mask(place, (20, 20))) == place


@pytest.mark.parametrize("spots", [((40, 40, 3.0),), ((0, 0, 2.0), (79, 30, -1.0))])
def test_smoothing_keeps_the_sum_at_the_border_too(spots):
    heatmap = torch.zeros(80, 80)
    for row, column, value in spots:
        heatmap[row, column] = value
    assert float(smooth(heatmap).sum()) == pytest.approx(float(heatmap.sum()), rel=1e-4)


@pytest.mark.parametrize(("side", "sigma"), [(80, 2.0), (200, 2.0), (600, 6.0)])
def test_maps_are_smoothed_by_a_share_of_the_side_and_two_pixels_at_least(side, sigma):
    heatmap = torch.zeros(side, side)
    heatmap[side // 2, side // 2] = 1.0
    row = smooth(heatmap).sum(dim=0)
    places = torch.arange(side) - side // 2
    assert float((row * places**2).sum()) ** 0.5 == pytest.approx(sigma, rel=0.03)


def test_similarity_of_a_map_with_itself_its_negative_and_nothing():
    heatmap = torch.rand(40, 40, generator=torch.Generator().manual_seed(0))
    assert similarity(heatmap, heatmap) == pytest.approx(1)
    assert similarity(heatmap, -heatmap) == pytest.approx(-1)
    assert math.isnan(similarity(heatmap, torch.zeros(40, 40)))
