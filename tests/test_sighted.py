"""Gradients of a class that is in sight: against a Riemann sum, and what they cost and promise."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from cues import CUE, CueToy, shown
from toy import BIAS, GAIN, ToyDetector, scene

from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import Candidates
from xai_detect.errors import InputError
from xai_detect.explainers.gradients.integrated import baseline_image
from xai_detect.explainers.gradients.sighted import SCALARS, SightedGradients, runner_up
from xai_detect.explainers.gradients.sighted_path import FLOOR, SHORTEST, Piece, Point, SightedPath
from xai_detect.inspection.image import detect

FINE = SightedGradients(48, 96, 0.0)


def asked(detector, image, row=0):
    placed = place(detector, image)
    return placed, detect(detector, placed).target(row)


def riemann(detector, placed, target, rival, steps=800):
    """Both maps over the input by many even steps, and what they should add up to."""
    start = placed.frame.to_input(
        baseline_image(placed.image, "auto", detector.provenance.domain)[None]
    )
    change = placed.pixels - start
    total = torch.zeros(2, *change.shape[1:])
    for step in range(steps):
        point = (start + (step + 0.5) / steps * change).requires_grad_()
        log_odds = detector.candidate(point, [target], placed.frame).log_odds[0, 0]
        own, other = log_odds[target.label], log_odds[rival]
        floored = torch.log1p(torch.exp(own - FLOOR))
        lead = (own - other) * torch.sigmoid(own - FLOOR).detach()
        for row, value in enumerate((floored, lead)):
            (gradient,) = torch.autograd.grad(value, point, retain_graph=row == 0)
            total[row] += gradient[0] / steps
    return (total * change[0]).sum(dim=1)


CASES = {
    "curved": (ToyDetector(curved=True), scene(("red", 5, 5), ("green", 1, 2), background=0.6)),
    "elsewhere": (
        ToyDetector(elsewhere=0.6, curved=True), scene(("red", 0, 0), ("red", 5, 5), background=0.6)
    ),
    "presence": (CueToy("presence"), shown(CUE)),
    "class": (CueToy("class"), shown(CUE)),
    "xray": (CueToy("presence", domain="xray"), shown(CUE, background=0.9)),
}  # fmt: skip


@cache
def slow_maps(case):
    detector, image = CASES[case]
    placed, target = asked(detector, image)
    return riemann(detector, placed, target, runner_up(detector, placed, target))


@pytest.mark.parametrize("case", CASES)
def test_both_maps_are_a_riemann_sum_of_many_steps(case):
    detector, image = CASES[case]
    placed, target = asked(detector, image)
    slow = slow_maps(case)
    for found, expected in zip(FINE.pair(detector, placed, target), slow, strict=True):
        gap = float((found.attribution.heatmap - expected).abs().sum())
        assert gap < 0.02 * float(expected.abs().sum())
        torch.testing.assert_close(found.attribution.heatmap, found.content)


@pytest.mark.parametrize("case", CASES)
def test_the_cheap_maps_show_the_same_and_have_settled(case):
    detector, image = CASES[case]
    placed, target = asked(detector, image)
    pair = SightedGradients().pair(detector, placed, target)
    for found, expected in zip(pair, slow_maps(case), strict=True):
        both = torch.stack([found.content.flatten(), expected.flatten()])
        assert float(torch.cosine_similarity(both[0], both[1], dim=0)) > 0.99
        assert found.attribution.measured["completeness_error"] < 0.15


def test_the_map_of_why_detected_adds_up_to_the_floored_score():
    detector, image = ToyDetector(curved=True), scene(("red", 5, 5), background=0.6)
    placed, target = asked(detector, image)
    (found,) = FINE.pair(detector, placed, target, both=False)
    start = baseline_image(image, "auto", "photo")[None]
    with torch.no_grad():
        ends = [float(detector.score(pixels, target)) for pixels in (start, placed.pixels)]
    low, high = (math.log1p(math.exp(end - FLOOR)) for end in ends)
    assert ends[1] == pytest.approx(BIAS + GAIN, abs=1e-3)
    total = float(found.attribution.heatmap.sum())
    assert total == pytest.approx(high - low, rel=0.01)
    error = abs(total - (high - low)) / (high - low)
    assert found.attribution.measured["completeness_error"] == pytest.approx(error, abs=2e-3)


def test_what_is_never_in_sight_has_no_map():
    detector, image = ToyDetector(), scene(("red", 5, 5), background=0.6)
    placed, target = asked(detector, image)
    unseen = replace(target, candidate=0, label=1)
    found = SightedGradients().pair(detector, placed, unseen)
    for one in found:
        assert float(one.attribution.heatmap.abs().sum()) == 0
        assert one.attribution.measured["backward_passes"] == 0


def test_the_second_map_compares_with_the_runner_up_or_with_a_class_that_is_named():
    detector, image = ToyDetector(curved=True), scene(("red", 5, 5), background=0.6)
    image[1, 40:48, 40:48] = 0.3  # some green: the runner-up
    placed, target = asked(detector, image)
    assert (target.name, runner_up(detector, placed, target)) == ("red", 1)
    first, second = SightedGradients().pair(detector, placed, target)
    named = SightedGradients().pair(detector, placed, target, rival=1)
    other = SightedGradients().pair(detector, placed, target, rival=2)
    assert torch.equal(second.content, named[1].content)
    assert not torch.allclose(second.content, other[1].content)
    assert not torch.allclose(first.content, second.content)


def test_with_one_class_there_is_one_map():
    detector = CueToy("one_class")
    placed, target = asked(detector, shown(CUE))
    assert runner_up(detector, placed, target) is None
    assert len(SightedGradients().pair(detector, placed, target)) == 1


@pytest.mark.parametrize("scalar", SCALARS)
def test_called_as_a_method_it_gives_one_of_the_pair(scalar):
    detector, image = CASES["presence"]
    placed, target = asked(detector, image)
    method = SightedGradients(scalar=scalar)
    (found,) = method(detector, placed, [target])
    pair = method.pair(detector, placed, target)
    row = SCALARS.index(scalar)
    torch.testing.assert_close(found.heatmap, pair[row].attribution.heatmap, atol=0.02, rtol=0.1)
    assert method.brief() is method


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("both", [False, True])
def test_passes_are_counted_and_no_more_than_expected(case, both):
    detector, image = CASES[case]
    placed, target = asked(detector, image)
    detector.module.seen.clear()
    found = SightedGradients().pair(detector, placed, target, both=both)
    for one in found:
        assert one.attribution.measured["forward_passes"] == sum(detector.module.seen)
    method = SightedGradients()
    most_forward = 2 * method.most + 1 + both
    assert 13 + 4 + both <= sum(detector.module.seen) <= most_forward
    backward = found[0].attribution.measured["backward_passes"]
    assert 0 < backward <= method.most * (1 + both)
    forward, backward = method.expected_passes(3)
    assert (forward, backward) == (3 * (2 * 9 + 1), 3 * 9 * 2)


def test_more_pieces_are_cut_until_the_tolerance_is_met():
    detector, image = CASES["curved"]
    placed, target = asked(detector, image)

    def spent(tolerance):
        method = SightedGradients(6, 30, tolerance)
        (found,) = method.pair(detector, placed, target, both=False)
        return found.attribution.measured

    loose, strict = spent(10.0), spent(0.01)
    assert loose["forward_passes"] == 13 + 4, "one piece is cut in any case"
    assert strict["forward_passes"] > loose["forward_passes"]
    assert strict["completeness_error"] < loose["completeness_error"]
    assert strict["completeness_error"] < 0.01


def test_pieces_too_short_to_matter_are_not_cut():
    """A step within single precision would be cut for ever."""
    detector, image = CASES["curved"]
    placed, target = asked(detector, image)
    path = SightedPath(detector, placed, target, torch.zeros_like(placed.pixels), None)
    whole = np.array([1.0, 1.0])
    for width, counts in ((SHORTEST * 0.9, False), (SHORTEST * 1.1, True)):
        low, high = Point(0.5, 1.0, 0.0), Point(0.5 + width, 2.0, 0.0)
        piece = Piece(low, high, None, np.zeros(1))
        assert (path._miss(piece, whole) == 1) == counts
        assert (path._miss(piece, whole) == 0) != counts


def test_the_map_before_the_last_cut_is_another_one_and_close():
    detector, image = CASES["curved"]
    placed, target = asked(detector, image)
    coarse, fine = (
        SightedGradients(*size).pair(detector, placed, target, both=False)[0]
        for size in ((4, 6, 0.0), (40, 80, 0.0))
    )
    for found, most in ((coarse, 1.0), (fine, 0.01)):
        moved = float((found.content - found.before).abs().sum() / found.content.abs().sum())
        assert 0 < moved < most


def test_a_detector_that_can_run_its_head_on_windows_is_asked_in_that_way():
    class Windows(ToyDetector):
        asked = 0

        def nearby(self, pixels, targets, frame):
            self.asked += 1
            return super().candidate(pixels, targets, frame)

        def patches(self, features, targets):
            raise NotImplementedError

        def candidate(self, pixels, targets, frame):  # noqa: ARG002
            log_odds = torch.zeros(1, 1, 3)
            return Candidates(log_odds, torch.zeros(1, 1, 4))

    image = scene(("red", 5, 5), background=0.6)
    plain, windows = ToyDetector(), Windows()
    placed, target = asked(plain, image)
    one = SightedGradients().pair(plain, placed, target, rival=1)
    other = SightedGradients().pair(windows, placed, target, rival=1)
    assert windows.asked > 0
    assert torch.equal(one[1].content, other[1].content)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"first": 1}, "first is 1 and most 10; expected 2 <= first <= most - 2"),
        ({"first": 9}, "first is 9 and most 10"),
        ({"scalar": "side_l"}, "'side_l'; choose from logit, margin"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        SightedGradients(**settings)


def test_the_least_and_the_most_settings_are_taken():
    assert SightedGradients(first=2).first == 2
    assert SightedGradients(first=8).most == 10
    assert np.isclose(1 / (1 + np.exp(-FLOOR)), 0.018, atol=1e-3)
