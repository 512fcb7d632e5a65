"""VOTable's types of columns, by Arrow's: results, TAP_SCHEMA and the list of tables must agree on them."""

from typing import NamedTuple

from .tables import ColumnMetadata


class VotableType(NamedTuple):
    """How VOTable declares the values of a column.

    Parameters
    ----------
    datatype
        As "double".
    arraysize
        As "*" or "2"; empty for single values.
    xtype
        DALI's name, as "point" or "timestamp"; empty if there is none.
    """

    datatype: str
    arraysize: str = ""
    xtype: str = ""


TEXT = VotableType("unicodeChar", "*")
"""Texts are not known to be ASCII, which is all that ``char`` may hold."""

_SCALARS = {
    "bool": "boolean",
    "uint8": "unsignedByte",
    "int8": "short",
    "int16": "short",
    "uint16": "int",
    "int32": "int",
    "uint32": "long",
    "int64": "long",
    "uint64": "long",
    "halffloat": "float",
    "float": "float",
    "double": "double",
}
"""Keys are Arrow's names of types."""

_SIZES = {"point": "2", "circle": "3", "polygon": "*"}


def votable_type(column: ColumnMetadata) -> VotableType:
    """Return how VOTable declares a column, whose datatype is Arrow's name of it.

    Types that VOTable lacks become texts.
    """
    kind = column.datatype
    if kind in _SCALARS:
        return VotableType(_SCALARS[kind], xtype=column.xtype)
    if kind.startswith(("timestamp", "date")):
        return VotableType("char", "*", "timestamp")
    if kind in ("binary", "large_binary"):
        return VotableType("unsignedByte", "*")
    if kind.startswith(("list<", "large_list<", "fixed_size_list<")):
        element = kind.partition("<")[2].partition(": ")[2].partition(">")[0].removesuffix(" not null")
        if element in _SCALARS and element != "bool":
            return VotableType(_SCALARS[element], _SIZES.get(column.xtype, "*"), column.xtype)
    return (
        VotableType("char", "*", "timestamp") if column.xtype == "timestamp" else TEXT._replace(xtype=column.xtype)
    )
