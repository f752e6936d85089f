from dataclasses import replace

import cv2
import numpy as np
import pytest

from xai_detect.errors import InputError
from xai_detect.xray.physics.scanner import Scanner, slab
from xai_detect.xray.scenes import projection
from xai_detect.xray.scenes.scan import Packing, Placed, Scene, compose, scan
from xai_detect.xray.things.items import BENIGN, DANGEROUS, build
from xai_detect.xray.things.outlines import rectangle
from xai_detect.xray.things.solids import Item, Pose, Prism

PLATE = Item("plate", (Prism("steel", rectangle(200.0, 200.0), 0, 2),), "steel")
MIDDLE = Pose(340.0, 340.0)
CLEAR = Scanner(photons=1e9, blur=0.0, dark=0.0, stripes=0.0)


def plate_scene(*poses):
    return Scene(tuple(Placed(PLATE, pose, "plate") for pose in poses), CLEAR, 0, "none")


def test_overlapping_plates_add_thickness_not_transmission():
    made = scan(plate_scene(Pose(300, 340), Pose(380, 340)), 170)
    one, two = slab({"steel": 2})[0], slab({"steel": 4})[0]
    assert made.low[85, 60] == pytest.approx(one, rel=0.02)
    assert made.low[85, 85] == pytest.approx(two, rel=0.02)
    assert two > one * one
    assert made.overlaps == pytest.approx((0.6, 0.6), abs=0.03)


def test_a_lone_item_overlaps_nothing_and_air_is_white():
    made = scan(plate_scene(Pose(340, 340)), 96)
    assert made.overlaps == (0.0,)
    assert made.image[0, 0].min() >= 254
    assert made.image.shape == (96, 96, 3)


def test_taking_an_item_out_changes_only_its_place():
    scene = compose(np.random.default_rng(5), Packing(clean=0, dangerous=(1, 1), benign=(3, 3)))
    index = next(i for i, thing in enumerate(scene.things) if thing.label in DANGEROUS)
    full, less = scan(scene, 128), scan(scene.without(index), 128)
    x1, y1, x2, y2 = (int(side) for side in full.shadows[index].box)
    changed = (full.image != less.image).any(axis=2)
    assert changed.any()
    changed[max(y1 - 4, 0) : y2 + 4, max(x1 - 4, 0) : x2 + 4] = False
    assert not changed.any()


def test_the_same_seed_gives_the_same_bag_at_any_resolution():
    first, again = (compose(np.random.default_rng(9)) for _ in range(2))
    small, large = scan(first, 80), scan(again, 160)
    assert [t.label for t in first.things] == [t.label for t in again.things]
    np.testing.assert_array_equal(small.image, scan(again, 80).image)
    boxes = [s.box for s in small.shadows], [s.box for s in large.shadows]
    np.testing.assert_allclose(np.array(boxes[0]) * 2, boxes[1], atol=5)


def test_packing_decides_what_lies_in_a_bag():
    clean = Packing(clean=1.0, benign=(2, 2))
    full = Packing(clean=0.0, dangerous=(3, 3), benign=(0, 0))
    for seed in range(6):
        labels = [t.label for t in compose(np.random.default_rng(seed), clean).things]
        assert [label in BENIGN for label in labels] == [False, True, True]
        labels = [t.label for t in compose(np.random.default_rng(seed), full).things]
        assert [label in DANGEROUS for label in labels] == [False, True, True, True]


def test_the_scanner_changes_the_picture_but_not_the_truth():
    scene = compose(np.random.default_rng(2))
    other = replace(scene, scanner=replace(scene.scanner, palette="grey_air"))
    one, two = (
        scan(replace(scene, scanner=replace(scene.scanner, palette="vivid")), 96),
        scan(other, 96),
    )
    assert not np.array_equal(one.image, two.image)
    assert [s.box for s in one.shadows] == [s.box for s in two.shadows]


@pytest.fixture(scope="module")
def bag():
    return scan(compose(np.random.default_rng(3), Packing(clean=1.0)), 200).image


def test_inserting_and_removing_an_organic_item_gives_the_bag_back(bag):
    item = Item("bar", (Prism("pmma", rectangle(150.0, 60.0), 0, 20),), "pmma")
    transmission, mask = projection.item_transmission(
        item, Pose(340.0, 340.0), (200, 200), 200 / 680
    )
    inserted = projection.insert(bag, transmission)
    assert (inserted <= bag).all()
    assert (inserted[~mask] == bag[~mask]).mean() > 0.99
    restored = projection.remove(inserted, transmission)
    assert np.abs(restored.astype(int) - bag).max() <= 4


def test_removing_opaque_metal_inpaints_what_cannot_be_known(bag):
    item = Item("block", (Prism("steel", rectangle(60.0, 60.0), 0, 60),), "steel")
    transmission, mask = projection.item_transmission(
        item, Pose(340.0, 340.0), (200, 200), 200 / 680
    )
    inserted = projection.insert(bag, transmission)
    assert inserted[mask].mean() < 60
    restored = projection.remove(inserted, transmission)
    assert restored[mask].mean() > inserted[mask].mean() + 60


def test_an_item_cut_from_one_scan_can_be_put_into_another(bag):
    item = build("scissors", np.random.default_rng(0))
    transmission, mask = projection.item_transmission(
        item, Pose(340.0, 340.0), (200, 200), 200 / 680
    )
    white = np.full_like(bag, 255)
    cut = projection.cut_transmission(projection.insert(white, transmission), mask)
    assert np.abs(cut - np.clip(transmission, 1 / 255, 1)).max() < 0.03
    assert (cut[0, 0] == 1).all()


def test_inpainting_touches_the_mask_only_and_nothing_stays_nothing(bag):
    mask = np.zeros((200, 200), bool)
    np.testing.assert_array_equal(projection.inpaint(bag, mask), bag)
    mask[90:110, 90:110] = True
    filled = projection.inpaint(bag, mask)
    changed = (filled != bag).any(axis=2)
    assert not changed[:85].any()
    assert not changed[:, 115:].any()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda image: projection.insert(image, np.ones((3, 3, 3), np.float32)), "expected"),
        (lambda image: projection.remove(image, np.ones((3, 3, 3), np.float32)), "expected"),
        (lambda image: projection.inpaint(image, np.zeros((3, 3), bool)), "expected"),
        (lambda image: projection.inpaint(image, np.ones((200, 200), bool)), "whole scan"),
    ],
)
def test_wrong_shapes_are_refused(bag, call, match):
    with pytest.raises(InputError, match=match):
        call(bag)


def test_a_random_projection_lies_over_the_bag(bag, tmp_path):
    path = tmp_path / "bag.png"
    cv2.imwrite(str(path), bag[..., ::-1])
    made = projection.insert_random(path, np.random.default_rng(1))
    assert made.label in DANGEROUS
    changed = (made.image != bag).any(axis=2)
    assert changed[made.mask].mean() > 0.5
    assert projection.load_bags(tmp_path) == (path,)


def test_folders_without_scans_and_scans_without_bags_are_refused(tmp_path):
    with pytest.raises(InputError, match="not a folder"):
        projection.load_bags(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no image"):
        projection.load_bags(tmp_path)
    cv2.imwrite(str(tmp_path / "air.png"), np.full((60, 60, 3), 255, np.uint8))
    with pytest.raises(InputError, match="nothing but air"):
        projection.insert_random(tmp_path / "air.png", np.random.default_rng(0))
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(InputError, match="cannot be read"):
        projection.insert_random(tmp_path / "text.png", np.random.default_rng(0))
