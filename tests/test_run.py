"""The run folder is whole at every moment, goes on where it stopped, and comes back as it went."""

import errno
import json
import math
import os
import shutil
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import DETECTOR, NAMES, NUMBERS, SENTENCE, SETTINGS, inspection, spot

from xai_detect.errors import InputError
from xai_detect.output import run as run
from xai_detect.output.folder import pixels
from xai_detect.output.folder.header import Header
from xai_detect.output.folder.judged import KINDS, maps_of
from xai_detect.output.folder.load import load_run
from xai_detect.output.folder.records import file_name
from xai_detect.output.run import open_run, save
from xai_detect.output.tables import evidence_table, image_ids
from xai_detect.trust.evidence import NAMES as NUMBERS_OF_EVIDENCE
from xai_detect.trust.policy import DEFAULT_POLICY
from xai_detect.values import files
from xai_detect.values.findings import Evidence, Level
from xai_detect.values.json import plain
from xai_detect.values.truth import Fate, Kind, Missed, Outcome

HEADER = Header(DETECTOR, NAMES, "", {}, confidence=0.25)


def same(one, other, *, pixels=True):
    """Equal but for the pixels, which a run does not keep where they lie in a file."""
    assert one.source == other.source
    assert one.provenance == other.provenance
    if pixels:
        torch.testing.assert_close(one.image, other.image, rtol=0, atol=0)
    for name in ("boxes", "scores", "labels", "candidates", "proposals"):
        assert torch.equal(getattr(one.detections, name), getattr(other.detections, name)), name
    assert one.verdicts == other.verdicts
    assert one.asked == other.asked
    for mine, theirs in zip(one.evidence, other.evidence, strict=True):
        assert str(dict(mine)) == str(dict(theirs))
        assert mine.words == theirs.words
        assert mine.places == theirs.places
    for kind, maps in maps_of(one).items():
        for mine, theirs in zip(maps, maps_of(other)[kind], strict=True):
            assert (mine is None) == (theirs is None), kind
            if mine is not None:
                same_map(mine, theirs)


def same_map(mine, theirs):
    torch.testing.assert_close(
        mine.heatmap, theirs.heatmap, rtol=1e-3, atol=1e-6 * float(mine.heatmap.abs().max())
    )
    assert mine.method == theirs.method
    assert str(mine.target) == str(theirs.target)
    assert json.dumps(plain(mine.settings)) == json.dumps(plain(theirs.settings))
    assert (mine.measured, mine.content_size) == (theirs.measured, theirs.content_size)


def contents(folder):
    return {one: one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file()}


def test_what_is_saved_comes_back(tmp_path):
    ones = [inspection("a/zebra.jpg"), inspection("b/zebra.jpg", rows=1, seed=1)]
    save(ones, tmp_path / "run")
    read = load_run(tmp_path / "run")
    assert read.status == "done"
    assert len(read.inspections) == 2
    for mine, theirs in zip(ones, read.inspections, strict=True):
        same(mine, theirs)
    assert read.inspections[-1].source == "b/zebra.jpg"
    assert [one.source for one in read.inspections[:1]] == ["a/zebra.jpg"]
    assert read.header.provenance == DETECTOR
    assert read.sessions[0]["versions"]["torch"] == torch.__version__


def test_the_size_at_which_an_image_was_seen_comes_back_where_it_is_known(tmp_path):
    one = inspection(rows=2)
    first, second = one.explanations
    save([replace(one, explanations=(replace(first, content_size=(20, 30)), second))], tmp_path)
    assert [each.content_size for each in load_run(tmp_path).inspections[0].explanations] == [
        (20, 30),
        None,
    ]


def test_maps_that_were_not_made_stay_away_and_the_others_keep_their_rows(tmp_path):
    spots = [spot((40, 60), 3, 4), spot((40, 60), 30, 4), spot((40, 60), 3, 44)]
    one = inspection(rows=3, heatmaps=[spots[0], None, spots[2]], contrasts=[None] * 3, added=spots)
    run = save([one], tmp_path)
    same(one, load_run(tmp_path).inspections[0])
    assert (run.header.method, run.header.settings) == ("d_rise", SETTINGS)
    (path,) = (tmp_path / "records").iterdir()
    rows = json.loads(path.read_text())["detections"]
    assert [row["maps"]["class"] for row in rows] == [None] * 3
    assert [row["maps"]["detected"] is None for row in rows] == [False, True, False]
    with np.load(next((tmp_path / "maps").iterdir())) as archive:
        assert {kind: len(archive[kind]) for kind in ("detected", "class", "added")} == {
            "detected": 2,
            "class": 0,
            "added": 3,
        }


def test_asking_about_another_class_survives_the_round_trip(tmp_path):
    one = inspection(asked=NAMES[1])
    run = save([one], tmp_path / "run")
    assert run.header.asked == NAMES[1]
    same(one, load_run(tmp_path / "run").inspections[0])


