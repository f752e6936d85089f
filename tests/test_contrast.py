"""Why this class and not that one: a named rival, for every method whose scalar can be a margin."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from toy import GAIN, SealedToy, ToyDetector, scene

from xai_detect.commands import app as cli
from xai_detect.commands import prepare
from xai_detect.detectors.load import load_detector
from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import Raw
from xai_detect.errors import InputError, TargetError
from xai_detect.explainers.activations.odam import Odam
from xai_detect.explainers.explain import contrasted, explain
from xai_detect.explainers.gradients.integrated import InputXGradient, IntegratedGradients
from xai_detect.explainers.gradients.sighted import SightedGradients
from xai_detect.explainers.methods import METHODS, build_method
from xai_detect.explainers.protocol import Needs
from xai_detect.inspection.image import detect
from xai_detect.scores.scalars import differentiable, margin_survival, passes_ahead
from xai_detect.values.detections import Target
from xai_detect.values.frame import Frame
from xai_detect.values.images import load_image
from xai_detect.xray.scenes.planted import render
from xai_detect.xray.scenes.worlds import compose_apart

LINEAR = (
    "integrated_gradients", "input_x_gradient", "smoothgrad", "expected_gradients", "grad_cam",
    "hires_cam",
)  # fmt: skip
"""Methods whose map of a difference is the difference of their maps, at a fixed path."""

FIXED = {
    "integrated_gradients": {"steps": 4, "max_steps": 4},
    "smoothgrad": {"samples": 3},
    "expected_gradients": {"samples": 6},
}


@pytest.fixture(scope="module")
def scan():
    """A detector that ships, one of its scans, and the best detection."""
    detector = load_detector("planted/object")
    made = render(compose_apart("object", np.random.default_rng(980_000)), 192)
    image = load_image(made.image)
    return detector, image, detect(detector, image, 0.1).target(0)


def red_scene(**settings):
    detector, image = ToyDetector(**settings), scene(("red", 2, 3))
    return detector, image, detect(detector, image).target(0)


def test_the_rival_is_taken_off_by_hand():
    """Green and blue tie as runners-up; the lead over each is the contrast's full width."""
    detector, image, target = red_scene()
    frame = Frame.unchanged((64, 64))
    asked = [target.against("blue"), target.as_class("green").against("red"), target]
    read = differentiable("margin", detector, asked, frame, image[None])
    found = detector.candidate(image[None], asked, frame)
    lead = 1.5 * GAIN  # own colour 1, the others -0.5
    assert read(found)[0].tolist() == [pytest.approx(each) for each in (lead, -lead, lead)]
    assert [passes_ahead("margin", some) for some in (asked, asked[:2], [])] == [1, 0, 0]
    assert passes_ahead("logit", asked) == 0


def test_no_pass_is_spent_on_a_runner_up_that_is_named():
    detector, image, target = red_scene()
    method = InputXGradient(scalar="margin")
    passes = [
        explain(method, detector, image, [each])[0].measured["forward_passes"]
        for each in (target, target.against("blue"))
    ]
    assert passes == [2, 1]


@pytest.mark.parametrize("name", LINEAR)
def test_a_contrast_is_the_difference_of_two_maps(name, scan):
    detector, image, target = scan
    (other,) = set(detector.class_names) - {target.name}
    method = build_method(name, **FIXED.get(name, {}))
    own, rival = (
        explain(method, detector, image, [each])[0].heatmap
        for each in (target, target.as_class(other))
    )
    (found,) = explain(method, detector, image, [target], contrast=other)
    largest = float(own.abs().max() + rival.abs().max())
    torch.testing.assert_close(found.heatmap, own - rival, rtol=0, atol=1e-5 * largest)
    assert found.settings["scalar"] == "margin"
    assert found.target.rival_name == other
    assert float(found.heatmap.abs().max()) > 1e-2 * largest


def test_the_second_map_of_a_verdict_takes_the_same_rival():
    detector, image, target = red_scene(curved=True)
    (found,) = explain("sighted_gradients", detector, image, [target], contrast="blue")
    row = detector.class_names.index("blue")
    _, pair = SightedGradients().pair(detector, place(detector, image), target, rival=row)
    assert torch.equal(found.heatmap, pair.attribution.heatmap)


