"""Statistics of light curves against numpy, by their definitions, and what too few points give."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot.conventions import FloatArray
from forcedphot.survey.light_curve_statistics import (
    PSF_FLUX_STATISTICS,
    psf_flux_statistics,
    science_flux_statistics,
    stetson_j,
    weighted_mean,
)


def _light_curve(n: int, seed: int = 0) -> tuple[FloatArray, FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    mjd = 60600.0 + np.sort(rng.uniform(0.0, 40.0, n))
    err = rng.uniform(50.0, 150.0, n)
    return mjd, 1000.0 + 20.0 * (mjd - 60600.0) + err * rng.standard_normal(n), err


def test_all_statistics_of_a_light_curve() -> None:
    mjd, flux, err = _light_curve(30)
    found = psf_flux_statistics(mjd, flux, err)
    mean = np.average(flux, weights=err**-2)
    expected = {
        "psfFluxMean": mean,
        "psfFluxMeanErr": np.sum(err**-2) ** -0.5,
        "psfFluxErrMean": np.mean(err),
        "psfFluxNdata": 30,
        "psfFluxMin": np.min(flux),
        "psfFluxMax": np.max(flux),
        "psfFluxMAD": np.median(np.abs(flux - np.median(flux))),
        "psfFluxChi2": np.sum((flux - mean) ** 2 / err**2),
        "psfFluxSigma": np.std(flux, ddof=1),
        "psfFluxMaxSlope": np.max(np.diff(flux) / np.diff(mjd)),
        "psfFluxPercentile05": np.percentile(flux, 5),
        "psfFluxPercentile50": np.median(flux),
        "psfFluxPercentile95": np.percentile(flux, 95),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-12), name
    slope, intercept = np.polyfit(mjd - 60600, flux, 1, w=1 / err)
    assert found["psfFluxLinearSlope"] == pytest.approx(slope)
    assert found["psfFluxLinearIntercept"] == pytest.approx(intercept - 60600 * slope)
    assert set(found) == set(PSF_FLUX_STATISTICS)


def test_the_order_of_points_does_not_matter() -> None:
    light_curve = _light_curve(12)
    shuffled = [values[np.random.default_rng(1).permutation(12)] for values in light_curve]
    assert psf_flux_statistics(*shuffled) == pytest.approx(psf_flux_statistics(*light_curve))


def test_points_that_are_not_finite_do_not_count() -> None:
    mjd, flux, err = _light_curve(12)
    spoiled = flux.copy(), err.copy()
    spoiled[0][3], spoiled[1][7], spoiled[1][8] = np.nan, np.inf, 0.0
    good = np.delete(np.arange(12), [3, 7, 8])
    assert psf_flux_statistics(mjd, *spoiled) == pytest.approx(
        psf_flux_statistics(mjd[good], flux[good], err[good])
    )


@pytest.mark.parametrize(("n", "undefined"), [(0, 18), (1, 6), (2, 1), (3, 0)])
def test_what_few_points_cannot_tell_is_nan(n: int, undefined: int) -> None:
    found = psf_flux_statistics(*_light_curve(n))
    assert found["psfFluxNdata"] == n
    assert sum(np.isnan(value) for value in found.values()) == undefined


def test_points_of_one_time_have_no_slope() -> None:
    found = psf_flux_statistics(np.full(3, 60000.0), np.array([1.0, 2.0, 4.0]), np.ones(3))
    assert np.isnan([found["psfFluxLinearSlope"], found["psfFluxMaxSlope"]]).all()
    assert found["psfFluxSkew"] == pytest.approx(0.3818, abs=1e-4)


def test_stetson_j_tells_variable_sources_from_constant_ones() -> None:
    rng = np.random.default_rng(5)
    constant = np.mean([stetson_j(rng.standard_normal(20), np.ones(20)) for _ in range(300)])
    # The mean of sign(x^2 - 1) sqrt(|x^2 - 1|) for a Gaussian x.
    x = rng.standard_normal(1_000_000)
    expected = np.mean(np.sign(x**2 - 1) * np.sqrt(np.abs(x**2 - 1)))
    assert constant == pytest.approx(expected, abs=0.06)
    variable = stetson_j(10 * np.sin(np.arange(20.0)), np.ones(20))
    assert variable > 5


def test_stetson_j_of_two_points_by_hand() -> None:
    # The mean is in the middle; both residuals are sqrt(2) * 3.
    assert stetson_j(np.array([1.0, 7.0]), np.ones(2)) == pytest.approx(np.sqrt(17.0), rel=1e-6)


@given(st.lists(st.floats(-1e5, 1e5), min_size=1, max_size=20), st.floats(0.1, 100.0))
@settings(max_examples=60, deadline=None)
def test_means_lie_between_the_extremes(fluxes: list[float], err: float) -> None:
    flux, flux_err = np.array(fluxes), np.full(len(fluxes), err)
    mean, mean_err = weighted_mean(flux, flux_err)
    assert flux.min() - 1e-6 <= mean <= flux.max() + 1e-6
    assert mean_err == pytest.approx(err / np.sqrt(len(fluxes)))
    found = science_flux_statistics(flux, flux_err)
    assert found["scienceFluxMean"] == pytest.approx(mean)
    assert np.isnan(found["scienceFluxSigma"]) == (len(fluxes) < 2)
