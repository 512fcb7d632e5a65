"""PSF fluxes of points: at positions on the sky, neighbours left in place."""

from __future__ import annotations

from functools import cache

import numpy as np

from ..aperture_correction import ApplyApCorrTask
from ..catalog.source_catalog import SourceCatalog
from ..conventions import FloatArray, IntArray
from ..exposure import Exposure
from ..measurement import ForcedMeasurementTask
from ..plugins.base import INVALID_PSF_FLAG
from ..references import REFERENCE_SCHEMA, reference_catalog

POINT_PLUGINS = ("base_PixelFlags", "base_PsfFlux")
"""What is measured of all points."""

_CENTROID = "base_TransformedCentroidFromCoord"
_FOOTPRINT_SCALING = 3.0


def measure_points(
    exposure: Exposure, ids: IntArray, ra: FloatArray, dec: FloatArray, plugins: tuple[str, ...] = POINT_PLUGINS
) -> SourceCatalog:
    """Measure PSF fluxes at positions on the sky, neighbours left in place, with aperture corrections.

    On an image without a PSF all sources fail: their fluxes are NaN and flagged.

    Parameters
    ----------
    exposure
        The image.
    ids
        Shape (n,).
    ra, dec
        Radians, ICRS, shape (n,).
    plugins
        What to measure.
    """
    measurement, corrections = _tasks(plugins)
    references = reference_catalog(ids, ra, dec)
    catalog = measurement.generateMeasCat(exposure, references)
    if exposure.psf is None:
        _fail(measurement, catalog)
        return catalog
    measurement.attachPsfShapeFootprints(catalog, exposure, scaling=_FOOTPRINT_SCALING)
    measurement.run(catalog, exposure, references)
    if exposure.aperture_corrections is not None:
        corrections.run(catalog, exposure.aperture_corrections, bbox=exposure.bbox)
    return catalog


def _fail(measurement: ForcedMeasurementTask, catalog: SourceCatalog) -> None:
    off_image = np.zeros(len(catalog), dtype=bool)
    for plugin in measurement.plugins:
        plugin.fail(catalog.columns, slice(None), off_image)
    catalog[INVALID_PSF_FLAG] = True


@cache
def _tasks(plugins: tuple[str, ...]) -> tuple[ForcedMeasurementTask, ApplyApCorrTask]:
    config = ForcedMeasurementTask.ConfigClass()
    config.plugins.names = [_CENTROID, *plugins]
    config.slots.centroid, config.slots.shape, config.slots.psfShape = _CENTROID, None, None
    config.slots.psfFlux = "base_PsfFlux"
    config.doReplaceWithNoise = False
    config.copyColumns = {"coord_ra": "coord_ra", "coord_dec": "coord_dec"}
    measurement = ForcedMeasurementTask(refSchema=REFERENCE_SCHEMA, config=config)
    return measurement, ApplyApCorrTask(schema=measurement.schema, fluxes=measurement.corrected_fluxes)
