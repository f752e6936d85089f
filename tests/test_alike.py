"""Confirmed detections beside a detection: which, in which order, drawn, kept, judging nothing."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from samples import NAMES, inspection, spot
from test_cli import call, many, real_call, scans, toy, write  # noqa: F401 - fixtures
from toy import RawToy, SealedToy, ToyDetector, scene

from xai_detect.batch import references as batch
from xai_detect.commands import prepare
from xai_detect.data.records import Dataset
from xai_detect.detectors.place import place
from xai_detect.errors import InputError
from xai_detect.evaluation import alike as gallery_of
from xai_detect.evaluation.alike import Gallery
from xai_detect.inspection.image import detect
from xai_detect.output.drawing.alike import SIDE, strip, window
from xai_detect.output.folder.alike import alike_from_json, alike_to_json
from xai_detect.output.folder.load import load_run
from xai_detect.output.folder.pictures import read_picture
from xai_detect.output.folder.records import file_name
from xai_detect.output.run import open_run, save
from xai_detect.trust.alike import Confirmed, nearest
from xai_detect.trust.policy import DEFAULT_POLICY
from xai_detect.values.detections import Target
from xai_detect.values.findings import Alike
from xai_detect.values.frame import Frame
from xai_detect.values.images import load_image
from xai_detect.values.truth import Fate, Item, Kind, Outcome, Scan

LIMITS = DEFAULT_POLICY.limits


# Which, and in which order


def held(source, *features, label=0):
    vector = torch.tensor(features)
    box = (1.0, 2.0, 3.0, 4.0)
    target = Target(box, label, 0.9, 0, NAMES, box)
    content = torch.zeros(3, 8, 8, dtype=torch.uint8)
    return Confirmed(source, box, target, vector / vector.norm(), content, Frame.unchanged((8, 8)))


def named(found):
    return [(near.confirmed.source, round(near.similarity, 3)) for near in found]


def test_a_confirmed_image_is_shown_as_it_was_seen():
    one = replace(held("a", 1.0, 1.0), content=torch.full((3, 8, 8), 51, dtype=torch.uint8))
    assert one.placed().image.unique().tolist() == pytest.approx([0.2])


def test_the_nearest_by_hand():
    known = [
        held("far", 0.0, 0.0, 1.0),
        held("b", 3.0, 4.0, 0.0),
        held("other class", 1.0, 0.0, 0.0, label=1),
        held("c", 4.0, 3.0, 0.0),
        held("a", 3.0, 0.0, 4.0),
    ]
    own = torch.tensor([1.0, 0.0, 0.0])
    assert named(nearest(own, 0, known)) == [("c", 0.8), ("a", 0.6)]  # "b" is as near as "a"
    assert named(nearest(own, 0, known, 9)) == [("c", 0.8), ("a", 0.6), ("b", 0.6)]  # not "far"
    assert named(nearest(own, 1, known)) == [("other class", 1.0)]
    assert nearest(own, 2, known) == nearest(own, 0, []) == []


def test_a_similarity_stays_in_its_range():
    long = torch.full((3,), 0.58)  # a length of 1.0046, as rounding may leave it, and more
    (near,) = nearest(long, 0, [replace(held("a", 1.0, 1.0, 1.0), features=long)])
    assert near.similarity == 1.0


# The gallery of a data set


COLOURS = ("red", "green", "blue")


def scan_of(path, *squares, wrong=()):
    """An image with full squares, annotated as they are; those in ``wrong`` as another class."""
    write(path, *squares)
    items = []
    for colour, row, column in squares:
        label = COLOURS.index(colour)
        box = tuple(float(8 * side) for side in (column, row, column + 1, row + 1))
        items.append(Item(box, (label + 1) % 3 if (row, column) in wrong else label, 64.0))
    return Scan(path.name, path, path.name, (64, 64), tuple(items))


@pytest.fixture
def dataset(tmp_path):
    scans = (  # noqa: F811
        scan_of(tmp_path / "b.png", ("red", 1, 1), ("blue", 5, 2)),
        scan_of(tmp_path / "a.png", ("red", 6, 6)),
        scan_of(tmp_path / "c.png", ("red", 3, 3), ("red", 0, 5), wrong=[(0, 5)]),
        Scan("gone.png", tmp_path / "gone.png", 4, (64, 64), ()),
    )
    return Dataset("sample", "coco", COLOURS, (1, 2, 3), scans, ())


def made(dataset, detector=None):
    return Gallery(detector or ToyDetector(), lambda: dataset, LIMITS)


def beside(gallery, path, detector=None):
    placed = place(detector or ToyDetector(), load_image(path))
    return gallery.beside(placed, str(path), detect(detector or ToyDetector(), placed))


def test_only_what_is_right_as_annotated_is_confirmed(dataset):
    found = made(dataset).confirmed
    assert [(Path(held.source).name, held.target.name, held.box) for held in found] == [
        ("b.png", "red", (8, 8, 16, 16)),
        ("b.png", "blue", (16, 40, 24, 48)),
        ("a.png", "red", (48, 48, 56, 56)),
        ("c.png", "red", (24, 24, 32, 32)),
    ]


def test_the_own_image_is_never_among_them(dataset, tmp_path):
    gallery = made(dataset)
    (red,) = beside(gallery, tmp_path / "a.png")
    assert [Path(other.source).name for other in red] == ["b.png", "c.png"]
    copied = shutil.copy(tmp_path / "a.png", tmp_path / "copy.png")  # nor under another name
    (red,) = beside(gallery, Path(copied))
    assert [Path(other.source).name for other in red] == ["b.png", "c.png"]
    first, second = beside(gallery, tmp_path / "b.png")
    assert [[Path(other.source).name for other in row] for row in (first, second)] == [
        ["a.png", "c.png"],
        [],
    ]
    assert beside(gallery, write(tmp_path / "empty.png")) == ()


def test_what_is_shown_is_the_detection_in_its_own_image(dataset, tmp_path):
    """A larger photograph: its box is in the file's pixels, its map where the network saw it."""
    detector = ToyDetector(letterbox=64)
    large = scene(("red", 6, 6)).repeat_interleave(2, 1).repeat_interleave(2, 2)
    big = tmp_path / "a.png"
    Image.fromarray((large.permute(1, 2, 0) * 255).byte().numpy()).save(big)
    scan = Scan("a.png", big, 1, (128, 128), (Item((96.0, 96.0, 112.0, 112.0), 0, 256.0),))
    gallery = made(replace(dataset, scans=(scan,)), detector)
    own = write(tmp_path / "own.png", ("red", 2, 2))
    ((red,),) = beside(gallery, own, detector)
    assert red.box == (96, 96, 112, 112)
    assert red.place == (48, 48, 56, 56)
    assert red.image.shape == (3, 64, 64)
    torch.testing.assert_close(red.image, scene(("red", 6, 6)), atol=1 / 255, rtol=0)
    assert red.similarity == pytest.approx(1)
    heatmap = red.explanation.heatmap
    assert heatmap.shape == (64, 64)
    inside = heatmap[48:56, 48:56].clamp(min=0).sum()
    assert float(inside / heatmap.clamp(min=0).sum()) > 0.99


