"""Reading catalogs from afw table files: SourceCatalog, SimpleCatalog, BaseCatalog, ExposureCatalog."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ...catalog.footprint import Footprint
from ...catalog.source_catalog import SourceCatalog
from ...errors import FileFormatError, InputTableError, RemoteFileError
from ..fits_file import FitsFile, open_fits
from ..resources import check_table_file, open_source
from .footprints import OLD_COLUMN_CARDS, read_archived, read_from_columns
from .table_hdu import StoredTable, is_afw_table, read_table

_LOG = logging.getLogger(__name__)

_FOOTPRINT_FIELD = "footprint"


def find_afw_table(path: str | Path, hdu: int | str | None = None) -> int | None:
    """Tell where in a FITS file a catalog of afw is.

    Parameters
    ----------
    path
        The file.
    hdu
        Where to look: number (the primary one is 0) or name; None for the first table.

    Returns
    -------
    The number of the HDU; None if that is no table of afw.

    Raises
    ------
    FileFormatError
        If the file is damaged.
    """
    with _naming(path), open_fits(path) as hdus:
        found = _position(hdus, hdu)
        return found if found is not None and is_afw_table(hdus[found].header) else None


def read_afw_table(path: str | Path, *, hdu: int | str | None = None, footprints: bool = True) -> SourceCatalog:
    """Read a catalog as the Science Pipelines (lsst.afw.table) write them, of any version.

    Old names are aliases of today's, or today's of old ones, as afw gives them.

    Parameters
    ----------
    path
        A FITS file, gzipped or not; a local one, or a URI that lsst.resources knows.
    hdu
        Number (the primary one is 0) or name of its table; the first table if None.
    footprints
        Read the footprints too.

    Raises
    ------
    InputTableError
        If there is no such file, or it is no FITS file with such a table.
    FileFormatError
        If it is damaged.
    """
    check_table_file(path)
    with _naming(path), open_source(path, whole=True) as source, open_fits(source) as hdus:
        position = _position(hdus, hdu)
        if position is None:
            raise InputTableError(f"{path} has no {'table' if hdu is None else f'HDU {hdu}'}.")
        with _naming_hdu(position):
            table = read_table(hdus[position])
        return _catalog(hdus, position, table, footprints=footprints)


def _catalog(hdus: FitsFile, position: int, table: StoredTable, *, footprints: bool) -> SourceCatalog:
    schema, columns, metadata = table.schema, table.columns, table.metadata
    found: list[Footprint | None] | None = None
    archive = None
    index = table.archive_hdu if table.archive_hdu is not None else position + 1
    dropped = {_FOOTPRINT_FIELD} if table.kind == "SOURCE" else set()
    old = {card: metadata.pop(card) for card in OLD_COLUMN_CARDS if card in metadata}
    if old:
        with _naming_hdu(position):
            names = {card: str(hdus[position].header[f"TTYPE{int(number)}"]) for card, number in old.items()}
            dropped |= set(names.values())
            if footprints:
                found = read_from_columns({card: columns[name] for card, name in names.items()})
    elif footprints and table.kind == "SOURCE" and _FOOTPRINT_FIELD in schema:
        with _naming_hdu(index):
            found = read_archived(hdus, index, columns[_FOOTPRINT_FIELD])
    if table.kind == "EXPOSURE" and table.archive_hdu is not None:
        with _naming_hdu(index):
            archive = _archive_bytes(hdus, index)
    kept = schema.subset(name for name in schema.getOrderedNames() if name not in dropped)
    return SourceCatalog(kept, columns, metadata, footprints=found, kind=table.kind, archive=archive)


def _archive_bytes(hdus: FitsFile, index: int) -> bytes:
    """Return the HDUs of an archive as they are stored."""
    if not 0 < index < len(hdus):
        raise FileFormatError("it should be the archive's index, but is missing")
    count = int(hdus[index].header["AR_NCAT"])
    if not 0 < count <= len(hdus) - index:
        raise FileFormatError(f"its archive should have {count} tables, but the file ends before")
    return hdus.stored(index, index + count - 1)


def _position(hdus: FitsFile, hdu: int | str | None) -> int | None:
    if hdu is None:
        return next((i for i in range(len(hdus)) if hdus[i].is_table), None)
    if isinstance(hdu, int | np.integer):
        return int(hdu) if 0 <= hdu < len(hdus) else None
    wanted = hdu.upper()
    return next((i for i in range(len(hdus)) if hdus[i].name.upper() == wanted), None)


@contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """Say in all errors which file it is."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputTableError(str(error)) from error
    except (InputTableError, PermissionError, RemoteFileError):
        raise
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from error
    except Exception as error:  # astropy raises many types on damaged files
        raise FileFormatError(f"{path} is no FITS file, or damaged: {type(error).__name__}: {error}") from error


@contextmanager
def _naming_hdu(position: int) -> Iterator[None]:
    """Say in all errors which HDU it is."""
    try:
        yield
    except RemoteFileError:
        raise
    except FileFormatError as error:
        raise FileFormatError(f"HDU {position + 1}: {error}") from error
    except Exception as error:  # cards that are missing or of another type
        raise FileFormatError(f"HDU {position + 1} is damaged: {type(error).__name__}: {error}") from error
