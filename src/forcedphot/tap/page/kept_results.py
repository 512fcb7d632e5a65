"""The first rows of the page's queries, kept for a while: their pages and plots ask for no second run."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..engine import Cancellation, Engine, Limits
from ..tables import ColumnMetadata

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ROWS = 5_000
_MAX_BYTES = 8 * 1024**2
_MAX_BYTES_OF_ALL = 64 * 1024**2
_MAX_RESULTS = 32
_MAX_PLOTS = 8


@dataclass
class KeptResult:
    """The first rows of a result.

    Parameters
    ----------
    query
        As it was asked.
    is_whole
        Whether these are all rows.
    seconds
        What it took.
    """

    query: str
    columns: tuple[ColumnMetadata, ...]
    rows: "pa.Table"
    is_whole: bool
    seconds: float
    _plots: OrderedDict[object, bytes] = field(default_factory=OrderedDict, repr=False)

    def plot(self, choice: object, draw: Callable[[], bytes]) -> bytes:
        """Return a plot, drawn if it is not among the last ones."""
        if choice not in self._plots:
            self._plots[choice] = draw()
            while len(self._plots) > _MAX_PLOTS:
                self._plots.popitem(last=False)
        return self._plots[choice]


class KeptResults:
    """The last results, each under a name that cannot be guessed."""

    def __init__(self) -> None:
        self._results: OrderedDict[str, KeptResult] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, result: KeptResult) -> str:
        """Keep a result, instead of the oldest if there are too many, or too large ones; return its name."""
        name = secrets.token_urlsafe(16)
        with self._lock:
            self._results[name] = result
            size = sum(kept.rows.nbytes for kept in self._results.values())
            while len(self._results) > _MAX_RESULTS or (size > _MAX_BYTES_OF_ALL and len(self._results) > 1):
                size -= self._results.popitem(last=False)[1].rows.nbytes
        return name

    def get(self, name: str) -> KeptResult | None:
        """Return a result, if it is still kept."""
        with self._lock:
            return self._results.get(name)


def run(engine: Engine, query: str, cancellation: Cancellation, limits: Limits) -> KeptResult:
    """Run a query within limits, and take its first rows.

    Raises
    ------
    QueryError, QueryLimitError
        Those of the engine.
    """
    import pyarrow as pa

    start = time.perf_counter()
    batches: list[pa.RecordBatch] = []
    size, is_cut = 0, False
    with engine.query(query, max_rows=MAX_ROWS, cancellation=cancellation, limits=limits) as result:
        for batch in result:
            is_cut = size + batch.nbytes > _MAX_BYTES
            if is_cut:
                kept = max(1, batch.num_rows * max(0, _MAX_BYTES - size) // max(1, batch.nbytes))
                batches.append(batch.slice(0, kept))
                break
            batches.append(batch)
            size += batch.nbytes
        count = sum(batch.num_rows for batch in batches)
        # a copy, as a slice would hold on to all rows that it is cut from
        rows = pa.Table.from_batches(batches, schema=result.schema).take(pa.array(range(count), pa.int64()))
        is_whole = not (is_cut or result.overflow)
    return KeptResult(query, result.columns, rows, is_whole, time.perf_counter() - start)
