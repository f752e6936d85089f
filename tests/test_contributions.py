"""What each channel contributes to a detection: by hand on the toy, and by a slow second way."""

from dataclasses import replace

import pytest
import torch
from test_nearby import detector  # noqa: F401 - a fixture
from test_ultralytics import SIZE, blobs
from torch import nn
from toy import RawToy, SealedToy, ToyDetector, scene

from xai_detect.detectors.lending import lent
from xai_detect.detectors.place import place
from xai_detect.explainers.activations.contributions import contributions, opens
from xai_detect.inspection.image import detect
from xai_detect.values.detections import UNKNOWN


def of(detector, image):  # noqa: F811
    placed = place(detector, image)
    return contributions(detector, placed, list(detect(detector, placed)))


def test_by_hand():
    """The gradient is 20 (1, .5, -1) in the cell, and red is (2, 1, 1) there, bias included."""
    toy = ToyDetector()
    with torch.no_grad():
        toy.module.contrast.weight[0, 1] = 0.5
        toy.module.contrast.weight[0, 2] = -1.0
    (vector,) = of(toy, scene(("red", 2, 3), background=0.0))
    expected = torch.tensor([40.0, 10.0, 0.0])
    torch.testing.assert_close(vector, expected / expected.norm())


def test_each_cell_counts_for_itself():
    """Around 0, red is (.5, -.5, -.5) and black (-.5, -.5, -.5); a quarter is read in the corner.

    In the cell the products are 15 (.5, .25, .25), in the corner 5 (-.5, .25, .25): added up before
    the sign is looked at, all three channels would contribute 5.
    """
    toy = ToyDetector(elsewhere=0.25)
    toy.module.act = nn.Identity()
    with torch.no_grad():
        toy.module.means.bias.fill_(-0.5)
    image = scene(("red", 2, 3), background=0.5)
    image[:, :8, :8] = 0
    placed = place(toy, image)
    target = replace(toy.detect(placed.pixels, placed.frame, 0.0)[0].target(0), label=0)
    target = replace(target, candidate=2 * 8 + 3)
    (vector,) = contributions(toy, placed, [target])
    expected = torch.tensor([7.5, 5.0, 5.0])
    torch.testing.assert_close(vector, expected / expected.norm())


def test_levels_stand_in_a_row_in_their_order():
    """A level that the target is not read from holds nothing."""
    image = scene(("red", 2, 3))
    one_level, two_levels = ToyDetector(), ToyDetector()
    two_levels.feature_layers = ("means", "act")
    (short,), (long,) = of(one_level, image), of(two_levels, image)
    assert torch.equal(long, torch.cat([torch.zeros(3), short]))
    two_levels.feature_layers = ("act", "means")
    assert torch.equal(of(two_levels, image)[0], torch.cat([short, torch.zeros(3)]))


def test_where_there_is_no_answer_there_is_none():
    image = scene(("red", 2, 3), ("blue", 5, 1))
    toy = ToyDetector()
    placed = place(toy, image)
    red, blue = detect(toy, placed)
    found = contributions(toy, placed, [replace(red, candidate=UNKNOWN), blue])
    assert found[0] is None
    torch.testing.assert_close(found[1], of(toy, image)[1])
    assert contributions(toy, placed, []) == []
    assert [opens(SealedToy(toy)), opens(RawToy(toy)), opens(toy)] == [False, False, True]
    assert of(SealedToy(toy), image) == of(RawToy(toy), image) == [None, None]
    blind = ToyDetector()
    with torch.no_grad():
        blind.module.contrast.weight.zero_()  # no channel speaks for anything
    assert contributions(blind, place(blind, image), [red, blue]) == [None, None]
    for layers in ((), ("contrast", "gone")):
        toy.feature_layers = layers
        assert contributions(toy, placed, [red, blue]) == [None, None]


def test_one_pass_serves_all_and_the_network_goes_back_as_it_was():
    toy = ToyDetector()
    image = scene(("red", 2, 3), ("blue", 5, 1), ("green", 0, 0))
    placed = place(toy, image)
    targets = list(detect(toy, placed))
    toy.module.train()
    toy.module.seen.clear()
    vectors = contributions(toy, placed, targets)
    assert toy.module.seen == [1]
    assert toy.module.training
    assert all(weight.grad is None for weight in toy.module.parameters())
    assert not any(vector.requires_grad for vector in vectors)
    for target, vector in zip(targets, vectors, strict=True):
        assert vector.norm() == pytest.approx(1)
        assert int(vector.argmax()) == target.label


def slowly(detector, placed, target):  # noqa: F811
    """One backward pass through whole levels that are cut off from one another, cell by cell."""
    outputs = []

    def cut(*given):
        outputs.append(given[2].detach().requires_grad_())
        return outputs[-1]

    with lent(detector.module):
        hooks = [
            detector.module.get_submodule(name).register_forward_hook(cut)
            for name in detector.feature_layers
        ]
        score = detector.score(placed.pixels, target, placed.frame).sum()
        for hook in hooks:
            hook.remove()
        gradients = torch.autograd.grad(score, outputs, allow_unused=True)
    numbers = []
    for output, gradient in zip(outputs, gradients, strict=True):
        for channel in range(output.shape[1]):
            total = 0.0
            if gradient is not None:
                products = (output[0, channel] * gradient[0, channel]).flatten().tolist()
                total = sum(max(product, 0.0) for product in products)
            numbers.append(total)
    return torch.tensor(numbers)


def test_patches_give_what_whole_levels_give(detector):  # noqa: F811
    placed = place(detector, blobs(1, SIZE, 5)[0].float())
    targets = list(detect(detector, placed, 0.01))[:4]
    assert len(targets) > 1
    vectors = contributions(detector, placed, targets)
    for target, vector in zip(targets, vectors, strict=True):
        expected = slowly(detector, placed, target)
        assert expected.norm() > 0
        torch.testing.assert_close(vector, expected / expected.norm(), rtol=1e-3, atol=1e-5)
