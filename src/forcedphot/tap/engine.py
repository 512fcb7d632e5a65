"""Queries on Parquet files read in place: each in a database of its own, with limits, and closed to all else."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .adql import Translation, translate
from .databases import Databases
from .errors import QueryError, QueryLimitError
from .tables import ColumnMetadata, TableSource, memory_table

if TYPE_CHECKING:
    import pyarrow as pa

_LOG = logging.getLogger(__name__)

UPLOAD_SCHEMA = "TAP_UPLOAD"
_ROWS_PER_BATCH = 20_000
_SECONDS_BETWEEN_INTERRUPTS = 0.2


@dataclass(frozen=True)
class Limits:
    """What one query may use.

    Parameters
    ----------
    seconds
        Wall-clock time, from its start until the last row is fetched.
    memory_mib
        Memory of the database; it writes nothing to disk.
    rows
        Rows of the result; the rest is cut off, and the result says so.
    upload_rows
        Rows of each table that comes with the query.
    threads
        Threads that work on it.
    """

    seconds: float = 60.0
    memory_mib: int = 2048
    rows: int = 1_000_000
    upload_rows: int = 100_000
    threads: int = 2


class Cancellation:
    """Stops a query from any thread: one that is still to begin, that begins just now, or that runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stop: Callable[[str], None] | None = None
        self._reason = ""

    def cancel(self, reason: str = "it was cancelled") -> None:
        """Stop the query; only the first reason counts."""
        with self._lock:
            self._reason = self._reason or reason
            stop = self._stop
        if stop is not None:
            stop(reason)

    def attach(self, stop: Callable[[str], None]) -> None:
        """Say how the query is stopped, and stop it if it has been cancelled."""
        with self._lock:
            self._stop = stop
            reason = self._reason
        if reason:
            stop(reason)


class Engine:
    """Answers queries on tables.

    Parameters
    ----------
    tables
        All that can be queried.
    limits
        Those of each query.
    """

    def __init__(self, tables: Iterable[TableSource], limits: Limits | None = None) -> None:
        self.tables = {table.name.lower(): table for table in tables}
        self.limits = limits or Limits()
        self._databases: dict[tuple[int, int], Databases] = {}

    def query(
        self,
        text: str,
        uploads: Mapping[str, "pa.Table"] | None = None,
        max_rows: int | None = None,
        cancellation: Cancellation | None = None,
        limits: Limits | None = None,
    ) -> "QueryResult":
        """Start a query.

        Parameters
        ----------
        text
            One query in ADQL.
        uploads
            Tables that it can name as TAP_UPLOAD.name.
        max_rows
            The most rows to return (MAXREC); never more than the limits allow.
        cancellation
            Stops the query from another thread, also before this returns.
        limits
            Those of this query, if they are not the engine's.

        Returns
        -------
        The result, which reads rows as they are asked for; close it, or use it in ``with``.

        Raises
        ------
        QueryError
            If the query cannot be run.
        QueryLimitError
            If it needs more than the limits allow.
        """
        limits = limits or self.limits
        tables = dict(self.tables)
        for name, data in (uploads or {}).items():
            if data.num_rows > limits.upload_rows:
                message = f"table {name!r} has {data.num_rows} rows; at most {limits.upload_rows} can be uploaded"
                raise QueryLimitError(message)
            table = memory_table(f"{UPLOAD_SCHEMA}.{name}", data)
            tables[table.name.lower()] = table
        rows = limits.rows if max_rows is None else min(max_rows, limits.rows)
        # one row more tells whether there are more
        translation = translate(text, tables, rows + 1)
        return QueryResult(translation, self._databases_for(limits), limits, rows, cancellation or Cancellation())

    def _databases_for(self, limits: Limits) -> Databases:
        resources = limits.threads, limits.memory_mib
        if resources not in self._databases:
            # of two threads that come first at one time, both get what one of them makes
            self._databases.setdefault(resources, Databases(self.tables, *resources))
        return self._databases[resources]


