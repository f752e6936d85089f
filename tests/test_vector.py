"""Marks as lines: where they run, that they are whole, and that no name can run anything."""

import base64
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import inspection, spot

from xai_detect.output.drawing import panels, vector
from xai_detect.values.findings import Answer, Level

SIZE = (40, 60)
ALL = (0.0, 0.0, 9.0, 9.0)
SVG = "{http://www.w3.org/2000/svg}"


def grid(*filled, side=9, value=2.0):
    """Zeros, and ``value`` in the ``(rows, columns)`` that are given."""
    density = np.zeros((side, side))
    for rows, columns in filled:
        density[rows, columns] = value
    return density


def length(points):
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def test_a_line_around_a_place_inside_is_closed():
    ((points, outside),) = vector.lines(grid((4, 4)), 1.0, ALL, (9, 9))
    assert not outside
    assert points[0].tolist() == points[-1].tolist()
    # half way from the middle of the cell, (4.5, 4.5), to the middles of those around it
    assert {tuple(point) for point in points.tolist()} == {
        (4.5, 4.0), (5.0, 4.5), (4.5, 5.0), (4.0, 4.5)
    }  # fmt: skip


def test_lines_are_in_image_pixels():
    ((points, _),) = vector.lines(grid((4, 4)), 1.0, (0.0, 0.0, 90.0, 18.0), (18, 90))
    assert sorted(set(points[:, 0])) == [40.0, 45.0, 50.0]
    assert sorted(set(points[:, 1])) == [8.0, 9.0, 10.0]


def test_a_line_is_open_where_the_region_runs_on_beyond_the_image():
    ((points, _),) = vector.lines(grid((slice(None), slice(0, 3))), 1.0, ALL, (9, 9))
    assert sorted(points.tolist()) == [[3.0, 0.5], [3.0, 8.5]]  # nothing along the image's border


def test_a_line_changes_where_it_leaves_the_ring_and_no_gap_is_left():
    found = list(vector.lines(grid((slice(0, 4), slice(None))), 1.0, (0.0, 0.0, 5.0, 9.0), (9, 9)))
    near, far = sorted(found, key=lambda piece: piece[1])
    assert (near[1], far[1]) == (False, True)
    assert length(near[0]) + length(far[0]) == pytest.approx(8)
    assert {tuple(end) for end in near[0][[0, -1]].tolist()} & {
        tuple(end) for end in far[0][[0, -1]].tolist()
    }
    assert near[0][:, 0].max() <= 5.5  # within a cell of the ring's end
    assert far[0][:, 0].min() >= 4.5


@given(seed=st.integers(0, 200), level=st.sampled_from([0.3, 0.5, 0.8]))
def test_pieces_of_a_line_hang_together(seed, level):
    density = np.random.default_rng(seed).random((12, 15))
    whole = [points for points, _ in vector.lines(density, level, (0.0, 0.0, 15.0, 12.0), (12, 15))]
    cut = [points for points, _ in vector.lines(density, level, (3.0, 3.0, 9.0, 9.0), (12, 15))]
    ends = np.array([point for points in cut for point in points[[0, -1]]]).reshape(-1, 2)
    loose = [end for end in ends if (np.abs(ends - end).max(axis=1) < 1e-6).sum() < 2]
    borders = ([0.5, 14.5], [0.5, 11.5])
    for x, y in loose:  # only where the image ends
        assert min(abs(x - side) for side in borders[0]) < 1e-5 or (
            min(abs(y - side) for side in borders[1]) < 1e-5
        )
    assert sum(map(length, cut)) == pytest.approx(sum(map(length, whole)), rel=0.25)


def test_nowhere_at_that_level_there_is_no_line():
    assert list(vector.lines(np.zeros((9, 9)), 1.0, ALL, (9, 9))) == []
    assert list(vector.lines(np.full((1, 1), 5.0), 1.0, (0.0, 0.0, 1.0, 1.0), (1, 1))) == []


# The whole picture


def drawn(what, shown):
    return ET.fromstring(vector.marks(what, shown))  # noqa: S314 - our own


def scene_of(**options):
    one = inspection(rows=1, heatmaps=[spot(SIZE, 10, 4, side=6, value=1.0)], **options)
    return panels.scene(one, 0)


def paths(picture):
    return picture.findall(f"{SVG}path")


def test_it_is_as_large_as_the_image_and_its_strokes_keep_their_width():
    what = scene_of(level=Level.UNTRUSTED)
    picture = drawn(what, what.layers[0])
    assert picture.get("viewBox") == "0 0 60 40"
    stroked = [one for one in picture.iter() if one.get("stroke")]
    assert len(stroked) > 4
    assert {one.get("vector-effect") for one in stroked} == {"non-scaling-stroke"}
    assert {one.get("stroke") for one in paths(picture)} == {
        "rgb(0, 0, 0)", "rgb(255, 255, 255)", "rgb(255, 0, 255)"
    }  # fmt: skip


