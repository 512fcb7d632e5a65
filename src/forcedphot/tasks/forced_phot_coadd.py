"""ForcedPhotCoaddTask: the sources of a reference catalog, measured on the coadd of each band."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from lsst.pex.config import ConfigurableField, Field
from lsst.pipe.base import PipelineTaskConfig, PipelineTaskConnections, Struct
from lsst.pipe.base.connectionTypes import InitInput, InitOutput, Input, Output

from ..aperture_correction import ApplyApCorrTask
from ..catalog.schema import Schema
from ..catalog.source_catalog import SourceCatalog
from ..catalog_calculation import CatalogCalculationTask
from ..errors import ConfigurationError, InputTableError
from ..exposure import Exposure, Wcs
from ..id_generator import SkyMapIdGeneratorConfig
from ..measurement import ForcedMeasurementTask
from ..plugins.base import missing_component
from .data_reference import DataReference, RunsByDataReference
from .datasets import naming, read, read_exposure
from .logged_task import LoggedTask

if TYPE_CHECKING:
    from lsst.daf.butler import Butler

_PATCH = ("skymap", "tract", "patch")
_COADD = (*_PATCH, "band")


class ForcedPhotCoaddConnections(  # type: ignore[call-arg]
    PipelineTaskConnections,
    dimensions=_COADD,
    defaultTemplates={"inputCoaddName": "deep", "outputCoaddName": "deep"},
):
    """What `ForcedPhotCoaddTask` reads and writes."""

    inputSchema = InitInput(
        doc="Schema of the reference catalogs",
        name="{inputCoaddName}Coadd_ref_schema",
        storageClass="SourceCatalog",
    )
    exposure = Input(
        doc="The coadd to measure on",
        name="{inputCoaddName}Coadd_calexp",
        storageClass="CellCoadd",
        dimensions=_COADD,
    )
    refCat = Input(
        doc="Positions and shapes to measure at",
        name="{inputCoaddName}Coadd_ref",
        storageClass="SourceCatalog",
        dimensions=_PATCH,
    )
    refCatInBand = Input(
        doc="The same sources, measured in this band each by itself; with their footprints in it",
        name="{inputCoaddName}Coadd_meas",
        storageClass="SourceCatalog",
        dimensions=_COADD,
    )
    footprintCatInBand = Input(
        doc="The same sources as the deblender left them in this band, with footprints",
        name="{inputCoaddName}Coadd_deblendedFlux",
        storageClass="SourceCatalog",
        dimensions=_COADD,
    )
    outputSchema = InitOutput(
        doc="Schema of the output catalogs",
        name="{outputCoaddName}Coadd_forced_src_schema",
        storageClass="SourceCatalog",
    )
    measCat = Output(
        doc="The forced measurements, row for row with the reference",
        name="{outputCoaddName}Coadd_forced_src",
        storageClass="SourceCatalog",
        dimensions=_COADD,
    )

    def __init__(self, *, config: Any = None) -> None:
        super().__init__(config=config)
        self.exposure = dataclasses.replace(self.exposure, storageClass=config.exposureStorageClass)
        if config.footprintDatasetName is None:
            del self.footprintCatInBand
        else:
            del self.refCatInBand


class ForcedPhotCoaddConfig(PipelineTaskConfig, pipelineConnections=ForcedPhotCoaddConnections):  # type: ignore[call-arg]
    """Configuration of `ForcedPhotCoaddTask`: the pipelines' fields, then our own."""

    measurement = ConfigurableField(doc="Subtask to measure sources", target=ForcedMeasurementTask)
    doApCorr = Field[bool](doc="Apply aperture corrections, where the coadd has them?", default=True)
    applyApCorr = ConfigurableField(doc="Subtask to apply aperture corrections", target=ApplyApCorrTask)
    catalogCalculation = ConfigurableField(
        doc="Subtask to run catalogCalculation plugins on catalog", target=CatalogCalculationTask
    )
    footprintDatasetName = Field[str](
        doc="Where footprints are from: None for the measurements in the band, DeblendedFlux for the deblender's",
        default=None,
        optional=True,
    )
    doStripFootprints = Field[bool](doc="Leave footprints out of the stored catalog?", default=True)
    id_generator = SkyMapIdGeneratorConfig.make_field()

    exposureStorageClass = Field[str](
        doc="Storage class of the coadds, such as CellCoadd, ForcedPhotExposure or ExposureF", default="CellCoadd"
    )

    def setDefaults(self) -> None:
        """Keep the reference's ids, and measure what the pipelines measure on coadds."""
        super().setDefaults()
        self.measurement.copyColumns["id"] = "id"
        self.measurement.copyColumns["parent"] = "parent"
        self.measurement.plugins.names |= ["base_InputCount", "base_Variance"]
        self.measurement.slots.psfFlux = "base_PsfFlux"
        self.catalogCalculation.plugins.names = []

    def validate(self) -> None:
        """Refuse footprints of models that cannot be read."""
        super().validate()
        if self.footprintDatasetName not in (None, "DeblendedFlux"):
            raise ConfigurationError(
                f"footprintDatasetName is {self.footprintDatasetName!r}; footprints are read from catalogs only. "
                "Set it to DeblendedFlux, or to None for those of the measurements in the band."
            )


