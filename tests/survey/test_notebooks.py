"""The documents' statements about Butlers and tables, on tiny surveys, with our own imports."""

from collections.abc import Callable

import numpy as np
import pytest
from astropy import units as u
from lsst.daf.butler import Butler
from lsst.images import DifferenceImage, VisitImage
from lsst.images.cells import CellCoadd

from forcedphot import ForcedMeasurementDriverConfig, ForcedMeasurementDriverTask

type Open = Callable[[str], Butler]

_DP1_NAMES = {
    *("visit_image", "difference_image", "deep_coadd", "template_coadd", "source", "dia_source", "object"),
    *("dia_object", "object_forced_source", "dia_object_forced_source", "visit_table", "visit_detector_table"),
    *("object_ref_measurement", "object_ref_measurement_schema", "object_unforced_measurement"),
    *("object_forced_measurement", "truth_summary"),
}


def driver() -> ForcedMeasurementDriverTask:
    config = ForcedMeasurementDriverConfig()
    config.measurement.slots.psfFlux = "base_PsfFlux"
    config.measurement.slots.centroid = "base_TransformedCentroidFromCoord"
    config.measurement.slots.shape = None
    config.measurement.doReplaceWithNoise = False
    config.doApCorr = True
    return ForcedMeasurementDriverTask(config=config)


@pytest.mark.parametrize(("ra", "dec"), [(53.076, -28.110), (53.1, -28.1)])
def test_forced_photometry_on_a_coadd(butler: Open, ra: float, dec: float) -> None:
    dp1, band = butler("dp1"), "r"
    refs = dp1.query_datasets(
        "deep_coadd", where=f"band='{band}' AND patch.region OVERLAPS POINT({ra}, {dec})", order_by="patch.id"
    )
    ref = refs[0]
    exposure = dp1.get("deep_coadd", dataId=ref.dataId)
    assert isinstance(exposure, CellCoadd)
    columns = ["objectId", "coord_ra", "coord_dec", "tract", "patch", f"{band}_psfFlux", "refExtendedness"]
    objects = dp1.get("object", dataId=ref.dataId, storageClass="ArrowAstropy", parameters={"columns": columns})
    assert objects.colnames == columns
    pick = np.where((objects["tract"] == ref.dataId["tract"]) & (objects["patch"] == ref.dataId["patch"]))
    assert len(pick[0]) > 10
    table = objects[pick][:5].copy()["objectId", "coord_ra", "coord_dec"]
    assert table["coord_ra"].unit == u.deg
    result = driver().runFromAstropy(
        table,
        exposure,
        id_column_name="objectId",
        ra_column_name="coord_ra",
        dec_column_name="coord_dec",
        psf_footprint_scaling=3.0,
    )
    assert len(result) == 5
    np.testing.assert_array_equal(result["objectId"], table["objectId"])
    # Objects at the coadd's ragged edge are flagged here and there.
    fluxes = np.asarray(objects[pick][:5][f"{band}_psfFlux"])
    measured = np.asarray(result["slot_PsfFlux_instFlux"])
    assert np.isfinite(measured).sum() >= 3
    np.testing.assert_array_equal(np.isfinite(measured), ~np.asarray(result["slot_PsfFlux_flag"]))
    isolated = np.isfinite(measured) & (fluxes > 1000)
    assert np.median(measured[isolated] / fluxes[isolated]) == pytest.approx(1, abs=0.05)


