"""Catalogs for the commands: which files are such, and what is in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astropy.table import Table

    from ..catalog.source_catalog import SourceCatalog

FITS_ENDINGS = (".fits", ".fit", ".fits.gz", ".fits.fz")


def is_catalog(file: str | Path) -> bool:
    """Tell whether a file holds a catalog, no image: by its name, or else by its content."""
    from ..errors import FileFormatError
    from ..io.catalogs import FORMATS
    from ..io.read import sniff_format
    from ..io.resources import file_name

    name = file_name(file).lower()
    if not name.endswith(FITS_ENDINGS):
        return name.endswith(tuple(FORMATS))
    try:
        sniff_format(file)
    except FileFormatError:
        return _has_table(file)
    return False


def _has_table(file: str | Path) -> bool:
    from ..errors import FileFormatError
    from ..io.fits_file import open_fits

    try:
        with open_fits(file) as hdus:
            return any(hdu.is_table and not hdu.is_compressed for hdu in hdus)
    except FileFormatError:
        return False


def describe_catalog(catalog: SourceCatalog) -> dict[str, Any]:
    """Describe a catalog in plain Python objects; flags are counted, all other fields listed."""
    schema = catalog.schema
    fields = [field for field in schema if field.type != "Flag"]
    footprints = catalog.footprints
    return {
        "rows": len(catalog),
        "flags": len(schema) - len(fields),
        "footprints": None if footprints is None else sum(footprint is not None for footprint in footprints),
        "slots": dict(schema.slots),
        "aliases": len(schema.aliases),
        "metadata": len(catalog.metadata),
        "fields": [
            {"name": field.name, "type": field.type, "unit": field.unit, "doc": field.doc} for field in fields
        ],
    }


def find_columns(
    table: Table, options: Mapping[str, Any], roles: Sequence[str] = ("id", "ra", "dec")
) -> dict[str, str]:
    """Take the names of columns that the options give, such as ``ra_column``; guess the others from common names.

    Returns
    -------
    Names by role.

    Raises
    ------
    InputTableError
        If there is none for a role.
    """
    from ..catalog.tables import DEC_COLUMNS, ID_COLUMNS, RA_COLUMNS, find_column
    from ..errors import InputTableError

    usual = {"id": ID_COLUMNS, "ra": RA_COLUMNS, "dec": DEC_COLUMNS}
    columns = {}
    for role in roles:
        try:
            columns[role] = options[f"{role}_column"] or find_column(table, role, usual[role])
        except InputTableError as error:
            reason = str(error).partition("; name it")[0]
            raise InputTableError(f"{reason}; name it with --{role}.") from error
    return columns
