"""Searches over regions: by hand, against slow definitions, and on a detector that ships."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy import RawToy, SealedToy, ToyDetector, scene

import xai_detect as xd
from xai_detect.errors import InputError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.regions import cut, shuffled, squares
from xai_detect.explainers.search import phasewin, vx_code
from xai_detect.explainers.search.phasewin import CONSTANTS, PhaseWin
from xai_detect.explainers.search.region_scores import (
    RegionScores,
    best_first,
    first_best,
)
from xai_detect.explainers.search.vps import VisualPrecisionSearch, greedy, objective, region_values
from xai_detect.explainers.search.vx_code import VxCode, near_patches, rank_sets
from xai_detect.inspection.image import detect
from xai_detect.scores.survival import Survival
from xai_detect.values import boxes, fills
from xai_detect.xray.scenes.planted import render
from xai_detect.xray.scenes.worlds import compose_apart

PLAIN = CONSTANTS["wrapper"]._replace(
    window=1000, delete=0.0, pool=0.0, accept=1.0, ratio_step=float("inf")
)
"""PhaseWin without anything that saves a rescoring."""


def found(detector, image):
    return list(detect(detector, image))


def members(one):
    return [region for region in range(one.bit_length()) if one >> region & 1]


def scored(function):
    """A set function as the searches ask for it."""
    return lambda sets: torch.tensor([function(members(one)) for one in sets]).double()


def modular(weights):
    return scored(lambda regions: float(sum(weights[one] for one in regions)))


def covering(sizes):
    """Monotone with falling gains: how much several overlapping sets cover."""
    return scored(
        lambda regions: float(sum(1 - np.prod([1 - row[r] for r in regions]) for row in sizes))
    )


def slow_greedy(function, count):
    """The definition, one call per question, smallest number first."""
    chosen, left = [], list(range(count))
    while left:
        values = [float(function([sum(1 << one for one in [*chosen, r])])[0]) for r in left]
        best = next(i for i, value in enumerate(values) if value >= max(values) - 1e-6)
        chosen.append(left.pop(best))
    return chosen


def show(image, labels, regions, fill):
    """Only these regions of an image on a fill; the network sees the image unchanged."""
    visible = torch.zeros(labels.shape, dtype=torch.bool)
    for one in regions:
        visible |= labels == one
    return torch.where(visible, image, fills.hide_all(image, fill))


def slow_score(detector, target, image):
    """The best product of IoU and confidence over the toy's cells."""
    raw = detector.raw(image[None])
    overlap = boxes.iou(torch.tensor([target.box]), raw.boxes[0, :, 0])[0]
    return float((overlap * raw.probabilities[0, :, target.label]).max())


def slow_visual_precision_search(detector, target, image, labels, fill):
    """Order, objective after each region and values, as the paper writes them."""
    count = int(labels.max()) + 1
    everything = set(range(count))

    def worth(regions):
        clue = slow_score(detector, target, show(image, labels, regions, fill))
        colla = 1 - slow_score(
            detector, target, show(image, labels, everything - set(regions), fill)
        )
        return clue + colla

    order, reached = [], []
    while len(order) < count:
        left = [one for one in range(count) if one not in order]
        values = [worth([*order, one]) for one in left]
        best = next(i for i, value in enumerate(values) if value >= max(values) - 1e-6)
        order.append(left[best])
        reached.append(values[best])
    value, values = 0.0, {order[0]: 0.0}
    for place in range(1, count):
        value -= abs(reached[place] - reached[place - 1])
        values[order[place]] = value
    return order, values


def test_one_by_one_matches_the_slow_definition_in_order_and_value():
    detector = ToyDetector(cell=32)  # an object of several superpixels
    image = scene(("red", 0, 1), ("blue", 1, 0), cell=32)
    image += 0.05 * torch.randn(image.shape, generator=torch.Generator().manual_seed(3))
    image = image.clamp(0, 1)
    for target in found(detector, image)[:2]:
        method = VisualPrecisionSearch(regions=14, fill="grey")
        (one,) = explain(method, detector, image, [target])
        labels = shuffled(cut(image, 14, "slico"), 0)
        order, slow = slow_visual_precision_search(detector, target, image, labels, "grey")
        values = [float(one.heatmap[labels == region].unique()) for region in order]
        expected = [slow[region] - slow[order[-1]] for region in order]  # the last one is 0
        assert values == pytest.approx(expected, abs=1e-5)
        assert values == sorted(values, reverse=True)
        assert values[0] > 0.5


