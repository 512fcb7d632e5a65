"""Where a query is wrong, as the page marks it."""

import re
from typing import NamedTuple

from ..errors import Place, QueryError, QueryLimitError

_WORD = re.compile(r"\w+|.", re.DOTALL)
_MAX_CHARACTERS = 120
"""Of the line that are shown before and after the place."""


class Mistake(NamedTuple):
    """What is wrong with a query.

    Parameters
    ----------
    message
        Without the place.
    place
        Where it is, if known.
    before, word, after
        The line, cut where the place is; empty if that is not known.
    start, end
        Where the word is in the text of the query, in UTF-16 units as browsers count; -1 if not known.
    """

    message: str
    place: Place | None = None
    before: str = ""
    word: str = ""
    after: str = ""
    start: int = -1
    end: int = -1


def find_mistake(query: str, error: QueryError | QueryLimitError) -> Mistake:
    """Find the place of an error in a query."""
    place = error.place if isinstance(error, QueryError) else None
    if place is None:
        return Mistake(str(error))
    message = str(error).removeprefix(f"line {place.line}, column {place.column}: ")
    lines = query.split("\n")
    if not 1 <= place.line <= len(lines):
        return Mistake(message, place)
    line = lines[place.line - 1]
    column = min(max(0, place.column - 1), len(line))
    found = _WORD.match(line, column)
    word = found.group() if found else ""
    before, after = line[:column], line[column + len(word) :]
    start = _units("\n".join([*lines[: place.line - 1], before]))
    return Mistake(
        message,
        place,
        before if len(before) <= _MAX_CHARACTERS else f"\N{HORIZONTAL ELLIPSIS}{before[-_MAX_CHARACTERS:]}",
        word,
        after if len(after) <= _MAX_CHARACTERS else f"{after[:_MAX_CHARACTERS]}\N{HORIZONTAL ELLIPSIS}",
        start,
        start + _units(word),
    )


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
