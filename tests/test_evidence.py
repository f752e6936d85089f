"""Evidence and verdicts on toys whose cause is known, and on real detectors."""

import dataclasses
import math

import pytest
import torch
from toy import ToyDetector, scene

from xai_detect.data.classes import select
from xai_detect.detectors.place import place
from xai_detect.errors import ExplainError, InputError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.methods import build_method
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.inspection.image import detect, inspect
from xai_detect.trust.evidence import weigh
from xai_detect.trust.removals import EMPTY, MOST_PASSES
from xai_detect.trust.repeatability import repeat_explanations
from xai_detect.trust.verdict import judge
from xai_detect.values import fills
from xai_detect.values.findings import Evidence, Level
from xai_detect.values.frame import Frame

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
    unchanged = detector.raw(place(detector, image).pixels)
    shared = weigh(detector, image, target, map_, unchanged=unchanged)
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
    method = build_method("integrated_gradients")
    repeats = repeat_explanations(detector, image, explanations, method)
    detector.module.seen.clear()
    evidence = weigh(detector, image, target, explanations[0], repeats[0])
    assert sum(detector.module.seen) == evidence["forward_passes"] <= MOST_PASSES <= 8


def test_an_empty_map_is_no_evidence():
    detector = ToyDetector()
    image = scene(("red", 5, 5), size=SIZE, background=0.5)
    target = detect(detector, image).target(0)
    (explanation,) = explain("integrated_gradients", detector, image, [target])
    flat = dataclasses.replace(explanation, heatmap=torch.zeros(SIZE))
    evidence = weigh(detector, image, target, flat)
    assert math.isnan(evidence["inside"])
    verdict = judge(evidence)
    assert verdict.level is Level.UNCERTAIN
    assert "No evidence obtained" in verdict.sentence


def test_a_method_that_cannot_see_the_surroundings_gets_no_verdict():
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


def enlarged(image, times):
    """Every pixel ``times`` times down and across: placed in an input, the same picture again."""
    return image.repeat_interleave(times, 1).repeat_interleave(times, 2)


def test_a_repeated_map_of_another_size_is_refused():
    detector, image = ToyDetector(letterbox=64), scene(("red", 5, 5), size=SIZE)
    target = detect(detector, image, 0.0).target(0)
    (map_,) = explain("input_x_gradient", detector, image, [target])
    with pytest.raises(InputError, match=r"map is \(96, 96\).*saw the image at \(64, 64\)"):
        weigh(detector, image, target, map_, repeat=map_)


def test_a_larger_copy_of_the_picture_has_the_same_evidence():
    detector = ToyDetector(elsewhere=0.6, letterbox=96)
    image = scene(("red", 0, 0), ("red", 6, 6), size=SIZE, background=0.5)
    small, large = (inspect(detector, enlarged(image, times)) for times in (1, 3))
    assert len(small.detections) == len(large.detections) == 2
    for one, other in zip(small.evidence, large.evidence, strict=True):
        for name in one:
            assert other[name] == pytest.approx(one[name], abs=0.02, nan_ok=True), name
    for one, other in zip(small.explanations, large.explanations, strict=True):
        pooled = torch.nn.functional.avg_pool2d(other.heatmap[None], 3)[0] * 9
        torch.testing.assert_close(pooled, one.heatmap, rtol=0.02, atol=2e-4)
    assert [found.level for found in small.verdicts] == [found.level for found in large.verdicts]


@pytest.mark.parametrize("size", [(24, 24), (96, 96), (384, 384)])
def test_the_repeated_map_is_shifted_by_input_pixels(size):
    """A small image would be shifted by whole cells if its own pixels were counted."""
    detector = ToyDetector(letterbox=96)
    image = torch.nn.functional.interpolate(
        scene(("red", 5, 5), ("green", 2, 8), size=SIZE, background=0.5)[None], size=size
    )[0]
    for evidence in inspect(detector, image).evidence:
        assert evidence["repeatability"] > 0.9


def test_an_image_is_placed_as_often_for_many_boxes_as_for_one(monkeypatch):
    placed = []
    plain = Frame.to_input

    def counted(frame, images):
        placed.append(len(images))
        return plain(frame, images)

    monkeypatch.setattr(Frame, "to_input", counted)
    counts = []
    for squares in ([("red", 5, 5)], [("red", 5, 5), ("green", 2, 8), ("blue", 9, 1)]):
        placed.clear()
        image = scene(*squares, size=SIZE, background=0.5)
        assert len(inspect(ToyDetector(letterbox=96), image).detections) == len(squares)
        counts.append(sum(placed))
    assert counts == [4, 4], "the image, its shifted copy, and the baseline of each"


