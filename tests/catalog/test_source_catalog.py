"""SourceCatalog: columns, rows, selections, tables, and what the tutorial on several bands does with it."""

from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
import pytest
from astropy.table import MaskedColumn, QTable, Table
from hypothesis import given
from hypothesis import strategies as st

from forcedphot.catalog.footprint import Footprint
from forcedphot.catalog.schema import Field, Schema
from forcedphot.catalog.source_catalog import SourceCatalog
from forcedphot.conventions import Box
from forcedphot.errors import ConfigurationError, InputTableError, UnknownFieldError
from forcedphot.exposure import ConstantField, PhotoCalib


def footprint(number: int) -> Footprint:
    peaks = SourceCatalog(Schema([Field("id", "int64")]), {"id": np.array([number])}, kind="BASE")
    return Footprint(spans=np.array([[5, 2, 4], [6, 3, 3]], dtype=np.int32), peaks=peaks)


@pytest.fixture
def catalog() -> SourceCatalog:
    schema = Schema()
    for name, kind, doc, unit in [
        ("id", "L", "unique ID", ""),
        ("coord_ra", "Angle", "position in ra/dec", ""),
        ("deblend_nChild", "I", "number of children", ""),
        ("detect_isPatchInner", "Flag", "in the patch's inner region", ""),
        ("detect_isTractInner", "Flag", "in the tract's inner region", ""),
        ("merge_peak_sky", "Flag", "sky object", ""),
        ("detect_isPrimary", "Flag", "primary", ""),
        ("base_PsfFlux_instFlux", "D", "flux", "count"),
        ("base_PsfFlux_instFluxErr", "D", "its error", "count"),
        ("base_PsfFlux_flag", "Flag", "general failure", ""),
        ("base_PsfFlux_flag_edge", "Flag", "edge", ""),
        ("base_ClassificationExtendedness_value", "D", "1 for galaxies", ""),
        ("base_SdssCentroid_x", "D", "column", "pixel"),
        ("base_SdssCentroid_y", "D", "row", "pixel"),
    ]:
        schema.add_field(name, kind, doc, unit)
    schema.set_alias("slot_PsfFlux", "base_PsfFlux")
    schema.set_alias("slot_Centroid", "base_SdssCentroid")
    columns = schema.allocate(4)
    columns["id"][:] = [30, 10, 20, 40]
    columns["deblend_nChild"][:] = [0, 2, 0, 0]
    columns["detect_isPatchInner"][:] = True
    columns["detect_isTractInner"][:] = [True, True, False, True]
    columns["merge_peak_sky"][:] = [False, False, False, True]
    columns["detect_isPrimary"][:] = [True, False, False, False]
    columns["base_PsfFlux_instFlux"][:] = [100.0, -3.0, 0.0, np.nan]
    columns["base_PsfFlux_instFluxErr"][:] = 2.0
    columns["base_SdssCentroid_x"][:] = columns["base_SdssCentroid_y"][:] = [1.0, 2.0, 3.0, 4.0]
    return SourceCatalog(schema, columns, {"RADII": [3.0, 4.5]}, footprints=[footprint(i) for i in range(4)])


def test_columns_by_name_alias_item_and_field(catalog: SourceCatalog) -> None:
    column = catalog["base_PsfFlux_instFlux"]
    assert column is catalog.columns["base_PsfFlux_instFlux"]
    assert catalog["slot_PsfFlux_instFlux"] is column
    assert catalog.get("slot_PsfFlux_instFlux") is column
    item = catalog.getSchema().find("slot_PsfFlux_instFlux")
    assert catalog[item] is column
    assert catalog[item.field] is column
    assert list(catalog.extract("slot_PsfFlux_inst*")) == ["slot_PsfFlux_instFlux", "slot_PsfFlux_instFluxErr"]
    catalog["slot_PsfFlux_instFlux"] = 7
    assert column.tolist() == [7.0] * 4
    with pytest.raises(UnknownFieldError, match="no field 'nothing'"):
        catalog["nothing"]


