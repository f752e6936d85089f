"""From which confidence on a detection counts, by class."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_matching import FAR, NAMES, A, B, found

from xai_detect.errors import InputError, TargetError
from xai_detect.values.detections import Detections
from xai_detect.values.thresholds import Thresholds


def test_one_number_holds_for_all_classes_and_is_itself_not_kept():
    detections = found((A, 0, 0.5), (B, 1, 0.5), (FAR, 2, 0.25))
    assert Thresholds.of(0.25).keep(detections).tolist() == [True, True, False]
    assert Thresholds.of(0.24).keep(detections).all()
    assert Thresholds(0.0).keep(detections).all()
    assert not Thresholds(1.0).keep(detections).any()


def test_a_class_may_have_its_own():
    detections = found((A, 0, 0.9), (A, 1, 0.9), (B, 0, 0.3), (B, 1, 0.3), (FAR, 2, 0.1))
    own = Thresholds(0.25, {"zebra": 0.5, "cow": 0.05})
    assert own.keep(detections).tolist() == [True, True, False, True, True]
    assert own.limits(NAMES).tolist() == pytest.approx([0.5, 0.25, 0.05])
    assert own.lowest == 0.05
    assert Thresholds(0.25, {"zebra": 0.5}).lowest == Thresholds(0.25).lowest == 0.25
    assert Thresholds.of(own) is own


@given(st.lists(st.floats(0, 1, width=32), max_size=6), st.floats(0, 1))
def test_a_plain_number_keeps_what_a_detector_keeps(scores, limit):
    scores = sorted(scores, reverse=True)
    detections = found(*[(A, 0, score) for score in scores])
    assert torch.equal(Thresholds.of(limit).keep(detections), detections.scores > limit)


def test_nothing_stays_nothing():
    assert Thresholds(0.5).keep(Detections.empty((9, 9), NAMES)).shape == (0,)


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf])
def test_what_is_no_share_is_refused(value):
    with pytest.raises(InputError, match=r"confidence is .*expected a threshold in"):
        Thresholds(value)
    with pytest.raises(InputError, match=r"confidence of 'zebra' is .*expected a threshold in"):
        Thresholds(0.5, {"zebra": value})


def test_a_class_that_is_not_there_is_refused():
    with pytest.raises(TargetError, match="no class 'zebr'; did you mean 'zebra'"):
        Thresholds(0.5, {"zebr": 0.1}).limits(NAMES)


def test_it_reads_as_it_was_given():
    assert str(Thresholds(0.25)) == "0.25"
    assert str(Thresholds(0.25, {"cow": 0.5})) == "0.25, cow 0.5"
