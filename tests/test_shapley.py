"""Kernel SHAP and Partition SHAP: by hand, against slow definitions and the package itself."""

import itertools
import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy import CELL, SealedToy, ToyDetector, scene

from xai_detect.errors import InputError, MissingExtraError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.methods import METHODS, build_method
from xai_detect.explainers.regions import cut, grid
from xai_detect.explainers.shapley.coalitions import coalitions
from xai_detect.explainers.shapley.kernel_shap import KernelShap, solve
from xai_detect.explainers.shapley.partition_shap import PartitionShap, halves, spread
from xai_detect.inspection.image import detect
from xai_detect.scores.scalars import survival
from xai_detect.values import fills
from xai_detect.values.images import load_image

MASKERS = ("blur", "blur(9,9)", "inpaint", "inpaint_telea", "inpaint_ns", "air", "mean", "noise",
           "black", "grey")  # fmt: skip
QUICK = {"kernel_shap": {"regions": 12, "samples": 60}, "partition_shap": {"evaluations": 40}}


def found(detector, image):
    return list(detect(detector, image))


def two_that_lean_on_each_other():
    """A red square whose logit is half decided by the blue one's absence in the corner."""
    detector = ToyDetector(elsewhere=0.4, curved=True)
    image = scene(("red", 0, 0), ("red", 5, 4), ("blue", 6, 2), size=(64, 48), background=0.7)
    return detector, image, found(detector, image)


def score_of_shown(detector, image, target, shown, fill):
    """The score with only some pixels shown, from the definition."""
    frame = detector.frame(tuple(image.shape[1:]))
    copy = fills.hide(image, ~shown, fill)
    return float(survival(detector.raw(frame.to_input(copy[None])), [target], frame))


def slow_shapley(value, players):
    """The definition: gains averaged over coalitions with the weight of their orders."""
    count = len(players)
    result = {}
    for player in players:
        others = [one for one in players if one != player]
        total = 0.0
        for size in range(count):
            weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            for some in itertools.combinations(others, size):
                total += weight * (value({*some, player}) - value(set(some)))
        result[player] = total
    return result


def remembered(function):
    known = {}

    def value(some):
        key = frozenset(some)
        if key not in known:
            known[key] = function(key)
        return known[key]

    return value


# Regions


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_a_grid_is_rows_and_columns_of_rectangles_of_nearly_one_size(height, width, data):
    rows, columns = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    cells = grid((height, width), rows, columns)
    assert cells.unique().tolist() == list(range(rows * columns))
    down, across = cells[:, 0] // columns, cells[0] % columns
    assert torch.equal(cells, down[:, None] * columns + across)
    for sides in (down.bincount(), across.bincount()):
        assert int(sides.max() - sides.min()) <= 1


@pytest.mark.parametrize("segments", ["slic", "grid"])
@pytest.mark.parametrize("size", [(1, 1), (1, 90), (90, 2), (3, 4), (8, 8), (9, 60), (70, 50)])
def test_every_pixel_has_a_region_and_no_number_is_left_out(segments, size):
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    regions = cut(image, 64, segments)
    count = int(regions.max()) + 1
    assert regions.shape == size
    assert regions.unique().tolist() == list(range(count))
    assert count == size[0] * size[1] if size[0] * size[1] <= 12 else count <= 80


def test_slic_follows_the_edges_that_a_grid_ignores():
    image = torch.full((3, 64, 64), 0.2)
    image[0, :, 37:] = 0.9
    mixed = {}
    for name in ("slic", "grid"):
        regions = cut(image, 16, name)
        right = regions[:, 37:].reshape(-1).bincount(minlength=99)
        left = regions[:, :37].reshape(-1).bincount(minlength=99)
        mixed[name] = int(torch.minimum(left, right).sum())
    assert mixed["grid"] == 64 * 5
    assert mixed["slic"] < 0.25 * mixed["grid"]


# Coalitions


