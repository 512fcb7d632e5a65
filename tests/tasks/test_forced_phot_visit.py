"""Forced sources of visits and their tables by patch: as the simulation measures them, and with parts missing."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from lsst.daf.butler import Butler, CollectionType
from lsst.pipe.base import NoWorkFound
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d

from forcedphot.catalog.flux_units import photo_calib_of
from forcedphot.driver import as_exposure
from forcedphot.errors import ConfigurationError
from forcedphot.exposure import Exposure
from forcedphot.id_generator import IdGenerator
from forcedphot.measurement import ForcedMeasurementTask
from forcedphot.references import REFERENCE_SCHEMA
from forcedphot.survey import SimulatedSurvey
from forcedphot.tasks import ForcedPhotVisitConfig, ForcedPhotVisitTask, ForcedSourceTableTask
from forcedphot.tasks.datasets import read_columns
from forcedphot.tasks.forced_phot_visit import nearest_patches
from forcedphot.tasks.forced_sources import UNPLACED, ForcedTargets
from forcedphot.tasks.points import PointMeasurement, configure_points, measure_points

PIPELINES = Path(str(files("forcedphot") / "pipelines"))
VISIT = {"instrument": "LSSTComCam", "visit": 2024110800245, "detector": 4}
N_COLUMNS = 28
"""Columns of DP1's tables."""


@pytest.fixture(scope="module")
def survey(own_survey: Callable[[str], SimulatedSurvey]) -> Iterator[tuple[Butler, SimulatedSurvey]]:
    found = own_survey("dp1")
    with Butler.from_config(str(found.repository), writeable=True, collections=found.collection) as butler:
        yield butler, found


def execute(found: SimulatedSurvey, inputs: list[str], output: str, where: str = "") -> Butler:
    """Run the pipeline in this process, and return a Butler of its outputs."""
    butler = SimplePipelineExecutor.prep_butler(str(found.repository), inputs, output)
    try:
        executor = SimplePipelineExecutor.from_pipeline_filename(
            str(PIPELINES / "dp1-forced-visit.yaml"), butler=butler, where=where
        )
        executor.run(register_dataset_types=True)
    except BaseException:
        butler.close()
        raise
    return butler


def assert_same(found: Table, expected: Table) -> None:
    assert found.colnames == expected.colnames
    for name in expected.colnames:
        assert found[name].dtype == expected[name].dtype
        assert found[name].unit == expected[name].unit
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_tables_are_those_of_the_survey(survey: tuple[Butler, SimulatedSurvey]) -> None:
    butler, found = survey
    with execute(found, [found.collection], "u/forced_visit") as output:
        tables: dict[tuple[str, int], Table] = {
            (name, ref.dataId["patch"]): output.get(ref)
            for name in ("object_forced_source", "dia_object_forced_source")
            for ref in output.query_datasets(name, collections="u/forced_visit", find_first=True)
        }
    assert len(tables) == 4
    for (name, patch), table in tables.items():
        expected = butler.get(name, skymap="lsst_cells_v1", tract=5063, patch=patch)
        target = "objectId" if name == "object_forced_source" else "diaObjectId"
        for each in (table, expected):
            each.sort([target, "visit", "detector"])
        assert len(table.colnames) == N_COLUMNS
        if target == "diaObjectId":
            # Those in the border of the outermost patches belong to no patch of the simulation.
            table = table[np.isin(table[target], expected[target])]
        assert len(expected) > 10
        assert_same(table, expected)
    ids = [set(tables["dia_object_forced_source", patch]["diaObjectId"]) for patch in (14, 15)]
    assert ids[0].isdisjoint(ids[1])
    assert ids[0] | ids[1] <= set(butler.get("dia_object", skymap="lsst_cells_v1", tract=5063)["diaObjectId"])


def test_a_missing_difference_image_costs_its_fluxes_only(survey: tuple[Butler, SimulatedSurvey]) -> None:
    butler, found = survey
    butler.collections.register("some", CollectionType.TAGGED)
    for name in ("visit_image", "difference_image", "deep_coadd", "object", "dia_object"):
        refs = butler.query_datasets(name)
        is_missing = [name == "difference_image" and ref.dataId["detector"] == VISIT["detector"] for ref in refs]
        butler.registry.associate("some", itertools.compress(refs, np.logical_not(is_missing)))
    with execute(found, ["some"], "u/no_difference", f"visit={VISIT['visit']}") as output:
        table = output.get("object_forced_source", skymap="lsst_cells_v1", tract=5063, patch=14)
    without = table["detector"] == VISIT["detector"]
    assert without.sum() > 0
    assert np.isfinite(table["psfFlux"][without]).mean() > 0.9
    assert np.isnan(table["psfDiffFlux"][without]).all()
    assert table["psfDiffFlux_flag"][without].all()
    assert table["diff_PixelFlags_nodataCenter"][without].all()
    assert np.isfinite(table["psfDiffFlux"][~without]).all()


