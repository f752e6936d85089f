"""The same picture at twice the size: the network sees the same, so the same must be said."""

import pytest
import torch
from cues import CUE, OTHER, CueToy, shown
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import COLOURS, ToyDetector, scene

import xai_detect as xd

cells = st.lists(
    st.tuples(st.sampled_from(COLOURS), st.integers(0, 7), st.integers(0, 7)),
    min_size=1, max_size=3, unique_by=lambda one: one[1:],
)  # fmt: skip


def doubled(image):
    return image.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)


def compared(detector, image, **options):
    return [xd.inspect(detector, one, **options) for one in (image, doubled(image))]


def same_in_input_pixels(frame, one, other):
    """A map that is resized to the image loses its edges, and those alone."""
    seen = frame.map_to_content(other.heatmap)
    scale = float(one.heatmap.abs().max())
    gap = float((seen / seen.sum() - one.heatmap / one.heatmap.sum()).abs().mean())
    return gap < 0.1 * scale / float(one.heatmap.sum().abs())


@pytest.mark.parametrize(
    "method", ["integrated_gradients", "input_x_gradient", "grad_cam", "d_rise", "occlusion"]
)
def test_every_kind_of_map_is_the_same_in_input_pixels(method):
    detector = ToyDetector(letterbox=64)
    image = scene(("red", 2, 3), ("green", 6, 6), background=0.5)
    small, large = compared(detector, image, method=method, budget="quick")
    frame = detector.frame((128, 128))
    assert len(small.added) == len(large.added) == 2
    for one, other in zip(small.added, large.added, strict=True):
        assert same_in_input_pixels(frame, one, other)


def same(small, large, frame):
    for one, other in zip(small.verdicts, large.verdicts, strict=True):
        assert (one.level, one.cause, one.reason) == (other.level, other.cause, other.reason)
    for one, other in zip(small.evidence, large.evidence, strict=True):
        assert one.words == other.words
        for name, value in one.items():
            assert other[name] == pytest.approx(value, abs=0.02, rel=0.02, nan_ok=True), name
        for name, places in one.places.items():
            twice = [[2 * side for side in place] for place in places]
            assert [pytest.approx(place) for place in other.places[name]] == twice
    for one, other in zip(small.detections, large.detections, strict=True):
        torch.testing.assert_close(torch.tensor(other.box), 2 * torch.tensor(one.box))
    for one, other in zip(small.explanations, large.explanations, strict=True):
        assert same_in_input_pixels(frame, one, other)


@settings(max_examples=8)
@given(squares=cells, elsewhere=st.sampled_from([0.0, 0.6]))
def test_verdict_evidence_and_maps_are_the_same(squares, elsewhere):
    detector = ToyDetector(letterbox=64, elsewhere=elsewhere)
    small, large = compared(detector, scene(*squares, background=0.5))
    same(small, large, detector.frame((128, 128)))


@pytest.mark.parametrize("decides", ["nothing", "presence", "class"])
def test_places_are_the_same_part_of_the_picture(decides):
    detector = CueToy(decides, cues=[CUE, OTHER][: 2 if decides == "presence" else 1], letterbox=64)
    small, large = compared(detector, shown(CUE, OTHER, background=0.7), budget="full")
    assert len(small.verdicts) == 1
    same(small, large, detector.frame((128, 128)))
