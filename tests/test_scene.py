"""Changed copies of one image, and what a detector says of them: by hand, for every kind of it."""

import math
from dataclasses import replace

import pytest
import torch
from cues import CUE, ITEM, SIZE, CueToy, shown
from hypothesis import given
from hypothesis import strategies as st
from toy import RawToy, SealedToy, ToyDetector, scene

from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import Named, Raw
from xai_detect.inspection.image import detect
from xai_detect.trust.scene import Scene, lead, predictions, ring
from xai_detect.values import fills
from xai_detect.values.boxes import mask
from xai_detect.values.detections import UNKNOWN
from xai_detect.values.frame import Frame

IMAGE = scene(("red", 5, 5), ("green", 1, 2), background=0.6)


def opened(detector, image=IMAGE, row=0):
    placed = place(detector, image)
    return Scene(detector, placed), detect(detector, placed).target(row)


@pytest.mark.parametrize("fill", ["blur", "grey", "air", "inpaint"])
def test_copies_are_those_of_the_fills(fill):
    where, _ = opened(ToyDetector())
    part = mask((10.0, 10.0, 30.0, 30.0), SIZE)
    assert torch.equal(where.without(part, fill), fills.hide(IMAGE, part, fill))
    assert torch.equal(where.alone(part, "grey"), fills.hide(IMAGE, ~part, "grey"))
    assert torch.equal(where.emptied(fill), fills.hide_all(IMAGE, fill))


def test_copies_are_of_the_content_and_padding_is_put_around_them():
    detector = ToyDetector(letterbox=64)
    image = torch.rand(3, 60, 128, generator=torch.Generator().manual_seed(0))
    where = Scene(detector, place(detector, image))
    assert where.size == (30, 64)
    assert where.frame.input_size == (32, 64)
    (own,) = where.ask([where.content])
    (whole,) = predictions(detector, where.placed.pixels, where.frame)
    assert torch.equal(own.raw.probabilities, whole.raw.probabilities)
    assert where.domain == "photo"


def test_answers_come_one_by_one_whatever_the_batch_and_every_copy_is_counted():
    where, target = opened(ToyDetector())
    copies = [torch.full((3, *SIZE), value / 40) for value in range(37)] + [IMAGE]
    answers = where.ask(copies)
    assert where.spent == 38
    assert len(answers) == 38
    assert max(where.detector.module.seen) <= 16
    for copy, answer in zip(copies[-3:], answers[-3:], strict=True):
        alone = where.detector.raw(copy[None])
        torch.testing.assert_close(answer.raw.probabilities, alone.probabilities)
        assert answer.candidates.shape == (1, 64)
    seen = where.seen(answers, target)
    assert seen.shape == (38, 3)
    assert float(seen[-1].max()) == pytest.approx(target.score)
    assert where.seen([], target).shape == (0, 3)


def test_log_odds_are_those_of_the_very_raw_prediction():
    where, target = opened(ToyDetector())
    copies = [where.content, where.emptied("grey")]
    odds = where.log_odds(copies, where.ask(copies), target)
    assert float(odds[0, target.label]) == pytest.approx(4, abs=1e-3)
    assert odds[1].tolist() == pytest.approx([-16.0] * 3, abs=0.3)
    assert where.spent == 2, "read off the answers"


class Renamed(ToyDetector):
    """Numbers its raw predictions the other way round."""

    def named(self, pixels):
        raw = self.raw(pixels)
        count = raw.boxes.shape[1]
        names = torch.arange(count - 1, -1, -1).expand(len(pixels), -1)
        return Named(raw, names, self.proposals(raw))

    def proposals(self, raw):  # noqa: ARG002
        return None


class TwoStage(Renamed):
    """The same with proposals: those of another copy are others."""

    def proposals(self, raw):
        return raw.boxes[:, :, 0]


def test_names_of_raw_predictions_are_looked_up():
    where, target = opened(Renamed())
    renamed = replace(target, candidate=63 - target.candidate)
    odds = where.log_odds([where.content], where.ask([where.content]), renamed)
    assert float(odds[0, target.label]) == pytest.approx(4, abs=1e-3)


def test_where_the_answer_does_not_hold_it_the_candidate_is_asked_for():
    where, target = opened(TwoStage())
    copies = [where.content, where.emptied("grey"), where.content]
    answers = where.ask(copies)
    odds = where.log_odds(copies, answers, target)
    assert odds[:, target.label].tolist() == pytest.approx([4, -16, 4], abs=1e-3)
    assert where.spent == 6
    plain, _ = opened(ToyDetector())
    kept = plain.log_odds(copies, plain.ask(copies), target)
    torch.testing.assert_close(odds[:, target.label], kept[:, target.label], atol=1e-3, rtol=0)
    some = Named(answers[0].raw, torch.full((1, 64), 99), None)
    missing = plain.log_odds([where.content], [some], target)
    assert float(missing[0, target.label]) == pytest.approx(4, abs=1e-3)


