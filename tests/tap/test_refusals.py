"""Queries that are to be refused or stopped: mistakes, with their place; attacks; and those that want too much."""

import contextlib
import re
import threading
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot.tap.adql import translate
from forcedphot.tap.dialect import parse
from forcedphot.tap.engine import Cancellation, Engine, Limits
from forcedphot.tap.errors import QueryError, QueryLimitError
from forcedphot.tap.functions import FUNCTIONS, GEOMETRY
from forcedphot.tap.shapes import DEFINITIONS
from forcedphot.tap.sky_index import INDEX_COLUMN
from forcedphot.tap.tables import TableSource, memory_table, parquet_table

from .conftest import ask


@pytest.mark.parametrize(
    ("query", "line", "column", "problem"),
    [
        ("SELECT id,\n  flx FROM sky.plain", 2, 3, "no column 'flx'; similar ones are flux"),
        ("SELECT id FROM sky.plane", 1, 16, "no table 'sky.plane'; similar ones are sky.plain"),
        ("SELECT p.id FROM sky.plain AS q", 1, 8, "no table of this query is called 'p'"),
        ("SELECT id FROM sky.plain WHERE\nCOSS(ra) > 1", 2, 1, "no function COSS; similar ones are COS"),
        ("SELECT ATAN2(ra) FROM sky.plain", 1, 8, "ATAN2 has 1 arguments; expected 2"),
        ("SELECT id, FROM sky.plain", 1, 10, "after the comma"),
        ("SELECT id FROM sky.plain WHERE (id > 3", 1, 38, "Expecting \\)"),
        ("SELECT id FROM sky.plain WHERE band = 'g", 1, 39, "quotation"),
        ("SELECT id FRM sky.plain", 1, 15, "sky"),
        ("SELECT a.id, id FROM sky.plain a, sky.indexed b", 1, 14, "is in a and b"),
        ("SELECT id FROM sky.plain, sky.plain", 1, 27, "two tables are called"),
        ("SELECT id FROM sky.plain UNION SELECT id, ra FROM sky.plain", 1, 39, "1 and 2 columns"),
        ("SELECT TOP x id FROM sky.plain", 1, 12, "whole number"),
        ("SELECT MIN(*) FROM sky.plain", 1, 12, "a star is for COUNT"),
        ("SELECT id FROM (SELECT id FROM sky.plain)", 1, 24, "needs a name"),
        ("SELECT IN_UNIT(id, 'm') FROM sky.plain", 1, 16, "unit of id is not known"),
        ("SELECT IN_UNIT(flux, 'm') FROM sky.plain", 1, 22, "not converted to 'm'"),
        ("SELECT CAST(id AS BLOB) FROM sky.plain", 1, 13, "CAST knows"),
        ("SELECT id FROM sky.plain ORDER BY nothing", 1, 35, "no column 'nothing'"),
        ("SELECT IN_UNIT(flux, 'mag(AB)') FROM sky.plain", 1, 22, "not converted"),
        ("SELECT id FROM sky.plain WHERE id = 0x1F", 1, 37, "expected a number, found '0x'"),
        ("SELECT 1_000 FROM sky.plain", 1, 8, "expected a number, found '1_'"),
        ("SELECT id FROM sky.plain WHERE DISTANCE(ra, dec, 1, 2) < 1e", 1, 58, "expected a number, found '1e'"),
        ("SELECT 1e999 FROM sky.plain", 1, 8, "expected a number, found '1e999'"),
        ("SELECT a.id FROM sky.plain AS a\nLEFT JOIN sky.indexed AS b", 2, 11, "JOIN needs a condition"),
        ("SELECT a.id FROM sky.plain AS a JOIN sky.indexed AS b", 1, 38, "JOIN needs a condition"),
        ("SELECT a.id FROM sky.plain a CROSS JOIN sky.indexed b ON a.id = b.id", 1, 41, "CROSS JOIN has no"),
        ("SELECT a.ra FROM sky.plain a, sky.indexed b ORDER BY ra + 0", 1, 54, "is in a and b"),
        ("FROM sky.plain", 1, 1, "expected SELECT"),
    ],
)
def test_mistakes_are_reported_with_their_place(
    engine: Engine, query: str, line: int, column: int, problem: str
) -> None:
    with pytest.raises(QueryError, match=problem) as caught:
        engine.query(query)
    assert caught.value.place == (line, column)


