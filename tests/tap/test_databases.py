"""Databases serve one query after another; none tells the next what it has seen."""

import contextlib
import gc
import threading
import weakref
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forcedphot.tap import databases
from forcedphot.tap.databases import Databases
from forcedphot.tap.engine import Engine, Limits
from forcedphot.tap.errors import QueryError, QueryLimitError
from forcedphot.tap.tables import TableSource, parquet_table

from .conftest import ask


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return what is made: one entry for each new database."""
    made: list[object] = []
    connect = databases._connect

    def counted(threads: int, memory_mib: int) -> object:
        made.append(connect(threads, memory_mib))
        return made[-1]

    monkeypatch.setattr(databases, "_connect", counted)
    return made


def test_a_database_answers_one_query_after_another(sky_tables: list[TableSource], made: list[object]) -> None:
    engine = Engine(sky_tables)
    for number in range(4):
        assert ask(engine, f"SELECT id FROM sky.plain WHERE id = {number}") == [(number,)]
        assert ask(engine, f"SELECT id FROM sky.indexed WHERE id = {number}") == [(number,)]
    assert ask(engine, "SELECT id FROM sky.plain", max_rows=3) == [(0,), (1,), (2,)]
    assert len(made) == 1


def test_queries_at_one_time_have_databases_of_their_own(
    sky_tables: list[TableSource], made: list[object]
) -> None:
    engine = Engine(sky_tables)
    with contextlib.ExitStack() as stack:
        results = [stack.enter_context(engine.query("SELECT id FROM sky.plain")) for _ in range(6)]
        assert [result.read_all().num_rows for result in results] == [16004] * 6
    assert len(made) == 6
    kept = sum(_is_open(database) for database in made)
    assert kept == databases._MOST_IDLE


def test_a_query_has_its_own_limits(sky_tables: list[TableSource]) -> None:
    engine = Engine(sky_tables)
    with engine.query("SELECT id FROM sky.plain", limits=Limits(rows=5, threads=1)) as few:
        assert few.read_all().num_rows == 5
    wanted = "SELECT a.id, b.ra, b.id FROM sky.plain a, sky.plain b ORDER BY a.ra * b.ra, b.dec OFFSET 100000000"
    with (
        pytest.raises(QueryLimitError, match="50 MiB"),
        engine.query(wanted, limits=Limits(memory_mib=50)) as much,
    ):
        much.read_all()
    assert len(ask(engine, "SELECT id FROM sky.plain")) == 16004


def test_an_upload_is_seen_by_its_own_query_only(sky_tables: list[TableSource], made: list[object]) -> None:
    engine = Engine(sky_tables)
    for numbers in ([1, 2], [3]):
        upload = {"mine": pa.table({"id": numbers})}
        rows = ask(engine, "SELECT id FROM TAP_UPLOAD.mine", uploads=upload)
        assert rows == [(number,) for number in numbers]
    with pytest.raises(QueryError, match="no table"):
        engine.query("SELECT id FROM TAP_UPLOAD.mine")
    (database,) = engine._databases_for(engine.limits)._idle
    assert database.connect().execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (0,)
    assert len(made) == 1


def test_a_database_is_not_used_again_after_trouble(sky_tables: list[TableSource], made: list[object]) -> None:
    engine = Engine(sky_tables)
    with pytest.raises(QueryError, match="cannot be run"):
        ask(engine, "SELECT CAST(band AS INTEGER) FROM sky.plain")
    with engine.query("SELECT id FROM sky.plain") as result:
        next(iter(result))
    with engine.query("SELECT id FROM sky.plain") as result:
        result.cancel()
        with pytest.raises(QueryLimitError):
            result.read_all()
    assert not any(_is_open(database) for database in made)
    assert ask(engine, "SELECT id FROM sky.plain WHERE id = 1") == [(1,)]


def test_who_stops_a_query_too_late_does_not_stop_the_next(sky_tables: list[TableSource]) -> None:
    engine = Engine(sky_tables)
    with engine.query("SELECT id FROM sky.plain WHERE id = 1") as first:
        first.read_all()
    with engine.query("SELECT COUNT(*) FROM sky.plain a, sky.plain b WHERE a.id < 900") as second:
        first.cancel()
        assert second._database is first._database
        assert second.read_all().to_pylist() == [{"count": 900 * 16004}]


def test_databases_are_closed_with_their_engine(sky_tables: list[TableSource], made: list[object]) -> None:
    engine = Engine(sky_tables)
    ask(engine, "SELECT id FROM sky.plain WHERE id = 1")
    lent: weakref.ref[Databases] = weakref.ref(engine._databases_for(engine.limits))
    del engine
    gc.collect()
    assert lent() is None
    assert not any(_is_open(database) for database in made)


def _is_open(database: object) -> bool:
    assert isinstance(database, duckdb.DuckDBPyConnection)
    try:
        database.execute("SELECT 1")
    except duckdb.ConnectionException:
        return False
    return True


@pytest.mark.parametrize("damage", ["gone", "garbage"])
def test_a_file_that_cannot_be_read_is_not_the_querys_fault(tmp_path: Path, damage: str) -> None:
    files = [tmp_path / f"{number}.parq" for number in range(2)]
    for file in files:
        pq.write_table(pa.table({"id": [1]}), file)
    engine = Engine([parquet_table("t.data", files)])
    files[1].unlink() if damage == "gone" else files[1].write_bytes(b"no table")
    with pytest.raises(QueryLimitError, match=r"a file of t.data cannot be read") as caught:
        ask(engine, "SELECT SUM(id) FROM t.data")
    assert str(tmp_path) not in str(caught.value)


def test_nothing_waits_to_stop_a_query_that_has_ended(sky_tables: list[TableSource]) -> None:
    result = Engine(sky_tables).query("SELECT id FROM sky.plain")
    result.cancel()
    timers = [
        timer
        for timer in threading.enumerate()
        if isinstance(timer, threading.Timer) and getattr(timer.function, "__self__", None) is result
    ]
    result.close()
    assert timers
    assert all(timer.finished.is_set() for timer in timers)
