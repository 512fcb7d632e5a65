"""Errors of queries: each says what is wrong, and where in the text of the query."""

import difflib
from collections.abc import Iterable
from typing import NamedTuple

from ..errors import ForcedPhotError


class Place(NamedTuple):
    """Where something stands in a query; both count from 1."""

    line: int
    column: int


class QueryError(ForcedPhotError, ValueError):
    """A query that is no ADQL, names what does not exist, or asks for what this service does not do.

    Parameters
    ----------
    message
        What is wrong, and what was expected.
    place
        Where in the query, if known.
    """

    exit_code = 20

    def __init__(self, message: str, place: Place | None = None) -> None:
        self.place = place
        where = f"line {place.line}, column {place.column}: " if place else ""
        super().__init__(f"{where}{message}")


class QueryLimitError(ForcedPhotError, RuntimeError):
    """A query that was stopped: it took too long, wanted too much memory, or was cancelled."""

    exit_code = 21


def suggestion(name: str, known: Iterable[str]) -> str:
    """Word a hint at the names that look most like one that is not known."""
    spelled = {candidate.lower(): candidate for candidate in known}
    similar = difflib.get_close_matches(name.lower(), spelled, n=3)
    if similar:
        return f"similar ones are {', '.join(spelled[candidate] for candidate in similar)}"
    return f"there are {', '.join(list(spelled.values())[:8])}" if 0 < len(spelled) <= 8 else "none is similar"