class ForcedPhotCoaddTask(RunsByDataReference, LoggedTask):
    """Measures the sources of a reference catalog on one coadd, row for row.

    Parameters
    ----------
    butler
        Has the schema of the reference catalogs, for a task that is made by hand.
    refSchema
        Schema of the reference catalogs, instead of the butler's; that of the initial input if there is neither.
    initInputs
        Empty catalog with that schema, as ``inputSchema``.
    arguments
        Those of lsst.pipe.base's PipelineTask.

    Attributes
    ----------
    outputSchema
        Empty catalog with the output's schema.

    Raises
    ------
    ConfigurationError
        If there is no schema, or the reference lacks what the plugins need.
    """

    ConfigClass = ForcedPhotCoaddConfig
    _DefaultName = "forcedPhotCoadd"
    dataPrefix = "deepCoadd_"

    config: Any
    measurement: ForcedMeasurementTask
    applyApCorr: ApplyApCorrTask
    catalogCalculation: CatalogCalculationTask

    def __init__(
        self,
        butler: Butler | None = None,
        refSchema: Schema | None = None,
        initInputs: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(initInputs=initInputs, **arguments)
        if refSchema is None:
            if initInputs:
                catalog = initInputs["inputSchema"]
            elif butler is not None:
                catalog = butler.get(self._connections.inputSchema.name)
            else:
                raise ConfigurationError(
                    "The measurement's columns depend on the reference's: give refSchema, initInputs with "
                    "inputSchema, or a butler to read that with."
                )
            refSchema = catalog.schema
        self.makeSubtask("measurement", refSchema=refSchema)
        schema = self.measurement.schema
        if self.config.doApCorr:
            self.makeSubtask("applyApCorr", schema=schema, fluxes=self.measurement.corrected_fluxes)
        self.makeSubtask("catalogCalculation", schema=schema)
        self.outputSchema = SourceCatalog(schema, schema.allocate(0))

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Read the inputs of a coadd, measure, and write the catalog.

        Raises
        ------
        ForcedPhotError
            If an input cannot be used; the message names the dataset.
        LookupError
            If a source of the reference has no footprint in the band.
        """
        exposure = read_exposure(butlerQC, inputRefs.exposure)
        refCat = read(butlerQC, inputRefs.refCat)
        footprints_ref = getattr(inputRefs, "refCatInBand", None) or inputRefs.footprintCatInBand
        footprintCat = read(butlerQC, footprints_ref)
        assert exposure.wcs is not None  # noqa: S101 - for the type checker: it is read with one
        with naming(footprints_ref):
            measCat, exposureId = self.generateMeasCat(
                outputRefs.measCat.dataId, exposure, refCat, footprintCat, exposure.wcs
            )
        with naming(inputRefs.exposure):
            outputs = self.run(measCat, exposure, refCat, exposure.wcs, exposureId=exposureId)
        if self.config.doStripFootprints:
            outputs.measCat.footprints = None
        butlerQC.put(outputs, outputRefs)

    def generateMeasCat(
        self,
        exposureDataId: Any,
        exposure: Exposure,
        refCat: SourceCatalog,
        refCatInBand: SourceCatalog | None,
        refWcs: Wcs,
        idPackerName: str | None = None,  # noqa: ARG002
        footprintData: SourceCatalog | None = None,
    ) -> tuple[SourceCatalog, int]:
        """Make the catalog to measure into, with footprints.

        Parameters
        ----------
        exposureDataId
            Of the coadd, with dimension records.
        exposure
            The coadd.
        refCat
            The reference catalog.
        refCatInBand
            The same sources measured in this band, with footprints.
        refWcs
            WCS of the reference.
        idPackerName
            Without effect: ids are packed as ``id_generator`` is configured.
        footprintData
            Catalog with footprints that are used instead of those of ``refCatInBand``.

        Returns
        -------
        measCat
            Row for row with the reference.
        expId
            Number of the coadd.

        Raises
        ------
        InputTableError
            If there is no catalog of footprints, or it has none.
        LookupError
            If it lacks a source of the reference.
        """
        ids = self.config.id_generator.apply(exposureDataId)
        measCat = self.measurement.generateMeasCat(exposure, refCat, refWcs, idFactory=ids.make_table_id_factory())
        self.attachFootprints(
            measCat, refCat, exposure, refWcs, refCatInBand if footprintData is None else footprintData
        )
        return measCat, ids.catalog_id

    def attachFootprints(
        self,
        sources: SourceCatalog,
        refCat: SourceCatalog,
        exposure: Exposure,  # noqa: ARG002
        refWcs: Wcs,  # noqa: ARG002
        dataRef: DataReference | SourceCatalog | None,
    ) -> None:
        """Give sources the deblended footprints that they have in this band.

        A source that was not detected in the band, but is blended there with one that was, has no part of its
        own in such footprints: its upper limit is not a good one.

        Parameters
        ----------
        sources
            Row for row with the reference; changed.
        refCat
            The reference catalog.
        exposure, refWcs
            Without effect: the footprints are on the coadd's own pixels.
        dataRef
            Of the coadd, to read the catalog with the footprints, by the reference's ids; or that catalog.

        Raises
        ------
        InputTableError
            If there is no such catalog, or it has no footprints.
        LookupError
            If it lacks a source of the reference.
        """
        footprintCat = self._footprints_of(dataRef) if isinstance(dataRef, DataReference) else dataRef
        if footprintCat is None or footprintCat.footprints is None:
            raise InputTableError("There are no footprints in this band to give to the reference's sources.")
        order = np.argsort(footprintCat["id"])
        places = np.searchsorted(footprintCat["id"], refCat["id"], sorter=order)
        rows = order[np.minimum(places, len(order) - 1)] if len(order) else np.zeros(0, dtype=np.int64)
        missing = footprintCat["id"][rows] != refCat["id"] if len(order) else np.ones(len(refCat), dtype=bool)
        if missing.any():
            raise LookupError(
                f"{int(missing.sum())} of {len(refCat)} sources of the reference have no footprint in this band, "
                f"the first is {refCat['id'][missing][0]}; the two catalogs are not of the same sources."
            )
        sources.footprints = footprintCat.footprints[rows]

    def run(
        self,
        measCat: SourceCatalog,
        exposure: Exposure,
        refCat: SourceCatalog,
        refWcs: Wcs,
        exposureId: int | None = None,
    ) -> Struct:
        """Measure the sources of a catalog on one coadd.

        Parameters
        ----------
        measCat
            What `generateMeasCat` made; its columns are filled.
        exposure
            The coadd; not changed. Without a PSF, all sources are flagged and have no fluxes.
        refCat
            The reference catalog, row for row.
        refWcs
            WCS of the reference.
        exposureId
            Seed of the noise in place of neighbours; 0 if None.

        Returns
        -------
        A Struct with the catalog as ``measCat``.
        """
        with self.timer("run"):
            if exposure.psf is None:
                self.log.warning("%s All sources are flagged.", missing_component(exposure, "PSF"))
                self.measurement.fail(measCat)
                return Struct(measCat=measCat)
            self.measurement.run(measCat, exposure, refCat, refWcs, exposureId=exposureId)
            if self.config.doApCorr:
                if exposure.aperture_corrections is None:
                    self.log.warning(
                        "The coadd (%s) has no aperture corrections; fluxes stay as they are", exposure.identity
                    )
                else:
                    self.applyApCorr.run(measCat, exposure.aperture_corrections, bbox=exposure.bbox)
            self.catalogCalculation.run(measCat)
        return Struct(measCat=measCat)

    def getSchemaCatalogs(self) -> dict[str, SourceCatalog]:
        """Return an empty catalog with the output's schema, by its dataset type."""
        return {self._connections.measCat.name: self.outputSchema}

    def getAllSchemaCatalogs(self) -> dict[str, SourceCatalog]:
        """Return empty catalogs with the schemas of the outputs of this task and its parts, by dataset type."""
        tasks = [reference() for reference in self.getTaskDict().values()]
        return {name: catalog for task in tasks for name, catalog in task.getSchemaCatalogs().items()}
