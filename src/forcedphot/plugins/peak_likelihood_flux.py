"""base_PeakLikelihoodFlux: the flux of a point source by the value of its central pixel."""

import re
from typing import Any

import numpy as np
from lsst.pex.config import Field

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray, nearest_pixel
from ..errors import ConfigurationError
from .base import INVALID_PSF_FLAG, ForcedPlugin, ForcedPluginConfig, SourceBatch, registry

_KERNEL_NAME = re.compile(r"lanczos([1-9]\d?)")


class PeakLikelihoodFluxConfig(ForcedPluginConfig):
    """Configuration of base_PeakLikelihoodFlux."""

    warpingKernelName = Field[str](
        doc="Kernel that interpolates the image at the centre: lanczos and its order", default="lanczos4"
    )

    def validate(self) -> None:
        """Refuse unknown kernels."""
        super().validate()
        if _KERNEL_NAME.fullmatch(self.warpingKernelName) is None:
            raise ConfigurationError(
                f"warpingKernelName is lanczos1 to lanczos99, such as 'lanczos4'; got {self.warpingKernelName!r}."
            )


class PeakLikelihoodFlux(ForcedPlugin):
    """The image interpolated at the centre, times the effective area of the PSF.

    For images that have been filtered with their own PSF: their pixels are then fluxes of point
    sources at that place, but for that factor.
    """

    ConfigClass = PeakLikelihoodFluxConfig

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        schema.add_field(f"{self.name}_instFlux", "float64", "instFlux from PeakLikelihood Flux algorithm", "ct")
        schema.add_field(f"{self.name}_instFluxErr", "float64", "1-sigma instFlux uncertainty", "ct")
        schema.add_field(f"{self.name}_flag", "bool", "General Failure Flag")
        self.use_centroid(schema)

    @property
    def _order(self) -> int:
        """Order of the Lanczos kernel."""
        return int(self.config.warpingKernelName.removeprefix("lanczos"))

    def measure(self, batch: SourceBatch) -> None:
        from ..kernels.peak_likelihood import effective_areas, interpolated_pixels

        columns, name = batch.columns, self.name
        pixels = interpolated_pixels(
            batch.exposure.image, batch.variance, batch.x_in_array, batch.y_in_array, self._order
        )
        psf = batch.psf.kernel_images(nearest_pixel(batch.x), nearest_pixel(batch.y))
        columns[INVALID_PSF_FLAG] |= ~psf.valid
        area = effective_areas(psf.images)
        flux = pixels.value * area
        with np.errstate(invalid="ignore"):
            flux_err = np.sqrt(pixels.variance) * area
        columns[f"{name}_instFlux"][:] = flux
        columns[f"{name}_instFluxErr"][:] = flux_err
        columns[f"{name}_flag"][:] = ~(np.isfinite(flux) & np.isfinite(flux_err))

    def reach(self, batch: SourceBatch) -> float:  # noqa: ARG002
        return 2.0 * self._order

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:  # noqa: ARG002
        columns[f"{self.name}_flag"][rows] = True


registry.register("base_PeakLikelihoodFlux", PeakLikelihoodFlux)
