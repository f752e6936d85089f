"""Maps side by side: the numbers by hand, the figure, and what the command prints."""

import json
import math
import sys

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from toy import ToyDetector, scene

import xai_detect as xd
from xai_detect.commands import app as cli
from xai_detect.commands import prepare
from xai_detect.errors import InputError
from xai_detect.explainers.gradients.integrated import InputXGradient
from xai_detect.inspection.comparison import compare
from xai_detect.inspection.image import detect
from xai_detect.output.drawing.side_by_side import figure_of, limit_of

BLACK = {"black": InputXGradient(baseline="black")}


def saved(path, image):
    pixels = (image.permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def typed(monkeypatch, capsys, tmp_path):
    """Type a command; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["xai-detect", "explain", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return (stop.value.code or 0, *capsys.readouterr())

    return call


@pytest.fixture
def toy(monkeypatch):
    detector = ToyDetector()
    monkeypatch.setattr(prepare, "load_detector", lambda *_, **__: detector)
    return detector


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    made = xd.build_classifier("squeezenet1_1", ("safe", "dangerous"), input_size=48)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    return xd.save_classifier(made, path)


def test_a_box_is_the_foreground_of_a_detection():
    """Black on white: the red square's logit is 4 with the rest hidden, and BIAS without it."""
    detector, image = ToyDetector(), scene(("red", 2, 3))
    target = detect(detector, image).target(0)
    result = compare(detector, image, [target], BLACK, fill="air")
    ((panel,),) = result.rows
    found = 1 / (1 + math.exp(-4))
    assert panel.values["score"] == pytest.approx(found, rel=1e-4)
    assert panel.values["without_background"] == pytest.approx(found, rel=1e-4)
    assert panel.values["without_foreground"] == pytest.approx(0, abs=1e-6)
    assert panel.values["foreground_share"] == pytest.approx(1)
    assert panel.values["foreground_area"] == pytest.approx(64 / 64**2)
    assert panel.values["sum"] == pytest.approx(20, rel=1e-4)


def test_the_share_counts_positive_evidence_on_a_given_mask():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[16:20, :] = True  # the upper half of the cell
    target = detect(detector, image).target(0)
    result = compare(detector, image, [target], BLACK, foreground=mask)
    ((panel,),) = result.rows
    assert panel.values["foreground_share"] == pytest.approx(0.5)
    assert panel.values["foreground_area"] == pytest.approx(4 / 64)
    assert result.fill == "blur"


def test_a_whole_image_box_has_no_foreground(classifier):
    model, image = xd.load_classifier(classifier), scene(("red", 2, 3))
    result = compare(model, image, [detect(model, image, 0.0).target(0)], BLACK)
    ((panel,),) = result.rows
    for name in ("foreground_share", "foreground_area", "without_background"):
        assert math.isnan(panel.values[name])
    assert figure_of(result)


def test_a_mask_must_fit_and_there_must_be_a_question():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    target = detect(detector, image).target(0)
    with pytest.raises(InputError, match="mask is 5 x 4 pixels, but the image is 64 x 64"):
        compare(detector, image, [target], BLACK, foreground=torch.ones(4, 5, dtype=torch.bool))
    with pytest.raises(InputError, match="nothing to compare"):
        compare(detector, image, [], BLACK)


def test_one_scale_serves_the_whole_figure():
    detector, image = ToyDetector(), scene(("red", 2, 3), ("blue", 5, 1))
    targets = list(detect(detector, image))
    one = compare(detector, image, targets[:1], BLACK)
    both = compare(detector, image, targets, {**BLACK, "white": InputXGradient(baseline="air")})
    per_pixel = 20 / 64  # the gain over a cell's pixels
    assert limit_of(one) == pytest.approx(per_pixel, rel=1e-4)
    assert limit_of(both) == pytest.approx(per_pixel, rel=1e-4)
    axes = [one for one in figure_of(both).axes if one.images]
    assert len(axes) == 2 * 3


def test_an_empty_map_is_drawn_as_a_grey_copy():
    detector, image = ToyDetector(), scene(("red", 2, 3))
    target = detect(detector, image).target(0)
    same = {"same": InputXGradient(baseline="blur")}
    flat = torch.ones_like(image)
    result = compare(detector, flat, [target], same)
    ((panel,),) = result.rows
    assert panel.values["sum"] == 0
    assert math.isnan(panel.values["foreground_share"])
    assert limit_of(result) == 1
    picture = figure_of(result).axes[1].images[0].get_array()
    assert np.allclose(picture, picture[0, 0])


def test_the_command_compares_classes_and_variants(typed, tmp_path, classifier):
    image = saved(tmp_path / "bag.png", scene(("red", 2, 3)))
    mask = np.zeros((64, 64), np.uint8)
    mask[16:24, 24:32] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    words = (
        image, "--model", classifier, "--class", "dangerous", "--class", "safe",
        "--method", "input_x_gradient", "--variants", "baseline=air", "--variants",
        "baseline=blur(9,9);scalar=margin", "--foreground", "mask.png", "--fill", "air",
        "--out", "sub/figure.png",
    )  # fmt: skip
    code, out, _ = typed(*words)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("dangerous: score 0.")
    assert "without the background" in lines[0]
    assert lines[0].endswith("(fill: air)")
    assert "baseline=blur(9,9);scalar=margin" in lines[2]
    assert lines[2].endswith("(chance 2 %)")
    assert lines[-1] == "figure: sub/figure.png"
    assert cv2.imread("sub/figure.png").shape[1] > 600
    code, out, _ = typed(*words, "--json")
    found = json.loads(out)
    assert [one["class"] for one in found["maps"]] == ["dangerous", "dangerous", "safe", "safe"]
    assert found["maps"][1]["settings"]["scalar"] == "margin"
    scores = [one["score"] for one in found["maps"]]
    assert scores[0] + scores[2] == pytest.approx(1, rel=1e-4)


def test_a_mask_marks_what_is_not_black_and_not_everything(typed, tmp_path, classifier):
    image = saved(tmp_path / "bag.png", scene(("red", 2, 3)))
    mask = np.zeros((64, 64), np.uint8)
    mask[:16] = 1  # a mask of labels
    cv2.imwrite("mask.png", mask)
    words = (image, "--model", classifier, "--method", "input_x_gradient", "--foreground")
    assert "(chance 25 %)" in typed(*words, "mask.png")[1]
    for value, which in ((0, "nothing"), (7, "everything")):
        cv2.imwrite("mask.png", np.full((64, 64), value, np.uint8))
        code, _, err = typed(*words, "mask.png")
        assert code == 1
        assert f"mask.png marks {which}; expected a mask" in err


@pytest.mark.parametrize("form", ["words", "file"])
def test_a_table_of_weights_is_described_by_options(typed, tmp_path, classifier, form):
    image = saved(tmp_path / "bag.png", scene(("red", 2, 3)))
    torch.save(xd.load_classifier(classifier).module.network.state_dict(), tmp_path / "own.pth")
    (tmp_path / "names.txt").write_text("safe\ndangerous\n")
    words = (
        image, "--model", "own.pth", "--architecture", "squeezenet1_1", "--imgsz", "48",
        "--classes", "names.txt" if form == "file" else "safe, dangerous", "--json",
        "--method", "input_x_gradient", "--class", "safe",
    )  # fmt: skip
    code, out, err = typed(*words)
    assert code == 0, err
    (ours,) = json.loads(out)["maps"]
    (own,) = json.loads(
        typed(image, "--model", classifier, "--method", "input_x_gradient", "--class",
              "safe", "--json")[1]
    )["maps"]  # fmt: skip
    assert ours["score"] == pytest.approx(own["score"], rel=1e-5)
    (alone,) = json.loads(typed(*words, "--multi-label")[1])["maps"]
    assert alone["score"] != pytest.approx(own["score"], rel=1e-3)
    (cut,) = json.loads(typed(*words, "--preprocessing", "crop")[1])["maps"]
    assert cut["settings"] == ours["settings"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--classifier",), "give architecture= and classes=, --architecture and --classes on the"),
        (("--architecture", "resnet18"), "--architecture was given without --classes"),
        (("--classes", "a,b"), "--classes was given without --architecture"),
        (("--multi-label",), "give --architecture and --classes too"),
        (("--architecture", "resnet18", "--classes", "no.txt"), "no.txt, which cannot be read"),
        (("--architecture", "resnet18", "--classes", "a,,b"), "expected different names"),
        (("--architecture", "resnet18", "--classes", "a"), "needs two or more"),
        (("--architecture", "resnet18", "--classes", "a,b"), "own.pth does not fit resnet18"),
        (("--model", "torchvision/resnet18", "--architecture", "resnet18", "--classes", "a,b"),
         "torchvision/resnet18 says itself what network it is"),
    ],
)  # fmt: skip
def test_a_description_that_does_not_fit_is_one_sentence(typed, tmp_path, options, words):
    image = saved(tmp_path / "bag.png", scene(("red", 2, 3)))
    torch.save({"weight": torch.zeros(1)}, tmp_path / "own.pth")
    code, _, err = typed(image, "--model", "own.pth", *options)
    assert code == 1
    assert words in " ".join(err.split())


