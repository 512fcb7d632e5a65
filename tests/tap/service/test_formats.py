"""Results in every format say what the query's rows are, as other programs read them."""

import io
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.io.votable import parse_single_table
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot.tap.engine import Engine, Limits
from forcedphot.tap.errors import QueryError
from forcedphot.tap.service.errors import ServiceError
from forcedphot.tap.service.formats import FORMATS, find_format, serialize
from forcedphot.tap.tables import ColumnMetadata, memory_table

TEXTS = ["plain", "", None, 'comma, "quoted"\n<&>', "naïve ☆ 𝄞 é"]

ROWS = pa.table(
    {
        "flag": pa.array([True, False, None, True, False]),
        "byte": pa.array([0, 255, None, 1, 2], pa.uint8()),
        "short": pa.array([-1, None, 3, 32767, 0], pa.int16()),
        "number": pa.array([1, 2, None, -4, 2**31 - 1], pa.int32()),
        "id": pa.array([2**62 + 1, None, -3, 4, 5], pa.int64()),
        "flux": pa.array([0.1, None, -1e30, 3.5, 1e-40], pa.float32()),
        "ra": pa.array([1 / 3, 359.99999999999994, None, 1e300, 5e-324], pa.float64()),
        "text": pa.array(TEXTS),
        "time": pa.array([datetime(2025, 1, 2, 3, 4, 5, 678900), None, datetime(1999, 12, 31), None, None]),
        "region": pa.array([[1.0, 2.0, 3.5], None, [], [4.0, None], [5.0]], pa.list_(pa.float64())),
        "raw": pa.array([b"\x00\xff", b"", None, b"x", b"yz"], pa.binary()),
        "control": pa.array(["a\x01b", "\r", "tab\there", " space ", "x"]),
    }
)

QUERY = "SELECT d.*, POINT(ra, 2) AS place FROM t.data AS d"


def written(data: pa.Table, form: str, query: str = QUERY, max_rows: int | None = None) -> bytes:
    metadata = [ColumnMetadata("flux", unit="nJy", ucd="phot.flux", description="Flux & <more>")]
    engine = Engine([memory_table("t.data", data, metadata=metadata)])
    result = engine.query(query, max_rows=max_rows)
    return b"".join(serialize(result, find_format(form), {"QUERY": query}))


def votable(document: bytes) -> np.ma.MaskedArray[tuple[int, ...], np.dtype[np.void]]:
    array: np.ma.MaskedArray[tuple[int, ...], np.dtype[np.void]] = parse_single_table(io.BytesIO(document)).array
    return array


@pytest.mark.parametrize("form", ["votable/b2", "votable/td"])
def test_votable_has_all_values(form: str) -> None:
    array = votable(written(ROWS, form))
    for name in ("flag", "byte", "short", "number", "id", "flux", "ra"):
        expected = ROWS.column(name)
        assert array[name].mask.tolist() == expected.is_null().to_pylist(), name
        kept = array[name].compressed()
        assert kept.tolist() == expected.drop_null().to_pylist(), name
    expected_texts = [text or "" for text in TEXTS]
    assert [str(text) for text in array["text"].filled("")] == expected_texts
    assert array["time"][0] == "2025-01-02T03:04:05.678900"
    assert np.ma.filled(array["region"][0]).tolist() == [1.0, 2.0, 3.5]
    assert np.isnan(np.ma.filled(array["region"][3], np.nan)[1])
    assert array["raw"][0].tolist() == [0, 255]
    assert array["place"][1].tolist() == [359.99999999999994, 2.0]
    assert array["control"][0] == ("a\x01b" if form == "votable/b2" else "a\ufffdb")


@pytest.mark.parametrize("form", ["votable/b2", "votable/td"])
def test_votable_declares_columns(form: str) -> None:
    table = parse_single_table(io.BytesIO(written(ROWS, form)))
    declared = {field.name: field for field in table.fields}
    assert (declared["flux"].unit.to_string(), declared["flux"].ucd) == ("nJy", "phot.flux")
    assert declared["flux"].description == "Flux & <more>"
    assert (declared["place"].xtype, declared["place"].arraysize, declared["place"].datatype) == (
        "point",
        "2",
        "double",
    )
    assert (declared["time"].xtype, declared["time"].datatype) == ("timestamp", "char")
    assert (declared["text"].datatype, declared["text"].arraysize) == ("unicodeChar", "*")