def test_rows(catalog: SourceCatalog) -> None:
    assert len(catalog) == 4
    assert [record.getId() for record in catalog] == [30, 10, 20, 40]
    record = catalog[-1]
    assert (record["id"], record.get("slot_Centroid_x"), record.getSchema()) == (40, 4.0, catalog.schema)
    assert record.extract("coord*", "id").keys() == {"coord_ra", "id"}
    peaks = record.getFootprint().peaks
    assert peaks["id"].tolist() == [3]
    assert "row 3 of" in repr(record)
    with pytest.raises(IndexError, match="no row 4 in a catalog of 4"):
        catalog[4]


def test_find_by_id_needs_no_order(catalog: SourceCatalog) -> None:
    found = catalog.find(20)
    assert found is not None
    assert found.index == 2
    assert catalog.find(99) is None
    assert catalog.find(2, "deblend_nChild") is not None


@pytest.mark.parametrize(
    ("key", "ids"),
    [
        (slice(1, 3), [10, 20]),
        (slice(None, None, -1), [40, 20, 10, 30]),
        (np.array([True, False, False, True]), [30, 40]),
        ([True, False, False, True], [30, 40]),
        (np.array([2, 0]), [20, 30]),
        ([2, 0, 2], [20, 30, 20]),
        ([], []),
    ],
)
def test_selections_keep_rows_together(catalog: SourceCatalog, key: Any, ids: list[int]) -> None:
    chosen = catalog[key]
    assert chosen["id"].tolist() == ids
    assert chosen.schema is catalog.schema
    assert chosen.metadata == catalog.metadata
    for record in chosen:
        original = catalog.find(record.getId())
        assert original is not None
        assert record.getFootprint() is original.getFootprint()
        np.testing.assert_equal(record.extract("*"), original.extract("*"))


def test_a_condition_of_another_length_is_refused(catalog: SourceCatalog) -> None:
    with pytest.raises(IndexError):
        catalog[np.array([True, False])]


def test_slices_share_and_copies_do_not(catalog: SourceCatalog) -> None:
    catalog[1:]["id"] = 5
    assert catalog["id"].tolist() == [30, 5, 5, 5]
    copy = catalog.copy()
    copy["id"] = 0
    copy.schema.add_field("more", "I", "")
    assert catalog["id"].tolist() == [30, 5, 5, 5]
    assert "more" not in catalog.schema


def test_concatenation(catalog: SourceCatalog) -> None:
    plain = SourceCatalog(catalog.schema, catalog.columns)
    both = SourceCatalog.concatenate([catalog[:2], catalog[2:], plain])
    assert both["id"].tolist() == [30, 10, 20, 40] * 2
    assert both.footprints is not None
    assert [fp is None for fp in both.footprints] == [False] * 4 + [True] * 4
    assert SourceCatalog.concatenate([plain, plain]).footprints is None
    with pytest.raises(InputTableError, match="Catalog 1 has another schema"):
        SourceCatalog.concatenate([catalog, SourceCatalog(Schema(), {})])
    with pytest.raises(InputTableError, match="no catalogs"):
        SourceCatalog.concatenate([])


def test_columns_must_fit(catalog: SourceCatalog) -> None:
    with pytest.raises(InputTableError, match="no columns for the fields id, coord_ra"):
        SourceCatalog(catalog.schema, {})
    with pytest.raises(InputTableError, match="coord_ra has 3"):
        SourceCatalog(catalog.schema, {**catalog.columns, "coord_ra": np.zeros(3)})
    with pytest.raises(InputTableError, match="footprints has 1"):
        SourceCatalog(Schema([Field("id", "int64")]), {"id": np.arange(2)}, footprints=[None])


