"""Torchvision's four families on small untrained networks with lively heads."""

import sys

import pytest
import torch
from torch import nn
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator

from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.detectors.vision.detector import TorchvisionDetector
from xai_detect.detectors.vision.heads import OpenNetwork, Parts
from xai_detect.errors import ExplainError, InputError, MissingExtraError, TargetError, WeightsError
from xai_detect.values.detections import Provenance
from xai_detect.values.frame import Frame

NAMES = ("cat", "dog", "hen")
ANCHORS = {"sizes": ((16,), (32,), (64,)), "aspect_ratios": ((0.5, 1.0, 2.0),) * 3}


class Pyramid(nn.Module):
    """Three levels at strides 4, 8 and 16."""

    out_channels = 32

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 5, stride=2, padding=2)
        self.levels = nn.ModuleList(nn.Conv2d(32, 32, 3, stride=2, padding=1) for _ in range(3))

    def forward(self, pixels):
        features, found = self.stem(pixels).tanh(), {}
        for index, level in enumerate(self.levels):
            features = found[str(index)] = level(features).tanh()
        return found


def faster_rcnn():
    network = detection.FasterRCNN(
        Pyramid(),
        len(NAMES) + 1,
        min_size=96,
        max_size=160,
        rpn_anchor_generator=AnchorGenerator(**ANCHORS),
        rpn_post_nms_top_n_test=60,
    )
    return network, network.roi_heads.box_predictor


def retinanet():
    network = detection.RetinaNet(
        Pyramid(),
        len(NAMES) + 1,
        min_size=96,
        max_size=160,
        anchor_generator=AnchorGenerator(**ANCHORS),
    )
    return network, network.head


def fcos():
    points = AnchorGenerator(sizes=((8,), (16,), (32,)), aspect_ratios=((1.0,),) * 3)
    network = detection.FCOS(
        Pyramid(), len(NAMES) + 1, min_size=96, max_size=160, anchor_generator=points
    )
    return network, network.head


def ssd():
    network = detection.ssd.SSD(
        Pyramid(),
        DefaultBoxGenerator([[2], [2], [2]]),
        (96, 96),
        len(NAMES) + 1,
        head=detection.ssd.SSDHead([32] * 3, [4] * 3, len(NAMES) + 1),
    )
    return network, network.head


FAMILIES = {"faster_rcnn": faster_rcnn, "retinanet": retinanet, "fcos": fcos, "ssd": ssd}


def lively(family):
    """A small network of a family whose head finds things."""
    state = torch.get_rng_state()
    torch.manual_seed(3)
    network, head = FAMILIES[family]()
    with torch.no_grad():
        for parameter in head.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=1.5 / parameter[0].numel() ** 0.5)
            else:
                parameter.normal_(std=0.3)
    torch.set_rng_state(state)
    return TorchvisionDetector(network, NAMES, Provenance("tiny", "torchvision", "", "photo", "96"))


@pytest.fixture(params=FAMILIES)
def detector(request):
    return lively(request.param)


@pytest.fixture
def image():
    generator = torch.Generator().manual_seed(5)
    small = torch.rand(1, 3, 9, 13, generator=generator)
    return nn.functional.interpolate(small, size=(75, 110), mode="bicubic").clamp(0, 1)


def found_in(detector, image, confidence=0.0):
    """Where the image lies, the network's input, and what is found in it."""
    frame = detector.frame((image.shape[2], image.shape[3]))
    pixels = frame.to_input(image)
    found = detector.detect(pixels, frame, confidence)
    assert all(len(one) > 5 for one in found)
    return frame, pixels, found


def test_it_is_a_white_box(detector):
    assert isinstance(detector, WhiteBoxDetector)


def test_detections_are_those_of_the_network_itself(detector, image):
    frame, pixels, (found,) = found_in(detector, image)
    with torch.no_grad():
        expected = detector.module.eval()([image[0]])[0]
    known = expected["labels"] > 0  # a sigmoid head has a background column too
    torch.testing.assert_close(found.scores, expected["scores"][known], rtol=0, atol=1e-5)
    torch.testing.assert_close(found.labels + 1, expected["labels"][known])
    torch.testing.assert_close(found.boxes, expected["boxes"][known], rtol=0, atol=0.01)
    fewer = detector.detect(pixels, frame, float(found.scores[3]))[0]
    assert len(fewer) <= 3


