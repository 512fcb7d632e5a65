"""Centroids against their numpy twin, and against sources of known position."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot.conventions import FloatArray
from forcedphot.kernels import sdss_centroid as kernel
from forcedphot.kernels.sdss_centroid import SmoothedMaxima, smoothed_maxima

from . import reference_shapes
from .comparison import LAYOUTS, PARITY, SHAPE, FloatImage, noise_image, positions
from .test_sdss_shape import source

MAXIMUM = 1e-9 if PARITY < 1e-9 else 1e-4
"""Relative, and in pixels: the parity of the smoothed pixels, divided by their differences."""

STATES = {
    kernel.GOOD: "good",
    kernel.NEAR_EDGE: "near edge",
    kernel.EDGE: "edge",
    kernel.NO_SECOND_DERIVATIVE: "flat",
    kernel.NOT_AT_MAXIMUM: "no maximum",
    kernel.NO_PSF: "no psf",
}


def psf(sigma: float = 1.5, shape: tuple[int, int] = (9, 11)) -> FloatArray:
    height, width = shape
    image = source(width // 2, height // 2, (sigma**2, sigma**2, 0.2), 1.0, shape)
    return image / image.sum()


def measure(
    image: FloatImage, variance: FloatImage, x: FloatArray, y: FloatArray, model: FloatArray, **options: Any
) -> SmoothedMaxima:
    n = len(x)
    models = np.broadcast_to(model, (n, *model.shape))
    height, width = (np.full(n, size) for size in model.shape)
    return smoothed_maxima(image, variance, x, y, models, height, width, np.full(n, 1.5), **options)


def assert_parity(
    found: SmoothedMaxima,
    image: FloatImage,
    variance: FloatImage,
    x: FloatArray,
    y: FloatArray,
    model: FloatArray,
    **options: Any,
) -> None:
    for i in range(len(x)):
        expected = reference_shapes.centroid(image, variance, x[i], y[i], model, 1.5, **options)
        assert STATES[int(found.state[i])] == expected.state, (x[i], y[i])
        assert found.near_edge[i] == expected.near_edge
        values = [found.x[i], found.y[i], found.x_err[i], found.y_err[i]]
        np.testing.assert_allclose(values, expected[:4], rtol=MAXIMUM, atol=MAXIMUM)


def test_sources(rng: np.random.Generator) -> None:
    stars = source(20.3, 19.6, (2.2, 2.3, 0.1)) + source(36.8, 12.1, (9.0, 4.0, 2.0))
    image, variance = (rng.normal(0.0, 2.0, SHAPE) + stars).astype(np.float32), noise_image(rng)[1]
    x, y = (
        np.array([20.0, 20.4, 19.2, 36.0, 38.0, 22.0, 36.5]),
        np.array([20.0, 19.4, 19.9, 12.0, 13.0, 21.5, 11.0]),
    )
    found = measure(image, variance, x, y, psf())
    assert_parity(found, image, variance, x, y, psf())
    assert (found.state == kernel.GOOD).sum() >= 3
    np.testing.assert_allclose([found.x[0], found.y[0]], [20.3, 19.6], atol=0.02)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_hard_positions_in_noise(sign: float, rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    image *= np.float32(sign)
    x, y = positions(rng, 60)
    for model in (psf(), psf(1.0, (3, 5)), psf(2.0, (31, 29))):
        found = measure(image, variance, x, y, model)
        assert_parity(found, image, variance, x, y, model)
    found = measure(image, variance, x, y, psf())
    for state in (kernel.GOOD, kernel.NEAR_EDGE, kernel.EDGE, kernel.NOT_AT_MAXIMUM):
        assert (found.state == state).any()


def test_wide_sources_are_binned(rng: np.random.Generator) -> None:
    shape = 150, 160
    galaxy = source(80.7, 74.2, (60.0, 30.0, 5.0), 1e6, shape)
    image = (galaxy + rng.normal(0.0, 1.0, shape)).astype(np.float32)
    variance = rng.uniform(1.0, 3.0, shape).astype(np.float32)
    x, y = np.array([80.0, 82.0, 78.0]), np.array([74.0, 75.0, 76.0])
    model = psf(1.5, (7, 7))
    choices: list[dict[str, Any]] = [
        {},
        {"max_binning": 2},
        {"width_factor": 4.0},
        {"min_peak": 1e9},
        {"max_binning": 1},
    ]
    for options in choices:
        found = measure(image, variance, x, y, model, **options)
        assert_parity(found, image, variance, x, y, model, **options)
    binned = measure(image, variance, x, y, model)
    assert (binned.reach > measure(image, variance, x, y, model, max_binning=1).reach).all()
    np.testing.assert_allclose(binned.x, 80.7, atol=0.5)
    np.testing.assert_allclose(binned.y, 74.2, atol=0.5)


def test_only_pixels_within_reach_count(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    rows, columns = np.indices(SHAPE)
    for x, y in [(20.0, 20.0), (3.0, 20.0), (25.0, 17.0)]:
        expected = measure(image, variance, np.array([x]), np.array([y]), psf())
        far = np.maximum(np.abs(columns - x), np.abs(rows - y)) > expected.reach
        spoilt = np.where(far, np.float32(np.nan), image)
        np.testing.assert_array_equal(measure(spoilt, variance, np.array([x]), np.array([y]), psf()), expected)


def test_what_cannot_be_measured(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    nan = np.nan
    x, y = np.array([nan, np.inf, -3.0, 20.0, 20.0]), np.array([10.0, 10.0, 10.0, 41.0, 20.0])
    models = np.tile(psf(), (5, 1, 1))
    models[4] = nan
    sizes = np.full(5, 9), np.full(5, 11)
    sigma = np.array([1.5, 1.5, 1.5, 1.5, nan])
    found = smoothed_maxima(image, variance, x, y, models, *sizes, sigma)
    assert found.state.tolist() == [kernel.EDGE] * 4 + [kernel.NO_PSF]
    np.testing.assert_array_equal(found.x, x)
    assert np.isnan(found.x_err).all()
    flat = np.ones(SHAPE, dtype=np.float32)
    state = measure(flat, variance, np.array([20.0]), np.array([20.0]), np.full((1, 1), 1.0)).state
    assert state.tolist() == [kernel.NO_SECOND_DERIVATIVE]
    image[18:22, 18:22] = nan
    spoilt = measure(image, variance, np.array([20.0, 38.0]), np.array([20.0, 8.0]), psf())
    assert np.isnan(spoilt.x_err[0])
    alone = measure(image, variance, np.array([38.0]), np.array([8.0]), psf())
    assert (spoilt.x[1], spoilt.state[1]) == (alone.x[0], alone.state[0])
    assert len(measure(image, variance, x[:0], y[:0], psf()).x) == 0


def test_small_models_in_large_arrays(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng, 0)
    models = np.full((len(x), 15, 13), np.nan)
    models[:, 3:12, 1:12] = psf()
    n = len(x)
    found = smoothed_maxima(image, variance, x, y, models, np.full(n, 9), np.full(n, 11), np.full(n, 1.5))
    assert_parity(found, image, variance, x, y, psf())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str, rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng, 5)
    expected = measure(image, variance, x, y, psf())
    found = measure(LAYOUTS[layout](image), LAYOUTS[layout](variance), x, y, psf())
    for values, others in zip(found, expected, strict=True):
        np.testing.assert_allclose(values.astype(np.float64), others.astype(np.float64), rtol=1e-13)


@settings(max_examples=30, deadline=None)
@given(x=st.floats(18.0, 28.0), y=st.floats(16.0, 24.0))
def test_stars_are_found(x: float, y: float) -> None:
    image = source(x, y, (2.25, 2.25, 0.0)).astype(np.float32)
    model = source(5, 5, (2.25, 2.25, 0.0), 1.0, (11, 11))
    start = np.array([x]), np.array([y])
    found = measure(image, np.ones(SHAPE, dtype=np.float32), *start, model)
    assert found.state[0] == kernel.GOOD
    np.testing.assert_allclose([found.x[0], found.y[0]], [x, y], atol=0.02)
    assert 0.0 < found.x_err[0] < 0.01


def test_perturbed_centroids_are_reported(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng, 5)
    found = measure(image, variance, x, y, psf())
    good = int(np.flatnonzero(found.state == kernel.GOOD)[0])
    for name in ("x", "y_err", "state"):
        values = getattr(found, name).copy()
        values[good] += 1 if name == "state" else 1e-5
        with pytest.raises(AssertionError):
            assert_parity(found._replace(**{name: values}), image, variance, x, y, psf())
