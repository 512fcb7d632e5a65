"""Sources of visits and differences, their association, and forced sources: ids, fluxes, times, coverage."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from astropy.table import Table, vstack

from forcedphot.conventions import FloatArray, IntArray
from forcedphot.errors import ExposureError
from forcedphot.exposure import Exposure, Identity
from forcedphot.id_generator import IdGenerator
from forcedphot.survey.association import associate
from forcedphot.survey.sources import (
    dia_source_table,
    htm_index,
    measure_dia_sources,
    measure_sources,
    source_table,
)
from forcedphot.tasks.columns import Release
from forcedphot.tasks.forced_sources import (
    ForcedImages,
    ForcedTargets,
    dia_forced_source_table,
    forced_source_table,
)
from forcedphot.tasks.table_values import ccd_visit_id

from .catalog_scenes import SKY_SIGMA, Scene, grid_of_stars

MJD = np.array([60600.0, 60607.0, 60614.0, 60621.0])
FACTORS = np.array([0.5, -0.5, 1.0, 0.25])
"""How much brighter the stars of the differences are, each night."""


@pytest.fixture(scope="module")
def scene() -> Scene:
    return grid_of_stars(flux=(2500.0, 20000.0))


@pytest.fixture(scope="module")
def images(scene: Scene) -> list[ForcedImages]:
    """Visits whose stars are what the factors say, and constant sources without a difference."""
    visit_image = scene.exposures["i"]
    made = []
    for night, factor in enumerate(FACTORS):
        noise = np.random.default_rng([3, night]).normal(0, SKY_SIGMA, visit_image.image.shape).astype(np.float32)
        varying = np.where(np.arange(36) < 18, factor * scene.flux, 0.0)
        visit_image.psf.images(scene.x, scene.y).add_to(noise, 0, 0, varying)
        identity = dataclasses.replace(visit_image.identity, visit=100 + night)
        made.append(
            ForcedImages(
                dataclasses.replace(visit_image, identity=identity),
                dataclasses.replace(visit_image, image=noise, identity=identity),
            )
        )
    return made


class _Ids(IdGenerator):
    def __init__(self, offset: int) -> None:
        self.offset = offset

    def arange(self, *arguments: Any, **keywords: Any) -> IntArray:
        return super().arange(*arguments, **keywords) + self.offset


def _pixels(exposure: Exposure, ra: Any, dec: Any) -> tuple[FloatArray, FloatArray]:
    return exposure.wcs.sky_to_pixel(np.radians(np.asarray(ra)), np.radians(np.asarray(dec)))


@pytest.fixture(scope="module", params=["dp1", "dp02"])
def dia_sources(request: pytest.FixtureRequest, images: list[ForcedImages]) -> tuple[Release, Table]:
    tables = []
    for night, image in enumerate(images):
        assert image.difference_image is not None
        catalog = measure_dia_sources(image.difference_image, _Ids(1000 * (night + 1)))
        tables.append(
            dia_source_table(request.param, catalog, image.difference_image, image.visit_image, MJD[night])
        )
    return request.param, vstack(tables)


@pytest.mark.parametrize("release", ["dp1", "dp02"])
def test_sources_are_the_stars(scene: Scene, release: Release) -> None:
    exposure = scene.exposures["i"]
    table = source_table(release, measure_sources(exposure, _Ids(500)), exposure)
    _, star = scene.nearest(*_pixels(exposure, table["coord_ra"], table["coord_dec"]))
    assert sorted(star) == list(range(36))
    pull = (table["psfFlux"] - scene.flux[star]) / table["psfFluxErr"]
    assert abs(np.mean(pull)) < 0.6
    assert 0.7 < np.std(pull) < 1.3
    np.testing.assert_allclose(table["x"], scene.x[star], atol=0.5)
    assert set(table["sourceId"]) == set(range(501, 537))
    assert set(table["band"]) == {"i"}
    assert set(table["visit"]) == {7}
    if release == "dp02":
        assert set(table["ccdVisitId"]) == {7003}
        assert table["decl"].unit == "deg"
    else:
        # The errors of positions are those of the centroid, on the sky.
        scale = 0.2 / 3600
        np.testing.assert_allclose(
            table["decErr"], scale * np.hypot(table["xErr"], table["yErr"]) / np.sqrt(2), rtol=0.3
        )
        np.testing.assert_allclose(table["raErr"] * np.cos(np.radians(table["dec"])), table["decErr"], rtol=0.3)


def test_dia_sources_have_the_sign_of_the_change(scene: Scene, dia_sources: tuple[Release, Table]) -> None:
    release, table = dia_sources
    flux = table["psfFlux" if release == "dp1" else "psFlux"]
    err = table["psfFluxErr" if release == "dp1" else "psFluxErr"]
    time = np.asarray(table["midpointMjdTai" if release == "dp1" else "midPointTai"])
    distance, star = scene.nearest(*_pixels(scene.exposures["i"], table["coord_ra"], table["coord_dec"]))
    real = distance < 1.0
    assert real.mean() > 0.97
    assert (star[real] < 18).all()
    night = np.searchsorted(MJD, time)
    expected = FACTORS[night] * scene.flux[star]
    pull = ((flux - expected) / err)[real]
    assert abs(np.mean(pull)) < 0.5
    assert 0.7 < np.std(pull) < 1.4
    assert len(set(table["diaSourceId"].tolist())) == len(table)
    science = table["scienceFlux" if release == "dp1" else "totFlux"]
    np.testing.assert_allclose(science[real], scene.flux[star][real], rtol=0.1)
    assert (table["diaObjectId"] == 0).all()


def test_sources_of_one_place_are_one_object(scene: Scene, dia_sources: tuple[Release, Table]) -> None:
    release, table = dia_sources
    sources, objects = associate(release, table, _Ids(70))
    dec = objects["dec" if release == "dp1" else "decl"]
    distance, star = scene.nearest(*_pixels(scene.exposures["i"], objects["ra"], dec))
    often = np.asarray(objects["nDiaSources"]) >= 3
    assert sorted(star[often]) == list(range(18))
    assert distance[often].max() < 0.5
    assert set(sources["diaObjectId"]) == set(objects["diaObjectId"])
    for row in np.flatnonzero(often):
        members = sources[sources["diaObjectId"] == objects["diaObjectId"][row]]
        assert len(members) == objects["nDiaSources"][row]
        mean = "i_psfFluxMean" if release == "dp1" else "iPSFluxMean"
        flux, err = ("psfFlux", "psfFluxErr") if release == "dp1" else ("psFlux", "psFluxErr")
        expected = np.average(members[flux], weights=np.asarray(members[err], dtype=float) ** -2)
        assert objects[mean][row] == pytest.approx(expected, rel=1e-5)
        chi2 = "i_psfFluxChi2" if release == "dp1" else "iPSFluxChi2"
        assert objects[chi2][row] > 100
    empty = "r_psfFluxMean" if release == "dp1" else "rPSFluxMean"
    assert np.isnan(objects[empty]).all()
    assert (objects["r_psfFluxNdata" if release == "dp1" else "rPSFluxNdata"] == 0).all()
    # The input is not changed.
    assert (table["diaObjectId"] == 0).all()


def _synthetic(ra_arcsec: list[float], visits: list[int], parents: int | list[int] = 0) -> Table:
    n = len(ra_arcsec)
    return Table(
        {
            "diaSourceId": np.arange(1, n + 1),
            "parentDiaSourceId": np.broadcast_to(parents, n),
            "diaObjectId": np.zeros(n, dtype=np.int64),
            "ra": (np.array(ra_arcsec) / 3600) % 360.0,
            "dec": np.zeros(n),
            "visit": visits,
            "detector": np.zeros(n, dtype=np.int64),
            "midpointMjdTai": 60000.0 + np.array(visits),
            "band": np.full(n, "g"),
            **{name: np.ones(n) for name in ("psfFlux", "psfFluxErr", "scienceFlux", "scienceFluxErr")},
        }
    )


def test_association_across_the_origin_of_right_ascension() -> None:
    sources, objects = associate("dp1", _synthetic([-0.1, 0.1, 0.05, 5.0], [1, 2, 3, 3]), IdGenerator())
    assert sources["diaObjectId"].tolist() == [1, 1, 1, 2]
    np.testing.assert_allclose((objects["ra"] + 180) % 360 - 180, np.array([0.05 / 3, 5.0]) / 3600, atol=1e-12)
    np.testing.assert_array_equal(objects["radecMjdTai"], [60003, 60003])


def test_two_sources_of_one_image_are_two_objects_and_the_nearest_wins() -> None:
    sources, objects = associate("dp1", _synthetic([0.0, 0.3, 0.1], [1, 2, 2]), IdGenerator())
    assert sources["diaObjectId"].tolist() == [1, 2, 1]
    assert objects["nDiaSources"].tolist() == [2, 1]


def test_parents_of_blends_belong_to_no_object() -> None:
    sources, objects = associate("dp1", _synthetic([0.0, -1.0, 1.0], [1, 1, 1], [0, 1, 1]), IdGenerator())
    assert sources["diaObjectId"][0] == 0
    assert len(objects) == 2


def test_nothing_becomes_no_object() -> None:
    sources, objects = associate("dp1", _synthetic([], []), IdGenerator())
    assert (len(sources), len(objects)) == (0, 0)
    assert "g_psfFluxMean" in objects.colnames


def _targets(scene: Scene, *, beyond: bool = False) -> ForcedTargets:
    exposure = scene.exposures["i"]
    ra, dec = exposure.wcs.pixel_to_sky(scene.x + (400.0 if beyond else 0.0), scene.y)
    table = Table(
        {
            "objectId": np.arange(36) + 5,
            "parentObjectId": np.zeros(36, dtype=np.int64),
            "coord_ra": np.degrees(ra),
            "coord_dec": np.degrees(dec),
        }
    )
    return ForcedTargets.of_objects(table)


WHERE: dict[str, Any] = {"skymap": "map", "tract": 5063, "patch": 14}


@pytest.mark.parametrize("release", ["dp1", "dp02"])
def test_forced_sources_are_measured_on_every_image(
    scene: Scene, images: list[ForcedImages], release: Release
) -> None:
    table = forced_source_table(release, _targets(scene), images, **WHERE, ids=_Ids(900))
    assert len(table) == 36 * 4
    star = np.asarray(table["objectId"]) - 5
    pull = (table["psfFlux"] - scene.flux[star]) / table["psfFluxErr"]
    assert abs(np.mean(pull)) < 0.5
    assert 0.8 < np.std(pull) < 1.2
    night = np.repeat(np.arange(4), 36)
    expected = np.where(star < 18, FACTORS[night] * scene.flux[star], 0.0)
    pull = (table["psfDiffFlux"] - expected) / table["psfDiffFluxErr"]
    assert abs(np.mean(pull)) < 0.4
    assert 0.85 < np.std(pull) < 1.15
    assert not table["psfFlux_flag"].any()
    if release == "dp1":
        assert len(table.colnames) == 28
        np.testing.assert_array_equal(table["visit"], 100 + night)
    else:
        np.testing.assert_array_equal(table["ccdVisitId"], (100 + night) * 1000 + 3)
        np.testing.assert_array_equal(table["forcedSourceId"], 901 + np.arange(144))
        assert {"localWcs_CDMatrix_1_1", "localPhotoCalib", "localBackground_instFlux"} < set(table.colnames)


def test_positions_off_the_image_are_left_out(scene: Scene, images: list[ForcedImages]) -> None:
    table = forced_source_table("dp1", _targets(scene, beyond=True), images, **WHERE, ids=IdGenerator())
    assert len(table) == 0
    assert len(table.colnames) == 28


def test_without_a_difference_image_its_fluxes_are_nan_and_flagged(
    scene: Scene, images: list[ForcedImages]
) -> None:
    bare = [dataclasses.replace(images[0], difference_image=None), images[1]]
    table = forced_source_table("dp1", _targets(scene), bare, **WHERE, ids=IdGenerator())
    first = table["visit"] == 100
    assert np.isnan(table["psfDiffFlux"][first]).all()
    assert table["psfDiffFlux_flag"][first].all()
    assert np.isfinite(table["psfDiffFlux"][~first]).all()
    assert not table["psfDiffFlux_flag"][~first].any()
    assert np.isfinite(table["psfFlux"]).all()


def test_dia_objects_have_forced_sources_too(
    images: list[ForcedImages], dia_sources: tuple[Release, Table]
) -> None:
    release, table = dia_sources
    _, objects = associate(release, table, IdGenerator())
    forced = dia_forced_source_table(
        release, ForcedTargets.of_dia_objects(objects), images, **WHERE, ids=IdGenerator()
    )
    assert len(forced) == 4 * len(objects)
    assert set(forced["diaObjectId"]) == set(objects["diaObjectId"])
    if release == "dp1":
        assert len(forced.colnames) == 28


def test_images_should_say_what_they_are_of_and_there_should_be_some(
    scene: Scene, images: list[ForcedImages]
) -> None:
    nameless = dataclasses.replace(
        images[0], visit_image=dataclasses.replace(images[0].visit_image, identity=Identity())
    )
    with pytest.raises(ExposureError, match="visit and detector"):
        forced_source_table("dp1", _targets(scene), [nameless], **WHERE, ids=IdGenerator())
    with pytest.raises(ExposureError, match="No image overlaps"):
        forced_source_table("dp1", _targets(scene), [], **WHERE, ids=IdGenerator())


def test_images_without_sources_give_empty_tables(scene: Scene) -> None:
    exposure = scene.exposures["i"]
    blank = dataclasses.replace(exposure, image=np.zeros_like(exposure.image))
    assert len(source_table("dp1", measure_sources(blank, IdGenerator()), blank)) == 0
    assert len(dia_source_table("dp1", measure_dia_sources(blank, IdGenerator()), blank, exposure, MJD[0])) == 0


def test_numbers_of_detectors_in_visits_are_those_of_the_documents() -> None:
    assert ccd_visit_id(192350, 5) == 192350005


def test_pixels_of_the_mesh_are_those_of_the_documents() -> None:
    # A row of the printed table of DIA sources of DP0.2; its position is rounded to microdegrees.
    assert htm_index([53.290976], [np.nan]).tolist() == [0]
    assert 8 * 4**20 <= htm_index([53.290976], [-33.9])[0] < 16 * 4**20
