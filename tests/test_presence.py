"""Does the object decide that something is reported? Toys with a cue, and the rules one by one."""

import math

import pytest
import torch
from cues import CUE, OTHER, SIZE, CueToy, shown
from toy import RawToy, SealedToy, ToyDetector, scene

from xai_detect.detectors.place import place
from xai_detect.inspection.image import detect
from xai_detect.trust import places
from xai_detect.trust.presence import EMPTY, KEEP, LOST, Presence, presence
from xai_detect.trust.reasons import reasons
from xai_detect.trust.scene import Scene, predictions, ring
from xai_detect.values import boxes, fills
from xai_detect.values.detections import Detections
from xai_detect.values.findings import Answer

DOMAINS = ("photo", "xray")


def asked(detector, image, row=0, **options):
    """What the presence test says of a detection, and the scene it was asked in."""
    placed = place(detector, image)
    target = detect(detector, placed).target(row)
    where = Scene(detector, placed)
    (whole,) = predictions(detector, placed.pixels, placed.frame)
    near = ring(where.box(target), where.size)
    return reasons(where, target, whole, near, most=0, **options).presence, where


def holds(place_, cell):
    """Whether a place covers the middle of a cell."""
    x1, y1, x2, y2 = place_
    row, column = cell
    return x1 < column * 8 + 4 < x2 and y1 < row * 8 + 4 < y2


@pytest.mark.parametrize("domain", DOMAINS)
def test_an_item_that_needs_nothing_else_decides_alone_in_two_passes(domain):
    found, where = asked(CueToy("nothing", domain=domain), shown(CUE))
    assert (found.answer, found.stage, found.places) == (Answer.OBJECT, "alone", ())
    assert found.alone == pytest.approx((1, 1), abs=0.01)
    assert math.isnan(found.hidden + found.restored + found.placebo)
    assert where.spent == 2


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("decides", ["presence", "one_class"])
@pytest.mark.parametrize("cue", [(1, 1), (1, 6), (6, 1), (2, 2)])
def test_a_cue_elsewhere_is_found_and_confirmed(domain, decides, cue):
    found, _ = asked(CueToy(decides, cues=[cue], domain=domain), shown(cue, background=0.7))
    assert (found.answer, found.stage) == (Answer.SURROUNDINGS, "confirmed")
    assert len(found.places) == 1
    assert holds(found.places[0], cue)
    x1, y1, x2, y2 = found.places[0]
    assert 0 <= x1 < x2 <= 64
    assert 0 <= y1 < y2 <= 64
    assert max(found.alone) <= LOST
    assert found.hidden <= LOST
    assert found.restored >= KEEP
    assert found.placebo >= KEEP


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_cue_that_is_there_twice_is_found_in_both_places(domain):
    found, _ = asked(CueToy("presence", cues=[CUE, OTHER], domain=domain), shown(CUE, OTHER))
    assert (found.answer, found.stage) == (Answer.SURROUNDINGS, "confirmed")
    assert len(found.places) == 2
    assert all(any(holds(place_, cue) for place_ in found.places) for cue in (CUE, OTHER))


@pytest.mark.parametrize("domain", DOMAINS)
def test_two_cues_that_are_both_needed_are_no_single_place(domain):
    detector = CueToy("presence", cues=[CUE, OTHER], how="all", domain=domain)
    found, _ = asked(detector, shown(CUE, OTHER))
    assert (found.answer, found.stage) == (Answer.UNCLEAR, "not_restored")
    assert found.restored < KEEP


def test_a_third_cue_that_remains_is_not_all():
    third = (3, 1)
    detector = CueToy("presence", cues=[CUE, OTHER, third])
    found, _ = asked(detector, shown(CUE, OTHER, third))
    assert (found.answer, found.stage) == (Answer.UNCLEAR, "not_all")
    assert len(found.places) == 2


@pytest.mark.parametrize("wrap", [RawToy, SealedToy])
def test_a_black_box_is_searched_in_the_same_way(wrap):
    open_, _ = asked(CueToy("presence"), shown(CUE))
    closed, _ = asked(wrap(CueToy("presence")), shown(CUE))
    assert closed == open_
    assert closed.answer is Answer.SURROUNDINGS


def test_without_a_search_the_first_step_is_the_last():
    found, where = asked(CueToy("presence"), shown(CUE), search=False)
    assert (found.answer, found.stage, where.spent) == (Answer.UNCLEAR, "not_searched", 2)
    found, _ = asked(CueToy("nothing"), shown(CUE), search=False)
    assert found.answer is Answer.OBJECT


