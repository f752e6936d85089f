"""Integrated gradients and input x gradient, by hand and against a slow second implementation."""

from pathlib import Path

import captum.attr
import pytest
import torch
from test_torchvision import lively
from toy import CELL, GAIN, ToyDetector, scene

from xai_detect.detectors.load import load_detector
from xai_detect.errors import ExplainError, InputError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.gradients import path
from xai_detect.explainers.gradients.integrated import (
    InputXGradient,
    IntegratedGradients,
    baseline_image,
)
from xai_detect.explainers.methods import build_method
from xai_detect.inspection.image import detect
from xai_detect.values import fills
from xai_detect.values.frame import Frame
from xai_detect.values.images import load_image


def found(detector, image):
    return list(detect(detector, image))


def slow_integrated_gradients(detector, image, target, baseline, steps):
    """The definition: average the gradient over the path by midpoints, in image pixels."""
    frame = detector.frame((image.shape[1], image.shape[2]))
    total = torch.zeros_like(image)
    for step in range(steps):
        low, high = (step / steps) ** 2, ((step + 1) / steps) ** 2
        point = (baseline + (low + high) / 2 * (image - baseline))[None].requires_grad_()
        score = detector.score(frame.to_input(point), target, frame)
        total += torch.autograd.grad(score.sum(), point)[0][0] * (high - low)
    return ((image - baseline) * total).sum(dim=0)


