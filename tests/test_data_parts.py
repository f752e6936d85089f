"""Parts of annotated objects: key points and masks, by hand and against pycocotools."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as coco_mask

from xai_detect.data.coco import read_coco
from xai_detect.data.coco_write import write_coco
from xai_detect.data.parts import part_of, part_to_coco, read_parts, rectangle
from xai_detect.data.problems import Problems
from xai_detect.errors import InputError
from xai_detect.values.truth import Part

BOX, SIZE = (2.0, 2.0, 12.0, 12.0), (16, 20)


def read(row, keypoints=()):
    problems = Problems()
    found = read_parts(row, keypoints, BOX, SIZE, "annotation 1", problems)
    return found, problems.lines()


def test_runs_go_down_the_columns_by_hand():
    mask = np.array([[False, True], [True, True]])
    part = part_of("head", mask)
    assert part.runs == (1, 3)  # (0, 0) beside, then (1, 0), (0, 1), (1, 1) on it
    assert np.array_equal(part.mask().numpy(), mask)
    assert part_of("all", np.ones((2, 2), bool)).runs == (0, 4)
    assert part_of("none", np.zeros((2, 2), bool)).runs == (4,)


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_a_part_comes_back_and_is_what_pycocotools_makes_of_it(mask):
    part = part_of("head", mask)
    assert np.array_equal(part.mask().numpy(), mask)
    packed = part_to_coco(part)
    assert coco_mask.area({**packed, "counts": packed["counts"].encode()}) == mask.sum()
    problems = Problems()
    (again,) = read_parts({"parts": {"head": packed}}, (), BOX, mask.shape, "it", problems)
    assert (again, problems.lines()) == (part, ())


@given(
    left=st.integers(0, 5), top=st.integers(0, 5), wide=st.integers(1, 4), tall=st.integers(1, 4)
)
def test_a_rectangle_is_the_part_of_its_mask(left, top, wide, tall):
    mask = np.zeros((9, 9), bool)
    mask[top : top + tall, left : left + wide] = True
    part = rectangle("head", (left, top, left + wide, top + tall), (9, 9))
    assert np.array_equal(part.mask().numpy(), mask)


def test_every_form_of_a_segmentation_is_read():
    square = np.zeros(SIZE, bool)
    square[4:8, 6:10] = True
    part = part_of("head", square)
    forms = {
        "polygons": [[6, 4, 10, 4, 10, 8, 6, 8]],
        "one polygon": [6, 4, 10, 4, 10, 8, 6, 8],
        "runs": {"size": [*SIZE], "counts": list(part.runs)},
        "code": part_to_coco(part),
    }
    found, problems = read({"parts": forms})
    assert problems == ()
    assert [one.name for one in found] == list(forms)
    for one in found:
        assert np.array_equal(one.mask().numpy(), square), one.name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("text", "expected polygons or a run-length code"),
        ([], "at least three"),
        ([[1, 2, 3, 4]], "at least three"),
        ([[1, 2, 3, 4, 5]], "at least three"),
        ([[1, 2, 3, 4, 5, "6"]], "no number"),
        ([[1, 2, 3, 4, 5, float("nan")]], "no number"),
        ({"size": [9, 9], "counts": [81]}, r"of an image of \[9, 9\], not \[16, 20\]"),
        ({"size": [16, 20], "counts": [1]}, "runs of 1 pixels"),
        ({"size": [16, 20], "counts": [400, -80]}, "one for each pixel"),
        ({"size": [16, 20], "counts": [160.5, 159.5]}, ""),
        ({"size": [16, 20], "counts": "oooooooooo"}, "damaged"),
        ({"size": [16, 20], "counts": "o"}, "cut short"),
        ({"size": [16, 20], "counts": "0"}, "runs of 0 pixels"),
        ({"size": [16, 20], "counts": "\x01"}, "damaged"),
        ({"size": [16, 20], "counts": "é"}, "damaged"),
        ({"size": [16, 20], "counts": None}, "neither a list nor text"),
        ({"size": [16, 20]}, "neither a list nor text"),
    ],
)
def test_what_is_no_segmentation_is_left_out_with_a_sentence(given, said):
    found, problems = read({"parts": {"head": given}})
    assert found == ()
    (problem,) = problems
    assert problem.startswith("annotation 1: the part 'head' is no segmentation (")
    assert re.search(said, problem)


def test_parts_that_are_no_mapping_are_left_out_with_a_sentence():
    found, problems = read({"parts": ["head"]})
    assert found == ()
    assert "parts is no mapping" in problems[0]
    assert read({"parts": None}) == ((), ())


def test_key_points_are_small_squares_where_they_are_seen():
    """The box is 10 by 10, so a square has a side of one pixel."""
    row = {"keypoints": [3, 4, 2, 8, 9, 1, 0, 0, 0]}
    found, problems = read(row, ("nose", "tail", "ear"))
    assert problems == ()
    (nose,) = found  # the tail is hidden, the ear is not labelled
    assert nose.name == "nose"
    assert int(nose.mask().sum()) == 1
    row, column = (int(place[0]) for place in nose.mask().nonzero(as_tuple=True))
    assert abs(row - 4) <= 1
    assert abs(column - 3) <= 1
    assert read({"keypoints": [3, 4]}, ("nose",)) == ((), ())


def test_a_part_must_fill_its_image():
    with pytest.raises(InputError, match=r"runs of 3 pixels in an image of \(2, 2\)"):
        Part("head", (2, 2), (1, 2))
    with pytest.raises(InputError, match="one for each pixel"):
        Part("head", (2, 2), (5, -1))


def test_parts_are_read_from_a_file_and_written_again(tmp_path):
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "a.png")
    head = np.zeros(SIZE, bool)
    head[3:6, 3:6] = True
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 16, "width": 20}],
        "categories": [{"id": 5, "name": "zebra", "keypoints": ["nose"]}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 5, "bbox": [2, 2, 10, 10], "iscrowd": 0,
             "keypoints": [8, 8, 2], "parts": {"head": part_to_coco(part_of("head", head)),
                                               "bad": 3}},
        ],
    }  # fmt: skip
    path = tmp_path / "instances_val.json"
    path.write_text(json.dumps(content))
    dataset = read_coco(path)
    ((item,),) = (scan.items for scan in dataset.scans)
    assert [part.name for part in item.parts] == ["nose", "head"]
    assert any("the part 'bad' is no segmentation" in problem for problem in dataset.problems)
    write_coco(dataset, tmp_path / "again.json")
    ((again,),) = (scan.items for scan in read_coco(tmp_path / "again.json").scans)
    assert again.parts == item.parts