def test_without_a_class_the_best_is_asked(typed, tmp_path, classifier):
    image = saved(tmp_path / "bag.png", scene(("red", 2, 3)))
    words = (image, "--model", classifier, "--method", "input_x_gradient", "--json")
    code, out, _ = typed(*words)
    (only,) = json.loads(out)["maps"]
    assert (code, only["score"] > 0.5, only["foreground_share"]) == (0, True, None)


def test_detections_are_rows(typed, toy, tmp_path):  # noqa: ARG001
    image = saved(tmp_path / "bag.png", scene(("red", 2, 3), ("blue", 5, 1)))
    words = (image, "--method", "input_x_gradient", "--setting", "baseline=black")
    code, out, _ = typed(*words)
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()[::2]] == ["red", "blue"]
    _, out, _ = typed(*words, "--class", "green", "--json")
    assert [one["class"] for one in json.loads(out)["maps"]] == ["green", "green"]
    _, _, err = typed(*words, *(["--class", "green"] * 6))
    assert "the best 1 of 2 detections are shown" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "figure.jpg"), "ends in .png"),
        (("--variants", "baseline"), "has no '='"),
        (("--conf", "0.99"), "nothing was found above 0.99; lower --conf"),
        (("--class", "violet"), "has no class 'violet'"),
        (("--fill", "soup"), "no fill 'soup'"),
    ],
)
def test_mistakes_are_one_line(typed, toy, tmp_path, words, message):  # noqa: ARG001
    image = saved(tmp_path / "bag.png", scene(("red", 2, 3)))
    code, _, err = typed(image, "--method", "input_x_gradient", *words)
    assert code == 1
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_captum_integrates_where_it_is_asked_to(typed, toy, tmp_path):  # noqa: ARG001
    image = saved(tmp_path / "red.png", scene(("red", 2, 3)))
    words = (image, "--json", "--setting", "steps=4", "--setting", "baseline=black")
    (plain,), (theirs,) = (
        json.loads(typed(*words, *more)[1])["maps"] for more in ((), ("--setting", "engine=captum"))
    )
    assert (plain["settings"]["engine"], theirs["settings"]["engine"]) == ("shared", "captum")
    assert theirs["sum"] == pytest.approx(plain["sum"], rel=1e-5)
    code, _, err = typed(*words, "--setting", "engine=mine")
    assert code == 1
    assert "choose from shared, captum" in err