def test_forced_photometry_on_a_visit_agrees_with_its_sources(butler: Open) -> None:
    dp1 = butler("dp1")
    query = "band='r' AND visit.region OVERLAPS POINT(53.1, -28.1)"
    ref = dp1.query_datasets("visit_image", where=query)[0]
    exposure = dp1.get(ref)
    assert isinstance(exposure, VisitImage)
    sources = dp1.get("source", visit=ref.dataId["visit"])
    # As the query of the document selects them.
    here = (sources["detector"] == ref.dataId["detector"]) & (sources["extendedness"] < 0.5)
    sources = sources[here]["sourceId", "ra", "dec", "psfFlux", "psfFluxErr", "deblend_nChild"]
    assert len(sources) > 10
    result = driver().runFromAstropy(
        sources,
        exposure,
        id_column_name="sourceId",
        ra_column_name="ra",
        dec_column_name="dec",
        psf_footprint_scaling=3.0,
    )
    bright = np.asarray((sources["psfFlux"] > 50 * sources["psfFluxErr"]) & (sources["deblend_nChild"] == 0))
    ratio = np.asarray(result["slot_PsfFlux_instFlux"] / sources["psfFlux"])[bright]
    assert abs(np.median(ratio) - 1) < 0.01


def test_images_by_data_id(butler: Open) -> None:
    dp02 = butler("dp02")
    data_id = {"visit": 192350, "detector": 175}
    calexp = dp02.get("calexp", dataId=data_id)
    assert isinstance(calexp, VisitImage)
    assert (calexp.obs_info.visit_id, calexp.detector.id) == (192350, 175)
    text = str(dp02.registry.getDatasetType("calexp"))
    assert text.startswith("DatasetType('calexp', {")
    assert text.endswith("}, VisitImage)")
    assert all(name in text for name in ("instrument", "detector", "visit", "band", "physical_filter"))
    assert isinstance(dp02.get("goodSeeingDiff_differenceExp", dataId=data_id), DifferenceImage)
    coadd = dp02.get("deepCoadd", dataId={"tract": 4431, "patch": 17, "band": "i"})
    assert isinstance(coadd, CellCoadd)
    assert coadd.band == "i"


@pytest.mark.parametrize(
    ("name", "data_id", "column"),
    [
        ("sourceTable", {"visit": 192350, "detector": 175}, "sourceId"),
        ("diaSourceTable", {"visit": 192350}, "diaSourceId"),
        ("objectTable", {"tract": 4431, "patch": 17}, "objectId"),
        ("diaObjectTable_tract", {"tract": 4431}, "diaObjectId"),
        ("forcedSourceTable", {"tract": 4431, "patch": 16, "band": "i"}, "forcedSourceId"),
        ("forcedSourceOnDiaObjectTable", {"tract": 4431, "patch": 16}, "forcedSourceOnDiaObjectId"),
    ],
)
def test_tables_by_data_id(butler: Open, name: str, data_id: dict[str, object], column: str) -> None:
    table = butler("dp02").get(name, dataId=data_id)
    assert len(table) > 0
    assert len(np.unique(table[column])) == len(table)


def test_dia_sources_of_a_detector(butler: Open) -> None:
    dia_sources = butler("dp02").get("diaSourceTable", dataId={"visit": 192350})
    n_selected = 0
    for detector in (5, 175):
        ccd_visit_id = np.longlong(str(192350) + str(detector).rjust(3, "0"))
        selected = dia_sources[dia_sources["ccdVisitId"] == ccd_visit_id]
        assert len(selected) > 0
        n_selected += len(selected)
    assert n_selected == len(dia_sources)


def test_forced_sources_are_of_the_objects_of_their_patch(butler: Open) -> None:
    dp1 = butler("dp1")
    objects = dp1.get("object", tract=5063)
    n_objects = 0
    for ref in dp1.query_datasets("object_forced_source"):
        forced = dp1.get(ref)
        here = objects[objects["patch"] == ref.dataId["patch"]]
        assert set(forced["objectId"]) == set(here["objectId"])
        assert len(np.unique(forced["visit"])) == 4
        n_objects += len(here)
    assert n_objects == len(objects)
    dia_objects = dp1.get("dia_object", tract=5063)
    dia_sources = dp1.get("dia_source", tract=5063)
    assert set(dia_sources["diaObjectId"]) - {0} == set(dia_objects["diaObjectId"])


