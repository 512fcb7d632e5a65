"""Catalogs written and read again: golden ones, ones of every type, and what else is in the file."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from forcedphot.catalog.footprint import Footprint
from forcedphot.catalog.schema import Field, Schema
from forcedphot.catalog.source_catalog import SourceCatalog
from forcedphot.errors import InputTableError, OutputError
from forcedphot.io.afw_table.reader import read_afw_table
from forcedphot.io.afw_table.writer import write_afw_table
from forcedphot.io.source_catalogs import read_source_catalog, write_source_catalog

from .test_afw_table import NAMES

Golden = Callable[[str], Path]


def assert_same_column(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> None:
    if expected.dtype == object:
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            assert_same_column(ours, theirs)
    else:
        assert found.dtype.kind == expected.dtype.kind
        assert found.dtype.kind == "U" or found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def assert_same(found: SourceCatalog, expected: SourceCatalog) -> None:
    assert found.schema == expected.schema
    assert found.metadata == expected.metadata
    assert (found.kind, len(found)) == (expected.kind, len(expected))
    for name, values in expected.columns.items():
        assert_same_column(found[name], values)
    assert (found.footprints is None) == (expected.footprints is None)
    if found.footprints is not None and expected.footprints is not None:
        for ours, theirs in zip(found.footprints, expected.footprints, strict=True):
            assert_same_footprint(ours, theirs)


def assert_same_footprint(found: Footprint | None, expected: Footprint | None) -> None:
    assert (found is None) == (expected is None)
    if found is None or expected is None:
        return
    np.testing.assert_array_equal(found.spans, expected.spans)
    assert_same(found.peaks, expected.peaks)
    assert found.is_heavy == expected.is_heavy
    for name in ("image", "mask", "variance") if found.is_heavy else ():
        assert_same_column(getattr(found, name), getattr(expected, name))


def there_and_back(catalog: SourceCatalog, folder: Path, name: str = "catalog.fits") -> SourceCatalog:
    write_afw_table(catalog, folder / name, overwrite=True)
    return read_afw_table(folder / name)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_lost(golden: Golden, tmp_path: Path, name: str) -> None:
    catalog = read_afw_table(golden(f"tables/{name}.fits"))
    assert_same(there_and_back(catalog, tmp_path), catalog)
    with fits.open(tmp_path / "catalog.fits") as hdus:
        hdus.verify("exception")
        assert hdus[1].header["AFW_TABLE_VERSION"] == 3
        assert hdus[1].header["AFW_TYPE"] == "SOURCE"
        assert hdus[2].header["AR_NCAT"] == len(hdus) - 2


def test_selected_rows_take_their_footprints_along(golden: Golden, tmp_path: Path) -> None:
    catalog = read_afw_table(golden("tables/forced_heavy.fits"))
    chosen = catalog[catalog["id"] % 7 == 0]
    found = there_and_back(chosen, tmp_path, "catalog.fits.gz")
    assert 0 < len(found) < len(catalog)
    assert_same(found, chosen)


def test_footprints_of_several_kinds(golden: Golden, tmp_path: Path) -> None:
    catalog = read_afw_table(golden("tables/forced_heavy.fits"))[:4]
    assert catalog.footprints is not None
    heavy: Any = catalog.footprints[0]
    double = replace(heavy, image=heavy.image.astype(np.float64))
    catalog.footprints[:] = [heavy, replace(heavy, image=None, mask=None, variance=None), None, double]
    assert_same(there_and_back(catalog, tmp_path), catalog)
    catalog.footprints[0] = replace(heavy, image=heavy.image.astype(np.complex64))
    with pytest.raises(OutputError, match="pixel values of the type complex64"):
        write_afw_table(catalog, tmp_path / "complex.fits")
    assert not (tmp_path / "complex.fits").exists()


def test_footprints_that_know_the_image_only_stay_heavy(golden: Golden, tmp_path: Path) -> None:
    catalog = read_afw_table(golden("tables/forced_heavy.fits"))[:1]
    assert catalog.footprints is not None
    heavy: Any = catalog.footprints[0]
    catalog.footprints[0] = replace(heavy, mask=None, variance=None)
    found = there_and_back(catalog, tmp_path)
    nothing = np.zeros(heavy.area, dtype=np.float32)
    catalog.footprints[0] = replace(heavy, mask=nothing.astype(np.int32), variance=nothing)
    assert_same(found, catalog)


def every_type(n: int = 3) -> SourceCatalog:
    fields = [
        Field("id", "int64", "unique ID"),
        Field("coord_ra", "float64", "position", "rad", is_angle=True),
        Field("angle_without_class", "float64", "", "rad"),
        Field("first_flag", "bool", "a flag before columns"),
        *(Field(f"number_{dtype}", dtype, f"it's a {dtype}") for dtype in ("uint8", "uint16", "int32", "float32")),
        Field("last_flag", "bool"),
        *(Field(f"array_{dtype}", dtype, "four", "pixel^2", 4) for dtype in ("uint8", "uint16", "int32", "int64")),
        *(Field(f"array_{dtype}", dtype, "one", "count", 1) for dtype in ("float32", "float64")),
        *(Field(f"ragged_{dtype}", dtype, "any", size=0) for dtype in ("uint8", "uint16", "int32", "float64")),
        Field("name", "str", "a text", size=7),
        Field("story", "str", "a text of any length", size=0),
    ]
    schema = Schema(fields, {"slot_Centroid": "array", "slot_" + "long" * 30: "number" * 5})
    rng = np.random.default_rng(3)
    columns = schema.allocate(n)
    for field in fields:
        values = columns[field.name]
        if field.is_variable:
            values[:] = [rng.integers(0, 99, i).astype(field.dtype) for i in range(n)]
        elif field.dtype == "str":
            columns[field.name] = np.array([("ab_c" * i)[: field.size or None] for i in range(n)], dtype=np.str_)
        else:
            values[:] = rng.integers(0, 2 if field.dtype == "bool" else 250, values.shape)
    columns["number_uint16"][:] = 65535
    metadata = {
        "EXTNAME": "sources",
        "base_Name_radii": [3.0, 4.5],
        "LONG": "x" * 150,
        "YES": True,
        "NOTHING": None,
        "COUNT": 7,
    }
    return SourceCatalog(schema, columns, metadata, kind="BASE")


@pytest.mark.parametrize("n", [0, 1, 3])
def test_every_type_of_field(tmp_path: Path, n: int) -> None:
    assert_same(there_and_back(every_type(n), tmp_path), every_type(n))
    with fits.open(tmp_path / "catalog.fits") as hdus:
        hdus.verify("exception")
        assert len(hdus) == 2
        if n:
            np.testing.assert_array_equal(hdus[1].data["number_uint16"], every_type(n)["number_uint16"])
            assert hdus[1].data["name"].tolist() == every_type(n)["name"].tolist()
            np.testing.assert_array_equal(hdus[1].data["ragged_float64"][-1], every_type(n)["ragged_float64"][-1])


@pytest.mark.parametrize("kind", ["BASE", "SIMPLE", "EXPOSURE", "SOURCE"])
def test_kinds(tmp_path: Path, kind: str) -> None:
    schema = Schema([Field("id", "int64"), Field("psf", "int32", "archive ID for Psf object")])
    catalog = SourceCatalog(schema, {"id": np.arange(2), "psf": np.array([5, 6], dtype=np.int32)}, kind=kind)
    found = there_and_back(catalog, tmp_path)
    assert found.kind == kind
    # Without the objects, nothing may refer to them.
    assert found["psf"].tolist() == ([0, 0] if kind == "EXPOSURE" else [5, 6])


def test_objects_of_exposure_catalogs_are_kept(golden: Golden, tmp_path: Path) -> None:
    path = golden("driver/visit_gaussian") / "exposure.fits"
    with fits.open(path) as hdus:
        index = next(i for i, hdu in enumerate(hdus) if hdu.header.get("EXTTYPE") == "ARCHIVE_INDEX")
        last = hdus[index + hdus[index].header["AR_NCAT"] - 1].fileinfo()
        start, stop = hdus[index].fileinfo()["hdrLoc"], last["datLoc"] + last["datSpan"]
    schema = Schema([Field("id", "int64"), Field("psf", "int32", "archive ID for Psf object")])
    columns: dict[str, npt.NDArray[Any]] = {"id": np.arange(2), "psf": np.array([1, 2], dtype=np.int32)}
    stored = path.read_bytes()[start:stop]
    write_afw_table(SourceCatalog(schema, columns, kind="EXPOSURE", archive=stored), tmp_path / "full.fits")
    catalog = read_afw_table(tmp_path / "full.fits")
    assert catalog.archive == stored
    write_afw_table(catalog[1:], tmp_path / "again.fits")
    again = read_afw_table(tmp_path / "again.fits")
    assert (again["psf"].tolist(), again.archive) == ([2], catalog.archive)
    other = read_afw_table(tmp_path / "again.fits")
    assert SourceCatalog.concatenate([again, again]).archive is again.archive
    assert SourceCatalog.concatenate([again, other]).archive is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fields": [Field("z", "complex128")]}, "z is of the type complex128"),
        ({"fields": [Field("z", "str", size=2)]}, "2 bytes a text, but 'abc' has more"),
        ({"fields": [Field("z", "float64", "Ångström")]}, "TDOC1 = 'Ångström' cannot be written"),
        ({"metadata": {"KEY": float("nan")}}, "KEY = nan cannot be written"),
        ({"metadata": {"a long name": "two\nlines"}}, "a long name = .* cannot be written into a FITS header"),
    ],
)
def test_what_fits_cannot_hold_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    fields = change.get("fields", [])
    columns = {field.name: np.array(["abc"]) if field.dtype == "str" else field.allocate(1) for field in fields}
    catalog = SourceCatalog(Schema(fields), columns, change.get("metadata"))
    with pytest.raises(OutputError, match=message):
        write_afw_table(catalog, tmp_path / "bad.fits")
    assert list(tmp_path.iterdir()) == []


def test_more_columns_than_fits_has(tmp_path: Path) -> None:
    flags = [Field(f"flag_{i}", "bool", "a flag") for i in range(1100)]
    schema = Schema([*flags, *(Field(f"c{i}", "uint8") for i in range(998))])
    catalog = SourceCatalog(schema, schema.allocate(2), kind="BASE")
    assert_same(there_and_back(catalog, tmp_path), catalog)
    more = catalog.with_columns({Field("last", "uint8"): np.zeros(2, np.uint8)})
    with pytest.raises(OutputError, match="at most 999 columns besides flags; last is one more"):
        write_afw_table(more, tmp_path / "more.fits")


def test_cards_of_the_table_are_no_metadata(tmp_path: Path) -> None:
    schema = Schema([Field("id", "int64")])
    catalog = SourceCatalog(
        schema, {"id": np.arange(2)}, {"NAXIS1": 3, "TTYPE1": "x", "obj": {}, "n": np.int32(3)}
    )
    assert there_and_back(catalog, tmp_path).metadata == {"n": 3}


@pytest.mark.parametrize("ending", ["fits", "fits.gz", "parquet", "ecsv"])
def test_other_formats_keep_the_schema(golden: Golden, tmp_path: Path, ending: str) -> None:
    catalog = read_afw_table(golden("tables/forced_heavy.fits"))
    path = tmp_path / f"catalog.{ending}"
    write_source_catalog(catalog, path)
    found = read_source_catalog(path)
    if not ending.startswith("fits"):
        catalog.footprints = None
    assert_same(found, catalog)
    with pytest.raises(OutputError, match="exists"):
        write_source_catalog(catalog, path)


def test_csv_keeps_the_columns(golden: Golden, tmp_path: Path) -> None:
    catalog = read_afw_table(golden("tables/forced_heavy.fits"))
    write_source_catalog(catalog, tmp_path / "catalog.csv")
    found = read_source_catalog(tmp_path / "catalog.csv")
    assert found.schema.getOrderedNames() == catalog.asAstropy().colnames
    np.testing.assert_array_equal(found["slot_PsfFlux_flag"], catalog["base_PsfFlux_flag"])
    with pytest.raises(InputTableError, match="There is no file"):
        read_source_catalog(tmp_path / "none.fits")
    with pytest.raises(InputTableError, match="is not a file"):
        read_source_catalog(tmp_path)


NAME = st.text("abcdefghij_XYZ0123456789", min_size=1, max_size=70)
# astropy ends a text at a quote that a slash follows.
TEXT = (
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200)
    .map(str.rstrip)
    .filter(lambda text: "'/" not in text)
)
DTYPES = ("bool", "uint8", "uint16", "int32", "int64", "float32", "float64")


@st.composite
def catalogs(draw: st.DrawFn) -> SourceCatalog:
    n = draw(st.integers(0, 5))
    columns = {}
    fields = []
    for name in draw(st.lists(NAME, unique=True, min_size=1, max_size=8)):
        dtype = draw(st.sampled_from(DTYPES))
        size = None if dtype == "bool" else draw(st.sampled_from([None, None, 1, 3, 0]))
        fields.append(
            Field(
                name,
                dtype,
                draw(TEXT),
                "" if dtype == "bool" else draw(st.sampled_from(["", "rad", "pixel^2"])),
                size,
            )
        )
        if size == 0:
            values = np.empty(n, dtype=object)
            values[:] = [draw(npst.arrays(dtype, st.integers(0, 4))) for _ in range(n)]
            columns[name] = values
        else:
            columns[name] = draw(npst.arrays(dtype, n if size is None else (n, size)))
    aliases = draw(st.dictionaries(NAME, NAME, max_size=3))
    return SourceCatalog(Schema(fields, aliases), columns, {"NUMBER": draw(st.integers(-9, 9))})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(catalogs())
def test_any_catalog_comes_back(tmp_path: Path, catalog: SourceCatalog) -> None:
    assert_same(there_and_back(catalog, tmp_path), catalog)