@pytest.mark.parametrize("regions", [2, 3, 6, 7])
def test_with_room_for_all_coalitions_each_is_there_with_its_weight(regions):
    pairs = coalitions(regions, 2**regions, 0)
    assert not pairs.drawn.any()
    rows = [*map(tuple, pairs.shown.tolist()), *map(tuple, (~pairs.shown).tolist())]
    assert len(set(rows)) == len(rows) == 2**regions - 2
    for row, weight in zip(rows, pairs.weights.repeat(2).tolist(), strict=True):
        size = sum(row)
        kernel = (regions - 1) / (math.comb(regions, size) * size * (regions - size))
        assert weight == pytest.approx(kernel)


@given(st.integers(1, 20), st.integers(0, 60), st.integers(0, 5))
def test_coalitions_keep_to_the_budget_and_to_the_whole_weight(regions, pairs, seed):
    chosen = coalitions(regions, pairs, seed)
    assert len(chosen.shown) <= pairs
    rows = [*map(tuple, chosen.shown.tolist()), *map(tuple, (~chosen.shown).tolist())]
    assert len(set(rows)) == len(rows)
    assert all(0 < sum(row) < regions for row in rows)
    if len(rows):
        whole = sum((regions - 1) / (s * (regions - s)) for s in range(1, regions))
        assert float(chosen.weights.sum()) * 2 == pytest.approx(whole)


def test_drawn_sizes_have_the_chances_of_their_weights():
    chosen = coalitions(30, 300, 1)
    sizes = chosen.shown.sum(dim=1)
    assert int((sizes == 1).sum()) == 30, "the single regions are all there"
    drawn = {size: float(chosen.weights[sizes == size].sum()) for size in range(2, 16)}
    for size, weight in drawn.items():
        share = 29 / (size * (30 - size)) * (0.5 if size == 15 else 1)
        assert weight == pytest.approx(share, rel=0.6)


# Kernel SHAP


def test_values_match_the_slow_definition():
    detector, image, targets = two_that_lean_on_each_other()
    method = KernelShap(regions=6, segments="grid", samples=64, masker="grey")
    maps = explain(method, detector, image, targets)
    cells = cut(image, 6, "grid")
    for target, one in zip(targets, maps, strict=True):

        @remembered
        def value(some, target=target):
            shown = torch.isin(cells, torch.tensor(sorted(some), dtype=torch.int64))
            return score_of_shown(detector, image, target, shown, "grey")

        slow = slow_shapley(value, range(6))
        expected = torch.tensor([slow[cell] for cell in range(6)])
        assert float(expected.abs().max()) > 0.1
        sums = torch.zeros(6).index_add(0, cells.flatten(), one.heatmap.flatten())
        torch.testing.assert_close(sums, expected, rtol=1e-4, atol=1e-5)
        assert one.measured["interval"] == 0, "nothing was left to chance"


def test_values_match_the_package_on_a_small_game():
    shap = pytest.importorskip("shap")
    weights = np.random.default_rng(0).normal(size=6)

    def play(shown):
        return np.tanh(shown @ weights) + shown[:, 0] * shown[:, 3] - shown[:, 1] * shown[:, 2]

    package = shap.KernelExplainer(play, np.zeros((1, 6)), keep_index=False)
    expected = package.shap_values(np.ones((1, 6)), nsamples=64, l1_reg=False, silent=True)[0]
    pairs = coalitions(6, 31, 0)
    ends = torch.tensor([[False], [True]]).expand(2, 6)
    shown = torch.cat([ends, pairs.shown, ~pairs.shown])
    values = solve(pairs, torch.from_numpy(play(shown.double().numpy()))[:, None])
    torch.testing.assert_close(values[:, 0], torch.from_numpy(expected), rtol=1e-8, atol=1e-8)


