"""Does the object decide its class? Toys with a cue and a default, and the rules one by one."""

import math
from dataclasses import replace

import pytest
import torch
from cues import CUE, SIZE, CueToy, shown
from hypothesis import given
from hypothesis import strategies as st
from toy import RawToy, SealedToy, ToyDetector, scene

from xai_detect.detectors.place import place
from xai_detect.inspection.image import detect
from xai_detect.trust import name as rules
from xai_detect.trust.name import Naming, elsewhere, map_decides, naming, strongest
from xai_detect.trust.places import pieces, reached
from xai_detect.trust.references import Reference, Surroundings, as_reference
from xai_detect.trust.scene import Scene, predictions, ring
from xai_detect.values.boxes import mask
from xai_detect.values.detections import Detections
from xai_detect.values.findings import Answer

NEAR = mask((32.0, 32.0, 56.0, 56.0), SIZE)


def question(detector, image, row=0):
    """A scene, a detection in it, what is near, and its log-odds whole and alone on blur."""
    placed = place(detector, image)
    target = detect(detector, placed).target(row)
    where = Scene(detector, placed)
    near = ring(where.box(target), where.size)
    alone = where.alone(near, rules.BLUR)
    answers = predictions(detector, placed.pixels, placed.frame) + where.ask([alone])
    odds = where.log_odds([where.content, alone], answers, target)
    return where, target, near, odds[0], odds[1]


def asked(detector, image, references=()):
    return naming(*question(detector, image), references)


def other_images(detector, *images):
    """Images as surroundings for an item at its usual place."""
    found = []
    for number, image in enumerate(images):
        reference = as_reference(detector, str(number), image)
        labels = frozenset(reference.detections.labels.tolist())
        found.append(Surroundings(reference, torch.zeros(SIZE, dtype=torch.bool), labels))
    return found


@pytest.mark.parametrize("domain", ["photo", "xray"])
def test_an_item_that_says_its_class_keeps_it_alone(domain):
    found = asked(CueToy("nothing", domain=domain), shown(CUE))
    assert (found.answer, found.stage) == (Answer.OBJECT, "box")
    assert found.margin == pytest.approx(4 + 2, abs=0.01)
    assert found.box == pytest.approx(1, abs=0.02)
    assert found.region is None
    assert math.isnan(found.hidden + found.placebo + found.seen)
    assert (found.swap, found.swapped) == (Answer.UNMEASURED, 0)


@pytest.mark.parametrize("domain", ["photo", "xray"])
@pytest.mark.parametrize("cue", [(1, 1), (1, 6), (6, 1), (2, 2)])
def test_a_cue_that_names_the_item_is_found_and_hidden(domain, cue):
    found = asked(CueToy("class", cues=[cue], domain=domain), shown(cue, background=0.7))
    assert (found.answer, found.stage) == (Answer.SURROUNDINGS, "hide")
    assert found.box < 0.5
    assert found.hidden < 0.5
    assert found.placebo > 0.9
    assert found.seen > 0.9
    row, column = cue
    assert bool(found.region[row * 8 + 4, column * 8 + 4])
    assert not bool((found.region & NEAR).any())
    assert float(found.region.float().mean()) < 0.1
    assert bool(found.shown[found.region].all())
    assert not bool((found.shown & NEAR).any())
    assert float(found.shown.float().mean()) < 0.2


def test_without_evidence_outside_there_is_no_place():
    class Flat(CueToy):
        def candidate(self, pixels, targets, frame):
            found = super().candidate(pixels.detach(), targets, frame)
            return found._replace(log_odds=found.log_odds + 0 * pixels.sum())

    found = asked(Flat("class"), shown(CUE))
    assert (found.answer, found.stage) == (Answer.UNCLEAR, "hide")
    assert found.region is None


def test_without_gradients_the_place_is_searched():
    found = asked(RawToy(CueToy("class")), shown(CUE))
    assert (found.answer, found.stage) == (Answer.SURROUNDINGS, "hide")
    assert found.hidden < 0.5 < 0.7 < found.placebo
    rows, columns = found.region.nonzero().T
    assert rows.min() <= CUE[0] * 8 + 4 <= rows.max(), "the middle of the cue"
    assert columns.min() <= CUE[1] * 8 + 4 <= columns.max()
    assert float(found.region.float().mean()) < 0.15
    assert asked(RawToy(CueToy("nothing")), shown(CUE)).region is None


