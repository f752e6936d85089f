"""The contract: every method in ``METHODS`` through the same tests, on the toy detector."""

import dataclasses

import pytest
import torch
from toy import SealedToy, ToyDetector, scene

from xai_detect.errors import InputError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.methods import METHODS
from xai_detect.explainers.protocol import Needs, PlacedMethod
from xai_detect.inspection.image import detect

SETTINGS = {
    "d_rise": {"masks": 128, "grid": 4},
    "d_close": {"masks": 60, "levels": 2, "segments": 20},
    "occlusion": {"window": 0.25, "stride": 0.125},
    "vps": {"regions": 12},
    "phasewin": {"regions": 12},
    "vx_code": {"side": 5},
    "kernel_shap": {"regions": 20, "samples": 100},
    "xrai": {"side": 64, "scales": (50, 250), "coarse": True},
    "partition_shap": {"evaluations": 60},
}
"""Hyper-parameters that keep the contract tests quick; defaults elsewhere."""

TOO_SMALL = ()
"""Methods that say in a sentence that an image of 3 x 4 pixels is too small for them."""

BLACK = [name for name, one in METHODS.items() if one.needs in (Needs.SCORES, Needs.NOTHING)]
WHITE = [name for name in METHODS if name not in BLACK]


def build(name):
    if name == "parchgrad":
        pytest.skip("needs fitted statistics; test_parchgrad.py holds the same tests")
    if name == "cam":
        pytest.skip("needs a classifier; test_cam.py holds the same tests")
    if METHODS[name].needs is Needs.ATTENTION:
        pytest.skip("needs a transformer; test_attention.py holds the same tests")
    return METHODS[name](**SETTINGS.get(name, {}))


def found(detector, image):
    return list(detect(detector, image))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_what_it_is(name):
    one = METHODS[name]
    assert one.name == name
    assert isinstance(one.input_level, bool)
    assert isinstance(one.needs, Needs)
    assert any(character.isdigit() for character in one.citation) or one.needs is Needs.NOTHING
    assert dataclasses.is_dataclass(one)
    assert one.__dataclass_params__.frozen
    assert isinstance(one(), PlacedMethod)
    forward, backward = one().expected_passes(3)
    assert forward >= 0
    assert backward >= 0


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_one_map_per_target(name):
    detector, image = ToyDetector(letterbox=64), scene(("red", 2, 3), ("blue", 5, 1), size=(48, 64))
    targets = found(detector, image)
    assert len(targets) == 2
    maps = explain(build(name), detector, image, targets)
    assert [one.target for one in maps] == targets
    assert all(one.heatmap.shape == (48, 64) for one in maps)
    assert all(one.heatmap.isfinite().all() for one in maps)
    assert all(one.measured["forward_passes"] >= 0 for one in maps)


@pytest.mark.parametrize("name", METHODS)
def test_targets_never_mix(name):
    detector, image = (
        ToyDetector(curved=True),
        scene(("red", 2, 3), ("blue", 5, 1), ("green", 7, 7)),
    )
    targets = found(detector, image)
    method = build(name)
    together = explain(method, detector, image, targets)
    for target, one in zip(targets, together, strict=True):
        (alone,) = explain(method, detector, image, [target])
        scale = float(alone.heatmap.abs().max())
        torch.testing.assert_close(one.heatmap, alone.heatmap, rtol=1e-4, atol=1e-4 * scale)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_leaves_the_detector_as_it_was(name):
    method = build(name)
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets = found(detector, image)
    before = image.clone()
    detector.module.train()
    flags = [parameter.requires_grad for parameter in detector.module.parameters()]
    state = torch.get_rng_state()
    explain(method, detector, image, targets)
    assert detector.module.training
    assert [parameter.requires_grad for parameter in detector.module.parameters()] == flags
    assert all(parameter.grad is None for parameter in detector.module.parameters())
    assert not any(
        part._forward_hooks or part._forward_pre_hooks or part._backward_hooks
        for part in detector.module.modules()
    )
    assert torch.equal(torch.get_rng_state(), state), "the global generator was touched"
    torch.testing.assert_close(image, before)
    if method.needs is Needs.NOTHING:
        return
    detector.module.fails = True
    with pytest.raises(RuntimeError, match="told to fail"):
        explain(method, detector, image, targets)
    assert detector.module.training
    assert [parameter.requires_grad for parameter in detector.module.parameters()] == flags
    assert not any(part._forward_hooks for part in detector.module.modules())


@pytest.mark.parametrize("name", METHODS)
def test_settings_are_enough_to_run_again(name):
    detector, image = ToyDetector(curved=True), scene(("red", 2, 3))
    targets = found(detector, image)
    (first,) = explain(build(name), detector, image, targets)
    (again,) = explain(METHODS[first.method](**first.settings), detector, image, targets)
    torch.testing.assert_close(first.heatmap, again.heatmap, rtol=0, atol=0)


@pytest.mark.parametrize("name", METHODS)
def test_no_targets_give_no_maps(name):
    assert explain(build(name), ToyDetector(), scene(), []) == []


@pytest.mark.parametrize("name", METHODS)
def test_a_tiny_image_gives_a_map_or_a_sentence(name):
    detector = ToyDetector(letterbox=64)
    image = scene(("red", 0, 0), size=(3, 4), cell=2)
    targets = list(detect(detector, image, 0.0))[:1]
    method = build(name)
    if name in TOO_SMALL:
        with pytest.raises(InputError, match="pixels"):
            explain(method, detector, image, targets)
        return
    (one,) = explain(method, detector, image, targets)
    assert one.heatmap.shape == (3, 4)


@pytest.mark.parametrize("name", METHODS)
def test_the_brief_form_is_no_dearer(name):
    method = build(name)
    for long, brief in zip(
        method.expected_passes(2), method.brief().expected_passes(2), strict=True
    ):
        assert brief <= long


@pytest.mark.parametrize("name", BLACK)
def test_black_boxes_are_explained_by_every_method_that_says_so(name):
    toy, image = ToyDetector(), scene(("red", 2, 3))
    detector = SealedToy(toy)
    targets = found(detector, image)
    (one,) = explain(build(name), detector, image, targets)
    assert one.heatmap.shape == (64, 64)


@pytest.mark.parametrize("name", WHITE)
def test_black_boxes_are_refused_with_the_methods_that_work(name):
    toy, image = ToyDetector(), scene(("red", 2, 3))
    detector = SealedToy(toy)
    targets = found(detector, image)
    with pytest.raises(InputError, match="toy is a black box; methods that work with it: "):
        explain(METHODS[name](), detector, image, targets)
