"""Relevance by hand, against a slow dense second implementation, and networks given back."""

import sys
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from toy import ToyDetector, scene

import xai_detect as xd
from xai_detect.detectors.classifier.detector import ImageClassifier
from xai_detect.detectors.classifier.layout import ClassifierLayout
from xai_detect.detectors.place import place
from xai_detect.errors import InputError, MissingExtraError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.relevance.lrp import LRP
from xai_detect.explainers.relevance.lrp_rules import Rules
from xai_detect.inspection.image import detect
from xai_detect.values.detections import Provenance
from xai_detect.values.images import load_image

pytest.importorskip("zennit")


def test_the_toy_by_hand():
    """All of the logit, 4, goes to the cell's 64 pixels, evenly: the first layer's rule is flat."""
    detector, image = ToyDetector(), scene(("red", 2, 3))
    (one,) = explain(LRP(), detector, image, list(detect(detector, image)))
    expected = torch.zeros(64, 64)
    expected[16:24, 24:32] = 4 / 64
    torch.testing.assert_close(one.heatmap, expected, rtol=1e-4, atol=1e-6)
    assert one.measured["score"] == pytest.approx(4)
    assert one.measured["conservation_error"] == pytest.approx(0, abs=1e-4)


def test_two_cells_share_in_proportion():
    """A fifth of the red cell's logit is read from a corner of the same colour."""
    detector = ToyDetector(elsewhere=0.2)
    image = scene(("red", 2, 3), ("red", 0, 0))
    target = next(one for one in detect(detector, image) if one.candidate == 2 * 8 + 3)
    (one,) = explain(LRP(), detector, image, [target])
    own, corner = one.heatmap[16:24, 24:32].sum(), one.heatmap[:8, :8].sum()
    assert float(own) == pytest.approx(0.8 * 4, rel=1e-3)
    assert float(corner) == pytest.approx(0.2 * 4, rel=1e-3)


