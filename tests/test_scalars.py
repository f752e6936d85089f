"""Scalars by hand, against slow definitions, and their bad input."""

import math

import pytest
import torch
from torch import nn
from toy import BIAS, GAIN, SealedToy, ToyDetector, scene

from xai_detect.detectors.protocol import Candidates, Raw
from xai_detect.errors import InputError
from xai_detect.explainers.explain import explain, require
from xai_detect.explainers.gradients.integrated import InputXGradient, IntegratedGradients
from xai_detect.explainers.masks.d_rise import DRise
from xai_detect.inspection.image import detect
from xai_detect.scores.scalars import (
    cosine_survival,
    differentiable,
    kept,
    margin_survival,
    survival,
)
from xai_detect.scores.survival import Survival
from xai_detect.values import boxes
from xai_detect.values.detections import Target
from xai_detect.values.frame import Frame

FRAME = Frame.unchanged((20, 20))


def target(box=(0.0, 0.0, 10.0, 10.0), label=0, candidate=0):
    return Target(box, label, 0.9, candidate, ("a", "b", "c"), box)


class Answers(ToyDetector):
    """A detector that answers the same candidates to everything."""

    def __init__(self, log_odds, found):
        super().__init__()
        self.answer = Candidates(torch.tensor([log_odds]), torch.tensor([found]))

    def candidate(self, pixels, targets, frame):  # noqa: ARG002
        return self.answer


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("logit", 2.0),
        ("margin", 2.0 - 1.0),
        ("probability", 0.880797),
        ("iou_probability", 0.880797 / 2),
        ("side_l", 0.0),
        ("side_t", 0.0),
        ("side_r", 10.0),
        ("side_b", 5.0),
    ],
)
def test_differentiable_scalars_by_hand(name, expected):
    detector = Answers([[2.0, 1.0, -3.0]], [[0.0, 0.0, 10.0, 5.0]])
    pixels = torch.zeros(1, 3, 20, 20)
    read = differentiable(name, detector, [target()], FRAME, pixels)
    assert read(detector.answer).tolist() == [[pytest.approx(expected, abs=1e-5)]]


def test_sides_are_in_image_pixels():
    detector = Answers([[2.0, 1.0, -3.0]], [[0.0, 0.0, 10.0, 5.0]])
    frame = Frame.stretch((40, 10), (20, 20))  # input pixels per image pixel: 0.5 down, 2 across
    for name, expected in (("side_r", 5.0), ("side_b", 10.0)):
        read = differentiable(name, detector, [target()], frame, torch.zeros(1, 3, 20, 20))
        assert read(detector.answer).item() == pytest.approx(expected)


def test_the_runner_up_of_the_margin_is_fixed_at_the_image():
    detector = Answers([[2.0, 1.0, -3.0]], [[0.0, 0.0, 10.0, 5.0]])
    read = differentiable("margin", detector, [target()], FRAME, torch.zeros(1, 3, 20, 20))
    other = Candidates(torch.tensor([[[2.0, 1.0, 9.0]]]), detector.answer.boxes)
    assert read(other).item() == 1.0


def test_a_margin_needs_two_classes():
    detector = Answers([[2.0]], [[0.0, 0.0, 10.0, 5.0]])
    detector.class_names = ("a",)
    with pytest.raises(InputError, match="this detector has one"):
        differentiable("margin", detector, [target()], FRAME, torch.zeros(1, 3, 20, 20))


def test_two_classes_are_enough_for_a_margin():
    detector = Answers([[2.0, 0.5]], [[0.0, 0.0, 10.0, 5.0]])
    detector.class_names = ("a", "b")
    asked = Target((0.0, 0.0, 10.0, 10.0), 1, 0.9, 0, ("a", "b"), (0.0, 0.0, 10.0, 10.0))
    read = differentiable("margin", detector, [asked], FRAME, torch.zeros(1, 3, 20, 20))
    assert read(detector.answer).item() == pytest.approx(0.5 - 2.0)