@pytest.mark.parametrize("form", ["votable/b2", "votable/td"])
def test_votable_tells_of_rows_that_are_cut_off(form: str) -> None:
    assert b'value="OVERFLOW"' in written(ROWS, form, max_rows=2)
    assert b'value="OVERFLOW"' not in written(ROWS, form, max_rows=5)
    assert len(votable(written(ROWS, form, max_rows=2))) == 2
    assert len(votable(written(ROWS, form, max_rows=0))) == 0


def test_fits_has_all_values() -> None:
    hdu = fits.open(io.BytesIO(written(ROWS, "fits")), logical_as_bytes=True)[1]
    hdu.verify("exception")
    assert len(hdu.data) == 5
    assert hdu.columns["flux"].unit == "nJy"
    for name in ("short", "number", "id", "byte"):
        kept = ROWS.column(name).drop_null().to_pylist()
        stored = hdu.data[name]
        assert stored[stored != hdu.columns[name].null].tolist() == kept
    assert np.isnan(hdu.data["flux"][1])
    assert hdu.data["ra"].tolist()[:2] == [1 / 3, 359.99999999999994]
    assert hdu.data["text"].tolist() == ["plain", "", "", 'comma, "quoted"?<&>', "na?ve ? ? ?"]
    assert hdu.data["place"].shape == (5, 2)
    assert hdu.data["region"].shape == (5, 3)
    assert hdu.data["flag"].tolist()[:3] == [b"T", b"F", b""]
    assert hdu.header["OVERFLOW"] is False


def test_fits_of_no_rows_can_be_read() -> None:
    assert len(fits.open(io.BytesIO(written(ROWS, "fits", max_rows=0)))[1].data) == 0


def test_fits_refuses_more_columns_than_it_holds() -> None:
    wide = pa.table({f"c{number}": [1] for number in range(1000)})
    with pytest.raises(QueryError, match="999 columns"):
        written(wide, "fits", "SELECT * FROM t.data")


def test_csv_is_read_back() -> None:
    read = pyarrow.csv.read_csv(
        io.BytesIO(written(ROWS.drop_columns(["raw", "control"]), "csv")),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False),
    )
    for name in ("flag", "short", "number", "id", "text"):
        assert read.column(name).to_pylist() == ROWS.column(name).to_pylist()
    assert read.column("ra").to_pylist() == ROWS.column("ra").to_pylist()
    assert read.column("region").to_pylist()[0] == "1 2 3.5"


def test_tsv_has_one_line_per_row() -> None:
    lines = written(ROWS, "tsv").decode().removesuffix("\n").split("\n")
    assert len(lines) == 6
    assert {line.count("\t") for line in lines} == {len(ROWS.column_names)}


def test_parquet_has_all_values_and_descriptions() -> None:
    document = written(ROWS, "parquet")
    read = pq.read_table(io.BytesIO(document))
    for name in ROWS.column_names:
        assert read.column(name).to_pylist() == ROWS.column(name).to_pylist()
    assert read.field("flux").metadata[b"unit"] == b"nJy"
    described = pq.read_metadata(io.BytesIO(document)).metadata[b"IVOA.VOTable-Parquet.content"]
    assert [field.name for field in parse_single_table(io.BytesIO(described)).fields][:2] == ["flag", "byte"]


@pytest.mark.parametrize("form", [form.names[0] for form in FORMATS])
def test_no_rows_and_one_column_are_a_result_too(form: str) -> None:
    assert written(ROWS, form, "SELECT id FROM t.data WHERE id = 77")
    assert written(ROWS, form, "SELECT COUNT(*) FROM t.data")


def test_a_format_is_found_by_any_of_its_names() -> None:
    assert find_format(None) is find_format("") is FORMATS[0]
    assert find_format("APPLICATION/x-votable+xml; Serialization=TABLEDATA").names[0] == "votable/td"
    assert find_format("text/csv").names == ("csv",)
    with pytest.raises(ServiceError, match=r"votable, .*parquet"):
        find_format("application/json")


