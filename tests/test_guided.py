"""Guided backpropagation: by hand, against Captum, and where activations are in place."""

import captum.attr
import pytest
import torch
from torch import nn
from torch.nn import functional
from toy import CELL, GAIN, ToyDetector, scene

from xai_detect.detectors.load import load_detector
from xai_detect.errors import InputError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.guided_backprop import RECTIFIERS, Guided, GuidedBackprop
from xai_detect.images import load_image
from xai_detect.inspection import detect


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
