import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from xai_detect.errors import InputError
from xai_detect.xray.scenes.planted import GAP, HONEST, WORLDS, bounds, gap, render, stamp
from xai_detect.xray.scenes.simulate import simulate
from xai_detect.xray.scenes.worlds import compose_apart, compose_planted
from xai_detect.xray.things.items import DANGEROUS

# pycocotools' compiled part predates NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIDE = 96
worlds = pytest.mark.parametrize("world", WORLDS)
OUTSIDE = [world for world in WORLDS if world not in HONEST]


def scene(world, seed=0):
    return compose_apart(world, np.random.default_rng(seed), SIDE)


@worlds
def test_swapping_the_cause_changes_the_class_and_the_cause_only(world):
    planted = scene(world)
    one, other = render(planted, SIDE), render(planted.swapped(), SIDE)
    assert one.label != other.label
    assert {one.class_name, other.class_name} == set(WORLDS[world])
    changed = (one.image != other.image).any(axis=2)
    near = cv2.dilate((one.cause | other.cause).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert changed.any()
    assert not (changed & ~near).any()


@worlds
def test_swapping_twice_gives_the_scan_back(world):
    planted = scene(world)
    back = render(planted.swapped().swapped(), SIDE)
    np.testing.assert_array_equal(render(planted, SIDE).image, back.image)


@worlds
def test_without_the_cause_both_classes_give_the_same_scan(world):
    planted = scene(world)
    none, other = render(planted.removed(), SIDE), render(planted.swapped().removed(), SIDE)
    np.testing.assert_array_equal(none.image, other.image)
    assert not none.cause.any()
    assert np.isnan(gap(none))
    assert none.item.any() == (world != "object")


@pytest.mark.parametrize("world", OUTSIDE)
def test_outside_causes_keep_their_distance_and_leave_the_box_alone(world):
    for seed in range(3):
        planted = scene(world, seed)
        one, other = render(planted, SIDE), render(planted.swapped(), SIDE)
        assert one.box == other.box
        assert min(gap(one), gap(other)) >= GAP * SIDE
        grow = max(0.15 * max(one.box[2] - one.box[0], one.box[3] - one.box[1]), 0)
        x1, y1, x2, y2 = (int(side) for side in one.box)
        margin = int(min(grow / 2, GAP * SIDE))
        inside = one.cause[max(y1 - margin, 0) : y2 + margin, max(x1 - margin, 0) : x2 + margin]
        assert not inside.any()


@pytest.mark.parametrize("world", HONEST)
def test_inside_causes_lie_on_the_item(world):
    made = render(scene(world), SIDE)
    assert made.cause.any()
    assert (made.item | ~made.cause).all()
    assert gap(made) == 0
    if world == "object":
        np.testing.assert_array_equal(made.item, made.cause)
    else:
        assert made.cause.sum() < made.item.sum()


def test_classes_are_balanced_and_the_item_does_not_tell():
    labels = [compose_planted("scanner", np.random.default_rng(i)).label for i in range(60)]
    assert 18 <= sum(labels) <= 42


def test_stamps_differ_and_sit_in_their_corner():
    blank = np.full((100, 100, 3), 255, np.uint8)
    for corner, (row, column) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        image, mask = stamp(blank, 0, corner)
        other, same = stamp(blank, 1, corner)
        x1, y1, x2, y2 = bounds(mask)
        assert (x1 > 50, y1 > 50, x2 > 50, y2 > 50) == (column, row, column, row)
        np.testing.assert_array_equal(mask, same)
        assert (image[mask] != other[mask]).any()
        assert (image[~mask] == 255).all()
    assert (blank == 255).all()


def test_unknown_worlds_are_named():
    with pytest.raises(InputError, match="oracle"):
        compose_planted("oracle", np.random.default_rng(0))


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_writes_the_same_bytes_and_a_longer_set_begins_with_the_shorter(tmp_path):
    simulate(tmp_path / "a", 3, seed=4, size=96)
    simulate(tmp_path / "b", 3, seed=4, size=96)
    simulate(tmp_path / "c", 4, seed=4, size=96)
    simulate(tmp_path / "d", 3, seed=5, size=96)
    one, long = contents(tmp_path / "a"), contents(tmp_path / "c")
    assert one == contents(tmp_path / "b")
    assert one != contents(tmp_path / "d")
    images = [name for name in one if name.startswith("images")]
    assert len(images) == 3
    assert all(one[name] == long[name] for name in images)


def test_written_masks_boxes_and_areas_agree(tmp_path):
    made = simulate(tmp_path, 6, seed=1, size=160, image_format="png", raw=True)
    for file in (made.annotations, tmp_path / "truth" / "items_val.json"):
        coco = COCO(str(file))
        for row in coco.anns.values():
            mask = coco.annToMask(row)
            assert row["area"] == mask.sum()
            x, y, width, height = row["bbox"]
            assert bounds(mask.astype(bool)) == (x, y, x + width, y + height)
            assert 0 <= row["overlap"] <= 1
            assert row["material"] in row["grams"]
    assert [c["name"] for c in json.loads(made.annotations.read_text())["categories"]] == list(
        DANGEROUS
    )
    low = cv2.imread(str(tmp_path / "raw" / "val" / "000000_low.png"), cv2.IMREAD_UNCHANGED)
    assert low.dtype == np.uint16
    assert low.shape == (160, 160)
    assert made.scans == 6
    assert made.items == len(json.loads(made.annotations.read_text())["annotations"])


@pytest.mark.parametrize("variant", ["plain", "swapped", "removed"])
def test_planted_sets_carry_the_mask_of_the_true_cause(tmp_path, variant):
    made = simulate(tmp_path, 2, seed=3, size=96, planted="marker", variant=variant)
    content = json.loads(made.annotations.read_text())
    assert [c["name"] for c in content["categories"]] == list(WORLDS["marker"])
    for image, row in zip(content["images"], content["annotations"], strict=True):
        drawn = cv2.imread(str(tmp_path / image["cause"]), cv2.IMREAD_GRAYSCALE) > 0
        assert drawn.any() == (variant != "removed")
        assert ("cause" in row) == (variant != "removed")
        if variant != "removed":
            np.testing.assert_array_equal(coco_mask.decode(row["cause"]).astype(bool), drawn)


def test_swapped_sets_differ_from_plain_ones_in_every_label(tmp_path):
    files = [
        simulate(tmp_path / variant, 3, seed=3, size=64, planted="scanner", variant=variant)
        for variant in ("plain", "swapped")
    ]
    plain, swapped = (
        [row["category_id"] for row in json.loads(made.annotations.read_text())["annotations"]]
        for made in files
    )
    assert [3 - label for label in plain] == swapped


def test_items_can_be_projected_into_a_folder_of_scans(tmp_path):
    bags = simulate(tmp_path / "bags", 2, seed=2, size=96)
    done = []
    made = simulate(
        tmp_path / "out", 3, into=bags.folder / "images" / "val",
        progress=lambda count, total: done.append((count, total)),
    )  # fmt: skip
    assert (made.scans, made.items, made.clean) == (3, 3, 0)
    assert done == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"scans": 0}, "scans"),
        ({"size": 10}, "size"),
        ({"planted": "oracle"}, "oracle"),
        ({"planted": "marker", "into": "."}, "exclude"),
        ({"variant": "upside"}, "variant"),
        ({"variant": "swapped"}, "planted"),
        ({"image_format": "gif"}, "gif"),
        ({"into": ".", "raw": True}, "raw"),
        ({"workers": 0}, "workers"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, settings, match):
    if "into" in settings:
        settings = settings | {"into": tmp_path}
    with pytest.raises(InputError, match=match):
        simulate(tmp_path / "out", **({"scans": 1, "size": 64} | settings))


def test_a_split_is_never_overwritten(tmp_path):
    simulate(tmp_path, 1, size=64)
    with pytest.raises(InputError, match="exists"):
        simulate(tmp_path, 1, size=64)
    assert simulate(tmp_path, 1, size=64, split="train").scans == 1
