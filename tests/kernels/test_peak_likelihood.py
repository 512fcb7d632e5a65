"""Interpolated pixels and effective areas against their numpy twins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot.conventions import FloatArray
from forcedphot.kernels.peak_likelihood import InterpolatedPixels, effective_areas, interpolated_pixels

from . import reference_compensated as reference
from .comparison import LAYOUTS, PARITY, FloatImage, assert_close, noise_image, positions, read_only


def assert_parity(
    found: InterpolatedPixels,
    image: FloatImage,
    variance: FloatImage,
    x: FloatArray,
    y: FloatArray,
    order: int,
) -> None:
    expected = [
        reference.interpolate(image, variance, *at, order) for at in zip(x.tolist(), y.tolist(), strict=True)
    ]
    np.testing.assert_array_equal(found.leaves_image, [e[2] for e in expected])
    size = np.full(len(x), 100.0 * np.abs(np.nan_to_num(image, posinf=0.0, neginf=0.0)).max())
    assert_close(found.value, [e[0] for e in expected], size)
    assert_close(found.variance, [e[1] for e in expected], size)


@pytest.mark.parametrize("order", [1, 3, 4, 7])
def test_all_kinds_of_positions(rng: np.random.Generator, order: int) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng)
    x, y = np.append(x, [-1000.0, 20.0]), np.append(y, [20.0, 1e6])
    found = interpolated_pixels(image, variance, x, y, order)
    assert_parity(found, image, variance, x, y, order)
    assert found.leaves_image[-2:].all()
    assert (~found.leaves_image).sum() > 10
    np.testing.assert_array_equal(np.isnan(found.value), found.leaves_image)


def test_pixels_are_themselves(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = np.array([5.0, 20.0]), np.array([30.0, 4.0])
    found = interpolated_pixels(image, variance, x, y, 4)
    np.testing.assert_allclose(found.value, [image[30, 5], image[4, 20]], rtol=1e-6)
    np.testing.assert_allclose(found.variance, [variance[30, 5], variance[4, 20]], rtol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(rng: np.random.Generator, layout: str) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng, 5)
    found = interpolated_pixels(LAYOUTS[layout](image), LAYOUTS[layout](variance), read_only(x), read_only(y), 4)
    assert_parity(found, image, variance, x, y, 4)


def test_a_bad_pixel_only_spoils_its_surroundings(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng)
    before = interpolated_pixels(image, variance, x, y, 4)
    image[20, 23] = np.nan
    after = interpolated_pixels(image, variance, x, y, 4)
    far = (np.abs(x - 23) > 4) | (np.abs(y - 20) > 4)
    np.testing.assert_array_equal(after.value[far], before.value[far])
    near = (np.abs(x - 23) < 3) & (np.abs(y - 20) < 3)
    assert near.any()
    assert np.isnan(after.value[near]).all()


@settings(max_examples=30, deadline=None)
@given(x=st.floats(5.0, 40.0), y=st.floats(5.0, 35.0), level=st.floats(-1e6, 1e6))
def test_a_constant_stays_one(x: float, y: float, level: float) -> None:
    image = np.full((41, 47), level, dtype=np.float32)
    found = interpolated_pixels(image, np.ones_like(image), np.array([x]), np.array([y]), 4)
    assert found.value[0] == pytest.approx(float(image[0, 0]), rel=1e-5, abs=1e-30)
    assert 0.0 < found.variance[0] <= 1.0 + 1e-5


def test_effective_areas(rng: np.random.Generator) -> None:
    images = rng.normal(1.0, 0.5, (4, 7, 9))
    expected = [reference.effective_area(image) for image in images]
    np.testing.assert_allclose(effective_areas(images), expected, rtol=1e-12)
    same = np.broadcast_to(images[0], (3, 7, 9))
    np.testing.assert_allclose(effective_areas(same), [expected[0]] * 3, rtol=1e-12)
    assert effective_areas(images[:0]).shape == (0,)
    images[1, 2, 3] = np.nan
    np.testing.assert_array_equal(np.isnan(effective_areas(images)), [False, True, False, False])


def test_a_perturbed_value_is_reported(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = np.array([20.3]), np.array([20.0])
    found = interpolated_pixels(image, variance, x, y, 4)
    found.value[0] += 1e6 * PARITY
    with pytest.raises(AssertionError, match="beyond the tolerance"):
        assert_parity(found, image, variance, x, y, 4)
