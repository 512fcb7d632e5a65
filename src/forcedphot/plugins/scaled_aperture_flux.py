"""base_ScaledApertureFlux: the sum within a circle as large as the PSF asks for."""

import math
from typing import Any

import numpy as np
from lsst.pex.config import Field

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray, FloatArray
from ..errors import ConfigurationError
from .base import ForcedPlugin, ForcedPluginConfig, SourceBatch, registry

_FWHM_OF_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


class ScaledApertureFluxConfig(ForcedPluginConfig):
    """Configuration of base_ScaledApertureFlux."""

    scale = Field[float](doc="Radius of the aperture, in full widths at half maximum of the PSF", default=3.14)
    shiftKernel = Field[str](doc="Kernel that shifts the sinc coefficients; only lanczos5", default="lanczos5")

    def validate(self) -> None:
        """Refuse scales that give no aperture, and unknown kernels."""
        super().validate()
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ConfigurationError(f"scale is a positive number; got {self.scale}.")
        if self.shiftKernel != "lanczos5":
            raise ConfigurationError(f"shiftKernel can only be 'lanczos5'; got {self.shiftKernel!r}.")


class ScaledApertureFlux(ForcedPlugin):
    """Sum within a sinc aperture whose radius is a multiple of the width of the PSF at the source."""

    ConfigClass = ScaledApertureFluxConfig

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        name = self.name
        schema.add_field(f"{name}_instFlux", "float64", "instFlux derived from PSF-scaled aperture", "ct")
        schema.add_field(f"{name}_instFluxErr", "float64", "1-sigma instFlux uncertainty", "ct")
        schema.add_field(f"{name}_flag", "bool", "General Failure Flag")
        schema.add_field(f"{name}_flag_apertureTruncated", "bool", "aperture did not fit within measurement image")
        schema.add_field(
            f"{name}_flag_sincCoeffsTruncated",
            "bool",
            "full sinc coefficient image did not fit within measurement image",
        )
        self.use_centroid(schema)

    def _apertures(self, batch: SourceBatch) -> FloatArray:
        """Return the circles as second moments, shape (n, 3); NaN where the PSF has none."""
        from ..kernels.ellipses import determinant_radius

        radius = self.config.scale * _FWHM_OF_SIGMA * determinant_radius(batch.psf_moments)
        return np.stack([radius**2, radius**2, 0.0 * radius], axis=1)

    def measure(self, batch: SourceBatch) -> None:
        from ..kernels.elliptical_apertures import elliptical_aperture_fluxes

        exposure, columns, name = batch.exposure, batch.columns, self.name
        apertures = self._apertures(batch)
        result = elliptical_aperture_fluxes(
            exposure.image, batch.variance, batch.x, batch.y, apertures, x0=exposure.x0, y0=exposure.y0
        )
        columns[f"{name}_instFlux"][:] = result.flux
        columns[f"{name}_instFluxErr"][:] = result.flux_err
        columns[f"{name}_flag"][:] = result.aperture_truncated | np.isnan(apertures[:, 0])
        columns[f"{name}_flag_apertureTruncated"][:] = result.aperture_truncated
        columns[f"{name}_flag_sincCoeffsTruncated"][:] = result.coefficients_truncated

    def reach(self, batch: SourceBatch) -> FloatArray:
        from ..kernels.elliptical_apertures import aperture_reach

        return aperture_reach(self._apertures(batch))

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:
        columns[f"{self.name}_flag"][rows] = True
        columns[f"{self.name}_flag_apertureTruncated"][rows] = off_image
        columns[f"{self.name}_flag_sincCoeffsTruncated"][rows] = off_image


registry.register("base_ScaledApertureFlux", ScaledApertureFlux)
