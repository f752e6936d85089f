"""Boxes from elsewhere: matched to the detector's own predictions, or refused; never guessed."""

import pytest
import torch
from test_torchvision import FAMILIES, NAMES
from toy import CELL, RawToy, SealedToy, ToyDetector, scene

import xai_detect as xd
from xai_detect.detectors.vision.detector import TorchvisionDetector
from xai_detect.errors import InputError, TargetError
from xai_detect.values.detections import UNKNOWN, Detections, Provenance

IMAGE = scene(("red", 1, 2), ("blue", 5, 5), ("green", 1, 5))


def foreign(detections):
    """The same boxes, through a file that knows nothing of candidates."""
    rows = xd.to_coco_results(detections, 1)
    sizes = {1: detections.image_size}
    return xd.from_coco_results(rows, detections.class_names, sizes)[1]


def boxes_of(*rows, names=("red", "green", "blue"), size=(64, 64)):
    """Detections of ``(box, score, label)`` rows, best first."""
    boxes = torch.tensor([row[0] for row in rows], dtype=torch.float32)
    return Detections(
        boxes, torch.tensor([row[1] for row in rows]), torch.tensor([row[2] for row in rows]),
        torch.full((len(rows),), UNKNOWN), boxes, size, names,
    )  # fmt: skip


def test_own_boxes_find_their_candidates_again():
    toy = ToyDetector()
    own = xd.detect(toy, IMAGE)
    given = foreign(own)
    assert given.candidates.tolist() == [UNKNOWN] * 3
    found = xd.match_candidates(toy, IMAGE, given)
    assert found.candidates.tolist() == own.candidates.tolist()
    assert torch.equal(found.boxes, given.boxes)
    assert xd.match_candidates(RawToy(toy), IMAGE, given).candidates.tolist() == [
        *own.candidates.tolist()
    ]


def test_a_box_between_two_cells_takes_the_one_of_its_class_that_overlaps_most():
    toy = ToyDetector()
    whole = float(CELL)
    red = (2 * whole, whole, 3 * whole, 2 * whole)
    moved = (red[0] - 2, red[1], red[2] - 2, red[3])  # IoU 0.6 with red's cell
    far = (red[0] - 4, red[1], red[2] - 4, red[3])  # IoU a third with two cells
    wider = (red[0] - 2.5, red[1], red[2], red[3])  # IoU 0.76 with red's cell
    given = boxes_of((moved, 0.9, 0), (far, 0.8, 0), (wider, 0.7, 2))
    found = xd.match_candidates(toy, IMAGE, given)
    # No prediction there is blue: the one that overlaps stands in for it.
    assert found.candidates.tolist() == [8 + 2, UNKNOWN, 8 + 2]


def test_of_predictions_alike_the_closest_score_counts():
    class Twins(RawToy):
        """Every cell is predicted twice, the second time more faintly."""

        def __init__(self):
            super().__init__(ToyDetector())
            self.toy = ToyDetector()
            self.raw = self.twice

        def twice(self, pixels):
            boxes, probabilities = self.toy.raw(pixels)
            return type(self.toy.raw(pixels))(
                torch.cat([boxes, boxes], dim=1),
                torch.cat([probabilities, probabilities * 0.8], dim=1),
            )

    box = (2.0 * CELL, 1.0 * CELL, 3.0 * CELL, 2.0 * CELL)
    found = xd.match_candidates(Twins(), IMAGE, boxes_of((box, 0.95, 0), (box, 0.8, 0)))
    assert found.candidates.tolist() == [10, 64 + 10]


def test_what_has_a_candidate_keeps_it_and_none_are_none():
    toy = ToyDetector()
    own = xd.detect(toy, IMAGE)
    assert xd.match_candidates(toy, IMAGE, own) is own
    empty = Detections.empty((64, 64), toy.class_names)
    assert len(xd.match_candidates(toy, IMAGE, empty)) == 0


def test_what_cannot_be_matched_is_one_sentence():
    toy = ToyDetector()
    given = foreign(xd.detect(toy, IMAGE))
    with pytest.raises(InputError, match="shows no raw predictions"):
        xd.match_candidates(SealedToy(toy), IMAGE, given)
    with pytest.raises(InputError, match="an image of 64 x 64 pixels, but this one has 32 x 64"):
        xd.match_candidates(toy, IMAGE[:, :, :32], given)
    with pytest.raises(InputError, match="other class names"):
        xd.match_candidates(toy, IMAGE, boxes_of(((0.0, 0.0, 8.0, 8.0), 0.5, 0), names=("a",)))


@pytest.fixture(params=FAMILIES)
def detector(request):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network, head = FAMILIES[request.param]()
        with torch.no_grad():
            for parameter in head.parameters():
                spread = 1.5 / parameter[0].numel() ** 0.5 if parameter.ndim > 1 else 0.3
                parameter.normal_(std=spread)
    return TorchvisionDetector(
        network.eval(), NAMES, Provenance("tiny", "torchvision", "", "photo", "96")
    )


def test_torchvisions_own_answers_are_refused_until_they_are_matched(detector):
    generator = torch.Generator().manual_seed(5)
    small = torch.rand(1, 3, 9, 13, generator=generator)
    image = torch.nn.functional.interpolate(small, size=(75, 110), mode="bicubic").clamp(0, 1)[0]
    own = xd.detect(detector, image, 0.0)
    with torch.no_grad():
        answer = detector.module([image])[0]
    known = answer["labels"] > 0  # a sigmoid head has a background column too
    given = xd.from_torchvision(
        {key: value[known] for key, value in answer.items()}, NAMES, (75, 110)
    )
    with pytest.raises(TargetError, match=r"\(candidate -1\); match it with match_candidates"):
        xd.explain("input_x_gradient", detector, image, [given.target(0)])
    assert xd.explain("box", detector, image, [given.target(0)])
    found = xd.match_candidates(detector, image, given)
    torch.testing.assert_close(own.boxes, given.boxes, rtol=0, atol=0.01)
    solid = ((own.boxes[:, 2:] - own.boxes[:, :2]) > 0).all(dim=1)  # others overlap nothing
    same = (found.candidates == own.candidates) & solid
    assert int(same.sum()) >= 0.95 * int(solid.sum()) > 5
    assert (found.candidates[~solid] == UNKNOWN).all()
    torch.testing.assert_close(found.proposals[same], own.proposals[same])
    frame = detector.frame((75, 110))
    for row in same.nonzero()[:5, 0].tolist():
        score = detector.score(frame.to_input(image[None]), found.target(row), frame)
        assert float(score.detach().sigmoid()) == pytest.approx(found.target(row).score, abs=1e-3)


def test_a_classifiers_labels_match_the_image():
    built = xd.build_classifier("squeezenet1_1", ("a", "b"), input_size=32)
    own = xd.detect(built, IMAGE, 0.0)
    given = foreign(own)
    with pytest.raises(TargetError, match=r"\(candidate -1\)"):
        xd.explain("input_x_gradient", built, IMAGE, [given.target(0)])
    assert xd.match_candidates(built, IMAGE, given).candidates.tolist() == [0, 0]


@pytest.mark.weights
@pytest.mark.parametrize("name", ["yolo11n", "yolo26n"])
def test_a_trained_detectors_boxes_find_their_cells_again(shared, coco_images, name):
    detector = xd.load_detector(shared / "weights" / f"{name}.pt", imgsz=320, device="cpu")
    for file in coco_images[:4]:
        image = xd.load_image(file)
        own = xd.detect(detector, image)
        found = xd.match_candidates(detector, image, foreign(own))
        assert found.candidates.tolist() == own.candidates.tolist()
