"""Tables made of the Parquet files of a dataset type, whose columns may differ a little."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..holdings import HeldColumn, HeldTable
from ..known_schemas import KnownTable, known_schema
from ..tables import ColumnMetadata, parquet_table
from .discovery import FoundTable
from .names import POSITIONS, RUBIN_TABLES

if TYPE_CHECKING:
    import pyarrow as pa

_LOG = logging.getLogger(__name__)
_WIDER = (("int8", "int16", "int32", "int64"), ("float", "double"))
"""Types that hold all values of those before them."""


def describe_table(found: FoundTable) -> HeldTable | None:
    """Describe a table that was found.

    Units, UCDs and descriptions are those of Rubin's schema, if the table is one of Rubin's, else the files' own.

    Returns
    -------
    The table, or None where it cannot be queried, as its files have no column in common, or cannot be read.
    """
    known = _known_table(found)
    try:
        files, names = _common_columns(found.files)
        source = parquet_table(f"{found.schema}.{found.name}", files, metadata=_metadata(files[0], known))
    except (OSError, ValueError) as error:
        _LOG.warning("%s.%s is left out: %s", found.schema, found.name, error)
        return None
    columns = {name: column for name, column in source.columns.items() if column.name in names}
    if not columns:
        _LOG.warning("%s.%s is left out: its files have no column in common", found.schema, found.name)
        return None
    ra, dec = _position(columns)
    source = replace(source, columns=columns, ra=ra, dec=dec)
    if known is not None:
        return known.describe(source)
    description = f"Datasets of type {found.dataset_type}"
    return HeldTable(source, description, tuple(HeldColumn(column, principal=True) for column in columns.values()))


def _known_table(found: FoundTable) -> KnownTable | None:
    rubin = RUBIN_TABLES.get(found.dataset_type)
    return None if rubin is None else known_schema(rubin.schema).tables[rubin.table]


def _metadata(file: Path, known: KnownTable | None) -> Iterable[ColumnMetadata]:
    """Say what is known of columns: by the schema, else by astropy's header in the file."""
    described = {} if known is None else {name: held.metadata for name, held in known.columns.items()}
    own = {column.name.lower(): column for column in _astropy_columns(_schema(file, file.stat().st_mtime_ns))}
    return (own | described).values()


def _astropy_columns(schema: "pa.Schema") -> Iterable[ColumnMetadata]:
    from astropy.table import meta

    text = (schema.metadata or {}).get(b"table_meta_yaml")
    if text is None:
        return
    for column in meta.get_header_from_yaml(text.decode().split("\n")).get("datatype", ()):
        unit, description = column.get("unit"), column.get("description")
        yield ColumnMetadata(column["name"], unit=str(unit or ""), description=description or "")


def _common_columns(files: Sequence[Path]) -> tuple[tuple[Path, ...], set[str]]:
    """Find the columns that all files have.

    Returns
    -------
    The files, first the one whose types hold the values of the most columns in the others, as the database takes
    types from it; and the names of these columns.
    """
    schemas = {file: _schema(file, file.stat().st_mtime_ns) for file in files}
    distinct = list({schema: file for file, schema in reversed(schemas.items())}.items())
    if len(distinct) == 1:
        return tuple(files), set(distinct[0][0].names)
    counts = Counter(name for schema, _ in distinct for name in schema.names)
    common = {name for name, count in counts.items() if count == len(distinct)}

    def held(schema: Any) -> set[str]:
        return {
            name
            for name in common
            if all(_holds(schema.field(name).type, other.field(name).type) for other, _ in distinct)
        }

    widest, first = max(reversed(distinct), key=lambda item: len(held(item[0])))
    names = held(widest)
    if left_out := sorted(set(counts) - names):
        _LOG.info("Columns that not all files have, or not of one type, are left out: %s", ", ".join(left_out))
    return (first, *(file for file in files if file != first)), names


def _holds(one: Any, other: Any) -> bool:
    """Tell whether a type holds all values of another."""
    names = str(one), str(other)
    wider = (kinds[: kinds.index(names[0])] for kinds in _WIDER if names[0] in kinds)
    return names[0] == names[1] or any(names[1] in kinds for kinds in wider)


@lru_cache(maxsize=100_000)
def _schema(file: Path, _modified_ns: int) -> "pa.Schema":
    import pyarrow.parquet as pq

    return pq.read_schema(file)


def _position(columns: "dict[str, ColumnMetadata]") -> tuple[str | None, str | None]:
    for pair in POSITIONS:
        found = [columns.get(name) for name in pair]
        if all(column is not None and column.unit == "deg" and column.datatype == "double" for column in found):
            return pair
    return None, None