def test_a_default_is_found_in_the_surroundings_of_other_classes_only():
    detector = CueToy("class")
    default = shown()
    alone = asked(detector, default)
    assert (alone.answer, alone.stage) == (Answer.OBJECT, "box")
    cued = [shown(CUE, item=(6, column)) for column in (2, 3, 5, 6)]
    found = asked(detector, default, other_images(detector, *cued))
    assert (found.answer, found.stage) == (Answer.SURROUNDINGS, "swap")
    assert (found.swap, found.swapped, found.renamed) == (Answer.SURROUNDINGS, 3, 3)
    honest = CueToy("nothing")
    found = asked(honest, shown(), other_images(honest, *cued))
    assert (found.answer, found.swap) == (Answer.OBJECT, Answer.OBJECT)
    assert (found.swapped, found.renamed) == (2, 0), "two that keep the name settle it"


def test_a_name_that_the_other_images_do_not_hold_is_not_taken_from_them():
    detector = CueToy("class")
    cued = [shown(CUE, item=(6, column)) for column in (2, 3, 5, 6)]
    others = [
        replace(found, labels=frozenset({1})) for found in other_images(detector, *cued)
    ]  # the default's own
    found = asked(detector, shown(), others)
    assert (found.answer, found.swap, found.renamed) == (Answer.OBJECT, Answer.OBJECT, 0)


def test_one_other_image_is_not_enough():
    detector = CueToy("class")
    found = asked(detector, shown(), other_images(detector, shown(CUE)))
    assert (found.swap, found.swapped) == (Answer.UNMEASURED, 0)


class Fixed(Scene):
    """A scene that answers ratios of the margin and shares of the score that it is told."""

    def __init__(self, margin, told):
        detector = ToyDetector()
        super().__init__(detector, place(detector, torch.rand(3, *SIZE)))
        self.margin, self.told, self.asked = margin, list(told), 0

    def log_odds(self, copies, answers, target):
        del answers
        rows = []
        for _ in copies:
            ratio, seen = self.told.pop(0)
            high = torch.tensor(seen * target.score).logit()
            low = high - abs(ratio) * self.margin
            own = [high, low, high - 99] if ratio >= 0 else [low, high, high - 99]
            rows.append(torch.stack(own))
            self.asked += 1
        return torch.stack(rows)


def one():
    row = torch.tensor([[40.0, 40.0, 48.0, 48.0]])
    none = torch.zeros(1, dtype=torch.int64)
    return Detections(row, torch.tensor([0.8]), none, none, row, SIZE, ("a", "b", "c")).target(0)


def odds(margin):
    return torch.tensor([margin - 1.0, -1.0, -9.0])


def swapped(margin, told):
    """What other surroundings say, each told its ratio and share of the score; they hold 'b'."""
    where = Fixed(margin, told)
    empty = torch.ones(3, *SIZE)
    reference = Reference("r", empty, Detections.empty(SIZE, ("a", "b", "c")))
    around = Surroundings(reference, torch.zeros(SIZE, dtype=torch.bool), frozenset({1}))
    found = naming(where, one(), NEAR, odds(margin), odds(margin), [around] * len(told))
    return found.answer, found.swapped, found.renamed


RENAMES, KEEPS, WEAK = (-0.5, 1.0), (0.9, 1.0), (0.3, 1.0)


@pytest.mark.parametrize(
    ("told", "answer", "swapped_", "renamed"),
    [
        ([RENAMES] * 2, Answer.SURROUNDINGS, 2, 2),
        ([RENAMES] * 4, Answer.SURROUNDINGS, 3, 3),
        ([RENAMES, WEAK, RENAMES, RENAMES], Answer.SURROUNDINGS, 4, 3),
        ([RENAMES, KEEPS, WEAK, RENAMES], Answer.OBJECT, 3, 1),
        ([KEEPS, RENAMES, RENAMES, RENAMES], Answer.SURROUNDINGS, 4, 3),
        ([KEEPS, KEEPS, RENAMES, RENAMES], Answer.OBJECT, 2, 0),
        ([WEAK, RENAMES, RENAMES, RENAMES], Answer.SURROUNDINGS, 4, 3),
        ([(-0.5, 0.36)] * 2, Answer.SURROUNDINGS, 2, 2),
        ([(-0.5, 0.34)] * 2, Answer.OBJECT, 1, 0),
        ([RENAMES] * 8, Answer.SURROUNDINGS, 6, 6),
    ],
)
def test_three_of_four_other_surroundings_must_rename(told, answer, swapped_, renamed):
    assert swapped(4.0, told) == (answer, swapped_, renamed)


@pytest.mark.parametrize(("margin", "renames"), [(1.5, False), (1.7, True)])
def test_a_small_lead_that_turns_is_noise(margin, renames):
    answer, *_ = swapped(margin, [(-0.5, 1.0)] * 2)  # falls by 1.5 times the margin
    assert (answer is Answer.SURROUNDINGS) == renames


