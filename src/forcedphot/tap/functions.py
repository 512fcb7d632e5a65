"""The functions of ADQL, by name: how many arguments each takes, and its SQL.

What is not here cannot be called. Where the database would refuse a whole query over one value
outside a function's domain, such as the logarithm of a negative flux, the value is NULL instead.
"""

from typing import NamedTuple


class Function(NamedTuple):
    """A function of numbers or texts.

    Parameters
    ----------
    fewest, most
        Numbers of arguments.
    template
        SQL, with {0}, {1} for arguments; {all} stands for all of them.
    """

    fewest: int
    most: int
    template: str


def _one(template: str) -> Function:
    return Function(1, 1, template)


_AB_MAGNITUDE = "CASE WHEN {0} > 0 THEN 31.4e0 - 2.5e0 * log10({0}) END"

FUNCTIONS = {
    "abs": _one("abs({0})"),
    "acos": _one("CASE WHEN abs({0}) <= 1 THEN acos({0}) END"),
    "asin": _one("CASE WHEN abs({0}) <= 1 THEN asin({0}) END"),
    "atan": _one("atan({0})"),
    "atan2": Function(2, 2, "atan2({0}, {1})"),
    "avg": _one("avg({0})"),
    "ceiling": _one("ceil({0})"),
    "coalesce": Function(1, 100, "coalesce({all})"),
    "cos": _one("CASE WHEN isfinite({0}) THEN cos({0}) END"),
    "cot": _one("CASE WHEN {0} <> 0 AND isfinite({0}) THEN cot({0}) END"),
    "count": _one("count({0})"),
    "degrees": _one("degrees({0})"),
    "exp": _one("exp({0})"),
    "floor": _one("floor({0})"),
    "log": _one("CASE WHEN {0} > 0 THEN ln({0}) END"),
    "log10": _one("CASE WHEN {0} > 0 THEN log10({0}) END"),
    "lower": _one("lower({0})"),
    "max": _one("max({0})"),
    "min": _one("min({0})"),
    "mod": Function(2, 2, "mod({0}, {1})"),
    "pi": Function(0, 0, "pi()"),
    "power": Function(
        2, 2, "CASE WHEN {0} > 0 OR {0} = 0 AND {1} >= 0 OR {0} < 0 AND {1} = floor({1}) THEN pow({0}, {1}) END"
    ),
    "radians": _one("radians({0})"),
    "rand": Function(0, 1, "random()"),  # ADQL 2.1 gives its argument no meaning
    "round": Function(1, 2, "round({all})"),
    "scisql_nanojanskytoabmag": _one(_AB_MAGNITUDE),
    "scisql_nanojanskytoabmagsigma": Function(
        2, 2, "CASE WHEN {0} > 0 AND {1} > 0 THEN 2.5e0 / ln(10e0) * {1} / {0} END"
    ),
    "sign": _one("sign({0})"),
    "sin": _one("CASE WHEN isfinite({0}) THEN sin({0}) END"),
    "sqrt": _one("CASE WHEN {0} >= 0 THEN sqrt({0}) END"),
    "sum": _one("sum({0})"),
    "tan": _one("CASE WHEN isfinite({0}) THEN tan({0}) END"),
    "truncate": Function(1, 2, "trunc({all})"),
    "upper": _one("upper({0})"),
}
"""Keys are names in lower case."""

AGGREGATES = frozenset({"avg", "count", "max", "min", "sum"})
"""Functions of many rows, which may take DISTINCT."""

GEOMETRY = frozenset(
    {
        "area",
        "box",
        "centroid",
        "circle",
        "contains",
        "coord1",
        "coord2",
        "coordsys",
        "distance",
        "in_unit",
        "intersects",
        "point",
        "polygon",
    }
)
"""Functions that take more than numbers and texts, for which there is code of their own."""
