"""What the command line says of a run: a line per detection, and one JSON object."""

import json
import math
import re
from dataclasses import replace

import pytest
from samples import NAMES, NUMBERS, SENTENCE, inspection
from test_plots import SEEN, evaluation

from xai_detect.commands import ending, progress, text
from xai_detect.errors import InputError
from xai_detect.output.run import save
from xai_detect.values.findings import Evidence, Level
from xai_detect.words.catalogue import catalogue


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
        "  zebra is decided by: its surroundings 1, neither could be shown 1",
        "  <b>giraffe</b> is decided by: its surroundings 1",
        f"report: {run.folder / 'report.html'}",
    ]


def test_one_image_is_no_set_to_add_up(run):
    lines = text.run_lines(run, run.records[:1])
    assert "decided by" not in lines


def test_json_adds_up_what_decides_each_class(run):
    content = json.loads(text.run_json(run, run.records, {}))
    assert content["decided_by"] == {
        "zebra": {"surroundings": 1, "unclear": 1},
        "<b>giraffe</b>": {"surroundings": 1},
    }


def test_detections_of_one_item_get_one_more_line(tmp_path):
    one = inspection("a.jpg")
    boxes = one.detections.boxes.clone()
    boxes[1] = boxes[0]
    run = save([replace(one, detections=replace(one.detections, boxes=boxes))], tmp_path / "run")
    lines = text.run_lines(run, run.records).splitlines()
    assert len(lines) == 6
    assert lines[3] == "  - One item, name unclear: zebra 0.90 or <b>giraffe</b> 0.60."


def figures(*words):
    result = evaluation(*SEEN)
    return text.evaluation_lines(result, *words).splitlines()


def test_the_figures_of_an_evaluation_are_named_in_words():
    lines = figures()
    assert {"data set: toys", "images: 1", "objects: 2", "verdicts: none"} <= set(lines)
    at = lines.index("detections by kind:")
    assert lines[at + 1 : at + 3] == ["  right: 0", "  duplicate: 0"]
    assert "  zebra:" in lines
    assert not [line for line in lines if re.match(r" *[a-z]+_", line)]


def test_the_figures_have_their_names_in_korean_and_classes_keep_theirs():
    lines = figures(catalogue("ko"))
    assert {
        "데이터 세트: toys",
        "영상 수: 1",
        "판정: 없음",
        "  zebra:",
        "    정밀도: 1.0000",
    } <= set(lines)
    left = [line for line in lines if re.match(r" *[a-z]", line)]
    assert left == ["  zebra:", "  giraffe:", "  cow:"]


def test_a_class_that_is_called_like_a_figure_keeps_its_name():
    result = evaluation(*SEEN, class_names=("recall", "right", "all"))
    lines = text.evaluation_lines(result, catalogue("ko")).splitlines()
    assert {"  recall:", "  right:", "  all:"} <= set(lines)


def test_what_is_said_on_the_way_is_in_the_language_as_well(capsys):
    words = catalogue("ko")
    progress.tell_cost(20.0, 3, words)
    assert capsys.readouterr().err == ""  # a short run needs no warning
    progress.tell_cost(90.0, 3, words)

    def stopped():
        with progress.bar("inspecting", 2, words):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    err = capsys.readouterr().err
    assert err.splitlines()[0] == "영상 3장: 이 컴퓨터에서 약 2분"
    assert "검사 중" in err
    assert err.splitlines()[-1] == "중단됨"
    assert progress.chosen_words("ko") is words
    with pytest.raises(InputError, match="no words in 'de'"):
        progress.chosen_words("de")


def test_failures_of_a_korean_run_are_told_in_korean(tmp_path, capsys):
    one = save([inspection("a.jpg")], tmp_path / "run", lang="ko")
    broken = replace(one, failed={"b.jpg": "is damaged"})
    ending.tell_run(broken, {"a.jpg", "b.jpg"}, as_json=False, fail_on=None)
    out, err = capsys.readouterr()
    assert err == "실패: b.jpg: is damaged\n"  # the reason is an error message
    assert out.startswith("a.jpg: 검출 2건\n")


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
