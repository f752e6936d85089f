"""Detectors and methods of other packages: found by name, read late, broken in one sentence."""

import subprocess
import sys

import pytest
from toy import ToyDetector, scene

import xai_detect as xd
from xai_detect.errors import InputError, WeightsError
from xai_detect.explainers.methods import build_method

MODULE = '''
from dataclasses import dataclass
from typing import ClassVar

from toy import ToyDetector
from xai_detect.explainers.protocol import Attribution, Needs

called = []


def load(name, *, domain, device, imgsz):
    called.append((name, domain, str(device), imgsz))
    return ToyDetector(domain=domain)


def nothing(name, **options):
    return name


@dataclass(frozen=True)
class Level:
    """A flat map at a height."""

    name: ClassVar[str] = "acme_level"
    input_level: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs.NOTHING
    citation: ClassVar[str] = "none"
    height: float = 1.0

    def __call__(self, detector, image, targets):
        heat = image[0] * 0 + self.height
        return [Attribution(heat, {"forward_passes": 0.0, "backward_passes": 0.0})] * len(targets)

    def brief(self):
        return self

    def expected_passes(self, targets):
        return 0.0, 0.0
'''
ENTRIES = """
[xai_detect.detectors]
acme = acme_plugin:load
acme_nothing = acme_plugin:nothing
acme_gone = acme_absent:load
acme_lost = acme_plugin:absent
screening = acme_plugin:nothing

[xai_detect.methods]
acme_level = acme_plugin:Level
acme_no_method = acme_plugin:load
acme_broken = acme_broken:Level
grad_cam = acme_plugin:load
"""


def installed(folder, name, entries):
    """A package as pip leaves it, with a module and its entry points."""
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(entries)


@pytest.fixture
def acme(tmp_path, monkeypatch):
    (tmp_path / "acme_plugin.py").write_text(MODULE)
    (tmp_path / "acme_broken.py").write_text("raise RuntimeError('no licence')\n")
    installed(tmp_path, "acme-vision", ENTRIES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "acme_plugin", raising=False)
    yield tmp_path
    sys.modules.pop("acme_plugin", None)


@pytest.mark.usefixtures("acme")
def test_a_detector_of_another_package_is_loaded_by_its_name():
    detector = xd.load_detector("acme/large", domain="xray", device="cpu", imgsz=320)
    assert isinstance(detector, ToyDetector)
    assert detector.provenance.domain == "xray"
    assert isinstance(xd.load_detector("acme", device="cpu"), ToyDetector)
    import acme_plugin

    assert acme_plugin.called == [
        ("acme/large", "xray", "cpu", 320), ("acme", "photo", "cpu", None),
    ]  # fmt: skip


@pytest.mark.usefixtures("acme")
def test_a_method_of_another_package_is_run_by_its_name():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    targets = list(xd.detect(detector, image))
    (one,) = xd.explain("acme_level", detector, image, targets)
    assert one.method == "acme_level"
    assert bool((one.heatmap == 1).all())
    assert build_method("acme_level", height=2.0).height == 2.0
    with pytest.raises(InputError, match="height of acme_level is 'high', a text"):
        build_method("acme_level", height="high")


@pytest.mark.usefixtures("acme")
def test_names_of_ours_are_ours():
    assert xd.load_detector("screening").provenance.family == "ultralytics"
    assert type(build_method("grad_cam")) is xd.METHODS["grad_cam"]
    assert "acme_plugin" not in sys.modules


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("acme_gone", "registered by acme-vision as acme_absent:load, which cannot be imported"),
        ("acme_lost", "cannot be imported .AttributeError: .*absent"),
        ("acme_nothing", "'acme_nothing' was registered by another package and gives a str"),
    ],
)
def test_a_broken_detector_is_one_sentence(name, words):
    with pytest.raises(InputError, match=words):
        xd.load_detector(name)


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("acme_no_method", "is no method; expected a frozen dataclass with name, input_level"),
        ("acme_broken", "cannot be imported .RuntimeError: no licence.; mend or remove"),
    ],
)
def test_a_broken_method_is_one_sentence(name, words):
    with pytest.raises(InputError, match=words):
        build_method(name)


@pytest.mark.usefixtures("acme")
def test_names_that_are_close_are_suggested():
    with pytest.raises(WeightsError, match="did you mean acme"):
        xd.load_detector("acne")
    with pytest.raises(InputError, match=r"did you mean .*'acme_level'"):
        build_method("acme_levle")


def test_two_packages_with_one_name_are_one_sentence(acme):
    installed(acme, "bcme", "[xai_detect.methods]\nacme_level = other:Level\n")
    with pytest.raises(InputError, match="registered more than once, by acme-vision, bcme"):
        build_method("acme_level")


def test_importing_the_package_reads_no_entry_point():
    code = (
        "import sys, xai_detect; xai_detect.explain; "
        "from importlib import metadata; "
        "metadata.entry_points = lambda **_: sys.exit('read'); "
        "from xai_detect.explainers.methods import build_method; build_method('grad_cam')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
