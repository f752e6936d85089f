"""Data sets as people have them: the right figures, or one sentence that says what is lost.

Every set shows the same three images. A toy detector finds all of their squares, so AP is 1
wherever the truth was read as it was meant.
"""

import json
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED
from PIL import Image
from toy import CELL, ToyDetector, scene
from typer.testing import CliRunner

from benchmarks import coco_differences
from xai_detect.batch.sources import find_sources
from xai_detect.commands.app import app
from xai_detect.commands.options import sides
from xai_detect.data.read import read_dataset, read_truth
from xai_detect.errors import InputError
from xai_detect.evaluation.evaluate import evaluate
from xai_detect.values import images
from xai_detect.values.images import load_image

SIDE = 64
SQUARES = {
    "b0": [("red", 0, 0), ("green", 3, 3)],
    "b1": [("green", 6, 1)],
    "b2": [("red", 2, 5), ("red", 5, 2)],
}
NAMES = ("red", "green")
PNG = ".png"


def corners(row, column):
    return column * CELL, row * CELL, (column + 1) * CELL, (row + 1) * CELL


def draw(folder, suffix=PNG, squares=SQUARES):
    folder.mkdir(parents=True, exist_ok=True)
    for stem, shown in squares.items():
        pixels = (scene(*shown).permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{stem}{suffix}", format="PNG")


def coco_rows():
    images = [
        {"id": number, "file_name": f"{stem}{PNG}", "width": SIDE, "height": SIDE}
        for number, stem in enumerate(SQUARES, start=1)
    ]
    rows = []
    for number, shown in enumerate(SQUARES.values(), start=1):
        for name, row, column in shown:
            x, y, *_ = corners(row, column)
            rows.append({
                "id": len(rows) + 1, "image_id": number, "category_id": 1 + NAMES.index(name),
                "bbox": [x, y, CELL, CELL], "area": CELL**2, "iscrowd": 0,
            })  # fmt: skip
    categories = [{"id": 1, "name": "red"}, {"id": 2, "name": "green"}]
    return {"images": images, "annotations": rows, "categories": categories}


def coco(folder, change=lambda _: None, name="annotations/instances_val.json"):
    draw(folder / "images")
    source = coco_rows()
    change(source)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(source))
    return path


def each(source, **fields):
    """Changes fields of every annotation; a value may be worked out from the row."""
    for row in source["annotations"]:
        for name, value in fields.items():
            row[name] = value(row) if callable(value) else value


def without(source, *names):
    for row in source["annotations"]:
        for name in names:
            del row[name]


def ring(row):
    x, y, width, height = row["bbox"]
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def runs(row):
    x, y, width, height = map(int, row["bbox"])
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[y : y + height, x : x + width] = True
    flat = np.concatenate([[False], mask.ravel(order="F"), [False]])
    turns = np.flatnonzero(flat[1:] != flat[:-1]).tolist()
    counts = np.diff([0, *turns, mask.size] if turns[-1] < mask.size else [0, *turns]).tolist()
    return {"size": [SIDE, SIDE], "counts": counts}


def polygons_only(source):
    each(source, segmentation=ring)
    without(source, "bbox")


def codes_only(source):
    each(source, segmentation=runs)
    without(source, "bbox", "area")


def normalised_polygons(source):
    each(source, segmentation=lambda row: [[v / SIDE * 0.999 for v in ring(row)[0]]])
    without(source, "bbox")


def text_ids(source):
    each(source, image_id=lambda row: str(row["image_id"]))


def padded_ids(source):
    for image in source["images"]:
        image["id"] = f"{image['id']:012d}"


def float_ids(source):
    each(
        source,
        image_id=lambda row: float(row["image_id"]),
        category_id=lambda r: f"{r['category_id']}.0",
    )


def twice_last(source):
    source["categories"].append({"id": 9, "name": "red"})
    source["annotations"][0]["category_id"] = 9


def same_id_twice(source):
    source["categories"].append(source["categories"][0])


def leads_out(source):
    source["images"].append({"id": 8, "file_name": "..\\label\\b9.png"})


