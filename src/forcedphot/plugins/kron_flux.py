"""ext_photometryKron_KronFlux: the sum within an ellipse of the reference's shape and Kron radius."""

from typing import Any

import numpy as np
from lsst.pex.config import Field

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray, FloatArray
from ..errors import ConfigurationError, ExposureError
from .base import ForcedPlugin, ForcedPluginConfig, SourceBatch, missing_component, registry

KRON_FLAGS = {
    "flag": "general failure flag, set if anything went wrong",
    "flag_edge": "bad measurement due to image edge",
    "flag_bad_shape_no_psf": "bad shape and no PSF",
    "flag_no_minimum_radius": "minimum radius could not enforced: no minimum value or PSF",
    "flag_no_fallback_radius": "no minimum radius and no PSF provided",
    "flag_bad_radius": "bad Kron radius",
    "flag_used_minimum_radius": "used the minimum radius for the Kron aperture",
    "flag_used_psf_radius": "used the PSF Kron radius for the Kron aperture",
    "flag_small_radius": "measured Kron radius was smaller than that of the PSF",
    "flag_bad_shape": "shape for measuring Kron radius is bad; used PSF shape",
}
"""Flags and their docs, in the pipelines' words."""


class KronFluxConfig(ForcedPluginConfig):
    """Configuration of ext_photometryKron_KronFlux; forced measurement takes the radius as it is."""

    refRadiusName = Field[str](
        doc="Column of the reference catalog with the Kron radius, pixels",
        default="ext_photometryKron_KronFlux_radius",
    )
    nRadiusForFlux = Field[float](doc="Radius of the aperture, in Kron radii", default=2.5)
    maxSincRadius = Field[float](
        doc="Largest semi-minor axis, pixels, for the more accurate and slower sinc apertures", default=10.0
    )
    smoothingSigma = Field[float](
        doc="Sigma, pixels, of the Gaussian that smoothes the image where the radius is measured; none if <= 0",
        default=-1.0,
    )
    fixed = Field[bool](doc="Take the shape as it is for the aperture, and measure no radius?", default=False)
    nSigmaForRadius = Field[float](
        doc="Size of the ellipse in which the radius is measured, in sigma of the shape", default=6.0
    )
    nIterForRadius = Field[int](doc="How often to measure the radius", default=1)
    useFootprintRadius = Field[bool](
        doc="Measure the radius in an ellipse at least as large as the footprint?", default=False
    )
    enforceMinimumRadius = Field[bool](doc="Enlarge radii that are smaller than the minimum?", default=True)
    minimumRadius = Field[float](
        doc="Smallest radius, pixels, and that of sources that have none; if 0 the PSF's", default=0.0
    )

    def validate(self) -> None:
        """Refuse settings that give no aperture."""
        super().validate()
        for name in ("nRadiusForFlux", "nSigmaForRadius"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ConfigurationError(f"{name} is a positive number; got {value}.")


class KronFlux(ForcedPlugin):
    """Sum within an ellipse of the reference's shape, sized by its Kron radius, and mapped to the image.

    Where the original leaves NaN without a flag, or takes a radius that its own measurement got wrong, this
    sets flags: ``flag_bad_radius`` for a radius that is NaN or not positive (with ``flag``), or that of the
    ellipse in which it was measured; ``flag_bad_shape`` and ``flag_edge`` (with ``flag``) for a shape that is no
    ellipse, and an aperture that leaves the image.
    """

    ConfigClass = KronFluxConfig
    aperture_corrected = True

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:
        name, reference = self.name, self.reference_schema
        needed = ["slot_Centroid_x", "slot_Centroid_y", *_SHAPE, self.config.refRadiusName]
        missing = [column for column in needed if not reference.has(column)]
        if missing:
            raise ConfigurationError(
                f"{name} measures within the reference's ellipses, and the reference catalog has no "
                f"{', '.join(missing)}. Give it these columns, or leave the plugin out."
            )
        schema.add_field(f"{name}_instFlux", "float64", "flux from Kron Flux algorithm", "ct")
        schema.add_field(f"{name}_instFluxErr", "float64", "1-sigma instFlux uncertainty", "ct")
        schema.add_field(f"{name}_radius", "float32", "Kron radius (sqrt(a*b))")
        schema.add_field(f"{name}_radius_for_radius", "float32", "radius used to estimate <radius> (sqrt(a*b))")
        schema.add_field(f"{name}_psf_radius", "float32", "Radius of PSF")
        for flag, doc in KRON_FLAGS.items():
            schema.add_field(f"{name}_{flag}", "bool", doc)
        self.use_centroid(schema, label="badInitialCentroid")
        metadata[f"{name}_nRadiusForFlux".upper()] = self.config.nRadiusForFlux

    def measure(self, batch: SourceBatch) -> None:
        from ..kernels.ellipses import determinant_radius
        from ..kernels.kron import SMALLEST_RADIUS, kron_fluxes, psf_kron_radius

        exposure, columns, name = batch.exposure, batch.columns, self.name
        x, y, apertures = reference_kron_apertures(batch, self.config.refRadiusName)
        result = kron_fluxes(
            exposure.image,
            batch.variance,
            x,
            y,
            apertures,
            n_radius_for_flux=self.config.nRadiusForFlux,
            max_sinc_radius=self.config.maxSincRadius,
            x0=exposure.x0,
            y0=exposure.y0,
        )
        radius = batch.reference[self.config.refRadiusName]
        is_bad_shape = np.isnan(determinant_radius(_shapes(batch)))
        is_bad_radius = ~(radius >= SMALLEST_RADIUS)
        columns[f"{name}_instFlux"][:] = result.flux
        columns[f"{name}_instFluxErr"][:] = result.flux_err
        columns[f"{name}_radius"][:] = determinant_radius(apertures)
        columns[f"{name}_flag"][:] = result.aperture_truncated | np.isnan(apertures[:, 0])
        columns[f"{name}_flag_edge"][:] = result.aperture_truncated
        columns[f"{name}_flag_bad_shape"][:] = is_bad_shape
        columns[f"{name}_flag_bad_radius"][:] = is_bad_radius
        outer_name = f"{self.config.refRadiusName}_for_radius"
        if batch.reference.schema.has(outer_name):
            columns[f"{name}_flag_bad_radius"] |= radius == batch.reference[outer_name]
        if exposure.psf is not None:
            psf_radius = psf_kron_radius(batch.psf_moments, self.config.smoothingSigma)
            # As in the original, not for sources whose radius is 0.
            columns[f"{name}_psf_radius"][:] = np.where(radius < SMALLEST_RADIUS, np.nan, psf_radius)
            columns[f"{name}_flag"] |= np.isnan(psf_radius)

    def flag_bad_slots(self, batch: SourceBatch) -> None:
        """Do nothing: as in the original, a flagged centroid is no failure of this plugin."""

    def reach(self, batch: SourceBatch) -> FloatArray:
        from ..kernels.elliptical_apertures import aperture_reach

        x, y, apertures = reference_kron_apertures(batch, self.config.refRadiusName)
        moments = self.config.nRadiusForFlux**2 * apertures
        reach = aperture_reach(moments, max_sinc_radius=self.config.maxSincRadius)
        return np.where(reach > 0.0, reach + np.hypot(x - batch.x, y - batch.y), 0.0)

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:
        columns[f"{self.name}_flag"][rows] = True
        columns[f"{self.name}_flag_edge"][rows] = off_image


def reference_kron_apertures(batch: SourceBatch, radius_name: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Map the Kron apertures of a batch's reference rows to the image.

    Parameters
    ----------
    radius_name
        Column of the reference with the Kron radius, pixels of the reference image.

    Returns
    -------
    x, y
        Where the reference's centroids are in the image's pixel frame, shape (n,).
    apertures
        Shape (n, 3), as `forcedphot.kernels.kron.kron_apertures` returns them.

    Raises
    ------
    ExposureError
        If the exposure has no WCS.
    """
    from ..exposure.transform import linearize_between
    from ..kernels.kron import kron_apertures

    if batch.exposure.wcs is None:
        raise ExposureError(missing_component(batch.exposure, "WCS"))
    x = np.asarray(batch.reference["slot_Centroid_x"], dtype=np.float64)
    y = np.asarray(batch.reference["slot_Centroid_y"], dtype=np.float64)
    jacobians = linearize_between(batch.reference_wcs, batch.exposure.wcs, x, y)
    # The pipelines read the radius as float32, whatever the column is.
    radius = batch.reference[radius_name].astype(np.float32).astype(np.float64)
    apertures = kron_apertures(_shapes(batch), radius, jacobians)
    return *batch.exposure.wcs.sky_to_pixel(*batch.reference_wcs.pixel_to_sky(x, y)), apertures


_SHAPE = ["slot_Shape_xx", "slot_Shape_yy", "slot_Shape_xy"]


def _shapes(batch: SourceBatch) -> FloatArray:
    """Return the reference's second moments in its own pixels, shape (n, 3)."""
    return np.stack([np.asarray(batch.reference[name], dtype=np.float64) for name in _SHAPE], axis=1)


registry.register("ext_photometryKron_KronFlux", KronFlux)
