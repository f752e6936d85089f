"""The head run on windows of its features, and a look at a higher resolution: same answers."""

import pytest
import torch
from test_ultralytics import SIDE, SIZE, VARIANTS, blobs, dense

from xai_detect.detectors.load import load_detector
from xai_detect.detectors.place import place
from xai_detect.detectors.protocol import FinerDetector, PatchDetector
from xai_detect.detectors.yolo.detector import UltralyticsDetector
from xai_detect.errors import TargetError
from xai_detect.inspection.image import detect
from xai_detect.trust.probability import FINER
from xai_detect.trust.scene import look, look_all
from xai_detect.values.detections import Provenance
from xai_detect.values.frame import Placed
from xai_detect.values.images import load_image

SOME = [name for name in VARIANTS if name.split()[0] in ("yolov8n", "yolov10n", "yolo11n")]


@pytest.fixture(scope="module", params=SOME)
def detector(request):
    provenance = Provenance("untrained", "ultralytics", "", "photo", str(SIDE))
    return UltralyticsDetector(dense(request.param), provenance, imgsz=SIDE)


def answers(ask, pixels, targets, frame):
    """Log-odds, boxes and the gradient of one lead."""
    pixels = pixels.clone().requires_grad_()
    found = ask(pixels, targets, frame)
    lead = (found.log_odds[0, 0, 0] - found.log_odds[0, 0, 1]).sum()
    return found.log_odds.detach(), found.boxes.detach(), torch.autograd.grad(lead, pixels)[0]


def test_what_is_near_the_targets_is_enough(detector):
    assert isinstance(detector, PatchDetector)
    image = blobs(1, SIZE, 5)
    frame = detector.frame(SIZE)
    pixels = frame.to_input(image).double()
    targets = list(detector.detect(pixels, frame)[0])[:5]
    assert len(targets) > 2
    near, whole = (
        answers(ask, pixels, targets, frame) for ask in (detector.nearby, detector.candidate)
    )
    for one, other in zip(near, whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    both = torch.cat([pixels, 1 - pixels])
    with torch.no_grad():
        torch.testing.assert_close(
            detector.nearby(both, targets, frame).log_odds,
            detector.candidate(both, targets, frame).log_odds, rtol=1e-5, atol=1e-5,
        )  # fmt: skip


def test_targets_of_another_network_are_refused(detector):
    frame = detector.frame(SIZE)
    pixels = frame.to_input(blobs(1, SIZE, 5)).double()
    target = detector.detect(pixels, frame)[0].target(0)
    for candidate in (10**6, -1):
        with pytest.raises(TargetError, match=f"andidate {candidate}"):
            detector.nearby(pixels, [type(target)(
                target.box, 0, 0.5, candidate, target.class_names, target.box
            )], frame)  # fmt: skip


@pytest.mark.parametrize("factor", [1.0, FINER, 2.0])
def test_a_finer_look_is_that_of_a_detector_with_a_larger_input(detector, factor):
    assert isinstance(detector, FinerDetector)
    fine = detector.finer(SIZE, factor)
    side = -(-round(SIDE * factor) // 32) * 32
    assert max(fine.input_size) == side
    assert all(length % 32 == 0 for length in fine.input_size)
    image = blobs(1, SIZE, 5)
    larger = UltralyticsDetector(detector.module, detector.provenance, imgsz=side)
    assert larger.frame(SIZE) == fine
    pixels = fine.to_input(image).double()
    one, other = detector.raw(pixels), larger.raw(larger.frame(SIZE).to_input(image).double())
    assert torch.equal(one.probabilities, other.probabilities)
    if factor == 1:
        assert fine == detector.frame(SIZE)


@pytest.mark.weights
@pytest.mark.parametrize("name", ["yolo11n", "yolov8n", "yolov10n", "yolo26n"])
def test_trained_detectors_answer_the_same_nearby(shared, coco_images, name):
    detector = load_detector(shared / "weights" / f"{name}.pt", imgsz=320)
    placed = place(detector, load_image(coco_images[3]))
    targets = list(detect(detector, placed, 0.1))[:3]
    assert targets
    near, whole = (
        answers(ask, placed.pixels, targets, placed.frame)
        for ask in (detector.nearby, detector.candidate)
    )
    torch.testing.assert_close(near[0], whole[0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(near[1], whole[1], rtol=1e-3, atol=0.01)
    both = torch.stack([near[2].flatten(), whole[2].flatten()])
    assert float(torch.cosine_similarity(both[0], both[1], dim=0)) > 0.999


def test_one_pass_tells_detections_and_the_predictions_behind_them(detector):
    placed = Placed.of(blobs(1, SIZE, 5)[0], detector.frame(SIZE))
    found, whole = look(detector, placed, 0.2)
    apart = detector.detect(placed.pixels, placed.frame, 0.2)[0]
    assert len(found) == len(apart) > 2
    assert found.candidates.tolist() == apart.candidates.tolist()
    torch.testing.assert_close(found.scores, apart.scores)
    named = detector.named(placed.pixels)
    torch.testing.assert_close(whole.raw.probabilities, named.raw.probabilities)
    assert len(look(detector, placed, 1.0)[0]) == 0


def test_images_that_fill_the_same_input_share_a_pass(detector):
    sizes = [SIZE, (2 * SIZE[0], 2 * SIZE[1]), SIZE, (SIZE[1] + 64, SIZE[0])]
    images = [
        Placed.of(blobs(1, size, seed)[0], detector.frame(size)) for seed, size in enumerate(sizes)
    ]
    alike = {image.frame.input_size for image in images}
    assert len(alike) == 2
    batches = []
    hook = detector.module.register_forward_pre_hook(lambda _, given: batches.append(len(given[0])))
    try:
        together = look_all(detector, images, 0.2)
    finally:
        hook.remove()
    assert sorted(batches) == [1, 3]
    for image, (found, whole) in zip(images, together, strict=True):
        alone, apart = look(detector, image, 0.2)
        assert found.image_size == image.frame.image_size
        torch.testing.assert_close(found.boxes, alone.boxes, rtol=1e-3, atol=0.05)
        torch.testing.assert_close(whole.raw.probabilities, apart.raw.probabilities)
