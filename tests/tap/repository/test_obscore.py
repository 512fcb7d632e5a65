"""ivoa.ObsCore: a row for each image, true to the Butler and to the files."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from forcedphot.survey import SimulatedSurvey
from forcedphot.tap.engine import Engine
from forcedphot.tap.repository.holdings import RepositoryHoldings
from forcedphot.tap.repository.obscore import describe_region
from forcedphot.tap.tables import TableSource

# name, datatype, unit, UCD, utype: the mandatory columns of ObsCore 1.1, its table 1 and appendix
_MANDATORY = {
    "dataproduct_type": ("string", "", "meta.code.class", "ObsDataset.dataProductType"),
    "calib_level": ("int32", "", "meta.code;obs.calib", "ObsDataset.calibLevel"),
    "obs_collection": ("string", "", "meta.id", "DataID.Collection"),
    "obs_id": ("string", "", "meta.id", "DataID.observationID"),
    "obs_publisher_did": ("string", "", "meta.ref.ivoid", "Curation.PublisherDID"),
    "access_url": ("string", "", "meta.ref.url", "Access.Reference"),
    "access_format": ("string", "", "meta.code.mime", "Access.Format"),
    "access_estsize": ("int64", "kbyte", "phys.size;meta.file", "Access.Size"),
    "target_name": ("string", "", "meta.id;src", "Target.Name"),
    "s_ra": ("double", "deg", "pos.eq.ra", "Char.SpatialAxis.Coverage.Location.Coord.Position2D.Value2.C1"),
    "s_dec": ("double", "deg", "pos.eq.dec", "Char.SpatialAxis.Coverage.Location.Coord.Position2D.Value2.C2"),
    "s_fov": ("double", "deg", "phys.angSize;instr.fov", "Char.SpatialAxis.Coverage.Bounds.Extent.diameter"),
    "s_region": ("string", "", "pos.outline;obs.field", "Char.SpatialAxis.Coverage.Support.Area"),
    "s_resolution": ("double", "arcsec", "pos.angResolution", "Char.SpatialAxis.Resolution.Refval.value"),
    "s_xel1": ("int64", "", "meta.number", "Char.SpatialAxis.numBins1"),
    "s_xel2": ("int64", "", "meta.number", "Char.SpatialAxis.numBins2"),
    "t_min": ("double", "d", "time.start;obs.exposure", "Char.TimeAxis.Coverage.Bounds.Limits.StartTime"),
    "t_max": ("double", "d", "time.end;obs.exposure", "Char.TimeAxis.Coverage.Bounds.Limits.StopTime"),
    "t_exptime": ("double", "s", "time.duration;obs.exposure", "Char.TimeAxis.Coverage.Support.Extent"),
    "t_resolution": ("double", "s", "time.resolution", "Char.TimeAxis.Resolution.Refval.value"),
    "t_xel": ("int64", "", "meta.number", "Char.TimeAxis.numBins"),
    "em_min": ("double", "m", "em.wl;stat.min", "Char.SpectralAxis.Coverage.Bounds.Limits.LoLimit"),
    "em_max": ("double", "m", "em.wl;stat.max", "Char.SpectralAxis.Coverage.Bounds.Limits.HiLimit"),
    "em_res_power": ("double", "", "spect.resolution", "Char.SpectralAxis.Resolution.ResolPower.refVal"),
    "em_xel": ("int64", "", "meta.number", "Char.SpectralAxis.numBins"),
    "o_ucd": ("string", "", "meta.ucd", "Char.ObservableAxis.ucd"),
    "pol_states": ("string", "", "meta.code;phys.polarization", "Char.PolarizationAxis.stateList"),
    "pol_xel": ("int64", "", "meta.number", "Char.PolarizationAxis.numBins"),
    "facility_name": ("string", "", "meta.id;instr.tel", "Provenance.ObsConfig.facility.name"),
    "instrument_name": ("string", "", "meta.id;instr", "Provenance.ObsConfig.instrument.name"),
}


@pytest.fixture(scope="module", params=["dp1", "dp02", "hsc"])
def survey(request: pytest.FixtureRequest, simulated: Callable[[str], SimulatedSurvey]) -> SimulatedSurvey:
    return simulated(str(request.param))


@pytest.fixture(scope="module")
def holdings(survey: SimulatedSurvey) -> RepositoryHoldings:
    return RepositoryHoldings(survey.repository, "http://here/files")


@pytest.fixture(scope="module")
def engine(holdings: RepositoryHoldings) -> Engine:
    return holdings.snapshot().engine


@pytest.fixture(scope="module")
def rows(engine: Engine) -> list[dict[str, Any]]:
    with engine.query("SELECT * FROM ivoa.ObsCore") as result:
        found: list[dict[str, Any]] = result.read_all().to_pylist()
    return found


def test_all_mandatory_columns_are_as_the_standard_has_them(engine: Engine) -> None:
    table: TableSource = engine.tables["ivoa.obscore"]
    found = {
        column.name: (column.datatype, column.unit, column.ucd, column.utype.removeprefix("obscore:"))
        for column in table.columns.values()
        if column.name in _MANDATORY
    }
    assert found == _MANDATORY


def test_there_is_a_row_for_each_image(survey: SimulatedSurvey, rows: list[dict[str, Any]]) -> None:
    from lsst.daf.butler import Butler

    classes = {"VisitImage", "DifferenceImage", "CellCoadd"}
    with Butler.from_config(str(survey.repository), collections=survey.collection) as butler:
        types = [item for item in butler.registry.queryDatasetTypes() if item.storageClass_name in classes]
        refs = {str(ref.id): ref for item in types for ref in butler.query_datasets(item)}
    assert len(rows) == len(refs) > 10
    for row in rows:
        identifier = row["access_url"].removeprefix("http://here/files/")
        ref = refs.pop(identifier)
        values = dict(ref.dataId.required)
        assert row["obs_publisher_did"].startswith("ivo://forcedphot/")
        assert row["obs_publisher_did"].endswith(f"&id={identifier}")
        assert row["dataproduct_subtype"] == f"lsst.{ref.datasetType.name}"
        for name in ("visit", "detector", "tract", "patch", "band"):
            if name in values:
                assert row[f"lsst_{name}"] == values[name]
        assert row["calib_level"] == (2 if ref.datasetType.storageClass_name == "VisitImage" else 3)


def test_rows_are_true_to_the_files(holdings: RepositoryHoldings, rows: list[dict[str, Any]]) -> None:
    for row in rows[::5]:
        path = holdings.file(row["access_url"].rpartition("/")[2])
        assert path is not None
        with fits.open(path) as hdus:
            height, width = hdus["IMAGE"].shape
            wcs = WCS(hdus["IMAGE"].header)
        assert (row["s_xel1"], row["s_xel2"]) == (width, height)
        center = wcs.pixel_to_world((width - 1) / 2, (height - 1) / 2).icrs
        assert row["s_ra"] == pytest.approx(center.ra.deg, abs=2e-4)
        assert row["s_dec"] == pytest.approx(center.dec.deg, abs=2e-4)
        corner = wcs.pixel_to_world(-0.5, -0.5).icrs
        assert row["s_fov"] == pytest.approx(2 * center.separation(corner).deg, rel=0.02)


def test_visit_images_have_times_and_all_have_wavelengths(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert 3e-7 < row["em_min"] < row["em_max"] < 1.1e-6
        assert row["instrument_name"]
        assert row["facility_name"] == ("Subaru" if row["instrument_name"] == "HSC" else "Rubin:Simonyi")
        if row["lsst_visit"] is not None:
            assert (row["t_max"] - row["t_min"]) * 86400 == pytest.approx(row["t_exptime"], rel=1e-3)
            assert row["lsst_filter"]
            if row["instrument_name"] != "HSC":  # whose tables have no PSF widths of visits
                assert 0.3 < row["s_resolution"] < 2.0
        else:
            assert row["t_min"] is None


def test_regions_are_polygons_counter_clockwise_as_seen_from_within(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        words = row["s_region"].split()
        assert words[:2] == ["POLYGON", "ICRS"]
        ra, dec = np.array(words[2:], dtype=float).reshape(-1, 2).T
        # east is to the left: x, as seen from within, is minus right ascension
        x, y = -(ra - row["s_ra"]) * np.cos(np.radians(row["s_dec"])), dec - row["s_dec"]
        area = 0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))
        assert area > 0
        assert np.hypot(x, y).max() == pytest.approx(row["s_fov"] / 2, rel=0.02)


def test_images_around_a_position_are_found(engine: Engine, rows: list[dict[str, Any]]) -> None:
    ra, dec = rows[0]["s_ra"], rows[0]["s_dec"]
    query = f"SELECT obs_id FROM ivoa.ObsCore WHERE CONTAINS(POINT(s_ra, s_dec), CIRCLE({ra}, {dec}, 1e-5)) = 1"
    with engine.query(query) as result:
        assert rows[0]["obs_id"] in result.read_all().column("obs_id").to_pylist()


def test_images_that_hold_a_position_are_found(
    survey: SimulatedSurvey, engine: Engine, rows: list[dict[str, Any]]
) -> None:
    ra, dec = rows[0]["s_ra"] + 0.004, rows[0]["s_dec"] - 0.005
    query = f"SELECT access_url FROM ivoa.ObsCore WHERE 1 = CONTAINS(POINT('ICRS', {ra}, {dec}), s_region)"
    with engine.query(query) as result:
        found = {url.rpartition("/")[2] for url in result.read_all().column("access_url").to_pylist()}
    from lsst.daf.butler import Butler
    from lsst.sphgeom import LonLat, UnitVector3d

    position = UnitVector3d(LonLat.fromDegrees(ra, dec))
    classes = {"VisitImage", "DifferenceImage", "CellCoadd"}
    with Butler.from_config(str(survey.repository), collections=survey.collection) as butler:
        types = [item for item in butler.registry.queryDatasetTypes() if item.storageClass_name in classes]
        refs = [ref for item in types for ref in butler.query_datasets(item, with_dimension_records=True)]
    expected = {str(ref.id) for ref in refs if ref.dataId.region.contains(position)}
    assert found == expected
    assert 0 < len(found) < len(refs)


def test_a_region_without_outline_has_a_centre() -> None:
    from lsst.sphgeom import Angle, Circle, LonLat, UnitVector3d

    circle = Circle(UnitVector3d(LonLat.fromDegrees(10.0, -20.0)), Angle.fromDegrees(0.5))
    row = describe_region(circle)
    assert row == {
        "s_ra": pytest.approx(10.0),
        "s_dec": pytest.approx(-20.0),
        "s_fov": pytest.approx(1.0),
    }
    assert describe_region(None) == {}
