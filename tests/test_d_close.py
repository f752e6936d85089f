"""D-CLOSE: masks and levels against slow definitions, fusion by hand, flat scores, bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from toy import RawToy, SealedToy, ToyDetector, scene

from xai_detect.errors import InputError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.masks.bank import MaskBank, Raster
from xai_detect.explainers.masks.d_close import DClose, SegmentBank, fused
from xai_detect.explainers.regions import cut, grid
from xai_detect.inspection.image import detect
from xai_detect.scores.survival import Survival
from xai_detect.values import fills
from xai_detect.values.images import load_image


def slow_masks(labels, count, keep, enlarge, seed):
    """The definition: draw all segments larger by torch's own resize, then cut a window out."""
    generator = np.random.default_rng(seed)
    height, width = labels.shape
    large = (round(height * (1 + enlarge)), round(width * (1 + enlarge)))
    masks = []
    for _ in range(count):
        shown = torch.from_numpy(generator.random(int(labels.max()) + 1) < keep)
        top = int(generator.integers(large[0] - height + 1))
        left = int(generator.integers(large[1] - width + 1))
        drawn = functional.interpolate(
            shown[labels].float()[None, None], size=large, mode="bilinear", align_corners=False
        )[0, 0]
        masks.append(drawn[top : top + height, left : left + width])
    return torch.stack(masks)


@given(
    height=st.integers(2, 30),
    width=st.integers(2, 30),
    enlarge=st.sampled_from([0.0, 0.5, 2.2]),
    seed=st.integers(0, 99),
)
def test_masks_against_the_slow_definition(height, width, enlarge, seed):
    labels = grid((height, width), min(height, 3), min(width, 4))
    bank = SegmentBank(labels, 0.5, enlarge, (seed,))
    masks = torch.cat(list(bank.masks(5, 2)))
    torch.testing.assert_close(masks, slow_masks(labels, 5, 0.5, enlarge, (seed,)))


def test_every_mask_has_a_draw_of_its_own_whatever_the_batch():
    labels = grid((12, 16), 3, 4)
    bank = SegmentBank(labels, 0.5, 0.0, (1,))
    one, many = (torch.cat(list(bank.masks(40, batch))) for batch in (1, 32))
    assert torch.equal(one, many)
    assert len(torch.unique(one.flatten(1), dim=0)) > 35


def test_fusion_by_hand():
    finest = torch.tensor([[[1.0, 3.0], [5.0, 2.0]]])  # 0, 1/2, 1, 1/4
    coarse = torch.tensor([[[0.0, 0.4], [0.4, 0.2]]])  # 0, 1, 1, 1/2
    expected = torch.tensor([[[0.0, 1.5], [2.0, 0.375]]])
    torch.testing.assert_close(fused([finest, coarse]), expected)


