"""Guided backpropagation and guided integrated gradients: by hand and against slow twins."""

import captum.attr
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn
from torch.nn import functional
from toy import CELL, GAIN, ToyDetector, scene

from xai_detect.detectors.load import load_detector
from xai_detect.errors import ExplainError, InputError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.gradients.guided_backprop import RECTIFIERS, Guided, GuidedBackprop
from xai_detect.explainers.gradients.guided_ig import GuidedIG, advance
from xai_detect.inspection.image import detect
from xai_detect.values import fills
from xai_detect.values.images import load_image


def found(detector, image):
    return list(detect(detector, image, 0.0))[:1]


def own_colour(value):
    expected = torch.zeros(64, 64)
    expected[16:24, 24:32] = value
    return expected


def test_a_rectified_toy_by_hand():
    """Green and blue speak against red: their gradients are negative and end at the ReLU."""
    detector, image = ToyDetector(), scene(("red", 2, 3))
    (map_,) = explain(GuidedBackprop(), detector, image, found(detector, image))
    torch.testing.assert_close(map_.heatmap, own_colour(GAIN / CELL**2))
    assert map_.measured["forward_passes"] == map_.measured["backward_passes"] == 1


@pytest.mark.parametrize("inplace", [False, True])
def test_silu_by_hand(inplace):
    """Where gradient and output are positive, SiLU's own derivative stays."""
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets = found(detector, image)
    detector.module.act = nn.SiLU(inplace=inplace)
    (map_,) = explain(GuidedBackprop(), detector, image, targets)
    bright = torch.tensor(2.0)  # the mean of full red, and the bias of 1
    slope = bright.sigmoid() * (1 + bright * (1 - bright.sigmoid()))
    torch.testing.assert_close(map_.heatmap, own_colour(slope * GAIN / CELL**2))
    assert detector.module.act.inplace == inplace


@pytest.mark.parametrize("act", [nn.ReLU(), nn.SiLU(), nn.GELU(), nn.LeakyReLU()])
def test_nothing_passes_a_unit_whose_output_is_not_positive(act):
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets = found(detector, image)
    detector.module.act = act
    with torch.no_grad():
        detector.module.means.bias.fill_(-1.5)  # bright red comes out at -0.5
    (map_,) = explain(GuidedBackprop(), detector, image, targets)
    assert not map_.heatmap.any()


def small_network(inplace=False):
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(inplace), nn.Conv2d(8, 8, 3), nn.ReLU(inplace),
        nn.Conv2d(8, 4, 3), nn.ReLU(inplace), nn.Flatten(), nn.Linear(144, 5),
    ).eval()  # fmt: skip
    torch.random.set_rng_state(torch_state)
    return network


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
def test_captum_agrees_on_rectified_networks():
    pixels = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    given = pixels.clone().requires_grad_()
    direct = captum.attr.GuidedBackprop(small_network()).attribute(given, target=3)
    point = pixels.clone().requires_grad_()
    with Guided():
        scores = small_network(inplace=True)(point)
    (guided,) = torch.autograd.grad(scores[:, 3].sum(), point)
    torch.testing.assert_close(guided, direct)
    (plain,) = torch.autograd.grad(small_network()(point)[:, 3].sum(), point)
    assert not torch.allclose(guided, plain)


@pytest.mark.parametrize("call", RECTIFIERS, ids=lambda call: call.__name__)
def test_every_form_of_an_activation_is_guided(call):
    given = torch.tensor([-0.5, 0.5, 0.5], requires_grad=True)
    values = given * 1.0
    with Guided():
        output = call(values)
    torch.testing.assert_close(output, call(given.detach().clone()))
    assert torch.equal(values, given), "the activation ran in place"
    (gradient,) = torch.autograd.grad((output * torch.tensor([1.0, 1.0, -1.0])).sum(), given)
    assert gradient[0] == gradient[2] == 0
    assert gradient[1] > 0.5


@pytest.mark.parametrize("call", [functional.relu, functional.silu, functional.hardswish])
def test_no_activation_runs_in_place_while_guided(call):
    values = torch.tensor([-0.5, 0.5])
    with Guided():
        output = call(values, inplace=True)
    assert torch.equal(values, torch.tensor([-0.5, 0.5]))
    torch.testing.assert_close(output, call(values))