class QueryResult:
    """The rows of a query, read as they are asked for.

    Parameters
    ----------
    translation
        The query.
    databases
        Where it is run.
    limits
        What it may use.
    rows
        The most rows to return.
    cancellation
        Stops it.
    """

    def __init__(
        self,
        translation: Translation,
        databases: Databases,
        limits: Limits,
        rows: int,
        cancellation: Cancellation,
    ) -> None:
        self._tables = translation.tables
        self._rows_left = rows
        self._limits = limits
        self._stopped_by = ""
        self.overflow = False
        """Whether there are more rows than were returned; known after the last one."""
        self._is_finished = self._is_closed = False
        self._databases = databases
        self._database = databases.take()
        self._connection = self._database.connect()
        self._timer = threading.Timer(
            limits.seconds, self._stop, [f"it took more than {limits.seconds:g} seconds"]
        )
        self._timer.daemon = True
        self._timer.start()
        cancellation.attach(self._stop)
        try:
            with self._errors():
                self._database.define(translation.tables, self._connection)
                self._refuse_stopped()
                self._reader: Any = self._connection.sql(translation.sql).to_arrow_reader(_ROWS_PER_BATCH)
        except BaseException:
            self.close()
            raise
        self.schema = _result_schema(self._reader.schema, translation.columns)
        """Arrow's schema; what is known of columns is in the fields' metadata."""
        pairs = zip(translation.columns, self.schema, strict=True)
        self.columns = tuple(replace(column, datatype=str(item.type)) for column, item in pairs)

    def __iter__(self) -> Iterator["pa.RecordBatch"]:
        """Yield the rows.

        Raises
        ------
        QueryError
            If a value cannot be computed.
        QueryLimitError
            If the query was stopped.
        """
        import pyarrow as pa

        while True:
            self._refuse_stopped()
            with self._errors():
                try:
                    batch = self._reader.read_next_batch()
                except StopIteration:
                    break
                arrays = [array.cast(item.type) for array, item in zip(batch.columns, self.schema, strict=True)]
            if batch.num_rows > self._rows_left:
                self.overflow = True
            kept = pa.record_batch(arrays, schema=self.schema).slice(0, self._rows_left)
            self._rows_left -= kept.num_rows
            if kept.num_rows:
                yield kept
            if self.overflow:
                break
        self._is_finished = True
        self.close()

    def read_all(self) -> "pa.Table":
        """Return all rows at once."""
        import pyarrow as pa

        return pa.Table.from_batches(list(self), schema=self.schema)

    def cancel(self) -> None:
        """Stop the query, from any thread."""
        self._stop("it was cancelled")

    def close(self) -> None:
        """Let go of the database; only one that has answered to the end answers others."""
        self._timer.cancel()
        if self._is_closed:
            return
        self._is_closed = True
        self._connection.close()
        if self._is_finished and not self._stopped_by:
            self._databases.give_back(self._database)
        else:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stop(self, reason: str, attempts: int = 20) -> None:
        import duckdb

        self._stopped_by = self._stopped_by or reason
        # it may be closed just now, by the thread that reads
        with contextlib.suppress(duckdb.ConnectionException):
            self._connection.interrupt()
            # the database overlooks what comes just before it begins
            if attempts > 0:
                self._timer.cancel()
                self._timer = threading.Timer(_SECONDS_BETWEEN_INTERRUPTS, self._stop, [reason, attempts - 1])
                self._timer.daemon = True
                self._timer.start()

    def _refuse_stopped(self) -> None:
        """Raise if the query was stopped while the database did nothing, which does not notice it."""
        if self._stopped_by:
            raise QueryLimitError(f"The query was stopped: {self._stopped_by}.")

    def _errors(self) -> "_DatabaseErrors":
        return _DatabaseErrors(self)

    def describe_error(self, error: BaseException) -> QueryError | QueryLimitError:
        """Word an error of the database for the one who asks."""
        import duckdb

        text = str(error)
        if self._stopped_by:
            return QueryLimitError(f"The query was stopped: {self._stopped_by}.")
        if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory" in text:
            message = f"The query was stopped: it needs more than {self._limits.memory_mib} MiB of memory."
            return QueryLimitError(message)
        for table in self._tables:
            if any(str(file.absolute()) in text for file in table.files):
                _LOG.warning("A file of %s cannot be read: %s", table.name, text.splitlines()[0])
                message = f"a file of {table.name} cannot be read; it is gone, or is being written"
                return QueryLimitError(f"The query was stopped: {message}.")
        return QueryError(f"the query cannot be run: {text.splitlines()[0] if text else type(error).__name__}")


class _DatabaseErrors:
    """Turns errors of the database into ours."""

    def __init__(self, result: QueryResult) -> None:
        self._result = result

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import duckdb
        import pyarrow as pa

        if isinstance(error, duckdb.Error | pa.ArrowException | OSError):
            raise self._result.describe_error(error) from None


def _result_schema(schema: "pa.Schema", columns: Iterable[ColumnMetadata]) -> "pa.Schema":
    """Describe fields, and put integers and floats for the database's own wide types."""
    import pyarrow as pa

    fields = []
    for item, column in zip(schema, columns, strict=True):
        kind = item.type
        if pa.types.is_decimal(kind):
            kind = pa.int64() if kind.scale == 0 else pa.float64()
        elif pa.types.is_null(kind):
            kind = pa.string()
        known = {key: getattr(column, key) for key in ("unit", "ucd", "utype", "description", "xtype")}
        metadata = {key: value for key, value in known.items() if value}
        fields.append(pa.field(column.name, kind, metadata=metadata))
    return pa.schema(fields)
