"""Copies of large tables that are ordered on the sky: they are made while the tables are read where they are.

A search in files that are small, or each of a small part of the sky, as those of patches are, is as quick without.
"""

import hashlib
import logging
import queue
import re
import shutil
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from ..sky_index import write_indexed
from ..tables import TableSource

_LOG = logging.getLogger(__name__)
_OURS = re.compile(r"[0-9a-f]{32}\.(parquet|part)")

ROWS_WORTH_A_COPY = 500_000
"""Of the largest file of a table."""

_FREE_SPACE_LEFT = 2
"""How many times the size of a file must be free on the disk for a copy to be made."""


class IndexedCopies:
    """Makes copies of the files of large tables, one after the other, in a thread of its own.

    Parameters
    ----------
    folder
        Where they are. Files in it that are none of ours are left alone.
    on_change
        Called, in that thread, when all files of a table are there.
    rows_worth_a_copy
        How many the largest file of a table has at least.
    """

    def __init__(
        self, folder: Path, on_change: Callable[[], None], rows_worth_a_copy: int = ROWS_WORTH_A_COPY
    ) -> None:
        self._folder = folder
        self._on_change = on_change
        self._rows_worth_a_copy = rows_worth_a_copy
        self._asked: set[Path] = set()
        self._wanted: set[Path] = set()
        self._queue: queue.SimpleQueue[tuple[TableSource, Mapping[Path, Path]]] = queue.SimpleQueue()

    def begin(self) -> None:
        """Remove copies that no table has asked for, as files are gone or changed; then make the new ones."""
        if self._folder.exists():
            ours = (file for file in self._folder.iterdir() if _OURS.fullmatch(file.name))
            for copy in set(ours) - self._wanted:
                copy.unlink(missing_ok=True)
        threading.Thread(target=self._work, name="indexed copies", daemon=True).start()

    def replace_files(self, table: TableSource) -> TableSource:
        """Return a table of the copies if all are there, else as it is; then they are going to be made."""
        if table.ra is None or not self._is_worth_it(table.files):
            return table
        copies = {file: self._folder / _name(file, table) for file in table.files}
        self._wanted.update(copies.values())
        if all(copy.exists() for copy in copies.values()):
            return replace(table, files=tuple(copies.values()), has_index=True)
        missing = {file: copy for file, copy in copies.items() if copy not in self._asked and not copy.exists()}
        if missing:
            self._asked.update(missing.values())
            self._queue.put((table, missing))
        return table

    def _is_worth_it(self, files: Iterable[Path]) -> bool:
        return any(_count_rows(file, file.stat().st_mtime_ns) >= self._rows_worth_a_copy for file in files)

    def _work(self) -> None:
        while True:
            table, files = self._queue.get()
            try:
                for file, copy in files.items():
                    self._copy(file, copy, table)
            except Exception as error:  # noqa: BLE001 - whatever it is, the table can be read where it is
                _LOG.warning("%s is searched without an index: %s", table.name, error)
            else:
                self._on_change()

    def _copy(self, file: Path, copy: Path, table: TableSource) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self._folder).free < _FREE_SPACE_LEFT * file.stat().st_size:
            raise OSError(f"there is no room for a copy of {file} in {self._folder}")
        temporary = copy.with_name(f"{uuid.uuid4().hex}.part")
        try:
            write_indexed(file, temporary, str(table.ra), str(table.dec))
            temporary.replace(copy)
        finally:
            temporary.unlink(missing_ok=True)


def _name(file: Path, table: TableSource) -> str:
    """Name the copy of a file as it is now; of another, or of the same when it has changed, it is another name."""
    stat = file.stat()
    what = (str(file.absolute()), stat.st_size, stat.st_mtime_ns, table.ra, table.dec)
    return f"{hashlib.sha256(repr(what).encode()).hexdigest()[:32]}.parquet"


@lru_cache(maxsize=100_000)
def _count_rows(file: Path, _modified_ns: int) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file).num_rows)
