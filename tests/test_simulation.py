"""Simulated exposures hold what their catalogs say, with the noise that their variance says."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot.errors import ConfigurationError
from forcedphot.psf import KernelImagePsf
from forcedphot.simulation import EDGE_WIDTH, PLANES, Noise, simulate_exposure

WITHOUT_NOISE = Noise(sky=0.0, gain=math.inf)


def psf_fluxes(field: Any) -> tuple[np.ndarray, np.ndarray]:
    """The obvious PSF photometry, one source at a time, with the aperture correction."""
    exposure, catalog = field.exposure, field.catalog
    x, y = np.asarray(catalog["x"]), np.asarray(catalog["y"])
    stamps = exposure.psf.images(x, y)
    height, width = exposure.psf.stamp_shape
    flux, error = np.empty(len(x)), np.empty(len(x))
    for i, model in enumerate(stamps.images):
        rows = slice(stamps.y0[i] - exposure.y0, stamps.y0[i] - exposure.y0 + height)
        columns = slice(stamps.x0[i] - exposure.x0, stamps.x0[i] - exposure.x0 + width)
        norm = (model**2).sum()
        flux[i] = (model * exposure.image[rows, columns]).sum() / norm
        error[i] = np.sqrt((model**2 * exposure.variance[rows, columns]).sum()) / norm
    correction = exposure.aperture_corrections["base_PsfFlux_instFlux"].evaluate(x, y)
    return flux * correction, error * correction


@pytest.mark.parametrize("kind", ["visit", "coadd"])
def test_without_noise_the_fluxes_are_the_true_ones(kind: Any) -> None:
    field = simulate_exposure(shape=(400, 500), n_sources=30, kind=kind, min_separation=50, noise=WITHOUT_NOISE)
    flux, _ = psf_fluxes(field)
    np.testing.assert_allclose(flux, field.catalog["flux"], rtol=1e-5)


@pytest.mark.parametrize("kind", ["visit", "coadd"])
def test_noise_is_that_of_the_variance(kind: Any) -> None:
    field = simulate_exposure(shape=(1500, 1600), n_sources=700, kind=kind, min_separation=50, seed=3)
    flux, error = psf_fluxes(field)
    pulls = (flux - field.catalog["flux"]) / error
    assert abs(pulls.mean()) < 4 / math.sqrt(700)
    assert abs(pulls.std() - 1) < 4 / math.sqrt(2 * 700)


def test_catalog_lies_where_the_wcs_says() -> None:
    field = simulate_exposure(shape=(300, 320), n_sources=20, kind="coadd", origin=(-5000, 77))
    catalog = field.catalog
    ra, dec = (np.radians(catalog[name].data) for name in ("coord_ra", "coord_dec"))
    x, y = field.exposure.wcs.sky_to_pixel(ra, dec)
    np.testing.assert_allclose(x, catalog["x"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(y, catalog["y"], rtol=0, atol=1e-6)
    assert field.exposure.bbox.contains(x, y).all()
    assert catalog["objectId"].dtype == np.int64
    assert [str(catalog[name].unit) for name in catalog.colnames[1:]] == ["deg", "deg", "nJy", "pix", "pix"]


def test_wcs_has_the_scale_and_centre_it_says() -> None:
    exposure = simulate_exposure(shape=(301, 401), n_sources=0, origin=(1000, 2000)).exposure
    ra, dec = exposure.wcs.pixel_to_sky(np.array([1200.0, 1201.0]), np.array([2150.0, 2150.0]))
    np.testing.assert_allclose([np.degrees(ra[0]), np.degrees(dec[0])], [53.1, -28.1], rtol=1e-12)
    step = np.hypot((ra[1] - ra[0]) * np.cos(dec[0]), dec[1] - dec[0])
    assert np.degrees(step) * 3600 == pytest.approx(0.2, rel=1e-6)


def test_mask() -> None:
    exposure = simulate_exposure(shape=(600, 600), n_sources=50).exposure
    assert exposure.mask.planes == PLANES
    marked = {name: (exposure.mask.array >> bit & 1).astype(bool) for name, bit in PLANES.items()}
    for name in ("BAD", "SAT", "INTRP", "CR", "EDGE", "DETECTED"):
        assert marked[name].any(), name
    assert marked["EDGE"].sum() == 600**2 - (600 - 2 * EDGE_WIDTH) ** 2
    assert marked["INTRP"][marked["CR"]].all()


def test_same_arguments_same_exposure() -> None:
    first, second, other = (simulate_exposure(shape=(200, 200), n_sources=9, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.exposure.image, second.exposure.image)
    assert (first.catalog["flux"] == second.catalog["flux"]).all()
    assert (first.catalog["flux"] != other.catalog["flux"]).any()


def test_stars_at_the_border_are_cut() -> None:
    psf = KernelImagePsf(np.arange(51.0 * 51).reshape(51, 51))
    field = simulate_exposure(shape=(30, 40), n_sources=8, psf=psf, margin=0, noise=WITHOUT_NOISE)
    assert field.exposure.psf is psf
    x, y, flux = (np.asarray(field.catalog[name]) for name in ("x", "y", "flux"))
    flux = flux / field.exposure.aperture_corrections["base_PsfFlux_instFlux"].evaluate(x, y)
    stamps = psf.images(x, y)
    padded = np.zeros((30 + 120, 40 + 120))
    for image, x0, y0, scale in zip(stamps.images, stamps.x0 + 60, stamps.y0 + 60, flux, strict=True):
        padded[y0 : y0 + 51, x0 : x0 + 51] += scale * image
    np.testing.assert_allclose(field.exposure.image, padded[60:-60, 60:-60], rtol=1e-5, atol=1e-3)


@settings(deadline=None, max_examples=50)
@given(
    shape=st.tuples(st.integers(150, 400), st.integers(150, 400)),
    n_sources=st.integers(1, 60),
    min_separation=st.floats(1.0, 40.0),
    seed=st.integers(0, 1000),
)
def test_separation_and_margin(shape: tuple[int, int], n_sources: int, min_separation: float, seed: int) -> None:
    try:
        field = simulate_exposure(
            shape=shape, n_sources=n_sources, min_separation=min_separation, seed=seed, margin=20, origin=(7, -9)
        )
    except ConfigurationError:
        assert n_sources > (min(shape) - 41) ** 2 / (2 * min_separation) ** 2
        return
    x, y = np.asarray(field.catalog["x"]), np.asarray(field.catalog["y"])
    distance = np.hypot(x[:, np.newaxis] - x, y[:, np.newaxis] - y) + 1e9 * np.eye(n_sources)
    assert distance.min() >= min_separation - 1e-9
    assert x.min() >= 27
    assert y.min() >= 11
    assert x.max() <= 7 + shape[1] - 1 - 20
    assert y.max() <= -9 + shape[0] - 1 - 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"flux_range": (0.0, 10.0)}, "positive"),
        ({"flux_range": (10.0, 1.0)}, "positive"),
        ({"flux_range": (1.0, math.inf)}, "positive"),
        ({"n_sources": -1}, "do not fit"),
        ({"margin": -1.0}, "do not fit"),
        ({"margin": 300.0}, "margin of 300"),
        ({"min_separation": 100.0}, "at most"),
    ],
)
def test_impossible_wishes(arguments: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        simulate_exposure(**{"shape": (300, 300), "n_sources": 50, **arguments})
