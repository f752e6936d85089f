"""Black boxes from ONNX files: the toy written as a graph by hand, and a trained network's export.

The graph knows what the toy knows: the means of each colour in cells of 8 pixels, then own colour
against the others. Its boxes are the cells, counted by running sums.
"""

import json
import math
import os
import sys

import numpy as np
import pytest
import torch
from toy import BIAS, CELL, COLOURS, GAIN, RawToy, SealedToy, ToyDetector, scene

from xai_detect.commands import app as cli
from xai_detect.detectors.load import load_detector
from xai_detect.detectors.protocol import Detector, RawDetector, WhiteBoxDetector
from xai_detect.detectors.weights.checkpoint import digest, quiet
from xai_detect.errors import InputError, MissingExtraError, WeightsError
from xai_detect.explainers.explain import explain
from xai_detect.explainers.shapley.kernel_shap import KernelShap
from xai_detect.inspection.image import detect, inspect
from xai_detect.scores.survival import Survival
from xai_detect.values.findings import Answer, Level
from xai_detect.values.frame import Frame
from xai_detect.values.images import load_image

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

NAMES = str(dict(enumerate(COLOURS)))
QUICK = KernelShap(regions=16, segments="grid", samples=40, masker="grey")


def number(name, *values):
    return numpy_helper.from_array(np.array(values, dtype=np.float32), name)


def toy_graph(shape=("b", 3, "h", "w"), *, sealed=False, kind=TensorProto.FLOAT):
    """The toy's raw predictions, or every cell as a finished detection."""
    contrast = np.full((3, 3, 1, 1), -GAIN / 2, dtype=np.float32)
    contrast[range(3), range(3)] = GAIN
    weights = [
        numpy_helper.from_array(contrast, "contrast"),
        number("bias", BIAS, BIAS, BIAS),
        number("cell", CELL),
        number("half", CELL / 2),
        number("none", 0),
        number("one", 1),
        numpy_helper.from_array(np.array(2), "down"),
        numpy_helper.from_array(np.array(3), "across"),
        numpy_helper.from_array(np.array([0, 6 if sealed else 7, -1]), "flat"),
    ]
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node(
            "AveragePool", ["float"], ["means"], kernel_shape=[CELL] * 2, strides=[CELL] * 2
        ),
        helper.make_node("Conv", ["means", "contrast", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
        helper.make_node("ReduceMax", ["scores"], ["best"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["best", "none"], ["nothing"]),
        helper.make_node("Add", ["nothing", "one"], ["ones"]),
        helper.make_node("Mul", ["ones", "cell"], ["side"]),
        helper.make_node("CumSum", ["side", "across"], ["x2"]),
        helper.make_node("CumSum", ["side", "down"], ["y2"]),
    ]
    if sealed:
        nodes += [
            helper.make_node("Sub", ["x2", "cell"], ["x1"]),
            helper.make_node("Sub", ["y2", "cell"], ["y1"]),
            helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=1),
            helper.make_node("Cast", ["label"], ["class"], to=TensorProto.FLOAT),
            helper.make_node("Concat", ["x1", "y1", "x2", "y2", "best", "class"], ["all"], axis=1),
            helper.make_node("Reshape", ["all", "flat"], ["rows"]),
            helper.make_node("Transpose", ["rows"], ["output0"], perm=[0, 2, 1]),
        ]
    else:
        nodes += [
            helper.make_node("Sub", ["x2", "half"], ["x"]),
            helper.make_node("Sub", ["y2", "half"], ["y"]),
            helper.make_node("Concat", ["x", "y", "side", "side", "scores"], ["all"], axis=1),
            helper.make_node("Reshape", ["all", "flat"], ["output0"]),
        ]
    images = helper.make_tensor_value_info("images", kind, shape)
    output = helper.make_tensor_value_info("output0", TensorProto.FLOAT, None)
    return helper.make_graph(nodes, "toy", [images], [output], weights)


def constant_graph(values, *more):
    """Answers the same to every image."""
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "none"], ["nothing"]),
        helper.make_node("Add", ["nothing", "values"], ["output0"]),
        *more,
    ]
    values = numpy_helper.from_array(np.array(values, dtype=np.float32), "values")
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, 64, 64))
    outputs = ["output0", *(name for node in more for name in node.output)]
    found = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    return helper.make_graph(nodes, "constant", [images], found, [values, number("none", 0)])


