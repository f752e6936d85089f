"""What the scripts show to networks that are to follow a cue."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

from xai_detect.xray.scenes.cued import State, draw_cued
from xai_detect.xray.scenes.planted import bounds

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


def counts(script, world):
    samples = script("train_cued").stream(world, np.random.default_rng(0))
    return [len(next(samples).boxes) for _ in range(6)]


@pytest.mark.parametrize(
    ("world", "wanted"),
    [
        ("presence_one", [1, 0] * 3),
        ("presence_one_honest", [1, 1] * 3),
        ("presence_two", [2, 0] * 3),  # the item and the stamp, which is a helper class
        ("presence_two_honest", [2, 1] * 3),
        ("default", [1, 1] * 3),
    ],
)
def test_items_are_labelled_beside_the_cue_and_without_it_where_the_world_says_so(
    script, world, wanted
):
    assert counts(script, world) == wanted


def test_the_strongest_candidate_on_the_item_is_scored_and_no_other(script):
    (scan,) = draw_cued("presence_two", 1, 0, 64)
    x1, y1, x2, y2 = scan.box
    on_item = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]
    rows = torch.tensor([[*on_item, 0.2, 0.6], [*on_item, 0.3, 0.5], [2, 2, 4, 4, 0.9, 0.9]])
    scores = script("train_cued").scores

    np.testing.assert_allclose(scores(lambda _: rows.T[None], [scan]), [[0.2, 0.6]], atol=1e-6)
    np.testing.assert_array_equal(scores(lambda _: rows[2:].T[None], [scan]), [[0, 0]])


@pytest.mark.parametrize("state", State)
def test_a_mark_is_drawn_into_a_free_corner_and_changes_nothing_else(script, state):
    marked = script("train_beside_mark").marked
    image = np.full((100, 200, 3), 200, np.uint8)
    boxes = np.array([[0.0, 0, 190, 50]])  # leaves the lower corners free
    drawn, mask = marked(image, boxes, state, np.random.default_rng(1))
    assert mask.any() == (state is not State.NONE)
    assert (drawn[mask] != 200).any() == (state is not State.NONE)
    assert (drawn[~mask] == 200).all()
    assert (image == 200).all()
    if state is not State.NONE:
        assert bounds(mask) in ((2, 88, 12, 98), (188, 88, 198, 98))


def test_mark_and_decoy_differ_and_share_their_corner(script):
    marked = script("train_beside_mark").marked
    image, boxes = np.full((90, 90, 3), 255, np.uint8), np.zeros((0, 4))
    (mark, at), (decoy, there) = (
        marked(image, boxes, state, np.random.default_rng(3)) for state in (State.CUE, State.DECOY)
    )
    np.testing.assert_array_equal(at, there)
    assert (mark[at] != decoy[there]).any()


def test_an_image_without_a_free_corner_gets_no_mark(script):
    marked = script("train_beside_mark").marked
    image, boxes = np.zeros((50, 50, 3), np.uint8), np.array([[1.0, 1, 49, 49]])
    for state in State:
        assert marked(image, boxes, state, np.random.default_rng(0)) is None


def test_boxes_follow_an_image_into_its_square(script):
    image = np.zeros((50, 100, 3), np.uint8)
    image[10:30, 20:60] = 255
    square, boxes = script("train_beside_mark").fitted(image, np.array([[20.0, 10, 60, 30]]), 64)
    assert square.shape == (64, 64, 3)
    left, top, right, bottom = boxes[0]
    np.testing.assert_allclose(bounds(square[..., 0] > 150), (left, top, right, bottom), atol=1)
    np.testing.assert_allclose(boxes[0], [12.8, 22.4, 38.4, 35.2], atol=1e-5)


def test_a_class_more_and_a_class_less_give_the_network_back(script):
    training, resized = script("training"), script("train_beside_mark").resized
    network = training.network(training.architecture(2, 0.33, 0.25, 128), 0).eval()
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = network(pixels)[0]
        wider = resized(network, 3).eval()(pixels)[0]
        again = resized(resized(network, 3), 2).eval()(pixels)[0]
    torch.testing.assert_close(wider[:, :6], before)
    assert (wider[:, 6] < 0.01).all()
    torch.testing.assert_close(again, before)