def test_values_by_hand():
    # From the empty set on: 0.5, then 0.5, then -0.25; what is still to come in either direction.
    reached = {0: 0.5, 0b010: 1.0, 0b011: 1.5, 0b111: 1.25}
    worth = lambda sets: torch.tensor([reached[one] for one in sets]).double()  # noqa: E731
    assert region_values(worth, [1, 0, 2], "insertion").tolist() == [0.25, 0.75, 0.0]
    assert region_values(worth, [1, 0, 2], "deletion").tolist() == [0.75, 1.25, 0.25]


def test_the_objective_by_hand():
    scores = scored(lambda regions: {(): 0.0, (0,): 0.5, (1,): 0.125, (0, 1): 0.75}[tuple(regions)])
    assert objective(scores, 0b11, "insertion")([0b01, 0b10, 0b11]).tolist() == [
        0.5 + 1 - 0.125,
        0.125 + 1 - 0.5,
        0.75 + 1,
    ]
    assert objective(scores, 0b11, "deletion")([0b01, 0b10]).tolist() == [1 - 0.125, 1 - 0.5]


@given(st.lists(st.lists(st.floats(0, 1), min_size=6, max_size=6), min_size=1, max_size=4))
def test_greedy_is_the_slow_greedy(rows):
    assert greedy(covering(rows), 6) == slow_greedy(covering(rows), 6)


@given(st.integers(0, 10_000))
def test_phasewin_without_savings_is_greedy_where_every_region_adds_something(seed):
    rows = np.random.default_rng(seed).uniform(0.05, 0.9, (4, 7))
    generator = torch.Generator().manual_seed(seed)
    assert phasewin.Search(covering(rows), 7, PLAIN, generator).run() == greedy(covering(rows), 7)


@given(st.integers(0, 10_000), st.sampled_from(["selector", "wrapper"]), st.integers(1, 30))
def test_phasewin_ranks_every_region_once(seed, constants, count):
    rows = np.random.default_rng(seed).uniform(-0.5, 0.9, (3, count))
    generator = torch.Generator().manual_seed(seed)
    run = phasewin.Search(covering(rows), count, CONSTANTS[constants], generator).run()
    assert sorted(run) == list(range(count))


def asked(function):
    """The function, and the list of all distinct sets it was asked about."""
    sets = {}

    def counting(some):
        sets.update(dict.fromkeys(some))
        return function(some)

    return counting, sets


@pytest.mark.parametrize("constants", CONSTANTS)
def test_phasewin_asks_far_less_and_comes_close(constants):
    rows = np.random.default_rng(5).beta(0.3, 3, (20, 40))
    worth, sets = asked(covering(rows))
    order = phasewin.Search(worth, 40, CONSTANTS[constants], torch.Generator()).run()
    best = greedy(covering(rows), 40)

    def curve(ranked):
        return float(covering(rows)([sum(1 << r for r in ranked[:n]) for n in range(1, 41)]).sum())

    assert len(sets) < 0.6 * 40 * 41 / 2
    assert curve(order) > 0.97 * curve(best)


def test_phasewin_by_hand():
    # One dominant region, two good ones, two weak ones that are set aside at once.
    weights = [0.02, 1.0, 0.9, 8.0, 0.01]
    worth, sets = asked(modular(weights))
    search_ = phasewin.Search(worth, 5, CONSTANTS["wrapper"], torch.Generator())
    assert search_.run() == [3, 1, 2, 0, 4]
    # Empty, 5 singles, the other 4 with the best, window of one: {1} known, then {2} after it;
    # the two that were set aside once more at the end.
    assert len(sets) == 1 + 5 + 4 + 1 + 2


def test_a_phase_ends_where_gains_fall_off_faster():
    everything = CONSTANTS["wrapper"]._replace(
        window=10, delete=0.0, pool=0.0, accept=0.0, temperature=0.0, protection=0.0
    )

    def drop(third):
        """Whether the phase ended after the gain 1, then .5, then this, with one region left."""
        worth, sets = asked(modular([9.0, 1.0, 0.5, third, third / 2 - 0.1]))
        assert phasewin.Search(worth, 5, everything, torch.Generator()).run() == [0, 1, 2, 3, 4]
        return 0b1111 in sets

    assert not drop(0.25)  # the same ratio again
    assert not drop(0.2485)  # 2.012 - 2 is within the step
    assert drop(0.24)
    assert drop(0.01)