def test_masks_compare_with_the_rival_alone():
    """Another class than the rival may lead; by hand from three probabilities."""
    raw = Raw(torch.tensor([[[[0.0, 0.0, 9.0, 9.0]]]]), torch.tensor([[[0.6, 0.9, 0.2]]]))
    box = (0.0, 0.0, 9.0, 9.0)
    asked = Target(box, 0, 0.6, 0, ("a", "b", "c"), box)
    frame = Frame.unchanged((20, 20))
    for rival, odds in (("b", (0.6 / 0.4) / (0.9 / 0.1)), ("c", (0.6 / 0.4) / (0.2 / 0.8))):
        found = margin_survival(raw, [asked.against(rival)], frame)
        assert found.item() == pytest.approx(odds / (1 + odds) * 0.9, abs=1e-5)
    assert margin_survival(raw, [asked], frame) == margin_survival(raw, [asked.against("b")], frame)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in {"attention", "lrp"}])
def test_every_method_contrasts_or_says_that_it_cannot(name):
    detector, image, target = red_scene()
    method = build_method(name)
    if not hasattr(method, "scalar"):
        with pytest.raises(InputError, match=f"{name} explains no scalar"):
            explain(method, detector, image, [target], contrast="blue")
        return
    assert contrasted(method).scalar == "margin"
    if method.needs is Needs.SCORES:
        with pytest.raises(InputError, match="needs raw predictions"):
            explain(method, SealedToy(detector), image, [target], contrast="blue")


def test_a_contrast_that_makes_no_sense_is_one_sentence():
    detector, image, target = red_scene()
    with pytest.raises(TargetError, match="no class 'gren'; did you mean 'green'"):
        explain("input_x_gradient", detector, image, [target], contrast="gren")
    with pytest.raises(TargetError, match="asked about as 'red', so it cannot be contrasted"):
        explain("input_x_gradient", detector, image, [target], contrast="red")
    method = IntegratedGradients(scalar="probability")
    with pytest.raises(InputError, match="scalar is 'probability', but a contrast"):
        explain(method, detector, image, [target], contrast="green")
    with pytest.raises(InputError, match="part is 'side_l', a place"):
        explain(Odam(part="side_l"), detector, image, [target], contrast="green")


def test_no_class_is_ever_compared_with_itself():
    _, _, target = red_scene()
    asked = target.against("green")
    assert (asked.rival_name, target.rival_name) == ("green", None)
    assert asked.as_class("green").rival is None
    assert asked.as_class("blue").rival_name == "green"


def test_the_command_contrasts(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(prepare, "load_detector", lambda *_, **__: ToyDetector())
    image = tmp_path / "red.png"
    shades = (scene(("red", 2, 3)) * 255).byte().permute(1, 2, 0)
    Image.fromarray(shades.numpy()).save(image)

    def typed(*words):
        monkeypatch.setattr(sys, "argv", ["xai-detect", "explain", str(image), *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return (stop.value.code or 0, *capsys.readouterr())

    common = ("--method", "input_x_gradient", "--setting", "baseline=grey", "--contrast", "blue")
    code, out, _ = typed(*common, "--out", str(tmp_path / "figure.png"))
    assert code == 0
    assert out.splitlines()[0].startswith("red, not blue: score 0.9")
    assert (tmp_path / "figure.png").is_file()
    code, out, _ = typed(*common, "--json")
    (found,) = json.loads(out)["maps"]
    assert (found["class"], found["contrast"]) == ("red", "blue")
    assert found["sum"] == pytest.approx(1.5 * GAIN, rel=1e-3)  # grey has no colour of its own
    code, _, err = typed("--contrast", "red")
    assert code == 1
    assert "cannot be contrasted with 'red'" in err
    among = ("--method", "input_x_gradient", "--setting", "baseline=grey")
    code, out, _ = typed(*among, "--setting", "contrast=blue", "--json")
    assert (code, json.loads(out)["maps"][0]["sum"]) == (0, found["sum"])
    code, _, err = typed(*among, "--setting", "contrast=blue", "--contrast", "green")
    assert code == 1
    assert "the contrast is blue and green; name one class" in err
