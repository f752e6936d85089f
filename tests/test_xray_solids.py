import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xai_detect.errors import InputError
from xai_detect.xray.physics.scanner import coefficients
from xai_detect.xray.scenes.shadows import MASK_FROM, cast
from xai_detect.xray.things import items, outlines
from xai_detect.xray.things.bags import BAGS, build_bag
from xai_detect.xray.things.solids import Item, Lathe, Pose, Prism, Sheet, Wire

SIZE = (200, 200)


def thickness(shadow, material):
    """Millimetres along the beam of an item made of one material."""
    return shadow.planes[0] / coefficients(material)[0]


def one(part):
    return Item("thing", (part,), part.material)


def test_a_flat_plate_has_its_thickness_and_its_box():
    plate = one(Prism("steel", outlines.rectangle(40, 20), 0, 3))
    shadow = cast(plate, Pose(50, 50), 2.0, SIZE)
    # the drawn edge is soft and up to two pixels wide
    assert shadow.box == pytest.approx((60, 80, 140, 120), abs=2)
    assert np.median(thickness(shadow, "steel")[shadow.mask]) == pytest.approx(3, rel=1e-3)
    assert shadow.grams["steel"] == pytest.approx(4 * 2 * 0.3 * 7.87, rel=0.06)


def test_a_leaning_plate_is_shorter_and_thicker_and_weighs_the_same():
    plate = one(Prism("steel", outlines.rectangle(60, 40), -2, 2))
    flat = cast(plate, Pose(50, 50), 2.0, SIZE)
    leaning = cast(plate, Pose(50, 50, tilt_y=np.pi / 3), 2.0, SIZE)
    width = leaning.box[2] - leaning.box[0]
    assert width == pytest.approx(2 * (60 * 0.5 + 4 * np.sin(np.pi / 3)), abs=4)
    assert thickness(leaning, "steel").max() == pytest.approx(8, rel=0.02)
    assert leaning.grams["steel"] == pytest.approx(flat.grams["steel"], rel=0.03)


def test_a_cylinder_is_thickest_along_its_axis():
    rod = one(Lathe("water", (-30, 30), (10, 10)))
    shadow = cast(rod, Pose(50, 50), 2.0, SIZE)
    depth = thickness(shadow, "water")
    assert depth.max() == pytest.approx(20, rel=0.01)
    assert shadow.grams["water"] == pytest.approx(np.pi * 1 * 6, rel=0.03)
    row = depth[shadow.mask.shape[0] // 2]
    assert row.max() == depth.max()


def test_a_hollow_cylinder_is_thickest_at_its_walls():
    tube = one(Lathe("aluminium", (-30, 30), (10, 10), wall=1.0))
    depth = thickness(cast(tube, Pose(50, 50), 4.0, (400, 400)), "aluminium")
    profile = depth[:, depth.shape[1] // 2]
    assert profile[len(profile) // 2] == pytest.approx(2, rel=0.05)
    assert profile.max() > 6


def test_a_hole_lets_everything_through():
    ring = Prism("steel", outlines.rectangle(40, 40), 0, 2, (outlines.rectangle(20, 20),))
    shadow = cast(one(ring), Pose(50, 50), 2.0, SIZE)
    middle = tuple(side // 2 for side in shadow.mask.shape)
    assert not shadow.mask[middle]
    assert shadow.planes[(slice(None), *middle)].tolist() == [0, 0, 0, 0]


def test_a_thin_wire_keeps_its_matter_when_it_is_thinner_than_a_pixel():
    path = np.array([(-30.0, 0, 0), (30, 0, 0)])
    fine = cast(one(Wire("copper", path, 0.6)), Pose(50, 50), 1.0, SIZE)
    assert fine.grams["copper"] == pytest.approx(np.pi * 0.03**2 * 6 * 8.96, rel=0.5)


def test_a_sheet_lies_where_its_rectangle_lies():
    field = np.full((10, 20), 4.0, np.float32)
    shadow = cast(one(Sheet("cellulose", field, 40, 20)), Pose(50, 50), 2.0, SIZE)
    assert thickness(shadow, "cellulose").max() == pytest.approx(4, rel=1e-3)
    assert shadow.box == pytest.approx((60, 80, 140, 120), abs=3)


@settings(deadline=None, max_examples=25)
@given(
    st.floats(0, 6.28), st.floats(-0.9, 0.9), st.floats(-0.9, 0.9), st.booleans(),
    st.floats(-30, 130), st.floats(-30, 130),
)  # fmt: skip
def test_masks_and_boxes_agree_at_any_pose_even_off_the_scan(turn, tilt_x, tilt_y, flip, x, y):
    item = items.build("pistol", np.random.default_rng(0))
    shadow = cast(item, Pose(x, y, turn, tilt_x, tilt_y, flip), 1.0, (100, 100))
    x1, y1, x2, y2 = shadow.box
    assert 0 <= x1 <= x2 <= 100
    assert 0 <= y1 <= y2 <= 100
    full = np.zeros((100, 100), bool)
    height, width = shadow.mask.shape
    full[shadow.top : shadow.top + height, shadow.left : shadow.left + width] = shadow.mask
    inside = full[int(y1) : int(y2), int(x1) : int(x2)]
    assert inside.sum() == full.sum()
    if full.any():
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()


def test_an_item_beside_the_scan_leaves_an_empty_shadow():
    shadow = cast(one(Prism("steel", outlines.rectangle(9, 9), 0, 1)), Pose(900, 900), 1.0, SIZE)
    assert shadow.mask.size == 0
    assert shadow.box == (0, 0, 0, 0)


def test_the_catalogue_is_as_large_as_promised():
    assert len(items.DANGEROUS) >= 10
    assert len(items.BENIGN) >= 25
    assert not set(items.DANGEROUS) & set(items.BENIGN)


@pytest.mark.parametrize("name", [*items.DANGEROUS, *items.BENIGN])
def test_every_item_is_visible_named_and_the_same_for_the_same_seed(name):
    first, again = (items.build(name, np.random.default_rng(4)) for _ in range(2))
    shadow, same = (
        cast(item, Pose(170, 170, 0.4, 0.2, 0.1), 1.0, (340, 340)) for item in (first, again)
    )
    assert first.name == name
    assert shadow.mask.sum() > 60
    assert first.material in shadow.grams
    assert 1 < sum(shadow.grams.values()) < 9000
    np.testing.assert_array_equal(shadow.planes, same.planes)
    assert (shadow.mask | (np.abs(shadow.planes).sum(axis=0) < 1)).all()


@pytest.mark.parametrize("kind", BAGS)
def test_every_bag_is_mostly_transparent_and_has_room(kind):
    bag = build_bag(kind, np.random.default_rng(1))
    shadow = cast(bag.shell, Pose(340, 340), 1.0, (680, 680))
    assert shadow.mask.sum() > 40_000
    assert min(bag.room) > 50


def test_unknown_items_and_bags_are_named():
    with pytest.raises(InputError, match="anvil"):
        items.build("anvil", np.random.default_rng(0))
    with pytest.raises(InputError, match="barrel"):
        build_bag("barrel", np.random.default_rng(0))


def test_the_mask_limit_is_thinner_than_any_cloth():
    assert 0 < MASK_FROM < 0.1
