import importlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from toy import CELL, SealedToy, ToyDetector, scene

import xai_detect as xd
from xai_detect.data.classes import pair_classes, select
from xai_detect.data.records import Dataset
from xai_detect.errors import DiskError, ExplainError, InputError, TargetError
from xai_detect.evaluation.evaluate import evaluate
from xai_detect.measures.matching import Counts
from xai_detect.measures.statistics import auroc
from xai_detect.measures.verdicts import Judged, verdict_figures
from xai_detect.values.findings import Answer, Evidence, Inspection, Level, Verdict
from xai_detect.values.thresholds import Thresholds
from xai_detect.values.truth import Item, Scan

NAMES = ("Red", "GREEN", "stop sign")
SIZE = (64, 64)


def cell_box(row, column):
    return (
        float(column * CELL),
        float(row * CELL),
        float((column + 1) * CELL),
        float((row + 1) * CELL),
    )


def item(label, row, column, **flags):
    return Item(cell_box(row, column), label, float(CELL**2), **flags)


def scan(folder, name, image, *items):
    path = folder / f"{name}.png"
    pixels = (image.permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return Scan(f"{name}.png", path, name, SIZE, items)


def dataset(*scans, problems=()):
    return Dataset("toys", "coco", NAMES, (1, 2, 5), tuple(scans), tuple(problems))


@pytest.fixture
def toys(tmp_path):
    """Two right reds, a green square called an unlabelled crowd, a missed and a wrong one."""
    one = scan(
        tmp_path,
        "one",
        scene(("red", 0, 0), ("red", 3, 3), ("green", 6, 6), ("blue", 0, 7)),
        item(0, 0, 0),
        item(0, 3, 3),
        item(1, 6, 6, crowd=True),
        item(2, 7, 0),
    )
    two = scan(tmp_path, "two", scene(("green", 1, 1), ("red", 2, 2)), item(1, 1, 1))
    return dataset(one, two, scan(tmp_path, "clean", scene()))


def inspector(detector, probability, level=Level.TRUSTED, reason=Answer.OBJECT, outside=math.nan):
    """Judges every detection alike, with a probability by target."""

    def judge(placed, source, found, _whole=None):
        nothing = (None,) * len(found)
        return Inspection(
            source=source,
            image=placed.image,
            detections=found,
            explanations=nothing,
            contrasts=nothing,
            added=nothing,
            evidence=tuple(
                Evidence({"probability": probability(target), "evidence_outside": outside})
                for target in found
            ),
            verdicts=tuple(Verdict(level, reason, "none", "none", "", ()) for _ in found),
            asked=nothing,
            provenance=detector.provenance,
        )

    return judge


def test_figures_by_hand(toys):
    result = evaluate(ToyDetector(), toys, explain=False).as_dict()
    assert (result["n_images"], result["n_objects"], result["n_detections"]) == (3, 4, 4)
    assert (result["precision"], result["recall"], result["f1"]) == (0.75, 0.75, 0.75)
    assert result["iou_mean"] == 1
    # Classes in the order red, green, stop sign, background; truth down, prediction across.
    assert result["confusion"] == [[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]
    assert result["per_class"]["GREEN"]["AP"] == pytest.approx(1)
    assert result["per_class"]["stop sign"]["AP"] == 0
    assert result["per_class"]["stop sign"]["precision"] is None
    assert result["kinds"] == {
        "right": 3,
        "duplicate": 0,
        "wrong_name": 0,
        "badly_placed": 0,
        "both": 0,
        "background": 1,
        "ignored": 1,
    }
    assert result["missed"] == {"all": 1, "nearly_found": 0}
    assert result["AP_small"] == result["AP"]
    assert result["AP_large"] is None
    assert result["trust"] is None


def test_objects_and_detections_are_counted_apart(tmp_path):
    image = scene(("red", 0, 0), ("red", 3, 3), ("red", 6, 6), ("green", 1, 1))
    items = (item(0, 0, 0), item(1, 7, 7), item(1, 5, 7), item(1, 7, 5), item(1, 1, 1))
    result = evaluate(ToyDetector(), dataset(scan(tmp_path, "a", image, *items)), explain=False)
    assert (result.total.right, result.total.wrong, result.total.missed) == (2, 2, 3)
    values = result.as_dict()
    assert (values["n_objects"], values["n_detections"]) == (5, 4)
    assert (values["precision"], values["recall"]) == (0.5, 0.4)
    rows = {name: values["per_class"][name] for name in NAMES[:2]}
    assert [(one["n_objects"], one["n_detections"]) for one in rows.values()] == [(1, 3), (4, 1)]
    assert [one["precision"] for one in rows.values()] == [pytest.approx(1 / 3), 1]
    assert [one["recall"] for one in rows.values()] == [1, 0.25]
    assert [one["f1"] for one in rows.values()] == [0.5, 0.4]
    assert values["dataset"] == "toys"
    assert values["detector"] == "toy"
    assert values["class_names"] == list(NAMES)
    best = max(result.curve.f1.tolist())
    assert values["best_f1"] == best
    assert values["best_f1_confidence"] == result.curve.best[1]
    assert rows["Red"]["AP50"] == values["per_class"]["Red"]["AP50"]


def test_kinds_of_wrong_are_counted_above_the_operating_threshold(tmp_path):
    half = Item((32.0, 0.0, 40.0, 3.0), 0, 24.0)  # the detection on it is badly placed
    image = scene(("red", 1, 1), ("green", 2, 2), ("red", 0, 4), ("green", 6, 6))
    toys = dataset(scan(tmp_path, "a", image, item(1, 1, 1), item(1, 2, 2), half, item(0, 7, 7)))
    result = evaluate(ToyDetector(), toys, explain=False)
    values = result.as_dict()
    assert {kind: count for kind, count in values["kinds"].items() if count} == {
        "right": 1,
        "wrong_name": 1,
        "badly_placed": 1,
        "background": 1,
    }
    assert values["missed"] == {"all": 3, "nearly_found": 2}
    none = evaluate(ToyDetector(), toys, confidence=1.0, explain=False).as_dict()
    assert sum(none["kinds"].values()) == 0
    assert none["missed"] == {"all": 4, "nearly_found": 0}


def test_verdicts_as_plain_values_have_every_share_and_interval(toys):
    detector = ToyDetector()
    result = evaluate(detector, toys, inspector=inspector(detector, lambda one: one.score / 2))
    verdicts, values = result.verdicts, result.as_dict()["trust"]
    level = values["levels"]["TRUSTED"]
    assert (level["right"], level["wrong"], level["ignored"]) == (3, 1, 1)
    assert level["share_right"] == 0.75
    assert level["share_right_interval"] == list(verdicts.levels[Level.TRUSTED].interval)
    for name, ranking in (
        ("auroc_probability", verdicts.probability),
        ("auroc_confidence", verdicts.confidence),
        ("auroc_confidence_same", verdicts.confidence_same),
        ("auroc_gain", verdicts.gain),
    ):
        assert values[name] == ranking.auroc
        assert values[f"{name}_interval"] == [
            None if math.isnan(end) else end for end in ranking.interval
        ]
    assert (values["n"], values["n_measured"], values["n_unmeasured"]) == (4, 4, 0)


def test_the_mean_overlap_is_that_of_the_right_detections(tmp_path):
    narrow = Item((0.0, 0.0, 8.0, 6.0), 0, 48.0)
    shown = scan(
        tmp_path, "a", scene(("red", 0, 0), ("red", 3, 3), ("red", 6, 6)), narrow, item(0, 3, 3)
    )
    result = evaluate(ToyDetector(), dataset(shown), explain=False)
    assert sorted(result.ious.tolist()) == [0.75, 1]
    assert result.as_dict()["iou_mean"] == 0.875


def test_the_seed_is_that_of_the_intervals(tmp_path):
    scans = [
        scan(tmp_path, f"{n}", scene(("red", 0, n), ("green", 4, n)), item(n % 2, 4 * (n % 2), n))
        for n in range(8)
    ]
    detector = ToyDetector()
    judge = inspector(detector, lambda one: np.random.default_rng(one.candidate).random())
    intervals = [
        evaluate(
            detector, dataset(*scans), inspector=judge, seed=seed
        ).verdicts.probability.interval
        for seed in (0, 0, 1, 2, 3, 4, 5)
    ]
    assert intervals[0] == intervals[1]
    assert len(set(intervals)) > 1


def test_the_result_is_plain_json_with_the_promised_keys(toys):
    result = evaluate(
        ToyDetector(), toys, inspector=inspector(ToyDetector(), lambda _: 0.5)
    ).as_dict()
    text = json.dumps(result, allow_nan=False)
    assert json.loads(text) == result
    promised = (
        "AP AP50 AP75 AP_small AP_medium AP_large AR1 AR10 AR100 per_class precision recall f1 "
        "confusion iou_mean n_images n_detections problems trust"
    )
    assert set(promised.split()) <= set(result)


def test_classes_without_a_partner_are_named(toys):
    problems = evaluate(ToyDetector(), toys, explain=False).problems
    assert problems == (
        "classes that are not in the data set, so dropped from all figures: blue",
        "classes unknown to the detector, so always missed: stop sign",
    )


def test_names_pair_whatever_their_case_and_underscores():
    pairs, notes = pair_classes(("Stop_Sign", "red"), ("RED", "stop sign"))
    assert (pairs, notes) == ({0: 1, 1: 0}, ())
    with pytest.raises(InputError, match=r"\(red\) and the data set's \(cow, dog\)"):
        pair_classes(("red",), ("cow", "dog"))


def test_a_damaged_image_is_listed_and_the_others_are_done(toys):
    data = toys.scans[0].path.read_bytes()
    toys.scans[0].path.write_bytes(data[: len(data) // 2])
    result = evaluate(ToyDetector(), toys, explain=False)
    assert result.n_images == 2
    assert "one.png is damaged or cut short" in result.problems[-1]
    assert result.total.recall == 1


def test_nothing_readable_is_an_error(toys):
    for one in toys.scans:
        one.path.unlink()
    with pytest.raises(InputError, match="no image of toys could be evaluated"):
        evaluate(ToyDetector(), toys, explain=False)


@pytest.mark.parametrize("confidence", [-0.1, 0.0, 1.5, math.nan])
def test_a_threshold_outside_its_range_is_refused(toys, confidence):
    with pytest.raises(InputError, match="confidence is"):
        evaluate(ToyDetector(), toys, confidence=confidence, explain=False)


def test_the_threshold_changes_the_operating_point_and_not_ap(toys):
    low, high = (
        evaluate(ToyDetector(), toys, confidence=confidence, explain=False).as_dict()
        for confidence in (0.25, 0.99)
    )
    assert low["AP"] == high["AP"] > 0
    assert (high["n_detections"], high["precision"], high["recall"]) == (0, None, 0)
    assert high["iou_mean"] is None


def test_a_sealed_detector_is_evaluated_and_never_trusted(toys):
    sealed = SealedToy(ToyDetector())
    assert evaluate(sealed, toys, explain=False).total.right == 3
    result = evaluate(sealed, toys)
    assert result.problems == evaluate(sealed, toys, explain=False).problems
    assert result.verdicts.confidence.n == 4
    held = result.verdicts.levels
    assert (held[Level.TRUSTED].right, held[Level.TRUSTED].wrong) == (0, 0)


def test_progress_is_told_after_each_image(toys):
    told = []
    evaluate(
        ToyDetector(), toys, explain=False, progress=lambda done, total: told.append((done, total))
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_verdicts_are_counted_against_the_truth(toys):
    detector = ToyDetector()

    def probability(target):
        return 0.1 if target.box == cell_box(2, 2) else 0.9

    verdicts = evaluate(detector, toys, inspector=inspector(detector, probability)).verdicts
    counts = verdicts.levels[Level.TRUSTED]
    assert (counts.right, counts.wrong, counts.ignored) == (3, 1, 1)
    assert counts.share_right == 0.75
    assert math.isnan(verdicts.levels[Level.UNCERTAIN].share_right)
    assert verdicts.probability.auroc == 1
    assert verdicts.confidence.auroc == 0.5
    assert verdicts.gain.auroc == 0.5
    assert (verdicts.probability.n, verdicts.unmeasured) == (4, 0)


def test_an_unmeasured_probability_is_counted_and_never_ranked(toys):
    detector = ToyDetector()
    verdicts = evaluate(detector, toys, inspector=inspector(detector, lambda _: math.nan)).verdicts
    assert math.isnan(verdicts.probability.auroc)
    assert (verdicts.probability.n, verdicts.unmeasured, verdicts.confidence.n) == (0, 4, 4)
    assert sum(counts.right for counts in verdicts.levels.values()) == 3


def test_an_explanation_that_fails_costs_the_verdicts_of_that_image_only(toys):
    detector = ToyDetector()
    judge = inspector(detector, lambda _: 0.5)

    def failing(image, source, found, whole):
        if source == "one.png":
            raise ExplainError("the map is not finite")
        return judge(image, source, found, whole)

    result = evaluate(detector, toys, inspector=failing)
    assert result.n_images == 3
    assert result.problems[-1] == "one.png: the map is not finite; its verdicts are left out"
    assert result.verdicts.confidence.n == 2


def test_an_image_that_no_method_can_explain_keeps_its_detections(toys):
    def refusing(_image, _source, _found, _whole):
        raise InputError("too small for a mask cell")

    plain, result = (evaluate(ToyDetector(), toys, inspector=one) for one in (None, refusing))
    assert result.n_images == plain.n_images == 3
    assert result.precision_figures.figures == plain.precision_figures.figures
    assert result.verdicts.confidence.n == 0
    said = ": too small for a mask cell; its verdicts are left out"
    assert result.problems[-1] == f"one.png, two.png, clean.png (3 in all){said}"


@pytest.fixture
def searched(monkeypatch):
    """A toy that notes the confidence of each search."""
    detector, asked = ToyDetector(), []
    plain = detector.detect

    def detect(pixels, frame, confidence=0.25):
        asked.extend([confidence] * len(pixels))
        return plain(pixels, frame, confidence)

    monkeypatch.setattr(detector, "detect", detect)
    return detector, asked


@pytest.mark.parametrize("explain", [False, True])
def test_an_image_is_searched_and_matched_once(toys, searched, monkeypatch, explain):
    detector, asked = searched
    module, matched = importlib.import_module("xai_detect.evaluation.evaluate"), []
    plain = module.match
    monkeypatch.setattr(module, "match", lambda *a: matched.append(a) or plain(*a))
    judge = inspector(detector, lambda _: 0.5)
    evaluate(detector, toys, explain=explain, inspector=judge)
    assert asked == [module.LOWEST_CONFIDENCE] * 3
    assert len(matched) == 3


def test_an_image_without_an_explanation_is_searched_once(toys, searched):
    def refusing(_image, _source, _found, _whole):
        raise InputError("too small for a mask cell")

    detector, asked = searched
    evaluate(detector, toys, inspector=refusing)
    assert len(asked) == 3


@pytest.mark.parametrize("confidence", [0.001, 0.25, 0.95, 0.99])
def test_what_is_judged_is_what_the_detector_finds_at_the_threshold(toys, confidence):
    detector, handed = ToyDetector(), []
    plain = inspector(detector, lambda _: 0.5)

    def judge(image, source, found, _whole):
        handed.append((found, xd.detect(detector, image, confidence)))
        return plain(image, source, found)

    result = evaluate(detector, toys, confidence=confidence, inspector=judge)
    for ours, theirs in handed:
        assert same(ours, theirs)
    held = result.verdicts.levels[Level.TRUSTED]
    assert (held.right, held.wrong) == (result.total.right, result.total.wrong)


def same(one, other):
    return all(
        torch.equal(getattr(one, name), getattr(other, name))
        for name in ("boxes", "scores", "labels", "candidates", "proposals")
    )


def test_a_run_that_found_other_detections_is_matched_anew(toys):
    detector = ToyDetector()
    plain = inspector(detector, lambda _: 0.5)

    def remembering(image, source, _found, _whole):
        limit = 0.99 if source == "one.png" else 0.25  # nothing, or what is there
        return plain(image, source, xd.detect(detector, image, limit))

    verdicts = evaluate(detector, toys, inspector=remembering).verdicts
    counts = verdicts.levels[Level.TRUSTED]
    assert (counts.right, counts.wrong, counts.ignored) == (1, 1, 0)


def test_a_class_may_have_a_threshold_of_its_own(toys):
    own = Thresholds(0.25, {"red": 0.99})
    result = evaluate(ToyDetector(), toys, confidence=own, explain=False)
    assert result.counts == (Counts(0, 0, 2), Counts(1, 0, 0), Counts(0, 0, 1))
    assert result.confusion.tolist() == [[0, 0, 0, 2], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert len(result.ious) == 1
    plain = evaluate(ToyDetector(), toys, explain=False)
    assert result.precision_figures.figures == plain.precision_figures.figures
    values = result.as_dict()
    assert (values["confidence"], values["confidence_by_class"]) == (0.25, {"red": 0.99})


def test_a_threshold_of_an_unknown_class_is_refused_before_the_first_image(toys, searched):
    detector, asked = searched
    with pytest.raises(TargetError, match="no class 'reed'; did you mean 'red'"):
        evaluate(detector, toys, confidence=Thresholds(0.25, {"reed": 0.5}))
    with pytest.raises(InputError, match=r"confidence is 0\.0005; expected 0\.001 to 1"):
        evaluate(detector, toys, confidence=Thresholds(0.25, {"red": 0.0005}))
    assert asked == []


def test_the_lowest_confidence_itself_is_a_threshold(toys):
    assert evaluate(ToyDetector(), toys, confidence=0.001, explain=False).n_images == 3
    assert evaluate(ToyDetector(), toys, confidence=1.0, explain=False).total.right == 0


def test_detections_are_judged_as_inspect_judges_them_unless_told_otherwise(toys, monkeypatch):
    module, handed = importlib.import_module("xai_detect.evaluation.evaluate"), []
    plain = module.inspect
    monkeypatch.setattr(
        module, "inspect", lambda *a, **k: handed.append(plain(*a, **k)) or handed[-1]
    )
    verdicts = evaluate(ToyDetector(), toys).verdicts
    assert [found.source for found in handed] == [one.name for one in toys.scans]
    given = [verdict.level for found in handed for verdict in found.verdicts]
    assert len(given) == 6  # one of them of a class that the data set does not have
    known = [
        verdict.level
        for found in handed
        for target, verdict in zip(found.detections, found.verdicts, strict=True)
        if target.name != "blue"
    ]
    assert len(known) == 5
    for level, counts in verdicts.levels.items():
        assert counts.right + counts.wrong + counts.ignored == known.count(level)


def test_what_decides_is_counted_by_class_and_level(toys):
    detector = ToyDetector()

    def judge(placed, source, found, _whole):
        reason = Answer.SURROUNDINGS if source == "two.png" else Answer.OBJECT
        level = Level.UNTRUSTED if source == "two.png" else Level.TRUSTED
        outside = 1.0 if source == "two.png" else 0.0
        return inspector(detector, lambda _: 0.5, level, reason, outside)(placed, source, found)

    values = evaluate(detector, toys, inspector=judge).as_dict()["trust"]
    nothing = dict.fromkeys(map(str, Answer), 0)
    assert values["decided_by"] == {
        "Red": {**nothing, "object": 2, "surroundings": 1},
        "GREEN": {**nothing, "object": 1, "surroundings": 1},
    }
    assert values["levels"]["UNTRUSTED"]["reasons"] == {**nothing, "surroundings": 2}
    assert values["levels"]["TRUSTED"]["share_of_reasons"] == {**nothing, "object": 1}
    assert values["levels"]["UNCERTAIN"]["share_of_reasons"] == dict.fromkeys(nothing)
    assert values["evidence_outside"] == {"shown": 2, "not_shown": 3, "unmeasured": 0}


def test_the_detections_behind_ap_are_kept_by_the_data_sets_ids(toys):
    found = evaluate(ToyDetector(), toys, explain=False).detections
    assert list(found) == ["one", "two", "clean"]
    assert found["two"].class_names == NAMES
    assert found["two"].labels.tolist() == [1, 0]  # GREEN and Red; equal scores in cell order
    assert float(found["two"].scores.min()) > 0.9
    assert len(found["clean"]) == 0


def judged(probability, right, confidence=0.5):
    return Judged(Level.TRUSTED, Answer.OBJECT, "zebra", probability, confidence, None, right)


def test_verdict_figures_of_nothing():
    figures = verdict_figures([], repeats=10)
    assert math.isnan(figures.probability.auroc)
    assert all(map(math.isnan, figures.gain.interval))
    assert figures.levels[Level.TRUSTED].right == 0


def test_confidence_is_compared_on_the_same_detections():
    rows = [
        judged(0.9, True, 0.2),
        judged(math.nan, True, 0.9),
        judged(0.2, False, 0.3),
        judged(0.1, None, 0.1),
    ]
    figures = verdict_figures([rows, []], repeats=50)
    assert figures.probability.auroc == 1
    assert figures.confidence.auroc == auroc([0.2, 0.9, 0.3], [True, True, False]) == 0.5
    assert figures.confidence_same.auroc == 0
    assert (figures.gain.auroc, figures.unmeasured) == (1, 1)


def test_the_interval_holds_the_auroc_and_repeats():
    generator = np.random.default_rng(0)
    images = [
        [
            judged(float(np.clip(generator.normal(0.6 if right else 0.4, 0.2), 0, 1)), right)
            for right in (True, False, True)
        ]
        for _ in range(40)
    ]
    first, second = (verdict_figures(images, repeats=200) for _ in range(2))
    low, high = first.probability.interval
    assert low < first.probability.auroc < high
    assert first.probability == second.probability


SHARED = Path(__file__).parents[2] / "shared"


@pytest.mark.weights
@pytest.mark.parametrize("name", ["yolo11n", "yolov10n"])
def test_ap_equals_pycocotools_on_the_librarys_own_detections(name, monkeypatch):
    weights = SHARED / "weights" / f"{name}.pt"
    if not weights.is_file():
        pytest.skip(f"{weights} is absent")
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    from benchmarks.detection_parity import TOLERANCE, compare

    pairs = compare(weights, SHARED / "data" / "coco", limit=25)
    assert pairs["AP"].ours > 0.3
    for figure, pair in pairs.items():
        assert pair.ours == pytest.approx(pair.theirs, abs=TOLERANCE), figure


@pytest.mark.weights
@pytest.mark.parametrize("name", ["yolo11n.pt", "yolov10n.pt", "screening"])
@pytest.mark.parametrize("confidence", [0.05, 0.25, 0.6])
def test_a_threshold_after_the_fact_is_the_threshold_itself(shared, coco_images, name, confidence):
    path = shared / "weights" / name
    if path.suffix and not path.is_file():
        pytest.skip(f"{path} is absent")
    detector = xd.load_detector(path if path.suffix else name, imgsz=320)
    counts = []
    for source in coco_images[:6]:
        image = xd.load_image(source)
        everything, wanted = (xd.detect(detector, image, one) for one in (0.001, confidence))
        kept = Thresholds(confidence).keep(everything).nonzero().flatten()
        assert same(select(everything, kept), wanted)
        counts.append(len(wanted))
    assert sum(counts) > 0 or name == "screening"


def test_a_full_disk_ends_the_evaluation(toys):
    """Verdicts that cannot be kept would be lost, one image after the other."""
    asked = []

    def judge(_placed, source, _found, _whole):
        asked.append(source)
        raise DiskError("the disk is full, x could not be written; free some space")

    with pytest.raises(DiskError, match="the disk is full"):
        evaluate(ToyDetector(), toys, inspector=judge)
    assert len(asked) == 1
