"""A score per box as a network: by hand, for every adapter, and under the libraries it is for."""

import captum.attr
import cv2
import numpy as np
import pytest
import torch
from captum.metrics import infidelity, sensitivity_max
from test_torchvision import lively
from test_ultralytics import SIDE, dense, rtdetr  # noqa: F401 - a fixture
from torch import nn
from torch.nn import functional
from toy import CELL, GAIN, RawToy, ToyDetector, scene

import xai_detect as xd
from xai_detect.detectors.yolo.detector import UltralyticsDetector
from xai_detect.errors import InputError, TargetError
from xai_detect.explainers.activations.cam import GradCam
from xai_detect.explainers.explain import explain
from xai_detect.explainers.gradients.integrated import InputXGradient, IntegratedGradients
from xai_detect.explainers.masks.occlusion import Occlusion
from xai_detect.values.detections import Provenance
from xai_detect.xray.scenes.planted import render
from xai_detect.xray.scenes.worlds import compose_apart

pytestmark = [
    pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients"),
    pytest.mark.filterwarnings("ignore:Setting forward, backward hooks and attributes"),
    pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU"),
]
WHITE = torch.ones(1, 3, 64, 64)
ADAPTERS = ("yolov8n", "yolo26n end2end", "rtdetr", "faster_rcnn", "retinanet", "ssd")


@pytest.fixture(params=ADAPTERS)
def found(request):
    """An adapter around an untrained network, a photograph-like image and what it finds."""
    if request.param == "rtdetr":
        detector = request.getfixturevalue("rtdetr")
    elif request.param in {"faster_rcnn", "retinanet", "ssd"}:
        detector = lively(request.param)
    else:
        provenance = Provenance("untrained", "ultralytics", "", "photo", str(SIDE))
        detector = UltralyticsDetector(dense(request.param), provenance, imgsz=SIDE)
    small = torch.rand(1, 3, 9, 13, generator=torch.Generator().manual_seed(5))
    image = functional.interpolate(small, size=(75, 110), mode="bicubic")[0].clamp(0, 1)
    return detector, image, list(xd.detect(detector, image, 0.0))[:4]


@pytest.fixture(scope="module")
def scan():
    """A detector that ships, one of its scans, and what it finds there."""
    detector = xd.load_detector("planted/object")
    image = xd.load_image(
        render(compose_apart("object", np.random.default_rng(980_000)), 192).image
    )
    return detector, image, list(xd.detect(detector, image, 0.1))


def red_scene(**settings):
    detector, image = ToyDetector(**settings), scene(("red", 2, 3))
    return detector, image, list(xd.detect(detector, image))


def cell(value):
    """A map that is ``value`` on the red square and 0 elsewhere."""
    expected = torch.zeros(64, 64)
    expected[16:24, 24:32] = value
    return expected


def test_a_score_gives_the_reported_confidence_back(found):
    detector, image, targets = found
    reported = torch.tensor([target.score for target in targets])
    for pixels in ("input", "image"):
        score = xd.score_function(detector, image, targets, pixels=pixels)
        given = score(score.inputs)
        assert given.shape == (1, len(targets))
        torch.testing.assert_close(given[0].sigmoid().detach(), reported, rtol=0, atol=1e-4)
        other = torch.rand(score.inputs.shape, generator=torch.Generator().manual_seed(1))
        pair = score(torch.cat([other, score.inputs]))
        torch.testing.assert_close(pair[1], given[0], rtol=1e-4, atol=1e-4)
        assert float((pair[0] - pair[1]).detach().abs().max()) > 0.01


def test_an_image_is_placed_by_the_chain_rule(found):
    detector, image, targets = found
    inside, outside = (
        xd.score_function(detector, image, targets[:1], pixels=pixels)
        for pixels in ("input", "image")
    )
    slopes = []
    for score in (inside, outside):
        point = score.inputs.clone().requires_grad_()
        slopes.append(torch.autograd.grad(score(point).sum(), point)[0])
    assert slopes[1].shape == (1, *image.shape)
    pulled = xd.place(detector, image).frame.pull_back(slopes[0])
    scale = float(pulled.abs().max())
    assert scale > 0
    torch.testing.assert_close(slopes[1], pulled, rtol=0, atol=1e-4 * scale)


