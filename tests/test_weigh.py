"""From an image to evidence and verdicts: every kind of detector, budget and odd case."""

import dataclasses
import math
from dataclasses import replace

import pytest
import torch
from cues import CUE, OTHER, SIZE, CueToy, shown
from toy import RawToy, SealedToy, ToyDetector, scene

from xai_detect.data.classes import select
from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import Candidates
from xai_detect.errors import ExplainError, InputError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.gradients.sighted import SightedGradients
from xai_detect.explainers.protocol import Attribution, Needs
from xai_detect.inspection.image import detect, inspect
from xai_detect.trust.budget import BUDGETS
from xai_detect.trust.evidence import NAMES, WORDS
from xai_detect.trust.maps import NOTHING, Shares, shares
from xai_detect.trust.name import Naming
from xai_detect.trust.policy import DEFAULT_POLICY
from xai_detect.trust.presence import Presence
from xai_detect.trust.reasons import Reasons
from xai_detect.trust.references import as_reference
from xai_detect.trust.repeatability import repeat_explanations, similarity
from xai_detect.trust.scene import Scene
from xai_detect.trust.weigh import Second, weigh
from xai_detect.trust.witness import Witness, witness
from xai_detect.values.boxes import mask
from xai_detect.values.detections import UNKNOWN, Detections, Target
from xai_detect.values.findings import Answer, Explanation, Level
from xai_detect.values.frame import Frame

IMAGE = shown(CUE, background=0.7)
DOMAINS = ("photo", "xray")


def weighed(detector, image, **options):
    placed = place(detector, image)
    return weigh(detector, placed, detect(detector, placed), **options)


def verdicts(detector, image, **options):
    found = inspect(detector, image, **options)
    return [(verdict.level, verdict.cause) for verdict in found.verdicts]


# What decides is known


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize(
    ("decides", "level", "cause"),
    [
        ("nothing", Level.TRUSTED, "object"),
        ("presence", Level.UNTRUSTED, "presence"),
        ("one_class", Level.UNTRUSTED, "presence"),
        ("class", Level.UNTRUSTED, "name_hidden"),
    ],
)
def test_verdicts_follow_what_decides(domain, decides, level, cause):
    detector = CueToy(decides, domain=domain)
    assert verdicts(detector, IMAGE) == [(level, cause)]
    assert verdicts(detector, IMAGE, budget="full") == [(level, cause)]


@pytest.mark.parametrize(
    ("decides", "cause"),
    [
        ("nothing", "no_map"), ("presence", "not_searched"), ("one_class", "not_searched"),
        ("class", "name_hidden"),
    ],
)  # fmt: skip
def test_the_quick_budget_trusts_nothing(decides, cause):
    ((level, found),) = verdicts(CueToy(decides), IMAGE, budget="quick")
    assert found == cause
    assert level is not Level.TRUSTED


def test_a_one_class_detector_is_judged_by_presence():
    detector = CueToy("one_class", cues=[(3, 3)])
    image = shown(item=(3, 3), background=0.7)
    honest = CueToy("one_class", cues=[CUE])
    assert verdicts(detector, image) == []
    image = shown(CUE, item=(2, 2), background=0.7)  # the cue touches the item
    assert verdicts(honest, image) == [(Level.TRUSTED, "object_one_class")]
    (found,) = weighed(honest, image)
    assert found.contrast is None
    assert found.explanation is not None
    assert found.evidence.words["rival"] == ""
    assert math.isnan(found.evidence["margin"] + found.evidence["class_box"])


def test_two_cues_that_are_both_needed_leave_it_open():
    detector = CueToy("presence", cues=[CUE, OTHER], how="all")
    assert verdicts(detector, shown(CUE, OTHER)) == [(Level.UNCERTAIN, "presence_unclear")]