class Small(nn.Module):
    """Convolution, norm, ReLU, a branch with SiLU around it, mean, dense layer."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.other = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.act, self.silu = nn.ReLU(), nn.SiLU()
        self.pool, self.last = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 3)

    def forward(self, pixels):
        features = self.act(self.norm(self.first(pixels)))
        features = features + self.silu(self.other(self.second(features)))
        return self.last(self.pool(features).flatten(1))


@pytest.fixture
def classifier():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = Small()
        for norm in (network.norm, network.other):
            norm.running_mean.normal_(0, 0.3)
            norm.running_var.uniform_(0.5, 2)
            nn.init.normal_(norm.weight)  # some channels turn their sign
            nn.init.normal_(norm.bias)
    layout = ClassifierLayout(
        "small", ("a", "b", "c"), (6, 7), (0.4, 0.5, 0.6), (0.5, 0.4, 0.3), True, "photo"
    )
    return ImageClassifier(network.eval(), layout, Provenance("small", "toy", "", "photo", "7x6"))


def picture(size=(6, 7), seed=0):
    return torch.rand(3, *size, generator=torch.Generator().manual_seed(seed))


def dense(layer, shape):
    """The layer without bias as a matrix, by asking it about every unit vector."""
    units = torch.eye(shape.numel(), dtype=torch.float64).view(-1, *shape)
    layer = layer.double()
    nothing = layer(torch.zeros(1, *shape, dtype=torch.float64))
    return (layer(units) - nothing).flatten(1).T  # (out, in)


def shared(contributions, relevance, bias=0.0):
    """Relevance of the inputs, column by column of ``a_i w_ji``; ``bias`` only dilutes."""
    total = contributions.sum(dim=1) + bias
    total = total + 1e-6 * torch.where(total < 0, -1.0, 1.0)
    return contributions.T @ (relevance / total)


def by_definition(network, pixels, label):
    """Each rule as a matrix, in double precision, batch norms written out as factors."""
    shape, inner = pixels.shape[1:], torch.Size((4, 6, 7))
    with torch.no_grad():
        network = network.double()
        scales = [
            (norm.weight / (norm.running_var + norm.eps).sqrt()).repeat_interleave(42)
            for norm in (network.norm, network.other)
        ]
        before = network.act(network.norm(network.first(pixels.double())))
        branch = network.silu(network.other(network.second(before)))
        summed = (before + branch).flatten()
        pooled = network.pool(before + branch).flatten()
        start = network.last(pooled)[label]
        weights, bias = network.last.weight[label], network.last.bias[label]
        relevance = shared((weights * pooled)[None], start[None], bias)
        pool = dense(network.pool, inner)
        relevance = shared(pool * summed, relevance)
        both = torch.stack([before.flatten(), branch.flatten()])
        whole = summed + 1e-6 * torch.where(summed < 0, -1.0, 1.0)
        kept, through = both / whole * relevance
        second = dense(network.second, inner) * scales[1][:, None]
        kept = kept + shared((second * before.flatten()).clamp(min=0), through)
        reached = (dense(network.first, shape) != 0).double()
        return start, shared(reached, kept).view(shape).sum(dim=0)


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_relevance_is_that_of_the_definition(classifier, name):
    image = picture()
    target = detect(classifier, image, 0.0).target(0).as_class(name)
    (one,) = explain(LRP(), classifier, image, [target])
    pixels = classifier.module.normalise(classifier.frame((6, 7)).to_input(image[None]))
    start, expected = by_definition(classifier.module.network, pixels, "abc".index(name))
    assert one.measured["score"] == pytest.approx(float(start), rel=1e-4)
    torch.testing.assert_close(one.heatmap.double(), expected, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("composite", ["epsilon_plus_flat", "epsilon_gamma_flat"])
def test_the_network_comes_back_bit_by_bit(classifier, composite):
    image, network = picture(), classifier.module
    before = {key: value.clone() for key, value in network.state_dict().items()}
    targets = list(detect(classifier, image, 0.0))
    maps = explain(LRP(composite=composite), classifier, image, targets)
    assert list(network.state_dict()) == list(before), "a bias was left behind"
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())
    for one in maps:
        gap = abs(one.measured["relevance"] - one.measured["score"])
        assert one.measured["conservation_error"] == pytest.approx(gap / abs(one.measured["score"]))
        assert float(one.heatmap.sum()) == pytest.approx(one.measured["relevance"], rel=1e-3)


def test_gamma_keeps_evidence_against(classifier):
    image = picture()
    targets = list(detect(classifier, image, 0.0))
    soft, hard = (
        explain(LRP("epsilon_gamma_flat", gamma=gamma), classifier, image, targets)[0].heatmap
        for gamma in (0.0, 100.0)
    )
    assert not torch.allclose(soft, hard, rtol=1e-2)


def relevance_of(function, *inputs):
    moving = [torch.tensor(one, requires_grad=True) for one in inputs]
    with Rules():
        answer = function(*moving)
    found = torch.autograd.grad(answer.sum(), moving, allow_unused=True)
    return [None if one is None else one.tolist() for one in found]


def test_rules_between_layers_by_hand():
    """The relevance that arrives is 1 per entry of the answer."""
    near = pytest.approx
    assert relevance_of(lambda a, b: a + b, [3.0], [1.0]) == [[near(0.75)], [near(0.25)]]
    assert relevance_of(lambda a, b: a - b, [3.0], [1.0]) == [
        [near(1.5, rel=1e-4)],
        [near(-0.5, rel=1e-4)],
    ]
    assert relevance_of(lambda a, b: a * b, [3.0], [7.0]) == [[0.5], [0.5]]
    assert relevance_of(lambda a: 5 * a / 3 + 7, [3.0]) == [[1.0]]
    assert relevance_of(lambda a: 2 - a, [3.0]) == [[1.0]]
    for name in ("relu", "silu", "sigmoid", "hardswish", "gelu", "tanh", "relu6"):
        act = getattr(nn.functional, name)
        assert relevance_of(act, [-2.0, 3.0]) == [[1.0, 1.0]]
    assert relevance_of(lambda a: a.mean(), [1.0, 3.0]) == [[near(0.25), near(0.75)]]
    # an average of 2 x 2: in proportion, as a linear layer with equal weights
    pooled = relevance_of(lambda a: nn.functional.adaptive_avg_pool2d(a, 1), [[[[1.0, 3.0]]]])
    assert pooled == [[[[[near(0.25), near(0.75)]]]]]
    odds = relevance_of(lambda a: a[0] - a[1:].logsumexp(0), [2.0, 5.0, 1.0])
    assert odds == [[1.0, 0.0, 0.0]], "other classes of a softmax take nothing"


def test_attention_weights_take_no_relevance():
    values, queries = [[1.0, 3.0], [2.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]]
    first, second = relevance_of(lambda v, q: q.softmax(-1) @ v, values, queries)
    # each column: two rows of the answer, equal weights, so shares in proportion to the values
    expected = torch.tensor([[2 / 3, 6 / 5], [4 / 3, 4 / 5]])
    torch.testing.assert_close(torch.tensor(first), expected, rtol=1e-4, atol=1e-5)
    assert second is None


def test_adding_in_place_is_a_sum():
    def function(a, b):
        total = a * 1
        total += b
        return total

    first, second = relevance_of(function, [3.0], [1.0])
    assert first == [pytest.approx(0.75)]
    assert second == [pytest.approx(0.25)]


def on(network, size=(8, 8)):
    layout = ClassifierLayout(
        "x", ("a", "b"), size, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), True, "photo"
    )
    return ImageClassifier(network, layout, Provenance("x", "toy", "", "photo", "8x8"))


def test_a_layer_that_is_used_twice_is_refused():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.last = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 2)

        def forward(self, pixels):
            return self.last(self.stem(self.stem(pixels)).mean((2, 3)))

    classifier, image = on(Twice()), picture((8, 8))
    targets = list(detect(classifier, image, 0.0))
    with pytest.raises(InputError, match=r"uses one layer repeatedly \(network\.stem\)"):
        explain(LRP(), classifier, image, targets)
    assert not any(part._forward_hooks for part in classifier.module.modules())


@pytest.mark.parametrize("fails_at", [0, 1, 2])
def test_layers_get_rules_once_the_network_is_borrowed(classifier, hooked, fails_at):
    """The first pass learns the order of layers, the second has rules and merged norms."""
    image, passes = picture(), []
    targets, network = list(detect(classifier, image, 0.0)), classifier.module
    network.train()
    network.network.silu.eval()  # modes need not agree
    modes = [part.training for part in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items()}

    def count(*_):
        passes.append(1)
        if len(passes) == fails_at:
            raise RuntimeError("told to fail")

    own = network.network.act.register_forward_hook(count)
    hooked.clear()
    with pytest.raises(RuntimeError, match="told to fail") if fails_at else nullcontext():
        LRP()(classifier, place(classifier, image), targets)
    assert len(passes) == (fails_at or 2)
    assert hooked
    assert not any(hooked)
    assert [part.training for part in network.modules()] == modes
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert [key for part in network.modules() for key in part._forward_hooks] == [own.id]
    assert not any(part._forward_pre_hooks or part._backward_hooks for part in network.modules())
    after = network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_transformers_are_refused():
    network = nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten(), nn.LayerNorm(4), nn.Linear(4, 2))
    classifier, image = on(network), picture((8, 8))
    with pytest.raises(InputError, match="lrp has no rule for LayerNorm"):
        explain(LRP(), classifier, image, list(detect(classifier, image, 0.0)))


def test_without_zennit_the_command_is_named(monkeypatch):
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets = list(detect(detector, image))
    monkeypatch.setitem(sys.modules, "zennit.canonizers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'xai-detect\[lrp\]'"):
        explain(LRP(), detector, image, targets)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"composite": "plus"}, "choose from epsilon_plus_flat"), ({"gamma": -1.0}, "at least 0")],
)
def test_settings_that_make_no_sense(settings, words):
    with pytest.raises(InputError, match=words):
        LRP(**settings)


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
def test_published_architectures_conserve_relevance(name):
    classifier = xd.build_classifier(name, ("a", "b"), input_size=64)
    generator = torch.Generator().manual_seed(0)
    for part in classifier.module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1, generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)
    image = picture((64, 64))
    (one,) = explain(LRP(), classifier, image, [detect(classifier, image, 0.0).target(0)])
    assert one.measured["conservation_error"] < 0.05


@pytest.mark.weights
def test_a_trained_detector_conserves_relevance(shared, coco_images):
    detector = xd.load_detector(shared / "weights" / "yolov8n.pt", imgsz=320)
    image = load_image(coco_images[0])
    targets = list(detect(detector, image))[:2]
    for one in explain(LRP(), detector, image, targets):
        assert one.measured["conservation_error"] < 1e-3
        x1, y1, x2, y2 = (round(side) for side in one.target.box)
        inside = float(one.heatmap[y1:y2, x1:x2].clamp(min=0).sum())
        chance = (x2 - x1) * (y2 - y1) / one.heatmap.numel()
        assert inside / float(one.heatmap.clamp(min=0).sum()) > 3 * chance
