"""Detectors of somebody's own: wrapped functions and networks, their contract, their refusals."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_methods import SETTINGS
from torch import nn
from toy import ToyDetector, ToyNetwork, scene

import xai_detect as xd
from xai_detect.detectors.own.network import NetworkDetector
from xai_detect.detectors.protocol import Detector, RawDetector, SharingDetector, WhiteBoxDetector
from xai_detect.errors import InputError, TargetError, WeightsError

COLOURS = ("red", "green", "blue")
SIDE, CELL = 64, 8


def squares(image):
    """Cells of one colour, as the toy finds them, from an RGB array: boxes, scores and labels."""
    toy = ToyDetector()
    pixels = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]
    found = toy.detect(pixels, toy.frame(image.shape[:2]), 0.001)[0]
    return found.boxes.numpy(), found.scores.numpy(), found.labels.numpy()


def cells(logits):
    """The decoder of the toy's network: a cell's box is the cell itself."""
    rows = torch.arange(SIDE // CELL)
    low = torch.cartesian_prod(rows, rows).float().flip(1) * CELL
    return torch.cat([low, low + CELL], dim=1).expand(len(logits), -1, -1), logits


def wrapped(decode=cells, network=None, **options):
    network = network or ToyNetwork(CELL, 0.0, False).eval()
    given = {"class_names": COLOURS, "size": SIDE, "feature_layers": ["act"], **options}
    return xd.wrap_network(network, decode, **given)


# --- a function ---


def test_a_wrapped_function_is_a_black_box_that_answers_as_the_function():
    detector, image = xd.wrap(squares, COLOURS), scene(("red", 2, 3), ("blue", 5, 1))
    assert isinstance(detector, Detector)
    assert not isinstance(detector, RawDetector)
    assert (detector.provenance.name, detector.provenance.family) == ("squares", "own")
    found, own = xd.detect(detector, image), xd.detect(ToyDetector(), image)
    assert torch.equal(found.boxes, own.boxes)
    torch.testing.assert_close(found.scores, own.scores)
    assert [target.name for target in found] == ["red", "blue"]


def test_the_function_is_given_rgb_in_eight_bits():
    seen = []

    def predict(image):
        seen.append(image)
        return [], [], []

    image = scene(("red", 0, 0), size=(16, 24))
    assert len(xd.detect(xd.wrap(predict, COLOURS), image)) == 0
    assert seen[0].dtype == np.uint8
    assert seen[0].shape == (16, 24, 3)
    assert seen[0][0, 0].tolist() == [255, 0, 0]
    xd.detect(xd.wrap(predict, COLOURS, imgsz=12), image)
    assert seen[1].shape == (8, 12, 3)


@pytest.mark.parametrize("kind", [list, np.asarray, torch.tensor])
def test_answers_may_be_lists_arrays_or_tensors_in_any_order(kind):
    def predict(image):
        assert image.shape == (10, 20, 3)
        return kind([[0.0, 1.0, 5.0, 6.0], [2.0, 2.0, 30.0, 8.0]]), kind([0.3, 0.9]), kind([0, 2])

    found = xd.detect(xd.wrap(predict, COLOURS, imgsz=20), torch.zeros(3, 20, 40))
    assert found.scores.tolist() == pytest.approx([0.9, 0.3])
    assert found.labels.tolist() == [2, 0]
    # back in pixels of an image twice as large, and clipped to it
    assert found.boxes.tolist() == [[4, 4, 40, 16], [0, 2, 10, 12]]
    assert len(xd.detect(xd.wrap(predict, COLOURS, imgsz=20), torch.zeros(3, 20, 40), 0.5)) == 1


def test_a_batch_is_handed_over_as_one_list():
    counts = []

    def predict(images):
        counts.append(len(images))
        return [squares(image) for image in images]

    image = scene(("red", 2, 3))
    together, apart = xd.wrap(predict, COLOURS, batched=True), xd.wrap(squares, COLOURS)
    targets = list(xd.detect(together, image))
    maps = [
        xd.explain(xd.METHODS["occlusion"](window=0.25, stride=0.25), one, image, targets)[0]
        for one in (together, apart)
    ]
    assert torch.equal(maps[0].heatmap, maps[1].heatmap)
    assert max(counts) > 1


@pytest.mark.parametrize("name", ["d_rise", "occlusion", "d_close"])
def test_a_wrapped_function_is_explained_by_masks(name):
    detector, image = xd.wrap(squares, COLOURS), scene(("red", 2, 3), ("blue", 5, 1))
    targets = list(xd.detect(detector, image))
    maps = xd.explain(xd.METHODS[name](**SETTINGS[name]), detector, image, targets)
    for one, (row, column) in zip(maps, [(2, 3), (5, 1)], strict=True):
        inside = one.heatmap[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8]
        assert float(inside.mean()) > float(one.heatmap.mean())


def test_a_wrapped_function_is_judged_but_never_trusted():
    whole = xd.inspect(xd.wrap(squares, COLOURS), scene(("red", 2, 3)), budget="quick")
    (verdict,) = whole.verdicts
    assert verdict.level is not xd.Level.TRUSTED
    assert whole.provenance.family == "own"


def test_gradients_are_refused_with_the_methods_that_work():
    detector, image = xd.wrap(squares, COLOURS), scene(("red", 2, 3))
    with pytest.raises(InputError, match="squares is a black box; methods that work with it:"):
        xd.explain("grad_cam", detector, image, list(xd.detect(detector, image)))


BOX, SCORE, LABEL = [[0.0, 0.0, 5.0, 5.0]], [0.5], [0]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "answered with a NoneType; expected boxes, scores and labels"),
        ((BOX, SCORE), "answered with a tuple of 2; expected boxes, scores and labels"),
        ((BOX, SCORE, ["red"]), "labels that are no table of numbers"),
        ((BOX, SCORE, [[0], [1, 2]]), "labels that are no table of numbers"),
        ((BOX, [0.5, 0.5], LABEL), r"scores \(2,\) and labels \(1,\); expected \(n, 4\), \(n,\)"),
        ((BOX[0], SCORE, LABEL), r"boxes \(4,\), scores \(1,\)"),
        (([], SCORE, LABEL), r"boxes \(0,\), scores \(1,\)"),
        ((BOX, [math.nan], LABEL), "boxes or scores that are not finite"),
        (([[0, 0, math.inf, 5]], SCORE, LABEL), "boxes or scores that are not finite"),
        ((BOX, [57.0], LABEL), r"scores from 57 to 57; expected \[0, 1\]"),
        ((BOX, SCORE, [3]), "labels from 3 to 3; expected whole numbers from 0 to 2"),
        ((BOX, SCORE, [0.5]), "expected whole numbers from 0 to 2"),
        ((BOX, SCORE, [-1]), "labels from -1 to -1"),
        ((BOX, SCORE, [math.nan]), "labels from nan to nan"),
        (([[9.0, 9.0, 5.0, 5.0]], SCORE, LABEL), "right or lower side comes first"),
        (([[0.1, 0.1, 0.5, 0.5]], SCORE, LABEL), "boxes up to 0.5 in an image of 20 x 10"),
    ],
)
def test_answers_that_make_no_sense_are_one_sentence(answer, words):
    def predict(_image):
        return answer

    detector = xd.wrap(predict, COLOURS, name="mine")
    with pytest.raises(InputError, match=f"mine answered with .*{words}|mine .*{words}"):
        xd.detect(detector, torch.zeros(3, 10, 20))


def test_a_function_of_one_image_is_not_given_a_list_unless_it_says_so():
    detector = xd.wrap(lambda _images: (BOX, SCORE, LABEL), COLOURS, batched=True, name="mine")
    with pytest.raises(InputError, match="mine answered 1 images with a tuple of 3; expected a li"):
        xd.detect(detector, torch.zeros(3, 10, 20))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"class_names": ()}, "expected different names"),
        ({"class_names": ("a", "a")}, "expected different names"),
        ({"class_names": "red"}, "class_names is the text 'red'; expected a list"),
        ({"domain": "radar"}, "there is no domain 'radar'"),
        ({"imgsz": 0}, "imgsz is 0"),
    ],
)
def test_options_of_a_function_that_make_no_sense(options, words):
    with pytest.raises(InputError, match=words):
        xd.wrap(squares, **{"class_names": COLOURS, **options})
    with pytest.raises(InputError, match="expected a threshold"):
        xd.detect(xd.wrap(squares, COLOURS), torch.zeros(3, 8, 8), 1.5)


def test_what_a_function_raises_is_its_own():
    def predict(_image):
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        xd.detect(xd.wrap(predict, COLOURS), torch.zeros(3, 8, 8))


# --- a network ---


def test_a_wrapped_network_answers_as_the_toy_that_it_was_taken_from():
    detector, image = wrapped(), scene(("red", 2, 3), ("blue", 5, 1))
    toy = ToyDetector()
    assert isinstance(detector, WhiteBoxDetector)
    assert isinstance(detector, SharingDetector)
    assert detector.feature_layers == ("network.act",)
    assert detector.provenance.name == "ToyNetwork in memory"
    assert len(detector.provenance.sha256) == 64
    found, own = xd.detect(detector, image), xd.detect(toy, image)
    assert torch.equal(found.boxes, own.boxes)
    assert torch.equal(found.scores, own.scores)
    assert torch.equal(found.candidates, own.candidates)
    pixels = image[None].clone().requires_grad_()
    frame = detector.frame((64, 64))
    for target in found:
        ours = torch.autograd.grad(detector.score(pixels, target), pixels)[0]
        assert torch.equal(ours, torch.autograd.grad(toy.score(pixels, target), pixels)[0])
        odds = detector.candidate(pixels, [target], frame).log_odds[0, 0, target.label]
        assert float(odds.detach().sigmoid()) == pytest.approx(target.score, abs=1e-6)
    (shared,), named = detector.look(image[None], [frame])
    assert torch.equal(shared.scores, found.scores)
    assert named.candidates[0].tolist() == list(range(64))


@pytest.mark.parametrize("name", [name for name in xd.METHODS if name not in ("cam", "attention")])
def test_every_method_gives_a_wrapped_network_the_maps_of_the_toy(name):
    if name == "parchgrad":
        pytest.skip("needs fitted statistics")
    detector, image = wrapped(), scene(("red", 2, 3), ("blue", 5, 1))
    targets = list(xd.detect(detector, image))
    assert len(targets) == 2
    maps = xd.explain(xd.METHODS[name](**SETTINGS.get(name, {})), detector, image, targets)
    toy = ToyDetector(letterbox=64)
    theirs = xd.explain(
        xd.METHODS[name](**SETTINGS.get(name, {})), toy, image, list(xd.detect(toy, image))
    )
    for one, own in zip(maps, theirs, strict=True):
        assert torch.equal(one.heatmap, own.heatmap)


def test_a_wrapped_network_gets_both_tests_of_a_verdict():
    image = scene(("red", 2, 3))
    (ours,), (own,) = (
        xd.inspect(one, image, budget="quick").evidence for one in (wrapped(), ToyDetector())
    )
    assert ours.words == own.words
    assert ours["presence_first"] == pytest.approx(own["presence_first"], abs=1e-4)
    assert not math.isnan(ours["presence_first"])


def test_colours_are_normalised_and_images_stretched():
    class Seen(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.given = ToyNetwork(CELL, 0.0, False), None

        def forward(self, pixels):
            self.given = pixels.detach()
            return self.inner(pixels)

    network = Seen()
    detector = wrapped(
        network=network, feature_layers=["inner.act"], mean=(0.5, 0.0, 0.0), std=(1.0, 2.0, 1.0),
        preprocessing="stretch",
    )  # fmt: skip
    image = torch.full((3, 20, 50), 102 / 255)
    xd.detect(detector, image)
    assert network.given.shape == (1, 3, 64, 64)
    assert network.given[0, :, 5, 5].tolist() == pytest.approx([-0.1, 0.2, 0.4])
    padded = wrapped(fill=0.0).frame((20, 50))
    assert (padded.input_size, padded.content_size) == ((64, 64), (26, 64))


def test_boxes_of_a_class_that_overlap_are_suppressed():
    def twice(logits):
        boxes, odds = cells(logits)
        return torch.cat([boxes, boxes + 1], dim=1), torch.cat([odds, odds - 0.5], dim=1)

    image = scene(("red", 2, 3), ("blue", 5, 1))
    assert len(xd.detect(wrapped(twice, iou=0.5), image)) == 2
    assert len(xd.detect(wrapped(twice, iou=None), image)) == 4


def test_the_network_is_given_back_as_it_was():
    network = ToyNetwork(CELL, 0.0, False).train()
    flags = [parameter.requires_grad for parameter in network.parameters()]
    detector, image = wrapped(network=network), scene(("red", 2, 3))
    xd.explain("grad_cam", detector, image, list(xd.detect(detector, image)))
    assert network.training
    assert [parameter.requires_grad for parameter in network.parameters()] == flags
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(part._forward_hooks for part in network.modules())


def test_a_batch_and_single_images_agree():
    detector = wrapped()
    pixels = torch.stack([scene(("red", row, 3), ("green", 0, row)) for row in range(3)])
    together = detector.raw(pixels)
    for row, one in enumerate(pixels):
        assert torch.allclose(detector.raw(one[None]).probabilities[0], together.probabilities[row])
    assert [len(found) for found in detector.detect(pixels, detector.frame((64, 64)))] == [2, 2, 2]


def decoded(change):
    return lambda logits: change(*cells(logits))


@pytest.mark.parametrize(
    ("decode", "words"),
    [
        (lambda logits: logits, "decode answers with Tensor; expected two tensors"),
        (lambda logits: (logits, logits.detach().numpy()), "with Tensor, ndarray; expected two"),
        (decoded(lambda boxes, odds: (boxes, odds[..., :2])), r"log-odds \(2, 64, 2\) for 2 im"),
        (decoded(lambda boxes, odds: (boxes[:1], odds)), r"boxes \(1, 64, 4\) and log-odds"),
        (decoded(lambda boxes, odds: (boxes[:, :5], odds)), r"boxes \(2, 5, 4\) and log-odds"),
        (decoded(lambda boxes, odds: (boxes[:, :0], odds[:, :0])), r"boxes \(2, 0, 4\)"),
        (decoded(lambda boxes, odds: (boxes, odds.detach())), "have no gradient at the pixels"),
        (decoded(lambda boxes, odds: (boxes, odds * torch.nan)), "log-odds that are not finite"),
        (decoded(lambda boxes, odds: (boxes, odds.sigmoid())), "none below 0; expected ln"),
        (decoded(lambda boxes, odds: (boxes.flip(-1), odds)), "right or lower side comes first"),
        (decoded(lambda boxes, odds: (boxes / 64, odds)), "boxes up to 1 in an input of 64 x 64"),
    ],
)
def test_decoders_that_make_no_sense_are_one_sentence(decode, words):
    with pytest.raises(InputError, match=words):
        wrapped(decode)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"class_names": ()}, "expected different names"),
        ({"size": 0}, "size is 0"),
        ({"size": (64, 9000)}, "expected sides between 1 and 8192"),
        ({"preprocessing": "crop"}, "choose from letterbox, stretch"),
        ({"fill": 114.0}, "fill is 114.0"),
        ({"iou": 45.0}, "iou is 45.0"),
        ({"std": (1.0, 0.0, 1.0)}, "std above 0"),
        ({"domain": "radar"}, "there is no domain 'radar'"),
        ({"feature_layers": ["acts"]}, "the network has no layer 'acts'; did you mean 'act'"),
    ],
)
def test_options_of_a_network_that_make_no_sense(options, words):
    with pytest.raises(InputError, match=words):
        wrapped(**options)


def test_a_layer_that_gives_no_map_is_refused():
    class Listed(nn.Module):
        def forward(self, features):
            return [features]

    class Tailed(ToyNetwork):
        def __init__(self):
            super().__init__(CELL, 0.0, False)
            self.listed = Listed()

        def forward(self, pixels):
            return super().forward(self.listed(pixels)[0])

    with pytest.raises(InputError, match="the layer 'listed' answers with list; expected one map"):
        wrapped(network=Tailed(), feature_layers=["listed"])


def test_weights_and_targets_that_do_not_fit_are_refused():
    network = ToyNetwork(CELL, 0.0, False)
    with torch.no_grad():
        network.means.bias[0] = torch.nan
    with pytest.raises(WeightsError, match="not finite in layer means"):
        wrapped(network=network)
    detector, image = wrapped(), scene(("red", 2, 3))
    target = xd.detect(detector, image).target(0)
    with pytest.raises(TargetError, match="candidate 64 does not exist"):
        detector.score(image[None], replace(target, candidate=64))
    with pytest.raises(TargetError, match="class 9 does not exist"):
        detector.score(image[None], replace(target, label=9))
    with pytest.raises(InputError, match="in float16, expected float32"):
        wrapped(network=ToyNetwork(CELL, 0.0, False).half())
    assert isinstance(detector, NetworkDetector)
