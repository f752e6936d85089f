"""The records check meaning once, at the border."""

import math

import pytest
import torch

from xai_detect.errors import InputError, TargetError, WeightsError, XaiDetectError
from xai_detect.values.detections import Detections, Target, label_of
from xai_detect.values.findings import Answer, Evidence, Level, Verdict

NAMES = ("zebra", "giraffe", "Fire hydrant")


def detections(**changes):
    fields = {
        "boxes": torch.tensor([[0.0, 0.0, 4.0, 3.0], [1.0, 1.0, 2.0, 2.0]]),
        "scores": torch.tensor([0.9, 0.4]),
        "labels": torch.tensor([1, 0]),
        "candidates": torch.tensor([17, 3]),
        "proposals": torch.tensor([[0.0, 0.0, 5.0, 5.0], [1.0, 1.0, 2.0, 2.0]]),
        "image_size": (10, 12),
        "class_names": NAMES,
    }
    return Detections(**{**fields, **changes})


def test_a_row_becomes_a_question():
    target = detections().target(0)
    assert target.box == (0.0, 0.0, 4.0, 3.0)
    assert (target.label, target.name, target.candidate) == (1, "giraffe", 17)
    assert target.score == pytest.approx(0.9)
    assert target.proposal == (0.0, 0.0, 5.0, 5.0)
    assert [one.name for one in detections()] == ["giraffe", "zebra"]
    assert len(detections()) == 2


@pytest.mark.parametrize("row", [-1, 2, 100])
def test_a_row_that_does_not_exist_is_refused(row):
    with pytest.raises(TargetError, match=f"no detection {row}; this image has 2"):
        detections().target(row)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"boxes": torch.full((2, 4), torch.nan)}, "not finite"),
        ({"scores": torch.tensor([torch.inf, 0.1])}, "not finite"),
        ({"boxes": torch.tensor([[4.0, 0, 0, 3], [1, 1, 2, 2]])}, "x1 <= x2"),
        ({"boxes": torch.tensor([[0.0, 3, 4, 0], [1, 1, 2, 2]])}, "y1 <= y2"),
        ({"scores": torch.tensor([7.0, 0.4])}, r"lie in \[0, 1\]"),
        ({"scores": torch.tensor([0.9, -0.4])}, r"lie in \[0, 1\]"),
        ({"scores": torch.tensor([1.01, 0.4])}, r"lie in \[0, 1\]"),
        ({"scores": torch.tensor([0.9, -0.01])}, r"lie in \[0, 1\]"),
        ({"scores": torch.tensor([0.4, 0.9])}, "best first"),
        ({"labels": torch.tensor([3, 0])}, r"labels must lie in \[0, 3\)"),
        ({"labels": torch.tensor([0, -1])}, r"labels must lie in \[0, 3\)"),
    ],
)
def test_detections_without_sense_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        detections(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scores": torch.tensor([0.9])}, "scores has 1 rows, but boxes has 2"),
        ({"labels": torch.tensor([1, 0, 1])}, "labels has 3 rows"),
        ({"candidates": torch.zeros(0, dtype=torch.int64)}, "candidates has 0 rows"),
        ({"proposals": torch.zeros(1, 4)}, "proposals has 1 rows"),
    ],
)
def test_columns_of_unequal_length_are_refused_without_a_shape_checker_too(changes, words):
    record = object.__new__(Detections)
    good = detections()
    for name in Detections.__dataclass_fields__:
        object.__setattr__(record, name, changes.get(name, getattr(good, name)))
    with pytest.raises(InputError, match=words):
        record.__post_init__()


def test_scores_and_boxes_at_their_limits_are_taken():
    assert detections(scores=torch.tensor([1.0, 0.0])).target(0).score == 1.0
    assert len(detections(scores=torch.tensor([0.5, 0.5]))) == 2
    flat = torch.tensor([[4.0, 3.0, 4.0, 3.0], [1.0, 1.0, 2.0, 1.0]])
    assert detections(boxes=flat).target(0).box == (4.0, 3.0, 4.0, 3.0)
    assert len(detections(labels=torch.tensor([2, 0]))) == 2


