"""base_CompensatedGaussianFlux, base_CompensatedTophatFlux: fluxes that a constant background leaves alone."""

import math
from collections.abc import Iterable
from statistics import NormalDist
from typing import Any

import numpy as np
from lsst.pex.config import Field, ListField, RangeField

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray, FloatArray
from ..errors import ConfigurationError
from .base import ForcedPlugin, ForcedPluginConfig, SourceBatch, registry
from .circular_aperture_flux import sinc_fluxes

# The default of base_CircularApertureFlux, whatever that plugin is set to.
_MAX_SINC_RADIUS = 10.0


class CompensatedGaussianFluxConfig(ForcedPluginConfig):
    """Configuration of base_CompensatedGaussianFlux."""

    kernel_widths = ListField[int](doc="Sigmas of the inner Gaussians, pixels", minLength=1, default=[3, 5])
    t = Field[float](doc="Ratio of the outer Gaussian's sigma to the inner one's", default=2.0)

    def validate(self) -> None:
        """Refuse widths and ratios that give no weights."""
        super().validate()
        _check_sizes(self.kernel_widths, "kernel_widths")
        if not (np.isfinite(self.t) and self.t > 1.0):
            raise ConfigurationError(f"t is a finite number greater than 1; got {self.t}.")


class CompensatedTophatFluxConfig(ForcedPluginConfig):
    """Configuration of base_CompensatedTophatFlux."""

    apertures = ListField[int](doc="Radii of the apertures, pixels", minLength=1, default=[12])
    inner_scale = RangeField[float](
        doc="Inner radius of the background annulus in units of the aperture's", default=1.0, min=1.0
    )
    outer_scale = RangeField[float](
        doc="Outer radius of the background annulus in units of the aperture's", default=1.7, min=1.0
    )

    def validate(self) -> None:
        """Refuse radii that no aperture can have, and annuli without pixels."""
        super().validate()
        _check_sizes(self.apertures, "apertures")
        if not (np.isfinite(self.outer_scale) and self.outer_scale > self.inner_scale):
            raise ConfigurationError(
                f"outer_scale is finite and greater than inner_scale ({self.inner_scale}); got {self.outer_scale}."
            )


class CompensatedGaussianFlux(ForcedPlugin):
    """Sums weighted with a Gaussian less a wider one."""

    ConfigClass = CompensatedGaussianFluxConfig

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        # The box holds 99% of the wider Gaussian along each axis.
        quantile = NormalDist().inv_cdf(0.995)
        self._half_widths = {
            width: math.ceil(quantile * width * self.config.t) for width in self.config.kernel_widths
        }
        _declare_fields(schema, self.name, self._half_widths, "Gaussian")

    def measure(self, batch: SourceBatch) -> None:
        from ..kernels.compensated import compensated_gaussian_fluxes

        for width, half_width in self._half_widths.items():
            result = compensated_gaussian_fluxes(
                batch.exposure.image,
                batch.variance,
                batch.x_in_array,
                batch.y_in_array,
                float(width),
                self.config.t,
                half_width,
            )
            _store(batch, f"{self.name}_{width}", half_width, result.flux, result.flux_err)

    def reach(self, batch: SourceBatch) -> float:  # noqa: ARG002
        return _reach(self._half_widths)

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:
        _fail(columns, self.name, self._half_widths, rows, off_image)