def test_by_hand_the_only_region_that_matters_gets_everything():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets = found(detector, image)
    method = KernelShap(regions=64, segments="grid", samples=200, masker="grey")
    (one,) = explain(method, detector, image, targets)
    gain = one.measured["score"] - one.measured["baseline_score"]
    assert one.measured["score"] == pytest.approx(1 / (1 + math.exp(-4)))
    assert gain > 0.9
    expected = torch.zeros(64, 64)
    expected[16:24, 24:32] = gain / CELL**2
    torch.testing.assert_close(one.heatmap, expected, rtol=1e-4, atol=1e-6)
    assert one.measured["interval_share"] < 1e-6


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("masker", MASKERS)
def test_maps_sum_to_what_showing_everything_adds(name, masker):
    detector, image, targets = two_that_lean_on_each_other()
    method = build_method(name, masker=masker, **QUICK[name])
    everything, nothing = torch.ones(64, 48, dtype=torch.bool), torch.zeros(64, 48, dtype=bool)
    for target, one in zip(targets, explain(method, detector, image, targets), strict=True):
        whole = score_of_shown(detector, image, target, everything, masker)
        empty = score_of_shown(detector, image, target, nothing, masker)
        assert float(one.heatmap.double().sum()) == pytest.approx(whole - empty, abs=1e-5)
        assert one.measured["score"] == pytest.approx(whole)
        assert one.measured["baseline_score"] == pytest.approx(empty, abs=1e-7)
        assert one.measured["completeness_error"] < 1e-9


def test_the_interval_holds_the_exact_values_about_as_often_as_it_says():
    generator = torch.Generator().manual_seed(0)
    regions, inside, errors, halves_ = 10, [], [], []
    full = coalitions(regions, 2**regions, 0)
    mix = torch.randn(regions, regions, generator=generator, dtype=torch.float64)

    def scores(pairs):
        ends = torch.tensor([[False], [True]]).expand(2, regions)
        shown = torch.cat([ends, pairs.shown, ~pairs.shown]).double()
        return torch.tanh((shown @ mix * shown).sum(dim=1) / 4)[:, None]

    from xai_detect.explainers.shapley.kernel_shap import standard_error

    exact = solve(full, scores(full))
    for seed in range(30):
        pairs = coalitions(regions, 60, seed)
        error = (solve(pairs, scores(pairs)) - exact).abs()
        half = 1.96 * standard_error(pairs, scores(pairs))
        inside.append((error <= half).double().mean())
        errors.append(error.mean())
        halves_.append(half.mean())
    assert float(torch.stack(inside).mean()) > 0.88
    assert float(torch.stack(halves_).mean()) < 5 * float(torch.stack(errors).mean())


def test_more_samples_narrow_the_interval():
    detector, image, targets = two_that_lean_on_each_other()
    wide, narrow = (
        explain(KernelShap(regions=40, samples=samples), detector, image, targets[1:])[0]
        for samples in (100, 800)
    )
    assert 0 < narrow.measured["interval"] < 0.7 * wide.measured["interval"]
    assert wide.measured["forward_passes"] == 100
    assert narrow.measured["forward_passes"] == 800


def test_no_more_is_asked_than_there_are_coalitions():
    detector, image, targets = two_that_lean_on_each_other()
    method = KernelShap(regions=4, segments="grid", samples=1000)
    assert explain(method, detector, image, targets)[0].measured["forward_passes"] == 16


def test_too_few_pairs_give_no_interval():
    detector, image, targets = two_that_lean_on_each_other()
    method = KernelShap(regions=6, segments="grid", samples=20)
    (one,) = explain(method, detector, image, targets[:1])
    assert math.isnan(one.measured["interval"])


# Partition SHAP


def test_a_tree_of_halves_by_hand():
    tree, blocks = halves(2, 3)
    assert blocks[:6] == [
        (row, row + 1, column, column + 1) for row in (0, 1) for column in (0, 1, 2)
    ]
    assert blocks[-1] == (0, 2, 0, 3)
    assert blocks[6 + 0] == (0, 2, 0, 1), "the longer side is cut first"
    assert tree[-1].tolist()[2:] == [1.0, 6.0]
    assert tree[0].tolist() == [0, 3, 1, 2]


