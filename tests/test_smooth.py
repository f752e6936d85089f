"""SmoothGrad and expected gradients: by hand, against slow loops and against Captum."""

import captum.attr
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from toy import CELL, GAIN, ToyDetector, scene

from xai_detect.errors import InputError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.gradients.integrated import InputXGradient
from xai_detect.explainers.gradients.references import (
    digest,
    draws,
    reference_image,
    reference_names,
)
from xai_detect.explainers.gradients.smooth import ExpectedGradients, SmoothGrad
from xai_detect.inspection.image import detect
from xai_detect.values import fills


def lopsided(**settings):
    """A toy whose gradients do not sum to 0 over the colours: 1, -1/4 and -1/4 of ``GAIN``."""
    detector = ToyDetector(**settings)
    with torch.no_grad():
        weight = detector.module.contrast.weight
        weight.copy_(torch.where(weight < 0, -0.25, weight))
    return detector


def found(detector, image):
    return list(detect(detector, image, 0.0))[:1]


def slow_gradient(detector, image, target, added=0.0):
    """The gradient in image pixels, pulled through the placing of the image by autograd."""
    frame = detector.frame((image.shape[1], image.shape[2]))
    point = image[None].clone().requires_grad_()
    score = detector.score(frame.to_input(point) + added, target, frame)
    return torch.autograd.grad(score.sum(), point)[0][0]


def test_smoothgrad_of_a_linear_toy_is_its_gradient():
    detector, image = lopsided(), scene(("red", 2, 3))
    (map_,) = explain(SmoothGrad(samples=3), detector, image, found(detector, image))
    expected = torch.zeros(64, 64)
    expected[16:24, 24:32] = GAIN / 2 / CELL**2
    torch.testing.assert_close(map_.heatmap, expected)
    assert map_.measured["forward_passes"] == map_.measured["backward_passes"] == 3


def test_smoothgrad_matches_the_slow_definition():
    detector, image = lopsided(curved=True), 0.8 * scene(("red", 2, 3))
    (target,) = found(detector, image)
    generator = torch.Generator().manual_seed(7)
    slow = torch.zeros(64, 64)
    for _ in range(4):
        noise = 0.3 * 0.8 * torch.randn(3, 64, 64, generator=generator)  # values span 0 to 0.8
        slow += slow_gradient(detector, image + noise, target).sum(dim=0) / 4
    method = SmoothGrad(samples=4, noise=0.3, seed=7)
    (map_,) = explain(method, detector, image, [target])
    torch.testing.assert_close(map_.heatmap, slow)


def test_smoothgrad_matches_captums_noise_tunnel():
    detector, image = lopsided(curved=True), scene(("green", 0, 0))
    (target,) = found(detector, image)
    tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(lambda x: detector.score(x, target)))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        direct = tunnel.attribute(image[None], nt_samples=200, stdevs=0.15, abs=False)
    (map_,) = explain(SmoothGrad(samples=200), detector, image, [target])
    torch.testing.assert_close(map_.heatmap, direct[0].sum(dim=0), rtol=0.02, atol=1e-4)


def test_noise_is_placed_as_the_image_is():
    """At half the size an input pixel is the mean of four, so its noise has half the spread."""
    detector, image = ToyDetector(letterbox=32), torch.zeros(3, 64, 64)
    image[:, :8, :8] = 1.0
    targets = found(detector, image)
    seen = []
    hook = detector.module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    explain(SmoothGrad(samples=8), detector, image, targets)
    hook.remove()
    unchanged = detector.frame((64, 64)).to_input(image[None])
    noise = torch.cat(seen).detach() - unchanged
    assert float(noise.std()) == pytest.approx(0.15 / 2, rel=0.05)
    assert float(noise.mean()) == pytest.approx(0, abs=0.002)


