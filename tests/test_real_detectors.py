"""Trust on a real detector and photographs: size and mode change nothing that is said."""

import math

import pytest
import torch
from torch.nn import functional

import xai_detect as xd
from xai_detect.values.images import load_image

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def detector(shared):
    return xd.load_detector(shared / "weights" / "yolo11n.pt")


def photo(shared, number):
    return load_image(shared / "data" / "coco" / "images" / "val2017" / f"{number:012d}.jpg")


def levels(seen):
    return [(target.name, verdict.level) for target, verdict in zip(
        seen.detections, seen.verdicts, strict=True
    )]  # fmt: skip


@pytest.mark.parametrize("number", [724, pytest.param(776, marks=pytest.mark.long)])
def test_a_photograph_over_four_megapixels_is_judged_like_its_small_copy(detector, shared, number):
    small = photo(shared, number)
    large = functional.interpolate(small[None], scale_factor=5, mode="bicubic")[0].clamp(0, 1)
    assert large.shape[1] * large.shape[2] > 4e6
    few = xd.inspect(detector, small, confidence=0.7)
    many = xd.inspect(detector, large, confidence=0.7)
    assert 1 <= len(few.detections) <= 2
    assert levels(many) == levels(few)
    for one, other in zip(few.evidence, many.evidence, strict=True):
        assert other.words == one.words
        unmeasured = {name for name, value in other.items() if not math.isfinite(value)}
        assert unmeasured == {name for name, value in one.items() if not math.isfinite(value)}
        for name in ("score", "probability", "presence_first", "detected_box", "class_box"):
            assert other[name] == pytest.approx(one[name], abs=0.1), name
    for one, other in zip(few.explanations, many.explanations, strict=True):
        assert other.heatmap.shape == large.shape[1:]
        shrunk = functional.interpolate(
            other.heatmap[None, None], size=small.shape[1:], mode="area"
        )[0, 0]
        alike = functional.cosine_similarity(
            blurred(shrunk).flatten(), blurred(one.heatmap).flatten(), dim=0
        )
        assert float(alike) > 0.8


def blurred(heatmap):
    """Positive evidence, which is what verdicts read, summed over the cells of a coarse grid."""
    return functional.adaptive_avg_pool2d(heatmap.clamp(min=0)[None], 16)


def test_a_network_in_training_mode_is_judged_as_in_evaluation(detector, shared):
    small = photo(shared, 724)
    before = xd.inspect(detector, small, confidence=0.7)
    states = {name: value.clone() for name, value in detector.module.state_dict().items()}
    detector.module.train()
    try:
        during = xd.inspect(detector, small, confidence=0.7)
        assert detector.module.training
    finally:
        detector.module.eval()
    assert levels(during) == levels(before)
    for one, other in zip(before.evidence, during.evidence, strict=True):
        assert dict(other) == pytest.approx(dict(one), abs=1e-5, nan_ok=True)
    after = detector.module.state_dict()
    assert all(torch.equal(after[name], value) for name, value in states.items())