def test_maps_are_made_when_first_shown_and_kept(dataset, tmp_path, monkeypatch):
    asked, witness = [], gallery_of.witness

    def watched(*given, **options):
        asked.append(given[1].box)
        return witness(*given, **options)

    monkeypatch.setattr(gallery_of, "witness", watched)
    gallery = made(dataset)
    assert len(gallery.confirmed) == 4
    assert asked == []
    for _ in range(2):
        beside(gallery, tmp_path / "a.png")
    assert asked == [(8, 8, 16, 16), (24, 24, 32, 32)]


def test_a_map_that_does_not_hold_is_not_shown(dataset, tmp_path):
    strict = Gallery(ToyDetector(), lambda: dataset, {**LIMITS, "completeness_error": -1.0})
    (red,) = beside(strict, tmp_path / "a.png")
    assert [other.explanation for other in red] == [None, None]
    assert all(other.image is not None for other in red)
    (red,) = beside(made(dataset), tmp_path / "a.png")
    assert all(other.explanation is not None for other in red)


@pytest.mark.parametrize("hidden", [SealedToy, RawToy])
def test_a_black_box_has_none_and_looks_at_nothing(hidden, tmp_path):
    write(tmp_path / "a.png", ("red", 6, 6))
    gallery = Gallery(hidden(ToyDetector()), lambda: pytest.fail("it was read"), LIMITS)
    assert beside(gallery, tmp_path / "a.png") == ()


