"""Light curves have the periods, amplitudes, structure functions and beginnings that their rows say."""

from typing import Any

import numpy as np
import pytest
from astropy.timeseries import LombScargle
from hypothesis import example, given
from hypothesis import strategies as st

from forcedphot.survey import truth
from forcedphot.survey.light_curves import PERIODIC, TRANSIENT, VARIABLE, relative_flux

EPOCH = 60_640.0


def sources(n: int = 1, **values: Any) -> Any:
    columns = truth.columns(("g", "r", "i"), of_points=True, of_galaxies=False)
    return truth.build_table(columns, {"id": np.arange(n), "epoch_mjd": EPOCH, **values})


def walks(n: int, amplitude: float, timescale: float) -> Any:
    return sources(
        n,
        light_curve="random_walk",
        amplitude_mag=amplitude,
        timescale_day=timescale,
        light_curve_seed=np.arange(n) + 7,
    )


def magnitudes(flux: np.ndarray) -> np.ndarray:
    return np.asarray(-2.5 * np.log10(flux))


@pytest.mark.parametrize("name", PERIODIC)
@pytest.mark.parametrize("period", [0.37, 0.61, 7.3])
def test_lomb_scargle_finds_the_period(name: str, period: float, rng: np.random.Generator) -> None:
    table = sources(light_curve=name, amplitude_mag=0.6, period_day=period, peak_mjd=EPOCH + 0.1)
    mjd = np.sort(EPOCH + rng.uniform(0, 60, 300))
    flux = relative_flux(table, "r", mjd)[0] + rng.normal(0, 0.02, 300)
    frequency, power = LombScargle(mjd, flux, 0.02).autopower(minimum_frequency=0.05, maximum_frequency=4.0)
    assert 1 / frequency[np.argmax(power)] == pytest.approx(period, rel=0.01)


@pytest.mark.parametrize("name", PERIODIC)
def test_periodic_curves_have_range_mean_and_maximum(name: str) -> None:
    table = sources(light_curve=name, amplitude_mag=0.8, period_day=0.5, peak_mjd=EPOCH + 0.2)
    mjd = EPOCH + np.linspace(0, 0.5, 5001)[:-1]
    flux = relative_flux(table, "r", mjd)[0]
    assert np.ptp(magnitudes(flux)) == pytest.approx(0.8, rel=1e-5)
    assert flux.mean() == pytest.approx(1.0, rel=1e-5)
    assert mjd[np.argmax(flux)] == pytest.approx(EPOCH + 0.2, abs=1e-4)
    np.testing.assert_allclose(relative_flux(table, "r", mjd + 5.0)[0], flux, rtol=1e-6)
    ranges = [np.ptp(magnitudes(relative_flux(table, band, mjd)[0])) for band in "gri"]
    assert ranges[0] > ranges[1] > ranges[2]


def test_rr_lyrae_rise_faster_than_they_fall() -> None:
    table = sources(
        2, light_curve=np.array(["rr_lyrae", "sinusoid"]), amplitude_mag=0.8, period_day=0.5, peak_mjd=EPOCH
    )
    flux = relative_flux(table, "r", EPOCH + np.linspace(0, 0.5, 1001))
    assert np.mean(np.diff(flux[0]) > 0) == pytest.approx(0.15, abs=0.01)
    assert np.mean(np.diff(flux[1]) > 0) == pytest.approx(0.5, abs=0.01)


def test_random_walks_have_the_structure_function_of_damped_ones() -> None:
    amplitude, timescale = 0.2, 10.0
    table = walks(400, amplitude, timescale)
    mjd = EPOCH + np.arange(0.0, 40.0, 0.5)
    walk = magnitudes(relative_flux(table, "r", mjd))
    assert walk.std() == pytest.approx(amplitude, rel=0.05)
    for lag in (1, 4, 20, 60):
        squared = np.mean((walk[:, lag:] - walk[:, :-lag]) ** 2)
        expected = 2 * amplitude**2 * (1 - np.exp(-0.5 * lag / timescale))
        assert squared == pytest.approx(expected, rel=0.12), lag


def test_each_random_walk_has_all_time_scales() -> None:
    table = walks(60, 0.2, 5.0)
    mjd = EPOCH + np.arange(0.0, 200.0, 0.25)
    walk = magnitudes(relative_flux(table, "r", mjd))
    quick = np.sqrt(np.mean(np.diff(walk, axis=1) ** 2, axis=1))
    expected = np.sqrt(2 * 0.2**2 * (1 - np.exp(-0.25 / 5.0)))
    assert np.median(quick) == pytest.approx(expected, rel=0.15)
    assert quick.min() > 0.4 * expected