def shares(source):
    each(source, bbox=lambda row: [value / SIDE for value in row["bbox"]])


def null_name(source):
    source["categories"].append({"id": 7, "name": None})


def nothing_else(source):
    without(source, "id", "area", "iscrowd")
    for image in source["images"]:
        del image["width"], image["height"]


def falsehoods(source):
    each(source, iscrowd=lambda row: [False, None, 0.0][row["id"] % 3])


COCO = {
    "crowd is the text 0": (lambda s: each(s, iscrowd="0"), ""),
    "crowd is false, null or 0.0": (falsehoods, ""),
    "crowd is a word": (lambda s: each(s, iscrowd="some"), "5 in all.*crowd is neither 0 nor 1"),
    "ignore is the text false": (lambda s: each(s, ignore="false"), ""),
    "polygons without a box": (polygons_only, ""),
    "codes without a box": (codes_only, ""),
    "an empty box beside a polygon": (lambda s: each(s, segmentation=ring, bbox=[]), ""),
    "boxes as text": (lambda s: each(s, bbox=lambda r: [f"{v}.0" for v in r["bbox"]]), ""),
    "image ids as text": (text_ids, ""),
    "image ids with zeros before": (padded_ids, ""),
    "ids as 1.0": (float_ids, ""),
    "a name listed twice": (twice_last, "'red' of instances_val.json is listed again, as 9"),
    "a category listed twice": (same_id_twice, ""),
    "a name that is null": (null_name, "class 7 of instances_val.json has no name"),
    "a name that leads out": (leads_out, r"'\.\.\\\\label\\\\b9\.png' .* leads out of the folder"),
    "boxes in shares": (shares, "boxes in shares of the image, 0 to 1; they were turned into"),
    "polygons in shares": (normalised_polygons, "in shares of the image"),
    "a negative area": (lambda s: each(s, area=-3), "5 in all.*area is no number from 0"),
    "area as text": (lambda s: each(s, area="64"), ""),
    "nothing that is not needed": (nothing_else, ""),
}  # fmt: skip


def ap(path, **options):
    return evaluate(ToyDetector(), read_truth(path, **options), explain=False).as_dict()


def holds(problems, said):
    assert (problems == ()) if not said else re.search(said, "\n".join(problems))


@pytest.mark.parametrize(("change", "said"), COCO.values(), ids=COCO.keys())
def test_coco_whose_values_differ_in_type_means_the_same(tmp_path, change, said):
    path = coco(tmp_path, change)
    assert ap(path)["AP"] == pytest.approx(1)
    holds(read_dataset(path).problems, said)


def test_an_id_that_two_images_could_have_is_not_guessed(tmp_path):
    def ambiguous(source):
        source["images"][0]["id"], source["images"][1]["id"] = "01", "001"

    dataset = read_dataset(coco(tmp_path, ambiguous))
    assert [len(scan.items) for scan in dataset.scans] == [0, 0, 2]
    assert "annotations" not in dataset.losses.warning
    assert "3 of 5 objects do not count" in dataset.losses.warning


@pytest.mark.parametrize("name", ["a.json", "annotations/train.json", "_annotations.coco.json"])
def test_any_name_of_the_only_file_is_found(tmp_path, name):
    coco(tmp_path, name=name)
    assert ap(tmp_path)["AP"] == pytest.approx(1)


def xml(stem, shown, encoding="utf-8", head="", scale=1.0, name=str):
    things = "".join(
        f"<object><name>{name(label)}</name><bndbox><xmin>{x1 * scale + (scale == 1)}</xmin>"
        f"<ymin>{y1 * scale + (scale == 1)}</ymin><xmax>{x2 * scale}</xmax>"
        f"<ymax>{y2 * scale}</ymax></bndbox></object>"
        for label, row, column in shown
        for x1, y1, x2, y2 in [corners(row, column)]
    )
    start = f'<?xml version="1.0" encoding="{encoding}"?>' if encoding else ""
    about = f"<folder>中文</folder><filename>{stem}.png</filename>"
    text = f"{start}<annotation{head}>{about}{things}</annotation>"
    return text.encode(encoding or "gbk")


