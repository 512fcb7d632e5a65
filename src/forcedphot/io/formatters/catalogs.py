"""CatalogFormatter: catalogs in the pipelines' FITS layout, read and written."""

from __future__ import annotations

from collections.abc import Set
from typing import Any, ClassVar, override

from lsst.daf.butler import FormatterV2
from lsst.resources import ResourcePath

from ...catalog.source_catalog import SourceCatalog
from ...errors import FileFormatError, OutputError
from ..afw_table.reader import read_afw_table
from ..afw_table.writer import write_afw_table


class CatalogFormatter(FormatterV2):
    """Reads and writes a `SourceCatalog`, with its footprints, as the pipelines' afw does."""

    can_read_from_local_file: ClassVar[bool] = True
    default_extension: ClassVar[str | None] = ".fits"
    supported_extensions: ClassVar[Set[str]] = frozenset({".fits", ".fits.gz", ".fits.fz", ".fz", ".fit"})
    unsupported_parameters: ClassVar[Set[str] | None] = None

    @override
    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        """Read a catalog.

        Raises
        ------
        FileFormatError
            If the storage class is none of a catalog, or the file is damaged.
        """
        storage_class = self.file_descriptor.storageClass
        if not issubclass(storage_class.pytype, SourceCatalog):
            raise FileFormatError(
                f"{path} is not read: datasets of the storage class {storage_class.name} are not."
            )
        return read_afw_table(path)

    @override
    def write_local_file(self, in_memory_dataset: Any, uri: ResourcePath) -> None:
        """Write a catalog.

        Raises
        ------
        OutputError
            If it is none, or cannot be written.
        """
        if not isinstance(in_memory_dataset, SourceCatalog):
            raise OutputError(f"{uri} is not written: a {type(in_memory_dataset).__name__} is no SourceCatalog.")
        write_afw_table(in_memory_dataset, uri.ospath, overwrite=True)
