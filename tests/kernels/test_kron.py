"""Kron radii and fluxes against their numpy twin, and what single-frame measurement makes of them."""

import math

import numpy as np
import pytest

from forcedphot.conventions import FloatArray, Spans
from forcedphot.kernels.ellipses import determinant_radius
from forcedphot.kernels.elliptical_apertures import elliptical_aperture_fluxes
from forcedphot.kernels.kron import (
    KronRadii,
    kron_apertures,
    kron_fluxes,
    measure_kron_radii,
    psf_kron_radius,
)
from forcedphot.kernels.measured_kron import KronSettings, MeasuredKron, footprint_radii, measured_kron_fluxes

from . import reference_ellipses, reference_kron
from .comparison import SHAPE, FloatImage, assert_close, noise_image, positions
from .test_elliptical_apertures import moments_of, random_ellipses

ROUND = np.array([[2.25, 2.25, 0.0]])
CENTER = np.array([20.3]), np.array([19.6])


def gaussian(sigma: float = 1.5, x: float = 20.3, y: float = 19.6, shape: tuple[int, int] = SHAPE) -> FloatImage:
    """Draw a round source of flux 1000."""
    rows, columns = np.indices(shape)
    image = 1000 / (2 * math.pi * sigma**2) * np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / sigma**2)
    return image.astype(np.float32)


def measure(image: FloatImage, x: FloatArray, y: FloatArray, moments: FloatArray, **options: float) -> KronRadii:
    n_iterations = int(options.pop("n_iterations", 1))
    arguments = {"n_sigma": 3.0, "smoothing_sigma": -1.0} | options
    return measure_kron_radii(image, x, y, moments, n_iterations=n_iterations, **arguments)


@pytest.mark.parametrize("n_iterations", [1, 4])
@pytest.mark.parametrize("smoothing_sigma", [-1.0, 0.8])
def test_parity(rng: np.random.Generator, n_iterations: int, smoothing_sigma: float) -> None:
    image = np.abs(noise_image(rng)[0])
    image[:, 30:] -= np.float32(200.0)
    x, y = positions(rng, 20)
    matrices = random_ellipses(rng, len(x), 3.0)
    found = measure(
        image, x, y, moments_of(matrices), n_sigma=1.5, n_iterations=n_iterations, smoothing_sigma=smoothing_sigma
    )
    smoothed = reference_kron.smooth(image, smoothing_sigma) if smoothing_sigma > 0 else image
    expected = [
        reference_kron.measure_kron_radius(smoothed, x[i], y[i], matrix, 1.5, n_iterations)
        for i, matrix in enumerate(matrices)
    ]
    scale = np.full(len(x), 100.0 if smoothing_sigma <= 0 else 1e7)
    assert_close(found.radius, [e.radius for e in expected], scale)
    assert_close(found.radius_for_radius, [e.radius_for_radius for e in expected], scale)
    for name in ("off_image", "no_light", "is_small"):
        flags = [getattr(e, name) for e in expected]
        np.testing.assert_array_equal(getattr(found, name), flags)
        assert any(flags)
    assert np.isfinite(found.radius).sum() > 5


def test_the_radius_of_a_gaussian() -> None:
    found = measure(gaussian(), *CENTER, ROUND, n_sigma=6.0)
    assert found.radius[0] == pytest.approx(1.5 * math.sqrt(math.pi / 2), rel=0.01)
    assert found.radius_for_radius[0] == pytest.approx(9.0)
    assert psf_kron_radius(ROUND, -1.0)[0] == pytest.approx(1.5 * math.sqrt(math.pi / 2))
    assert psf_kron_radius(ROUND, 2.0)[0] == pytest.approx(2.5 * math.sqrt(math.pi / 2))


@pytest.mark.parametrize("moments", [[np.nan] * 3, [1.0, 1.0, 2.0], [np.inf, 1.0, 0.0], [0.0, 0.0, 0.0]])
def test_no_shape_is_no_radius(moments: list[float]) -> None:
    found = measure(gaussian(), *CENTER, np.array([moments]))
    assert np.isnan(found.radius).all()
    assert np.isnan(measure(gaussian(), np.array([np.nan]), CENTER[1], ROUND).radius).all()


def test_apertures_are_mapped(rng: np.random.Generator) -> None:
    matrices = random_ellipses(rng, 6, 4.0)
    radius = np.array([2.0, 3.0, np.nan, 0.0, -1.0, 5.0])
    jacobians = rng.normal(size=(6, 2, 2))
    found = kron_apertures(moments_of(matrices), radius, jacobians)
    for i, matrix in enumerate(matrices):
        if radius[i] > 0:
            scaled = matrix * radius[i] ** 2 / math.sqrt(np.linalg.det(matrix))
            np.testing.assert_allclose(found[i], moments_of([jacobians[i] @ scaled @ jacobians[i].T])[0])
        else:
            assert np.isnan(found[i]).all()
    area = np.abs(np.linalg.det(jacobians))
    np.testing.assert_allclose(determinant_radius(found)[[0, 1, 5]], (radius * np.sqrt(area))[[0, 1, 5]])


def test_fluxes_are_those_of_multiples_of_the_apertures(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng, 3)
    moments = moments_of(random_ellipses(rng, len(x), 2.0))
    found = kron_fluxes(image, variance, x, y, moments, n_radius_for_flux=2.5, max_sinc_radius=3.0)
    expected = elliptical_aperture_fluxes(image, variance, x, y, 2.5**2 * moments, max_sinc_radius=3.0)
    for value, goal in zip(found, expected, strict=True):
        np.testing.assert_array_equal(value, goal)


