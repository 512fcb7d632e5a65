"""ADQL to the SQL of DuckDB: one query in, one query out, with nothing in it that was not looked up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.generators.duckdb import DuckDBGenerator

from . import shapes
from .dialect import is_literal, parse, place, type_name
from .errors import QueryError, suggestion
from .functions import AGGREGATES, FUNCTIONS, GEOMETRY
from .matching import CONDITION, match_by_pixels
from .scopes import Resolver
from .shape_arguments import ShapeReader
from .tables import ColumnMetadata, TableSource

MAX_SQL = 500_000
"""Characters: what the database needs to plan a query is beyond its limits of time and memory."""


@dataclass(frozen=True)
class Translation:
    """A query that the database can run.

    Parameters
    ----------
    sql
        For DuckDB, with the macros of `shapes.DEFINITIONS`.
    columns
        What is known of the result's columns.
    tables
        The tables that are read.
    """

    sql: str
    columns: tuple[ColumnMetadata, ...]
    tables: tuple[TableSource, ...]


def translate(text: str, tables: Mapping[str, TableSource], max_rows: int | None = None) -> Translation:
    """Translate a query.

    Parameters
    ----------
    text
        One query in ADQL.
    tables
        All that can be queried, uploads among them; keys are schema and table in lower case.
    max_rows
        The most rows to ask for, if there is a limit.

    Raises
    ------
    QueryError
        If the text is no ADQL, or names what does not exist.
    """
    tree = parse(text)
    try:
        resolver = Resolver(tables)
        columns = resolver.resolve(tree)
        match_by_pixels(tree, resolver.used)
        own_limit = tree.args.get("limit")
        if max_rows is not None and (own_limit is None or int(own_limit.expression.name) > max_rows):
            tree.set("limit", exp.Limit(expression=exp.Literal.number(max_rows)))
        sql = _Generator(dialect="duckdb", identify=True, comments=False).generate(tree, copy=False)
        _refuse_long(sql)
    except RecursionError:
        raise QueryError("the query is nested too deeply") from None
    return Translation(sql, tuple(columns.values()), tuple(resolver.used.values()))


class _Generator(DuckDBGenerator):
    """Writes DuckDB's SQL, and looks up all functions."""

    def literal_sql(self, expression: exp.Literal) -> str:
        text = str(super().literal_sql(expression))
        # the database would take it for a decimal, whose products overflow
        return f"{text}e0" if not expression.is_string and "." in text and "e" not in text.lower() else text

    def cast_sql(self, expression: exp.Cast, safe_prefix: str | None = None) -> str:  # noqa: ARG002
        text = f"CAST({self.sql(expression, 'this')} AS {type_name(expression.to)})"
        # the database takes no notice of a length
        return f"left({text}, {expression.to.expressions[0].name})" if expression.to.expressions else text

    def div_sql(self, expression: exp.Div) -> str:
        return str(self.binary(expression, "/"))

    def eq_sql(self, expression: exp.EQ) -> str:
        return self._comparison(expression, "=")

    def neq_sql(self, expression: exp.NEQ) -> str:
        return self._comparison(expression, "<>")

    def lt_sql(self, expression: exp.LT) -> str:
        return self._nearness(expression, expression.this, expression.expression, "<")

    def lte_sql(self, expression: exp.LTE) -> str:
        return self._nearness(expression, expression.this, expression.expression, "<=")

    def gt_sql(self, expression: exp.GT) -> str:
        return self._nearness(expression, expression.expression, expression.this, "<")

    def gte_sql(self, expression: exp.GTE) -> str:
        return self._nearness(expression, expression.expression, expression.this, "<=")

    def anonymous_sql(self, expression: exp.Anonymous) -> str:
        name = str(expression.this).lower()
        if name in GEOMETRY:
            return self._geometry(name, expression)
        function = FUNCTIONS.get(name)
        if function is None:
            hint = suggestion(name, [known.upper() for known in [*FUNCTIONS, *GEOMETRY]])
            raise QueryError(f"there is no function {str(expression.this).upper()}; {hint}", place(expression))
        count = len(expression.expressions)
        if not function.fewest <= count <= function.most:
            expected = str(function.fewest)
            if function.most != function.fewest:
                expected += f" to {function.most}"
            message = f"{name.upper()} has {count} arguments; expected {expected}"
            raise QueryError(message, place(expression))
        for argument in expression.expressions:
            if isinstance(argument, exp.Star) and name != "count":
                raise QueryError(f"{name.upper()} takes a value; a star is for COUNT", place(argument))
            if isinstance(argument, exp.Distinct) and name not in AGGREGATES:
                raise QueryError(f"{name.upper()} does not take DISTINCT", place(expression))
        arguments = [self._argument(argument) for argument in expression.expressions]
        text = f"({function.template.format(*arguments, all=', '.join(arguments))})"
        # templates that repeat their arguments would fill the memory if nested
        _refuse_long(text, expression)
        return text

    def _argument(self, argument: exp.Expr) -> str:
        text = str(self.sql(argument))
        is_plain = isinstance(argument, exp.Distinct | exp.Star | exp.Column | exp.Literal | exp.Anonymous)
        return text if is_plain else f"({text})"

    def _comparison(self, expression: exp.EQ | exp.NEQ, sign: str) -> str:
        """Write ``CONTAINS(...) = 1`` as a condition, so that the database sees what it can skip."""
        for call, number in (
            (expression.this, expression.expression),
            (expression.expression, expression.this),
        ):
            if _calls(call, "contains", "intersects") and is_literal(number, "0", "1"):
                condition = _by_pixels(expression, self._condition(call))
                return condition if (number.name == "1") == (sign == "=") else f"NOT {condition}"
        return str(self.binary(expression, sign))

    def _nearness(self, expression: exp.Binary, small: exp.Expr, large: exp.Expr, sign: str) -> str:
        """Write ``DISTANCE(...) < r`` so that the database sees what it can skip."""
        if (
            isinstance(small, exp.Anonymous)
            and _calls(small, "distance")
            and (constant := self._reader().constant(large)) is not None
        ):
            first, second = self._reader().pair(small)
            return _by_pixels(expression, shapes.within_sql(first, second, shapes.Value.of(constant), sign))
        signs = {exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
        return str(self.binary(expression, signs[type(expression)]))

    def _reader(self) -> ShapeReader:
        return ShapeReader(lambda node: str(self.sql(node)))

    def _condition(self, call: exp.Anonymous) -> str:
        reader, name = self._reader(), str(call.this).upper()
        reader.expect(call, 2)
        first, second = (reader.shape(argument) for argument in call.expressions)
        if isinstance(first, shapes.Point) and isinstance(second, shapes.Point):
            raise QueryError(f"{name} needs a region: CIRCLE, BOX or POLYGON", place(call.expressions[1]))
        try:
            if name == "INTERSECTS":
                return shapes.intersects_sql(first, second)
            if isinstance(second, shapes.Point):
                raise QueryError("CONTAINS takes the region second; expected CIRCLE, BOX or POLYGON", place(call))
            return shapes.contains_sql(second, first)
        except NotImplementedError as error:
            raise QueryError(f"{name} is not supported for {error}", place(call)) from None

    def _geometry(self, name: str, call: exp.Anonymous) -> str:
        reader = self._reader()
        if name in ("contains", "intersects"):
            return f"CAST({self._condition(call)} AS INTEGER)"
        if name == "distance":
            return shapes.distance_sql(*reader.pair(call))
        if name == "in_unit":
            return reader.in_unit(call)
        if name in ("point", "circle", "box", "polygon"):
            return _values(reader.shape(call))
        reader.expect(call, 1)
        shape = reader.shape(call.expressions[0])
        parts: dict[str, Callable[[], str]] = {
            "area": lambda: shapes.area_sql(shape),
            "centroid": lambda: _values(shapes.centroid(shape)),
            "coordsys": lambda: "'ICRS'",
        }
        try:
            if name in parts:
                return parts[name]()
        except NotImplementedError as error:
            raise QueryError(f"{name.upper()} is not supported for {error}", place(call)) from None
        if not isinstance(shape, shapes.Point):
            raise QueryError(f"{name.upper()} takes a POINT", place(call))
        return shape.ra.sql if name == "coord1" else shape.dec.sql


def _refuse_long(sql: str, node: exp.Expr | None = None) -> None:
    if len(sql) > MAX_SQL:
        raise QueryError(
            "the query is too long, or functions are nested too deeply", place(node) if node else None
        )


def _by_pixels(comparison: exp.Expr, condition: str) -> str:
    pixels = comparison.meta.get(CONDITION)
    return f"({pixels} AND {condition})" if pixels else condition


def _values(shape: shapes.Shape) -> str:
    """Write a shape as DALI has it: an array of degrees."""
    if isinstance(shape, shapes.Point):
        return f"[{shape.ra.sql}, {shape.dec.sql}]"
    if isinstance(shape, shapes.Circle):
        return f"[{shape.center.sql}, {shape.radius.sql}]"
    if isinstance(shape, shapes.Outline):
        return shape.sql
    return f"[{', '.join(vertex.sql for vertex in shape.vertices)}]"


def _calls(node: exp.Expr, *names: str) -> bool:
    return isinstance(node, exp.Anonymous) and str(node.this).lower() in names
