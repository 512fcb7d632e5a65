"""What is known of a result's column by the expression that makes it."""

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from .tables import ColumnMetadata

if TYPE_CHECKING:
    from .scopes import Resolved

_SAME_UNIT = {"abs", "avg", "ceiling", "coalesce", "floor", "max", "min", "round", "sum", "truncate"}
"""Functions whose result has the unit of the argument."""

_KNOWN = {
    "area": ColumnMetadata("area", unit="deg2", ucd="phys.angArea"),
    "box": ColumnMetadata("box", unit="deg", xtype="polygon"),
    "centroid": ColumnMetadata("centroid", unit="deg", xtype="point"),
    "circle": ColumnMetadata("circle", unit="deg", xtype="circle"),
    "coord1": ColumnMetadata("coord1", unit="deg", ucd="pos.eq.ra"),
    "coord2": ColumnMetadata("coord2", unit="deg", ucd="pos.eq.dec"),
    "count": ColumnMetadata("count", ucd="meta.number"),
    "degrees": ColumnMetadata("degrees", unit="deg"),
    "distance": ColumnMetadata("distance", unit="deg", ucd="pos.angDistance"),
    "point": ColumnMetadata("point", unit="deg", xtype="point"),
    "polygon": ColumnMetadata("polygon", unit="deg", xtype="polygon"),
    "radians": ColumnMetadata("radians", unit="rad"),
}


def describe(value: exp.Expr) -> ColumnMetadata:
    """Describe the value of an expression whose columns are resolved; the type is left open.

    The name is empty where the expression suggests none.
    """
    while isinstance(value, exp.Paren):
        value = value.this
    if isinstance(value, exp.Column):
        resolved: Resolved = value.meta["resolved"]
        return replace(resolved.column, datatype="")
    if isinstance(value, exp.Anonymous):
        name = str(value.this).lower()
        if name in _KNOWN:
            return _KNOWN[name]
        inner = describe(value.expressions[0]) if value.expressions else ColumnMetadata("")
        if name == "in_unit" and len(value.expressions) == 2:
            return ColumnMetadata(name, unit=value.expressions[1].name, ucd=inner.ucd)
        if name in _SAME_UNIT:
            return ColumnMetadata(name, unit=inner.unit, ucd=inner.ucd)
        return ColumnMetadata(name)
    if isinstance(value, exp.Neg | exp.Cast):
        inner = describe(value.this)
        return ColumnMetadata("", unit=inner.unit, ucd=inner.ucd)
    if isinstance(value, exp.Add | exp.Sub):
        left, right = describe(value.this), describe(value.expression)
        return ColumnMetadata("", unit=left.unit if left.unit == right.unit else "")
    return ColumnMetadata("")
