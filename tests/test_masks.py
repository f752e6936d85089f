"""Mask banks: what each design promises, drawing against a slow loop, mixing, bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy import scene

from xai_detect.errors import InputError
from xai_detect.explainers.masks.bank import (
    BLOCK,
    DESIGNS,
    PHASES,
    SCRAMBLED,
    Draw,
    MaskBank,
    Mixer,
    Raster,
)
from xai_detect.values import fills
from xai_detect.values.frame import Frame, Placed


def drawn(bank, count, start=0):
    blocks = list(bank.blocks(count, start))
    return Draw(torch.cat([one.shown for one in blocks]), torch.cat([one.phases for one in blocks]))


@pytest.mark.parametrize("design", DESIGNS)
def test_any_stretch_of_a_bank_can_be_drawn_by_itself(design):
    bank = MaskBank(design, grid=4, seed=3)
    whole = drawn(bank, 2 * BLOCK + 6)
    assert whole.shown.shape == (2 * BLOCK + 6, 4, 4)
    for start, stop in ((0, 10), (7, 8), (BLOCK - 3, BLOCK + 5), (2 * BLOCK, 2 * BLOCK + 6)):
        part = drawn(bank, stop, start)
        assert torch.equal(part.shown, whole.shown[start:stop])
        assert torch.equal(part.phases, whole.phases[start:stop])
    assert list(bank.blocks(5, 5)) == []


@pytest.mark.parametrize("design", DESIGNS)
def test_seeds_name_banks(design):
    one, again, other = (drawn(MaskBank(design, 4, seed=seed), 64) for seed in (1, 1, 2))
    assert torch.equal(one.shown, again.shown)
    assert not torch.equal(one.shown, other.shown)
    blocks = list(MaskBank(design, 4, seed=1).blocks(2 * BLOCK))
    assert not torch.equal(blocks[0].shown, blocks[1].shown)


@pytest.mark.parametrize("design", ["iid", "sobol"])
def test_cells_are_shown_as_often_as_asked(design):
    shown = drawn(MaskBank(design, 6, keep=0.2), 8 * BLOCK).shown.double()
    assert float(shown.mean()) == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("design", DESIGNS)
def test_shifts_are_even_and_cells_independent_of_them(design):
    draw = drawn(MaskBank(design, 4), 8 * BLOCK)
    counts = torch.bincount(draw.phases[:, 0] * PHASES + draw.phases[:, 1], minlength=PHASES**2)
    expected = 8 * BLOCK / PHASES**2
    assert (counts - expected).abs().max() < 6 * (2 * expected) ** 0.5
    for phase in range(PHASES):
        part = draw.shown[draw.phases[:, 0] == phase].double().mean()
        assert float(part) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("design", ["antithetic", "orthogonal"])
def test_pairs_are_opposites_with_the_same_shift(design):
    draw = drawn(MaskBank(design, 5), 64)
    assert torch.equal(draw.shown[::2], ~draw.shown[1::2])
    assert torch.equal(draw.phases[::2], draw.phases[1::2])


def test_no_cell_of_a_whole_orthogonal_block_tells_anything_about_another():
    (block,) = MaskBank("orthogonal", grid=16).blocks(BLOCK)
    signs = 2.0 * block.shown.flatten(1).double() - 1
    torch.testing.assert_close(signs.T @ signs, BLOCK * torch.eye(256, dtype=torch.float64))


def test_grids_with_more_cells_than_a_block_has_pairs_stay_orthogonal():
    (block,) = MaskBank("orthogonal", grid=20).blocks(1024)
    signs = 2.0 * block.shown.flatten(1).double() - 1
    torch.testing.assert_close(signs.T @ signs, 1024 * torch.eye(400, dtype=torch.float64))


def test_every_scrambling_of_sobol_shows_each_cell_in_exactly_half_of_its_masks():
    shown = drawn(MaskBank("sobol", grid=16), 2 * BLOCK).shown.flatten(1).double()
    halves = shown.view(-1, SCRAMBLED, 256).mean(dim=1)
    assert torch.equal(halves, torch.full_like(halves, 0.5))


def slow_mask(shown, phases, size):
    """The definition, pixel by pixel: cells over one cell more than the image has, then a shift."""
    grid = len(shown)
    nodes = (np.arange(grid) + 0.5) * (grid + 1) / grid  # middle of each drawn cell, in image cells
    out = np.zeros(size)
    for row in range(size[0]):
        for column in range(size[1]):
            y = (row + 0.5) / size[0] * grid + (int(phases[0]) + 0.5) / PHASES
            x = (column + 0.5) / size[1] * grid + (int(phases[1]) + 0.5) / PHASES
            across = [np.interp(x, nodes, line) for line in shown.double().numpy()]
            out[row, column] = np.interp(y, nodes, across)
    return torch.from_numpy(out).float()


@given(
    grid=st.integers(2, 6),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    seed=st.integers(0, 99),
)
def test_drawing_against_the_slow_definition(grid, height, width, seed):
    draw = drawn(MaskBank("iid", grid, 0.5, seed), 2)
    fast = Raster(grid, (height, width)).masks(draw)
    for mask, shown, phases in zip(fast, draw.shown, draw.phases, strict=True):
        torch.testing.assert_close(mask, slow_mask(shown, phases, (height, width)))
    assert 0 <= float(fast.min()) <= float(fast.max()) <= 1 + 1e-6


@given(grid=st.integers(2, 8), seed=st.integers(0, 99))
def test_sums_kept_on_the_grid_are_exact(grid, seed):
    draw = drawn(MaskBank("iid", grid, 0.5, seed), 40)
    weights = torch.randn(40, 2, generator=torch.Generator().manual_seed(seed))
    raster = Raster(grid, (13, 17))
    sums = torch.zeros(2, PHASES, PHASES, grid, grid)
    for shown, (down, across), weight in zip(draw.shown, draw.phases, weights, strict=True):
        sums[:, down, across] += weight[:, None, None] * shown
    direct = torch.einsum("nk,nhw->khw", weights, raster.masks(draw))
    torch.testing.assert_close(raster.spread(sums), direct, rtol=1e-4, atol=1e-4)


def test_a_mask_is_the_same_at_every_resolution():
    draw = drawn(MaskBank("iid", 4), 3)
    fine = Raster(4, (90, 120)).masks(draw)
    coarse = Raster(4, (30, 40)).masks(draw)
    torch.testing.assert_close(coarse, fine[:, 1::3, 1::3])


@pytest.mark.parametrize("fill", ["blur", "air", "mean"])
def test_mixing_leaves_padding_alone_and_the_image_where_it_is_shown(fill):
    image = scene(("red", 2, 3), size=(48, 64))
    frame = Frame.letterbox((48, 64), 96, stride=8, fill=114 / 255, rectangle=False)
    placed = Placed.of(image, frame)
    pixels = placed.pixels
    filled = frame.pad(fills.hide_all(placed.content, fill)[None])
    masks = torch.zeros(3, *frame.content_size)
    masks[0] = 1.0
    masks[2] = 0.5
    mixed = Mixer(placed, fill).show(masks)
    torch.testing.assert_close(mixed[0], pixels[0])
    torch.testing.assert_close(mixed[1], filled[0])
    torch.testing.assert_close(mixed[2], (pixels[0] + filled[0]) / 2)
    padding = torch.ones_like(pixels[0], dtype=torch.bool)
    padding[:, frame.top : frame.top + frame.content_size[0]] = False
    assert padding.any()
    assert torch.equal(mixed[:, padding], pixels[0][padding].expand(3, -1))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"design": "halton"}, "there is no mask design 'halton'; choose from iid, antithetic"),
        ({"grid": 1}, "grid is 1; expected 2 to 64 cells"),
        ({"grid": 65}, "grid is 65"),
        ({"keep": 0.0, "design": "iid"}, "keep is 0.0; expected a chance between 0 and 1"),
        ({"keep": 0.2, "design": "antithetic"}, "needs keep 0.5; use the design 'iid' or 'sobol'"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_banks_are_explained(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        MaskBank(**settings)


def test_drawing_touches_no_global_generator():
    state, numbers = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    for design in DESIGNS:
        drawn(MaskBank(design, 4), 8)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numbers)  # noqa: NPY002
