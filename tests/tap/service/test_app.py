"""The application: other routes beside it, its address, and types that agree wherever they are told."""

import io
from pathlib import Path

import pytest
from astropy.io.votable import parse_single_table
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from forcedphot.tap.identifiers import delimited
from forcedphot.tap.service import ServiceSettings, create_app
from forcedphot.tap.tables import ColumnMetadata
from forcedphot.tap.votable_types import votable_type

from .conftest import BASE, MemoryHoldings, TestClient


def test_other_routes_find_what_they_need(holdings: MemoryHoldings, tmp_path: Path) -> None:
    def page(request: Request) -> Response:
        state = request.app.state
        return PlainTextResponse(f"{len(state.jobs.listed(None))} {state.settings.data == tmp_path}")

    settings = ServiceSettings(tmp_path, base_url="https://example.org/here")
    app = create_app(holdings, settings, [Route("/", page)])
    with TestClient(app, BASE, follow_redirects=False) as client:
        job = client.post("/tap/async", data={"QUERY": "x"}).headers["location"]
        assert job.startswith("https://example.org/here/tap/async/")
        assert client.get("/").text == "1 True"
        assert client.get("/tap").headers["location"] == "https://example.org/here/"
        assert client.get("/nowhere").status_code == 404


def test_results_have_the_types_that_tap_schema_says(client: TestClient, holdings: MemoryHoldings) -> None:
    query = "SELECT column_name, datatype, arraysize, xtype, unit FROM TAP_SCHEMA.columns WHERE table_name = '{}'"

    def ask(query: str) -> bytes:
        answer = client.get("/tap/sync", params={"QUERY": query})
        assert answer.status_code == 200, answer.text
        return bytes(answer.content)

    for schema in holdings.snapshot().schemas:
        for table in schema.tables:
            said = parse_single_table(io.BytesIO(ask(query.format(table.source.name)))).array.filled("")
            result = parse_single_table(io.BytesIO(ask(f"SELECT TOP 1 * FROM {table.source.name}"))).fields
            found = [
                (delimited(item.name), item.datatype, item.arraysize or "", item.xtype or "", str(item.unit or ""))
                for item in result
            ]
            assert [tuple(map(str, row)) for row in said] == found


@pytest.mark.parametrize(
    ("arrow", "xtype", "declared"),
    [
        ("bool", "", ("boolean", "", "")),
        ("uint8", "", ("unsignedByte", "", "")),
        ("int8", "", ("short", "", "")),
        ("uint16", "", ("int", "", "")),
        ("uint32", "", ("long", "", "")),
        ("string", "", ("unicodeChar", "*", "")),
        ("string", "timestamp", ("char", "*", "timestamp")),
        ("timestamp[us]", "", ("char", "*", "timestamp")),
        ("date32[day]", "", ("char", "*", "timestamp")),
        ("list<item: double>", "point", ("double", "2", "point")),
        ("list<element: double>", "circle", ("double", "3", "circle")),
        ("list<l: float not null>", "", ("float", "*", "")),
        ("list<item: string>", "", ("unicodeChar", "*", "")),
        ("binary", "", ("unsignedByte", "*", "")),
        ("decimal128(10, 2)", "", ("unicodeChar", "*", "")),
        ("struct<a: int64>", "", ("unicodeChar", "*", "")),
    ],
)
def test_all_types_have_a_place_in_votable(arrow: str, xtype: str, declared: tuple[str, str, str]) -> None:
    assert votable_type(ColumnMetadata("c", arrow, xtype=xtype)) == declared


@pytest.mark.parametrize(
    ("name", "written"),
    [("ra", "ra"), ("size", '"size"'), ("Distance", '"Distance"'), ("2nd", '"2nd"'), ('a"b', '"a""b"')],
)
def test_names_are_written_as_a_query_must(name: str, written: str) -> None:
    assert delimited(name) == written