def test_values_lie_evenly_on_the_pixels_of_their_blocks():
    _, blocks = halves(2, 2)
    values = [0.0, 3.0, 0.0, 0.0, *[0.0] * (len(blocks) - 5), 15.0]
    heatmap = spread(np.array(values), blocks, (5, 3), 2, 2)
    expected = torch.ones(5, 3)
    expected[:3, 2] += 1.0
    torch.testing.assert_close(heatmap, expected)


def test_a_tree_that_is_cut_to_the_leaves_gives_the_slow_owen_values():
    detector, image, targets = two_that_lean_on_each_other()
    method = PartitionShap(evaluations=5000, cells=4, masker="grey")
    cells = grid((64, 48), 4, 3)
    leaves = [(row, row + 1, column, column + 1) for row in range(4) for column in range(3)]

    def owen(block, before, weight, value, result):
        top, bottom, left, right = block
        own = {leaves.index(one) for one in leaves
               if top <= one[0] < bottom and left <= one[2] < right}  # fmt: skip
        if len(own) == 1:
            (leaf,) = own
            result[leaf] += weight * (value(before | own) - value(before))
            return
        if bottom - top >= right - left:
            middle = (top + bottom) // 2
            parts = [(top, middle, left, right), (middle, bottom, left, right)]
        else:
            middle = (left + right) // 2
            parts = [(top, bottom, left, middle), (top, bottom, middle, right)]
        for part, other in (parts, parts[::-1]):
            beside = {
                leaves.index(one)
                for one in leaves
                if other[0] <= one[0] < other[1] and other[2] <= one[2] < other[3]
            }
            for context in (before, before | beside):
                owen(part, context, weight / 2, value, result)

    for target, one in zip(targets, explain(method, detector, image, targets), strict=True):

        @remembered
        def value(some, target=target):
            shown = torch.isin(cells, torch.tensor(sorted(some), dtype=torch.int64))
            return score_of_shown(detector, image, target, shown, "grey")

        slow = torch.zeros(12, dtype=torch.float64)
        owen((0, 4, 0, 3), set(), 1.0, value, slow)
        assert float(slow.abs().max()) > 0.1
        sums = torch.zeros(12).index_add(0, cells.flatten(), one.heatmap.flatten())
        torch.testing.assert_close(sums, slow.float(), rtol=1e-4, atol=1e-5)


def test_by_hand_the_search_ends_at_the_square():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    (target,) = found(detector, image)
    (one,) = explain(PartitionShap(cells=8, masker="grey"), detector, image, [target])
    inside = float(one.heatmap[16:24, 24:32].sum())
    assert inside == pytest.approx(float(one.heatmap.sum()), rel=1e-3)


def test_targets_share_what_was_asked_for_the_others():
    detector, image, targets = two_that_lean_on_each_other()
    method = PartitionShap(evaluations=60)
    alone = sum(
        explain(method, detector, image, [target])[0].measured["forward_passes"]
        for target in targets
    )
    detector.module.seen.clear()
    maps = explain(method, detector, image, targets)
    assert maps[0].measured["forward_passes"] == sum(detector.module.seen) < 0.9 * alone


def test_a_missing_package_is_named_with_the_command(monkeypatch):
    detector, image, targets = two_that_lean_on_each_other()
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'xai-detect\[shap\]'"):
        explain("partition_shap", detector, image, targets)


def test_ties_are_broken_by_the_seed_and_never_by_the_callers_generator():
    detector, image, targets = two_that_lean_on_each_other()
    np.random.seed(5)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = explain(PartitionShap(evaluations=60, seed=3), detector, image, targets[:1])[0]
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    np.random.seed(6)  # noqa: NPY002
    second = explain(PartitionShap(evaluations=60, seed=3), detector, image, targets[:1])[0]
    assert torch.equal(first.heatmap, second.heatmap)


# Both