def test_a_default_is_untrusted_with_references_and_trusted_by_nobody_without():
    detector = CueToy("class")
    references = [
        as_reference(detector, str(grey), shown(CUE, background=grey))
        for grey in (0.6, 0.7, 0.8, 0.9)
    ]
    image = shown(background=0.7)
    assert verdicts(detector, image, references=references) == [(Level.UNTRUSTED, "name_swapped")]
    alone = inspect(detector, image)
    assert alone.verdicts[0].level is Level.UNCERTAIN, "nothing of its lead is in the map"
    (quick,) = weighed(detector, image, references=references, budget=BUDGETS["quick"])
    assert quick.evidence.words["swap"] == "unmeasured"
    many = [replace(references[row % 4], name=f"again {row}") for row in range(20)]
    for budget, asked in (("standard", 3), ("full", 6)):  # three of four, six of eight settle it
        (found,) = weighed(detector, image, references=many, budget=BUDGETS[budget])
        assert (found.evidence["swapped"], found.evidence["renamed"]) == (asked, asked)
    most = replace(BUDGETS["standard"], references=2)
    (few,) = weighed(detector, image, references=references, budget=most)
    assert (few.evidence["swapped"], few.evidence["renamed"]) == (2, 2)


# What a detector shows


def test_without_gradients_nothing_is_trusted_and_presence_can_be_untrusted():
    raw, sealed = (wrap(CueToy("nothing")) for wrap in (RawToy, SealedToy))
    assert verdicts(raw, IMAGE) == [(Level.UNCERTAIN, "no_map")]
    assert verdicts(sealed, IMAGE) == [(Level.UNCERTAIN, "sealed")]
    for wrap in (RawToy, SealedToy):
        assert verdicts(wrap(CueToy("presence")), IMAGE) == [(Level.UNTRUSTED, "presence")]
    assert verdicts(RawToy(CueToy("class")), IMAGE) == [(Level.UNTRUSTED, "name_hidden")]
    assert verdicts(SealedToy(CueToy("class")), IMAGE) == [(Level.UNCERTAIN, "sealed")]
    one = SealedToy(CueToy("one_class"))
    assert verdicts(one, shown(CUE, item=(2, 2))) == [(Level.UNCERTAIN, "no_map")]


def test_what_a_sealed_detector_does_not_show_is_unmeasured():
    (found,) = weighed(SealedToy(CueToy("nothing")), IMAGE)
    assert found.explanation is None
    assert found.contrast is None
    for name in ("margin", "probability", "evidence_outside", "settled", "completeness_error"):
        assert math.isnan(found.evidence[name]), name
    assert found.evidence.words["rival"] == ""
    assert found.evidence.words["map"] == "none"
    assert found.evidence["map_passes"] == 0
    (raw,) = weighed(RawToy(CueToy("nothing")), IMAGE)
    assert math.isfinite(raw.evidence["probability"])
    assert raw.evidence.words["rival"] == "plain"
    (full,) = weighed(RawToy(CueToy("nothing")), IMAGE, budget=BUDGETS["full"])
    assert math.isnan(full.evidence["repeatability"]), "there is no map to repeat"


@pytest.mark.parametrize("wrap", [lambda toy: toy, RawToy, SealedToy])
def test_boxes_from_elsewhere_are_judged_as_far_as_they_can_be(wrap):
    toy = CueToy("presence")
    known = detect(toy, IMAGE)
    foreign = replace(known, candidates=torch.full_like(known.candidates, UNKNOWN))
    found = inspect(wrap(toy), IMAGE, detections=foreign)
    assert [verdict.cause for verdict in found.verdicts] == ["presence"]
    assert found.explanations == (None,)
    honest = CueToy("nothing")
    known = detect(honest, IMAGE)
    foreign = replace(known, candidates=torch.full_like(known.candidates, UNKNOWN))
    (verdict,) = inspect(wrap(honest), IMAGE, detections=foreign).verdicts
    assert verdict.level is Level.UNCERTAIN
    assert verdict.cause == ("sealed" if wrap is SealedToy else "unmeasured")


def test_a_box_with_a_score_of_zero_is_unmeasured():
    toy = ToyDetector()
    known = detect(toy, scene(("red", 5, 5)))
    for wrap in (lambda one: one, RawToy, SealedToy):
        nothing = replace(known, scores=torch.zeros(1))
        (verdict,) = inspect(wrap(toy), scene(), detections=nothing).verdicts
        assert (verdict.level, verdict.cause) == (Level.UNCERTAIN, "unmeasured")
        assert "nan" not in verdict.numbers


def test_a_box_where_a_sealed_detector_reports_nothing_is_no_failure():
    toy = ToyDetector()
    known = detect(toy, scene(("red", 5, 5)))
    (verdict,) = inspect(SealedToy(toy), scene(), detections=known).verdicts
    assert verdict.level is Level.UNCERTAIN