def test_a_record_says_first_what_other_programs_ask_for(tmp_path):
    save([inspection(rows=1, level=Level.UNTRUSTED)], tmp_path)
    (path,) = (tmp_path / "records").iterdir()
    (row,) = json.loads(path.read_text())["detections"]
    assert row["verdict"] == {
        "level": "UNTRUSTED",
        "reason": "surroundings",
        "cause": "object",
        "sentence": SENTENCE,
        "numbers": NUMBERS,
        "unmeasured": ["settled", "repeatability"],
    }
    assert (row["probability"], row["evidence_outside"], row["asked"]) == (0.87, True, None)
    answers = {test: row[test] for test in ("reason", "presence", "name", "swap")}
    assert answers == {
        "reason": "surroundings",
        "presence": "surroundings",
        "name": "unmeasured",
        "swap": "unmeasured",
    }
    assert row["places"]["presence"] == [[41, 20, 55, 36]]
    assert row["words"]["fitted"] == "400 photographs"
    assert row["evidence"]["detected_ring"] is None


@pytest.mark.parametrize(("number", "said"), [(1.0, True), (0.0, False), (math.nan, None)])
def test_evidence_outside_is_true_false_or_unmeasured(tmp_path, number, said):
    save(
        [replace(inspection(rows=1), evidence=(Evidence({"evidence_outside": number}),))], tmp_path
    )
    (row,) = json.loads((tmp_path / "detections.json").read_text())
    assert row["evidence_outside"] is said
    assert pq.read_table(tmp_path / "evidence.parquet")["evidence_outside"].to_pylist() == [said]


def test_the_folder_holds_what_the_manual_says(tmp_path):
    save([inspection("zoo/000000000042.jpg")], tmp_path / "run")
    name = file_name("zoo/000000000042.jpg")
    found = {str(one.relative_to(tmp_path / "run")) for one in contents(tmp_path / "run")}
    assert found == {
        ".lock",
        "run.json",
        "detections.json",
        "evidence.parquet",
        "evidence.csv",
        "report.html",
        f"maps/{name}.npz",
        f"records/{name}.json",
        f"images/{name}.png",
        f"pictures/{name}.webp",
        *(
            f"pictures/{name}.{row}.{kind}.{suffix}"
            for row in range(2)
            for kind in ("detected", "class")
            for suffix in ("svg", "webp")
        ),
    }
    rows = json.loads((tmp_path / "run" / "detections.json").read_text())
    assert rows[0]["image_id"] == 1
    assert rows[0]["category_id"] == 1
    assert rows[0]["bbox"] == [2.0, 5.0, 14.0, 25.5]
    assert rows[0]["verdict"]["level"] == "TRUSTED"
    assert rows[0]["shares"]["detected"] == {
        "box": 0.74, "ring": None, "outside": 0.06, "elsewhere": None, "ratio": None,
        "gathered": None,
    }  # fmt: skip
    table = pq.read_table(tmp_path / "run" / "evidence.parquet")
    assert table.num_rows == 2
    assert table["evidence_detected_box"].to_pylist() == [0.74, 0.74]
    assert table["evidence_detected_ring"].to_pylist() == [None, None]
    for column, said in {
        "level": "TRUSTED", "reason": "object", "cause": "object", "presence": "object",
        "name": "unmeasured", "swap": "unmeasured", "map": "reliable", "evidence_outside": True,
        "outcome": None, "measured_class_seconds": 0.5, "measured_added_seconds": None,
    }.items():  # fmt: skip
        assert table[column].to_pylist() == [said, said], column
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (manifest["format"], manifest["detections_format"]) == (4, 1)
    assert manifest["model"]["sha256"] == "ab" * 32
    assert manifest["done"] == [{"source": "zoo/000000000042.jpg", "name": name}]
    assert manifest["images"] == [{"id": 1, "file_name": "zoo/000000000042.jpg"}]


def test_an_image_without_detections_is_a_result(tmp_path):
    save([inspection(rows=0)], tmp_path / "run")
    read = load_run(tmp_path / "run")
    same(inspection(rows=0), read.inspections[0])
    assert json.loads((tmp_path / "run" / "detections.json").read_text()) == []
    assert pq.read_table(tmp_path / "run" / "evidence.parquet").num_rows == 0
    assert "Nothing was found" in (tmp_path / "run" / "report.html").read_text()


def test_flat_and_negative_maps_are_kept_as_they_are(tmp_path):
    maps = [torch.zeros(40, 60), -torch.ones(40, 60)]
    save([inspection(heatmaps=maps)], tmp_path / "run")
    read = load_run(tmp_path / "run").inspections[0]
    assert torch.equal(read.explanations[0].heatmap, maps[0])
    assert torch.equal(read.explanations[1].heatmap, maps[1])


@given(exponent=st.integers(-30, 30), seed=st.integers(0, 99))
def test_maps_of_any_size_of_number_keep_their_precision(tmp_path_factory, exponent, seed):
    heatmap = torch.randn(5, 7, generator=torch.Generator().manual_seed(seed)) * 10.0**exponent
    path = tmp_path_factory.mktemp("maps") / "one.npz"
    path.write_bytes(pixels.encode_maps({"class": [None, heatmap]}, (5, 7)))
    nothing, read = pixels.read_maps(path, {"class": [False, True]}, (5, 7))["class"]
    assert nothing is None
    largest = float(heatmap.abs().max())
    torch.testing.assert_close(read, heatmap, rtol=2**-10, atol=largest * 2**-23)


def test_images_with_more_than_eight_bits_lose_next_to_nothing(tmp_path):
    image = torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(3))
    save([inspection(image=image)], tmp_path / "run")
    read = load_run(tmp_path / "run").inspections[0].image
    torch.testing.assert_close(read, image, rtol=0, atol=1 / 131070 + 1e-7)


