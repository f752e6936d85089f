"""The toy detector is as its docstring says; every other test leans on it."""

import pytest
import torch
from toy import BIAS, CELL, GAIN, RawToy, SealedToy, ToyDetector, scene

from xai_detect.detectors.protocol import Detector, RawDetector, WhiteBoxDetector
from xai_detect.errors import TargetError


def test_the_three_toys_show_three_degrees_of_openness():
    toy = ToyDetector()
    assert isinstance(toy, WhiteBoxDetector)
    raw, sealed = RawToy(toy), SealedToy(toy)
    assert isinstance(raw, RawDetector)
    assert not isinstance(raw, WhiteBoxDetector)
    assert isinstance(sealed, Detector)
    assert not isinstance(sealed, RawDetector)


@pytest.mark.parametrize("background", [0.0, 0.5, 1.0])
def test_it_finds_exactly_the_squares(background):
    toy, image = ToyDetector(), scene(("red", 2, 3), ("blue", 5, 1), background=background)
    found = toy.detect(image[None], toy.frame((64, 64)))[0]
    assert [target.name for target in found] == ["red", "blue"]
    assert found.boxes.tolist() == [[24, 16, 32, 24], [8, 40, 16, 48]]
    torch.testing.assert_close(found.scores, torch.full((2,), GAIN + BIAS).sigmoid())


def test_gradients_are_those_of_the_docstring():
    toy, image = ToyDetector(), scene(("red", 2, 3))
    target = toy.detect(image[None], toy.frame((64, 64)))[0].target(0)
    pixels = image[None].clone().requires_grad_()
    toy.score(pixels, target).sum().backward()
    expected = torch.zeros(3, 64, 64)
    expected[:, 16:24, 24:32] = -GAIN / CELL**2 / 2
    expected[0, 16:24, 24:32] = GAIN / CELL**2
    torch.testing.assert_close(pixels.grad[0], expected)


def test_a_shortcut_needs_both_the_square_and_the_corner():
    toy = ToyDetector(elsewhere=0.7)
    frame = toy.frame((64, 64))
    both = scene(("red", 0, 0), ("red", 2, 3))
    assert len(toy.detect(both[None], frame)[0]) == 2
    assert len(toy.detect(scene(("red", 2, 3))[None], frame)[0]) == 0


def test_a_curved_toy_reports_the_same_full_squares():
    toy, image = ToyDetector(curved=True), scene(("green", 1, 1))
    found = toy.detect(image[None], toy.frame((64, 64)))[0]
    torch.testing.assert_close(found.scores, torch.tensor([4.0]).sigmoid())


def test_it_works_through_a_letterbox():
    toy, image = ToyDetector(letterbox=64), scene(("red", 2, 3), size=(96, 128), cell=16)
    frame = toy.frame((96, 128))
    found = toy.detect(frame.to_input(image[None]), frame)[0]
    assert found.boxes.tolist() == [[48, 32, 64, 48]]


def test_a_wrong_candidate_is_refused():
    toy, image = ToyDetector(), scene(("red", 7, 7))
    target = toy.detect(image[None], toy.frame((64, 64)))[0].target(0)
    with pytest.raises(TargetError):
        toy.score(image[None, :, :32, :32], target)
