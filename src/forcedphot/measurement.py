"""ForcedMeasurementTask: runs plugins on batches of sources and fills the columns of their schema."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from lsst.pex.config import Config, ConfigField, DictField, Field

from .catalog.schema import Columns, Schema
from .conventions import BoolArray, FloatArray, IntArray
from .errors import ConfigurationError, ExposureError, OffImageError
from .exposure import Exposure, Wcs
from .plugins import CentroidPlugin, ForcedPlugin, ReferenceCatalog, SourceBatch, registry
from .plugins.base import INVALID_PSF_FLAG, missing_component
from .task import Task

BATCH_SIZE = 256
"""Sources measured together: their PSF images should fit in a core's cache. Fixed, so that results
do not depend on the number of threads."""

_REFERENCE_FIELDS = {
    "id": ("int64", "unique ID", ""),
    "parent": ("int64", "unique ID of parent source", ""),
    "deblend_nChild": ("int32", "Needed for minimal forced photometry schema", ""),
    "coord_ra": ("Angle", "position in ra/dec", ""),
    "coord_dec": ("Angle", "position in ra/dec", ""),
}


class SourceSlotConfig(Config):
    """Which plugin fills each slot; None leaves a slot out."""

    centroid = Field[str](
        doc="Plugin of the centroid slot, which runs first", default="base_TransformedCentroidFromCoord"
    )
    shape = Field[str](doc="Plugin of the shape slot", default=None, optional=True)
    psfShape = Field[str](doc="Field prefix of the PSF shape slot", default=None, optional=True)
    apFlux = Field[str](doc="Field prefix of the aperture flux slot", default=None, optional=True)
    modelFlux = Field[str](doc="Plugin of the model flux slot", default=None, optional=True)
    psfFlux = Field[str](doc="Plugin of the PSF flux slot", default="base_PsfFlux", optional=True)
    gaussianFlux = Field[str](doc="Plugin of the Gaussian flux slot", default=None, optional=True)
    calibFlux = Field[str](doc="Field prefix of the flux slot for calibration", default=None, optional=True)

    def targets(self) -> Iterator[tuple[str, str]]:
        """Yield the slots in use: their alias, such as slot_PsfFlux, and what it stands for."""
        for name, target in self.toDict().items():
            if target is not None:
                yield f"slot_{name[0].upper()}{name[1:]}", target


class ForcedMeasurementConfig(Config):
    """Configuration of `ForcedMeasurementTask`."""

    plugins = registry.makeField(
        doc="Plugins to run, and their configuration",
        default=[
            "base_PixelFlags",
            "base_TransformedCentroidFromCoord",
            "base_PsfFlux",
            "base_CircularApertureFlux",
        ],
        multi=True,
    )
    slots = ConfigField(dtype=SourceSlotConfig, doc="Aliases of fields by what they are used for")
    copyColumns = DictField(
        keytype=str,
        itemtype=str,
        doc="Columns of the reference catalog to copy, and their names in the output",
        default={
            "id": "objectId",
            "parent": "parentObjectId",
            "deblend_nChild": "deblend_nChild",
            "coord_ra": "coord_ra",
            "coord_dec": "coord_dec",
        },
    )
    doReplaceWithNoise = Field[bool](
        doc="Replace the other sources with noise while one is measured? Not supported yet.", default=False
    )

    def validate(self) -> None:
        """Refuse slots that no plugin fills, and what is not supported."""
        super().validate()
        names = set(self.plugins.names)
        for slot, target in self.slots.targets():
            # A flux slot may name one of the fields of a plugin (base_CircularApertureFlux_12_0).
            if not any(target == name or target.startswith(f"{name}_") for name in names):
                raise ConfigurationError(
                    f"{slot} is {target}, but no plugin that runs fills it; the plugins are "
                    f"{', '.join(sorted(names))}. Add it to measurement.plugins.names or set the slot to None."
                )
        if not issubclass(registry[self.slots.centroid], CentroidPlugin):
            raise ConfigurationError(
                f"{self.slots.centroid} does not measure centroids; it cannot fill their slot."
            )
        for column in self.copyColumns:
            if column not in _REFERENCE_FIELDS:
                raise ConfigurationError(
                    f"copyColumns names {column!r}; the reference catalog has {', '.join(_REFERENCE_FIELDS)}."
                )
        if self.doReplaceWithNoise:
            raise ConfigurationError(
                "doReplaceWithNoise = True is not supported yet; set it to False to measure sources as they are."
            )


class ForcedMeasurementTask(Task):
    """Measures sources at known positions on one exposure.

    Parameters
    ----------
    arguments
        Those of `Task`.

    Attributes
    ----------
    schema
        The output's fields: those of the reference, then each plugin's, in execution order.
    metadata
        What plugins recorded of their settings.
    """

    ConfigClass = ForcedMeasurementConfig
    _DefaultName = "measurement"

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.schema = Schema()
        self.metadata: dict[str, Any] = {}
        for name in ("id", "coord_ra", "coord_dec", "parent"):
            self.schema.add_field(name, *_REFERENCE_FIELDS[name])
        for source, target in self.config.copyColumns.items():
            if target not in self.schema:
                self.schema.add_field(target, *_REFERENCE_FIELDS[source])
        for alias, target in self.config.slots.targets():
            self.schema.set_alias(alias, target)
        self.plugins: list[ForcedPlugin] = [
            registry[name](config, name, self.schema, self.metadata) for name, config in self._ordered_plugins()
        ]
        self.schema.add_field(INVALID_PSF_FLAG, "bool", "Invalid PSF at this location.")

    def _ordered_plugins(self) -> list[tuple[str, Any]]:
        """Sort the plugins: the centroid slot's first, the others by execution order and name."""
        configured = [(name, self.config.plugins[name]) for name in self.config.plugins.names]
        centroid = self.config.slots.centroid
        return sorted(
            configured, key=lambda item: (item[0] != centroid, registry[item[0]].execution_order, item[0])
        )

    def run(
        self,
        reference: ReferenceCatalog,
        exposure: Exposure,
        reference_wcs: Wcs | None = None,
        *,
        footprint_scaling: float = 3.0,
        n_threads: int = 1,
        refuse_off_image: bool = False,
        on_progress: Callable[[int], None] | None = None,
    ) -> Columns:
        """Measure all sources of a reference catalog.

        Parameters
        ----------
        reference
            The sources, in any order.
        exposure
            The image to measure; not changed.
        reference_wcs
            WCS of the reference centroids; the exposure's own if None.
        footprint_scaling
            Size of the footprints in units of the PSF's second-moment ellipse.
        n_threads
            Threads to share the sources among; results do not depend on it.
        refuse_off_image
            Raise for sources whose centre is not on the image, instead of flagging them.
        on_progress
            Called with the number of sources after each batch.

        Returns
        -------
        The schema's columns, row for row with the reference.

        Raises
        ------
        ExposureError
            If the exposure lacks what a plugin needs.
        OffImageError
            If ``refuse_off_image`` and a centre is outside the image or not finite.
        """
        if exposure.wcs is None:
            raise ExposureError(missing_component(exposure, "WCS"))
        self.log.info("Performing forced measurement on %d sources", len(reference))
        centroids = {
            plugin.name: plugin.locate(reference, exposure.wcs, reference_wcs or exposure.wcs)
            for plugin in self.plugins
            if isinstance(plugin, CentroidPlugin)
        }
        x, y = centroids[self.config.slots.centroid]
        inside = exposure.bbox.contains(x, y)
        if refuse_off_image and not inside.all():
            raise OffImageError(_off_image_message(reference, exposure, x, y, ~inside))
        order = _spatial_order(x, y, inside)
        reference, x, y = reference.take(order), x[order], y[order]
        columns = self.schema.allocate(len(reference))
        self._copy_reference(reference, columns)
        for name, (column, row) in centroids.items():
            columns[f"{name}_x"][:], columns[f"{name}_y"][:] = column[order], row[order]
        n_inside = int(inside.sum())

        def measure_batch(start: int) -> int:
            rows = slice(start, min(start + BATCH_SIZE, n_inside))
            batch = SourceBatch(
                exposure,
                reference.take(rows),
                {name: values[rows] for name, values in columns.items()},
                x[rows],
                y[rows],
                footprint_scaling=footprint_scaling,
            )
            for plugin in self.plugins:
                if plugin.config.doMeasure:
                    plugin.measure(batch)
            return rows.stop - start

        _run_all(measure_batch, range(0, n_inside, BATCH_SIZE), n_threads, on_progress)
        rows = slice(n_inside, None)
        for plugin in self.plugins:
            plugin.fail(columns, rows, np.isfinite(x[rows]) & np.isfinite(y[rows]))
        for name, values in columns.items():
            columns[name] = np.empty_like(values)
            columns[name][order] = values
        return columns

    def _copy_reference(self, reference: ReferenceCatalog, columns: Columns) -> None:
        available = {
            "id": reference.id,
            "coord_ra": reference.ra,
            "coord_dec": reference.dec,
            **reference.columns,
        }
        for name in ("id", "coord_ra", "coord_dec"):
            columns[name][:] = available[name]
        for source, target in self.config.copyColumns.items():
            if source in available:
                columns[target][:] = available[source]