@pytest.mark.parametrize("wrap", [lambda toy: toy, RawToy])
def test_a_box_from_elsewhere_has_no_log_odds(wrap):
    where, target = opened(wrap(ToyDetector()))
    unknown = replace(target, candidate=UNKNOWN)
    odds = where.log_odds([where.content], where.ask([where.content]), unknown)
    assert bool(odds.isnan().all())
    assert odds.shape == (1, 3)
    assert where.spent == 1


def test_a_sealed_black_box_shows_what_it_reports_as_raw_predictions():
    detector = SealedToy(ToyDetector())
    placed = place(detector, IMAGE)
    (found,) = predictions(detector, placed.pixels, placed.frame)
    reported = detector.detect(placed.pixels, placed.frame, 0.001)[0]
    assert found.candidates.tolist() == [[UNKNOWN] * len(reported)]
    assert torch.equal(found.raw.boxes[0, :, 0], reported.boxes)
    assert torch.equal(found.raw.probabilities[0].max(dim=1)[0], reported.scores)
    assert torch.equal(found.raw.probabilities[0].argmax(dim=1), reported.labels)
    assert found.raw.probabilities.sum() == reported.scores.sum(), "and nothing of other classes"
    where, target = opened(detector)
    odds = where.log_odds([IMAGE], where.ask([IMAGE]), target)
    assert bool(odds.isnan().all())


def test_probabilities_of_nothing_and_of_all_have_finite_log_odds():
    where, target = opened(ToyDetector())
    raw = Raw(torch.zeros(1, 64, 1, 4), torch.tensor([0.0, 0.5, 1.0]).expand(1, 64, 3))
    odds = where.log_odds([IMAGE], [Named(raw, torch.arange(64)[None], None)], target)
    assert odds[0].tolist() == pytest.approx([-math.log(1e7), 0, math.log(1e7)], abs=0.01)


@given(st.lists(st.floats(-9, 9), min_size=2, max_size=5), st.data())
def test_the_lead_is_over_the_strongest_other(values, data):
    label = data.draw(st.integers(0, len(values) - 1))
    others = [value for row, value in enumerate(values) if row != label]
    found = lead(torch.tensor([values, values]), label)
    assert found.tolist() == pytest.approx([values[label] - max(others)] * 2, abs=1e-4)


def test_one_class_leads_over_nothing():
    assert bool(lead(torch.zeros(3, 1), 0).isnan().all())
    assert lead(torch.zeros(3, 1), 0).shape == (3,)


def test_the_ring_is_a_share_of_the_side_and_eight_pixels_at_least():
    assert torch.equal(ring((40.0, 40.0, 48.0, 48.0), SIZE), mask((32.0, 32.0, 56.0, 56.0), SIZE))
    wide = ring((100.0, 100.0, 200.0, 140.0), (300, 300))
    assert torch.equal(wide, mask((85.0, 92.0, 215.0, 148.0), (300, 300)))


@given(
    image_size=st.tuples(st.integers(20, 90), st.integers(20, 90)), side=st.sampled_from([32, 64]),
    box=st.tuples(*[st.floats(0, 20)] * 4),
)  # fmt: skip
def test_a_box_comes_back_from_content_pixels(image_size, side, box):
    frame = Frame.letterbox(image_size, side, stride=32, fill=0.5)
    assert frame.box_to_image(frame.box_to_content(box)) == pytest.approx(box, abs=1e-4)
    row = frame.boxes_to_input(torch.tensor([box]))[0] - torch.tensor(
        [frame.left, frame.top, frame.left, frame.top]
    )
    assert frame.box_to_image(tuple(row.tolist())) == pytest.approx(box, abs=1e-2)


def test_the_toys_with_a_cue_obey_it():
    for decides, with_cue, without in (
        ("presence", "cued", None), ("class", "cued", "plain"), ("nothing", "cued", "cued"),
        ("one_class", "item", None),
    ):  # fmt: skip
        detector = CueToy(decides)
        for image, wanted in ((shown(CUE), with_cue), (shown(), without)):
            found = detect(detector, image)
            assert [one.name for one in found] == ([wanted] if wanted else [])
            assert all(one.box[:2] == (ITEM[1] * 8, ITEM[0] * 8) for one in found)
