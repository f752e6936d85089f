"""Wrong names: the annotated class beside the reported one, its margin by hand, and its picture."""

import json
import math
from dataclasses import replace

import pytest
import torch
from test_cli import call, real_call, scans, toy, write  # noqa: F401 - fixtures
from toy import ToyDetector, scene

from xai_detect.detectors.place import place
from xai_detect.evaluation.lookalikes import with_lookalikes
from xai_detect.evaluation.outcomes import GroundTruth
from xai_detect.inspection.image import inspect
from xai_detect.output.drawing import panels
from xai_detect.output.folder.load import load_run
from xai_detect.output.folder.outcomes import lookalikes_from_json, lookalikes_to_json
from xai_detect.values.findings import Lookalike
from xai_detect.values.truth import Fate, Kind, Outcome
from xai_detect.words.catalogue import LANGUAGES

KNOWN = GroundTruth({}, {0: 2, 1: 1, 2: 0}, ("blue", "green", "red"), (1, 2, 3))


def misnamed(budget="standard", kind=Kind.WRONG_NAME, name="green", **options):
    """A red square of the toy that is annotated as something else."""
    detector = ToyDetector()
    placed = place(detector, scene(("red", 3, 3)))
    found = inspect(detector, placed, budget=budget, **options)
    fate = Fate(kind, name, 0.8) if name else Fate(kind)
    outcome = Outcome((fate,), ())
    return detector, placed, replace(found, outcome=outcome)


def told(language="en", **options):
    detector, placed, found = misnamed(**options)
    return with_lookalikes(found, KNOWN, detector, placed, language)


@pytest.mark.parametrize("name", ["green", "blue"])
def test_the_margin_is_that_over_the_annotated_class(name):
    detector, placed, found = misnamed(name=name)
    one = with_lookalikes(found, KNOWN, detector, placed)
    target = found.detections.target(0)
    log_odds = detector.candidate(placed.pixels, [target], placed.frame).log_odds[0, 0].detach()
    (other,) = one.lookalikes
    assert other.name == name
    wanted = log_odds[0] - log_odds[("red", "green", "blue").index(name)]
    assert other.margin == pytest.approx(float(wanted))
    assert other.sentence.startswith(f"It is annotated as '{name}'. The detector puts 'red' ")
    assert 0 <= other.near <= 1
    # the map over the runner-up is there already; that over another class is made
    runner_up = found.evidence[0].words["rival"]
    assert (one.between[0] is None) == (runner_up == name)


def test_the_map_between_both_is_the_contrast_with_the_annotated_class():
    detector, placed, found = misnamed()
    other = next(name for name in ("green", "blue") if name != found.evidence[0].words["rival"])
    one = told(name=other)
    asked = inspect(detector, placed, as_class=other)
    torch.testing.assert_close(one.between[0].heatmap, asked.contrasts[0].heatmap)
    titles = [shown.title for shown in panels.scene(one, 0).layers]
    if one.evidence[0].words["map"] == "reliable":
        assert titles[-1] == f"Why red and not {other}, as annotated"


def test_only_wrong_names_have_one():
    assert told(kind=Kind.BACKGROUND, name="").lookalikes == ()
    assert told(kind=Kind.RIGHT, name="red").lookalikes == ()
    assert told(kind=Kind.WRONG_NAME, name="zebra").lookalikes == (None,)  # a class it lacks
    assert told(kind=Kind.BOTH).lookalikes[0].name == "green"


def test_without_maps_the_names_and_the_margin_stay():
    one = told(budget="quick")
    (other,) = one.lookalikes
    assert one.between == (None,)
    assert math.isnan(other.near)
    assert not math.isnan(other.margin)
    assert other.sentence.count(".") >= 2


def test_it_speaks_all_languages():
    said = {told(language=language).lookalikes[0].sentence for language in LANGUAGES}
    assert len(said) == len(LANGUAGES)


def test_they_come_back_from_a_record():
    found = (None, Lookalike("zebra", math.nan, 0.5, "said"), Lookalike("cat", 1.5, math.nan, ""))
    content = lookalikes_to_json(found)
    assert lookalikes_to_json(lookalikes_from_json(json.loads(json.dumps(content)), 3)) == content
    assert lookalikes_from_json([], 2) == ()
    with pytest.raises(ValueError, match="of 3 detections for 2"):
        lookalikes_from_json(content, 2)


def test_a_run_against_annotations_names_them(call, scans):  # noqa: F811
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 64}],
        "annotations": [
            {"id": 1, "image_id": 1, "bbox": [8, 8, 8, 8], "category_id": 2, "area": 64}
        ],
        "categories": [{"id": 1, "name": "red"}, {"id": 2, "name": "green"}],
    }
    path = scans / "truth.json"
    path.write_text(json.dumps(content))
    code, out, err = call("inspect", "scans/a.png", "--truth", path)
    assert code == 0, err
    assert "It is annotated as 'green'. The detector puts 'red' " in out
    run = load_run("run")
    (record,) = run.records
    named = [other for other in record.lookalikes if other is not None]
    assert [other.name for other in named] == ["green"]
    (found,) = run.inspections
    assert lookalikes_to_json(found.lookalikes) == lookalikes_to_json(record.lookalikes)
    assert "It is annotated as &#39;green&#39;." in (run.folder / "report.html").read_text()
