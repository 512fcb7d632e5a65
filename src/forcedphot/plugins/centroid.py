"""base_TransformedCentroidFromCoord, base_TransformedCentroid: positions from the reference catalog."""

import numpy as np

from ..conventions import FloatArray
from ..errors import ConfigurationError
from ..exposure import Wcs
from .base import CentroidPlugin, ReferenceCatalog, registry


class TransformedCentroidFromCoord(CentroidPlugin):
    """The reference coordinates (ra, dec), mapped through the exposure's WCS."""

    def locate(
        self,
        reference: ReferenceCatalog,
        exposure_wcs: Wcs,
        reference_wcs: Wcs,  # noqa: ARG002
    ) -> tuple[FloatArray, FloatArray]:
        # Beyond the poles a WCS may come back to the image on the other side.
        dec = np.where(np.abs(reference.dec) <= np.pi / 2, reference.dec, np.nan)
        return exposure_wcs.sky_to_pixel(reference.ra, dec)


class TransformedCentroid(CentroidPlugin):
    """The reference centroid (x, y), mapped through the reference WCS to the sky and back."""

    def locate(
        self, reference: ReferenceCatalog, exposure_wcs: Wcs, reference_wcs: Wcs
    ) -> tuple[FloatArray, FloatArray]:
        try:
            x, y = reference.columns["slot_Centroid_x"], reference.columns["slot_Centroid_y"]
        except KeyError as error:
            raise ConfigurationError(
                f"{self.name} needs the reference centroids slot_Centroid_x and slot_Centroid_y, which the "
                "reference catalog has not; use base_TransformedCentroidFromCoord for positions on the sky."
            ) from error
        return exposure_wcs.sky_to_pixel(*reference_wcs.pixel_to_sky(x, y))


registry.register("base_TransformedCentroidFromCoord", TransformedCentroidFromCoord)
registry.register("base_TransformedCentroid", TransformedCentroid)
