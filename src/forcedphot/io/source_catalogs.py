"""Source catalogs in files, with all that their schema says: afw's FITS tables, Parquet, ECSV, and others."""

from __future__ import annotations

from pathlib import Path

from ..catalog.source_catalog import SourceCatalog
from .afw_table.reader import find_afw_table, read_afw_table
from .afw_table.writer import write_afw_table
from .catalogs import check_catalog_output, read_catalog, write_catalog
from .resources import check_table_file, file_name

_FITS = "fits"
_KEEP_SCHEMA = ("parquet", "ascii.ecsv")


def read_source_catalog(path: str | Path, *, hdu: int | str | None = None) -> SourceCatalog:
    """Read a catalog from a file of any format that `read_catalog` reads.

    Parameters
    ----------
    path
        The file, or a URI that lsst.resources knows. Of the pipelines' catalogs, footprints are read too; what
        `write_source_catalog` wrote comes back as it was; in other tables, every column is a field.
    hdu
        Number (the primary one is 0) or name of the HDU of a FITS file; its first table if None.

    Raises
    ------
    InputTableError
        If there is no such file, or it cannot be read.
    FileFormatError
        If it is a damaged catalog of the pipelines.
    RemoteFileError
        If it is a remote file that cannot be fetched.
    """
    check_table_file(path)
    if file_name(path).lower().endswith((".fits", ".fits.gz", ".fit")) and find_afw_table(path, hdu) is not None:
        return read_afw_table(path, hdu=hdu)
    return SourceCatalog.from_table(read_catalog(path, hdu=hdu))


def write_source_catalog(catalog: SourceCatalog, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a catalog; the ending of the file's name tells the format, as for `write_catalog`.

    FITS files are afw's tables and hold everything. Parquet and ECSV files hold all but footprints and stored
    objects. Other formats hold columns only, those with aliases under each of their names.

    Parameters
    ----------
    catalog
        The catalog.
    path
        Where to; the file is written whole or not at all.
    overwrite
        Replace an existing file.

    Raises
    ------
    OutputError
        If the file exists and shall not be replaced, or the catalog cannot be written.
    """
    name = check_catalog_output(path, overwrite=overwrite)
    if name == _FITS:
        write_afw_table(catalog, path, overwrite=overwrite)
    else:
        write_catalog(catalog.asAstropy(aliases=name not in _KEEP_SCHEMA), path, overwrite=overwrite)
