"""Evidence by part against what is usual: shares by hand, quantiles, sentences, a whole run."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import NAMES, inspection, spot
from test_cli import call, real_call, scans, toy, write  # noqa: F401 - fixtures

from xai_detect.data.parts import part_of, part_to_coco
from xai_detect.detectors.load import load_detector
from xai_detect.errors import InputError
from xai_detect.evaluation.outcomes import GroundTruth
from xai_detect.evaluation.parts import object_of, parts_found
from xai_detect.output.folder.load import load_run
from xai_detect.output.folder.outcomes import parts_from_json, parts_to_json
from xai_detect.trust.parts import (
    FEWEST,
    part_shares,
    read_usual,
    save_usual,
    shipped_usual,
    usual_of,
)
from xai_detect.values.findings import PartsFound, PartShare
from xai_detect.values.truth import Item, Scan
from xai_detect.words.catalogue import FRACTIONS, LANGUAGES, catalogue

SIZE = (200, 300)


def square(top, left, side):
    mask = torch.zeros(SIZE, dtype=torch.bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_shares_by_hand():
    """Three units on the head, one on the legs; the parts are wide enough for the smoothing."""
    heatmap = spot(SIZE, 60, 60, side=10, value=3.0) + spot(SIZE, 140, 200, side=10, value=1.0)
    head, legs, tail = part_shares(
        heatmap,
        {"head": square(40, 40, 50), "legs": square(120, 180, 50), "tail": square(0, 250, 20)},
    )
    assert head.share == pytest.approx(0.75, abs=1e-4)
    assert legs.share == pytest.approx(0.25, abs=1e-4)
    assert tail.share == pytest.approx(0, abs=1e-6)
    assert head.chance == pytest.approx(2500 / 60_000)


def test_without_positive_evidence_there_is_no_share():
    (head,) = part_shares(-torch.ones(SIZE), {"head": square(0, 0, 9)})
    assert math.isnan(head.share)
    assert head.chance == pytest.approx(81 / 60_000)
    assert part_shares(torch.ones(SIZE), {}) == ()
    with pytest.raises(
        InputError, match=r"'head' is a mask of \(2, 2\), but the map is \(200, 300"
    ):
        part_shares(torch.ones(SIZE), {"head": torch.ones(2, 2, dtype=torch.bool)})


def shares(head, legs):
    return (PartShare("head", head, 0.1), PartShare("legs", legs, 0.2))


def usual(heads, legs=0.1):
    return usual_of([("giraffe", shares(head, legs)) for head in heads], "drawn")


def test_parts_that_usually_hold_more_than_their_area_would_are_telling():
    """The head is a third of the object; of the evidence on the object it holds .5 of .6."""
    found = usual([0.4, 0.5, 0.6, 0.5, 0.5]).classes["giraffe"]
    assert found.telling == ("head",)
    assert found.parts["head"] == pytest.approx((0.5, 0.1))
    assert found.together[0] == pytest.approx(0.4)
    assert found.together[5] == pytest.approx(0.5)
    assert found.together[-1] == pytest.approx(0.6)
    assert usual([0.2] * 5, legs=0.25).classes["giraffe"].telling == ("head",)  # .44 to .33
    assert usual([0.1] * 5, legs=0.19).classes["giraffe"].telling == ()  # .345: next to its area
    assert usual([0.1] * 5, legs=0.9).classes["giraffe"].telling == ("legs",)
    assert usual([0.5] * (FEWEST - 1)).classes == {}
    assert usual([0.5] * (FEWEST - 1) + [math.nan]).classes == {}


@given(st.lists(st.floats(0.2, 1.0), min_size=FEWEST, max_size=30), st.floats(0.0, 1.0))
def test_the_rank_is_about_the_share_of_confirmed_ones_with_as_little(heads, here):
    found = usual(heads).compare("giraffe", shares(here, 0.1), math.nan)
    assert found.here == pytest.approx(here)
    assert found.usual == pytest.approx(np.median(heads))
    below, at_most = np.mean(np.array(heads) < here), np.mean(np.array(heads) <= here + 1e-9)
    slack = 0.1 + 1 / (len(heads) - 1) + 1e-6  # quantiles are kept in steps of a tenth
    assert below - slack <= found.lower <= at_most + slack


def test_the_sentence_says_what_is_usual_and_what_is_here_without_a_digit():
    known = usual([0.4, 0.5, 0.5, 0.5, 0.6])
    assert known.compare("giraffe", shares(0.21, 0.5), 0.19).sentence == (
        "Of the evidence for 'giraffe', half usually lies on head; here a fifth, and a fifth "
        "beyond the object."
    )
    inside = known.compare("giraffe", shares(0.0, 0.5), 0.01).sentence
    assert inside == "Of the evidence for 'giraffe', half usually lies on head; here next to none."
    for language in LANGUAGES:
        said = known.compare("giraffe", shares(0.2, 0.5), 0.3, language).sentence
        assert not any(letter.isdigit() for letter in said)
    nothing = known.compare("zebra", shares(0.2, 0.5), 0.3)
    assert (nothing.sentence, math.isnan(nothing.here)) == ("", True)
    unknown = known.compare("giraffe", shares(math.nan, math.nan), 0.3)
    assert math.isnan(unknown.lower)


def test_fractions_are_the_nearest_that_have_words():
    words = catalogue("en")
    assert words.fraction(0.49) == "half"
    assert words.fraction(0.02) == "next to none"
    assert words.fraction(0.97) == "nearly all"
    assert [words.fraction(share) for share in FRACTIONS.values()] == [
        words.say(f"fraction.{name}") for name in FRACTIONS
    ]
    assert words.listed(()) == ""
    assert words.listed(("neck",)) == "neck"
    assert words.listed(("neck", "head", "legs")) == "neck, head and legs"


def test_what_is_usual_is_kept_and_read_with_suspicion(tmp_path):
    known, path = usual([0.4, 0.5, 0.5, 0.5, 0.6]), tmp_path / "usual.json"
    save_usual(known, path)
    assert read_usual(path) == known
    content = json.loads(path.read_text())
    content["classes"]["giraffe"]["together"] = content["classes"]["giraffe"]["together"][::-1]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="expected 11 that never fall"):
        read_usual(path)
    path.write_text("[]")
    with pytest.raises(InputError, match="is damaged"):
        read_usual(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_usual(tmp_path / "none.json")


def test_a_model_whose_parts_are_unknown_has_nothing_usual():
    assert shipped_usual(load_detector("planted/object")) is None


def test_the_object_of_a_detection_is_the_one_it_overlaps_most_whatever_its_class():
    target = inspection(rows=1).detections.target(0)
    part = part_of("head", np.ones((40, 60), bool))
    x1, y1, x2, y2 = target.box
    near = Item((x1 + 1, y1, x2, y2), 1, 9.0, parts=(part,))
    far = Item((x1 + 6, y1, x2 + 6, y2), 0, 9.0, parts=(part,))
    bare = Item(target.box, 0, 9.0)
    assert object_of([far, near, bare], target) is near
    assert object_of([far, bare], target) is None
    assert object_of([], target) is None


def test_parts_come_back_from_a_record():
    found = (
        None,
        PartsFound((PartShare("head", math.nan, 0.1),)),
        PartsFound(shares(0.2, 0.3), 0.2, 0.5, 0.0, "said"),
    )
    again = parts_from_json(json.loads(json.dumps(parts_to_json(found))), 3)
    assert parts_to_json(again) == parts_to_json(found)
    assert again[2] == found[2]
    assert parts_from_json([], 3) == ()
    with pytest.raises(ValueError, match="parts of 3 detections for 2"):
        parts_from_json(parts_to_json(found), 2)


@pytest.fixture
def annotated(scans):  # noqa: F811
    """Eight more images; each item's head is its upper half, its tail lies where nothing is."""
    for number in range(8):
        write(scans / f"m{number}.png", ("red", number, 7), ("blue", 7 - number, 0))
    head = np.zeros((64, 64), bool)

    def item(number, row, column, name):
        top, left = 8 * row, 8 * column
        mask = head.copy()
        mask[top : top + 4, left : left + 8] = True
        return {
            "id": 10 * number + column, "image_id": number, "bbox": [left, top, 8, 8],
            "category_id": ["red", "green", "blue"].index(name), "area": 64, "iscrowd": 0,
            "parts": {"head": part_to_coco(part_of("head", mask)),
                      "tail": part_to_coco(part_of("tail", np.roll(mask, 32, axis=1)))},
        }  # fmt: skip

    content = {
        "images": [
            {"id": number, "file_name": f"m{number}.png", "width": 64, "height": 64}
            for number in range(8)
        ],
        "annotations": [
            found
            for number in range(8)
            for found in (item(number, number, 7, "red"), item(number, 7 - number, 0, "blue"))
        ],
        "categories": [{"id": k, "name": name} for k, name in enumerate(("red", "green", "blue"))],
    }
    path = scans / "instances_val.json"
    path.write_text(json.dumps(content))
    return path