def test_the_score_gives_the_reported_confidence_back(detector, image):
    frame, pixels, (found,) = found_in(detector, image)
    targets = list(found)
    log_odds, boxes = detector.candidate(pixels, targets, frame)
    rows = torch.arange(len(targets))
    scores = log_odds[0, rows, found.labels].sigmoid().detach()
    torch.testing.assert_close(scores, found.scores, rtol=0, atol=1e-4)
    in_image = frame.boxes_to_image(boxes[0].detach())
    torch.testing.assert_close(in_image, found.boxes, rtol=0, atol=0.05)
    one = detector.score(pixels, targets[2], frame)
    torch.testing.assert_close(one, log_odds[:, 2, targets[2].label], rtol=1e-4, atol=1e-4)


def test_raw_predictions_hold_every_detection(detector, image):
    frame, pixels, (found,) = found_in(detector, image)
    boxes, probabilities = detector.raw(pixels)
    assert probabilities.shape[2] == len(NAMES)
    torch.testing.assert_close(
        probabilities[0, found.candidates, found.labels], found.scores, rtol=0, atol=1e-5
    )
    group = found.labels if boxes.shape[2] > 1 else found.labels * 0
    torch.testing.assert_close(
        frame.boxes_to_image(boxes[0, found.candidates, group]), found.boxes, rtol=0, atol=0.01
    )


def test_gradients_reach_the_pixels_and_are_right(detector, image):
    frame, pixels, (found,) = found_in(detector, image)
    target = found.target(0)
    point = pixels.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(detector.score(point, target, frame).sum(), point)
    assert (gradient != 0).float().mean() > 0.05
    step = 1e-3 * gradient / gradient.norm()
    with torch.no_grad():
        there = detector.score(pixels + step, target, frame)
        back = detector.score(pixels - step, target, frame)
    slope = float(there - back) / 2e-3
    assert slope == pytest.approx(float(gradient.norm()), rel=0.05)


def test_batches_never_change_a_result(detector, image):
    batch = torch.cat([image, image.flip(3), 1 - image])
    frame, batch, together = found_in(detector, batch)
    for item, found in enumerate(together):
        alone = detector.detect(batch[item : item + 1], frame, 0.0)[0]
        torch.testing.assert_close(found.scores, alone.scores, rtol=0, atol=1e-5)
        assert found.labels.tolist() == alone.labels.tolist()
    targets = list(together[0])[:3]
    scores = detector.candidate(batch, targets, frame).log_odds
    for item in range(len(batch)):
        single = detector.candidate(batch[item : item + 1], targets, frame).log_odds
        torch.testing.assert_close(scores[item : item + 1], single, rtol=1e-4, atol=1e-4)


def test_a_fixed_candidate_needs_no_detection(detector, image):
    frame, pixels, (found,) = found_in(detector, image)
    dark = detector.score(torch.zeros_like(pixels), found.target(0), frame)
    assert dark.isfinite().all()


def test_no_hook_is_left_even_when_the_network_fails(detector, image):
    frame = detector.frame((75, 110))

    def fail(*_):
        raise OSError("out of memory")

    hook = detector.module.backbone.register_forward_pre_hook(fail)
    with pytest.raises(OSError, match="out of memory"):
        detector.detect(image, frame)
    hook.remove()
    detector.detect(image, frame)
    assert not any(part._forward_hooks for part in detector.module.modules())


def test_another_class_can_be_asked_for(detector, image):
    frame, pixels, (found,) = found_in(detector, image)
    target = found.target(0)
    other = target.as_class(next(name for name in NAMES if name != target.name))
    assert detector.score(pixels, other, frame) < detector.score(pixels, target, frame) + 20


@pytest.mark.parametrize("size", [(1, 40), (40, 1), (200, 30)])
def test_thin_images_work(detector, size):
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    frame = detector.frame(size)
    pixels = frame.to_input(image)
    found = detector.detect(pixels, frame, 0.0)[0]
    for target in list(found)[:2]:
        score = detector.score(pixels, target, frame)
        assert float(score.detach().sigmoid()) == pytest.approx(target.score, abs=1e-4)


def test_an_image_thinner_than_the_network_can_see_is_refused():
    detector = TorchvisionDetector(
        retinanet()[0], NAMES, Provenance("tiny", "torchvision", "", "photo", "96")
    )
    with pytest.raises(InputError, match="too thin"):
        detector.frame((1, 5000))