class CompensatedTophatFlux(ForcedPlugin):
    """Sums within circles less the mean of an annulus around them."""

    ConfigClass = CompensatedTophatFluxConfig

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        inner_scale, outer_scale = self.config.inner_scale, self.config.outer_scale
        self._half_widths = {aperture: math.ceil(outer_scale * aperture) for aperture in self.config.apertures}
        # Radii of each aperture, and of its annulus, summed as the original does.
        self._radii = {
            aperture: (
                float(aperture),
                aperture + (inner_scale - 1.0) * aperture,
                aperture + (inner_scale - 1.0) * aperture + (outer_scale - inner_scale) * aperture,
            )
            for aperture in self.config.apertures
        }
        _declare_fields(schema, self.name, self._half_widths, "Tophat")

    def measure(self, batch: SourceBatch) -> None:
        from ..kernels.circles import circle_fluxes

        radii = np.unique(list(self._radii.values()))
        sinc, circles = radii[radii <= _MAX_SINC_RADIUS], radii[radii > _MAX_SINC_RADIUS]
        image, noise = batch.exposure.image, batch.variance
        measured = [(circles, circle_fluxes(image, noise, batch.x_in_array, batch.y_in_array, circles))]
        if len(sinc):
            measured.append((sinc, sinc_fluxes(batch, sinc)))
        sums = {
            radius: (flux, flux_err**2)
            for some_radii, result in measured
            for radius, flux, flux_err in zip(some_radii.tolist(), result.flux, result.flux_err, strict=True)
        }
        # Area of an aperture in units of its annulus'.
        scale = 1.0 / (self.config.outer_scale**2 - self.config.inner_scale**2)
        for aperture, half_width in self._half_widths.items():
            (flux, variance), inner, outer = (sums[radius] for radius in self._radii[aperture])
            with np.errstate(invalid="ignore"):
                flux = flux - scale * (outer[0] - inner[0])
                flux_err = np.sqrt(variance + scale**2 * (outer[1] - inner[1]))
            _store(batch, f"{self.name}_{aperture}", half_width, flux, flux_err)

    def reach(self, batch: SourceBatch) -> float:  # noqa: ARG002
        from ..kernels.sinc import sinc_coefficients

        sinc = [radius for radii in self._radii.values() for radius in radii if radius <= _MAX_SINC_RADIUS]
        return max([_reach(self._half_widths), *(float(len(sinc_coefficients(radius))) for radius in sinc)])

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:
        _fail(columns, self.name, self._half_widths, rows, off_image)


def _check_sizes(sizes: Iterable[int], field: str) -> None:
    values = list(sizes)
    if not all(size > 0 for size in values) or len(set(values)) != len(values):
        raise ConfigurationError(f"{field} are different positive numbers of pixels; got {values}.")


def _declare_fields(schema: Schema, name: str, sizes: Iterable[int], kind: str) -> None:
    for size in sizes:
        prefix = f"{name}_{size}"
        schema.add_field(f"{prefix}_instFlux", "float64", f"Compensated {kind} flux measurement.", "ct")
        schema.add_field(f"{prefix}_instFluxErr", "float64", f"Compensated {kind} flux error.", "ct")
        schema.add_field(f"{prefix}_mask_bits", "int32", "Mask bits set within aperture.")
    for size in sizes:
        schema.add_field(f"{name}_{size}_flag", "bool", f"Compensated {kind} measurement failed")
        schema.add_field(f"{name}_{size}_flag_bounds", "bool", f"Compensated {kind} out-of-bounds")


def _store(batch: SourceBatch, prefix: str, half_width: int, flux: FloatArray, flux_err: FloatArray) -> None:
    """Fill the columns of one aperture; sources whose box leaves the image have no flux."""
    from ..kernels.compensated import box_fits, box_mask_bits

    exposure, columns, x, y = batch.exposure, batch.columns, batch.x_in_array, batch.y_in_array
    fits = box_fits(x, y, half_width, exposure.image.shape)
    columns[f"{prefix}_instFlux"][:] = np.where(fits, flux, np.nan)
    columns[f"{prefix}_instFluxErr"][:] = np.where(fits, flux_err, np.nan)
    columns[f"{prefix}_flag"][:] = ~(fits & np.isfinite(flux) & np.isfinite(flux_err))
    columns[f"{prefix}_flag_bounds"][:] = ~fits
    if exposure.mask is not None:
        bits = box_mask_bits(exposure.mask.array, x, y, half_width)
        # The column has 32 bits, of which the last is the sign.
        columns[f"{prefix}_mask_bits"][:] = bits.astype(np.uint32).view(np.int32)


def _reach(half_widths: dict[int, int]) -> float:
    return (max(half_widths.values()) + 1) * math.sqrt(2.0)


def _fail(columns: Columns, name: str, sizes: Iterable[int], rows: slice, off_image: BoolArray) -> None:
    for size in sizes:
        columns[f"{name}_{size}_flag"][rows] = True
        columns[f"{name}_{size}_flag_bounds"][rows] = off_image


registry.register("base_CompensatedGaussianFlux", CompensatedGaussianFlux)
registry.register("base_CompensatedTophatFlux", CompensatedTophatFlux)
