"""The same picture at twice the size: the network sees the same, so the same must be said."""

import pytest
import torch
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


def compared(method, image, elsewhere=0.0):
    detector = ToyDetector(letterbox=64, elsewhere=elsewhere)
    return (xd.inspect(detector, one, method=method) for one in (image, doubled(image)))


@pytest.mark.parametrize(
    "method", ["integrated_gradients", "input_x_gradient", "grad_cam", "d_rise", "occlusion"]
)
def test_every_kind_of_map_is_the_same_in_input_pixels(method):
    small, large = compared(method, scene(("red", 2, 3), ("green", 6, 6), background=0.5))
    frame = ToyDetector(letterbox=64).frame((128, 128))
    assert len(small.explanations) == len(large.explanations) == 2
    for one, other in zip(small.explanations, large.explanations, strict=True):
        seen = frame.map_to_content(other.heatmap)
        scale = float(one.heatmap.abs().max())
        # a map that is resized to the image loses its edges, and those alone
        assert float((seen / seen.sum() - one.heatmap / one.heatmap.sum()).abs().mean()) < (
            0.1 * scale / float(one.heatmap.sum().abs())
        )


@settings(max_examples=12)
@given(squares=cells, elsewhere=st.sampled_from([0.0, 0.6]))
def test_verdict_and_evidence_are_the_same(squares, elsewhere):
    image = scene(*squares, background=0.5)
    small, large = compared("integrated_gradients", image, elsewhere)
    assert [verdict.level for verdict in small.verdicts] == [
        verdict.level for verdict in large.verdicts
    ]
    for one, other in zip(small.evidence, large.evidence, strict=True):
        assert set(one) == set(other)
        for name, value in one.items():
            assert other[name] == pytest.approx(value, abs=0.02, nan_ok=True), name
    for one, other in zip(small.targets, large.targets, strict=True):
        torch.testing.assert_close(torch.tensor(other.box), 2 * torch.tensor(one.box))
