"""Catalogs keep values, types, units and descriptions, and are written whole or not at all."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from forcedphot.catalog.schema import Field, Schema
from forcedphot.catalog.source_catalog import SourceCatalog
from forcedphot.errors import InputTableError, OutputError, RemoteFileError
from forcedphot.io.afw_table.writer import write_afw_table
from forcedphot.io.atomic import atomic_output, check_output
from forcedphot.io.catalogs import FORMATS, read_catalog, write_catalog

WITH_UNITS = [ending for ending in FORMATS if ending != ".csv"]


@pytest.fixture
def table() -> Table:
    return Table(
        [
            Column(np.array([1, 2**62, -3], dtype=np.int64), "objectId", description="Identifier"),
            Column([0.1, np.nan, 3.0], "coord_ra", unit="rad", description="Right ascension"),
            Column([1.0, 2.0, 3.0], "psf_flux", unit="nJy", description="PSF flux in nJy"),
            Column(np.array([1.5, 2.5, 3.5], dtype=np.float32), "area", unit="pix2"),
            Column(np.array([7, 8, 9], dtype=np.int32), "npixels"),
            Column([True, False, True], "psf_flag", description="Failure"),
            Column(["a", "bcd", "e"], "name"),
        ]
    )


@pytest.mark.parametrize("ending", WITH_UNITS)
def test_round_trip(table: Table, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"catalog{ending}"
    write_catalog(table, path)
    back = read_catalog(path)
    assert back.colnames == table.colnames
    for name in table.colnames:
        assert type(back[name]) is Column
        assert back[name].dtype.kind == table[name].dtype.kind
        if table[name].dtype.kind in "if":
            assert back[name].dtype == table[name].dtype
        np.testing.assert_array_equal(back[name], table[name])
        assert back[name].unit == table[name].unit
        assert (back[name].description or None) == table[name].description


def test_csv_has_values_only(table: Table, tmp_path: Path) -> None:
    write_catalog(table, tmp_path / "catalog.csv")
    back = read_catalog(tmp_path / "catalog.csv")
    for name in table.colnames:
        assert back[name].unit is None
        np.testing.assert_array_equal(back[name], table[name])
    assert back["psf_flag"].dtype == bool


@settings(deadline=None, max_examples=25)
@given(
    data=st.data(),
    ending=st.sampled_from([".fits", ".ecsv", ".parquet", ".vot"]),
    n_rows=st.integers(0, 5),
)
def test_round_trip_of_anything(tmp_path_factory: Any, data: Any, ending: str, n_rows: int) -> None:
    # A FITS table cannot tell a missing last character, nor a VOTable all types of integers.
    dtypes = st.sampled_from([np.float64, np.float32, np.int64, np.int32, np.int16, np.bool_])
    names = data.draw(st.lists(st.from_regex(r"\A[a-z][a-z_0-9]{0,20}\Z"), unique=True, min_size=1, max_size=4))
    table = Table({name: data.draw(npst.arrays(data.draw(dtypes), n_rows)) for name in names})
    units = st.sampled_from([None, "rad", "deg", "nJy", "ct", "pix"])
    for name in names:
        table[name].unit = data.draw(units)
        table[name].description = data.draw(st.sampled_from([None, "what it is"]))
    path = tmp_path_factory.mktemp("catalog") / f"catalog{ending}"
    write_catalog(table, path)
    back = read_catalog(path)
    assert back.colnames == names
    for name in names:
        assert back[name].dtype == table[name].dtype
        np.testing.assert_array_equal(back[name], table[name])
        assert (back[name].unit, back[name].description) == (table[name].unit, table[name].description)


@pytest.mark.parametrize("ending", [".fits", ".ecsv", ".csv", ".parquet", ".vot"])
def test_missing_values(tmp_path: Path, ending: str) -> None:
    table = Table(
        {
            "number": MaskedColumn([1, 2, 3], mask=[False, True, False]),
            "ra": MaskedColumn([1.0, 2.0, 3.0], mask=[False, False, True]),
        }
    )
    write_catalog(table, tmp_path / f"catalog{ending}")
    back = read_catalog(tmp_path / f"catalog{ending}")
    np.testing.assert_array_equal(back["number"].mask, [False, True, False])
    np.testing.assert_array_equal(back["ra"], [1.0, 2.0, np.nan])


def test_parquet_of_others(tmp_path: Path) -> None:
    arrow = pa.table(
        {
            "id": pa.array([1, 2, None], pa.uint32()),
            "ra": pa.array([1.0, None, 3.0]),
            "flag": pa.array([True, False, None]),
            "band": pa.array(["r", "i", None]).dictionary_encode(),
            "pair": pa.array([[1.0, 2.0]] * 3, pa.list_(pa.float64(), 2)),
        }
    )
    pq.write_table(arrow, tmp_path / "catalog.parq")
    back = read_catalog(tmp_path / "catalog.parq")
    assert back["id"].dtype == np.uint32
    np.testing.assert_array_equal(back["id"].mask, [False, False, True])
    np.testing.assert_array_equal(back["ra"], [1.0, np.nan, 3.0])
    np.testing.assert_array_equal(back["flag"].mask, [False, False, True])
    assert list(back["band"][:2]) == ["r", "i"]
    assert back["pair"].shape == (3, 2)


def test_parquet_of_astropy(tmp_path: Path) -> None:
    # The header that astropy's own writer makes; its reader needs pandas.
    table = Table({"ra": Column([1.0], unit="rad", description="RA"), "v": np.ones((1, 2)), "s": [b"ab"]})
    table.meta |= {"made": "by hand", "of": {"first": [1, 2.5], "pair": (1, 2)}, "speed": 3 * u.km / u.s}
    table.write(tmp_path / "catalog.parquet", format="parquet")
    back = read_catalog(tmp_path / "catalog.parquet")
    assert (str(back["ra"].unit), back["ra"].description) == ("rad", "RA")
    assert back["v"].shape == (1, 2)
    assert back.meta == table.meta


def test_parquet_can_be_read_by_others(table: Table, tmp_path: Path) -> None:
    write_catalog(table, tmp_path / "catalog.parquet")
    arrow = pq.read_table(tmp_path / "catalog.parquet")
    assert arrow["objectId"].to_pylist() == [1, 2**62, -3]
    assert arrow.schema.metadata[b"table::len::name"] == b"3"
    assert b"unit: nJy" in arrow.schema.metadata[b"table_meta_yaml"]


def test_fits_of_two_tables_gives_the_first(table: Table, tmp_path: Path) -> None:
    hdus = [fits.PrimaryHDU(), fits.table_to_hdu(table["objectId", "area"]), fits.table_to_hdu(Table({"x": [1]}))]
    fits.HDUList(hdus).writeto(tmp_path / "catalog.fits")
    assert read_catalog(tmp_path / "catalog.fits").colnames == ["objectId", "area"]


def test_fits_of_two_tables_gives_the_one_asked_for(table: Table, tmp_path: Path) -> None:
    path = tmp_path / "two.fits"
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.table_to_hdu(table), fits.table_to_hdu(table[:1])])
    hdus[2].name = "SHORT"
    hdus.writeto(path)
    for hdu in (2, "SHORT"):
        assert len(read_catalog(path, hdu=hdu)) == 1
    with pytest.raises(InputTableError, match=r"two\.fits cannot be read as FITS"):
        read_catalog(path, hdu="LONG")
    one = tmp_path / "one.fits"
    fits.HDUList(hdus[:2]).writeto(one)
    for hdu in (0, 7, "LONG"):  # astropy would read the only table there is
        with pytest.raises(InputTableError, match=rf"one\.fits .* has no table {hdu}; its tables are 1"):
            read_catalog(one, hdu=hdu)
    assert len(read_catalog(one, hdu=1)) == len(table)
    write_catalog(table, tmp_path / "one.ecsv")
    with pytest.raises(InputTableError, match="only FITS files"):
        read_catalog(tmp_path / "one.ecsv", hdu=1)


def test_strings_of_any_length_in_votables(tmp_path: Path) -> None:
    (tmp_path / "catalog.vot").write_text(
        '<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>'
        '<FIELD name="name" datatype="char" arraysize="*"/><DATA><TABLEDATA>'
        "<TR><TD>a</TD></TR><TR><TD>longer</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    )
    assert list(read_catalog(tmp_path / "catalog.vot")["name"]) == ["a", "longer"]


def test_missing_catalog(tmp_path: Path) -> None:
    with pytest.raises(InputTableError, match=r"There is no file .*absent\.ecsv"):
        read_catalog(tmp_path / "absent.ecsv")
    (tmp_path / "folder.fits").mkdir()
    with pytest.raises(InputTableError, match=r"folder\.fits is not a file"):
        read_catalog(tmp_path / "folder.fits")


def test_unknown_ending(table: Table, tmp_path: Path) -> None:
    with pytest.raises(InputTableError, match=r"catalog\.txt has no ending .*\.ecsv"):
        read_catalog(tmp_path / "catalog.txt")
    with pytest.raises(OutputError, match=r"catalog\.pickle has no ending .*\.ecsv"):
        write_catalog(table, tmp_path / "catalog.pickle")


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("content", [b"\n", b"\x00\x01 nonsense \xff" * 9])
def test_damaged(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"catalog{ending}"
    path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    with pytest.raises(InputTableError, match=r"catalog\..* cannot be read as "):
        read_catalog(path)


@pytest.mark.parametrize("ending", [".ecsv", ".parquet"])
def test_objects_are_refused(table: Table, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"catalog{ending}"
    table["things"] = np.array([{"a": 1}, [2], None], dtype=object)
    with pytest.raises(OutputError, match="things"):
        write_catalog(table, path)
    assert not path.exists()
    if ending == ".parquet":
        pq.write_table(pa.table({"things": [[1], [2, 3]]}), path)
    else:
        table.write(path, format="ascii.ecsv")
    with pytest.raises(InputTableError, match=r"things of .*catalog"):
        read_catalog(path)


def test_columns_that_parquet_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="'cube' has 3 dimensions"):
        write_catalog(Table({"cube": np.zeros((2, 2, 2))}), tmp_path / "catalog.parquet")
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_file_is_kept(table: Table, tmp_path: Path) -> None:
    path = tmp_path / "catalog.ecsv"
    path.write_text("mine")
    with pytest.raises(OutputError, match=r"catalog\.ecsv exists"):
        write_catalog(table, path)
    assert path.read_text() == "mine"
    write_catalog(table, path, overwrite=True)
    assert len(read_catalog(path)) == 3
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "catalog.ecsv"
    path.write_text("mine")

    def fail_half_way() -> None:
        with atomic_output(path, overwrite=True) as temporary:
            temporary.write_text("half")
            assert temporary.parent == path.parent
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_half_way()
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_errors_of_the_system_are_named(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_output(tmp_path / "result.fits"):
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match=r"result\.fits cannot be written: No space left on device"):
        fail()


@pytest.mark.parametrize(("name", "message"), [("", "is a folder"), ("absent/catalog.fits", "There is no folder")])
def test_bad_places(table: Table, tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(OutputError, match=message):
        check_output(tmp_path / name, overwrite=True)


def test_catalogs_of_the_pipelines_are_known_by_their_content(golden: Callable[[str], Path]) -> None:
    path = golden("tables/forced_heavy.fits")
    table = read_catalog(path)
    twin = Table.read(golden("tables/forced_heavy.ecsv"))
    assert table.colnames == twin.colnames
    assert table["base_PsfFlux_flag"].dtype == bool
    assert (table["coord_ra"].unit, table["slot_PsfFlux_instFlux"].unit) == (u.rad, u.ct)
    assert read_catalog(path, hdu="SpanSet").colnames == ["y", "x0", "x1"]


def test_columns_of_the_pipelines_that_are_no_table_columns_are_left_out(tmp_path: Path) -> None:
    schema = Schema([Field("id", "int64"), Field("ragged", "float32", size=0)])
    write_afw_table(SourceCatalog(schema, schema.allocate(2)), tmp_path / "catalog.fits")
    assert read_catalog(tmp_path / "catalog.fits").colnames == ["id"]


def test_votables_lead_nowhere(table: Table, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(4))
    stream = f'<STREAM href="{(tmp_path / "secret").as_uri()}"/>'
    path = tmp_path / "elsewhere.vot"
    content = (
        '<?xml version="1.0"?><v:VOTABLE version="1.3" xmlns:v="http://www.ivoa.net/xml/VOTable/v1.3"><v:RESOURCE>'
        '<v:TABLE nrows="1"><v:FIELD name="a" ID="a" datatype="int"/><v:DATA><v:BINARY>%s</v:BINARY></v:DATA>'
        "</v:TABLE></v:RESOURCE></v:VOTABLE>"
    )
    for text in (content % stream.replace("<", "<v:"), content.replace("v:", "").replace(":v", "") % stream):
        path.write_text(text)
        with pytest.raises(
            RemoteFileError, match=r"elsewhere\.vot has its data at file://.*, which is not fetched"
        ):
            read_catalog(path)
    write_catalog(table, tmp_path / "table.vot")
    (tmp_path / "packed.vot").write_bytes(gzip.compress((tmp_path / "table.vot").read_bytes()))
    assert len(read_catalog(tmp_path / "packed.vot")) == len(table)
