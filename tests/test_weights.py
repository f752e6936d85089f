"""Checkpoints are data: what is refused, and with which words."""

import hashlib
import io
import json
import logging
import os
import pickle
import subprocess
import sys
import tarfile
import threading
import types
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import xai_detect as xd
from xai_detect.data.classes import pair_classes
from xai_detect.detectors.device import chosen_device
from xai_detect.detectors.load import load_detector
from xai_detect.detectors.weights import checkpoint as weights
from xai_detect.detectors.weights import download, manifest, pickles
from xai_detect.errors import DiskError, InputError, TargetError, WeightsError
from xai_detect.values.detections import label_of

LAYOUT = {
    "nc": 3,
    "scales": {"n": [0.33, 0.125, 64]},
    "scale": "n",
    "backbone": [
        [-1, 1, "Conv", [64, 3, 4]],
        [-1, 1, "Conv", [64, 3, 2]],
        [-1, 1, "nn.MaxPool2d", [3, 2, 1]],
    ],
    "head": [[[1, 2], 1, "Detect", ["nc"]]],
}
NAMES = ("gun", "knife", "wrench")


def network():
    with weights.quiet(), torch.random.fork_rng(devices=[]):
        from ultralytics.nn.tasks import DetectionModel

        torch.manual_seed(0)
        made = DetectionModel(json.loads(json.dumps(LAYOUT)), ch=3, nc=3, verbose=False)
    made.names = dict(enumerate(NAMES))
    return made.eval()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    torch.save({"model": network().half(), "ema": None, "train_args": {"imgsz": 96}}, path)
    return path


