"""Objects of a patch: complete and pure, primary by definition, families that agree, right fluxes."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from forcedphot.conventions import BoolArray, Box, IntArray
from forcedphot.errors import ExposureError
from forcedphot.exposure import Exposure
from forcedphot.id_generator import IdGenerator
from forcedphot.survey.detection import detect
from forcedphot.survey.merging import SKY_FLAG, merge_detections, merge_schema, sky_footprints
from forcedphot.survey.object_table import object_table
from forcedphot.survey.objects import ObjectCatalogs, measure_objects
from forcedphot.tasks.columns import Release

from .catalog_scenes import Scene, grid_of_stars, stars, units_and_types

SIGMAS = {"g": 2.1, "r": 1.9, "i": 1.7}
COLOURS = {"g": 0.5, "r": 0.8, "i": 1.0}
INNER = Box(60, 60, 480, 480)
OFFSET = 5063 << 40


class _Ids(IdGenerator):
    def arange(self, *arguments: Any, **keywords: Any) -> IntArray:
        return super().arange(*arguments, **keywords) + OFFSET


@pytest.fixture(scope="module")
def scene() -> Scene:
    rng = np.random.default_rng(3)
    isolated = grid_of_stars(12, side=600, flux=(1200.0, 30000.0))
    # A companion beside every fourth star.
    angle = rng.uniform(0, 2 * np.pi, 36)
    x = np.concatenate([isolated.x, isolated.x[::4] + 11 * np.cos(angle)])
    y = np.concatenate([isolated.y, isolated.y[::4] + 11 * np.sin(angle)])
    flux = np.concatenate([isolated.flux, isolated.flux[::4] * rng.uniform(0.4, 1.0, 36)])
    return stars(x, y, flux, side=600, sigmas=SIGMAS, colours=COLOURS, seed=9)


@pytest.fixture(scope="module")
def catalogs(scene: Scene) -> ObjectCatalogs:
    return measure_objects(scene.exposures, INNER, Box(0, 0, 600, 600), _Ids(), seed=11)


def _leaves(catalogs: ObjectCatalogs) -> BoolArray:
    reference = catalogs.reference
    leaves: BoolArray = (reference["deblend_nChild"] == 0) & ~reference[SKY_FLAG]
    return leaves


def test_detections_are_complete_and_pure(scene: Scene, catalogs: ObjectCatalogs) -> None:
    chosen = catalogs.reference[_leaves(catalogs)]
    distance, star = scene.nearest(chosen["slot_Centroid_x"], chosen["slot_Centroid_y"])
    assert (distance < 1.0).mean() > 0.97
    assert len(set(star[distance < 1.0])) / len(scene.x) > 0.97
    assert len(set(star[distance < 1.0])) == (distance < 1.0).sum()


def test_rows_agree_in_all_bands_and_ids_are_unique(catalogs: ObjectCatalogs) -> None:
    reference = catalogs.reference
    ids = reference["id"]
    assert len(set(ids.tolist())) == len(ids)
    assert ids.min() == OFFSET + 1
    for band in SIGMAS:
        for catalog in (catalogs.measured[band], catalogs.forced[band]):
            np.testing.assert_array_equal(catalog["id"], ids)
            np.testing.assert_array_equal(catalog["parent"], reference["parent"])
            np.testing.assert_array_equal(catalog["deblend_nChild"], reference["deblend_nChild"])
        np.testing.assert_array_equal(catalogs.forced[band]["objectId"], ids)


def test_parents_have_the_children_that_they_count(catalogs: ObjectCatalogs) -> None:
    reference = catalogs.reference
    parents = reference[reference["deblend_nChild"] > 0]
    assert len(parents) >= 20
    for parent in parents:
        children = reference[reference["parent"] == parent["id"]]
        assert len(children) == parent["deblend_nChild"] == parent["deblend_nPeaks"]
        assert (children["deblend_nChild"] == 0).all()
        inside = set(zip(*(values.tolist() for values in parent.getFootprint().pixels()), strict=True))
        for child in children:
            assert child.getFootprint().is_heavy
            assert set(zip(*(v.tolist() for v in child.getFootprint().pixels()), strict=True)) <= inside
    is_child = reference["parent"] != 0
    assert set(reference["parent"][is_child].tolist()) == set(parents["id"].tolist())


def test_the_primary_flag_is_what_its_definition_says(catalogs: ObjectCatalogs) -> None:
    reference = catalogs.reference
    expected = (
        (reference["deblend_nChild"] == 0)
        & reference["detect_isPatchInner"]
        & reference["detect_isTractInner"]
        & ~reference["merge_peak_sky"]
    )
    np.testing.assert_array_equal(reference["detect_isPrimary"], expected)
    inner = INNER.contains(reference["slot_Centroid_x"], reference["slot_Centroid_y"])
    np.testing.assert_array_equal(reference["detect_isPatchInner"], inner)
    for rows in (inner, reference[SKY_FLAG], reference["deblend_nChild"] > 0):
        assert 0 < rows.sum() < len(reference)


def test_sky_objects_are_blank(scene: Scene, catalogs: ObjectCatalogs) -> None:
    sky = catalogs.reference[SKY_FLAG]
    assert sky.sum() == round(40 * 0.36)
    distance, _ = scene.nearest(
        catalogs.reference["deblend_peak_center_x"][sky], catalogs.reference["deblend_peak_center_y"][sky]
    )
    assert distance.min() > 10
    for band in SIGMAS:
        pull = catalogs.forced[band]["base_PsfFlux_instFlux"] / catalogs.forced[band]["base_PsfFlux_instFluxErr"]
        assert np.abs(pull[sky]).max() < 5
        assert not catalogs.reference[f"merge_peak_{band}"][sky].any()


@pytest.mark.parametrize("band", list(SIGMAS))
def test_fluxes_are_those_of_the_stars_within_their_errors(
    scene: Scene, catalogs: ObjectCatalogs, band: str
) -> None:
    forced = catalogs.forced[band]
    distance, star = scene.nearest(forced["slot_Centroid_x"], forced["slot_Centroid_y"])
    near = _leaves(catalogs) & (distance < 0.5)
    pull = (forced["base_PsfFlux_instFlux"] - COLOURS[band] * scene.flux[star]) / forced[
        "base_PsfFlux_instFluxErr"
    ]
    isolated = near & (catalogs.reference["parent"] == 0)
    assert isolated.sum() > 80
    assert abs(np.mean(pull[isolated])) < 4 / np.sqrt(isolated.sum())
    assert 0.8 < np.std(pull[isolated]) < 1.2
    # Blends share what the templates cannot tell apart.
    ratio = forced["base_PsfFlux_instFlux"] / (COLOURS[band] * scene.flux[star])
    children = near & (catalogs.reference["parent"] != 0)
    assert children.sum() > 40
    assert np.median(np.abs(ratio[children] - 1)) < 0.05
    assert np.median(ratio[children]) == pytest.approx(1.0, abs=0.02)


def test_stars_are_points_and_their_other_fluxes_agree(catalogs: ObjectCatalogs) -> None:
    bright = _leaves(catalogs) & (catalogs.reference["parent"] == 0)
    bright &= catalogs.reference["slot_PsfFlux_instFlux"] > 5000
    assert catalogs.reference["base_ClassificationExtendedness_value"][bright].mean() < 0.05
    for name in ("base_GaussianFlux", "ext_photometryKron_KronFlux"):
        for catalog in (catalogs.measured["i"], catalogs.forced["i"]):
            ratio = (catalog[f"{name}_instFlux"] / catalog["base_PsfFlux_instFlux"])[bright]
            assert np.nanmedian(ratio) == pytest.approx(1.0, abs=0.02)


def test_galaxies_are_extended() -> None:
    points = grid_of_stars(5, flux=(3000.0, 20000.0), sigmas={"i": 1.7})
    wide = grid_of_stars(5, flux=(3000.0, 20000.0), sigmas={"i": 2.6})
    blurred = {"i": _with_psf_of(wide.exposures["i"], points.exposures["i"])}
    found = measure_objects(blurred, Box(0, 0, 300, 300), Box(0, 0, 300, 300), IdGenerator()).reference
    assert found["base_ClassificationExtendedness_value"][~found[SKY_FLAG]].mean() > 0.95


def _with_psf_of(exposure: Exposure, other: Exposure) -> Exposure:
    return dataclasses.replace(exposure, psf=other.psf, aperture_corrections=other.aperture_corrections)


def test_the_reference_band_is_the_first_in_which_an_object_is_bright() -> None:
    x, y = np.array([100.0, 200.0]), np.array([100.0, 200.0])
    blue = stars(x, y, np.array([10000.0, 400.0]), sigmas={"g": 1.7})
    red = stars(x, y, np.array([10.0, 10000.0]), sigmas={"i": 1.7}, seed=1)
    found = measure_objects(
        {**blue.exposures, **red.exposures}, Box(0, 0, 300, 300), Box(0, 0, 300, 300), IdGenerator()
    )
    leaves = np.flatnonzero(~found.reference[SKY_FLAG])
    order = leaves[np.argsort(found.reference["slot_Centroid_x"][leaves])]
    assert [found.reference_bands()[row] for row in order] == ["g", "i"]
    assert found.reference["merge_peak_g"][order].tolist()[0]
    assert not found.reference["merge_peak_i"][order[0]]


def test_measuring_again_gives_the_same(scene: Scene, catalogs: ObjectCatalogs) -> None:
    again = measure_objects(scene.exposures, INNER, Box(0, 0, 600, 600), _Ids(), seed=11)
    for name, values in catalogs.reference.columns.items():
        np.testing.assert_array_equal(again.reference[name], values)


def test_a_blank_patch_has_sky_objects_only() -> None:
    exposures = stars(np.zeros(0), np.zeros(0), np.zeros(0), side=200, sigmas=SIGMAS).exposures
    found = measure_objects(exposures, Box(0, 0, 200, 200), Box(0, 0, 200, 200), IdGenerator())
    assert len(found.reference) > 0
    assert found.reference[SKY_FLAG].all()
    assert not found.reference["detect_isPrimary"].any()
    table = object_table("dp1", found, exposures, skymap="map", tract=1, patch=2)
    assert len(table) == 0


def test_coadds_of_different_pixels_are_refused() -> None:
    small, large = grid_of_stars(1, side=200), grid_of_stars(1, side=220)
    with pytest.raises(ExposureError, match="same pixels"):
        measure_objects({"i": small.exposures["i"], "r": large.exposures["i"]}, INNER, INNER, IdGenerator())


def test_peaks_of_two_bands_are_merged_by_distance() -> None:
    first = stars(np.array([50.0, 100.0]), np.array([50.0, 100.0]), np.full(2, 9000.0), side=150)
    # One star where the first band has it, one 9 pixels beside another, one elsewhere.
    second = stars(np.array([50.3, 109.0, 60.0]), np.array([50.0, 100.0, 120.0]), np.full(3, 9000.0), side=150)
    merged = merge_detections({"i": detect(first.exposures["i"]), "r": detect(second.exposures["i"])})
    flags = sorted(
        (round(float(peak["f_x"])), bool(peak["merge_peak_i"]), bool(peak["merge_peak_r"]))
        for footprint in merged
        for peak in footprint.peaks
    )
    assert flags == [(50, True, True), (60, False, True), (100, True, False), (109, False, True)]
    assert sorted(len(footprint.peaks) for footprint in merged) == [1, 1, 2]
    (blend,) = (footprint for footprint in merged if len(footprint.peaks) == 2)
    assert blend.peaks["merge_footprint_i"].all()
    assert blend.peaks["merge_footprint_r"].all()


def test_sky_objects_need_room() -> None:
    usable = np.zeros((60, 60), dtype=bool)
    usable[:30] = True
    made = sky_footprints((), merge_schema(["i"]), usable, Box(5, 7, 60, 60), 50, 3)
    assert 1 <= len(made) <= 3
    for footprint in made:
        x, y = footprint.pixels()
        assert usable[y - 7, x - 5].all()
    assert sky_footprints((), merge_schema(["i"]), np.zeros((60, 60), bool), Box(0, 0, 60, 60), 5, 3) == ()


@pytest.mark.parametrize("release", ["dp1", "dp02"])
def test_the_table_says_what_the_catalogs_say(scene: Scene, catalogs: ObjectCatalogs, release: Release) -> None:
    table = object_table(release, catalogs, scene.exposures, skymap="map", tract=5063, patch=14)
    reference = catalogs.reference
    rows = reference["detect_isPrimary"] if release == "dp1" else np.ones(len(reference), dtype=bool)
    np.testing.assert_array_equal(table["objectId"], reference["id"][rows])
    np.testing.assert_allclose(table["coord_ra"], np.degrees(reference["coord_ra"][rows]))
    for band in SIGMAS:
        np.testing.assert_allclose(
            table[f"{band}_psfFlux"], catalogs.forced[band]["base_PsfFlux_instFlux"][rows], rtol=1e-6
        )
        np.testing.assert_allclose(
            table[f"{band}_kronFlux"],
            catalogs.measured[band]["ext_photometryKron_KronFlux_instFlux"][rows],
            rtol=1e-6,
        )
    assert table["refBand"].tolist() == [
        band for band, kept in zip(catalogs.reference_bands(), rows, strict=True) if kept
    ]
    assert units_and_types(table)["r_psfFlux"] == ("nJy", "f")
    assert (table["tract"] == 5063).all()
    if release == "dp1":
        with np.errstate(all="ignore"):
            expected = 31.4 - 2.5 * np.log10(np.asarray(table["r_psfFlux"]))
        np.testing.assert_allclose(table["r_psfMag"], expected, atol=1e-3)
    else:
        np.testing.assert_array_equal(table["detect_isPrimary"], reference["detect_isPrimary"])
        # As the schema says: no sky object, and a deblended child.
        np.testing.assert_array_equal(
            table["detect_isDeblendedModelSource"], reference["detect_isPrimary"] & (reference["parent"] != 0)
        )