def test_a_box_beside_the_image_is_no_failure():
    toy = ToyDetector()
    known = detect(toy, scene(("red", 5, 5)))
    away = replace(known, boxes=known.boxes + 500)
    (verdict,) = inspect(toy, scene(("red", 5, 5)), detections=away).verdicts
    assert verdict.level is Level.UNCERTAIN


def test_a_confidence_under_a_tenth_is_judged_as_any_other():
    detector = CueToy("nothing")
    image = shown(background=0.9)
    image[1:, 40:48, 40:48] = 0.34  # own redness .66: log-odds of -2.8
    found = inspect(detector, image, confidence=0.01)
    assert 0.02 < float(found.detections.scores[0]) < 0.1
    (verdict,) = found.verdicts
    assert verdict.cause == "low_probability"
    assert found.evidence[0]["presence_second"] == pytest.approx(1, abs=0.05)
    cued = shown(CUE, background=0.9)
    cued[1:, 40:48, 40:48] = 0.34
    (verdict,) = inspect(CueToy("presence"), cued, confidence=0.01).verdicts
    assert verdict.cause == "presence"


def test_an_image_without_objects_is_a_normal_result():
    found = inspect(ToyDetector(), scene())
    assert found.verdicts == found.evidence == found.explanations == found.asked == ()
    assert weighed(ToyDetector(), scene()) == []


def test_in_a_box_over_the_whole_image_there_are_no_surroundings():
    detector = ToyDetector(cell=32)
    image = torch.zeros(3, 32, 32)
    image[0] = 1.0
    found = inspect(detector, image)
    assert [verdict.cause for verdict in found.verdicts] == ["no_surroundings"]
    evidence = found.evidence[0]
    assert evidence["box_share"] == 1
    assert math.isfinite(evidence["margin"])
    for name in ("presence_first", "detected_box", "evidence_outside", "settled"):
        assert math.isnan(evidence[name]), name
    assert evidence.places == {"presence": (), "name": (), "map": ()}


def test_a_foreground_stands_for_a_box_that_fills_the_image():
    class Whole(ToyDetector):
        """A classifier of a kind: its only candidate is the whole image."""

        def _cells(self, pixels):
            return torch.tensor([[0.0, 0.0, pixels.shape[3], pixels.shape[2]]])

        def raw(self, pixels):
            found = super().raw(pixels)
            return found._replace(probabilities=found.probabilities.amax(dim=1, keepdim=True))

        def candidate(self, pixels, targets, frame):
            del targets, frame
            logits = self.module(pixels).amax(dim=1)[:, None]
            return Candidates(logits, self._cells(pixels).expand(len(pixels), 1, 4))

    detector, image = Whole(), scene(("red", 2, 2), background=0.7)
    (bare,) = inspect(detector, image).verdicts
    assert bare.cause == "no_surroundings"
    item = mask((12.0, 12.0, 28.0, 28.0), SIZE)
    (right,) = inspect(detector, image, foreground=item).verdicts
    assert (right.level, right.cause) == (Level.TRUSTED, "object")
    other = mask((36.0, 36.0, 60.0, 60.0), SIZE)
    (wrong,) = inspect(detector, image, foreground=other).verdicts
    assert (wrong.level, wrong.cause) == (Level.UNTRUSTED, "presence")


def test_masks_and_detections_of_other_images_are_refused():
    detector = ToyDetector()
    image = scene(("red", 5, 5))
    known = detect(detector, image)
    with pytest.raises(InputError, match=r"image of \(64, 64\), but this one is \(48, 48\)"):
        inspect(detector, image[:, :48, :48], detections=known)
    with pytest.raises(InputError, match=r"mask of \(8, 64\), but the image is \(64, 64\)"):
        inspect(detector, image, foreground=torch.ones(8, 64, dtype=torch.bool))
    with pytest.raises(InputError, match="the foreground is an empty mask"):
        inspect(detector, image, foreground=torch.zeros(64, 64, dtype=torch.bool))


def test_known_detections_are_taken_as_they_are():
    detector = ToyDetector()
    image = scene(("red", 5, 5), ("green", 7, 2), background=0.7)
    known = detect(detector, image, 0.0)
    some = select(known, torch.arange(4))
    found = inspect(detector, image, detections=some, budget="quick")
    assert found.detections is some
    assert len(found.verdicts) == 4


