"""Activation maps: by hand on the toy, by slow loops from the formulas, on real networks."""

import math
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.nn import functional
from toy import GAIN, ToyDetector, scene

from xai_detect.detectors.load import load_detector
from xai_detect.detectors.protocol import Candidates, Raw, WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.explainers.activations.layers import OpenLayers
from xai_detect.explainers.explain import explain
from xai_detect.explainers.methods import METHODS, build_method
from xai_detect.inspection.image import detect
from xai_detect.values.detections import Detections, Provenance
from xai_detect.values.frame import Frame
from xai_detect.values.images import load_image

LINEAR_SUM = ("grad_cam", "grad_cam_plus_plus", "hires_cam", "layer_cam")
SPATIAL = ("ssgrad_cam", "ssgrad_cam_plus_plus")
FROM_GRADIENTS = (*LINEAR_SUM, *SPATIAL, "g_came")


def found(detector, image):
    return list(detect(detector, image))


def stretched(cells, size=(64, 64)):
    """What a map over cells becomes in an image that fills the input."""
    return functional.interpolate(cells[None, None], size, mode="bilinear")[0, 0]


def one_map(method, detector, image, target):
    return explain(method, detector, image, [target])[0].heatmap


# By hand. The layer ``act`` holds each colour's mean in a cell plus 1: (2, 2, 2) on white,
# (2, 1, 1) in a red square. The gradient of red is GAIN times (1, -1/2, -1/2) in the target's cell.

BY_HAND = {
    "hires_cam": GAIN * (2 - 0.5 - 0.5),
    "layer_cam": GAIN * 2,
    "grad_cam": GAIN / 64 * (2 - 0.5 - 0.5),
    "ssgrad_cam": GAIN / 64 * (2 - 0.5 - 0.5),
    "ssgrad_cam_plus_plus": GAIN / (2 + 2 * 64 * GAIN) * 2,
}


@pytest.mark.parametrize("name", BY_HAND)
def test_maps_of_the_toy_by_hand(name):
    detector, image = ToyDetector(), scene(("red", 2, 3))
    (target,) = found(detector, image)
    cells = torch.zeros(8, 8)
    cells[2, 3] = BY_HAND[name]
    torch.testing.assert_close(one_map(name, detector, image, target), stretched(cells))


def test_grad_cam_plus_plus_of_the_toy_by_hand():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    (target,) = found(detector, image)
    weight = GAIN / (2 + 2 * 64 * GAIN)  # of red; the other colours' gradients are negative
    expected = torch.full((64, 64), 2 * weight)
    torch.testing.assert_close(one_map("grad_cam_plus_plus", detector, image, target), expected)


def test_grad_cam_lights_up_every_square_of_the_class_and_hires_cam_one():
    detector, image = ToyDetector(), scene(("red", 2, 3), ("red", 6, 6))
    first = found(detector, image)[0]
    spread, kept = (one_map(name, detector, image, first) for name in ("grad_cam", "hires_cam"))
    torch.testing.assert_close(spread[20, 28], spread[52, 52])
    assert kept[20, 28] > 10
    assert kept[52, 52] == 0


def test_eigen_cam_of_the_toy_by_hand():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    (target,) = found(detector, image)
    cells = torch.full((8, 8), math.sqrt(2) / 64)  # white holds more energy than red: positive
    cells[2, 3] = -math.sqrt(2) * 63 / 64
    torch.testing.assert_close(one_map("eigen_cam", detector, image, target), stretched(cells))


def test_eigen_cam_is_the_same_for_every_target_and_says_so():
    detector, image = ToyDetector(), scene(("red", 2, 3), ("blue", 5, 1))
    one, other = explain("eigen_cam", detector, image, found(detector, image))
    torch.testing.assert_close(one.heatmap, other.heatmap, rtol=0, atol=0)
    assert one.measured["image_level"] == 1
    assert "image-level" in METHODS["eigen_cam"].__doc__.splitlines()[0]


def test_eigen_cam_of_a_flat_image_is_flat():
    detector = ToyDetector()
    (target,) = found(detector, scene(("red", 0, 0)))
    assert not one_map("eigen_cam", detector, scene(), target).any()


