"""Tables that come with a query."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.io.votable import from_table, parse_single_table
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot.tap.service.errors import ServiceError
from forcedphot.tap.service.uploads import read_upload

from .conftest import TestClient
from .test_jobs import COUNT, create, finished

HEAD = '<?xml version="1.0"?><VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>'
TAIL = "</TABLE></RESOURCE></VOTABLE>"


def table() -> Table:
    return Table(
        {
            "id": [1, 2, 3],
            "name": ["a", "naïve ☆", ""],
            "flux": MaskedColumn([1.5, 2.5, np.nan], mask=[False, True, False], unit="nJy"),
            "number": MaskedColumn([7, 8, 9], mask=[True, False, False]),
            "place": np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
            "good": [True, False, True],
        }
    )


def document(form: str) -> bytes:
    buffer = io.BytesIO()
    whole = table()
    if form == "binary":  # which has no NULL for integers
        whole.remove_column("number")
    from_table(whole).to_xml(buffer, tabledata_format=form)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["tabledata", "binary", "binary2"])
def test_a_table_is_read_in_any_serialization(form: str) -> None:
    read = read_upload("t", document(form), 10)
    assert read.column("id").to_pylist() == [1, 2, 3]
    assert read.column("name").to_pylist() == ["a", "naïve ☆", ""]
    assert read.column("flux").to_pylist()[:2] == [1.5, None]
    assert read.column("place").to_pylist() == [[1, 2], [3, 4], [5, 6]]
    assert read.column("good").to_pylist() == [True, False, True]
    if form != "binary":
        assert read.column("number").to_pylist() == [None, 8, 9]
    assert read.field("flux").metadata[b"unit"] == b"nJy"


def test_an_upload_is_joined(client: TestClient) -> None:
    query = "SELECT objectId, name FROM dp1.Object JOIN TAP_UPLOAD.mine AS t ON t.id = objectId ORDER BY t.id"
    asked = {"QUERY": query, "UPLOAD": "mine,param:part", "RESPONSEFORMAT": "votable/td"}
    answer = client.post("/tap/sync", data=asked, files={"part": document("binary2")})
    assert answer.status_code == 200, answer.text
    assert parse_single_table(io.BytesIO(answer.content)).array["name"].tolist() == ["a", "naïve ☆", ""]


def test_an_upload_stays_with_its_job(client: TestClient, tmp_path: Path) -> None:
    query = "SELECT SUM(id) AS n FROM TAP_UPLOAD.mine"
    asked = {**COUNT, "QUERY": query, "UPLOAD": "mine,param:part"}
    job = client.post("/tap/async", data=asked, files={"part": document("tabledata")}).headers["location"]
    files = {"part": document("tabledata").replace(b"<TD>3</TD>", b"<TD>30</TD>")}
    assert client.post(f"{job}/parameters", data={"UPLOAD": "mine,param:part"}, files=files).status_code == 303
    assert len(list(tmp_path.rglob("upload_*"))) == 1
    client.post(f"{job}/phase", data={"PHASE": "RUN"})
    assert finished(client, job) == "COMPLETED"
    assert client.get(f"{job}/results/result").text == "n\n33\n"


def test_the_result_of_a_job_can_be_an_upload(client: TestClient) -> None:
    job = create(client, RESPONSEFORMAT="votable", PHASE="RUN", QUERY="SELECT TOP 5 objectId FROM dp1.Object")
    assert finished(client, job) == "COMPLETED"
    asked = {**COUNT, "QUERY": "SELECT COUNT(*) AS n FROM TAP_UPLOAD.t", "UPLOAD": f"t,{job}/results/result"}
    assert client.get("/tap/sync", params=asked).text == "n\n5\n"
    pending = create(client)
    assert client.get("/tap/sync", params={**asked, "UPLOAD": f"t,{pending}/results/result"}).status_code == 400


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ('<!DOCTYPE VOTABLE [<!ENTITY a SYSTEM "file:///etc/passwd">]>', "document type"),
        ("not at all", "no XML"),
        (f"{HEAD}<FIELD name='a' datatype='int'/><DATA><BINARY><STREAM href='file:///etc/passwd'/>", "elsewhere"),
        (f"{HEAD}<FIELD name='a' datatype='int'/><DATA><BINARY><STREAM encoding='gzip'/>", "base64"),
        (f"{HEAD}<DATA><FITS><STREAM/>", "FITS"),
        # of rows that are declared and not there, astropy makes what is in memory
        (
            f"{HEAD.replace('<TABLE>', '<TABLE nrows="9">')}<FIELD name='a' datatype='long'/><DATA/>{TAIL}",
            "is empty",
        ),
        (f"{HEAD}<FIELD name='a' datatype='long'/><DATA><tabledata/></DATA>{TAIL}", "data are tabledata"),
        (f"{HEAD}<FIELD name='a' datatype='long'/><DATA><X/><TABLEDATA/></DATA>{TAIL}", "data are X"),
        (f"{HEAD}<FIELD name='a' datatype='double' arraysize='100000x100000'/>{TAIL}", "too large"),
        (f"{HEAD.replace('<TABLE>', '<TABLE nrows="999999999">')}{TAIL}", "more than 10 rows"),
        (f"{HEAD.replace('<TABLE>', '<TABLE nrows="-1">')}{TAIL}", "nrows"),
        (HEAD + "<FIELD name='a' datatype='int'/>" * 501 + TAIL, "500 columns"),
        (
            f"{HEAD}<FIELD name='a' datatype='int'/><DATA><TABLEDATA>{'<TR/>' * 11}</TABLEDATA></DATA>{TAIL}",
            "more than 10 rows",
        ),
        (
            f"{HEAD}<FIELD name='a' datatype='int'/><FIELD name='A' datatype='int'/>{TAIL}",
            "one name",
        ),
        (f"{HEAD}{TAIL}", "no columns"),
        (HEAD.replace("<TABLE>", "") + "</RESOURCE></VOTABLE>", "no TABLE"),
        ("<G>" * 50, "nested"),
        (f"{HEAD}<FIELD name='a' datatype='floatComplex'/>{TAIL}", "complex"),
        (f"{HEAD}<FIELD name='a' datatype='nonsense'/>{TAIL}", "Unknown datatype"),
    ],
)
def test_what_cannot_or_must_not_be_read_is_refused(inside: str, message: str) -> None:
    with pytest.raises(ServiceError, match=message):
        read_upload("t", inside.encode(), 10)


@pytest.mark.parametrize(
    ("version", "field", "cell", "read"),
    [
        ("1.3", "datatype='short'", "32767", 32767),
        ("1.3", "datatype='short'", "70000", "W51"),
        ("1.3", "datatype='long'", "9223372036854775808", "W51"),
        ("1.3", "datatype='char' arraysize='3'", "abc", "abc"),
        ("1.3", "datatype='char' arraysize='3'", "abcd", "W46"),
        ("1.3", "datatype='unicodeChar' arraysize='3'", "abcd", "W46"),
        ("1.3", "datatype='int'", "", None),
        ("1.1", "datatype='int'", "", "an integer is empty"),
        ("1.1", "datatype='double'", "", None),
    ],
)
def test_values_are_read_as_they_are_or_not_at_all(version: str, field: str, cell: str, read: object) -> None:
    row = f"<DATA><TABLEDATA><TR><TD>{cell}</TD></TR></TABLEDATA></DATA>"
    whole = f"{HEAD.replace('1.3', version, 1)}<FIELD name='a' {field}/>{row}{TAIL}".encode()
    if isinstance(read, str) and read != cell:
        with pytest.raises(ServiceError, match=read):
            read_upload("t", whole, 10)
    else:
        assert read_upload("t", whole, 10).column("a").to_pylist() == [read]


def test_a_declared_null_is_read_from_old_tables() -> None:
    row = "<DATA><TABLEDATA><TR><TD></TD></TR><TR><TD>-9</TD></TR></TABLEDATA></DATA>"
    field = "<FIELD name='a' datatype='int'><VALUES null='-9'/></FIELD>"
    whole = f"{HEAD.replace('1.3', '1.1', 1)}{field}{row}{TAIL}".encode()
    assert read_upload("t", whole, 10).column("a").to_pylist() == [None, None]


def test_more_rows_than_a_stream_declares_are_refused() -> None:
    many = Table({"id": np.arange(100)})
    buffer = io.BytesIO()
    from_table(many).to_xml(buffer, tabledata_format="binary2")
    with pytest.raises(ServiceError, match="10 rows"):
        read_upload("t", buffer.getvalue().replace(b'nrows="100"', b""), 10)


def test_entities_in_another_encoding_are_seen() -> None:
    bomb = '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'
    with pytest.raises(ServiceError, match="document type"):
        read_upload("t", bomb.encode("utf-16"), 10)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_damaged_tables_are_refused_and_nothing_else(data: st.DataObject) -> None:
    whole = bytearray(document(data.draw(st.sampled_from(["tabledata", "binary2"]))))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    with contextlib.suppress(ServiceError):
        assert isinstance(read_upload("t", bytes(whole), 10), pa.Table)