def test_an_astropy_table_has_aliases_units_and_docs(catalog: SourceCatalog) -> None:
    table = catalog.asAstropy()
    assert table.colnames[7:9] == ["base_PsfFlux_instFlux", "slot_PsfFlux_instFlux"]
    column = table["slot_PsfFlux_instFlux"]
    assert (column.unit, column.description, table["coord_ra"].unit) == (u.ct, "flux", u.rad)
    assert np.shares_memory(column, catalog["base_PsfFlux_instFlux"])
    assert "id" in str(catalog)
    assert repr(catalog) == "<SourceCatalog: 4 rows, 14 fields>"


def test_to_a_table_and_back(catalog: SourceCatalog) -> None:
    schema = Schema([*catalog.schema, Field("s", "str", size=5), Field("a", "float32", size=2)], {"slot_X": "a"})
    columns = {**catalog.columns, "s": np.array(["", "ab", "c", "d"]), "a": np.ones((4, 2), dtype=np.float32)}
    before = SourceCatalog(schema, columns, catalog.metadata, kind="SIMPLE")
    after = SourceCatalog.from_table(before.asAstropy(aliases=False))
    assert after.schema == before.schema
    assert (after.metadata, after.kind) == (before.metadata, "SIMPLE")
    for name, values in before.columns.items():
        np.testing.assert_array_equal(after[name], values)


def test_from_foreign_tables() -> None:
    table = QTable({"flux": [1.0, 2.0] * u.nJy, "name": np.array([b"a", b"bc"]), "cube": np.zeros((2, 3, 4))})
    table["n"] = MaskedColumn([1, 2], mask=[False, True], description="how many")
    table["big"] = np.array([1, 2], dtype=">i4")
    catalog = SourceCatalog.from_table(table)
    assert [field.type for field in catalog.schema] == ["D", "String", "ArrayD", "L", "I"]
    assert (catalog.schema["flux"].unit, catalog.kind) == ("nJy", "BASE")
    assert catalog.schema["n"].doc == "how many"
    assert catalog["n"].tolist() == [1, 0]
    assert catalog["name"].tolist() == ["a", "bc"]
    assert catalog["cube"].shape == (2, 12)
    assert catalog["big"].dtype.isnative
    with pytest.raises(InputTableError, match="'o' holds Python objects"):
        SourceCatalog.from_table(Table({"o": np.array([None, {}])}))


@pytest.mark.parametrize(
    "schema",
    [
        "a text",
        {"fields": [], "aliases": {}, "kind": "SOURCE"},
        {"fields": {"a": 3}, "aliases": {}, "kind": "SOURCE"},
        {"fields": {}, "aliases": ["b"], "kind": "SOURCE"},
        {"fields": {}, "aliases": {"b": 3}, "kind": "SOURCE"},
    ],
)
def test_what_others_call_a_schema_is_metadata(schema: Any) -> None:
    catalog = SourceCatalog.from_table(Table({"a": [1, 2]}, meta={"schema": schema}))
    assert (catalog.kind, catalog.getMetadata()) == ("BASE", {"schema": schema})


def test_footprints_know_their_pixels() -> None:
    shape = footprint(1)
    assert (shape.area, shape.bbox, shape.is_heavy) == (4, Box(2, 5, 3, 2), False)
    x, y = shape.pixels()
    assert x.tolist() == [2, 3, 4, 3]
    assert y.tolist() == [5, 5, 5, 6]
    empty = Footprint(spans=np.empty((0, 3), dtype=np.int32), peaks=shape.peaks[:0], image=np.empty(0))
    assert (empty.area, empty.bbox, empty.is_heavy) == (0, Box(0, 0, 0, 0), True)


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.integers(0, 5)), max_size=6))
def test_pixels_are_those_of_the_spans(spans: list[tuple[int, int, int]]) -> None:
    array = np.array([(y, x, x + width) for y, x, width in spans], dtype=np.int32).reshape(-1, 3)
    shape = Footprint(spans=array, peaks=footprint(0).peaks)
    expected = [(column, y) for y, x, width in spans for column in range(x, x + width + 1)]
    assert list(zip(*(values.tolist() for values in shape.pixels()), strict=True)) == expected
    assert shape.area == len(expected)
    assert all(shape.bbox.contains(column, row) for column, row in expected)


