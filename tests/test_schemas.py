"""The JSON files of a run folder are what their schemas say, and nothing besides."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from samples import NAMES, inspection
from test_cli import call, real_call, scans, toy  # noqa: F401
from test_outcomes import annotations  # noqa: F401

from xai_detect.output import exchange
from xai_detect.output.exchange import DETECTIONS_FORMAT
from xai_detect.output.folder.load import FORMAT
from xai_detect.output.run import open_run, save
from xai_detect.values.findings import Evidence, Lookalike, PartsFound, PartShare
from xai_detect.values.truth import Fate, Kind, Missed, Outcome

FOLDER = Path(exchange.__file__).parent
FILES = {"run": "run.json", "record": "records/*.json", "detections": "detections.json"}


@pytest.fixture(scope="module")
def checks():
    jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema: make setup")
    found = {}
    for name in FILES:
        schema = json.loads((FOLDER / f"{name}.schema.json").read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        found[name] = jsonschema.Draft202012Validator(schema)
    return found


def documents(folder, name):
    files = sorted(folder.glob(FILES[name]))
    assert files
    return [json.loads(file.read_text()) for file in files]


def everything(folder):
    """A run in which whatever can be there is there."""
    nan, inf = float("nan"), float("inf")
    known = Outcome(
        (Fate(Kind.RIGHT, "zebra", 0.8), Fate(Kind.DUPLICATE, "zebra", 0.9, 0)),
        (Missed("cow", (1.0, 2.0, 3.5, 4.0)),),
    )
    parts = PartsFound((PartShare("head", 0.4, 0.1), PartShare("leg", nan, 0.2)), 0.4, 0.5, nan, "")
    one = replace(
        inspection("a.jpg", asked=NAMES[1], added=[torch.ones(40, 60)] * 2, budget="quick"),
        outcome=known,
        parts=(parts, None),
        lookalikes=(Lookalike("cow", 2.0, nan, "It is annotated as 'cow'."), None),
    )
    strange = Evidence({"detected_ratio": inf, "probability": nan})
    return save([replace(one, evidence=(one.evidence[0], strange))], folder)


def test_a_real_run_is_what_the_schemas_say(call, annotations, checks):  # noqa: F811
    code, _, _ = call("inspect", "scans", "--truth", annotations, "--method", "occlusion")
    assert code == 0
    for name, check in checks.items():
        for document in documents(Path("run"), name):
            check.validate(document)


def test_so_is_one_that_failed_and_one_that_is_running(tmp_path, checks):
    run = everything(tmp_path / "run")
    writer = open_run(tmp_path / "run", run.header)
    writer.fail("b.jpg", "is damaged")
    writer.close()
    (running,) = documents(tmp_path / "run", "run")
    assert running["status"] == "running"
    checks["run"].validate(running)
    open_run(tmp_path / "run", run.header).finish()
    (done,) = documents(tmp_path / "run", "run")
    assert len(done["failed"]) == 1
    checks["run"].validate(done)


def objects_in(document, way=()):
    """The ways to every object of a document."""
    if isinstance(document, dict):
        yield way
        for key, value in document.items():
            yield from objects_in(value, (*way, key))
    elif isinstance(document, list):
        for place, value in enumerate(document):
            yield from objects_in(value, (*way, place))


FREE = {
    "settings",
    "evidence",
    "words",
    "places",
    "measured",
    "versions",
    "limits",
    "options",
    "files",
}
"""Objects whose names are not known beforehand."""


@pytest.mark.parametrize("name", list(FILES))
def test_every_field_is_asked_for_and_no_other_is_allowed(tmp_path, checks, name):
    everything(tmp_path)
    check = checks[name]
    (document,) = documents(tmp_path, name)
    check.validate(document)
    asked = 0
    for way in objects_in(document):
        if FREE & set(way):
            continue
        changed = copy.deepcopy(document)
        place = changed
        for step in way:
            place = place[step]
        for key in list(place):
            value = place.pop(key)
            assert not check.is_valid(changed), (*way, key)
            place[key] = value
            asked += 1
        place["more"] = 1
        assert not check.is_valid(changed), way
    assert asked > 15


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("run", "format", 3), ("run", "status", "lost"), ("run", "finished", None),
        ("run", "confidence", "high"), ("run", "limits", {"near": "far"}),
        ("record", "image_size", [40]), ("record", "image_size", [0, 3]),
        ("record", "image_sha256", "short"), ("record", "image_id", 0.5),
        ("record", "outcome", {}), ("record", "parts", None),
    ],
)  # fmt: skip
def test_what_is_impossible_is_refused(tmp_path, checks, name, key, value):
    everything(tmp_path)
    (document,) = documents(tmp_path, name)
    assert checks[name].is_valid(document)
    assert not checks[name].is_valid({**document, key: value})


def test_schemas_name_the_versions_that_they_describe(checks):
    assert checks["run"].schema["$id"] == f"xai-detect/run/{FORMAT}"
    assert checks["record"].schema["$id"] == f"xai-detect/record/{FORMAT}"
    said = checks["run"].schema["properties"]
    assert said["format"]["const"] == FORMAT
    assert said["detections_format"]["const"] == DETECTIONS_FORMAT