def test_the_box_alone_matches_a_slow_second_implementation():
    detector = ToyDetector(elsewhere=0.4, curved=True)
    image = scene(("red", 0, 0), ("red", 5, 5), background=0.6)
    rows = [row for row, one in enumerate(detect(detector, image)) if one.box[0] > 8]
    found, _ = asked(detector, image, rows[0])
    near = torch.zeros(SIZE, dtype=torch.bool)
    near[32:56, 32:56] = True
    for fill, share in zip(EMPTY["photo"], found.alone, strict=True):
        raw = detector.raw(fills.hide(image, ~near, fill)[None])
        kept = float(raw.probabilities[0, 5 * 8 + 5].max())  # cells do not overlap
        assert share == pytest.approx(kept / detect(detector, image).target(rows[0]).score)


class Fixed(Scene):
    """A scene that answers what it is told, one P after the other."""

    def __init__(self, shares, domain="photo"):
        detector = ToyDetector(domain=domain)
        super().__init__(detector, place(detector, torch.zeros(3, *SIZE)))
        self.shares, self.hidden = list(shares), []

    def without(self, hidden, fill):
        self.hidden.append((hidden, fill))
        return super().without(hidden, fill)

    def alone(self, shown, fill):
        self.hidden.append((~shown, fill))
        return super().alone(shown, fill)

    def seen(self, answers, target):
        assert len(answers) == 1
        return torch.tensor([[self.shares.pop(0) * target.score, 0.0]])


def one(box=(40.0, 40.0, 48.0, 48.0), score=0.8):
    row = torch.tensor([box])
    none = torch.zeros(1, dtype=torch.int64)
    return Detections(row, torch.tensor([score]), none, none, row, SIZE, ("a", "b")).target(0)


def told(alone, shares=(), domain="photo", box=(40.0, 40.0, 48.0, 48.0)):
    where = Fixed(shares, domain)
    target = one(box)
    return presence(where, target, ring(target.box, SIZE), alone), where


@pytest.mark.parametrize(
    ("alone", "answer", "stage"),
    [
        ((0.5, 0.5), Answer.OBJECT, "alone"),
        ((0.49, 0.5), Answer.OBJECT, "weakened"),
        ((0.5, 0.26), Answer.OBJECT, "weakened"),
        ((0.49, 0.49), Answer.UNCLEAR, "weakened"),
        ((1.0, 0.26), Answer.OBJECT, "weakened"),
    ],
)
def test_both_fills_must_keep_it_and_a_loss_must_be_clear(alone, answer, stage):
    found, _ = told(alone)
    assert (found.answer, found.stage, found.alone) == (answer, stage, alone)


IN = [0.9, 0.2]  # the second part of a level holds it
DEEP = [0.2] * 3  # the first part at each of three levels holds it


@pytest.mark.parametrize(
    ("shares", "answer", "stage"),
    [
        ([*DEEP, 0.5, 0.25, 0.5], Answer.SURROUNDINGS, "confirmed"),
        ([*DEEP, 0.49, 0.5, 0.25, 0.5], Answer.SURROUNDINGS, "confirmed"),  # grown once more
        ([*DEEP, 0.5, 0.26], Answer.UNCLEAR, "second_fill"),
        ([*DEEP, 0.5, 0.25, 0.49], Answer.UNCLEAR, "placebo"),
        ([*DEEP, *[0.1] * 6], Answer.UNCLEAR, "not_restored"),
        ([0.9] * 5 + [0.1] * 5, Answer.UNCLEAR, "no_place"),
    ],
)
def test_every_step_of_the_cascade_can_end_it(shares, answer, stage):
    found, where = told((0.25, 0.1), shares)
    assert (found.answer, found.stage) == (answer, stage)
    assert where.shares == []


def test_what_is_measured_on_the_way_is_kept():
    found, where = told((0.9, 0.1), [*DEEP, 0.7, 0.15, 0.6])
    measured = (found.restored, found.hidden, found.placebo)
    assert measured == pytest.approx((0.7, 0.15, 0.6))
    named = [fill for _, fill in where.hidden]
    assert named == ["blur"] * 4 + ["inpaint", "blur"], "restored on the fill that lost it"
    hidden, placebo = where.hidden[4][0], where.hidden[5][0]
    near = ring((40.0, 40.0, 48.0, 48.0), SIZE)
    assert not bool((placebo & (hidden | near)).any())
    assert int(placebo.sum()) >= int(hidden.sum()) // 2


def test_parts_are_entered_from_the_largest_to_the_smallest():
    _, where = told((0.1, 0.1), [*IN, *IN, *IN, 0.5, 0.2, 0.6], "xray")
    sizes = [int(hidden.sum()) for hidden, _ in where.hidden]
    assert sizes[1] > sizes[3] > sizes[5]
    assert [fill for _, fill in where.hidden][:6] == ["inpaint"] * 6