def test_nothing_found_is_a_result_like_any_other():
    nothing = Detections.empty((10, 12), NAMES)
    assert len(nothing) == 0
    assert list(nothing) == []
    assert nothing.boxes.shape == nothing.proposals.shape == (0, 4)
    with pytest.raises(TargetError, match="this image has 0"):
        nothing.target(0)


def test_another_class_in_the_same_box():
    target = detections().target(0)
    other = target.as_class("zebra")
    assert (other.label, other.box, other.candidate) == (0, target.box, target.candidate)
    assert other.proposal == target.proposal
    assert math.isnan(other.score)
    assert target.as_class("giraffe") is target


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("girafe", "did you mean 'giraffe'"),
        ("Zebra", "did you mean 'zebra'"),
        ("fire hydrant", "did you mean 'Fire hydrant'"),
        ("x", "it knows zebra, giraffe, Fire hydrant$"),
    ],
)
def test_a_class_that_does_not_exist_suggests_the_nearest(asked, hint):
    with pytest.raises(TargetError, match=hint):
        detections().target(0).as_class(asked)


def test_many_classes_are_not_all_listed():
    with pytest.raises(TargetError, match=r"c9, \.\.\.$"):
        label_of("?", tuple(f"c{index}" for index in range(40)))


def test_evidence_is_a_mapping_of_floats():
    evidence = Evidence({"inside": 0.7, "context": math.nan})
    assert dict(evidence).keys() == {"inside", "context"}
    assert evidence["inside"] == 0.7
    assert len(evidence) == 2
    assert math.isnan(evidence.get("context", 1.0))
    assert repr(evidence) == "Evidence(1 of 2 measured)"
    with pytest.raises(KeyError):
        evidence["unknown"]


def test_later_edits_of_the_source_do_not_reach_the_evidence():
    source = {"inside": 0.7}
    evidence = Evidence(source)
    source["inside"] = 0.0
    assert evidence["inside"] == 0.7


def test_words_and_places_of_the_evidence_are_read_only():
    words, places = {"presence": "object"}, {"map": ((0.0, 0.0, 1.0, 1.0),)}
    evidence = Evidence({}, words, places)
    words["presence"] = "unclear"
    places.clear()
    assert evidence.words == {"presence": "object"}
    assert evidence.places == {"map": ((0.0, 0.0, 1.0, 1.0),)}
    with pytest.raises(TypeError):
        evidence.words["presence"] = "unclear"  # type: ignore[index]


def test_a_test_that_says_nothing_is_unmeasured():
    evidence = Evidence({}, {"presence": "object", "name": "perhaps"})
    assert evidence.answer("presence") is Answer.OBJECT
    assert evidence.answer("swap") is Answer.UNMEASURED
    with pytest.raises(ValueError, match="perhaps"):
        evidence.answer("name")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, None),
        ({"evidence_outside": math.nan}, None),
        ({"evidence_outside": 0.0}, False),
        ({"evidence_outside": 1.0}, True),
    ],
)
def test_evidence_outside_is_there_or_not_or_unmeasured(values, said):
    assert Evidence(values).outside is said


def test_levels_and_answers_are_their_own_words():
    assert Level("TRUSTED") is Level.TRUSTED
    assert f"{Answer.SURROUNDINGS}" == "surroundings"
    verdict = Verdict(Level.TRUSTED, Answer.OBJECT, "object", "Said.", "", ())
    with pytest.raises(AttributeError):
        verdict.level = Level.UNCERTAIN  # type: ignore[misc]


def test_records_are_frozen():
    target = detections().target(0)
    with pytest.raises(AttributeError):
        target.label = 0  # type: ignore[misc]
    assert isinstance(target, Target)


def test_every_error_is_also_the_builtin_a_caller_expects():
    assert issubclass(WeightsError, ValueError)
    assert issubclass(TargetError, InputError)
    assert issubclass(InputError, XaiDetectError)
