"""The letterbox is the library's own, and the way back is the chain rule."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xai_detect.values.frame import Frame, Placed, nearest

side = st.integers(1, 400)


def noise(size, seed=0):
    """Random 8-bit pixels as ``(1, 3, h, w)`` in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (1, 3, *size), generator=generator).float() / 255


def frames(size, square):
    return [
        Frame.letterbox(size, square, stride=32, fill=0.4),
        Frame.letterbox(size, square, stride=32, fill=0.4, rectangle=False),
        Frame.stretch(size, (square, square)),
        Frame.unchanged(size),
    ]


@settings(max_examples=60, deadline=None)
@given(size=st.tuples(side, side), square=st.sampled_from([32, 64, 160, 416]), auto=st.booleans())
@example(size=(1, 400), square=64, auto=True)
@example(size=(375, 500), square=416, auto=True)
@example(size=(400, 1), square=416, auto=False)
def test_the_letterbox_equals_the_librarys(size, square, auto):
    from ultralytics.data.augment import LetterBox

    image = noise(size)
    array = (image[0] * 255).round().byte().permute(1, 2, 0).numpy()
    placed = LetterBox((square, square), auto=auto, stride=32)(image=array)
    expected = torch.from_numpy(np.ascontiguousarray(placed.transpose(2, 0, 1))).float() / 255
    frame = Frame.letterbox(size, square, stride=32, fill=114 / 255, rectangle=auto)
    assert frame.input_size == tuple(expected.shape[1:])
    torch.testing.assert_close(frame.to_input(image)[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(75, 110), (110, 75), (33, 200), (64, 96)])