@pytest.mark.parametrize(
    ("one", "other"),
    [("a/x.jpg", "b/x.jpg"), ("x.jpg", "x.png"), ("X.jpg", "x.jpg"), ("a b.jpg", "a_b.jpg")],
)
def test_equal_names_never_collide(one, other):
    assert file_name(one).lower() != file_name(other).lower()


@given(st.text(max_size=300))
def test_file_names_are_safe_whatever_the_source_is_called(source):
    name = file_name(source)
    assert len(name) < 100
    assert not set(name) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def test_file_names_that_are_no_text_are_written_all_the_same(tmp_path):
    source = os.fsdecode(b"zoo/z\xffbra.jpg")
    writer = open_run(tmp_path / "run", HEADER)
    writer.add(inspection(source))
    writer.fail(os.fsdecode(b"zoo/\xfe.jpg"), "is damaged")
    writer.finish()
    assert load_run(tmp_path / "run").records[0].source == source


# Going on where it stopped


def test_a_killed_run_goes_on_and_loses_nothing(tmp_path):
    folder = tmp_path / "run"
    open_run(folder, HEADER).add(inspection("a.jpg"))  # killed here: never finished
    again = open_run(folder, HEADER)
    assert again.done == {"a.jpg"}
    again.add(inspection("b.jpg", seed=1))
    again.finish()
    read = load_run(folder)
    assert [one.source for one in read.records] == ["a.jpg", "b.jpg"]
    assert len(read.sessions) == 2


@pytest.mark.parametrize("writes", range(6))
def test_a_kill_at_any_write_costs_at_most_the_image_in_work(tmp_path, monkeypatch, writes):
    folder = tmp_path / "run"
    writer = open_run(folder, HEADER)
    writer.add(inspection("a.jpg"))
    left = [writes]
    replace = Path.replace

    def dying(self, target):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying)
        with pytest.raises(KeyboardInterrupt):
            writer.add(inspection("b.jpg", seed=1))
    assert writer.done == {"a.jpg"}
    writer.close()
    again = open_run(folder, HEADER)
    assert again.done == {"a.jpg"}
    again.finish("interrupted")
    read = load_run(folder)
    assert read.status == "interrupted"
    same(inspection("a.jpg"), read.inspections[0])


def test_a_kill_before_the_first_manifest_leaves_a_usable_folder(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".run.json.part").write_text("{")
    open_run(tmp_path / "run", HEADER).finish()
    assert not (tmp_path / "run" / ".run.json.part").exists()


def test_failed_files_are_listed_and_tried_again(tmp_path):
    writer = open_run(tmp_path / "run", HEADER)
    writer.fail("bad.jpg", "is damaged\n(cut short)")
    assert load_run(tmp_path / "run").failed == {"bad.jpg": "is damaged (cut short)"}
    writer.close()
    again = open_run(tmp_path / "run", HEADER)
    assert "bad.jpg" not in again.done
    again.add(inspection("bad.jpg"))
    again.finish()
    assert load_run(tmp_path / "run").failed == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"method": "input_x_gradient"}, "method: d_rise there, input_x_gradient here"),
        ({"method": "", "settings": {}}, "method: d_rise there,  here"),
        ({"settings": {**SETTINGS, "steps": 9}}, "settings steps: 8 there, 9 here"),
        ({"class_names": ("cat",)}, "class_names: 2 there, 1"),
        ({"confidence": 0.5}, "confidence: 0.25 there, 0.5 here"),
        ({"asked": "zebra"}, "asked: None there, zebra here"),
        ({"limits": {"near": 0.5}}, "limits near: None there, 0.5 here"),
        ({"budget": "quick"}, "budget: standard there, quick here"),
        ({"references": ("a.jpg", "c.jpg", "d.jpg")}, "references: 2 there, 3 other ones here"),
        ({"lang": "de"}, "lang: en there, de here"),
        ({"version": "0.0.1"}, "version: .* there, 0.0.1 here"),
    ],
)
def test_a_folder_of_another_run_is_refused_and_left_alone(tmp_path, change, said):
    folder = tmp_path / "run"
    first = replace(
        HEADER, method="d_rise", settings=SETTINGS, budget="standard", references=("a.jpg", "b.jpg")
    )
    writer = open_run(folder, first)
    writer.add(inspection(added=[torch.ones(40, 60)] * 2))
    writer.finish()
    before = contents(folder)
    with pytest.raises(InputError, match=said):
        open_run(folder, replace(first, **change))
    assert contents(folder) == before


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(InputError, match="not empty"):
        open_run(tmp_path, HEADER)
    with pytest.raises(InputError, match="is a file"):
        open_run(tmp_path / "thesis.doc", HEADER)


def test_another_image_of_the_same_name_is_refused(tmp_path):
    writer = open_run(tmp_path / "run", HEADER)
    writer.add(inspection("array"))
    writer.add(inspection("array"))
    with pytest.raises(InputError, match="another image"):
        writer.add(inspection("array", seed=5))
    with pytest.raises(InputError, match="source 'array'"):
        save([inspection("array"), inspection("array")], tmp_path / "other")


