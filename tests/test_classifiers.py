"""Classifiers: probabilities, log-odds, files, refusals, and every method on them."""

import json
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import xai_detect as xd
from xai_detect.detectors.classifier.detector import ImageClassifier
from xai_detect.detectors.classifier.files import is_classifier, read_weights
from xai_detect.detectors.classifier.layout import ClassifierLayout
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.detectors.weights.checkpoint import quiet
from xai_detect.errors import DiskError, InputError, TargetError, WeightsError
from xai_detect.explainers.gradients.integrated import InputXGradient
from xai_detect.explainers.protocol import Needs
from xai_detect.values.detections import Provenance, Target

COLOURS = ("red", "green", "blue")
ELSEWHERE = {
    "cam": "needs a mean over the image before one linear layer; in test_cam.py",
    "parchgrad": "needs fitted statistics",
    "attention": "needs a transformer",
}
QUICK = {
    "integrated_gradients": {"steps": 2, "max_steps": 2},
    "partition_shap": {"evaluations": 32},
    "expected_gradients": {"samples": 2},
}


class Means(nn.Module):
    """Logits by hand: ten times the mean of each colour."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 1, bias=False)
        self.pool = nn.AdaptiveAvgPool2d(1)
        with torch.no_grad():
            self.stem.weight.copy_(10 * torch.eye(3)[:, :, None, None])

    def forward(self, pixels):
        return self.pool(self.stem(pixels)).flatten(1)


def by_hand(multi_label=False, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), names=COLOURS):
    layout = ClassifierLayout("by hand", names, (8, 16), mean, std, multi_label, "photo")
    return ImageClassifier(Means(), layout, Provenance("hand", "toy", "", "photo", "16 x 8"))


def flat(red, green, blue, size=(20, 30)):
    return torch.tensor([red, green, blue])[:, None, None].expand(3, *size).contiguous()


@pytest.fixture(scope="module")
def untrained():
    return xd.build_classifier("squeezenet1_1", ("safe", "dangerous", "odd"), input_size=64)


def photo(size=(40, 60), seed=0):
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(1, 3, 5, 7, generator=generator)
    return nn.functional.interpolate(small, size=size, mode="bilinear")[0]


def test_softmax_by_hand():
    classifier = by_hand()
    found = xd.detect(classifier, flat(51 / 255, 0.0, 0.0), 0.0)  # logits 2, 0, 0
    assert [one.name for one in found] == ["red", "green", "blue"]
    e2 = math.exp(2)
    assert found.scores.tolist() == pytest.approx([e2 / (e2 + 2), 1 / (e2 + 2), 1 / (e2 + 2)])
    assert found.boxes.tolist() == [[0.0, 0.0, 30.0, 20.0]] * 3
    pixels = classifier.frame((20, 30)).to_input(flat(51 / 255, 0.0, 0.0)[None])
    # ln(p / (1 - p)): red against two others, green against red and blue
    assert classifier.score(pixels, found.target(0)).item() == pytest.approx(2 - math.log(2))
    green = found.target(0).as_class("green")
    assert classifier.score(pixels, green).item() == pytest.approx(-math.log(e2 + 1), rel=1e-5)


def test_sigmoid_by_hand():
    classifier = by_hand(multi_label=True)
    image = flat(51 / 255, 0.0, 102 / 255)
    found = xd.detect(classifier, image, 0.6)  # logits 2, 0, 4: green is at 0.5
    assert [one.name for one in found] == ["blue", "red"]
    assert found.scores.tolist() == pytest.approx([1 / (1 + math.exp(-4)), 1 / (1 + math.exp(-2))])
    pixels = classifier.frame((20, 30)).to_input(image[None])
    assert classifier.score(pixels, found.target(0)).item() == pytest.approx(4)


def test_colours_are_normalised_inside_the_network():
    classifier = by_hand(mean=(0.1, 0.0, 0.0), std=(0.5, 1.0, 1.0), multi_label=True)
    pixels = flat(0.3, 0.0, 0.0, (8, 16))[None]
    assert classifier.module(pixels)[0].tolist() == pytest.approx([(0.3 - 0.1) / 0.5 * 10, 0, 0])


@given(st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=6))
def test_sigmoid_of_the_log_odds_is_the_reported_confidence(logits):
    names = tuple(str(index) for index in range(len(logits)))
    layout = ClassifierLayout("x", names, (4, 4), (0.0,) * 3, (1.0,) * 3, False, "photo")

    class Fixed(nn.Module):
        def forward(self, pixels):
            return torch.tensor([logits]) + 0 * pixels.sum()

    classifier = ImageClassifier(Fixed(), layout, Provenance("x", "x", "", "photo", "4"))
    pixels = torch.zeros(1, 3, 4, 4)
    target = Target((0.0, 0.0, 4.0, 4.0), 0, 0.5, 0, names, (0.0, 0.0, 4.0, 4.0))
    odds = classifier.candidate(pixels, [target], classifier.frame((4, 4))).log_odds[0, 0]
    reported = classifier.raw(pixels).probabilities[0, 0]
    torch.testing.assert_close(odds.double().sigmoid().float(), reported, rtol=1e-4, atol=1e-12)


def test_the_gradient_by_hand():
    """Each of the 600 image pixels holds a 600th of the mean; red less softmax-weighted others."""
    classifier = by_hand(multi_label=True)
    image = flat(51 / 255, 0.0, 0.0)
    (target,) = xd.detect(classifier, image, 0.6)
    (one,) = xd.explain(InputXGradient(baseline="black"), classifier, image, [target])
    assert float(one.heatmap.sum()) == pytest.approx(2.0, rel=1e-4)


def test_the_gradient_of_a_side_is_nothing():
    classifier, image = by_hand(), flat(0.2, 0.1, 0.0)
    target = xd.detect(classifier, image, 0.0).target(0)
    frame = classifier.frame((20, 30))
    pixels = frame.to_input(image[None]).requires_grad_()
    sides = classifier.candidate(pixels, [target], frame).boxes[0, 0]
    assert sides.tolist() == [0, 0, 16, 8]
    (gradient,) = torch.autograd.grad(sides.sum(), pixels)
    assert gradient.abs().max() == 0


def test_wrong_questions_are_refused():
    classifier = by_hand()
    pixels, frame = torch.zeros(1, 3, 8, 16), classifier.frame((8, 16))
    box = (0.0, 0.0, 16.0, 8.0)
    with pytest.raises(TargetError, match="a classifier has one, the image"):
        classifier.candidate(pixels, [Target(box, 0, 0.5, 3, COLOURS, box)], frame)
    with pytest.raises(TargetError, match="class 5 does not exist; this network has 3"):
        classifier.candidate(pixels, [Target(box, 5, 0.5, 0, COLOURS, box)], frame)
    with pytest.raises(InputError, match="expected a threshold"):
        classifier.detect(pixels, frame, 1.5)
    with pytest.raises(InputError, match="answers \\(3,\\) per image, but there are 2"):
        by_hand(names=("a", "b"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": ("one",)}, "needs two or more"),
        ({"classes": ("a", "a")}, "expected different names"),
        ({"input_size": (0, 8)}, "from 1 to 4096 pixels"),
        ({"std": (1.0, 0.0, 1.0)}, "std above 0"),
        ({"domain": "radar"}, "choose from photo, xray"),
        ({"fill": 114.0}, "fill is 114.0; expected a value of the padding from 0 to 1"),
        ({"fill": math.nan}, "value of the padding from 0 to 1"),
    ],
)
def test_layouts_that_make_no_sense(changes, words):
    fine = {
        "architecture": "resnet18",
        "classes": COLOURS,
        "input_size": (8, 8),
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
        "multi_label": False,
        "domain": "photo",
    }
    with pytest.raises(InputError, match=words):
        ClassifierLayout(**{**fine, **changes})


def test_a_batch_and_a_train_of_single_images_agree(untrained):
    pixels = torch.stack([photo((64, 64), seed) for seed in range(3)])
    together = untrained.raw(pixels).probabilities
    apart = torch.cat([untrained.raw(one[None]).probabilities for one in pixels])
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-6)
    assert isinstance(untrained, WhiteBoxDetector)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("resnet18", "network.layer4"),
        ("mobilenet_v3_small", "network.features"),
        ("densenet121", "network.features"),
        ("shufflenet_v2_x0_5", "network.conv5"),
    ],
)
def test_the_last_convolutional_stage_is_named(name, layer):
    classifier = xd.build_classifier(name, ("a", "b"), input_size=64)
    assert classifier.feature_layers == (layer,)


def test_building_is_reproducible_and_leaves_the_generator_alone():
    state = torch.get_rng_state()
    first, again, other = (
        xd.build_classifier("squeezenet1_1", ("a", "b"), input_size=32, seed=seed)
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    pixels = photo((32, 32))[None]
    assert torch.equal(first.module(pixels), again.module(pixels))
    assert not torch.equal(first.module(pixels), other.module(pixels))


def test_saved_and_loaded_it_is_the_same(tmp_path):
    made = xd.build_classifier(
        "squeezenet1_1", ("mask", "old"), input_size=(48, 64), multi_label=True, domain="xray",
        mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4),
    )  # fmt: skip
    path = xd.save_classifier(made, tmp_path / "sub" / "model.safetensors")
    loaded = xd.load_classifier(path)
    assert is_classifier(path)
    assert loaded.layout == made.layout
    assert loaded.provenance.domain == "xray"
    assert len(loaded.provenance.sha256) == 64
    image = photo()
    ours, theirs = (xd.detect(one, image, 0.0) for one in (made, loaded))
    assert torch.equal(ours.scores, theirs.scores)
    assert xd.load_classifier(path, domain="photo").provenance.domain == "photo"


def test_a_table_of_weights_needs_words(tmp_path, untrained):
    path = tmp_path / "table.pth"
    torch.save(untrained.module.network.state_dict(), path)
    with pytest.raises(WeightsError, match="give architecture= and classes="):
        xd.load_classifier(path)
    loaded = xd.load_classifier(
        path, architecture="torchvision/squeezenet1_1", classes=untrained.class_names,
        input_size=64,
    )  # fmt: skip
    pixels = photo((64, 64))[None]
    torch.testing.assert_close(loaded.module(pixels), untrained.module(pixels))
    with pytest.raises(WeightsError, match="does not fit squeezenet1_1 with 2 classes"):
        xd.load_classifier(path, architecture="squeezenet1_1", classes=("a", "b"))


class Harm:
    def __reduce__(self):
        import os

        return os.system, ("touch harmed",)


@pytest.mark.parametrize("name", ["bad.pt", "bad.pth"])
def test_a_file_that_would_run_code_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Harm()}, name)
    with pytest.raises(WeightsError, match=r"wants to run os\.system"):
        xd.load_classifier(name, architecture="resnet18", classes=("a", "b"))
    with pytest.raises(WeightsError):
        xd.load_classifier(name)
    assert not (tmp_path / "harmed").exists()


def test_files_that_are_no_classifier_are_named(tmp_path, untrained):
    with pytest.raises(WeightsError, match=r"there is no classifier 'nothing\.pt'"):
        xd.load_classifier("nothing.pt")
    with pytest.raises(WeightsError, match="did you mean resnet50"):
        xd.load_classifier("torchvision/resnet5O")
    with pytest.raises(WeightsError, match="no convolutional classifier 'vit_b_16'"):
        xd.build_classifier("vit_b_16", ("a", "b"))
    bare = tmp_path / "bare.safetensors"
    save_file({"x": torch.zeros(1)}, bare)
    assert not is_classifier(bare)
    with pytest.raises(WeightsError, match="does not say what network"):
        xd.load_classifier(bare)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing of the kind")
    assert not is_classifier(broken)
    with pytest.raises(InputError, match=r"must end in \.safetensors"):
        xd.save_classifier(untrained, tmp_path / "model.pt")


def test_a_full_disk_leaves_the_classifier_that_was_saved_before(tmp_path, untrained, full_disk):
    path = xd.save_classifier(untrained, tmp_path / "good.safetensors")
    before = path.read_bytes()
    with full_disk(), pytest.raises(DiskError, match="the disk is full"):
        xd.save_classifier(untrained, path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_metadata_are_data(tmp_path, untrained):
    good = xd.save_classifier(untrained, tmp_path / "good.safetensors")
    with safe_open(good, framework="pt") as file:
        words = file.metadata()
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    for key, value, message in (
        ("architecture", "os.system", "no convolutional classifier"),
        ("input_size", "[0, 5]", "from 1 to 4096"),
        ("mean", '["a", 1, 2]', "a field of its metadata is wrong"),
        ("classes", "5", "a field of its metadata is wrong"),
        ("classes", json.dumps(["a", "b"]), "does not fit"),
    ):
        bad = tmp_path / "bad.safetensors"
        save_file(state, bad, metadata={**words, key: value})
        with pytest.raises(InputError, match=message):
            xd.load_classifier(bad)
    save_file({**state, "features.0.bias": torch.full((64,), torch.nan)}, bad, metadata=words)
    with pytest.raises(WeightsError, match=r"not finite in layer features\.0\.bias"):
        xd.load_classifier(bad)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    with quiet():
        from ultralytics.nn.tasks import ClassificationModel

        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = ClassificationModel("yolov8n-cls.yaml", nc=3, verbose=False)
    network.names = {0: "cat", 1: "dog", 2: "bus"}
    path = tmp_path_factory.mktemp("weights") / "tiny-cls.pt"
    torch.save({"model": network, "train_args": {"imgsz": 64}}, path)
    return path, network.eval()


def test_an_ultralytics_classifier_answers_as_the_library(checkpoint):
    path, network = checkpoint
    classifier = xd.load_classifier(path)
    assert classifier.class_names == ("cat", "dog", "bus")
    assert classifier.layout.input_size == (64, 64)
    pixels = photo((64, 64))[None]
    with torch.no_grad():
        probabilities, logits = network(pixels)
    torch.testing.assert_close(classifier.module(pixels), logits, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(
        classifier.raw(pixels).probabilities[0], probabilities, rtol=1e-3, atol=1e-4
    )
    with pytest.raises(InputError, match="keep its own file"):
        xd.save_classifier(classifier, path.with_suffix(".safetensors"))
    with pytest.raises(WeightsError, match="is a classification model"):
        xd.load_detector(path)


def test_a_detector_is_no_classifier(tmp_path):
    with quiet():
        from ultralytics.nn.tasks import DetectionModel

        network = DetectionModel("yolov8n.yaml", nc=3, verbose=False)
    torch.save({"model": network}, tmp_path / "detector.pt")
    with pytest.raises(WeightsError, match="use load_detector for a detector"):
        xd.load_classifier(tmp_path / "detector.pt")


@pytest.mark.parametrize("name", xd.METHODS)
@pytest.mark.parametrize("preprocessing", ["stretch", "letterbox"])
def test_every_method_explains_a_classifier(name, preprocessing):
    if name in ELSEWHERE:
        pytest.skip(ELSEWHERE[name])
    classes = ("safe", "dangerous", "odd")
    untrained = xd.build_classifier(
        "squeezenet1_1", classes, input_size=64, preprocessing=preprocessing
    )
    image = photo()
    own = xd.detect(untrained, image, 0.0).target(0)
    other = next(one for one in classes if one != own.name)
    from test_methods import SETTINGS

    method = xd.METHODS[name](**{**QUICK.get(name, {}), **SETTINGS.get(name, {})})
    maps = xd.explain(method, untrained, image, [own, own.as_class(other)])
    assert [one.target.name for one in maps] == [own.name, other]
    for one in maps:
        assert one.heatmap.shape == (40, 60)
    if method.needs is Needs.GRADIENTS:
        assert maps[0].heatmap.abs().max() > 0
        same = torch.equal(maps[0].heatmap, maps[1].heatmap)
        assert same == (name == "eigen_cam")  # which knows no target


def test_a_classification_has_no_surroundings_and_so_no_verdict(untrained):
    inspection = xd.inspect(untrained, photo(), confidence=0.0)
    assert len(inspection.verdicts) == 3
    for evidence, verdict in zip(inspection.evidence, inspection.verdicts, strict=True):
        assert evidence.words["presence_stage"] == "no_surroundings"
        assert math.isnan(evidence["presence_first"])
        assert math.isnan(evidence["detected_outside"])
        assert (verdict.level, verdict.cause) == (xd.Level.UNCERTAIN, "no_surroundings")


def test_what_should_matter_gives_a_classification_surroundings():
    classifier = padded(Means(), (32, 32))
    image = flat(0.1, 0.1, 0.1, (32, 32))
    image[0, 8:24, 8:24] = 0.9  # the mean of red decides, and it comes from here
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[8:24, 8:24] = True
    for shown, box_share in ((mask, 0.25), (~mask, 0.75)):
        seen = xd.inspect(classifier, image, confidence=0.0, foreground=shown)
        (row,) = (n for n, target in enumerate(seen.detections) if target.name == "red")
        assert seen.evidence[row].words["presence_stage"] != "no_surroundings"
        assert seen.evidence[row]["box_share"] == pytest.approx(box_share)
        share = seen.evidence[row]["class_box"]
        assert (share > 0.5) == (shown is mask)


def test_names_in_old_densenet_files_are_those_of_today(tmp_path):
    classifier = xd.build_classifier("densenet121", ("a", "b"), input_size=64)
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12]\.)", r"\1.\2", key): value
        for key, value in classifier.module.network.state_dict().items()
    }
    torch.save(old, tmp_path / "old.pth")
    assert any("denselayer1.norm.1.weight" in key for key in old)
    assert set(read_weights(tmp_path / "old.pth")) == set(classifier.module.network.state_dict())


SQUARE_CUT = {"preprocessing": "crop", "shorter": 72}
WIDE, TALL = (90, 200), (200, 90)


def as_bytes(image):
    return Image.fromarray((image.permute(1, 2, 0) * 255).round().byte().numpy())


@pytest.mark.parametrize("size", [WIDE, TALL, (90, 90), (30, 41)])
@pytest.mark.parametrize("resampling", ["bilinear", "bicubic"])
def test_an_image_is_cut_as_torchvision_cuts_it(size, resampling):
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms._presets import ImageClassification

    layout = ClassifierLayout(
        "x", COLOURS, (64, 64), (0.0,) * 3, (1.0,) * 3, False, "photo", "crop", 72, resampling
    )
    image = photo(size)
    frame = layout.frame(size)
    left, top, right, bottom = layout.seen(frame.input_size)
    shown = frame.to_input(image[None])[0, :, top:bottom, left:right]
    preset = ImageClassification(
        crop_size=64, resize_size=72, mean=(0.0,) * 3, std=(1.0,) * 3,
        interpolation=InterpolationMode(resampling),
    )  # fmt: skip
    apart = (shown - preset(as_bytes(image))).abs() * 255  # Pillow rounds after each direction
    assert float(apart.max()) < 2.5
    assert float(apart.mean()) < 0.5


def test_an_ultralytics_classifier_sees_what_its_library_shows_it(checkpoint):
    from ultralytics.data.augment import classify_transforms

    path, network = checkpoint
    classifier = xd.load_classifier(path, device="cpu")
    assert classifier.layout.preprocessing == "crop"
    assert classifier.provenance.input_size == "64 x 64, cut from a shorter side of 64"
    image = photo(WIDE)
    with torch.no_grad():
        expected = network(classify_transforms(64)(as_bytes(image))[None])[0][0]
    found = xd.detect(classifier, image, 0.0)
    assert found.boxes[0].tolist() == [0.0, 0.0, 200.0, 90.0]
    torch.testing.assert_close(found.scores, expected[found.labels], rtol=0, atol=2e-3)
    stretched = xd.load_classifier(path, preprocessing="stretch", device="cpu")
    assert stretched.frame(WIDE).input_size == (64, 64)
    assert stretched.provenance.input_size == "64 x 64"


@pytest.mark.parametrize("method", ["input_x_gradient", "hires_cam", "cam"])
@pytest.mark.parametrize("size", [WIDE, TALL])
def test_what_is_cut_off_receives_no_evidence(method, size):
    built = xd.build_classifier("resnet18", ("a", "b"), input_size=64, **SQUARE_CUT)
    image = photo(size)
    (found,) = xd.explain(method, built, image, [xd.detect(built, image, 0.0).target(0)])
    across = found.heatmap.abs().sum(dim=0 if size == WIDE else 1)
    # 72 of the shorter side's 90 pixels: the longer side is kept from 60 to 140.
    assert float(across[:58].sum()) == float(across[143:].sum()) == 0
    assert (across[62:138] > 0).all()


def test_the_gradient_reaches_a_cut_image_in_full():
    layout = ClassifierLayout(
        "by hand", COLOURS, (8, 8), (0.0,) * 3, (1.0,) * 3, True, "photo", "crop", 10
    )
    classifier = ImageClassifier(Means(), layout, Provenance("hand", "toy", "", "photo", ""))
    image = flat(51 / 255, 0.0, 0.0)
    (target,) = xd.detect(classifier, image, 0.6)
    (one,) = xd.explain(InputXGradient(baseline="black"), classifier, image, [target])
    assert float(one.heatmap.sum()) == pytest.approx(2.0, rel=1e-4)


CUT = ClassifierLayout(
    "by hand", COLOURS, (8, 12), (0.0,) * 3, (1.0,) * 3, True, "photo", "crop", 16
)


@pytest.mark.parametrize("size", [(1, 65), (65, 1), (3, 700)])
def test_an_image_too_thin_to_be_cut_is_refused(size):
    classifier = ImageClassifier(Means(), CUT, Provenance("hand", "toy", "", "photo", ""))
    grown = int(16 * max(size) / min(size))
    across, down = (grown, 16) if size[1] > size[0] else (16, grown)
    words = (
        f"an image of {size[1]} x {size[0]} pixels would become {across} x {down} before its "
        "middle is kept, expected sides that differ by 64 times at most; crop it first, or load "
        'the classifier with preprocessing="stretch"'
    )
    with pytest.raises(InputError, match=re.escape(words)):
        xd.detect(classifier, torch.rand(3, *size), 0.0)


@pytest.mark.parametrize("size", [(1, 64), (64, 1), (30, 1200), (1, 1)])
def test_a_thin_image_is_cut_all_the_same(size):
    classifier = ImageClassifier(Means(), CUT, Provenance("hand", "toy", "", "photo", ""))
    found = xd.detect(classifier, torch.full((3, *size), 0.2), 0.0)
    assert len(found) == len(COLOURS)


@pytest.mark.parametrize("size", [(7, 12), (8, 11), (4, 4)])
def test_pixels_smaller_than_what_is_cut_from_them_are_refused(size):
    classifier = ImageClassifier(Means(), CUT, Provenance("hand", "toy", "", "photo", ""))
    words = f"the pixels are {size[1]} x {size[0]}, expected 12 x 8 or more"
    with pytest.raises(InputError, match=words):
        classifier.raw(torch.rand(1, 3, *size))
    with pytest.raises(InputError, match=words):
        classifier.covered(size)
    assert classifier.covered((8, 12)) == (0, 0, 12, 8)


def test_the_cut_is_kept_in_the_file(tmp_path):
    made = xd.build_classifier("squeezenet1_1", ("a", "b"), input_size=64, **SQUARE_CUT)
    loaded = xd.load_classifier(xd.save_classifier(made, tmp_path / "cut.safetensors"))
    assert loaded.layout == made.layout
    assert loaded.provenance.input_size == "64 x 64, cut from a shorter side of 72"
    with pytest.raises(InputError, match="shorter is 10; expected from 64 pixels"):
        xd.build_classifier(
            "squeezenet1_1", ("a", "b"), input_size=64, preprocessing="crop", shorter=10
        )
    with pytest.raises(InputError, match="no preprocessing 'fold'"):
        xd.build_classifier("squeezenet1_1", ("a", "b"), preprocessing="fold")


# Letterbox


def padded(network, input_size, fill=114 / 255):
    layout = ClassifierLayout(
        "by hand", COLOURS, input_size, (0.0,) * 3, (1.0,) * 3, True, "photo", "letterbox",
        fill=fill,
    )  # fmt: skip
    return ImageClassifier(network, layout, Provenance("hand", "toy", "", "photo", ""))


@pytest.mark.parametrize("size", [WIDE, TALL, (90, 90), (30, 41), (1, 300)])
@pytest.mark.parametrize("input_size", [(64, 64), (48, 80)])
def test_an_image_is_padded_as_ultralytics_pads_it(size, input_size):
    with quiet():
        from ultralytics.data.augment import LetterBox
    network, shown = Means(), []
    classifier = padded(network, input_size)
    network.stem.register_forward_hook(lambda _part, inputs, _output: shown.append(inputs[0][0]))
    image = torch.from_numpy(np.array(as_bytes(photo(size)))).permute(2, 0, 1) / 255
    xd.detect(classifier, image, 0.0)
    expected = LetterBox(input_size, auto=False)(image=np.array(as_bytes(image)))
    assert np.array_equal((shown[-1].permute(1, 2, 0) * 255).round().byte().numpy(), expected)


def test_the_gradient_reaches_a_padded_image_in_full():
    classifier = padded(Means(), (8, 8), fill=0.5)
    image = flat(51 / 255, 0.0, 0.0, (20, 40))  # half of the input; the rest adds 0.5 * 10 / 2
    pixels = classifier.frame((20, 40)).to_input(image[None])
    (target,) = [one for one in xd.detect(classifier, image, 0.0) if one.name == "red"]
    assert float(classifier.score(pixels, target)) == pytest.approx(1 + 2.5)
    (one,) = xd.explain(InputXGradient(baseline="black"), classifier, image, [target])
    assert float(one.heatmap.sum()) == pytest.approx(1.0, rel=1e-4)


class Cells(nn.Module):
    """Logits by hand: the largest mean of a colour in a cell of 8 pixels."""

    def __init__(self):
        super().__init__()
        self.cells, self.most = nn.Conv2d(3, 3, 8, stride=8, bias=False), nn.AdaptiveMaxPool2d(1)
        with torch.no_grad():
            self.cells.weight.copy_(torch.eye(3)[:, :, None, None].expand(3, 3, 8, 8) / 64)

    def forward(self, pixels):
        return self.most(self.cells(pixels)).flatten(1)


@pytest.mark.parametrize(("size", "cell"), [((32, 64), (8, 40)), ((64, 32), (40, 8))])
def test_maps_of_layers_lie_where_the_padded_image_lies(size, cell):
    classifier = padded(Cells(), (64, 64), fill=0.0)
    top, left = cell
    image = torch.zeros(3, *size)
    image[0, top : top + 8, left : left + 8] = 1
    target = next(one for one in xd.detect(classifier, image, 0.0) if one.name == "red")
    (one,) = xd.explain("hires_cam", classifier, image, [target])
    row, column = divmod(int(one.heatmap.argmax()), size[1])
    assert top <= row < top + 8
    assert left <= column < left + 8


@pytest.mark.parametrize("size", [(20, 200), (200, 20)])
def test_a_padded_image_is_found_again_whatever_its_shape(size):
    """What is asked for is the image and not the input, most of which is padding."""
    classifier = padded(Means(), (32, 32))
    image = flat(0.9, 0.1, 0.1, size)
    inspection = xd.inspect(classifier, image, confidence=0.0)
    assert inspection.detections.boxes[0].tolist() == [0.0, 0.0, size[1], size[0]]
    for target, evidence in zip(inspection.detections, inspection.evidence, strict=True):
        assert evidence["score"] == pytest.approx(target.score)
    assert classifier.raw(torch.zeros(2, 3, 3, 32)).boxes.tolist() == [[[[0, 0, 32, 3]]]] * 2


@pytest.mark.parametrize("size", [(9, 12), (8, 13)])
def test_pixels_larger_than_what_they_are_padded_to_are_refused(size):
    classifier = padded(Means(), (8, 12))
    with pytest.raises(InputError, match=f"the pixels are {size[1]} x {size[0]}, expected 12 x 8 "):
        classifier.raw(torch.rand(1, 3, *size))
    assert classifier.covered((8, 12)) == (0, 0, 12, 8)
    assert classifier.covered((3, 12)) == (0, -2, 12, 6)


def test_the_letterbox_is_kept_in_the_file(tmp_path):
    made = xd.build_classifier(
        "squeezenet1_1", ("a", "b"), input_size=64, preprocessing="letterbox", fill=1.0
    )
    path = xd.save_classifier(made, tmp_path / "padded.safetensors")
    loaded = xd.load_classifier(path)
    assert loaded.layout == made.layout
    assert loaded.layout.fill == 1
    assert loaded.provenance.input_size == "64 x 64, letterboxed"
    image = photo(WIDE)
    expected = xd.detect(made, image, 0.0).scores
    assert torch.equal(xd.detect(loaded, image, 0.0).scores, expected)
    assert xd.load_classifier(path, preprocessing="stretch").frame(WIDE).input_size == (64, 64)
    table = tmp_path / "table.pth"
    torch.save(made.module.network.state_dict(), table)
    described = {"architecture": "squeezenet1_1", "classes": ("a", "b"), "input_size": 64}
    again = xd.load_classifier(table, **described, preprocessing="letterbox", fill=1.0)
    assert torch.equal(xd.detect(again, image, 0.0).scores, expected)
    grey = xd.load_classifier(table, **described, preprocessing="letterbox")
    assert grey.layout.fill == 114 / 255
    assert not torch.equal(xd.detect(grey, image, 0.0).scores, expected)


def test_files_from_before_there_was_a_letterbox_are_read(tmp_path, untrained):
    path = xd.save_classifier(untrained, tmp_path / "new.safetensors")
    with safe_open(path, framework="pt") as file:
        words = {key: value for key, value in file.metadata().items() if key != "fill"}
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file(state, tmp_path / "old.safetensors", metadata=words)
    assert xd.load_classifier(tmp_path / "old.safetensors").layout == untrained.layout
