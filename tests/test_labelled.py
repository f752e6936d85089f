"""True boxes in a detector's labels."""

import numpy as np
import pytest
from PIL import Image

from xai_detect.data.records import Dataset
from xai_detect.errors import InputError
from xai_detect.evaluation.labelled import UNKNOWN, labelled_images
from xai_detect.values.truth import Item, Scan

BOX = (1.0, 2.0, 5.0, 7.0)


def scan(folder, name, *items):
    path = folder / name
    Image.fromarray(np.zeros((9, 8, 3), dtype=np.uint8)).save(path)
    return Scan(name, path, name, (9, 8), items)


@pytest.fixture
def pictures(tmp_path):
    first = scan(
        tmp_path,
        "first.png",
        Item(BOX, 0, 20.0),
        Item(BOX, 2, 20.0),
        Item(BOX, 1, 20.0),
        Item(BOX, 0, 20.0, crowd=True),
        Item(BOX, 0, 20.0, difficult=True),
        Item(BOX, None, 20.0, crowd=True),
    )
    clean, lost = scan(tmp_path, "clean.png"), scan(tmp_path, "lost.png", Item(BOX, 0, 20.0))
    lost.path.write_bytes(b"no image")
    return Dataset("d", "coco", ("Zebra", "cow", "stop sign"), (1, 2, 3), (first, lost, clean), ())


def test_boxes_have_the_detectors_labels_and_what_is_no_example_has_none(pictures):
    through = []
    found = labelled_images(pictures, ("stop_sign", "zebra"), lambda *told: through.append(told))
    image, boxes, labels = next(found)
    assert image.shape == (3, 9, 8)
    assert boxes.tolist() == [list(BOX)] * 6
    assert labels.tolist() == [1, 0, -1, -1, -1, -1]
    assert UNKNOWN == -1
    assert through == []  # an image is through when the next one is asked for
    _, boxes, labels = next(found)
    assert (boxes.shape, labels.shape) == ((0, 4), (0,))
    assert len(through) == 2
    assert list(found) == []
    assert [name for name, _ in through] == ["first.png", "lost.png", "clean.png"]
    assert [bool(why) for _, why in through] == [False, True, False]
    assert "lost.png" in through[1][1]


def test_no_shared_class_is_refused(pictures):
    with pytest.raises(InputError, match="no name in common"):
        next(labelled_images(pictures, ("cat",), lambda *_: None))
