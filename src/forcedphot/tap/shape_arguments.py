"""The shapes of a query: what POINT, CIRCLE, BOX and POLYGON are given, checked, with their places for errors."""

import math
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from .dialect import is_literal, place
from .errors import QueryError
from .scopes import RAW_DEC
from .shapes import Circle, Outline, Point, Polygon, Shape, Value, centroid
from .sky_index import INDEX_COLUMN

if TYPE_CHECKING:
    from .scopes import Resolved

_SYSTEMS = {"", "icrs", "icrs geocenter", "icrs barycenter", "unknownframe"}
_OPERATORS: dict[type[exp.Expr], Callable[[float, float], float]] = {
    exp.Add: operator.add,
    exp.Sub: operator.sub,
    exp.Mul: operator.mul,
    exp.Div: operator.truediv,
}
_MAX_VERTICES = 200

_POSITIVE = (exp.And, exp.Or, exp.Paren)
"""What a condition may stand in for rows to be wanted only where it is true."""


class ShapeReader:
    """Reads shapes from calls.

    Parameters
    ----------
    to_sql
        Writes the SQL of any other expression.
    """

    def __init__(self, to_sql: Callable[[exp.Expr], str]) -> None:
        self._to_sql = to_sql

    def expect(self, call: exp.Anonymous, *counts: int) -> None:
        """Check how many arguments a call has."""
        if len(call.expressions) not in counts:
            name, expected = str(call.this).upper(), " or ".join(str(count) for count in counts)
            message = f"{name} has {len(call.expressions)} arguments; expected {expected}"
            raise QueryError(message, place(call))

    def shape(self, node: exp.Expr) -> Shape:
        """Read any shape."""
        while isinstance(node, exp.Paren):
            node = node.this
        readers: dict[str, Callable[[exp.Anonymous], Shape]] = {
            "point": self._point,
            "circle": self._circle,
            "box": self._box,
            "polygon": self._polygon,
        }
        if isinstance(node, exp.Column) and _is_outline(node):
            return Outline(self._to_sql(node))
        name = str(node.this).lower() if isinstance(node, exp.Anonymous) else ""
        if not isinstance(node, exp.Anonymous) or name not in readers:
            if name == "centroid" and isinstance(node, exp.Anonymous):
                return self._centroid(node)
            raise QueryError("expected POINT, CIRCLE, BOX or POLYGON", place(node))
        return readers[name](node)

    def pair(self, call: exp.Anonymous) -> tuple[Point, Point]:
        """Read the two positions of DISTANCE: two points, or four numbers."""
        self.expect(call, 2, 4)
        arguments = call.expressions
        if len(arguments) == 4:
            return self._position(*arguments[:2]), self._position(*arguments[2:])
        first, second = (self.shape(argument) for argument in arguments)
        if not isinstance(first, Point) or not isinstance(second, Point):
            raise QueryError("DISTANCE takes two positions: POINT, POINT", place(call))
        return first, second

    def in_unit(self, call: exp.Anonymous) -> str:
        """Write the conversion of a column to another unit, if it is by a factor."""
        from astropy import units

        self.expect(call, 2)
        value, wanted = call.expressions
        if not isinstance(value, exp.Column) or not (isinstance(wanted, exp.Literal) and wanted.is_string):
            raise QueryError("IN_UNIT takes a column and a unit in quotes", place(call))
        resolved: Resolved | None = value.meta.get("resolved")
        if resolved is None or not resolved.column.unit:
            raise QueryError(f"the unit of {value.name} is not known", place(value))
        try:
            own, other = units.Unit(resolved.column.unit), units.Unit(wanted.name)
            if not (isinstance(own, units.UnitBase) and isinstance(other, units.UnitBase)):
                raise units.UnitConversionError("magnitudes and fluxes differ by more than a factor")
            factor = float(own.to(other))
        except (ValueError, TypeError, units.UnitConversionError):
            message = (
                f"{resolved.column.name} is in {resolved.column.unit}, which is not converted to {wanted.name!r}"
            )
            raise QueryError(message, place(wanted)) from None
        return f"({self._to_sql(value)} * {factor!r}::DOUBLE)"

    def constant(self, node: exp.Expr) -> float | None:
        """Return the number that an expression of numbers alone has; None for any other."""
        if isinstance(node, exp.Paren):
            return self.constant(node.this)
        if isinstance(node, exp.Neg):
            inner = self.constant(node.this)
            return None if inner is None else -inner
        if isinstance(node, exp.Literal) and not node.is_string:
            return float(node.name)
        if type(node) in _OPERATORS and isinstance(node, exp.Binary):
            left, right = self.constant(node.this), self.constant(node.expression)
            if left is None or right is None or (isinstance(node, exp.Div) and right == 0):
                return None
            value = _OPERATORS[type(node)](left, right)
            return value if math.isfinite(value) else None
        return None

    def _value(self, node: exp.Expr) -> Value:
        if isinstance(node, exp.Literal) and node.is_string:
            raise QueryError("expected a number", place(node))
        constant = self.constant(node)
        return Value(f"({self._to_sql(node)})") if constant is None else Value.of(constant)

    def _position(self, ra: exp.Expr, dec: exp.Expr) -> Point:
        values = self._value(ra), self._value(dec)
        if values[1].constant is not None and abs(values[1].constant) > 90:
            raise QueryError("expected a declination between -90 and 90 degrees", place(dec))
        if not _is_required(ra):
            return Point(*values)
        can_skip = values[0].constant is None or values[1].constant is None
        of_ra, of_dec = (node.meta.get("resolved") if isinstance(node, exp.Column) else None for node in (ra, dec))
        if of_ra is None or of_dec is None or of_ra.alias != of_dec.alias:
            return Point(*values, can_skip=can_skip)
        columns = of_ra.column.name, of_dec.column.name
        if (of_ra.position, of_dec.position) != ("ra", "dec"):
            return Point(*values, can_skip=can_skip, alias=of_ra.alias, columns=columns)
        alias = exp.to_identifier(of_ra.alias, quoted=True).sql("duckdb")
        index = f'{alias}."{INDEX_COLUMN}"' if of_ra.has_index else ""
        raw_dec = f'{alias}."{RAW_DEC}"'
        return Point(*values, can_skip=True, raw_dec=raw_dec, index=index, alias=of_ra.alias, columns=columns)

    def _point(self, call: exp.Anonymous) -> Point:
        arguments = self._arguments(call)
        if len(arguments) != 2:
            raise QueryError("POINT takes a right ascension and a declination", place(call))
        return self._position(*arguments)

    def _circle(self, call: exp.Anonymous) -> Circle:
        center, (radius,) = self._center(call, "CIRCLE takes a position and a radius", 1)
        value = self._value(radius)
        if value.constant is not None and not 0 <= value.constant <= 180:
            raise QueryError("expected a radius between 0 and 180 degrees", place(radius))
        return Circle(center, value)

    def _box(self, call: exp.Anonymous) -> Polygon:
        """Read a box: the polygon of corners that are half the width and height away in both coordinates."""
        center, sides = self._center(call, "BOX takes a position, a width and a height", 2)
        width, height = (self._value(side) for side in sides)
        half = None
        if width.constant is not None and height.constant is not None:
            half = width.constant / 2, height.constant / 2
            if not (0 < half[0] < 90 and 0 < half[1] < 90):
                raise QueryError("expected a width and a height between 0 and 180 degrees", place(call))
        corners = []
        for east, north in ((1, 1), (-1, 1), (-1, -1), (1, -1)):
            if center.constant and half:
                ra, dec = center.constant[0] + east * half[0], center.constant[1] + north * half[1]
                if abs(dec) > 90:
                    raise QueryError("the box reaches over a pole; use CIRCLE or POLYGON there", place(call))
                corners.append(Point(Value.of(ra), Value.of(dec)))
            else:
                ra_sql = f"({center.ra.sql} + {east} * {width.sql} / 2)"
                corners.append(Point(Value(ra_sql), Value(f"({center.dec.sql} + {north} * {height.sql} / 2)")))
        return self._checked(Polygon(tuple(corners)), call)

    def _polygon(self, call: exp.Anonymous) -> Polygon:
        arguments = self._arguments(call)
        if arguments and all(_is_point(argument) for argument in arguments):
            vertices = [self._point(argument) for argument in arguments if isinstance(argument, exp.Anonymous)]
        elif len(arguments) % 2 == 0:
            vertices = [self._position(*pair) for pair in zip(arguments[::2], arguments[1::2], strict=True)]
        else:
            raise QueryError("POLYGON takes pairs of right ascension and declination", place(call))
        if not 3 <= len(vertices) <= _MAX_VERTICES:
            raise QueryError(f"expected 3 to {_MAX_VERTICES} vertices", place(call))
        return self._checked(Polygon(tuple(vertices)), call)

    def _checked(self, polygon: Polygon, call: exp.Anonymous) -> Polygon:
        vectors = polygon.constants
        if vectors is not None and (vectors @ vectors.sum(axis=0)).min() <= 1e-9:
            raise QueryError("expected a polygon that is smaller than a hemisphere", place(call))
        return polygon

    def _centroid(self, call: exp.Anonymous) -> Point:
        self.expect(call, 1)
        try:
            return centroid(self.shape(call.expressions[0]))
        except NotImplementedError as error:
            raise QueryError(f"CENTROID is not supported for {error}", place(call)) from None

    def _arguments(self, call: exp.Anonymous) -> Sequence[exp.Expr]:
        """Return what follows the name of the coordinate system, which may be left out."""
        arguments = call.expressions
        first = arguments[0] if arguments else None
        if not isinstance(first, exp.Literal) or not first.is_string:
            return arguments
        if first.name.strip().lower() not in _SYSTEMS:
            raise QueryError(f"expected the coordinate system 'ICRS', found {first.name!r}", place(first))
        return arguments[1:]

    def _center(self, call: exp.Anonymous, usage: str, further: int) -> tuple[Point, Sequence[exp.Expr]]:
        arguments = self._arguments(call)
        if len(arguments) == further + 2:
            return self._position(*arguments[:2]), arguments[2:]
        if len(arguments) == further + 1 and isinstance(arguments[0], exp.Anonymous):
            center = self.shape(arguments[0])
            if isinstance(center, Point):
                return center, arguments[1:]
        raise QueryError(usage, place(call))


