"""SimpleForcedMeasurementTask: forced measurement from a table of positions to the table with measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lsst.pex.config import Field

from .catalog.source_catalog import SourceCatalog
from .catalog.tables import read_positions
from .errors import InputTableError
from .exposure import Exposure, Wcs
from .measurement import ForcedMeasurementTask
from .measurement_config import ForcedMeasurementConfig
from .references import REFERENCE_SCHEMA, reference_catalog
from .task import Task

if TYPE_CHECKING:
    from astropy.table import Table


class SimpleForcedMeasurementConfig(ForcedMeasurementConfig):
    """Configuration of `SimpleForcedMeasurementTask`; the defaults are the pipelines'."""

    refCatIdColumn = Field[str](doc="Column of the table with the ids", default="diaObjectId")
    refCatRaColumn = Field[str](doc="Column of the table with the right ascension", default="ra")
    refCatDecColumn = Field[str](doc="Column of the table with the declination", default="dec")
    psfFootprintScaling = Field[float](
        doc="Size of the footprints in units of the PSF's second-moment ellipse", default=3.0
    )

    def setDefaults(self) -> None:
        """Measure point sources at sky positions, neighbours left in place."""
        super().setDefaults()
        self.plugins.names = ["base_PixelFlags", "base_TransformedCentroidFromCoord", "base_PsfFlux"]
        self.slots.centroid = "base_TransformedCentroidFromCoord"
        self.slots.shape = None
        self.slots.psfFlux = "base_PsfFlux"
        self.doReplaceWithNoise = False
        self.copyColumns = {"id": "id", "coord_ra": "coord_ra", "coord_dec": "coord_dec"}


class SimpleForcedMeasurement(NamedTuple):
    """What `SimpleForcedMeasurementTask` returns."""

    table: Table
    """The input's columns, then the measured ones."""
    catalog: SourceCatalog
    """The measured catalog."""


class SimpleForcedMeasurementTask(Task):
    """Measures a table of positions on one image, and puts the measurements beside the table's own columns.

    Parameters
    ----------
    algMetadata
        Mapping in which plugins record their settings; a new one if None.
    arguments
        Those of `Task`.

    Attributes
    ----------
    schema
        The measured fields.
    """

    ConfigClass = SimpleForcedMeasurementConfig
    _DefaultName = "simpleForcedMeasurement"

    def __init__(self, algMetadata: dict[str, Any] | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.measurement = ForcedMeasurementTask(
            refSchema=REFERENCE_SCHEMA, algMetadata=algMetadata, config=self.config, parentTask=self
        )
        self.schema = self.measurement.schema

    def run(
        self,
        table: Table,
        exposure: Exposure,
        refWcs: Wcs | None = None,
        beginOrder: float | None = None,
        endOrder: float | None = None,
    ) -> SimpleForcedMeasurement:
        """Measure the positions of a table.

        Parameters
        ----------
        table
            Ids (integers) and ICRS coordinates (unit deg or rad; deg where none is set), in the columns that
            the configuration names.
        exposure
            The image; not changed.
        refWcs
            WCS of the reference, for plugins that use it; the exposure's own if None.
        beginOrder, endOrder
            Only plugins whose execution order is in this range, without its end, are run.

        Raises
        ------
        InputTableError
            If the table lacks a column, or has one that is measured.
        ExposureError
            If the exposure lacks what the plugins need.
        """
        from astropy.table import hstack

        config = self.config
        references = reference_catalog(
            *read_positions(table, config.refCatIdColumn, config.refCatRaColumn, config.refCatDecColumn)
        )
        catalog = self.measurement.generateMeasCat(exposure, references)
        self.measurement.attachPsfShapeFootprints(catalog, exposure, scaling=config.psfFootprintScaling)
        self.measurement.run(catalog, exposure, references, refWcs, beginOrder=beginOrder, endOrder=endOrder)
        measured = catalog.asAstropy()
        measured.remove_columns(["id", "coord_ra", "coord_dec", "parent"])
        common = sorted(set(table.colnames) & set(measured.colnames))
        if common:
            raise InputTableError(
                f"The table has columns that are to be measured: {', '.join(common)}. Rename or remove them."
            )
        return SimpleForcedMeasurement(hstack([table, measured], join_type="exact"), catalog)