def test_the_network_goes_back_as_it_came(found):
    detector, image, targets = found
    score = xd.score_function(detector, image, targets)
    network = score.network
    assert network is detector.module
    before = score(score.inputs).detach()
    some = next(network.parameters())
    some.requires_grad_(True)
    modes = [index % 3 == 0 for index, _ in enumerate(network.modules())]
    for part, mode in zip(network.modules(), modes, strict=True):
        part.training = mode
    assert score.eval() is score.train() is score
    point = score.inputs.clone().requires_grad_()
    after = score(point)
    after.sum().backward()
    torch.testing.assert_close(after.detach(), before)
    assert [part.training for part in network.modules()] == modes
    assert some.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())
    network.eval()


def test_scalars_by_hand():
    detector, image, targets = red_scene()
    asked = [*targets, targets[0].as_class("blue")]
    lead = 1.5 * GAIN
    for scalar, expected in (
        ("logit", [4, -26]),
        ("probability", [1 / (1 + np.exp(-4)), 0]),
        ("margin", [lead, -lead]),
        ("side_l", [24, 24]),
    ):
        score = xd.score_function(detector, image, asked, scalar)
        assert score(score.inputs)[0].tolist() == [pytest.approx(v, abs=1e-4) for v in expected]
    named = xd.score_function(detector, image, targets, contrast="green")
    assert named(named.inputs).item() == pytest.approx(lead)
    assert (named.scalar, named.targets[0].rival_name) == ("margin", "green")
    assert named.class_names == ("red", "green", "blue")


def test_it_says_in_a_line_what_it_is():
    detector, image, (target,) = red_scene()
    score = xd.score_function(detector, image, [target, target.as_class("blue").against("red")])
    assert repr(score) == (
        "ScoreFunction(logit of red, blue not red; (n, 3, 64, 64) input pixels -> (n, 2))"
    )


def test_a_file_an_array_and_a_placed_image_are_one(tmp_path):
    detector, image, targets = red_scene(letterbox=96)
    shades = (image * 255).byte().permute(1, 2, 0).numpy()
    cv2.imwrite(str(tmp_path / "red.png"), shades[:, :, ::-1])
    given = (tmp_path / "red.png", str(tmp_path / "red.png"), shades, xd.place(detector, image))
    expected = xd.score_function(detector, image, targets)
    assert expected.inputs.shape == (1, 3, 96, 96)
    for one in given:
        score = xd.score_function(detector, one, targets)
        assert torch.equal(score.inputs, expected.inputs)
        assert torch.equal(score(score.inputs), expected(expected.inputs))


def test_changes_to_an_image_are_neither_rounded_nor_clipped():
    detector, image, targets = red_scene()
    score = xd.score_function(detector, image, targets, pixels="image")
    changed = image[None].clone()
    changed[0, 0, 16:24, 24:32] += 0.001
    gained = score(changed) - score(image[None])
    assert gained.item() == pytest.approx(0.001 * GAIN, rel=1e-2)


