"""Drawn savannas: masks are what they say, and a seed gives one scene."""

import json
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from xai_detect.data.read import read_dataset
from xai_detect.errors import InputError
from xai_detect.savanna import strokes
from xai_detect.savanna.animals import PARTS, SPECIES
from xai_detect.savanna.coats import Coat
from xai_detect.savanna.compose import GAP_BOX, GAP_IMAGE, SHARED, box_of, compose
from xai_detect.savanna.files import ANNOTATIONS, write_scenes
from xai_detect.savanna.plants import TREES
from xai_detect.savanna.render import extent, render, strokes_of
from xai_detect.savanna.scene import DRAWING, Animal, Cover, Plant
from xai_detect.savanna.styles import STYLES

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIDE = 192
STYLED = sorted(STYLES)


def grown(mask):
    """The mask and the pixels that touch it."""
    wide = np.pad(mask, 1)
    shifts = [(y, x) for y in range(3) for x in range(3)]
    return np.any([wide[y : y + mask.shape[0], x : x + mask.shape[1]] for y, x in shifts], axis=0)


def alone(species="zebra", seed=3, **changes):
    """A scene with one animal in its middle and nothing else."""
    scene = compose(seed, species, companions=0, cover=Cover.OPEN)
    animal = Animal(species, 0.5, 0.9, 0.3, 1, seed)
    return replace(scene, animals=(replace(animal, **changes),))


def whole(drawn, index=0):
    return np.any(list(drawn.parts[index].values()), axis=0)


def test_a_disc_covers_the_pixels_whose_middle_lies_in_it():
    found = strokes.cover(np.array([[2.0, 1.0]]), np.array([1.0]), (4, 5))
    assert set(zip(found.rows, found.columns, strict=True)) == {(0, 1), (0, 2), (1, 1), (1, 2)}
    assert not found.nearest.any()


def test_a_curve_covers_what_its_discs_cover():
    points, radii = np.array([[3.0, 4.0], [9.0, 6.0], [14.0, -1.0]]), np.array([2.5, 1.2, 4.0])
    found = strokes.cover(points, radii, (12, 15))
    told = np.zeros((12, 15), bool)
    told[found.rows, found.columns] = True
    for row in range(12):
        for column in range(15):
            away = np.hypot(*(points - (column + 0.5, row + 0.5)).T)
            assert told[row, column] == bool((away <= radii).any())


def test_a_curve_beyond_the_canvas_covers_nothing():
    assert not strokes.cover(np.array([[-9.0, 3.0]]), np.array([2.0]), (8, 8)).rows.size


def test_a_stroke_goes_through_its_points_and_has_their_radii():
    given = ((0.0, 0.0), (1.0, 1.0), (2.0, 0.0))
    made = strokes.stroke("body", "coat", given, (0.5, 0.25))
    for point in given:
        assert np.abs(made.points - point).sum(axis=1).min() < 0.1
    assert made.radii[0] == 0.5
    assert made.radii[-1] == 0.25
    steps = np.linalg.norm(np.diff(made.points, axis=0), axis=1)
    assert steps.max() < made.radii.min() * 2  # so its discs leave no gap


def test_a_line_stays_a_line():
    made = strokes.stroke("body", "coat", ((0.0, 1.0), (4.0, 3.0)), (1.0, 1.0))
    np.testing.assert_allclose(made.points[:, 1], 1 + made.points[:, 0] / 2, atol=1e-12)


@pytest.mark.parametrize("species", SPECIES)
@pytest.mark.parametrize("style", STYLED)
def test_an_animal_stands_on_the_ground_and_has_all_parts(species, style):
    for seed in range(3):
        made = strokes_of(species, seed, STYLES[style])
        assert {one.part for one in made} == set(PARTS)
        assert -0.08 < extent(made)[1] < 0.02


def test_a_zebra_is_black_and_white_and_a_giraffe_is_not():
    rng = np.random.default_rng(0)
    along, across = rng.uniform(0, 1, 500), rng.uniform(-0.8, 1, 500)
    where = rng.uniform(0.4, 1, (500, 2))
    for species in ("zebra", "giraffe"):
        coat = Coat(species, STYLES["painted"], np.random.default_rng(1))
        rgb = coat.colour("barrel", along, across, where)
        light = rgb.mean(axis=1)
        assert 0.2 < (light < 120).mean() < 0.8
        colourful = (rgb.max(axis=1) - rgb.min(axis=1)).mean()
        assert colourful < 35 if species == "zebra" else colourful > 60


