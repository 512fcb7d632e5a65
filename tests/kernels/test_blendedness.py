"""Weighted fluxes and shapes against their numpy twin, and against Gaussians of known flux and covariance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot.conventions import FloatArray, Spans
from forcedphot.kernels.blendedness import WeightedMoments, excess_over_child, weighted_moments

from .comparison import LAYOUTS, SHAPE, FloatImage, noise_image, positions
from .reference_blendedness import measure_weighted_moments

INTEGRATED = 1e-5
"""Of the largest pixel, times their number: the twin integrates numerically."""


def some_shapes(rng: np.random.Generator, n: int) -> FloatArray:
    xx, yy = rng.uniform(0.3, 6.0, (2, n))
    return np.stack([xx, yy, rng.uniform(-0.9, 0.9, n) * np.sqrt(xx * yy)], axis=1)


def assert_parity(
    found: WeightedMoments,
    image: FloatImage,
    variance: FloatImage,
    x: FloatArray,
    y: FloatArray,
    shapes: FloatArray,
    n_sigma: float,
) -> None:
    for i in range(len(x)):
        expected = measure_weighted_moments(image, variance, x[i], y[i], shapes[i], n_sigma)
        ours = [float(values[i]) for values in found]
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(expected))
        np.testing.assert_allclose(ours[:4], expected[:4], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(ours[4], expected[4], rtol=INTEGRATED, atol=0.01)
        # Where the noise has no flux left, its shape is that of a difference.
        if ours[4] > 100.0:
            np.testing.assert_allclose(ours[5:], expected[5:], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("n_sigma", [3.0, 1.7])
def test_noise(rng: np.random.Generator, n_sigma: float) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng, 3)
    shapes = some_shapes(rng, len(x))
    found = weighted_moments(image, variance, x, y, shapes, n_sigma)
    assert_parity(found, image, variance, x, y, shapes, n_sigma)
    assert (found.abs_flux > 100.0).sum() > 5


def test_a_perturbed_flux_is_reported(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = np.array([20.3]), np.array([18.8])
    shapes = some_shapes(rng, 1)
    found = weighted_moments(image, variance, x, y, shapes, 3.0)
    found.raw_flux[0] *= 1.0 + 1e-6
    with pytest.raises(AssertionError):
        assert_parity(found, image, variance, x, y, shapes, 3.0)


@given(
    x=st.floats(19.0, 21.0),
    y=st.floats(19.0, 21.0),
    size=st.floats(2.0, 5.0),
    stretch=st.floats(-0.4, 0.4),
    shear=st.floats(-0.4, 0.4),
)
@settings(max_examples=20, deadline=None)
def test_a_gaussian_has_its_own_flux_and_shape(
    x: float, y: float, size: float, stretch: float, shear: float
) -> None:
    shape = np.array([size * (1.0 + stretch), size * (1.0 - stretch), size * shear])
    rows, columns = np.indices(SHAPE)
    d = np.stack([columns - x, rows - y], axis=-1)
    inverse = np.linalg.inv([[shape[0], shape[2]], [shape[2], shape[1]]])
    density = (
        np.exp(-0.5 * np.einsum("...i,ij,...j", d, inverse, d)) * np.sqrt(np.linalg.det(inverse)) / (2.0 * np.pi)
    )
    image = (1e6 * density).astype(np.float32)
    found = weighted_moments(
        image, np.full(SHAPE, 1e-8, np.float32), np.array([x]), np.array([y]), shape[None], 6.0
    )
    np.testing.assert_allclose([found.raw_flux[0], found.abs_flux[0]], 1e6, rtol=1e-4)
    for kind in ("raw", "abs"):
        moments = [getattr(found, f"{kind}_{moment}")[0] for moment in ("xx", "yy", "xy")]
        np.testing.assert_allclose(moments, shape, rtol=1e-3, atol=1e-3)


def test_noise_alone_has_almost_no_absolute_flux(rng: np.random.Generator) -> None:
    sigma = 10.0
    image = rng.normal(0.0, sigma, (41, 41)).astype(np.float32)
    variance = np.full((41, 41), sigma**2, dtype=np.float32)
    at = np.array([20.0])
    found = weighted_moments(image, variance, at, at, np.array([[30.0, 30.0, 0.0]]), 3.0)
    mean = found.abs_flux[0] / (4.0 * np.pi * 30.0)  # of the pixels under the weight
    assert 0.0 <= mean < 0.6 * sigma < np.sqrt(2.0 / np.pi) * sigma


def test_bad_shapes_centres_and_pixels(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    shapes = np.array(
        [
            (4.0, 4.0, 0.0),
            (np.nan, 4.0, 0.0),
            (4.0, np.inf, 0.0),
            (4.0, 4.0, 4.0),
            (4.0, 4.0, 5.0),
            (-4.0, -4.0, 0.0),
            (0.0, 0.0, 0.0),
            (4.0, 4.0, 0.0),
            (4.0, 4.0, 0.0),
            (0.01, 0.01, 0.0),
            (4.0, 4.0, 0.0),
            (1e20, 1e20, 0.0),
        ]
    )
    x, y = np.full(len(shapes), 20.5), np.full(len(shapes), 20.5)
    x[7], y[8], x[10] = np.nan, np.inf, 1e300
    found = weighted_moments(image, variance, x, y, shapes, 3.0)
    is_good = np.arange(len(shapes)) % 11 == 0
    for values in found:
        np.testing.assert_array_equal(np.isfinite(values), is_good)
    image[20, 20], variance[24, 20] = np.nan, -1.0
    after = weighted_moments(image, variance, x[:1], y[:1], shapes[:1], 3.0)
    assert all(np.isnan(values[0]) for values in after)


def test_pixels_of_variance_0_are_certain() -> None:
    image = np.full(SHAPE, 5.0, dtype=np.float32)
    at = np.array([20.0])
    found = weighted_moments(image, np.zeros(SHAPE, np.float32), at, at, np.array([[2.0, 3.0, 0.5]]), 3.0)
    np.testing.assert_array_equal(found[:4], found[4:])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_order_and_none(rng: np.random.Generator, layout: str) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng, 1)
    shapes = some_shapes(rng, len(x))
    expected = weighted_moments(image, variance, x, y, shapes, 3.0)
    order = rng.permutation(len(x))
    lay = LAYOUTS[layout]
    found = weighted_moments(lay(image), lay(variance), x[order], y[order], lay(shapes[order]), 3.0)
    for ours, values in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, values[order])
    assert weighted_moments(image, variance, x[:0], y[:0], shapes[:0], 3.0).raw_flux.shape == (0,)


def test_excess_over_child(rng: np.random.Generator) -> None:
    child, parent = (rng.normal(0.0, 1.0, SHAPE).astype(np.float32) for _ in range(2))
    child[30:] = 0.0
    height, width = SHAPE
    spans = Spans.of(
        [
            np.array([(3, 4, 10), (4, 4, 4), (5, 0, 46)]),
            np.array([(-2, 3, 9), (0, -5, 3), (1, 40, 60), (height, 0, 5)]),
            np.zeros((0, 3), dtype=np.int64),
            np.array([(35, 2, 9)]),
            np.array([(4, width + 3, width + 8)]),
        ]
    )
    found = excess_over_child(child, parent, spans)
    for i in range(2):
        rows = [(y, max(x0, 0), x1 + 1) for y, x0, x1 in zip(spans.y, spans.x0, spans.x1, strict=True)]
        rows = [row for row in rows[spans.first[i] : spans.first[i + 1]] if 0 <= row[0] < height]
        c, p = (
            np.concatenate([image[y, x0:stop] for y, x0, stop in rows]).astype(np.float64)
            for image in (child, parent)
        )
        np.testing.assert_allclose(found[i], (c @ (p - c)) / (c @ c), rtol=1e-12)
    np.testing.assert_array_equal(found[2:], 0.0)
