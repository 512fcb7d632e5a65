"""Between catalogs and astropy tables: positions in, measurements out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..conventions import FloatArray, IntArray
from ..errors import InputTableError
from .schema import Columns, Schema

if TYPE_CHECKING:
    from astropy.table import Table

ID_COLUMNS = ("objectId", "diaObjectId", "sourceId", "diaSourceId", "source_id", "object_id", "id")
RA_COLUMNS = ("coord_ra", "ra", "RA", "ra_deg", "RAJ2000", "RA_ICRS", "ALPHA_J2000", "raMean")
DEC_COLUMNS = ("coord_dec", "dec", "DEC", "Dec", "dec_deg", "DEJ2000", "DE_ICRS", "DELTA_J2000", "decMean")
"""Usual names of columns of ids and of coordinates."""


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
    return _read_ids(table, id_column), *read_coordinates(table, ra_column, dec_column)


def read_coordinates(table: Table, ra_column: str, dec_column: str) -> tuple[FloatArray, FloatArray]:
    """Take sky coordinates from columns of a table, as `read_positions` does: radians, shape (n,).

    Raises
    ------
    InputTableError
        If one of the columns is of another type or unit, or there is none of that name.
    """
    for role, name in (("ra", ra_column), ("dec", dec_column)):
        find_column(table, role, (name,))
    factor = _radians_per_unit(table, ra_column, dec_column)
    return float_column(table, ra_column) * factor, float_column(table, dec_column) * factor


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


def float_column(table: Table, name: str) -> FloatArray:
    """Return a column of numbers in its own unit, float64, shape (n,); NaN where it is masked.

    Raises
    ------
    InputTableError
        If it is of another type.
    """
    column = table[name]
    if column.dtype.kind not in "iuf" or column.ndim != 1:
        raise InputTableError(f"Column '{name}' has the type {column.dtype}; it should hold single numbers.")
    values = getattr(column, "value", column)  # a Quantity's numbers
    return np.ma.filled(np.ma.asarray(values).astype(np.float64), np.nan)


def find_column(table: Table, role: str, candidates: Sequence[str]) -> str:
    """Return the first candidate that is a column of the table.

    Raises
    ------
    InputTableError
        If there is none; the message lists the columns, and what was looked for.
    """
    names = getattr(table, "colnames", [])
    for name in candidates:
        if name in names:
            return name
    raise InputTableError(
        f"No {role} column found among {', '.join(names) or 'no columns'} (looked for {', '.join(candidates)}); "
        f"name it with {role}_column."
    )
