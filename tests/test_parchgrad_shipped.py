"""The statistics that ship: they fit their networks, and ParchGrad runs on the first call."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import ToyDetector, scene

import xai_detect as xd
from xai_detect.detectors.place import place
from xai_detect.detectors.weights import manifest
from xai_detect.errors import ExplainError, InputError
from xai_detect.explainers.parchgrad.fit import fit
from xai_detect.explainers.parchgrad.layers import find_layers
from xai_detect.explainers.parchgrad.method import MODES, ParchGrad
from xai_detect.explainers.parchgrad.statistics import (
    OVER,
    load_statistics,
    save_statistics,
    shipped_statistics,
)
from xai_detect.xray.scenes.planted import render
from xai_detect.xray.scenes.worlds import compose_apart

WEIGHTS = Path(__file__).parents[1] / "weights"
NAMES = [
    name
    for name in manifest.names(WEIGHTS / "manifest.toml")
    if name == "screening" or name.startswith("planted/")
]


def scan(world):
    return xd.load_image(render(compose_apart(world, np.random.default_rng(980_000)), 192).image)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("over", OVER)
def test_every_shipped_network_has_statistics_of_all_its_classes(name, over):
    detector = xd.load_detector(name)
    path = shipped_statistics(detector)
    assert path == WEIGHTS / "parchgrad" / f"{name}.safetensors"
    assert path.stat().st_size < 600_000
    statistics = load_statistics(path, detector, over)
    assert statistics.class_names == detector.class_names
    assert statistics.counts[:-1].min() >= 50
    assert "seeds from 530000" in statistics.source
    assert statistics.layers == find_layers(detector, place(detector, scan("object")).pixels)
    # channels that answer to one class more than to all else: not what noise would show
    assert all(statistics.p(row).min() < 1e-4 for row in range(len(detector.class_names)))


@pytest.mark.parametrize("mode", MODES)
def test_the_first_call_gives_a_map(mode):
    detector, image = xd.load_detector("planted/part"), scan("part")
    targets = xd.detect(detector, image)
    for method in ("parchgrad", ParchGrad("gradient", mode)):
        (found,) = xd.explain(method, detector, image, [targets.target(0)])
        assert found.heatmap.abs().sum() > 0
        assert found.measured["groups_split"] > 0


def test_a_copy_of_the_weights_is_known_by_its_digest(tmp_path):
    shutil.copy(WEIGHTS / "planted" / "part.safetensors", tmp_path / "mine.safetensors")
    detector = xd.load_detector(str(tmp_path / "mine.safetensors"))
    assert shipped_statistics(detector) == WEIGHTS / "parchgrad" / "planted" / "part.safetensors"


def test_statistics_of_another_network_are_one_sentence():
    detector, image = xd.load_detector("planted/part"), scan("part")
    other = str(WEIGHTS / "parchgrad" / "planted" / "object.safetensors")
    targets = [xd.detect(detector, image).target(0)]
    with pytest.raises(InputError, match=r"was fitted on another detector than .*part; run: xai-"):
        xd.explain(ParchGrad(statistics=other), detector, image, targets)


def test_a_detector_that_does_not_ship_is_told_what_to_run():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets = [xd.detect(detector, image).target(0)]
    assert shipped_statistics(detector) is None
    with pytest.raises(InputError, match="none ship for toy; run: xai-detect fit-parchgrad DATA"):
        xd.explain("parchgrad", detector, image, targets)


def test_too_few_boxes_of_a_class_are_one_sentence(tmp_path):
    detector, image = xd.load_detector("planted/part"), scan("part")
    targets = xd.detect(detector, image)
    box = torch.tensor([targets.target(0).box])
    other = 1 - targets.target(0).label
    scans = [(image, box, torch.tensor([label])) for label in (other, other, 1 - other)]
    save_statistics(fit(detector, scans), tmp_path / "few")
    method = ParchGrad("gradient", "cls", str(tmp_path / "few"))
    with pytest.raises(ExplainError, match=r"fitted on 1 images of '.*', too few"):
        xd.explain(method, detector, image, [targets.target(0)])