def voc(folder, notes="Annotations", images="JPEGImages", suffix=PNG, ending=".xml", **options):
    draw(folder / images, suffix)
    (folder / notes).mkdir(parents=True, exist_ok=True)
    for stem, shown in SQUARES.items():
        (folder / notes / f"{stem}{ending}").write_bytes(xml(stem, shown, **options))
    return folder


VOC = {
    "gb2312": {"encoding": "gb2312"},
    "GBK": {"encoding": "GBK"},
    "shift_jis": {"encoding": "shift_jis"},
    "utf-16": {"encoding": "utf-16"},
    "bytes of GBK without a declaration": {"encoding": ""},
    "a name space": {"head": ' xmlns="http://example.org/voc"'},
    "Kaggle": {"notes": "annotations", "images": "images"},
    "SIXray": {"notes": "Annotation", "images": "JPEGImage"},
    "pets": {"notes": "annotations/xmls", "images": "images"},
    "all in one folder": {"notes": ".", "images": "."},
    "upper suffixes": {"suffix": ".PNG", "ending": ".XML"},
    "mixed suffixes": {"suffix": ".Png"},
}  # fmt: skip


@pytest.mark.parametrize("options", VOC.values(), ids=VOC.keys())
def test_voc_in_other_encodings_and_folders(tmp_path, options):
    dataset = read_truth(voc(tmp_path, **options))
    assert dataset.problems == dataset.losses.lines == ()
    assert evaluate(ToyDetector(), dataset, explain=False).as_dict()["AP"] == pytest.approx(1)


def test_voc_in_shares_of_the_image_is_told(tmp_path):
    folder = voc(tmp_path, scale=1 / SIDE)
    assert ap(folder)["AP"] == pytest.approx(1)
    assert "in shares of the image" in read_dataset(folder).problems[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'<?xml version="1.0" encoding="klingon"?><annotation/>', "'klingon', which is unknown"),
        (b'<?xml version="1.0" encoding="shift_jis"?><a>\x81</a>', "text file, nor one in cp932"),
        (b"\x00\x01\x02", "is not a UTF-8 text file"),
        (b'<?xml version="1.0" encoding="hex"?><annotation/>', "which is unknown"),
    ],
)
def test_xml_that_cannot_be_read_is_named(tmp_path, content, said):
    (voc(tmp_path) / "Annotations" / "b1.xml").write_bytes(content)
    (problem,) = read_dataset(tmp_path).problems
    assert said in problem
    assert "b1.xml" in problem


def test_clean_images_of_voc_have_no_xml_and_count(tmp_path):
    voc(tmp_path)
    draw(tmp_path / "JPEGImages", squares={"n1": [("red", 1, 1), ("green", 4, 4)], "n2": []})
    dataset = read_truth(tmp_path)
    assert len(dataset) == 5
    assert dataset.losses.lines == ("2 of 5 images have no XML file and count as clean",)
    found = evaluate(ToyDetector(), dataset, explain=False).as_dict()
    assert found["precision"] == pytest.approx(5 / 7)
    assert (found["n_clean_images"], found["false_alarms_per_clean_image"]) == (2, 1)
    assert found["truth"]["images_without_labels"] == 2
    assert found["problems"][0] == dataset.losses.lines[0]


@pytest.mark.parametrize("line", ["n 1", "n 1  1", "n 1.png", "# a note\nn 1"])
def test_spaces_and_notes_in_lists_of_voc(tmp_path, line):
    voc(tmp_path)
    draw(tmp_path / "JPEGImages", squares={"n 1": []})
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text(f"b0\n{line}\n")
    assert [scan.name for scan in read_dataset(tmp_path).scans] == ["b0.png", "n 1.png"]


