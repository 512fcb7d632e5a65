"""ForcedMeasurementTask: runs plugins on batches of sources and fills the columns of their schema."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from .batches import BatchRun, spatial_order
from .catalog.footprint import ShapedFootprints
from .catalog.schema import Schema
from .catalog.source_catalog import SourceCatalog
from .conventions import BoolArray, FloatArray, IntArray
from .errors import ConfigurationError, ExposureError, InputTableError, OffImageError
from .exposure import Exposure, Wcs
from .footprints import transformed_footprints
from .measurement_config import ForcedMeasurementConfig
from .neighbours import NeighbourReplacement
from .plugins import ForcedPlugin, registry
from .plugins.base import INVALID_PSF_FLAG, missing_component
from .references import MINIMAL_SCHEMA
from .task import Task


class ForcedMeasurementTask(Task):
    """Measures sources at known positions on one exposure.

    Parameters
    ----------
    refSchema
        Schema of the reference catalogs.
    algMetadata
        Mapping in which plugins record their settings; a new one if None.
    arguments
        Those of `Task`.

    Attributes
    ----------
    schema
        The output's fields: the minimal ones, those copied from the reference, then each plugin's, in
        execution order.

    Raises
    ------
    ConfigurationError
        If the reference lacks a column to copy, or what a plugin needs.
    """

    ConfigClass = ForcedMeasurementConfig
    _DefaultName = "measurement"

    def __init__(self, refSchema: Schema, algMetadata: dict[str, Any] | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.refSchema = refSchema
        self.algMetadata: dict[str, Any] = {} if algMetadata is None else algMetadata
        self.schema = MINIMAL_SCHEMA.copy()
        for source, target in self.config.copyColumns.items():
            if not refSchema.has(source):
                raise ConfigurationError(
                    f"copyColumns names {source!r}, which the reference catalog has not; it has "
                    f"{', '.join(refSchema.getOrderedNames())}."
                )
            if target not in self.schema:
                self.schema.add(dataclasses.replace(refSchema.find(source).field, name=target))
        for alias, target in self.config.slots.targets():
            self.schema.set_alias(alias, target)
        self.plugins = self._make_plugins(self.config.plugins, "")
        self.undeblended = self._make_plugins(self.config.undeblended, self.config.undeblendedPrefix)
        # Fields are declared in execution order; measurements start from the slots.
        self.plugins.sort(key=lambda plugin: (plugin.name != self.config.slots.centroid, plugin.measured_last))
        self.undeblended.sort(key=lambda plugin: plugin.measured_last)
        self.schema.add_field(INVALID_PSF_FLAG, "bool", "Invalid PSF at this location.")

    def _make_plugins(self, choice: Any, prefix: str) -> list[ForcedPlugin]:
        """Make plugins by execution order and name; each declares its fields."""
        names = sorted(choice.names, key=lambda name: (registry[name].execution_order, name))
        return [
            registry[name](choice[name], prefix + name, self.schema, self.algMetadata, self.refSchema)
            for name in names
        ]

    @property
    def corrected_fluxes(self) -> list[str]:
        """Fluxes that aperture corrections apply to, without ``_instFlux``.

        Those of undeblended plugins are not among them: images have no correction of such a name, and the
        configuration of `ApplyApCorrTask` gives them a proxy.
        """
        return [flux for plugin in self.plugins for flux in plugin.corrected_fluxes]

    def generateMeasCat(
        self,
        exposure: Exposure | None,  # noqa: ARG002
        refCat: SourceCatalog,
        refWcs: Wcs | None = None,  # noqa: ARG002
        idFactory: Callable[[int], IntArray] | None = None,
    ) -> SourceCatalog:
        """Make the catalog to measure into: a row for each row of the reference, with the copied columns.

        Parameters
        ----------
        exposure, refWcs
            Without effect; the pipelines' method has them.
        refCat
            The reference catalog.
        idFactory
            Called with a number of ids to make; 1, 2, ... if None.
        """
        n = len(refCat)
        columns = self.schema.allocate(n)
        columns["id"][:] = np.arange(1, n + 1) if idFactory is None else idFactory(n)
        for source, target in self.config.copyColumns.items():
            columns[target][:] = refCat[source]
        return SourceCatalog(self.schema, columns, self.algMetadata)

    def attachPsfShapeFootprints(self, sources: SourceCatalog, exposure: Exposure, scaling: float = 3) -> None:
        """Give sources the ellipse of the PSF's second moments as footprint, with its axes scaled.

        Parameters
        ----------
        sources
            Catalog with the sources' coordinates; changed.
        exposure
            The image, with WCS and PSF.
        scaling
            Factor of the ellipse's axes.
        """
        if exposure.wcs is None:
            raise ExposureError(missing_component(exposure, "WCS"))
        ra, dec = sources["coord_ra"], sources["coord_dec"]
        # Beyond the poles a WCS may come back to the image on the other side.
        x, y = exposure.wcs.sky_to_pixel(ra, np.where(np.abs(dec) <= np.pi / 2, dec, np.nan))
        sources.footprints = ShapedFootprints(exposure, x, y, scaling)

    def attachTransformedFootprints(
        self, sources: SourceCatalog, refCat: SourceCatalog, exposure: Exposure, refWcs: Wcs
    ) -> None:
        """Give sources the footprints of the reference, mapped to the image; heavy ones lose their pixels' values.

        Parameters
        ----------
        sources
            Catalog, row for row with the reference; changed.
        refCat
            Reference with footprints.
        exposure
            The image, with a WCS.
        refWcs
            WCS of the reference's footprints.
        """
        if exposure.wcs is None:
            raise ExposureError(missing_component(exposure, "WCS"))
        if refCat.footprints is None:
            raise InputTableError("The reference catalog has no footprints to transform.")
        sources.footprints = transformed_footprints(refCat.footprints, refWcs, exposure.wcs, exposure.bbox)

    def run(
        self,
        measCat: SourceCatalog,
        exposure: Exposure,
        refCat: SourceCatalog,
        refWcs: Wcs | None = None,
        exposureId: int | None = None,
        beginOrder: float | None = None,
        endOrder: float | None = None,
        *,
        n_threads: int = 1,
        refuse_off_image: bool = False,
        on_progress: Callable[[int], None] | None = None,
    ) -> None:
        """Measure all sources of a catalog, in place.

        Parameters
        ----------
        measCat
            What `generateMeasCat` made, with footprints; its other columns are filled.
        exposure
            The image to measure; not changed.
        refCat
            The reference catalog, row for row.
        refWcs
            WCS of the reference's centroids; the exposure's own if None.
        exposureId
            Seed of the noise in place of neighbours; 0 if None.
        beginOrder, endOrder
            Only plugins whose execution order is in this range, without its end, are run.
        n_threads
            Threads to share the sources among; results do not depend on it.
        refuse_off_image
            Raise for sources whose centre is not on the image, instead of flagging them.
        on_progress
            Called with the number of sources after each batch.

        Raises
        ------
        ExposureError
            If the exposure lacks what a plugin needs.
        InputTableError
            If the catalogs differ in length, or footprints are needed and there are none.
        OffImageError
            If ``refuse_off_image`` and a centre is outside the image or not finite.
        """
        if len(measCat) != len(refCat):
            raise InputTableError(
                f"There are {len(measCat)} sources and {len(refCat)} references; rows must agree."
            )
        if exposure.wcs is None:
            raise ExposureError(missing_component(exposure, "WCS"))
        self.log.info("Performing forced measurement on %d sources", len(measCat))
        run = BatchRun(measCat, exposure, refCat, refWcs or exposure.wcs, n_threads)
        run.locate(self.plugins, self.config.slots.centroid, exposure.wcs)
        x, y = run.x, run.y
        inside = exposure.bbox.contains(x, y)
        if refuse_off_image and not inside.all():
            raise OffImageError(_off_image_message(refCat, exposure, x, y, ~inside))
        deblended = [plugin for plugin in self.plugins if _is_chosen(plugin, beginOrder, endOrder)]
        undeblended = [plugin for plugin in self.undeblended if _is_chosen(plugin, beginOrder, endOrder)]
        run.fail([*deblended, *undeblended], np.flatnonzero(~inside))
        rows = spatial_order(x, y, np.flatnonzero(inside))
        if self.config.doReplaceWithNoise:
            replacement = self._replace_neighbours(measCat, exposure, refCat, exposureId)
            run.measure_deblended(deblended, replacement, rows, on_progress)
            run.measure(undeblended, exposure, rows)
        else:
            run.measure([*deblended, *undeblended], exposure, rows, on_progress)

    def fail(self, measCat: SourceCatalog) -> None:
        """Mark all sources of a catalog as not measured: on an image without a PSF.

        Parameters
        ----------
        measCat
            What `generateMeasCat` made; its fluxes stay NaN and are flagged.
        """
        off_image = np.zeros(len(measCat), dtype=bool)
        for plugin in (*self.plugins, *self.undeblended):
            plugin.fail(measCat.columns, slice(None), off_image)
        measCat[INVALID_PSF_FLAG] = True

    def _replace_neighbours(
        self, measCat: SourceCatalog, exposure: Exposure, refCat: SourceCatalog, exposure_id: int | None
    ) -> NeighbourReplacement:
        if measCat.footprints is None:
            raise InputTableError(
                "doReplaceWithNoise needs footprints to replace; call attachPsfShapeFootprints or "
                "attachTransformedFootprints first, or set it to False."
            )
        config = self.config.noiseReplacer
        measCat.metadata |= {
            "NOISE_SEED_MULTIPLIER": config.noiseSeedMultiplier,
            "NOISE_SOURCE": config.noiseSource,
            "NOISE_OFFSET": config.noiseOffset,
        }
        if exposure_id is not None:
            measCat.metadata["NOISE_EXPOSURE_ID"] = exposure_id
        return NeighbourReplacement(
            config, exposure, measCat.footprints, refCat["id"], refCat["parent"], exposure_id or 0
        )


def _is_chosen(plugin: ForcedPlugin, begin_order: float | None, end_order: float | None) -> bool:
    order = plugin.execution_order
    return bool(
        plugin.config.doMeasure
        and (begin_order is None or order >= begin_order)
        and (end_order is None or order < end_order)
    )


def _off_image_message(
    reference: SourceCatalog, exposure: Exposure, x: FloatArray, y: FloatArray, outside: BoolArray
) -> str:
    first = int(np.flatnonzero(outside)[0])
    return (
        f"{int(outside.sum())} of {len(reference)} positions are not on the image ({exposure.bbox}); the first is "
        f"id {reference['id'][first]} at ra {np.degrees(reference['coord_ra'][first]):.6f}, dec "
        f"{np.degrees(reference['coord_dec'][first]):.6f} deg, x {x[first]:.2f}, y {y[first]:.2f}. "
        "Leave them out, or let them be flagged (offImage = 'flag')."
    )
