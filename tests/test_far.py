"""No method and no part of the way to a verdict mixes devices; what comes back is on the CPU."""

import numpy as np
import pytest
import torch
from far import Far, far_device
from test_methods import SETTINGS

import xai_detect as xd
from xai_detect.detectors.weights.manifest import entry, load_entry, shipped
from xai_detect.detectors.yolo.detector import UltralyticsDetector
from xai_detect.explainers.methods import METHODS
from xai_detect.explainers.protocol import Needs
from xai_detect.values.detections import Provenance
from xai_detect.xray.scenes.planted import render
from xai_detect.xray.scenes.worlds import compose_apart

FEW = {
    "integrated_gradients": {"steps": 2, "max_steps": 4},
    "guided_ig": {"steps": 3},
    "smoothgrad": {"samples": 3},
    "expected_gradients": {"samples": 4},
    "d_rise": {"masks": 8, "grid": 4},
    "d_close": {"masks": 8, "levels": 1, "segments": 8},
    "occlusion": {"window": 0.5, "stride": 0.5},
    "vps": {"regions": 4},
    "phasewin": {"regions": 4},
    "kernel_shap": {"regions": 4, "samples": 12},
    "partition_shap": {"evaluations": 8},
    "vx_code": {"side": 2},
    "sighted_gradients": {"first": 2, "most": 4},
}
"""Every operation is looked at, which is slow; a few passes show each of them."""

ELSEWHERE = {"cam": "needs a classifier"}


def scan():
    planted = compose_apart("object", np.random.default_rng(980_000))
    return xd.load_image(render(planted, 192).image)


def loaded(device):
    one = load_entry(entry(shipped(), "planted/object"))
    return UltralyticsDetector(
        one.network.to(device),
        Provenance("planted/object", "ultralytics", one.sha256, "xray", "96"),
        imgsz=96, fill=1.0,
    )  # fmt: skip


def test_the_pretended_device_keeps_the_rules():
    with far_device() as far:
        near, away = torch.arange(4.0), torch.arange(4.0, device=far)
        assert isinstance(away, Far)
        assert torch.equal((away * 2).cpu(), near * 2)
        assert torch.equal(away[torch.tensor([1, 3])].cpu(), near[[1, 3]])
        assert float(away.sum()) == 6
        for wrong in (lambda: away + near, lambda: near[away.long()], away.numpy):
            with pytest.raises((RuntimeError, TypeError)):
                wrong()
        point = near.clone().requires_grad_()
        (gradient,) = torch.autograd.grad((point.to(far) ** 2).sum().cpu(), point)
        assert torch.equal(gradient, 2 * near)


@pytest.fixture(scope="module")
def detectors():
    with far_device() as far:
        away = loaded(far)
    return loaded("cpu"), away


def test_detections_come_back_on_the_cpu(detectors):
    image, (near, away) = scan(), detectors
    with far_device():
        found, wanted = xd.detect(away, image, 0.05), xd.detect(near, image, 0.05)
    assert len(found) == len(wanted) > 0
    for name in ("boxes", "scores", "labels", "candidates", "proposals"):
        assert not isinstance(getattr(found, name), Far)
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name))


@pytest.mark.parametrize("name", METHODS)
def test_no_method_mixes_devices(name, detectors):
    if name in ELSEWHERE:
        pytest.skip(ELSEWHERE[name])
    if METHODS[name].needs is Needs.ATTENTION:
        pytest.skip("needs a transformer")
    method, image, (near, away) = (
        METHODS[name](**{**SETTINGS.get(name, {}), **FEW.get(name, {})}),
        scan(),
        detectors,
    )
    targets = list(xd.detect(near, image, 0.05))[:2]
    with far_device():
        maps = xd.explain(method, away, image, targets)
    wanted = xd.explain(method, near, image, targets)
    for one, other in zip(maps, wanted, strict=True):
        assert not isinstance(one.heatmap, Far)
        scale = float(other.heatmap.abs().max())
        torch.testing.assert_close(one.heatmap, other.heatmap, rtol=1e-3, atol=1e-4 * scale)


def test_an_inspection_ends_on_the_cpu(detectors):
    image, (near, away) = scan(), detectors
    with far_device():
        found = xd.inspect(away, image, budget="full", method="input_x_gradient")
    wanted = xd.inspect(near, image, budget="full", method="input_x_gradient")
    assert len(wanted.verdicts) > 0
    assert [one.level for one in found.verdicts] == [one.level for one in wanted.verdicts]
    for one, other in zip(found.evidence, wanted.evidence, strict=True):
        assert dict(one) == pytest.approx(dict(other), rel=1e-3, abs=1e-4, nan_ok=True)