class TestTutorial:
    """The statements of the tutorial on catalogs in several bands."""

    def test_schema(self, catalog: SourceCatalog) -> None:
        assert catalog.getSchema().find("base_PsfFlux_instFlux").field.getUnits() == "count"
        assert "detect_isPrimary" in repr(catalog.schema.find("detect_isPrimary"))
        assert "deblend_nChild" in catalog.schema.getNames()
        doc = catalog.schema.find("base_ClassificationExtendedness_value").field.getDoc()
        assert doc == "1 for galaxies"
        assert "Field['Flag'](name=\"base_PsfFlux_flag_edge\"" in str(
            catalog.getSchema().extract("base_PsfFlux_*")
        )

    def test_primary_sources(self, catalog: SourceCatalog) -> None:
        is_primary = catalog["detect_isPrimary"]
        assert (
            is_primary
            == (
                (catalog["deblend_nChild"] == 0)
                & catalog["detect_isPatchInner"]
                & catalog["detect_isTractInner"]
                & (catalog["merge_peak_sky"] == False)  # noqa: E712 - as the tutorial has it
            )
        ).all()
        selected = is_primary & ~catalog["base_PsfFlux_flag"]
        assert catalog["base_PsfFlux_instFlux"][selected].tolist() == [100.0]


def magnitudes(catalog: SourceCatalog) -> npt.NDArray[np.float64]:
    return 31.4 - 2.5 * np.log10(catalog["base_PsfFlux_instFlux"][:1] * 0.5)


def test_catalogs_are_calibrated(catalog: SourceCatalog) -> None:
    calibrated = catalog.calibrated(PhotoCalib(0.5, 0.05))
    assert calibrated.schema.getOrderedNames()[-4:] == [
        "base_PsfFlux_flux",
        "base_PsfFlux_fluxErr",
        "base_PsfFlux_mag",
        "base_PsfFlux_magErr",
    ]
    assert calibrated["slot_PsfFlux_flux"].tolist()[:3] == [50.0, -1.5, 0.0]
    assert calibrated["base_PsfFlux_fluxErr"][0] == pytest.approx(np.hypot(1.0, 5.0))
    np.testing.assert_allclose(calibrated["base_PsfFlux_mag"][:1], magnitudes(catalog))
    assert np.isnan(calibrated["base_PsfFlux_mag"][1:]).all()
    assert len(catalog.schema) == 14
    field = PhotoCalib(1.0, 0.0, ConstantField(0.5))
    for names in (["slot_PsfFlux"], ["base_PsfFlux"], ["base_PsfFlux_instFlux"]):
        varying = catalog.calibrated(field, names)
        np.testing.assert_array_equal(varying["base_PsfFlux_flux"], calibrated["base_PsfFlux_flux"])
    with pytest.raises(UnknownFieldError, match="base_GaussianFlux_instFlux"):
        catalog.calibrated(field, ["base_GaussianFlux"])
    with pytest.raises(ConfigurationError, match="base_PsfFlux_flux is declared twice"):
        calibrated.calibrated(field)


def test_fluxes_without_errors_are_calibrated() -> None:
    schema = Schema([Field("a_flux", "float32")], {"a_instFlux": "a_flux"})
    catalog = SourceCatalog(schema, {"a_flux": np.array([2.0], dtype=np.float32)})
    assert len(catalog.calibrated(PhotoCalib(2.0)).schema) == 1
    schema = Schema([Field("a_instFlux", "float32")])
    catalog = SourceCatalog(schema, {"a_instFlux": np.array([2.0], dtype=np.float32)}).calibrated(PhotoCalib(2.0))
    assert catalog.schema.getOrderedNames() == ["a_instFlux", "a_flux", "a_mag"]
