"""The command line from what is typed to what is printed, on the toy detector."""

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from toy import CELL, SealedToy, ToyDetector, scene

from xai_detect.batch import many as batch
from xai_detect.batch.sources import find_sources, shown_path
from xai_detect.commands import app as cli
from xai_detect.commands import judging, prepare, progress, showcase
from xai_detect.commands.options import Case
from xai_detect.commands.tried import tried
from xai_detect.detectors import doctor
from xai_detect.detectors.load import load_detector
from xai_detect.errors import InputError
from xai_detect.evaluation import labelled
from xai_detect.evaluation.outcomes import GroundTruth
from xai_detect.explainers.methods import METHODS
from xai_detect.explainers.parchgrad.statistics import load_statistics
from xai_detect.output.folder.load import load_run
from xai_detect.trust.budget import BUDGETS
from xai_detect.values import files
from xai_detect.words.catalogue import catalogue
from xai_detect.xray.scenes.simulate import simulate


def write(path, *squares):
    pixels = (scene(*squares).permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def toy(monkeypatch):
    """The detector that every ``--model`` gives."""
    detector = ToyDetector()
    monkeypatch.setattr(prepare, "load_detector", lambda *_, **__: detector)
    return detector


@pytest.fixture
def scans(tmp_path, monkeypatch):
    """Three images in the working folder; the toy finds two, one and no squares."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scans").mkdir()
    write(tmp_path / "scans" / "a.png", ("red", 1, 1), ("blue", 5, 2))
    write(tmp_path / "scans" / "b.png", ("green", 3, 3))
    write(tmp_path / "scans" / "c.png")
    return tmp_path / "scans"


@pytest.fixture
def real_call(monkeypatch, capsys, scans):  # noqa: ARG001
    """Type a command where ``scans`` lies; gives exit code, stdout and stderr."""

    def typed(*words):
        monkeypatch.setattr(sys, "argv", ["xai-detect", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return (stop.value.code or 0, *capsys.readouterr())

    return typed


@pytest.fixture
def call(real_call, toy):  # noqa: ARG001
    """The same, with the toy as the detector."""
    return real_call


def without_bar(text):
    return [
        line
        for line in text.splitlines()
        if not line.startswith(("inspecting", "evaluating", "simulating", "measuring"))
    ]


def bomb():
    """A PNG that claims 60,000 x 60,000 pixels and holds none."""
    head = b"IHDR" + (60000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d" + head + zlib.crc32(head).to_bytes(4, "big")
    ) + b"\x00\x00\x00\x00IDAT\x35\xaf\x06\x1e\x00\x00\x00\x00IEND\xae\x42\x60\x82"


def truncated_jpeg():
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()[:2000]


BAD_FILES = {
    "missing.png": (None, "does not exist"),
    "words.png": (b"not an image", "is not an image"),
    "cut.jpg": (truncated_jpeg(), "cut short"),
    "empty.png": (b"", "0 bytes"),
    "bomb.png": (bomb(), "more pixels than the limit"),
}


def test_every_detection_gets_a_verdict_in_words(call):
    code, out, err = call("inspect", "scans/a.png", "--out", "run")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "scans/a.png: 2 detections"
    assert [line.split()[2] for line in lines[1:3]] == ["red", "blue"]
    assert "the object, or what touches it, decides" in lines[1]
    assert lines[3].startswith("2 detections in 1 image: ")
    assert lines[4] == f"report: {Path('run') / 'report.html'}"
    assert Path("run/report.html").is_file()
    assert "failed" not in err
    run = load_run("run")
    assert run.status == "done"
    assert run.sessions[0]["command"] == "xai-detect inspect scans/a.png --out run"


def test_json_is_one_object_and_nothing_else_on_stdout(call):
    code, out, _ = call("inspect", "scans/a.png", "gone.png", "--json")
    content = json.loads(out)
    assert code == 0
    assert content["images"] == 1
    assert [row["class"] for row in content["detections"]] == ["red", "blue"]
    row = content["detections"][0]
    assert {"box", "score", "source", "evidence", "words", "places"} <= set(row)
    assert row["verdict"]["level"] == "TRUSTED"
    assert (row["reason"], row["evidence_outside"], row["asked"]) == ("object", False, None)
    assert 0 < row["probability"] < 1
    assert [Path(name).name for name in content["failed"]] == ["gone.png"]


def test_json_of_nothing_but_failures_is_still_one_object(call):
    code, out, err = call("inspect", "gone.png", "lost.png", "--json")
    assert code == 1
    assert len(json.loads(out)["failed"]) == 2
    assert without_bar(err)[-1] == "error: none of the 2 images could be inspected"


def test_an_image_without_detections_is_a_result(call):
    code, out, _ = call("inspect", "scans/c.png", "--fail-on", "uncertain")
    assert code == 0
    assert out.splitlines()[:2] == [
        "scans/c.png: no detections",
        "no detections in 1 image",
    ]


def test_a_verdict_can_decide_the_exit_code(monkeypatch, scans, call):
    elsewhere = ToyDetector(elsewhere=0.7)
    monkeypatch.setattr(prepare, "load_detector", lambda *_, **__: elsewhere)
    write(scans / "d.png", ("red", 0, 0), ("red", 5, 5))
    code, out, _ = call("inspect", "scans/d.png", "--fail-on", "untrusted", "--out", "one")
    assert "UNTRUSTED red" in out
    assert code == 3
    assert call("inspect", "scans/d.png", "--fail-on", "uncertain", "--out", "one")[0] == 3
    assert call("inspect", "scans/d.png", "--out", "one")[0] == 0


def test_an_image_without_a_verdict_has_not_passed(scans, call):
    (scans / "b.png").write_bytes(b"damaged")
    words = ("inspect", "scans/b.png", "scans/c.png", "--out", "one")
    assert call(*words)[0] == 0
    assert call(*words, "--fail-on", "untrusted")[0] == 3


def test_a_scalar_with_a_typing_error_stops_before_the_first_image(scans, call):
    words = ("--method", "integrated_gradients", "--setting", "scalar=logits")
    code, out, err = call("inspect", scans, *words)
    assert (code, out) == (1, "")
    assert "there is no scalar 'logits'; choose from logit" in err
    assert not Path("run").exists()


def test_a_black_box_is_judged_and_never_trusted(toy, scans, call, monkeypatch):
    monkeypatch.setattr(prepare, "load_detector", lambda *_, **__: SealedToy(toy))
    words = ("evaluate", coco(scans), "--images", "scans")
    assert call(*words, "--no-explain")[0] == 0
    code, out, _ = call(*words, "--json")
    levels = json.loads(out)["trust"]["levels"]
    counts = {name: level["right"] + level["wrong"] for name, level in levels.items()}
    assert (code, counts) == (0, {"TRUSTED": 0, "UNCERTAIN": 3, "UNTRUSTED": 0})
    assert "leave one of them out" in call(*words, "--no-explain", "--out", "kept")[2]


def test_verdicts_of_other_pixels_are_never_handed_out(scans, call):
    words = ("evaluate", coco(scans), "--out", "kept", "--budget", "quick")
    assert call(*words, "--images", "scans")[0] == 0
    shutil.copytree("scans", "others")
    write(Path("others/a.png"), ("red", 6, 6))
    assert call(*words, "--images", "others")[0] == 0
    (record,) = (one for one in load_run("kept").records if one.source == "a.png")
    assert [own.box for own in record.detections] == [(48.0, 48.0, 56.0, 56.0)]


def test_another_class_can_be_asked_about(call):
    code, out, _ = call("inspect", "scans/b.png", "--class", "red")
    assert code == 0
    assert "1 TRUSTED" in out  # the answer about red is none about green
    (asked,) = (line for line in out.splitlines() if "asked about" in line)
    assert asked.strip() == (
        "asked about red: The detector does not see 'red' in this box (0.00); it sees 'green'."
    )


def test_an_absent_class_can_decide_the_exit_code(call):
    words = ("inspect", "scans/b.png", "--fail-on", "absent", "--budget", "quick")
    assert call(*words, "--class", "red", "--out", "one")[0] == 3
    assert call(*words, "--class", "green", "--out", "two")[0] == 0
    code, out, err = call(*words, "--out", "three")
    assert (code, out) == (1, "")
    assert without_bar(err) == [
        "error: --fail-on absent asks about --class, which was not given; name a class"
    ]
    assert not Path("three").exists()


def test_a_class_given_twice_is_refused_and_nothing_is_written(call):
    words = ("--class", "red", "--class", "blue")
    code, out, err = call("inspect", "scans/b.png", *words)
    assert (code, out) == (1, "")
    (line,) = without_bar(err)
    assert line.startswith("error: --class was given 2 times (red, blue); expected it once")
    assert not Path("run").exists()


def test_the_device_is_named_unless_it_is_the_cpu(call, monkeypatch):
    def running(err):
        return [line for line in err.splitlines() if line.startswith("running on")]

    asked, given = [], []
    monkeypatch.setattr(prepare, "chosen_device", lambda n: asked.append(n) or torch.device("cpu"))
    assert running(call("inspect", "scans/a.png")[2]) == []
    monkeypatch.setattr(
        prepare, "chosen_device", lambda name: asked.append(name) or torch.device("meta", 1)
    )
    load = prepare.load_detector
    monkeypatch.setattr(
        prepare, "load_detector", lambda *a, **k: given.append(k["device"]) or load(*a, **k)
    )
    assert running(call("inspect", "scans/b.png")[2]) == ["running on meta:1"]
    assert call("inspect", "scans/c.png", "--device", "meta:1")[0] == 0
    assert asked == ["auto", "auto", "meta:1"]
    assert given == ["meta:1", "meta:1"]


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "scans/a.png"),
        ("explain", "scans/a.png", "--method", "flat"),
        ("evaluate", "truth.json", "--images", "scans", "--no-explain"),
        ("fit-parchgrad", "truth.json", "--images", "scans", "--out", "s.safetensors"),
    ],
    ids=lambda words: words[0],
)
def test_the_network_runs_on_as_many_threads_as_asked_for(scans, call, threads, words):  # noqa: ARG001
    coco(scans)
    before = torch.get_num_threads()
    call(*words)
    assert torch.get_num_threads() == before
    call(*words, "--threads", before + 2)
    assert torch.get_num_threads() == before + 2


def test_waiting_threads_sleep_unless_the_user_says_otherwise():
    code = (
        "import os, sys; from xai_detect.commands import app\n"
        "sys.argv = ['xai-detect', '--version']\n"
        "try: app.main()\n"
        "finally: print(os.environ['OMP_WAIT_POLICY'])"
    )
    for given, expected in (({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")):
        others = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True, text=True, check=True, env=others | given,
        )  # fmt: skip
        assert done.stdout.splitlines()[-1] == expected


@pytest.mark.parametrize(
    "words",
    [
        ("inspect",),
        ("inspect", "a.png", "--threads", "0"),
        ("simulate", "bags", "--processes", "2"),
        ("inspect", "a.png", "--sharpen"),
        ("inspect", "a.png", "--conf", "1.5"),
        ("inspect", "a.png", "--iou", "-1"),
        ("inspect", "a.png", "--imgsz", "0"),
        ("inspect", "a.png", "--fail-on", "trusted"),
        ("explode",),
    ],
)
def test_wrong_usage_is_exit_code_2(call, words):
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert "Usage" in err


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_line_and_exit_code_1(call, name):
    content, words = BAD_FILES[name]
    if content is not None:
        Path(name).write_bytes(content)
    code, out, err = call("inspect", name)
    assert (code, out) == (1, "")
    (line,) = without_bar(err)
    assert line.startswith("error: ")
    assert name in line
    assert words in line


IG = ("--method", "integrated_gradients", "--setting")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--class", "rad"), "did you mean 'red'"),
        (("--method", "integrated_gradient"), "did you mean 'integrated_gradients'"),
        ((*IG, "steps"), "has no '='"),
        ((*IG, "stepz=4"), "stepz"),
        ((*IG, "steps=many"), "steps"),
        ((*IG, "steps=0"), "steps is 0"),
        ((*IG, "baseline=fog"), "baseline 'fog'"),
        (("--setting", "steps=4"), "--setting belongs to --method, which was not given"),
        (("--budget", "huge"), "there is no budget 'huge'; choose from quick, standard, full"),
        (("--lang", "fr"), "there are no words in 'fr'; choose from en, ko"),
        (("--prevalence", "0.01"), "--prevalence 0.01 cannot be used"),
        (("--references", "scans"), "2 of 3 references hold something"),
        (("--references", "gone"), "does not exist"),
        (("--references", "scans", "--budget", "quick"), "--budget quick tries no other"),
        (("--method", "parchgrad"), "fit-parchgrad"),
        (("--domain", "sonar"), "choose from photo, xray"),
        (("--policy", "none.toml"), "none.toml"),
        (("--out", "scans"), "is not empty and holds no run"),
        (("--out", "scans/a.png"), "is a file"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_code_1(call, words, said):
    code, out, err = call("inspect", "scans/a.png", *words)
    assert (code, out) == (1, "")
    (line,) = without_bar(err)
    assert line.startswith("error: ")
    assert said in line


def test_a_model_that_does_not_exist_gets_a_hint(real_call):
    code, out, err = real_call("inspect", "scans/a.png", "--model", "yolo11q")
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert "did you mean" in err


def test_a_folder_of_another_run_is_refused(call):
    assert call("inspect", "scans/a.png")[0] == 0
    code, out, err = call("inspect", "scans/a.png", "--conf", "0.5")
    assert (code, out) == (1, "")
    assert "belongs to another run (confidence: 0.25 there, 0.5 here)" in err
    assert len(err.splitlines()) == 1


def given(toy, **changed):
    """A judge of the toy on terms that differ from the usual by what is given."""
    options = {"budget": "standard", "policy": None, "lang": "en"}
    agreed = judging.terms(**{**options, **changed})
    rest = {"references": None, "other": None, "device": "cpu", "out": None}
    return judging.judge(toy, agreed, [], **rest)


def test_detectors_that_suppress_in_their_own_way_have_a_header_too(toy):
    assert given(toy).header(0.25, 0.7, {}).options == {"iou": 0.7}


def test_a_header_says_what_verdicts_rest_on(toy, tmp_path):
    (tmp_path / "own.toml").write_text("[limits]\nprobability = 0.9\n")
    judge = given(toy, budget="quick", lang="ko", policy=tmp_path / "own.toml", method="flat")
    known = GroundTruth({}, {}, ("red", "blue"), (4, 5))
    header = judge.header(0.3, 0.6, {"truth": None, "engine": "eager", "split": "val"}, known)
    assert (header.budget, header.lang, header.limits["probability"]) == ("quick", "ko", 0.9)
    assert (header.method, header.confidence, header.category_ids) == ("flat", 0.3, (4, 5))
    assert header.options == {"iou": 0.6, "split": "val"}


def test_bad_files_in_a_batch_are_listed_and_the_others_done(scans, call):
    for name, (content, _) in BAD_FILES.items():
        if content is not None:
            (scans / name).write_bytes(content)
    code, out, err = call("inspect", "scans", "scans/missing.png")
    assert code == 0
    assert "3 detections in 3 images" in out
    listed = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert len(listed) == len(BAD_FILES)
    run = load_run("run")
    assert len(run.records) == 3
    for name, (_, words) in BAD_FILES.items():
        assert words in run.failed[str(scans / name)]
    assert "missing.png" in Path("run/report.html").read_text()


def test_a_mended_file_is_done_at_the_next_start(call):
    call("inspect", "scans", "d.png")
    write(Path("d.png"), ("blue", 0, 0))
    assert "4 detections in 4 images" in call("inspect", "scans", "d.png")[1]
    assert not load_run("run").failed


def test_nothing_is_done_twice(toy, call):
    first = call("inspect", "scans")[1]
    toy.module.seen.clear()
    code, again, err = call("inspect", "scans")
    assert (code, again) == (0, first)
    assert "3 of 3 images are done already" in err
    assert toy.module.seen == []
    assert len(load_run("run").sessions) == 2


def test_a_run_goes_on_from_another_working_folder(toy, scans, call, monkeypatch):
    call("inspect", "scans/a.png", "--out", "run")
    monkeypatch.chdir(scans)
    toy.module.seen.clear()
    out = call("inspect", "a.png", "--out", "../run")[1]
    assert out.startswith("a.png: 2 detections")
    assert toy.module.seen == []
    assert len(load_run("../run").records) == 1


def test_an_image_that_took_the_place_of_another_is_inspected(call):
    assert "scans/b.png: 1 detection\n" in call("inspect", "scans")[1]
    write(Path("scans/b.png"), ("blue", 0, 0), ("red", 6, 6))
    code, out, err = call("inspect", "scans")
    assert code == 0
    assert "scans/b.png: 2 detections\n" in out
    assert "2 of 3 images are done already" in err
    (record,) = (one for one in load_run("run").records if one.source.endswith("b.png"))
    assert {own.name for own in record.detections} == {"blue", "red"}
    Path("scans/b.png").write_bytes(b"damaged")
    assert "failed: scans/b.png" in call("inspect", "scans")[2]
    assert len(load_run("run").records) == 2


@pytest.mark.parametrize("renamed", ["a->b", "a->c", "b->a", "a->b b->c", "b->a c->b", "a->b b->a",
                                     "a->b b->c c->a", "a->b b->d", "a->c b->a"])  # fmt: skip
def test_images_that_took_each_others_names_have_one_record_each(scans, call, renamed):
    call("inspect", "scans")
    pairs = [one.split("->") for one in renamed.split()]
    for old, _ in pairs:
        (scans / f"{old}.png").rename(scans / f"{old}.old")
    for old, new in pairs:
        (scans / f"{old}.old").rename(scans / f"{new}.png")
    call("inspect", "scans", "--out", "new")
    expected = found(load_run("new"))
    assert [source for source, _ in expected] == [str(path) for path in sorted(scans.iterdir())]
    for _ in range(2):
        assert call("inspect", "scans")[0] == 0
        run = load_run("run")
        assert found(run) == expected
        assert run.inspections[:]  # each with its own pixels and maps
        done = json.loads(Path("run/run.json").read_text())["done"]
        assert [one["source"] for one in done] == [source for source, _ in expected]


def found(run):
    return [(one.source, [own.name for own in one.detections]) for one in run.records]


def test_a_file_is_read_once_to_tell_that_it_is_held(call, monkeypatch):
    call("inspect", "scans")
    opened, read = Path.open, []

    def noted(path, *mode, **settings):
        read.append(path)
        return opened(path, *mode, **settings)

    monkeypatch.setattr(Path, "open", noted)
    assert call("inspect", "scans")[0] == 0
    images = [path for path in read if path.parent.name == "scans"]
    assert [path.name for path in images] == ["a.png", "b.png", "c.png"]


def test_a_folder_that_was_moved_is_the_same_images(toy, scans, call):
    call("inspect", "scans")
    scans.rename("moved")
    toy.module.seen.clear()
    code, out, err = call("inspect", "moved")
    assert code == 0
    assert "3 of 3 images are done already" in err
    assert "moved/a.png: 2 detections\n" in out
    assert toy.module.seen == []
    sources = [one.source for one in load_run("run").records]
    assert sources == [str(Path.cwd() / "moved" / f"{name}.png") for name in "abc"]
    done = json.loads(Path("run/run.json").read_text())["done"]
    assert [one["source"] for one in done] == sources


def test_files_of_one_name_in_two_folders_are_two_files(scans, call, monkeypatch):
    call("inspect", "scans/a.png", "--out", "run")
    (scans / "sub").mkdir()
    write(scans / "sub" / "a.png", ("green", 0, 0))
    monkeypatch.chdir(scans / "sub")
    assert "a.png: 1 detection\n" in call("inspect", "a.png", "--out", "../../run")[1]
    assert len(load_run("../../run").records) == 2


def test_only_the_images_asked_for_are_printed(call):
    call("inspect", "scans")
    assert "1 detection in 1 image" in call("inspect", "scans/b.png")[1]


def test_printing_reads_no_image_again(call):
    call("inspect", "scans")
    for path in Path("run/maps").iterdir():
        path.unlink()
    assert call("inspect", "scans")[0] == 0


def interrupting(monkeypatch, module, name, after):
    """Make the ``after``-th call of a function a Ctrl-C."""
    original, calls = getattr(module, name), []

    def function(*arguments, **options):
        calls.append(0)
        if len(calls) == after:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(module, name, function)


def test_ctrl_c_keeps_what_is_done_and_the_next_call_goes_on(call, monkeypatch):
    with monkeypatch.context() as patch:
        interrupting(patch, judging, "inspect", after=2)
        code, out, err = call("inspect", "scans")
    assert (code, out) == (130, "")
    assert "interrupted" in err
    assert "run the same command to go on" in err
    run = load_run("run")
    assert (run.status, len(run.records)) == ("interrupted", 1)
    assert "a.png" in Path("run/report.html").read_text()
    code, out, err = call("inspect", "scans")
    assert code == 0
    assert "1 of 3 images are done already" in err
    assert "3 detections in 3 images" in out
    assert load_run("run").status == "done"


def test_ctrl_c_in_an_evaluation_is_exit_code_130(toy, scans, call, monkeypatch):
    interrupting(monkeypatch, toy, "detect", after=1)
    code, out, err = call("evaluate", coco(scans), "--images", "scans", "--no-explain")
    assert (code, out) == (130, "")
    assert "interrupted" in err


def test_a_full_disk_is_one_line_and_costs_nothing_that_was_written(call, monkeypatch):
    call("inspect", "scans/a.png")
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        code, out, err = call("inspect", "scans")
    assert (code, out) == (1, "")
    (line,) = without_bar(err)
    assert line.startswith("error: the disk is full")
    assert before == {path: path.read_bytes() for path in before}
    assert "3 detections in 3 images" in call("inspect", "scans")[1]


def test_folders_globs_and_lists_name_images(scans):
    (scans / "note.md").write_text("no image")
    Path("list.txt").write_text("# two of them\nscans/b.png\n\n scans/a*.png \nscans/b.png\n")
    a, b, c = (scans / f"{name}.png" for name in "abc")
    assert find_sources(["scans"]) == [a, b, c]
    assert find_sources(["scans/[ab].png", "scans"]) == [a, b, c]
    assert find_sources(["list.txt"]) == [b, a]
    assert find_sources([str(c), "scans/../scans/c.png"]) == [c]
    assert find_sources(["scans/gone.png"]) == [scans / "gone.png"]


def test_a_file_name_may_look_like_a_pattern(scans):
    path = write(scans / "x[1].png")
    assert find_sources(["scans/x[1].png"]) == [path]


def test_a_link_to_an_image_keeps_its_own_name(scans):
    (scans / "link.png").symlink_to(scans / "a.png")
    assert find_sources(["scans/link.png"]) == [scans / "link.png"]


def test_paths_are_shown_from_the_working_folder(scans, tmp_path):
    assert shown_path(scans / "a.png") == str(Path("scans/a.png"))
    assert shown_path(tmp_path.parent / "a.png") == str(tmp_path.parent / "a.png")


@pytest.mark.parametrize(
    ("given", "content", "words"),
    [
        ("empty", None, "holds no images"),
        ("none*.png", None, "matches no file"),
        ("list.txt", b"# nothing\n", "no images were given"),
        ("list.txt", b"\xff\xfe\x00", "save it as UTF-8"),
        ("list.txt", b"list.txt\n", "a list inside a list"),
        ("list.txt", b"x" * 5000 + b".png\n", "cannot be read"),
    ],
)
def test_sources_that_name_nothing_are_one_sentence(tmp_path, monkeypatch, given, content, words):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    if content is not None:
        Path(given).write_bytes(content)
    with pytest.raises(InputError, match=words):
        find_sources([given])


def test_the_cost_of_a_long_run_is_told_before_it(call, monkeypatch):
    monkeypatch.setattr(progress, "LONG_RUN", 0.0)
    err = call("inspect", "scans")[2]
    assert err.splitlines()[0] == "3 images: about 1 min on this machine"


def test_the_cost_is_foretold_where_an_image_cannot_be_read_or_framed(toy, scans, monkeypatch):
    frame = toy.frame

    def picky(size):
        if size[1] == 1:
            raise InputError("too thin")
        return frame(size)

    monkeypatch.setattr(toy, "frame", picky)
    Image.new("RGB", (1, 40)).save(scans / "thin.png")
    sources = [scans / "a.png", scans / "thin.png", scans / "gone.png"]
    assert batch.expected_seconds(toy, BUDGETS["full"], sources, 0.25) > 0
    assert batch.expected_seconds(toy, BUDGETS["full"], sources[1:], 0.25) == 0


def coco(scans):
    """Ground truth of the three images; one of the two reds is missed: its AP is 51/101."""
    boxes = [(1, 0, 1, 1), (1, 2, 5, 2), (2, 0, 3, 3)]  # image, label, row, column
    content = {
        "images": [
            {"id": number, "file_name": f"{name}.png", "height": 64, "width": 64}
            for number, name in enumerate("abc", start=1)
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(("red", "green", "blue"))],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": label,
                "bbox": [column * CELL, row * CELL, CELL, CELL],
                "area": CELL**2,
                "iscrowd": 0,
            }
            for number, (image, label, row, column) in enumerate(boxes, start=1)
        ],
    }
    path = scans.parent / "truth.json"
    path.write_text(json.dumps(content))
    return path


def test_evaluate_prints_one_object_with_the_detection_figures(scans, call):
    code, out, _ = call("evaluate", coco(scans), "--images", "scans", "--no-explain", "--json")
    content = json.loads(out)
    assert code == 0
    assert content["AP"] == content["AP50"] == content["AP75"] == pytest.approx((51 / 101 + 1) / 2)


def test_evaluate_writes_the_detections_behind_its_ap_with_the_data_sets_ids(scans, call):
    path = coco(scans)
    content = json.loads(path.read_text())
    for row in content["images"]:
        row["id"] += 40
    for row in content["annotations"]:
        row["image_id"] += 40
        row["category_id"] = row["category_id"] * 10 + 7
    for row in content["categories"]:
        row["id"] = row["id"] * 10 + 7
    path.write_text(json.dumps(content))
    words = ("--images", "scans", "--no-explain", "--json", "--detections", "new/found.json")
    code, out, _ = call("evaluate", path, *words)
    assert code == 0
    rows = json.loads(Path("new/found.json").read_text())
    assert {row["image_id"] for row in rows} == {41, 42}
    assert {row["category_id"] for row in rows} == {7, 17, 27}
    truth = COCO(str(path))
    scored = COCOeval(truth, truth.loadRes("new/found.json"), "bbox")
    scored.evaluate()
    scored.accumulate()
    scored.summarize()
    figures = json.loads(out)
    assert figures["AP"] == pytest.approx(scored.stats[0]) == pytest.approx((51 / 101 + 1) / 2)
    assert figures["AR100"] == pytest.approx(scored.stats[8])


def test_figures_are_printed_before_what_cannot_be_written_is_told(scans, call):
    words = ("evaluate", coco(scans), "--images", "scans", "--no-explain", "--json")
    code, out, err = call(*words, "--detections", "scans")
    assert (code, out) == (1, ""), "nothing was done for it"
    assert "--detections is the folder scans; expected the name of a file" in err
    Path("taken").write_text("")
    code, out, err = call(*words, "--detections", "taken/found.json")
    assert code == 1
    assert json.loads(out)["AP"] == pytest.approx((51 / 101 + 1) / 2)
    assert "could not be written" in err


@pytest.fixture
def judged(monkeypatch):
    """What each inspection was asked with."""
    asked, inspect = [], judging.inspect

    def watched(*arguments, **settings):
        asked.append(settings)
        return inspect(*arguments, **settings)

    monkeypatch.setattr(judging, "inspect", watched)
    return asked


def test_evaluate_judges_on_the_terms_asked_for(scans, call, judged):
    Path("own.toml").write_text("[limits]\nprobability = 0.999\n")
    code, out, _ = call(
        "evaluate", coco(scans), "--images", "scans", "--budget", "quick", "--policy", "own.toml",
        "--plots", "plots",
    )  # fmt: skip
    assert code == 0
    assert "AP50: 0.7525" in out
    assert "decided_by:\n" in out
    assert {one["budget"] for one in judged} == {"quick"}
    assert {one["policy"].limits["probability"] for one in judged} == {0.999}
    assert sorted(path.suffix for path in Path("plots").iterdir()) == [".png"] * 3


def test_another_policy_gives_another_verdict(call):
    Path("own.toml").write_text("[limits]\nprobability = 1.0\n")
    assert "TRUSTED red" in call("inspect", "scans/a.png", "--out", "one")[1]
    out = call("inspect", "scans/a.png", "--policy", "own.toml", "--out", "two")[1]
    assert "0 TRUSTED, 2 UNCERTAIN, 0 UNTRUSTED" in out


def test_a_method_adds_its_map_and_changes_no_verdict(call):
    call("inspect", "scans/a.png", "--out", "one")
    words = ("--method", "input_x_gradient", "--setting", "baseline=black")
    call("inspect", "scans/a.png", "--out", "two", *words)
    plain, more = (load_run(name).inspections[0] for name in ("one", "two"))
    assert plain.verdicts == more.verdicts
    assert plain.added == (None, None)
    assert [made.method for made in more.added] == ["input_x_gradient"] * 2
    assert load_run("two").header.settings["baseline"] == "black"


def test_the_budget_is_what_verdicts_may_cost(toy, call):
    spent, maps = [], []
    for name in BUDGETS:
        toy.module.seen.clear()
        assert call("inspect", "scans/b.png", "--budget", name, "--out", name)[0] == 0
        spent.append(sum(toy.module.seen))
        maps.append(load_run(name).inspections[0].explanations[0] is not None)
    assert spent == sorted(set(spent))
    assert maps == [False, True, True]


def test_sentences_are_in_the_language_asked_for(call):
    english = call("inspect", "scans/b.png", "--lang", "en", "--out", "en")[1]
    korean = call("inspect", "scans/b.png", "--lang", "ko", "--out", "ko")[1]
    assert english.isascii() or "decides" in english
    assert any("\uac00" <= letter <= "\ud7a3" for letter in korean)
    assert "decides" not in korean


@pytest.fixture
def many(scans):
    """Eight more images with squares of all colours, enough to draw references from."""
    for number in range(8):
        colour = ("red", "green", "blue")[number % 3]
        write(scans / f"m{number}.png", (colour, number, 7), ("blue", 7 - number, 0))
    return scans


def test_references_are_drawn_once_and_told(call, many, judged):
    code, _, err = call("inspect", "scans")
    assert code == 0
    names = load_run("run").header.references
    assert len(names) >= 6
    assert f"surroundings of {len(names)} images drawn from these 11 are tried" in err
    for one in judged:
        others = [reference.name for reference in one["references"]]
        assert others == [name for name in names if name != one["source"]]
    assert all(Path(name).parent == many for name in names)
    assert "swapped" not in load_run("run").records[0].verdicts[0].unmeasured


def test_a_run_goes_on_with_the_references_that_it_began_with(call, many, judged, toy):
    first = [f"scans/m{number}.png" for number in range(8)]
    call("inspect", *first)
    names = load_run("run").header.references
    judged.clear()
    code, _, err = call("inspect", "scans")  # a draw from these would be another one
    assert code == 0, err
    assert "8 of 11 images are done already" in err
    assert "drawn from" not in err
    assert load_run("run").header.references == names
    assert [tuple(ref.name for ref in one["references"]) for one in judged] == [names] * 3
    toy.module.seen.clear()
    assert call("inspect", "scans")[0] == 0
    assert toy.module.seen == []
    Path(names[0]).unlink()
    write(many / "new.png", ("red", 4, 4))
    code, out, err = call("inspect", "scans/new.png")
    assert (code, out) == (1, "")
    (line,) = without_bar(err)
    assert line.startswith("error: the run goes on with the references that it began with, but ")
    assert f"{names[0]} does not exist" in line


@pytest.mark.usefixtures("many")
def test_a_run_that_began_without_references_goes_on_without(call, judged):
    assert call("inspect", "scans/a.png")[0] == 0
    code, _, err = call("inspect", "scans")
    assert code == 0, err
    assert load_run("run").header.references == ()
    assert not any(one["references"] for one in judged)


def test_references_may_be_named(call, many, judged):
    many.rename("others")
    Path("scans").mkdir()
    write(Path("scans/a.png"), ("red", 1, 1))
    code, _, err = call("inspect", "scans/a.png", "--references", "others")
    assert code == 0
    assert "drawn from" not in err
    names = load_run("run").header.references
    assert {Path(name).parent.name for name in names} == {"others"}
    assert len(names) == 10  # one of the eleven holds nothing
    assert [len(one["references"]) for one in judged] == [10]
    shutil.copytree("others", "different")
    code, _, err = call("inspect", "scans/a.png", "--references", "different")
    assert code == 1
    assert "references: 10 there, 10 other ones here" in err


def test_no_image_of_a_data_set_is_its_own_reference(scans, call, many, judged):
    names = sorted(path.stem for path in many.iterdir())
    path = coco(scans)
    content = json.loads(path.read_text())
    content["images"] = [
        {"id": number, "file_name": f"{name}.png", "height": 64, "width": 64}
        for number, name in enumerate(names, start=1)
    ]
    path.write_text(json.dumps(content))
    assert call("evaluate", path, "--images", "scans", "--out", "kept")[0] == 0
    held = load_run("kept").header.references
    assert len(held) >= 6
    assert len(judged) == 11
    for one in judged:
        others = [Path(reference.name).name for reference in one["references"]]
        assert others == [Path(name).name for name in held if Path(name).name != one["source"]]


def test_a_data_set_may_say_what_references_hold(call, many, judged):
    """Everything is annotated as green, whatever its colour; a run that goes on keeps to that."""
    many.rename("others")
    Path("scans").mkdir()
    for name in "ab":
        write(Path(f"scans/{name}.png"), ("red", 1, 1))
    files = sorted(path.name for path in Path("others").iterdir())
    content = {
        "images": [
            {"id": number, "file_name": name, "height": 64, "width": 64}
            for number, name in enumerate(files)
        ],
        "annotations": [
            {"id": number, "image_id": number, "category_id": 7, "bbox": [8, 8, 8, 8], "area": 64,
             "iscrowd": 0}
            for number in range(len(files))
        ],
        "categories": [{"id": 7, "name": "green"}],
    }  # fmt: skip
    Path("others/instances_val.json").write_text(json.dumps(content))
    code, _, err = call("inspect", "scans/a.png", "--references", "others")
    assert code == 0, err
    assert "surroundings of 11 images drawn from others are tried, with what is annotated" in err
    code, _, err = call("inspect", "scans")
    assert code == 0, err
    assert [one["source"].rpartition("/")[2] for one in judged] == ["a.png", "b.png"]
    for one in judged:
        assert len(one["references"]) == 11
        assert {label for ref in one["references"] for label in ref.detections.labels.tolist()} == {
            1
        }
    header = load_run("run").header
    assert header.options["references_truth"] == str(Path("others").resolve())
    content["categories"] = [{"id": 7, "name": "zebra"}]
    Path("others/instances_val.json").write_text(json.dumps(content))
    code, _, err = call("inspect", "scans/a.png", "--references", "others", "--out", "new")
    assert code == 1
    assert "no name in common" in err


def test_a_second_detector_is_asked_and_named(toy, call, monkeypatch, judged):
    other = ToyDetector(cell=CELL, curved=True)
    other.class_names = ("RED", "something", "Blue")
    monkeypatch.setattr(
        prepare, "load_detector", lambda name, **_: other if name == "another" else toy
    )
    assert call("inspect", "scans/a.png", "--second", "another")[0] == 0
    (asked,) = judged
    assert asked["second"].detector is other
    assert asked["second"].labels == {0: 0, 2: 2}
    assert sum(other.module.seen) > 0
    assert load_run("run").header.options["second"] == "toy"
    code, _, err = call("inspect", "scans/a.png")
    assert code == 1
    assert "options second: toy there, None here" in err


def test_a_second_detector_that_shares_no_class_is_refused(toy, call, monkeypatch):
    other = ToyDetector()
    other.class_names = ("cat", "dog", "cow")
    monkeypatch.setattr(
        prepare, "load_detector", lambda name, **_: other if name == "another" else toy
    )
    code, out, err = call("inspect", "scans/a.png", "--second", "another")
    assert (code, out) == (1, "")
    assert without_bar(err) == [
        "error: --second another has no class in common with toy; choose a detector that knows one "
        "of its classes"
    ]


def test_evaluate_says_what_is_wrong_with_its_data(call):
    code, out, err = call("evaluate", "gone.json")
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert "gone.json" in err


def test_parchgrad_is_fitted_and_then_used(toy, scans, call):
    Path("scans/b.png").write_bytes(b"damaged")
    write(Path("scans/b.png"), ("red", 3, 3), ("blue", 0, 6))
    code, out, _ = call("fit-parchgrad", coco(scans), "--images", "scans", "--out", "s.safetensors")
    assert (code, out) == (0, "statistics: s.safetensors\n")
    assert load_statistics("s.safetensors", toy).class_names == toy.class_names
    arguments = ("--method", "parchgrad", "--setting", "statistics=s.safetensors")
    code, _, err = call("inspect", "scans/a.png", *arguments, "--setting", "mode=ins")
    assert code == 0, err


FIT = ("--images", "scans", "--out", "s.safetensors")


def test_fitting_goes_on_past_a_bad_image_and_says_so(toy, scans, call, monkeypatch):
    write(Path("scans/b.png"), ("red", 3, 3), ("blue", 0, 6))
    path = coco(scans)
    read = labelled.load_image

    def failing(source):
        if Path(source).name == "a.png":
            raise InputError("a.png was cut short")
        return read(source)

    monkeypatch.setattr(labelled, "load_image", failing)
    code, out, err = call("fit-parchgrad", path, *FIT)
    assert (code, out) == (0, "statistics: s.safetensors\n")
    assert "failed: a.png: a.png was cut short" in without_bar(err)
    assert load_statistics("s.safetensors", toy).counts.sum() > 0


def test_an_interrupted_fit_goes_on_to_the_same_statistics(toy, scans, call, monkeypatch):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where tests run in the background
    write(Path("scans/b.png"), ("red", 3, 3), ("blue", 0, 6))
    write(Path("scans/c.png"), ("green", 2, 5))
    path = coco(scans)
    assert call("fit-parchgrad", path, "--images", "scans", "--out", "whole")[0] == 0
    read = labelled.load_image

    def pressing(source):
        if Path(source).name == "b.png":
            signal.raise_signal(signal.SIGINT)
        return read(source)

    monkeypatch.setattr(labelled, "load_image", pressing)
    code, out, err = call("fit-parchgrad", path, *FIT)
    assert (code, out) == (130, "")
    said = "s.safetensors.unfinished keeps what is done; run the same command to go on"
    assert said in without_bar(err)
    assert not Path("s.safetensors").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    monkeypatch.setattr(labelled, "load_image", read)

    code, _, err = call("fit-parchgrad", path, *FIT, "--seed", "1")
    assert code == 1
    assert "s.safetensors.unfinished was begun with other images, another model or seed" in err

    code, _, err = call("fit-parchgrad", path, *FIT)
    assert code == 0
    assert "s.safetensors.unfinished: 2 of 3 images are done already" in without_bar(err)
    assert not Path("s.safetensors.unfinished").exists()
    whole, resumed = (load_statistics(name, toy) for name in ("whole", "s.safetensors"))
    np.testing.assert_array_equal(whole.counts, resumed.counts)
    np.testing.assert_allclose(whole.whole_mean, resumed.whole_mean, rtol=1e-3)
    np.testing.assert_allclose(whole.normality, resumed.normality, rtol=1e-3)


def test_a_black_box_cannot_be_fitted(toy, scans, call, monkeypatch):
    monkeypatch.setattr(prepare, "load_detector", lambda *_, **__: SealedToy(toy))
    words = ("fit-parchgrad", coco(scans), "--images", "scans", "--out", "s.safetensors")
    code, out, err = call(*words)
    assert (code, out) == (1, "")
    assert without_bar(err) == [
        "error: toy is a black box; expected a network that shows its gradients, such as a .pt file"
    ]


def test_fitting_on_classes_of_another_detector_is_one_line(scans, call):
    path = coco(scans)
    path.write_text(
        path.read_text().replace("red", "cat").replace("green", "x").replace("blue", "y")
    )
    code, out, err = call("fit-parchgrad", path, "--images", "scans", "--out", "s.safetensors")
    assert (code, out) == (1, "")
    assert "no name in common" in err
    assert not Path("s.safetensors").exists()


def test_simulated_scans_can_be_evaluated(real_call):
    words = ("--scans", "2", "--size", "192", "--workers", "2")
    code, out, _ = real_call("simulate", "bags", *words)
    assert code == 0
    assert out.startswith("2 scans, ")
    assert len(find_sources(["bags/images/val"])) == 2
    code, out, err = real_call("simulate", "bags", "--scans", "2")
    assert (code, out) == (1, "")
    assert "choose another folder" in err


def test_a_folder_that_may_not_be_written_is_one_line(real_call):
    Path("file").write_text("")
    code, out, err = real_call("simulate", "file/bags", "--scans", "1")
    assert (code, out) == (1, "")
    assert without_bar(err) == ["error: file/bags/images/val: Not a directory"]


def test_methods_are_listed_with_a_summary(real_call):
    code, out, _ = real_call("methods", "--json")
    rows = json.loads(out)
    assert code == 0
    assert [row["name"] for row in rows] == list(METHODS)
    assert all(len(row["summary"].split()) > 3 for row in rows)
    gradient = rows[list(METHODS).index("input_x_gradient")]
    assert (gradient["needs"], gradient["input_level"]) == ("gradients", True)
    assert (gradient["forward_passes"], gradient["backward_passes"]) == (1, 1)
    assert gradient["citation"] == METHODS["input_x_gradient"].citation


def test_methods_are_a_table_with_needs_cost_and_citation(real_call):
    code, out, _ = real_call("methods")
    head, *lines = out.splitlines()
    assert code == 0
    assert head.split() == ["method", "needs", "input", "level", "forward", "backward", "citation"]
    assert [line.split()[0] for line in lines] == list(METHODS)
    flat = lines[list(METHODS).index("flat")]
    assert flat.split(maxsplit=5) == ["flat", "nothing", "no", "0", "0", METHODS["flat"].citation]
    columns = {line.index(one.citation) for line, one in zip(lines, METHODS.values(), strict=True)}
    assert columns == {head.index("citation")}


def test_the_version_is_printed(real_call):
    assert real_call("--version")[:2] == (0, f"xai-detect {cli.xai_detect.__version__}\n")


def test_the_doctor_finds_this_installation_healthy(real_call):
    code, out, _ = real_call("doctor", "--json")
    findings = json.loads(out)
    assert code == 0
    assert {"python", "torch", "torchvision", "ultralytics adapter"} <= {
        one["what"] for one in findings
    }
    assert all(one["fine"] for one in findings)


def test_the_doctor_names_what_is_missing(real_call, monkeypatch):
    monkeypatch.setitem(doctor.TESTED, "no-such-package", "1.0")
    code, out, _ = real_call("doctor")
    assert code == 1
    assert "FAIL no-such-package: not installed; pip install no-such-package" in out


def test_the_doctor_is_silent_on_stderr_in_a_process_of_its_own():
    command = [sys.executable, "-W", "error", "-m", "xai_detect.commands.app", "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_demo_shows_what_is_right_and_what_is_not(tmp_path, real_call, monkeypatch):
    every = showcase.images_in
    monkeypatch.setattr(showcase, "images_in", lambda folder: every(folder)[:1])
    monkeypatch.setattr(showcase, "SCANS", 1)
    code, out, _ = real_call("demo", "--out", tmp_path / "shown")
    assert code == 0
    screening, marked = out.split("planted/marker")
    assert "against the annotations: " in screening
    assert "0 TRUSTED, 0 UNCERTAIN, 1 UNTRUSTED" in marked
    for name in ("screening", "marker"):
        assert (tmp_path / "shown" / name / "report.html").is_file()


def test_an_interrupted_demo_simulates_what_is_missing(tmp_path, monkeypatch):
    (tmp_path / "marker_scans" / "annotations").mkdir(parents=True)
    (tmp_path / "marker_scans" / "images" / "val").mkdir(parents=True)
    monkeypatch.setattr(showcase, "SCANS", 1)
    assert len(showcase.parts(tmp_path)[1].sources) == 1


def test_the_demo_shows_a_zebra_that_is_called_a_giraffe(tmp_path, real_call, monkeypatch):
    monkeypatch.setattr(showcase, "SCENES", (("zebra", "acacia"), ("giraffe", None)))
    code, out, _ = real_call("demo", "--case", "zebra", "--out", tmp_path / "shown")
    assert code == 0
    gated, twin = out.split("savanna/honest")
    (fooled,) = [line for line in gated.splitlines() if "annotated as zebra" in line]
    assert "UNTRUSTED giraffe" in fooled
    assert "asked about zebra: The detector does not see 'zebra' in this box" in gated
    assert "TRUSTED giraffe" in gated.split("1_giraffe_no_tree.png")[1]
    assert "annotated as" not in twin
    assert "UNTRUSTED" not in twin.split("detections in 2 images")[0]
    for name in ("gated", "honest"):
        run = json.loads((tmp_path / "shown" / name / "run.json").read_text())
        assert len(run["references"]) == 11
        assert (tmp_path / "shown" / name / "report.html").is_file()


def test_scenes_of_the_demo_are_drawn_once(tmp_path):
    first, _ = showcase.parts(tmp_path, Case.ZEBRA)
    assert len(first.sources) == len(showcase.SCENES)
    written = first.sources[0].stat().st_mtime_ns
    again, twin = showcase.parts(tmp_path, Case.ZEBRA)
    assert again.sources == twin.sources == first.sources
    assert again.sources[0].stat().st_mtime_ns == written
    assert len(list(again.references.iterdir())) == 11


def test_the_demo_says_so_if_its_scans_are_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(showcase, "__file__", str(tmp_path / "package" / "showcase.py"))
    with pytest.raises(InputError, match="sample set is missing: expected it at"):
        showcase.sample_set()


def test_a_shipped_model_goes_all_the_way(tmp_path, real_call):
    assert load_detector("planted/object").provenance.domain == "xray"
    simulate(tmp_path / "scans_of_it", 1, 2, 192, "object")
    source = next((tmp_path / "scans_of_it" / "images" / "val").iterdir())
    words = ("--method", "integrated_gradients", "--setting", "steps=2", "--json")
    code, out, _ = real_call("inspect", source, "--model", "planted/object", *words)
    assert code == 0
    assert json.loads(out)["images"] == 1


@pytest.mark.parametrize("words", [["--help"], ["evaluate", "--help"], ["inspect", "--help"]])
def test_help_comes_at_once_because_nothing_heavy_is_imported_for_it(words):
    heavy = {"torch", "ultralytics", "captum", "matplotlib", "scipy", "cv2", "numpy", "pyarrow"}
    code = (
        "import sys; from xai_detect.commands import app\n"
        f"sys.argv = ['xai-detect', *{words}]\n"
        "try: app.main()\n"
        f"finally: print([name for name in sys.modules if name in {heavy}])"
    )
    asked = [sys.executable, "-c", code]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert "Usage: xai-detect" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_command_is_one_function_of_its_own_short_module():
    for command in cli.app.registered_commands:
        module = sys.modules[command.callback.__module__]
        assert command.callback.__name__ == module.__name__.rpartition(".")[2]
        assert len(Path(module.__file__).read_text().splitlines()) <= 60
    assert len(cli.app.registered_commands) == 8


def test_one_scan_of_the_model_that_ships_is_compared_with_the_sample_that_ships(capsys):
    spend, model = BUDGETS["standard"], load_detector("screening")
    found = tried(model, None, [], spend, None, catalogue())
    assert len(found.names) == 12
    assert all("screening_sample" in name for name in found.names)
    assert "the sample that ships with screening" in capsys.readouterr().err
    other = load_detector("planted/object")
    assert tried(other, None, [], spend, None, catalogue()).names == ()


def test_a_mask_may_say_what_the_object_is(call, judged, scans):
    write_mask = np.zeros((64, 64), np.uint8)
    write_mask[8:24, 8:24] = 255
    Image.fromarray(write_mask).save(scans.parent / "mask.png")
    code, _, _ = call("inspect", "scans/a.png", "--foreground", "mask.png")
    assert code == 0
    (given,) = [one["foreground"] for one in judged]
    assert int(given.sum()) == 256
    assert load_run("run").header.options["foreground"].endswith("mask.png")
    code, _, err = call("inspect", "scans", "--foreground", "mask.png", "--out", "other")
    assert code == 1
    assert "marks the object of one image, but 3 were given" in err
