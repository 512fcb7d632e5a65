"""Between catalogs and astropy tables: positions in, measurements out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..conventions import FloatArray, IntArray
from ..errors import InputTableError
from .schema import Columns, Schema

if TYPE_CHECKING:
    from astropy.table import Table


def to_table(schema: Schema, columns: Columns, metadata: dict[str, Any], *, drop: tuple[str, ...] = ()) -> Table:
    """Make an astropy table with a column for each field and, right after it, for its aliases.

    Parameters
    ----------
    columns
        Arrays by field; held by the table, not copied, and an alias is the same array.
    metadata
        Becomes the table's ``meta``.
    drop
        Fields to leave out.
    """
    from astropy.table import Column, Table

    made = {}
    for field in schema:
        if field.name in drop:
            continue
        for name in (field.name, *schema.aliases_of(field.name)):
            made[name] = Column(
                columns[field.name], name=name, unit=field.unit or None, description=field.doc, copy=False
            )
    return Table(list(made.values()), copy=False, meta=metadata)


def read_positions(
    table: Table, id_column: str, ra_column: str, dec_column: str
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Take ids and coordinates from a table.

    Parameters
    ----------
    table
        Coordinates in degrees or radians by their unit; degrees where they have none. A masked
        coordinate becomes NaN.
    id_column, ra_column, dec_column
        Names of its columns.

    Returns
    -------
    id
        int64, shape (n,).
    ra, dec
        Radians, shape (n,).

    Raises
    ------
    TypeError
        If it is no astropy table.
    InputTableError
        If a column is missing, is of another type or unit, or an id is masked.
    """
    from astropy.table import Table

    if not isinstance(table, Table):
        raise TypeError(f"The positions should be an astropy Table; got {type(table).__name__}.")
    for role, name in (("id", id_column), ("ra", ra_column), ("dec", dec_column)):
        if name not in table.colnames:
            raise InputTableError(
                f"Column '{name}' not found in the input table; it has "
                f"{', '.join(table.colnames) or 'no columns'}. Name the {role} column with {role}_column_name."
            )
    factor = _radians_per_unit(table, ra_column, dec_column)
    return (
        _read_ids(table, id_column),
        _read_angles(table, ra_column) * factor,
        _read_angles(table, dec_column) * factor,
    )


def _radians_per_unit(table: Table, ra_column: str, dec_column: str) -> float:
    """Return the common unit of two coordinate columns in radians."""
    from astropy import units

    ra_unit, dec_unit = (table[name].unit or units.deg for name in (ra_column, dec_column))
    if ra_unit != dec_unit:
        raise InputTableError(
            f"Columns '{ra_column}' ({ra_unit}) and '{dec_column}' ({dec_unit}) have different units; "
            "give both in deg or both in rad."
        )
    if ra_unit == units.deg:
        return float(np.pi / 180.0)
    if ra_unit == units.rad:
        return 1.0
    raise InputTableError(f"Column '{ra_column}' has the unit {ra_unit}; coordinates are in deg or rad.")


def _read_ids(table: Table, name: str) -> IntArray:
    column = table[name]
    if column.dtype.kind not in "iu" or column.ndim != 1:
        raise InputTableError(
            f"Column '{name}' has the type {column.dtype} {column.shape[1:] or ''}; ids are single integers. "
            "Convert it, or name another id column."
        )
    masked = np.ma.getmaskarray(np.ma.asarray(column))
    if masked.any():
        raise InputTableError(
            f"Column '{name}' is masked in {int(masked.sum())} rows, the first at row {int(masked.argmax())}; "
            "every row needs an id."
        )
    ids = np.asarray(column)
    if ids.dtype == np.uint64 and (ids > np.iinfo(np.int64).max).any():
        raise InputTableError(f"Column '{name}' has ids beyond 2^63 - 1; ids are 64-bit signed integers.")
    return ids.astype(np.int64)


def _read_angles(table: Table, name: str) -> FloatArray:
    column = table[name]
    if column.dtype.kind not in "iuf" or column.ndim != 1:
        raise InputTableError(f"Column '{name}' has the type {column.dtype}; coordinates are single numbers.")
    values = getattr(column, "value", column)  # a Quantity's numbers, in its own unit
    return np.ma.filled(np.ma.asarray(values).astype(np.float64), np.nan)