def test_a_run_with_annotated_parts_says_where_the_evidence_lies(call, annotated):  # noqa: F811
    several = [f"scans/m{number}.png" for number in range(3)]
    code, _, err = call("inspect", *several, "--truth", annotated, "--references", annotated)
    assert code == 0, err
    run = load_run("run")
    for record, found in zip(run.records, run.inspections, strict=True):
        assert parts_to_json(record.parts) == parts_to_json(found.parts)
        for made, parts in zip(found.explanations, found.parts, strict=True):
            head, tail = parts.shares
            assert tail.share < 0.01
            mask = np.zeros((64, 64), bool)
            x1, y1, x2, _ = map(round, made.target.box)
            mask[y1 : y1 + 4, x1:x2] = True
            (known,) = part_shares(made.heatmap, {"head": torch.from_numpy(mask)})
            assert head.share == pytest.approx(known.share, abs=2e-3)
            assert parts.usual > 0.2
            assert parts.sentence.startswith(f"Of the evidence for '{made.target.name}', ")
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "On the parts of the annotated object: head: " in page
    content = json.loads(call("inspect", *several, "--truth", annotated, "--json")[1])
    assert content["detections"][0]["parts"]["shares"][0]["part"] == "head"


def test_no_parts_are_told_of_a_map_that_is_not_shown():
    one = inspection(rows=1, heatmaps=[spot((40, 60), 10, 5)])
    part = part_of("head", np.ones((40, 60), bool))
    item = Item(one.detections.target(0).box, 0, 9.0, parts=(part,))
    scan = Scan("a.png", Path("a.png"), 1, (40, 60), (item,))
    known = GroundTruth({}, {0: 0}, NAMES, (1, 2))
    (told,) = parts_found(known, scan, one)
    assert told.shares[0].share == pytest.approx(1)
    assert told.sentence == ""
    hidden = inspection(rows=1, heatmaps=[spot((40, 60), 10, 5)], map="unreliable")
    assert parts_found(known, scan, hidden) == (None,)
    assert parts_found(known, scan, inspection(rows=1, heatmaps=[None])) == (None,)
    assert parts_found(known, replace(scan, items=()), one) == (None,)
