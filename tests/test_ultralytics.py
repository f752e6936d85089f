"""The ultralytics adapter: untrained networks of every generation, then the trained detectors."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from xai_detect.detectors.load import load_detector
from xai_detect.detectors.protocol import WhiteBoxDetector
from xai_detect.detectors.weights.checkpoint import prepare, quiet
from xai_detect.detectors.yolo.detector import UltralyticsDetector
from xai_detect.errors import InputError, TargetError
from xai_detect.inspection.image import detect
from xai_detect.values.detections import Provenance, Target
from xai_detect.values.images import load_image

with quiet():
    from ultralytics import YOLO
    from ultralytics.nn.tasks import DetectionModel, RTDETRDetectionModel
    from ultralytics.utils.nms import non_max_suppression
    from ultralytics.utils.ops import scale_boxes, xywh2xyxy

NAMES = ("gun", "knife", "wrench")
SIZE, SIDE = (75, 110), 96
DENSE = (
    "yolov3-tiny",
    "yolov5n",
    "yolov8n",
    "yolov9t",
    "yolov10n",
    "yolo11n",
    "yolo12n",
    "yolo26n",
)
VARIANTS = (
    *DENSE,
    "yolo12n nms",
    *(f"{name} {how}" for name in ("yolov10n", "yolo26n") for how in ("end2end", "fused", "nms")),
)
"""``end2end``: the one-to-one branch; ``fused``: with the other one removed; ``nms``: as loaded."""


def blobs(count, size, seed):
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(count, 3, 9, 13, generator=generator)
    return nn.functional.interpolate(small, size=size, mode="bicubic").clamp(0, 1)


def liven(network, side):
    """Give an untrained network features of unit size, and a head that finds things."""
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # a running mean of everything seen: here, of one batch
        norm.reset_running_stats()
    for norm in norms:
        norm.train()
    with torch.no_grad():
        network.predict(blobs(4, (side, side), 1))
    network.eval()


def dense(variant):
    name, _, how = variant.partition(" ")
    with quiet(), torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = DetectionModel(f"{name}.yaml", nc=len(NAMES), verbose=False).eval()
        liven(network, SIDE)
        head = network.model[-1]
        for key, branches in head.named_children():
            for branch in branches if key.endswith(("cv2", "cv3")) else ():
                last = branch[-1]
                spread = 0.5 if head.reg_max == 1 and key.endswith("cv2") else 2.0
                last.weight.normal_(std=spread / last.weight[0].numel() ** 0.5)
                last.bias.fill_(-1.0 if key.endswith("cv3") else 4.0)
        network.names = dict(enumerate(NAMES))
        if how in {"end2end", "fused"}:
            network.end2end = True
        if how == "fused":
            network.fuse(verbose=False)
        if how == "nms":
            network = prepare(network, name)
    return network.double()  # chaotic as untrained networks are, they blow up what is rounded


@pytest.fixture(scope="module", params=VARIANTS)
def detector(request):
    provenance = Provenance("untrained", "ultralytics", "", "photo", str(SIDE))
    return UltralyticsDetector(dense(request.param), provenance, imgsz=SIDE)


@pytest.fixture
def image():
    return blobs(1, SIZE, 5)


def found_in(detector, image, confidence=0.25):
    frame = detector.frame((image.shape[2], image.shape[3]))
    pixels = frame.to_input(image).double()
    found = detector.detect(pixels, frame, confidence)
    assert all(len(one) > 3 for one in found)
    return frame, pixels, found


def test_it_is_a_white_box(detector):
    assert isinstance(detector, WhiteBoxDetector)
    assert detector.class_names == NAMES


def test_detections_are_those_of_the_library(detector, image):
    _, pixels, (found,) = found_in(detector, image)
    with torch.no_grad():
        decoded = detector.module(pixels)[0]
    if detector.module.model[-1].end2end:
        rows = decoded[0][decoded[0, :, 4] > 0.25]
    else:
        rows = non_max_suppression(decoded, 0.25, 0.7, max_det=300)[0]
    boxes = scale_boxes(pixels.shape[2:], rows[:, :4].clone(), SIZE)
    torch.testing.assert_close(found.scores, rows[:, 4], rtol=0, atol=1e-5)
    torch.testing.assert_close(found.labels, rows[:, 5].long())
    torch.testing.assert_close(found.boxes, boxes, rtol=0, atol=0.01)


def test_the_score_gives_the_reported_confidence_back(detector, image):
    frame, pixels, (found,) = found_in(detector, image)
    log_odds, boxes = detector.candidate(pixels, list(found), frame)
    scores = log_odds[0, torch.arange(len(found)), found.labels].sigmoid().detach()
    torch.testing.assert_close(scores, found.scores, rtol=0, atol=1e-4)
    in_image = frame.boxes_to_image(boxes[0].detach())
    torch.testing.assert_close(in_image, found.proposals, rtol=0, atol=0.01)
    one = detector.score(pixels, found.target(1))
    torch.testing.assert_close(one, log_odds[:, 1, found.target(1).label], rtol=1e-4, atol=1e-4)


def test_raw_predictions_hold_every_detection(detector, image):
    frame, pixels, (found,) = found_in(detector, image)
    boxes, probabilities = detector.raw(pixels)
    rows = probabilities[0, found.candidates, found.labels]
    torch.testing.assert_close(rows, found.scores, rtol=0, atol=1e-5)
    in_image = frame.boxes_to_image(boxes[0, found.candidates, 0])
    torch.testing.assert_close(in_image, found.boxes, rtol=0, atol=0.01)


def slope_and_gradient(detector, pixels, target, frame, length=1e-7):
    """The score's slope along its own gradient by differences, and the gradient."""
    pixels = pixels.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(detector.score(pixels, target, frame).sum(), pixels)
    step = length * gradient / gradient.norm()
    with torch.no_grad():
        there = detector.score(pixels + step, target, frame)
        back = detector.score(pixels - step, target, frame)
    return float(there - back) / (2 * length), gradient