def test_an_error_after_the_first_bytes_is_told_in_votable() -> None:
    numbers = pa.table({"id": np.arange(200_000)})
    query = "SELECT CAST(CASE WHEN id < 199000 THEN '1' ELSE 'x' END AS INTEGER) AS bad FROM t.data"
    engine = Engine([memory_table("t.data", numbers)], Limits(threads=1))
    document = b"".join(serialize(engine.query(query), find_format("votable/td"), {}, mark_errors=True))
    assert document.count(b"<TR>") > 1000
    assert b'name="QUERY_STATUS" value="ERROR"' in document
    assert parse_single_table(io.BytesIO(document)).array.size > 1000
    with pytest.raises(QueryError):
        list(serialize(engine.query(query), find_format("csv"), {}, mark_errors=True))


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.floats(allow_nan=False),
            st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
            st.none() | st.lists(st.floats(allow_nan=False), max_size=4),
        ),
        max_size=12,
    )
)
def test_binary2_keeps_any_value(rows: list[tuple[object, ...]]) -> None:
    kinds = {"i": pa.int64(), "f": pa.float64(), "t": pa.string(), "l": pa.list_(pa.float64())}
    table = pa.table(
        {name: pa.array([row[at] for row in rows], kind) for at, (name, kind) in enumerate(kinds.items())}
    )
    array = votable(written(table, "votable/b2", "SELECT * FROM t.data"))
    assert len(array) == len(rows)
    for name in "if":
        assert array[name].mask.tolist() == table.column(name).is_null().to_pylist()
        assert array[name].compressed().tolist() == table.column(name).drop_null().to_pylist()
    assert array["t"].filled("").tolist() == [text or "" for text in table.column("t").to_pylist()]
    for read, made in zip(array["l"], table.column("l").to_pylist(), strict=True):
        assert list(np.ma.filled(read).ravel()) == (made or [])


def test_times_finer_than_microseconds_are_written() -> None:
    data = pa.table({"time": pa.array([1_735_787_045_678_900_123, None], pa.timestamp("ns"))})
    for form in ("votable/b2", "votable/td"):
        assert votable(written(data, form, "SELECT time FROM t.data"))["time"][0] == "2025-01-02T03:04:05.678900"
    assert written(data, "csv", "SELECT time FROM t.data") == b"time\n2025-01-02T03:04:05.678900\n\n"


def test_texts_that_call_themselves_times_are_no_markup() -> None:
    data = pa.table({"time": pa.array(["<INFO/>&"])})
    engine = Engine([memory_table("t.data", data, metadata=[ColumnMetadata("time", xtype="timestamp")])])
    form = find_format("votable/td")
    document = b"".join(serialize(engine.query("SELECT time FROM t.data"), form, {}))
    assert votable(document)["time"][0] == "<INFO/>&"


def test_fits_with_one_long_text_is_written_in_small_parts() -> None:
    texts = ["x", "y" * 1_000_000, None, *["z"] * 40]
    data = pa.table({"text": pa.array(texts)})
    engine = Engine([memory_table("t.data", data)])
    parts = list(serialize(engine.query("SELECT text FROM t.data"), find_format("fits"), {}))
    assert max(map(len, parts)) <= 8_000_000
    with fits.open(io.BytesIO(b"".join(parts))) as file:
        assert file[1].data["text"].tolist() == [text or "" for text in texts]


def test_what_parquet_cannot_hold_is_an_error_of_the_query() -> None:
    data = pa.table({"time": pa.array([datetime(2025, 1, 2), datetime(2025, 1, 3)])})
    with pytest.raises(QueryError, match=r"Parquet does not hold the result: .*interval"):
        written(data, "parquet", "SELECT time - time AS d FROM t.data")


def test_null_in_an_array_of_integers_is_no_number() -> None:
    data = pa.table({"n": pa.array([[1, None], None, []], pa.list_(pa.int64()))})
    for form in ("votable/b2", "votable/td", "csv", "fits"):
        with pytest.raises(QueryError, match="an array of integers has a NULL in it"):
            written(data, form, "SELECT n FROM t.data")
        assert written(data.slice(1), form, "SELECT n FROM t.data")
    read = pq.read_table(io.BytesIO(written(data, "parquet", "SELECT n FROM t.data")))
    assert read.column("n").to_pylist() == [[1, None], None, []]


@pytest.mark.parametrize("form", ["votable/b2", "votable/td", "csv", "tsv", "fits"])
def test_a_value_that_cannot_be_written_is_told_before_anything_is(form: str) -> None:
    engine = Engine([memory_table("t.data", pa.table({"n": pa.array([1, 2**64 - 1], pa.uint64())}))])
    parts = serialize(engine.query("SELECT n FROM t.data"), find_format(form), {}, mark_errors=True)
    with pytest.raises(QueryError, match="cannot be written as long"):
        next(part for part in parts if part)
