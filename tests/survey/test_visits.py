"""Fluxes measured on visits are the true ones, with the errors that they say; planes mean what they say."""

import pickle
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from astropy.table import Table

from forcedphot.conventions import Box, FloatArray
from forcedphot.exposure import Exposure
from forcedphot.exposure.wcs import AstropyWcs
from forcedphot.kernels.measured_kron import measured_kron_fluxes
from forcedphot.plugins import registry
from forcedphot.simple_measurement import SimpleForcedMeasurementConfig, SimpleForcedMeasurementTask
from forcedphot.survey.detector_effects import full_well_njy
from forcedphot.survey.drawing import draw_points
from forcedphot.survey.plan import EXPOSURE_TIME_S, DetectorPlan, SurveyPlan, VisitPlan
from forcedphot.survey.profiles import find_profile, find_size
from forcedphot.survey.sky import Sky, make_sky
from forcedphot.survey.visits import VisitArrays, aperture_corrections, simulate_visit

from .scenes import points_at, sky_of, stars_at

SPACING = 46.0
"""Between stars: stamps of 41 pixels do not overlap, wherever in the pixel the stars are."""


class Observed(NamedTuple):
    visit: VisitPlan
    detector: DetectorPlan
    sky: Sky
    x: FloatArray
    y: FloatArray
    arrays: VisitArrays


def flags(arrays: VisitArrays, name: str) -> Any:
    return (arrays.mask.array & arrays.mask.bits([name])) != 0


@pytest.fixture(scope="module")
def plan() -> SurveyPlan:
    return SurveyPlan(find_profile("dp1"), replace(find_size("tiny"), detector_size_pix=1100), 20)


@pytest.fixture(scope="module", params=["constant", "variable"])
def observed(plan: SurveyPlan, request: pytest.FixtureRequest) -> Observed:
    """Isolated stars of all magnitudes, all constant, or all variable."""
    rng = np.random.default_rng(4)
    visit = plan.visits[0]
    detector = visit.detectors[1]
    steps = np.arange(SPACING, 1100 - SPACING, SPACING)
    x, y = (values.ravel() + rng.uniform(-1.0, 1.0, values.size) for values in np.meshgrid(steps, steps))
    flux = np.exp(rng.uniform(np.log(100.0), np.log(1e6), len(x)))
    values: dict[str, Any] = {f"{band}_flux": flux for band in "gri"} | {"kind": "star"}
    if request.param == "variable":
        values |= {
            "kind": "variable",
            "is_variable": True,
            "light_curve": "sinusoid",
            "amplitude_mag": 0.7,
            "period_day": rng.uniform(0.3, 5.0, len(x)),
            "peak_mjd": 60000.0,
        }
    sky = sky_of(detector, stars_at(detector, x, y, values))
    return Observed(visit, detector, sky, x, y, simulate_visit(plan, visit, detector, sky))


def untouched(observed: Observed) -> Any:
    """Tell whose stamps have no pixel that was interpolated, is nearly full, or has no data."""
    arrays = observed.arrays
    touched = np.zeros(arrays.box.shape, dtype=bool)
    for name in ("INTERPOLATED", "SUSPECT", "NO_DATA"):
        touched |= flags(arrays, name)
    near = [
        touched[round(y) - 21 : round(y) + 22, round(x) - 21 : round(x) + 22].any()
        for x, y in zip(observed.x, observed.y, strict=True)
    ]
    return ~np.array(near)


def pulls(observed: Observed, exposure: Exposure, truth: FloatArray) -> FloatArray:
    stars = observed.sky.stars
    table = Table({"diaObjectId": stars["id"], "ra": stars["ra"], "dec": stars["dec"]})
    config = SimpleForcedMeasurementConfig()
    measured = SimpleForcedMeasurementTask(config=config).run(table, exposure).table
    values = (measured["base_PsfFlux_instFlux"] - truth) / measured["base_PsfFlux_instFluxErr"]
    found: FloatArray = np.asarray(values)[untouched(observed)]
    return found


