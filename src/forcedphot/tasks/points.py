"""PSF fluxes of points: at positions on the sky, neighbours left in place."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

from ..aperture_correction import ApplyApCorrTask
from ..catalog.source_catalog import SourceCatalog
from ..conventions import FloatArray, IntArray
from ..exposure import Exposure
from ..measurement import ForcedMeasurementTask
from ..references import REFERENCE_SCHEMA, reference_catalog

POINT_PLUGINS = ("base_PixelFlags", "base_PsfFlux")
"""What is measured of all points."""

FOOTPRINT_SCALING = 3.0
"""Axes of the ellipses that stand for points, in those of the PSF's second moments."""

_CENTROID = "base_TransformedCentroidFromCoord"


class PointMeasurement(NamedTuple):
    """What measures points on an image.

    Parameters
    ----------
    measurement
        For references with the columns of `REFERENCE_SCHEMA`.
    corrections
        Of its fluxes, by the image's aperture corrections; None to leave them as they are.
    footprint_scaling
        Axes of the points' footprints, in those of the PSF's second moments.
    """

    measurement: ForcedMeasurementTask
    corrections: ApplyApCorrTask | None
    footprint_scaling: float = FOOTPRINT_SCALING

    def added_plugins(self, usual: Iterable[str]) -> list[str]:
        """Return the names that begin the fields of plugins other than the centroid's and the usual ones."""
        known = {self.measurement.config.slots.centroid, *usual}
        plugins = (*self.measurement.plugins, *self.measurement.undeblended)
        return [plugin.name for plugin in plugins if plugin.name not in known]


def configure_points(config: Any, plugins: Iterable[str] = POINT_PLUGINS) -> None:
    """Let a configuration measure points: at their coordinates, without shapes, with neighbours left in place."""
    config.plugins.names = [_CENTROID, *plugins]
    config.slots.centroid, config.slots.shape, config.slots.psfShape = _CENTROID, None, None
    config.slots.psfFlux = "base_PsfFlux"
    config.doReplaceWithNoise = False
    config.copyColumns = {"coord_ra": "coord_ra", "coord_dec": "coord_dec"}


@cache
def usual_measurement(plugins: tuple[str, ...] = POINT_PLUGINS) -> PointMeasurement:
    """Make what measures points as `configure_points` says, with aperture corrections."""
    config = ForcedMeasurementTask.ConfigClass()
    configure_points(config, plugins)
    measurement = ForcedMeasurementTask(refSchema=REFERENCE_SCHEMA, config=config)
    return PointMeasurement(
        measurement, ApplyApCorrTask(schema=measurement.schema, fluxes=measurement.corrected_fluxes)
    )


def measure_points(
    exposure: Exposure,
    ids: IntArray,
    ra: FloatArray,
    dec: FloatArray,
    points: PointMeasurement | None = None,
    *,
    exposure_id: int | None = None,
) -> SourceCatalog:
    """Measure positions on the sky.

    On an image without a PSF all sources fail: their fluxes are NaN and flagged.

    Parameters
    ----------
    exposure
        The image.
    ids
        Shape (n,).
    ra, dec
        Radians, ICRS, shape (n,).
    points
        What measures; `usual_measurement` if None.
    exposure_id
        Seed of noise in place of neighbours, where they are replaced.
    """
    points = usual_measurement() if points is None else points
    measurement, corrections, footprint_scaling = points
    if exposure.psf is None:
        return failed_points(ids, ra, dec, points)
    references = reference_catalog(ids, ra, dec)
    catalog = measurement.generateMeasCat(exposure, references)
    measurement.attachPsfShapeFootprints(catalog, exposure, scaling=footprint_scaling)
    measurement.run(catalog, exposure, references, exposureId=exposure_id)
    if corrections is not None and exposure.aperture_corrections is not None:
        corrections.run(catalog, exposure.aperture_corrections, bbox=exposure.bbox)
    return catalog


def failed_points(ids: IntArray, ra: FloatArray, dec: FloatArray, points: PointMeasurement) -> SourceCatalog:
    """Return what `measure_points` returns where there is no PSF to measure with."""
    references = reference_catalog(ids, ra, dec)
    catalog = points.measurement.generateMeasCat(None, references)
    points.measurement.fail(catalog)
    return catalog