def test_gradients_reach_the_pixels_and_are_right(detector, image):
    frame, pixels, (found,) = found_in(detector, image)
    # The padding is even, which puts max pooling on a kink.
    pixels = pixels + 0.02 * blobs(1, pixels.shape[2:], 7)
    slope, gradient = slope_and_gradient(detector, pixels, found.target(0), frame)
    assert (gradient != 0).float().mean() > 0.5
    assert slope == pytest.approx(float(gradient.norm()), rel=0.01)


def test_batches_never_change_a_result(detector, image):
    batch = torch.cat([image, image.flip(3), 1 - image])
    frame, pixels, together = found_in(detector, batch)
    for item, found in enumerate(together):
        alone = detector.detect(pixels[item : item + 1], frame)[0]
        torch.testing.assert_close(found.scores, alone.scores, rtol=0, atol=1e-5)
        torch.testing.assert_close(found.boxes, alone.boxes, rtol=0, atol=1e-3)
        assert found.labels.tolist() == alone.labels.tolist()
        assert found.candidates.tolist() == alone.candidates.tolist()
    targets = list(together[0])[:3]
    scores = detector.candidate(pixels, targets, frame).log_odds
    for item in range(len(batch)):
        single = detector.candidate(pixels[item : item + 1], targets, frame).log_odds
        torch.testing.assert_close(scores[item : item + 1], single, rtol=1e-4, atol=1e-4)


def test_another_input_size_in_between_changes_nothing(detector, image):
    _, _, (before,) = found_in(detector, image)
    found_in(detector, blobs(1, (110, 60), 8))
    _, _, (after,) = found_in(detector, image)
    torch.testing.assert_close(before.boxes, after.boxes, rtol=0, atol=0)


def changed(target, **values):
    fields = {name: getattr(target, name) for name in Target.__dataclass_fields__}
    return Target(**{**fields, **values})


NO_ANSWER = [
    ({"candidate": 10**6}, "candidate 1000000 does not exist"),
    ({"candidate": -1}, r"has no raw prediction of this detector \(candidate -1\); match it"),
    ({"label": 3}, "class 3 does not exist"),
]


@pytest.mark.parametrize(("values", "words"), NO_ANSWER)
def test_targets_of_another_network_are_refused(detector, image, values, words):
    frame, pixels, (found,) = found_in(detector, image)
    wrong = changed(found.target(0), class_names=(*NAMES, "more"), **values)
    with pytest.raises(TargetError, match=words):
        detector.candidate(pixels, [found.target(0), wrong], frame)