@pytest.mark.parametrize(
    ("told", "decides"),
    [
        ([(0.1, 1.0), (0.9, 1.0)], True),
        ([(0.49, 1.0), (0.71, 1.0)], True),
        ([(0.51, 1.0), (0.9, 1.0)], False),
        ([(0.1, 1.0), (0.69, 1.0)], False),
        ([(0.1, 0.34), (0.9, 1.0)], False),
        ([(0.1, 0.36), (0.9, 1.0)], True),
    ],
)
def test_what_the_map_shows_outside_decides_if_hiding_it_takes_the_name_away(told, decides):
    before = Naming(Answer.OBJECT, "box", 6.0, 0.95)
    region = mask((0.0, 0.0, 20.0, 20.0), SIZE)
    found = map_decides(Fixed(6.0, told), one(), NEAR, before, region)
    assert (found.answer is Answer.SURROUNDINGS) == decides
    if not decides:
        assert found is before
        return
    assert (found.stage, found.box) == ("map", 0.95)
    assert (found.hidden, found.placebo) == pytest.approx((told[0][0], told[1][0]), abs=1e-3)
    assert found.seen == pytest.approx(told[0][1], abs=1e-3)
    assert torch.equal(found.region, region)


def test_where_nothing_as_large_can_be_hidden_elsewhere_hiding_shows_nothing():
    near = torch.ones(SIZE, dtype=torch.bool)
    near[:, :12] = False
    before = Naming(Answer.OBJECT, "box", 6.0, 0.95)
    told = [(0.1, 1.0), (1.0, 1.0)]
    whole = map_decides(Fixed(6.0, told), one(), near, before, ~near)
    assert whole is before
    part = mask((0.0, 0.0, 12.0, 30.0), SIZE)
    assert map_decides(Fixed(6.0, told), one(), near, before, part).stage == "map"


def test_the_map_cannot_decide_what_has_no_name():
    before = Naming(Answer.UNMEASURED, "one_class")
    where = Fixed(6.0, [])
    assert map_decides(where, one(), NEAR, before, ~NEAR) is before
    assert where.asked == 0


@pytest.mark.parametrize(
    ("values", "near", "stage"),
    [
        ([0.5], NEAR, "one_class"),
        ([0.5, 0.5], NEAR, "another_leads"),
        ([0.5, 2.5], NEAR, "another_leads"),
        ([math.nan, math.nan], NEAR, "no_candidate"),
        ([2.0, -2.0], torch.ones(SIZE, dtype=torch.bool), "no_surroundings"),
        ([2.0, -2.0], mask((0.0, 1.0, 64.0, 64.0), SIZE), "no_surroundings"),
    ],
)
def test_where_there_is_no_name_to_test_nothing_is_measured(values, near, stage):
    whole = torch.tensor(values)
    found = naming(Fixed(1.0, []), one(), near, whole, whole)
    assert (found.answer, found.stage) == (Answer.UNMEASURED, stage)


def test_a_sealed_detector_shows_no_lead():
    found = asked(SealedToy(ToyDetector()), scene(("red", 5, 5)))
    assert (found.answer, found.stage) == (Answer.UNMEASURED, "no_raw_predictions")
    assert math.isnan(found.margin)


def test_the_strongest_region_is_around_the_evidence_and_outside_alone():
    evidence = torch.zeros(SIZE)
    evidence[8:12, 48:52] = 1.0
    evidence[40:44, 40:44] = 50.0  # the object's own
    evidence[50:60, 4:14] = -3.0
    found = strongest(evidence, ~NEAR, 0.01)
    assert bool(found[10, 50])
    rows, columns = found.nonzero().T
    assert (rows.float().mean(), columns.float().mean()) == pytest.approx((9.5, 49.5), abs=1)
    assert not bool((found & NEAR).any())
    core = max(1, int(0.01 * int((~NEAR).sum())))
    assert core < int(found.sum()) <= 11 * 11
    assert int(strongest(evidence, ~NEAR, 0.0).sum()) == 17, "one pixel and an ellipse two around"


def test_no_evidence_outside_gives_no_region():
    evidence = torch.zeros(SIZE)
    evidence[0:4, 0:4] = -1.0
    assert not bool(strongest(evidence, ~NEAR, 0.04).any())
    assert not bool(strongest(torch.zeros(SIZE), ~NEAR, 0.04).any())


def test_half_of_the_evidence_is_enough():
    evidence = torch.zeros(SIZE)
    evidence[8, 8] = 100.0
    evidence[8, 50] = 1.0
    found = strongest(evidence, ~NEAR, 0.5)
    assert bool(found[8, 8])
    assert not bool(found[8, 50])


def test_pieces_come_largest_first_and_touch_by_corners():
    small, large = mask((2.0, 2.0, 4.0, 4.0), SIZE), mask((20.0, 20.0, 26.0, 24.0), SIZE)
    corner = mask((26.0, 24.0, 28.0, 26.0), SIZE)
    first, second = pieces(small | large | corner)
    assert torch.equal(first, large | corner)
    assert torch.equal(second, small)
    assert pieces(torch.zeros(SIZE, dtype=torch.bool)) == []


