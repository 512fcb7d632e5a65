"""Sinc apertures against their numpy twin."""

import numpy as np
import pytest

from forcedphot.conventions import FloatArray, IntArray
from forcedphot.kernels.circles import ApertureFluxes
from forcedphot.kernels.sinc import sinc_aperture_fluxes, sinc_coefficients

from . import reference
from .comparison import LAYOUTS, FloatImage, assert_close, noise_image, positions, read_only

RADII = np.array([1.5, 3.0, 4.5])

FLOAT32_WEIGHTS = 1e-6
"""Of the sum of the sizes of the weights times the pixels. A weight is a float32 coefficient, shifted
in two passes of ten float32 products and sums: some ten roundings of 2^-24 = 6e-8, most of which do
not add up."""


def split(x: FloatArray) -> tuple[IntArray, FloatArray]:
    """Split positions into the nearest pixel and the rest."""
    pixel = np.floor(x + 0.5)
    return pixel.astype(np.int64), x - pixel


def measure(
    image: FloatImage, variance: FloatImage, x: FloatArray, y: FloatArray, radii: FloatArray = RADII
) -> ApertureFluxes:
    (column, shift_x), (row, shift_y) = split(x), split(y)
    coefficients = [sinc_coefficients(radius) for radius in radii.tolist()]
    return sinc_aperture_fluxes(image, variance, column, row, shift_x, shift_y, radii, coefficients)


def assert_parity(
    found: ApertureFluxes,
    image: FloatImage,
    variance: FloatImage,
    x: FloatArray,
    y: FloatArray,
    radii: FloatArray = RADII,
) -> None:
    (column, shift_x), (row, shift_y) = split(x), split(y)
    places = list(
        zip(column.tolist(), row.tolist(), shift_x.tolist(), shift_y.tolist(), strict=True),
    )
    finite_image = np.where(np.isfinite(image), image, 0.0)
    for k, radius in enumerate(radii.tolist()):
        expected = [reference.sum_sinc_aperture(image, variance, *place, radius) for place in places]
        # sum |C D| <= sqrt(sum C^2 D^2) sqrt(pixels), and the pixels that matter are those of the circle.
        sizes = [reference.sum_sinc_aperture(image, finite_image**2, *place, radius).flux_err for place in places]
        np.testing.assert_array_equal(found.aperture_truncated[k], [e.aperture_truncated for e in expected])
        np.testing.assert_array_equal(
            found.coefficients_truncated[k], [e.coefficients_truncated for e in expected]
        )
        assert_close(
            found.flux[k], [e.flux for e in expected], np.array(sizes) * np.sqrt(np.pi) * radius, FLOAT32_WEIGHTS
        )
        flux_err = np.array([e.flux_err for e in expected])
        assert_close(found.flux_err[k], flux_err, flux_err, FLOAT32_WEIGHTS)


@pytest.mark.parametrize("radius", [0.5, 1.0, 3.0, 4.0, 4.5, 6.0, 9.0])
def test_coefficients(radius: float) -> None:
    found = sinc_coefficients(radius)
    expected = reference.sinc_coefficients(radius)
    # Rounded to float32, and both sums run over size^2 frequencies.
    assert_close(found, expected, np.full(expected.shape, np.abs(expected).max()), 2.0**-24 + 1e-12)
    assert found.sum(dtype=np.float64) == pytest.approx(np.pi * radius**2, rel=1e-6)
    assert not found.flags.writeable


def test_all_kinds_of_positions(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng)
    found = measure(image, variance, x, y)
    assert_parity(found, image, variance, x, y)
    assert (found.coefficients_truncated & ~found.aperture_truncated).any()
    assert found.aperture_truncated.any()
    assert (~found.coefficients_truncated).any(axis=1).all()
    np.testing.assert_array_equal(np.isnan(found.flux), found.aperture_truncated)


def test_a_large_aperture(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng, (70, 80))
    x, y, radii = np.array([39.0, 40.3, 33.5]), np.array([36.0, 33.8, 34.0]), np.array([9.0])
    assert_parity(measure(image, variance, x, y, radii), image, variance, x, y, radii)


def test_shift_along_one_axis(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = np.array([20.0, 20.3, 19.6, 20.0, 20.0]), np.array([20.3, 20.0, 20.0, 19.6, 20.0])
    assert_parity(measure(image, variance, x, y), image, variance, x, y)


def test_none_and_one(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    assert measure(image, variance, np.empty(0), np.empty(0)).flux.shape == (len(RADII), 0)
    one = np.array([20.2])
    assert_parity(measure(image, variance, one, one), image, variance, one, one)


def test_far_away(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = np.array([-300.0, 20.0, 900.0]), np.array([20.0, -900.0, 900.0])
    found = measure(image, variance, x, y)
    assert found.aperture_truncated.all()
    assert np.isnan(found.flux).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(rng: np.random.Generator, layout: str) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng, 5)
    found = measure(LAYOUTS[layout](image), LAYOUTS[layout](variance), read_only(x), read_only(y))
    assert_parity(found, image, variance, x, y)


def test_zero_variance(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = np.array([20.0, 22.3]), np.array([20.0, 18.6])
    found = measure(image, np.zeros_like(variance), x, y)
    assert (found.flux_err == 0.0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_pixel_only_spoils_the_coefficients_over_it(rng: np.random.Generator, bad: float) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng)
    before = measure(image, variance, x, y)
    image[20, 23] = bad
    after = measure(image, variance, x, y)
    (column, _), (row, _) = split(x), split(y)
    for k, radius in enumerate(RADII.tolist()):
        half = len(sinc_coefficients(radius)) // 2
        over_it = (np.abs(column - 23) <= half) & (np.abs(row - 20) <= half)
        assert 3 < over_it.sum() < len(over_it) - 10
        assert not np.isfinite(after.flux[k, over_it]).any()
        np.testing.assert_array_equal(after.flux[k, ~over_it], before.flux[k, ~over_it])
    np.testing.assert_array_equal(after.flux_err, before.flux_err)


@pytest.mark.parametrize("name", ["flux", "flux_err"])
def test_a_perturbed_sum_is_reported(rng: np.random.Generator, name: str) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng, 5)
    found = measure(image, variance, x, y)
    values = getattr(found, name)
    values[0, 2] += 1e-5 * np.nanmax(np.abs(values))
    with pytest.raises(AssertionError, match="beyond the tolerance"):
        assert_parity(found, image, variance, x, y)


def test_a_shift_of_some_thousandths_of_a_pixel_is_reported(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng, 5)
    with pytest.raises(AssertionError):
        assert_parity(measure(image, variance, x, y + 1e-3), image, variance, x, y)
