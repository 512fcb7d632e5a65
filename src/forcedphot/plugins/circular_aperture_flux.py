"""base_CircularApertureFlux: sums within circles of several radii."""

from typing import Any

import numpy as np
from lsst.pex.config import Config, Field, ListField

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray, FloatArray, IntArray, nearest_pixel
from ..errors import ConfigurationError
from .base import ForcedPlugin, ForcedPluginConfig, SourceBatch, registry


class ApertureFluxConfig(Config):
    """Configuration of circular apertures."""

    radii = ListField[float](
        doc="Radii of the apertures, pixels", default=[3.0, 4.5, 6.0, 9.0, 12.0, 17.0, 25.0, 35.0, 50.0, 70.0]
    )
    maxSincRadius = Field[float](
        doc="Largest radius, pixels, for the more accurate and slower sinc apertures", default=10.0
    )
    shiftKernel = Field[str](doc="Kernel that shifts the sinc coefficients; only lanczos5", default="lanczos5")

    def validate(self) -> None:
        """Refuse radii that no aperture can have, and unknown kernels."""
        super().validate()
        radii = list(self.radii)
        if not all(np.isfinite(radius) and radius > 0 for radius in radii):
            raise ConfigurationError(f"Aperture radii are positive numbers of pixels; got {radii}.")
        labels = [aperture_label(radius) for radius in radii]
        if len(set(labels)) != len(labels):
            raise ConfigurationError(
                f"Aperture radii name columns with one decimal; these give the same name twice: {radii}."
            )
        if self.shiftKernel != "lanczos5":
            raise ConfigurationError(f"shiftKernel can only be 'lanczos5'; got {self.shiftKernel!r}.")


class CircularApertureFluxConfig(ForcedPluginConfig, ApertureFluxConfig):
    """Configuration of base_CircularApertureFlux."""


class CircularApertureFlux(ForcedPlugin):
    """Sums within circles: band-limited (sinc) up to maxSincRadius, over pixel centres above it."""

    ConfigClass = CircularApertureFluxConfig

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:
        radii = np.array(self.config.radii, dtype=np.float64)
        is_sinc = radii <= self.config.maxSincRadius
        prefixes = np.array([f"{self.name}_{aperture_label(radius)}" for radius in radii], dtype=object)
        self._sinc = radii[is_sinc], list(prefixes[is_sinc])
        self._circles = radii[~is_sinc], list(prefixes[~is_sinc])
        for radius, prefix in zip(radii, prefixes, strict=True):
            declare_aperture(schema, prefix, radius, is_sinc=prefix in self._sinc[1])
        self.use_centroid(schema, flags=[f"{prefix}_flag" for prefix in prefixes])
        metadata[f"{self.name}_radii".upper()] = radii.tolist()

    def measure(self, batch: SourceBatch) -> None:
        from ..kernels.circles import circle_fluxes

        radii, prefixes = self._circles
        if len(radii):
            result = circle_fluxes(batch.exposure.image, batch.variance, batch.x_in_array, batch.y_in_array, radii)
            self._store(batch.columns, prefixes, result)
        radii, prefixes = self._sinc
        if len(radii):
            result = sinc_fluxes(batch, radii)
            self._store(batch.columns, prefixes, result)
            for k, prefix in enumerate(prefixes):
                batch.columns[f"{prefix}_flag_sincCoeffsTruncated"][:] = result.coefficients_truncated[k]

    @staticmethod
    def _store(columns: Columns, prefixes: list[str], result: Any) -> None:
        for k, prefix in enumerate(prefixes):
            columns[f"{prefix}_instFlux"][:] = result.flux[k]
            columns[f"{prefix}_instFluxErr"][:] = result.flux_err[k]
            columns[f"{prefix}_flag_apertureTruncated"][:] = result.aperture_truncated[k]
            columns[f"{prefix}_flag"][:] = result.aperture_truncated[k]

    def reach(self, batch: SourceBatch) -> float:  # noqa: ARG002
        # The coefficients of a sinc aperture cover up to four times its radius.
        return float(max([0.0, *(4.0 * self._sinc[0] + 12.0), *(self._circles[0] + 2.0)]))

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:
        for prefix in self._sinc[1] + self._circles[1]:
            columns[f"{prefix}_flag"][rows] = True
            columns[f"{prefix}_flag_apertureTruncated"][rows] = off_image
        for prefix in self._sinc[1]:
            columns[f"{prefix}_flag_sincCoeffsTruncated"][rows] = off_image


def sinc_fluxes(batch: SourceBatch, radii: FloatArray) -> Any:
    """Sum a batch's image under sinc apertures, as ``ApertureFluxes``; `radii` are pixels, of shape (r,)."""
    from ..kernels.sinc import sinc_aperture_fluxes, sinc_coefficients

    column, row, shift_x, shift_y = sinc_positions(batch)
    return sinc_aperture_fluxes(
        batch.exposure.image,
        batch.variance,
        column,
        row,
        shift_x,
        shift_y,
        radii,
        [sinc_coefficients(radius) for radius in radii.tolist()],
    )


def sinc_positions(batch: SourceBatch) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Split centres into the nearest pixel's column and row in the array, and the shifts x, y from it."""
    # The original rounds the position in the parent frame to float32 before it splits it.
    x = batch.x.astype(np.float32).astype(np.float64)
    y = batch.y.astype(np.float32).astype(np.float64)
    column, row = nearest_pixel(x), nearest_pixel(y)
    return (
        column.astype(np.int64) - batch.exposure.x0,
        row.astype(np.int64) - batch.exposure.y0,
        x - column,
        y - row,
    )


def declare_aperture(schema: Schema, prefix: str, radius: float, *, is_sinc: bool) -> None:
    """Add the fields of one aperture to the schema; `radius` is in pixels."""
    schema.add_field(f"{prefix}_instFlux", "float64", f"instFlux within {radius:.6f}-pixel aperture", "ct")
    schema.add_field(f"{prefix}_instFluxErr", "float64", "1-sigma instFlux uncertainty", "ct")
    schema.add_field(f"{prefix}_flag", "bool", "General Failure Flag")
    schema.add_field(f"{prefix}_flag_apertureTruncated", "bool", "aperture did not fit within measurement image")
    if is_sinc:
        schema.add_field(
            f"{prefix}_flag_sincCoeffsTruncated",
            "bool",
            "full sinc coefficient image did not fit within measurement image",
        )


def aperture_label(radius: float) -> str:
    """Write a radius as the columns' names have it: 4.5 as 4_5."""
    return f"{radius:.1f}".replace(".", "_")


registry.register("base_CircularApertureFlux", CircularApertureFlux)
