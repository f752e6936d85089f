"""A fill means "object removed": what it keeps, what it takes away."""

import pytest
import torch

from xai_detect.errors import InputError
from xai_detect.values import fills

SIZE = (40, 60)
NAMES = (*fills.FILLS, "blur(5,9)", "blur(51, 51)")


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


@pytest.mark.parametrize("name", NAMES)
def test_every_fill_leaves_the_rest_alone_and_stays_an_image(name, image, square):
    before = image.clone()
    filled = fills.hide(image, square, name)
    assert filled.shape == image.shape
    assert filled.dtype == torch.float32
    assert torch.equal(filled[:, ~square], image[:, ~square])
    assert 0 <= float(filled.min()) <= float(filled.max()) <= 1
    assert torch.equal(image, before)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (3, 500)])
def test_every_fill_hides_whole_images_of_any_size(name, size):
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    filled = fills.hide_all(image, name)
    assert filled.shape == image.shape
    assert filled.isfinite().all()
    assert 0 <= float(filled.min()) <= float(filled.max()) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_every_fill_gives_the_same_answer_twice(name, image, square):
    state = torch.get_rng_state()
    assert torch.equal(fills.hide(image, square, name), fills.hide(image, square, name))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_filled_can_be_drawn_on_pixel_by_pixel(name, image):
    before = image.clone()
    filled = fills.hide_all(image, name)
    expected = filled.clone()
    filled[0, 3, 4] = expected[0, 3, 4] = 0.123
    assert torch.equal(filled, expected)
    assert torch.equal(image, before)


@pytest.mark.parametrize("name", NAMES)
def test_hiding_nothing_changes_nothing(name, image):
    nothing = torch.zeros(SIZE, dtype=torch.bool)
    assert torch.equal(fills.hide(image, nothing, name), image)


@pytest.mark.parametrize("name", NAMES)
def test_many_masks_give_what_each_gives_alone(name, image):
    masks = torch.rand(4, *SIZE, generator=torch.Generator().manual_seed(3)) < 0.5
    masks[1], masks[2] = True, False
    hiding = fills.Hiding(image, name)
    expected = torch.stack([fills.hide(image, one, name) for one in masks])
    assert torch.equal(hiding(masks), expected)
    assert hiding(masks[:0]).shape == (0, 3, *SIZE)


def test_a_fill_that_looks_at_no_mask_is_computed_once(image, monkeypatch):
    calls = []

    def counted(name):
        whole = fills.FILLS[name]
        return lambda *given: calls.append(name) or whole(*given)

    monkeypatch.setattr(fills, "FILLS", {name: counted(name) for name in fills.FILLS})
    for name in fills.FILLS:
        fills.Hiding(image, name)(torch.zeros(3, *SIZE, dtype=torch.bool))
    for name in fills.FILLS:
        assert calls.count(name) == (3 if name in fills.BY_MASK else 1)


@pytest.mark.parametrize(("name", "value"), [("air", 1.0), ("black", 0.0), ("grey", 0.5)])
def test_flat_fills_have_their_value(name, value, image, square):
    assert fills.hide(image, square, name)[:, square].unique().tolist() == [value]


def test_the_mean_is_that_of_the_image_whatever_is_hidden(image, square):
    expected = image.mean(dim=(1, 2))
    for hidden in (square, ~square, torch.ones_like(square)):
        filled = fills.hide(image, hidden, "mean")
        torch.testing.assert_close(
            filled[:, hidden], expected[:, None].expand(3, int(hidden.sum()))
        )


def test_the_mean_around_a_kept_object_is_not_the_objects_own_colour():
    image = torch.ones(3, 40, 40)
    image[:, 10:20, 10:20] = 0.1
    kept = torch.zeros(40, 40, dtype=torch.bool)
    kept[10:20, 10:20] = True
    around = fills.hide(image, ~kept, "mean")
    assert float(around[0, 0, 0]) == pytest.approx(1 - 0.9 * 100 / 1600, abs=1e-6)


def test_inpainting_continues_the_surroundings(image, square):
    filled = fills.hide(image, square, "inpaint")
    slope = torch.linspace(0.4, 0.9, SIZE[1]).expand(*SIZE)
    assert float((filled[0] - slope)[square].abs().max()) < 0.1