def test_nothing_is_guided_after_a_failure():
    values = torch.tensor([-0.5], requires_grad=True)
    with pytest.raises(RuntimeError), Guided():
        functional.silu(torch.zeros(2) + torch.zeros(3))
    (gradient,) = torch.autograd.grad(functional.silu(values).sum(), values)
    assert gradient != 0


def test_the_scalar_without_gradient_is_refused():
    with pytest.raises(InputError, match="guided_backprop takes its gradient at the image itself"):
        GuidedBackprop(scalar="iou_probability")


@pytest.mark.weights
def test_a_real_detector_is_guided_and_left_as_it_was(shared, coco_images):
    detector = load_detector(str(shared / "weights" / "yolo11n.pt"))
    image = load_image(coco_images[1])
    targets = list(detect(detector, image))[:2]
    flags = [getattr(part, "inplace", None) for part in detector.module.modules()]
    maps = explain(GuidedBackprop(), detector, image, targets)
    assert [getattr(part, "inplace", None) for part in detector.module.modules()] == flags
    frame = detector.frame((image.shape[1], image.shape[2]))
    pixels = frame.to_input(image[None]).requires_grad_()
    (plain,) = torch.autograd.grad(detector.score(pixels, targets[0], frame).sum(), pixels)
    signed = frame.pull_back(plain).sum(dim=1)[0]
    assert maps[0].heatmap.any()
    cosine = torch.cosine_similarity(maps[0].heatmap.flatten(), signed.flatten(), dim=0)
    assert cosine < 0.9


def floats(*values):
    return np.array(values, np.float32)


def test_a_guided_step_by_hand():
    """Four features; the one with the smallest gradient goes first, then half of the next."""
    start, weight = floats(0, 0, 0, 0), floats(1, 1, 1, 1)
    gradient = floats(4, -3, 2, -1)
    moved = advance(start, gradient, weight, 0.375, 0.25, 1.0)
    np.testing.assert_allclose(moved, [0, 0, 0.5, 1])
    assert not start.any()
    # Bounded: 0.275 to 0.475. All are pulled up; 0.4 of distance is missing, the last two give it.
    moved = advance(start, gradient, weight, 0.375, 0.25, 0.1)
    np.testing.assert_allclose(moved, [0.275, 0.275, 0.475, 0.475], rtol=1e-5)
    # Ties move together, by the same share of their room.
    moved = advance(start, floats(1, 1, 2, 2), weight, 0.25, 0.25, 1.0)
    np.testing.assert_allclose(moved, [0.5, 0.5, 0, 0])


@given(
    gradient=arrays(np.float32, 7, elements=st.floats(-2, 2, width=32)),
    weight=arrays(np.float32, 7, elements=st.floats(0.125, 1, width=32)),
    fraction=st.floats(0.01, 1),
    max_dist=st.floats(0, 0.5),
    steps=st.integers(1, 6),
)
def test_every_step_meets_its_distance_within_its_bounds(
    gradient, weight, fraction, max_dist, steps
):
    alpha = np.zeros(7, np.float32)
    for step in range(1, steps + 1):
        moved = advance(alpha, gradient, weight, step / steps, fraction, max_dist)
        assert (moved >= alpha).all()
        assert (np.abs(moved - step / steps) <= max_dist + 1e-5).all()
        assert float(weight @ moved) == pytest.approx(step / steps * weight.sum(), rel=1e-4)
        alpha = moved
    assert (alpha == 1).all()