def test_the_padding_gets_no_noise():
    detector, image = ToyDetector(letterbox=64), scene(("red", 0, 0), size=(36, 64))
    seen = []
    hook = detector.module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    targets = found(detector, image)
    seen.clear()
    explain(SmoothGrad(samples=2), detector, image, targets)
    hook.remove()
    frame = detector.frame((36, 64))
    assert frame.top > 0
    for pixels in seen:
        torch.testing.assert_close(
            pixels[..., : frame.top, :], torch.full((1, 3, 2, 64), 114 / 255)
        )


def test_a_flat_image_has_no_noise():
    detector, image = lopsided(curved=True), torch.full((3, 64, 64), 0.3)
    target = found(detector, image)[0]
    (map_,) = explain(SmoothGrad(samples=2), detector, image, [target])
    slow = slow_gradient(detector, image, target).sum(dim=0)
    torch.testing.assert_close(map_.heatmap, slow)


def test_more_targets_than_share_a_pass_give_the_same_maps():
    detector, image = lopsided(curved=True), scene(("red", 2, 3))
    targets = list(detect(detector, image, 0.0))[:14]
    for method in (SmoothGrad(samples=2), ExpectedGradients(samples=5)):
        maps = explain(method, detector, image, targets)
        (alone,) = explain(method, detector, image, targets[13:])
        torch.testing.assert_close(maps[13].heatmap, alone.heatmap, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("method", "settings", "sentence"),
    [
        (SmoothGrad, {"samples": 0}, "samples is 0; expected at least 1"),
        (SmoothGrad, {"noise": 0.0}, r"noise is 0.0; expected a share"),
        (SmoothGrad, {"noise": float("nan")}, r"noise is nan; expected a share"),
        (ExpectedGradients, {"samples": 0}, "samples is 0; expected at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(method, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        method(**settings)


def test_expected_gradients_of_a_linear_toy_by_hand():
    """White and black references: against white green and blue fell, against black red rose."""
    detector, image = lopsided(), scene(("red", 2, 3))
    method = ExpectedGradients(references="air, black", samples=4)
    (map_,) = explain(method, detector, image, found(detector, image))
    expected = torch.zeros(64, 64)
    expected[16:24, 24:32] = (GAIN / 2 + GAIN) / 2 / CELL**2
    torch.testing.assert_close(map_.heatmap, expected)
    assert map_.measured["completeness_error"] == pytest.approx(0, abs=1e-5)
    assert map_.measured["references"] == 2
    assert map_.measured["forward_passes"] == 4 + 2 + 1
    assert map_.measured["backward_passes"] == 4


def test_references_that_are_used_more_often_weigh_more():
    detector, image = lopsided(), scene(("red", 2, 3))
    method = ExpectedGradients(references="air, black", samples=3)
    (map_,) = explain(method, detector, image, found(detector, image))
    assert map_.measured["completeness_error"] == pytest.approx(0, abs=1e-5)
    assert map_.measured["baseline_score"] not in {-16.0, -6.0, -11.0}


@pytest.mark.parametrize("letterbox", [None, 96])
def test_expected_gradients_match_the_slow_definition(letterbox):
    detector, image = ToyDetector(curved=True, letterbox=letterbox), scene(("blue", 1, 1))
    (target,) = found(detector, image)
    slow = torch.zeros(64, 64)
    for name, alpha in draws(("blur", "black", "air"), 10, seed=3):
        start = fills.hide_all(image, name)
        gradient = slow_gradient(detector, start + alpha * (image - start), target)
        slow += ((image - start) * gradient).sum(dim=0) / 10
    method = ExpectedGradients(references="blur,black,air", samples=10, seed=3)
    (map_,) = explain(method, detector, image, [target])
    scale = float(slow.abs().max())
    torch.testing.assert_close(map_.heatmap, slow, rtol=0.02, atol=0.02 * scale)


def test_expected_gradients_approach_captums_gradient_shap():
    detector, image = ToyDetector(curved=True), scene(("green", 0, 0))
    (target,) = found(detector, image)
    starts = torch.stack([fills.hide_all(image, name) for name in ("black", "grey")])
    engine = captum.attr.GradientShap(lambda pixels: detector.score(pixels, target))
    state = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        direct = engine.attribute(image[None], starts, n_samples=1000, stdevs=0.0)
    np.random.set_state(state)  # noqa: NPY002
    method = ExpectedGradients(references="black, grey", samples=100)
    (map_,) = explain(method, detector, image, [target])
    torch.testing.assert_close(map_.heatmap, direct[0].sum(dim=0).float(), rtol=0.05, atol=1e-4)
    assert map_.measured["completeness_error"] < 0.01


def test_more_samples_miss_less():
    detector, image = ToyDetector(curved=True), scene(("red", 2, 3))
    errors = [
        explain(ExpectedGradients("black", samples), detector, image, found(detector, image))[
            0
        ].measured["completeness_error"]
        for samples in (2, 50)
    ]
    assert errors[1] < 0.02 < errors[0]


@given(
    count=st.integers(1, 9), samples=st.integers(1, 40), seed=st.integers(0, 2**31)
)  # fmt: skip
def test_draws_are_stratified_and_references_take_turns(count, samples, seed):
    names = tuple(str(number) for number in range(count))
    drawn = draws(names, samples, seed)
    assert draws(names, samples, seed) == drawn
    assert sorted(int(samples * draw.alpha - 1e-9) for draw in drawn) == list(range(samples))
    used = [sum(draw.reference == name for draw in drawn) for name in names]
    assert max(used) - min(used) <= 1
    assert [draw.reference for draw in drawn] == sorted(draw.reference for draw in drawn)


def test_references_may_be_files_and_folders_of_any_size(tmp_path):
    Image.new("RGB", (20, 10), "red").save(tmp_path / "b.png")
    Image.new("L", (64, 64), 0).save(tmp_path / "a.jpg")
    (tmp_path / "notes.txt").write_text("no image")
    names = reference_names(f"air, {tmp_path}", "photo")
    assert names == ("air", str(tmp_path / "a.jpg"), str(tmp_path / "b.png"))
    red = reference_image(str(tmp_path / "b.png"), torch.zeros(3, 30, 40))
    torch.testing.assert_close(red, torch.eye(3)[0][:, None, None].expand(3, 30, 40))
    detector, image = lopsided(), scene(("red", 2, 3))
    targets = found(detector, image)
    given = ExpectedGradients(str(tmp_path / "a.jpg"), samples=2)
    black = ExpectedGradients("black", samples=2)
    maps = [explain(method, detector, image, targets)[0] for method in (given, black)]
    torch.testing.assert_close(maps[0].heatmap, maps[1].heatmap)


def test_the_record_names_the_references(tmp_path):
    Image.new("RGB", (20, 10), "red").save(tmp_path / "b.png")
    first = digest((str(tmp_path / "b.png"), "air"))
    assert first == digest((str(tmp_path / "b.png"), "air")) < 2**48
    assert first != digest(("air",))
    Image.new("RGB", (20, 10), "blue").save(tmp_path / "b.png")
    assert first != digest((str(tmp_path / "b.png"), "air"))


def test_domains_have_their_own_references():
    assert set(reference_names("auto", "photo")) == {"blur", "mean", "grey", "black", "air"}
    assert set(reference_names("auto", "xray")) == {"air", "blur", "mean"}


@pytest.mark.parametrize(
    ("references", "sentence"),
    [("", "references is empty"), ("nowhere", "neither one of blur"), ("EMPTY", "holds no image")],
)
def test_references_that_are_none_are_refused(references, sentence, tmp_path):
    with pytest.raises(InputError, match=sentence):
        reference_names(str(tmp_path) if references == "EMPTY" else references, "photo")


def test_one_gradient_at_the_image_refuses_the_scalar_without_one():
    with pytest.raises(InputError, match="has none; use it with integrated_gradients"):
        InputXGradient(scalar="iou_probability")
    detector, image = ToyDetector(curved=True), scene(("red", 2, 3))
    method = ExpectedGradients(samples=8, scalar="iou_probability")
    (map_,) = explain(method, detector, image, found(detector, image))
    assert 0 < map_.measured["score"] <= 1
    assert map_.heatmap.any()