@pytest.mark.parametrize(
    "query",
    [
        "COPY sky.plain TO 'stolen.csv'",
        "ATTACH 'other.db'",
        "PRAGMA database_list",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "CALL pragma_version()",
        "EXPLAIN SELECT id FROM sky.plain",
        "DROP TABLE sky.plain",
        "INSERT INTO sky.plain VALUES (1)",
        "CREATE TABLE x AS SELECT 1",
        "SELECT id FROM sky.plain; DROP VIEW sky.plain",
        "SELECT id FROM sky.plain; SELECT 1",
        "SELECT * FROM read_csv('secret')",
        "SELECT * FROM read_parquet('secret')",
        "SELECT * FROM 'secret.parquet'",
        'SELECT * FROM "secret.parquet"',
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM glob('*')",
        "SELECT read_text('secret') FROM sky.plain",
        "SELECT getenv('HOME') FROM sky.plain",
        "SELECT current_setting('allowed_paths') FROM sky.plain",
        "SELECT sky_distance(1, 2, 3, 4) FROM sky.plain",
        "SELECT id FROM sky.plain WHERE id IN (SELECT * FROM read_csv('secret'))",
        "SELECT id FROM sky.plain -- \n; DROP VIEW x",
        "SELECT id /* */ FROM sky.plain",
        "SELECT id FROM sky.plain LIMIT (SELECT 5)",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT n FROM t",
        "WITH t AS (SELECT n + 1 AS n FROM t) SELECT n FROM t",
        'SELECT "_healpix_29" FROM sky.indexed',
        'SELECT "__raw_dec" FROM sky.indexed',
        "SELECT COLUMNS('.*') FROM sky.plain",
        "SELECT * EXCLUDE (id) FROM sky.plain",
        "SELECT (*) FROM sky.indexed",
        "SELECT COUNT(*), - * FROM sky.indexed",
        "SELECT id FROM sky.plain WHERE * = 1",
        "SELECT id FROM sky.plain WHERE id IN ra",
        "SELECT id AS x FROM sky.plain ORDER BY IN_UNIT(x, 'm')",
        "SELECT id FROM sky.plain, range(10)",
        "SELECT [1, 2][1] FROM sky.plain",
        "SELECT {'a': 1} FROM sky.plain",
        "SELECT x -> 1 FROM sky.plain",
        "SELECT id FROM sky.plain WHERE id = $1",
        "SELECT id INTO x FROM sky.plain",
        "VALUES (1)",
        "",
        ";",
        "SELECT",
        "\0",
    ],
)
def test_nothing_but_a_query_is_run(engine: Engine, query: str) -> None:
    with pytest.raises(QueryError):
        engine.query(query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT " + "(" * 5000 + "1" + ")" * 5000,
        "SELECT " + "NOT " * 20000 + "1",
        "SELECT " + "- " * 20000 + "1",
        "SELECT " + "ABS(" * 59 + "id" + ")" * 59 + " + 1" * 30000 + " FROM sky.plain",
        "SELECT id FROM sky.plain WHERE " + "CASE WHEN " * 5000,
        "SELECT 1 " + "UNION SELECT 1 " * 10000,
        "SELECT '" + "x" * 300_000 + "'",
        "SELECT " + "SQRT(" * 40 + "id" + ")" * 40 + " FROM sky.plain",
        "SELECT " + "POWER(" * 20 + "id" + ", 2)" * 20 + " FROM sky.plain",
        "SELECT " + ", ".join(["*"] * 5000) + " FROM sky.plain",
        "SELECT * FROM sky.plain AS t" + "".join(f" CROSS JOIN sky.plain AS t{i}" for i in range(100)),
        "WITH c0 AS (SELECT * FROM sky.plain)"
        + "".join(f", c{i + 1} AS (SELECT a.*, b.* FROM c{i} AS a CROSS JOIN c{i} AS b)" for i in range(25))
        + " SELECT COUNT(*) FROM c25",
        "SELECT id FROM sky.plain WHERE "
        + " OR ".join([f"CONTAINS(POINT(ra, dec), POLYGON({', '.join(['1, 2, 3, 4'] * 99)})) = 1"] * 20),
    ],
)
def test_depth_and_length_are_limited(engine: Engine, query: str) -> None:
    with pytest.raises(QueryError):
        engine.query(query)


