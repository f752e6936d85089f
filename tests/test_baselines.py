"""The trivial maps: what they are, and that none of them passes for evidence."""

import math

import pytest
import torch
from toy import CELL, RawToy, SealedToy, ToyDetector, scene

from xai_detect.detectors.protocol import Raw
from xai_detect.errors import InputError
from xai_detect.explainers.controls import Objectness, Random
from xai_detect.explainers.explain import explain
from xai_detect.explainers.methods import METHODS
from xai_detect.inspection.image import detect, inspect

CONTROLS = ("flat", "box", "centre_gaussian", "edges", "random", "objectness")


def the_one(method, detector, image):
    targets = list(detect(detector, image))
    return explain(method, detector, image, targets)[0]


def test_flat_is_one_everywhere():
    assert torch.equal(
        the_one("flat", ToyDetector(), scene(("red", 2, 3))).heatmap, torch.ones(64, 64)
    )


def test_the_box_is_its_pixels():
    expected = torch.zeros(64, 64)
    expected[16:24, 24:32] = 1
    assert torch.equal(the_one("box", ToyDetector(), scene(("red", 2, 3))).heatmap, expected)


def test_the_gaussian_is_a_sixth_of_each_side_wide():
    heatmap = the_one(
        "centre_gaussian", ToyDetector(cell=24), scene(("red", 0, 1), size=(48, 72), cell=24)
    ).heatmap
    # The box is 24 pixels wide and high around (36, 12): sigma is 4, centres lie half a pixel off.
    assert float(heatmap[11, 35]) == pytest.approx(math.exp(-0.5 * 2 * (0.5 / 4) ** 2))
    assert float(heatmap[11, 39]) == pytest.approx(
        math.exp(-0.5 * ((0.5 / 4) ** 2 + (3.5 / 4) ** 2))
    )
    assert torch.allclose(heatmap[:, 24:48], heatmap[:, 24:48].flip(1))


def test_the_gaussian_of_a_box_without_width_is_still_there():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    target = detect(detector, image).target(0)
    object.__setattr__(target, "box", (27.0, 16.0, 27.0, 24.0))
    (one,) = explain("centre_gaussian", detector, image, [target])
    assert float(one.heatmap.max()) > 0.5


def test_edges_are_sobels():
    image = torch.zeros(3, 64, 64)
    image[0, :, 32:] = 1.0
    detector = ToyDetector()
    targets = list(detect(detector, image))[:1]
    (one,) = explain("edges", detector, image, targets)
    expected = torch.zeros(64, 64)
    expected[:, 31:33] = 4.0  # 1 + 2 + 1 on both sides of the step
    torch.testing.assert_close(one.heatmap, expected)


def test_noise_depends_on_the_seed_alone():
    detector, image = ToyDetector(), scene(("red", 2, 3), ("blue", 5, 5))
    targets = list(detect(detector, image))
    first, second = explain("random", detector, image, targets)
    assert torch.equal(first.heatmap, second.heatmap)
    (other,) = explain(Random(seed=1), detector, image, targets[:1])
    assert not torch.equal(first.heatmap, other.heatmap)
    assert 0 <= float(first.heatmap.min()) < 0.01 < 0.99 < float(first.heatmap.max()) < 1


@pytest.mark.parametrize("hide", [lambda toy: toy, RawToy])
def test_objectness_lays_every_confidence_on_its_cell(hide):
    toy, image = ToyDetector(), scene(("red", 2, 3), ("blue", 5, 1))
    heatmap = the_one("objectness", hide(toy), image).heatmap
    found = toy.raw(image[None]).probabilities[0].amax(dim=1).view(8, 8)
    torch.testing.assert_close(heatmap, found.repeat_interleave(8, 0).repeat_interleave(8, 1))


def test_objectness_of_a_sealed_box_shows_its_detections():
    toy, image = ToyDetector(), scene(("red", 2, 3))
    one = the_one("objectness", SealedToy(toy), image)
    assert float(one.heatmap[16:24, 24:32].min()) == pytest.approx(torch.tensor(4.0).sigmoid())
    one.heatmap[16:24, 24:32] = 0
    assert float(one.heatmap.max()) == 0
    assert one.measured["forward_passes"] == 1


class Saying(ToyDetector):
    """A toy that answers every image with the same raw predictions."""

    def __init__(self, found, probabilities):
        super().__init__()
        self.answer = Raw(torch.tensor(found)[None], torch.tensor(probabilities)[None])

    def raw(self, pixels):
        del pixels
        return self.answer


def laid(detector, size):
    image = scene(("red", 0, 0))
    (target,) = detect(ToyDetector(), image)
    return explain(Objectness(cell=8), detector, torch.zeros(3, *size), [target])[0].heatmap


def test_of_two_predictions_in_a_cell_the_surer_one_counts():
    sure, unsure, outside = [0.0, 0.0, 8.0, 8.0], [1.0, 1.0, 3.0, 3.0], [-9.0, 0.0, 1.0, 8.0]
    nowhere = [math.nan] * 4
    found = [[box] for box in (unsure, sure, unsure, outside, nowhere)]
    confidences = [[one, 0.0, 0.0] for one in (0.2, 0.9, 0.3, 1.0, 1.0)]
    expected = torch.zeros(10, 16)
    expected[:8, :8] = 0.9
    torch.testing.assert_close(laid(Saying(found, confidences), (10, 16)), expected)


def test_with_a_box_per_class_the_likeliest_class_places_it():
    first, second, third = ([8.0 * cell, 0.0, 8.0 * cell + 8, 8.0] for cell in range(3))
    boxes = [[first, second, third], [third, first, first]]
    found = laid(Saying(boxes, [[0.1, 0.7, 0.2], [0.5, 0.3, 0.1]]), (8, 24))
    assert found[0, ::8].tolist() == pytest.approx([0, 0.7, 0.5])


def test_objectness_keeps_padding_out():
    detector, image = ToyDetector(letterbox=64), scene(("red", 0, 0), size=(40, 64))
    heatmap = the_one("objectness", detector, image).heatmap
    assert heatmap.shape == (40, 64)
    assert float(heatmap[:CELL, :CELL].mean()) > 0.3  # the letterbox moved it by half a cell


def test_cells_have_a_side():
    with pytest.raises(InputError, match="cell is 0 pixels; expected at least 1"):
        Objectness(cell=0)


@pytest.mark.parametrize("name", CONTROLS)
def test_no_control_is_ever_evidence(name):
    """A control beside the two maps of a verdict changes nothing that is said."""
    assert METHODS[name].input_level is False
    detector, image = ToyDetector(), scene(("red", 2, 3))
    plain, beside = (inspect(detector, image, method=one) for one in (None, name))
    assert [made.method for made in beside.added] == [name]
    assert beside.verdicts == plain.verdicts
    assert str(beside.evidence) == str(plain.evidence)


@pytest.mark.parametrize("name", [name for name in CONTROLS if name != "objectness"])
def test_controls_ask_the_network_nothing(name):
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets = list(detect(detector, image))
    detector.module.seen.clear()
    (one,) = explain(name, detector, image, targets)
    assert detector.module.seen == []
    assert one.measured["forward_passes"] == 0
    assert METHODS[name]().expected_passes(3) == (0, 0)