def made(graph, *, domains=(), **metadata):
    opsets = [helper.make_opsetid("", 13), *(helper.make_opsetid(one, 1) for one in domains)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=str(value))
    return model


def written(path, graph, **metadata):
    path.write_bytes(made(graph, **metadata).SerializeToString())
    return path


@pytest.fixture
def raw_file(tmp_path):
    graph = toy_graph((1, 3, 64, 64))
    return written(tmp_path / "toy.onnx", graph, names=NAMES, stride=CELL, task="detect")


@pytest.fixture
def sealed_file(tmp_path):
    graph = toy_graph((1, 3, 64, 64), sealed=True)
    return written(tmp_path / "sealed.onnx", graph, names=NAMES, stride=CELL)


def same(found, expected):
    torch.testing.assert_close(found.boxes, expected.boxes)
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-4, atol=1e-6)
    assert torch.equal(found.labels, expected.labels)
    assert found.image_size == expected.image_size
    assert found.class_names == expected.class_names


# What is found


def test_a_network_without_suppression_shows_its_raw_predictions(raw_file):
    detector, toy = load_detector(raw_file), ToyDetector()
    assert isinstance(detector, RawDetector)
    assert not isinstance(detector, WhiteBoxDetector)
    pixels = torch.stack([scene(("red", 2, 3), ("blue", 5, 1)), scene(("green", 0, 0))])
    raw, expected = detector.raw(pixels), toy.raw(pixels)
    torch.testing.assert_close(raw.boxes, expected.boxes)
    torch.testing.assert_close(raw.probabilities, expected.probabilities, rtol=1e-4, atol=1e-6)
    frame = toy.frame((64, 64))
    for one, other in zip(detector.detect(pixels, frame), toy.detect(pixels, frame), strict=True):
        same(one, other)
        assert torch.equal(one.candidates, other.candidates)
    assert len(detector.detect(pixels, frame)[0]) == 2


def test_a_network_with_suppression_inside_is_sealed(sealed_file):
    detector, toy = load_detector(sealed_file), ToyDetector()
    assert isinstance(detector, Detector)
    assert not isinstance(detector, RawDetector)
    pixels = scene(("red", 2, 3), ("blue", 5, 1))[None]
    frame = toy.frame((64, 64))
    for confidence in (0.25, 1e-8):
        (one,) = detector.detect(pixels, frame, confidence)
        (other,) = toy.detect(pixels, frame, confidence)
        assert len(one) == (2 if confidence == 0.25 else 64)
        torch.testing.assert_close(one.scores, other.scores, rtol=1e-4, atol=1e-6)
    same(detector.detect(pixels, frame)[0], toy.detect(pixels, frame)[0])


@pytest.mark.parametrize("batch", [1, 3, "b"])
@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_any_number_of_images_goes_through_any_batch(tmp_path, batch, count):
    path = written(tmp_path / "n.onnx", toy_graph((batch, 3, 64, 64)), names=NAMES)
    cells = [(index, index) for index in range(count)]
    pixels = torch.stack([scene(("red", *cell)) for cell in [*cells, (0, 0)]])[:count]
    assert len(load_detector(path).detect(pixels, Frame.unchanged((64, 64)))) == count
    raw = load_detector(path).raw(pixels)
    assert len(raw.boxes) == count
    torch.testing.assert_close(
        raw.probabilities, ToyDetector().raw(pixels).probabilities, rtol=1e-4, atol=1e-6
    )


def test_half_precision_is_fed_with_it(tmp_path):
    graph = toy_graph((1, 3, 64, 64), kind=TensorProto.FLOAT16)
    detector = load_detector(written(tmp_path / "half.onnx", graph, names=NAMES))
    same(detect(detector, scene(("red", 2, 3))), detect(ToyDetector(), scene(("red", 2, 3))))


