"""Detections go out under the data set's own ids: pycocotools scores them as the evaluator does."""

import contextlib
import io
import json
import sys
from pathlib import Path

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from xai_detect.commands import app as cli
from xai_detect.xray.scenes.simulate import simulate

SIDE = 320


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """Scans whose image and category ids are nobody's count, the categories in another order."""
    folder = tmp_path_factory.mktemp("scans")
    path = folder / "annotations" / "instances_val.json"
    simulate(folder, 5, 11, SIDE, image_format="png")
    content = json.loads(path.read_text())
    content["categories"].reverse()
    for one in content["categories"]:
        one["id"] = 100 - 7 * one["id"]
    for one in content["images"]:
        one["id"] = 1000 - 3 * one["id"]
    for one in content["annotations"]:
        one["image_id"] = 1000 - 3 * one["image_id"]
        one["category_id"] = 100 - 7 * one["category_id"]
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def typed(*words):
        monkeypatch.setattr(sys, "argv", ["xai-detect", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code
        return capsys.readouterr().out

    return typed


def scored(truth, results):
    """AP, AP50 and AR100 by pycocotools, and how many detections it read."""
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO(str(truth))
        found = known.loadRes(str(results))
        judge = COCOeval(known, found, "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats[[0, 1, 8]].tolist(), len(found.anns)


def test_pycocotools_gives_the_figures_of_evaluate(call, truth):
    words = ("evaluate", truth, "--imgsz", SIDE, "--no-explain", "--detections", "found.json")
    figures = json.loads(call(*words, "--json"))
    ours = [figures[name] for name in ("AP", "AP50", "AR100")]
    theirs, count = scored(truth, "found.json")
    assert ours[0] > 0.2
    assert theirs == pytest.approx(ours, abs=1e-9)
    assert count > figures["n_detections"]  # also those below the threshold


def test_detections_of_a_run_score_as_they_were_judged(call, truth):
    options = ("--imgsz", SIDE, "--budget", "quick", "--conf", 0.05)
    call("inspect", truth.parents[1] / "images" / "val", "--truth", truth, "--out", "run", *options)
    call("evaluate", truth, "--out", "kept", *options)
    figures = json.loads(
        call("evaluate", truth, "--no-explain", "--imgsz", SIDE, "--conf", 0.05, "--json")
    )
    inspected, evaluated = (scored(truth, f"{run}/detections.json") for run in ("run", "kept"))
    assert inspected == evaluated
    assert inspected[0][0] > 0.2
    rows = json.loads(Path("run/detections.json").read_text())
    content = json.loads(truth.read_text())
    names = {one["id"]: one["name"] for one in content["categories"]}
    files = {one["id"]: one["file_name"] for one in content["images"]}
    assert len(rows) == figures["n_detections"]
    assert all(names[row["category_id"]] == row["category"] for row in rows)
    assert all(Path(row["file_name"]).name == Path(files[row["image_id"]]).name for row in rows)
