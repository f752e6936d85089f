"""Maps under a Gaussian, by hand and by what is kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from xai_detect.values.smoothing import smooth


@pytest.mark.parametrize("sigma", [0.0, 0.3, 0.49])
def test_less_than_half_a_pixel_changes_nothing(sigma):
    values = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    np.testing.assert_array_equal(smooth(values, sigma), values)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.5, 6.0])
def test_a_point_becomes_a_gaussian(sigma):
    values = np.zeros((61, 61), np.float32)
    values[30, 30] = 2.0
    found = smooth(values, sigma)
    bell = np.exp(-0.5 * ((np.arange(61) - 30) / sigma) ** 2)
    bell /= bell.sum()
    # the bell is cut at three sigma, where it has come down to 1.1 %
    np.testing.assert_allclose(found, 2 * np.outer(bell, bell), atol=0.012 * found.max())


@given(st.integers(20, 50), st.integers(20, 50), st.floats(0.5, 3), st.integers(0, 99))
def test_the_sum_is_kept_and_the_border_is_a_mirror(height, width, sigma, seed):
    values = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    found = smooth(values, sigma)
    assert float(found.sum()) == pytest.approx(float(values.sum()), abs=1e-2)
    slow = ndimage.gaussian_filter(values, sigma, mode="reflect", radius=int(3 * sigma))
    np.testing.assert_allclose(found, slow, atol=1e-4)
