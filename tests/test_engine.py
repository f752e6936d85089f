"""Engines: bfloat16 and compiled networks give the answers and maps of the network as it is."""

import copy
import shutil

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.overrides import TorchFunctionMode

import xai_detect as xd
from xai_detect.commands import judging
from xai_detect.commands.tried import Tried
from xai_detect.detectors.engine import ENGINES, Engine
from xai_detect.detectors.lending import lent
from xai_detect.detectors.load import load_detector
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.errors import InputError
from xai_detect.trust.maps import smooth
from xai_detect.xray.scenes.planted import render
from xai_detect.xray.scenes.worlds import compose_apart

CPU = torch.device("cpu")
COMPARED = (
    xd.METHODS["integrated_gradients"](),
    xd.METHODS["hires_cam"](),
    xd.METHODS["odam"](),
    xd.METHODS["d_rise"](masks=256, grid=8),
)


class Small(nn.Module):
    """Few layers, so that it is compiled in seconds."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
            self.second = nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, pixels):
        return self.second(nn.functional.silu(self.first(pixels)))


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def correlation(one, other):
    """Spearman's correlation of two maps at the scale at which maps are read."""
    return float(spearmanr(smooth(one).flatten(), smooth(other).flatten()).statistic)


@pytest.fixture(scope="module")
def scan():
    return xd.load_image(render(compose_apart("object", np.random.default_rng(980_000)), 192).image)


@pytest.fixture(scope="module")
def planted():
    return {name: load_detector("planted/object", engine=name) for name in ("eager", "bf16")}


def assert_same_detections(one, other, pixels):
    assert len(one) == len(other) > 0
    assert one.labels.tolist() == other.labels.tolist()
    assert float((one.scores - other.scores).abs().max()) <= 0.02
    assert float((one.boxes - other.boxes).abs().max()) <= pixels


def test_detections_in_bfloat16_are_those_in_float32(planted, scan):
    found = {name: xd.detect(one, scan) for name, one in planted.items()}
    assert_same_detections(found["eager"], found["bf16"], 2)
    assert not torch.equal(found["eager"].scores, found["bf16"].scores), "bf16 was not used"


@pytest.mark.parametrize("method", COMPARED, ids=lambda one: one.name)
def test_maps_in_bfloat16_rank_pixels_as_those_in_float32(planted, scan, method):
    targets = list(xd.detect(planted["eager"], scan))[:1]
    (one,), (other,) = (xd.explain(method, found, scan, targets) for found in planted.values())
    assert correlation(one.heatmap, other.heatmap) >= 0.99


@pytest.mark.weights
@pytest.mark.parametrize("method", COMPARED, ids=lambda one: one.name)
def test_yolo11n_in_bfloat16_agrees_with_float32(shared, coco_images, method):
    pair = [
        load_detector(shared / "weights" / "yolo11n.pt", imgsz=256, engine=name)
        for name in ("eager", "bf16")
    ]
    image = next(
        image
        for image in map(xd.load_image, coco_images)
        if len(xd.detect(pair[0], image, 0.6)) == 1
    )
    found = [xd.detect(one, image, 0.5) for one in pair]
    assert_same_detections(*found, 2 / pair[0].frame(image.shape[1:]).scale[0])
    (one,), (other,) = (xd.explain(method, two, image, [found[0].target(0)]) for two in pair)
    assert correlation(one.heatmap, other.heatmap) >= 0.99


def test_answers_in_bfloat16_are_float32_and_have_gradients(planted, scan):
    detector = planted["bf16"]
    assert isinstance(detector, WhiteBoxDetector)
    frame = detector.frame(scan.shape[1:])
    target = xd.detect(detector, scan).target(0)
    point = frame.to_input(scan[None]).requires_grad_()
    with lent(detector.module):
        found = detector.candidate(point, [target], frame)
    assert found.log_odds.dtype == found.boxes.dtype == torch.float32
    with lent(planted["eager"].module):
        exact = planted["eager"].candidate(point, [target], frame)
    assert torch.equal(found.log_odds, exact.log_odds), "what gradients are taken of was rounded"
    (gradient,) = torch.autograd.grad(found.log_odds[0, 0, target.label], point)
    assert float(gradient.abs().max()) > 0
    assert detector.raw(point.detach()).probabilities.dtype == torch.float32


def test_boxes_far_from_the_corner_are_not_rounded():
    """In bfloat16 the middle of cell 130 is 130 or 131, half a cell or 4 pixels off."""
    one, other = (load_detector("planted/object", imgsz=1088, engine=x) for x in ("eager", "bf16"))
    pixels = noise(1, 3, 32, 1088)
    cells = 1088 // 8
    boxes = [found.raw(pixels).boxes[0, : 4 * cells, 0] for found in (one, other)]
    middles = [(found[:, :2] + found[:, 2:]) / 2 for found in boxes]
    assert float((middles[0] - middles[1]).mean(dim=0).abs().max()) < 0.5
    assert float((middles[0] - middles[1])[cells - 8 : cells].mean(dim=0).abs().max()) < 1.5