# What is recorded


def test_evidence_holds_every_number_and_word_there_is():
    (found,) = weighed(CueToy("presence"), IMAGE)
    assert tuple(sorted(found.evidence)) == tuple(sorted(NAMES))
    assert set(found.evidence.words) == set(WORDS)
    assert set(found.evidence.places) == {"presence", "name", "map"}


def test_numbers_are_those_of_the_tests_and_of_both_maps():
    detector = CueToy("class")
    (found,) = weighed(detector, IMAGE, budget=BUDGETS["full"])
    target = detect(detector, IMAGE).target(0)
    evidence = found.evidence
    assert evidence["score"] == target.score
    assert evidence["margin"] == pytest.approx(8, abs=0.1)
    assert (evidence.words["class"], evidence.words["rival"]) == ("cued", "plain")
    box, near = mask((40.0, 40.0, 48.0, 48.0), SIZE), mask((32.0, 32.0, 56.0, 56.0), SIZE)
    for name, explanation in (("detected", found.explanation), ("class", found.contrast)):
        slow = shares(explanation.heatmap, box, near)
        assert evidence[f"{name}_box"] == pytest.approx(slow.box)
        assert evidence[f"{name}_ring"] == pytest.approx(slow.ring)
        assert evidence[f"{name}_outside"] == pytest.approx(slow.outside)
        assert evidence[f"{name}_elsewhere"] == pytest.approx(slow.elsewhere)
        assert evidence[f"{name}_ratio"] == pytest.approx(slow.ratio)
    assert evidence["class_outside"] > 0.9
    assert evidence["evidence_outside"] == 1
    assert evidence["box_share"] == 64 / 64**2
    assert evidence["repeatability"] > 0.9
    assert found.explanation.settings["scalar"] == "logit"
    assert found.contrast.settings["scalar"] == "margin"
    assert found.explanation.measured["seconds"] > 0
    assert found.explanation.content_size == SIZE
    assert evidence.words["recipe"] == "quick", "a toy cannot look again"
    assert evidence.words["domain"] == "photo"
    assert evidence.words["budget"] == "full"


def test_presence_numbers_are_kept_in_their_order():
    (found,) = weighed(CueToy("presence", cues=[CUE]), IMAGE)
    evidence = found.evidence
    assert max(evidence["presence_first"], evidence["presence_second"]) < 0.25
    assert evidence["presence_hidden"] < 0.25
    assert min(evidence["presence_restored"], evidence["presence_placebo"]) > 0.5
    (place_,) = evidence.places["presence"]
    assert place_[0] < 12 < place_[2]
    assert place_[1] < 12 < place_[3]
    assert math.isnan(evidence["repeatability"]), "the standard budget does not repeat"


def test_places_are_in_image_pixels():
    detector = CueToy("presence", letterbox=64)
    (found,) = inspect(detector, doubled(IMAGE)).evidence
    (small,) = inspect(detector, IMAGE).evidence
    (place_,), (same,) = found.places["presence"], small.places["presence"]
    assert place_ == pytest.approx([2 * value for value in same])
    (found,) = inspect(CueToy("class", letterbox=64), doubled(IMAGE)).evidence
    for name in ("name", "map"):
        ((x1, y1, x2, y2),) = found.places[name]
        assert x1 < 32, "the cue spans 16 to 32"
        assert x2 > 16
        assert y2 > 16
        assert y1 < 32


def doubled(image):
    return image.repeat_interleave(2, 1).repeat_interleave(2, 2)


@pytest.mark.parametrize("decides", ["nothing", "presence", "class"])
def test_passes_are_counted(decides):
    detector = CueToy(decides)
    placed = place(detector, IMAGE)
    found = detect(detector, placed)
    detector.module.seen.clear()
    (one,) = weigh(detector, placed, found)
    measured = one.explanation.measured
    backward = measured["backward_passes"] + (decides == "class")
    asked = one.evidence["test_passes"] + one.evidence["map_passes"] - backward
    assert sum(detector.module.seen) == asked + 1, "and the image itself"
    assert one.evidence["map_passes"] == measured["forward_passes"] + measured["backward_passes"]
    assert sum(detector.module.seen) < 60


