"""Catalogs of positions and of measurements: FITS, ECSV, CSV, Parquet and VOTable files as astropy tables."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..catalog.source_catalog import SourceCatalog
from ..errors import InputTableError, OutputError, RemoteFileError
from .atomic import atomic_output, check_output
from .resources import check_table_file, file_name, local_copy

if TYPE_CHECKING:
    from astropy.table import Table

_LOG = logging.getLogger(__name__)

FORMATS = {
    ".fits": "fits",
    ".fits.gz": "fits",
    ".fit": "fits",
    ".ecsv": "ascii.ecsv",
    ".csv": "ascii.csv",
    ".parquet": "parquet",
    ".parq": "parquet",
    ".vot": "votable",
    ".votable": "votable",
    ".xml": "votable",
}
"""Endings of file names, and astropy's name of the format."""


def read_catalog(path: str | Path, *, hdu: int | str | None = None) -> Table:
    """Read a table; its ending tells the format.

    A FITS file with a catalog of the Science Pipelines is known by its content: its flags become columns, and
    every field is there under its aliases too, such as ``slot_Centroid_x``.

    Units and descriptions are kept where the format has them; CSV has none. Missing numbers with a
    fractional part are NaN, other missing values are masked.

    Parameters
    ----------
    path
        A local file, or a URI that lsst.resources knows: FITS (.fits, .fits.gz, .fit), ECSV, CSV, Parquet
        (.parquet, .parq) or VOTable (.vot, .votable, .xml).
    hdu
        Number (the primary one is 0) or name of the HDU of a FITS file; its first table if None.

    Raises
    ------
    InputTableError
        If there is no such file, it cannot be read, or a column holds Python objects.
    RemoteFileError
        If it is a remote file that cannot be fetched, or a VOTable whose data are in another file.
    """
    name = _format(file_name(path))
    if name is None:
        raise InputTableError(f"{path} has no ending of a format of tables; known are {', '.join(FORMATS)}.")
    if hdu is not None and name != "fits":
        raise InputTableError(f"{path} has no HDUs: only FITS files do.")
    check_table_file(path)
    try:
        with local_copy(path) as local, _warnings_logged(path):
            table = _read(local, name, hdu)
    except FileNotFoundError as error:
        raise InputTableError(str(error)) from error
    except RemoteFileError:
        raise
    except Exception as error:  # four libraries raise what they like on damaged files
        raise InputTableError(
            f"{path} cannot be read as {name.removeprefix('ascii.').upper()} ({type(error).__name__}: {error}); "
            "is it damaged, or does its ending name another format?"
        ) from error
    if not table.colnames:
        raise InputTableError(f"{path} cannot be read as a table: it has no columns.")
    return _normalised(table, path)