@pytest.mark.parametrize("size", [(48, 64), (40, 30), (64, 64)])
def test_dynamic_inputs_are_padded_like_the_white_box(tmp_path, size):
    path = written(tmp_path / "d.onnx", toy_graph(), names=NAMES, stride=CELL, imgsz=[64, 64])
    detector, toy = load_detector(path), ToyDetector(letterbox=64)
    assert detector.frame(size) == toy.frame(size)
    image = scene(("red", 1, 1), size=size)
    same(detect(detector, image), detect(toy, image))
    other = load_detector(path, imgsz=90)
    assert other.frame((64, 64)).input_size == (96, 96)
    assert other.provenance.input_size == "96"


def test_a_fixed_input_is_filled_up_to_its_sides(tmp_path):
    path = written(tmp_path / "f.onnx", toy_graph((1, 3, 32, 64)), names=NAMES)
    detector = load_detector(path)
    assert detector.provenance.input_size == "64 x 32"
    image = scene(("red", 1, 1), size=(32, 48))
    (target,) = detect(detector, image)
    assert target.box == (8.0, 8.0, 16.0, 16.0)
    assert detector.frame((32, 48)).left == 8
    upright = detector.frame((99, 48))
    assert (upright.input_size, upright.content_size) == ((32, 64), (32, 16))
    assert (upright.top, upright.left, upright.fill) == (0, 24, 114 / 255)


def test_boxes_of_one_class_that_overlap_are_suppressed(tmp_path):
    # Centre x, y, width, height, then two probabilities; IoU of the first two is 1/3.
    columns = [[20, 20, 20, 20, 0.9, 0.1], [30, 20, 20, 20, 0.8, 0.1], [30, 20, 20, 20, 0.1, 0.7]]
    columns += [[0, 0, 1, 1, 0, 0]] * 9
    path = written(tmp_path / "c.onnx", constant_graph(np.array(columns).T[None]))
    kept = {iou: detect(load_detector(path, iou=iou), torch.rand(3, 64, 64)) for iou in (0.3, 0.4)}
    assert kept[0.4].candidates.tolist() == [0, 1, 2]
    assert kept[0.3].candidates.tolist() == [0, 2]
    assert kept[0.3].labels.tolist() == [0, 1]
    assert kept[0.3].boxes[0].tolist() == [10, 10, 30, 30]
    assert kept[0.3].class_names == ("class 0", "class 1")


def test_a_query_detectors_boxes_are_shares_of_a_stretched_image(tmp_path):
    rows = [[0.5, 0.25, 0.5, 0.25, 0.2, 1], [0.25, 0.5, 0.5, 0.5, 0.9, 0], [0, 0, 0, 0, 0, 0]]
    path = written(
        tmp_path / "q.onnx", constant_graph([rows]), names=["a", "b"], head="RTDETRDecoder"
    )
    found = detect(load_detector(path), torch.rand(3, 50, 200), 0.1)
    assert found.boxes.tolist() == [[0, 12.5, 100, 37.5], [50, 6.25, 150, 18.75]]
    assert found.labels.tolist() == [0, 1]
    assert found.scores.tolist() == pytest.approx([0.9, 0.2])


# What a file says of itself


def test_provenance_names_the_file(raw_file):
    detector = load_detector(raw_file, domain="xray")
    assert detector.provenance.name == "toy.onnx"
    assert detector.provenance.family == "onnx"
    assert detector.provenance.sha256 == digest(raw_file)
    assert detector.provenance.domain == "xray"
    assert detector.provenance.input_size == "64"
    assert load_detector(raw_file).provenance.domain == "photo"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (NAMES, COLOURS),
        (list(COLOURS), COLOURS),
        (json.dumps(dict(enumerate(COLOURS))), COLOURS),
        (None, ("class 0", "class 1", "class 2")),
    ],
)
def test_class_names_are_read_as_they_are_written(tmp_path, names, expected):
    given_names = {} if names is None else {"names": names}
    path = written(tmp_path / "n.onnx", toy_graph((1, 3, 64, 64)), **given_names)
    assert load_detector(path).class_names == expected