@pytest.mark.parametrize("name", QUICK)
def test_batch_size_never_changes_a_map(name):
    detector, image, targets = two_that_lean_on_each_other()
    one, other = (
        explain(build_method(name, batch=batch, **QUICK[name]), detector, image, targets)
        for batch in (1, 7)
    )
    for first, second in zip(one, other, strict=True):
        torch.testing.assert_close(first.heatmap, second.heatmap, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize(("domain", "fill"), [("photo", "blur"), ("xray", "inpaint_telea")])
def test_the_masker_follows_the_domain(name, domain, fill):
    detector, image = ToyDetector(domain=domain), scene(("red", 2, 3), background=0.7)
    targets = found(detector, image)
    (auto,) = explain(build_method(name, **QUICK[name]), detector, image, targets)
    (named,) = explain(build_method(name, masker=fill, **QUICK[name]), detector, image, targets)
    assert torch.equal(auto.heatmap, named.heatmap)
    assert auto.settings["masker"] == "auto"


@pytest.mark.parametrize("name", QUICK)
def test_what_never_scores_gives_a_flat_map(name):
    toy, image = ToyDetector(), scene(("red", 2, 3))
    target = found(toy, image)[0].as_class("blue")
    (one,) = explain(build_method(name, **QUICK[name]), SealedToy(toy), scene(), [target])
    assert not one.heatmap.any()
    assert math.isnan(one.measured["completeness_error"])


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (2, 2)])
def test_images_of_a_few_pixels_work(name, size):
    detector = ToyDetector(letterbox=64)
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    targets = list(detect(detector, image, 0.0))[:1]
    (one,) = explain(build_method(name, masker="grey", **QUICK[name]), detector, image, targets)
    gain = one.measured["score"] - one.measured["baseline_score"]
    assert float(one.heatmap.sum()) == pytest.approx(gain, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        (
            "kernel_shap",
            {"segments": "voronoi"},
            "no segments 'voronoi'; choose from slic, slico, grid",
        ),
        ("kernel_shap", {"regions": 0}, "regions is 0; expected at least 1"),
        ("kernel_shap", {"regions": 64, "samples": 100}, "samples is 100 .* at least 130"),
        ("kernel_shap", {"seed": -1}, "seed is -1"),
        ("kernel_shap", {"batch": 0}, "batch is 0"),
        ("partition_shap", {"evaluations": 3}, "evaluations is 3; expected at least 4"),
        ("partition_shap", {"cells": 0}, "cells is 0; expected 1 to 256"),
        ("partition_shap", {"seed": -1}, "seed is -1"),
        ("partition_shap", {"batch": 0}, "batch is 0"),
    ],
)
def test_bad_settings_are_named(name, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        METHODS[name](**settings)


@pytest.mark.parametrize("name", QUICK)
def test_a_masker_that_does_not_exist_is_named(name):
    detector, image, targets = two_that_lean_on_each_other()
    with pytest.raises(InputError, match="no fill 'white'"):
        explain(build_method(name, masker="white"), detector, image, targets)


@pytest.mark.weights
@pytest.mark.parametrize("name", QUICK)
def test_a_trained_detector_is_explained_by_its_objects(name, shared, coco_images):
    from xai_detect.detectors.load import load_detector
    from xai_detect.values import boxes

    detector = load_detector(shared / "weights" / "yolo11n.pt", imgsz=192)
    image = load_image(coco_images[1])
    targets = found(detector, image)[:1]
    settings = {"kernel_shap": {"regions": 30, "samples": 70},
                "partition_shap": {"evaluations": 60}}[name]  # fmt: skip
    (one,) = explain(build_method(name, **settings), detector, image, targets)
    gain = one.measured["score"] - one.measured["baseline_score"]
    assert gain > 0.2
    assert float(one.heatmap.double().sum()) == pytest.approx(gain, abs=1e-4)
    inside = boxes.mask(targets[0].box, tuple(image.shape[1:]))
    positive = one.heatmap.clamp(min=0)
    share = float(positive[inside].sum() / positive.sum())
    assert share > float(inside.float().mean())