def test_boxes_without_area_score_nothing_and_never_nan():
    flat = (4.0, 4.0, 4.0, 9.0)
    raw = Raw(torch.tensor([flat, (9.0, 9.0, 4.0, 4.0)]).view(1, 2, 1, 4), torch.ones(1, 2, 3))
    targets = [target(flat), target()]
    assert survival(raw, targets, FRAME).tolist() == [[0.0, 0.0]]
    assert cosine_survival(raw, targets, FRAME, raw).tolist() == [[0.0, 0.0]]
    detector = Answers([[2.0, 1.0, -3.0]] * 2, [flat, flat])
    pixels = torch.zeros(1, 3, 20, 20)
    read = differentiable("iou_probability", detector, [target(flat), target()], FRAME, pixels)
    assert read(detector.answer).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("scalar", "before"),
    [("max_raw", 0), ("max_raw_cos", 1), ("margin", 0), ("post_nms", 0)],
)
def test_every_image_that_is_shown_to_the_network_is_counted(scalar, before):
    detector, image = ToyDetector(), scene(("red", 2, 3))
    asked = Survival(detector, image, list(detect(detector, image)), scalar, batch=2)
    detector.module.seen.clear()
    assert asked.passes() == {"forward_passes": before, "backward_passes": 0}
    assert asked.of_inputs(image.expand(5, -1, -1, -1)).shape == (5, 1)
    assert asked.passes()["forward_passes"] == before + 5
    assert detector.module.seen == [2, 2, 1]


@pytest.mark.parametrize(
    ("probabilities", "score"),
    [
        ([[0.8, 0.8, 0.1]], 0.4),  # a half of what is seen
        ([[0.9, 0.5, 0.1]], 0.81),  # log-odds 2.197 apart: the logistic is 0.9
        ([[0.5, 0.9, 0.1]], 0.09),
        ([[0.0, 0.0, 0.0]], 0.0),
        ([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1]], 0.45),  # two predictions, one of each class
    ],
)
def test_the_margin_on_changed_images_says_why_this_class(probabilities, score):
    box = (2.0, 2.0, 12.0, 12.0)
    places = torch.tensor([box] * len(probabilities)).view(1, -1, 1, 4)
    raw = Raw(places, torch.tensor([probabilities]))
    assert margin_survival(raw, [target(box)], FRAME).item() == pytest.approx(score, abs=2e-6)
    elsewhere = Raw(places + 100, raw.probabilities)
    assert margin_survival(elsewhere, [target(box)], FRAME).item() == pytest.approx(0, abs=1e-6)
    assert margin_survival(raw, [], FRAME).shape == (1, 0)


def test_a_sealed_detector_is_asked_for_faint_detections_too():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets, told = list(detect(detector, image)), []
    sealed = SealedToy(detector)
    seen = sealed.detect
    sealed.detect = lambda pixels, frame, confidence: (
        told.append(confidence) or seen(pixels, frame, confidence)
    )
    Survival(sealed, image, targets).of_inputs(image[None])
    assert len(told) == 1
    assert 0 <= told[0] <= 0.01


def test_unknown_scalars_are_named():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets = list(detect(detector, image))
    with pytest.raises(InputError, match="there is no scalar 'logits'; choose from logit, margin"):
        explain(InputXGradient(scalar="logits"), detector, image, targets)
    with pytest.raises(InputError, match="choose from auto, max_raw"):
        Survival(detector, image, targets, "logit")


@pytest.mark.parametrize("scalar", ["logit", "margin", "probability"])
def test_integrated_gradients_are_complete_for_every_scalar(scalar):
    detector, image = ToyDetector(curved=True), scene(("red", 2, 3))
    targets = list(detect(detector, image))
    (one,) = explain(IntegratedGradients(scalar=scalar), detector, image, targets)
    change = one.measured["score"] - one.measured["baseline_score"]
    assert float(one.heatmap.sum()) == pytest.approx(change, rel=0.06)
    if scalar == "margin":  # a full square is 1 of its own colour, -1/2 of the others
        lead = 1 + math.tanh(1) / math.tanh(2)
        assert one.measured["score"] == pytest.approx(lead * GAIN, rel=1e-3)
    if scalar == "logit":
        assert one.measured["score"] == pytest.approx(BIAS + GAIN, rel=1e-3)


def random_raw(seed, shared):
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(2, 30, 1 if shared else 3, 2, generator=generator) * 12
    size = torch.rand(2, 30, 1 if shared else 3, 2, generator=generator) * 8
    probabilities = torch.rand(2, 30, 3, generator=generator)
    return Raw(torch.cat([low, low + size], dim=3), probabilities)