def test_the_last_region_of_a_phase_must_stay_near_the_one_before():
    # Gains in one window: 1, 0.99, 0.9 falls off (1.1 - 1.01 > 0.02) below 0.98 of 0.99.
    constants = CONSTANTS["wrapper"]._replace(window=10, accept=0.5)
    ended_before = {}
    for protection in (0.98, 0.5):
        worth, sets = asked(modular([9.0, 1.0, 0.99, 0.9, 0.8]))
        kind = constants._replace(protection=protection)
        order = phasewin.Search(worth, 5, kind, torch.Generator()).run()
        assert order == [0, 1, 2, 3, 4]
        # what a new phase asks first: the last region instead of the one before it
        ended_before[protection] = 0b10111 in sets
    assert ended_before == {0.98: True, 0.5: False}


def test_who_waits_is_deferred_once_at_most_and_by_chance():
    def order(temperature, seed):
        constants = CONSTANTS["wrapper"]._replace(
            window=1, delete=0.0, pool=0.0, accept=0.0, decay=1.0, protection=0.0,
            ratio_step=float("inf"), temperature=temperature,
        )  # fmt: skip
        generator = torch.Generator().manual_seed(seed)
        return phasewin.Search(modular([9.0, 0.9, 0.8, 0.7, 0.6]), 5, constants, generator).run()

    assert order(0.0, 0) == [0, 1, 2, 3, 4]
    assert order(1.0, 0) == [0, 1, 2, 3, 4]  # all sent back once, then in the old order
    by_chance = [order(0.5, seed) for seed in range(20)]
    assert len({tuple(one) for one in by_chance}) > 3
    for one in by_chance:
        assert one[:2] == [0, 1]  # who is in the window already does not wait
        assert sorted(one) == [0, 1, 2, 3, 4]


def slow_sets(function, candidates, size, early, singles):
    """The definition of collective contribution with every set asked anew."""
    value = lambda regions: float(function([sum(1 << r for r in regions)])[0])  # noqa: E731
    order, before = [], []
    while len(order) < len(candidates):
        left = [one for one in candidates if one not in order]
        now = min(size, len(left)) if len(order) < early else 1
        ranked = sorted(left, key=lambda one: -round(value([*order, one]) / 1e-6))
        pool = left if now == 1 else sorted(ranked[: max(singles, now)], key=left.index)
        best = max(itertools.combinations(pool, now), key=lambda one: value([*order, *one]))
        ways = list(itertools.permutations(best))
        sums = [sum(value([*order, *way[: n + 1]]) for n in range(now)) for way in ways]
        for one in ways[sums.index(max(sums))]:
            before.append(value(order))
            order.append(one)
    return order, before


def tangled(seed, count):
    """A set function whose regions work together in pairs."""
    rng = np.random.default_rng(seed)
    alone, pairs = rng.uniform(0, 1, count), rng.uniform(-1, 1, (count, count))
    return scored(
        lambda regions: float(
            alone[regions].sum() + sum(pairs[a, b] for a in regions for b in regions if a < b)
        )
    )


@pytest.mark.parametrize("together", [1, 2, 3])
@given(seed=st.integers(0, 10_000))
def test_sets_match_the_slow_definition(together, seed):
    candidates = [0, 2, 3, 4, 6, 7]
    fast = rank_sets(tangled(seed, 8), candidates, together, 4, 4)
    order, before = slow_sets(tangled(seed, 8), candidates, together, 4, 4)
    assert fast.order == order
    assert fast.before == pytest.approx(before)


def test_pairs_find_what_single_patches_cannot():
    def both(regions):
        return 1.0 if {1, 3} <= set(regions) else 0.1 * (0 in regions)

    assert rank_sets(scored(both), range(5), 1, 5, 30).order[0] == 0
    assert set(rank_sets(scored(both), range(5), 2, 2, 30).order[:2]) == {1, 3}


def slow_heat(detector, target, image, labels, mode):
    count = int(labels.max()) + 1
    order, heat = [], {}
    sign = 1 if mode == "insertion" else -1

    def score(chosen):
        shown = chosen if mode == "insertion" else set(range(count)) - set(chosen)
        return slow_score(detector, target, show(image, labels, shown, "black"))

    while len(order) < count:
        left = [one for one in range(count) if one not in order]
        values = [sign * score([*order, one]) for one in left]
        best = next(i for i, value in enumerate(values) if value >= max(values) - 1e-6)
        heat[left[best]] = 1 - score(order) if mode == "insertion" else score(order)
        order.append(left[best])
    return heat


