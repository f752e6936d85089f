"""Shares and regions of a map, by hand and against slow loops."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xai_detect.trust.maps import NOTHING, bounds, shares, smooth, strongest_spot
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
    assert found.box + found.ring + found.outside == pytest.approx(1)
    assert 0.015 < found.elsewhere < 0.07, "a square of six pixels holds most of the larger spot"
    assert found.gathered == found.elsewhere / found.outside
    assert found.ratio == pytest.approx(0.7 / 6, rel=0.02), "the same part of each of two spots"
    x1, y1, x2, y2 = found.region
    assert (x2 - x1, y2 - y1) == (6, 6)
    assert x1 <= 49 < 52 <= x2
    assert y1 <= 49 < 52 <= y2


@pytest.mark.parametrize("heatmap", [torch.zeros(SIZE), torch.ones(SIZE), -torch.rand(SIZE) - 0.1])
def test_a_map_without_evidence_has_no_shares(heatmap):
    assert shares(heatmap, square(5, 5, 9), square(3, 3, 13)) is NOTHING


@pytest.mark.parametrize("near", [square(0, 0, 60), torch.zeros(SIZE, dtype=torch.bool)])
def test_without_two_sides_there_are_no_shares(near):
    heatmap = torch.rand(SIZE, generator=torch.Generator().manual_seed(0))
    found = shares(heatmap, near, near)
    assert all(math.isnan(value) for value in found[:6])
    assert found.region is None


def test_without_evidence_in_the_box_the_ratio_has_no_end():
    heatmap = torch.zeros(SIZE)
    heatmap[50, 50] = 1.0
    found = shares(heatmap, square(2, 2, 9), square(0, 0, 13))
    assert (found.box, found.ratio) == (0, math.inf)
    assert found.gathered == pytest.approx(found.elsewhere, abs=1e-9)


def test_evidence_all_over_is_not_gathered():
    spread, spot = torch.ones(SIZE), torch.zeros(SIZE)
    spread[20, 20] = spot[20, 20] = 3.0
    spot[50, 50] = 3.0
    box, near = square(14, 14, 13), square(8, 8, 25)
    assert shares(spread, box, near).gathered < 0.05
    assert shares(spot, box, near).gathered > 0.5


def slow_best(evidence, counted, side, avoided):
    """All squares: those that touch what is avoided only if there are no others."""
    tall, wide = min(side, evidence.shape[0]), min(side, evidence.shape[1])
    free, touching = [], []
    for top in range(evidence.shape[0] - tall + 1):
        for left in range(evidence.shape[1] - wide + 1):
            window = torch.zeros_like(counted)
            window[top : top + tall, left : left + wide] = True
            held = float(evidence[window & counted].sum())
            (touching if bool((window & avoided).any()) else free).append((held, top, left))
    held, top, left = max(free or touching, key=lambda found: found[0])
    return held, (float(left), float(top), float(left + wide), float(top + tall))


@given(
    size=st.tuples(st.integers(3, 14), st.integers(3, 14)),
    side=st.integers(1, 16),
    seed=st.integers(0, 99),
)
def test_the_strongest_spot_is_that_of_a_slow_search(size, side, seed):
    generator = torch.Generator().manual_seed(seed)
    evidence = torch.rand(size, generator=generator).double()
    counted, avoided = torch.rand(2, *size, generator=generator) > 0.4
    held, region = strongest_spot(evidence, counted, side, avoided)
    expected, place = slow_best(evidence, counted, side, avoided)
    assert held == pytest.approx(expected)
    assert expected == 0 or region == place


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
