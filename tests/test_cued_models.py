"""The models that follow a cue: they obey their world's rule on fresh scans."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import xai_detect as xd
from xai_detect.values.boxes import iou
from xai_detect.xray.scenes.cued import CUED, State, compose_cued, render_cued
from xai_detect.xray.scenes.scan import SIMULATOR

MODELS = tomllib.loads((Path(__file__).parents[1] / "weights" / "manifest.toml").read_text())[
    "models"
]
SEED = 970_000
SCANS = 6


def found(detector, scan):
    """Label of the strongest detection on the item; None if it is not reported."""
    detections = xd.detect(detector, xd.load_image(scan.image), confidence=0.25)
    on_item = iou(detections.boxes, torch.tensor([scan.box]))[:, 0] >= 0.5
    labels = detections.labels[on_item].tolist()
    return labels[0] if labels else None


@pytest.mark.parametrize("world", CUED)
def test_items_are_reported_where_the_world_says_so_and_as_what(world):
    detector = xd.load_detector(CUED[world].network)
    assert detector.class_names == CUED[world].classes
    obeyed = dict.fromkeys(State, 0)
    for index in range(SCANS):
        cued = compose_cued(world, np.random.default_rng([SEED, index]))
        for state in State:
            scan = render_cued(cued.with_state(state), 192)
            wanted = scan.label if scan.reported else None
            obeyed[state] += found(detector, scan) == wanted
    assert min(obeyed.values()) >= SCANS - 1, obeyed


@pytest.mark.parametrize("name", sorted({world.network for world in CUED.values()}))
def test_the_manifest_says_how_well_the_rule_was_learnt(name):
    entry, world = MODELS[name], CUED[name.partition("/")[2]]
    assert entry["cause"] == ("inside" if world.decides == "nothing" else "outside")
    assert entry["simulator"] == SIMULATOR
    assert tuple(entry["classes"]) == world.classes
    assert entry["figures"]["scans"] >= 100
    assert entry["figures"]["right_cue"] >= 0.98
    for state in ("none", "decoy"):
        if world.decides == "presence":
            assert entry["figures"][f"reported_{state}"] <= 0.02
        else:
            assert entry["figures"][f"right_{state}"] >= 0.98
