"""Many images: looked at together, judged in order, whatever callers hold them in."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset
from toy import RawToy, SealedToy, ToyDetector, scene

import xai_detect as xd
from xai_detect.batch import stream
from xai_detect.batch.given import Items
from xai_detect.errors import ExplainError, InputError
from xai_detect.inspection import ahead
from xai_detect.inspection.ahead import look_ahead
from xai_detect.trust.scene import look, look_all
from xai_detect.values.findings import Inspection

SCENES = (
    scene(("red", 1, 1)),
    scene(("green", 2, 5), ("blue", 6, 6)),
    scene(),
    scene(("blue", 0, 3)),
)


def array(image):
    return (image.permute(1, 2, 0) * 255).round().byte().numpy()


@pytest.fixture
def folder(tmp_path):
    """Four images and, between them, one that is none."""
    inside = tmp_path / "images"
    inside.mkdir()
    for name, image in zip("abde", SCENES, strict=True):
        Image.fromarray(array(image)).save(inside / f"{name}.png")
    (inside / "c.png").write_bytes(b"nonsense")
    return inside


def quick(detector, images, **options):
    return xd.inspect_many(detector, images, budget="quick", **options)


def names(found):
    return [(one.source.rpartition("/")[2], *(target.name for target in one.detections))
            for one in found]  # fmt: skip


FOUND = [("a.png", "red"), ("b.png", "green", "blue"), ("d.png",), ("e.png", "blue")]
NUMBERED = [(f"image-{number:06d}", *found) for number, (_, *found) in enumerate(FOUND)]


# --- Looked at together


@pytest.mark.parametrize("view", [lambda toy: toy, RawToy, SealedToy])
def test_what_is_seen_together_is_what_is_seen_alone(view):
    detector = view(ToyDetector())
    placed = [xd.place(detector, image) for image in (*SCENES, scene(("red", 0, 0), size=(40, 64)))]
    for image, (found, whole) in zip(placed, look_all(detector, placed), strict=True):
        alone, apart = look(detector, image)
        assert torch.equal(found.boxes, alone.boxes)
        assert found.labels.tolist() == alone.labels.tolist()
        if len(found):
            assert torch.equal(whole.raw.probabilities, apart.raw.probabilities)
        else:
            assert whole is apart is None


def test_images_of_one_size_share_a_pass_and_empty_ones_cost_no_second():
    detector = ToyDetector()
    placed = [xd.place(detector, image) for image in (*SCENES, scene(("red", 0, 0), size=(40, 64)))]
    look_all(detector, placed)
    assert detector.module.seen == [4, 3, 1, 1]  # four are searched, three of them hold anything
    detector.module.seen.clear()
    look_all(detector, placed, predicted=False)
    assert detector.module.seen == [4, 1]


def test_predictions_that_are_known_are_not_asked_for_again():
    detector = ToyDetector()
    image = xd.place(detector, SCENES[1])
    found, whole = look(detector, image)
    costs = []
    for known in (whole, None):
        detector.module.seen.clear()
        inspection = xd.inspect(
            detector, image, budget="quick", detections=found, whole=known, as_class="red"
        )
        costs.append(sum(detector.module.seen))
        assert [asked.name for asked in inspection.asked] == ["red", "red"]
    assert costs[1] - costs[0] == 2  # once to weigh, once for the class that was asked about


def test_evaluation_hands_on_what_it_saw(tmp_path):
    image = SCENES[1]
    Image.fromarray(array(image)).save(tmp_path / "a.png")
    detector, scan = ToyDetector(), SimpleNamespace(path=tmp_path / "a.png")
    ((_, seen),) = look_ahead(detector, [scan], lambda given: xd.load_image(given.path), 0.001)
    assert torch.equal(seen.whole.raw.probabilities, look(detector, seen.placed).whole.raw[1])


def test_an_image_that_cannot_be_looked_at_costs_no_other():
    class Picky(SealedToy):
        """Refuses batches that hold a black image."""

        def __init__(self, toy):
            super().__init__(toy)
            plain = toy.detect

            def detect(pixels, frame, confidence=0.25):
                if not pixels.flatten(1).any(dim=1).all():
                    raise ExplainError("a black image")
                return plain(pixels, frame, confidence)

            self.detect = detect

    given = [SCENES[0], torch.zeros(3, 64, 64), None, SCENES[3]]
    seen = list(look_ahead(Picky(ToyDetector()), given, lambda image: image, 0.25))
    assert [id(image) for image, _ in seen] == list(map(id, given))
    assert [target.name for target in seen[0][1].detections] == ["red"]
    assert str(seen[1][1]) == "a black image"
    assert seen[2][1] is None
    assert [target.name for target in seen[3][1].detections] == ["blue"]


@pytest.mark.parametrize(("batch", "loaded", "waited"), [(2, 10**9, 2), (8, 64 * 64 * 3, 3),
                                                         (1, 10**9, 1)])  # fmt: skip
def test_no_more_is_read_than_is_looked_at(monkeypatch, batch, loaded, waited):
    monkeypatch.setattr(ahead, "LOADED", loaded)
    taken = []

    def give():
        for image in SCENES:
            taken.append(image)
            yield image

    seen = look_ahead(ToyDetector(), give(), lambda image: image, 0.25, batch=batch)
    next(seen)
    assert len(taken) == waited
    assert len(list(seen)) == 3


# --- What callers hold


def as_loader(images):
    return DataLoader(TensorDataset(torch.stack(images), torch.arange(len(images))), batch_size=3)


def as_detection_loader(images):
    data = [(image, {"boxes": []}) for image in images]
    return DataLoader(data, batch_size=3, collate_fn=lambda rows: tuple(zip(*rows, strict=True)))


IN_MEMORY = {
    "tensors": list,
    "arrays": lambda images: [array(image) for image in images],
    "OpenCV's": lambda images: [np.ascontiguousarray(array(image)[..., ::-1]) for image in images],
    "PIL": lambda images: [Image.fromarray(array(image)) for image in images],
    "a batch": torch.stack,
    "a batch of arrays": lambda images: np.stack([array(image) for image in images]),
    "batches": lambda images: iter([torch.stack(images[:3]), torch.stack(images[3:])]),
    "pairs": lambda images: [(image, 7) for image in images],
    "a generator": iter,
    "a loader": as_loader,
    "a loader without targets": lambda images: DataLoader(images, batch_size=3),
    "a loader of lists": lambda images: DataLoader(images, batch_size=3, collate_fn=list),
    "a loader for detection": as_detection_loader,
}


@pytest.mark.parametrize("kind", IN_MEMORY)
def test_images_in_memory_are_numbered(kind):
    order = "bgr" if kind == "OpenCV's" else "rgb"
    given = IN_MEMORY[kind](list(SCENES))
    items = list(Items(given, order=order))
    assert [item.name for item in items] == [name for name, *_ in NUMBERED]
    for item, image in zip(items, SCENES, strict=True):
        assert torch.equal(item.read(), image)


@pytest.mark.parametrize(
    ("given", "total"),
    [
        (lambda images: list(images), 4),
        (torch.stack, 4),
        (lambda images: images[0], 1),
        (lambda images: [torch.stack(images)], None),
        (iter, None),
    ],
)
def test_how_many_there_are_is_told_where_it_is_known(given, total):
    assert Items(given(list(SCENES))).total == total


def test_files_folders_and_globs_are_found(folder):
    everything = sorted(folder.iterdir())
    for given in (folder, str(folder / "*.png"), [str(path) for path in everything]):
        items = Items(given)
        assert (items.paths, items.total) == (everything, 5)
    mixed = list(Items([folder / "a.png", SCENES[1], str(folder)]))
    assert [item.path for item in mixed] == [everything[0], None, *everything]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (3.5, "the images are given as a float; expected paths, folders"),
        (None, "the images are given as a NoneType"),
        (True, "the images are given as a bool"),
        ({"image": 1}, "the images are given as a dict"),
        (b"a.png", "the images are given as a bytes"),
        ([], "no images were given"),
        ("nothing/*.png", "nothing/.*png matches no file"),
    ],
)
def test_what_holds_no_images_is_said_at_once(given, words):
    with pytest.raises(InputError, match=words):
        Items(given)


def test_what_is_no_image_among_images_is_said():
    found = iter(Items([SCENES[0], {"image": SCENES[1]}]))
    next(found)
    with pytest.raises(InputError, match="among the images is a dict; expected"):
        next(found)


# --- Inspected


def test_each_is_inspected_as_alone(folder):
    detector = ToyDetector()
    with pytest.warns(UserWarning, match="1 images could not be inspected, the first"):
        found = list(quick(detector, folder, as_class="green"))
    assert names(found) == FOUND
    for one in found:
        alone = xd.inspect(detector, one.source, budget="quick", as_class="green")
        assert one.verdicts == alone.verdicts
        assert one.asked == alone.asked
        assert torch.equal(one.detections.boxes, alone.detections.boxes)


def test_images_are_taken_as_they_are_asked_for():
    detector, taken = ToyDetector(), []
    stream = quick(detector, (taken.append(image) or image for image in SCENES), batch=2)
    assert (taken, detector.module.seen) == ([], [])
    assert next(stream).source == "image-000000"
    assert len(taken) == 2


def test_bad_files_are_told_and_passed_over(folder):
    told, steps = [], []
    stream = quick(
        ToyDetector(), folder, errors=lambda *what: told.append(what),
        progress=lambda *count: steps.append(count),
    )  # fmt: skip
    assert names(stream) == FOUND
    ((name, error),) = told
    assert name == str(folder / "c.png")
    assert stream.failed == {name: str(error)}
    assert "is not an image" in str(error)
    assert steps == [(number, 5) for number in range(1, 6)]


def test_one_that_is_missing_among_others_is_passed_over():
    stream = quick(ToyDetector(), [SCENES[0], "gone.mp4", SCENES[3]], errors=lambda *_: None)
    assert names(stream) == [("image-000000", "red"), ("image-000001", "blue")]
    assert "gone.mp4 does not exist; expected a video file" in stream.failed["gone.mp4"]


def test_no_image_is_its_own_reference(folder, monkeypatch):
    detector, tried = ToyDetector(), []
    plain = stream.inspect

    def spied(*given, references, **options):
        tried.append([other.name for other in references])
        return plain(*given, references=references, **options)

    monkeypatch.setattr(stream, "inspect", spied)
    monkeypatch.chdir(folder)
    others = [xd.as_reference(detector, name, SCENES[1]) for name in ("a.png", "z.png")]
    list(quick(detector, ["a.png", "b.png"], references=others))
    assert tried == [["z.png"], ["a.png", "z.png"]]


# --- Kept in a run


def test_a_run_keeps_them_and_is_not_judged_again(folder, tmp_path):
    detector = ToyDetector()
    options = {"out": tmp_path / "run", "method": "input_x_gradient"}
    first = list(quick(detector, folder, **options))
    run = xd.load_run(tmp_path / "run")
    assert (run.status, len(run.records)) == ("done", 4)
    assert list(run.failed) == [str(folder / "c.png")]
    assert (run.header.budget, run.header.method) == ("quick", "input_x_gradient")
    detector.module.seen.clear()
    again = quick(detector, folder, **options)
    assert names(again) == names(first) == FOUND
    assert detector.module.seen == []
    assert list(again.failed) == [str(folder / "c.png")]
    # Given one by one, files are known by their names.
    assert names(quick(detector, iter([folder / "a.png"]), **options)) == FOUND[:1]
    assert detector.module.seen == []
    Image.fromarray(array(SCENES[1])).save(folder / "a.png")
    assert names(quick(detector, iter([folder / "a.png"]), **options)) == [
        ("a.png", "green", "blue")
    ]


def test_images_in_memory_are_known_again_by_their_pixels(tmp_path):
    detector = ToyDetector()
    list(quick(detector, list(SCENES), out=tmp_path / "run"))
    detector.module.seen.clear()
    assert names(quick(detector, list(SCENES), out=tmp_path / "run")) == NUMBERED
    assert detector.module.seen == []
    turned = [SCENES[1], *SCENES[1:]]
    found = names(quick(detector, turned, out=tmp_path / "run"))
    assert found == [("image-000000", "green", "blue"), *NUMBERED[1:]]
    assert detector.module.seen[0] == 1


def test_a_run_that_is_left_goes_on(tmp_path):
    detector = ToyDetector()
    stream = quick(detector, list(SCENES), out=tmp_path / "run", batch=1)
    next(stream)
    stream.close()
    left = xd.load_run(tmp_path / "run")
    assert (left.status, [record.source for record in left.records]) == (
        "interrupted",
        ["image-000000"],
    )
    assert names(quick(detector, list(SCENES), out=tmp_path / "run")) == NUMBERED
    assert xd.load_run(tmp_path / "run").status == "done"


def test_a_stream_that_never_began_lets_the_folder_go(tmp_path):
    quick(ToyDetector(), list(SCENES), out=tmp_path / "run").close()
    assert names(quick(ToyDetector(), list(SCENES), out=tmp_path / "run")) == NUMBERED


def test_a_full_disk_ends_it(tmp_path, full_disk):
    stream = quick(ToyDetector(), list(SCENES), out=tmp_path / "run", batch=1)
    next(stream)
    with full_disk(), pytest.raises(InputError, match="the disk is full"):
        next(stream)
    assert names(quick(ToyDetector(), list(SCENES), out=tmp_path / "run")) == NUMBERED


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"confidence": 1.5}, "confidence is 1.5; expected a threshold"),
        ({"every": 0.0}, "every is 0.0 seconds; expected more than 0"),
        ({"every": float("nan")}, "every is nan seconds"),
        ({"batch": 0}, "batch is 0; expected at least 1 image"),
        ({"order": "grb"}, "order is 'grb'; expected 'rgb'"),
        ({"language": "xx"}, "xx"),
        ({"budget": "lavish"}, "lavish"),
        ({"method": "magic"}, "there is no method 'magic'"),
        ({"as_class": "zebra"}, "zebra"),
    ],
)
def test_an_option_that_is_wrong_is_said_at_once(options, words):
    with pytest.raises(InputError, match=words):
        xd.inspect_many(ToyDetector(), list(SCENES), **options)


def test_a_method_that_the_detector_cannot_serve_is_said_at_once():
    with pytest.raises(InputError, match="but toy is a black box"):
        xd.inspect_many(SealedToy(ToyDetector()), list(SCENES), method="grad_cam")


def test_a_folder_of_something_else_is_refused_at_once(tmp_path):
    list(quick(ToyDetector(), SCENES[0], out=tmp_path / "run"))
    with pytest.raises(InputError, match="belongs to another run"):
        quick(ToyDetector(), SCENES[0], out=tmp_path / "run", confidence=0.5)


def test_what_is_given_is_an_inspection():
    (found,) = quick(ToyDetector(), SCENES[0])
    assert isinstance(found, Inspection)