def test_visit_tables(butler: Open) -> None:
    for name, table_names in (
        ("dp1", ("visit_table", "visit_detector_table")),
        ("dp02", ("visitTable", "ccdVisitTable")),
    ):
        opened = butler(name)
        visits, detectors = (opened.get(table) for table in table_names)
        records = opened.query_dimension_records("visit", order_by="visit")
        assert list(visits["visit"]) == [record.id for record in records]
        assert list(detectors["visitId"]) == [record.id for record in records for _ in range(2)]
        np.testing.assert_array_equal(detectors["ccdVisitId"], detectors["visitId"] * 1000 + detectors["detector"])
        middle = [(record.timespan.begin.tai.mjd + record.timespan.end.tai.mjd) / 2 for record in records]
        np.testing.assert_allclose(visits["expMidptMJD"], middle, rtol=0, atol=1e-8)
        assert (np.asarray(detectors["seeing"]) > 0.6).all()
        assert detectors["seeing"].unit == u.arcsec


def test_truth_is_where_the_brightest_objects_are(butler: Open) -> None:
    dp1 = butler("dp1")
    truth, objects = (dp1.get(name, tract=5063) for name in ("truth_summary", "object"))
    bright = objects[np.argsort(np.nan_to_num(objects["i_psfFlux"]))[-20:]]
    cosine = np.cos(np.radians(-28.1))
    distances = [
        3600 * np.hypot((truth["ra"] - row["coord_ra"]) * cosine, truth["dec"] - row["coord_dec"]).min()
        for row in bright
    ]
    assert np.median(distances) < 0.05


def test_queries(butler: Open) -> None:
    dp1 = butler("dp1")
    where = "visit_detector_region.region OVERLAPS POINT(:ra, :dec)"
    refs = dp1.query_datasets(
        "visit_image",
        where=where,
        bind={"ra": 53.085, "dec": -28.105},
        order_by="visit.timespan.begin",
        with_dimension_records=True,
    )
    begins = [ref.dataId.records["visit"].timespan.begin for ref in refs]
    assert len(refs) == 4
    assert begins == sorted(begins)
    assert dp1.query_datasets("deep_coadd", where="patch.region OVERLAPS POINT(10, 10)", explain=False) == []
    names = {dataset_type.name for dataset_type in dp1.registry.queryDatasetTypes()}
    found = {ref.datasetType.name for ref in dp1.query_all_datasets()}
    assert found == names == _DP1_NAMES


def test_multiband_catalogs_of_hsc(butler: Open, forgotten_stack_names: None) -> None:
    import forcedphot.butler  # noqa: F401 - the storage class SourceCatalog has our type

    hsc, patch = butler("hsc"), {"tract": 0, "patch": 10}  # '1,1'
    r_sources, i_sources = (hsc.get("deepCoadd_forced_src", patch, band=band) for band in "ri")
    assert r_sources.schema.find("base_PsfFlux_instFlux").field.getUnits() == "ct"
    reference = hsc.get("deepCoadd_ref", patch)
    is_primary = reference["detect_isPrimary"]
    by_parts = (reference["deblend_nChild"] == 0) & reference["detect_isPatchInner"]
    by_parts &= reference["detect_isTractInner"] & ~reference["merge_peak_sky"]
    np.testing.assert_array_equal(is_primary, by_parts)
    selected = is_primary & (i_sources["base_ClassificationExtendedness_value"] < 1)
    selected &= ~i_sources["base_PsfFlux_flag"] & ~r_sources["base_PsfFlux_flag"]
    assert selected.sum() > 10
    fluxes = [catalog["base_PsfFlux_instFlux"][selected] for catalog in (r_sources, i_sources)]
    with np.errstate(invalid="ignore"):
        assert 0 < np.nanmedian(-2.5 * np.log10(fluxes[0] / fluxes[1])) < 1.5
    assert len(hsc.get("deepCoadd_meas", patch, band="i")) == len(reference) == len(i_sources)
    assert isinstance(hsc.get("deepCoadd_calexp", patch, band="r"), CellCoadd)