@pytest.mark.parametrize("mode", ["insertion", "deletion"])
def test_patches_one_by_one_match_the_slow_definition(mode):
    detector = ToyDetector(cell=32)
    image = scene(("red", 0, 0), size=(64, 64), cell=32)
    image[:, 8:24, 8:24] *= 0.6
    (target,) = found(detector, image)  # a quarter of the image: all patches are tried
    method = VxCode(side=4, mode=mode, fill="black")
    (one,) = explain(method, detector, image, [target])
    labels = shuffled(squares((64, 64), 4), 0)
    heat = slow_heat(detector, target, image, labels, mode)
    for region, value in heat.items():
        assert float(one.heatmap[labels == region].unique()) == pytest.approx(value, abs=1e-5)
    inside = one.heatmap[:32, :32].min()
    assert float(inside) > float(one.heatmap[32:, 32:].max())


def test_the_grid_follows_the_box_and_so_do_the_patches_that_are_tried(monkeypatch):
    frame = ToyDetector().frame((280, 280))
    small, medium, large = (
        (0.0, 0.0, 28.0, 28.0),
        (0.0, 0.0, 100.0, 100.0),
        (0.0, 0.0, 200.0, 200.0),
    )

    def cut(method, box):
        """Patches along a side of the grid that a method cuts the image into for a box."""
        sides = []

        def watched(_size, side):
            sides.append(side)
            raise InputError("enough was seen")

        monkeypatch.setattr(vx_code, "squares", watched)
        with pytest.raises(InputError, match="enough"):
            explain(method, ToyDetector(), torch.rand(3, 280, 280), [replace(target, box=box)])
        return sides

    (target,) = found(ToyDetector(), scene(("red", 2, 3)))
    assert [cut(VxCode(), box) for box in (small, medium, large)] == [[24], [16], [8]]
    assert cut(VxCode(side=5), small) == [5]
    grid = torch.arange(100).view(10, 10).repeat_interleave(28, 0).repeat_interleave(28, 1)
    # The box and a seventh (40 pixels) around it: 28 + 40 pixels touch three cells of 28.
    near = near_patches((0.0, 0.0, 28.0, 28.0), grid, frame)
    assert near == [row * 10 + column for row in range(3) for column in range(3)]
    assert near_patches((0.0, 0.0, 200.0, 200.0), grid, frame) == list(range(100))


def test_patches_are_square_and_superpixels_cover_everything():
    labels = shuffled(squares((30, 60), 6), 0)
    assert int(labels.max()) + 1 == 6 * 3
    assert all((labels == one).sum() == 100 for one in range(18))
    noise = torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(0))
    many = shuffled(cut(noise, 20, "slico"), 0)
    assert many.shape == (40, 50)
    assert set(many.unique().tolist()) == set(range(int(many.max()) + 1))
    assert 10 <= int(many.max()) + 1 <= 30
    assert not torch.equal(many, shuffled(cut(torch.ones(3, 40, 50), 20, "slico"), 1))


def test_what_is_the_same_up_to_rounding_keeps_its_order():
    values = torch.tensor([0.3, 0.7, 0.7 + 1e-8, 0.1]).double()
    assert first_best(values) == 1
    assert best_first(values) == [1, 2, 0, 3]


@pytest.mark.parametrize("fill", ["grey", "mean", "inpaint", "blur(9,9)"])
def test_composed_contents_show_regions(fill):
    detector, image = ToyDetector(letterbox=64), scene(("red", 1, 1), size=(44, 64))
    survival = Survival(detector, image, list(detect(detector, image, 0.0))[:1])
    content = survival.pixels[0, :, *survival.frame.content].contiguous()
    labels = shuffled(squares((44, 64), 4), 0)
    known = RegionScores(survival, labels, fills.Hiding(content, fill))
    everything, some, nothing = known.composed([known.everything, 0b1010, 0])
    torch.testing.assert_close(everything, content)
    shown = (labels == 1) | (labels == 3)
    torch.testing.assert_close(some, fills.hide(image, ~shown, fill))
    torch.testing.assert_close(nothing, fills.hide_all(image, fill))


def test_no_set_is_shown_twice_and_first_rounds_are_shared():
    detector, image = ToyDetector(), scene(("red", 2, 3), ("blue", 5, 1))
    targets = found(detector, image)
    method = VisualPrecisionSearch(regions=9)
    detector.module.seen.clear()
    both = explain(method, detector, image, targets)
    together = sum(detector.module.seen)
    assert together == both[0].measured["forward_passes"]
    apart = [explain(method, detector, image, [target])[0] for target in targets]
    alone = [one.measured["forward_passes"] for one in apart]
    m = both[0].measured["regions"]
    assert alone[0] <= m * (m + 1)
    assert together <= sum(alone) - 2 * m
    assert both[0].measured["score"] == pytest.approx(0.982, abs=1e-3)


