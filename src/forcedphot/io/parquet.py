"""Parquet files as astropy tables; units and descriptions are in the metadata, as astropy's own writer does it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from astropy.table import Column, Table

_META = b"table_meta_yaml"


def write_parquet(table: Table, path: Path) -> None:
    """Write a table of plain columns of one or two dimensions.

    Raises
    ------
    TypeError
        If a column is of another kind.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from astropy.table import meta

    table = table.copy(copy_data=False)
    table.convert_bytestring_to_unicode()
    metadata = {_META: "\n".join(meta.get_yaml_from_table(table)).encode()}
    for name, column in table.columns.items():
        if column.dtype.kind == "U":  # astropy's reader wants to know the longest string
            metadata[f"table::len::{name}".encode()] = str(column.dtype.itemsize // 4).encode()
    arrow = pa.table({name: _to_arrow(column) for name, column in table.columns.items()})
    pq.write_table(arrow.replace_schema_metadata(metadata), path)


def read_parquet(path: Path) -> Table:
    """Read a Parquet file; missing values are masked.

    Columns of a kind that astropy has no type for come back as objects.
    """
    import pyarrow.parquet as pq
    from astropy.table import Table

    arrow = pq.read_table(path)
    text = (arrow.schema.metadata or {}).get(_META)
    header = {} if text is None else _header(text.decode())
    table = Table({name: _from_arrow(arrow.column(name)) for name in arrow.column_names})
    for description in header.get("datatype", ()):
        if description["name"] in table.columns:
            column = table[description["name"]]
            column.unit = description.get("unit")
            column.description = description.get("description")
    table.meta.update({key: value for key, value in header.get("meta", {}).items() if not key.startswith("__")})
    return table


def _header(text: str) -> Mapping[str, Any]:
    """Read what astropy says of a table's columns; it takes longer itself, ten times all else in the file."""
    import yaml

    header: Mapping[str, Any] = yaml.load(text, Loader=_loader())  # noqa: S506 - makes values of plain types only
    return header


@cache
def _loader() -> Any:
    """Return a loader of YAML, in C where there is one, that knows the types of values that astropy has."""
    import yaml
    from astropy.io.misc.yaml import AstropyLoader

    loader: Any = type("Loader", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {})
    loader.yaml_constructors = {**AstropyLoader.yaml_constructors, "tag:yaml.org,2002:omap": _ordered}
    return loader


def _ordered(loader: Any, node: Any) -> dict[Any, Any]:
    """Make a dictionary of a list of pairs, as astropy does."""
    pairs: dict[Any, Any] = {}
    for item in node.value:
        pairs |= loader.construct_mapping(item, deep=True)
    return pairs


def _to_arrow(column: Column) -> Any:
    import pyarrow as pa

    values = np.asarray(column)
    if values.ndim > 2 or values.dtype.kind not in "biufU":
        raise TypeError(f"column {column.name!r} has {values.ndim} dimensions and type {values.dtype}")
    values = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="), copy=False))
    if values.ndim == 2:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    return pa.array(values, mask=getattr(column, "mask", None))


def _from_arrow(column: Any) -> npt.NDArray[Any]:
    """Convert a chunked array, with a mask where values are missing."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_fixed_size_list(kind) and column.null_count == 0:
        flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat).reshape(-1, kind.list_size)
    missing = np.asarray(column.is_null().to_numpy())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        values = column.fill_null("").to_numpy().astype(np.str_)
    elif pa.types.is_binary(kind):
        values = column.fill_null(b"").to_numpy().astype(np.bytes_)
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        values = column.fill_null(False if pa.types.is_boolean(kind) else 0).to_numpy()
    else:
        return np.asarray(column.to_numpy())
    return np.ma.MaskedArray(values, mask=missing) if missing.any() else np.array(values)