def test_no_targets_are_no_candidates(detector, image):
    frame, pixels, _ = found_in(detector, image)
    log_odds, boxes = detector.candidate(pixels, [], frame)
    assert log_odds.shape == (1, 0, len(NAMES))
    assert boxes.shape == (1, 0, 4)


@pytest.mark.parametrize("size", [(1, 40), (40, 1), (200, 30), (1, 1)])
def test_thin_images_work(detector, size):
    image = blobs(1, size, 0)
    frame = detector.frame(size)
    pixels = frame.to_input(image).double()
    for target in list(detector.detect(pixels, frame, 0.0)[0])[:2]:
        score = detector.score(pixels, target, frame)
        assert float(score.detach().sigmoid()) == pytest.approx(target.score, abs=1e-4)


def test_nothing_above_the_threshold_is_an_empty_result(detector, image):
    frame = detector.frame(SIZE)
    (found,) = detector.detect(frame.to_input(image).double(), frame, 1.0)
    assert (len(found), found.boxes.shape) == (0, (0, 4))


@pytest.mark.parametrize(("imgsz", "iou"), [(0, 0.7), (10**5, 0.7), (96, 1.5), (96, -0.1)])
def test_settings_that_make_no_sense_are_refused(detector, imgsz, iou):
    with pytest.raises(InputError, match="expected"):
        UltralyticsDetector(detector.module, detector.provenance, imgsz=imgsz, iou=iou)


def test_a_box_turned_inside_out_has_no_area(image):
    network = dense("yolo26n")
    with torch.no_grad():
        for branch in network.model[-1].cv2:
            branch[-1].bias.fill_(-1.0)
    provenance = Provenance("untrained", "ultralytics", "", "photo", str(SIDE))
    _, _, (found,) = found_in(UltralyticsDetector(network, provenance, imgsz=SIDE), image)
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    assert (sides >= 0).all()
    assert (sides == 0).any()


def test_a_wrong_threshold_is_refused(detector, image):
    with pytest.raises(InputError, match="confidence"):
        detector.detect(image, detector.frame(SIZE), 1.5)


QUERIES = 40


@pytest.fixture(scope="module")
def rtdetr():
    with quiet(), torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = RTDETRDetectionModel("rtdetr-l.yaml", nc=len(NAMES), verbose=False).eval()
        network.names = dict(enumerate(NAMES))
        head = network.model[-1]
        head.num_queries = QUERIES
        liven(network, SIDE)
        for part in (head.enc_score_head, *head.dec_score_head):
            part.weight.normal_(std=2 / part.in_features**0.5)
            part.bias.fill_(-1.0)
        # Untrained, every sampling point lies where bilinear interpolation has a kink.
        for name, value in head.named_parameters():
            if "bbox_head" in name or "sampling_offsets" in name:
                value.add_(torch.randn_like(value), alpha=0.05)
    provenance = Provenance("untrained", "ultralytics", "", "photo", str(SIDE))
    fused = network.double().fuse(verbose=False)  # as loaded
    return UltralyticsDetector(fused, provenance, imgsz=SIDE)


def test_queries_give_what_the_library_gives(rtdetr, image):
    frame, pixels, (found,) = found_in(rtdetr, image)
    with torch.no_grad():
        output = rtdetr.module(pixels)[0][0]
    rows = output[output[:, 4] > 0.25]
    boxes = xywh2xyxy(rows[:, :4]) * torch.tensor([SIZE[1], SIZE[0]] * 2)
    torch.testing.assert_close(found.scores, rows[:, 4], rtol=0, atol=1e-5)
    torch.testing.assert_close(found.labels, rows[:, 5].long())
    torch.testing.assert_close(
        found.boxes, frame.boxes_to_image(frame.boxes_to_input(boxes)), rtol=0, atol=0.01
    )


def test_a_query_is_asked_again_by_its_token(rtdetr, image):
    frame, pixels, (found,) = found_in(rtdetr, image)
    assert len(found.candidates.unique()) > 3
    log_odds, boxes = rtdetr.candidate(pixels, list(found)[:QUERIES], frame)
    rows = torch.arange(log_odds.shape[1])
    scores = log_odds[0, rows, found.labels[: len(rows)]].sigmoid().detach()
    torch.testing.assert_close(scores, found.scores[: len(rows)], rtol=0, atol=1e-4)
    in_image = frame.boxes_to_image(boxes[0].detach())
    torch.testing.assert_close(in_image, found.proposals[: len(rows)], rtol=0, atol=0.01)