@pytest.mark.parametrize(
    "method", [VisualPrecisionSearch(regions=9), PhaseWin(regions=9), VxCode(side=4)]
)
@pytest.mark.parametrize("batch", [1, 5])
def test_batches_never_change_a_map(method, batch):
    detector, image = ToyDetector(curved=True), scene(("red", 2, 3))
    (target,) = found(detector, image)
    (one,) = explain(method, detector, image, [target])
    (other,) = explain(type(method)(**{**one.settings, "batch": batch}), detector, image, [target])
    torch.testing.assert_close(one.heatmap, other.heatmap, rtol=0, atol=1e-6)


@pytest.mark.parametrize("scalar", ["max_raw", "max_raw_cos", "margin", "post_nms"])
@pytest.mark.parametrize("name", ["vps", "phasewin", "vx_code"])
def test_every_scalar_finds_the_square(name, scalar):
    toy, image = ToyDetector(cell=32), scene(("red", 0, 1), cell=32)
    detector = {"max_raw": RawToy, "post_nms": SealedToy}.get(scalar, lambda one: one)(toy)
    (target,) = found(detector, image)
    size = {"side": 4, "mode": "deletion"} if name == "vx_code" else {"regions": 16}
    method = xd.METHODS[name](**size, scalar=scalar)
    (one,) = explain(method, detector, image, [target])
    top = one.heatmap == one.heatmap.max()
    assert float(top[:32, 32:].sum() / top.sum()) > 0.8


def test_a_network_that_ignores_the_image_gets_a_flat_map():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets = found(detector, image)
    with torch.no_grad():
        detector.module.contrast.weight.zero_()
    for method in (VisualPrecisionSearch(regions=9), PhaseWin(regions=9)):
        (one,) = explain(method, detector, image, targets)
        assert float(one.heatmap.abs().max()) == 0
    (one,) = explain(VxCode(side=4), detector, image, targets)
    assert len(one.heatmap.unique()) <= 2  # tried, and not tried


def test_the_region_that_is_shown_is_the_one_that_is_painted():
    detector, image = ToyDetector(cell=16), scene(("red", 1, 2), cell=16)
    (target,) = found(detector, image)
    (one,) = explain(VxCode(side=4, mode="deletion"), detector, image, [target])
    assert float(one.heatmap[16:32, 32:48].min()) == pytest.approx(0.982, abs=1e-3)
    one.heatmap[16:32, 32:48] = 0
    assert float(one.heatmap.max()) < 0.1


def test_bad_settings_are_named():
    for make, words in (
        (lambda: VisualPrecisionSearch(regions=1), "regions is 1; expected at least 2"),
        (lambda: VisualPrecisionSearch(mode="both"), "mode is 'both'; expected one of insertion"),
        (lambda: PhaseWin(fill="water"), "no fill 'water'"),
        (lambda: PhaseWin(constants="paper"), "constants is 'paper'; expected one of selector"),
        (lambda: VxCode(together=4), "together is 4; expected 1, 2 or 3"),
        (lambda: VxCode(side=-1), "side is -1; expected at least 1 patch"),
        (lambda: VxCode(early=2.0), "early is 2.0; expected a share"),
        (lambda: VxCode(singles=0), "singles is 0; expected at least 1"),
    ):
        with pytest.raises(InputError, match=words):
            make()


def test_expected_passes_are_what_a_search_takes():
    detector, image = ToyDetector(cell=32), scene(("red", 0, 1), cell=32)
    targets = found(detector, image)
    for method in (
        VisualPrecisionSearch(regions=16),
        VisualPrecisionSearch(regions=16, mode="deletion"),
        PhaseWin(regions=16),
        VxCode(side=6, together=2, singles=5),
    ):
        (one,) = explain(method, detector, image, targets)
        expected, _ = method.expected_passes(1)
        assert 0.3 <= one.measured["forward_passes"] / expected <= 1.5


@pytest.mark.parametrize(
    "method",
    [
        VisualPrecisionSearch(regions=9, mode="deletion"),
        PhaseWin(regions=9),
        VxCode(side=4, mode="deletion"),
    ],
    ids=lambda one: one.name,
)
def test_a_shipped_detector_finds_its_own_object(method):
    made = render(compose_apart("object", np.random.default_rng(980_000)), 192)
    image = xd.load_image(made.image)
    detector = xd.load_detector("planted/object")
    target = xd.detect(detector, image, confidence=0.25).target(0)
    (one,) = explain(method, detector, image, [target])
    inside = boxes.mask(target.box, (192, 192))
    top = one.heatmap == one.heatmap.max()
    assert float((top & inside).sum() / top.sum()) > 0.5
    assert one.measured["score"] > one.measured["baseline_score"] + 0.5
