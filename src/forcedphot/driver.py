"""ForcedMeasurementDriverTask: a table of positions and an image in, a table of measurements out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from lsst.pex.config import ChoiceField, Config, ConfigurableField, Field

from .aperture_correction import ApplyApCorrTask
from .catalog.flux_units import add_magnitudes, convert_fluxes, has_photo_calib, photo_calib_of
from .catalog.schema import Columns, Schema
from .catalog.source_catalog import SourceCatalog
from .catalog.tables import read_positions, to_table
from .catalog_calculation import CatalogCalculationTask
from .conventions import FloatArray
from .errors import ConfigurationError, ExposureError
from .exposure import Exposure
from .measurement import ForcedMeasurementTask
from .references import REFERENCE_SCHEMA, reference_catalog
from .task import Task
from .variance_scaling import ScaleVarianceTask

if TYPE_CHECKING:
    from astropy.table import Table

_PROGRESS_FROM = 20_000
"""Fewer sources than this are done before a progress bar could be read."""


class ForcedMeasurementDriverConfig(Config):
    """Configuration of `ForcedMeasurementDriverTask`: the pipelines' fields, then our own."""

    doScaleVariance = Field[bool](doc="Scale variance plane using empirical noise?", default=False)
    scaleVariance = ConfigurableField(doc="Subtask to rescale variance plane", target=ScaleVarianceTask)
    doDetect = Field[bool](doc="Run the source detection algorithm? Not in forced measurement.", default=False)
    doDeblend = Field[bool](doc="Run the source deblending algorithm? Not in forced measurement.", default=False)
    doMeasure = Field[bool](doc="Run the source measurement algorithm?", default=True)
    measurement = ConfigurableField(doc="Subtask to measure sources", target=ForcedMeasurementTask)
    psfCache = Field[int](
        doc="Without effect: PSF images are drawn once a batch and shared by all plugins", default=-1
    )
    checkUnitsParseStrict = Field[str](
        doc="Without effect: the units of all fields are astropy's", default="raise"
    )
    doApCorr = Field[bool](
        doc="Apply aperture corrections? An image without them is measured without, and a warning.",
        default=True,
    )
    applyApCorr = ConfigurableField(doc="Subtask to apply aperture corrections", target=ApplyApCorrTask)
    doRunCatalogCalculation = Field[bool](doc="Run catalogCalculation task?", default=False)
    catalogCalculation = ConfigurableField(
        doc="Subtask to run catalogCalculation plugins on catalog", target=CatalogCalculationTask
    )

    fluxUnit = ChoiceField[str](
        doc="Unit and names of the flux columns",
        allowed={
            "ct": "the image's numbers, in columns _instFlux with the unit ct, as the pipelines do",
            "image": "the image's numbers, in columns _flux with the image's own unit",
            "nJy": "calibrated, in columns _flux with the unit nJy",
            "best": "nJy if the image is calibrated, else its own unit if it says one, else ct; "
            "magnitudes are left out, with a warning, if it is not calibrated",
        },
        default="ct",
    )
    doMagnitudes = Field[bool](doc="Add AB magnitudes and their errors after each flux?", default=False)
    offImage = ChoiceField[str](
        doc="What to do with positions that are not on the image, or are not finite",
        allowed={"flag": "give their rows NaN and flags", "raise": "raise an error that names them"},
        default="flag",
    )
    numThreads = Field[int](doc="Threads to measure with; 0 for all processors", default=1)
    doProgress = Field[bool](doc="Show a progress bar for long runs?", default=False)

    def setDefaults(self) -> None:
        """Measure point sources at sky positions, neighbours left in place."""
        super().setDefaults()
        self.measurement.plugins.names = [
            "base_PixelFlags",
            "base_TransformedCentroidFromCoord",
            "base_PsfFlux",
            "base_CircularApertureFlux",
        ]
        self.measurement.slots.centroid = "base_TransformedCentroidFromCoord"
        self.measurement.slots.shape = None
        self.measurement.slots.psfFlux = "base_PsfFlux"
        self.measurement.doReplaceWithNoise = False

    def validate(self) -> None:
        """Refuse detection and deblending, which forced measurement does not do."""
        super().validate()
        if self.doDetect or self.doDeblend:
            raise ConfigurationError(
                "Forced measurement neither detects nor deblends; set doDetect and doDeblend to False."
            )
        if not self.doMeasure:
            raise ConfigurationError("Forced measurement without measuring has no result; set doMeasure to True.")
        if self.numThreads < 0:
            raise ConfigurationError(f"numThreads is a number of threads, or 0 for all; got {self.numThreads}.")