def _is_point(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and str(node.this).lower() == "point"


def _is_required(node: exp.Expr) -> bool:
    """Tell whether rows are wanted only where the condition that a node is part of is true."""
    call = node.parent
    while isinstance(call, exp.Anonymous) and isinstance(call.parent, exp.Anonymous):
        call = call.parent
    comparison = call.parent if call is not None else None
    if not isinstance(call, exp.Anonymous) or not _wants_truth(comparison, str(call.this).lower()):
        return False
    parent = comparison.parent if comparison is not None else None
    while isinstance(parent, _POSITIVE):
        parent = parent.parent
    return isinstance(parent, exp.Where | exp.Join)


def _wants_truth(comparison: exp.Expr | None, name: str) -> bool:
    """Tell ``CONTAINS(...) = 1`` and ``DISTANCE(...) < r`` from other comparisons."""
    if name == "distance":
        return isinstance(comparison, exp.LT | exp.LTE | exp.GT | exp.GTE)
    if name not in ("contains", "intersects") or not isinstance(comparison, exp.EQ):
        return False
    return is_literal(comparison.this, "1") or is_literal(comparison.expression, "1")


def _is_outline(column: exp.Column) -> bool:
    """Tell whether a column holds outlines, as s_region of ObsCore does."""
    resolved: Resolved | None = column.meta.get("resolved")
    return resolved is not None and resolved.column.ucd.startswith("pos.outline")
