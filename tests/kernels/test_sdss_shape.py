"""Adaptive shapes against their numpy twin, and against sources of known shape."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot.conventions import FloatArray
from forcedphot.kernels import moments
from forcedphot.kernels.sdss_shape import AdaptiveShapes, adaptive_shapes

from . import reference_shapes
from .comparison import LAYOUTS, PARITY, SHAPE, FloatImage, noise_image, positions

ITERATED = 1e-9 if PARITY < 1e-9 else 1e-4
"""Relative: the iteration amplifies the parity of its sums."""
DERIVED = 1e-6
"""Relative: the twin's errors come from numerical derivatives."""

BITS = {
    "unweighted": moments.UNWEIGHTED,
    "bad": moments.UNWEIGHTED_BAD,
    "shifted": moments.SHIFTED,
    "not converged": moments.NOT_CONVERGED,
}


def source(
    x: float, y: float, ellipse: tuple[float, float, float], flux: float = 1e4, shape: tuple[int, int] = SHAPE
) -> FloatArray:
    """Draw a Gaussian of the given moments xx, yy, xy."""
    xx, yy, xy = ellipse
    rows, columns = np.indices(shape)
    d = np.stack([columns - x, rows - y], axis=-1)
    exponent = np.einsum("...i,ij,...j", d, np.linalg.inv([[xx, xy], [xy, yy]]), d)
    image: FloatArray = flux * np.exp(-exponent / 2) / (2 * np.pi * np.sqrt(xx * yy - xy * xy))
    return image


def blobs(rng: np.random.Generator) -> FloatImage:
    """Draw sources of many shapes and some noise."""
    image = rng.normal(0.0, 1.0, SHAPE)
    for x, y, ellipse in [
        (12.2, 11.7, (3.0, 4.0, 0.5)),
        (33.0, 12.5, (6.0, 3.0, -2.0)),
        (20.4, 29.8, (1.2, 1.5, 0.3)),
        (38.6, 31.2, (12.0, 9.0, 1.0)),
    ]:
        image += source(x, y, ellipse, flux=2e3)
    return image.astype(np.float32)


def assert_parity(
    found: AdaptiveShapes, image: FloatImage, variance: FloatImage, x: FloatArray, y: FloatArray, **options: float
) -> None:
    for i in range(len(x)):
        noise = float(variance[int(np.floor(y[i] + 0.5)), int(np.floor(x[i] + 0.5))])
        expected = reference_shapes.shape(image, noise, x[i], y[i], **options)  # type: ignore[arg-type]
        assert found.problems[i] == sum(BITS[problem] for problem in expected.problems), (x[i], y[i])
        values = [found.xx[i], found.yy[i], found.xy[i], found.flux[i], found.x[i], found.y[i]]
        twins = [*expected.moments, expected.flux, *expected.centroid]
        size = np.nanmax(np.abs(expected.moments), initial=1.0)
        np.testing.assert_allclose(values, twins, rtol=ITERATED, atol=ITERATED * size)
        errors = [found.xx_err[i], found.yy_err[i], found.xy_err[i], found.flux_err[i]]
        np.testing.assert_allclose(errors, [*expected.errors, expected.flux_err], rtol=max(DERIVED, ITERATED))
        covariances = [found.flux_xx_covariance[i], found.flux_yy_covariance[i], found.flux_xy_covariance[i]]
        scale = np.nanmax(np.abs(expected.covariances), initial=0.0)
        np.testing.assert_allclose(
            covariances, expected.covariances, rtol=max(DERIVED, ITERATED), atol=max(DERIVED, ITERATED) * scale
        )


def test_sources(rng: np.random.Generator) -> None:
    image, variance = blobs(rng), noise_image(rng)[1]
    x = np.array([12.2, 12.6, 33.0, 20.4, 20.5, 38.6, 36.0])
    y = np.array([11.7, 11.1, 12.5, 29.8, 30.0, 31.2, 33.5])
    found = adaptive_shapes(image, variance, x, y)
    assert_parity(found, image, variance, x, y)
    assert (found.problems == 0).sum() >= 5


def test_only_pixels_in_the_box_count(rng: np.random.Generator) -> None:
    image, variance = blobs(rng), noise_image(rng)[1]
    rows, columns = np.indices(SHAPE)
    for x, y in [(12.2, 11.7), (36.0, 33.5), (20.0, 36.0)]:
        expected = adaptive_shapes(image, variance, np.array([x]), np.array([y]))
        far = np.maximum(np.abs(columns - x), np.abs(rows - y)) > expected.radius + 0.5
        assert far.any()
        spoilt = np.where(far, np.float32(np.nan), image)
        np.testing.assert_array_equal(adaptive_shapes(spoilt, variance, np.array([x]), np.array([y])), expected)