@pytest.mark.parametrize("style", STYLED)
@pytest.mark.parametrize("seed", range(8))
def test_parts_lie_in_their_box_touch_its_sides_and_share_nothing(seed, style):
    scene = compose(seed, tree="acacia", style=style)
    drawn = render(scene, SIDE)
    assert len(drawn.boxes) == len(drawn.labels) == len(drawn.parts) == len(scene.animals)
    taken = drawn.tree.astype(int)
    for index, (x1, y1, x2, y2) in enumerate(drawn.boxes):
        assert SPECIES[drawn.labels[index]] == scene.animals[index].species
        for part in PARTS:
            taken += drawn.parts[index][part]
        rows, columns = whole(drawn, index).nonzero()
        assert (columns.min(), rows.min()) == (x1, y1)
        assert (columns.max() + 1, rows.max() + 1) == (x2, y2)
    assert taken.max() == 1


def test_an_animal_is_drawn_where_it_was_placed():
    for seed in range(6):
        scene = compose(seed, companions=0)
        told = np.array(box_of(scene.animals[0], scene.style)) * SIDE
        np.testing.assert_allclose(render(scene, SIDE).boxes[0], told, atol=2.5)


@pytest.mark.parametrize("cover", list(Cover))
@pytest.mark.parametrize("kind", TREES)
def test_without_the_tree_all_but_the_tree_and_its_shadow_stays(kind, cover):
    scene = compose(11, "zebra", kind, cover=cover)
    there, gone = render(scene, SIDE), render(scene.with_tree(None), SIDE)
    changed = (there.image != gone.image).any(axis=2)
    assert there.tree.sum() > 150
    assert not (there.crown & ~there.tree).any()
    assert 0.3 < there.crown.sum() / there.tree.sum() < 1
    assert there.crown.nonzero()[0].mean() < (there.tree & ~there.crown).nonzero()[0].mean()
    assert changed[there.tree].mean() > 0.97
    assert not gone.tree.any()
    assert math.isnan(gone.shown)
    # what else changes is its shadow: darker ground at its foot
    rest = changed & ~grown(there.tree)
    darker = there.image.astype(int).sum(axis=2) <= gone.image.astype(int).sum(axis=2)
    assert darker[rest].all()
    assert scene.tree is not None
    rows = rest.nonzero()[0]
    assert not len(rows) or (abs(rows / SIDE - scene.tree.foot) < 0.07).all()
    assert there.boxes == gone.boxes
    for part in PARTS:
        np.testing.assert_array_equal(there.parts[0][part], gone.parts[0][part])


def test_another_tree_takes_the_same_place():
    scene = compose(5, "zebra", "acacia", cover=Cover.OPEN)
    other = scene.with_tree("palm")
    assert other.animals == scene.animals
    assert replace(other.tree, kind="acacia") == scene.tree
    assert compose(5, "zebra", "palm", cover=Cover.OPEN) == other