def test_nothing_cannot_be_saved(tmp_path):
    with pytest.raises(InputError, match="nothing to save"):
        save([], tmp_path / "run")


def test_a_chunk_without_detections_belongs_to_the_run_whichever_comes_first(tmp_path):
    maps = [torch.ones(40, 60)] * 2
    full = inspection("b.jpg", seed=1, added=maps, asked=NAMES[1], budget="quick")
    empty = inspection("a.jpg", rows=0)
    for place, chunks in (("one", (empty, full)), ("two", (full, empty))):
        for chunk in chunks:
            save([chunk], tmp_path / place)
        run = load_run(tmp_path / place)
        assert (run.header.method, run.header.settings["steps"]) == ("d_rise", 8)
        assert (run.header.budget, run.header.asked) == ("quick", NAMES[1])
        assert len(run.records) == 2


def test_a_map_more_or_less_is_another_run(tmp_path):
    """No method at all is a method of its own once there are detections."""
    plain_, more = inspection("a.jpg"), inspection("b.jpg", added=[torch.ones(40, 60)] * 2)
    for place, chunks in (("one", (plain_, more)), ("two", (more, plain_))):
        save([chunks[0]], tmp_path / place)
        with pytest.raises(InputError, match="belongs to another run"):
            save([chunks[1]], tmp_path / place)
    with pytest.raises(InputError, match="no added method"):
        save([more, plain_], tmp_path / "both")


def test_another_budget_is_another_run(tmp_path):
    save([inspection("a.jpg", budget="quick")], tmp_path)
    assert load_run(tmp_path).header.budget == "quick"
    with pytest.raises(InputError, match="budget: quick there, thorough here"):
        save([inspection("b.jpg", budget="thorough")], tmp_path)
    writer = open_run(tmp_path / "other", replace(HEADER, budget="quick"))
    with pytest.raises(InputError, match="at the budget 'thorough', the run"):
        writer.add(inspection("b.jpg", budget="thorough"))


def test_what_verdicts_were_held_against_is_written_down(tmp_path):
    save([inspection()], tmp_path, references=["zoo/other.jpg"], lang="de")
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["limits"] == dict(DEFAULT_POLICY.limits)
    assert (run["references"], run["lang"]) == (["zoo/other.jpg"], "de")
    header = load_run(tmp_path).header
    assert (header.references, header.lang) == (("zoo/other.jpg",), "de")


@pytest.mark.parametrize("setting", ["{}/a.bin", "{}", "blur,{}/a.bin"])
@pytest.mark.parametrize("picture", ["b.png", "B.JPG"])
def test_a_file_that_a_setting_names_belongs_to_the_run(tmp_path, setting, picture):
    """Statistics fitted anew, or another picture under the baseline's name, are another run."""
    (tmp_path / "given").mkdir()
    for name in ("a.bin", picture):
        (tmp_path / "given" / name).write_bytes(b"first")
    settings = {**SETTINGS, "statistics": setting.format(tmp_path / "given")}
    header = Header(DETECTOR, NAMES, "parchgrad", settings)
    open_run(tmp_path / "run", header).finish()
    open_run(tmp_path / "run", header).finish()
    for name in ("a.bin", picture):
        (tmp_path / "given" / name).write_bytes(b"second")
    with pytest.raises(InputError, match=r"belongs to another run \(files statistics"):
        open_run(tmp_path / "run", header)


def test_saving_fewer_detections_leaves_no_picture_of_the_others(tmp_path):
    image = inspection().image
    save([inspection(rows=3, image=image)], tmp_path / "run")
    save([inspection(rows=1, image=image)], tmp_path / "run")
    name = file_name("zoo/zebra.jpg")
    pictures = {one.name for one in (tmp_path / "run" / "pictures").iterdir()}
    assert {one.removeprefix(name) for one in pictures} == {
        ".webp", ".0.detected.svg", ".0.detected.webp", ".0.class.svg", ".0.class.webp"
    }  # fmt: skip


def test_bad_files_cost_a_line_each_and_none_is_lost(tmp_path, monkeypatch):
    writer = open_run(tmp_path / "run", HEADER)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: pytest.fail("a whole file was written"))
        for number in range(20):
            writer.fail(f"{number}.jpg", "is damaged")
    writer.close()  # killed here
    with (tmp_path / "run" / "failed.jsonl").open("a") as stream:
        stream.write('{"source": "cut.jpg", "rea')
    expected = {f"{number}.jpg": "is damaged" for number in range(20)}
    assert load_run(tmp_path / "run").failed == expected
    again = open_run(tmp_path / "run", HEADER)
    again.add(inspection("3.jpg"))
    again.finish()
    del expected["3.jpg"]
    assert load_run(tmp_path / "run").failed == expected
    assert not (tmp_path / "run" / "failed.jsonl").exists()


def held(folder, *paths):
    writer = open_run(folder, HEADER)
    try:
        return writer.recognise(paths)
    finally:
        writer.close()


def files_in(folder, **contents):
    folder.mkdir(exist_ok=True)
    paths = []
    for name, content in contents.items():
        paths.append(folder / f"{name}.jpg")
        paths[-1].write_text(content)
    return paths


def write_run(folder, paths):
    writer = open_run(folder, HEADER)
    for seed, path in enumerate(paths):
        digest = files.file_sha256(path)
        writer.add(inspection(str(path), seed=seed), file_sha256=digest)
    writer.finish()