def test_the_images_looked_at_come_in_the_order_of_references(dataset, monkeypatch):
    monkeypatch.setattr(batch, "LOOKED_AT", 3)
    found = batch.looked_at(dataset).scans
    order = batch._shuffled([scan.path for scan in dataset.scans])
    assert [scan.path for scan in found] == order[:3]
    assert [scan.name for scan in found] == [path.name for path in order[:3]]


# The strip


def with_alike(image=True, explained=True, source="zoo/other.jpg", **options):
    """Two detections; a confirmed one beside the first, none beside the second."""
    size = (40, 60)
    ours = inspection(heatmaps=[spot(size, 8, 6, value=9.0)] * 2, size=size, **options)
    target = ours.detections.target(0)
    place = (30.0, 10.0, 44.0, 30.0)
    made = replace(ours.explanations[0], heatmap=spot(size, 18, 34, value=9.0),
                   target=replace(target, box=place))  # fmt: skip
    other = Alike(
        source, (60.0, 20.0, 88.0, 60.0), 0.8, 0.83,
        torch.rand(3, *size, generator=torch.Generator().manual_seed(4)) if image else None,
        place if image else None, made if explained else None,
    )  # fmt: skip
    return replace(ours, alike=((other,), ()))


def test_the_strip_holds_both_with_their_lines():
    drawn = strip(with_alike(), 0)
    bare = strip(with_alike(explained=False), 0)
    assert drawn.shape == bare.shape
    changed = np.abs(drawn.astype(int) - bare).max(axis=(0, 2)) > 0
    middle = drawn.shape[1] // 2
    assert changed[middle:].any()
    assert not changed[: middle - 20].any()
    assert strip(with_alike(), 1) is None
    assert strip(with_alike(image=False), 0) is None
    assert strip(inspection(), 0) is None


def test_the_strip_shows_no_lines_of_a_map_that_is_refused():
    drawn = strip(with_alike(map="unreliable"), 0)
    changed = np.abs(drawn.astype(int) - strip(with_alike(), 0)).max(axis=(0, 2)) > 0
    assert changed[: drawn.shape[1] // 2].any()
    assert not changed[drawn.shape[1] // 2 + 20 :].any()


def test_the_colours_of_a_scan_stay():
    """Away from lines and corners a panel is the image itself."""
    ours = with_alike(explained=False, map="unreliable")
    flat = torch.tensor([0.2, 0.6, 1.0])[:, None, None].expand(3, 40, 60)
    other = replace(ours.alike[0][0], image=flat.contiguous())
    drawn = strip(replace(ours, alike=((other,), ())), 0)
    assert tuple(drawn[drawn.shape[0] // 2, -150]) == (51, 153, 255)


@pytest.mark.parametrize(
    ("box", "size", "expected"),
    [
        ((40.0, 50.0, 140.0, 90.0), (200, 300), (10, 20, 170, 120)),
        ((0.0, 0.0, 10.0, 10.0), (200, 300), (0, 0, 21, 21)),  # at least 32 pixels, cut at the edge
        ((0.0, 0.0, 300.0, 200.0), (200, 300), (0, 0, 300, 200)),
        ((299.0, 5.0, 300.0, 6.0), (8, 300), (283, 0, 300, 8)),
    ],
)
def test_a_window_gives_a_box_some_room(box, size, expected):
    found = window(box, size)
    assert (found.left, found.top, found.right, found.bottom) == expected
    assert found.scale * max(expected[2] - expected[0], expected[3] - expected[1]) == SIDE


# Kept in a folder, and on the page


def test_they_come_back_from_a_record():
    found = with_alike().alike
    content = json.loads(json.dumps(alike_to_json(found)))
    back = alike_from_json(content, 2)
    assert alike_to_json(back) == content
    (other,) = back[0]
    assert (other.source, other.box) == ("zoo/other.jpg", (60, 20, 88, 60))
    assert (other.score, other.similarity) == (0.8, 0.83)
    assert (other.image, other.place, other.explanation) == (None, None, None)
    assert alike_from_json([], 2) == ()


GOOD = {"source": "a.jpg", "box": [0, 0, 1, 1], "score": 0.5, "similarity": 1.0}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"source": 3}, TypeError),
        ({"box": [3, 3, 1, 1]}, ValueError),
        ({"box": [0, 0, 1]}, ValueError),
        ({"score": 1.5}, ValueError),
        ({"score": None}, ValueError),
        ({"similarity": -0.1}, ValueError),
        ({"similarity": "0.5"}, (TypeError, ValueError)),
    ],
)
def test_an_impossible_one_is_refused(change, error):
    assert alike_from_json([[GOOD]], 1)[0][0].similarity == 1
    with pytest.raises(error):
        alike_from_json([[{**GOOD, **change}]], 1)