def yolo(
    folder, config="val: images/val", labels="labels/val", images="images/val", squares=SQUARES
):
    draw(folder / images, squares=squares)
    (folder / labels).mkdir(parents=True, exist_ok=True)
    for stem, shown in squares.items():
        rows = [
            f"{NAMES.index(name)} {(column + 0.5) * CELL / SIDE} {(row + 0.5) * CELL / SIDE} "
            f"{CELL / SIDE} {CELL / SIDE}\n"
            for name, row, column in shown
        ]
        (folder / labels / f"{stem}.txt").write_text("".join(rows))
    path = folder / "data.yaml"
    path.write_text(f"{config}\nnames: [red, green]\n")
    return path


@pytest.mark.parametrize(
    ("labels", "images"),
    [
        ("annotations/val", "images/val"),
        ("labels", "images/val"),
        ("c/images", "c/images"),
        ("plain", "plain"),
        ("photos/labels", "photos"),
        ("Labels/val", "Images/val"),
    ],
)
def test_labels_elsewhere_than_the_layout_says_are_found(tmp_path, labels, images):
    path = yolo(tmp_path, f"val: {images}", labels, images)
    assert ap(path)["AP"] == pytest.approx(1)


def test_a_folder_above_that_is_called_images_is_no_part_of_the_layout(tmp_path):
    path = yolo(tmp_path / "images" / "set", "val: photos", "photos", "photos")
    assert ap(path)["AP"] == pytest.approx(1)
    assert read_dataset(path).problems == ()


def test_labels_of_half_the_folders_lie_elsewhere(tmp_path):
    half = {stem: SQUARES[stem] for stem in ("b0", "b1")}
    yolo(tmp_path, "", "x/images", "x/images", half)
    path = yolo(tmp_path, "val: [x/images, y]", "y", "y", {"b2": SQUARES["b2"]})
    assert ap(path)["AP"] == pytest.approx(1)


def test_no_label_file_at_all_is_an_error_and_most_is_the_first_line(tmp_path):
    path = yolo(tmp_path, labels="lost")
    with pytest.raises(InputError, match=r"^3 of 3 images have no label file, so there is no"):
        read_truth(path)
    assert len(read_dataset(path)) == 3
    (tmp_path / "labels" / "val").mkdir(parents=True)
    (tmp_path / "lost" / "b0.txt").rename(tmp_path / "labels" / "val" / "b0.txt")
    found = read_truth(path)
    assert found.losses.lines == ("2 of 3 images have no label file and count as clean",)


def test_objects_that_do_not_count_are_counted_by_reason(tmp_path):
    def lost(source):
        each(source, iscrowd=lambda row: int(row["id"] < 3))
        source["annotations"][3]["bbox"] = [500, 500, 5, 5]
        source["annotations"][4]["bbox"] = [5, 5, -5, 5]

    dataset = read_truth(coco(tmp_path, lost))
    assert dataset.losses.warning == (
        "4 of 5 objects do not count (1 the box lies outside the image, "
        "1 the box is inverted or has no area, 2 crowd)"
    )
    assert evaluate(ToyDetector(), dataset, explain=False).problems[0] == dataset.losses.warning
    with pytest.raises(InputError, match=r"^5 of 5 objects do not count \(5 crowd\)"):
        read_truth(coco(tmp_path, lambda source: each(source, iscrowd=1)))
    with pytest.raises(InputError, match=r"^5 of 5 objects do not count \(5 difficult\)"):
        read_truth(coco(tmp_path, lambda source: each(source, ignore=True)))


def test_a_thousand_equal_problems_are_one_line(tmp_path):
    def many(source):
        source["annotations"] += [
            {"id": 100 + n, "image_id": 1, "category_id": 1, "bbox": [n + 200, 0, 5, 5]}
            for n in range(1000)
        ]

    dataset = read_truth(coco(tmp_path, many))
    (line,) = dataset.problems
    assert line == (
        "annotation 100, annotation 101, annotation 102 and 997 more (1,000 in all): the box lies "
        "outside the image; left out"
    )
    assert dict(dataset.losses.boxes_left_out) == {"the box lies outside the image": 1000}