def test_files_are_known_by_their_content(tmp_path):
    a, b, c = files_in(tmp_path / "x", a="one", b="two", c="two")
    write_run(tmp_path / "run", [a, b, c])
    assert held(tmp_path / "run", a, b, c) == {a: str(a), b: str(b), c: str(c)}
    a.write_text("another")
    (copy,) = files_in(tmp_path / "y", copy="two")
    assert held(tmp_path / "run", a, b, copy) == {b: str(b)}  # a copy is a second image
    b.unlink()
    assert held(tmp_path / "run", b) == {b: str(b)}  # nothing speaks against its record
    assert held(tmp_path / "run", copy) == {copy: str(b)}  # now it has been moved


def test_equal_files_that_move_together_keep_their_names_apart(tmp_path):
    a, b = files_in(tmp_path / "x", a="same", b="same")
    write_run(tmp_path / "run", [a, b])
    (tmp_path / "x").rename(tmp_path / "y")
    b, a = (tmp_path / "y" / name for name in ("b.jpg", "a.jpg"))
    found = held(tmp_path / "run", b, a)
    assert {path.name: Path(source).name for path, source in found.items()} == {
        "a.jpg": "a.jpg",
        "b.jpg": "b.jpg",
    }


def test_a_new_image_under_the_old_name_of_a_moved_one_leaves_it_alone(tmp_path):
    (old,) = files_in(tmp_path / "x", a="one")
    write_run(tmp_path / "run", [old])
    new = old.rename(tmp_path / "b.jpg")
    old.write_text("two")
    writer = open_run(tmp_path / "run", HEADER)
    assert writer.recognise([old, new]) == {}  # not before the old name is given up
    old.unlink()
    assert writer.recognise([new]) == {new: str(old)}
    writer.revise(writer.record(str(old)), str(new), None, None)
    writer.add(inspection(str(old), seed=5))
    run = writer.finish()
    assert {one.source for one in run.records} == {str(old), str(new)}
    same(inspection(str(old), seed=5), next(i for i in run.inspections if i.source == str(old)))
    moved = next(i for i in run.inspections if i.source == str(new))
    same(inspection(str(new)), moved, pixels=False)


def test_only_a_file_that_is_gone_is_held_without_a_look_at_it(tmp_path, monkeypatch):
    a, b = files_in(tmp_path / "x", a="one", b="two")
    write_run(tmp_path / "run", [a, b])
    opened = Path.open

    def refuse(path, *mode, **settings):
        if path in (a, b):
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *mode, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        assert held(tmp_path / "run", a, b) == {}
    a.unlink()
    a.mkdir()
    assert held(tmp_path / "run", a, b) == {b: str(b)}
    shutil.rmtree(tmp_path / "x")
    assert held(tmp_path / "run", a, b) == {a: str(a), b: str(b)}