def test_no_function_but_those_of_the_list_can_be_called(sky_tables: list[TableSource]) -> None:
    tables = {table.name.lower(): table for table in sky_tables}
    known = duckdb.sql("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()
    macros = [re.findall(r"CREATE MACRO (\w+)", definition)[0] for definition in DEFINITIONS]
    others = {str(row[0]) for row in known if str(row[0]).isidentifier()} - {*FUNCTIONS, *GEOMETRY} | set(macros)
    assert len(others) > 500
    assert {"read_parquet", "read_text", "glob", "duckdb_settings", "query", "sky_distance"} <= others
    for name in others:
        for query in (f'SELECT "{name}"(id) FROM sky.plain', f"SELECT {name}('x') FROM sky.plain"):
            with pytest.raises(QueryError):
                translate(query, tables)
        for query in (
            f"SELECT * FROM {name}('x')",
            f'SELECT * FROM "{name}"',
            f"SELECT id FROM sky.plain, {name}(1)",
        ):
            with pytest.raises(QueryError):
                translate(query, tables)


def test_names_in_uploads_are_nothing_but_names(engine: Engine) -> None:
    odd = 'x"; DROP VIEW "sky"."plain"; --\''
    rows = pa.table({odd: [1], "select": [2], "read_text('x')": ["y"]})
    quoted = odd.replace('"', '""')
    for name in (odd.replace(".", ""), "a b", "select", "read_csv('x')"):
        table = name.replace('"', '""')
        query = f'SELECT "{quoted}", "select", "read_text(\'x\')" FROM TAP_UPLOAD."{table}"'
        assert ask(engine, query, uploads={name: rows}) == [(1, 2, "y")]
        assert ask(engine, f'SELECT * FROM TAP_UPLOAD."{table}"', uploads={name: rows}) == [(1, 2, "y")]
    assert ask(engine, "SELECT COUNT(*) FROM sky.plain") == [(16004,)]


def test_quotes_in_names_and_texts_stay_quotes(engine: Engine) -> None:
    text = "'; DROP VIEW sky.plain; --"
    escaped = text.replace("'", "''")
    assert ask(engine, f"SELECT '{escaped}' FROM sky.plain WHERE id = 1") == [(text,)]
    assert ask(engine, 'SELECT id AS "a""; DROP" FROM sky.plain WHERE id = 1') == [(1,)]
    assert ask(engine, "SELECT id FROM sky.plain WHERE id = 1 -- a comment") == [(1,)]


def test_the_database_itself_is_closed(engine: Engine, sky_tables: list[TableSource], tmp_path: Path) -> None:
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"x": [1]}), other)
    with engine.query("SELECT id FROM sky.plain WHERE id = 1") as result:
        result._reader.read_all()
        database = result._connection
        for statement in (
            f"SELECT * FROM read_parquet('{other}')",
            f"SELECT * FROM read_text('{other}')",
            f"COPY (SELECT 1) TO '{tmp_path / 'out.csv'}'",
            f"ATTACH '{tmp_path / 'new.db'}'",
            "SET memory_limit = '100GB'",
            "SET enable_external_access = true",
            "INSTALL httpfs",
        ):
            with pytest.raises(Exception, match=r"(?i)permission|disabled|locked|cannot"):
                database.execute(statement)
    assert [file.name for file in tmp_path.iterdir()] == ["other.parquet"]


_WORDS = """SELECT FROM WHERE TOP 1 id sky.plain sky . , ( ) * ' " -- /* ; = < AND NOT CONTAINS POINT CIRCLE
UNION JOIN ON USING AS CASE WHEN END CAST IN NULL BETWEEN WITH ORDER BY GROUP || :: [ ] { } $ @ ?
é 0x1 1e9 FOR OVER VALUES COPY LIMIT EXISTS LATERAL PIVOT"""


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_WORDS.split()), max_size=15).map(" ".join) | st.text(max_size=40))
def test_any_text_is_a_query_or_a_mistake(text: str) -> None:
    with contextlib.suppress(QueryError):
        parse(text)
    with contextlib.suppress(QueryError):
        translate(f"SELECT id FROM sky.plain WHERE {text}", {})


_ENDLESS = "SELECT COUNT(*) FROM sky.plain a, sky.plain b, sky.plain c WHERE SIN(a.ra) + SIN(b.ra) > SIN(c.ra)"


def test_a_query_that_takes_too_long_is_stopped(sky_tables: list[TableSource]) -> None:
    engine = Engine(sky_tables, Limits(seconds=0.5))
    with pytest.raises(QueryLimitError, match=r"more than 0\.5 seconds"):
        ask(engine, _ENDLESS)


def test_a_query_that_wants_too_much_memory_is_stopped(sky_tables: list[TableSource]) -> None:
    engine = Engine(sky_tables, Limits(memory_mib=50))
    with pytest.raises(QueryLimitError, match="50 MiB"):
        ask(
            engine,
            "SELECT a.id, b.ra, b.id FROM sky.plain a, sky.plain b ORDER BY a.ra * b.ra, b.dec OFFSET 100000000",
        )


