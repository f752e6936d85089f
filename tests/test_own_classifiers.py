"""Classifiers of somebody's own: one head or several, convolutions or tokens, own preprocessing."""

import math
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from test_classifiers import QUICK, Means, flat, photo
from test_methods import SETTINGS
from torch import nn

import xai_detect as xd
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.errors import InputError, TargetError, WeightsError
from xai_detect.explainers.gradients.integrated import InputXGradient

COLOURS = ("red", "green", "blue")
HEADS = {"mask": ("none", "worn"), "sex": ("female", "male"), "glasses": ("glasses",)}
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "size": (8, 16)}


class Several(nn.Module):
    """Two softmax heads and a sigmoid one over the means of the colours, by name or in order."""

    def __init__(self, kind=dict):
        super().__init__()
        self.means, self.kind = Means(), kind

    def forward(self, pixels):
        red, green, blue = self.means(pixels).unbind(dim=1)
        parts = [torch.stack([red, green], 1), torch.stack([green, blue], 1), blue - 2]
        return self.kind(zip(HEADS, parts, strict=True)) if self.kind is not tuple else (*parts,)


class Tokens(nn.Module):
    """A small transformer: patches, a class token, attention, a linear layer."""

    def __init__(self, classes=3):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, stride=8)
        self.first = nn.Parameter(torch.zeros(1, 1, 16))
        self.block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, classes)

    def forward(self, pixels):
        tokens = self.patches(pixels).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.first.expand(len(tokens), -1, -1), tokens], dim=1)
        return self.head(self.block(tokens)[:, 0])


def several(kind=dict, names=None, multi_label=("glasses",)):
    return xd.wrap_classifier(Several(kind), names or HEADS, multi_label=multi_label, **PLAIN)


@pytest.fixture
def tokens():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return xd.wrap_classifier(Tokens(), COLOURS, size=32)


def test_one_head_by_hand():
    network = Means().train()
    classifier = xd.wrap_classifier(network, COLOURS, **PLAIN)
    found = xd.detect(classifier, flat(51 / 255, 0.0, 0.0), 0.0)  # logits 2, 0, 0
    e2 = math.exp(2)
    assert found.scores.tolist() == pytest.approx([e2 / (e2 + 2), 1 / (e2 + 2), 1 / (e2 + 2)])
    assert classifier.provenance.name == "Means in memory"
    assert classifier.provenance.input_size == "16 x 8"
    assert len(classifier.provenance.sha256) == 64
    assert isinstance(classifier, WhiteBoxDetector)
    assert network.training
    with pytest.raises(InputError, match=r"belongs to own .* keep its own file"):
        xd.save_classifier(classifier, "x.safetensors")


def test_preprocessing_of_ones_own_is_used_and_differentiated():
    def prepare(pixels):
        return pixels * 2 - 1

    plain = {"size": (8, 16), "multi_label": True}
    own = xd.wrap_classifier(Means(), COLOURS, prepare=prepare, **plain)
    same = xd.wrap_classifier(Means(), COLOURS, mean=(0.5,) * 3, std=(0.5,) * 3, **plain)
    image = photo((20, 30))
    assert torch.allclose(xd.detect(own, image, 0.0).scores, xd.detect(same, image, 0.0).scores)
    targets = list(xd.detect(own, image, 0.0))
    for one, other in zip(
        *(xd.explain(InputXGradient(), made, image, targets) for made in (own, same)), strict=True
    ):
        torch.testing.assert_close(one.heatmap, other.heatmap)


@pytest.mark.parametrize("kind", [dict, OrderedDict, tuple])
def test_several_heads_are_several_questions(kind):
    classifier = several(kind)
    assert classifier.class_names == (
        "mask: none", "mask: worn", "sex: female", "sex: male", "glasses: glasses",
    )  # fmt: skip
    image = flat(51 / 255, 0.0, 102 / 255)  # logits: red 2, green 0, blue 4
    found = xd.detect(classifier, image, 0.5)
    assert [target.name for target in found] == ["sex: male", "mask: none", "glasses: glasses"]
    assert [target.candidate for target in found] == [1, 0, 2]
    odds = [1 / (1 + math.exp(-logit)) for logit in (4, 2, 2)]
    assert found.scores.tolist() == pytest.approx(odds)
    raw = classifier.raw(classifier.frame((20, 30)).to_input(image[None]))
    assert raw.boxes.shape == (1, 3, 1, 4)
    assert raw.probabilities[0].sum(dim=1).tolist() == pytest.approx([1.0, 1.0, odds[2]])
    assert (raw.probabilities[0] > 0).sum(dim=1).tolist() == [2, 2, 1]


def test_a_class_is_asked_of_its_own_head_and_compared_within_it():
    classifier, image = several(), flat(51 / 255, 0.0, 102 / 255)
    pixels = classifier.frame((20, 30)).to_input(image[None])
    mask = next(one for one in xd.detect(classifier, image, 0.5) if one.candidate == 0)
    assert float(classifier.score(pixels, mask.as_class("mask: worn"))) == pytest.approx(-2)
    assert float(classifier.score(pixels, mask.as_class("sex: male"))) == pytest.approx(4)
    (lead,) = xd.explain(
        InputXGradient(baseline="black", scalar="margin"), classifier, image, [mask]
    )
    # the runner-up is the other class of the head, not the sure answer of another head
    assert float(lead.heatmap.sum()) == pytest.approx(4, rel=1e-3)
    with pytest.raises(TargetError, match="answers to different questions"):
        classifier.score(pixels, mask.against("sex: male"))
    with pytest.raises(TargetError, match="a classifier has 3, one for each head"):
        classifier.score(pixels, replace(mask, candidate=3))


