"""Networks are borrowed: given back as they came, by one thread at a time, in any torch mode."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator

import xai_detect as xd
from xai_detect.detectors.classifier.detector import ImageClassifier
from xai_detect.detectors.classifier.layout import ClassifierLayout
from xai_detect.detectors.lending import lent
from xai_detect.detectors.place import place
from xai_detect.detectors.vision.detector import TorchvisionDetector
from xai_detect.detectors.weights.quiet import quiet
from xai_detect.detectors.yolo.detector import UltralyticsDetector
from xai_detect.errors import InputError
from xai_detect.explainers.activations.plain_cam import Cam
from xai_detect.values.detections import Provenance
from xai_detect.xray.scenes.planted import render
from xai_detect.xray.scenes.worlds import compose_apart

with quiet():
    from ultralytics.nn.tasks import DetectionModel

NAMES = ("gun", "knife")
HERE = Provenance("mine", "toy", "", "photo", "64")
ROUNDS = 6


class Levels(nn.Module):
    """A backbone with batch norm, dropout and an activation that writes into its input."""

    out_channels = 32

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=4, padding=1), nn.BatchNorm2d(32), nn.ReLU(inplace=True),
            nn.Dropout(0.5),
        )  # fmt: skip

    def forward(self, pixels):
        return {"0": self.layers(pixels)}


class Classes(nn.Module):
    def __init__(self):
        super().__init__()
        self.levels = Levels()
        self.last = nn.Linear(32, 2)

    def forward(self, pixels):
        return self.last(self.levels(pixels)["0"].mean(dim=(2, 3)))


def yolo():
    with quiet():
        network = DetectionModel("yolov8n.yaml", nc=2, verbose=False)
    network.names = dict(enumerate(NAMES))
    return network, lambda one: UltralyticsDetector(one, HERE, imgsz=64)


def torchvision():
    points = AnchorGenerator(sizes=((8,),), aspect_ratios=((1.0,),))
    network = FCOS(Levels(), 3, min_size=64, max_size=64, score_thresh=0.0, anchor_generator=points)
    return network, lambda one: TorchvisionDetector(one, NAMES, HERE)


def classifier():
    layout = ClassifierLayout("mine", NAMES, (64, 64), (0.5,) * 3, (0.5,) * 3, False, "photo")
    return Classes(), lambda one: ImageClassifier(one, layout, HERE)


class Cells(nn.Module):
    def __init__(self):
        super().__init__()
        self.levels, self.last = Levels(), nn.Conv2d(32, 2, 1)

    def forward(self, pixels):
        return self.last(self.levels(pixels)["0"]).flatten(2).transpose(1, 2)


def boxed(logits):
    """A decoder: one box of 4 x 4 pixels a cell, none of which moves."""
    low = torch.cartesian_prod(*[torch.arange(16.0)] * 2).flip(1) * 4
    return torch.cat([low, low + 4], dim=1).expand(len(logits), -1, -1), logits


class Heads(Classes):
    def forward(self, pixels):
        logits = super().forward(pixels)
        return {"chosen": logits, "alone": logits[:, 0]}


def own_network():
    return Cells(), lambda one: xd.wrap_network(one, boxed, NAMES, size=64)


def own_classifier():
    heads = {"chosen": NAMES, "alone": ("there",)}
    return Heads(), lambda one: xd.wrap_classifier(one, heads, size=64, multi_label=["alone"])


def yolo_in_memory():
    return yolo()[0], lambda one: xd.load_detector(one, imgsz=64)


def torchvision_in_memory():
    return torchvision()[0], lambda one: xd.load_detector(one, class_names=NAMES)


MAKERS = {
    "yolo": yolo,
    "torchvision": torchvision,
    "classifier": classifier,
    "own network": own_network,
    "own classifier": own_classifier,
    "yolo in memory": yolo_in_memory,
    "torchvision in memory": torchvision_in_memory,
}


@pytest.fixture(params=MAKERS)
def made(request):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MAKERS[request.param]()


def image(size=(64, 64), seed=0):
    return torch.rand(3, *size, generator=torch.Generator().manual_seed(seed))


def state_of(network):
    """Everything of a network that a borrower could change."""
    return {
        "parts": [(name, id(part)) for name, part in network.named_modules()],
        "modes": [part.training for part in network.modules()],
        "inplace": [getattr(part, "inplace", None) for part in network.modules()],
        "flags": [one.requires_grad for one in network.parameters()],
        "gradients": [one.grad for one in network.parameters()],
        "hooks": [len(part._forward_hooks) for part in network.modules()],
    }


def half_trained(network):
    """A network in the middle of training, some of it frozen."""
    network.train()
    for index, part in enumerate(network.modules()):
        if isinstance(part, nn.BatchNorm2d) and index % 2:
            part.eval()
    next(network.parameters()).requires_grad_(False)
    return network


def convolution(network):
    return next(part for part in network.modules() if isinstance(part, nn.Conv2d))


def targets_of(detector, frame, pixels):
    return [detector.detect(pixels, frame, 0.0)[0].target(0)]


def test_a_network_in_training_is_seen_in_evaluation_and_left_as_it_came(made):
    network, wrap = made
    reference = wrap(copy.deepcopy(network).eval())
    frame = reference.frame((64, 64))
    pixels = frame.to_input(image()[None])
    asked = targets_of(reference, frame, pixels)
    expected = reference.raw(pixels).probabilities, reference.candidate(pixels, asked, frame)
    half_trained(network)
    before = state_of(network)
    numbers = {key: value.clone() for key, value in network.state_dict().items()}
    detector = wrap(network)
    assert network in set(detector.module.modules())
    assert state_of(network) == before
    assert torch.equal(detector.raw(pixels).probabilities, expected[0])
    assert torch.equal(detector.detect(pixels, frame, 0.0)[0].scores[:1], asked_scores(asked))
    assert torch.equal(detector.candidate(pixels, asked, frame).log_odds, expected[1].log_odds)
    xd.explain("input_x_gradient", detector, image(), asked)
    assert state_of(network) == before
    for key, value in network.state_dict().items():
        assert torch.equal(value, numbers[key]), key


def asked_scores(asked):
    return torch.tensor([one.score for one in asked])


def test_a_network_that_fails_is_given_back_too(made):
    network, wrap = made
    detector = wrap(half_trained(network))
    frame = detector.frame((64, 64))
    pixels = frame.to_input(image()[None])
    hook = convolution(network).register_forward_hook(lambda *_: 1 / 0)
    before = state_of(network)
    for call in (
        lambda: detector.detect(pixels, frame),
        lambda: detector.raw(pixels),
    ):
        with pytest.raises(ZeroDivisionError):
            call()
        assert state_of(network) == before
    hook.remove()


def test_memory_that_runs_out_is_one_sentence(made):
    network, wrap = made
    detector = wrap(network)
    frame = detector.frame((64, 64))
    pixels = frame.to_input(image()[None])

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    convolution(network).register_forward_hook(full)
    with pytest.raises(InputError, match="ran out of memory; use a smaller --imgsz"):
        detector.raw(pixels)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        MemoryError("std::bad_alloc"),
        MemoryError(),
        cv2.error("OpenCV(4.12.0) resize.cpp: error: (-217) Unknown C++ exception: std::bad_alloc"),
        cv2.error(
            "OpenCV(4.12.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate"
        ),
    ],
    ids=repr,
)
def test_whoever_runs_out_of_memory_it_is_one_sentence(error):
    with pytest.raises(InputError, match="ran out of memory; use a smaller"), lent(nn.Identity()):
        raise error


@pytest.mark.parametrize("error", [RuntimeError("sizes differ"), cv2.error("(-215) !src.empty()")])
def test_other_errors_pass(error):
    with pytest.raises(type(error)) as caught, lent(nn.Identity()):
        raise error
    assert caught.value is error


def test_half_precision_is_one_sentence_and_double_answers_in_the_images_own(made):
    network, wrap = made
    detector = wrap(network.eval())
    frame = detector.frame((64, 64))
    pixels = frame.to_input(image()[None])
    single = detector.raw(pixels).probabilities
    detector.module.double()
    found = detector.raw(pixels).probabilities
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, single, rtol=1e-3, atol=1e-4)
    asked = targets_of(detector, frame, pixels)
    assert detector.candidate(pixels, asked, frame).log_odds.dtype == torch.float32
    detector.module.half()
    for call in (
        lambda: detector.raw(pixels),
        lambda: detector.detect(pixels, frame),
        lambda: detector.candidate(pixels, asked, frame),
        lambda: xd.explain("input_x_gradient", detector, image(), asked),
    ):
        with pytest.raises(InputError, match=r"network is in float16, expected float32: call"):
            call()


def test_the_borrower_waits_for_the_one_before():
    network, entered = nn.Identity(), threading.Event()

    def borrow():
        with lent(network):
            entered.set()

    with lent(network), lent(network):  # the same thread may borrow again
        other = threading.Thread(target=borrow)
        other.start()
        assert not entered.wait(0.05)
    other.join(10)
    assert entered.is_set()


def test_a_classifier_is_hooked_once_it_is_borrowed(monkeypatch):
    seen, hook = [], nn.Module.register_forward_hook

    def register(part, *given, **options):
        seen.append(part.training)
        return hook(part, *given, **options)

    monkeypatch.setattr(nn.Module, "register_forward_hook", register)
    network, wrap = classifier()
    network.train()
    detector = wrap(network)
    placed = place(detector, image())
    Cam()(detector, placed, targets_of(detector, placed.frame, placed.pixels))
    assert seen
    assert not any(seen)


@pytest.fixture(scope="module")
def scan():
    return xd.load_image(render(compose_apart("object", np.random.default_rng(980_000)), 96).image)


@pytest.fixture
def planted():
    return xd.load_detector("planted/object", imgsz=96, device="cpu")


def test_two_threads_on_one_detector_get_their_own_maps(planted, scan):
    pytest.importorskip("zennit")
    found = list(xd.detect(planted, scan, 0.05))[:1]
    for parameter in planted.module.parameters():
        parameter.requires_grad_(True)

    def explained(method):
        return xd.explain(method, planted, scan, found)[0].heatmap

    methods = ["input_x_gradient", "lrp", "grad_cam", "guided_backprop"]
    alone = {name: explained(name) for name in methods}
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(explained, methods * ROUNDS))
    for name, heatmap in zip(methods * ROUNDS, together, strict=True):
        assert torch.equal(heatmap, alone[name]), name
    assert all(parameter.requires_grad for parameter in planted.module.parameters())


def test_two_adapters_of_one_network_take_turns(made):
    network, wrap = made
    one, other, entered = wrap(network), wrap(network), threading.Event()

    def borrow():
        with lent(other.module):
            entered.set()

    with lent(one.module):
        waiting = threading.Thread(target=borrow)
        waiting.start()
        assert not entered.wait(0.05)
    waiting.join(10)
    assert entered.is_set()


def test_two_threads_on_two_adapters_of_one_network_get_their_own_maps():
    pytest.importorskip("zennit")
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2),
    )  # fmt: skip
    before = state_of(half_trained(network))
    layout = ClassifierLayout("mine", NAMES, (32, 32), (0.5,) * 3, (0.5,) * 3, False, "photo")
    adapters = {name: ImageClassifier(network, layout, HERE) for name in ("grad_cam", "lrp")}
    shown = image((32, 32))
    asked = [xd.detect(adapters["lrp"], shown, 0.0).target(0)]

    def explained(method):
        return xd.explain(method, adapters[method], shown, asked)[0].heatmap

    alone = {name: explained(name) for name in adapters}
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(explained, [*adapters] * 30))
    for name, heatmap in zip([*adapters] * 30, together, strict=True):
        assert torch.equal(heatmap, alone[name]), name
    assert state_of(network) == before


METHODS = ("input_x_gradient", "grad_cam", "odam", "guided_backprop", "score_cam", "lrp")


@pytest.mark.parametrize("method", [one for one in METHODS if one in xd.METHODS])
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_maps_are_the_same_whatever_state_of_torch_the_caller_is_in(planted, scan, method, mode):
    if method == "lrp":
        pytest.importorskip("zennit")
    found = list(xd.detect(planted, scan, 0.05))[:2]
    outside = xd.explain(method, planted, scan, found)
    with mode():
        inside = xd.explain(method, planted, scan.clone(), found)
    for one, other in zip(inside, outside, strict=True):
        assert torch.equal(one.heatmap, other.heatmap)


def test_everything_may_begin_in_inference_mode(scan):
    with torch.inference_mode():
        detector = xd.load_detector("planted/object", imgsz=96, device="cpu")
        inspected = xd.inspect(detector, scan.clone(), method="input_x_gradient", confidence=0.05)
        found = xd.detect(detector, scan.clone(), 0.05)
    assert len(inspected.added) == len(found) > 0
    assert all(made is not None for made in inspected.explanations)
    after = xd.explain("input_x_gradient", detector, scan, list(found))
    for one, other in zip(after, inspected.added, strict=True):
        assert torch.equal(one.heatmap, other.heatmap)


def test_a_grid_that_the_library_kept_in_inference_mode_does_no_harm(planted, scan):
    frame = planted.frame((scan.shape[1], scan.shape[2]))
    pixels = frame.to_input(scan[None])
    with torch.inference_mode():
        planted.module(pixels)
    found = list(xd.detect(planted, scan, 0.05))
    assert xd.explain("input_x_gradient", planted, scan, found)


@pytest.mark.parametrize("name", ["squeezenet1_1", "resnet18"])
def test_classifiers_may_be_built_in_inference_mode(name):
    with torch.inference_mode():
        built = xd.build_classifier(name, NAMES, input_size=64)
        target = xd.detect(built, image(), 0.0).target(0)
    (found,) = xd.explain("input_x_gradient", built, image(), [target])
    assert float(found.heatmap.abs().sum()) > 0