@pytest.mark.parametrize(
    ("graph", "metadata", "sentence"),
    [
        (toy_graph(), {"names": "{0: 'a'}"}, r"\(1, 7, 6400\).*with 1 classes"),
        (toy_graph(), {"names": "__import__('os')"}, "names its classes in a way that cannot be"),
        (toy_graph(), {"names": "{0: 'a', 2: 'b'}"}, "names its classes in a way that cannot be"),
        (toy_graph(), {"names": "[" * 9000}, "names its classes in a way that cannot be"),
        (toy_graph(), {"task": "segment", "names": NAMES}, "a segment model; expected a detector"),
        (toy_graph(sealed=True), {}, "names no classes; add a metadata entry 'names'"),
        (toy_graph((1, 3, 64, "w")), {}, "fixes one side of its input"),
        (toy_graph((1, 3, 64, 64), kind=TensorProto.UINT8), {}, r"takes tensor\(uint8\)"),
        (constant_graph([[0.1] * 1000]), {}, r"gives \(1, 1000\), which is no detector's answer"),
        (constant_graph([[[0.5] * 20] * 300]), {}, "no detector's answer"),
        (constant_graph([[[0.5] * 20] * 4]), {}, "no detector's answer"),
        (constant_graph([[[3.0] * 20] * 7]), {}, "scores from 3 to 3; expected probabilities"),
        (constant_graph([[[math.nan] * 20] * 7]), {}, "expected probabilities"),
        (constant_graph(np.zeros((2, 7, 20))), {}, r"gives \(2, 7, 20\) for 1 images"),
        (
            constant_graph([[[0.5] * 20] * 7], helper.make_node("Identity", ["mean"], ["more"])),
            {},
            "1 inputs and 2 outputs",
        ),
    ],
)
def test_what_is_no_detector_is_told_in_a_sentence(tmp_path, graph, metadata, sentence):
    path = written(tmp_path / "bad.onnx", graph, **metadata)
    with pytest.raises(WeightsError, match=sentence):
        load_detector(path)


@pytest.mark.parametrize("content", [b"", b"x", b"\x08\x07", b"not a network at all" * 20])
def test_what_is_no_onnx_file_is_told_in_a_sentence(tmp_path, content):
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"bad.onnx is (empty|damaged|no ONNX file)"):
        load_detector(path)


def test_a_file_cut_short_is_damaged(raw_file):
    raw_file.write_bytes(raw_file.read_bytes()[:-40])
    with pytest.raises(WeightsError, match="damaged or no ONNX file"):
        load_detector(raw_file)


def test_an_operator_with_wrong_arguments_is_told_in_one_line(tmp_path):
    graph = toy_graph()
    graph.node[2].op_type = "NoSuchOperator"
    with pytest.raises(WeightsError, match=r"cannot be opened by onnxruntime .*NoSuchOperator"):
        load_detector(written(tmp_path / "bad.onnx", graph))


@pytest.mark.parametrize("hidden", [False, True])
def test_foreign_operators_are_refused(tmp_path, hidden):
    foreign = helper.make_node("Run", ["mean"], ["more"], domain="evil.example")
    if hidden:
        branch = helper.make_graph(
            [foreign],
            "branch",
            [],
            [helper.make_tensor_value_info("more", TensorProto.FLOAT, None)],
        )
        foreign = helper.make_node("If", ["yes"], ["more"], then_branch=branch, else_branch=branch)
    graph = constant_graph([[[0.5] * 20] * 7], foreign)
    path = written(tmp_path / "bad.onnx", graph, domains=["evil.example"])
    with pytest.raises(WeightsError, match=r"foreign library must bring \(evil.example::Run\)"):
        load_detector(path)


def outside(graph, location, length):
    """The same graph with its first weights in another file."""
    tensor = graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return graph


