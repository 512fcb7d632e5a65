"""Elliptical apertures against their numpy twins."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot.conventions import FloatArray
from forcedphot.kernels import ellipses
from forcedphot.kernels.elliptical_apertures import (
    EllipticalFluxes,
    aperture_reach,
    elliptical_aperture_fluxes,
)
from forcedphot.kernels.elliptical_sinc import LARGEST_SEMI_AXIS, elliptical_sinc_coefficients
from forcedphot.kernels.sinc import sinc_coefficients

from . import reference_ellipses as reference
from .comparison import LAYOUTS, FloatImage, assert_close, noise_image, positions, read_only

FLOAT32_WEIGHTS = 1e-6
"""Of the sum of the sizes of the weights times the pixels: the coefficients are transformed and shifted in
float32, some forty roundings of 2^-24 = 6e-8 of which most do not add up."""


def moments_of(matrices: list[FloatArray]) -> FloatArray:
    return np.array([[m[0, 0], m[1, 1], m[0, 1]] for m in matrices])


def random_ellipses(rng: np.random.Generator, n: int, largest: float) -> list[FloatArray]:
    """Draw ellipses, every fourth a circle."""
    matrices = []
    for i in range(n):
        major = rng.uniform(1.0, largest)
        minor = major if i % 4 == 0 else major * rng.uniform(0.3, 1.0)
        matrices.append(reference.ellipse_matrix(major, minor, rng.uniform(-4.0, 4.0) if i % 4 else 0.0))
    return matrices


def assert_parity(
    found: EllipticalFluxes,
    image: FloatImage,
    variance: FloatImage,
    x: FloatArray,
    y: FloatArray,
    matrices: list[FloatArray],
    max_sinc_radius: float,
) -> None:
    expected, scales = [], []
    for x_one, y_one, matrix in zip(x.tolist(), y.tolist(), matrices, strict=True):
        place = x_one, y_one, matrix
        if reference.axes_of(matrix)[1] <= max_sinc_radius:
            place = float(np.float32(x_one)), float(np.float32(y_one)), matrix
            expected.append(reference.sum_sinc_ellipse(image, variance, *place))
            size = reference.sum_sinc_ellipse(image, image**2, *place).flux_err
        else:
            expected.append(reference.sum_ellipse(image, variance, *place))
            size = reference.sum_ellipse(image, image**2, *place).flux_err
        scales.append(max(size, 1.0) * math.sqrt(math.pi * math.prod(reference.axes_of(matrix)) + 1.0))
    np.testing.assert_array_equal(found.aperture_truncated, [e.aperture_truncated for e in expected])
    np.testing.assert_array_equal(found.coefficients_truncated, [e.coefficients_truncated for e in expected])
    assert_close(found.flux, [e.flux for e in expected], scales, FLOAT32_WEIGHTS)
    flux_err = np.array([e.flux_err for e in expected])
    assert_close(found.flux_err, flux_err, flux_err, FLOAT32_WEIGHTS)


@pytest.mark.parametrize(
    ("major", "minor", "angle"),
    [(3.0, 3.0, 0.0), (2.0, 0.3, 2.0), (5.0, 2.0, 0.7), (4.0, 3.0, 0.0), (9.0, 3.0, -1.2)],
)
def test_coefficients(major: float, minor: float, angle: float) -> None:
    matrix = reference.ellipse_matrix(major, minor, angle)
    found = elliptical_sinc_coefficients(matrix[0, 0], matrix[1, 1], matrix[0, 1])
    expected = reference.sinc_coefficients(matrix)
    assert_close(found, expected, np.full(expected.shape, np.abs(expected).max()), 5e-7)
    assert found.sum(dtype=np.float64) == pytest.approx(math.pi * major * minor, rel=1e-6)


@pytest.mark.parametrize("radius", [0.5, 3.0, 4.0, 7.3])
def test_circles_are_those_of_the_circular_apertures(radius: float) -> None:
    found = elliptical_sinc_coefficients(radius**2, radius**2, 0.0)
    assert_close(found, sinc_coefficients(radius), np.full(found.shape, 1.0), 5e-7)


@pytest.mark.parametrize("max_sinc_radius", [0.0, 2.5, math.inf])
def test_all_kinds_of_positions(rng: np.random.Generator, max_sinc_radius: float) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng, 10)
    matrices = random_ellipses(rng, len(x), 5.0)
    found = elliptical_aperture_fluxes(
        image, variance, x, y, moments_of(matrices), max_sinc_radius=max_sinc_radius
    )
    assert_parity(found, image, variance, x, y, matrices, max_sinc_radius)
    assert found.aperture_truncated.any()
    assert np.isfinite(found.flux).any()
    np.testing.assert_array_equal(np.isnan(found.flux), found.aperture_truncated)
    assert found.coefficients_truncated.any() == (max_sinc_radius > 0.0)


def test_a_large_ellipse(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng, (80, 90))
    x, y = np.array([44.0, 40.3]), np.array([38.0, 43.8])
    matrices = [reference.ellipse_matrix(14.0, 6.0, 0.6), reference.ellipse_matrix(12.0, 11.0, -1.0)]
    found = elliptical_aperture_fluxes(image, variance, x, y, moments_of(matrices), max_sinc_radius=10.0)
    assert_parity(found, image, variance, x, y, matrices, 10.0)


def test_an_origin_rounds_the_position_in_its_frame(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = np.array([12020.30001]), np.array([-3980.7002])
    matrices = [reference.ellipse_matrix(3.0, 2.0, 0.6)]
    found = elliptical_aperture_fluxes(image, variance, x, y, moments_of(matrices), x0=12000, y0=-4000)
    x_in_array, y_in_array = x.astype(np.float32) - np.float64(12000), y.astype(np.float32) + np.float64(4000)
    assert_parity(found, image, variance, x_in_array, y_in_array, matrices, math.inf)


def test_what_is_no_ellipse_is_nan_without_a_flag(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    good = [4.0, 4.0, 0.0]
    cases = [
        (20.0, 20.0, [np.nan, 4.0, 0.0]),
        (20.0, 20.0, [np.inf, 4.0, 0.0]),
        (20.0, 20.0, [4.0, 4.0, 4.0]),
        (20.0, 20.0, [4.0, 4.0, -5.0]),
        (20.0, 20.0, [-4.0, -4.0, 0.0]),
        (20.0, 20.0, [0.0, 0.0, 0.0]),
        (np.nan, 20.0, good),
        (20.0, np.inf, good),
        (1e300, 20.0, good),
    ]
    x, y, moments = (np.array(column) for column in zip(*cases, strict=True))
    for max_sinc_radius in [0.0, math.inf]:
        found = elliptical_aperture_fluxes(image, variance, x, y, moments, max_sinc_radius=max_sinc_radius)
        assert np.isnan(found.flux).all()
        assert np.isnan(found.flux_err).all()
        assert not (found.aperture_truncated | found.coefficients_truncated).any()


@pytest.mark.parametrize("axes", [(1e150, 1e-100), (1e100, 1e100), (1e5, 1.0), (300.0, 2.0)])
def test_huge_ellipses_are_truncated(rng: np.random.Generator, axes: tuple[float, float]) -> None:
    image, variance = noise_image(rng)
    moments = np.array([[axes[0] ** 2, axes[1] ** 2, 0.0]])
    found = elliptical_aperture_fluxes(image, variance, np.array([20.0]), np.array([20.0]), moments)
    assert found.aperture_truncated.all()
    assert np.isnan(found.flux).all()


def test_very_long_ellipses_are_summed_over_pixel_centres(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng, (7, 600))
    matrix = np.diag([(LARGEST_SEMI_AXIS + 1.0) ** 2, 4.0])
    x, y = np.array([300.2]), np.array([3.3])
    found = elliptical_aperture_fluxes(image, variance, x, y, moments_of([matrix]))
    assert_parity(found, image, variance, x, y, [matrix], 0.0)


def test_the_batch_does_not_matter(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng, 5)
    moments = moments_of(random_ellipses(rng, len(x), 6.0))
    together = elliptical_aperture_fluxes(image, variance, x, y, moments, max_sinc_radius=3.0)
    for i in range(0, len(x), 3):
        one = np.s_[i : i + 1]
        alone = elliptical_aperture_fluxes(image, variance, x[one], y[one], moments[one], max_sinc_radius=3.0)
        for all_values, value in zip(together, alone, strict=True):
            np.testing.assert_array_equal(all_values[one], value)
    none = elliptical_aperture_fluxes(image, variance, x[:0], y[:0], moments[:0])
    assert none.flux.shape == (0,)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(rng: np.random.Generator, layout: str) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng, 2)
    x, y = x[:6], y[:6]
    moments = moments_of(random_ellipses(rng, len(x), 4.0))
    for max_sinc_radius in [0.0, math.inf]:
        expected = elliptical_aperture_fluxes(image, variance, x, y, moments, max_sinc_radius=max_sinc_radius)
        found = elliptical_aperture_fluxes(
            LAYOUTS[layout](image),
            LAYOUTS[layout](variance),
            read_only(x),
            read_only(y),
            read_only(moments),
            max_sinc_radius=max_sinc_radius,
        )
        scale = np.full(len(x), 1e4)
        assert_close(found.flux, expected.flux, scale)
        assert_close(found.flux_err, expected.flux_err, scale)


@pytest.mark.parametrize("name", ["flux", "flux_err"])
def test_a_perturbed_sum_is_reported(rng: np.random.Generator, name: str) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng, 1)
    x, y = x[:4], y[:4]
    matrices = random_ellipses(rng, len(x), 4.0)
    found = elliptical_aperture_fluxes(image, variance, x, y, moments_of(matrices))
    values = getattr(found, name)
    values[2] += 1e-4 * np.nanmax(np.abs(values))
    with pytest.raises(AssertionError, match="beyond the tolerance"):
        assert_parity(found, image, variance, x, y, matrices, math.inf)


@settings(max_examples=50, deadline=None)
@given(
    st.floats(0.1, 1e3),
    st.floats(0.01, 1.0),
    st.floats(-4.0, 4.0),
    st.floats(-3.0, 3.0),
    st.floats(0.1, 5.0),
)
def test_geometry(major: float, ratio: float, angle: float, turn: float, stretch: float) -> None:
    matrix = reference.ellipse_matrix(major, major * ratio, angle)
    moments = moments_of([matrix])
    found_major, found_minor = ellipses.semi_axes(moments)
    assert found_major[0] == pytest.approx(major, rel=1e-9)
    assert found_minor[0] == pytest.approx(major * ratio, rel=1e-6)
    assert ellipses.determinant_radius(moments)[0] == pytest.approx(major * math.sqrt(ratio), rel=1e-6)
    jacobian = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) * stretch
    mapped = moments_of([jacobian @ matrix @ jacobian.T])
    np.testing.assert_allclose(
        ellipses.transformed(moments, jacobian[np.newaxis]), mapped, rtol=1e-9, atol=1e-9 * mapped.max()
    )
    scaled = ellipses.scaled_to_radius(moments, np.array([stretch]))
    assert ellipses.determinant_radius(scaled)[0] == pytest.approx(stretch, rel=1e-6)
    assert scaled[0, 2] * moments[0, 0] == pytest.approx(scaled[0, 0] * moments[0, 2], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("max_sinc_radius", [2.0, math.inf])
def test_reach(rng: np.random.Generator, max_sinc_radius: float) -> None:
    image, variance = noise_image(rng, (80, 90))
    rows, columns = np.indices(image.shape)
    for matrix in random_ellipses(rng, 6, 9.0):
        place = np.array([44.3]), np.array([38.6]), moments_of([matrix])
        (reach,) = aperture_reach(place[2], max_sinc_radius=max_sinc_radius)
        before = elliptical_aperture_fluxes(image, variance, *place, max_sinc_radius=max_sinc_radius)
        spoilt = np.where(np.hypot(columns - 44.3, rows - 38.6) > reach, np.float32(np.nan), image)
        after = elliptical_aperture_fluxes(spoilt, variance, *place, max_sinc_radius=max_sinc_radius)
        assert after.flux[0] == before.flux[0]
        assert np.isnan(spoilt).any()
    assert aperture_reach(np.full((1, 3), np.nan)) == 0.0
