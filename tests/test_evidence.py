"""Evidence and verdicts on toys whose cause is known, and on real detectors."""

import math

import pytest
import torch
from toy import ToyDetector, scene

from xai_detect.explainers.explain import explain
from xai_detect.inspection.image import detect, inspect, raw_predictions
from xai_detect.trust.evidence import EMPTY, MOST_PASSES, weigh
from xai_detect.trust.repeatability import repeat_explanations
from xai_detect.trust.verdict import judge
from xai_detect.values import fills
from xai_detect.values.findings import Evidence, Level

SIZE = (96, 96)


def weighed(detector, image, row=0):
    target = detect(detector, image).target(row)
    explanation = explain("integrated_gradients", detector, image, [target])[0]
    return weigh(detector, image, target, explanation), target


def test_detections_of_one_image_share_the_pass_of_the_unchanged_image():
    detector, image = ToyDetector(), scene(("red", 2, 3), ("green", 4, 4))
    target = detect(detector, image).target(0)
    (map_,) = explain("input_x_gradient", detector, image, [target])
    alone = weigh(detector, image, target, map_)
    shared = weigh(detector, image, target, map_, unchanged=raw_predictions(detector, image))
    assert shared["forward_passes"] == alone["forward_passes"] - 1
    for name in alone:
        if name != "forward_passes":
            assert shared[name] == alone[name] or alone[name] != alone[name]


def test_a_detector_that_looks_at_the_object_is_trusted():
    detector = ToyDetector()
    image = scene(("red", 5, 5), ("green", 9, 2), size=SIZE, background=0.5)
    evidence, _ = weighed(detector, image)
    assert evidence["inside"] == pytest.approx(1, abs=0.02)
    assert evidence["necessity"] > 0.9
    assert evidence["sufficiency"] > 0.9
    assert judge(evidence).level is Level.TRUSTED


def test_a_detector_that_decides_by_the_corner_is_untrusted():
    detector = ToyDetector(elsewhere=0.6)
    image = scene(("red", 0, 0), ("red", 6, 6), size=SIZE, background=0.5)
    rows = [row for row, target in enumerate(detect(detector, image)) if target.box[0] > 8]
    evidence, target = weighed(detector, image, rows[0])
    assert target.box[0] == 48
    assert evidence["outside"] > 0.4
    assert evidence["outside_effect"] > 0.4
    assert evidence["without_elsewhere"] == pytest.approx(evidence["score"], abs=0.05), "placebo"
    lost = evidence["without_elsewhere"] - evidence["without_outside"]
    assert evidence["outside_effect"] == pytest.approx(lost / evidence["score"])
    verdict = judge(evidence)
    assert verdict.level is Level.UNTRUSTED
    assert "relies on" in verdict.sentence


def test_removals_match_a_slow_second_implementation():
    detector = ToyDetector(curved=True)
    image = scene(("red", 5, 5), ("green", 1, 2), size=SIZE, background=0.5)
    evidence, target = weighed(detector, image)
    frame = detector.frame(SIZE)

    def found(picture):
        (kept,) = detector.detect(frame.to_input(picture[None]), frame, 0.0)
        rows = [row for row in range(len(kept)) if tuple(kept.boxes[row].tolist()) == target.box]
        raw = detector.raw(frame.to_input(picture[None])).probabilities[0]
        return float(raw[kept.candidates[rows[0]], target.label])

    x1, y1, x2, y2 = (int(value) for value in target.box)
    hole, near = torch.zeros(SIZE, dtype=torch.bool), torch.zeros(SIZE, dtype=torch.bool)
    hole[y1:y2, x1:x2] = True
    near[y1 - 8 : y2 + 8, x1 - 8 : x2 + 8] = True
    assert evidence["score"] == pytest.approx(target.score, abs=1e-6)
    assert evidence["without_box"] == pytest.approx(found(fills.hide(image, hole, "inpaint")))
    first, second = EMPTY["photo"]
    assert evidence["context_only"] == pytest.approx(found(fills.hide(image, near, first)))
    alone = max(found(fills.hide(image, ~near, fill)) for fill in (first, second))
    assert evidence["box_only"] == pytest.approx(alone)


def test_weighing_costs_no_more_than_it_says():
    detector = ToyDetector()
    image = scene(("red", 5, 5), size=SIZE, background=0.5)
    target = detect(detector, image).target(0)
    explanations = explain("integrated_gradients", detector, image, [target])
    repeats = repeat_explanations(detector, image, explanations)
    detector.module.seen.clear()
    evidence = weigh(detector, image, target, explanations[0], repeats[0])
    assert sum(detector.module.seen) == evidence["forward_passes"] <= MOST_PASSES <= 8


def test_an_empty_map_is_no_evidence():
    detector = ToyDetector()
    image = scene(("red", 5, 5), size=SIZE, background=0.5)
    target = detect(detector, image).target(0)
    (explanation,) = explain("integrated_gradients", detector, image, [target])
    import dataclasses

    flat = dataclasses.replace(explanation, heatmap=torch.zeros(SIZE))
    evidence = weigh(detector, image, target, flat)
    assert math.isnan(evidence["inside"])
    verdict = judge(evidence)
    assert verdict.level is Level.UNCERTAIN
    assert "No evidence obtained" in verdict.sentence


def test_a_method_that_cannot_see_the_surroundings_gets_no_verdict():
    import dataclasses

    detector = ToyDetector()
    image = scene(("red", 5, 5), size=SIZE, background=0.5)
    target = detect(detector, image).target(0)
    (explanation,) = explain("integrated_gradients", detector, image, [target])
    foreign = dataclasses.replace(explanation, method="cam_at_the_head")
    evidence = weigh(detector, image, target, foreign, explanation)
    verdict = judge(evidence)
    assert verdict.level is Level.UNCERTAIN
    assert verdict.reasons[0].check == "map_kind"


def test_another_class_is_asked_in_the_same_box():
    detector = ToyDetector()
    image = scene(("red", 5, 5), size=SIZE, background=0.5)
    inspection = inspect(detector, image, as_class="green")
    assert inspection.detections.target(0).name == "red"
    assert inspection.targets[0].name == "green"
    assert inspection.verdicts[0].level is Level.UNTRUSTED
    assert "it sees 'red'" in inspection.verdicts[0].sentence


def test_an_image_without_objects_is_a_normal_result():
    inspection = inspect(ToyDetector(), scene(size=SIZE))
    assert len(inspection.detections) == 0
    assert inspection.verdicts == ()


def test_in_a_box_over_the_whole_image_nothing_is_outside():
    detector = ToyDetector(cell=32)
    image = torch.zeros(3, 32, 32)
    image[0] = 1.0
    inspection = inspect(detector, image)
    (evidence,), (verdict,) = inspection.evidence, inspection.verdicts
    for name in ("inside", "outside", "percentile", "sufficiency", "context_only"):
        assert math.isnan(evidence[name])
    assert evidence["necessity"] == 0  # an image without a hole cannot be continued: red
    assert verdict.level is Level.UNCERTAIN
    fine = Evidence({**evidence, "completeness_error": 0.0, "repeatability": 1.0}, evidence.words)
    assert [reason.check for reason in judge(fine).reasons] == ["whole_image"]
    empty = Evidence({**fine, "repeatability": math.nan})
    assert [reason.check for reason in judge(empty).reasons] == ["map_empty"]
