"""Gaussian fluxes against their numpy twin, and against sources of known flux."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot.conventions import FloatArray
from forcedphot.kernels.gaussian_flux import gaussian_fluxes

from . import reference_shapes
from .comparison import LAYOUTS, SHAPE, FloatImage, assert_close, noise_image, positions
from .test_sdss_shape import source

ELLIPSES = np.array(
    [
        (2.9, 2.9, 0.0),
        (6.0, 3.0, -4.0),
        (9.0, 8.0, 0.3),
        (0.2, 0.3, 0.05),
        (100.0, 100.0, 99.99),
        (0.3, 200.0, 0.0),
        (5.0, 1.0, 2.0),
        (400.0, 3e4, 7.0),
    ]
)
"""xx, yy, xy: round, tilted, narrower than a pixel, a line, a column, larger than the image."""


def assert_parity(
    found: tuple[FloatArray, FloatArray],
    image: FloatImage,
    variance: FloatImage,
    x: FloatArray,
    y: FloatArray,
    ellipses: FloatArray,
    background: float = 0.0,
) -> None:
    expected = [
        reference_shapes.gaussian_flux(image, variance, *position, background)
        for position in zip(x, y, ellipses, strict=True)
    ]
    size = [
        reference_shapes.gaussian_flux(np.abs(image - background), variance, *position)[0]
        for position in zip(x, y, ellipses, strict=True)
    ]
    flux, error = np.array(expected).T
    # Near singular matrices are inverted with this loss of digits.
    assert_close(found[0], flux, np.maximum(size, 1.0) * 1e3)
    assert_close(found[1], error, np.maximum(error, 1.0) * 1e3)


@pytest.mark.parametrize("ellipse", ELLIPSES)
def test_ellipses(ellipse: FloatArray, rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng, 6)
    ellipses = np.tile(ellipse, (len(x), 1))
    found = gaussian_fluxes(image, variance, x, y, ellipses)
    assert_parity(found[:2], image, variance, x, y, ellipses)
    assert np.isfinite(found.flux).all()
    assert (found.radius > 0).all()
    shifted = gaussian_fluxes(image, variance, x, y, ellipses, 20.0)
    assert_parity(shifted[:2], image, variance, x, y, ellipses, 20.0)


def test_shapes_that_are_no_ellipses(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    nan, inf = np.nan, np.inf
    ellipses = np.array(
        [
            (nan, 1.0, 0.0),
            (1.0, 1.0, nan),
            (inf, 1.0, 0.0),
            (0.0, 0.0, 0.0),
            (-2.0, -3.0, 0.0),
            (1.0, 1.0, 1.0),
            (1.0, 2.0, 3.0),
            (1e200, 1e200, 0.0),
            (1e-9, 1e3, 0.0),
            (2.0, 2.0, 0.0),
        ]
    )
    x, y = np.full(len(ellipses), 20.2), np.full(len(ellipses), 15.1)
    found = gaussian_fluxes(image, variance, x, y, ellipses)
    assert np.isnan(found.flux[:-1]).all()
    assert np.isnan(found.flux_err[:-1]).all()
    assert np.isfinite(found.flux[-1])
    x[:4], y[4:8] = [nan, inf, -1.0, 47.0], [nan, -inf, -0.6, 40.5]
    ellipses[:] = 2.0, 2.0, 0.0
    off = gaussian_fluxes(image, variance, x, y, ellipses)
    assert np.isnan(off.flux).tolist() == [True] * 8 + [False] * 2


def test_only_pixels_under_the_gaussian_count(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y, ellipse = np.array([20.2]), np.array([15.1]), np.array([(3.0, 2.0, 1.0)])
    expected = gaussian_fluxes(image, variance, x, y, ellipse)
    rows, columns = np.indices(SHAPE)
    far = np.maximum(np.abs(columns - x), np.abs(rows - y)) > expected.radius + 0.5
    image[far] = np.nan
    assert gaussian_fluxes(image, variance, x, y, ellipse).flux == expected.flux
    image[15, 20] = np.nan
    assert np.isnan(gaussian_fluxes(image, variance, x, y, ellipse).flux)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_and_batches(layout: str, rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng, 6)
    ellipses = np.tile(ELLIPSES[1], (len(x), 1))
    expected = gaussian_fluxes(image, variance, x, y, ellipses)
    found = gaussian_fluxes(LAYOUTS[layout](image), LAYOUTS[layout](variance), x, y, ellipses)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    backwards = gaussian_fluxes(image, variance, x[::-1], y[::-1], ellipses)
    np.testing.assert_array_equal(backwards.flux[::-1], expected.flux)
    assert len(gaussian_fluxes(image, variance, x[:0], y[:0], ellipses[:0]).flux) == 0


@settings(max_examples=30, deadline=None)
@given(
    x=st.floats(19.0, 27.0),
    y=st.floats(17.0, 23.0),
    size=st.floats(1.2, 3.0),
    stretch=st.floats(-0.4, 0.4),
    shear=st.floats(-0.4, 0.4),
)
def test_fluxes_of_gaussians(x: float, y: float, size: float, stretch: float, shear: float) -> None:
    ellipse = (size**2 * (1 + stretch), size**2 * (1 - stretch), size**2 * shear)
    image = source(x, y, ellipse).astype(np.float32)
    found = gaussian_fluxes(
        image, np.full(SHAPE, 4, dtype=np.float32), np.array([x]), np.array([y]), np.array([ellipse])
    )
    # Beyond 3.7 sigma, where the weight ends, is exp(-14) of the product.
    np.testing.assert_allclose(found.flux, 1e4, rtol=1e-3)
    area = np.pi * size**2 * np.sqrt(1 - stretch**2 - shear**2)
    np.testing.assert_allclose(found.flux_err, 2 * np.sqrt(4 * area), rtol=1e-12)


def test_perturbed_fluxes_are_reported(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng, 0)
    ellipses = np.tile(ELLIPSES[1], (len(x), 1))
    found = gaussian_fluxes(image, variance, x, y, ellipses)
    found.flux[3] *= 1 + 1e-6
    with pytest.raises(AssertionError):
        assert_parity(found[:2], image, variance, x, y, ellipses)