def test_a_table_without_a_column_is_named(survey: tuple[Butler, SimulatedSurvey]) -> None:
    butler, found = survey
    where = {"skymap": "lsst_cells_v1", "tract": 5063}
    table = butler.get("object", where)
    table.remove_column("coord_ra")
    butler.collections.register("broken")
    butler.put(table, "object", where, run="broken")
    with pytest.raises(Exception, match=r"object of .*tract: 5063.* has no column coord_ra"):
        execute(found, ["broken", found.collection], "u/broken", f"visit={VISIT['visit']} AND detector=4")


def test_rows_without_numbers_cost_no_others(survey: tuple[Butler, SimulatedSurvey]) -> None:
    butler, _ = survey
    where = {"skymap": "lsst_cells_v1", "tract": 5063}
    whole = butler.get("object", where)
    table = Table(whole, masked=True)
    for name in ("objectId", "coord_ra", "detect_isPrimary"):
        if name not in table.colnames:
            table[name] = MaskedColumn(np.ones(len(table), dtype=bool))
        table[name].mask[0] = True
    butler.collections.register("masked")
    ref = butler.put(table, "object", where, run="masked")
    needed = [("objectId",), ("coord_ra",)]
    found = read_columns(SimpleNamespace(get=butler.getDeferred), ref, needed, ["detect_isPrimary", "nothing"])
    assert found.colnames == ["objectId", "coord_ra", "detect_isPrimary"]
    assert found["objectId"][0] == 0
    assert np.isnan(found["coord_ra"][0])
    assert found["detect_isPrimary"].dtype == bool
    assert not found["detect_isPrimary"][0]
    for name in ("objectId", "coord_ra"):
        np.testing.assert_array_equal(found[name][1:], whole[name][1:])


@pytest.fixture(scope="module")
def image(survey: tuple[Butler, SimulatedSurvey]) -> Exposure:
    return as_exposure(survey[0].get("visit_image", VISIT))


def targets_on(image: Exposure, n: int = 4) -> ForcedTargets:
    assert image.wcs is not None
    x = np.linspace(50.0, 350.0, n)
    ra, dec = image.wcs.pixel_to_sky(x, x)
    table = Table({"diaObjectId": np.arange(n), "ra": np.degrees(ra), "dec": np.degrees(dec)})
    return ForcedTargets.of_dia_objects(table).placed(5063, 14)


def test_an_image_without_a_psf_gives_flagged_rows(image: Exposure) -> None:
    task = ForcedPhotVisitTask(config=ForcedPhotVisitConfig())
    bare = dataclasses.replace(image, psf=None)
    result = task.run(bare, image, [targets_on(image)], [targets_on(image, 2)])
    tables = (result.forcedSources, result.diaForcedSources)
    assert [len(table) for table in tables] == [4, 2]
    for table in tables:
        assert np.isnan(table["psfFlux"]).all()
        for flag in ("psfFlux_flag", "invalidPsfFlag", "pixelFlags"):
            assert table[flag].all(), flag
        assert np.isfinite(table["psfDiffFlux"]).all()
    assert task.metadata["n_rows"] == 6


@pytest.fixture(scope="module")
def difference(survey: tuple[Butler, SimulatedSurvey]) -> Exposure:
    return as_exposure(survey[0].get("difference_image", VISIT))


def measured_with_apertures(image: Exposure, difference: Exposure | None, *, corrected: bool = True) -> Table:
    """Measure with apertures too: of 6 pixels on the image, of 9 on the difference."""
    config = ForcedPhotVisitConfig()
    for measurement, radius in ((config.measurement, 6.0), (config.measurementDiff, 9.0)):
        measurement.plugins.names |= ["base_CircularApertureFlux"]
        measurement.plugins["base_CircularApertureFlux"].radii = [radius]
    config.doApCorr = corrected
    return ForcedPhotVisitTask(config=config).run(image, difference, [targets_on(image)], []).forcedSources


