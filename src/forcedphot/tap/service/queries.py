"""Queries on what there is, with the limits of those who ask."""

from collections.abc import Generator

from ..engine import Cancellation, Limits
from ..holdings import Holdings
from .formats import serialize
from .parameters import TapRequest


def answer(
    holdings: Holdings,
    request: TapRequest,
    limits: Limits,
    cancellation: Cancellation,
    mark_errors: bool = False,
) -> Generator[bytes]:
    """Run a query; yield its result as bytes, none of them empty.

    Parameters
    ----------
    holdings
        What can be queried.
    request
        What is asked for.
    limits
        Those of this query.
    cancellation
        Stops it from another thread.
    mark_errors
        Whether an error after the first bytes is told in the result, if its format can.

    Raises
    ------
    QueryError, QueryLimitError
        If the query cannot be run, or is stopped.
    """
    engine = holdings.snapshot().engine
    result = engine.query(request.query, request.uploads, request.max_rows, cancellation, limits)
    about = {"QUERY": request.query, "LANG": "ADQL-2.1"}
    yield from (part for part in serialize(result, request.form, about, mark_errors) if part)