def test_an_image_is_placed_as_often_for_many_boxes_as_for_one(monkeypatch):
    placed = []
    plain = Frame.to_input

    def counted(frame, images):
        placed.append(len(images))
        return plain(frame, images)

    monkeypatch.setattr(Frame, "to_input", counted)
    counts = []
    for squares in ([("red", 5, 5)], [("red", 5, 5), ("green", 2, 3), ("blue", 7, 1)]):
        placed.clear()
        found = inspect(ToyDetector(letterbox=64), scene(*squares, background=0.5))
        assert len(found.detections) == len(squares)
        counts.append(sum(placed) - len(squares))  # a baseline each
    assert counts == [1, 1]


def test_why_does_not_depend_on_the_other_detections():
    detector = ToyDetector(elsewhere=0.6, curved=True)
    image = scene(("red", 0, 0), ("red", 6, 6), ("red", 2, 7), background=0.5)
    together = inspect(detector, image)
    assert len(together.detections) == 3
    beside = {"probability"}  # what else is reported enters that alone
    for row in range(3):
        one = select(together.detections, torch.tensor([row]))
        alone = inspect(detector, image, detections=one)
        assert alone.verdicts[0].reason is together.verdicts[row].reason
        for name, value in together.evidence[row].items():
            if name not in beside:
                assert alone.evidence[0][name] == pytest.approx(value, nan_ok=True), name
        assert alone.evidence[0].places == together.evidence[row].places


# Rules


@pytest.mark.parametrize(
    ("there", "name", "stage", "answer"),
    [
        ("object", "object", "box", "object"),
        ("object", "unclear", "hide", "unclear"),
        ("unclear", "object", "box", "unclear"),
        ("unclear", "unclear", "hide", "unclear"),
        ("surroundings", "object", "box", "surroundings"),
        ("object", "surroundings", "hide", "surroundings"),
        ("unclear", "surroundings", "map", "surroundings"),
        ("surroundings", "unmeasured", "no_raw_predictions", "surroundings"),
        ("object", "unmeasured", "one_class", "object"),
        ("unclear", "unmeasured", "one_class", "unclear"),
        ("object", "unmeasured", "no_raw_predictions", "unclear"),
        ("unmeasured", "unmeasured", "no_surroundings", "unmeasured"),
    ],
)
def test_both_tests_must_say_object_and_one_is_enough_for_surroundings(there, name, stage, answer):
    both = Reasons(Presence(Answer(there), ""), Naming(Answer(name), stage))
    assert both.answer is Answer(answer)


NAN = math.nan
MEASURED = {"completeness_error": 0.5, "settled": 0.1, "repeatability": 0.25}


@pytest.mark.parametrize(
    ("changes", "believed"),
    [
        ({}, "reliable"),
        ({"completeness_error": 0.51}, "unreliable"),
        ({"completeness_error": NAN}, "unreliable"),
        ({"settled": 0.11}, "unreliable"),
        ({"settled": NAN}, "reliable"),
        ({"repeatability": 0.24}, "unreliable"),
        ({"repeatability": NAN}, "reliable"),
    ],
)
def test_a_map_is_believed_if_it_adds_up_stands_and_repeats(changes, believed):
    values = {**MEASURED, **changes}
    repeatability = values.pop("repeatability")
    told = Shares(0.5, 0.2, 0.3, 0.07, 0.1, 0.2, (0.0, 0.0, 1.0, 1.0))
    target = Target((0.0, 0.0, 1.0, 1.0), 0, 0.5, 0, ("item",), (0.0, 0.0, 1.0, 1.0))
    made = Explanation(torch.zeros(2, 2), target, "sighted_gradients", {}, {})
    seen = Witness((made,), (told,), **values)
    assert seen.believed(DEFAULT_POLICY.limits, repeatability) == believed
    empty = replace(seen, shares=(NOTHING,))
    assert empty.believed(DEFAULT_POLICY.limits, repeatability) == "unreliable"
    assert empty.believed(DEFAULT_POLICY.limits, repeatability, filled=True) == believed
    assert Witness().believed(DEFAULT_POLICY.limits, repeatability) == "none"


