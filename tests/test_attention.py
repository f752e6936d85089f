"""Attention maps by hand, against the network's own reading, and the contract of every method."""

import pytest
import torch
from torch import nn
from toy import SealedToy, ToyDetector, scene

from xai_detect.detectors.attention import AttentionDetector, Sampled
from xai_detect.detectors.weights.checkpoint import quiet
from xai_detect.detectors.yolo.detector import UltralyticsDetector
from xai_detect.errors import InputError, TargetError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.relevance.attention import Attention, on_cells, splat
from xai_detect.inspection.image import detect
from xai_detect.values.detections import Provenance

with quiet():
    from ultralytics.nn.tasks import DetectionModel, RTDETRDetectionModel

SIDE, NAMES, QUERIES = 96, ("gun", "knife"), 20


def network_of(kind, layout):
    with quiet(), torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = kind(layout, nc=len(NAMES), verbose=False).eval()
        network.names = dict(enumerate(NAMES))
    return network


@pytest.fixture(scope="module")
def detector():
    """A small RT-DETR with a ResNet-like stem; untrained, its queries made to look around."""
    network = network_of(RTDETRDetectionModel, "rtdetr-l.yaml")
    head = network.model[-1]
    head.num_queries = QUERIES
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for part in (head.enc_score_head, *head.dec_score_head):
            part.weight.normal_(std=2 / part.in_features**0.5)
            part.bias.fill_(1.0)
        for name, value in head.named_parameters():
            if "bbox_head" in name or "sampling_offsets" in name or "attention_weights" in name:
                value.add_(torch.randn_like(value), alpha=0.05)
    provenance = Provenance("small", "ultralytics", "", "photo", str(SIDE))
    return UltralyticsDetector(network, provenance, imgsz=SIDE)


@pytest.fixture(scope="module")
def image():
    small = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    return nn.functional.interpolate(small, size=(72, 110), mode="bilinear")[0]


@pytest.fixture(scope="module")
def targets(detector, image):
    found = list(detect(detector, image, 0.0))
    first = found[0]
    other = next(one for one in found if one.candidate != first.candidate)
    return [first, other]


def test_one_point_by_hand():
    """On cells of 1: a point a quarter right of a cell's centre and on its row."""
    places = torch.tensor([[[(1.5 + 0.25) / 4, 0.5 / 2]]])
    cells = on_cells(places, torch.tensor([[2.0]]), (2, 4))
    assert cells.tolist() == [[[0, 1.5, 0.5, 0], [0, 0, 0, 0]]]


def test_what_falls_beyond_the_border_is_lost():
    places = torch.tensor([[[0.0, 0.25], [1.2, 0.5], [-5.0, 9.0]]])
    cells = on_cells(places, torch.ones(1, 3), (2, 4))
    # the first lies on the left border, half of it in the first cell; the others are outside
    assert cells.tolist() == [[[0.5, 0, 0, 0], [0, 0, 0, 0]]]


def test_levels_are_spread_over_their_pixels_and_summed():
    places = torch.tensor([[[0.25, 0.25], [0.125, 0.125]]])
    found = Sampled(
        places, torch.tensor([[4.0, 1.0]]), torch.tensor([1, 0]), torch.zeros(2, dtype=torch.int64),
        ((4, 4), (2, 2)),
    )  # fmt: skip
    expected = torch.zeros(8, 8)
    expected[:4, :4] = 4 / 16
    expected[:2, :2] += 1 / 4
    torch.testing.assert_close(splat(found, (8, 8))[0], expected)


def test_points_are_those_the_network_reads(detector, image, targets):
    """Features read at the points, cell by cell in a slow loop, give the module's own output."""
    frame = detector.frame((72, 110))
    pixels = frame.to_input(image[None])
    module = detector.module.model[-1].decoder.layers[2].cross_attn
    kept = {}
    hooks = [
        module.value_proj.register_forward_hook(lambda *call: kept.update(value=call[2][0])),
        module.register_forward_hook(lambda *call: kept.update(output=call[2][0])),
    ]
    points = detector.sampled(pixels, targets[:1], frame)
    for hook in hooks:
        hook.remove()
    heads, width = module.n_heads, module.d_model // module.n_heads
    starts = [0]
    for rows, columns in points.shapes:
        starts.append(starts[-1] + rows * columns)
    own = (points.layers == 2).nonzero()[:, 0].tolist()
    read = torch.zeros(heads, width)
    for place, index in enumerate(own):
        head, level = place // (len(own) // heads), int(points.levels[index])
        shape = points.shapes[level]
        cells = on_cells(points.places[:, index][:, None], points.weights[:, index][:, None], shape)
        value = kept["value"][starts[level] : starts[level + 1]].view(-1, heads, width)[:, head]
        for cell, weight in enumerate(cells.flatten().tolist()):
            if weight:
                read[head] += weight * value[cell]
    with torch.no_grad():
        expected = module.output_proj(read.flatten())
    torch.testing.assert_close(expected, kept["output"][0], rtol=1e-3, atol=1e-4)


