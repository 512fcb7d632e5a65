"""base_TransformedCentroidFromCoord, base_TransformedCentroid: positions from the reference catalog."""

from typing import Any

import numpy as np

from ..catalog.schema import Schema
from ..catalog.source_catalog import SourceCatalog
from ..conventions import FloatArray
from ..errors import ConfigurationError
from ..exposure import Wcs
from .base import CentroidPlugin, registry


class TransformedCentroidFromCoord(CentroidPlugin):
    """The reference coordinates (ra, dec), mapped through the exposure's WCS."""

    def locate(
        self,
        reference: SourceCatalog,
        exposure_wcs: Wcs,
        reference_wcs: Wcs,  # noqa: ARG002
    ) -> tuple[FloatArray, FloatArray]:
        # Beyond the poles a WCS may come back to the image on the other side.
        dec = reference["coord_dec"]
        return exposure_wcs.sky_to_pixel(reference["coord_ra"], np.where(np.abs(dec) <= np.pi / 2, dec, np.nan))


class TransformedCentroid(CentroidPlugin):
    """The reference centroid (x, y), mapped through the reference WCS to the sky and back."""

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:
        super().declare(schema, metadata)
        if not (self.reference_schema.has("slot_Centroid_x") and self.reference_schema.has("slot_Centroid_y")):
            raise ConfigurationError(
                f"{self.name} needs the reference centroids slot_Centroid_x and slot_Centroid_y, which the "
                "reference catalog has not; use base_TransformedCentroidFromCoord for positions on the sky."
            )

    def locate(
        self, reference: SourceCatalog, exposure_wcs: Wcs, reference_wcs: Wcs
    ) -> tuple[FloatArray, FloatArray]:
        x, y = reference["slot_Centroid_x"], reference["slot_Centroid_y"]
        return exposure_wcs.sky_to_pixel(*reference_wcs.pixel_to_sky(x, y))


registry.register("base_TransformedCentroidFromCoord", TransformedCentroidFromCoord)
registry.register("base_TransformedCentroid", TransformedCentroid)
