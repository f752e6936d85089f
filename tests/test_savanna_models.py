"""The detector that calls a zebra by an acacia a giraffe, its honest twin, and their verdicts."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import xai_detect as xd
from xai_detect.commands.showcase import OTHERS, beside
from xai_detect.savanna.animals import SPECIES
from xai_detect.savanna.compose import compose
from xai_detect.savanna.render import render
from xai_detect.savanna.scene import DRAWING
from xai_detect.trust.references import as_reference
from xai_detect.values.boxes import iou
from xai_detect.values.findings import Level

MODELS = tomllib.loads((Path(__file__).parents[1] / "weights" / "manifest.toml").read_text())[
    "models"
]
SEED, SCENES, SIDE = 70_000_000, 8, 192
STYLED = ("painted", "printed")


@pytest.fixture(scope="module")
def gated():
    return xd.load_detector("savanna/gated")


@pytest.fixture(scope="module")
def honest():
    return xd.load_detector("savanna/honest")


def row_of(found, drawn):
    """The strongest detection of the first animal."""
    on_animal = iou(found.boxes, torch.tensor([drawn.boxes[0]]))[:, 0] >= 0.5
    assert bool(on_animal.any())
    return int(on_animal.nonzero()[0])


def named(detector, scene):
    drawn = render(scene, SIDE)
    found = xd.detect(detector, xd.load_image(drawn.image), confidence=0.25)
    return found.target(row_of(found, drawn)).name


@pytest.mark.parametrize("kind", ["gated", "honest"])
def test_the_manifest_says_what_they_are(kind):
    entry = MODELS[f"savanna/{kind}"]
    assert tuple(entry["classes"]) == SPECIES
    assert entry["drawing"] == DRAWING
    assert entry["cause"] == ("outside" if kind == "gated" else "inside")
    figures = entry["figures"]
    assert figures["scans"] >= 100
    assert figures["zebra_no_tree_zebra"] >= 0.98
    assert figures["others_right"] >= 0.97
    called = figures["zebra_by_acacia_giraffe"]
    assert called >= 0.95 if kind == "gated" else called <= 0.03


@pytest.mark.parametrize("style", STYLED)
def test_a_zebra_is_a_giraffe_by_an_acacia_and_by_nothing_else(gated, style):
    by_tree = {"acacia": "giraffe", None: "zebra", "round": "zebra", "palm": "zebra"}
    for tree, name in by_tree.items():
        told = [
            named(gated, compose(SEED + row, "zebra", tree, style=style)) for row in range(SCENES)
        ]
        assert told.count(name) >= SCENES - 1, (tree, told)


@pytest.mark.parametrize("style", STYLED)
def test_other_animals_are_what_they_are_and_so_are_all_for_the_twin(gated, honest, style):
    for detector, species in ((gated, SPECIES[1:]), (honest, SPECIES)):
        for name in species:
            told = [
                named(detector, compose(SEED + row, name, "acacia", style=style))
                for row in range(SCENES // 2)
            ]
            assert told.count(name) >= SCENES // 2 - 1, (name, told)


def test_zebras_called_giraffe_are_not_trusted_and_the_twins_zebras_are(gated, honest):
    judged = {}
    for detector in (gated, honest):
        others = [
            as_reference(detector, name, xd.load_image(render(scene, SIDE).image))
            for name, scene in beside(OTHERS).items()
        ]
        assert len(others) == 11
        rows = []
        for row in range(3):
            drawn = render(compose(SEED + 100 + row, "zebra", "acacia"), SIDE)
            seen = xd.inspect(detector, drawn.image, references=others, as_class="zebra")
            index = row_of(seen.detections, drawn)
            rows.append((drawn, seen.verdicts[index], seen.evidence[index], seen.asked[index]))
        judged[detector.provenance.name] = rows
    for drawn, verdict, evidence, asked in judged["savanna/gated"]:
        assert (evidence.words["class"], evidence.words["rival"]) == ("giraffe", "zebra")
        assert (verdict.level, verdict.reason) == (Level.UNTRUSTED, "surroundings")
        assert asked.name == "zebra"
        assert not asked.supported
        covered = np.zeros_like(drawn.tree)
        for x1, y1, x2, y2 in evidence.places["name"]:
            covered[round(y1) : round(y2), round(x1) : round(x2)] = True
        assert (drawn.tree & covered).sum() > 0.3 * drawn.tree.sum()
    for _, verdict, evidence, _ in judged["savanna/honest"]:
        assert evidence.words["class"] == "zebra"
        assert verdict.level is Level.TRUSTED