def test_who_hooks_a_layer_sees_the_plain_network(planted, scan):
    frame = planted["bf16"].frame(scan.shape[1:])
    pixels = frame.to_input(scan[None])
    plain, rounded = (planted[name].raw(pixels).probabilities for name in ("eager", "bf16"))
    assert not torch.equal(plain, rounded)
    seen = []
    layer = planted["bf16"].module.get_submodule(planted["bf16"].feature_layers[0])
    hook = layer.register_forward_hook(lambda _part, _inputs, output: seen.append(output.dtype))
    try:
        assert torch.equal(planted["bf16"].raw(pixels).probabilities, plain)
    finally:
        hook.remove()
    assert seen == [torch.float32]
    assert torch.equal(planted["bf16"].raw(pixels).probabilities, rounded)


def test_who_watches_the_calls_of_torch_sees_the_plain_network():
    network = Small()
    engine = Engine("bf16", network, network, CPU)
    assert not engine.plain()
    with TorchFunctionMode():
        assert engine.plain()
    with torch.device("cpu"):  # where new tensors go: nobody looks at anything
        assert not engine.plain()


def test_the_plain_network_has_no_engine():
    assert Engine("eager", Small(), Small(), CPU).plain()


def test_compiled_equals_eager(monkeypatch):
    """Slow: a compiler runs."""
    if not shutil.which("g++"):
        pytest.skip("there is no C++ compiler here")
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")  # a pool takes longer to start
    network = Small().eval()
    engine = Engine("compiled", network, network, CPU)
    for count in (1, 2):
        pixels = noise(count, 3, 96, 96)
        points = [pixels.clone().requires_grad_() for _ in range(2)]
        with lent(network):
            answers = [engine(points[0], exact=True), network(points[1])]
            torch.testing.assert_close(*answers, rtol=0, atol=1e-4)
            slopes = [
                torch.autograd.grad(answer.square().sum(), point)[0]
                for answer, point in zip(answers, points, strict=True)
            ]
        torch.testing.assert_close(*slopes, rtol=0, atol=1e-4)


def test_without_a_compiler_there_is_one_sentence(monkeypatch):
    monkeypatch.setenv("CXX", "/no/such/compiler")
    with pytest.raises(InputError, match=r"needs a C\+\+ compiler.*'eager'"):
        load_detector("planted/object", engine="compiled")


def test_a_compiler_that_fails_gives_one_sentence(monkeypatch):
    def fails(_graph, _inputs):
        raise ValueError("told to fail")

    network = Small()
    compiled = torch.compile(network, backend=fails)
    monkeypatch.setattr(torch, "compile", lambda _network: compiled)
    engine = Engine("compiled", network, network, CPU)
    with pytest.raises(InputError, match=r"could not be compiled \(.*\); use the engine"):
        engine(noise(1, 3, 32, 32))


@pytest.mark.parametrize("name", ["fast", "", "BF16"])
def test_an_unknown_engine_is_refused(name):
    with pytest.raises(InputError, match="choose from eager, bf16, compiled, compiled_bf16"):
        load_detector("planted/object", engine=name)


def test_networks_that_cannot_use_an_engine_say_so(tmp_path):
    (tmp_path / "some.onnx").write_bytes(b"")
    for model in ("torchvision/ssd300_vgg16", tmp_path / "some.onnx"):
        with pytest.raises(InputError, match="cannot run with the engine 'bf16'; use 'eager'"):
            load_detector(model, engine="bf16")


def test_a_missing_device_gives_one_sentence():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match="no usable cuda device; use --device cpu"):
        load_detector("planted/object", device="cuda")


def test_detectors_with_an_engine_can_be_copied(planted, scan):
    twin = copy.deepcopy(planted["bf16"])
    assert torch.equal(xd.detect(twin, scan).boxes, xd.detect(planted["bf16"], scan).boxes)
    with torch.no_grad():
        for parameter in twin.module.parameters():
            parameter.zero_()
    assert len(xd.detect(twin, scan)) != len(xd.detect(planted["bf16"], scan))


@pytest.mark.parametrize("engine", ENGINES)
def test_runs_record_an_engine_that_is_not_the_usual_one(planted, engine):
    agreed = judging.terms("quick", None, "en")
    made = judging.Judge(planted["eager"], agreed, Tried((), tuple)).header(
        0.25, 0.7, {"engine": engine}
    )
    assert made.options.get("engine", "eager") == engine
    assert ("engine" in made.options) == (engine != "eager")
