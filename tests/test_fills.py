"""A fill means "object removed": what it keeps, what it takes away."""

import pytest
import torch

from xai_detect import fills
from xai_detect.errors import InputError

SIZE = (40, 60)


@pytest.fixture
def image():
    """A smooth slope of light with a dark square on it."""
    across = torch.linspace(0.4, 0.9, SIZE[1]).expand(3, *SIZE).clone()
    across[:, 15:25, 25:35] = 0.0
    return across


@pytest.fixture
def square():
    hidden = torch.zeros(SIZE, dtype=torch.bool)
    hidden[15:25, 25:35] = True
    return hidden


@pytest.mark.parametrize("name", fills.FILLS)
def test_every_fill_leaves_the_rest_alone_and_stays_an_image(name, image, square):
    before = image.clone()
    filled = fills.hide(image, square, name)
    assert filled.shape == image.shape
    assert filled.dtype == torch.float32
    assert torch.equal(filled[:, ~square], image[:, ~square])
    assert 0 <= float(filled.min()) <= float(filled.max()) <= 1
    assert torch.equal(image, before)


@pytest.mark.parametrize("name", fills.FILLS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (3, 500)])
def test_every_fill_hides_whole_images_of_any_size(name, size):
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    filled = fills.hide_all(image, name)
    assert filled.shape == image.shape
    assert filled.isfinite().all()
    assert 0 <= float(filled.min()) <= float(filled.max()) <= 1


@pytest.mark.parametrize("name", fills.FILLS)
def test_every_fill_gives_the_same_answer_twice(name, image, square):
    state = torch.get_rng_state()
    assert torch.equal(fills.hide(image, square, name), fills.hide(image, square, name))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", fills.FILLS)
def test_hiding_nothing_changes_nothing(name, image):
    nothing = torch.zeros(SIZE, dtype=torch.bool)
    assert torch.equal(fills.hide(image, nothing, name), image)


@pytest.mark.parametrize(("name", "value"), [("air", 1.0), ("black", 0.0), ("grey", 0.5)])
def test_flat_fills_have_their_value(name, value, image, square):
    assert fills.hide(image, square, name)[:, square].unique().tolist() == [value]


def test_the_mean_is_that_of_what_is_shown(image, square):
    filled = fills.hide(image, square, "mean")
    expected = image[:, ~square].mean(dim=1)
    torch.testing.assert_close(filled[:, 20, 30], expected)
    torch.testing.assert_close(fills.hide_all(image, "mean")[:, 0, 0], image.mean(dim=(1, 2)))


def test_inpainting_continues_the_surroundings(image, square):
    filled = fills.hide(image, square, "inpaint")
    slope = torch.linspace(0.4, 0.9, SIZE[1]).expand(*SIZE)
    assert float((filled[0] - slope)[square].abs().max()) < 0.1


def test_inpainting_a_large_image_leaks_nothing_of_the_object():
    image = torch.full((3, 400, 600), 0.8)
    image[:, 100:150, 200:300] = 0.0
    hidden = torch.zeros(400, 600, dtype=torch.bool)
    hidden[100:150, 200:300] = True
    filled = fills.hide(image, hidden, "inpaint")
    assert float((filled - 0.8).abs().max()) < 0.02


def test_inpainting_everything_gives_the_mean(image):
    torch.testing.assert_close(
        fills.hide_all(image, "inpaint"), fills.hide_all(image, "mean")
    )  # fmt: skip


def test_blur_leaves_light_and_no_object(image):
    blurred = fills.hide_all(image, "blur")
    assert float(blurred[0, 20, 30]) > 0.4
    torch.testing.assert_close(blurred.mean(), image.mean(), rtol=0.05, atol=0)


def test_blur_inside_a_large_image_equals_the_slow_blur():
    import cv2

    image = torch.rand(3, 400, 480, generator=torch.Generator().manual_seed(1))
    image = torch.nn.functional.avg_pool2d(image, 5, 1, 2, count_include_pad=False)
    array = image.permute(1, 2, 0).numpy()
    slow = cv2.GaussianBlur(array, (0, 0), 48.0, borderType=cv2.BORDER_REPLICATE)
    expected = torch.from_numpy(slow.transpose(2, 0, 1).copy())
    apart = (fills.hide_all(image, "blur") - expected).abs()
    assert float(apart[:, 96:-96, 96:-96].max()) < 1 / 255


def test_names_that_do_not_exist_list_those_that_do():
    with pytest.raises(InputError, match="no fill 'white'; choose from blur, inpaint, air"):
        fills.filling("white")
    with pytest.raises(InputError, match="no domain 'ct'; choose from photo, xray"):
        fills.default_fill("ct")


def test_each_domain_has_its_fill():
    assert [fills.default_fill(domain) for domain in fills.DOMAINS] == ["blur", "air"]