@pytest.mark.parametrize("kind", ["coco", "yolo", "voc"])
def test_clean_images_alone_give_false_alarms_per_image(tmp_path, kind):
    if kind == "coco":
        path = coco(tmp_path, lambda source: source.update(annotations=[]))
    elif kind == "yolo":
        path = yolo(tmp_path)
        for label in (tmp_path / "labels" / "val").iterdir():
            label.write_text("")
    else:
        path = voc(tmp_path)
        for stem in SQUARES:
            (path / "Annotations" / f"{stem}.xml").write_bytes(xml(stem, []))
    found = ap(path)
    assert (found["n_images"], found["n_clean_images"]) == (3, 3)
    assert found["false_alarms_per_clean_image"] == pytest.approx(5 / 3)


def absolute(folder):
    return {
        "beside the folder of the file": "val: ../elsewhere/images/val",
        "path leads there": "path: ../elsewhere\nval: images/val",
        "through the folder above": f"val: ../../{folder.name}/elsewhere/images/val",
        "absolute": f"val: {folder}/elsewhere/images/val",
        "absolute path": f"path: {folder}/elsewhere\nval: images/val",
        "both": f"path: {folder}/elsewhere\nval: {folder}/elsewhere/images/val",
        "from the other end": "val: '..\\elsewhere\\images\\val'",
        "called validation": "validation: ../elsewhere/images/val",
        "a list": "val: ../elsewhere/list.txt",
    }


@pytest.mark.parametrize("which", absolute(Path("x")))
def test_images_beside_the_folder_of_the_yaml(tmp_path, which):
    yolo(tmp_path / "elsewhere")
    listed = tmp_path / "elsewhere" / "list.txt"
    listed.write_text("# all\n./images/val/b0.png\n./images/val/b1.PNG\n./images/val/b2.png\n")
    (tmp_path / "set").mkdir()
    path = tmp_path / "set" / "d.yaml"
    path.write_text(f"{absolute(tmp_path)[which]}\nnames: [red, green]\n")
    found = ap(path)
    assert (found["AP"], found["n_images"]) == (pytest.approx(1), 3)
    assert ap(tmp_path / "set")["AP"] == pytest.approx(1)


@pytest.mark.parametrize(
    "config",
    ["val: /somewhere/else/val", "path: /somewhere/else\nval: sub/val", "val: C:\\somewhere\\val"],
)
def test_a_path_that_leads_nowhere_is_shown_as_it_is_written(tmp_path, config):
    path = yolo(tmp_path, config)
    with pytest.raises(InputError, match="does not exist") as caught:
        read_dataset(path)
    for line in config.splitlines():
        assert repr(line.partition(": ")[2]) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_with_two_yaml_files(tmp_path):
    yolo(tmp_path)
    (tmp_path / "data.yaml").rename(tmp_path / "set.yaml")
    (tmp_path / "hyp.yaml").write_text("lr0: 0.01\n")
    assert ap(tmp_path)["AP"] == pytest.approx(1)
    (tmp_path / "other.yaml").write_text((tmp_path / "set.yaml").read_text())
    with pytest.raises(InputError, match=r"2 files that describe .* \(other\.yaml, set\.yaml\)"):
        read_dataset(tmp_path)


def test_a_stray_yaml_does_not_make_a_voc_folder_a_yolo_one(tmp_path):
    voc(tmp_path)
    (tmp_path / "settings.yaml").write_text("lr0: 0.01\n")
    assert ap(tmp_path)["AP"] == pytest.approx(1)


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_letters_that_are_composed_otherwise(tmp_path, on_disk):
    stem = unicodedata.normalize(on_disk, "gepäck 한글")
    other = unicodedata.normalize("NFD" if on_disk == "NFC" else "NFC", stem)

    def named(source):
        source["images"][1]["file_name"] = f"{other}.PNG"

    path = coco(tmp_path, named)
    (tmp_path / "images" / "b1.png").rename(tmp_path / "images" / f"{stem}.png")
    assert ap(path)["AP"] == pytest.approx(1)
    yolo(tmp_path / "yolo")
    (tmp_path / "yolo" / "images" / "val" / "b1.png").rename(
        tmp_path / "yolo" / "images" / "val" / f"{stem}.png"
    )
    labels = tmp_path / "yolo" / "labels" / "val"
    (labels / "b1.txt").rename(labels / f"{other}.txt")
    assert ap(tmp_path / "yolo")["AP"] == pytest.approx(1)