@pytest.mark.parametrize("name", ["inpaint", "inpaint_telea", "inpaint_ns"])
@pytest.mark.parametrize("left", [3, 45])
def test_inpainting_follows_what_is_near_and_not_the_whole_image(name, left):
    slope = torch.linspace(0.1, 0.9, SIZE[1]).expand(3, *SIZE).clone()
    hidden = torch.zeros(SIZE, dtype=torch.bool)
    hidden[15:25, left : left + 10] = True
    filled = fills.hide(torch.where(hidden, 0.5, slope), hidden, name)
    assert float((filled - slope)[:, hidden].abs().max()) < 0.12


@pytest.mark.parametrize("name", ["inpaint", "inpaint_telea", "inpaint_ns", "blur", "mean"])
@pytest.mark.parametrize("level", [0, 37, 200, 255])
def test_an_even_image_stays_as_it_is(name, level):
    image = torch.full((3, *SIZE), level / 255)
    hidden = torch.zeros(SIZE, dtype=torch.bool)
    hidden[15:25, 25:35] = True
    # OpenCV's inpainting is off by up to two grey levels itself
    assert float((fills.hide(image, hidden, name) - image).abs().max()) < 2.5 / 255


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


@pytest.mark.parametrize("name", ["inpaint_telea", "inpaint_ns"])
def test_inpainting_at_full_size_continues_the_surroundings(name, image, square):
    filled = fills.hide(image, square, name)
    slope = torch.linspace(0.4, 0.9, SIZE[1]).expand(*SIZE)
    assert float((filled[0] - slope)[square].abs().max()) < 0.1
    torch.testing.assert_close(fills.hide_all(image, name), fills.hide_all(image, "mean"))


def test_inpainting_at_full_size_keeps_an_edge_that_a_small_copy_blurs():
    image = torch.full((3, 400, 600), 0.9)
    image[:, :200] = 0.1
    hidden = torch.zeros(400, 600, dtype=torch.bool)
    hidden[198:203, 300:305] = True
    sharp = fills.hide(image, hidden, "inpaint_telea")[0, :, 302]
    assert float(sharp[198]) < 0.3
    assert float(sharp[202]) > 0.7


def test_the_box_blur_is_the_mean_of_its_window():
    image = torch.rand(3, 7, 9, generator=torch.Generator().manual_seed(2))
    filled = fills.hide_all(image, "blur(5,3)")

    def mirrored(index, length):
        return -index if index < 0 else 2 * (length - 1) - index if index >= length else index

    for row in range(7):
        for column in range(9):
            window = [
                image[:, mirrored(row + down, 7), mirrored(column + across, 9)]
                for down in (-1, 0, 1)
                for across in (-2, -1, 0, 1, 2)
            ]
            torch.testing.assert_close(filled[:, row, column], torch.stack(window).mean(dim=0))


@pytest.mark.parametrize(
    "name", ["blur(0,5)", "blur(5)", "blur(5,x)", "blur(-1,3)", "blur(99999,1)"]
)
def test_a_box_blur_needs_two_sensible_numbers(name):
    with pytest.raises(InputError, match=r"no fill 'blur\(.*or blur\(51,51\) with the width"):
        fills.filling(name)


def test_names_that_do_not_exist_list_those_that_do():
    with pytest.raises(InputError, match="no fill 'white'; choose from blur, inpaint, air"):
        fills.filling("white")
    with pytest.raises(InputError, match="no domain 'ct'; choose from photo, xray"):
        fills.default_fill("ct")


def test_each_domain_has_its_fill():
    assert [fills.default_fill(domain) for domain in fills.DOMAINS] == ["blur", "air"]
    maskers = [fills.default_masker(domain) for domain in fills.DOMAINS]
    assert maskers == ["blur", "inpaint_telea"]
    with pytest.raises(InputError, match="no domain 'ct'"):
        fills.default_masker("ct")


@pytest.mark.parametrize(
    ("domain", "fill", "masker"), [("xray", "air", "inpaint_telea"), ("photo", "blur", "blur")]
)
def test_auto_means_the_domains_own_and_a_name_itself(domain, fill, masker):
    assert fills.resolved("auto", domain) == fill
    assert fills.resolved_masker("auto", domain) == masker
    for name in ("grey", "blur(5,5)"):
        assert fills.resolved(name, domain) == fills.resolved_masker(name, domain) == name
    for name in ("auto", "grey", "blur(5,5)"):
        fills.check(name)
    with pytest.raises(InputError, match="no fill 'gray'"):
        fills.check("gray")
