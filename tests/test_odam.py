"""ODAM by hand; the exact local backward pass of convolutional heads against the ordinary one."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional
from toy import GAIN, ToyDetector, scene

from xai_detect.detectors.lending import lent
from xai_detect.detectors.load import load_detector
from xai_detect.detectors.protocol import PatchDetector
from xai_detect.detectors.weights.checkpoint import quiet
from xai_detect.detectors.yolo.detector import UltralyticsDetector
from xai_detect.detectors.yolo.patches import run_locally
from xai_detect.errors import InputError
from xai_detect.explainers.activations.layers import OpenLayers
from xai_detect.explainers.explain import explain
from xai_detect.explainers.methods import METHODS, build_method
from xai_detect.inspection.image import detect
from xai_detect.values.detections import Provenance
from xai_detect.values.images import load_image

with quiet():
    from ultralytics.nn.modules.conv import Conv, RepConv
    from ultralytics.nn.modules.head import Detect, v10Detect
    from ultralytics.nn.tasks import DetectionModel

SIDES = ("side_l", "side_t", "side_r", "side_b")
GRIDS = ((6, 9), (3, 5), (1, 2))


def found(detector, image):
    return list(detect(detector, image))


def test_odam_of_the_toy_by_hand():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    (target,) = found(detector, image)
    (one,) = explain("odam", detector, image, [target])
    cells = torch.zeros(1, 1, 8, 8)
    cells[..., 2, 3] = GAIN * (2 - 0.5 - 0.5) * target.score * (1 - target.score)
    expected = functional.interpolate(cells, (64, 64), mode="bilinear")[0, 0]
    torch.testing.assert_close(one.heatmap, expected)


def test_odam_of_the_class_is_hires_cam_of_the_probability():
    detector, image = ToyDetector(curved=True), scene(("red", 2, 3), ("blue", 5, 1))
    targets = found(detector, image)
    ours = explain("odam", detector, image, targets)
    other = explain(build_method("hires_cam", scalar="probability"), detector, image, targets)
    for one, same in zip(ours, other, strict=True):
        torch.testing.assert_close(one.heatmap, same.heatmap, rtol=0, atol=0)


class Whole:
    """A detector that hides its patches, so that every slope is taken through the whole network."""

    def __init__(self, detector):
        self._detector = detector

    def __getattr__(self, name):
        if name == "patches":
            raise AttributeError(name)
        return getattr(self._detector, name)


class Regressing(ToyDetector):
    """A toy whose boxes move: the left side with the red of the cell, the others not at all."""

    def candidate(self, pixels, targets, frame):
        features = []
        hook = self.module.contrast.register_forward_pre_hook(
            lambda _, inputs: features.append(inputs[0])
        )
        answer = super().candidate(pixels, targets, frame)
        hook.remove()
        cells = [target.candidate for target in targets]
        shift = torch.zeros(4)
        shift[0] = -3.0
        moved = features[0].flatten(2)[:, 0, cells, None] * shift
        return answer._replace(boxes=answer.boxes + moved)


def test_a_side_of_the_box_by_hand():
    detector, image = Regressing(), scene(("red", 2, 3))
    (target,) = found(detector, image)
    (left,) = explain(build_method("odam", part="side_l"), detector, image, [target])
    cells = torch.zeros(1, 1, 8, 8)
    cells[..., 2, 3] = -3.0 * 2  # gradient times red's activation: it pulls the side outwards
    expected = functional.interpolate(cells, (64, 64), mode="bilinear")[0, 0]
    torch.testing.assert_close(left.heatmap, expected)
    (top,) = explain(build_method("odam", part="side_t"), detector, image, [target])
    assert not top.heatmap.any()


def test_combined_is_the_largest_of_the_five_as_shares_of_their_peaks():
    detector, image = Regressing(), scene(("red", 2, 3), ("blue", 5, 1))
    targets = found(detector, image)
    maps = explain(build_method("odam", part="combined"), detector, image, targets)
    for target, one in zip(targets, maps, strict=True):
        (alone,) = explain("odam", detector, image, [target])
        positive = alone.heatmap.clamp(min=0)  # the only side that moves has a negative map
        torch.testing.assert_close(one.heatmap, positive / positive.max())
    assert maps[0].measured["backward_passes"] == 10


def test_parts_that_do_not_exist_are_refused():
    with pytest.raises(InputError, match="part is 'top'; choose from class, side_l"):
        METHODS["odam"](part="top")


# Heads of every kind, cell by cell.


def head_of(kind):
    """An untrained head on three small grids; the last is smaller than what a cell sees."""
    channels = (8, 12, 16)
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "v10":
            head = v10Detect(4, channels)
        else:
            head = Detect(4, 1 if kind == "26" else 16, end2end=kind == "26", ch=channels)
        if kind == "v8":
            head.legacy = True
            head.cv3 = nn.ModuleList(legacy(width, 4) for width in channels)
        head.stride = torch.tensor([8.0, 16.0, 32.0])
        for norm in (part for part in head.modules() if isinstance(part, nn.BatchNorm2d)):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            norm.bias.data.normal_()  # so that what is padded with 0 does not stay 0
    if kind in ("26", "v10"):
        head.end2end = True
    return head.eval().double()


def legacy(width, classes):
    return nn.Sequential(Conv(width, 8, 3), Conv(8, 8, 3), nn.Conv2d(8, classes, 1))


def grids(head):
    generator = torch.Generator().manual_seed(1)
    branches = head.one2one_cv2 if head.end2end else head.cv2
    widths = [branch[0].conv.in_channels for branch in branches]
    return [
        torch.randn(1, width, *grid, generator=generator, dtype=torch.float64)
        for width, grid in zip(widths, GRIDS, strict=True)
    ]


def any_target():
    detector = ToyDetector()
    return found(detector, scene(("red", 0, 0)))[0]


def weighed(values):
    """A sum in which every channel counts, each differently."""
    return values @ torch.linspace(-1, 2, len(values), dtype=values.dtype)


@pytest.mark.parametrize("kind", ["v8", "11", "26", "v10"])
def test_every_cell_of_a_head_is_what_the_whole_head_says(kind):
    head = head_of(kind)
    features = [one.requires_grad_() for one in grids(head)]
    count = sum(height * width for height, width in GRIDS)
    targets = [replace(any_target(), candidate=cell) for cell in range(count)]
    local = run_locally(head, features, targets)
    whole = head.forward_head(features, **(head.one2one if head.end2end else head.one2many))
    torch.testing.assert_close(local.logits[0], whole["scores"][0].T)
    torch.testing.assert_close(local.sides, whole["boxes"])
    for cell in range(count):
        scores = [
            weighed(logits[cell]) + weighed(sides[:, cell])
            for logits, sides in (
                (whole["scores"][0].T, whole["boxes"][0]),
                (local.logits[0], local.sides[0]),
            )
        ]
        expected = torch.autograd.grad(scores[0], features, retain_graph=True)
        found_here = torch.autograd.grad(scores[1], local.windows[cell], retain_graph=True)[0]
        top, left = local.corners[cell]
        pasted = functional.pad(torch.zeros_like(expected[local.levels[cell]][0]), (4, 4, 4, 4))
        side = found_here.shape[1]
        pasted[:, top + 4 : top + 4 + side, left + 4 : left + 4 + side] = found_here
        inside = pasted[:, 4:-4, 4:-4]
        torch.testing.assert_close(inside, expected[local.levels[cell]][0])
        assert pasted.count_nonzero() == inside.count_nonzero()
        others = [one for level, one in enumerate(expected) if level != local.levels[cell]]
        assert not any(one.any() for one in others)


def test_branches_may_reach_differently_far():
    head = head_of("v8")
    for level, branch in enumerate(head.cv3):
        head.cv3[level] = nn.Sequential(nn.Conv2d(branch[0].conv.in_channels, 4, 1)).double()
    features = grids(head)
    local = run_locally(head, features, [replace(any_target(), candidate=11)])
    whole = head.forward_head(features, **head.one2many)
    torch.testing.assert_close(local.logits[0, 0], whole["scores"][0, :, 11])
    torch.testing.assert_close(local.sides[0, :, 0], whole["boxes"][0, :, 11])


@pytest.mark.parametrize(
    "odd",
    [
        RepConv(8, 8),
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(8, 8, 3, padding=2),
        nn.Conv2d(8, 8, (3, 1), padding=(1, 0)),
        nn.BatchNorm2d(8).train(),
        nn.AvgPool2d(3, 1, 1),
    ],
    ids=["rep", "reflect", "padding", "oblong", "training", "pool"],
)
def test_heads_of_other_kinds_take_the_ordinary_way(odd):
    head = head_of("v8")
    head.cv3[1].insert(1, odd)
    assert run_locally(head, grids(head), [any_target()]) is None


def test_heads_of_other_families_take_the_ordinary_way():
    assert run_locally(nn.Identity(), grids(head_of("11")), [any_target()]) is None


@pytest.mark.parametrize("end2end", [False, True])
def test_patches_give_the_candidates_of_the_whole_network(end2end):
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = DetectionModel("yolo26n.yaml", nc=3, verbose=False).eval()
    network.names, network.end2end = dict(enumerate("abc")), end2end
    provenance = Provenance("untrained", "ultralytics", "", "photo", "64")
    detector = UltralyticsDetector(network, provenance, imgsz=64)
    image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1))
    targets = [replace(any_target(), candidate=cell) for cell in (0, 27, 70, 83)]
    layers = OpenLayers(detector, image, targets)
    patches = detector.patches([one[None] for one in layers.activations], targets)
    whole = detector.candidate(image[None], targets, detector.frame((64, 64)))
    torch.testing.assert_close(patches.candidates.log_odds, whole.log_odds)
    torch.testing.assert_close(patches.candidates.boxes, whole.boxes)
    assert patches.levels == [0, 0, 1, 2]
    local = list(layers.slopes("logit"))
    whole = OpenLayers(Whole(detector), image, targets)
    for (one,), (other,) in zip(local, whole.slopes("logit"), strict=True):
        pasted = torch.zeros_like(other.values)
        one.beneath(pasted).copy_(one.values)
        torch.testing.assert_close(pasted, other.values)


# Trained detectors.


def slopes_both_ways(detector, image, targets, scalar):
    layers = OpenLayers(detector, image, targets)
    local = list(layers.slopes(scalar))
    assert layers.backward_passes == 1
    return layers, local, list(OpenLayers(Whole(detector), image, targets).slopes(scalar))


def border_cells(layers):
    cells, start = [], 0
    for height, width in (one.shape[1:] for one in layers.activations):
        corners = [(0, 0), (0, width - 1), (1, 1), (height - 1, 0), (height - 2, width - 2)]
        cells += [start + row * width + column for row, column in corners]
        start += height * width
    return cells


@pytest.mark.weights
@pytest.mark.parametrize("name", ["yolov8n", "yolo11n", "yolo26n", "yolov10n"])
def test_all_boxes_at_once_are_the_loop(shared, coco_images, name):
    detector, image = load_detector(shared / "weights" / f"{name}.pt"), load_image(coco_images[3])
    assert isinstance(detector, PatchDetector)
    with lent(detector.module):
        targets = list(detect(detector, image, 0.1))[:4]
        border = border_cells(OpenLayers(detector, image, targets))
        targets += [replace(targets[0], candidate=cell) for cell in border]
        for scalar in ("logit", "side_b"):
            layers, local, whole = slopes_both_ways(detector, image, targets, scalar)
            for (one,), (other,) in zip(local, whole, strict=True):
                pasted = torch.zeros_like(layers.activations[one.layer])
                one.beneath(pasted).copy_(one.values)
                assert one.layer == other.layer
                assert one.values.shape[1] <= 5
                scale = max(float(other.values.abs().max()), 1.0)
                torch.testing.assert_close(pasted, other.values, rtol=0, atol=1e-5 * scale)


@pytest.mark.weights
def test_odam_of_a_trained_detector(shared, coco_images):
    detector, image = load_detector(shared / "weights" / "yolo11n.pt"), load_image(coco_images[3])
    targets = list(detect(detector, image))
    maps = explain("odam", detector, image, targets)
    assert maps[0].measured["backward_passes"] == 1
    for target, one in zip(targets, maps, strict=True):
        (alone,) = explain("odam", detector, image, [target])
        scale = float(alone.heatmap.abs().max())
        torch.testing.assert_close(one.heatmap, alone.heatmap, rtol=0, atol=1e-4 * scale)
        assert (one.heatmap != 0).float().mean() < 0.5
    (comb,) = explain(build_method("odam", part="combined"), detector, image, targets[:1])
    assert comb.heatmap.min() >= 0
    assert comb.heatmap.max() == pytest.approx(1)