def test_integrated_gradients_of_a_linear_toy_by_hand():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    (target,) = found(detector, image)
    method = IntegratedGradients(steps=2, max_steps=2, baseline="black")
    (map_,) = explain(method, detector, image, [target])
    expected = torch.zeros(64, 64)
    expected[16:24, 24:32] = GAIN / CELL**2
    torch.testing.assert_close(map_.heatmap, expected)
    assert map_.measured["completeness_error"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("letterbox", [None, 48, 96])
def test_fixed_steps_match_the_slow_definition(letterbox):
    detector, image = ToyDetector(curved=True, letterbox=letterbox), scene(("blue", 1, 1))
    target = detect(detector, image, 0.0).target(0)
    baseline = fills.hide_all(image, "blur")
    method = IntegratedGradients(steps=8, max_steps=8, baseline="blur")
    (map_,) = explain(method, detector, image, [target])
    slow = slow_integrated_gradients(detector, image, target, baseline, 8)
    scale = float(slow.abs().max())
    torch.testing.assert_close(map_.heatmap, slow, rtol=0.02, atol=0.02 * scale)


def test_fixed_steps_match_captum_used_directly():
    detector, image = ToyDetector(curved=True), scene(("green", 0, 0))
    (target,) = found(detector, image)
    frame = detector.frame((64, 64))
    engine = captum.attr.IntegratedGradients(lambda pixels: detector.score(pixels, target, frame))
    direct = engine.attribute(
        image[None], baselines=torch.zeros(1, 3, 64, 64), n_steps=64, method="gausslegendre"
    )
    method = IntegratedGradients(steps=64, max_steps=64, baseline="black")
    (map_,) = explain(method, detector, image, [target])
    torch.testing.assert_close(map_.heatmap, direct[0].sum(dim=0).float(), rtol=1e-3, atol=1e-4)


def test_captum_integrates_the_same_path_by_the_same_rule():
    """Both engines and Captum by itself, at fixed points and with points doubled."""
    detector, image = ToyDetector(curved=True), scene(("green", 0, 0), ("red", 4, 4))
    targets = found(detector, image)
    settings = {"steps": 10, "max_steps": 40, "tolerance": 1e-9, "baseline": "black"}
    shared, theirs, plain = (
        explain(IntegratedGradients(**settings, **how), detector, image, targets)
        for how in ({"rule": "gausslegendre"}, {"engine": "captum"}, {})
    )
    for row, target in enumerate(targets):
        engine = captum.attr.IntegratedGradients(lambda x, asked=target: detector.score(x, asked))
        direct = engine.attribute(image[None], baselines=torch.zeros(1, 3, 64, 64), n_steps=20)
        largest = float(direct.abs().sum(dim=1).max())
        for made in (shared, theirs):
            torch.testing.assert_close(
                made[row].heatmap, direct[0].sum(dim=0).float(), rtol=0, atol=1e-5 * largest
            )
        difference = (plain[row].heatmap - theirs[row].heatmap).abs().max()
        assert (
            1e-5 * largest < float(difference) < 0.05 * largest
        )  # another rule, the same integral
        assert (theirs[row].measured["steps"], theirs[row].settings["engine"]) == (30, "captum")


SAMPLE = Path(__file__).parents[1] / "datasets" / "screening_sample" / "images" / "val"


@pytest.mark.parametrize("of", ["ultralytics", "torchvision"])
def test_engines_agree_on_networks_and_a_scan(of):
    scan = load_image(min(SAMPLE.iterdir()))
    detector = lively("faster_rcnn") if of == "torchvision" else load_detector("screening")
    targets = list(detect(detector, scan, 0.0))[:2]
    shared, theirs = (
        explain(
            IntegratedGradients(6, 6, rule="gausslegendre", engine=engine), detector, scan, targets
        )
        for engine in ("shared", "captum")
    )
    for one, other in zip(shared, theirs, strict=True):
        largest = float(one.heatmap.abs().max())
        assert largest > 0
        torch.testing.assert_close(one.heatmap, other.heatmap, rtol=0, atol=1e-5 * largest)
        assert one.measured["backward_passes"] == other.measured["backward_passes"] == 12
        assert one.measured["forward_passes"] + 6 == other.measured["forward_passes"] == 14


def test_targets_that_are_complete_are_integrated_no_further():
    """A straight score is complete at once; one that bends is integrated with more points."""
    detector, image = ToyDetector(curved=True), scene(("red", 2, 3))
    (target,) = found(detector, image)
    for engine in ("shared", "captum"):
        method = IntegratedGradients(
            2, 64, tolerance=0.02, baseline="black", engine=engine, rule="gausslegendre"
        )
        straight, bent = (
            explain(method, one, image, [target])[0].measured for one in (ToyDetector(), detector)
        )
        assert (straight["steps"], straight["backward_passes"]) == (2, 2)
        assert straight["forward_passes"] == 4
        assert bent["completeness_error"] < 0.02
        assert 2 < bent["steps"] == bent["backward_passes"] <= 64


@pytest.mark.parametrize("engine", ["shared", "captum"])
def test_passes_of_a_whole_path_are_foretold(engine):
    detector, image = ToyDetector(curved=True), scene(("red", 2, 3))
    (target,) = found(detector, image)
    method = IntegratedGradients(3, 25, 1e-9, "black", engine=engine, rule="gausslegendre")
    detector.module.seen.clear()
    (spent, *_) = explain(method, detector, image, [target] * 2)
    counted = spent.measured["forward_passes"], spent.measured["backward_passes"]
    assert counted == method.expected_passes(2) == ((23, 42) if engine == "shared" else (44, 42))
    assert sum(detector.module.seen) == counted[0]


def test_engines_and_rules_that_do_not_exist_are_named():
    with pytest.raises(InputError, match="the engine of integrated_gradients is 'capt'; choose"):
        IntegratedGradients(engine="capt")
    with pytest.raises(InputError, match="the rule of integrated_gradients is 'simpson'; choose"):
        IntegratedGradients(rule="simpson")
    with pytest.raises(InputError, match="Captum integrates a path as a whole"):
        IntegratedGradients(engine="captum", rule="pieces")


def test_steps_grow_until_the_map_is_complete():
    detector, image = ToyDetector(curved=True), scene(("red", 2, 3))
    (target,) = found(detector, image)
    coarse = IntegratedGradients(steps=2, max_steps=2, baseline="black")
    grown = IntegratedGradients(steps=2, max_steps=128, tolerance=0.001, baseline="black")
    errors = [
        explain(method, detector, image, [target])[0].measured["completeness_error"]
        for method in (coarse, grown)
    ]
    assert errors[0] > 0.001 >= errors[1]


def test_growth_stops_at_max_steps():
    detector, image = ToyDetector(curved=True), scene(("red", 2, 3))
    (target,) = found(detector, image)
    method = IntegratedGradients(steps=4, max_steps=9, tolerance=1e-9, baseline="black")
    (map_,) = explain(method, detector, image, [target])
    assert map_.measured["backward_passes"] <= 9


def test_a_path_that_cannot_be_cut_asks_for_no_scores_in_between():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    (target,) = found(detector, image)
    method = IntegratedGradients(steps=6, max_steps=6)
    (map_,) = explain(method, detector, image, [target])
    assert (map_.measured["forward_passes"], map_.measured["backward_passes"]) == (8, 6)
    assert method.expected_passes(1) == (8, 6)


def test_targets_share_forward_passes_and_never_mix():
    detector, image = ToyDetector(), scene(("red", 0, 0), ("green", 4, 4), ("blue", 6, 1))
    targets = found(detector, image)
    method = IntegratedGradients(steps=4, max_steps=4)
    detector.module.seen.clear()
    together = explain(method, detector, image, targets)
    assert sum(detector.module.seen) == together[0].measured["forward_passes"]
    shared_passes = sum(detector.module.seen)
    detector.module.seen.clear()
    apart = [explain(method, detector, image, [target])[0] for target in targets]
    assert sum(detector.module.seen) == 3 * shared_passes
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one.heatmap, other.heatmap)


def test_input_x_gradient_by_hand():
    detector, image = ToyDetector(domain="xray"), scene(("red", 2, 3))
    (target,) = found(detector, image)
    (map_,) = explain(InputXGradient(), detector, image, [target])  # baseline air: white
    expected = torch.zeros(64, 64)
    expected[16:24, 24:32] = GAIN / CELL**2  # green and blue fell from 1 to 0 at -GAIN/2 each
    torch.testing.assert_close(map_.heatmap, expected)


def test_padding_never_receives_attribution():
    detector, image = ToyDetector(letterbox=64), scene(("red", 0, 0), size=(32, 64))
    target = detect(detector, image, 0.0).target(0)
    (map_,) = explain(IntegratedGradients(steps=2, max_steps=2), detector, image, [target])
    assert map_.heatmap.shape == (32, 64)