def test_a_map_shows_evidence_outside_if_it_is_strong_and_in_one_place():
    limits = {"evidence_outside": 0.5, "gathered": 0.3}

    def told(ratio, gathered):
        return Shares(0.5, 0.2, 0.3, 0.07, ratio, gathered, (0.0, 0.0, 1.0, 1.0))

    strong, stronger, spread = told(0.5, 0.3), told(0.7, 0.4), told(2.0, 0.29)
    weak, nothing = told(0.49, 0.9), Shares(NAN, NAN, NAN, NAN, NAN, NAN, None)
    assert Witness(shares=(strong, stronger)).outside(limits) is stronger
    assert Witness(shares=(strong, nothing)).outside(limits) is strong
    assert Witness(shares=(weak, spread)).outside(limits) is None, "both in the same map"
    assert Witness(shares=(weak, nothing)).measured
    assert not Witness(shares=(nothing, nothing)).measured
    assert not Witness().measured
    assert Witness().outside(limits) is None


def test_a_witness_tells_the_worse_error_and_the_largest_move():
    detector = CueToy("class")
    placed = place(detector, IMAGE)
    target = detect(detector, placed).target(0)
    box, near = mask((40.0, 40.0, 48.0, 48.0), SIZE), mask((32.0, 32.0, 56.0, 56.0), SIZE)
    method = SightedGradients(4, 6, 0.0)
    seen = witness(Scene(detector, placed), target, method, box, near)
    pair = method.pair(detector, placed, target)
    errors = [found.attribution.measured["completeness_error"] for found in pair]
    assert seen.completeness_error == pytest.approx(max(errors))
    moves = [
        abs(a - b)
        for found in pair
        for a, b in zip(
            shares(found.content, box, near)[:4], shares(found.before, box, near)[:4], strict=True
        )
    ]
    assert seen.settled == pytest.approx(max(moves))
    assert seen.settled > 0
    none = witness(Scene(detector, placed), target, None, box, near)
    assert (none.explanations, none.shares, none.passes) == ((), (), 0)


def test_a_map_beyond_the_limit_says_so_and_its_region_is_tried():
    detector = CueToy("class")
    loose = replace(DEFAULT_POLICY, limits={**DEFAULT_POLICY.limits, "evidence_outside": 99e9})
    low = {"evidence_outside": 0.0, "gathered": 0.0}
    raw = replace(DEFAULT_POLICY, limits={**DEFAULT_POLICY.limits, **low})
    (found,) = weighed(CueToy("nothing"), IMAGE, policy=raw)
    assert found.evidence["evidence_outside"] == 1
    assert len(found.evidence.places["map"]) == 1
    assert found.evidence.words["name_stage"] == "box", "hidden, it takes no name away"
    assert found.evidence["test_passes"] == 4, "two alone, the region and a placebo"
    (found,) = weighed(CueToy("nothing"), IMAGE, policy=loose)
    assert found.evidence["evidence_outside"] == 0
    assert found.evidence.places["map"] == ()
    assert found.evidence["test_passes"] == 2
    (found,) = weighed(detector, IMAGE, policy=raw)
    assert found.evidence.words["name_stage"] == "hide", "what is known is not asked again"


def test_where_the_test_finds_nothing_the_maps_region_may():
    detector = CueToy("class", cues=[CUE, OTHER])  # either is enough, so hiding one shows nothing
    image = shown(CUE, OTHER, background=0.7)
    found = inspect(detector, image)
    assert found.evidence[0]["evidence_outside"] == 1
    assert found.verdicts[0].level is not Level.TRUSTED


def test_another_class_is_asked_in_the_same_box_and_the_map_compares_with_it():
    detector = ToyDetector()
    image = scene(("red", 5, 5), background=0.5)
    image[1, 40:48, 40:48] = 0.2
    found = inspect(detector, image, as_class="blue")
    (asked,) = found.asked
    assert (asked.name, asked.supported) == ("blue", False)
    assert asked.score < 0.01
    assert asked.sentence.startswith("The detector does not see 'blue' in this box (0.00)")
    assert found.evidence[0].words["rival"] == "blue"
    plain = inspect(detector, image)
    assert plain.asked == (None,)
    assert plain.evidence[0].words["rival"] == "green"
    assert not torch.equal(plain.contrasts[0].heatmap, found.contrasts[0].heatmap)
    own = inspect(detector, image, as_class="red")
    assert own.asked[0].supported
    assert own.asked[0].sentence.startswith("The detector sees 'red' in this box, with 0.88;")
    assert own.evidence[0].words["rival"] == "green"


