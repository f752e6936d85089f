import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from xai_detect.data.coco import read_coco
from xai_detect.data.coco_write import write_coco
from xai_detect.data.read import read_dataset
from xai_detect.errors import InputError

SHARED = Path(__file__).parents[2] / "shared" / "data" / "coco"


def content():
    """Two images of 40 x 30; category ids with a gap; one crowd."""
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 40, "height": 30},
            {"id": 9, "file_name": "b.png", "width": 40, "height": 30},
        ],
        "categories": [{"id": 3, "name": "cat"}, {"id": 90, "name": "dog"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 7,
                "category_id": 90,
                "bbox": [1.5, 2, 10, 20],
                "area": 33.5,
                "iscrowd": 0,
            },
            {
                "id": 2,
                "image_id": 7,
                "category_id": 3,
                "bbox": [0, 0, 40, 30],
                "area": 900,
                "iscrowd": 1,
                "segmentation": {"counts": [0, 1200], "size": [30, 40]},
            },
        ],
    }


def write(folder, source, split="val"):
    for directory in ("annotations", f"images/{split}"):
        (folder / directory).mkdir(parents=True, exist_ok=True)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 30)).save(folder / "images" / split / name)
    path = folder / "annotations" / f"instances_{split}.json"
    path.write_text(source if isinstance(source, str) else json.dumps(source))
    return path


def test_boxes_labels_ids_and_crowds_are_read_exactly(tmp_path):
    dataset = read_dataset(write(tmp_path, content()))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.class_ids == (3, 90)
    first, clean = dataset.scans
    assert (first.image_id, first.size, clean.items) == (7, (30, 40), ())
    dog, crowd = first.items
    assert (dog.box, dog.label, dog.area, dog.crowd) == ((1.5, 2, 11.5, 22), 1, 33.5, False)
    assert (crowd.label, crowd.crowd, crowd.area) == (0, True, 900)
    assert dataset.problems == ()


def test_written_annotations_read_back_equal(tmp_path):
    path = write(tmp_path, content())
    dataset = read_dataset(path)
    write_coco(dataset, path)
    assert read_dataset(path) == dataset


def test_a_folder_is_enough_and_prefers_validation(tmp_path):
    write(tmp_path, content(), "train2017")
    write(tmp_path, content(), "val2017")
    assert read_dataset(tmp_path).name == "val2017"
    assert read_dataset(tmp_path, split="train").name == "train2017"
    with pytest.raises(InputError, match="train2017, val2017"):
        read_dataset(tmp_path, split="test")


def test_images_may_lie_elsewhere(tmp_path):
    path = write(tmp_path / "one", content())
    (tmp_path / "one" / "images" / "val").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="--images DIR"):
        read_dataset(path)
    assert len(read_dataset(path, images=tmp_path / "elsewhere")) == 2
    with pytest.raises(InputError, match="not a folder"):
        read_dataset(path, images=tmp_path / "nowhere")


def test_a_missing_image_is_listed_and_the_others_are_read(tmp_path):
    path = write(tmp_path, content())
    (tmp_path / "images" / "val" / "a.png").unlink()
    dataset = read_dataset(path)
    assert [scan.name for scan in dataset.scans] == ["b.png"]
    assert len(dataset.problems) == 1
    assert "a.png does not exist; the image is left out" in dataset.problems[0]


@pytest.mark.parametrize(
    ("bbox", "message", "kept"),
    [
        ([30, 5, 30, 10], "reaches out of the 40 x 30 image; cut to it", (30, 5, 40, 15)),
        ([30, 5, 10.5, 10], "", (30, 5, 40, 15)),
        ([50, 50, 5, 5], "lies outside the 40 x 30 image", None),
        ([10, 10, -5, 5], "inverted or has no area", None),
        ([10, 10, 0, 5], "inverted or has no area", None),
        ([1, 2, 3], "not four numbers", None),
        ([1, 2, 3, float("nan")], "not four numbers", None),
    ],
)
def test_bad_boxes_are_listed(tmp_path, bbox, message, kept):
    source = content()
    source["annotations"][0]["bbox"] = bbox
    dataset = read_dataset(write(tmp_path, source))
    boxes = [item.box for item in dataset.scans[0].items if not item.crowd]
    assert boxes == ([kept] if kept else [])
    assert message in "".join(dataset.problems)
    assert len(dataset.problems) == bool(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category_id": 5}, "annotation 1 has the unknown category 5"),
        ({"image_id": 8}, "image 8, which instances_val.json does not list"),
        ({"image_id": [7]}, "an id that is no number"),
    ],
)
def test_rows_that_refer_to_nothing_are_listed(tmp_path, change, message):
    source = content()
    source["annotations"][0] |= change
    dataset = read_dataset(write(tmp_path, source))
    assert message in dataset.problems[0]
    assert sum(len(scan.items) for scan in dataset.scans) == 1