def test_the_corners_are_those_of_the_box():
    what = scene_of()
    halo, core = paths(drawn(what, None))
    assert halo.get("d") == core.get("d")
    for corner in ("L2 5L", "L16 5L", "L16 30.5L", "L2 30.5L"):
        assert corner in core.get("d")
    assert float(halo.get("stroke-width")) > float(core.get("stroke-width"))


def test_with_next_to_nothing_only_corners_are_drawn():
    faint = inspection(rows=1, heatmaps=[spot(SIZE, 10, 4, value=1e-6)])
    what = panels.scene(faint, 0)
    assert vector.marks(what, what.layers[0]) == vector.marks(what, None)
    assert len(paths(drawn(what, what.layers[0]))) == 2
    strong = scene_of()
    assert len(paths(drawn(strong, strong.layers[0]))) > 2
    assert vector.heat(what.layers[0])[:, :, 3].max() == 0


def test_what_lies_outside_is_dashed_and_carries_its_share():
    far = spot(SIZE, 10, 4, side=6) + spot(SIZE, 20, 45, side=8)
    what = panels.scene(inspection(rows=1, heatmaps=[far]), 0)
    picture = drawn(what, what.layers[0])
    dashed = [one for one in paths(picture) if one.get("stroke-dasharray")]
    assert {one.get("stroke") for one in dashed} == {"rgb(0, 0, 0)", "rgb(255, 0, 255)"}
    whole = [one for one in paths(picture) if not one.get("stroke-dasharray")]
    assert "rgb(255, 0, 255)" not in {one.get("stroke") for one in whole}
    (text,) = (one.text for one in picture.findall(f"{SVG}text"))
    (part,) = what.layers[0].parts
    assert f"{part.share:.0%}".removesuffix("%") in text


def test_what_decides_is_framed_and_named():
    what = scene_of(level=Level.UNTRUSTED, reason=Answer.SURROUNDINGS)
    picture = drawn(what, None)
    assert "M41 20H55V36H41Z" in {one.get("d") for one in paths(picture)}
    assert [one.text for one in picture.findall(f"{SVG}text")] == ["decides that it is reported"]


@pytest.mark.parametrize("name", ["</svg><script>alert(1)</script>", "<b>&amp;\"'", "칼 & 가위"])
def test_text_is_text(name):
    what = replace(scene_of(), places=((name, (1.0, 2.0, 3.0, 4.0)),))
    picture = drawn(what, what.layers[0])
    assert [one.text for one in picture.findall(f"{SVG}text")] == [name]


def test_nothing_in_it_can_run_or_be_fetched():
    what = scene_of(level=Level.UNTRUSTED)
    for one in drawn(what, what.layers[0]).iter():
        assert one.tag.removeprefix(SVG) in {"svg", "path", "rect", "text"}
        assert not [name for name in one.attrib if name.startswith("on") or "href" in name]


def plates(picture):
    names = ("x", "y", "width", "height")
    return [[float(one.get(name)) for name in names] for one in picture.findall(f"{SVG}rect")]


@pytest.mark.parametrize("size", [(40, 60), (60, 12), (300, 400)])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_words_stay_inside_the_image_and_off_each_other(size, share):
    height, width = size
    at = (0.9 * width, share * height, float(width), float(height))
    texts = ["decides that it is reported", "1: 20 %", "이름을 결정함"]
    places = tuple((text, at) for text in texts)
    pixels = np.zeros((*size, 3), np.uint8)
    found = plates(drawn(replace(scene_of(), pixels=pixels, places=places), None))
    assert len(found) == 3
    for left, top, wide, high in found:
        assert -0.11 < left < left + wide < width + 0.11
        assert -0.11 < top < top + high < height + 0.11
    for (left, top, wide, high), (x, y, w, h) in combinations(found, 2):
        across, down = min(left + wide, x + w) - max(left, x), min(top + high, y + h) - max(top, y)
        assert min(across, down) < 0.21


def test_korean_has_room_for_its_wide_letters():
    what = replace(scene_of(), pixels=np.zeros((460, 460, 3), np.uint8))
    latin, korean = (
        plates(drawn(replace(what, places=((text, (9.0, 99.0, 20.0, 120.0)),)), None))[0][2]
        for text in ("abcdef", "이름을결정함")
    )
    assert korean > 1.4 * latin


def test_heat_lies_where_the_evidence_is_and_stays_small():
    shown = scene_of().layers[0]
    heat = vector.heat(shown)
    assert heat.shape == (40, 60, 4)
    row, column = np.unravel_index(heat[:, :, 3].argmax(), SIZE)
    assert 10 <= row < 16
    assert 4 <= column < 10
    large = replace(shown, density=np.ones((900, 1200)))
    assert vector.heat(large).shape == (120, 160, 4)


def test_it_is_small():
    heatmap = torch.rand(480, 640, generator=torch.Generator().manual_seed(0))
    what = panels.scene(inspection(rows=1, size=(480, 640), heatmaps=[heatmap]), 0)
    assert len(base64.b64encode(vector.marks(what, what.layers[0]).encode())) < 60_000
