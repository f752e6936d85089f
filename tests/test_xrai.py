"""XRAI: pooling by hand and against a slow second implementation, then on top of every method."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from toy import ToyDetector, scene

from xai_detect.detectors.load import load_detector
from xai_detect.errors import InputError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.gradients.integrated import IntegratedGradients
from xai_detect.explainers.methods import METHODS
from xai_detect.explainers.protocol import Needs
from xai_detect.explainers.xrai.method import UNDER, XRAI
from xai_detect.explainers.xrai.regions import Regions, segments
from xai_detect.inspection.image import detect
from xai_detect.values.images import load_image

QUICK = {"side": 64, "scales": (50, 250), "smallest": 20}


def found(detector, image):
    return list(detect(detector, image))


def test_pooling_by_hand():
    """Halves and thirds of a row of six; the best first, then what is new in the next best."""
    halves = np.array([[0, 0, 0, 1, 1, 1]], np.int32)
    thirds = np.array([[0, 0, 1, 1, 2, 2]], np.int32)
    regions = Regions([halves, thirds], dilate=0)
    assert regions.count == 5
    heatmap = np.array([[0.0, 2.0, 6.0, 4.0, -1.0, -3.0]])
    # Third 1 has mean 5. Of what is left, half 0 and third 0 have 1, half 1 and third 2 have -2.
    pooled = regions.pool(heatmap, fewest=1)
    np.testing.assert_allclose(pooled.heatmap, [[1, 1, 5, 5, -2, -2]])
    assert pooled.regions == 3
    # With at least three new pixels: half 0 (mean 8/3), then half 1 (mean 0).
    pooled = regions.pool(heatmap, fewest=3)
    np.testing.assert_allclose(pooled.heatmap, [[8 / 3] * 3 + [0] * 3])
    assert pooled.regions == 2
    # None is large enough: everything is the rest.
    pooled = regions.pool(heatmap, fewest=4)
    np.testing.assert_allclose(pooled.heatmap, np.full((1, 6), 8 / 6))
    assert pooled.regions == 0


def test_regions_are_widened_by_a_disk():
    labels = np.zeros((7, 7), np.int32)
    labels[3, 3], labels[0, 0] = 1, 2
    regions = Regions([labels], dilate=2)
    rows, columns = np.indices((7, 7))
    for centre in (3, 0):
        disk = ((rows - centre) ** 2 + (columns - centre) ** 2 <= 4).astype(np.float32)
        # a region that were smaller or larger would share its mean with its surroundings
        np.testing.assert_array_equal(regions.pool(disk, fewest=1).heatmap, disk)


def slow_pool(labels, heatmap, fewest):
    """The definition with one mask per region, measured anew at every turn."""
    masks = [label == number for label in labels for number in np.unique(label)]
    pooled, covered = np.zeros_like(heatmap), np.zeros(heatmap.shape, bool)
    while masks := [mask for mask in masks if (mask & ~covered).sum() >= fewest]:
        best = max(masks, key=lambda mask: heatmap[mask & ~covered].mean())
        new = best & ~covered
        pooled[new] = heatmap[new].mean()
        covered |= new
    if not covered.all():
        pooled[~covered] = heatmap[~covered].mean()
    return pooled


@given(
    labels=st.lists(arrays(np.int32, (5, 6), elements=st.integers(0, 4)), min_size=1, max_size=3),
    seed=st.integers(0, 1000),
    fewest=st.integers(1, 8),
)
def test_pooling_matches_the_slow_definition_and_keeps_the_total(labels, seed, fewest):
    heatmap = np.random.default_rng(seed).normal(size=(5, 6))
    pooled = Regions(labels, dilate=0).pool(heatmap, fewest).heatmap
    np.testing.assert_allclose(pooled, slow_pool(labels, heatmap, fewest), atol=1e-9)
    assert pooled.sum() == pytest.approx(heatmap.sum(), abs=1e-9)


@pytest.mark.parametrize("size", [(60, 90), (3, 4), (300, 20)])
def test_segments_follow_an_edge_at_every_size(size):
    image = torch.zeros(3, *size)
    image[0, :, : size[1] // 2] = 0.6
    for labels in segments(image, (50, 500), 0.8, 150, 224):
        assert labels.shape == size
        assert labels[0, 0] != labels[0, -1]
        assert len(np.unique(labels)) <= 6  # both sides, and strips where the edge is smoothed


def test_segments_do_not_depend_on_contrast():
    image = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(0))
    for one, other in zip(
        segments(image, (50, 500), 0.8, 20, 64),
        segments(0.25 * image + 0.5, (50, 500), 0.8, 20, 64),
        strict=True,
    ):
        assert (one == other).mean() > 0.95


def test_a_flat_image_is_one_segment():
    (labels,) = segments(torch.full((3, 30, 40), 0.3), (50,), 0.8, 150, 224)
    assert (labels == 0).all()


def test_both_extremes_are_averaged_and_the_total_is_kept():
    """Against black the toy's red square adds 20 log-odds, against white green and blue do."""
    detector, image = ToyDetector(curved=True), scene(("red", 2, 3), background=0.5)
    targets = found(detector, image)
    beneath = [
        explain(IntegratedGradients(baseline=baseline), detector, image, targets)[0]
        for baseline in ("black", "air")
    ]
    (map_,) = explain(XRAI(), detector, image, targets)
    mean = sum(one.heatmap for one in beneath) / 2
    assert float(map_.heatmap.sum()) == pytest.approx(float(mean.sum()), rel=1e-4)
    for name in ("forward_passes", "backward_passes"):
        assert map_.measured[name] == sum(one.measured[name] for one in beneath)
    assert map_.measured["score"] == beneath[0].measured["score"]
    assert map_.measured["completeness_error"] < 0.05
    best = map_.heatmap == map_.heatmap.max()
    assert best[16:24, 24:32].all()
    assert best.sum() < 400  # the square of 64 pixels, widened by 5
    assert len(map_.heatmap.unique()) <= map_.measured["regions"] + 1