def test_a_baseline_may_be_an_image_of_the_same_size(tmp_path):
    from PIL import Image

    image = scene(("red", 0, 0))
    Image.new("RGB", (64, 64), "black").save(tmp_path / "black.png")
    Image.new("RGB", (32, 64), "black").save(tmp_path / "small.png")
    given = baseline_image(image, str(tmp_path / "black.png"), "photo")
    torch.testing.assert_close(given, torch.zeros(3, 64, 64))
    with pytest.raises(InputError, match="32 x 64 pixels, but the image is 64 x 64"):
        baseline_image(image, str(tmp_path / "small.png"), "photo")
    with pytest.raises(InputError, match="neither one of blur"):
        baseline_image(image, "nothing.png", "photo")


def test_domains_have_their_own_baseline():
    image = scene(("red", 0, 0))
    assert baseline_image(image, "auto", "xray").min() == 1
    assert baseline_image(image, "auto", "photo").min() < 1


def test_no_targets_give_no_maps():
    assert explain("integrated_gradients", ToyDetector(), scene(), []) == []


def test_a_map_that_is_not_finite_is_an_error():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets = found(detector, image)
    with torch.no_grad():
        detector.module.contrast.bias.fill_(torch.nan)
        detector.module.contrast.weight.fill_(torch.nan)
    with pytest.raises(ExplainError, match="not finite"):
        explain("input_x_gradient", detector, image, targets)


def test_unknown_methods_and_settings_are_named():
    with pytest.raises(InputError, match="did you mean 'integrated_gradients'"):
        build_method("integrated_gradient")
    with pytest.raises(InputError, match="cannot be set up"):
        build_method("integrated_gradients", stps=3)
    with pytest.raises(InputError, match="1 <= steps <= max_steps"):
        build_method("integrated_gradients", steps=300)


def test_few_gradients_are_held_and_none_is_lost(monkeypatch):
    detector, image = ToyDetector(curved=True), scene(("red", 1, 1), ("green", 5, 2))
    targets = list(detect(detector, image, 0.0))[:2]
    method = IntegratedGradients(steps=3, max_steps=60, tolerance=1e-9, baseline="black")
    every = explain(method, detector, image, targets)
    monkeypatch.setattr(path, "MOST_HELD", 5)
    few = explain(method, detector, image, targets)
    monkeypatch.setattr(path, "MOST_HELD", 0)
    none = explain(method, detector, image, targets)
    # what is held no more cannot be cut any more
    spent = [one[0].measured["forward_passes"] for one in (none, few, every)]
    assert spent[0] < spent[1] <= spent[2]
    for one, other in zip(every, few, strict=True):
        torch.testing.assert_close(one.heatmap, other.heatmap, rtol=0, atol=2e-3)
        # what the map sums to is what the record says: no piece was dropped or counted twice
        for each in (one, other):
            change = each.measured["score"] - each.measured["baseline_score"]
            error = abs(float(each.heatmap.sum()) - change) / abs(change)
            assert error == pytest.approx(each.measured["completeness_error"], abs=1e-3)


def test_passes_of_all_groups_are_counted_and_foretold():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    (target,) = found(detector, image)
    method = IntegratedGradients(steps=2, max_steps=2)
    maps = explain(method, detector, image, [target] * 13)
    spent = {(m.measured["forward_passes"], m.measured["backward_passes"]) for m in maps}
    assert spent == {(8.0, 26.0)} == {method.expected_passes(13)}


def test_a_target_of_a_tiny_score_is_held_as_exactly_as_a_large_one():
    """Gradients held in half precision are parts of the target's own largest, not of another's."""
    detector = ToyDetector(curved=True)
    image = scene(("red", 2, 3))
    target = detect(detector, image).target(0)
    method = IntegratedGradients(scalar="probability", tolerance=0.001, max_steps=60)
    strong, weak = explain(method, detector, image, [target, target.as_class("green")])
    assert 0 < weak.measured["baseline_score"] < 1e-3 * strong.measured["score"]
    for found in (strong, weak):
        change = found.measured["score"] - found.measured["baseline_score"]
        missed = abs(float(found.heatmap.double().sum()) - change) / abs(change)
        assert missed == pytest.approx(found.measured["completeness_error"], abs=2e-3)


def test_gradients_are_brought_back_to_the_image_one_target_at_a_time(monkeypatch):
    together = []
    plain = Frame.pull_back

    def counted(frame, gradient):
        together.append(len(gradient))
        return plain(frame, gradient)

    monkeypatch.setattr(Frame, "pull_back", counted)
    detector, image = ToyDetector(letterbox=64), scene(("red", 1, 1), ("blue", 2, 5), size=(80, 80))
    targets = list(detect(detector, image, 0.0))[:4]
    for name in ("integrated_gradients", "input_x_gradient", "smoothgrad", "expected_gradients"):
        together.clear()
        explain(name, detector, image, targets)
        assert set(together) == {1}, name