def test_without_room_for_a_placebo_the_effect_is_unmeasured():
    detector = ToyDetector()
    image = scene(("red", 5, 5), size=SIZE, background=0.5)
    target = detect(detector, image).target(0)
    (explanation,) = explain("integrated_gradients", detector, image, [target])
    spread = dataclasses.replace(explanation, heatmap=torch.rand(SIZE) + 1)
    evidence = weigh(detector, image, target, spread)
    assert math.isfinite(evidence["without_outside"])
    for name in ("without_elsewhere", "outside_effect", "trust"):
        assert math.isnan(evidence[name]), name
    assert judge(evidence).level is not Level.TRUSTED


class Mine:
    """A method of somebody's own: it knows the image alone."""

    name, input_level, needs, citation = "my_saliency", True, Needs.NOTHING, "mine"

    def __call__(self, detector, image, targets):
        del detector
        bright = image.sum(dim=0)
        return [Attribution(bright - bright.mean(), {}) for _ in targets]

    def brief(self):
        return self

    def expected_passes(self, targets):
        del targets
        return 0.0, 0.0


MineWithSettings = dataclasses.make_dataclass(
    "MineWithSettings", [("strength", float, 2.0)], bases=(Mine,), frozen=True
)


def test_a_method_of_ones_own_goes_all_the_way():
    detector, image = ToyDetector(), scene(("red", 5, 5), size=SIZE, background=0.5)
    found = inspect(detector, image, method=MineWithSettings())
    assert found.explanations[0].method == "my_saliency"
    assert found.explanations[0].settings == {"strength": 2.0}
    assert found.evidence[0]["input_level"] == 1
    assert math.isfinite(found.evidence[0]["repeatability"])
    (explanation,) = explain(MineWithSettings(), detector, image, found.targets)
    alone = weigh(detector, image, found.targets[0], explanation)
    assert math.isnan(alone["repeatability"]), "nobody said how to make the map again"
    assert math.isnan(alone["input_level"])
    assert judge(alone).level is Level.UNCERTAIN
    given = weigh(detector, image, found.targets[0], explanation, method=MineWithSettings())
    assert given["repeatability"] == found.evidence[0]["repeatability"]


def test_a_method_that_is_no_dataclass_has_no_settings():
    detector, image = ToyDetector(), scene(("red", 5, 5), size=SIZE, background=0.5)
    found = inspect(detector, image, method=Mine())
    assert found.explanations[0].settings == {}


def test_a_method_that_answers_too_few_maps_is_told_so():
    class Lazy(Mine):
        def __call__(self, detector, image, targets):
            return super().__call__(detector, image, targets)[:1]

    detector = ToyDetector()
    image = scene(("red", 5, 5), ("green", 1, 1), size=SIZE, background=0.5)
    with pytest.raises(ExplainError, match="returned 1 maps for 2 detections"):
        explain(Lazy(), detector, image, list(detect(detector, image)))


def test_known_detections_are_taken_as_they_are():
    detector = ToyDetector()
    image = scene(("red", 5, 5), ("green", 9, 2), size=SIZE, background=0.5)
    known = detect(detector, image, 0.0)
    found = inspect(detector, image, detections=known, method="input_x_gradient")
    assert found.detections is known
    assert len(found.verdicts) == len(known) > 2
    with pytest.raises(InputError, match=r"image of \(96, 96\).*this one is \(48, 48\)"):
        inspect(detector, image[:, :48, :48], detections=known)


def test_why_does_not_depend_on_the_other_detections():
    detector = ToyDetector(elsewhere=0.6, curved=True)
    image = scene(("red", 0, 0), ("red", 6, 6), ("red", 2, 9), size=SIZE, background=0.5)
    together = inspect(detector, image)
    assert len(together.detections) == 3
    for row in range(3):
        alone = inspect(
            detector, image, detections=select(together.detections, torch.tensor([row]))
        )
        assert alone.verdicts[0].level is together.verdicts[row].level
        told, whole = (
            [reason.check for reason in verdict.reasons]
            for verdict in (alone.verdicts[0], together.verdicts[row])
        )
        assert told == whole