@pytest.mark.parametrize("kind", ["visit", "difference"])
def test_fluxes_are_true(observed: Observed, kind: str) -> None:
    band = observed.visit.band
    truth = observed.sky.point_sources(band, observed.visit.mjd + EXPOSURE_TIME_S / 2 / 86400).flux
    mean_flux = observed.sky.reference_point_sources(band).flux
    if kind == "visit":
        found = pulls(observed, observed.arrays.visit_exposure(), truth)
    else:
        found = pulls(observed, observed.arrays.difference_exposure(), truth - mean_flux)
    n = len(found)
    assert n > 350
    # Three standard errors, two-sided: of 1000 right programs 3 fail.
    assert abs(found.mean()) < 3.0 / np.sqrt(n)
    assert abs(np.sqrt((found**2).mean()) - 1.0) < 3.0 / np.sqrt(2 * n)


def test_variance_is_that_of_empty_pixels(plan: SurveyPlan) -> None:
    visit = plan.visits[2]
    detector = visit.detectors[0]
    arrays = simulate_visit(plan, visit, detector, sky_of(detector))
    good = ~flags(arrays, "INTERPOLATED") & ~flags(arrays, "NO_DATA")
    for image, variance in (
        (arrays.image, arrays.variance),
        (arrays.difference, arrays.difference_variance),
    ):
        values = (image / np.sqrt(variance))[good]
        assert abs(values.mean()) < 4 / np.sqrt(values.size)
        assert abs(values.std() - 1.0) < 4 / np.sqrt(2 * values.size)
    assert (arrays.variance[good] == np.float32(visit.sky_sigma_njy**2)).all()
    assert (arrays.difference_variance[good] > arrays.variance[good]).all()


def test_planes(plan: SurveyPlan) -> None:
    visit = plan.visits[0]
    detector = visit.detectors[1]
    bright = {f"{band}_flux": [1e7, 3e6] for band in "gri"}
    sky = sky_of(detector, stars_at(detector, np.array([300.2, 700.6]), np.array([500.9, 600.1]), bright))
    arrays = simulate_visit(plan, visit, detector, sky)
    interpolated = flags(arrays, "INTERPOLATED")
    for name in ("SATURATED", "COSMIC_RAY", "BAD"):
        assert flags(arrays, name).any(), name
        assert interpolated[flags(arrays, name)].all()
    for name in ("DETECTED", "DETECTED_NEGATIVE"):
        assert not flags(arrays, name).any()
    assert flags(arrays, "SUSPECT").any()
    assert not (flags(arrays, "SUSPECT") & flags(arrays, "SATURATED")).any()
    assert np.isfinite(arrays.image).all(), "this detector has no dead corner"
    full_well = full_well_njy(visit)
    assert arrays.image.max() < 1.001 * full_well
    # The brightest pixel is ten times too bright for the detector, but not for the template.
    assert 0 < np.abs(arrays.difference[flags(arrays, "SATURATED")]).max() < 0.1 * full_well
    columns = np.flatnonzero(flags(arrays, "SATURATED").any(axis=0))
    assert (np.minimum(np.abs(columns - 300), np.abs(columns - 701)) < 10).all()
    rows = np.flatnonzero(flags(arrays, "SATURATED")[:, 300])
    assert len(rows) > 3 * (columns < 500).sum(), "it bleeds"


def test_dead_corners_have_no_data(plan: SurveyPlan) -> None:
    visit = plan.visits[1]
    detector = visit.detectors[0]
    star = {"i_flux": 2e6, "r_flux": 2e6}
    sky = sky_of(detector, stars_at(detector, np.array([1090.0]), np.array([1080.0]), star))
    arrays = simulate_visit(plan, visit, detector, sky)
    dead = flags(arrays, "NO_DATA")
    assert dead.any()
    for image in (arrays.image, arrays.difference):
        assert (np.isnan(image) == dead).all()
    for variance in (arrays.variance, arrays.difference_variance):
        assert (np.isinf(variance) == dead).all()
    for name in ("SATURATED", "COSMIC_RAY", "BAD", "INTERPOLATED", "SUSPECT"):
        assert not (dead & flags(arrays, name)).any()


@pytest.fixture(scope="module")
def tiny() -> tuple[SurveyPlan, VisitArrays]:
    plan = SurveyPlan(find_profile("dp1"), find_size("tiny"), 3)
    visit = plan.visits[0]
    return plan, simulate_visit(plan, visit, visit.detectors[0], make_sky(plan))


