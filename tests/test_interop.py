"""What goes to other libraries' formats and back is the same, and nonsense is refused."""

import contextlib
import io
import json
import math
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from samples import NAMES, inspection

from xai_detect.errors import InputError, MissingExtraError
from xai_detect.output.exchange import (
    DETECTIONS_FORMAT,
    SCHEMA,
    from_coco_results,
    from_torchvision,
    from_ultralytics,
    to_coco_results,
    to_supervision,
)
from xai_detect.output.run import save
from xai_detect.values.detections import Detections
from xai_detect.values.findings import Evidence, Level


def test_supervision_gets_boxes_verdicts_and_evidence():
    supervision = pytest.importorskip("supervision")
    found = to_supervision(inspection())
    assert isinstance(found, supervision.Detections)
    assert found.xyxy.tolist() == [[2, 5, 16, 30.5], [22, 5, 36, 30.5]]
    assert found.class_id.tolist() == [0, 1]
    assert found.data["class_name"].tolist() == list(NAMES)
    assert found.data["verdict"].tolist() == ["TRUSTED", "TRUSTED"]
    assert found.data["reason"].tolist() == ["object", "object"]
    assert found.data["detected_box"].tolist() == [0.74, 0.74]
    assert np.isnan(found.data["detected_ring"]).all()
    assert len(found[found.data["verdict"] == "UNTRUSTED"]) == 0


def test_supervision_gets_nothing_from_nothing():
    pytest.importorskip("supervision")
    assert len(to_supervision(inspection(rows=0))) == 0
    assert len(to_supervision(inspection(rows=0).detections)) == 0


def test_what_supervision_gets_is_a_copy():
    pytest.importorskip("supervision")
    one = inspection()
    to_supervision(one.detections).xyxy[:] = 0
    assert one.detections.boxes[0, 2] == 16


def test_without_supervision_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'xai-detect\[supervision\]'"):
        to_supervision(inspection())


def results(boxes, scores, labels, names=None, shape=(40, 60)):
    return SimpleNamespace(
        boxes=SimpleNamespace(xyxy=boxes, conf=scores, cls=labels),
        names={0: "cat", 2: "dog"} if names is None else names,
        orig_shape=shape,
    )


@pytest.mark.parametrize("kind", [torch.tensor, np.array])
def test_ultralytics_results_come_in_sorted_and_cut_to_the_image(kind):
    found = from_ultralytics(
        results(
            kind([[1.0, 2.0, 3.0, 4.0], [-5.0, 0.0, 70.0, 40.0]]),
            kind([0.3, 0.8]),
            kind([0.0, 2.0]),
        )
    )
    assert found.boxes.tolist() == [[0, 0, 60, 40], [1, 2, 3, 4]]
    assert [one.name for one in found] == ["dog", "cat"]
    assert found.candidates.tolist() == [-1, -1]
    assert found.class_names == ("cat", "class 1", "dog")
    assert found.image_size == (40, 60)


def test_ultralytics_results_without_boxes_are_refused_or_empty():
    none = results(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0), names=["cat"])
    assert len(from_ultralytics(none)) == 0
    with pytest.raises(InputError, match="holds no detections"):
        from_ultralytics(SimpleNamespace(boxes=None, names={}, orig_shape=(1, 1)))


def test_ultralytics_scores_that_are_no_scores_are_refused():
    with pytest.raises(InputError, match="not finite"):
        from_ultralytics(results(torch.zeros(1, 4), torch.tensor([math.nan]), torch.zeros(1)))


def test_torchvision_labels_count_from_one():
    result = {
        "boxes": torch.tensor([[1.0, 2.0, 3.0, 4.0]]),
        "scores": torch.tensor([0.5]),
        "labels": torch.tensor([1]),
    }
    found = from_torchvision(result, ["cat", "dog"], (9, 9))
    assert next(iter(found)).name == "cat"
    with pytest.raises(InputError, match="start at 1"):
        from_torchvision({**result, "labels": torch.tensor([0])}, ["cat"], (9, 9))
    with pytest.raises(InputError, match="labels must lie"):
        from_torchvision({**result, "labels": torch.tensor([3])}, ["cat", "dog"], (9, 9))
    with pytest.raises(InputError, match="lacks boxes, scores"):
        from_torchvision({"labels": torch.zeros(0)}, ["cat"], (9, 9))
    with pytest.raises(InputError, match="1 boxes, 2 scores"):
        from_torchvision({**result, "scores": torch.ones(2)}, ["cat"], (9, 9))


def test_coco_rows_by_hand():
    rows = to_coco_results(inspection(), 42)
    assert rows[0]["bbox"] == [2, 5, 14, 25.5]
    assert [row["category_id"] for row in rows] == [1, 2]
    assert rows[1]["shares"]["detected"]["ring"] is None
    assert rows[1]["shares"]["class"]["outside"] == 0.25
    assert (rows[1]["verdict"]["level"], rows[1]["probability"]) == ("TRUSTED", 0.87)
    said = {name: rows[1][name] for name in ("reason", "presence", "name", "swap")}
    assert said == {"reason": "object", "presence": "object"} | dict.fromkeys(
        ("name", "swap"), "unmeasured"
    )
    assert (rows[1]["evidence_outside"], rows[1]["asked"]) == (True, None)
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    plain = to_coco_results(inspection().detections, 42, category_ids=[7, 90])
    assert [row["category_id"] for row in plain] == [7, 90]
    assert "verdict" not in plain[0]


