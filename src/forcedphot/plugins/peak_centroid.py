"""base_PeakCentroid: the highest peak of the reference footprint as centroid."""

from typing import Any

from ..catalog.footprint import first_peaks
from ..catalog.schema import Schema
from ..catalog.source_catalog import SourceCatalog
from ..conventions import FloatArray
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
        return exposure_wcs.sky_to_pixel(*reference_wcs.pixel_to_sky(*first_peaks(reference.footprints)))


registry.register("base_PeakCentroid", PeakCentroid)