def test_of_a_whole_sky(tiny: tuple[SurveyPlan, VisitArrays]) -> None:
    plan, arrays = tiny
    visit = plan.visits[0]
    assert arrays.image.dtype == arrays.variance.dtype == arrays.difference.dtype == np.float32
    assert arrays.image.shape == visit.detectors[0].box.shape
    assert (arrays.image > 5 * np.sqrt(arrays.variance)).sum() > 1000, "there are sources"
    exposure = arrays.visit_exposure()
    assert str(exposure.unit) == "nJy"
    assert str(exposure.identity) == (
        f"instrument=LSSTComCam, visit={visit.id}, detector=4, band=i, physical_filter=i_06"
    )


def test_the_same_plan_the_same_images(tiny: tuple[SurveyPlan, VisitArrays]) -> None:
    plan, arrays = tiny
    again_plan = SurveyPlan(find_profile("dp1"), find_size("tiny"), 3)
    visit = again_plan.visits[0]
    again = simulate_visit(again_plan, visit, visit.detectors[0], make_sky(again_plan))
    other = simulate_visit(plan, visit, visit.detectors[1], make_sky(plan))
    for name in ("image", "variance", "difference", "difference_variance"):
        np.testing.assert_array_equal(getattr(again, name), getattr(arrays, name))
        assert (getattr(other, name) != getattr(arrays, name)).any()
    np.testing.assert_array_equal(again.mask.array, arrays.mask.array)


def test_it_travels_to_other_processes(tiny: tuple[SurveyPlan, VisitArrays]) -> None:
    arrays = tiny[1]
    again = pickle.loads(pickle.dumps(arrays))
    np.testing.assert_array_equal(again.image, arrays.image)
    assert again.identity == arrays.identity
    assert again.aperture_corrections.keys() == arrays.aperture_corrections.keys()
    x = np.array([0.0, 399.0, 130.0])
    for before, after in zip(
        AstropyWcs(arrays.wcs).pixel_to_sky(x, x[::-1]),
        AstropyWcs(again.wcs).pixel_to_sky(x, x[::-1]),
        strict=True,
    ):
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-12)


def test_aperture_corrections_make_fluxes_true(tiny: tuple[SurveyPlan, VisitArrays]) -> None:
    plan, arrays = tiny
    detector = plan.visits[0].detectors[0]
    steps = np.arange(60.0, 350.0, 70.0)
    x, y = (values.ravel() + 0.3 for values in np.meshgrid(steps, steps))
    flux = np.linspace(1e4, 1e5, len(x))
    points = points_at(detector, x, y, flux)
    variance = np.ones(detector.box.shape, dtype=np.float32)
    exposure = Exposure.from_arrays(
        draw_points(detector, arrays.psf, points),
        variance=variance,
        psf=arrays.psf.psf,
        wcs=detector.wcs,
    )
    config = SimpleForcedMeasurementConfig()
    config.plugins.names = [
        "base_TransformedCentroidFromCoord",
        "base_SdssShape",
        "base_PsfFlux",
        "base_GaussianFlux",
    ]
    config.slots.shape = "base_SdssShape"
    table = Table({"diaObjectId": points.ids, "ra": points.ra_deg, "dec": points.dec_deg})
    measured = SimpleForcedMeasurementTask(config=config).run(table, exposure).table
    shapes = np.stack([np.asarray(measured[f"base_SdssShape_{name}"]) for name in ("xx", "yy", "xy")], axis=1)
    kron = measured_kron_fluxes(
        exposure.image, variance, x, y, shapes, np.zeros(len(x), dtype=bool), arrays.psf.psf.moments(x, y)
    )
    found = {
        "base_PsfFlux": (measured["base_PsfFlux_instFlux"], 0.0),
        "base_GaussianFlux": (measured["base_GaussianFlux_instFlux"], 0.05),
        "ext_photometryKron_KronFlux": (kron.flux, 0.03),
    }
    for name, (raw, lost) in found.items():
        corrected = raw * arrays.aperture_corrections[f"{name}_instFlux"].evaluate(x, y)
        np.testing.assert_allclose(corrected, flux, rtol=2e-3)
        assert (np.abs(raw / flux - 1.0) >= lost).all(), "there was something to correct"


def test_every_flux_has_its_aperture_correction(tiny: tuple[SurveyPlan, VisitArrays]) -> None:
    arrays = tiny[1]
    names = {name for name in registry if registry[name].aperture_corrected and "onvolved" not in name}
    expected = {f"{name}_instFlux{suffix}" for name in names for suffix in ("", "Err")}
    assert set(aperture_corrections(arrays.psf.psf, Box(0, 0, 400, 400))) == expected