@pytest.mark.parametrize("names", ["[Red, GREEN]", "[re-d, g_reen]", "{'0': red, '1': green}"])
def test_names_of_yaml_that_are_written_otherwise(tmp_path, names):
    path = yolo(tmp_path)
    path.write_text(f"val: images/val\nnames: {names}\n")
    assert ap(path)["AP"] == pytest.approx(1)


def test_names_of_yaml_are_text_as_they_are_written(tmp_path):
    path = yolo(tmp_path)
    path.write_text("val: images/val\nnames: [no, 010, true, 1.50, '', red, red]\n")
    dataset = read_dataset(path)
    assert dataset.class_names == ("no", "010", "true", "1.50", "class 4", "red")
    assert len(dataset.problems) == 2


CASES = {
    "C02_iscrowd_text_0": "", "C03_polygon_no_bbox": "", "C05_image_ids_text_vs_number": "",
    "C08b_same_name_twice_last": "listed again", "C22_one_name_leads_out": "leads out of",
    "C47_normalised_bbox": "in shares of the image", "V07_lowercase_kaggle": "", "V10_gb2312": "",
    "Y10_labels_folder_elsewhere": "labels were read from",
    "Y33_labels_beside_in_images_folder": "labels were read from",
    "Y33b_half": "labels were read from", "Y30_yaml/d.yaml": "", "Y30_yaml/e.yaml": "",
    "Y30_yaml/f.yaml": "",
}  # fmt: skip
"""Those with photographs, and what is said of them; AP is 1."""


def run(*given):
    return CliRunner().invoke(app, [str(one) for one in given])


@pytest.fixture
def cases():
    if not (SHARED / "cases").is_dir():
        pytest.skip("needs the data sets in ../shared, which do not ship")
    return SHARED / "cases"


@pytest.mark.weights
@pytest.mark.parametrize(("case", "said"), CASES.items(), ids=CASES.keys())
def test_the_collected_cases_give_their_right_answer(cases, shared, case, said):
    model = shared / "weights" / "yolo11n.pt"
    options = ("--model", model, "--imgsz", "320", "--no-explain", "--json")
    result = run("evaluate", cases / case, *options)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["AP"] == pytest.approx(1)
    assert said in result.stderr


@pytest.mark.weights
@pytest.mark.parametrize(("case", "figures"), [
    ("E2b_voc_negatives_no_list", {"precision": 1 / 3, "AP": 0.3167}),
    ("J1_simulated_ids", {"AP": 0.8}),
])  # fmt: skip
def test_the_collected_scans_give_their_right_answer(cases, case, figures):
    result = run("evaluate", cases / case, "--imgsz", "320", "--no-explain", "--json")
    found = json.loads(result.stdout)
    assert {name: found[name] for name in figures} == pytest.approx(figures, abs=1e-3)


@pytest.mark.weights
@pytest.mark.parametrize("name", ["data", "b", "c"])
def test_the_collected_paths_that_lead_nowhere_are_shown(cases, name):
    with pytest.raises(InputError, match="/somewhere/else/Y30_data_elsewhere") as caught:
        read_dataset(cases / "Y30_yaml" / f"{name}.yaml")
    assert "does not exist" in str(caught.value)


@pytest.mark.weights
def test_twelve_bits_in_a_file_of_sixteen_are_told_with_the_option(cases, caplog, monkeypatch):
    monkeypatch.setattr(images, "_told", set())
    assert float(load_image(cases / "gray12in16.png").max()) > 0.3
    assert "looks like 12 bits" in caplog.text
    assert "--depth 12" in caplog.text