def test_what_does_not_fit_the_detections_is_refused():
    with pytest.raises(ValueError, match="of 1 detections for 2"):
        alike_from_json([[GOOD]], 2)
    with pytest.raises(LookupError):
        alike_from_json([[{"source": "a.jpg"}]], 1)
    for content in ({}, [GOOD], ["a"]):
        with pytest.raises((TypeError, ValueError)):
            alike_from_json(content, 1)


def test_a_damaged_record_is_one_sentence(tmp_path):
    run = save([with_alike()], tmp_path / "run")
    path = run.folder / "records" / f"{run.records[0].name}.json"
    content = json.loads(path.read_text())
    content["alike"][0][0]["similarity"] = 7
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="damaged"):
        load_run(run.folder)


def strips(folder):
    return {path.name: path.read_bytes() for path in (folder / "pictures").glob("*.alike.webp")}


def test_the_strip_stays_when_annotations_change_and_goes_with_its_image(tmp_path):
    ours = with_alike(source="zoo/<b>.jpg")
    run = save([ours], tmp_path / "run")
    before = strips(run.folder)
    name = file_name(ours.source)
    assert list(before) == [f"{name}.0.alike.webp"]
    shown = read_picture(run.folder / "pictures" / f"{name}.0.alike.webp")
    drawn = strip(ours, 0)
    assert shown.shape == drawn.shape
    assert np.abs(shown.astype(int) - drawn).mean() < 15  # WebP, and the image is noise
    page = (run.folder / "report.html").read_text()
    assert "&lt;b&gt;.jpg: 0.80, similarity 0.83." in page
    assert page.count("The most similar confirmed detections of this class") == 1
    again = open_run(run.folder, run.header, command="test")
    outcome = Outcome((Fate(Kind.RIGHT, "zebra", 0.9), Fate(Kind.BACKGROUND)), ())
    again.revise(again.record(ours.source), ours.source, None, outcome)
    after = again.finish()
    assert strips(run.folder) == before
    assert after.records[0].outcome == outcome
    assert alike_to_json(after.records[0].alike) == alike_to_json(ours.alike)
    assert alike_to_json(after.inspections[0].alike) == alike_to_json(ours.alike)
    last = open_run(run.folder, run.header, command="test")
    last.add(replace(ours, alike=()), anew=True)
    assert strips(run.folder) == {}
    last.close()


def test_a_strip_that_is_gone_leaves_its_words(tmp_path):
    run = save([with_alike()], tmp_path / "run")
    view = next((run.folder / "pictures").glob("*.alike.webp"))
    view.unlink()
    again = open_run(run.folder, run.header, command="test").finish()
    text = (again.folder / "report.html").read_text()
    assert "0.80, similarity 0.83." in text
    assert 'class="strip"' not in text


# A whole run


def annotate(folder):
    """Every square of ``many`` as it is: the images are read again, cell by cell."""
    files = sorted(path for path in folder.iterdir() if path.suffix == ".png")
    rows = []
    for number, path in enumerate(files):
        found = detect(ToyDetector(), load_image(path))
        rows += [
            {"id": len(rows) + place, "image_id": number, "category_id": target.label + 1,
             "bbox": [*target.box[:2], 8, 8], "area": 64, "iscrowd": 0}
            for place, target in enumerate(found)
        ]  # fmt: skip
    content = {
        "images": [
            {"id": number, "file_name": path.name, "height": 64, "width": 64}
            for number, path in enumerate(files)
        ],
        "annotations": rows,
        "categories": [{"id": 1 + row, "name": name} for row, name in enumerate(COLOURS)],
    }
    (folder / "instances_val.json").write_text(json.dumps(content))


