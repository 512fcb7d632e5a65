"""What can be queried: tables of Parquet files or of memory, and what is known of their columns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import suggestion
from .sky_index import INDEX_COLUMN

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class ColumnMetadata:
    """What is known of a column; empty texts where nothing is.

    Parameters
    ----------
    name
        As the query or the file spells it.
    datatype
        Arrow's name of the type, as "int64", "double" or "string".
    unit
        In the VOUnits syntax.
    xtype
        DALI's name for values that are more than their type, as "point".
    """

    name: str
    datatype: str = ""
    unit: str = ""
    ucd: str = ""
    utype: str = ""
    description: str = ""
    xtype: str = ""


@dataclass(frozen=True)
class TableSource:
    """One table that can be queried.

    Parameters
    ----------
    name
        Schema and table, as "dp1.Object".
    columns
        In the order of the files; keys are names in lower case, as ADQL does not tell cases apart.
    files
        Parquet files, read in place; all have these columns.
    data
        The rows themselves, if they are in memory: then there are no files.
    ra, dec
        Names of the columns of the position, ICRS, degrees, if there is one.
    has_index
        Whether the files hold the HEALPix number of each row, and are ordered by it.
    """

    name: str
    columns: Mapping[str, ColumnMetadata]
    files: tuple[Path, ...] = ()
    data: "pa.Table | None" = field(default=None, repr=False, compare=False)
    ra: str | None = None
    dec: str | None = None
    has_index: bool = False


def parquet_table(
    name: str,
    files: Sequence[Path],
    ra: str | None = None,
    dec: str | None = None,
    metadata: Iterable[ColumnMetadata] = (),
) -> TableSource:
    """Describe a table of Parquet files; only their schema is read.

    Parameters
    ----------
    name
        Schema and table, as "dp1.Object".
    files
        At least one; the first says which columns there are.
    ra, dec
        Names of the columns of the position, ICRS, degrees.
    metadata
        What is known of the columns; the files' own units and descriptions stand for those that it does not name.
        Types are always the files'.

    Raises
    ------
    ValueError
        If there are no files, no such columns of a position, or a file's name cannot be used.
    """
    import pyarrow.parquet as pq

    if not files:
        raise ValueError(f"Table {name} has no files.")
    if pattern := next((file for file in files if set(str(file)) & set("*?[]{}")), None):
        raise ValueError(f"Table {name}: the database would take the name of {pattern} for a pattern; rename it.")
    schema = pq.read_schema(files[0])
    return _table(name, schema, metadata, files=tuple(files), ra=ra, dec=dec)


def memory_table(
    name: str,
    data: "pa.Table",
    ra: str | None = None,
    dec: str | None = None,
    metadata: Iterable[ColumnMetadata] = (),
) -> TableSource:
    """Describe a table in memory: an upload, or one of TAP_SCHEMA; parameters are those of `parquet_table`."""
    return _table(name, data.schema, metadata, data=data, ra=ra, dec=dec)


def _table(name: str, schema: Any, metadata: Iterable[ColumnMetadata], **rest: Any) -> TableSource:
    known = {column.name.lower(): column for column in metadata}
    columns: dict[str, ColumnMetadata] = {}
    for item in schema:
        if item.name == INDEX_COLUMN:
            continue
        if item.name.lower() in columns:
            raise ValueError(f"Table {name} has two columns {item.name!r}; names must differ by more than case.")
        described = known.get(item.name.lower()) or _described(item)
        columns[item.name.lower()] = replace(described, name=item.name, datatype=str(item.type))
    for position in (rest["ra"], rest["dec"]):
        if position is not None and position.lower() not in columns:
            hint = suggestion(position, (column.name for column in columns.values()))
            raise ValueError(f"Table {name} has no column {position!r}; {hint}.")
    has_index = INDEX_COLUMN in schema.names and rest["ra"] is not None
    return TableSource(name, columns, has_index=has_index, **rest)


def _described(item: Any) -> ColumnMetadata:
    """Read what an Arrow field says of itself."""
    texts = {key.decode(): value.decode() for key, value in (item.metadata or {}).items()}
    keys = ("unit", "ucd", "utype", "description", "xtype")
    return ColumnMetadata(item.name, **{key: texts.get(key, "") for key in keys})