def test_the_depth_is_an_option_of_every_command_that_reads_images(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.full((8, 8), 4000, dtype=np.uint16)).save(path)
    try:
        result = run("explain", path, "--depth", "10", "--model", "nothing")
        assert "expected at most 10 bits" in str(result.exception)
        result = run("explain", path, "--depth", "12", "--model", "nothing")
        assert "no file or detector" in str(result.exception)
    finally:
        images.read_at(None)


def folder_of(tmp_path, name="set"):
    folder = tmp_path / name
    draw(folder)
    return folder


def test_pictures_of_other_kinds_are_counted_and_named(tmp_path, caplog):
    folder = folder_of(tmp_path)
    for name in ("a.HEIC", "b.gif", "c.dcm", "d.avif", "notes.txt", "labels.json"):
        (folder / name).write_bytes(b"x")
    (folder / "IM0001").write_bytes(b"\0" * 128 + b"DICM")
    (folder / "LICENSE").write_text("free")
    assert [path.name for path in find_sources([str(folder)])] == ["b0.png", "b1.png", "b2.png"]
    (said,) = caplog.messages
    assert "holds 5 pictures of kinds that are not read" in said
    assert "IM0001, a.HEIC, b.gif and 2 more" in said
    for stem in SQUARES:
        (folder / f"{stem}.png").unlink()
    with pytest.raises(InputError, match=r"holds no images .*; .* 5 pictures of kinds"):
        find_sources([str(folder)])


@pytest.mark.parametrize("pattern", ["*.png", "b[01].png"])
def test_brackets_in_the_name_of_a_folder_mean_themselves(tmp_path, pattern):
    folder = folder_of(tmp_path, "scans [2024]")
    found = find_sources([str(folder / pattern)])
    assert len(found) == (3 if pattern == "*.png" else 2)
    (folder / "b0.png").rename(folder / "b[0].png")
    assert find_sources([str(folder / "b[0].png")])[0].name == "b[0].png"


def test_names_that_begin_with_the_mark_of_a_comment(tmp_path):
    folder = folder_of(tmp_path)
    (folder / "b0.png").rename(folder / "#1.png")
    listed = folder / "list.txt"
    listed.write_text("# all of them\n#1.png\nb1.PNG\n  b2.png  \n")
    names = [path.name for path in find_sources([str(listed)])]
    assert names == ["#1.png", "b1.png", "b2.png"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, None), ("640", 640), ("480x640", (480, 640)), ("480,640", (480, 640)), (320, 320)],
)
def test_the_size_of_the_input_is_one_side_or_two(given, expected):
    assert sides(given) == expected


@pytest.mark.parametrize("given", ["0", "a", "1x2x3", "-5", "480x0", ""])
def test_a_size_that_is_none_is_refused(given):
    with pytest.raises(InputError, match="expected one side, such as 640, or 480x640"):
        sides(given)


@pytest.mark.parametrize("kind", coco_differences.KINDS)
def test_where_figures_differ_from_pycocotools_is_written_down(kind):
    kept = json.loads((coco_differences.RESULTS / "coco_differences.json").read_text())[kind]
    ours, theirs = coco_differences.measured(coco_differences.KINDS[kind][0])
    assert (ours, theirs) == pytest.approx((kept["ours"], kept["theirs"]), abs=1e-4)
    assert (ours == pytest.approx(theirs, abs=1e-6)) == (kind == "none")


@pytest.mark.parametrize("command", ["evaluate", "inspect"])
def test_lost_truth_is_told_before_anything_else(tmp_path, command):
    path = yolo(tmp_path, labels="lost")
    given = ("evaluate", path) if command == "evaluate" else ("inspect", tmp_path / "images/val")
    further = ("--truth", path, "--out", tmp_path / "run") if command == "inspect" else ()
    result = run(*given, *further)
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith("3 of 3 images have no label file")
    kept = tmp_path / "labels" / "val"
    kept.mkdir(parents=True)
    (tmp_path / "lost" / "b0.txt").rename(kept / "b0.txt")
    told = run(*given, *further).stderr.splitlines()
    assert told[0] == "note: 2 of 3 images have no label file and count as clean"