@pytest.mark.parametrize("name", [name for name in xd.METHODS if name not in ("cam", "attention")])
@pytest.mark.parametrize("which", ["several", "tokens"])
def test_every_method_explains_it_or_says_why_not(name, which, tokens):
    if name == "parchgrad":
        pytest.skip("needs fitted statistics")
    classifier, image = (several() if which == "several" else tokens), photo()
    target = xd.detect(classifier, image, 0.0).target(0)
    method = xd.METHODS[name](**{**QUICK.get(name, {}), **SETTINGS.get(name, {})})
    layered = which == "tokens" and not method.input_level and hasattr(method, "layer")
    if layered or (which == "tokens" and name == "lrp"):
        with pytest.raises(InputError, match=r"name one or more as 'layer'|lrp"):
            xd.explain(method, classifier, image, [target])
        return
    (one,) = xd.explain(method, classifier, image, [target])
    assert one.heatmap.shape == (40, 60)
    assert one.heatmap.isfinite().all()


def test_a_transformer_has_no_layer_that_shows_what_was_seen(tokens):
    assert tokens.feature_layers == ()
    named = xd.wrap_classifier(Tokens(), COLOURS, size=32, feature_layers=["patches"])
    assert named.feature_layers == ("network.patches",)
    from torchvision.models import swin_t

    swin = xd.wrap_classifier(swin_t(num_classes=3), COLOURS, size=64)
    assert swin.feature_layers == ("network.permute",)  # channels come last before it


def test_logits_may_come_in_what_other_libraries_answer_with():
    class Answer:
        def __init__(self, logits):
            self.logits = logits

    class Held(Means):
        def forward(self, pixels):
            return Answer(super().forward(pixels))

    class Both(Means):
        def forward(self, pixels):
            logits = super().forward(pixels)
            return logits.softmax(dim=1), logits

    image = flat(0.4, 0.1, 0.0)
    plain, *others = (
        xd.detect(xd.wrap_classifier(network(), COLOURS, **PLAIN), image, 0.0).scores
        for network in (Means, Held, Both)
    )
    assert all(torch.equal(plain, scores) for scores in others)


class Without(Means):
    def forward(self, pixels):
        return super().forward(pixels).detach()


class Shares(Means):
    def forward(self, pixels):
        return super().forward(pixels).softmax(dim=1)


@pytest.mark.parametrize(
    ("network", "options", "words"),
    [
        (Means, {"class_names": ("a", "b")}, r"answers \(3,\) per image, but there are 2"),
        (Means, {"class_names": "red"}, "class_names is the text 'red'"),
        (Means, {"class_names": ("a",)}, "needs two or more"),
        (Means, {"size": 0}, "from 1 to 4096"),
        (Means, {"prepare": torch.sigmoid, "mean": (0.0,) * 3}, "instead of mean and std"),
        (Means, {"multi_label": ("mask",)}, "multi_label names heads .mask., but"),
        (Means, {"domain": "radar"}, "there is no domain 'radar'"),
        (Means, {"feature_layers": ["stemm"]}, "no layer 'stemm'; did you mean 'stem'"),
        (Without, {}, "logits of Without in memory have no gradient at the pixels"),
        (Shares, {}, "numbers that add up to 1, as probabilities do"),
        (Several, {}, "answers with a dict; expected logits .* or class_names that describe each"),
        (Means, {"class_names": HEADS}, "answers with a Tensor; expected one output for each of"),
        (
            Several,
            {"class_names": {**HEADS, "age": ("young", "old")}},
            "outputs named mask, sex, g",
        ),
        (lambda: Several(tuple), {"class_names": {"a": ("b", "c")}}, "answers with 3 outputs"),
        (Several, {"class_names": {**HEADS, "sex": COLOURS}}, r"answers \(2,\) per image for sex"),
        (Several, {"class_names": HEADS, "multi_label": ["masks"]}, "names the head 'masks'"),
        (Several, {"class_names": HEADS, "multi_label": False}, "1 classes of 'glasses'"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(network, options, words):
    given = {"class_names": COLOURS, "size": (8, 16), **options}
    if given["class_names"] is not COLOURS and "glasses" in given["class_names"]:
        given = {"multi_label": ["glasses"], **given}
    with pytest.raises(InputError, match=words):
        xd.wrap_classifier(network(), **given)


def test_a_size_that_the_network_does_not_take_is_one_sentence():
    from torchvision.models import VisionTransformer

    network = VisionTransformer(32, 8, 1, 2, 16, 32, num_classes=3)
    with pytest.raises(InputError, match=r"cannot be run on an input of 48 x 48 .* as size="):
        xd.wrap_classifier(network, COLOURS, size=48)
    assert xd.wrap_classifier(network, COLOURS, size=32).feature_layers == ()


def test_weights_that_are_not_finite_are_refused():
    network = Means()
    with torch.no_grad():
        network.stem.weight.fill_(torch.nan)
    with pytest.raises(WeightsError, match="not finite in layer stem"):
        xd.wrap_classifier(network, COLOURS, **PLAIN)