def test_weights_sum_to_one_per_layer_and_head(detector, image, targets):
    frame = detector.frame((72, 110))
    points = detector.sampled(frame.to_input(image[None]), targets, frame)
    layers, heads = 6, 8
    assert points.weights.sum(dim=1).tolist() == [pytest.approx(layers * heads, rel=1e-4)] * 2
    maps = explain(Attention(), detector, image, targets)
    for one in maps:
        assert one.measured["attention"] == pytest.approx(layers * heads, rel=1e-4)
        assert float(one.heatmap.min()) >= 0
        assert 0 < one.measured["inside_image"] <= 1 + 1e-3
    (last,) = explain(Attention(layers=1), detector, image, targets[:1])
    assert last.measured["attention"] == pytest.approx(heads, rel=1e-4)


def test_maps_look_near_their_box(detector, image, targets):
    """Untrained offsets are small parts of the box, so most weight lies in twice the box."""
    for one in explain(Attention(), detector, image, targets):
        x1, y1, x2, y2 = one.target.box
        rows, columns = torch.arange(72) + 0.5, torch.arange(110) + 0.5
        far_down = (rows - (y1 + y2) / 2).abs() > (y2 - y1) + 16
        far_across = (columns - (x1 + x2) / 2).abs() > (x2 - x1) + 16
        far = far_down[:, None] | far_across[None, :]
        assert float(one.heatmap[far].sum()) < 0.5 * float(one.heatmap.sum())


def test_one_map_per_target_never_mixed(detector, image, targets):
    together = explain(Attention(), detector, image, [*targets, targets[0].as_class(NAMES[0])])
    assert not torch.allclose(together[0].heatmap, together[1].heatmap)
    for one, target in zip(together, targets, strict=False):
        (alone,) = explain(Attention(), detector, image, [target])
        assert one.heatmap.shape == (72, 110)
        scale = float(alone.heatmap.max())
        torch.testing.assert_close(one.heatmap, alone.heatmap, rtol=1e-3, atol=1e-3 * scale)
    torch.testing.assert_close(together[0].heatmap, together[2].heatmap)  # whatever the class
    assert explain(Attention(), detector, image, []) == []


def test_the_detector_is_left_as_it_was(detector, image, targets, monkeypatch):
    detector.module.train()
    state = torch.get_rng_state()
    explain(Attention(), detector, image, targets)
    assert detector.module.training
    assert torch.equal(torch.get_rng_state(), state)
    monkeypatch.setattr(
        detector.module.model[-1].decoder.layers[5].cross_attn.output_proj, "forward", _fails
    )
    with pytest.raises(RuntimeError, match="told to fail"):
        explain(Attention(), detector, image, targets)
    assert detector.module.training
    detector.module.eval()
    assert not any(
        part._forward_hooks or part._forward_pre_hooks for part in detector.module.modules()
    )


def _fails(*_):
    raise RuntimeError("it was told to fail")


def test_settings_are_enough_to_run_again(detector, image, targets):
    (first,) = explain(Attention(layers=2), detector, image, targets[:1])
    (again,) = explain(Attention(**first.settings), detector, image, targets[:1])
    assert torch.equal(first.heatmap, again.heatmap)
    with pytest.raises(InputError, match="expected 0 for all"):
        Attention(layers=-1)


def test_a_query_that_does_not_exist_is_refused(detector, image, targets):
    from dataclasses import replace

    with pytest.raises(TargetError, match="does not exist"):
        explain(Attention(), detector, image, [replace(targets[0], candidate=10**6)])


def test_detectors_without_attention_are_told_which_have_it():
    toy, image = ToyDetector(), scene(("red", 2, 3))
    targets = list(detect(toy, image))
    assert not isinstance(toy, AttentionDetector)
    with pytest.raises(InputError, match="toy does not show; RT-DETR"):
        explain(Attention(), toy, image, targets)
    with pytest.raises(InputError, match="toy is a black box; methods that work with it"):
        explain(Attention(), SealedToy(toy), image, targets)
    yolo = UltralyticsDetector(
        network_of(DetectionModel, "yolov8n.yaml"),
        Provenance("yolo", "ultralytics", "", "photo", "64"), imgsz=64,
    )  # fmt: skip
    image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    target = next(iter(detect(yolo, image, 0.0)))
    with pytest.raises(InputError, match=r"yolo does not have; RT-DETR \(rtdetr-l or rtdetr-x\)"):
        explain(Attention(), yolo, image, [target])
