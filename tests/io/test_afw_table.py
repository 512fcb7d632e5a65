"""Catalogs of afw against their twins: values, types, units, docs, schemas, footprints."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from forcedphot.errors import InputTableError
from forcedphot.io.afw_table.reader import find_afw_table, read_afw_table

Golden = Callable[[str], Path]

NAMES = (
    "forced_heavy",
    "deepCoadd_meas_HSC_v2",
    "sourceCatalog-hsc-v2",
    "sourceTable-v1",
    "sourceTable-v2",
    "ps1-refcat-v1",
)
WITH_FOOTPRINTS = NAMES[:3]
LISTED_PEAKS = 5


TRUNCATED = "input centroid was not within the fit region (probably because it"


def as_afw_reads(doc: str) -> str:
    """Repeat afw's faults: it leaves quotes doubled, as FITS writes them, and may lose what stands behind them."""
    doubled = doc.replace("'", "''")
    return TRUNCATED if doubled.startswith(TRUNCATED) else doubled


@pytest.mark.parametrize("name", NAMES)
def test_a_catalog_is_its_twin(golden: Golden, name: str) -> None:
    twin = Table.read(golden(f"tables/{name}.ecsv"))
    table = read_afw_table(golden(f"tables/{name}.fits")).asAstropy()
    assert table.colnames == twin.colnames
    for column, expected in zip(table.columns.values(), twin.columns.values(), strict=True):
        assert column.dtype == expected.dtype
        assert column.unit == expected.unit
        assert as_afw_reads(column.description) == (expected.description or "")
        np.testing.assert_array_equal(np.asarray(column), np.asarray(expected), err_msg=column.name)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_its_twin(golden: Golden, name: str) -> None:
    expected = json.loads(golden(f"tables/{name}.schema.json").read_text())
    schema = read_afw_table(golden(f"tables/{name}.fits"), footprints=False).schema
    # afw forgets the unit of angles when it reads.
    found = [
        {
            "name": field.name,
            "type": field.type,
            "doc": as_afw_reads(field.doc),
            "units": "" if field.is_angle else field.getUnits(),
        }
        for field in schema
    ]
    assert found == expected["fields"]
    assert schema.aliases == expected["aliases"]
    assert all(schema[name].unit == "rad" for name in ("coord_ra", "coord_dec"))


@pytest.mark.parametrize("name", WITH_FOOTPRINTS)
def test_footprints_are_their_twins(golden: Golden, name: str) -> None:
    expected = json.loads(golden(f"tables/{name}.footprints.json").read_text())
    catalog = read_afw_table(golden(f"tables/{name}.fits"))
    assert len(expected) == len(catalog)
    for known in expected:
        record = catalog.find(known["id"])
        assert record is not None
        footprint = record.getFootprint()
        assert footprint is not None
        box = footprint.bbox
        assert (footprint.area, [box.x0, box.y0, box.width, box.height]) == (known["area"], known["bbox"])
        peaks = np.stack([footprint.peaks[column] for column in ("f_x", "f_y", "peakValue")], axis=1)
        assert peaks[:LISTED_PEAKS].tolist() == known["peaks"]
        x, y = footprint.pixels()
        assert box.contains(x, y).all()
        assert footprint.is_heavy == known["heavy"]
        if footprint.is_heavy:
            assert footprint.image is not None
            assert footprint.image.sum(dtype=np.float64) == pytest.approx(known["heavy_sum"], rel=1e-12)
            assert footprint.mask is not None
            assert footprint.variance is not None
            assert len(footprint.mask) == len(footprint.variance) == footprint.area


def test_peaks_have_what_the_detection_recorded(golden: Golden) -> None:
    catalog = read_afw_table(golden("tables/deepCoadd_meas_HSC_v2.fits"))
    footprint = catalog[5].getFootprint()
    assert footprint is not None
    assert len(footprint.peaks) == 6
    flags = footprint.peaks.extract("merge_peak_*")
    assert len(flags) > 5
    assert footprint.peaks["merge_peak_i"].any()
    assert not footprint.peaks["merge_peak_sky"].any()


def test_what_the_file_says_beside(golden: Golden) -> None:
    path = golden("tables/forced_heavy.fits")
    catalog = read_afw_table(path, footprints=False)
    assert catalog.footprints is None
    assert catalog.kind == "SOURCE"
    assert catalog.metadata["BASE_CIRCULARAPERTUREFLUX_RADII"][:2] == [3.0, 4.5]
    assert catalog.metadata["NOISE_SOURCE"] == "measure"
    assert catalog.schema.slots["PsfFlux"] == "base_PsfFlux"
    assert set(catalog.metadata) == {
        "BASE_CIRCULARAPERTUREFLUX_RADII",
        "NOISE_SEED_MULTIPLIER",
        "NOISE_SOURCE",
        "NOISE_OFFSET",
        "NOISE_EXPOSURE_ID",
    }


def test_gzipped_files_are_read_too(golden: Golden, tmp_path: Path) -> None:
    path = tmp_path / "catalog.fits.gz"
    path.write_bytes(gzip.compress(golden("tables/forced_heavy.fits").read_bytes(), 1))
    catalog = read_afw_table(path)
    assert len(catalog) == 50
    assert catalog.footprints is not None
    assert all(footprint.is_heavy for footprint in catalog.footprints)


def test_hdus_by_number_and_name(golden: Golden, tmp_path: Path) -> None:
    path = golden("tables/forced_heavy.fits")
    places = [find_afw_table(path, hdu) for hdu in (None, 1, "SpanSet", 0, 99, "none")]
    assert places == [
        1,
        1,
        4,
        None,
        None,
        None,
    ]
    assert read_afw_table(path, hdu="SPANSET").schema.getOrderedNames() == ["y", "x0", "x1"]
    with pytest.raises(InputTableError, match="has no HDU 99"):
        read_afw_table(path, hdu=99)
    with pytest.raises(InputTableError, match="There is no file"):
        read_afw_table(tmp_path / "none.fits")
    with pytest.raises(InputTableError, match="is not a file"):
        read_afw_table(tmp_path)


def test_what_the_tutorial_asks_of_a_real_catalog(golden: Golden) -> None:
    catalog = read_afw_table(golden("tables/deepCoadd_meas_HSC_v2.fits"), footprints=False)
    assert catalog.getSchema().find("base_PsfFlux_flux").field.getUnits() == "count"
    assert catalog.schema.find("base_ClassificationExtendedness_value").field.getDoc().startswith("Set to 1")
    found: dict[str, Any] = catalog.getSchema().extract("base_PsfFlux_*")
    assert {"base_PsfFlux_flux", "base_PsfFlux_flag", "base_PsfFlux_flag_edge"} <= set(found)
    inner = catalog["detect_isPatchInner"] & catalog["detect_isTractInner"]
    primary = (catalog["deblend_nChild"] == 0) & inner & ~catalog["merge_peak_sky"]
    assert (catalog["detect_isPrimary"] == primary).all()
    selected = catalog[catalog["detect_isPrimary"] & ~catalog["base_PsfFlux_flag"]]
    assert 0 < len(selected) <= len(catalog)
