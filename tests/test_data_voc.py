from dataclasses import replace

import pytest
from PIL import Image

from xai_detect.data.read import read_dataset
from xai_detect.data.voc import VOC_NAMES, read_voc
from xai_detect.data.voc_write import write_voc
from xai_detect.errors import DiskError, InputError

OBJECT = (
    "<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{0}</xmin>"
    "<ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"
)


def thing(*corners, name="knife", difficult=0):
    return OBJECT.format(*corners, name=name, difficult=difficult)


def write(folder, body="", head=""):
    """Image ``a`` (40 x 30) with the given objects; clean image ``b``; only ``a`` in val."""
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, objects in (("a", body), ("b", "")):
        Image.new("RGB", (40, 30)).save(folder / "JPEGImages" / f"{name}.jpg")
        (folder / "Annotations" / f"{name}.xml").write_text(
            f"{head}<annotation><filename>lie.jpg</filename><size><width>999</width>"
            f"<height>1</height></size>{objects}</annotation>"
        )
    (folder / "ImageSets" / "Main" / "val.txt").write_text("a  1\n")
    (folder / "ImageSets" / "Main" / "trainval.txt").write_text("a\nb\n")
    return folder


def test_corners_are_one_based_and_inclusive(tmp_path):
    body = thing(1, 1, 40, 30, name=" knife ") + thing(3.5, 4, 10, 12, name="gun", difficult=1)
    dataset = read_dataset(write(tmp_path, body))
    (scan,) = dataset.scans
    knife, gun = scan.items
    assert dataset.class_names == ("gun", "knife")
    assert (knife.box, knife.label, knife.difficult) == ((0, 0, 40, 30), 1, False)
    assert (gun.box, gun.label, gun.difficult) == ((2.5, 3, 10, 12), 0, True)
    assert (scan.name, scan.image_id, scan.size) == ("a.jpg", "a", (30, 40))
    assert gun.area == pytest.approx(7.5 * 9)


def test_zero_based_tools_can_be_named(tmp_path):
    folder = write(tmp_path, thing(0, 0, 39, 29))
    assert read_voc(folder, first=0).scans[0].items[0].box == (0, 0, 40, 30)


def test_the_challenge_classes_are_kept_whole(tmp_path):
    dataset = read_dataset(write(tmp_path, thing(1, 1, 9, 9, name="dog")))
    assert dataset.class_names == VOC_NAMES


def test_splits_and_their_absence(tmp_path):
    folder = write(tmp_path, thing(1, 1, 9, 9))
    assert len(read_dataset(folder)) == 1
    assert len(read_dataset(folder, split="trainval")) == 2
    with pytest.raises(InputError, match="it has: trainval, val"):
        read_dataset(folder, split="test")
    for path in (folder / "ImageSets" / "Main").iterdir():
        path.unlink()
    assert [scan.items == () for scan in read_dataset(folder).scans] == [False, True]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (thing(9, 9, 3, 3), "inverted or has no area"),
        (thing(90, 90, 99, 99), "lies outside"),
        (thing("x", 1, 3, 3), "lacks a name or a corner"),
        (thing(1, 1, 3, 3, name=" "), "lacks a name or a corner"),
    ],
)
def test_bad_objects_are_listed(tmp_path, body, message):
    dataset = read_dataset(write(tmp_path, body))
    assert len(dataset.problems) == 1
    assert message in dataset.problems[0]
    assert dataset.scans[0].items == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_whatever_the_encoding(tmp_path, encoding):
    folder = write(tmp_path, thing(1, 1, 9, 9))
    xml = (
        f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [<!ENTITY x SYSTEM '
        '"file:///etc/passwd">]><annotation><object><name>&x;</name></object></annotation>'
    )
    (folder / "Annotations" / "a.xml").write_bytes(xml.encode(encoding))
    with pytest.raises(InputError, match="declares a document type"):
        read_dataset(folder)


def test_a_broken_xml_file_is_listed_and_the_others_are_read(tmp_path):
    folder = write(tmp_path)
    (folder / "Annotations" / "a.xml").write_text("<annotation>")
    dataset = read_dataset(folder, split="trainval")
    assert [scan.name for scan in dataset.scans] == ["b.jpg"]
    assert "not valid XML" in dataset.problems[0]


def test_a_missing_image_is_listed(tmp_path):
    folder = write(tmp_path, thing(1, 1, 9, 9))
    (folder / "JPEGImages" / "b.jpg").unlink()
    assert "b.jpg does not exist" in read_dataset(folder, split="trainval").problems[0]


def test_lists_that_lead_out_are_refused(tmp_path):
    folder = write(tmp_path)
    (folder / "ImageSets" / "Main" / "val.txt").write_text("../../secret\n")
    with pytest.raises(InputError, match="leads out of its folder"):
        read_dataset(folder)


def test_written_annotations_read_back_equal(tmp_path):
    body = thing(3.25, 4, 10, 12) + thing(1, 1, 40, 30, name="gun", difficult=1)
    dataset = read_dataset(write(tmp_path / "one", body))
    write_voc(dataset, tmp_path / "two")
    again = read_dataset(tmp_path / "two")
    assert [scan.items for scan in again.scans] == [scan.items for scan in dataset.scans]
    assert again.class_names == dataset.class_names


def test_labels_are_kept_as_they_are_written(tmp_path):
    dataset = read_voc(write(tmp_path, thing(1, 2, 10, 20, name=" utility  knife ")))
    (item,) = dataset.scans[0].items
    assert dataset.class_names[item.label] == "utility knife"
    assert (item.raw_label, item.source_id) == (" utility  knife ", None)


def test_a_full_disk_is_one_sentence_and_leaves_what_was_written(tmp_path, full_disk):
    dataset = read_dataset(write(tmp_path / "one"))
    write_voc(dataset, tmp_path / "two")
    before = {one: one.read_bytes() for one in (tmp_path / "two").rglob("*") if one.is_file()}
    with full_disk(), pytest.raises(DiskError, match="the disk is full"):
        write_voc(replace(dataset, scans=dataset.scans[:1]), tmp_path / "two")
    assert before == {one: one.read_bytes() for one in before}
