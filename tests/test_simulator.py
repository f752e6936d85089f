"""The simulator is pinned: what was drawn once is drawn again, or its version changes.

Planted models, figures of verdicts and frozen benchmarks rest on these very pictures. A change that
makes scans more real raises ``SIMULATOR``, trains the planted models again and writes the golden
digests anew with ``make digests``.
"""

import json
import tomllib
from pathlib import Path

import pytest
from simulator_digests import BANDS, FILE, KINDS, SCANS, bands_apart, digests

from xai_detect.xray.physics import scanner
from xai_detect.xray.scenes.scan import SIMULATOR
from xai_detect.xray.scenes.simulate import simulate

GOLDEN = json.loads(FILE.read_text())
STRAY = 3
"""Bands of a picture in which another processor's rounding may show."""

MANIFEST = Path(__file__).parents[1] / "weights" / "manifest.toml"


@pytest.mark.golden
@pytest.mark.parametrize("kind", KINDS)
def test_ten_scans_are_the_ones_that_were_drawn_when_the_version_was_given(kind):
    assert GOLDEN["simulator"] == SIMULATOR, "write the digests again: make digests"
    assert len(GOLDEN["scans"][kind]) == SCANS
    for seed, before in enumerate(GOLDEN["scans"][kind]):
        now = digests(kind, seed)
        assert now["truth"] == before["truth"], f"{kind} {seed}: other boxes, masks or class"
        assert bands_apart(now["picture"], before["picture"]) <= STRAY, f"{kind} {seed}: pixels"


def test_scans_of_a_world_differ_from_each_other():
    pictures = [one["picture"] for kind in KINDS for one in GOLDEN["scans"][kind]]
    assert len(set(pictures)) == len(KINDS) * SCANS


@pytest.fixture
def denser_steel(monkeypatch):
    """Steel one per cent heavier, in everything that is drawn meanwhile."""
    cached = (scanner.attenuation, scanner.basis, scanner.coefficients)
    monkeypatch.setattr(
        scanner, "DENSITY", {**scanner.DENSITY, "steel": scanner.DENSITY["steel"] * 1.01}
    )
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


@pytest.mark.usefixtures("denser_steel")
@pytest.mark.parametrize("kind", KINDS)
def test_one_per_cent_of_one_material_would_be_seen_in_every_world(kind):
    apart = [
        bands_apart(digests(kind, seed)["picture"], before["picture"])
        for seed, before in enumerate(GOLDEN["scans"][kind])
    ]
    assert sum(count > STRAY for count in apart) >= SCANS // 2, apart
    assert max(apart) > BANDS // 3


@pytest.mark.parametrize("planted", [None, "marker"])
def test_a_written_set_says_which_simulator_drew_it(tmp_path, planted):
    made = simulate(tmp_path, 1, size=64, planted=planted)
    assert json.loads(made.annotations.read_text())["info"]["simulator"] == SIMULATOR


def test_the_planted_models_were_trained_on_scans_of_this_version():
    models = tomllib.loads(MANIFEST.read_text())["models"]
    planted = {name: entry for name, entry in models.items() if name.startswith("planted/")}
    assert {name: entry["simulator"] for name, entry in planted.items()} == dict.fromkeys(
        planted, SIMULATOR
    )