def test_eigen_cam_is_positive_where_activations_are_large(staged):
    detector, _, target = staged
    for seed in range(6):
        image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(seed))
        method = build_method("eigen_cam", layer="fine")
        heatmap = one_map(method, detector, image, target)
        with torch.no_grad():
            energy = detector.module.fine(detector.module.stem(image[None])).square().sum(dim=1)
        energy = stretched(energy[0] - energy.mean())
        assert (heatmap * energy).sum() > 0


def test_signs_are_kept():
    detector = ToyDetector(domain="xray")
    image = scene(("red", 2, 3))
    target = found(detector, image)[0].as_class("green")
    heatmap = one_map("hires_cam", detector, image, target)
    assert heatmap.min() == pytest.approx(GAIN * (1 - 1 - 0.5), rel=0.3)
    assert heatmap.max() == 0


# Slow second implementations, on a network with channels of both signs and a curved head.


class Stages(nn.Module):
    """Two levels, the coarse one made from the fine one; the head reads both."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.stem = nn.Conv2d(3, 5, 8, stride=8)
        self.fine = nn.SiLU()
        self.down = nn.Conv2d(5, 4, 2, stride=2)
        self.coarse = nn.SiLU()
        self.head_fine = nn.Conv2d(5, 3, 3, padding=1)
        self.head_coarse = nn.Conv2d(4, 3, 3, padding=1)
        self.unused = nn.Conv2d(3, 3, 1)
        self.flat = nn.Flatten(2)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(generator=generator)
        self.stem.weight.data /= 8

    def forward(self, pixels):
        fine = self.fine(self.stem(pixels))
        return self.head(fine, self.coarse(self.down(fine)))

    def head(self, fine, coarse):
        both = self.head_fine(fine) + functional.interpolate(
            self.head_coarse(coarse), scale_factor=2
        )
        return 3 * torch.tanh(self.flat(both).transpose(1, 2) / 4)


class StagedDetector(ToyDetector):
    def __init__(self, letterbox=None):
        super().__init__(letterbox=letterbox)
        self.module = Stages().eval()
        self.feature_layers = ("fine", "coarse")


@pytest.fixture
def staged():
    detector = StagedDetector()
    image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1))
    return detector, image, list(detect(detector, image, 0.0))[3]


def activation_and_gradient(detector, image, target, cut):
    """At both levels, by running the network in two halves; ``cut``: through the head alone."""
    module, score = detector.module, lambda logits: logits[0, target.candidate, target.label]
    with torch.no_grad():
        fine = module.fine(module.stem(image[None]))
        coarse = module.coarse(module.down(fine))
    fine.requires_grad_()
    coarse.requires_grad_()
    below = coarse if cut else module.coarse(module.down(fine))
    first = torch.autograd.grad(score(module.head(fine, below)), fine)[0]
    second = torch.autograd.grad(score(module.head(fine.detach(), coarse)), coarse)[0]
    return [(fine.detach()[0], first[0]), (coarse.detach()[0], second[0])]


def slow_weights(name, activation, gradient, inside):
    """Per channel, in plain loops."""
    weights = []
    for a, g in zip(activation, gradient, strict=True):
        largest, total = float(g.abs().max()), float(a.sum())
        weight = 0.0
        for row in range(g.shape[0]):
            for column in range(g.shape[1]):
                slope = float(g[row, column])
                if name == "grad_cam":
                    weight += slope / g.numel()
                elif name == "ssgrad_cam weight":
                    weight += slope * abs(slope) / largest / g.numel()
                elif slope > 0 and (inside[row, column] or "ss" not in name):
                    alpha = slope**2 / (2 * slope**2 + total * slope**3)
                    share = abs(slope) / largest if name.endswith("weight") else 1
                    weight += alpha * slope * share
        weights.append(weight)
    return weights


def slow_cells(name, activation, gradient, inside):
    cells = torch.zeros(activation.shape[1:])
    if name in ("hires_cam", "layer_cam"):
        for a, g in zip(activation, gradient, strict=True):
            cells += a * (g if name == "hires_cam" else g.clamp(min=0))
        return cells
    if name == "g_came":
        return slow_g_came(activation, gradient)
    kind = "grad_cam" if name in ("grad_cam", "ssgrad_cam map") else name
    for weight, a, g in zip(
        slow_weights(kind, activation, gradient, inside), activation, gradient, strict=True
    ):
        cells += weight * a * (g.abs() / g.abs().max() if name.endswith("map") else 1)
    return cells


def slow_g_came(activation, gradient):
    cells = torch.zeros(activation.shape[1:])
    height, width = cells.shape
    for a, g in zip(activation, gradient, strict=True):
        mean, size = float(g.mean()), g.abs() / g.abs().sum()
        row = sum(i * float(size[i].sum()) for i in range(height))
        column = sum(j * float(size[:, j].sum()) for j in range(width))
        sigma = abs(math.log(abs(mean))) / (math.floor(math.sqrt(height * width) - 1) / 6)
        sigma *= math.log(64 / height)
        bell = torch.tensor(
            [
                [
                    math.exp(-((i - row) ** 2 + (j - column) ** 2) / (2 * sigma**2))
                    for j in range(width)
                ]
                for i in range(height)
            ]
        )
        cells += mean * a * (bell - bell.min()) / (bell.max() - bell.min())
    return cells


CASES = (*LINEAR_SUM, "g_came", *(f"{name} {how}" for name in SPATIAL for how in ("map", "weight")))


@pytest.mark.parametrize("layer", ["auto", "fine", "coarse", "coarse, fine"])
@pytest.mark.parametrize("case", CASES)
def test_maps_match_slow_loops(staged, case, layer):
    detector, image, target = staged
    name, _, spatial = case.partition(" ")
    settings = {"spatial": spatial} if spatial else {}
    method = build_method(name, layer=layer, **settings)
    heatmap = one_map(method, detector, image, target)
    levels = activation_and_gradient(detector, image, target, cut=layer == "auto")
    x1, y1, x2, y2 = target.box
    expected = torch.zeros(64, 64)
    for level, (activation, gradient) in zip(("fine", "coarse"), levels, strict=True):
        if layer != "auto" and level not in layer:
            continue
        step = 64 / activation.shape[1]
        middles = (torch.arange(activation.shape[1]) + 0.5) * step
        inside = ((middles >= y1) & (middles < y2))[:, None] & (middles >= x1) & (middles < x2)
        if not inside.any():  # a box within one cell
            inside[int((y1 + y2) / 2 / step), int((x1 + x2) / 2 / step)] = True
        expected += stretched(slow_cells(case, activation, gradient, inside))
    expected /= 2 if "," in layer else 1
    scale = float(expected.abs().max())
    assert scale > 0
    torch.testing.assert_close(heatmap, expected, rtol=1e-4, atol=1e-4 * scale)


def test_hires_cam_sums_to_the_score_of_a_linear_head():
    detector, image = ToyDetector(), scene(("red", 2, 3), ("blue", 5, 1))
    layers = OpenLayers(detector, image, found(detector, image), "act")
    for (slope,) in layers.slopes("logit"):
        total = (slope.values * layers.activations[0]).sum()
        assert float(total) == pytest.approx(GAIN)  # the logit less its bias


# Layers.


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("layer", ["auto", "means"])
def test_layers_are_opened_once_the_network_is_borrowed(hooked, layer, fails):
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets, network = found(detector, image), detector.module.train()
    network.contrast.eval()  # modes need not agree
    own = network.act.register_forward_hook(lambda *_: None)
    hooked.clear()
    network.fails = fails
    with pytest.raises(RuntimeError, match="told to fail") if fails else nullcontext():
        OpenLayers(detector, image, targets, layer)
    assert hooked
    assert not any(hooked)
    assert [part.training for part in network.modules()] == [True, True, True, False]
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert list(network.act._forward_hooks) == [own.id]
    assert not network.means._forward_hooks


def test_the_levels_of_the_head_are_cut_off_from_one_another(staged):
    detector, image, target = staged
    cut, whole = (
        next(OpenLayers(detector, image, [target], layer).slopes("logit"))
        for layer in ("auto", "fine, coarse")
    )
    assert [slope.layer for slope in cut] == [0, 1]
    assert int((cut[0].values != 0).any(dim=0).sum()) <= 9  # one 3x3 kernel
    assert int((whole[0].values != 0).any(dim=0).sum()) > 9  # and what the coarse level sees


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("fien", "no layer 'fien'; did you mean 'fine'"),
        ("fine,, coarse", "separated by commas"),
        ("auto, fine", "separated by commas"),
        ("", "separated by commas"),
        ("flat", r"'flat' answers with a tensor \(1, 3, 64\); expected one map"),
        ("unused", "'unused' is not used"),
    ],
)
def test_layers_that_cannot_be_opened_are_named(staged, layer, message):
    detector, image, target = staged
    with pytest.raises(InputError, match=message):
        explain(build_method("hires_cam", layer=layer), detector, image, [target])
    assert not any(part._forward_hooks for part in detector.module.modules())


def test_a_layer_that_runs_twice_is_refused(staged):
    detector, image, target = staged
    detector.module.coarse = detector.module.fine
    with pytest.raises(InputError, match="'fine' runs more than once"):
        explain(build_method("hires_cam", layer="fine"), detector, image, [target])


def test_a_network_whose_levels_are_not_known_asks_for_a_name(staged):
    detector, image, target = staged
    detector.feature_layers = ()
    with pytest.raises(InputError, match="not known; name one or more as 'layer'"):
        explain("hires_cam", detector, image, [target])
    assert one_map(build_method("hires_cam", layer="fine"), detector, image, target).any()


@pytest.mark.parametrize("name", FROM_GRADIENTS)
def test_a_layer_off_the_way_gives_an_empty_map_and_says_so(staged, name):
    detector, image, target = staged
    head = detector.module.head
    detector.module.head = lambda fine, coarse: head(fine, 0 * coarse)
    (one,) = explain(build_method(name, layer="coarse"), detector, image, [target])
    assert not one.heatmap.any()
    assert one.measured["layers_reached"] == 0


def test_maps_are_placed_by_the_letterbox():
    detector, image = ToyDetector(letterbox=64), scene(("red", 1, 2), size=(32, 64))
    target = found(detector, image)[0]
    heatmap = one_map("hires_cam", detector, image, target)
    assert heatmap.shape == (32, 64)
    assert heatmap[8:16, 16:24].sum() > 0.5 * heatmap.sum()


def test_what_a_network_pads_by_itself_is_cut_off():
    class Padding(ToyDetector):
        def __init__(self):
            super().__init__()
            self.module.register_forward_pre_hook(
                lambda _, inputs: functional.pad(inputs[0], (0, 16, 0, 8))
            )

        def covered(self, input_size):
            return (0, 0, input_size[1] + 16, input_size[0] + 8)

        def _cells(self, pixels):
            return super()._cells(functional.pad(pixels, (0, 16, 0, 8)))

    plain, padding = ToyDetector(), Padding()
    image = scene(("red", 2, 3))
    expected, heatmap = (
        one_map("hires_cam", one, image, found(one, image)[0]) for one in (plain, padding)
    )
    torch.testing.assert_close(heatmap, expected)


def test_scalars_and_settings_that_make_no_sense_are_refused():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets = found(detector, image)
    with pytest.raises(InputError, match="spatial is 'both'; expected 'map' or 'weight'"):
        METHODS["ssgrad_cam"](spatial="both")
    with pytest.raises(InputError, match="iou_probability"):
        METHODS["grad_cam"](scalar="iou_probability")
    with pytest.raises(InputError, match="there is no scalar 'score'"):
        explain(METHODS["grad_cam"](scalar="score"), detector, image, targets)


def test_targets_share_the_forward_pass():
    detector, image = ToyDetector(), scene(("red", 2, 3), ("blue", 5, 1))
    targets = found(detector, image)
    detector.module.seen.clear()
    maps = explain("hires_cam", detector, image, targets)
    assert detector.module.seen == [1]
    assert [one.measured["forward_passes"] for one in maps] == [1, 1]
    assert [one.measured["backward_passes"] for one in maps] == [2, 2]


# CAM, on a network that ends in a mean and one linear layer.


class Pooling(nn.Module):
    def __init__(self, *, hidden=False):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 4, stride=4), nn.BatchNorm2d(6), nn.ReLU(inplace=True),
            nn.Conv2d(6, 7, 2, stride=2), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.before = nn.Linear(7, 7) if hidden else nn.Dropout()
        self.fc = nn.Linear(7, 3)
        self.fails = False

    def forward(self, pixels):
        features = self.features(pixels)
        if self.fails:
            raise RuntimeError("the toy was told to fail")
        return self.fc(self.before(torch.flatten(self.avgpool(features), 1)))


class Classifier:
    """One candidate: the whole image."""

    feature_layers = ("features",)
    class_names = ("red", "green", "blue")
    provenance = Provenance("classifier", "toy", "", "photo", "any")

    def __init__(self, *, hidden=False):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.module = Pooling(hidden=hidden).eval()

    def frame(self, image_size):
        return Frame.stretch(image_size, (32, 32))

    def detect(self, pixels, frame, confidence=0.25):
        scores, labels = self.raw(pixels).probabilities[0, 0].sort(descending=True)
        whole = torch.tensor([[0.0, 0.0, *frame.image_size[::-1]]]).repeat(3, 1)
        kept = scores > confidence
        rows = torch.zeros(int(kept.sum()), dtype=torch.int64)
        return [
            Detections(
                whole[kept], scores[kept], labels[kept], rows, whole[kept], frame.image_size,
                self.class_names,
            )
        ]  # fmt: skip

    @torch.no_grad()
    def raw(self, pixels):
        return Raw(torch.tensor([[[[0.0, 0, 32, 32]]]]), self.module(pixels).sigmoid()[:, None])

    def candidate(self, pixels, targets, frame):
        del frame
        logits = self.module(pixels)[:, None].expand(-1, len(targets), -1)
        return Candidates(logits, torch.tensor([0.0, 0, 32, 32]).expand(1, len(targets), 4))

    def score(self, pixels, target, frame=None):
        return self.candidate(pixels, [target], frame).log_odds[:, 0, target.label]


@pytest.fixture
def picture():
    return torch.rand(3, 20, 28, generator=torch.Generator().manual_seed(2))


def test_cam_by_its_definition(picture):
    detector = Classifier()
    assert isinstance(detector, WhiteBoxDetector)
    targets = list(detect(detector, picture, 0.0))
    assert len(targets) == 3
    maps = explain("cam", detector, picture, targets)
    pixels = detector.frame((20, 28)).to_input(picture[None])
    with torch.no_grad():
        features, fc = detector.module.features(pixels)[0], detector.module.fc
    for target, one in zip(targets, maps, strict=True):
        weight, bias = fc.weight[target.label].detach(), fc.bias[target.label].detach()
        cells = sum(w * a for w, a in zip(weight, features, strict=True))
        score = detector.score(pixels, target).detach()[0]
        torch.testing.assert_close(cells.mean() + bias, score)
        expected = stretched(stretched(cells, (32, 32)), (20, 28))
        torch.testing.assert_close(one.heatmap, expected)
        assert one.measured["forward_passes"] == 1


@pytest.mark.parametrize("name", ["hires_cam", "grad_cam"])
def test_cam_is_hires_cam_and_grad_cam_of_such_a_network(picture, name):
    detector = Classifier()
    target = detect(detector, picture, 0.0).target(0)
    known = one_map("cam", detector, picture, target)
    torch.testing.assert_close(16 * one_map(name, detector, picture, target), known)


@pytest.mark.parametrize("detector", [ToyDetector(), Classifier(hidden=True)])
def test_cam_refuses_other_networks_and_says_what_to_use(detector, picture):
    image = scene(("red", 2, 3)) if isinstance(detector, ToyDetector) else picture
    target = detect(detector, image, 0.0).target(0)
    with pytest.raises(InputError, match=r"mean over the image and one linear layer.*hires_cam"):
        explain("cam", detector, image, [target])
    assert not any(part._forward_hooks for part in detector.module.modules())


def test_cam_leaves_the_network_as_it_was(picture):
    detector = Classifier()
    target = detect(detector, picture, 0.0).target(0)
    detector.module.train()
    explain("cam", detector, picture, [target])
    detector.module.fails = True
    with pytest.raises(RuntimeError, match="told to fail"):
        explain("cam", detector, picture, [target])
    assert detector.module.training
    assert all(parameter.requires_grad for parameter in detector.module.parameters())
    assert not any(part._forward_hooks for part in detector.module.modules())


# Real networks.


def tv(name):
    from torchvision.models import detection

    from xai_detect.detectors.vision.detector import TorchvisionDetector

    network = getattr(detection, name)(weights=None, weights_backbone=None, num_classes=4)
    provenance = Provenance(name, "torchvision", "", "photo", "any")
    return TorchvisionDetector(network.eval(), ("cat", "dog", "hen"), provenance)


@pytest.mark.parametrize(
    ("name", "levels", "unseen"),
    [
        ("fasterrcnn_mobilenet_v3_large_320_fpn", 2, 1),  # a third level is for proposals only
        ("ssdlite320_mobilenet_v3_large", 6, 0),
    ],
)
def test_torchvision_names_what_enters_the_head(name, levels, unseen):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        detector = tv(name)
    network, seen = detector.module, {}

    def keep(part):
        def hook(_module, _inputs, output):
            seen[part] = output

        return hook

    hooks = [
        network.get_submodule(part).register_forward_hook(keep(part))
        for part in detector.feature_layers
    ]
    with torch.no_grad():
        images, _ = network.transform([torch.rand(3, 75, 110)])
        entering = list(network.backbone(images.tensors).values())
    for hook in hooks:
        hook.remove()
    assert len(detector.feature_layers) == levels == len(entering) - unseen
    for part, one in zip(detector.feature_layers, entering, strict=False):
        assert seen[part] is one
    padded, inner = images.tensors.shape[2:], images.image_sizes[0]
    expected = [
        round(side * outer / small)
        for side, outer, small in zip((75, 110), padded, inner, strict=True)
    ]
    assert detector.covered((75, 110)) == (0, 0, expected[1], expected[0])
    raw = detector.raw(torch.rand(1, 3, 75, 110))
    target = Detections(
        raw.boxes[0, :1, 0], torch.tensor([0.5]), torch.tensor([0]), torch.tensor([0]),
        torch.tensor([[20.0, 20, 60, 60]]), (75, 110), detector.class_names,
    ).target(0)  # fmt: skip
    (one,) = explain("hires_cam", detector, torch.rand(3, 75, 110), [target])
    assert one.heatmap.shape == (75, 110)
    assert one.heatmap.any()
    assert one.measured["layers_reached"] == 1


@pytest.mark.weights
def test_maps_of_a_trained_detector_lie_where_its_layers_see(shared, coco_images):
    detector, image = load_detector(shared / "weights" / "yolo11n.pt"), load_image(coco_images[3])
    target = detect(detector, image).target(0)
    x1, y1, x2, y2 = (round(side) for side in target.box)
    shares = {}
    for name, layer in (("hires_cam", "auto"), ("hires_cam", "model.9"), ("layer_cam", "model.4")):
        positive = one_map(build_method(name, layer=layer), detector, image, target).clamp(min=0)
        shares[layer] = float(positive[y1:y2, x1:x2].sum() / positive.sum())
    assert shares["auto"] > 0.8
    assert shares["model.9"] < shares["auto"]
    assert all(0 <= share <= 1 for share in shares.values())


@pytest.mark.weights
def test_cam_refuses_a_trained_detector(shared, coco_images):
    detector, image = load_detector(shared / "weights" / "yolo11n.pt"), load_image(coco_images[3])
    with pytest.raises(InputError, match=r"yolo11n\.pt does not; use hires_cam"):
        explain("cam", detector, image, [detect(detector, image).target(0)])