def everything():
    """Rows with and without answers, measured, unmeasured and without an end."""
    strange = Evidence({"detected_ratio": math.inf, "probability": math.nan})
    return [
        *to_coco_results(inspection(), 42),
        *to_coco_results(inspection(level=Level.UNTRUSTED, asked=NAMES[1]), "name"),
        *to_coco_results(replace(inspection(rows=1), evidence=(strange,)), 1),
    ]


def test_rows_are_what_their_schema_says(tmp_path):
    jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema: make setup")
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema).validate
    assert schema["$id"].endswith(f"/{DETECTIONS_FORMAT}")
    rows = [{**row, "file_name": "a.jpg"} for row in everything()]
    check(rows)
    save([inspection("a.jpg"), inspection("b.jpg", seed=1)], tmp_path)
    written = json.loads((tmp_path / "detections.json").read_text())
    assert len(written) == 4
    check(written)
    for key in rows[0]:
        with pytest.raises(jsonschema.ValidationError, match=f"'{key}' is a required property"):
            check([{name: value for name, value in rows[0].items() if name != key}])
    for wrong in (
        {"reason": "magic"}, {"probability": 1.5}, {"bbox": [0, 0, -1, 2]}, {"bbox": [0, 0, 1]},
        {"evidence_outside": 1}, {"more": 1}, {"shares": {"detected": {}, "class": {}}},
        {"verdict": {**rows[0]["verdict"], "level": "SURE"}}, {"image_id": 0.5},
    ):  # fmt: skip
        with pytest.raises(jsonschema.ValidationError):
            check([{**rows[0], **wrong}])


def test_rows_are_loaded_by_pycocotools(tmp_path):
    save([inspection("a.jpg"), inspection("b.jpg", seed=1)], tmp_path)
    content = {
        "images": [{"id": number, "width": 60, "height": 40} for number in (1, 2)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(NAMES, start=1)],
        "annotations": [],
        "info": {},
    }
    (tmp_path / "truth.json").write_text(json.dumps(content))
    with contextlib.redirect_stdout(io.StringIO()):
        found = COCO(tmp_path / "truth.json").loadRes(str(tmp_path / "detections.json"))
    assert [row["verdict"]["level"] for row in found.anns.values()] == ["TRUSTED"] * 4
    assert {row["area"] for row in found.anns.values()} == {14 * 25.5}


def test_coco_rows_survive_the_round_trip(tmp_path):
    one = inspection().detections
    path = tmp_path / "results.json"
    path.write_text(json.dumps(to_coco_results(one, "a")))
    read = from_coco_results(path, NAMES, {"a": (40, 60), "b": (3, 4)})
    torch.testing.assert_close(read["a"].boxes, one.boxes)
    assert torch.equal(read["a"].scores, one.scores)
    assert torch.equal(read["a"].labels, one.labels)
    assert len(read["b"]) == 0
    assert read["b"].image_size == (3, 4)


def test_coco_classes_get_cocos_own_ids(shared):
    content = json.loads((shared / "data/coco/annotations/instances_val2017.json").read_text())
    names = tuple(one["name"] for one in content["categories"])
    boxes = torch.zeros(len(names), 4)
    found = Detections(
        boxes, torch.ones(len(names)), torch.arange(len(names)), torch.arange(len(names)),
        boxes, (9, 9), names,
    )  # fmt: skip
    ids = [row["category_id"] for row in to_coco_results(found, 1)]
    assert ids == [one["id"] for one in content["categories"]]


GOOD = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2], "score": 0.5}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image_id": 9}, "9 is missing or unknown"),
        ({"image_id": None}, "neither a number nor text"),
        ({"category_id": 99}, "99 is missing or unknown"),
        ({"category_id": [1]}, "row 0"),
        ({"bbox": [0, 0, -2, 2]}, "its size is"),
        ({"bbox": [0, 0, 2]}, "row 0"),
        ({"bbox": "0022"}, "row 0"),
        ({"bbox": [0, 0, 10**400, 2]}, "row 0"),
        ({"bbox": [0, 0, None, 2]}, "row 0"),
        ({"score": 1.5}, "outside"),
        ({"score": math.nan}, "not finite"),
        ({"score": None}, "not finite"),
        ({"score": "0.5"}, "row 0"),
    ],
)
def test_nonsense_rows_are_one_sentence(change, said):
    with pytest.raises(InputError, match=said):
        from_coco_results([{**GOOD, **change}], NAMES, {1: (9, 9)})


@pytest.mark.parametrize("text", ["{}", "[3]", "", '[{"score": NaN}]', '"text"'])
def test_nonsense_files_are_one_sentence(tmp_path, text):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(InputError):
        from_coco_results(tmp_path / "results.json", NAMES, {1: (9, 9)})


def test_a_missing_file_and_wrong_ids_are_one_sentence(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        from_coco_results(tmp_path / "none.json", NAMES, {})
    with pytest.raises(InputError, match="one id per class"):
        to_coco_results(inspection(), 1, category_ids=[1])
    with pytest.raises(InputError, match="the same category id"):
        from_coco_results([GOOD], NAMES, {1: (9, 9)}, category_ids=[1, 1])