def test_a_seed_gives_one_scene():
    first, again = (render(compose(4, "giraffe", "round"), SIDE) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    other = render(compose(5, "giraffe", "round"), SIDE)
    assert (first.image != other.image).mean() > 0.5


def test_the_tree_keeps_clear_of_the_first_animals_ring():
    for seed in range(30):
        scene = compose(seed, tree="acacia")
        drawn = render(scene, SIDE)
        x1, y1, x2, y2 = drawn.boxes[0]
        columns = drawn.tree.nonzero()[1]
        away = max(x1 - columns.max() - 1, columns.min() - x2)
        assert away >= max(GAP_BOX * max(x2 - x1, y2 - y1), GAP_IMAGE * SIDE) - 4


def test_animals_lie_in_the_image_and_hide_little_of_each_other():
    counts = []
    for seed in range(60):
        scene = compose(seed, tree="acacia")
        counts.append(len(scene.animals))
        boxes = [box_of(animal, scene.style) for animal in scene.animals]
        assert all(min(box) >= 0 and max(box) <= 1 for box in boxes)
        for a, box in enumerate(boxes):
            for other in boxes[:a]:
                wide = min(box[2], other[2]) - max(box[0], other[0])
                tall = min(box[3], other[3]) - max(box[1], other[1])
                least = min((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (box, other))
                assert max(wide, 0) * max(tall, 0) <= SHARED * least + 1e-9
    assert set(counts) == {1, 2, 3}


def test_companions_are_placed_as_asked():
    assert all(len(compose(seed, companions=0, cover=Cover.OPEN).animals) == 1 for seed in range(9))
    counts = [len(compose(seed, companions=2).animals) for seed in range(40)]
    assert min(counts) >= 1
    assert counts.count(2) + counts.count(3) >= 32  # the rest has no room
    assert counts.count(3) >= 8


@pytest.mark.parametrize(
    ("cover", "least", "most"),
    [(Cover.OPEN, 0.9, 1.0), (Cover.EDGE, 0.25, 0.85), (Cover.BUSH, 0.2, 0.9),
     (Cover.ANIMAL, 0.4, 0.97)],
)  # fmt: skip
def test_a_cover_hides_a_part_of_the_tree(cover, least, most):
    shown = [render(compose(seed, tree="acacia", cover=cover), 96).shown for seed in range(12)]
    assert least <= min(shown)
    assert np.median(shown) <= most


def test_a_bush_stays_where_the_tree_was():
    scene = compose(2, tree="acacia", cover=Cover.BUSH)
    assert scene.with_tree(None).bush == scene.bush


def test_what_stands_nearer_hides_what_stands_farther():
    back, front = Animal("elephant", 0.4, 0.80, 0.3, 1, 1), Animal("zebra", 0.6, 0.95, 0.3, 1, 2)
    scene = replace(alone(), animals=(back, front))
    both, one = render(scene, SIDE), render(replace(scene, animals=(front,)), SIDE)
    np.testing.assert_array_equal(whole(both, 1), whole(one))
    hidden = render(replace(scene, animals=(back,)), SIDE)
    assert whole(both, 0).sum() < whole(hidden).sum()
    assert not (whole(both, 0) & whole(both, 1)).any()


def test_an_animal_that_faces_the_other_way_is_mirrored():
    right, left = render(alone(faces=1), SIDE), render(alone(faces=-1), SIDE)
    mirrored = whole(left)[:, ::-1]
    assert (whole(right) & mirrored).sum() / (whole(right) | mirrored).sum() > 0.97
    head = right.parts[0]["head"].nonzero()[1].mean()
    assert head > SIDE / 2 > left.parts[0]["head"].nonzero()[1].mean()


def test_a_larger_picture_shows_the_same():
    scene = compose(6, "giraffe", "acacia")
    small, large = render(scene, 96), render(scene, 192)
    np.testing.assert_allclose(np.array(large.boxes) / 2, small.boxes, atol=1.5)
    assert abs(large.tree.mean() - small.tree.mean()) < 0.01


def test_the_styles_differ_in_all_but_the_places():
    scenes = [
        compose(8, "zebra", "acacia", companions=0, cover=Cover.OPEN, style=s) for s in STYLED
    ]
    painted, printed = (render(scene, SIDE) for scene in scenes)
    assert np.abs(painted.image.astype(int) - printed.image.astype(int)).mean() > 15
    thick = [drawn.parts[0]["legs"].sum() / whole(drawn).sum() for drawn in (painted, printed)]
    assert thick[1] > thick[0] * 1.08


def test_written_scenes_read_as_a_data_set_with_parts(tmp_path):
    scenes = {"a": compose(1, "zebra", "acacia"), "b": compose(2, "giraffe")}
    path = write_scenes(tmp_path / "scenes", scenes, SIDE)
    dataset = read_dataset(tmp_path / "scenes")
    assert path == tmp_path / "scenes" / ANNOTATIONS
    assert dataset.class_names == SPECIES
    assert not dataset.problems
    for scan, scene in zip(dataset.scans, scenes.values(), strict=True):
        drawn = render(scene, SIDE)
        np.testing.assert_array_equal(cv2.imread(str(scan.path))[..., ::-1], drawn.image)
        assert tuple(item.box for item in scan.items) == drawn.boxes
        assert tuple(item.label for item in scan.items) == drawn.labels
    content = json.loads(path.read_text())
    assert content["info"] == {"drawing": DRAWING}
    parts = content["annotations"][0]["parts"]
    assert set(parts) == set(PARTS)
    drawn = render(scenes["a"], SIDE)
    for part, code in parts.items():
        np.testing.assert_array_equal(coco_mask.decode(code), drawn.parts[0][part])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: compose(0, "lion"), "'lion' is no species"),
        (lambda: compose(0, tree="oak"), "'oak' is no tree"),
        (lambda: compose(0, style="woodcut"), "'woodcut' is no style"),
        (lambda: Animal("lion", 0.5, 0.9, 0.2, 1, 0), "give one of zebra, giraffe"),
        (lambda: Plant("oak", 0.5, 0.9, 0.2, 0.2, 0), "'oak' is no plant"),
        (lambda: replace(compose(0), style="woodcut"), "'woodcut' is no style"),
        (lambda: render(compose(0), 16), "a side of 16 pixels"),
    ],
)
def test_what_is_not_drawn_is_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        wrong()