def _spatial_order(x: FloatArray, y: FloatArray, inside: BoolArray) -> IntArray:
    """Order sources so that a batch covers a compact part of the image; those outside it go last."""
    n_inside = int(inside.sum())
    rows = np.flatnonzero(inside)
    if n_inside > BATCH_SIZE:
        area = np.ptp(x[rows]) * np.ptp(y[rows])
        band = np.floor(y[rows] / max(np.sqrt(BATCH_SIZE * area / n_inside), 1.0))
        rows = rows[np.lexsort((y[rows], x[rows], band))]
    return np.concatenate([rows, np.flatnonzero(~inside)])


def _run_all(
    measure_batch: Callable[[int], int],
    starts: range,
    n_threads: int,
    on_progress: Callable[[int], None] | None,
) -> None:
    """Run all batches, in threads if there are to be several, and report each one's size."""
    if n_threads > 1 and len(starts) > 1:
        with ThreadPoolExecutor(n_threads) as pool:
            for n_measured in pool.map(measure_batch, starts):
                if on_progress is not None:
                    on_progress(n_measured)
        return
    for start in starts:
        n_measured = measure_batch(start)
        if on_progress is not None:
            on_progress(n_measured)


def _off_image_message(
    reference: ReferenceCatalog, exposure: Exposure, x: FloatArray, y: FloatArray, outside: BoolArray
) -> str:
    first = int(np.flatnonzero(outside)[0])
    return (
        f"{int(outside.sum())} of {len(reference)} positions are not on the image ({exposure.bbox}); the first is "
        f"id {reference.id[first]} at ra {np.degrees(reference.ra[first]):.6f}, dec "
        f"{np.degrees(reference.dec[first]):.6f} deg, x {x[first]:.2f}, y {y[first]:.2f}. "
        "Leave them out, or let them be flagged (offImage = 'flag')."
    )