def test_targets_of_another_network_are_refused(detector, image):
    frame, pixels, (found,) = found_in(detector, image)
    target = found.target(0)
    wrong = type(target)(target.box, 7, 0.5, target.candidate, NAMES, target.proposal)
    with pytest.raises(TargetError, match="class 7"):
        detector.score(pixels, wrong, frame)
    if torch.equal(found.proposals, found.boxes):  # a second stage would have its own
        wrong = type(target)(target.box, 0, 0.5, 10**6, NAMES, target.proposal)
        with pytest.raises(TargetError, match="candidate 1000000"):
            detector.score(pixels, wrong, frame)


@pytest.mark.parametrize("size", [(75, 110), (300, 440), (1500, 2200)])
def test_the_input_is_as_large_as_the_network_makes_it_and_no_larger(detector, size):
    """So that neither what trust reads nor what it costs depends on the photograph."""
    frame = detector.frame(size)
    assert frame.content_size == frame.input_size
    assert max(frame.input_size) <= 160
    assert detector.frame(frame.input_size).input_size == frame.input_size


def test_a_wrong_threshold_is_refused(detector, image):
    with pytest.raises(InputError, match="confidence"):
        detector.detect(image, detector.frame((75, 110)), 1.5)


def test_a_resized_input_keeps_the_pooled_region_in_its_place(detector, image):
    frame = Frame.stretch((75, 110), (150, 220))
    pixels = frame.to_input(image)
    found = detector.detect(pixels, frame, 0.0)[0]
    target = found.target(0)
    score = detector.score(pixels, target, frame)
    assert float(score.detach().sigmoid()) == pytest.approx(target.score, abs=1e-4)
    assert target.box[2] <= 110
    assert target.box[3] <= 75


def test_a_network_of_another_kind_is_refused():
    with pytest.raises(WeightsError, match="is a Linear"):
        TorchvisionDetector(nn.Linear(1, 1), NAMES, Provenance("l.pt", "", "", "photo", ""))


def test_too_few_names_are_refused(detector, image):
    detector.class_names = ("cat",)
    with pytest.raises(WeightsError, match="scores 4 classes"):
        detector.raw(image)


def test_foreign_postprocessing_is_noticed(detector, image, monkeypatch):
    forward = detector.module.forward

    def shifted(images, targets=None):
        results = forward(images, targets)
        return [{**one, "boxes": one["boxes"] / 2 + 5} for one in results]

    monkeypatch.setattr(detector.module, "forward", shifted)
    with pytest.raises(ExplainError, match="none of its raw predictions"):
        detector.detect(image, detector.frame((75, 110)), 0.0)


def test_sigmoid_heads_without_background_column_count_from_zero(image):
    network, _ = retinanet()
    names = ("background", *NAMES)
    detector = TorchvisionDetector(network, names, Provenance("t", "torchvision", "", "photo", ""))
    assert detector.raw(image).probabilities.shape[2] == 4


@pytest.mark.parametrize("family", FAMILIES)
def test_log_odds_equal_the_slow_definition_and_stay_finite(family):
    network, _ = FAMILIES[family]()
    opened = OpenNetwork(network, family)
    logits = torch.tensor([[0.5, 2.0, -1.0, 0.0], [60.0, -60.0, 0.0, 30.0]], dtype=torch.float64)
    quality = torch.tensor([[0.3], [50.0]], dtype=torch.float64) if family == "fcos" else None

    none = [torch.zeros(0)]
    parts = Parts(
        (9, 9), (9, 9), [logits.float()], [None if quality is None else quality.float()], none, none
    )
    odds = opened.log_odds(parts, 0, torch.arange(2))
    assert odds.isfinite().all()
    p = opened.probabilities(parts._replace(logits=[logits], quality=[quality]), 0)[:1]
    torch.testing.assert_close(odds[:1].double(), (p / (1 - p)).log(), rtol=1e-4, atol=1e-5)


def test_a_broken_torchvision_is_one_sentence(monkeypatch):
    monkeypatch.delitem(sys.modules, "xai_detect.detectors.vision.heads")
    monkeypatch.delitem(sys.modules, "torchvision.models.detection")

    class Broken:
        def find_spec(self, name, *_):
            if name == "torchvision.models.detection":
                raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(MissingExtraError, match="pip install --upgrade torch torchvision"):
        import xai_detect.detectors.vision.heads  # noqa: F401