def test_flat_levels_are_left_out_and_nothing_but_flat_ones_gives_nothing():
    finest = torch.tensor([[[1.0, 3.0], [5.0, 2.0]], [[7.0, 7.0], [7.0, 7.0]]])
    flat = torch.full((2, 2, 2), 3.0)
    flat[1, 0, 0] = 4.0
    both = fused([finest, flat])
    torch.testing.assert_close(both[0], torch.tensor([[0.0, 0.5], [1.0, 0.25]]))
    torch.testing.assert_close(both[1], torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    assert torch.equal(fused([torch.ones(1, 2, 2)] * 3), torch.zeros(1, 2, 2))


@pytest.mark.parametrize("grids", [(), (2,)])
def test_the_map_against_the_slow_definition(grids):
    detector = ToyDetector(curved=True, letterbox=96)
    image = scene(("red", 2, 3), ("blue", 3, 1), size=(32, 96))
    targets = list(detect(detector, image))
    method = DClose(masks=60 + 20 * len(grids), levels=2, segments=10, grids=grids, fill="grey")
    maps = explain(method, detector, image, targets)

    survival = Survival(detector, image, targets)
    size = survival.frame.content_size
    content = survival.pixels[0, :, : size[0], : size[1]]
    filled = survival.frame.pad(fills.hide_all(content, "grey")[None])
    assert survival.frame.top == survival.frame.left == 0
    share = 30 if not grids else 27
    banks = {}
    for number in range(2):
        labels = cut(content, 10 * 2**number, "slic")
        count = share
        banks[int(labels.max()) + 1] = slow_masks(labels, count, 0.5, 2.2, (0, number))
    if grids:
        draws = next(MaskBank("iid", 2, 0.5, 0).blocks(26))
        banks[4] = Raster(2, size).masks(draws)
    assert len(banks) == 2 + len(grids)
    results = []
    for regions in sorted(banks, reverse=True):
        masks = banks[regions]
        scores = survival.of_inputs(filled + masks[:, None] * (survival.pixels - filled))
        results.append((scores, masks))
    for row, one in enumerate(maps):
        slow = None
        for scores, masks in results:
            level = (scores[:, row, None, None] * masks).sum(dim=0) / masks.sum(dim=0)
            level = (level - level.min()) / (level.max() - level.min())
            slow = level if slow is None else (slow + level) * level
        torch.testing.assert_close(one.heatmap, slow, rtol=1e-3, atol=1e-3)
    assert maps[0].measured["levels"] == 2 + len(grids)
    assert maps[0].measured["forward_passes"] == 60 + 20 * len(grids)


def test_evidence_is_found_where_it_is_with_segments_in_place():
    detector, image = ToyDetector(), scene(("red", 2, 3), ("blue", 5, 1))
    targets = list(detect(detector, image))
    method = DClose(masks=400, levels=2, segments=40, enlarge=0.0, fill="grey")
    for one in explain(method, detector, image, targets):
        left, top, right, bottom = (int(side) for side in one.target.box)
        inside = torch.zeros(64, 64, dtype=torch.bool)
        inside[top:bottom, left:right] = True
        assert float(one.heatmap[inside].mean()) > 3 * float(one.heatmap[~inside].mean())


def test_a_score_that_no_mask_changes_gives_exactly_nothing():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets = list(detect(detector, image))
    method = DClose(masks=60, levels=2, segments=20, grids=(4,), fill="air")
    (one,) = explain(method, detector, scene(), targets)
    assert torch.equal(one.heatmap, torch.zeros(64, 64))


@pytest.mark.parametrize("batch", [1, 7])
def test_batches_never_change_a_map(batch):
    detector, image = ToyDetector(curved=True), scene(("red", 2, 3))
    targets = list(detect(detector, image))
    one, other = (
        explain(
            DClose(masks=60, levels=2, segments=20, grids=(4,), batch=size),
            detector,
            image,
            targets,
        )[0].heatmap
        for size in (32, batch)
    )
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_black_boxes_agree_with_the_white_box():
    toy, image = ToyDetector(), scene(("red", 2, 3))
    targets = list(detect(toy, image))
    method = DClose(masks=80, levels=2, segments=20)
    white, raw, sealed = (
        explain(method, one, image, targets)[0].heatmap
        for one in (toy, RawToy(toy), SealedToy(toy))
    )
    torch.testing.assert_close(white, raw)
    assert float((white - sealed).abs().max()) < 0.1  # below 0.1 % a sealed box says nothing


def test_the_brief_form_draws_other_masks():
    brief = DClose(seed=4).brief()
    assert (brief.masks, brief.seed) == (1000, 5)
    assert brief.expected_passes(3) == (1000, 0)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"levels": 0}, "levels is 0 and grids is empty"),
        ({"levels": 9}, "levels is 9; expected a value from 0 to 8"),
        ({"segments": 0}, "segments is 0"),
        ({"masks": 9}, "masks is 9; expected at least two for each of 5 levels"),
        ({"grids": (1,)}, "grid is 1"),
        ({"keep": 1.0}, "keep is 1.0"),
        ({"enlarge": -1.0}, "enlarge is -1.0"),
        ({"fill": "pink"}, "there is no fill 'pink'"),
        ({"batch": 0}, "batch is 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_settings_are_explained(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        DClose(**settings)


@pytest.mark.weights
def test_a_real_detection_is_found_where_it_is(shared, coco_images):
    from xai_detect.detectors.load import load_detector

    detector = load_detector(shared / "weights" / "yolo11n.pt", imgsz=224)
    image = load_image(coco_images[3])
    (target,) = detect(detector, image)
    method = DClose(masks=96, levels=2, segments=40, enlarge=0.0)
    (one,) = explain(method, detector, image, [target])
    left, top, right, bottom = (round(side) for side in target.box)
    inside = float(one.heatmap[top:bottom, left:right].mean())
    assert inside > 1.5 * float(one.heatmap.mean())
