"""Stars and galaxies are as frequent, coloured, fast and large as real ones."""

import numpy as np
import pytest

from forcedphot.survey.galaxy_population import I_RANGE as GALAXY_RANGE
from forcedphot.survey.galaxy_population import GalaxySample, draw_galaxies
from forcedphot.survey.stellar_population import StellarSample, draw_stars

STAR_RANGE = (16.0, 25.3)


@pytest.fixture(scope="module")
def stars() -> StellarSample:
    return draw_stars(np.random.default_rng(1), 40_000, STAR_RANGE)


@pytest.fixture(scope="module")
def galaxies() -> GalaxySample:
    return draw_galaxies(np.random.default_rng(2), 20_000)


def colour(sample: StellarSample | GalaxySample, one: str, other: str) -> np.ndarray:
    return np.asarray(sample.magnitudes[one] - sample.magnitudes[other])


def test_stars_have_a_blue_and_a_red_plume(stars: StellarSample) -> None:
    i, r_i = stars.magnitudes["i"], colour(stars, "r", "i")
    counts, _ = np.histogram(r_i[(i > 18) & (i < 22)], np.arange(0.0, 2.01, 0.2))
    assert counts[0] > 2 * counts[3]  # turn-off stars, and K dwarfs
    assert counts[6] > 1.15 * counts[3]  # M dwarfs
    assert counts[9] < 0.3 * counts[3]


def test_faint_blue_stars_are_beyond_the_galaxy(stars: StellarSample) -> None:
    i, r_i = stars.magnitudes["i"], colour(stars, "r", "i")
    blue = r_i < 0.3
    assert np.mean(blue[(i > 17) & (i < 20)]) > 3 * np.mean(blue[i > 24])


def test_stars_lie_on_the_stellar_locus(stars: StellarSample) -> None:
    g_r, r_i = colour(stars, "g", "r"), colour(stars, "r", "i")
    # Main-sequence stars of the SDSS: g - r is 0.4 near the Sun's r - i, and 1.4 for all M dwarfs.
    assert np.median(g_r[np.abs(r_i - 0.12) < 0.02]) == pytest.approx(0.37, abs=0.06)
    assert np.median(g_r[r_i > 1.0]) == pytest.approx(1.39, abs=0.02)
    assert np.std(g_r[r_i > 1.0]) < 0.05
    assert np.percentile(r_i, 1) > 0.0
    assert np.percentile(r_i, 99) < 2.0


def test_stars_get_more_frequent_with_magnitude(stars: StellarSample) -> None:
    i = stars.magnitudes["i"]
    counts, _ = np.histogram(i, np.arange(17, 25))
    assert (np.diff(counts) > 0).all()
    # High galactic latitudes: 0.1 to 0.25 dex a magnitude.
    assert 0.1 < np.polyfit(np.arange(7), np.log10(counts), 1)[0] < 0.25


def test_near_stars_move_fastest(stars: StellarSample) -> None:
    motion = np.hypot(*stars.proper_motion)
    i, r_i = stars.magnitudes["i"], colour(stars, "r", "i")
    red = (r_i > 1.2) & (r_i < 1.6)
    assert np.median(motion[red & (i < 18)]) > 3 * np.median(motion[red & (i > 22)])
    assert 1 < np.median(motion) < 20


@pytest.mark.parametrize("limits", [STAR_RANGE, (14.8, 16.0), (20.0, 20.5)])
def test_stars_have_magnitudes_in_the_range(limits: tuple[float, float]) -> None:
    i = draw_stars(np.random.default_rng(3), 1000, limits).magnitudes["i"]
    assert limits[0] <= i.min() < i.max() <= limits[1]
    assert np.ptp(i) > 0.9 * (limits[1] - limits[0])


def test_galaxies_get_more_frequent_with_magnitude(galaxies: GalaxySample) -> None:
    i = galaxies.magnitudes["i"]
    assert GALAXY_RANGE[0] <= i.min() < i.max() <= GALAXY_RANGE[1]
    counts, edges = np.histogram(i, np.arange(20, 25.6, 0.5))
    assert np.polyfit(edges[:-1], np.log10(counts), 1)[0] == pytest.approx(0.35, abs=0.03)


def test_faint_galaxies_are_smaller_and_bluer(galaxies: GalaxySample) -> None:
    i, radius, is_red = galaxies.magnitudes["i"], galaxies.disk_radius_arcsec, colour(galaxies, "g", "r") > 1.1
    assert np.median(radius[i < 22]) > 1.8 * np.median(radius[i > 24.5])
    assert 0.2 < np.median(radius[(i > 24) & (i < 25)]) < 0.5
    assert np.mean(is_red[i < 23]) > np.mean(is_red[i > 24]) > 0.05


def test_red_galaxies_have_bulges_and_are_rounder(galaxies: GalaxySample) -> None:
    is_red = colour(galaxies, "g", "r") > 1.1
    assert np.median(galaxies.bulge_fraction[is_red]) > 0.5 > 2 * np.median(galaxies.bulge_fraction[~is_red])
    assert np.median(galaxies.axis_ratio[is_red]) > np.median(galaxies.axis_ratio[~is_red])
    assert 0.2 < galaxies.axis_ratio.min() < galaxies.axis_ratio.max() <= 1
    assert (galaxies.bulge_radius_arcsec < galaxies.disk_radius_arcsec).all()
    assert np.ptp(galaxies.position_angle_deg) == pytest.approx(180, abs=1)


def test_galaxies_are_of_two_colours(galaxies: GalaxySample) -> None:
    counts, _ = np.histogram(colour(galaxies, "g", "r"), np.arange(0.0, 2.01, 0.2))
    blue, valley, red = counts[2], counts[5], counts[8]
    assert min(blue, red) > 2 * valley
