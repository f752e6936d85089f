"""ParchGrad through the heads of real families, on networks that were never trained."""

import math
from dataclasses import replace

import pytest
import test_torchvision
import test_ultralytics
import torch

import xai_detect as xd
from xai_detect.detectors.place import place
from xai_detect.detectors.vision.detector import TorchvisionDetector
from xai_detect.detectors.yolo.detector import UltralyticsDetector
from xai_detect.explainers.parchgrad.fit import fit
from xai_detect.explainers.parchgrad.layers import Gauge, find_layers
from xai_detect.explainers.parchgrad.method import MODES, ParchGrad
from xai_detect.explainers.parchgrad.statistics import load_statistics, save_statistics
from xai_detect.values.detections import Provenance

DENSE = ("yolov8n", "yolo11n", "yolo26n", "yolo26n end2end")
UNDER = ("gradient", "integrated_gradients", "smoothgrad")
BOXES = torch.tensor([[4.0, 6.0, 40.0, 44.0], [60.0, 20.0, 100.0, 70.0]])


def build(name):
    if name in DENSE:
        provenance = Provenance("untrained", "ultralytics", "", "photo", "96")
        return UltralyticsDetector(test_ultralytics.dense(name).float(), provenance, imgsz=96)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network, head = test_torchvision.FAMILIES[name]()
        for parameter in head.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    provenance = Provenance("untrained", "torchvision", "", "photo", "96")
    return TorchvisionDetector(network, test_torchvision.NAMES, provenance)


@pytest.fixture(scope="module", params=(*DENSE, *test_torchvision.FAMILIES))
def fitted(request, tmp_path_factory):
    detector = build(request.param)
    classes = len(detector.class_names)
    scans = [
        (
            (1 + row % 7) ** 3 / 343 * image,
            BOXES,
            torch.tensor([row % classes, (row + 1) % classes]),
        )
        for row, image in enumerate(test_ultralytics.blobs(40, (75, 110), 2))
    ]
    path = tmp_path_factory.mktemp("statistics") / "file"
    save_statistics(fit(detector, scans), path)
    return detector, str(path)


def asked(detector, count):
    """Detections far apart in rank, so that they come from several levels."""
    image = test_ultralytics.blobs(1, (75, 110), 5)[0]
    found = list(xd.detect(detector, image, 0.0))
    return image, found[:: max(1, len(found) // count)][:count]


@pytest.mark.parametrize("mode", MODES)
def test_it_runs_over_all_layers_or_a_share_under_every_gradient(fitted, mode):
    detector, path = fitted
    image, targets = asked(detector, 2)
    layers = load_statistics(path, detector).layers
    split = 0.0
    for under in UNDER:
        for share in (1.0, 0.5):
            method = ParchGrad(under, mode, path, share=share, steps=2, quantile=0.3)
            for found in xd.explain(method, detector, image, targets):
                assert found.measured["layers"] == math.ceil(share * len(layers))
                assert found.heatmap.any()
                split += found.measured["groups_split"]
    assert split > 0


@pytest.mark.parametrize("mode", MODES)
def test_the_split_is_felt_and_each_target_has_its_own(fitted, mode):
    detector, path = fitted
    image, targets = asked(detector, 6)
    method = ParchGrad("gradient", mode, path, share=1.0, quantile=0.5)
    together = xd.explain(method, detector, image, targets)
    (alone,) = xd.explain(method, detector, image, targets[-1:])
    scale = float(alone.heatmap.abs().max())
    torch.testing.assert_close(together[-1].heatmap, alone.heatmap, rtol=1e-3, atol=1e-4 * scale)
    turned = xd.explain(replace(method, gamma=0.5), detector, image, targets)
    pairs = zip(together, turned, strict=True)
    assert any(not torch.allclose(one.heatmap, other.heatmap) for one, other in pairs)


def test_a_batch_is_read_as_its_images_are_and_again_with_fewer_readings(fitted):
    detector, _ = fitted
    pictures = test_ultralytics.blobs(3, (75, 110), 8)
    placed = [place(detector, image) for image in pictures]
    boxes = [placed[0].frame.boxes_to_input(BOXES[:count]) for count in (2, 0, 1)]
    layers = find_layers(detector, placed[0].pixels)
    gauge = Gauge(detector, layers)
    pixels = torch.cat([one.pixels for one in placed])
    first, again = gauge.strengths(pixels, boxes), gauge.strengths(pixels, boxes)
    for row, (one, other) in enumerate(zip(first, again, strict=True)):
        assert one.shape == (len(boxes[row]), sum(layer.channels for layer in layers))
        assert torch.equal(one, other)
        (alone,) = Gauge(detector, layers).strengths(placed[row].pixels, [boxes[row]])
        torch.testing.assert_close(one, alone, rtol=1e-3, atol=1e-4)