def test_recorded_sizes_are_not_believed(tmp_path):
    source = content()
    source["images"][1] |= {"width": 400, "height": 300}
    dataset = read_dataset(write(tmp_path, source))
    assert dataset.scans[1].size == (30, 40)
    assert "recorded as 400 x 300 but the upright image has 40 x 30" in dataset.problems[0]


def test_the_size_is_that_of_the_upright_image(tmp_path):
    path = write(tmp_path, content())
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 40)).save(tmp_path / "images/val/a.png", exif=exif)
    assert read_dataset(path).scans[0].size == (30, 40)


@pytest.mark.parametrize("name", ["../../x.png", "/etc/passwd", "..\\..\\x.png", "C:/x.png"])
def test_names_that_lead_out_of_the_folder_are_left_out_and_the_others_read(tmp_path, name):
    source = content()
    source["images"][1]["file_name"] = name
    dataset = read_dataset(write(tmp_path, source))
    assert [scan.name for scan in dataset.scans] == ["a.png"]
    (said,) = dataset.problems
    assert repr(name) in said
    assert "leads out of the folder" in said
    source["images"][0]["file_name"] = name
    with pytest.raises(InputError, match=r"no image that can be read.*out of the folder"):
        read_dataset(write(tmp_path, source))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('[{"image_id": 1}]', "as detection results do"),
        ("3", "no list 'categories'"),
        ('{"categories": [], "images": {}}', "no list 'images'"),
    ],
)
def test_files_that_are_no_annotations_are_refused_in_one_sentence(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read_dataset(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_picture_that_claims_to_be_huge_is_left_out(tmp_path):
    path = write(tmp_path, content())
    target = tmp_path / "images" / "val" / "a.png"
    data = bytearray(target.read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    target.write_bytes(data)
    assert "pixels" in read_dataset(path).problems[0]


def test_no_readable_image_is_an_error(tmp_path):
    path = write(tmp_path, content())
    for image in (tmp_path / "images" / "val").iterdir():
        image.write_bytes(b"")
    with pytest.raises(InputError, match="holds no image that can be read; first problem"):
        read_dataset(path)


def test_repeated_image_ids_are_listed(tmp_path):
    source = content()
    source["images"][1]["id"] = 7
    dataset = read_dataset(write(tmp_path, source))
    assert len(dataset) == 1
    assert "the id 7 twice" in dataset.problems[0]


@pytest.mark.weights
def test_the_real_file_reads_without_a_problem():
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent")
    dataset = read_coco(SHARED / "annotations" / "instances_val2017.json")
    assert (len(dataset), len(dataset.class_names), dataset.problems) == (170, 80, ())
    assert dataset.class_ids[-1] == 90
    assert sum(len(scan.items) for scan in dataset.scans) == 1470
    assert sum(item.crowd for scan in dataset.scans for item in scan.items) == 8


def test_raw_labels_ids_and_views_are_kept(tmp_path):
    source = content()
    source["images"][0]["case"] = source["images"][1]["case"] = "bag 12"
    source["annotations"][1]["id"] = 4711
    dataset = read_coco(write(tmp_path, source))
    assert [scan.case for scan in dataset.scans] == ["bag 12", "bag 12"]
    items = dataset.scans[0].items
    assert [(item.raw_label, item.source_id) for item in items] == [("dog", 1), ("cat", 4711)]
    write_coco(dataset, tmp_path / "annotations" / "instances_again.json")
    again = read_coco(
        tmp_path / "annotations" / "instances_again.json", tmp_path / "images" / "val"
    )
    assert again.scans == dataset.scans
    assert [scan.case for scan in read_coco(write(tmp_path, content())).scans] == ["", ""]


def test_annotations_without_ids_of_their_own_are_numbered(tmp_path):
    dataset = read_coco(write(tmp_path, content()))
    (first, clean) = dataset.scans
    items = tuple(replace(item, source_id=5) for item in first.items)
    path = tmp_path / "annotations" / "instances_val.json"
    write_coco(replace(dataset, scans=(replace(first, items=items), clean)), path)
    assert [one["id"] for one in json.loads(path.read_text())["annotations"]] == [1, 2]


def test_a_disk_that_refuses_leaves_the_old_annotations(tmp_path, monkeypatch):
    dataset = read_coco(write(tmp_path, content()))
    path = tmp_path / "annotations" / "instances_val.json"
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="the disk is full"):
        write_coco(dataset, path)
    assert path.read_bytes() == before
