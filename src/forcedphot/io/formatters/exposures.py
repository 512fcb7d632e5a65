"""Formatters of images: exposures, read and written, their parts and cutouts; planes in files of their own."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Any, ClassVar, override

from lsst.daf.butler import DatasetProvenance, FormatterV2
from lsst.resources import ResourcePath

from ...errors import OutputError
from ...exposure import Exposure, Identity
from .parts import read_dataset

_FITS = frozenset({".fits", ".fits.gz", ".fits.fz", ".fz", ".fit"})


class ExposureFormatter(FormatterV2):
    """Reads a file as an `Exposure`: ExposureF as the pipelines write it, or an image of lsst.images.

    Writes an `Exposure` as a VisitImage, or a CellCoadd, of lsst.images. Its identity is the data id, and what
    else the file, or the exposure, says.
    """

    can_read_from_local_file: ClassVar[bool] = True
    can_read_from_uri: ClassVar[bool] = True
    default_extension: ClassVar[str | None] = ".fits"
    supported_extensions: ClassVar[Set[str]] = _FITS
    supported_write_parameters: ClassVar[Set[str] | None] = frozenset({"recipe"})

    _provenance: DatasetProvenance | None = None

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
        return self._identified(dataset) if component is None else dataset

    def _identified(self, exposure: Exposure) -> Exposure:
        """Give an exposure the data id: the repository knows better than the file which image it is."""
        data_id = {name: value for name, value in self.data_id.mapping.items() if name in Identity.__slots__}
        return replace(exposure, identity=replace(exposure.identity, **data_id))

    @classmethod
    @override
    def validate_write_recipes(cls, recipes: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Check that recipes are as lsst.images has them: compression by plane."""
        from lsst.images.formatters import GenericFormatter

        checked: Mapping[str, Any] | None = GenericFormatter.validate_write_recipes(recipes)
        return checked

    @override
    def add_provenance(self, in_memory_dataset: Any, /, *, provenance: DatasetProvenance | None = None) -> Any:
        self._provenance = provenance
        return in_memory_dataset

    @override
    def write_local_file(self, in_memory_dataset: Any, uri: ResourcePath) -> None:
        """Write an exposure as lsst.images does.

        Raises
        ------
        ExposureError
            If it lacks what these types must have, or has a PSF that they cannot hold.
        OutputError
            If it is no exposure.
        """
        from lsst.images.formatters import GenericFormatter

        if not isinstance(in_memory_dataset, Exposure):
            raise OutputError(f"{uri} is not written: a {type(in_memory_dataset).__name__} is no Exposure.")
        image = self._identified(in_memory_dataset).to_lsst_images()
        writer = GenericFormatter(
            self.file_descriptor,
            ref=self.dataset_ref,
            write_parameters=self.write_parameters,
            write_recipes=self.write_recipes,
        )
        writer.add_provenance(image, provenance=self._provenance)
        writer.write_local_file(image, uri)


class StackExposureFormatter(ExposureFormatter):
    """Reads what the pipelines have written, under the name of whose formatter others read it too."""

    @classmethod
    @override
    def validate_write_recipes(cls, recipes: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        return recipes  # those of the pipelines

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
            "only read. Put it with a dataset type of the storage class VisitImage or CellCoadd instead."
        )


class ImageFormatter(StackExposureFormatter):
    """Reads a file of one image as an array of its pixels."""

    @override
    def _read(self, place: str, component: str | None) -> Any:
        return read_dataset(place, component or "image", self.file_descriptor.parameters)