def test_a_large_batch_goes_through_in_parts_and_its_gradients_are_the_same():
    detector, image, targets = red_scene(curved=True)
    score = xd.score_function(detector, image, targets)
    assert score.batch == 16
    points = torch.rand(40, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    slopes = []
    for batch, forward, both in ((16, [16, 16, 8], 80), (40, [40], 40)):
        score.batch = batch
        detector.module.seen.clear()
        with torch.no_grad():
            apart = score(points)
        assert detector.module.seen == forward
        given = points.clone().requires_grad_()
        detector.module.seen.clear()
        scores = score(given)
        torch.testing.assert_close(scores, apart)
        slopes.append(torch.autograd.grad(scores.sum(), given)[0])
        assert sum(detector.module.seen) == both  # parts are run once more on the way back
    torch.testing.assert_close(*slopes)
    assert bool(slopes[0].any())


def test_who_listens_to_a_layer_hears_the_whole_batch():
    detector, image, targets = red_scene()
    score = xd.score_function(detector, image, targets)
    points = image.expand(40, -1, -1, -1)
    heard = captum.attr.LayerActivation(score, score.network.act).attribute(points)
    assert len(heard) == 40


def test_layers_have_gradients_though_the_pixels_ask_for_none():
    detector, image, targets = red_scene()
    score = xd.score_function(detector, image, targets)
    assert not score.inputs.requires_grad
    assert score(score.inputs).requires_grad
    assert not score.inputs.requires_grad
    with torch.no_grad():
        assert not score(score.inputs).requires_grad


def test_what_cannot_be_scored_is_one_sentence(scan):
    detector, image, targets = red_scene()
    make = xd.score_function
    with pytest.raises(InputError, match="toy is a black box and shows no scores"):
        make(RawToy(detector), image, targets)
    with pytest.raises(InputError, match="there are no targets; give at least one"):
        make(detector, image, [])
    with pytest.raises(InputError, match="pixels is 'content'; choose from input, image"):
        make(detector, image, targets, pixels="content")
    with pytest.raises(InputError, match="there is no scalar 'loss'"):
        make(detector, image, targets, "loss")
    with pytest.raises(InputError, match="the scalar is 'side_l', but a contrast"):
        make(detector, image, targets, "side_l", contrast="green")
    with pytest.raises(TargetError, match="'red', so it cannot be contrasted with 'red'"):
        make(detector, image, targets, contrast="red")
    with pytest.raises(InputError, match=r"batch is \(1, 3, 64, 32\); expected \(n, 3, 64, 64\)"):
        make(detector, image, targets)(torch.zeros(1, 3, 64, 32))
    with pytest.raises(InputError, match=r"batch is \(3, 64, 64\); expected"):
        make(detector, image, targets)(image)
    with pytest.raises(TargetError, match="this red comes from a detector with other classes"):
        make(*scan[:2], targets)


def test_a_target_of_another_image_or_frame_is_refused():
    detector, image, targets = red_scene()
    with pytest.raises(TargetError, match=r"red was reported with 0.98, but .* has 0.00"):
        xd.score_function(detector, scene(("red", 2, 4)), targets)
    wide = scene(("red", 2, 3), size=(64, 128))
    target = next(iter(xd.detect(detector, wide)))  # by its number, row 4 of the narrow image
    with pytest.raises(TargetError, match=r"has 0.98 and overlaps its box by 0.00"):
        xd.score_function(detector, scene(("red", 4, 3)), [target])
    asked = [targets[0].as_class("blue")]  # was never reported: nothing to hold against it
    assert xd.score_function(detector, image, asked)(image[None]).item() == pytest.approx(-26)


# Captum


def test_integrated_gradients_are_complete_and_ours(scan):
    detector, image, found = scan
    score = xd.score_function(detector, image, found)
    start = torch.ones_like(score.inputs)
    maps, delta = captum.attr.IntegratedGradients(score).attribute(
        score.inputs, start, target=0, n_steps=64, internal_batch_size=8,
        return_convergence_delta=True,
    )  # fmt: skip
    with torch.no_grad():
        gained = float(score(score.inputs) - score(start))
    assert float(maps.sum()) - gained == pytest.approx(float(delta), abs=1e-2)
    assert abs(float(delta)) < 0.05 * gained
    method = IntegratedGradients(64, 64, baseline="air", rule="gausslegendre")
    (ours,) = explain(method, detector, image, found)
    largest = float(ours.heatmap.abs().max())
    torch.testing.assert_close(ours.heatmap, maps[0].sum(dim=0), rtol=0, atol=1e-5 * largest)


def test_saliency_and_input_x_gradient_are_ours(scan):
    detector, image, found = scan
    score = xd.score_function(detector, image, found, pixels="image")
    slope = captum.attr.Saliency(score).attribute(score.inputs, target=0, abs=False)
    point = image[None].clone().requires_grad_()  # the scan has the size of the input
    direct = torch.autograd.grad(detector.score(point, found[0]), point)[0]
    torch.testing.assert_close(slope, direct)
    maps = captum.attr.InputXGradient(score).attribute(score.inputs, target=0)
    (ours,) = explain(InputXGradient(baseline="black"), detector, image, found)
    torch.testing.assert_close(ours.heatmap, maps[0].sum(dim=0).detach(), rtol=1e-4, atol=1e-6)


def test_deep_lift_by_hand_and_where_it_is_refused(scan):
    detector, image, targets = red_scene()
    score = xd.score_function(detector, image, targets)
    maps, delta = captum.attr.DeepLift(score).attribute(
        score.inputs, WHITE, target=0, return_convergence_delta=True
    )
    torch.testing.assert_close(maps[0].sum(dim=0).detach(), cell(GAIN / CELL**2))
    assert abs(float(delta)) < 1e-4
    shipped = xd.score_function(*scan)
    engine = captum.attr.DeepLift(shipped)
    with pytest.raises(RuntimeError, match=r"MaxPool2d.*used more than once"):
        engine.attribute(shipped.inputs, torch.ones_like(shipped.inputs), target=0)
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    assert not any(vars(part)[kind] for part in shipped.network.modules() for kind in hooks)


def test_gradient_shap_by_hand():
    """A straight score: each draw from one baseline gives the same attribution."""
    score = xd.score_function(*red_scene())
    engine = captum.attr.GradientShap(score)
    with torch.random.fork_rng(devices=[]):
        maps = engine.attribute(score.inputs, torch.cat([WHITE, WHITE]), n_samples=6, target=0)
    torch.testing.assert_close(maps[0].sum(dim=0).detach(), cell(GAIN / CELL**2))


def test_occlusion_is_ours():
    detector, image, targets = red_scene()
    score = xd.score_function(detector, image, targets, "probability")
    maps = captum.attr.Occlusion(score).attribute(
        score.inputs, (3, CELL, CELL), strides=(3, CELL, CELL), baselines=1.0, target=0,
        perturbations_per_eval=10,
    )  # fmt: skip
    (ours,) = explain(Occlusion(float(CELL), float(CELL), fill="air"), detector, image, targets)
    torch.testing.assert_close(maps[0, 0], ours.heatmap, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(maps[0, 0], cell(1 / (1 + np.exp(-4))).float(), rtol=0, atol=1e-5)


def quadrants():
    halves = torch.arange(64) // 32
    return (2 * halves[:, None] + halves)[None, None]


def test_feature_ablation_by_hand():
    score = xd.score_function(*red_scene())
    maps = captum.attr.FeatureAblation(score).attribute(
        score.inputs, baselines=1.0, target=0, feature_mask=quadrants()
    )
    expected = torch.zeros(64, 64)
    expected[:32, :32] = GAIN
    torch.testing.assert_close(maps[0, 0], expected)


def test_kernel_shap_by_hand():
    """A straight score of four regions: its Shapley values are what each region adds."""
    score = xd.score_function(*red_scene())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        maps = captum.attr.KernelShap(score).attribute(
            score.inputs, baselines=1.0, target=0, feature_mask=quadrants(), n_samples=60,
            perturbations_per_eval=20,
        )  # fmt: skip
    expected = torch.zeros(64, 64)
    expected[:32, :32] = GAIN
    torch.testing.assert_close(maps[0, 0], expected, rtol=0, atol=0.01)


def test_noise_changes_no_gradient_of_a_straight_score():
    score = xd.score_function(*red_scene())
    tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(score))
    with torch.random.fork_rng(devices=[]):
        maps = tunnel.attribute(score.inputs, nt_samples=4, stdevs=0.05, target=0, abs=False)
    torch.testing.assert_close(maps[0, 0], cell(GAIN / CELL**2))


@pytest.mark.parametrize("pixels", ["input", "image"])
def test_layer_grad_cam_is_ours(scan, pixels):
    detector, image, found = scan
    score = xd.score_function(detector, image, found, pixels=pixels)
    fine, coarse = (
        captum.attr.LayerGradCam(score, score.network.model[number])
        for number in (15, 18)  # the finest level, which holds the box, and the next
    )
    cells = fine.attribute(score.inputs, target=0)
    assert not bool(coarse.attribute(score.inputs, target=0).any())
    (ours,) = explain(GradCam(layer="model.15"), detector, image, found)
    largest = float(ours.heatmap.abs().max())
    assert largest > 0
    drawn = functional.interpolate(cells, (192, 192), mode="bilinear")[0, 0].detach()
    torch.testing.assert_close(ours.heatmap, drawn, rtol=0, atol=1e-5 * largest)


def test_infidelity_and_sensitivity_of_a_straight_score():
    score = xd.score_function(*red_scene())
    saliency = captum.attr.Saliency(score)
    exact = saliency.attribute(score.inputs, target=0, abs=False)

    def moved(inputs):
        noise = 0.05 * torch.randn(inputs.shape, generator=torch.Generator().manual_seed(3))
        return noise, inputs - noise

    right, wrong = (
        float(infidelity(score, moved, score.inputs, maps, target=0, n_perturb_samples=5))
        for maps in (exact, exact + 1)
    )
    assert right < 1e-6
    assert wrong > 0.1
    with torch.random.fork_rng(devices=[]):
        changed = sensitivity_max(saliency.attribute, score.inputs, target=0, n_perturb_samples=3)
    assert changed.item() == pytest.approx(0, abs=1e-5)


def test_what_captum_does_not_know_of_silu(scan):
    score = xd.score_function(*scan)
    slope = captum.attr.Saliency(score).attribute(score.inputs, target=0, abs=False)
    guided = captum.attr.GuidedBackprop(score).attribute(score.inputs, target=0)
    torch.testing.assert_close(guided, slope)
    with pytest.raises(TypeError, match=r"SiLU.* has no rule"):
        captum.attr.LRP(score).attribute(score.inputs, target=0)


@pytest.mark.filterwarnings("ignore")  # it warns of SiLU, of its hooks and of NumPy
def test_shap_says_that_it_does_not_know_silu(scan):
    shap = pytest.importorskip("shap")
    score = xd.score_function(*scan)
    explainer = shap.DeepExplainer(score, torch.ones_like(score.inputs))
    with pytest.raises(AssertionError, match="do not sum up to the model's output"):
        explainer.shap_values(score.inputs)


# Others


def test_pytorch_grad_cam_draws_the_same_map(scan):
    package = pytest.importorskip(
        "pytorch_grad_cam", reason="needs pip install --no-deps grad-cam ttach"
    )
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    score = xd.score_function(*scan)
    layer = score.network.model[15]
    with package.GradCAM(model=score, target_layers=[layer]) as cam:
        drawn = cam(input_tensor=score.inputs, targets=[targets.ClassifierOutputTarget(0)])
    cells = captum.attr.LayerGradCam(score, layer).attribute(
        score.inputs, target=0, relu_attributions=True
    )
    expected = cv2.resize(cells[0, 0].detach().numpy(), (192, 192))
    assert np.abs(drawn[0] - expected / expected.max()).max() < 1e-3


def test_shap_explains_a_straight_score_exactly():
    shap = pytest.importorskip("shap")
    detector, image, targets = red_scene()
    score = xd.score_function(detector, image, targets)
    explainer = shap.GradientExplainer(score, torch.cat([WHITE, WHITE]), batch_size=4)
    values = np.asarray(explainer.shap_values(score.inputs, nsamples=4, rseed=0))
    assert values.shape == (1, 3, 64, 64, 1)
    expected = cell(GAIN / CELL**2).numpy()
    np.testing.assert_allclose(values[0, ..., 0].sum(axis=0), expected, atol=1e-5)


class Doubled(nn.Module):
    """A score of one's own on top: it is a network like any other."""

    def __init__(self, score):
        super().__init__()
        self.score = score

    def forward(self, pixels):
        return 2 * self.score(pixels)


def test_a_score_is_a_part_like_any_other():
    score = xd.score_function(*red_scene())
    doubled = Doubled(score).train()
    assert not score.training
    slope = captum.attr.Saliency(doubled).attribute(score.inputs, target=0, abs=False)
    torch.testing.assert_close(slope[0, 0], cell(2 * GAIN / CELL**2))
