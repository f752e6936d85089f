"""Detectors that somebody holds in memory: borrowed, left as they are, refused in one sentence."""

from pathlib import Path

import pytest
import torch
from test_torchvision import FAMILIES, NAMES, lively
from test_ultralytics import blobs, liven
from torch import nn

import xai_detect as xd
from xai_detect.detectors.weights.checkpoint import content_digest
from xai_detect.detectors.weights.quiet import quiet
from xai_detect.errors import InputError, WeightsError

SCAN = Path(__file__).parents[1] / "datasets/screening_sample/images/val/000003.jpg"

with quiet():
    from ultralytics import YOLO
    from ultralytics.nn.tasks import DetectionModel


@pytest.fixture(scope="module")
def network():
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)
        made = DetectionModel("yolov8n.yaml", nc=3, verbose=False)
    made.names = {0: "cat", 1: "dog", 2: "bus"}
    liven(made, 128)
    return made


def held(network):
    """The library's own object around a network, as ``YOLO(path)`` makes it."""
    with quiet():
        model = YOLO("yolov8n.yaml", task="detect")
    model.model = network
    return model


@pytest.fixture(scope="module")
def image():
    return blobs(1, (96, 128), 5)[0]


def test_a_yolo_in_memory_finds_what_it_predicts():
    image = xd.load_image(SCAN)
    model = held(xd.load_detector("screening").module)
    detector = xd.load_detector(model, imgsz=320)
    found = xd.detect(detector, image)
    array = (image * 255).round().byte().permute(1, 2, 0).numpy()[:, :, ::-1]
    with quiet():
        (own,) = model.predict(array.copy(), imgsz=320, verbose=False, device="cpu")
    assert len(found) == len(own.boxes) == 2
    torch.testing.assert_close(found.boxes, own.boxes.xyxy, atol=0.5, rtol=0)
    torch.testing.assert_close(found.scores, own.boxes.conf, atol=1e-3, rtol=0)
    again = xd.load_detector(model, imgsz=320)  # after it has predicted, which leaves a grid
    torch.testing.assert_close(xd.detect(again, image).scores, found.scores, atol=1e-3, rtol=0)
    (one,) = xd.explain("input_x_gradient", again, image, [found.target(0)])
    assert float(one.heatmap.abs().max()) > 0


def test_a_network_in_memory_is_given_back_as_it_was(network, image):
    network.train()
    first = next(network.parameters()).requires_grad_(True)
    before, layers = content_digest(network), len(list(network.modules()))
    detector = xd.load_detector(network, imgsz=128)
    target = xd.detect(detector, image, 0.0).target(0)
    xd.explain("input_x_gradient", detector, image, [target])
    assert detector.module is network
    assert network.training
    assert first.requires_grad
    assert first.grad is None
    assert content_digest(network) == before == detector.provenance.sha256
    assert len(list(network.modules())) == layers, "the network was fused"


def test_what_a_network_in_memory_says_of_itself(network):
    detector = xd.load_detector(network, domain="xray")
    assert detector.class_names == ("cat", "dog", "bus")
    assert detector.provenance.name == "DetectionModel in memory"
    assert detector.provenance.domain == "xray"
    assert detector.provenance.input_size == "640"
    model = held(network)
    model.ckpt_path = "/some/folder/mine.pt"
    assert xd.load_detector(model).provenance.name == "mine.pt in memory"
    network.args = {"imgsz": [96, 128]}
    assert xd.load_detector(network).provenance.input_size == "128"
    named = xd.load_detector(network, class_names=["a", "b", "c"])
    assert named.class_names == ("a", "b", "c")
    assert network.names == {0: "cat", 1: "dog", 2: "bus"}


def test_the_digest_is_that_of_the_numbers():
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    assert content_digest(first) != content_digest(second)
    second.load_state_dict(first.state_dict())
    assert content_digest(first) == content_digest(second)
    with torch.no_grad():
        second.bias[1] += 1
    assert content_digest(first) != content_digest(second)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_torchvision_network_in_memory_answers_as_it_does_by_itself(family):
    wrapped = lively(family)
    network, image = wrapped.module, blobs(1, (75, 110), 5)[0]
    network.train()
    detector = xd.load_detector(network, class_names=NAMES)
    assert detector.provenance.name == f"{type(network).__name__} in memory"
    assert len(detector.provenance.sha256) == 64
    found, own = xd.detect(detector, image, 0.0), xd.detect(wrapped, image, 0.0)
    assert len(found) > 5
    assert torch.equal(found.boxes, own.boxes)
    assert network.training


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"class_names": ("a", "b")}, "2 class names, but DetectionModel in memory has 3"),
        ({"device": "meta"}, "this machine has no usable meta device"),
        ({"engine": "fast"}, "there is no engine 'fast'"),
        ({"domain": "radar"}, "there is no domain 'radar'"),
        ({"imgsz": 0}, "imgsz is 0"),
    ],
)
def test_options_that_do_not_fit_a_yolo_are_one_sentence(network, options, words):
    with pytest.raises(InputError, match=words):
        xd.load_detector(network, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "a FCOS in memory does not name its classes; give class_names="),
        ({"class_names": ("__background__", *NAMES)}, "hold the background"),
        ({"class_names": NAMES, "imgsz": 320}, "keeps the size it was built with"),
        ({"class_names": NAMES, "engine": "bf16"}, "cannot run with the engine 'bf16'"),
    ],
)
def test_options_that_do_not_fit_a_torchvision_network_are_one_sentence(options, words):
    network, _ = FAMILIES["fcos"]()
    with pytest.raises(InputError, match=words):
        xd.load_detector(network, **options)


def test_a_network_that_lies_elsewhere_is_not_moved():
    network = FAMILIES["fcos"]()[0].to("meta")
    with pytest.raises(InputError, match="the network lies on meta, not on cpu; move it yourself"):
        xd.load_detector(network, class_names=NAMES, device="cpu")


def test_other_objects_are_one_sentence(network):
    with pytest.raises(InputError, match=r"a Conv2d in memory is no detector .* give wrap_network"):
        xd.load_detector(nn.Conv2d(3, 3, 1))
    with quiet():
        classifier = YOLO("yolov8n-cls.yaml")
    with pytest.raises(WeightsError, match="is a classification model"):
        xd.load_detector(classifier)
    exported = held(network)
    del exported._modules["model"]
    exported.model = "mine.onnx"
    with pytest.raises(InputError, match=r"this YOLO is an exported file, .*; give load_detector"):
        xd.load_detector(exported)
    with pytest.raises(InputError, match="class_names were given with 'screening', which names"):
        xd.load_detector("screening", class_names=("a",))


def test_weights_that_are_not_finite_are_refused():
    network, head = FAMILIES["fcos"]()
    with torch.no_grad():
        next(head.parameters()).fill_(torch.nan)
    with pytest.raises(WeightsError, match="not finite in layer head"):
        xd.load_detector(network, class_names=NAMES)
