from dataclasses import replace

import pytest
from PIL import Image

from xai_detect.data.read import read_dataset
from xai_detect.data.yolo import read_yolo, write_yolo
from xai_detect.errors import DiskError, InputError


def write(folder, config="val: images/val\nnames: [gun, knife]\n", labels=None):
    """Images ``a`` (40 x 20) with the given labels and ``b`` without a label file."""
    (folder / "images" / "val").mkdir(parents=True, exist_ok=True)
    (folder / "labels" / "val").mkdir(parents=True, exist_ok=True)
    for name in "ab":
        Image.new("RGB", (40, 20)).save(folder / "images" / "val" / f"{name}.png")
    (folder / "labels" / "val" / "a.txt").write_text(
        "1 0.5 0.5 0.25 0.5\n" if labels is None else labels
    )
    path = folder / "data.yaml"
    path.write_text(config)
    return path


def items(path):
    return read_dataset(path).scans[0].items


def test_boxes_are_read_in_pixels_and_a_missing_label_file_is_a_clean_image(tmp_path):
    dataset = read_dataset(write(tmp_path))
    a, b = dataset.scans
    assert (a.name, a.size) == ("images/val/a.png", (20, 40))
    assert [(item.box, item.label, item.area) for item in a.items] == [((15, 5, 25, 15), 1, 100)]
    assert b.items == ()
    assert dataset.class_names == ("gun", "knife")


def test_a_polygon_becomes_its_box_with_its_own_area(tmp_path):
    (item,) = items(write(tmp_path, labels="0 0.0 0.0 0.5 0.0 0.0 0.5\n"))
    assert item.box == (0, 0, 20, 10)
    assert item.area == pytest.approx(100)


def test_pose_rows_are_boxes_followed_by_points(tmp_path):
    config = "val: images/val\nnames: [a]\nkpt_shape: [1, 2]\n"
    (item,) = items(write(tmp_path, config, "0 0.5 0.5 0.25 0.5 0.1 0.1\n"))
    assert item.box == (15, 5, 25, 15)


def test_names_may_be_a_mapping_with_gaps(tmp_path):
    config = "val: images/val\nnames: {7: knife, 2: gun}\n"
    dataset = read_dataset(write(tmp_path, config, "7 0.5 0.5 0.25 0.5\n"))
    assert (dataset.class_names, dataset.class_ids) == (("gun", "knife"), (2, 7))
    assert dataset.scans[0].items[0].label == 1


@pytest.mark.parametrize(
    ("config", "where"),
    [
        ("path: set\nval: images/val\nnames: [gun, knife]\n", "set"),
        ("path: elsewhere\nval: images/val\nnames: [gun, knife]\n", "."),
        ("val: ../images/val\nnames: [gun, knife]\n", "."),
        ("val: list.txt\nnames: [gun, knife]\n", "."),
        ("val: [images/val, list.txt]\nnames: [gun, knife]\n", "."),
        ("val: {here}/images/val\nnames: [gun, knife]\n", "."),
    ],
)
def test_every_way_to_say_where_the_images_lie(tmp_path, config, where):
    write(tmp_path / where)
    (tmp_path / "list.txt").write_text("./images/val/a.png\nimages/val/b.png\n\n")
    (tmp_path / "data.yaml").write_text(config.replace("{here}", str(tmp_path)))
    dataset = read_dataset(tmp_path)
    assert [scan.path.name for scan in dataset.scans] == ["a.png", "b.png"]
    assert len(dataset.scans[0].items) == 1