@pytest.mark.parametrize("shared", [True, False])
def test_survival_against_a_slow_loop(shared):
    raw, whole = random_raw(0, shared), random_raw(1, shared)
    whole = Raw(whole.boxes[:1], whole.probabilities[:1])
    targets = [target(), target((4.0, 4.0, 12.0, 11.0), 2), target((15.0, 2.0, 19.0, 9.0), 1)]
    fast = survival(raw, targets, FRAME)
    cosine = cosine_survival(raw, targets, FRAME, whole)
    for image in range(2):
        for k, one in enumerate(targets):
            column = 0 if shared else one.label

            def overlap(of, image, row, one=one, column=column):
                box = of.boxes[image, row, column][None]
                return boxes.iou(torch.tensor([one.box]), box).item()

            best = max(
                overlap(raw, image, j) * raw.probabilities[image, j, one.label].item()
                for j in range(30)
            )
            assert fast[image, k].item() == pytest.approx(best, abs=1e-6)
            asked = max(
                range(30),
                key=lambda j: overlap(whole, 0, j) * whole.probabilities[0, j, one.label].item(),
            )
            best = max(
                overlap(raw, image, j)
                * nn.functional.cosine_similarity(
                    raw.probabilities[image, j], whole.probabilities[0, asked], dim=0
                ).item()
                * raw.probabilities[image, j].max().item()
                for j in range(30)
            )
            assert cosine[image, k].item() == pytest.approx(best, abs=1e-6)


def test_post_nms_reads_final_detections_of_the_same_class():
    detector, image = ToyDetector(), scene(("red", 2, 3), ("blue", 5, 1))
    found = detect(detector, image)
    targets = [found.target(0), found.target(1), found.target(0).as_class("green")]
    values = kept(found, targets).tolist()
    assert values == [
        pytest.approx(float(found.scores[0])),
        pytest.approx(float(found.scores[1])),
        0.0,
    ]
    empty = detect(detector, scene())
    assert kept(empty, targets).tolist() == [0.0, 0.0, 0.0]


def test_batches_never_change_a_score():
    detector, image = ToyDetector(letterbox=48), scene(("red", 2, 3), ("blue", 5, 1))
    targets = list(detect(detector, image, 0.0))[:3]
    images = image * torch.rand(7, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    inputs = detector.frame((image.shape[1], image.shape[2])).to_input(images)
    for scalar in ("max_raw", "max_raw_cos", "margin", "post_nms"):
        one = Survival(detector, image, targets, scalar, batch=1).of_inputs(inputs)
        many = Survival(detector, image, targets, scalar, batch=5).of_inputs(inputs)
        torch.testing.assert_close(one, many, rtol=1e-5, atol=1e-7)
        assert one.shape == (7, 3)


@pytest.mark.parametrize(("size", "count"), [((64, 64), 16), ((320, 320), 8), ((1280, 1280), 1)])
def test_a_cpu_gets_as_many_images_as_its_caches_hold_and_another_device_many(size, count):
    detector, image = ToyDetector(), torch.zeros(3, *size)
    (target,) = list(detect(detector, scene(("red", 1, 1), size=(64, 64)), 0.0))[:1]
    assert Survival(detector, image, [target]).batch == count
    detector.device = torch.device("meta")
    assert Survival(detector, image, [target]).batch == 16
    assert Survival(detector, image, [target], batch=3).batch == 3


def test_sides_are_told_in_image_pixels_without_the_padding():
    frame = Frame.letterbox((40, 64), 64, stride=64, fill=0.5)
    assert (frame.left, frame.top) == (0, 12)
    detector = Answers([[2.0, 1.0, -3.0]], [[4.0, 20.0, 10.0, 36.0]])
    pixels = torch.zeros(1, 3, 64, 64)
    sides = [
        float(differentiable(name, detector, [target()], frame, pixels)(detector.answer))
        for name in ("side_l", "side_t", "side_r", "side_b")
    ]
    assert sides == [4.0, 8.0, 10.0, 24.0]


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (IntegratedGradients(scalar="logits"), "no scalar 'logits'; choose from logit, margin"),
        (DRise(scalar="raw"), "no scalar 'raw'; choose from auto, max_raw"),
    ],
)
def test_a_scalar_that_cannot_be_read_is_refused_before_any_image(method, words):
    with pytest.raises(InputError, match=words):
        require(method, ToyDetector())


def test_without_targets_there_are_no_scores():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    frame = detector.frame((image.shape[1], image.shape[2]))
    raw = detector.raw(frame.to_input(image[None]))
    assert survival(raw, [], frame).shape == (1, 0)
    assert cosine_survival(raw, [], frame, raw).shape == (1, 0)


def test_no_inputs_give_no_scores():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets = list(detect(detector, image))
    asked = Survival(detector, image, targets)
    assert asked.of_inputs(asked.pixels[:0]).shape == (0, len(targets))
    assert asked.of_contents(asked.pixels[:0]).shape == (0, len(targets))
