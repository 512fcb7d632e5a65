"""Data references: a data ID and where its datasets are, by which a task can be run without a quantum graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..conventions import IntArray
from ..driver import as_exposure
from ..errors import ExposureError
from ..exposure import Exposure
from ..plugins.base import missing_component
from .datasets import reading

if TYPE_CHECKING:
    from lsst.daf.butler import Butler, DatasetRef
    from lsst.pipe.base import Struct

    from ..catalog.source_catalog import SourceCatalog


class DataReference:
    """A data ID in a repository.

    Parameters
    ----------
    butler
        With collections to read and, for what is put, a run to write.
    data_id
        What identifies datasets, such as skymap, tract, patch and band.

    Attributes
    ----------
    dataId
        The same, with its dimensions' records.
    """

    def __init__(self, butler: Butler, data_id: Any) -> None:
        self.butler = butler
        self.dataId = butler.registry.expandDataId(data_id)

    def get(self, name: str) -> Any:
        """Read the dataset of a type.

        Raises
        ------
        FileFormatError
            If it cannot be read; the message names it.
        """
        ref = self._ref(name)
        with reading(ref):
            return self.butler.get(ref)

    def put(self, dataset: object, name: str) -> None:
        """Write a dataset of a type that the repository knows."""
        self.butler.put(dataset, name, self._own_data_id(name))

    def _ref(self, name: str) -> DatasetRef:
        ref = self.butler.find_dataset(name, self._own_data_id(name))
        if ref is None:
            raise LookupError(
                f"There is no {name} of {self.dataId} in {', '.join(self.butler.collections.defaults)}."
            )
        return ref

    def _own_data_id(self, name: str) -> Any:
        return self.dataId.subset(self.butler.get_dataset_type(name).dimensions)


class RunsByDataReference:
    """What `ForcedPhotCoaddTask` does with data references: one coadd, without a quantum graph."""

    config: Any
    measurement: Any
    generateMeasCat: Callable[..., Any]
    attachFootprints: Callable[..., None]
    run: Callable[..., Struct]

    @property
    def _connections(self) -> Any:
        return self.config.connections.ConnectionsClass(config=self.config)

    def runDataRef(self, dataRef: DataReference, psfCache: int | None = None) -> Struct:  # noqa: ARG002
        """Read the inputs of a coadd, measure, and write the catalog.

        Parameters
        ----------
        dataRef
            With tract, patch and band.
        psfCache
            Without effect: no model is evaluated twice at a place.

        Returns
        -------
        What `run` returns.
        """
        exposure = self.getExposure(dataRef)
        if exposure.wcs is None:
            raise ExposureError(missing_component(exposure, "WCS"))
        refCat = self.fetchReferences(dataRef, exposure)
        ids = self.config.id_generator.apply(dataRef.dataId)
        measCat = self.measurement.generateMeasCat(
            exposure, refCat, exposure.wcs, idFactory=self.makeIdFactory(dataRef, ids.catalog_id)
        )
        self.attachFootprints(measCat, refCat, exposure, exposure.wcs, dataRef)
        result = self.run(measCat, exposure, refCat, exposure.wcs, exposureId=ids.catalog_id)
        self.writeOutput(dataRef, result.measCat)
        return result

    def getExposure(self, dataRef: DataReference) -> Exposure:
        """Read the coadd to measure on."""
        return as_exposure(dataRef.get(self._connections.exposure.name))

    def fetchReferences(self, dataRef: DataReference, exposure: Exposure | None = None) -> SourceCatalog:  # noqa: ARG002
        """Read the reference catalog of the coadd's patch.

        Parameters
        ----------
        dataRef
            With tract and patch.
        exposure
            Without effect.
        """
        catalog: SourceCatalog = dataRef.get(self._connections.refCat.name)
        return catalog

    def makeIdFactory(self, dataRef: DataReference, exposureId: int | None = None) -> Callable[[int], IntArray]:  # noqa: ARG002
        """Return what makes ids that no other coadd of the survey has.

        Parameters
        ----------
        dataRef
            Of the coadd.
        exposureId
            Without effect: the coadd's number is in its data ID.
        """
        factory: Callable[[int], IntArray] = self.config.id_generator.apply(dataRef.dataId).make_table_id_factory()
        return factory

    def writeOutput(self, dataRef: DataReference, sources: SourceCatalog) -> None:
        """Write the catalog of forced sources, and nothing else; its footprints as ``doStripFootprints`` says."""
        if self.config.doStripFootprints:
            sources.footprints = None
        dataRef.put(sources, self._connections.measCat.name)

    def getResourceConfig(self) -> None:
        """Return None: how much memory and how many cores a task gets is said by whoever runs it."""
        return

    def _footprints_of(self, dataRef: DataReference) -> SourceCatalog:
        connections = self._connections
        found = connections.footprintCatInBand if self.config.footprintDatasetName else connections.refCatInBand
        catalog: SourceCatalog = dataRef.get(found.name)
        return catalog