class ForcedMeasurementDriverTask(Task):
    """Measures a table of positions on one image; the documents' entry point.

    Parameters
    ----------
    config
        A `ForcedMeasurementDriverConfig`; its defaults if None.
    arguments
        Those of `Task`.

    Examples
    --------
    >>> from forcedphot.simulation import simulate_exposure
    >>> field = simulate_exposure(shape=(300, 300), n_sources=5, seed=1)
    >>> driver = ForcedMeasurementDriverTask(config=ForcedMeasurementDriverConfig())
    >>> result = driver.runFromAstropy(field.catalog, field.exposure)
    >>> len(result), len(result.colnames)
    (5, 100)
    """

    ConfigClass = ForcedMeasurementDriverConfig
    _DefaultName = "forcedMeasurementDriver"

    scaleVariance: ScaleVarianceTask
    measurement: ForcedMeasurementTask
    applyApCorr: ApplyApCorrTask
    catalogCalculation: CatalogCalculationTask

    def __init__(self, *, config: Config | None = None, **arguments: Any) -> None:
        super().__init__(config=config, **arguments)
        if self.config.doScaleVariance:
            self.makeSubtask("scaleVariance")
        self.makeSubtask("measurement", refSchema=REFERENCE_SCHEMA)
        self.schema = self.measurement.schema
        if self.config.doApCorr:
            self.makeSubtask("applyApCorr", schema=self.schema, fluxes=self.measurement.corrected_fluxes)
        if self.config.doRunCatalogCalculation:
            self.makeSubtask("catalogCalculation", schema=self.schema)

    def runFromAstropy(
        self,
        table: Table,
        exposure: Any,
        *,
        id_column_name: str = "objectId",
        ra_column_name: str = "coord_ra",
        dec_column_name: str = "coord_dec",
        psf_footprint_scaling: float = 3.0,
        idGenerator: Any = None,
    ) -> Table:
        """Measure the sources of a table.

        Parameters
        ----------
        table
            Ids (integers) and ICRS coordinates (unit deg or rad; deg where none is set).
        exposure
            An `Exposure`, a VisitImage, DifferenceImage or CellCoadd of lsst.images, an astropy
            NDData or CCDData with a WCS, uncertainty and ``psf``, or the path of a file; not changed.
        id_column_name, ra_column_name, dec_column_name
            Names of the table's columns.
        psf_footprint_scaling
            Size of the footprints, in which mask planes are looked for, in units of the PSF's
            second-moment ellipse.
        idGenerator
            Object with a ``catalog_id``, which messages name; optional.

        Returns
        -------
        A table with a row for each row of the input, in its order, and a column for each field of
        the schema and each slot's alias. Sources that could not be measured have NaN and flags.

        Raises
        ------
        InputTableError
            If the table lacks a column, or has it in another unit or type.
        ExposureError
            If the exposure lacks what the plugins need.
        OffImageError
            If a position is not on the image and ``offImage`` is "raise".
        """
        if not (np.isfinite(psf_footprint_scaling) and psf_footprint_scaling > 0):
            raise ConfigurationError(f"psf_footprint_scaling is a positive number; got {psf_footprint_scaling}.")
        ids, ra, dec = read_positions(table, id_column_name, ra_column_name, dec_column_name)
        self._warn_of_duplicates(ids, id_column_name)
        exposure = as_exposure(exposure)
        metadata = {}
        if self.config.doScaleVariance:
            self.log.info("Scaling variance plane for a single band")
            exposure, metadata["VARIANCE_SCALE"] = self.scaleVariance.run(exposure)
        self.log.info(
            "Measuring %d sources in a single band using '%s'", len(ids), type(self.measurement).__name__
        )
        references = reference_catalog(ids, ra, dec)
        sources = self.measurement.generateMeasCat(exposure, references)
        self.measurement.attachPsfShapeFootprints(sources, exposure, scaling=psf_footprint_scaling)
        with _progress(len(ids), show=self.config.doProgress) as on_progress:
            self.measurement.run(
                sources,
                exposure,
                references,
                exposureId=getattr(idGenerator, "catalog_id", None),
                n_threads=self.config.numThreads or os.cpu_count() or 1,
                refuse_off_image=self.config.offImage == "raise",
                on_progress=on_progress,
            )
        self._correct(sources, exposure, idGenerator)
        self.log.info(
            "Finished processing for a single band; output catalog has %d fields and %d records",
            len(self.schema),
            len(ids),
        )
        schema, columns = self._in_requested_units(sources.columns, exposure)
        # The pipelines' own record id would be confused with the caller's.
        return to_table(schema, columns, sources.metadata | metadata, drop=("id",))

    def run(self, *arguments: Any, **keywords: Any) -> NoReturn:
        """Refuse, as the original does: forced measurement needs positions."""
        raise NotImplementedError(
            "The run method is not implemented for ForcedMeasurementDriverTask; use runFromAstropy instead."
        )

    def runFromImage(self, *arguments: Any, **keywords: Any) -> NoReturn:
        """Refuse, as the original does: forced measurement needs positions."""
        raise NotImplementedError(
            "The runFromImage method is not implemented for ForcedMeasurementDriverTask; "
            "use runFromAstropy with Exposure.from_arrays instead."
        )

    def _warn_of_duplicates(self, ids: np.ndarray[Any, Any], column: str) -> None:
        unique, counts = np.unique(ids, return_counts=True)
        if len(unique) < len(ids):
            repeated = unique[counts > 1]
            self.log.warning(
                "Column '%s' has %d ids more than once, the first is %d; every row is measured",
                column,
                len(repeated),
                repeated[0],
            )

    def _correct(self, sources: SourceCatalog, exposure: Exposure, id_generator: Any) -> None:
        """Apply aperture corrections and catalog calculations, as configured."""
        if self.config.doApCorr:
            self.log.info("Applying aperture corrections to a single band")
            if exposure.aperture_corrections is None:
                self.log.warning(
                    "Image does not have valid aperture correction map for catalog id %s; "
                    "skipping aperture correction",
                    getattr(id_generator, "catalog_id", 0),
                )
            else:
                self.applyApCorr.run(sources, exposure.aperture_corrections, bbox=exposure.bbox)
        if self.config.doRunCatalogCalculation:
            self.log.info("Running catalog calculation on a single band")
            self.catalogCalculation.run(sources)

    def _centroids(self, columns: Columns) -> tuple[FloatArray, FloatArray]:
        prefix = self.config.measurement.slots.centroid
        x, y = columns[f"{prefix}_x"], columns[f"{prefix}_y"]
        return x.astype(np.float64, copy=False), y.astype(np.float64, copy=False)

    def _in_requested_units(self, columns: Columns, exposure: Exposure) -> tuple[Schema, Columns]:
        """Convert fluxes and add magnitudes, as configured."""
        schema, unit = self.schema, self.config.fluxUnit
        with_magnitudes = self.config.doMagnitudes
        if unit == "best":
            is_calibrated = has_photo_calib(exposure)
            unit = "nJy" if is_calibrated else "ct" if exposure.unit is None else "image"
            if with_magnitudes and not is_calibrated:
                self.log.warning("The exposure (%s) is not calibrated: no magnitudes", exposure.identity)
                with_magnitudes = False
        if unit == "image":
            if exposure.unit is None:
                raise ExposureError(
                    f"The exposure ({exposure.identity}) does not say its unit; ask for the flux unit 'ct'."
                )
            schema, columns = convert_fluxes(schema, columns, exposure.unit.to_string(), None)
        if unit == "nJy" or with_magnitudes:
            scale = photo_calib_of(exposure).scale(*self._centroids(columns))
            if unit == "nJy":
                schema, columns = convert_fluxes(schema, columns, "nJy", scale)
                scale = np.ones_like(scale)
            if with_magnitudes:
                schema, columns = add_magnitudes(schema, columns, scale)
        return schema, columns


def as_exposure(image: Any) -> Exposure:
    """Make an `Exposure` of a file's path, an NDData, or an image of lsst.images; keep one as it is.

    Raises
    ------
    TypeError
        If it is none of these.
    """
    if isinstance(image, Exposure):
        return image
    if isinstance(image, str | Path):
        return Exposure.read(image)
    from astropy.nddata import NDData

    if isinstance(image, NDData):
        from .io.nddata import exposure_from_nddata

        return exposure_from_nddata(image)
    return Exposure.from_lsst_images(image)


@contextmanager
def _progress(n_sources: int, *, show: bool) -> Iterator[Callable[[int], None] | None]:
    """Show a progress bar on standard error while the block runs, if the run is long."""
    if not show or n_sources < _PROGRESS_FROM:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Measuring sources", total=n_sources)
        yield lambda n_measured: bar.advance(task, n_measured)