@pytest.mark.parametrize("sides", [(64, 96), (96, 64), (128, 128)])
def test_the_letterbox_of_a_fixed_input_equals_the_librarys(size, sides):
    from ultralytics.data.augment import LetterBox

    image = noise(size)
    array = (image[0] * 255).round().byte().permute(1, 2, 0).numpy()
    expected = LetterBox(sides, auto=False)(image=array)
    frame = Frame.letterbox(size, sides, stride=32, fill=114 / 255, rectangle=False)
    assert frame.input_size == sides
    own = (frame.to_input(image)[0] * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(own, expected)


@settings(max_examples=40, deadline=None)
@given(size=st.tuples(side, side), square=st.sampled_from([32, 96, 192]))
def test_boxes_survive_the_round_trip(size, square):
    height, width = size
    box = torch.tensor([[0.0, 0.0, width, height], [width / 4, height / 3, width / 2, height]])
    for frame in frames(size, square):
        back = frame.boxes_to_image(frame.boxes_to_input(box))
        torch.testing.assert_close(back, box, rtol=1e-4, atol=1e-2)


def test_boxes_are_clipped_to_the_image():
    frame = Frame.letterbox((50, 100), 64, stride=32, fill=0.0)
    wide = torch.tensor([[-9.0, -9.0, 200.0, 200.0]])
    assert frame.boxes_to_image(wide).tolist() == [[0, 0, 100, 50]]
    assert frame.boxes_to_image(torch.zeros(0, 4)).shape == (0, 4)


def test_boxes_agree_with_the_librarys_scaling():
    from ultralytics.utils.ops import scale_boxes

    for size in [(375, 500), (480, 640), (97, 31), (640, 427)]:
        frame = Frame.letterbox(size, 320, stride=32, fill=0.4)
        inner = torch.rand(20, 4, generator=torch.Generator().manual_seed(1)) * 300
        inner = torch.cat([inner[:, :2], inner[:, :2] + inner[:, 2:]], dim=1)
        expected = scale_boxes(frame.input_size, inner.clone(), size)
        torch.testing.assert_close(frame.boxes_to_image(inner), expected, rtol=0, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(size=st.tuples(st.integers(1, 90), st.integers(1, 90)), square=st.sampled_from([32, 64]))
def test_pull_back_is_the_gradient_of_to_input(size, square):
    generator = torch.Generator().manual_seed(3)
    for frame in frames(size, square):
        image = noise(size).requires_grad_()
        gradient = torch.randn(1, 3, *frame.input_size, generator=generator)
        (expected,) = torch.autograd.grad(frame.to_input(image), image, gradient)
        torch.testing.assert_close(frame.pull_back(gradient), expected, rtol=1e-4, atol=1e-5)


def test_pull_back_keeps_the_sum_and_the_number_of_channels():
    frame = Frame.letterbox((40, 60), 96, stride=32, fill=0.0)
    gradient = torch.zeros(2, 1, *frame.input_size)
    gradient[:, :, frame.top : frame.top + frame.content_size[0]] = 1.0
    back = frame.pull_back(gradient)
    assert back.shape == (2, 1, 40, 60)
    torch.testing.assert_close(back.sum(dim=(1, 2, 3)), gradient.sum(dim=(1, 2, 3)))


def test_a_gradient_on_the_padding_reaches_no_pixel():
    frame = Frame.letterbox((20, 60), 64, stride=32, fill=0.0, rectangle=False)
    gradient = torch.ones(1, 3, *frame.input_size)
    height, width = frame.content_size
    gradient[..., frame.top : frame.top + height, frame.left : frame.left + width] = 0
    assert frame.pull_back(gradient).abs().sum() == 0


def test_the_forward_value_is_the_same_with_and_without_gradient():
    frame = Frame.letterbox((33, 47), 64, stride=32, fill=0.4)
    image = noise((33, 47))
    with_gradient = frame.to_input(image.clone().requires_grad_())
    torch.testing.assert_close(with_gradient.detach(), frame.to_input(image), rtol=0, atol=1e-6)


def test_a_batch_is_placed_as_each_image_alone():
    frame = Frame.letterbox((33, 47), 64, stride=32, fill=0.4)
    batch = torch.cat([noise((33, 47), seed) for seed in range(3)])
    alone = torch.cat([frame.to_input(batch[item : item + 1]) for item in range(3)])
    torch.testing.assert_close(frame.to_input(batch), alone, rtol=0, atol=0)


def test_padding_has_its_fill():
    frame = Frame.letterbox((20, 64), 64, stride=32, fill=0.75)
    placed = frame.to_input(torch.zeros(1, 3, 20, 64))
    assert frame.input_size == (32, 64)
    assert placed[0, 0, 0].tolist() == [0.75] * 64
    assert float(placed[0, 0, frame.top].max()) == 0.0


def test_heatmaps_lose_the_padding_and_come_back_to_size():
    frame = Frame.letterbox((20, 40), 80, stride=32, fill=0.0, rectangle=False)
    inner = torch.full((1, 80, 80), -9.0)
    inner[:, frame.top : frame.top + 40, :] = 2.0
    back = frame.map_to_image(inner)
    assert back.shape == (1, 20, 40)
    assert back.unique().tolist() == [2.0]


def test_an_unchanged_frame_changes_nothing():
    frame, image = Frame.unchanged((7, 9)), torch.rand(2, 3, 7, 9)
    assert torch.equal(frame.to_input(image), image)
    assert torch.equal(frame.pull_back(image), image)
    torch.testing.assert_close(frame.map_to_image(image[:, 0]), image[:, 0])


@pytest.mark.weights
def test_real_images_are_placed_as_the_library_places_them(coco_images):
    import cv2
    from ultralytics.data.augment import LetterBox

    from xai_detect.values.images import load_image

    for path in coco_images[:10]:
        image = load_image(path)
        frame = Frame.letterbox(tuple(image.shape[1:]), 640, stride=32, fill=114 / 255)
        placed = LetterBox((640, 640), auto=True, stride=32)(image=cv2.imread(str(path)))
        expected = torch.from_numpy(placed[..., ::-1].transpose(2, 0, 1).copy()).float() / 255
        assert torch.equal(frame.to_input(image[None])[0], expected)


@given(size=st.tuples(side, side), square=st.sampled_from([32, 160]))
def test_the_content_is_where_the_image_lies(size, square):
    for frame in frames(size, square):
        contents = torch.rand(2, 3, *frame.content_size)
        padded = frame.pad(contents)
        assert padded.shape == (2, 3, *frame.input_size)
        assert torch.equal(padded[..., *frame.content], contents)
        padded[..., *frame.content] = frame.fill
        assert padded.unique().tolist() == [pytest.approx(frame.fill)]


def test_nearest_pixels_by_hand():
    values = torch.arange(4)[None, :].expand(2, 4)
    assert nearest(values, (2, 4)).tolist() == values.tolist()
    assert nearest(values, (1, 2)).tolist() == [[1, 3]]
    assert nearest(values, (2, 8)).tolist() == [[0, 0, 1, 1, 2, 2, 3, 3]] * 2
    assert nearest(values.T, (8, 1)).tolist() == [[0], [0], [1], [1], [2], [2], [3], [3]]
    assert nearest(torch.tensor([[True, False]]), (1, 3)).tolist() == [[True, False, False]]


@given(size=st.tuples(side, side), square=st.sampled_from([32, 160]))
def test_boxes_in_content_pixels_are_those_in_the_input_without_padding(size, square):
    height, width = size
    box = (width / 5, height / 4, width / 2, height / 1.5)
    for frame in frames(size, square):
        placed = frame.boxes_to_input(torch.tensor([box]))[0]
        moved = torch.tensor([frame.left, frame.top] * 2)
        inside = torch.tensor(frame.box_to_content(box))
        torch.testing.assert_close(inside, placed - moved, rtol=1e-4, atol=1e-3)
        whole = frame.box_to_content((0.0, 0.0, float(width), float(height)))
        across, down = whole[2:]
        assert (down, across) == pytest.approx(frame.content_size, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(size=st.tuples(side, side), square=st.sampled_from([32, 96]))
def test_an_even_map_keeps_its_sum_at_the_resolution_of_the_network(size, square):
    for frame in frames(size, square):
        heatmap = torch.full(size, -1.5)
        inner = frame.map_to_content(heatmap)
        assert inner.shape == frame.content_size
        assert float(inner.sum()) == pytest.approx(-1.5 * size[0] * size[1], rel=1e-4)
        assert float(inner.max() - inner.min()) == pytest.approx(
            0, abs=1e-3 * float(inner.abs().min())
        )


@pytest.mark.parametrize("size", [(375, 1242), (300, 4000), (90, 700)])
def test_what_was_pulled_back_keeps_its_sum_where_one_side_shrinks_and_one_grows(size):
    frame = Frame.stretch(size, (640, 640))
    (pulled,) = frame.pull_back(torch.ones(1, 1, 640, 640))[0]
    inner = frame.map_to_content(pulled)
    assert float(inner.sum()) == pytest.approx(640 * 640, rel=0.02)
    thirds = inner[:, : 3 * 213].reshape(640, 3, 213).mean(dim=(0, 2))
    assert thirds.tolist() == pytest.approx([1, 1, 1], rel=0.05)


def test_evidence_stays_where_it_is_at_the_resolution_of_the_network():
    frame = Frame.letterbox((80, 40), 40, stride=8, fill=0.0, rectangle=False)
    heatmap = torch.zeros(80, 40)
    heatmap[20:24, 8:12] = 1.0
    inner = frame.map_to_content(heatmap)
    expected = torch.zeros(40, 20)
    expected[10:12, 4:6] = 4.0
    torch.testing.assert_close(inner, expected)
    larger = Frame.letterbox((10, 10), 40, stride=8, fill=0.0).map_to_content(torch.ones(10, 10))
    torch.testing.assert_close(larger, torch.full((40, 40), 1 / 16))


def test_gradients_become_maps_one_by_one():
    generator = torch.Generator().manual_seed(3)
    for frame in frames((33, 47), 64):
        gradients = torch.randn(2, 3, *frame.input_size, generator=generator)
        change = torch.randn(3, 33, 47, generator=generator)
        back = frame.pull_back(gradients)
        for row, plain in enumerate(frame.attributions(gradients)):
            torch.testing.assert_close(plain, back[row].sum(dim=0), rtol=1e-4, atol=1e-5)
        for row, weighted in enumerate(frame.attributions(gradients, change)):
            torch.testing.assert_close(
                weighted, (back[row] * change).sum(dim=0), rtol=1e-4, atol=1e-5
            )


def test_an_image_is_placed_once_and_its_content_can_be_exchanged():
    for frame in frames((33, 47), 64):
        image = noise((33, 47))[0]
        placed = Placed.of(image, frame)
        assert torch.equal(placed.pixels, frame.to_input(image[None]))
        assert torch.equal(frame.pad(placed.content[None]), placed.pixels)
        again = placed.at_content(placed.content)
        assert torch.equal(again.pixels, placed.pixels)
        assert again.frame.image_size == frame.content_size
        box = frame.box_to_content((3.0, 5.0, 30.0, 20.0))
        torch.testing.assert_close(
            again.frame.boxes_to_input(torch.tensor([box])),
            frame.boxes_to_input(torch.tensor([[3.0, 5.0, 30.0, 20.0]])),
        )
        dark = placed.at_content(torch.zeros_like(placed.content))
        assert float(dark.pixels[..., *frame.content].max()) == 0
        assert torch.equal(dark.content, torch.zeros_like(placed.content))


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(2, 200), st.integers(2, 200)),
    square=st.sampled_from([32, 64]),
    factor=st.sampled_from([2, 4]),
)
def test_the_network_sees_the_same_picture_at_any_multiple_of_its_size(size, square, factor):
    height, width = size
    frame = Frame.letterbox(size, square, stride=32, fill=0.4)
    multiple = Frame.letterbox((factor * height, factor * width), square, stride=32, fill=0.4)
    assert (multiple.input_size, multiple.content_size) == (frame.input_size, frame.content_size)
    assert (multiple.top, multiple.left) == (frame.top, frame.left)
    box = torch.tensor([[width / 4, height / 3, width / 2, height / 1.5]])
    torch.testing.assert_close(
        multiple.boxes_to_input(factor * box), frame.boxes_to_input(box), rtol=1e-4, atol=1e-3
    )


@given(height=st.integers(3, 300), width=st.integers(3, 300), shorter=st.sampled_from([7, 32]))
def test_a_scaled_image_keeps_its_proportions_and_has_no_padding(height, width, shorter):
    from torchvision.transforms.functional import resize

    frame = Frame.scaled((height, width), shorter, "bilinear")
    expected = tuple(resize(torch.zeros(1, height, width), shorter, antialias=False).shape[1:])
    assert frame.input_size == frame.content_size == expected
    assert min(frame.input_size) == shorter
    assert (frame.top, frame.left) == (0, 0)
    box = torch.tensor([[0.0, 0.0, width, height]])
    assert frame.boxes_to_input(box)[0].tolist() == pytest.approx(
        [0, 0, expected[1], expected[0]], rel=1e-5
    )


@pytest.mark.parametrize("size", [(32, 32), (20, 48)])
def test_what_is_pulled_back_is_a_copy(size):
    frame = Frame.letterbox(size, 64, stride=32, fill=0.4)
    if size == (32, 32):
        frame = Frame.unchanged(size)
    gradient = torch.ones(1, 3, *frame.input_size)
    frame.pull_back(gradient).zero_()
    assert bool((gradient == 1).all())