def test_what_more_plugins_measure_is_added(image: Exposure, difference: Exposure) -> None:
    usual = ForcedPhotVisitTask(config=ForcedPhotVisitConfig()).run(image, difference, [targets_on(image)], [])
    table = measured_with_apertures(image, difference)
    n_usual = len(usual.forcedSources.colnames)
    assert_same(table[usual.forcedSources.colnames], usual.forcedSources)
    assert {name.rpartition("_")[0] for name in table.colnames} >= {
        "base_CircularApertureFlux_6_0",
        "diff_base_CircularApertureFlux_9_0",
    }
    assert all("CircularApertureFlux" in name for name in set(table.colnames) - set(usual.forcedSources.colnames))
    assert len(table.colnames) > n_usual
    assert not any("instFlux" in name for name in table.colnames)
    flux = table["base_CircularApertureFlux_6_0_flux"]
    assert flux.unit == "nJy"
    assert image.psf is not None
    catalog = measure_points(image, *points_of(image), aperture_measurement(6.0))
    scale = photo_calib_of(image).scale(catalog["slot_Centroid_x"], catalog["slot_Centroid_y"])
    np.testing.assert_allclose(flux, catalog["base_CircularApertureFlux_6_0_instFlux"] * scale, rtol=1e-12)
    without = measured_with_apertures(image, None)
    assert without.colnames == table.colnames
    assert np.isnan(without["diff_base_CircularApertureFlux_9_0_flux"]).all()
    assert without["diff_base_CircularApertureFlux_9_0_flag"].all()
    assert np.isfinite(without["base_CircularApertureFlux_6_0_flux"]).all()
    bare = measured_with_apertures(dataclasses.replace(image, psf=None), difference)
    assert np.isnan(bare["base_CircularApertureFlux_6_0_flux"]).all()


def points_of(image: Exposure) -> tuple[Any, Any, Any]:
    targets = targets_on(image)
    return targets.ids, np.radians(targets.ra_deg), np.radians(targets.dec_deg)


def aperture_measurement(radius: float) -> PointMeasurement:
    config = ForcedMeasurementTask.ConfigClass()
    configure_points(config, ("base_PsfFlux", "base_CircularApertureFlux"))
    config.plugins["base_CircularApertureFlux"].radii = [radius]
    return PointMeasurement(ForcedMeasurementTask(refSchema=REFERENCE_SCHEMA, config=config), None)


def test_fluxes_are_corrected_if_asked_for(image: Exposure, difference: Exposure) -> None:
    assert image.aperture_corrections is not None
    corrected, uncorrected = (
        measured_with_apertures(image, difference, corrected=corrected) for corrected in (True, False)
    )
    ratio = corrected["psfFlux"] / uncorrected["psfFlux"]
    x, y = np.linspace(50.0, 350.0, 4), np.linspace(50.0, 350.0, 4)
    expected = image.aperture_corrections["base_PsfFlux_instFlux"].evaluate(x, y)
    np.testing.assert_allclose(ratio, expected, rtol=1e-6)


def test_tables_of_patches_keep_what_they_are_asked_to(image: Exposure, difference: Exposure) -> None:
    config = ForcedSourceTableTask.ConfigClass()
    table = measured_with_apertures(image, difference)
    usual = ForcedSourceTableTask(config=config).run([table], skymap="map", ids=IdGenerator()).forcedSourceTable
    assert len(usual.colnames) == N_COLUMNS
    config.extraColumns = ["*_CircularApertureFlux_*_flux", "coord_ra", "ccdVisitId"]
    task = ForcedSourceTableTask(config=config)
    made = task.run([table, table], skymap="map", ids=IdGenerator()).forcedSourceTable
    added = ["ccdVisitId", "diff_base_CircularApertureFlux_9_0_flux", "base_CircularApertureFlux_6_0_flux"]
    assert made.colnames[:N_COLUMNS] == usual.colnames
    assert sorted(made.colnames[N_COLUMNS:]) == sorted(added)
    assert made["base_CircularApertureFlux_6_0_flux"].unit == "nJy"
    np.testing.assert_array_equal(
        made["base_CircularApertureFlux_6_0_flux"][4:], table["base_CircularApertureFlux_6_0_flux"]
    )
    config.extraColumns = ["base_Kron*"]
    with pytest.raises(ConfigurationError, match=r"base_Kron\*"):
        ForcedSourceTableTask(config=config).run([table], skymap="map", ids=IdGenerator())


def test_neighbours_can_be_replaced(image: Exposure, difference: Exposure) -> None:
    """Two points beside each other: each loses the light of the other's footprint."""
    assert image.wcs is not None
    ra, dec = image.wcs.pixel_to_sky(np.array([100.0, 106.0]), np.array([100.0, 100.0]))
    table = Table({"diaObjectId": np.arange(2), "ra": np.degrees(ra), "dec": np.degrees(dec)})
    targets = ForcedTargets.of_dia_objects(table).placed(5063, 14)
    pixels = np.zeros_like(image.image)
    pixels[95:105, 90:118] = 100.0
    bright = dataclasses.replace(image, image=pixels)
    fluxes = []
    for is_replaced in (False, True):
        config = ForcedPhotVisitConfig()
        config.measurement.doReplaceWithNoise = is_replaced
        found = ForcedPhotVisitTask(config=config).run(bright, difference, [targets], []).forcedSources
        fluxes.append(found["psfFlux"])
    assert (fluxes[1] < 0.99 * fluxes[0]).all()


