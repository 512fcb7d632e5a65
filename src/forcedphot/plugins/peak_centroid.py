"""base_PeakCentroid: the highest peak of the reference footprint as centroid."""

from typing import Any

import numpy as np

from ..catalog.footprint import Footprint, FootprintColumn, ShapedFootprints
from ..catalog.schema import Schema
from ..catalog.source_catalog import SourceCatalog
from ..conventions import FloatArray, nearest_pixel
from ..errors import InputTableError
from ..exposure import Wcs
from .base import CentroidPlugin, registry


class PeakCentroid(CentroidPlugin):
    """The first peak of the reference's footprint, mapped to the image; NaN where there is no peak."""

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        schema.add_field(f"{self.name}_x", "float64", "peak centroid", "pix")
        schema.add_field(f"{self.name}_y", "float64", "peak centroid", "pix")

    def locate(
        self, reference: SourceCatalog, exposure_wcs: Wcs, reference_wcs: Wcs
    ) -> tuple[FloatArray, FloatArray]:
        if reference.footprints is None:
            raise InputTableError(
                f"{self.name} takes the peaks of the reference catalog's footprints, of which it has none."
            )
        return exposure_wcs.sky_to_pixel(*reference_wcs.pixel_to_sky(*_first_peaks(reference.footprints)))


def _first_peaks(footprints: FootprintColumn) -> tuple[FloatArray, FloatArray]:
    """Return x, y of the first peak of each footprint, pixels, shape (n,); NaN where there is none."""
    if isinstance(footprints, ShapedFootprints):
        x, y = nearest_pixel(footprints.x), nearest_pixel(footprints.y)
        outside = ~footprints.exposure.bbox.contains(x, y)
        x[outside] = y[outside] = np.nan
        return x, y
    peaks = np.array([_first_peak(footprint) for footprint in footprints], dtype=np.float64).reshape(-1, 2)
    return peaks[:, 0], peaks[:, 1]


def _first_peak(footprint: Footprint | None) -> tuple[float, float]:
    if footprint is None or len(footprint.peaks) == 0:
        return np.nan, np.nan
    return float(footprint.peaks["f_x"][0]), float(footprint.peaks["f_y"][0])


registry.register("base_PeakCentroid", PeakCentroid)
