"""Large tables get ordered copies while they are read where they are, and the same answers."""

import os
import threading
import uuid
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forcedphot.tap.engine import Engine
from forcedphot.tap.repository.indexed_copies import IndexedCopies
from forcedphot.tap.tables import TableSource, parquet_table

_CONE = "SELECT id FROM sky.stars WHERE CONTAINS(POINT(ra, dec), CIRCLE(30, 20, 5)) = 1 ORDER BY id"


@pytest.fixture
def table(tmp_path: Path, rng: np.random.Generator) -> TableSource:
    files = [tmp_path / f"{number}.parq" for number in range(2)]
    for number, file in enumerate(files):
        ra, dec = rng.uniform(0, 60, 500), rng.uniform(0, 40, 500)
        pq.write_table(pa.table({"id": np.arange(500) + 500 * number, "ra": ra, "dec": dec}), file)
    return parquet_table("sky.stars", files, "ra", "dec")


def _ids(table: TableSource) -> list[int]:
    with Engine([table]).query(_CONE) as result:
        found: list[int] = result.read_all().column("id").to_pylist()
    return found


def test_copies_are_made_and_give_the_same_rows(table: TableSource, tmp_path: Path) -> None:
    made = threading.Event()
    copies = IndexedCopies(tmp_path / "index", made.set, rows_worth_a_copy=500)
    assert copies.replace_files(table) is table
    copies.begin()
    assert made.wait(30)
    copied = copies.replace_files(table)
    assert copied.has_index
    assert {file.parent for file in copied.files} == {tmp_path / "index"}
    assert len(_ids(table)) > 5
    assert _ids(copied) == _ids(table)


def test_a_changed_file_gets_another_copy_and_the_old_one_goes(table: TableSource, tmp_path: Path) -> None:
    made = threading.Event()
    first = IndexedCopies(tmp_path / "index", made.set, rows_worth_a_copy=500)
    first.replace_files(table)
    first.begin()
    assert made.wait(30)
    old = first.replace_files(table).files
    os.utime(table.files[0], ns=(1, 1))
    interrupted, anothers = tmp_path / "index" / f"{uuid.uuid4().hex}.part", tmp_path / "index" / "notes.txt"
    interrupted.touch()
    anothers.touch()
    made.clear()
    second = IndexedCopies(tmp_path / "index", made.set, rows_worth_a_copy=500)
    assert second.replace_files(table) is table
    second.begin()
    assert made.wait(30)
    new = second.replace_files(table).files
    assert old[0] not in new
    assert old[1] in new
    assert set((tmp_path / "index").iterdir()) == {*new, anothers}


def test_small_tables_are_read_where_they_are(table: TableSource, tmp_path: Path) -> None:
    copies = IndexedCopies(tmp_path / "index", lambda: None, rows_worth_a_copy=501)
    assert copies.replace_files(table) is table
    copies.begin()
    assert not (tmp_path / "index").exists()


def test_without_room_tables_are_read_where_they_are(
    table: TableSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import shutil

    asked = threading.Event()

    def none_left(_: Path) -> object:
        asked.set()
        return shutil._ntuple_diskusage(1, 1, 0)

    monkeypatch.setattr("forcedphot.tap.repository.indexed_copies.shutil.disk_usage", none_left)
    copies = IndexedCopies(tmp_path / "index", lambda: None, rows_worth_a_copy=500)
    copies.replace_files(table)
    copies.begin()
    assert asked.wait(30)
    assert copies.replace_files(table) is table
