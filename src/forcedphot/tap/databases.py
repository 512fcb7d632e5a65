"""Databases in memory, closed to all but a service's own tables; making one costs more than a small search."""

import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from .scopes import RAW_DEC
from .shapes import DEFINITIONS
from .sky_index import INDEX_COLUMN
from .tables import TableSource

if TYPE_CHECKING:
    import duckdb

_MOST_IDLE = 4
_FLOATS = {"halffloat", "float", "double"}


class Databases:
    """Lends a database to one query at a time, and keeps a few for those that follow.

    Parameters
    ----------
    tables
        All that can be queried but uploads; keys are names in lower case.
    threads, memory_mib
        What each database may use.
    """

    def __init__(self, tables: Mapping[str, TableSource], threads: int, memory_mib: int) -> None:
        self._tables = tables
        self._files = [str(file.absolute()) for table in tables.values() for file in table.files]
        self._resources = threads, memory_mib
        self._idle: list[Database] = []
        self._lock = threading.Lock()
        # at the latest when Python ends: the database's library complains of any that is open then
        weakref.finalize(self, _close_all, self._idle)

    def take(self) -> "Database":
        """Return a database that nobody else uses."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return Database(self._files, *self._resources)

    def give_back(self, database: "Database") -> None:
        """Keep a database whose query has ended well for the next one; others are to be closed instead."""
        for upload in set(database.tables) - set(self._tables):
            database.forget(upload)
        with self._lock:
            if len(self._idle) < _MOST_IDLE:
                self._idle.append(database)
                return
        database.close()


class Database:
    """A database that can read some files, and nothing else; its configuration is locked.

    Parameters
    ----------
    files
        All that it may read.
    threads, memory_mib
        What it may use.
    """

    def __init__(self, files: Iterable[str], threads: int, memory_mib: int) -> None:
        self.tables: dict[str, TableSource] = {}
        """What is defined; keys are names in lower case."""
        self._connection = _connect(threads, memory_mib)
        self._connection.execute(f"SET GLOBAL allowed_paths = {_list(files)}")
        self._connection.execute("SET GLOBAL enable_external_access = false")
        self._connection.execute("SET GLOBAL lock_configuration = true")

    def connect(self) -> "duckdb.DuckDBPyConnection":
        """Return a connection for one query; what interrupts it does not touch the queries that follow."""
        return self._connection.cursor()

    def define(self, tables: Iterable[TableSource], connection: "duckdb.DuckDBPyConnection") -> None:
        """Define the tables that are not yet."""
        for table in tables:
            if table.name.lower() not in self.tables:
                _define(table, connection)
                self.tables[table.name.lower()] = table

    def forget(self, name: str) -> None:
        """Drop a table of rows in memory."""
        self._connection.execute(f"DROP TABLE {_target(self.tables.pop(name))}")

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()


def _close_all(databases: list[Database]) -> None:
    while databases:
        databases.pop().close()


def _define(table: TableSource, connection: "duckdb.DuckDBPyConnection") -> None:
    selection, target = _selection(table), _target(table)
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(table.name.partition('.')[0])}")
    if table.data is None:
        # folders called name=value would become columns, in the place of those of the files
        rows = f"{_list([str(file.absolute()) for file in table.files])}, hive_partitioning = false"
        connection.execute(f"CREATE VIEW {target} AS SELECT {selection} FROM read_parquet({rows})")  # noqa: S608
        return
    connection.register("new_rows", table.data)
    connection.execute(f"CREATE TABLE {target} AS SELECT {selection} FROM new_rows")  # noqa: S608
    connection.unregister("new_rows")


def _target(table: TableSource) -> str:
    schema, _, name = table.name.partition(".")
    return f"{_quoted(schema)}.{_quoted(name)}"


def _connect(threads: int, memory_mib: int) -> "duckdb.DuckDBPyConnection":
    import duckdb

    connection = duckdb.connect(
        config={
            "threads": threads,
            "memory_limit": f"{memory_mib}MiB",
            "max_temp_directory_size": "0B",
            "temp_directory": "",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "python_enable_replacements": False,
            "ieee_floating_point_ops": False,
        }
    )
    connection.execute("SET GLOBAL parquet_metadata_cache = true")
    # else what was read would stay in the memory of idle databases; the system keeps files in memory anyway
    connection.execute("SET GLOBAL enable_external_file_cache = false")
    connection.execute("SET GLOBAL error_on_division_by_zero = false")
    # from bounds in the files, which leave NaN out, this optimizer concludes that there is none
    connection.execute("SET GLOBAL disabled_optimizers = 'statistics_propagation'")
    for macro in DEFINITIONS:
        connection.execute(macro)
    return connection


def _selection(table: TableSource) -> str:
    """List a table's columns; NaN is made NULL, as it is in Rubin's databases: it is in no range.

    So are positions that are infinite, as the database refuses a whole query over the sine of one.
    """
    parts = []
    angles = {column.lower() for column in (table.ra, table.dec) if column is not None}
    for lower, column in table.columns.items():
        name = _quoted(column.name)
        is_value = f"isfinite({name})" if lower in angles else f"NOT isnan({name})"
        is_float = column.datatype in _FLOATS
        parts.append(f"CASE WHEN {is_value} THEN {name} END AS {name}" if is_float else name)
    if table.files and table.ra is not None and table.dec is not None:
        parts.append(f"{_quoted(table.columns[table.dec.lower()].name)} AS {RAW_DEC}")
    if table.has_index:
        parts.append(_quoted(INDEX_COLUMN))
    return ", ".join(parts)


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _list(texts: Iterable[str]) -> str:
    escaped = (text.replace("'", "''") for text in texts)
    return f"[{', '.join(f"'{text}'" for text in escaped)}]"