def measure_one(
    image: FloatImage,
    moments: FloatArray = ROUND,
    psf: FloatArray | None = ROUND,
    *,
    x: float = 20.3,
    bad: bool = False,
    **settings: float,
) -> MeasuredKron:
    return measured_kron_fluxes(
        image,
        np.ones_like(image),
        np.array([x + 100.0]),
        np.array([19.6 - 50.0]),
        moments,
        np.array([bad]),
        psf,
        settings=KronSettings(**settings),  # type: ignore[arg-type]
        x0=100,
        y0=-50,
    )


def flags_of(result: MeasuredKron) -> set[str]:
    return {name for name in MeasuredKron._fields if name.startswith("flag") and getattr(result, name)[0]}


def test_a_good_source_has_no_flag() -> None:
    result = measure_one(gaussian(2.0), np.array([[4.0, 4.0, 0.0]]))
    assert flags_of(result) == set()
    assert result.flux[0] == pytest.approx(1000.0, rel=0.03)
    assert result.psf_radius[0] == pytest.approx(1.88, abs=0.01)


def test_no_light_falls_back() -> None:
    dark = -gaussian()
    for psf, minimum, flags, radius in [
        (ROUND, 0.0, {"flag_bad_radius", "flag_used_psf_radius"}, 1.5 * math.sqrt(math.pi / 2)),
        (ROUND, 3.0, {"flag_bad_radius", "flag_used_minimum_radius"}, 3.0),
        (None, 3.0, {"flag_bad_radius", "flag_used_minimum_radius"}, 3.0),
        (None, 0.0, {"flag", "flag_bad_radius", "flag_no_fallback_radius"}, math.nan),
    ]:
        result = measure_one(dark, psf=psf, minimum_radius=minimum)
        assert flags_of(result) == flags
        assert result.radius[0] == pytest.approx(radius, nan_ok=True)
        assert np.isfinite(result.flux[0]) == np.isfinite(radius)


def test_small_radii_are_enlarged() -> None:
    wide_psf = np.array([[9.0, 9.0, 0.0]])
    result = measure_one(gaussian(), psf=wide_psf)
    assert flags_of(result) == {"flag_small_radius", "flag_used_psf_radius"}
    assert result.radius[0] == pytest.approx(3.0 * math.sqrt(math.pi / 2))
    result = measure_one(gaussian(), psf=None, minimum_radius=4.0)
    assert flags_of(result) == {"flag_small_radius", "flag_used_minimum_radius"}
    assert flags_of(measure_one(gaussian(), psf=None)) == {"flag", "flag_no_minimum_radius"}
    assert flags_of(measure_one(gaussian(), psf=None, enforce_minimum_radius=False)) == set()


def test_bad_shapes_are_the_psfs() -> None:
    nan = np.full((1, 3), np.nan)
    expected = measure_one(gaussian())
    for result in [measure_one(gaussian(), nan), measure_one(gaussian(), 9.0 * ROUND, bad=True)]:
        assert flags_of(result) == {"flag", "flag_bad_shape"}
        assert result.flux[0] == expected.flux[0]
    result = measure_one(gaussian(), nan, psf=None)
    assert flags_of(result) == {"flag", "flag_bad_shape_no_psf"}
    assert np.isnan(result.flux).all()


def test_the_edge() -> None:
    far = measure_one(gaussian(x=5.0), x=5.0)
    assert flags_of(far) == {"flag", "flag_edge"}
    assert np.isnan([far.flux[0], far.radius[0], far.psf_radius[0]]).all()
    # The radius is measured, but its multiple leaves the image.
    wide = measure_one(gaussian(x=12.0), x=12.0, n_radius_for_flux=10.0)
    assert flags_of(wide) == {"flag", "flag_edge"}
    assert np.isnan(wide.flux[0])
    assert wide.radius[0] > 1.5


def test_a_radius_that_is_not_larger_than_the_shapes_is_flagged() -> None:
    result = measure_one(gaussian(1.0), ROUND, np.array([[1.0, 1.0, 0.0]]), n_sigma=5.0)
    assert flags_of(result) == {"flag_bad_radius"}
    assert result.radius[0] == pytest.approx(math.sqrt(math.pi / 2), rel=0.05)
    assert result.radius_for_radius[0] == pytest.approx(7.5)


def test_fixed() -> None:
    result = measure_one(gaussian(), np.array([[16.0, 16.0, 0.0]]), fixed=True)
    assert flags_of(result) == set()
    assert result.radius[0] == pytest.approx(4.0)
    assert np.isnan(result.radius_for_radius[0])


def test_footprints() -> None:
    rows = np.arange(-30, 31)
    half = np.sqrt(30.0**2 - rows**2).astype(int)
    disc = np.stack([rows + 1000, 5000 - half, 5000 + half], axis=1)
    dot = np.array([[3, 4, 4]])
    ellipse = reference_ellipses.ellipse_matrix(20.0, 10.0, 0.5)
    y, x = np.nonzero(np.ones((51, 51)))
    distance = np.stack([x - 25, y - 25])
    inside = np.einsum("in,ij,jn->n", distance, np.linalg.inv(ellipse), distance) <= 1.0
    tilted = np.stack([y, x, x], axis=1)[inside]
    found = footprint_radii(Spans.of([disc, tilted, dot, np.zeros((0, 3), dtype=np.int64)]))
    np.testing.assert_allclose(found[:2], [30.0 / math.sqrt(2), 10.0], rtol=0.01)
    assert np.isnan(found[2:]).all()
    small = measured_kron_fluxes(
        gaussian(), np.ones(SHAPE, np.float32), *CENTER, ROUND, np.array([False]), ROUND, np.array([12.0])
    )
    assert small.radius_for_radius[0] == pytest.approx(12.0)