class Evil:
    """Wants to run something while it is read."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def test_a_checkpoint_becomes_a_detector(checkpoint):
    detector = load_detector(checkpoint)
    assert detector.class_names == NAMES
    assert detector.provenance.family == "ultralytics"
    assert detector.provenance.name == "tiny.pt"
    assert detector.provenance.domain == "photo"
    assert detector.provenance.sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert not any(part.training for part in detector.module.modules())
    assert {value.dtype for value in detector.module.parameters()} == {torch.float32}


def test_the_input_size_is_that_of_training_unless_given(checkpoint):
    assert load_detector(checkpoint).frame((500, 500)).input_size == (96, 96)
    assert load_detector(checkpoint, imgsz=160).frame((500, 500)).input_size == (160, 160)
    assert load_detector(checkpoint, imgsz=160).provenance.input_size == "160"


def test_the_domain_can_be_given(checkpoint):
    assert load_detector(checkpoint, domain="xray").provenance.domain == "xray"
    with pytest.raises(InputError, match="no domain 'x-ray'; choose from photo, xray"):
        load_detector(checkpoint, domain="x-ray")


@pytest.mark.parametrize("value", [None, "640", [], {}])
def test_a_strange_training_size_falls_back_to_640(tmp_path, value):
    torch.save({"model": network(), "train_args": {"imgsz": value}}, tmp_path / "a.pt")
    assert weights.load_checkpoint(tmp_path / "a.pt").side == 640


def test_the_averaged_network_comes_first(tmp_path):
    averaged = network()
    with torch.no_grad():
        averaged.model[0].bn.bias.fill_(7.0)
    torch.save({"model": network(), "ema": averaged}, tmp_path / "both.pt")
    loaded = weights.load_checkpoint(tmp_path / "both.pt").network
    assert float(loaded.model[0].conv.bias.detach().mean()) > 5


@pytest.mark.parametrize("name", ["bob's.pt", "yolov5n.pt", "yolov3.pt"])
def test_names_that_the_library_would_rewrite_are_read_as_they_are(tmp_path, checkpoint, name):
    path = tmp_path / name
    path.write_bytes(checkpoint.read_bytes())
    assert load_detector(path).provenance.name == name


ATTACKS = {
    "system": (lambda mark: Evil(os.system, f"touch {mark}"), "wants to run os.system"),
    "eval": (lambda mark: Evil(eval, f"open({str(mark)!r}, 'w')"), "wants to run builtins.eval"),
    "torch": (lambda mark: Evil(torch.load, str(mark)), "torch.serialization.load"),
    "getattr": (lambda _: Evil(getattr, nn.Module, "__init__"), "getattr"),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("container", ["zip", "legacy", "pickle"])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_that_wants_to_run_code_is_refused_and_named(tmp_path, attack, container):
    mark, path = tmp_path / "ran", tmp_path / "evil.pt"
    make, name = ATTACKS[attack]
    content = {"model": make(mark)}
    if container == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=4))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=container == "zip")
    if attack in {"torch", "getattr"} and container == "pickle":
        name = "damaged or not an ultralytics checkpoint"  # no torch file at all
    if attack == "getattr" and container == "legacy":
        name = "format from before 1.6"
    with pytest.raises(WeightsError) as caught:
        load_detector(path)
    message = str(caught.value)
    assert name in message
    assert message.startswith("evil.pt ")
    assert "\n" not in message
    assert not mark.exists()


def test_an_import_hidden_behind_the_memo_is_seen():
    hidden = b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940h\x00h\x01\x93."
    assert pickles.imported_names(hidden) == ["os.system"]


def test_the_older_yolov5_repository_is_recognised(tmp_path):
    (tmp_path / "old.pt").write_bytes(b"cmodels.yolo\nDetectionModel\n.")
    with pytest.raises(WeightsError, match="older YOLOv5 repository"):
        load_detector(tmp_path / "old.pt")


def test_a_torchscript_program_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        archive.writestr("script/constants.pkl", b"\x80\x02).")
    with pytest.raises(WeightsError, match=r"script\.pt is a TorchScript program"):
        load_detector(tmp_path / "script.pt")


def test_an_old_tar_archive_is_refused(tmp_path):
    with tarfile.open(tmp_path / "old.pt", "w") as archive:
        archive.addfile(tarfile.TarInfo("pickle"), io.BytesIO())
    with pytest.raises(WeightsError, match="tar archive"):
        load_detector(tmp_path / "old.pt")


def test_the_format_before_zip_archives_is_refused(tmp_path):
    torch.save({"model": network()}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(WeightsError, match=r"old\.pt is in torch's format from before 1\.6"):
        load_detector(tmp_path / "old.pt")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.999])
def test_a_checkpoint_cut_short_is_one_sentence(tmp_path, checkpoint, share):
    content, path = checkpoint.read_bytes(), tmp_path / "cut.pt"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(WeightsError, match=r"cut\.pt is (empty|damaged)"):
        load_detector(path)


@pytest.mark.parametrize("content", [b"hello\n", b"\x89PNG\r\n\x1a\n" + bytes(64), bytes(300)])
def test_other_files_named_pt_are_one_sentence(tmp_path, content):
    (tmp_path / "no.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"no\.pt is damaged or not an ultralytics checkpoint"):
        load_detector(tmp_path / "no.pt")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": torch.zeros(1)}, "only a table of weights"),
        ({"epoch": 3}, "holds no network"),
        ([1, 2], "not an ultralytics checkpoint"),
        ({"model": nn.Linear(1, 1)}, "is a Linear model; expected a detector"),
        ({"model": network(), "modelopt": {"a": 1}}, "quantisation-aware"),
    ],
)
def test_what_is_no_detector_is_named(tmp_path, content, words):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match=words):
        load_detector(tmp_path / "other.pt")


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (["Classify", ["nc"]], "a classification model"),
        (["OBB", ["nc", 1]], "a model of rotated boxes"),
    ],
)
def test_other_tasks_are_named(tmp_path, layer, words):
    from ultralytics.nn import tasks

    layout = json.loads(json.dumps({**LAYOUT, "kpt_shape": [17, 3]}))
    layout["head"] = [[[1, 2] if layer[0] != "Classify" else -1, 1, *layer]]
    kinds = {
        "Classify": tasks.ClassificationModel,
        "Segment": tasks.SegmentationModel,
        "Pose": tasks.PoseModel,
        "OBB": tasks.OBBModel,
    }
    with weights.quiet(), torch.random.fork_rng(devices=[]):
        made = kinds[layer[0]](layout, ch=3, nc=3, verbose=False)
    torch.save({"model": made}, tmp_path / "task.pt")
    with pytest.raises(WeightsError, match=words):
        load_detector(tmp_path / "task.pt")


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (["Segment", ["nc", 8, 16]], "masks"),
        (["Pose", ["nc", [17, 3]]], "key points"),
    ],
)
def test_boxes_of_other_tasks_are_those_of_the_library(tmp_path, caplog, layer, words):
    from ultralytics.nn import tasks

    layout = json.loads(json.dumps({**LAYOUT, "kpt_shape": [17, 3]}))
    layout["head"] = [[[1, 2], 1, *layer]]
    kind = {"Segment": tasks.SegmentationModel, "Pose": tasks.PoseModel}[layer[0]]
    with weights.quiet(), torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        made = kind(layout, ch=3, nc=3, verbose=False).eval()
        for branch in (*made.model[-1].cv2, *made.model[-1].cv3):
            branch[-1].weight.normal_(std=0.5)
        pixels = torch.rand(1, 3, 64, 64)
        whole = made(pixels)[0]
    whole = whole[0] if isinstance(whole, tuple) else whole
    torch.save({"model": made}, tmp_path / "task.pt")
    raw = load_detector(tmp_path / "task.pt", device="cpu").raw(pixels)
    torch.testing.assert_close(raw.probabilities[0].T, whole[0, 4:7], atol=1e-4, rtol=1e-3)
    x, y, w, h = whole[0, :4]
    sides = torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], dim=1)
    torch.testing.assert_close(raw.boxes[0, :, 0], sides, atol=1e-2, rtol=1e-3)
    assert f"task.pt gives {words} as well" in caplog.text


def changed(channels=3, names=None, count=3):
    with weights.quiet(), torch.random.fork_rng(devices=[]):
        from ultralytics.nn.tasks import DetectionModel

        torch.manual_seed(0)
        layout = json.loads(json.dumps({**LAYOUT, "nc": count}))
        made = DetectionModel(layout, ch=channels, nc=count, verbose=False)
    if names is None:
        del made.names
    else:
        made.names = names
    return made.eval()


def test_a_network_for_grey_images_sees_the_same_as_before(tmp_path):
    made = changed(1, {0: "a", 1: "b", 2: "c"})
    grey = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        expected = made(grey)[0]
    torch.save({"model": made}, tmp_path / "grey.pt")
    detector = load_detector(tmp_path / "grey.pt", device="cpu")
    found = detector.raw(grey.expand(1, 3, 64, 64).contiguous())
    torch.testing.assert_close(found.probabilities[0].T, expected[0, 4:], atol=1e-5, rtol=1e-4)
    pixels = torch.rand(1, 3, 64, 64)
    luma = (pixels * torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]).sum(1, keepdim=True)
    with torch.no_grad():
        expected = made(luma)[0]
    found = detector.raw(pixels)
    torch.testing.assert_close(found.probabilities[0].T, expected[0, 4:], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("channels", [2, 4, 10])
def test_networks_of_other_channels_are_refused(tmp_path, channels):
    torch.save({"model": changed(channels, {0: "a"})}, tmp_path / "many.pt")
    with pytest.raises(WeightsError, match=rf"many\.pt takes images of {channels} channels"):
        load_detector(tmp_path / "many.pt")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, ("class 0", "class 1", "class 2")),
        ({0: "gun"}, ("gun", "class 1", "class 2")),
        (["gun", "knife", "saw", "bat"], ("gun", "knife", "saw")),
        ({"0": "gun", "2": True}, ("gun", "class 1", "True")),
        ({0: "gun", 1: "knife", 2: "gun"}, ("gun (class 0)", "knife", "gun (class 2)")),
        ({0: 7, 1: None, 2: " "}, ("7", "class 1", "class 2")),
    ],
)
def test_every_output_has_a_name_of_its_own(tmp_path, given, expected):
    torch.save({"model": changed(3, given)}, tmp_path / "names.pt")
    detector = load_detector(tmp_path / "names.pt", device="cpu")
    assert detector.class_names == expected


def test_a_name_that_two_classes_have_is_no_answer(tmp_path):
    torch.save({"model": changed(3, ["gun", "knife", "gun"])}, tmp_path / "names.pt")
    detector = load_detector(tmp_path / "names.pt", device="cpu")
    with pytest.raises(TargetError, match=r"gun \(class 0\)"):
        label_of("gun", detector.class_names)
    pairs, _ = pair_classes(detector.class_names, ("Gun", "knife"))
    assert pairs == {0: 0, 1: 1, 2: 0}


@pytest.mark.parametrize("home", ["mine", "ultralytics.nn.modules.block", "ultralytics.own"])
def test_a_class_of_ones_own_is_to_be_exported(tmp_path, monkeypatch, home):
    made = network()
    own = type("Mine", (nn.Identity,), {"__module__": home})
    known = sys.modules.get(home)
    with monkeypatch.context() as patch:
        place = known or types.ModuleType(home)
        patch.setitem(sys.modules, home, place)
        patch.setattr(place, "Mine", own, raising=False)
        made.extra = own()
        torch.save({"model": made}, tmp_path / "own.pt")
    with pytest.raises(WeightsError, match=rf"{home}\.Mine.*yolo export .*format=onnx") as caught:
        load_detector(tmp_path / "own.pt")
    assert "trust" not in str(caught.value)


def test_a_network_that_cannot_run_is_refused_when_it_is_loaded(tmp_path):
    made = network()
    made.model[1] = nn.Conv2d(5, 8, 3)
    made.model[1].i, made.model[1].f = 1, -1
    torch.save({"model": made}, tmp_path / "odd.pt")
    with pytest.raises(WeightsError, match=r"odd\.pt cannot run on a colour image") as caught:
        load_detector(tmp_path / "odd.pt")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_name_their_layer(tmp_path, value):
    broken = network()
    with torch.no_grad():
        broken.model[1].conv.weight[0, 0, 0, 0] = value
    torch.save({"model": broken}, tmp_path / "nan.pt")
    with pytest.raises(WeightsError, match=r"nan\.pt .* layer model\.1\.conv\.weight"):
        load_detector(tmp_path / "nan.pt")


def test_large_finite_weights_are_no_fault(tmp_path):
    large = network()
    with torch.no_grad():
        large.model[0].bn.running_mean.fill_(3e38)
    torch.save({"model": large}, tmp_path / "large.pt")
    weights.check_finite(large, "large.pt")


def test_loading_is_silent_and_leaves_the_process_as_it_was(checkpoint, capfd):
    state, level = torch.get_rng_state(), logging.root.manager.disable
    variables = dict(os.environ)
    load_detector(checkpoint)
    assert capfd.readouterr() == ("", "")
    assert torch.equal(torch.get_rng_state(), state)
    assert logging.root.manager.disable == level
    assert dict(os.environ) == variables


def test_other_threads_keep_their_log_lines_and_their_variables(caplog):
    heard = logging.getLogger("somebody.else")

    def speak():
        heard.warning("from another thread")
        logging.getLogger("ultralytics").warning("so is this")

    variables = dict(os.environ)
    ours = logging.getLogger("ultralytics")
    ours.addHandler(caplog.handler)
    try:
        with weights.quiet():
            assert dict(os.environ) == variables
            assert logging.root.manager.disable == 0
            ours.warning("from the library, here")
            other = threading.Thread(target=speak)
            other.start()
            other.join(10)
    finally:
        ours.removeHandler(caplog.handler)
    assert "from another thread" in caplog.text
    assert "so is this" in caplog.text
    assert "from the library, here" not in caplog.text


def test_building_draws_from_a_generator_of_its_own(shipped):
    """The global one would be felt by other threads even if it is put back at the end."""
    listed(shipped)
    state, changed = torch.get_rng_state(), []
    hook = nn.modules.module.register_module_module_registration_hook(
        lambda *_: changed.append(not torch.equal(torch.get_rng_state(), state))
    )
    try:
        load_detector("a/net")
        xd.build_classifier("squeezenet1_1", ("a", "b"), input_size=32)
    finally:
        hook.remove()
    assert len(changed) > 20
    assert not any(changed)


def test_importing_the_library_leaves_pillow_alone(checkpoint):
    code = (
        "from PIL import Image; before = Image.open; from xai_detect import load_detector; "
        f"load_detector({str(checkpoint)!r}); assert Image.open is before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


IMPORTED = """
import os, sys
import cv2, numpy, torch
from PIL import Image
from xai_detect.detectors.weights.quiet import quiet