def test_random_walks_have_the_mean_flux_and_depend_on_the_seed_alone() -> None:
    table = walks(400, 0.3, 10.0)
    mjd = EPOCH + np.array([0.0, 50.0, 150.0])
    flux = relative_flux(table, "g", mjd)
    assert flux.mean() == pytest.approx(1.0, abs=4 * 0.35 / np.sqrt(flux.size))
    np.testing.assert_array_equal(relative_flux(table[::-1][:5], "g", mjd), flux[::-1][:5])
    # Evaluated at one time or at many, in any order: a walk is a function of time.
    np.testing.assert_allclose(relative_flux(table, "g", mjd[1]), flux[:, 1], rtol=1e-12)
    two = magnitudes(relative_flux(walks(2, 0.3, 1.0), "r", EPOCH + np.arange(0, 200.0, 2.0)))
    assert abs(np.corrcoef(two)[0, 1]) < 0.5


def test_supernovae_begin_peak_and_fade() -> None:
    table = sources(light_curve="supernova", start_mjd=EPOCH, peak_mjd=EPOCH + 15, timescale_day=16.0)
    mjd = EPOCH + np.linspace(-20, 80, 1001)
    for band in "gri":
        flux = relative_flux(table, band, mjd)[0]
        assert (flux[mjd <= EPOCH] == 0).all()
        assert (np.diff(flux[(mjd > EPOCH) & (mjd < EPOCH + 15)]) > 0).all()
        assert (np.diff(flux[mjd > EPOCH + 15]) < 0).all()
        assert flux.max() == pytest.approx(1.0, abs=1e-4)
        assert np.abs(np.diff(flux)).max() < 0.02  # no jumps
    late = EPOCH + 15 + np.array([60.0, 76.0])
    assert np.divide(*relative_flux(table, "r", late)[0]) == pytest.approx(np.e, rel=0.01)
    g, r, i = (relative_flux(table, band, EPOCH + 40.0).item() for band in "gri")
    assert g < r < i


def test_rising_transients_rise_until_their_maximum() -> None:
    table = sources(light_curve="rising", start_mjd=EPOCH, peak_mjd=EPOCH + 10)
    flux = relative_flux(table, "i", EPOCH + np.array([-100.0, 0.0, 1.0, 5.0, 10.0]))[0]
    np.testing.assert_allclose(flux, [0, 0, 0.01, 0.25, 1.0], atol=1e-12)


def test_constant_sources_are_constant() -> None:
    table = sources(3)
    np.testing.assert_array_equal(relative_flux(table, "r", EPOCH + np.arange(5.0)), np.ones((3, 5)))


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0,)])
def test_times_have_any_shape(shape: tuple[int, ...]) -> None:
    table = sources(
        2, light_curve=np.array(["constant", "sinusoid"]), amplitude_mag=0.5, period_day=3.0, peak_mjd=EPOCH
    )
    assert relative_flux(table, "r", np.full(shape, EPOCH)).shape == (2, *shape)


def test_no_sources_have_no_flux() -> None:
    assert relative_flux(sources(0), "r", [EPOCH]).shape == (0, 1)


@example("supernova", "r", 0.0, 470.375, 1.0, 0, [2.859517661286871e-11])
@given(
    name=st.sampled_from(VARIABLE + TRANSIENT),
    band=st.sampled_from(["g", "r", "i"]),
    amplitude=st.floats(0.0, 2.0),
    timescale=st.floats(0.05, 1000.0),
    rise=st.floats(0.1, 100.0),
    seed=st.integers(0, 2**62),
    days=st.lists(st.floats(-1000.0, 1000.0), min_size=1, max_size=5),
)
def test_relative_fluxes_are_finite_and_never_negative(
    name: str, band: str, amplitude: float, timescale: float, rise: float, seed: int, days: list[float]
) -> None:
    table = sources(
        light_curve=name,
        amplitude_mag=amplitude,
        period_day=timescale,
        timescale_day=timescale,
        start_mjd=EPOCH - rise,
        peak_mjd=EPOCH,
        light_curve_seed=seed,
    )
    flux = relative_flux(table, band, EPOCH + np.array(days))
    assert np.isfinite(flux).all()
    assert (flux >= 0).all()
    if name in TRANSIENT:
        assert (flux <= 1).all()
        assert (flux[0, np.array(days) <= -rise] == 0).all()
    else:
        assert (flux > 0).all()
