"""Magnitudes in two bands: as the documents get them step by step, from catalogs and from tables of objects."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, Table
from lsst.daf.butler import Butler

from forcedphot.errors import ConfigurationError, InputTableError
from forcedphot.exposure import PhotoCalib
from forcedphot.multi_band import of_catalogs, of_objects, read_bands, select_stars
from forcedphot.survey import SimulatedSurvey

PATCH = {"skymap": "hsc_rings_v1", "tract": 0, "patch": 10}
BANDS = ("r", "i")

type Survey = Callable[[str], SimulatedSurvey]


@pytest.fixture(scope="module")
def hsc(simulated: Survey, forgotten_stack_names: None) -> Iterator[Butler]:
    import forcedphot.butler  # noqa: F401 - the storage class SourceCatalog has our type

    survey = simulated("hsc")
    with Butler.from_config(str(survey.repository), collections=survey.collection) as butler:
        yield butler


@pytest.fixture(scope="module")
def of_patch(hsc: Butler) -> Table:
    return read_bands(hsc, BANDS, tract=0, patch=10)


def test_forced_catalogs_step_by_step(hsc: Butler, of_patch: Table) -> None:
    reference = hsc.get("deepCoadd_ref", PATCH)
    selected = reference["detect_isPrimary"].copy()
    for band in BANDS:
        sources = hsc.get("deepCoadd_forced_src", PATCH, band=band)
        calibration = hsc.get("deepCoadd_calexp", PATCH, band=band)
        assert calibration.unit == u.nJy
        magnitudes = PhotoCalib(1.0).getMagnitude(sources["base_PsfFlux_instFlux"])
        np.testing.assert_array_equal(of_patch[f"{band}_psfMag"], magnitudes)
        np.testing.assert_array_equal(of_patch[f"{band}_is_good"], ~sources["base_PsfFlux_flag"])
        selected &= ~sources["base_PsfFlux_flag"] & (sources["base_PsfFlux_instFlux"] > 0)
    stellar = sources["base_ClassificationExtendedness_value"] < 1.0
    np.testing.assert_array_equal(of_patch["is_stellar"], stellar)
    np.testing.assert_array_equal(select_stars(of_patch, BANDS), selected & stellar)
    assert 10 < (selected & stellar).sum() < len(of_patch)
    assert of_patch["r_psfFluxErr"].unit == u.nJy
    assert of_patch["i_psfMag"].unit == u.mag
    assert (set(of_patch["tract"]), set(of_patch["patch"])) == ({0}, {10})


def test_all_patches_have_each_star_once(hsc: Butler, of_patch: Table) -> None:
    everything = read_bands(hsc, BANDS)
    assert len(everything) > len(of_patch)
    stars = everything[select_stars(everything, BANDS, signal_to_noise=20.0)]
    assert len(set(stars["patch"])) == 2
    distance = np.hypot(stars["ra"] - stars["ra"][:, None], stars["dec"] - stars["dec"][:, None])
    np.fill_diagonal(distance, np.inf)
    assert distance.min() * 3600 > 0.3


def test_colours_are_those_of_the_truth(hsc: Butler, of_patch: Table) -> None:
    truth = hsc.get("truth_summary", skymap="hsc_rings_v1", tract=0)
    truth = truth[truth["kind"] == "star"]
    stars = of_patch[select_stars(of_patch, BANDS, signal_to_noise=20.0)]
    distance = np.hypot(stars["ra"][:, None] - truth["ra"], stars["dec"][:, None] - truth["dec"])
    nearest, is_there = distance.argmin(axis=1), distance.min(axis=1) * 3600 < 0.3
    assert is_there.sum() >= 10
    true_colour = -2.5 * np.log10(truth["r_flux"] / truth["i_flux"])[nearest]
    wrong = (stars["r_psfMag"] - stars["i_psfMag"] - true_colour)[is_there]
    noise = np.hypot(stars["r_psfMagErr"], stars["i_psfMagErr"])[is_there]
    # Of stars beside others, a few have some of their light.
    assert np.abs(np.median(wrong / noise)) < 3 * 1.2533 / np.sqrt(len(wrong))
    assert np.median(np.abs(wrong)) < 0.05


def test_calibrations_are_applied(hsc: Butler) -> None:
    reference = hsc.get("deepCoadd_ref", PATCH)
    forced = {band: hsc.get("deepCoadd_forced_src", PATCH, band=band) for band in BANDS}
    table = of_catalogs(forced, {"r": PhotoCalib(1.0), "i": PhotoCalib(100.0, 1.0)}, reference)
    inst = {band: forced[band]["base_PsfFlux_instFlux"] for band in BANDS}
    np.testing.assert_allclose(table["i_psfFlux"], 100.0 * inst["i"])
    np.testing.assert_allclose(
        table["i_psfFluxErr"], 100.0 * np.hypot(forced["i"]["base_PsfFlux_instFluxErr"], 0.01 * inst["i"])
    )
    np.testing.assert_allclose(table["r_psfFlux"], inst["r"])
    with pytest.raises(InputTableError, match="forced catalog in r are not those of its reference"):
        of_catalogs({"r": forced["r"][::-1]}, {"r": PhotoCalib(1.0)}, reference)


@pytest.mark.parametrize("profile", ["dp1", "dp02"])
def test_tables_of_objects(simulated: Survey, profile: str) -> None:
    survey = simulated(profile)
    with Butler.from_config(str(survey.repository), collections=survey.collection) as butler:
        everything = read_bands(butler, BANDS)
        patches = sorted(set(everything["patch"]))
        parts = [read_bands(butler, BANDS, patch=patch) for patch in patches]
        with pytest.raises(
            ConfigurationError, match=r"no rows of object or .* or deepCoadd_forced_src, of tract 1, in"
        ):
            read_bands(butler, BANDS, tract=1)
        with pytest.raises(InputTableError, match="no column g_psfFlux, g_psfFluxErr, g_psfFlux_flag"):
            read_bands(butler, ("g", "r"))
    assert len(patches) == 2
    assert sum(map(len, parts)) == len(everything)
    assert everything["is_primary"].all() == (profile == "dp1")
    shown = select_stars(everything, BANDS, signal_to_noise=5.0)
    assert 20 < shown.sum() < everything["is_primary"].sum()
    stars = everything[shown]
    np.testing.assert_allclose(stars["r_psfMag"], 31.4 - 2.5 * np.log10(stars["r_psfFlux"]), atol=1e-4)
    assert 0.0 < np.median(stars["r_psfMag"] - stars["i_psfMag"]) < 1.5


def test_a_masked_value_is_none() -> None:
    values = {"objectId": [1, 2, 3], "coord_ra": [1.0, 2.0, 3.0], "coord_dec": [0.0, 0.0, 0.0]}
    table = Table({**values, "tract": [1, 1, 1], "patch": [2, 2, 2], "refExtendedness": [0.0, 0.0, 1.0]})
    for band in BANDS:
        table[f"{band}_psfFlux"] = MaskedColumn([3631e9, 100.0, 100.0], mask=[False, band == "i", False])
        table[f"{band}_psfFluxErr"] = 10.0
        table[f"{band}_psfFlux_flag"] = False
    found = of_objects(table, BANDS)
    assert found["i_psfMag"][0] == pytest.approx(0.0, abs=1e-3)
    assert np.isnan(found["i_psfMag"][1])
    assert select_stars(found, BANDS).tolist() == [True, False, False]
    assert select_stars(found, ["r"], signal_to_noise=10.0).tolist() == [True, True, False]
    assert select_stars(found, ["r"], signal_to_noise=10.1).tolist() == [True, False, False]
    table["r_psfFlux_flag"] = MaskedColumn([False] * 3, mask=[True, False, False])
    table["detect_isPrimary"] = MaskedColumn([True] * 3, mask=[False, False, True])
    found = of_objects(table, BANDS)
    assert found["r_is_good"].tolist() == [False, True, True]
    assert found["is_primary"].tolist() == [True, True, False]


def test_bands_are_different_and_there(hsc: Butler) -> None:
    with pytest.raises(ConfigurationError, match="The bands r, r should be different"):
        read_bands(hsc, ("r", "r"))
    with pytest.raises(ConfigurationError, match=r"no deepCoadd_forced_src in z of .*patch: 10"):
        read_bands(hsc, ("r", "z"))
