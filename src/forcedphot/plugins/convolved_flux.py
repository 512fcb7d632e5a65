"""ext_convolved_ConvolvedFlux: sums within circles and the Kron aperture in wider seeings."""

import math
from typing import Any

import numpy as np
from lsst.pex.config import Config, ConfigField, Field, ListField

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray, FloatArray, IntArray
from ..errors import ConfigurationError
from .base import FLUX_ORDER, ForcedPlugin, ForcedPluginConfig, SourceBatch, registry
from .circular_aperture_flux import ApertureFluxConfig, aperture_label, declare_aperture
from .kron_flux import reference_kron_apertures

_NAME = "ext_convolved_ConvolvedFlux"
_FWHM_OF_GAUSSIAN = 2.0 * math.sqrt(2.0 * math.log(2.0))  # in units of its sigma
_LARGEST = 1e9  # pixels; cut-outs are clipped to the image


class ConvolvedFluxConfig(ForcedPluginConfig):
    """Configuration of ext_convolved_ConvolvedFlux."""

    seeing = ListField[float](doc="Seeings to convolve to, FWHM in pixels", default=[3.5, 5.0, 6.5])
    kernelScale = Field[float](doc="Half width of the kernel in units of its sigma", default=4.0)
    aperture = ConfigField(dtype=ApertureFluxConfig, doc="Circular apertures")
    kronRadiusName = Field[str](
        doc="Column of the reference catalog with the Kron radius, pixels",
        default="ext_photometryKron_KronFlux_radius",
    )
    maxSincRadius = Field[float](
        doc="Largest semi-minor axis, pixels, of Kron apertures for the more accurate and slower sinc apertures",
        default=10.0,
    )
    kronRadiusForFlux = Field[float](doc="Radius of the Kron aperture, in Kron radii", default=2.5)
    registerForApCorr = Field[bool](doc="Apply aperture corrections to these fluxes?", default=True)

    def setDefaults(self) -> None:
        """Leave out the circles so large that the seeing hardly matters."""
        Config.setDefaults(self)
        self.aperture.radii = [3.3, 4.5, 6.0]

    def validate(self) -> None:
        """Refuse seeings and sizes that no image can have."""
        super().validate()
        seeings = list(self.seeing)
        if not all(np.isfinite(seeing) and seeing > 0 for seeing in seeings) or len(set(seeings)) < len(seeings):
            raise ConfigurationError(f"seeing are different positive numbers of pixels; got {seeings}.")
        for name in ("kernelScale", "kronRadiusForFlux"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ConfigurationError(f"{name} is a positive number; got {value}.")

    def getBaseNameForSeeing(self, seeing: float, name: str = _NAME) -> str:
        """Return what the fields for a seeing begin with, such as ``ext_convolved_ConvolvedFlux_0``.

        Raises
        ------
        ConfigurationError
            If that seeing is not one of `seeing`.
        """
        if seeing not in self.seeing:
            raise ConfigurationError(f"{seeing} is none of the seeings, which are {list(self.seeing)}.")
        return f"{name}_{list(self.seeing).index(seeing)}"

    def getApertureResultName(self, seeing: float, radius: float, name: str = _NAME) -> str:
        """Return what the fields of a circle begin with, such as ``ext_convolved_ConvolvedFlux_0_4_5``."""
        return f"{self.getBaseNameForSeeing(seeing, name)}_{aperture_label(radius)}"

    def getKronResultName(self, seeing: float, name: str = _NAME) -> str:
        """Return what the fields of Kron apertures begin with, such as ``ext_convolved_ConvolvedFlux_0_kron``."""
        return f"{self.getBaseNameForSeeing(seeing, name)}_kron"

    def getAllApertureResultNames(self, name: str = _NAME) -> list[str]:
        """Return what the fields of each circle in each seeing begin with."""
        return [
            self.getApertureResultName(seeing, radius, name)
            for seeing in self.seeing
            for radius in self.aperture.radii
        ]

    def getAllKronResultNames(self, name: str = _NAME) -> list[str]:
        """Return what the fields of the Kron aperture in each seeing begin with."""
        return [self.getKronResultName(seeing, name) for seeing in self.seeing]

    def getAllResultNames(self, name: str = _NAME) -> list[str]:
        """Return what the fields of all fluxes begin with."""
        return self.getAllApertureResultNames(name) + self.getAllKronResultNames(name)


class ConvolvedFlux(ForcedPlugin):
    """Sums within circles and the reference's Kron aperture, on cut-outs that are convolved to given seeings.

    Image and seeings are taken to have Gaussian PSFs. Where a seeing is smaller than the image's, or the
    cut-out smaller than the kernel, the image is measured as it is, and flagged. The errors know nothing of
    the noise's correlations that the convolution makes.

    Where the original leaves NaN, or 0 for a radius of 0, without a flag, this has NaN and sets
    ``_kron_flag``.
    """

    ConfigClass = ConvolvedFluxConfig
    # After the Kron radius.
    execution_order = FLUX_ORDER + 0.1

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:
        config, name = self.config, self.name
        radii = np.array(config.aperture.radii, dtype=np.float64)
        is_sinc = radii <= config.aperture.maxSincRadius
        self._sinc_radii, self._circle_radii = radii[is_sinc], radii[~is_sinc]
        self._labels = [aperture_label(radius) for radius in [*self._sinc_radii, *self._circle_radii]]
        self._prefixes = [config.getBaseNameForSeeing(seeing, name) for seeing in config.seeing]
        needed = ["slot_Centroid_x", "slot_Centroid_y", "slot_Shape_xx", "slot_Shape_yy", "slot_Shape_xy"]
        self._has_kron = all(self.reference_schema.has(column) for column in [*needed, config.kronRadiusName])
        schema.add_field(f"{name}_seeing", "float32", "original seeing (Gaussian sigma) at position", "pix")
        for prefix, seeing in zip(self._prefixes, config.seeing, strict=True):
            schema.add_field(
                f"{prefix}_deconv", "bool", f"deconvolution required for seeing {seeing:f}; no measurement made"
            )
            for radius, sinc in zip(radii, is_sinc, strict=True):
                declare_aperture(schema, f"{prefix}_{aperture_label(radius)}", radius, is_sinc=sinc)
            self.use_centroid(schema, prefix=prefix)
            kron = f"{prefix}_kron"
            schema.add_field(f"{kron}_instFlux", "float64", f"convolved Kron flux: seeing {seeing:f}", "ct")
            schema.add_field(f"{kron}_instFluxErr", "float64", "1-sigma instFlux uncertainty", "ct")
            schema.add_field(f"{kron}_flag", "bool", f"convolved Kron flux failed: seeing {seeing:f}")
            metadata[f"{prefix}_radii".upper()] = radii.tolist()
        # Before the flag is there, so that it says nothing of the centroid, as in the original.
        self.use_centroid(schema)
        schema.add_field(f"{name}_flag", "bool", "error in running ConvolvedFluxPlugin")

    @property
    def corrected_fluxes(self) -> list[str]:
        # Sorted, as the original's correction does.
        return sorted(self.config.getAllResultNames(self.name)) if self.config.registerForApCorr else []

    def flag_bad_slots(self, batch: SourceBatch) -> None:
        if batch.schema.has("slot_Centroid_flag"):
            for prefix in self._prefixes:
                for label in self._labels:
                    batch.columns[f"{prefix}_{label}_flag"] |= batch.column("slot_Centroid_flag")

    def measure(self, batch: SourceBatch) -> None:
        from ..kernels.convolved_flux import Convolutions, convolved_fluxes
        from ..kernels.ellipses import determinant_radius
        from ..kernels.placed_apertures import positions
        from ..kernels.sinc import sinc_coefficients

        config, exposure, columns = self.config, batch.exposure, batch.columns
        x, y, apertures = self._kron_apertures(batch)
        seeing = determinant_radius(_psf_moments(batch, x, y))
        convolutions = Convolutions(
            seeing,
            np.array(config.seeing, dtype=np.float64) / _FWHM_OF_GAUSSIAN,
            config.kernelScale,
            batch.footprints.boxes() - np.array([exposure.x0, exposure.y0, exposure.x0, exposure.y0]),
            self._growth(determinant_radius(apertures)),
        )
        result = convolved_fluxes(
            exposure.image,
            batch.variance,
            convolutions,
            positions(batch.x, batch.y, exposure.x0, exposure.y0),
            self._sinc_radii,
            [sinc_coefficients(radius) for radius in self._sinc_radii.tolist()],
            self._circle_radii,
            positions(x, y, exposure.x0, exposure.y0),
            config.kronRadiusForFlux**2 * apertures,
            config.maxSincRadius,
        )
        columns[f"{self.name}_seeing"][:] = seeing
        columns[f"{self.name}_flag"][:] = ~np.isfinite(seeing)
        for s, prefix in enumerate(self._prefixes):
            columns[f"{prefix}_deconv"][:] = result.unconvolved[s]
            for k, label in enumerate([*self._labels, "kron"]):
                columns[f"{prefix}_{label}_instFlux"][:] = result.flux[s, k]
                columns[f"{prefix}_{label}_instFluxErr"][:] = result.flux_err[s, k]
            for k, label in enumerate(self._labels):
                truncated = result.aperture_truncated[s, k]
                columns[f"{prefix}_{label}_flag"][:] = truncated | ~np.isfinite(seeing)
                columns[f"{prefix}_{label}_flag_apertureTruncated"][:] = truncated
                if k < len(self._sinc_radii):
                    clipped = result.coefficients_truncated[s, k]
                    columns[f"{prefix}_{label}_flag_sincCoeffsTruncated"][:] = clipped
            flux, flux_err = result.flux[s, -1], result.flux_err[s, -1]
            columns[f"{prefix}_kron_flag"][:] = ~(np.isfinite(flux) & np.isfinite(flux_err))

    def _kron_apertures(self, batch: SourceBatch) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return centres and moments of the reference's Kron apertures; undefined if it has none."""
        if not self._has_kron:
            return batch.x, batch.y, np.full((len(batch), 3), np.nan)
        return reference_kron_apertures(batch, self.config.kronRadiusName)

    def _growth(self, kron_radius: FloatArray) -> IntArray:
        """Return by how many pixels the footprints grow to hold the apertures."""
        largest = max(self.config.aperture.radii, default=0.0)
        radius = np.fmax(largest, self.config.kronRadiusForFlux * kron_radius)
        growth: IntArray = (np.minimum(radius, _LARGEST) + 0.5).astype(np.int64)
        return growth

    def reach(self, batch: SourceBatch) -> FloatArray:
        from ..kernels.elliptical_apertures import aperture_reach
        from ..kernels.sinc import sinc_coefficients

        x, y, apertures = self._kron_apertures(batch)
        moments = self.config.kronRadiusForFlux**2 * apertures
        kron = aperture_reach(moments, max_sinc_radius=self.config.maxSincRadius)
        reach = np.where(kron > 0.0, kron + np.hypot(x - batch.x, y - batch.y), 0.0)
        for radius in self._sinc_radii.tolist():
            reach = np.maximum(reach, len(sinc_coefficients(radius)))
        reach = np.maximum(reach, self._circle_radii.max(initial=0.0) + 2.0)
        half_kernel = self.config.kernelScale * max(self.config.seeing, default=0.0) / _FWHM_OF_GAUSSIAN + 1.0
        # Those of the box around all of it.
        corners: FloatArray = math.sqrt(2.0) * (reach + half_kernel)
        return corners

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:
        columns[f"{self.name}_flag"][rows] = True
        for prefix in self._prefixes:
            columns[f"{prefix}_kron_flag"][rows] = True
            for k, label in enumerate(self._labels):
                columns[f"{prefix}_{label}_flag"][rows] = True
                columns[f"{prefix}_{label}_flag_apertureTruncated"][rows] = off_image
                if k < len(self._sinc_radii):
                    columns[f"{prefix}_{label}_flag_sincCoeffsTruncated"][rows] = off_image


def _psf_moments(batch: SourceBatch, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the PSF's moments at positions, shape (n, 3), which mostly are those of the sources."""
    if np.array_equal(x, batch.x) and np.array_equal(y, batch.y):
        return batch.psf_moments
    located = np.isfinite(x) & np.isfinite(y)
    moments = np.full((len(batch), 3), np.nan)
    moments[located] = batch.psf.moments(x[located], y[located])
    return moments


registry.register(_NAME, ConvolvedFlux)
