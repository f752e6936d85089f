"""What the command line says of a run: a line per detection, and one JSON object."""

import json
import math
from dataclasses import replace

import pytest
from samples import NAMES, NUMBERS, SENTENCE, inspection

from xai_detect.commands import text
from xai_detect.output.run import save
from xai_detect.values.findings import Evidence, Level


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    bare = inspection("b.jpg", rows=1, level=Level.UNCERTAIN, seed=1)
    return save(
        [
            inspection("a.jpg", level=Level.UNTRUSTED, asked=NAMES[1]),
            replace(bare, evidence=(Evidence({"score": math.nan}),)),
        ],
        tmp_path_factory.mktemp("text") / "run",
    )


def test_a_line_holds_mark_level_class_score_and_sentence(run):
    lines = text.run_lines(run, run.records).splitlines()
    assert lines == [
        "a.jpg: 2 detections",
        f"  ✖ UNTRUSTED zebra 0.90: {SENTENCE}",
        "    asked about <b>giraffe</b>: The image shows no <b>giraffe</b> here.",
        f"  ✖ UNTRUSTED <b>giraffe</b> 0.60: {SENTENCE}",
        "    asked about <b>giraffe</b>: The image shows no <b>giraffe</b> here.",
        "b.jpg: 1 detection",
        f"  ? UNCERTAIN zebra 0.90: {SENTENCE}",
        "3 detections in 2 images: 0 TRUSTED, 1 UNCERTAIN, 2 UNTRUSTED",
        f"report: {run.folder / 'report.html'}",
    ]


def test_the_json_object_holds_what_the_lines_leave_out(run):
    first, _, last = json.loads(text.run_json(run, run.records, {}))["detections"]
    assert (first["verdict"]["level"], first["verdict"]["numbers"]) == ("UNTRUSTED", NUMBERS)
    assert (first["class"], first["probability"], first["reason"]) == (
        "zebra",
        0.87,
        "surroundings",
    )
    assert first["evidence"]["detected_box"] == 0.74
    assert first["evidence"]["detected_ring"] is None
    assert first["places"]["presence"] == [[41, 20, 55, 36]]
    assert first["asked"]["supported"] is False
    assert (last["probability"], last["evidence_outside"], last["asked"]) == (None, None, None)
    assert last["evidence"] == {"score": None}
