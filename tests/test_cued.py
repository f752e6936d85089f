from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest

from xai_detect.errors import InputError
from xai_detect.xray.scenes.cued import CUED, State, compose_cued, draw_cued, render_cued
from xai_detect.xray.scenes.planted import GAP, gap, render

SIDE = 96
TWINS = [(name, f"{name}_honest") for name in CUED if f"{name}_honest" in CUED]
worlds = pytest.mark.parametrize("world", CUED)


def scene(world, seed=0):
    return compose_cued(world, np.random.default_rng(seed), SIDE)


def in_all_states(world, seed=0):
    return [render_cued(scene(world, seed).with_state(state), SIDE) for state in State]


@worlds
def test_cue_and_decoy_change_pixels_at_their_mark_and_nowhere_else(world):
    cue, none, decoy = in_all_states(world)
    assert not none.mark.any()
    for scan in (cue, decoy):
        changed = (scan.image != none.image).any(axis=2)
        near = cv2.dilate(scan.mark.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        assert changed.any()
        assert not (changed & ~near).any()
        assert scan.box == none.box
        np.testing.assert_array_equal(scan.item, none.item)
    assert (cue.image != decoy.image).any()


@worlds
def test_marks_keep_their_distance_from_the_box(world):
    for seed in range(4):
        cued = scene(world, seed)
        made = render(cued.planted, SIDE)
        for scan in in_all_states(world, seed):
            away = gap(replace(made, cause=scan.mark, box=scan.box))
            assert away >= GAP * SIDE or scan.state is State.NONE


@pytest.mark.parametrize("world", [n for n in CUED if CUED[n].decides == "presence"])
def test_where_the_cue_decides_presence_the_item_is_reported_beside_it_only(world):
    cue, none, decoy = in_all_states(world)
    assert (cue.reported, none.reported, decoy.reported) == (True, False, False)
    assert cue.outside
    assert len({scan.label for scan in (cue, none, decoy)}) == 1
    np.testing.assert_array_equal(cue.cause, cue.mark)
    assert not none.cause.any()
    assert not decoy.cause.any()
    assert decoy.mark.any()


@pytest.mark.parametrize(("world", "twin"), TWINS)
def test_honest_twins_have_the_same_scans_and_their_cause_in_the_item(world, twin):
    assert len(TWINS) == 2
    for gated, honest in zip(in_all_states(world), in_all_states(twin), strict=True):
        np.testing.assert_array_equal(gated.image, honest.image)
        np.testing.assert_array_equal(honest.cause, honest.item)
        np.testing.assert_array_equal(gated.mark, honest.mark)
        assert (gated.box, gated.label) == (honest.box, honest.label)
        assert honest.item.any()
        assert honest.reported
        assert not honest.outside


def test_where_the_class_is_a_default_only_the_cue_names_the_other_one():
    cue, none, decoy = in_all_states("default")
    assert [scan.class_name for scan in (cue, none, decoy)] == ["armed", "inert", "inert"]
    assert all(scan.reported and scan.outside for scan in (cue, none, decoy))
    np.testing.assert_array_equal(cue.cause, cue.mark)
    assert not decoy.cause.any()


def test_two_cues_are_the_cue_of_the_same_scan_twice():
    for seed in range(4):
        single, double = (in_all_states(f"presence_{times}", seed) for times in ("two", "twice"))
        np.testing.assert_array_equal(single[1].image, double[1].image)
        for single_stamp, both_stamps in ((single[0], double[0]), (single[2], double[2])):
            assert (both_stamps.mark & single_stamp.mark).sum() == single_stamp.mark.sum()
            assert both_stamps.mark.sum() == 2 * single_stamp.mark.sum()
            here = single_stamp.mark
            np.testing.assert_array_equal(single_stamp.image[here], both_stamps.image[here])
        cued = scene("presence_twice", seed)
        first, second = (replace(cued, corners=cued.corners[k : k + 1]) for k in (0, 1))
        first, second = (render_cued(c.with_state(State.CUE), SIDE) for c in (first, second))
        np.testing.assert_array_equal(first.image, single[0].image)
        np.testing.assert_array_equal(first.mark | second.mark, double[0].mark)


def test_items_say_their_class_themselves_where_there_are_two_kinds():
    scans = list(draw_cued("presence_two", 24, 1, SIDE))
    assert set(Counter(scan.class_name for scan in scans)) == {"wrench", "scissors"}
    assert set(Counter(scan.state for scan in scans)) == set(State)


@worlds
def test_a_longer_set_begins_with_the_shorter_one_and_seeds_differ(world):
    short, long = list(draw_cued(world, 2, 3, SIDE)), list(draw_cued(world, 3, 3, SIDE))
    for scan, again in zip(short, long, strict=False):
        np.testing.assert_array_equal(scan.image, again.image)
    (other,) = draw_cued(world, 1, 4, SIDE)
    assert (other.image != short[0].image).any()


def test_a_set_may_show_one_state_in_all_its_scans():
    plain, decoys = (
        list(draw_cued("presence_one", 3, 5, SIDE, state=state)) for state in (None, State.DECOY)
    )
    assert [scan.state for scan in decoys] == [State.DECOY] * 3
    assert [scan.box for scan in plain] == [scan.box for scan in decoys]


def test_unknown_worlds_are_named():
    with pytest.raises(InputError, match="oracle"):
        compose_cued("oracle", np.random.default_rng(0))