def test_a_place_is_shown_as_far_as_its_own_evidence_reaches():
    evidence = torch.zeros(SIZE)
    evidence[10, 10:14] = 100.0
    evidence[10, 14:18] = 3.0  # touches, and is strong enough
    evidence[10, 18:22] = 2.9  # touches what touches, and is not
    evidence[30, 10:14] = 50.0  # strong, and apart
    region = torch.zeros(SIZE, dtype=torch.bool)
    region[9:12, 10:14] = True  # with a rim
    expected = region.clone()
    expected[10, 14:18] = True
    assert torch.equal(reached(region, evidence), expected)


def test_a_place_whose_evidence_has_no_end_is_shown_as_it_is():
    evidence = torch.ones(SIZE)
    region = mask((10.0, 10.0, 14.0, 14.0), SIZE)
    assert torch.equal(reached(region, evidence), region)
    few = torch.where(mask((8.0, 8.0, 16.0, 16.0), SIZE), 1.0, 0.0)  # four times as large
    assert int(reached(region, few).sum()) == 64
    few[7, 8] = 1.0
    assert int(reached(region, few).sum()) == 16


def test_each_piece_reaches_as_far_as_its_own_peak_allows():
    evidence = torch.zeros(SIZE)
    evidence[10, 10], evidence[10, 11] = 100.0, 1.0
    evidence[40, 10], evidence[40, 11] = 10.0, 1.0
    region = torch.zeros(SIZE, dtype=torch.bool)
    region[10, 10] = region[40, 10] = True
    found = reached(region, evidence)
    assert found.nonzero().tolist() == [[10, 10], [40, 10], [40, 11]]


SPOTS = ((8, 8), (8, 50), (57, 8))
"""Middles of three squares; the first holds 70 % of the evidence, the second 23 %."""


def three_spots():
    evidence = torch.zeros(SIZE)
    for (row, column), value in zip(SPOTS, (3.0, 1.0, 0.3), strict=True):
        evidence[row - 3 : row + 3, column - 3 : column + 3] = value
    return evidence


def test_a_larger_share_of_the_evidence_needs_a_larger_region():
    evidence, places = three_spots(), SPOTS
    for share, count in ((0.5, 1), (0.8, 2), (0.99, 3)):
        found = strongest(evidence, ~NEAR, 0.5, share)
        assert [bool(found[place_]) for place_ in places] == [True] * count + [False] * (3 - count)


def test_where_the_name_stays_a_region_with_more_of_the_evidence_is_tried(monkeypatch):
    where, target, near, _, _ = question(CueToy("class"), shown(CUE))
    evidence, regions = three_spots(), []
    stays = rules._Question(where, target, near, 6.0)
    monkeypatch.setattr(stays, "evidence", lambda _: evidence)
    monkeypatch.setattr(stays, "tried", lambda region, *_: regions.append(region))
    assert not stays.hidden_decides()
    first, second = regions
    assert [bool(first[spot]) for spot in SPOTS] == [True, False, False]
    assert [bool(second[spot]) for spot in SPOTS] == [True, True, False]
    assert stays.shown is None


@given(seed=st.integers(0, 99), top=st.integers(0, 50), left=st.integers(0, 50))
def test_a_placebo_never_touches_what_it_is_compared_with(seed, top, left):
    evidence = torch.rand(SIZE, generator=torch.Generator().manual_seed(seed))
    region = mask((float(left), float(top), left + 9.0, top + 12.0), SIZE) & ~NEAR
    if not bool(region.any()):
        return
    placebo = elsewhere(region, evidence, ~NEAR)
    assert not bool((placebo & (region | NEAR)).any())
    assert int(placebo.sum()) <= int(region.sum())


def test_of_several_placebos_the_one_with_least_evidence_is_taken():
    region = mask((0.0, 0.0, 10.0, 10.0), SIZE)
    evidence = torch.ones(SIZE)
    for quiet in (region.flip(1), region.flip(0), region.roll(32, 0), region.roll(32, 1)):
        there = torch.where(quiet, -5.0, evidence)
        assert torch.equal(elsewhere(region, there, ~NEAR), quiet)


def test_a_placebo_that_is_nearly_whole_is_preferred_to_one_that_is_cut():
    region = mask((0.0, 30.0, 6.0, 50.0), SIZE)  # mirrored across it is cut by the box
    evidence = torch.ones(SIZE)
    near = mask((50.0, 30.0, 62.0, 50.0), SIZE)
    evidence[region.flip(1)] = 0.0
    found = elsewhere(region, evidence, ~near)
    assert int(found.sum()) == int(region.sum())
