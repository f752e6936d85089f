"""Detections held against annotations: by hand, through a run folder, and in words."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from samples import inspection
from test_cli import call, real_call, scans, toy, write  # noqa: F401 - fixtures

from xai_detect.data.read import read_dataset
from xai_detect.errors import InputError
from xai_detect.evaluation.outcomes import category_ids, ground_truth, outcome
from xai_detect.inspection.image import inspect
from xai_detect.output.folder.load import load_run
from xai_detect.output.folder.records import record_from_json, record_to_json
from xai_detect.output.report.outcomes import fate_sentence, missed_words
from xai_detect.output.run import save
from xai_detect.values.detections import Detections
from xai_detect.values.files import file_sha256
from xai_detect.values.truth import Fate, Item, Kind, Missed, Outcome, Scan

CELLS = {"a.png": [("red", 1, 1), ("green", 7, 7)], "b.png": [("blue", 3, 3)], "c.png": []}
"""What the annotations say. The toy finds in a: red (1, 1), blue (5, 2); in b: green (3, 3)."""


@pytest.fixture
def annotations(scans):  # noqa: F811
    names = ["red", "green", "blue"]
    images = [
        {"id": number, "file_name": name, "width": 64, "height": 64}
        for number, name in enumerate(CELLS)
    ]
    items = [
        {"image_id": number, "category_id": names.index(colour), "iscrowd": 0, "area": 64,
         "bbox": [8 * column, 8 * row, 8, 8]}
        for number, cells in enumerate(CELLS.values()) for colour, row, column in cells
    ]  # fmt: skip
    content = {
        "images": images,
        "annotations": [{"id": k + 1, **one} for k, one in enumerate(items)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names)],
    }
    path = scans / "truth.json"
    path.write_text(json.dumps(content))
    return path


COUNTED = "1 right, 2 wrong (1 wrong name, 1 nothing there), 2 missed"


def outcome_of(kind, missed=()):
    """An outcome of two detections, the second of which is not judged."""
    fate = Fate(kind, "zebra", 0.8) if kind is Kind.RIGHT else Fate(kind)
    return Outcome((fate, Fate(Kind.IGNORED)), missed)


def compared(known, detector, path):
    return outcome(known, known.scan(path), inspect(detector, path).detections)


def test_right_wrong_and_missed_by_hand(toy, annotations, scans):  # noqa: F811
    known = ground_truth(read_dataset(annotations, images=scans), toy.class_names)
    first = compared(known, toy, scans / "a.png")
    names = [inspect(toy, scans / "a.png").detections.target(row).name for row in range(2)]
    assert dict(zip(names, first.fates, strict=True)) == {
        "red": Fate(Kind.RIGHT, "red", 1.0),
        "blue": Fate(Kind.BACKGROUND),
    }
    assert first.missed == (Missed("green", (56.0, 56.0, 64.0, 64.0)),)
    second = compared(known, toy, scans / "b.png")
    assert second.fates == (Fate(Kind.WRONG_NAME, "blue", 1.0),)
    assert second.missed == (Missed("blue", (24.0, 24.0, 32.0, 32.0), 0),)
    assert compared(known, toy, scans / "c.png") == Outcome((), ())


def test_an_image_without_annotations_has_no_outcome(toy, annotations, scans):  # noqa: F811
    known = ground_truth(read_dataset(annotations, images=scans), toy.class_names)
    assert known.scan(write(scans / "d.png", ("red", 1, 1))) is None


def test_classes_the_data_set_does_not_have_are_not_judged(toy, annotations, scans):  # noqa: F811
    content = json.loads(annotations.read_text())
    content["categories"] = [{"id": 0, "name": "red"}, {"id": 1, "name": "violet"}]
    content["annotations"] = [one for one in content["annotations"] if one["category_id"] < 2]
    annotations.write_text(json.dumps(content))
    known = ground_truth(read_dataset(annotations, images=scans), toy.class_names)
    seen = inspect(toy, scans / "a.png")
    names = [one.name for one in seen.detections]
    found = outcome(known, known.scan(scans / "a.png"), seen.detections)
    assert dict(zip(names, found.right, strict=True)) == {"red": True, "blue": None}
    assert found.missed == ()  # the violet square is nothing the detector could find


def test_an_outcome_survives_the_run_folder(tmp_path):
    known = Outcome(
        (Fate(Kind.RIGHT, "zebra", 0.8), Fate(Kind.WRONG_NAME, "cow", 0.7)),
        (Missed("cow", (1.0, 2.0, 3.5, 4.0), 1),),
    )
    save([replace(inspection(), outcome=known), inspection("other.png")], tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert [one.outcome for one in run.inspections] == [None, known]
    html = (tmp_path / "run" / "report.html").read_text()
    assert "1 right, 1 wrong (1 wrong name), 1 missed" in html
    assert "Wrong name: annotated as cow." in html
    assert "</span> cow (detection 2 calls it &lt;b&gt;giraffe&lt;/b&gt;)</p>" in html
    assert "detection 2 of 2" in html
    table = pq.read_table(tmp_path / "run" / "evidence.parquet").to_pydict()
    told = {name: table[name] for name in ("source", "detection", "right", "outcome")}
    assert sorted(zip(*told.values(), strict=True)) == [
        ("other.png", 0, None, None),
        ("other.png", 1, None, None),
        ("zoo/zebra.jpg", 0, True, "right"),
        ("zoo/zebra.jpg", 1, False, "wrong_name"),
    ]


def test_without_annotations_the_report_says_nothing_of_them(tmp_path):
    save([inspection()], tmp_path / "run")
    html = (tmp_path / "run" / "report.html").read_text()
    assert "nnotations" not in html


FINE = {"kind": "background", "annotated": None, "iou": None, "of": None}
AGAIN = {"kind": "duplicate", "annotated": "zebra", "iou": 0.6, "of": 0}


@pytest.mark.parametrize(
    "damage",
    [
        {"detections": [FINE]},
        {"detections": [FINE, True]},
        {"detections": [FINE, FINE | {"kind": "good"}]},
        {"detections": [FINE, FINE | {"annotated": 3}]},
        {"detections": [FINE, FINE | {"iou": 0.5}]},
        {"detections": [FINE, AGAIN]},
        {"detections": [FINE, AGAIN | {"iou": "Infinity"}]},
        {"detections": [FINE, AGAIN | {"of": True}]},
        {"missed": [{"class": "zebra"}]},
        {"missed": [{"class": "zebra", "box": [0, 0, 1, 1], "beside": 0}]},
    ],
)
def test_a_damaged_outcome_is_refused(tmp_path, damage):
    seen = replace(inspection(), outcome=outcome_of(Kind.RIGHT))
    content = record_to_json(seen, "ab")
    record_from_json(content, seen.detections.class_names, tmp_path / "x.json")
    content["outcome"] |= damage
    with pytest.raises(InputError, match="damaged"):
        record_from_json(content, seen.detections.class_names, tmp_path / "x.json")


def test_the_command_says_what_is_right_wrong_and_missed(call, annotations):  # noqa: F811
    code, out, _ = call("inspect", "scans", "--truth", annotations)
    assert code == 0
    assert f"against the annotations: {COUNTED}" in out
    assert "  - missed: green\n" in out
    assert "  - missed: blue (detection 1 calls it green)\n" in out
    assert "Nothing is annotated here." in out
    assert "Wrong name: annotated as blue." in out
    assert "Right:" not in out
    code, out, _ = call("inspect", "scans", "--truth", annotations, "--json")
    content = json.loads(out)
    assert sorted(str(one["right"]) for one in content["detections"]) == ["False", "False", "True"]
    assert [(one["class"], one["beside"]) for one in content["missed"]] == [
        ("green", None),
        ("blue", 0),
    ]
    wrong = next(one["outcome"] for one in content["detections"] if one["class"] == "green")
    assert wrong == {
        "kind": "wrong_name",
        "annotated": "blue",
        "iou": 1.0,
        "of": None,
        "sentence": "Wrong name: annotated as blue.",
    }


def test_corrected_annotations_are_compared_again(toy, call, annotations):  # noqa: F811
    words = ("inspect", "scans", "--truth", annotations)
    assert COUNTED in call(*words)[1]
    content = json.loads(annotations.read_text())
    content["annotations"][0]["category_id"] = 2  # the first square is said to be blue
    content["images"][0]["id"] = content["annotations"][0]["image_id"] = 77
    content["annotations"][1]["image_id"] = 77
    content["categories"] = [{**one, "id": one["id"] + 50} for one in content["categories"]]
    for one in content["annotations"]:
        one["category_id"] += 50
    annotations.write_text(json.dumps(content))
    toy.module.seen.clear()
    code, out, err = call(*words)
    assert code == 0
    assert "0 right, 3 wrong (2 wrong name, 1 nothing there), 3 missed" in out
    assert toy.module.seen == []  # no image was inspected again
    assert "3 of 3 images are done already" in err
    rows = json.loads(Path("run/detections.json").read_text())
    assert [(row["image_id"], row["category_id"]) for row in rows] == [(77, 50), (77, 52), (1, 51)]


@pytest.mark.parametrize("missed", [0, 1, 10, 20])
def test_the_report_shows_what_was_missed_where_it_is(tmp_path, missed):
    """Objects of one name are counted, and each is dashed in the picture."""
    known = outcome_of(Kind.RIGHT, missed=(Missed("zebra", (15.0, 10.0, 30.0, 20.0)),) * missed)
    save([replace(inspection(), outcome=known)], tmp_path / "run")
    html = (tmp_path / "run" / "report.html").read_text()
    assert f"{missed} missed" in html
    where = '<div class="box missed" style="left:25.00%;top:25.00%;width:25.00%;height:25.00%">'
    assert html.count(where) == missed
    assert html.count('<p class="missed">') == (missed > 0)
    assert ("</span> zebra</p>" in html) == (missed == 1)
    assert (f"</span> zebra ({missed})</p>" in html) == (missed > 1)


def test_an_image_where_only_something_was_missed_is_a_card(tmp_path):
    known = Outcome((), (Missed("zebra", (15.0, 10.0, 30.0, 20.0)),))
    save([replace(inspection(rows=0), outcome=known)], tmp_path / "run")
    html = (tmp_path / "run" / "report.html").read_text()
    assert html.count("<article") == html.count('<p class="missed">') == 1
    assert "nothing found" in html


def test_classes_keep_the_data_sets_ids(annotations, scans):  # noqa: F811
    dataset = read_dataset(annotations, images=scans)
    names = ("hat", "BLUE", "red")
    assert category_ids(dataset, names) == (3, 2, 0)
    assert category_ids(replace(dataset, class_ids=("r", "g", "b")), names) == ("hat", "b", "r")


def test_runs_with_and_without_annotations_never_mix(call, annotations):  # noqa: F811
    call("inspect", "scans/a.png", "--truth", annotations)
    code, _, err = call("inspect", "scans")
    assert code == 1
    assert "belongs to another run (options truth" in err


def test_a_data_set_that_was_moved_goes_on(toy, call, annotations, scans):  # noqa: F811
    words = ("inspect", "scans", "--truth", annotations)
    assert call(*words)[0] == 0
    assert call("evaluate", annotations, "--images", "scans", "--out", "kept")[0] == 0
    scans.rename("moved")
    toy.module.seen.clear()
    moved = Path.cwd() / "moved" / annotations.name
    code, out, err = call("inspect", "moved", "--truth", moved)
    assert code == 0
    assert "3 of 3 images are done already" in err
    assert COUNTED in out
    assert toy.module.seen == []
    assert load_run("run").header.options["truth"] == str(moved)
    assert call("evaluate", moved, "--images", "moved", "--out", "kept")[0] == 0
    assert load_run("kept").header.options["images"] == str(moved.parent)


def test_an_evaluation_goes_on_where_it_was(call, annotations, monkeypatch):  # noqa: F811
    from xai_detect.commands import judging

    asked = []
    plain = judging.inspect
    monkeypatch.setattr(
        judging, "inspect", lambda *a, **k: asked.append(k["source"]) or plain(*a, **k)
    )
    words = ("evaluate", annotations, "--images", "scans", "--out", "kept", "--json")
    code, first, _ = call(*words)
    assert code == 0
    assert sorted(asked) == ["a.png", "b.png", "c.png"]
    code, again, _ = call(*words)
    assert code == 0
    assert len(asked) == 3  # nothing was inspected twice
    assert json.loads(again) == json.loads(first)
    assert (load_run("kept").folder / "report.html").is_file()


@pytest.mark.parametrize("copies", [False, True])
def test_images_are_copied_into_the_run_folder_only_if_that_is_asked_for(
    call,  # noqa: F811
    annotations,
    scans,  # noqa: F811
    copies,
):
    asked = ["--copy-images"] if copies else []
    assert call("inspect", "scans", *asked)[0] == 0
    kept = ("evaluate", annotations, "--images", "scans", "--out", "kept", *asked)
    assert call(*kept)[0] == 0
    for folder, named in (("run", str), ("kept", lambda path: path.name)):
        run = load_run(folder)
        assert len(list(Path(folder).glob("images/*.png"))) == 3 * copies
        digests = {one.source: one.file_sha256 for one in run.records}
        files = sorted(scans.glob("*.png"))
        assert digests == {named(file): file_sha256(file) for file in files}


def test_copies_need_a_run_folder(call, annotations):  # noqa: F811
    code, _, err = call("evaluate", annotations, "--images", "scans", "--copy-images")
    assert code == 1
    assert "--copy-images needs --out" in err


def test_classes_are_paired_by_name_whatever_their_order(toy, annotations, scans):  # noqa: F811
    content = json.loads(annotations.read_text())
    names = ["grey", "blue", "green", "red"]  # one class more than the detector has, turned round
    for row in content["annotations"]:
        row["category_id"] = names.index(("red", "green", "blue")[row["category_id"]])
    content["categories"] = [{"id": number, "name": name} for number, name in enumerate(names)]
    annotations.write_text(json.dumps(content))
    known = ground_truth(read_dataset(annotations, images=scans), toy.class_names)
    assert known.labels == {0: 3, 1: 2, 2: 1}
    first = compared(known, toy, scans / "a.png")
    assert sorted(first.right) == [False, True]
    assert [item.name for item in first.missed] == ["green"]


def test_every_class_that_the_data_set_lacks_gets_an_id_of_its_own(annotations, scans):  # noqa: F811
    dataset = read_dataset(annotations, images=scans)
    assert max(dataset.class_ids) == 2
    ids = category_ids(dataset, ("hat", "blue", "coat", "red", "shoe"))
    assert ids == (3, 2, 5, 0, 7)


@pytest.mark.parametrize(
    ("fate", "sentence"),
    [
        (Fate(Kind.RIGHT, "knife", 0.9), "Right: annotated as knife."),
        (Fate(Kind.DUPLICATE, "knife", 0.9, 1), "A second box for the item of detection 2."),
        (Fate(Kind.WRONG_NAME, "scissors", 0.9), "Wrong name: annotated as scissors."),
        (
            Fate(Kind.WRONG_NAME, "scissors", 0.9, 0),
            "Wrong name: annotated as scissors; detection 1 found it.",
        ),
        (
            Fate(Kind.BADLY_PLACED, "knife", 0.377),
            "Badly placed: it overlaps the annotated knife by 38 %.",
        ),
        (
            Fate(Kind.BADLY_PLACED, "knife", 0.377, 2),
            "Badly placed: it overlaps the annotated knife by 38 %; detection 3 found it.",
        ),
        (
            Fate(Kind.BOTH, "scissors", 0.2),
            "Badly placed and of another name: it overlaps the annotated scissors by 20 %.",
        ),
        (Fate(Kind.BACKGROUND), "Nothing is annotated here."),
        (Fate(Kind.IGNORED), "The annotations do not say what is here."),
    ],
)
def test_every_kind_has_a_sentence(fate, sentence):
    assert fate_sentence(fate) == sentence


def seen_at(*rows, names):
    """Detections from ``(box, label)``, best first."""
    boxes = torch.tensor([row[0] for row in rows], dtype=torch.float32)
    scores = torch.linspace(0.9, 0.5, len(rows))
    labels = torch.tensor([row[1] for row in rows])
    return Detections(boxes, scores, labels, torch.arange(len(rows)), boxes, (64, 64), names)


def test_rows_and_names_are_those_of_the_detector_and_of_the_data_set(annotations, scans):  # noqa: F811
    """The first detection is of a class that the data set does not have."""
    names = ("hat", "BLUE", "red")
    known = ground_truth(read_dataset(annotations, images=scans), names)
    box, low = (0.0, 0.0, 10.0, 10.0), (0.0, 40.0, 10.0, 50.0)
    items = (Item(box, 0, 100.0), Item(low, 2, 100.0), Item((30.0, 0.0, 40.0, 10.0), 1, 100.0))
    found = seen_at(
        (box, 0), (box, 2), (box, 2), (box, 1), ((0.0, 40.0, 10.0, 44.0), 1), names=names
    )
    result = outcome(known, Scan("x.png", Path("x.png"), 0, (64, 64), items), found)
    assert [fate.kind for fate in result.fates] == [
        Kind.IGNORED,
        Kind.RIGHT,
        Kind.DUPLICATE,
        Kind.WRONG_NAME,
        Kind.BADLY_PLACED,
    ]
    assert [fate.name for fate in result.fates] == ["", "red", "red", "red", "blue"]
    assert [fate.of for fate in result.fates] == [None, None, 1, 1, None]
    assert [fate.iou for fate in result.fates] == [None, 1.0, 1.0, 1.0, pytest.approx(0.4)]
    # the detector cannot find green, so that is not missed
    assert result.missed == (Missed("blue", low, 4),)
    assert missed_words(result.missed[0], result, found) == "blue (detection 5 is badly placed)"
