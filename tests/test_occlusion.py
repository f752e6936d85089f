"""Occlusion by hand, against a slow loop, at the image's edges, and its bad input."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy import BIAS, GAIN, SealedToy, ToyDetector, scene

from xai_detect.errors import InputError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.masks.occlusion import Occlusion
from xai_detect.inspection.image import detect
from xai_detect.scores.survival import Survival
from xai_detect.values import fills


def chance(own):
    """The toy's confidence in a cell that shows its own colour so much more than the others."""
    return 1 / (1 + math.exp(-(BIAS + GAIN * own)))


def test_windows_that_match_the_cells_by_hand():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets = list(detect(detector, image))
    (one,) = explain(Occlusion(window=8.0, stride=8.0, fill="air"), detector, image, targets)
    expected = torch.zeros(64, 64)
    expected[16:24, 24:32] = chance(1) - chance(0)
    torch.testing.assert_close(one.heatmap, expected)
    assert one.measured["windows"] == 64
    assert one.measured["forward_passes"] == 65


def test_overlapping_windows_are_averaged_by_hand():
    detector, image = ToyDetector(), scene(("red", 0, 0), size=(8, 64))
    targets = list(detect(detector, image))
    (one,) = explain(Occlusion(window=8.0, stride=4.0, fill="air"), detector, image, targets)
    full, half = chance(1) - chance(0), chance(1) - chance(0.5)
    expected = torch.zeros(8, 64)
    expected[:, :4] = full  # the first window alone
    expected[:, 4:8] = (full + half) / 2  # and the one that starts in the middle of the cell
    expected[:, 8:12] = half / 2
    torch.testing.assert_close(one.heatmap, expected)


def test_what_hiding_helps_is_negative():
    image = scene(("red", 0, 0))
    image[:, 2:6, 2:6] = torch.tensor([0.0, 0.6, 0.6])[:, None, None]  # speaks against red
    detector = ToyDetector()
    (target,) = list(detect(detector, image, 0.0))[:1]
    assert target.name == "red"
    (one,) = explain(Occlusion(window=4.0, stride=2.0, fill="grey"), detector, image, [target])
    assert float(one.heatmap[3:5, 3:5].max()) < 0


@pytest.mark.parametrize("fill", ["blur", "inpaint", "mean"])
def test_against_a_slow_loop(fill):
    detector, image = ToyDetector(curved=True), scene(("red", 1, 1), ("blue", 2, 3), size=(32, 40))
    targets = list(detect(detector, image))
    method = Occlusion(window=0.3, stride=0.1, fill=fill)
    maps = explain(method, detector, image, targets)
    survival = Survival(detector, image, targets)
    whole = survival.of_contents(image[None])[0]
    total, covered = torch.zeros(2, 32, 40), torch.zeros(32, 40)
    for top in [0, 4, 8, 12, 16, 20]:
        for left in [0, 4, 8, 12, 16, 20, 24, 28]:
            hidden = torch.zeros(32, 40, dtype=torch.bool)
            hidden[top : top + 12, left : left + 12] = True
            drop = whole - survival.of_contents(fills.hide(image, hidden, fill)[None])[0]
            total += drop[:, None, None] * hidden
            covered += hidden
    for one, slow in zip(maps, total / covered, strict=True):
        torch.testing.assert_close(one.heatmap, slow, rtol=1e-4, atol=1e-6)


@given(
    height=st.integers(1, 50),
    width=st.integers(1, 50),
    window=st.one_of(st.floats(0.01, 0.99), st.integers(1, 60)),
    stride=st.one_of(st.floats(0.05, 0.99), st.integers(3, 60)),
)
def test_windows_cover_every_pixel_and_stay_inside(height, width, window, stride):
    windows = Occlusion(window=float(window), stride=float(stride)).windows((height, width))
    covered = torch.zeros(height, width)
    for top, left, bottom, right in windows.tolist():
        assert 0 <= top < bottom <= height
        assert 0 <= left < right <= width
        covered[top:bottom, left:right] += 1
    assert covered.min() >= 1
    assert len(torch.unique(windows, dim=0)) == len(windows)


@pytest.mark.parametrize("letterbox", [48, 96])
def test_padding_never_counts(letterbox):
    detector = ToyDetector(letterbox=letterbox)
    image = scene(("red", 1, 1), size=(24, 64))
    targets = list(detect(detector, image, 0.0))[:1]
    (one,) = explain(Occlusion(window=64.0, stride=64.0, fill="air"), detector, image, targets)
    whole = Survival(detector, image, targets)
    white = whole.of_inputs(whole.pixels) - whole.of_inputs(
        whole.frame.to_input(torch.ones_like(image)[None])
    )
    torch.testing.assert_close(one.heatmap, white.expand(24, 64))


@pytest.mark.parametrize("batch", [1, 5])
def test_batches_never_change_a_map(batch):
    detector, image = ToyDetector(curved=True), scene(("red", 1, 1), size=(32, 32))
    targets = list(detect(detector, image))
    one, other = (
        explain(Occlusion(batch=size), detector, image, targets)[0].heatmap for size in (64, batch)
    )
    torch.testing.assert_close(one, other)


def test_a_sealed_box_and_a_flat_score():
    toy, image = ToyDetector(), scene(("red", 1, 1), size=(32, 32))
    targets = list(detect(toy, image))
    sealed = SealedToy(toy)
    (one,) = explain(Occlusion(window=8.0, stride=8.0, fill="air"), sealed, image, targets)
    assert float(one.heatmap[8:16, 8:16].min()) == pytest.approx(chance(1))
    (flat,) = explain(Occlusion(), sealed, scene(size=(32, 32)), targets)
    assert torch.equal(flat.heatmap, torch.zeros(32, 32))


def test_the_brief_form_takes_every_other_window_while_they_meet():
    brief = Occlusion().brief()
    assert brief.stride == 0.1
    assert brief.expected_passes(1) < Occlusion().expected_passes(1)
    assert brief.brief() == brief
    assert Occlusion(window=10.0, stride=0.7).brief().stride == 0.7


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"window": 0.0}, "window is 0.0; expected a share"),
        ({"stride": -1.0}, "stride is -1.0"),
        ({"window": math.nan}, "window is nan"),
        ({"fill": "pink"}, "there is no fill 'pink'"),
        ({"batch": 0}, "batch is 0"),
    ],
)
def test_bad_settings_are_explained(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        Occlusion(**settings)