@pytest.mark.parametrize("under", [name for name in UNDER if name != "parchgrad"])
def test_regions_lie_on_any_gradient_method(under):
    detector, image = ToyDetector(curved=True), scene(("red", 2, 3))
    targets = found(detector, image)
    method = XRAI(under, baseline="black", coarse=True, **QUICK)
    (map_,) = explain(method, detector, image, targets)
    settings = {"baseline": "black"} if "baseline" in UNDER[under].__slots__ else {}
    (below,) = explain(UNDER[under](**settings).brief(), detector, image, targets)
    assert float(map_.heatmap.sum()) == pytest.approx(float(below.heatmap.sum()), abs=1e-3)
    assert map_.measured["forward_passes"] == below.measured["forward_passes"]
    assert method.expected_passes(2) == UNDER[under](**settings).brief().expected_passes(2)


def test_what_is_offered_beneath_is_registered():
    for name, one in UNDER.items():
        assert METHODS[name] is one
        assert one.input_level
        assert one.needs is Needs.GRADIENTS


def test_parchgrad_beneath_asks_for_its_statistics():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    with pytest.raises(InputError, match="parchgrad needs statistics"):
        explain(XRAI("parchgrad"), detector, image, found(detector, image))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"under": "cam"}, "under is 'cam'; choose from integrated_gradients"),
        ({"scales": ()}, "expected at least one"),
        ({"scales": (50, 0)}, "all above 0"),
        ({"sigma": -1.0}, "sigma is -1.0"),
        ({"side": 1}, "side is 1 pixels; expected at least 2"),
        ({"dilate": -1}, "dilate is -1"),
        ({"fewest": 0}, "fewest is 0"),
        ({"smallest": 0}, "smallest is 0"),
        ({"under": "guided_backprop", "scalar": "iou_probability"}, "at the image itself"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        XRAI(**settings)


@pytest.mark.weights
def test_regions_of_a_real_detection(shared, coco_images):
    detector = load_detector(str(shared / "weights" / "yolo11n.pt"))
    image = load_image(coco_images[1])
    targets = found(detector, image)[:1]
    (map_,) = explain(XRAI("input_x_gradient", "mean"), detector, image, targets)
    assert 100 < map_.measured["segments"] < 2000
    assert 10 < map_.measured["regions"] <= map_.measured["segments"]