def test_what_belongs_to_the_object_is_never_hidden():
    _, where = told((0.1, 0.1), [*DEEP, 0.5, 0.2, 0.6])
    near = ring((40.0, 40.0, 48.0, 48.0), SIZE)
    for hidden, _ in where.hidden:
        assert not bool((hidden & near).any())


def test_a_place_around_the_box_is_no_fault():
    corner = [0.9, 0.9, 0.9, 0.1]  # the lower right part holds it
    found, _ = told((0.1, 0.1), [*corner * 3, 0.6], box=(50.0, 50.0, 52.0, 52.0))
    assert (found.answer, found.stage) == (Answer.UNCLEAR, "around")


def test_a_cause_that_is_a_large_part_of_the_image_is_no_place():
    found, _ = told((0.1, 0.1), [0.2] + [0.9] * 5)  # not found any deeper
    assert (found.answer, found.stage) == (Answer.UNCLEAR, "large")


CORNER = (0.0, 0.0, 8.0, 8.0)


def test_a_place_that_would_grow_too_large_stays_as_it_is():
    middle = [0.9] * 4 + [0.2]
    found, _ = told((0.1, 0.1), [*middle * 2, *[0.9] * 5, 0.5, 0.2, 0.6], box=CORNER)
    assert (found.answer, found.stage) == (Answer.SURROUNDINGS, "confirmed")
    assert found.places[0] == pytest.approx((20.48, 20.48, 43.52, 43.52))


def test_two_large_places_are_no_places():
    shares = [*[0.9] * 5, 0.6, *[0.1] * 5]  # hidden none matters, shown the first part is enough
    found, where = told((0.1, 0.1), shares, box=CORNER)
    assert (found.answer, found.stage, found.places) == (Answer.UNCLEAR, "no_place", ())
    assert where.shares == []


def test_without_surroundings_or_a_score_nothing_is_measured():
    everything = torch.ones(SIZE, dtype=torch.bool)
    found = presence(Fixed([]), one(), everything, ())
    assert found == Presence(Answer.UNMEASURED, "no_surroundings", (), ())
    found = presence(Fixed([]), one(score=0.0), ~everything, (0.0, 0.0))
    assert (found.answer, found.stage) == (Answer.UNMEASURED, "no_score")


def test_parts_overlap_and_cover_their_parent():
    parts = places.parts_of((10.0, 20.0, 110.0, 70.0))
    covered = torch.zeros(100, 120, dtype=torch.int64)
    for part in parts:
        assert (part[2] - part[0], part[3] - part[1]) == pytest.approx((60, 30))
        covered += boxes.mask(part, (100, 120))
    assert bool((covered[20:70, 10:110] >= 1).all())
    assert int(covered.sum()) == 5 * 60 * 30, "none reaches beyond it"
    assert int(covered[45, 60]) == 5, "all hold the middle"


@pytest.mark.parametrize(
    ("box", "place_", "share"),
    [
        ((0.0, 0.0, 10.0, 10.0), (5.0, 0.0, 20.0, 10.0), 0.5),
        ((0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0), 0.0),
        ((4.0, 4.0, 6.0, 6.0), (0.0, 0.0, 30.0, 10.0), 1.0),
        ((4.0, 4.0, 4.0, 6.0), (0.0, 0.0, 30.0, 10.0), 1.0),
    ],
)
def test_the_share_of_a_box_that_a_place_covers(box, place_, share):
    assert places.covered(box, place_) == pytest.approx(share)


def test_without_room_there_is_no_placebo():
    near = boxes.mask((0.0, 0.0, 64.0, 40.0), SIZE)
    large = [(0.0, 40.0, 64.0, 60.0)]
    hidden = boxes.mask(large[0], SIZE) & ~near
    assert places.moved(large, hidden, near) is None
    small = [(0.0, 40.0, 20.0, 60.0)]
    hidden = boxes.mask(small[0], SIZE) & ~near
    assert int(places.moved(small, hidden, near).sum()) == int(hidden.sum())


@pytest.mark.parametrize(
    ("alone", "answer", "stage"),
    [
        ((0.5, 0.5), Answer.OBJECT, "alone"),
        ((0.7, 0.49), Answer.OBJECT, "weakened"),
        ((0.49, 0.26), Answer.UNCLEAR, "weakened"),
        ((0.9, 0.25), Answer.UNCLEAR, "not_searched"),
    ],
)
def test_half_of_the_score_is_kept_and_a_quarter_is_lost(alone, answer, stage):
    detector = CueToy("nothing")
    placed = place(detector, shown(CUE))
    target = detect(detector, placed).target(0)
    where = Scene(detector, placed)
    near = ring(where.box(target), where.size)
    found = presence(where, target, near, alone, search=False)
    assert (found.answer, found.stage) == (answer, stage)
