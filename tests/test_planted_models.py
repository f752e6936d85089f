"""The planted models that ship: they are what the manifest says and obey their cause."""

import hashlib
import tomllib
from pathlib import Path

import numpy as np
import pytest

import xai_detect as xd
from xai_detect.xray.scenes.cued import CUED
from xai_detect.xray.scenes.planted import HONEST, WORLDS, render
from xai_detect.xray.scenes.worlds import compose_apart

WEIGHTS = Path(__file__).parents[1] / "weights"
MODELS = tomllib.loads((WEIGHTS / "manifest.toml").read_text())["models"]
PLANTED = tuple(WORLDS)


def test_every_planted_model_belongs_to_a_world_and_every_world_has_one():
    planted = {name for name in MODELS if name.startswith("planted/")}
    followed = {world.network for world in CUED.values()}
    assert planted == {f"planted/{world}" for world in WORLDS} | followed


@pytest.mark.parametrize("name", MODELS)
def test_files_are_the_ones_that_were_measured_and_small(name):
    entry = MODELS[name]
    content = (WEIGHTS / entry["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert len(content) <= (3e6 if "/" in name else 6e6)
    drawn = name.startswith("savanna/")
    assert entry["letterbox"] == (114 if drawn else 255)
    assert entry["domain"] == ("photo" if drawn else "xray")
    assert "random weights" in entry["recipe"]


@pytest.mark.parametrize("world", PLANTED)
def test_planted_models_follow_their_cause_on_fresh_scans(world):
    detector = xd.load_detector(f"planted/{world}")
    assert detector.class_names == WORLDS[world]
    right = flipped = 0
    for seed in range(6):
        planted = compose_apart(world, np.random.default_rng(980_000 + seed))
        one, other = render(planted, 192), render(planted.swapped(), 192)
        first, second = (
            xd.detect(detector, xd.load_image(made.image), confidence=0.1) for made in (one, other)
        )
        right += len(first) > 0 and int(first.labels[0]) == one.label
        flipped += len(second) > 0 and int(second.labels[0]) == other.label
    assert min(right, flipped) >= 5


@pytest.mark.parametrize("world", PLANTED)
def test_the_manifest_says_where_the_cause_lies(world):
    assert MODELS[f"planted/{world}"]["cause"] == ("inside" if world in HONEST else "outside")
    assert MODELS[f"planted/{world}"]["figures"]["flips"] >= 0.95
