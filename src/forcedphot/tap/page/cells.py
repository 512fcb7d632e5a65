"""Values of results as the page shows them."""

import datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

    from .kept_results import KeptResult

ROWS_PER_PAGE = 100
_MAX_CHARACTERS = 300


class Cell(NamedTuple):
    """A value of a table.

    Parameters
    ----------
    text
        Empty where the value is not known.
    link
        Address that it leads to, if it is one.
    is_number
        Whether it is lined up to the right.
    """

    text: str
    link: str = ""
    is_number: bool = False


def cells(result: "KeptResult", page: int) -> list[list[Cell]]:
    """Return the rows of a page, which count from 1."""
    part = result.rows.slice((page - 1) * ROWS_PER_PAGE, ROWS_PER_PAGE)
    columns = [
        [_cell(value, item.type) for value in column.to_pylist()]
        for item, column in zip(part.schema, part.columns, strict=True)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def is_number(kind: "pa.DataType") -> bool:
    """Tell whether a type is one of numbers."""
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _cell(value: object, kind: "pa.DataType") -> Cell:
    import pyarrow as pa

    if value is None:
        return Cell("", is_number=is_number(kind))
    if isinstance(value, bool):
        return Cell("true" if value else "false")
    if isinstance(value, float):
        digits = 12 if pa.types.is_float64(kind) else 7
        return Cell(f"{value:.{digits}g}", is_number=True)
    if isinstance(value, int):
        return Cell(str(value), is_number=True)
    if isinstance(value, datetime.datetime):
        return Cell(value.isoformat())
    text = str(value)
    shown = text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}\N{HORIZONTAL ELLIPSIS}"
    return Cell(shown, link=text if text.startswith(("http://", "https://")) else "")