def write_catalog(table: Table, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a table; the ending of the file's name tells the format, as for `read_catalog`.

    The file is written whole or not at all.

    Parameters
    ----------
    table
        Plain columns of numbers, truth values and strings.
    path
        Where to.
    overwrite
        Replace an existing file.

    Raises
    ------
    OutputError
        If the file exists and shall not be replaced, or the table cannot be written.
    """
    path = Path(path)
    name = check_catalog_output(path, overwrite=overwrite)
    objects = _object_columns(table)
    if objects:
        raise OutputError(f"{path} cannot hold the columns {', '.join(objects)}, which are Python objects.")
    unknown = [column.name for column in table.itercols() if column.dtype.kind == "b" and np.ma.is_masked(column)]
    if name == "fits" and unknown:
        _LOG.warning("%s: what is masked becomes true in %s", path, ", ".join(unknown))
    with atomic_output(path, overwrite=overwrite) as temporary, _warnings_logged(path):
        try:
            _write(table, temporary, name)
        except (TypeError, ValueError, KeyError, AttributeError, AssertionError) as error:
            raise OutputError(f"{path} cannot be written: {error}.") from error


def check_catalog_output(path: str | Path, *, overwrite: bool = False) -> str:
    """Tell before the work begins that its result could not be written.

    Returns
    -------
    astropy's name of the format.

    Raises
    ------
    OutputError
        As `write_catalog` would.
    """
    path = Path(path)
    name = _format(path.name)
    if name is None:
        raise OutputError(f"{path} has no ending of a format of tables; known are {', '.join(FORMATS)}.")
    check_output(path, overwrite=overwrite)
    return name


def _format(name: str) -> str | None:
    lowered = name.lower()
    return next((name for ending, name in FORMATS.items() if lowered.endswith(ending)), None)


@contextmanager
def _warnings_logged(path: str | Path) -> Iterator[None]:
    """Log what the libraries warn of (unknown units in columns that nobody needs, lost header cards)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for message in {str(warning.message) for warning in caught}:
        _LOG.info("%s: %s", path, message)


def _read(path: Path, name: str, hdu: int | str | None) -> Table:
    from astropy.table import Table

    if name == "parquet":
        from .parquet import read_parquet

        return read_parquet(path)
    if name == "fits":
        from .afw_table.reader import find_afw_table

        found = find_afw_table(path, hdu)
        if found is not None:
            return _read_afw(path, found)
        if hdu is not None:
            hdu = _table_hdu(path, hdu)
    if name == "votable":
        _check_votable(path)
    # NaN shall stay NaN, and an empty string empty.
    options: dict[str, Any] = {"mask_invalid": False, "hdu": hdu} if name == "fits" else {}
    return Table.read(path, format=name, **options)


def _table_hdu(path: Path, hdu: int | str) -> int:
    """Return the number of an HDU with a table; instead of one that is not there, astropy would read another."""
    from .fits_file import open_fits

    with open_fits(path) as hdus:
        tables = {i: part.name for i, part in enumerate(hdus) if part.is_table and not part.is_compressed}
    for i, name in tables.items():
        if hdu == i or str(hdu).upper() == name.upper():
            return i
    known = ", ".join(f"{i} {name}".rstrip() for i, name in tables.items()) or "none"
    raise InputTableError(f"it has no table {hdu}; its tables are {known}")


def _check_votable(path: Path) -> None:
    """Raise if a VOTable has its data elsewhere: astropy would fetch them, from any address or local file."""
    from xml.parsers import expat

    from astropy.utils.data import get_readable_fileobj

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag.rpartition(":")[2] == "STREAM" and "href" in attributes:
            raise RemoteFileError(
                f"{path} has its data at {attributes['href']}, which is not fetched; make one file."
            )

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    with get_readable_fileobj(str(path), encoding="binary") as stream:
        parser.ParseFile(stream)


def _read_afw(path: Path, hdu: int) -> Table:
    """Read a catalog of the pipelines; its flags become columns, and aliases too."""
    from .afw_table.reader import read_afw_table

    catalog = read_afw_table(path, hdu=hdu, footprints=False)
    ragged = [field.name for field in catalog.schema if field.is_variable]
    if ragged:
        _LOG.info("%s: left out %s, whose rows differ in length", path, ", ".join(ragged))
    kept = catalog.schema.subset(name for name in catalog.schema.getOrderedNames() if name not in ragged)
    return SourceCatalog(kept, catalog.columns, catalog.metadata).asAstropy()


def _write(table: Table, path: Path, name: str) -> None:
    from astropy.table import Table

    table = Table(table, copy=False)  # quantities become columns with units
    if name == "parquet":
        from .parquet import write_parquet

        write_parquet(table, path)
        return
    if name in ("fits", "votable"):
        table = _with_plain_magnitudes(table)
    table.write(path, format=name)


def _with_plain_magnitudes(table: Table) -> Table:
    """Replace the unit mag(AB), which the standards do not know, by mag; the description says AB."""
    from astropy import units

    table = table.copy(copy_data=False)
    for column in table.columns.values():
        if column.unit == units.ABmag:
            column.unit = units.mag
            if "AB" not in (column.description or ""):
                column.description = f"{column.description or ''} (AB)".lstrip()
    return table


def _normalised(table: Table, path: str | Path) -> Table:
    """Make columns of equal content equal, whichever format they come from."""
    table.convert_bytestring_to_unicode()
    for name, column in list(table.columns.items()):
        if column.dtype.kind == "O" and all(isinstance(value, str) for value in column):
            _replace(table, name, np.asarray(column, dtype=np.str_))
        elif hasattr(column, "mask") and column.dtype.kind == "f":
            _replace(table, name, np.asarray(column.filled(np.nan)))
        elif hasattr(column, "mask") and not column.mask.any():
            _replace(table, name, np.asarray(column.data.data))
        elif not column.dtype.isnative:  # FITS
            _replace(table, name, column.data)
        column = table[name]
        if column.dtype.kind == "U" and len(column) and np.isin(column, ("True", "False")).all():
            _replace(table, name, np.asarray(column == "True"))  # CSV has no truth values
    objects = _object_columns(table)
    if objects:
        raise InputTableError(
            f"The columns {', '.join(objects)} of {path} hold lists or Python objects, which are not read; "
            "remove them from the table."
        )
    return table


def _replace(table: Table, name: str, values: Any) -> None:
    old = table[name]
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    # A masked array stays one; a plain array becomes a plain column.
    table.replace_column(name, values)
    table[name].unit, table[name].description = old.unit, old.description


def _object_columns(table: Table) -> list[str]:
    return [name for name in table.colnames if getattr(table[name], "dtype", np.dtype("O")).kind == "O"]
