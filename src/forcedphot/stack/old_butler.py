"""The Butler of before 2021, ``lsst.daf.persistence.Butler``, over a repository of today; it only reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..catalog.source_catalog import SourceCatalog
from ..driver import as_exposure
from ..errors import ConfigurationError
from ..exposure import Exposure, PhotoCalib
from ..tasks.data_reference import DataReference
from .old_data_ids import translate
from .old_places import find_place

if TYPE_CHECKING:
    from lsst.daf.butler import DatasetRef, DatasetType

_PARTS = {
    "bbox": "bbox",
    "calib": "photo_calib",
    "detector": "detector",
    "photoCalib": "photo_calib",
    "psf": "psf",
    "visitInfo": "visit_info",
    "wcs": "wcs",
}
"""What the old Butler appended to the name of an image for a part of it, and our name of the part."""


class Butler:
    """Gets datasets by old data IDs, with the old names of fluxes.

    Parameters
    ----------
    root, inputs
        The repository, by one of them: see `find_place`.
    collections
        Collections to look in, instead of those that follow from the place.

    Raises
    ------
    ConfigurationError
        If there is no such repository, or more than one is given.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        inputs: str | Path | Sequence[str | Path] | None = None,
        *,
        collections: str | Sequence[str] | None = None,
    ) -> None:
        from lsst.daf.butler import Butler as NewButler

        given = [place for place in (root, *_as_list(inputs)) if place is not None]
        if len(given) != 1:
            raise ConfigurationError(f"The old Butler opens one repository; {len(given)} are given.")
        place = find_place(given[0])
        self.repository = place.repository
        self.butler = NewButler.from_config(
            place.repository, collections=place.collection if collections is None else collections
        )

    def get(self, datasetType: str, dataId: Mapping[str, Any] | None = None, **rest: Any) -> Any:
        """Get a dataset, or a part of an image, such as ``deepCoadd_calexp_calib``.

        Parameters
        ----------
        datasetType
            Its name, which is that of today's dataset type.
        dataId, rest
            Which one: see `translate`.

        Returns
        -------
        A catalog that also has the old names of its fluxes, an `OldExposure`, or whatever else it is.

        Raises
        ------
        ConfigurationError
            If there is no such dataset type, or the data ID means nothing.
        LookupError
            If there is no such dataset.
        """
        dataset_type, part = self._find_type(datasetType)
        new_id = translate(self.butler, dataset_type, {**(dataId or {}), **rest})
        ref = self._find(dataset_type, new_id)
        if ref is None:
            raise LookupError(f"There is no {dataset_type.name} with the data ID {new_id}.")
        if part is not None:
            return Exposure.read_component(str(self.butler.getURI(ref)), part)
        return _with_old_methods(self.butler.get(ref))

    def datasetExists(self, datasetType: str, dataId: Mapping[str, Any] | None = None, **rest: Any) -> bool:
        """Tell whether there is a dataset, or the image that a part is of."""
        dataset_type, _ = self._find_type(datasetType)
        new_id = translate(self.butler, dataset_type, {**(dataId or {}), **rest})
        ref = self._find(dataset_type, new_id)
        return ref is not None and bool(self.butler.exists(ref))

    def dataRef(self, datasetType: str, dataId: Mapping[str, Any] | None = None, **rest: Any) -> DataReference:
        """Return a data reference, for tasks that read what they need themselves, such as ForcedPhotCoaddTask.

        Parameters
        ----------
        datasetType
            The finest of the datasets that will be read.
        dataId, rest
            Which one: see `translate`.
        """
        dataset_type, _ = self._find_type(datasetType)
        return DataReference(self.butler, translate(self.butler, dataset_type, {**(dataId or {}), **rest}))

    def close(self) -> None:
        """Release the repository's database."""
        self.butler.close()

    def _find(self, dataset_type: DatasetType, new_id: Mapping[str, Any]) -> DatasetRef | None:
        ref = self.butler.find_dataset(dataset_type, new_id)
        if ref is None or "band" not in new_id:
            return ref
        # The Butler of today does not look at the filter of a visit.
        return ref if self.butler.registry.expandDataId(ref.dataId)["band"] == new_id["band"] else None

    def _find_type(self, name: str) -> tuple[DatasetType, str | None]:
        known = {dataset_type.name: dataset_type for dataset_type in self.butler.registry.queryDatasetTypes()}
        if name in known:
            return known[name], None
        image, _, suffix = name.rpartition("_")
        if image in known and suffix in _PARTS:
            return known[image], _PARTS[suffix]
        raise ConfigurationError(
            f"{self.repository} has no datasets {name!r}; it has {', '.join(sorted(known))}, "
            f"and parts of images: _{', _'.join(sorted(_PARTS))}."
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OldExposure(Exposure):
    """An exposure whose calibration is also found where it was before 2019."""

    def getCalib(self) -> PhotoCalib | None:
        """Return the photometric calibration, which has the methods that the old Calib is used for."""
        return self.photo_calib


def with_old_names(catalog: SourceCatalog) -> SourceCatalog:
    """Return a catalog, of the same arrays, whose columns also have their names of before 2018, as aliases.

    ``base_PsfFlux_flux`` is ``base_PsfFlux_instFlux``; its error ``base_PsfFlux_fluxSigma``, or, as for some
    months, ``base_PsfFlux_fluxErr``; and so on.
    """
    schema = catalog.schema.copy()
    for field in catalog.schema:
        old = field.name.replace("instFlux", "flux")
        for name in (old, old.removesuffix("Err") + "Sigma" if old.endswith("Err") else old):
            if name != field.name and name not in catalog.schema:
                schema.set_alias(name, field.name)
    return SourceCatalog(
        schema,
        catalog.columns,
        catalog.metadata,
        footprints=catalog.footprints,
        kind=catalog.kind,
        archive=catalog.archive,
    )


def _with_old_methods(dataset: Any) -> Any:
    from lsst.images import VisitImage
    from lsst.images.cells import CellCoadd

    if isinstance(dataset, SourceCatalog):
        return with_old_names(dataset)
    if isinstance(dataset, Exposure | VisitImage | CellCoadd):
        exposure = as_exposure(dataset)
        parts = {field.name: getattr(exposure, field.name) for field in dataclasses.fields(exposure)}
        return OldExposure(**parts)
    return dataset


def _as_list(inputs: str | Path | Sequence[str | Path] | None) -> list[str | Path]:
    if inputs is None:
        return []
    return [inputs] if isinstance(inputs, str | Path) else list(inputs)
