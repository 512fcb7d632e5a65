"""Formatters of images: exposures, their parts and cutouts, and planes in files of their own."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Any, ClassVar, override

from lsst.daf.butler import FormatterV2
from lsst.resources import ResourcePath

from ...errors import OutputError
from ...exposure import Identity
from .parts import read_dataset

_FITS = frozenset({".fits", ".fits.gz", ".fits.fz", ".fz", ".fit"})


class ExposureFormatter(FormatterV2):
    """Reads a file as an `Exposure`: ExposureF as the pipelines write it, or an image of lsst.images.

    The exposure's identity is the data id, and what else the file says.
    """

    can_read_from_local_file: ClassVar[bool] = True
    can_read_from_uri: ClassVar[bool] = True
    default_extension: ClassVar[str | None] = ".fits"
    supported_extensions: ClassVar[Set[str]] = _FITS
    # The default configuration has parameters and recipes for all that the pipelines write.
    supported_write_parameters: ClassVar[Set[str] | None] = frozenset({"recipe"})

    @override
    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        return self._read(path, component)

    @override
    def read_from_uri(self, uri: ResourcePath, component: str | None = None, expected_size: int = -1) -> Any:
        """Read a part of a remote file, of which only the needed bytes are fetched; all else is read locally."""
        is_whole = component is None and not self.file_descriptor.parameters
        return NotImplemented if uri.isLocal or is_whole else self._read(str(uri), component)

    def _read(self, place: str, component: str | None) -> Any:
        dataset = read_dataset(place, component, self.file_descriptor.parameters)
        if component is not None:
            return dataset
        # The repository knows better than the file which image this is.
        data_id = {name: value for name, value in self.data_id.mapping.items() if name in Identity.__slots__}
        return replace(dataset, identity=replace(dataset.identity, **data_id))

    @classmethod
    @override
    def validate_write_recipes(cls, recipes: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        return recipes

    @override
    def write_local_file(self, in_memory_dataset: Any, uri: ResourcePath) -> None:
        """Refuse: the pipelines' format is only read.

        Raises
        ------
        OutputError
            Always.
        """
        raise OutputError(
            f"{uri} is not written: the format of the storage class {self.file_descriptor.storageClass.name} is "
            "only read. Put an image of lsst.images instead, with a dataset type of the storage class VisitImage."
        )


class ImageFormatter(ExposureFormatter):
    """Reads a file of one image as an array of its pixels."""

    @override
    def _read(self, place: str, component: str | None) -> Any:
        return read_dataset(place, component or "image", self.file_descriptor.parameters)
