"""Verdicts on the planted models that ship: each follows a known cause, and is judged by it."""

import numpy as np
import pytest
import torch

import xai_detect as xd
from xai_detect.trust.references import as_reference
from xai_detect.values.boxes import iou
from xai_detect.values.findings import Level
from xai_detect.values.images import load_image
from xai_detect.xray.scenes.cued import CUED, State, draw_cued
from xai_detect.xray.scenes.planted import HONEST, WORLDS, render
from xai_detect.xray.scenes.worlds import compose_apart

SCANS = 3
SIDE = 192


def judged(detector, scan, **options):
    """The evidence and verdict of the strongest detection, which must be right."""
    seen = xd.inspect(detector, scan.image, **options)
    overlap = iou(seen.detections.boxes[:1], torch.tensor([scan.box]))
    assert (int(seen.detections.labels[0]), float(overlap) > 0.5) == (scan.label, True)
    return seen.evidence[0], seen.verdicts[0]


def planted(world, seed):
    for index in range(SCANS):
        scene = compose_apart(world, np.random.default_rng(seed + index), SIDE)
        yield render(scene if scene.label == index % 2 else scene.swapped(), SIDE)


def held(places, mark):
    """Whether any of the places covers most of a mask."""
    parts = [mark[round(y1) : round(y2), round(x1) : round(x2)] for x1, y1, x2, y2 in places]
    return any(part.sum() > 0.5 * mark.sum() for part in parts)


@pytest.mark.parametrize("world", WORLDS)
def test_verdicts_tell_honest_models_from_those_that_look_elsewhere(world):
    detector = xd.load_detector(f"planted/{world}")
    honest = world in HONEST
    for scan in planted(world, 960_000):
        evidence, verdict = judged(detector, scan)
        assert verdict.level is (Level.TRUSTED if honest else Level.UNTRUSTED), verdict.sentence
        assert verdict.cause == ("object" if honest else "name_hidden")
        if not honest:
            assert held(evidence.places["name"], scan.cause)
        _, quick = judged(detector, scan, budget="quick")
        assert quick.level is not Level.TRUSTED


PRESENCE = [world for world in CUED if CUED[world].decides == "presence"]
TWINS = [world for world in CUED if CUED[world].decides == "nothing"]


@pytest.mark.parametrize("world", PRESENCE)
def test_where_a_cue_decides_presence_it_is_found(world):
    detector = xd.load_detector(CUED[world].network)
    for scan in draw_cued(world, SCANS, 960_000, SIDE, State.CUE):
        evidence, verdict = judged(detector, scan)
        assert (verdict.level, verdict.cause) == (Level.UNTRUSTED, "presence"), verdict.numbers
        if CUED[world].cues == 1:
            assert held(evidence.places["presence"], scan.cause)
        else:
            assert len(evidence.places["presence"]) == 2
        assert "Keep the alarm" in verdict.sentence


@pytest.mark.parametrize("world", TWINS)
@pytest.mark.parametrize("state", State)
def test_honest_twins_are_trusted_on_the_same_scans(world, state):
    detector = xd.load_detector(CUED[world].network)
    cause = "object" if len(CUED[world].classes) > 1 else "object_one_class"
    for scan in draw_cued(world, 2, 960_000, SIDE, state):
        _, verdict = judged(detector, scan)
        assert (verdict.level, verdict.cause) == (Level.TRUSTED, cause), verdict.numbers


@pytest.fixture(scope="module")
def default():
    """The model with a default, and references out of other scans of its world."""
    detector = xd.load_detector(CUED["default"].network)
    scans = draw_cued("default", 12, 961_000, SIDE)
    found = [
        as_reference(detector, str(row), load_image(scan.image)) for row, scan in enumerate(scans)
    ]
    return detector, [reference for reference in found if len(reference.detections)]


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        (State.CUE, "name_hidden"), (State.NONE, "name_swapped"), (State.DECOY, "name_swapped"),
    ],
)  # fmt: skip
def test_a_default_is_found_by_other_surroundings(default, state, cause):
    detector, references = default
    for scan in draw_cued("default", SCANS, 960_000, SIDE, state):
        _, verdict = judged(detector, scan, references=references)
        assert (verdict.level, verdict.cause) == (Level.UNTRUSTED, cause), verdict.numbers


def test_honest_models_are_trusted_in_other_surroundings_too():
    detector = xd.load_detector("planted/object")
    references = [
        as_reference(detector, str(row), load_image(scan.image))
        for row, scan in enumerate(planted("object", 962_000))
    ]
    for scan in planted("object", 960_000):
        evidence, verdict = judged(detector, scan, references=references)
        assert verdict.level is Level.TRUSTED
        if evidence["swapped"]:
            assert evidence["renamed"] == 0
            assert "not compared" not in verdict.sentence