def test_labels_refer_to_the_upright_image(tmp_path):
    path = write(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "images/val/a.png", exif=exif)
    scan = read_dataset(path).scans[0]
    assert scan.size == (40, 20)
    assert scan.items[0].box == (7.5, 10, 12.5, 30)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2 0.5 0.5 0.1 0.1", "class 2 is not among the names"),
        ("0 0.5 0.5 0.1", "at least four numbers"),
        ("0 0.5 nan 0.1 0.1", "at least four numbers"),
        ("gun 0.5 0.5 0.1 0.1", "at least four numbers"),
        ("0 0.5 0.5 0.1 0.1 0.9", "6 columns are neither a box nor a polygon"),
        ("0 0.5 0.5 -0.1 0.1", "inverted or has no area"),
        ("0 3 3 0.1 0.1", "lies outside"),
        ("0 0.5 0.5 1.5 0.5", "reaches out"),
        ("0 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.5 0.5", "1 repeated row"),
    ],
)
def test_bad_rows_are_listed(tmp_path, row, message):
    dataset = read_dataset(write(tmp_path, labels=row))
    assert len(dataset.problems) == 1
    assert message in dataset.problems[0]


def test_values_slightly_above_one_are_cut_without_a_word(tmp_path):
    dataset = read_dataset(write(tmp_path, labels="0 0.5 0.5 1.01 1.01"))
    assert dataset.scans[0].items[0].box == (0, 0, 40, 20)
    assert dataset.problems == ()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("val: images/val\n", "no names"),
        ("names: [a]\n", "names no split 'val'; it has: none"),
        ("val: nowhere\nnames: [a]\n", "which does not exist"),
        ("val: ../../up\nnames: [a]\n", r"names '\.\./\.\./up' for 'val', which does not exist"),
        ("val: /\nnames: [a]\n", "names '/' for 'val', which does not exist"),
        ("path: /nowhere\nval: up\nnames: [a]\n", "names 'up' under path '/nowhere'"),
        ("names: {a: b}\nval: images/val\n", "whole numbers"),
        ("names: [a\n", "not valid YAML"),
        ("- a\n", "holds no mapping"),
        ("names: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_files_that_cannot_be_used_are_refused_in_one_sentence(tmp_path, config, message):
    with pytest.raises(InputError, match=message) as caught:
        read_dataset(write(tmp_path, config))
    assert "\n" not in str(caught.value)


def test_a_split_is_asked_for_by_name(tmp_path):
    path = write(tmp_path, "train: images/val\ntest: images/val\nnames: [a, b]\n")
    assert read_yolo(path).name.endswith("test")
    assert read_yolo(path, "train").name.endswith("train")
    with pytest.raises(InputError, match="it has: test, train"):
        read_yolo(path, "val")
    with pytest.raises(InputError, match="leave --images out"):
        read_dataset(path, images=tmp_path)


def test_a_missing_image_of_a_list_is_listed_as_are_those_that_are_no_images(tmp_path):
    path = write(tmp_path, "val: list.txt\nnames: [a, b]\n")
    (tmp_path / "list.txt").write_text("images/val/a.png\nimages/val/none.png\n../data.yaml\n")
    dataset = read_dataset(path)
    assert len(dataset) == 1
    (said,) = dataset.problems
    assert "none.png" in said
    assert "does not exist; the image is left out" in said


def test_written_labels_read_back_equal(tmp_path):
    dataset = read_dataset(write(tmp_path / "one"))
    write_yolo(dataset, tmp_path / "two")
    again = read_dataset(tmp_path / "two")
    for was, now in zip(dataset.scans, again.scans, strict=True):
        assert was.size == now.size
        for a, b in zip(was.items, now.items, strict=True):
            assert (a.label, a.box) == (b.label, pytest.approx(b.box))
    assert again.class_names == dataset.class_names


def test_labels_are_kept_as_they_are_written(tmp_path):
    (item,) = items(write(tmp_path, labels="1.0 0.5 0.5 0.2 0.2\n"))
    assert (item.label, item.raw_label) == (1, "1.0")


def test_a_full_disk_is_one_sentence_and_leaves_what_was_written(tmp_path, full_disk):
    dataset = read_dataset(write(tmp_path / "one"))
    write_yolo(dataset, tmp_path / "two")
    before = {one: one.read_bytes() for one in (tmp_path / "two").rglob("*") if one.is_file()}
    with full_disk(), pytest.raises(DiskError, match="the disk is full"):
        write_yolo(replace(dataset, scans=dataset.scans[:1]), tmp_path / "two")
    assert before == {one: one.read_bytes() for one in before}
