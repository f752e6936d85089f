"""Pictures say what was measured: outlines by hand, colours untouched, one scale of heat."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import NAMES, evidence, inspection, spot, verdict
from toy import ToyDetector, scene

from xai_detect.detectors.place import place
from xai_detect.explainers.explain import explain
from xai_detect.explainers.methods import build_method
from xai_detect.output.drawing import contours, panels
from xai_detect.output.drawing import strokes as drawing
from xai_detect.output.drawing import views as render
from xai_detect.output.drawing.states import STATES, deciding, level_word, map_refusal, tally
from xai_detect.values import boxes
from xai_detect.values.findings import Answer, Evidence, Level
from xai_detect.values.frame import Frame
from xai_detect.words.catalogue import LANGUAGES, catalogue

SIZE = (40, 60)


def slow_threshold(density, share):
    """Take pixels from the largest down until the share is reached."""
    held = 0.0
    for value in sorted(density.ravel().tolist(), reverse=True):
        held += value
        if held >= share * density.sum(dtype=np.float64):
            return value
    raise AssertionError


# Contours


def test_the_smallest_region_by_hand():
    density = np.array([[8, 4], [3, 1]], np.float32)
    assert contours.threshold(density, 0.5) == 8
    assert contours.threshold(density, 0.6) == 4
    assert contours.threshold(density, 0.8) == 3


@given(seed=st.integers(0, 999), share=st.sampled_from([0.5, 0.8, 0.95]))
def test_the_threshold_agrees_with_a_slow_loop_and_holds_its_share(seed, share):
    density = np.random.default_rng(seed).random((6, 7)).astype(np.float32)
    level = contours.threshold(density, share)
    assert level == pytest.approx(slow_threshold(density, share))
    held = density[density >= level].sum() / density.sum()
    assert held >= share - 1e-6


def test_nothing_positive_has_no_region():
    for heatmap in (torch.zeros(SIZE), -torch.ones(SIZE)):
        density = contours.evidence(heatmap)
        assert density.sum() == 0
        level = contours.threshold(density, 0.5)
        assert math.isinf(level)
        assert not contours.region(density, level).any()


def test_the_unit_is_what_a_hundredth_of_the_image_holds():
    """2400 pixels, so 24 of them; smoothing keeps the sum."""
    assert contours.evidence(torch.full(SIZE, 0.5)) == pytest.approx(12)
    density = contours.evidence(spot(SIZE, 20, 30, side=4))
    assert density.sum() / 24 == pytest.approx(16, rel=1e-3)
    large = contours.evidence(spot((80, 120), 40, 60, side=8, value=0.25))  # the same, enlarged
    assert large.max() == pytest.approx(density.max(), rel=0.05)


def test_evidence_beside_as_much_counter_evidence_is_none():
    heatmap = torch.zeros(200, 300)
    heatmap[100:110, 200:210] = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(5, 5)
    heatmap[20:30, 20:30] = 0.1
    density = contours.evidence(heatmap)
    assert density[:60, :60].sum() > 0.9 * density.sum()


def test_crumbs_are_left_out():
    density = spot(SIZE, 5, 5, side=10).numpy()
    density[35, 55] = 0.5  # 0.5 of 100.5: under one in a hundred
    region = contours.region(density, 1e-6)
    assert region[10, 10]
    assert not region[35, 55]


def test_parts_outside_by_hand():
    near = boxes.near((10.0, 10.0, 20.0, 20.0))  # grown by 8 pixels: 2 to 28
    held = spot(SIZE, 12, 12, side=4) + spot(SIZE, 30, 40, side=2) + spot(SIZE, 5, 50, side=2)
    held[5, 50] = 5.0
    density = held.numpy()
    first, second = contours.parts_outside(density, density > 0, near)
    assert first.share == pytest.approx(8 / 28)
    assert first.top == (51.0, 5.5)
    assert second.share == pytest.approx(4 / 28)
    assert contours.parts_outside(density, density > 0, (0.0, 0.0, 60.0, 40.0)) == []


def test_evidence_in_the_ring_is_not_outside():
    density = spot(SIZE, 22, 22).numpy()
    near = boxes.near((10.0, 10.0, 20.0, 20.0))
    assert contours.parts_outside(density, density > 0, near) == []


@pytest.mark.parametrize("size", [(1500, 2000), (300, 400), (48, 64)])
def test_what_is_drawn_outside_is_what_is_measured_outside(size):
    """A photograph of 3 megapixels, a small copy, and what the network sees of both."""
    detector = ToyDetector(letterbox=64)
    image = Frame.stretch((48, 64), size).to_input(scene(("red", 2, 3), size=(48, 64))[None])[0]
    placed = place(detector, image)
    target = detector.detect(placed.pixels, placed.frame, 0.25)[0].target(0)
    (made,) = explain(build_method("input_x_gradient"), detector, placed, [target])
    assert made.content_size == (48, 64)
    even = replace(made, heatmap=torch.ones(size))
    drawn = panels.layer("", even, size)
    assert boxes.mask(drawn.near, size).float().mean() == pytest.approx(
        24 * 24 / (48 * 64), rel=0.01
    )
    content = placed.frame.map_to_content(even.heatmap).clamp(min=0)
    near = boxes.mask(boxes.near(placed.frame.box_to_content(target.box)), (48, 64))
    measured = float(content[~near].sum() / content.sum())
    (part,) = contours.parts_outside(drawn.density, drawn.density > 0, drawn.near)
    assert part.share == pytest.approx(measured, abs=2e-3)


def test_lines_turn_fuchsia_where_the_measured_ring_ends():
    """The image is four times what the network sees: its ring of 8 pixels is 32 wide here."""
    fuchsia, size = np.array([255, 0, 255]), (160, 240)
    grey = torch.full((3, *size), 0.4)
    one = inspection(rows=1, size=size, heatmaps=[spot(size, 15, 34, side=4)], image=grey)
    (explanation,) = one.explanations
    for content, expected in ((None, True), (size, True), ((40, 60), False)):
        seen = replace(one, explanations=(replace(explanation, content_size=content),))
        what = panels.scene(seen, 0)
        canvas = panels.outlined(what, panels.whole(size), what.layers[0], tags=False)
        assert (canvas == fuchsia).all(axis=2).any() == expected


# Heat


def test_heat_has_one_scale_for_all_images():
    density = np.array([0.0, 0.1, 1.0, 10.0, 1e6])
    assert panels.heat_value(density).tolist() == pytest.approx([0, 0, 0.5, 1, 1])


def test_a_confidence_is_worth_what_both_maps_add_up_to():
    """By hand: log-odds less those at which a class comes into sight, softly cut at none."""
    assert panels.worth(0.5) == pytest.approx(math.log1p(math.exp(4)))
    assert panels.worth(0.9) == pytest.approx(math.log1p(9 * math.exp(4)))
    assert panels.worth(0.0) < 0.01
    assert math.isfinite(panels.worth(1.0))


def first_heat(found):
    what = panels.scene(found, 0)
    return panels.heat(what, panels.whole(SIZE), what.layers[0])


def first_outlined(found, *, tags=False):
    what = panels.scene(found, 0)
    shown = what.layers[0] if what.layers else None
    return panels.outlined(what, panels.whole(SIZE), shown, tags=tags)


def test_next_to_nothing_is_neither_heated_nor_outlined():
    """A class that is not in sight: its map has a shape, and no weight."""
    shape = spot(SIZE, 20, 40, side=4)
    strong, weak, none = (
        inspection(rows=1, heatmaps=[weight * shape]) for weight in (1.0, 1e-3, 0.0)
    )
    assert np.array_equal(first_heat(weak), first_heat(none))
    assert np.array_equal(first_outlined(weak), first_outlined(none))
    assert not np.array_equal(first_heat(strong), first_heat(none))
    assert not np.array_equal(first_outlined(strong), first_outlined(none))


def test_heat_never_touches_the_original():
    strong = inspection(rows=1, heatmaps=[spot(SIZE, 20, 40, value=9.0)])
    weak = inspection(rows=1, heatmaps=[-torch.ones(SIZE)])
    drawn, plain = first_outlined(strong), first_outlined(weak, tags=True)
    changed = (drawn != plain).any(axis=2)
    assert changed.any()
    palette = drawn[changed].astype(int)
    clean = panels.whole(SIZE).cut(panels.as_bytes(strong.image))[changed].astype(int)
    inked = np.abs(palette - clean).max(axis=1) > 0
    assert changed.mean() < 0.2  # lines, no fill
    assert inked.all()


def test_evidence_outside_is_fuchsia_and_evidence_inside_white():
    grey = torch.full((3, *SIZE), 0.4)
    for column, expected in ((5, False), (50, True)):
        one = inspection(rows=1, heatmaps=[spot(SIZE, 15, column, side=4)], image=grey)
        assert (first_outlined(one) == FUCHSIA).all(axis=2).any() == expected


FUCHSIA = np.array([255, 0, 255])


# Which maps are shown


def titles(found):
    return [shown.title for shown in panels.scene(found, 0).layers]


def test_each_question_has_its_own_map():
    one = inspection(rows=1, heatmaps=[spot(SIZE, 5, 5)], contrasts=[spot(SIZE, 30, 50)])
    first, second = panels.scene(one, 0).layers
    assert (first.title, second.title) == ("Why detected", "Why zebra")
    assert np.unravel_index(first.density.argmax(), SIZE) == (6, 6)
    assert np.unravel_index(second.density.argmax(), SIZE) == (31, 51)
    assert titles(inspection(rows=1, contrasts=[None])) == ["Why detected"]  # one class


def test_the_second_map_names_the_class_that_it_compares_with():
    one = inspection(rows=1, heatmaps=[spot(SIZE, 5, 5)], contrasts=[spot(SIZE, 30, 50)])
    (told,) = one.evidence
    named = Evidence(dict(told), {**told.words, "rival": one.detections.class_names[1]})
    other = titles(replace(one, evidence=(named,)))[1]
    assert other == f"Why zebra and not {one.detections.class_names[1]}"
    gone = Evidence(dict(told), {**told.words, "rival": "no such class"})
    assert titles(replace(one, evidence=(gone,)))[1] == "Why zebra"
    three = inspection(rows=1, added=[torch.ones(SIZE)])
    assert titles(three)[2] == "By d_rise, not checked"


def test_both_maps_have_one_absolute_scale():
    """Twice the evidence is hotter, whichever question it answers."""
    weak = spot(SIZE, 5, 5, value=0.02)
    one = inspection(rows=1, heatmaps=[weak], contrasts=[2 * weak])
    other = inspection(rows=1, heatmaps=[2 * weak], contrasts=[weak])
    window = panels.whole(SIZE)
    (first, second), (third, fourth) = (
        [panels.heat(what, window, shown) for shown in what.layers]
        for what in (panels.scene(found, 0) for found in (one, other))
    )
    assert np.array_equal(first, fourth)
    assert np.array_equal(second, third)
    coloured = (second[..., 0] != second[..., 2]).sum(), (first[..., 0] != first[..., 2]).sum()
    assert coloured[0] > coloured[1] > 0


def test_the_map_of_an_added_method_is_drawn_as_if_it_added_up_to_the_score():
    """Whatever its own unit is."""
    shape = spot(SIZE, 20, 40, side=4)
    added = [panels.scene(inspection(rows=1, added=[by * shape]), 0).layers[-1] for by in (1, 1e6)]
    assert added[0].density == pytest.approx(added[1].density)
    score = float(inspection(rows=1).detections.scores[0])
    assert added[0].density.sum() / 24 == pytest.approx(panels.worth(score))
    empty = panels.scene(inspection(rows=1, added=[torch.zeros(SIZE)]), 0).layers[-1]
    assert empty.outlines == ()


@pytest.mark.parametrize(
    ("word", "said"), [("unreliable", "map: unreliable"), ("none", "no map at this budget")]
)
@pytest.mark.parametrize("level", Level)
def test_a_map_that_is_not_reliable_is_not_drawn_whatever_the_verdict(word, said, level):
    refused = inspection(rows=1, level=level, heatmaps=[spot(SIZE, 15, 50)], map=word)
    nothing = inspection(rows=1, level=level, heatmaps=[None], contrasts=[None], map=word)
    assert map_refusal(refused.evidence[0]) == said
    assert titles(refused) == []
    assert np.array_equal(render.view(refused, 0), render.view(nothing, 0))
    assert render.view(refused, 0).shape[1] < render.view(inspection(rows=1), 0).shape[1]
    other = inspection(rows=1, map=word, added=[torch.ones(SIZE)])
    assert titles(other) == ["By d_rise, not checked"]  # asked for, whatever became of the two


def test_a_map_that_nothing_is_said_of_is_not_drawn():
    assert map_refusal(Evidence({"score": 0.5})) == "no map at this budget"
    assert map_refusal(evidence()) is None


# What decides


def test_the_place_that_decides_is_framed_only_where_the_surroundings_decide():
    grey = torch.full((3, *SIZE), 0.4)
    none = {"heatmaps": [None], "contrasts": [None]}
    for level, expected in ((Level.UNTRUSTED, True), (Level.TRUSTED, False)):
        one = inspection(rows=1, level=level, image=grey, **none, map="none")
        canvas = first_outlined(one)
        rows, columns = np.nonzero((canvas == FUCHSIA).all(axis=2))
        assert bool(len(rows)) == expected
    scale = panels.whole(SIZE).scale
    one = inspection(rows=1, level=Level.UNTRUSTED, image=grey, **none, map="none")
    rows, columns = np.nonzero((first_outlined(one) == FUCHSIA).all(axis=2))
    found = (columns.min(), rows.min(), columns.max(), rows.max())
    assert found == pytest.approx([scale * side for side in (41, 20, 55, 36)], abs=2)


def test_what_a_test_looked_at_without_deciding_is_no_place_that_decides():
    places = {"presence": ((1.0, 2.0, 3.0, 4.0),), "name": ((5.0, 6.0, 7.0, 8.0),)}
    words = {"presence": "unclear", "name": "surroundings"}
    said = Evidence({}, words, {**places, "map": ((0.0, 0.0, 1.0, 1.0),)})
    by_surroundings = verdict(Level.UNTRUSTED)
    assert deciding(by_surroundings, said) == [("name", (5.0, 6.0, 7.0, 8.0))]
    assert deciding(verdict(Level.UNCERTAIN, Answer.UNCLEAR), said) == []


# States


def contrast(colour):
    parts = [one / 255 for one in colour]
    red, green, blue = (
        one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts
    )
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def test_the_three_states_differ_in_word_and_shape_and_can_be_read():
    assert {level: level_word(level) for level in STATES} == {one: one.value for one in Level}
    for language in LANGUAGES:
        assert len({level_word(level, catalogue(language)) for level in STATES}) == 3
    assert len({one.mark for one in STATES.values()}) == len(STATES) == 3
    assert all(contrast(one.colour) >= 4.5 for one in STATES.values())


def test_the_tally_is_urgent_first_and_leaves_out_what_does_not_occur():
    found = tally([verdict(Level.TRUSTED), verdict(Level.UNTRUSTED), verdict(Level.TRUSTED)])
    assert found == [(Level.UNTRUSTED, 1), (Level.TRUSTED, 2)]
    assert list(STATES) == [Level.UNTRUSTED, Level.UNCERTAIN, Level.TRUSTED]


# Pictures of any size


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (20, 20), (640, 640), (30, 2400)])
def test_images_of_any_size_can_be_drawn(size):
    one = inspection(rows=1, size=size, heatmaps=[torch.rand(size)], added=[torch.rand(size)])
    picture = render.view(one, 0)
    assert picture.dtype == np.uint8
    assert max(picture.shape) < 4000
    assert render.overview(one).shape[2] == 3


def test_small_images_are_enlarged_and_large_ones_reduced():
    assert panels.whole((32, 64)).scale == 10
    assert panels.whole((640, 480)).scale == 1
    assert panels.whole((800, 900)).scale == 1
    assert panels.whole((2000, 4000)).scale == 0.25


def test_a_close_up_is_given_to_small_boxes_only_and_stays_in_the_image():
    assert panels.close_up((10.0, 10.0, 400.0, 400.0), (640, 640)) is None
    window = panels.close_up((630.0, 0.0, 640.0, 12.0), (640, 640))
    assert (window.left, window.top, window.right, window.bottom) == (604, 0, 640, 36)
    x1, y1, x2, y2 = window.box((630.0, 0.0, 640.0, 12.0))
    assert (x2 - x1) / (y2 - y1) == pytest.approx(10 / 12)


def test_an_image_without_detections_has_an_overview():
    assert render.overview(inspection(rows=0)).size


@pytest.mark.parametrize("box", [(5.0, 5.0, 5.0, 5.0), (-50.0, -9.0, 200.0, 90.0)])
def test_boxes_without_area_or_beyond_the_image_can_be_drawn(box):
    canvas = np.zeros((40, 60, 3), np.uint8)
    drawing.brackets(canvas, box)


def test_names_that_are_long_or_strange_fit():
    text = drawing.shortened("giraffe\n\x00" * 40, 100, 13)
    assert "…" in text
    assert "\n" not in text
    assert drawing.text_width(text, 13) <= 100
    assert drawing.shortened("zebra", 100, 13) == "zebra"
    assert drawing.shortened("zebra", 3, 13) == "…"


def test_tags_keep_clear_of_each_other():
    canvas = np.full((200, 300, 3), 90, np.uint8)
    tags = drawing.Tags(canvas)
    drawn_before = np.zeros((200, 300), bool)
    for _ in range(4):
        before = canvas.copy()
        tags.put((100, 100), NAMES[0], core=drawing.WHITE)
        drawn = (canvas != before).any(axis=2)
        assert drawn.any()
        assert not (drawn & drawn_before).any()
        drawn_before |= drawn


def test_drawing_changes_nothing_it_was_given():
    one = inspection()
    before = one.image.clone(), one.explanations[0].heatmap.clone()
    render.view(one, 0)
    assert torch.equal(one.image, before[0])
    assert torch.equal(one.explanations[0].heatmap, before[1])