def test_targets_may_share_a_query(rtdetr, image):
    frame, pixels, (found,) = found_in(rtdetr, image)
    first, second = found.target(1), found.target(2)
    assert first.candidate != second.candidate
    asked = [first, second, changed(first, label=(first.label + 1) % 3), second]
    log_odds = rtdetr.candidate(pixels, asked, frame).log_odds[0].detach()
    for row, target in enumerate(asked):
        alone = rtdetr.candidate(pixels, [target], frame).log_odds[0, 0].detach()
        torch.testing.assert_close(log_odds[row], alone, rtol=0, atol=1e-6)


def test_a_token_keeps_its_name_in_another_image(rtdetr, image, monkeypatch):
    frame, _, (found,) = found_in(rtdetr, image)
    other = frame.to_input(blobs(1, SIZE, 9)).double()
    tokens = sum((SIDE // stride) ** 2 for stride in (8, 16, 32))
    # With as many queries as tokens each token has its query, wherever it is in the order.
    monkeypatch.setattr(rtdetr.module.model[-1], "num_queries", tokens)
    for target in list(found)[:3]:
        with torch.no_grad():
            (natural,) = rtdetr.detect(other, frame, 0.0)
            forced = rtdetr.candidate(other, [target], frame)
        row = natural.candidates.tolist().index(target.candidate)
        box = frame.boxes_to_image(forced.boxes[0])[0]
        torch.testing.assert_close(box, natural.boxes[row], rtol=0, atol=1e-2)
        score = forced.log_odds[0, 0, natural.labels[row]].sigmoid()
        torch.testing.assert_close(score, natural.scores[row], rtol=0, atol=1e-3)


def test_a_query_exists_where_the_network_would_not_have_chosen_it(rtdetr, image):
    frame, pixels, (found,) = found_in(rtdetr, image)
    dark = torch.zeros_like(pixels)
    with torch.no_grad():
        natural = rtdetr.detect(dark, frame, 0.0)[0].candidates.tolist()
    left_out = [target for target in found if target.candidate not in natural]
    assert left_out
    assert rtdetr.score(dark, left_out[0], frame).isfinite().all()


def test_gradients_through_queries_are_right(rtdetr, image):
    frame, pixels, (found,) = found_in(rtdetr, image)
    slope, gradient = slope_and_gradient(rtdetr, pixels, found.target(0), frame)
    assert (gradient != 0).float().mean() > 0.5
    assert slope == pytest.approx(float(gradient.norm()), rel=0.01)


def test_the_callers_queries_are_left_as_they_are(rtdetr):
    """Its projections end in batch norms that the library's fusing leaves."""
    head = rtdetr.module.model[-1]
    assert [type(part).__name__ for part in head.input_proj] == ["Sequential"] * 3
    rtdetr.module.train()
    other = UltralyticsDetector(rtdetr.module, rtdetr.provenance, imgsz=SIDE)
    assert other.module is rtdetr.module
    assert all(part.training for part in other.module.modules())
    rtdetr.module.eval()


def test_batches_never_change_a_query(rtdetr, image):
    batch = torch.cat([image, image.flip(3)])
    frame, pixels, together = found_in(rtdetr, batch)
    for item, found in enumerate(together):
        alone = rtdetr.detect(pixels[item : item + 1], frame)[0]
        torch.testing.assert_close(found.scores, alone.scores, rtol=0, atol=1e-4)
    targets = list(together[0])[:2]
    scores = rtdetr.candidate(pixels, targets, frame).log_odds
    for item in range(len(batch)):
        single = rtdetr.candidate(pixels[item : item + 1], targets, frame).log_odds
        torch.testing.assert_close(scores[item : item + 1], single, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("values", "words"), NO_ANSWER)
def test_tokens_and_classes_that_do_not_exist_are_refused(rtdetr, image, values, words):
    frame, pixels, (found,) = found_in(rtdetr, image)
    wrong = changed(found.target(0), class_names=(*NAMES, "more"), **values)
    with pytest.raises(TargetError, match=words):
        rtdetr.candidate(pixels, [wrong], frame)
    assert not rtdetr.module.model[-1].enc_score_head._forward_hooks


@pytest.mark.weights
@pytest.mark.parametrize("name", ["yolo11n", "yolov8n", "yolov10n", "yolo26n"])
def test_trained_detectors_find_what_the_library_finds(shared, coco_images, name):
    path = shared / "weights" / f"{name}.pt"
    detector = load_detector(path)
    with quiet():
        library = YOLO(path)
    count = 0
    for file in coco_images[:: len(coco_images) // 5][:5]:
        with quiet():
            (expected,) = library.predict(file, device="cpu", verbose=False)
        found = detect(detector, load_image(file))
        rows = expected.boxes
        assert found.labels.tolist() == rows.cls.long().tolist()
        torch.testing.assert_close(found.boxes, rows.xyxy, rtol=0, atol=0.5)
        torch.testing.assert_close(found.scores, rows.conf, rtol=0, atol=1e-3)
        count += len(found)
    assert count > 5


@pytest.fixture(scope="module")
def trained(shared):
    return load_detector(shared / "weights" / "yolo11n.pt")


@pytest.fixture
def photograph(coco_images):
    with Image.open(coco_images[3]) as image:
        return image.convert("RGB")


def grey(image):
    return image.convert("L")


def opaque(image):
    return image.convert("RGBA")


def sixteen_bit(image):
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def cmyk(image):
    return image.convert("CMYK")


@pytest.mark.weights
@pytest.mark.parametrize(
    ("make", "suffix", "same_as"),
    [(opaque, "png", None), (sixteen_bit, "png", grey), (cmyk, "jpg", None), (grey, "png", None)],
)
def test_other_kinds_of_file_show_the_same_objects(
    trained, photograph, tmp_path, make, suffix, same_as
):
    path, reference = tmp_path / f"made.{suffix}", tmp_path / "reference.png"
    make(photograph).save(path, **({"quality": 100} if suffix == "jpg" else {}))
    (same_as(photograph) if same_as else photograph).save(reference)
    found, expected = (detect(trained, load_image(one)) for one in (path, reference))
    assert len(found) > 0
    if make in {opaque, sixteen_bit}:
        torch.testing.assert_close(found.boxes, expected.boxes, rtol=0, atol=0.01)
        torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-4)
    else:
        assert found.target(0).name == expected.target(0).name


@pytest.mark.weights
def test_a_rotated_file_is_seen_upright(trained, photograph, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    photograph.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    photograph.save(tmp_path / "upright.png")
    found, expected = (
        detect(trained, load_image(tmp_path / f"{name}.png")) for name in ("turned", "upright")
    )
    assert len(found) > 0
    torch.testing.assert_close(found.boxes, expected.boxes, rtol=0, atol=0)


@pytest.mark.weights
@pytest.mark.parametrize("shape", [(1, 480), (480, 1), (1, 1), (30, 2000)])
def test_a_strip_of_a_photograph_runs(trained, photograph, shape):
    strip = load_image(photograph.resize(shape))
    found = detect(trained, strip, confidence=0.001)
    assert found.image_size == (shape[1], shape[0])
    assert (found.boxes >= 0).all()
    assert (found.boxes <= torch.tensor(shape * 2)).all()


def test_height_and_width_of_the_input_may_differ(detector, image):
    wide = UltralyticsDetector(detector.module, detector.provenance, imgsz=(64, 160))
    frame = wide.frame((300, 300))
    assert max(frame.content_size) == 64
    assert frame.input_size[0] <= 64
    assert wide.frame((100, 400)).content_size == (40, 160)
    assert wide.finer((100, 400), 2.0).content_size == (80, 320)
    square = UltralyticsDetector(detector.module, detector.provenance, imgsz=(SIDE, SIDE))
    assert square.frame(SIZE) == detector.frame(SIZE)
    frame = wide.frame(SIZE)
    assert wide.raw(frame.to_input(image).double()).boxes.isfinite().all()
    with pytest.raises(InputError, match="one or two sides"):
        UltralyticsDetector(detector.module, detector.provenance, imgsz=(64, 0))