def test_hard_positions_in_noise(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng, 10)
    found = adaptive_shapes(image, variance, x, y)
    assert_parity(found, image, variance, x, y)
    for bit in (moments.UNWEIGHTED, moments.UNWEIGHTED_BAD):
        assert (found.problems & bit != 0).any()


def test_options(rng: np.random.Generator) -> None:
    image, variance = blobs(rng) + np.float32(30.0), noise_image(rng)[1]
    x, y = np.array([12.2, 33.0, 20.0]), np.array([11.7, 13.5, 30.0])
    found = adaptive_shapes(image, variance, x, y, background=30.0, max_shift=0.3, max_iterations=3)
    assert_parity(found, image, variance, x, y, background=30.0, max_shift=0.3, max_iterations=3)
    assert (found.problems & moments.NOT_CONVERGED != 0).all()
    assert (found.problems & moments.SHIFTED != 0).any()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str, rng: np.random.Generator) -> None:
    image, variance = blobs(rng), noise_image(rng)[1]
    x, y = np.array([12.2, 33.0]), np.array([11.7, 12.5])
    expected = adaptive_shapes(image, variance, x, y)
    found = adaptive_shapes(LAYOUTS[layout](image), LAYOUTS[layout](variance), x, y)
    for values, others in zip(found, expected, strict=True):
        np.testing.assert_allclose(values, others, rtol=ITERATED)


def test_what_cannot_be_measured(rng: np.random.Generator) -> None:
    image, variance = blobs(rng), noise_image(rng)[1]
    x = np.array([12.2, np.nan, np.inf, -3.0, 12.2, 1e300])
    y = np.array([11.7, 10.0, 10.0, 10.0, 41.0, 5.0])
    found = adaptive_shapes(image, variance, x, y)
    assert found.problems.tolist() == [0] + [moments.UNWEIGHTED_BAD] * 5
    assert np.isnan(found.xx[1:]).all()
    assert np.isfinite(found.xx[0])
    for bad in (np.nan, np.inf, -np.inf, 3e38):
        spoilt = image.copy()
        spoilt[12, 12] = bad
        spoilt[30:, :15] = bad
        found = adaptive_shapes(spoilt, variance, np.array([12.2, 8.0, 33.0]), np.array([11.7, 35.0, 12.5]))
        assert found.problems[2] == 0
    blind = adaptive_shapes(image, np.zeros_like(variance), x[:1], y[:1])
    assert np.isfinite(blind.flux).all()
    assert np.isnan(blind.flux_err).all()
    assert len(adaptive_shapes(image, variance, x[:0], y[:0]).xx) == 0


@settings(max_examples=30, deadline=None)
@given(
    x=st.floats(19.0, 27.0),
    y=st.floats(17.0, 23.0),
    size=st.floats(1.3, 3.0),
    stretch=st.floats(-0.4, 0.4),
    shear=st.floats(-0.4, 0.4),
)
def test_gaussians_are_found(x: float, y: float, size: float, stretch: float, shear: float) -> None:
    ellipse = (size**2 * (1 + stretch), size**2 * (1 - stretch), size**2 * shear)
    image = source(x, y, ellipse).astype(np.float32)
    found = adaptive_shapes(image, np.ones(SHAPE, dtype=np.float32), np.array([x]), np.array([y]))
    assert found.problems[0] == 0
    # The iteration ends when a step changes the size by less than 1e-4, and the weight at 3.7 sigma.
    np.testing.assert_allclose([found.xx[0], found.yy[0], found.xy[0]], ellipse, atol=5e-3 * size**2)
    np.testing.assert_allclose(found.flux[0], 1e4, rtol=5e-3)
    np.testing.assert_allclose([found.x[0], found.y[0]], [x, y], atol=1e-2)


def test_perturbed_shapes_are_reported(rng: np.random.Generator) -> None:
    image, variance = blobs(rng), noise_image(rng)[1]
    x, y = np.array([12.2]), np.array([11.7])
    found = adaptive_shapes(image, variance, x, y)
    for name in ("xx", "xy_err", "flux", "flux_xy_covariance", "problems"):
        changed = found._replace(**{name: np.array([getattr(found, name)[0] * (1 + 1e-4) + (name == "problems")])})
        with pytest.raises(AssertionError):
            assert_parity(changed, image, variance, x, y)