def test_the_language_is_that_of_the_sentences():
    (english,) = inspect(CueToy("presence"), IMAGE).verdicts
    (korean,) = inspect(CueToy("presence"), IMAGE, language="ko").verdicts
    assert english.cause == korean.cause
    assert english.sentence != korean.sentence
    assert "표시된" in korean.sentence


def test_a_second_detector_enters_the_probability_and_nothing_else():
    detector = FinerToy("nothing", letterbox=64)
    (alone,) = inspect(detector, IMAGE).evidence
    second = Second(CueToy("nothing", letterbox=64), {0: 0, 1: 1})
    (both,) = inspect(detector, IMAGE, second=second).evidence
    assert alone.words["recipe"] == "standard"
    assert both.words["recipe"] == "second"
    assert alone["probability"] != both["probability"]
    (quick,) = inspect(detector, IMAGE, budget="quick").evidence
    assert quick.words["recipe"] == "quick"
    for name in NAMES:
        if name != "probability":
            assert alone[name] == pytest.approx(both[name], nan_ok=True), name


class FinerToy(CueToy):
    def finer(self, image_size, factor):
        side = -(-round(self.letterbox * factor) // self.cell) * self.cell
        return Frame.letterbox(image_size, side, stride=self.cell, fill=0.5)


# The map of a shifted copy


@pytest.mark.parametrize("size", [(24, 24), (96, 96), (384, 384)])
def test_the_repeated_map_is_shifted_by_input_pixels(size):
    """A small image would be shifted by whole cells if its own pixels were counted."""
    detector = ToyDetector(letterbox=96)
    image = torch.nn.functional.interpolate(
        scene(("red", 5, 5), ("green", 2, 8), size=(96, 96), background=0.5)[None], size=size
    )[0]
    found = weighed(detector, image, budget=BUDGETS["full"])
    assert len(found) == 2
    for one in found:
        assert one.evidence["repeatability"] > 0.9


def test_a_repeated_map_is_that_of_the_shifted_copy_brought_back():
    detector = ToyDetector(curved=True)
    image = scene(("red", 5, 5), background=0.6)
    placed = place(detector, image)
    found = explain(SightedGradients(), detector, placed, list(detect(detector, placed)))
    (again,) = repeat_explanations(detector, placed, found, SightedGradients())
    assert 0.5 < similarity(found[0].heatmap, again.heatmap) < 1
    assert again.target.box == (42, 42, 50, 50)
    rows, columns = (again.heatmap.abs() > again.heatmap.abs().max() / 2).nonzero().T
    assert (int(rows.min()), int(columns.min())) == (40, 40)
    assert int(rows.max()) < 46, "shifted back by two pixels, its cell ends two before"
    assert repeat_explanations(detector, placed, [], SightedGradients()) == []


# A method of one's own


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


def test_the_map_of_a_method_is_added_and_changes_no_verdict():
    detector = CueToy("nothing")
    plain, added = inspect(detector, IMAGE), inspect(detector, IMAGE, method=MineWithSettings())
    assert plain.added == (None,)
    assert added.added[0].method == "my_saliency"
    assert added.added[0].settings == {"strength": 2.0}
    assert added.verdicts == plain.verdicts
    assert inspect(detector, IMAGE, method=Mine()).added[0].settings == {}
    named = inspect(detector, IMAGE, method="input_x_gradient")
    assert named.added[0].method == "input_x_gradient"


def test_a_method_that_answers_too_few_maps_is_told_so():
    class Lazy(Mine):
        def __call__(self, detector, image, targets):
            return super().__call__(detector, image, targets)[:1]

    detector = ToyDetector()
    image = scene(("red", 5, 5), ("green", 1, 1), background=0.5)
    with pytest.raises(ExplainError, match="returned 1 maps for 2 detections"):
        explain(Lazy(), detector, image, list(detect(detector, image)))


def test_nothing_in_the_detections_is_changed_on_the_way():
    detector = ToyDetector(letterbox=64)
    image = scene(("red", 5, 5), background=0.5)
    before = image.clone()
    known = detect(detector, image)
    kept = Detections(
        known.boxes.clone(), known.scores.clone(), known.labels, known.candidates,
        known.proposals.clone(), known.image_size, known.class_names,
    )  # fmt: skip
    inspect(detector, image, detections=known, budget="full")
    assert torch.equal(image, before)
    assert torch.equal(known.boxes, kept.boxes)
    assert torch.equal(known.proposals, kept.proposals)
