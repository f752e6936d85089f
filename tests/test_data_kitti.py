from dataclasses import replace

import pytest
from PIL import Image

from xai_detect.data.kitti import KITTI_NAMES, write_kitti
from xai_detect.data.read import read_dataset
from xai_detect.errors import DiskError, InputError


def row(name, *corners):
    return f"{name} 0.00 0 -1.57 {' '.join(map(str, corners))} 1.5 1.6 3.7 1.0 1.7 20.0 -1.5\n"


def write(folder, labels, count=1):
    for name in ("image_2", "label_2"):
        (folder / "training" / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", (40, 30)).save(folder / "training" / "image_2" / f"{number:06}.png")
        (folder / "training" / "label_2" / f"{number:06}.txt").write_text(labels)
    return folder


def test_boxes_are_read_as_they_stand_and_dont_care_holds_for_every_class(tmp_path):
    labels = row("Car", 1.5, 2, 11.5, 12) + row("DontCare", 20, 5, 30, 15)
    dataset = read_dataset(write(tmp_path, labels))
    car, nothing = dataset.scans[0].items
    assert dataset.class_names == KITTI_NAMES
    assert (car.box, car.label, car.area) == ((1.5, 2, 11.5, 12), 0, 100)
    assert (nothing.label, nothing.crowd) == (None, True)
    assert dataset.scans[0].truth().labels.tolist() == [0, -1]


def test_neighbouring_classes_are_no_mistakes(tmp_path):
    dataset = read_dataset(write(tmp_path, row("Van", 1, 2, 11, 12)))
    van, car = dataset.scans[0].items
    assert (KITTI_NAMES[van.label], van.difficult) == ("Van", False)
    assert (KITTI_NAMES[car.label], car.difficult, car.box) == ("Car", True, van.box)


def test_the_training_folder_itself_will_do(tmp_path):
    folder = write(tmp_path, row("Drone", 1, 2, 11, 12))
    assert read_dataset(folder / "training").class_names == (*KITTI_NAMES, "Drone")


def test_halves_are_fixed_disjoint_and_complete(tmp_path):
    folder = write(tmp_path, "", count=7)
    train, val = (
        [scan.name for scan in read_dataset(folder, split=split).scans]
        for split in ("train", "val")
    )
    assert (len(train), len(val)) == (4, 3)
    assert sorted(train + val) == [scan.name for scan in read_dataset(folder).scans]
    with pytest.raises(InputError, match="no split 'test'"):
        read_dataset(folder, split="test")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("Car 0 0 0 1 2 3 4\n", "expected a type and 14 numbers"),
        (row("Car", 1, 2, "x", 4), "expected a type and 14 numbers"),
        (row("Car", 9, 9, 1, 1), "inverted or has no area"),
        (row("Car", 1, 1, 99, 9), "reaches out"),
    ],
)
def test_bad_rows_are_listed(tmp_path, labels, message):
    dataset = read_dataset(write(tmp_path, labels))
    assert len(dataset.problems) == 1
    assert message in dataset.problems[0]


def test_a_missing_image_is_listed(tmp_path):
    folder = write(tmp_path, row("Car", 1, 2, 11, 12), count=2)
    (folder / "training" / "image_2" / "000001.png").unlink()
    dataset = read_dataset(folder)
    assert len(dataset) == 1
    assert "does not exist" in dataset.problems[0]


def test_written_labels_read_back_equal(tmp_path):
    labels = row("Van", 1.25, 2, 11.5, 12) + row("DontCare", 20, 5, 30, 15)
    dataset = read_dataset(write(tmp_path / "one", labels))
    write_kitti(dataset, tmp_path / "two")
    again = read_dataset(tmp_path / "two")
    assert [scan.items for scan in again.scans] == [scan.items for scan in dataset.scans]


@pytest.mark.parametrize("name", ["nothing", "folder", "notes.txt"])
def test_what_is_no_data_set_is_refused_with_what_was_expected(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match=r"expected a COCO instances_\*.json"):
        read_dataset(tmp_path / name)


def test_labels_are_kept_as_they_are_written(tmp_path):
    folder = write(tmp_path, row("Van", 1, 2, 10, 20) + row("DontCare", 1, 2, 5, 6))
    found = [item.raw_label for item in read_dataset(folder).scans[0].items]
    assert found == ["Van", "Van", "DontCare"]


def test_a_full_disk_is_one_sentence_and_leaves_what_was_written(tmp_path, full_disk):
    dataset = read_dataset(write(tmp_path / "one", row("Car", 1, 2, 11, 12), count=2))
    write_kitti(dataset, tmp_path / "two")
    before = {one: one.read_bytes() for one in (tmp_path / "two").rglob("*") if one.is_file()}
    with full_disk(), pytest.raises(DiskError, match="the disk is full"):
        write_kitti(replace(dataset, scans=dataset.scans[:1]), tmp_path / "two")
    assert before == {one: one.read_bytes() for one in before}
