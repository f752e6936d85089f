"""Other images' surroundings: mirrored, emptied of their own items, and drawn the same always."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from toy import ToyDetector, scene

from xai_detect.batch import references as batch
from xai_detect.batch.references import drawn, references_of, references_with_truth
from xai_detect.data.read import annotated, read_dataset
from xai_detect.errors import InputError
from xai_detect.trust.references import LEAST, Reference, as_reference, balanced, surroundings
from xai_detect.trust.scene import ring
from xai_detect.values.boxes import mask
from xai_detect.values.detections import Detections

SIZE = (64, 64)
NAMES = ("red", "green", "blue")
ITEM = (40.0, 40.0, 48.0, 48.0)
NEAR = ring(ITEM, SIZE)


def of_boxes(name, rows, size=SIZE, image=None):
    """A reference with boxes ``(x1, y1, x2, y2, label)``."""
    placed = torch.tensor([row[:4] for row in rows]).reshape(-1, 4).float()
    labels = torch.tensor([row[4] for row in rows], dtype=torch.int64)
    found = Detections(
        placed, torch.full((len(rows),), 0.9), labels, torch.arange(len(rows)), placed, size, NAMES
    )
    return Reference(name, torch.full((3, *size), 0.5) if image is None else image, found)


def target(label=0):
    return of_boxes("", [(*ITEM, label)]).detections.target(0)


@given(
    width=st.integers(9, 40),
    box=st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(1, 5), st.integers(1, 9)),
)
def test_a_mirrored_reference_holds_the_same_items_at_the_mirrored_place(width, box):
    left, top, wide, tall = box
    image = torch.zeros(3, 20, width)
    image[:, top : top + tall, left : left + wide] = 1.0
    place = (float(left), float(top), float(left + wide), float(top + tall))
    reference = of_boxes("r", [(*place, 1)], (20, width), image)
    mirrored = reference.mirrored()
    (row,) = mirrored.detections.boxes.tolist()
    inside = mask(tuple(row), (20, width))
    assert torch.equal(inside, mirrored.image[0] == 1)
    assert torch.equal(mirrored.detections.proposals, mirrored.detections.boxes)
    assert mirrored.detections.labels.tolist() == [1]
    back = mirrored.mirrored()
    assert torch.equal(back.image, reference.image)
    assert torch.equal(back.detections.boxes, reference.detections.boxes)


def test_a_reference_is_kept_as_the_network_sees_it():
    detector = ToyDetector(letterbox=64)
    large = scene(("red", 5, 5)).repeat_interleave(3, 1).repeat_interleave(3, 2)
    reference = as_reference(detector, "large", large)
    assert reference.image.shape == (3, 64, 64)
    assert reference.detections.image_size == (64, 64)
    assert reference.detections.boxes.tolist() == [[40, 40, 48, 48]]
    torch.testing.assert_close(reference.image, scene(("red", 5, 5)), atol=0.01, rtol=0)
    assert len(as_reference(detector, "empty", scene()).detections) == 0
    assert len(as_reference(detector, "sure", large, confidence=0.99).detections) == 0


def chosen(references, most=9, label=0):
    return surroundings(references, target(label), NEAR, most)


def test_only_references_of_other_classes_are_taken():
    own = of_boxes("own", [(0, 0, 8, 8, 0)])
    none = of_boxes("none", [])
    others = [of_boxes(str(number), [(0, 0, 8, 8, 1 + number % 2)]) for number in range(3)]
    both = of_boxes("both", [(0, 0, 8, 8, 0), (0, 20, 8, 28, 1)])
    found = chosen([own, none, *others, both])
    assert sorted(one.reference.name for one in found) == ["0", "1", "2"]
    assert {one.reference.name: one.labels for one in found}["1"] == frozenset({2})
    few = chosen([own, none, others[0], both])
    assert [one.reference.name for one in few] == ["0", "both"], "too few without the class"
    assert few[1].labels == frozenset({1})


def test_own_items_under_the_box_are_emptied_with_their_rings():
    image = torch.full((3, *SIZE), 0.8)
    image[:, 36:60, 36:48] = 0.0
    reference = of_boxes("r", [(36, 36, 48, 60, 1), (0, 0, 8, 8, 2)], image=image)
    (found,) = chosen([reference])
    assert torch.equal(found.holes, ring((36.0, 36.0, 48.0, 60.0), SIZE))
    content = found.content()
    outside = content[:, found.holes & ~NEAR]
    assert float(outside.min()) > 0.7, "the item has gone"
    torch.testing.assert_close(content[:, ~found.holes], image[:, ~found.holes], atol=0.01, rtol=0)


def test_what_lies_elsewhere_stays():
    image = torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(0))
    (found,) = chosen([of_boxes("r", [(0, 0, 8, 8, 2)], image=image)])
    assert not bool(found.holes.any())
    assert torch.equal(found.content(), image)


def test_the_side_whose_items_the_box_covers_best_is_taken():
    beside = of_boxes("r", [(26, 44, 34, 52, 1)])  # mirrored it lies at 30 to 38
    (found,) = chosen([beside])
    assert found.reference.detections.boxes.tolist() == [[30, 44, 38, 52]]
    under = of_boxes("r", [(40, 40, 48, 48, 1)])
    (found,) = chosen([under])
    assert found.reference is under


def test_a_reference_that_would_be_emptied_is_left_out():
    large = of_boxes("large", [(0, 20, 64, 60, 1)])
    assert chosen([large, of_boxes("r", [(0, 0, 8, 8, 2)])])[0].reference.name == "r"
    assert chosen([large]) == []


def test_the_least_disturbed_come_first_and_no_more_than_asked():
    rows = [(36, 36, 48, 60, 1), (40, 40, 48, 48, 1), (30, 30, 56, 56, 1)]
    found = chosen([of_boxes(str(number), [row]) for number, row in enumerate(rows)])
    lost = [float((NEAR ^ one.holes).float().mean()) for one in found]
    assert lost == sorted(lost)
    assert found[0].reference.name == "1", "the box covers it exactly"
    assert len(chosen([of_boxes(str(n), [rows[1]]) for n in range(5)], most=2)) == 2


@given(order=st.permutations(range(6)), folder=st.sampled_from(["", "a/b/", "/elsewhere/"]))
def test_neither_order_nor_folder_changes_the_choice(order, folder):
    def names(numbers, where):
        made = [of_boxes(f"{where}{n}.png", [(0, 0, 8, 8, 1)]) for n in numbers]
        return [Path(one.reference.name).name for one in chosen(made, most=4)]

    assert names(order, folder) == names(range(6), "")
    assert names(range(6), "") != [f"{number}.png" for number in range(4)], "nor is it by name"


def test_a_reference_of_another_size_is_brought_to_that_of_the_image():
    small = of_boxes("r", [(20, 20, 24, 24, 1)], size=(32, 32))
    (found,) = chosen([small])
    assert found.content().shape == (3, 64, 64)
    assert torch.equal(found.holes, ring((40.0, 40.0, 48.0, 48.0), SIZE))


def saved(folder, name, image):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((image.permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(path)
    return path


def test_named_references_are_all_taken_and_too_few_are_refused(tmp_path):
    detector = ToyDetector()
    paths = [saved(tmp_path, f"{row}.png", scene(("red", row, 2))) for row in range(LEAST)]
    empty = saved(tmp_path, "empty.png", scene())
    found = references_of(detector, [*paths, empty])
    assert [one.name for one in found] == [str(path) for path in paths]
    with pytest.raises(InputError, match=r"5 of 6 references hold something .*at least 6"):
        references_of(detector, [*paths[1:], empty])
    with pytest.raises(InputError, match="missing"):
        references_of(detector, [tmp_path / "missing.png"])


def folder_of(folder, count):
    colours = ["red"] * (count - 2) + ["green", "blue"]
    return [
        saved(folder, f"{number:02}.png", scene((colour, number % 8, 2)))
        for number, colour in enumerate(colours)
    ]


def test_references_are_drawn_the_same_whatever_the_order_or_folder(tmp_path):
    detector = ToyDetector()
    one, other = folder_of(tmp_path / "one", 30), folder_of(tmp_path / "two" / "deep", 30)
    names = [Path(found.name).name for found in drawn(detector, one)]
    assert names == [Path(found.name).name for found in drawn(detector, other[::-1])]
    assert names != sorted(names)
    assert len(names) == batch.MOST
    assert {"28.png", "29.png"} <= set(names), "every class is wanted"


def test_namesakes_are_told_apart_by_their_folder(tmp_path):
    detector = ToyDetector()
    paths = [
        saved(tmp_path / folder, "same.png", scene(("red", row, 2)))
        for row, folder in enumerate("abcdefg")
    ]
    one, other = ([found.name for found in drawn(detector, some)] for some in (paths, paths[::-1]))
    assert one == other
    assert len(one) == 7


def test_too_few_or_unreadable_images_give_no_references(tmp_path):
    detector = ToyDetector()
    paths = folder_of(tmp_path, LEAST)
    assert len(drawn(detector, paths)) == LEAST
    paths[0].write_bytes(b"no image")
    assert drawn(detector, paths) == []
    assert drawn(detector, []) == []


def test_no_more_images_are_looked_at_than_needed(tmp_path, monkeypatch):
    detector = ToyDetector()
    paths = [saved(tmp_path, f"{number:02}.png", scene()) for number in range(10)]
    monkeypatch.setattr(batch, "LOOKED_AT", 7)
    assert drawn(detector, paths) == []
    assert len(detector.module.seen) == 7


def test_every_class_is_there_about_equally_often():
    def held(name, *labels):
        count = len(labels)
        found = Detections(
            torch.zeros(count, 4), torch.full((count,), 0.5), torch.tensor(labels).long(),
            torch.zeros(count).long(), torch.zeros(count, 4), (8, 8), ("a", "b", "c"),
        )  # fmt: skip
        return Reference(name, torch.zeros(3, 8, 8), found)

    many = [
        held("a1", 0),
        held("a2", 0),
        held("none"),
        held("ab", 0, 1),
        held("b", 1),
        held("c", 2),
    ]
    assert [chosen.name for chosen in balanced(many, 3)] == ["a1", "ab", "c"]
    assert [chosen.name for chosen in balanced(many, 9)] == ["a1", "ab", "c", "b", "a2"]


# What references hold, as annotated


def annotated_set(folder, count):
    """COCO annotations that call items green and blue in turn, whatever their colour is."""
    paths = folder_of(folder / "images", count)
    content = {
        "images": [
            {"id": number, "file_name": path.name, "width": 64, "height": 64}
            for number, path in enumerate(paths)
        ],
        "annotations": [
            {"id": number, "image_id": number, "category_id": 2 + number % 2,
             "bbox": [8, 16, 8, 8], "area": 64, "iscrowd": 0}
            for number in range(count)
        ],
        "categories": [{"id": 1 + k, "name": name} for k, name in enumerate(NAMES)],
    }  # fmt: skip
    path = folder / "instances_val.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_annotated_references_hold_what_is_annotated_whatever_the_detector_finds(tmp_path):
    detector = ToyDetector()
    dataset = read_dataset(annotated_set(tmp_path, 30), images=tmp_path / "images")
    found = references_with_truth(detector, dataset)
    assert len(found) == batch.MOST
    labels = [label for one in found for label in one.detections.labels.tolist()]
    assert set(labels) == {1, 2}, "the toy sees mostly red items, class 0"
    assert abs(labels.count(1) - labels.count(2)) <= 1
    for one in found:
        size = one.image.shape[1]
        assert one.detections.boxes[0].tolist() == pytest.approx(
            [8 * size / 64, 16 * size / 64, 16 * size / 64, 24 * size / 64]
        )
    names = [one.name for one in found]
    assert [one.name for one in references_with_truth(detector, dataset)] == names
    again = references_with_truth(detector, dataset, names[::-1])
    assert [one.name for one in again] == names[::-1]


def test_annotated_references_that_are_of_no_use_are_refused(tmp_path):
    detector = ToyDetector()
    dataset = read_dataset(annotated_set(tmp_path, LEAST), images=tmp_path / "images")
    with pytest.raises(InputError, match=r"the data set has no image /gone.png any more"):
        references_with_truth(detector, dataset, ["/gone.png"])
    (tmp_path / "images" / "00.png").write_bytes(b"no image")
    with pytest.raises(
        InputError, match=r"5 of 5 references hold something annotated .*at least 6"
    ):
        references_with_truth(detector, dataset)


def test_what_is_held_must_be_of_the_image():
    image = scene(("red", 2, 2))
    held = of_boxes("x", [(8, 16, 16, 24, 1)], size=(32, 32)).detections
    with pytest.raises(InputError, match=r"an image of \(32, 32\), but it is \(64, 64\)"):
        as_reference(ToyDetector(), "x", image, held=held)


def test_a_data_set_is_told_from_a_folder_of_images(tmp_path):
    path = annotated_set(tmp_path, 1)
    assert annotated(path)
    assert annotated(tmp_path)
    assert not annotated(tmp_path / "images")
    assert not annotated(tmp_path / "images" / "00.png")
