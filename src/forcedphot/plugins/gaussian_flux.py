"""base_GaussianFlux: the flux under a Gaussian of the source's shape."""

from typing import Any

import numpy as np
from lsst.pex.config import Field

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray, FloatArray
from ..errors import ConfigurationError
from .base import ForcedPlugin, ForcedPluginConfig, SourceBatch, registry


class GaussianFluxConfig(ForcedPluginConfig):
    """Configuration of base_GaussianFlux."""

    background = Field[float](doc="Subtracted from each pixel", default=0.0)


class GaussianFlux(ForcedPlugin):
    """The image weighted by the Gaussian of the shape slot about the centroid slot."""

    ConfigClass = GaussianFluxConfig
    aperture_corrected = True

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        name = self.name
        if "slot_Shape" not in schema.aliases:
            raise ConfigurationError(
                f"{name} measures with the shape slot, which is None; set slots.shape to base_TransformedShape or "
                f"base_SdssShape, or leave {name} out."
            )
        schema.add_field(f"{name}_instFlux", "float64", "instFlux from Gaussian Flux algorithm", "ct")
        schema.add_field(f"{name}_instFluxErr", "float64", "1-sigma instFlux uncertainty", "ct")
        schema.add_field(f"{name}_flag", "bool", "General Failure Flag")
        self.use_centroid(schema)
        self.use_shape(schema)

    def flag_bad_slots(self, batch: SourceBatch) -> None:
        """Do nothing: a flux is not bad because its centroid or shape is flagged, as in the pipelines."""

    def measure(self, batch: SourceBatch) -> None:
        from ..kernels.gaussian_flux import gaussian_fluxes

        columns, name = batch.columns, self.name
        fluxes = gaussian_fluxes(
            batch.exposure.image,
            batch.variance,
            batch.x_in_array,
            batch.y_in_array,
            _moments(batch),
            self.config.background,
        )
        columns[f"{name}_instFlux"][:] = fluxes.flux
        columns[f"{name}_instFluxErr"][:] = fluxes.flux_err
        columns[f"{name}_flag"][:] = ~np.isfinite(fluxes.flux) | ~np.isfinite(fluxes.flux_err)

    def reach(self, batch: SourceBatch) -> FloatArray:
        from ..kernels.moments import box_radius

        moments = np.nan_to_num(np.maximum(_moments(batch)[:, :2], 0.0), posinf=np.inf)
        corners = [np.sqrt(2.0) * (box_radius(xx, yy) + 1.0) for xx, yy in moments]
        return np.array(corners, dtype=np.float64)

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:  # noqa: ARG002
        columns[f"{self.name}_flag"][rows] = True


def _moments(batch: SourceBatch) -> FloatArray:
    """Return the shape slot's second moments, shape (n, 3): xx, yy, xy, pixel^2."""
    return np.stack([batch.column(f"slot_Shape_{moment}") for moment in ("xx", "yy", "xy")], axis=1)


registry.register("base_GaussianFlux", GaussianFlux)