def test_a_place_that_may_not_be_looked_at_is_not_given_up(tmp_path, monkeypatch):
    (old,) = files_in(tmp_path / "x", a="one")
    write_run(tmp_path / "run", [old])
    new = old.rename(tmp_path / "b.jpg")
    looked = Path.stat

    def refuse(path, **rest):
        if path == old:
            raise PermissionError(errno.EACCES, "Permission denied")
        return looked(path, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", refuse)
        assert held(tmp_path / "run", new) == {}
    assert held(tmp_path / "run", new) == {new: str(old)}


def test_only_the_files_of_an_image_that_is_given_up_go(tmp_path):
    """Its name is that of a file, which may come from a stranger; here it is a pattern."""
    save([inspection("a.jpg"), inspection("b.jpg", seed=1)], tmp_path / "run")
    for file in tmp_path.glob(f"run/*/{file_name('a.jpg')}.*"):
        file.rename(file.with_name(file.name.replace(file_name("a.jpg"), "*")))
    before = set(contents(tmp_path / "run"))
    writer = open_run(tmp_path / "run", load_run(tmp_path / "run").header)
    writer.fail("a.jpg", "is damaged")
    writer.finish()
    gone = before - set(contents(tmp_path / "run"))
    assert len(gone) == 1 + 1 + 1 + 9  # record, maps, pixels, pictures
    assert {one.name.split(".")[0] for one in gone} == {"*"}


def test_an_image_that_is_given_up_leaves_no_file(tmp_path):
    writer = open_run(tmp_path / "run", HEADER)
    writer.add(inspection("a.jpg"))
    writer.fail("a.jpg", "is damaged")
    writer.finish()
    for folder in ("records", "maps", "pictures", "images"):
        assert list((tmp_path / "run" / folder).iterdir()) == []


def test_a_replaced_image_that_cannot_be_read_has_no_verdict(tmp_path):
    (path,) = files_in(tmp_path / "x", a="one")
    write_run(tmp_path / "run", [path])
    writer = open_run(tmp_path / "run", HEADER)
    writer.fail(str(path), "is damaged")
    writer.close()
    run = load_run(tmp_path / "run")
    assert run.failed == {str(path): "is damaged"}
    assert run.records == ()


def test_what_changes_about_a_held_image_is_written_and_drawn(tmp_path):
    (path,) = files_in(tmp_path / "x", a="one")
    write_run(tmp_path / "run", [path])
    page = tmp_path / "run" / "report.html"
    assert 'class="box missed"' not in page.read_text()
    fates = (Fate(Kind.RIGHT, "zebra", 0.8), Fate(Kind.BACKGROUND))
    missed = Outcome(fates, (Missed("zebra", (1.0, 2.0, 3.5, 4.0)),))
    writer = open_run(tmp_path / "run", HEADER)
    writer.revise(writer.record(str(path)), str(path), 7, missed)
    (record,) = writer.finish().records
    assert (record.outcome, record.image_id) == (missed, 7)
    assert 'class="box missed"' in page.read_text()  # the missed object is dashed


# Two writers

WRITING = """
import sys
from samples import DETECTOR, NAMES, inspection
from xai_detect.output.folder.header import Header
from xai_detect.output.run import open_run

header = Header(DETECTOR, NAMES, "", {}, confidence=0.25)
writer = open_run(sys.argv[1], header)
for number in range(int(sys.argv[2])):
    writer.add(inspection(f"{number}.jpg", seed=number))
    print(number, flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(code, *arguments):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    command = [sys.executable, "-c", code, *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_second_writer_is_told_and_readers_are_not_kept_out(tmp_path):
    with another_process(WRITING, tmp_path / "run", 1) as process:
        assert process.stdout.readline() == "0\n"
        with pytest.raises(InputError, match="is being written by someone else"):
            open_run(tmp_path / "run", HEADER)
        assert len(load_run(tmp_path / "run").inspections) == 1
        process.kill()
        process.wait(60)
        assert open_run(tmp_path / "run", HEADER).done == {"0.jpg"}  # the lock died with it


def test_a_process_that_is_killed_loses_at_most_the_image_in_work(tmp_path):
    folder = tmp_path / "run"
    with another_process(WRITING, folder, 1000) as process:
        for number in range(3):
            assert process.stdout.readline() == f"{number}\n"
        process.kill()  # anywhere in the next one
        process.wait(60)
        said = process.stdout.read().splitlines()
    writer = open_run(folder, HEADER)
    assert {f"{number}.jpg" for number in range(3 + len(said))} <= writer.done
    run = writer.finish()
    assert len(run.records) <= 4 + len(said)
    for one in run.inspections:
        same(inspection(one.source, seed=int(one.source.split(".")[0])), one)
    assert not list(folder.rglob(f".*{files.PART}"))


def test_a_second_writer_in_the_same_process_is_told_as_well(tmp_path):
    writer = open_run(tmp_path / "run", HEADER)
    with pytest.raises(InputError, match="someone else"):
        save([inspection()], tmp_path / "run")
    writer.finish()
    save([inspection()], tmp_path / "other")
    with pytest.raises(InputError, match="is finished; open it again"):
        writer.add(inspection())
    assert open_run(tmp_path / "run", HEADER).done == frozenset()


OVERWRITING = """
import sys
from pathlib import Path
from xai_detect.values.files import write_bytes

for _ in range(200):
    write_bytes(Path(sys.argv[1]), sys.argv[2].encode() * 5000)
print("through", flush=True)
"""


def test_two_processes_that_write_one_file_never_meet(tmp_path):
    path = tmp_path / "one.bin"
    with (
        another_process(OVERWRITING, path, "a") as first,
        another_process(OVERWRITING, path, "b") as second,
    ):
        assert [one.stdout.readline() for one in (first, second)] == ["through\n"] * 2
    assert path.read_bytes() in (b"a" * 5000, b"b" * 5000)
    assert list(tmp_path.iterdir()) == [path]


# Tables


def test_images_are_numbered_once_and_never_taken_for_another():
    assert image_ids([("x", None), ("y", None)]) == [1, 2]
    assert image_ids([("x", 7), ("y", None), ("z", 3), ("w", None)]) == [7, -1, 3, -2]
    assert image_ids([("x", -1), ("y", None), ("z", -4), ("w", None)]) == [-1, -5, -4, -6]
    assert image_ids([("x", "seven"), ("y-01", None)]) == ["seven", "y-01"]


def test_files_whose_names_hold_one_number_are_two_images(tmp_path):
    save([inspection("1.png"), inspection("01.png", seed=1), inspection("a.png")], tmp_path / "run")
    rows = json.loads((tmp_path / "run" / "detections.json").read_text())
    images = json.loads((tmp_path / "run" / "run.json").read_text())["images"]
    assert [one["id"] for one in images] == [1, 2, 3]
    names = {one["id"]: one["file_name"] for one in images}
    assert all(names[row["image_id"]] == row["file_name"] for row in rows)


def test_the_data_sets_ids_stay_to_the_end(tmp_path):
    header = replace(HEADER, category_ids=(90, 3))
    writer = open_run(tmp_path / "run", header)
    writer.add(inspection("a.jpg"), image_id=139)
    writer.add(inspection("b.jpg", seed=1))
    writer.finish()
    rows = json.loads((tmp_path / "run" / "detections.json").read_text())
    assert [(row["image_id"], row["category_id"]) for row in rows] == [
        (139, 90), (139, 3), (-1, 90), (-1, 3),
    ]  # fmt: skip
    run = load_run(tmp_path / "run")
    assert (run.header.category_ids, run.records[0].image_id) == ((90, 3), 139)
    open_run(tmp_path / "run", replace(header, category_ids=(1, 2))).finish()  # ids were corrected
    assert load_run(tmp_path / "run").header.category_ids == (1, 2)


def test_every_run_has_the_same_columns(tmp_path):
    strange = Evidence({"detected_box": 0.5, "wit": 2.0})
    one = inspection("strange.jpg", rows=1)
    one = replace(
        one,
        evidence=(strange,),
        explanations=tuple(replace(each, measured={"masks": 9.0}) for each in one.explanations),
    )
    schemas = []
    for place, ones in (
        ("empty", [inspection(rows=0)]), ("usual", [inspection()]), ("strange", [one]),
    ):  # fmt: skip
        save(ones, tmp_path / place)
        table = pq.read_table(tmp_path / place / "evidence.parquet")
        schemas.append(table.schema)
        types = {field.type for field in table.schema}
        assert pa.null() not in types
    assert schemas[0] == schemas[1] == schemas[2]
    assert table["others"].to_pylist() == [
        [
            ("evidence_wit", 2.0),
            ("measured_detected_masks", 9.0),
        ]
    ]
    assert table["evidence_detected_box"].to_pylist() == [0.5]
    assert table["evidence_detected_ring"].to_pylist() == [None]


def test_every_kind_of_evidence_has_a_column():
    columns = {one for one in evidence_table([]).schema.names if one.startswith("evidence_")}
    numbers = {f"evidence_{name}" for name in NUMBERS_OF_EVIDENCE if name != "evidence_outside"}
    assert columns == numbers | {"evidence_outside"}


# A full disk


class FullDisk:
    """Lets some bytes through, then has no space left."""

    def __init__(self, stream, room):
        self._stream, self._room = stream, room

    def write(self, content):
        if len(content) > self._room:
            self._stream.write(content[: self._room])
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._stream.write(content)

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._stream.close()


def test_a_full_disk_is_one_sentence_and_costs_nothing_that_was_written(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    writer = open_run(folder, HEADER)
    writer.add(inspection("a.jpg"))
    writer.finish()
    writer = open_run(folder, HEADER)
    before = contents(folder)
    opened = Path.open
    with monkeypatch.context() as patch:
        patch.setattr(
            Path,
            "open",
            lambda self, mode="r", *rest: (
                FullDisk(opened(self, mode, *rest), 100)
                if "w" in mode
                else opened(self, mode, *rest)
            ),
        )
        with pytest.raises(InputError, match="the disk is full"):
            writer.add(inspection("b.jpg", seed=1))
        with pytest.raises(InputError, match="the disk is full"):
            writer.finish()
    assert contents(folder) == before
    same(inspection("a.jpg"), load_run(folder).inspections[0])


def test_a_folder_that_may_not_be_written_is_one_sentence(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(InputError, match="could not be written \\(Permission denied\\)"):
        files.write_bytes(tmp_path / "x", b"")
    assert list(tmp_path.iterdir()) == []


# Folders from strangers


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "run"
    save([inspection("a.jpg")], folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "run")


def record_of(folder):
    return folder / "records" / f"{file_name('a.jpg')}.json"


def changed(path, **values):
    content = json.loads(path.read_text())
    content.update(values)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": NaN}', "[" * 100_000])
def test_a_damaged_manifest_is_one_sentence(folder, text):
    (folder / "run.json").write_text(text)
    with pytest.raises(InputError) as caught:
        load_run(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no run"):
        load_run(tmp_path)


@pytest.mark.parametrize("layout", [1, 2, 3, 99, None])
def test_another_layout_is_refused(folder, layout):
    changed(folder / "run.json", format=layout)
    with pytest.raises(InputError, match=f"has layout {layout}, but this version reads layout 4"):
        load_run(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"image_size": [10**9, 10**9]},
        {"image_size": [0, 3]},
        {"image_size": "xy"},
        {"detections": {}},
        {"detections": [{"box": [0, 0, 1]}]},
        {"detections": [7]},
        {"source": 3},
    ],
)
def test_a_damaged_record_is_one_sentence(folder, change):
    changed(record_of(folder), **change)
    with pytest.raises(InputError, match="damaged"):
        load_run(folder)


GOOD_VERDICT = {
    "level": "TRUSTED", "reason": "object", "cause": "", "sentence": "", "numbers": "",
    "unmeasured": [],
}  # fmt: skip
NO_MAPS = dict.fromkeys(KINDS)
GOOD_MAP = {"method": "d_rise", "settings": {}, "measured": {}, "content_size": None}


@pytest.mark.parametrize("supported", [False, True])
def test_what_impossible_detections_are_made_of_is_possible(folder, supported):
    """The cases below differ from these by the one thing that is wrong."""
    rows = json.loads(record_of(folder).read_text())["detections"]
    rows[0] |= {
        "verdict": GOOD_VERDICT,
        "maps": {**NO_MAPS, "added": {**GOOD_MAP, "content_size": [4, 6]}},
        "asked": {"name": "cat", "supported": supported, "score": 0.5, "sentence": ""},
        "words": {"presence": "unclear"},
        "places": {"name": [[0, 0, 1, 2]]},
    }
    changed(record_of(folder), detections=rows)
    (record,) = load_run(folder).records
    assert record.asked[0].supported is supported
    assert record.maps["added"][0].content_size == (4, 6)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("label", 99),
        ("label", 0.5),
        ("label", 10**30),
        ("score", 7.0),
        ("score", "0.5"),
        ("box", [3, 3, 1, 1]),
        ("verdict", {**GOOD_VERDICT, "level": "SURE"}),
        ("verdict", {**GOOD_VERDICT, "reason": "magic"}),
        ("verdict", {**GOOD_VERDICT, "numbers": 7}),
        ("verdict", {**GOOD_VERDICT, "unmeasured": "all"}),
        ("evidence", {"inside": True}),
        ("words", {"presence": "perhaps"}),
        ("words", {"map": 3}),
        ("places", {"name": [[0, 0, 1]]}),
        ("places", {"name": [[0, 0, 1, "Infinity"]]}),
        ("asked", {"name": "cat", "supported": 1, "score": 0.5, "sentence": ""}),
        ("asked", "cat"),
        ("maps", {"detected": None, "class": None}),
        ("maps", {**NO_MAPS, "added": {**GOOD_MAP, "content_size": [0, 6]}}),
        ("maps", {**NO_MAPS, "added": {**GOOD_MAP, "content_size": 40}}),
    ],
)
def test_an_impossible_detection_is_one_sentence(folder, key, value):
    rows = json.loads(record_of(folder).read_text())["detections"]
    rows[0][key] = value
    changed(record_of(folder), detections=rows)
    with pytest.raises(InputError, match="damaged"):
        load_run(folder)


def test_names_inside_a_record_open_no_files(folder):
    changed(record_of(folder), name="../../secret", maps="../../secret.npz")
    same(inspection("a.jpg"), load_run(folder).inspections[0])


def test_links_out_of_the_folder_are_not_followed(folder, tmp_path):
    target = folder / "maps" / f"{file_name('a.jpg')}.npz"
    target.rename(tmp_path / "elsewhere.npz")
    target.symlink_to(tmp_path / "elsewhere.npz")
    with pytest.raises(InputError, match="leads out of the run folder"):
        load_run(folder).inspections[0]


def test_pickled_maps_are_refused(folder):
    path = folder / "maps" / f"{file_name('a.jpg')}.npz"
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **arrays)
    assert load_run(folder).inspections[0].contrasts[0] is not None  # not for another fault
    np.savez(path, **{**arrays, "class": np.array([{"run": "me"}], object)})
    with pytest.raises(InputError, match="damaged"):
        load_run(folder).inspections[0]


def test_maps_that_unpack_to_more_than_announced_are_refused_unread(folder, monkeypatch):
    path = folder / "maps" / f"{file_name('a.jpg')}.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for kind in ("detected", "class", "added"):
            archive.writestr(f"{kind}.npy", b"\0" * (10_000_000 if kind == "class" else 100))
            archive.writestr(f"{kind}_scales.npy", b"")
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(InputError, match="other maps than"):
        load_run(folder).inspections[0]


@pytest.mark.parametrize("keep", [0, 10, 200, 5000])
def test_cut_maps_and_pictures_are_one_sentence(folder, keep):
    for path in (*(folder / "maps").iterdir(), *(folder / "images").iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole[:keep])
        with pytest.raises(InputError, match="damaged"):
            load_run(folder).inspections[0]
        path.write_bytes(whole)


def test_a_missing_map_is_one_sentence(folder):
    (folder / "maps" / f"{file_name('a.jpg')}.npz").unlink()
    with pytest.raises(InputError, match="No such file"):
        load_run(folder).inspections[0]


def test_levels_survive(tmp_path):
    levels = [Level.TRUSTED, Level.UNCERTAIN, Level.UNTRUSTED]
    save([inspection(f"{one}.jpg", level=one) for one in levels], tmp_path / "run")
    read = {one.source: one.verdicts[0].level for one in load_run(tmp_path / "run").records}
    assert read == {f"{one}.jpg": one for one in levels}


def test_an_inspection_of_another_detector_is_refused(tmp_path):
    other = replace(DETECTOR, name="other.pt")
    writer = open_run(tmp_path / "run", replace(HEADER, provenance=other))
    with pytest.raises(InputError, match=r"inspected by toy\.pt, but"):
        writer.add(inspection())


def test_a_map_by_another_method_or_with_other_settings_is_refused(tmp_path):
    one = inspection(rows=1, added=[torch.ones(40, 60)])
    for name, method, settings in (
        ("a", "input_x_gradient", SETTINGS), ("b", "d_rise", {**SETTINGS, "steps": 9}),
        ("c", "", {}),
    ):  # fmt: skip
        writer = open_run(tmp_path / name, replace(HEADER, method=method, settings=settings))
        with pytest.raises(InputError, match="explained by d_rise with other settings"):
            writer.add(one)
    open_run(tmp_path / "d", replace(HEADER, method="d_rise", settings=SETTINGS)).add(one)


def test_the_manifest_is_the_last_thing_written(tmp_path, monkeypatch):
    order = []
    replace = Path.replace

    def noted(self, target):
        order.append(Path(target).name)
        return replace(self, target)

    writer = open_run(tmp_path / "run", HEADER)
    monkeypatch.setattr(Path, "replace", noted)
    writer.add(inspection("a.jpg"))
    assert order[-1] == f"{file_name('a.jpg')}.json"
    writer.finish()
    assert order[-1] == run.MANIFEST
