"""Matches of an upload with a table that is ordered on the sky: only rows of common HEALPix pixels are compared.

Each row of the upload is repeated for the pixels that its circle touches; a row of the table is in one of them.
"""

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from sqlglot import exp

from .shape_arguments import ShapeReader
from .shapes import Circle, Point
from .sky_index import ORDER, PIXEL_DEG, number_ranges
from .tables import TableSource, memory_table

if TYPE_CHECKING:
    import pyarrow as pa

CONDITION = "condition of pixels"
"""Where a comparison's node has the SQL that it is joined by."""

PIXEL_COLUMN = "__pixel"
_UPLOADS = "tap_upload"
_LARGEST_RADIUS_DEG = 1.0
_SMALLEST_PIXEL_DEG = 0.01
_MOST_RANGES = 50
"""In which the table's rows are looked for at all."""

type _Match = tuple[exp.Expr, Point, Point, float]


def match_by_pixels(tree: exp.Query, used: dict[str, TableSource]) -> None:
    """Let uploads that are matched with a table be joined by pixels.

    Parameters
    ----------
    tree
        A query whose names are resolved; it is changed.
    used
        The tables that it names; those that stand for uploads are added.
    """
    if not any(name.startswith(f"{_UPLOADS}.") for name in used):
        return
    for select in list(tree.find_all(exp.Select)):
        tables = _plain_tables(select)
        for comparison, first, second, radius in _matches(select):
            sides = {first.alias: first, second.alias: second}
            upload = next((alias for alias in sides if _is_upload(tables.get(alias))), None)
            if upload is None or len(sides) != 2:
                continue
            point = sides.pop(upload)
            (other,) = sides.values()
            source = used.get(f"{_UPLOADS}.{tables[upload].name.lower()}")
            if other.index and source is not None and source.data is not None:
                _join(comparison, tables[upload], source.data, point, other, radius, used)
                break


def _plain_tables(select: exp.Select) -> dict[str, exp.Table]:
    """Return the tables of a SELECT by alias; none if any may be there without a match, or with several names."""
    joins = select.args.get("joins") or ()
    nodes = [select.args["from_"].this, *(join.this for join in joins)] if select.args.get("from_") else []
    is_inner = all(not join.args.get(key) for join in joins for key in ("side", "method", "using"))
    has_nested = any(node.args.get("joins") for node in nodes)
    if not is_inner or has_nested:
        return {}
    return {node.alias: node for node in nodes if isinstance(node, exp.Table) and not node.alias_column_names}


def _matches(select: exp.Select) -> Iterator[_Match]:
    """Find comparisons that all rows fulfil: of two positions, and a radius that is a number."""
    reader = ShapeReader(lambda node: str(node.sql("duckdb")))
    parts = [join.args["on"] for join in select.args.get("joins") or () if join.args.get("on")]
    parts += [select.args["where"].this] if select.args.get("where") else []
    for part in parts:
        for comparison in _conjuncts(part):
            found = _positions(comparison, reader)
            if found is not None:
                yield comparison, *found


def _conjuncts(node: exp.Expr) -> Iterator[exp.Expr]:
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.And):
        yield from _conjuncts(node.this)
        yield from _conjuncts(node.expression)
    else:
        yield node


def _positions(comparison: exp.Expr, reader: ShapeReader) -> tuple[Point, Point, float] | None:
    """Read ``CONTAINS(POINT, CIRCLE) = 1`` or ``DISTANCE(...) < radius`` of positions that are columns."""
    if not isinstance(comparison, exp.EQ | exp.LT | exp.LTE | exp.GT | exp.GTE):
        return None
    sides = comparison.this, comparison.expression
    call = next((side for side in sides if isinstance(side, exp.Anonymous)), None)
    if call is None:
        return None
    limit = sides[1] if call is sides[0] else sides[0]
    name, arguments = str(call.this).lower(), call.expressions
    radius: float | None = None
    if name == "distance" and isinstance(comparison, exp.LT | exp.LTE) == (call is sides[0]):
        first, second = reader.pair(call)
        radius = reader.constant(limit)
    elif name == "contains" and isinstance(comparison, exp.EQ) and len(arguments) == 2:
        inner, outer = reader.shape(arguments[0]), reader.shape(arguments[1])
        if not isinstance(inner, Point) or not isinstance(outer, Circle):
            return None
        first, second, radius = inner, outer.center, outer.radius.constant
    else:
        return None
    if radius is None or not 0 <= radius <= _LARGEST_RADIUS_DEG or not (first.can_skip and second.can_skip):
        return None
    return first, second, radius


def _is_upload(node: exp.Table | None) -> bool:
    return node is not None and node.db.lower() == _UPLOADS


def _join(
    comparison: exp.Expr,
    node: exp.Table,
    data: "pa.Table",
    point: Point,
    other: Point,
    radius: float,
    used: dict[str, TableSource],
) -> None:
    """Put rows and their pixels where an upload was, and the condition that pixels are equal."""
    import pyarrow as pa

    columns = {name.lower(): name for name in data.column_names}
    if PIXEL_COLUMN in columns:
        return
    angles = []
    for name in point.columns:
        if name.lower() not in columns:  # it is one of a query around this
            return
        kind = data.schema.field(columns[name.lower()]).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            return
        values = data.column(columns[name.lower()]).cast(pa.float64(), safe=False)
        angles.append(values.fill_null(math.nan).to_numpy())
    order = min(ORDER, math.floor(math.log2(PIXEL_DEG / max(2 * radius, _SMALLEST_PIXEL_DEG))))
    rows, pixels = touched_pixels(angles[0], angles[1], radius, order)
    spread = data.take(pa.array(rows)).append_column(PIXEL_COLUMN, pa.array(pixels))
    names = (f"TAP_UPLOAD.pixels {number}" for number in itertools.count())
    table = memory_table(next(name for name in names if name.lower() not in used), spread)
    used[table.name.lower()] = table
    node.set("this", exp.to_identifier(table.name.partition(".")[2], quoted=True))
    shift = 2 * (ORDER - order)
    pixel = f"{exp.to_identifier(point.alias, quoted=True).sql('duckdb')}.{PIXEL_COLUMN}"
    ranges = number_ranges(np.unique(pixels), order, _MOST_RANGES)
    near = " OR ".join(f"{other.index} BETWEEN {first} AND {last}" for first, last in ranges) or "FALSE"
    comparison.meta[CONDITION] = f"({other.index} >> {shift}) = {pixel} AND ({near})"


def touched_pixels(
    ra: npt.NDArray[np.float64], dec: npt.NDArray[np.float64], radius: float, order: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find the pixels that circles touch.

    Parameters
    ----------
    ra, dec
        ICRS, degrees, shape (n,).
    radius
        Degrees.
    order
        Of the pixels.

    Returns
    -------
    Numbers of positions, and a pixel of each, both of shape (m,); a position that is not finite has none.
    """
    import hpgeom

    valid = np.flatnonzero((np.abs(ra) < np.inf) & (np.abs(dec) <= 90.0))
    # a little more than asked for, as positions on the rim are rounded
    reach = radius * (1 + 1e-9) + 1e-9
    circles = zip((ra[valid] % 360.0).tolist(), dec[valid].tolist(), strict=True)
    found = [hpgeom.query_circle(1 << order, *circle, reach, inclusive=True) for circle in circles]
    counts = [len(pixels) for pixels in found]
    empty = np.zeros(0, dtype=np.int64)
    return np.repeat(valid, counts), np.concatenate([empty, *found]).astype(np.int64)