def slow_guided_ig(detector, image, baseline, target, method):
    """The definition, feature by feature, in values of the image and not in shares of the path."""
    end, begin = image.double().flatten().tolist(), baseline.double().flatten().tolist()
    x, attribution = list(begin), [0.0] * len(end)
    whole = sum(abs(a - b) for a, b in zip(end, begin, strict=True))
    for step in range(1, method.steps + 1):
        point = torch.tensor(x).float().view_as(image)[None].requires_grad_()
        score = detector.score(point, target)
        gradient = torch.autograd.grad(score.sum(), point)[0].flatten().tolist()
        part = step / method.steps
        low, high = max(part - method.max_dist, 0), min(part + method.max_dist, 1)
        bound = [b + high * (e - b) for b, e in zip(begin, end, strict=True)]

        def move(i, value, gradient=gradient):
            attribution[i] += (value - x[i]) * gradient[i]
            x[i] = value

        for i, (b, e) in enumerate(zip(begin, end, strict=True)):
            if e != b and (x[i] - b) / (e - b) < low:
                move(i, b + low * (e - b))
        while True:
            missing = sum(abs(a - b) for a, b in zip(end, x, strict=True)) - whole * (1 - part)
            free = [i for i in range(len(x)) if abs(x[i] - bound[i]) > 1e-9]
            if missing <= 1e-9 or not free:
                break
            sizes = sorted(abs(gradient[i]) for i in free)
            limit = sizes[-int(-method.fraction * len(free) // 1) - 1]
            chosen = [i for i in free if abs(gradient[i]) <= limit]
            room = sum(abs(bound[i] - x[i]) for i in chosen)
            share = min(1.0, missing / room)
            for i in chosen:
                move(i, bound[i] if share == 1 else x[i] + share * (bound[i] - x[i]))
    return torch.tensor(attribution).view_as(image).sum(dim=0).float()


@pytest.mark.parametrize(
    "settings", [{}, {"max_dist": 0.3}, {"max_dist": 1.0, "fraction": 0.6}, {"max_dist": 0.0}]
)
def test_guided_ig_matches_the_slow_definition(settings):
    detector = ToyDetector(curved=True, cell=4)
    image = scene(("red", 1, 1), ("blue", 0, 2), size=(12, 16), cell=4)
    image = image * torch.linspace(0.7, 1, 16)  # no two columns alike
    target = detect(detector, image).target(0)
    method = GuidedIG(steps=5, baseline="blur", **settings)
    slow = slow_guided_ig(detector, image, fills.hide_all(image, "blur"), target, method)
    (map_,) = explain(method, detector, image, [target])
    torch.testing.assert_close(map_.heatmap, slow, rtol=1e-3, atol=1e-4)


def test_guided_ig_of_a_linear_toy_is_complete_on_any_path():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    method = GuidedIG(steps=3, baseline="black", max_dist=0.2)
    (map_,) = explain(method, detector, image, found(detector, image))
    torch.testing.assert_close(map_.heatmap, own_colour(GAIN / CELL**2))
    assert map_.measured["completeness_error"] == pytest.approx(0, abs=1e-5)
    assert map_.measured["score"] == pytest.approx(4)
    assert map_.measured["baseline_score"] == pytest.approx(-16)


def test_guided_paths_of_several_targets_run_in_one_batch():
    detector = ToyDetector(curved=True)
    image = scene(("red", 2, 3), ("blue", 5, 1), ("green", 7, 7))
    targets = list(detect(detector, image))
    detector.module.seen.clear()
    maps = explain(GuidedIG(steps=4, max_dist=0.2), detector, image, targets)
    assert detector.module.seen == [1, 3, 3, 3, 3]
    assert maps[0].measured["forward_passes"] == 13
    assert maps[0].measured["backward_passes"] == 12


def test_an_image_that_is_its_own_baseline_gets_an_empty_map():
    detector, image = ToyDetector(curved=True), torch.zeros(3, 64, 64)
    method = GuidedIG(steps=2, baseline="black")
    (map_,) = explain(method, detector, image, found(detector, image))
    assert not map_.heatmap.any()
    assert np.isnan(map_.measured["completeness_error"])


def test_gradients_that_are_not_finite_are_an_error_and_no_endless_loop():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets = found(detector, image)
    with torch.no_grad():
        detector.module.contrast.weight.fill_(torch.nan)
    with pytest.raises(ExplainError, match="not finite"):
        explain(GuidedIG(steps=2), detector, image, targets)


@pytest.mark.parametrize("settings", [{"steps": 0}, {"fraction": 0.0}, {"max_dist": 1.5}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(InputError, match="expected"):
        GuidedIG(**settings)
