"""Detections held against annotations: by hand, through a run folder, and in words."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from samples import inspection
from test_cli import call, real_call, scans, toy, write  # noqa: F401 - fixtures

from xai_detect.data.read import read_dataset
from xai_detect.errors import InputError
from xai_detect.evaluation.outcomes import category_ids, ground_truth, outcome
from xai_detect.inspection.image import inspect
from xai_detect.output.folder.load import load_run
from xai_detect.output.folder.records import record_from_json, record_to_json
from xai_detect.output.run import save
from xai_detect.values.truth import Outcome

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


def compared(known, detector, path):
    return outcome(known, known.scan(path), inspect(detector, path).detections)


def test_right_wrong_and_missed_by_hand(toy, annotations, scans):  # noqa: F811
    known = ground_truth(read_dataset(annotations, images=scans), toy.class_names)
    first = compared(known, toy, scans / "a.png")
    names = [inspect(toy, scans / "a.png").detections.target(row).name for row in range(2)]
    assert dict(zip(names, first.right, strict=True)) == {"red": True, "blue": False}
    assert first.missed == (("green", (56.0, 56.0, 64.0, 64.0)),)
    second = compared(known, toy, scans / "b.png")
    assert (second.right, second.missed) == ((False,), (("blue", (24.0, 24.0, 32.0, 32.0)),))
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
    known = Outcome((True, False), (("zebra", (1.0, 2.0, 3.5, 4.0)),))
    save([replace(inspection(), outcome=known), inspection("other.png")], tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert [one.outcome for one in run.inspections] == [None, known]
    html = (tmp_path / "run" / "report.html").read_text()
    assert "1 right, 1 wrong, 1 missed" in html
    assert "The annotations have no &lt;b&gt;giraffe&lt;/b&gt; here." in html
    assert 'id="missed"' in html


def test_without_annotations_the_report_says_nothing_of_them(tmp_path):
    save([inspection()], tmp_path / "run")
    html = (tmp_path / "run" / "report.html").read_text()
    assert "nnotations" not in html


@pytest.mark.parametrize(
    "damage", [{"right": [True]}, {"right": [True, "yes"]}, {"missed": [{"class": "zebra"}]}]
)
def test_a_damaged_outcome_is_refused(tmp_path, damage):
    seen = replace(inspection(), outcome=Outcome((True, None), ()))
    content = record_to_json(seen, "ab")
    record_from_json(content, seen.detections.class_names, tmp_path / "x.json")
    content["outcome"] |= damage
    with pytest.raises(InputError, match="damaged"):
        record_from_json(content, seen.detections.class_names, tmp_path / "x.json")


def test_the_command_says_what_is_right_wrong_and_missed(call, annotations):  # noqa: F811
    code, out, _ = call("inspect", "scans", "--truth", annotations)
    assert code == 0
    assert "against the annotations: 1 right, 2 wrong, 2 missed" in out
    assert "  - missed: green" in out
    assert "The annotations have no blue here." in out
    code, out, _ = call("inspect", "scans", "--truth", annotations, "--json")
    content = json.loads(out)
    assert sorted(str(one["right"]) for one in content["detections"]) == ["False", "False", "True"]
    assert [one["class"] for one in content["missed"]] == ["green", "blue"]


def test_corrected_annotations_are_compared_again(toy, call, annotations):  # noqa: F811
    words = ("inspect", "scans", "--truth", annotations)
    assert "1 right, 2 wrong, 2 missed" in call(*words)[1]
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
    assert "0 right, 3 wrong, 3 missed" in out
    assert toy.module.seen == []  # no image was inspected again
    assert "3 of 3 images are done already" in err
    rows = json.loads(Path("run/detections.json").read_text())
    assert [(row["image_id"], row["category_id"]) for row in rows] == [(77, 50), (77, 52), (1, 51)]


@pytest.mark.parametrize("missed", [0, 1, 10, 20])
def test_the_report_leads_to_what_was_missed(tmp_path, missed):
    known = Outcome((True, None), (("zebra", (1.0, 2.0, 3.5, 4.0)),) * missed)
    save([replace(inspection(), outcome=known)], tmp_path / "run")
    html = (tmp_path / "run" / "report.html").read_text()
    assert f"{missed} missed" in html
    assert ('href="#missed"' in html) == ('id="missed"' in html) == (missed > 0)


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
    assert "1 right, 2 wrong, 2 missed" in out
    assert toy.module.seen == []
    assert load_run("run").header.options["truth"] == str(moved)
    assert call("evaluate", moved, "--images", "moved", "--out", "kept")[0] == 0
    assert load_run("kept").header.options["images"] == str(moved.parent)


def test_an_evaluation_goes_on_where_it_was(call, annotations, monkeypatch):  # noqa: F811
    from xai_detect.commands import prepare

    asked = []
    plain = prepare.inspect
    monkeypatch.setattr(
        prepare, "inspect", lambda *a, **k: asked.append(k["source"]) or plain(*a, **k)
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
    assert [name for name, _ in first.missed] == ["green"]


def test_every_class_that_the_data_set_lacks_gets_an_id_of_its_own(annotations, scans):  # noqa: F811
    dataset = read_dataset(annotations, images=scans)
    assert max(dataset.class_ids) == 2
    ids = category_ids(dataset, ("hat", "blue", "coat", "red", "shoe"))
    assert ids == (3, 2, 5, 0, 7)