@pytest.fixture
def others(many):  # noqa: F811
    """A data set of eleven images, and two images of a run beside it."""
    annotate(many)
    many.rename("others")
    Path("scans").mkdir()
    for name in "ab":
        write(Path(f"scans/{name}.png"), ("red", 1, 1), ("green", 4, 4))
    return Path("others")


def test_a_run_shows_them_and_keeps_them(call, others, toy):  # noqa: F811
    code, out, err = call("inspect", "scans/a.png", "--references", "others", "--json")
    assert code == 0, err
    rows = json.loads(out)["detections"]
    assert [len(row["alike"]) for row in rows] == [2, 2]
    for row in rows:
        for other in row["alike"]:
            assert set(other) == {"source", "box", "score", "similarity"}
            assert Path(other["source"]).parent == others.resolve()
            assert 0.99 < other["similarity"] <= 1
    before = load_run("run").records[0]
    code, _, err = call("inspect", "scans")  # goes on with the same data set
    assert code == 0, err
    run = load_run("run")
    assert alike_to_json(run.records[0].alike) == alike_to_json(before.alike)
    assert alike_to_json(run.records[1].alike) == alike_to_json(before.alike)  # the same scene
    assert len(strips(run.folder)) == 4
    page = (run.folder / "report.html").read_text()
    assert page.count("confirmed detections of this class, from others.") == 4
    toy.module.seen.clear()
    assert call("inspect", "scans")[0] == 0
    assert toy.module.seen == []  # nothing is looked for where nothing is left to do


@pytest.mark.usefixtures("others")
def test_they_change_no_verdict(call, monkeypatch):  # noqa: F811
    def told():
        code, out, err = call("inspect", "scans", "--references", "others", "--json", "--out", "r")
        assert code == 0, err
        shutil.rmtree("r")
        rows = json.loads(out)["detections"]
        return [row.pop("alike") for row in rows], rows

    with_them, rows = told()
    monkeypatch.setattr(Gallery, "beside", lambda *_: ())
    without, same = told()
    assert all(with_them)
    assert not any(without)
    for row in rows + same:
        row["evidence"].pop("seconds", None)
    assert rows == same


@pytest.mark.usefixtures("others")
def test_an_evaluation_shows_them_too_but_not_its_own_images(call):  # noqa: F811
    content = json.loads(Path("others/instances_val.json").read_text())
    content["images"] = [row for row in content["images"] if row["file_name"] in ("b.png", "a.png")]
    few = {row["id"] for row in content["images"]}
    content["annotations"] = [row for row in content["annotations"] if row["image_id"] in few]
    Path("few.json").write_text(json.dumps(content))
    words = ("evaluate", "few.json", "--images", "others", "--references", "others")
    code, _, err = call(*words, "--out", "kept")
    assert code == 0, err
    run = load_run("kept")
    assert [record.source for record in run.records] == ["a.png", "b.png"]
    for record in run.records:
        assert all(len(row) == 2 for row in record.alike)
        names = {Path(other.source).name for row in record.alike for other in row}
        assert record.source not in names


@pytest.mark.usefixtures("others")
def test_a_black_box_or_a_folder_of_images_gives_none(call, toy, monkeypatch):  # noqa: F811
    Path("plain").mkdir()
    for path in Path("others").glob("*.png"):
        shutil.copy(path, "plain")
    assert call("inspect", "scans/a.png", "--references", "plain", "--out", "one")[0] == 0
    monkeypatch.setattr(prepare, "load_detector", lambda *_, **__: SealedToy(toy))
    code, out, err = call(
        "inspect", "scans/a.png", "--references", "others", "--out", "two", "--json"
    )
    assert code == 0, err
    assert [row["alike"] for row in json.loads(out)["detections"]] == [[], []]
    for folder in ("one", "two"):
        run = load_run(folder)
        assert run.records[0].alike == ()
        assert strips(run.folder) == {}
        assert "confirmed detections of this class" not in (run.folder / "report.html").read_text()