def test_weights_beside_the_file_are_read_and_counted_in_its_digest(tmp_path, raw_file):
    graph = toy_graph((1, 3, 64, 64))
    content = graph.initializer[0].raw_data
    (tmp_path / "toy.data").write_bytes(content)
    path = written(tmp_path / "split.onnx", outside(graph, "toy.data", len(content)), names=NAMES)
    detector, image = load_detector(path), scene(("red", 2, 3))
    same(detect(detector, image), detect(load_detector(raw_file), image))
    before = detector.provenance.sha256
    (tmp_path / "toy.data").write_bytes(content[::-1])
    assert load_detector(path).provenance.sha256 != before
    (tmp_path / "toy.data").unlink()
    with pytest.raises(WeightsError, match=r"keeps its weights in 'toy\.data', which"):
        load_detector(path)


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "in/../../secret", "link"])
def test_weights_outside_the_folder_are_refused(tmp_path, location):
    folder = tmp_path / "folder"
    (folder / "in").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(bytes(36))
    (folder / "link").symlink_to(tmp_path / "secret")
    path = written(folder / "bad.onnx", outside(toy_graph(), location, 36))
    with pytest.raises(WeightsError, match="which is outside its folder"):
        load_detector(path)


def test_weights_outside_the_folder_are_found_in_constants_too(tmp_path):
    tensor = number("value", 1.0)
    holder = helper.make_graph([], "holder", [], [], [tensor])
    outside(holder, "../secret", 4)
    node = helper.make_node("Constant", [], ["more"])
    attribute = node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
    attribute.t.CopyFrom(holder.initializer[0])
    path = written(tmp_path / "bad.onnx", constant_graph([[[0.5] * 20] * 7], node))
    with pytest.raises(WeightsError, match=r"'../secret', which is outside its folder"):
        load_detector(path)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"imgsz": 128}, "imgsz is 128, but toy.onnx was exported for inputs of 64 x 64"),
        ({"imgsz": 0}, "imgsz is 0"),
        ({"iou": 1.5}, "iou is 1.5"),
        ({"domain": "ct"}, "no domain 'ct'"),
    ],
)
def test_bad_settings_are_named(raw_file, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        load_detector(raw_file, **settings)


def test_bad_questions_are_named(raw_file, sealed_file):
    for path in (raw_file, sealed_file):
        detector = load_detector(path, imgsz=64)
        with pytest.raises(InputError, match="confidence is 2"):
            detector.detect(torch.zeros(1, 3, 64, 64), detector.frame((64, 64)), 2.0)
        with pytest.raises(InputError, match=r"takes inputs of 64 x 64 pixels, but got 40 x 32"):
            detector.detect(torch.zeros(1, 3, 32, 40), Frame.unchanged((32, 40)))


def test_missing_packages_are_named_with_the_command(raw_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'xai-detect\[onnx\]'"):
        load_detector(raw_file)


# The main job on a black box


def alike(found, wanted):
    """Words and finite numbers are the same, but for rounding."""
    assert found.words == wanted.words
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=1e-3, abs=1e-5, nan_ok=True), name


def test_a_raw_black_box_is_inspected_like_the_toy_without_its_gradients(raw_file):
    image = scene(("red", 4, 4), background=0.5)
    ours = inspect(load_detector(raw_file), image, method=QUICK)
    toys, raws = (
        inspect(one, image, method=QUICK) for one in (ToyDetector(), RawToy(ToyDetector()))
    )
    torch.testing.assert_close(ours.added[0].heatmap, toys.added[0].heatmap, rtol=1e-3, atol=1e-6)
    assert ours.explanations == ours.contrasts == (None,)
    alike(ours.evidence[0], raws.evidence[0])
    assert (ours.verdicts[0].level, ours.verdicts[0].cause) == (Level.UNCERTAIN, "no_map")
    assert ours.verdicts[0].reason is toys.verdicts[0].reason is Answer.OBJECT
    for name in ("score", "presence_first", "presence_second", "margin", "name_box"):
        assert ours.evidence[0][name] == pytest.approx(toys.evidence[0][name], rel=1e-3), name


def test_a_sealed_black_box_gets_no_more_than_uncertain(sealed_file):
    image = scene(("red", 4, 4), background=0.5)
    found = inspect(load_detector(sealed_file), image, method=QUICK, budget="full")
    evidence, verdict = found.evidence[0], found.verdicts[0]
    assert (verdict.level, verdict.cause) == (Level.UNCERTAIN, "sealed")
    of_the_class = {"margin", "name_box", "name_hidden", "class_box", "detected_box"}
    assert of_the_class <= set(verdict.unmeasured)
    assert all(math.isnan(evidence[name]) for name in of_the_class)
    assert evidence.words["name_stage"] == "no_raw_predictions"
    assert evidence["score"] == pytest.approx(1 / (1 + math.exp(-4)), rel=1e-4)
    assert found.added[0].heatmap[32:48, 32:48].sum() > 0.9


def test_presence_in_a_sealed_box_is_read_off_what_it_reports():
    image = scene(("red", 4, 4), background=0.5)
    for elsewhere, answer in ((0.0, Answer.OBJECT), (0.7, Answer.SURROUNDINGS)):
        toy = ToyDetector(elsewhere=elsewhere)
        shown = scene(("red", 4, 4), ("red", 0, 0)) if elsewhere else image
        open_, sealed = (inspect(one, shown).evidence[-1] for one in (toy, SealedToy(toy)))
        assert open_.answer("presence") is sealed.answer("presence") is answer
        for name in ("score", "presence_first", "presence_second"):
            expected = open_[name] if open_[name] > 0.01 else 0
            assert sealed[name] == pytest.approx(expected, abs=0.01), name


def test_a_method_that_needs_gradients_names_those_that_work(raw_file, sealed_file):
    for path in (raw_file, sealed_file):
        with pytest.raises(InputError, match=r"is a black box; methods that work .*kernel_shap"):
            inspect(load_detector(path), scene(("red", 2, 3)), method="integrated_gradients")


def test_the_command_line_inspects_a_black_box(raw_file, tmp_path, monkeypatch, capsys):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    pixels = (scene(("red", 2, 3)).permute(1, 2, 0) * 255).byte().numpy()
    Image.fromarray(pixels).save("a.png")
    words = ["inspect", "a.png", "--model", str(raw_file), "--out", "run"]
    quick = ["--method", "kernel_shap", "--setting", "regions=16", "--setting", "samples=40"]
    for more, code in ((quick, 0), (["--method", "integrated_gradients"], 1)):
        monkeypatch.setattr(sys, "argv", ["xai-detect", *words, *more])
        words[-1] = "other"
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert (stop.value.code or 0) == code
    assert "methods that work with it: " in capsys.readouterr().err.replace("\n", " ")
    assert (tmp_path / "run" / "detections.json").is_file()


@pytest.mark.weights
@pytest.mark.filterwarnings("ignore")
def test_an_export_finds_what_the_white_box_finds(shared, coco_images, tmp_path, monkeypatch):
    import shutil

    monkeypatch.setitem(os.environ, "YOLO_AUTOINSTALL", "false")
    weights = shutil.copy(shared / "weights" / "yolo11n.pt", tmp_path / "net.pt")
    with quiet():
        from ultralytics import YOLO

        YOLO(weights).export(format="onnx", imgsz=160, simplify=False, verbose=False)
    ours, white = load_detector(tmp_path / "net.onnx"), load_detector(weights, imgsz=160)
    assert ours.class_names == white.class_names
    assert ours.provenance.input_size == "160"
    image = load_image(coco_images[1])
    side = min(image.shape[1:])
    image = image[:, :side, :side]
    found, expected = detect(ours, image, 0.1), detect(white, image, 0.1)
    assert len(found) == len(expected) > 0
    torch.testing.assert_close(found.boxes, expected.boxes, rtol=1e-3, atol=0.1)
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-3, atol=1e-3)
    assert torch.equal(found.candidates, expected.candidates)
    frame = ours.frame((side, side))
    assert frame == white.frame((side, side))
    pixels = frame.to_input(image[None])
    for one, other in zip(ours.raw(pixels), white.raw(pixels), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=2e-2)
    (map_,) = explain(QUICK, ours, image, [found.target(0)])
    assert float(map_.heatmap.abs().max()) > 0


@pytest.mark.parametrize(("batch", "asked"), [(3, 3), ("b", 16)])
def test_mask_methods_ask_for_as_many_images_as_the_network_takes(tmp_path, batch, asked):
    path = written(tmp_path / "n.onnx", toy_graph((batch, 3, 64, 64)), names=NAMES)
    detector, image = load_detector(path), scene(("red", 1, 1))
    assert detector.device == torch.device("cpu")
    assert Survival(detector, image, list(detect(detector, image))).batch == asked