cv2.setNumThreads(2)
numpy.set_printoptions(linewidth=61, precision=3)
torch.set_printoptions(linewidth=62, precision=2, sci_mode=True)
os.environ["KINETO_LOG_LEVEL"] = "1"
os.environ.pop("OMP_NUM_THREADS", None)

def state():
    shown = numpy.array2string(numpy.arange(30) / 7), str(torch.arange(30) / 7)
    return cv2.getNumThreads(), shown, dict(os.environ), Image.open, torch.save, torch.load

before = state()
assert "ultralytics" not in sys.modules
with quiet():
    pass
assert "ultralytics" in sys.modules
for one, other in zip(before, state(), strict=True):
    assert one == other, (one, other)
"""


def test_importing_the_library_leaves_the_process_as_it_was():
    subprocess.run([sys.executable, "-c", IMPORTED], check=True, timeout=120)


# Manifest and safetensors


def listed(folder: Path, **changes):
    folder.mkdir(exist_ok=True)
    state = {key: value.half() if value.is_floating_point() else value
             for key, value in network().state_dict().items()}  # fmt: skip
    save_file(state, folder / "net.safetensors")
    fields = {
        "file": "net.safetensors",
        "sha256": weights.digest(folder / "net.safetensors"),
        "family": "ultralytics",
        "architecture": json.dumps(LAYOUT),
        "classes": list(NAMES),
        "input_size": 64,
        "letterbox": 255,
        "domain": "xray",
        **changes,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in fields.items() if value is not None]
    (folder / "manifest.toml").write_text("\n".join(['[models."a/net"]', *lines]))
    return folder / "net.safetensors"


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "shipped", lambda: tmp_path / "shipped" / "manifest.toml")
    return tmp_path / "shipped"


def test_a_name_in_the_manifest_becomes_a_detector(shipped):
    listed(shipped)
    detector = load_detector("a/net")
    assert detector.class_names == NAMES
    assert detector.provenance.domain == "xray"
    assert detector.provenance.sha256 == weights.digest(shipped / "net.safetensors")
    frame = detector.frame((32, 64))
    assert frame.input_size[1] == 64
    assert frame.fill == 1.0


def test_safetensors_give_the_same_answers_as_the_checkpoint(shipped, tmp_path):
    path = listed(shipped)
    torch.save({"model": network().half()}, tmp_path / "same.pt")
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    one = load_detector(path).raw(image)
    other = load_detector(tmp_path / "same.pt", imgsz=64).raw(image)
    torch.testing.assert_close(one.probabilities, other.probabilities)
    torch.testing.assert_close(one.boxes, other.boxes)


def test_a_moved_file_is_known_by_its_digest(shipped, tmp_path):
    moved = tmp_path / "elsewhere.safetensors"
    moved.write_bytes(listed(shipped).read_bytes())
    assert load_detector(moved).provenance.name == "a/net"


def test_a_file_can_describe_itself(tmp_path, shipped):
    fields = {"family": "ultralytics", "architecture": json.dumps(LAYOUT), "letterbox": "255",
              "classes": json.dumps(NAMES), "input_size": "64", "domain": "xray"}  # fmt: skip
    save_file(dict(network().state_dict()), tmp_path / "own.safetensors", metadata=fields)
    assert load_detector(tmp_path / "own.safetensors").class_names == NAMES
    assert not shipped.exists()


def test_a_file_that_nothing_describes_is_refused(tmp_path, shipped):
    save_file({"a": torch.zeros(1)}, tmp_path / "bare.safetensors")
    with pytest.raises(WeightsError, match="does not say what network it belongs to"):
        load_detector(tmp_path / "bare.safetensors")
    assert not shipped.exists()


def test_a_changed_file_is_refused(shipped):
    path = listed(shipped)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"net\.safetensors has sha256 .* manifest expects"):
        load_detector("a/net")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"file": "../outside.safetensors"}, "must lie in"),
        ({"file": "/etc/passwd"}, "must lie in"),
        ({"file": "gone.safetensors"}, "does not exist, but the manifest lists"),
        ({"sha256": None}, "lacks the sha256"),
        ({"family": "darknet"}, "unknown family 'darknet'"),
        ({"classes": None}, "lacks the field 'classes'"),
        ({"architecture": "{"}, "is wrong"),
        ({"architecture": "{}"}, "no layers"),
        ({"classes": ["gun"]}, "does not fit"),
        ({"domain": "moon"}, "needs a domain"),
        ({"letterbox": 300}, "letterbox from 0 to 255"),
        ({"input_size": 0}, "positive input_size"),
        ({"architecture": json.dumps({**LAYOUT, "activation": "exec('1')"})}, "wants to run"),
        (
            {"architecture": json.dumps({**LAYOUT, "head": [[-1, 1, "torch_safe_load", []]]})},
            "names 'torch_safe_load', no layer",
        ),
        (
            {"architecture": json.dumps({**LAYOUT, "head": [[-1, 1, "Detect", []]]})},
            "architecture listed for 'a/net' is wrong",
        ),
    ],
)
def test_a_wrong_manifest_is_one_sentence(shipped, change, words):
    listed(shipped, **change)
    with pytest.raises(WeightsError, match=words):
        load_detector("a/net")


def test_a_manifest_that_is_no_toml_is_one_sentence(shipped):
    listed(shipped)
    (shipped / "manifest.toml").write_text("[models")
    with pytest.raises(WeightsError, match="is not valid TOML"):
        load_detector("a/net")


def test_damaged_safetensors_are_one_sentence(shipped, tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(WeightsError, match=r"bad\.safetensors is damaged"):
        load_detector(tmp_path / "bad.safetensors")
    path = listed(shipped)
    path.write_bytes(path.read_bytes()[:-10])
    text = (shipped / "manifest.toml").read_text().splitlines()
    text = [line for line in text if not line.startswith("sha256")]
    digest = weights.digest(path)
    (shipped / "manifest.toml").write_text("\n".join([*text, f'sha256 = "{digest}"']))
    with pytest.raises(WeightsError, match=r"net\.safetensors is damaged"):
        load_detector("a/net")


def test_every_shipped_model_loads():
    for name in manifest.names(manifest.shipped()):
        assert load_detector(name).class_names


# Names


@pytest.fixture
def offline(monkeypatch, tmp_path):
    def refuse(*_arguments, **_settings):
        raise OSError("network is unreachable")

    monkeypatch.setattr("socket.create_connection", refuse)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["yolov8n", "yolov8n.pt", "rtdetr-l", "yolo26x"])
def test_offline_a_published_name_says_what_to_download_and_where_to_put_it(offline, name):
    with pytest.raises(WeightsError) as caught:
        load_detector(name)
    file = f"{name.removesuffix('.pt')}.pt"
    assert f"https://github.com/ultralytics/assets/releases/download/v8.4.0/{file}" in str(
        caught.value
    )
    assert f"put it at {offline / 'torch' / 'hub' / 'checkpoints' / file}" in str(caught.value)


def test_a_published_name_is_found_in_the_cache(offline, checkpoint):
    folder = offline / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "yolov8n.pt").write_bytes(checkpoint.read_bytes())
    assert load_detector("yolov8n").class_names == NAMES


def test_a_published_file_is_trusted_as_it_was_at_its_first_use(offline, checkpoint):
    folder = offline / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    file = folder / "yolov8n.pt"
    file.write_bytes(checkpoint.read_bytes())
    sha256 = load_detector("yolov8n").provenance.sha256
    assert (folder / "yolov8n.pt.sha256").read_text().strip() == sha256
    assert load_detector("yolov8n").provenance.sha256 == sha256
    torch.save({"model": network(), "train_args": {}}, file)
    with pytest.raises(
        WeightsError, match=r"had [0-9a-f]{12}\.\.\. when it was first used: delete"
    ):
        load_detector("yolov8n")
    (folder / "yolov8n.pt.sha256").unlink()
    assert load_detector("yolov8n").provenance.sha256 != sha256


@pytest.mark.parametrize("name", ["yolov8n", "yolov8n.pt"])
def test_a_file_that_lies_about_is_named_where_it_wins_over_the_cache(
    offline, checkpoint, caplog, name
):
    folder = offline / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "yolov8n.pt").write_bytes(checkpoint.read_bytes())
    load_detector(name)
    assert not caplog.records
    (offline / "yolov8n.pt").write_bytes(checkpoint.read_bytes())
    load_detector(name)
    assert [one.getMessage() for one in caplog.records] == [
        f"{offline / 'yolov8n.pt'} is used, not published weights from the cache"
    ]


def test_a_download_arrives_whole_or_not_at_all(offline, monkeypatch, checkpoint, full_disk):
    monkeypatch.setattr(download, "_await_answer", lambda _url: None)

    class Answer(io.BytesIO):
        def read(self, *_):
            raise ConnectionResetError("line cut")

    monkeypatch.setattr("urllib.request.urlopen", lambda *_a, **_k: Answer())
    with pytest.raises(WeightsError, match="line cut"):
        load_detector("yolov8n")
    assert not list((offline / "torch" / "hub" / "checkpoints").iterdir())
    content = checkpoint.read_bytes()
    monkeypatch.setattr("urllib.request.urlopen", lambda *_a, **_k: io.BytesIO(content))
    with full_disk(), pytest.raises(DiskError, match="the disk is full"):
        load_detector("yolov8n")
    assert not list((offline / "torch" / "hub" / "checkpoints").iterdir())
    assert load_detector("yolov8n").provenance.name == "yolov8n.pt"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("yolov8q", "did you mean yolov8"),
        ("a/nett", "did you mean a/net"),
        ("quite.something.else", "expected a .pt, .safetensors or .onnx file"),
        ("nowhere.pt", "there is no file or detector"),
        (".", "is a folder"),
        ("model.onnx", "model.onnx is damaged or no ONNX file"),
        ("notes.txt", "expected a .pt, .safetensors or .onnx file"),
        ("torchvision/ssd300", "did you mean ssd300_vgg16"),
        ("torchvision/maskrcnn_resnet50_fpn", "has no detector"),
    ],
)
def test_a_wrong_name_gets_a_hint(offline, shipped, name, words):
    listed(shipped)
    (offline / "model.onnx").write_bytes(b"x")
    (offline / "notes.txt").write_bytes(b"x")
    with pytest.raises(WeightsError, match=words):
        load_detector(name)


@pytest.mark.parametrize(
    "device", ["tpu?", "cuda:99", "99", 99, "xpu:99", "meta", torch.device("cuda", 99)]
)
def test_a_device_that_is_not_there_is_one_sentence(checkpoint, device):
    with pytest.raises(InputError, match="device"):
        load_detector(checkpoint, device=device)


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_a_device_may_be_given_as_such(checkpoint, device):
    assert load_detector(checkpoint, device=device).device == torch.device("cpu")
    assert chosen_device(device) == torch.device("cpu")


@pytest.mark.parametrize(
    ("gpus", "apple", "intel", "expected"),
    [
        (0, False, 0, "cpu"),
        (0, True, 0, "mps"),
        (2, True, 1, "cuda"),
        (1, False, 1, "cuda"),
        (0, False, 1, "xpu"),
        (0, True, 1, "mps"),
    ],
)
def test_a_gpu_is_taken_where_there_is_one(monkeypatch, gpus, apple, intel, expected):
    monkeypatch.setattr("torch.xpu.is_available", lambda: intel > 0)
    monkeypatch.setattr("torch.xpu.device_count", lambda: intel)
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpus > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: apple)
    assert chosen_device("auto") == chosen_device() == torch.device(expected)
    for number in range(gpus):
        assert chosen_device(number) == chosen_device(str(number)) == torch.device("cuda", number)
    with pytest.raises(InputError, match=f"no usable cuda device {gpus}; use --device cpu or auto"):
        chosen_device(gpus)


def test_the_detector_says_which_device_was_chosen(checkpoint):
    assert load_detector(checkpoint).device.type == chosen_device("auto").type


MODEL = "fasterrcnn_mobilenet_v3_large_320_fpn"


@pytest.fixture
def published(offline, monkeypatch):
    from torchvision import models

    with torch.random.fork_rng(devices=[]):
        made = getattr(models.detection, MODEL)(weights=None, weights_backbone=None)
    file = offline / "torch/hub/checkpoints/fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth"
    file.parent.mkdir(parents=True)
    torch.save(made.state_dict(), file)
    monkeypatch.setattr(
        "xai_detect.detectors.weights.download.digest", lambda _path: "907ea3f9" + "0" * 56
    )
    return file


def test_a_torchvision_name_becomes_a_detector(published):
    detector = load_detector(f"torchvision/{MODEL}")
    assert len(detector.class_names) == 90
    assert detector.class_names[0] == "person"
    assert detector.provenance.family == "torchvision"
    assert detector.provenance.input_size == "320 to 640"
    assert load_detector(f"torchvision/{MODEL}", imgsz=96).provenance.input_size == "96 to 96"
    assert published.exists()


def test_torchvision_weights_are_data_too(published, tmp_path):
    torch.save({"a": Evil(os.system, f"touch {tmp_path / 'ran'}")}, published)
    with pytest.raises(WeightsError, match="is damaged"):
        load_detector(f"torchvision/{MODEL}")
    assert not (tmp_path / "ran").exists()


def test_torchvision_weights_must_be_those_of_their_name(offline):
    file = download.cache() / "fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"other")
    with pytest.raises(WeightsError, match=r"its name promises 907ea3f9"):
        load_detector(f"torchvision/{MODEL}")
    assert offline.exists()


def test_offline_a_torchvision_name_says_what_to_download(offline):
    with pytest.raises(WeightsError, match=r"download https://download.pytorch.org/models/ssd300"):
        load_detector("torchvision/ssd300_vgg16_coco".removesuffix("_coco"))
    assert offline.exists()


@pytest.mark.weights
def test_the_trained_detectors_load_with_their_own_input_size(shared):
    sides = {
        path.stem: load_detector(path).provenance.input_size
        for path in sorted((shared / "weights").glob("*.pt"))
    }
    assert sides["sixray_yolov8n"] == "416"
    assert sides["yolo11n"] == "640"
