import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xai_detect.errors import InputError
from xai_detect.xray.physics import colour
from xai_detect.xray.physics import scanner as physics
from xai_detect.xray.physics.materials import (
    DENSITY,
    ENERGIES,
    HIGH_WEIGHTS,
    LOW_WEIGHTS,
    MASS_ATTENUATION,
    MATERIALS,
)

AT = (0.9, 0.7, 0.5, 0.3, 0.1, 0.03)
# R = ln T_low / ln T_high at equal high-energy transmission, computed independently with the full
# spectra of spekpy 2.5.4 (160 kV, 3 mm Al, Gd2O2S / Cu / CsI)
RATIOS = {
    "polyethylene": (1.16, 1.15, 1.15, 1.14, 1.13, 1.13),
    "pmma": (1.21, 1.20, 1.19, 1.18, 1.16, 1.15),
    "water": (1.27, 1.25, 1.23, 1.21, 1.18, 1.17),
    "glass": (1.80, 1.63, 1.52, 1.44, 1.36, 1.31),
    "aluminium": (1.87, 1.67, 1.56, 1.47, 1.38, 1.32),
    "pvc": (2.00, 1.76, 1.62, 1.52, 1.42, 1.35),
    "titanium": (2.70, 2.21, 1.99, 1.83, 1.62, 1.47),
    "steel": (2.87, 2.34, 2.11, 1.93, 1.66, 1.49),
    "copper": (2.95, 2.40, 2.16, 1.97, 1.68, 1.51),
}


def through(material, high):
    """Thickness in mm at which the high-energy transmission is ``high``, by bisection."""
    low_end, high_end = 0.0, 1000.0
    for _ in range(80):
        middle = (low_end + high_end) / 2
        if physics.slab({material: middle})[1] > high:
            low_end = middle
        else:
            high_end = middle
    return middle


@pytest.mark.parametrize("material", RATIOS)
def test_log_ratios_match_the_full_spectra(material):
    for high, expected in zip(AT, RATIOS[material], strict=True):
        low, same = physics.slab({material: through(material, high)})
        assert same == pytest.approx(high, abs=1e-6)
        assert np.log(low) / np.log(high) == pytest.approx(expected, abs=0.012)


def test_seventeen_materials_and_normalised_spectra():
    assert len(MATERIALS) == 17
    assert set(MASS_ATTENUATION) == set(DENSITY)
    assert all(len(row) == len(ENERGIES) for row in MASS_ATTENUATION.values())
    assert sum(LOW_WEIGHTS) == pytest.approx(1, abs=2e-5)
    assert sum(HIGH_WEIGHTS) == pytest.approx(1, abs=2e-5)


def test_mean_detected_energies_are_those_of_the_assumed_stack():
    low = sum(w * e for w, e in zip(LOW_WEIGHTS, ENERGIES, strict=True))
    high = sum(w * e for w, e in zip(HIGH_WEIGHTS, ENERGIES, strict=True))
    assert low == pytest.approx(62, abs=1)
    assert high == pytest.approx(94, abs=1)


def test_steel_under_water_is_lighter_than_the_product_of_transmissions():
    both = physics.slab({"steel": 2, "water": 50})
    steel, water = physics.slab({"steel": 2}), physics.slab({"water": 50})
    assert both == pytest.approx((0.078, 0.195), abs=0.001)
    assert steel[0] * water[0] == pytest.approx(0.066, abs=0.001)


@pytest.mark.parametrize("material", MATERIALS)
def test_four_planes_reproduce_the_exact_transmissions(material):
    for depth in (0.1, 1.0, 5.0, 20.0):
        planes = physics.coefficients(material)[:, None, None] * np.float32(depth)
        low, high = physics.transmissions(planes.astype(np.float32))
        exact = physics.slab({material: depth})
        assert (low[0, 0], high[0, 0]) == pytest.approx(exact, abs=2e-3)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(MATERIALS), st.sampled_from(MATERIALS), st.floats(0, 40), st.floats(0.1, 40))
def test_more_matter_never_lets_more_through(one, other, depth, extra):
    thin, thick = physics.slab({one: depth}), physics.slab({one: depth, other: depth + extra})
    if one != other:
        assert thick[0] <= thin[0]
        assert thick[1] <= thin[1]
    assert 0 <= thick[0] <= thick[1] <= 1


def test_air_is_one_and_has_the_background_colour():
    low, high = physics.transmissions(np.zeros((physics.RANK, 3, 4), np.float32))
    np.testing.assert_allclose(low, 1, atol=3e-5)
    np.testing.assert_allclose(high, 1, atol=3e-5)
    assert (colour.colourise(low, high, "standard") >= 254).all()
    assert (physics.log_ratio(np.ones((2, 2), np.float32), np.ones((2, 2), np.float32)) == 1).all()


def test_noise_has_poisson_variance_and_the_asked_for_seed():
    signal = np.full((200, 200), 0.25, np.float32)
    scanner = physics.Scanner(photons=1e4, blur=0.0, dark=0.0, stripes=0.0)
    noisy = physics.detect(signal, signal, scanner, np.random.default_rng(3))
    again = physics.detect(signal, signal, scanner, np.random.default_rng(3))
    assert noisy[0].std() == pytest.approx(np.sqrt(0.25 / 1e4), rel=0.03)
    np.testing.assert_array_equal(noisy[1], again[1])
    assert not np.array_equal(noisy[0], noisy[1])


def test_raw_values_are_16_bit_with_room_above_air():
    values = physics.quantise(np.array([[0.0, 0.5, 1.0, 1.2]], np.float32))
    assert values.dtype == np.uint16
    assert values.tolist() == [[0, 30000, 60000, 65535]]


def test_unknown_materials_and_palettes_are_named():
    with pytest.raises(InputError, match="unobtainium"):
        physics.coefficients("unobtainium")
    with pytest.raises(InputError, match="sepia"):
        colour.table("sepia")


@pytest.mark.parametrize(
    ("material", "depth", "low", "high"),
    [
        ("water", 40, 0.0, 1.0),
        ("pmma", 20, 0.0, 1.0),
        ("glass", 8, 1.0, 2.0),
        ("aluminium", 8, 1.0, 2.0),
        ("steel", 2, 2.0, 3.2),
        ("copper", 1, 2.0, 3.4),
    ],
)
def test_material_classes_follow_the_curves_at_any_thickness(material, depth, low, high):
    for factor in (0.3, 1.0, 1.5):
        signals = physics.slab({material: depth * factor})
        as_planes = [np.full((1, 1), signal, np.float32) for signal in signals]
        found = colour.material_class(physics.log_ratio(*as_planes), as_planes[1])
        assert low <= found[0, 0] <= high


def test_organics_are_orange_metals_blue_and_opaque_matter_black():
    def shown(stack):
        signals = [np.full((1, 1), signal, np.float32) for signal in physics.slab(stack)]
        return colour.colourise(*signals, "standard")[0, 0].astype(int)

    red, green, blue = shown({"water": 60})
    assert red > green > blue
    red, green, blue = shown({"steel": 1.5})
    assert blue > green > red
    red, green, blue = shown({"aluminium": 12})
    assert green > red
    assert green > blue
    assert shown({"steel": 40}).max() < 40