def test_an_image_without_objects_is_no_work(image: Exposure) -> None:
    task = ForcedPhotVisitTask(config=ForcedPhotVisitConfig())
    with pytest.raises(NoWorkFound, match="no object on the image"):
        task.run(image, None, [], [])
    elsewhere = dataclasses.replace(targets_on(image), dec_deg=np.full(4, 80.0))
    with pytest.raises(NoWorkFound, match="no object on the image"):
        task.run(image, None, [elsewhere], [])
    assert len(task.run(image, None, [elsewhere], [targets_on(image)]).forcedSources) == 0


def test_a_patch_without_rows_is_no_work(image: Exposure) -> None:
    task = ForcedSourceTableTask(config=ForcedSourceTableTask.ConfigClass())
    visit_task = ForcedPhotVisitTask(config=ForcedPhotVisitConfig())
    table = visit_task.run(image, None, [targets_on(image)], []).forcedSources
    for tables in ([], [table[:0]]):
        with pytest.raises(NoWorkFound, match="No object of the patch"):
            task.run(tables, skymap="map", ids=IdGenerator())
    made = task.run([table[:0], table], skymap="map", ids=IdGenerator()).forcedSourceTable
    assert list(made["objectId"]) == [0, 1, 2, 3]
    with_difference = visit_task.run(image, image, [targets_on(image)], []).forcedSources
    for tables in ([table, with_difference], [with_difference, table]):
        made = task.run(tables, skymap="map", ids=IdGenerator()).forcedSourceTable
        assert np.isnan(made["psfDiffFlux"]).sum() == 4
    assert set(made["patch"]) == {14}


def square(x0: float, y0: float, side: float) -> ConvexPolygon:
    corners = [(x0, y0), (x0 + side, y0), (x0 + side, y0 + side), (x0, y0 + side)]
    return ConvexPolygon([UnitVector3d(LonLat.fromDegrees(*corner)) for corner in corners])


def test_positions_are_in_the_patch_whose_middle_is_nearest(rng: np.random.Generator) -> None:
    """Patches of 0.1 deg that overlap by 0.02, at the equator."""
    regions = {
        10 * row + column: square(0.1 * column - 0.01, 0.1 * row - 0.01, 0.12)
        for row in (0, 1)
        for column in (0, 1, 2)
    }
    del regions[12]
    ra, dec = rng.uniform(-0.02, 0.32, 500), rng.uniform(-0.02, 0.22, 500)
    table = Table({"diaObjectId": np.arange(500), "ra": ra, "dec": dec})
    found = nearest_patches(ForcedTargets.of_dia_objects(table), regions)
    column, row = np.clip(ra // 0.1, 0, 2), np.clip(dec // 0.1, 0, 1)
    inner = 10 * row + column
    off_grid = (ra < -0.01) | (ra > 0.31) | (dec < -0.01) | (dec > 0.21)
    beside = inner == 12
    usual = ~off_grid & ~beside
    # Within an arc second of the patches' sides, the sphere's curvature decides.
    sharp = np.minimum(np.abs((ra + 0.05) % 0.1 - 0.05), np.abs((dec + 0.05) % 0.1 - 0.05)) > 3e-4
    np.testing.assert_array_equal(found[usual & sharp], inner[usual & sharp])
    assert (found[off_grid] == UNPLACED).all()
    assert {UNPLACED} < set(found[beside & ~off_grid]) <= {UNPLACED, 11, 2, 1}
    assert (nearest_patches(ForcedTargets.of_dia_objects(table), {}) == UNPLACED).all()


def test_configuration_decides_what_is_read_and_made() -> None:
    config = ForcedPhotVisitConfig()
    config.doDiaObjects = config.doDifference = False
    config.objectsByPatch = True
    config.visitImageStorageClass = "ForcedPhotExposure"
    connections = config.ConnectionsClass(config=config)
    assert connections.inputs == {"visitImage", "objects"}
    assert connections.outputs == {"forcedSources"}
    assert set(connections.objects.dimensions) == {"skymap", "tract", "patch"}
    assert connections.visitImage.storageClass == "ForcedPhotExposure"
    config.doObjects = False
    with pytest.raises(ConfigurationError, match="nothing to measure"):
        config.validate()