def test_a_query_can_be_cancelled(engine: Engine) -> None:
    with engine.query("SELECT SIN(a.ra) + b.ra FROM sky.plain a, sky.plain b ORDER BY a.id") as result:
        result.cancel()
        with pytest.raises(QueryLimitError, match="cancelled"):
            result.read_all()


def test_a_query_can_be_cancelled_before_it_begins(engine: Engine) -> None:
    cancellation = Cancellation()
    cancellation.cancel("nobody waits for it")
    with pytest.raises(QueryLimitError, match="nobody waits for it"):
        engine.query("SELECT id FROM sky.plain", cancellation=cancellation)


def test_a_query_can_be_cancelled_before_its_first_row(engine: Engine) -> None:
    cancellation = Cancellation()
    timer = threading.Timer(0.3, cancellation.cancel)
    timer.start()
    with pytest.raises(QueryLimitError, match="cancelled"):
        engine.query(
            "SELECT COUNT(*) FROM sky.plain a, sky.plain b, sky.plain c WHERE SIN(a.ra + b.ra + c.ra) > 2",
            cancellation=cancellation,
        )


def test_a_reader_that_waits_too_long_is_stopped(sky_tables: list[TableSource]) -> None:
    with Engine(sky_tables, Limits(seconds=0.3)).query("SELECT id FROM sky.plain") as result:
        time.sleep(0.5)
        with pytest.raises(QueryLimitError, match=r"more than 0\.3 seconds"):
            result.read_all()


def test_rows_are_limited_and_the_rest_is_told(engine: Engine, sky_tables: list[TableSource]) -> None:
    def count(engine: Engine, query: str, max_rows: int | None = None) -> tuple[int, bool]:
        with engine.query(query, max_rows=max_rows) as result:
            return result.read_all().num_rows, result.overflow

    everything = "SELECT id FROM sky.plain"
    assert count(engine, everything) == (16004, False)
    assert count(engine, everything, 16004) == (16004, False)
    assert count(engine, everything, 16003) == (16003, True)
    assert count(engine, everything, 0) == (0, True)
    assert count(engine, "SELECT TOP 10 id FROM sky.plain", 10) == (10, False)
    assert count(engine, "SELECT TOP 11 id FROM sky.plain", 10) == (10, True)
    assert count(engine, f"{everything} UNION ALL {everything}", 20000) == (20000, True)
    assert count(Engine(sky_tables, Limits(rows=7)), everything, 100) == (7, True)


def test_uploads_are_limited(sky_tables: list[TableSource]) -> None:
    engine = Engine(sky_tables, Limits(upload_rows=2))
    with pytest.raises(QueryLimitError, match="3 rows"):
        engine.query("SELECT 1 FROM TAP_UPLOAD.t", uploads={"t": pa.table({"x": [1, 2, 3]})})


def test_the_index_is_what_is_searched(sky: pa.Table, tmp_path: Path) -> None:
    """Numbers that are wrong must hide rows: or else they would not be used."""
    wrong = sky.append_column(INDEX_COLUMN, pa.array(np.full(len(sky), -1)))
    pq.write_table(wrong, tmp_path / "wrong.parquet")
    engine = Engine([parquet_table("sky.wrong", [tmp_path / "wrong.parquet"], "ra", "dec")])
    cone = "FROM sky.wrong WHERE CONTAINS(POINT(ra, dec), CIRCLE(0, 0, 2)) = 1"
    assert ask(engine, f"SELECT COUNT(*) {cone}") == [(0,)]
    assert ask(engine, "SELECT id FROM sky.wrong WHERE DISTANCE(ra, dec, 0, 0) < 2") == []
    assert len(ask(engine, "SELECT id FROM sky.wrong WHERE DISTANCE(ra, dec, 0, 0) + 0 < 2")) > 1000


def test_tables_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no files"):
        parquet_table("a.b", [])
    with pytest.raises(ValueError, match="pattern"):
        parquet_table("a.b", [tmp_path / "a*.parquet"])
    with pytest.raises(ValueError, match="no column 'raa'; similar ones are ra"):
        memory_table("a.b", pa.table({"ra": [1.0], "dec": [1.0]}), "raa", "dec")
    with pytest.raises(ValueError, match="two columns"):
        memory_table("a.b", pa.table({"ra": [1.0], "RA": [1.0]}))
