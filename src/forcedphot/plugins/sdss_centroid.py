"""base_SdssCentroid: the maximum of the image smoothed with the PSF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from lsst.pex.config import Field

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray, FloatArray, Spans, nearest_pixel
from .base import CENTROID_ORDER, ForcedPlugin, ForcedPluginConfig, SourceBatch, registry

if TYPE_CHECKING:
    from ..kernels.sdss_centroid import SmoothedMaxima


class SdssCentroidConfig(ForcedPluginConfig):
    """Configuration of base_SdssCentroid."""

    peakMin = Field[float](
        doc="Peaks below this are measured in a binned image too, if it is not negative", default=-1.0
    )
    wfac = Field[float](
        doc="Sources whose squared width is larger than this, in units of 1 + sigma^2 of the PSF, are binned",
        default=1.5,
    )
    binmax = Field[int](doc="Largest number of pixels to bin", default=16, check=lambda value: value > 0)
    doFootprintCheck = Field[bool](doc="Reset centroids outside the footprint to its peak?", default=True)
    maxDistToPeak = Field[float](
        doc="Reset centroids further than this from the peak, pixels; none if it is not positive", default=1.0
    )


class SdssCentroid(ForcedPlugin):
    """The maximum near the centroid slot of the image smoothed with the PSF; the slot where there is none."""

    ConfigClass = SdssCentroidConfig
    execution_order = CENTROID_ORDER

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        name = self.name
        for axis in ("x", "y"):
            schema.add_field(f"{name}_{axis}", "float64", "centroid from Sdss Centroid algorithm", "pix")
        for axis in ("x", "y"):
            schema.add_field(f"{name}_{axis}Err", "float32", f"1-sigma uncertainty on {axis} position", "pix")
        flags = {
            "": "General Failure Flag",
            "_edge": "Object too close to edge; peak used.",
            "_noSecondDerivative": "Vanishing second derivative",
            "_almostNoSecondDerivative": "Almost vanishing second derivative",
            "_notAtMaximum": "Object is not at a maximum",
            "_near_edge": "Object close to edge; fallback kernel used.",
            "_resetToPeak": "set if CentroidChecker reset the centroid",
            "_badError": "Error on x and/or y position is NaN",
        }
        for flag, doc in flags.items():
            schema.add_field(f"{name}_flag{flag}", "bool", doc)
        self.use_centroid(schema, label="badInitialCentroid")

    def measure(self, batch: SourceBatch) -> None:
        from ..kernels import sdss_centroid as kernel

        columns, name = batch.columns, self.name
        maxima = self._maxima(batch)
        batch.reaches[name] = np.sqrt(2.0) * maxima.reach
        x, y = maxima.x + batch.exposure.x0, maxima.y + batch.exposure.y0
        measured = (maxima.state == kernel.GOOD) | (maxima.state == kernel.NEAR_EDGE)
        bad_error = measured & (np.isnan(maxima.x_err) | np.isnan(maxima.y_err))
        strayed = measured & self._has_strayed(batch, x, y)
        peak_x, peak_y = batch.peaks
        reset = strayed & np.isfinite(peak_x) & np.isfinite(peak_y)
        columns[f"{name}_x"][:] = np.where(reset, peak_x, x)
        columns[f"{name}_y"][:] = np.where(reset, peak_y, y)
        columns[f"{name}_xErr"][:] = maxima.x_err
        columns[f"{name}_yErr"][:] = maxima.y_err
        columns[f"{name}_flag_edge"][:] = maxima.state == kernel.EDGE
        columns[f"{name}_flag_noSecondDerivative"][:] = maxima.state == kernel.NO_SECOND_DERIVATIVE
        columns[f"{name}_flag_notAtMaximum"][:] = maxima.state == kernel.NOT_AT_MAXIMUM
        columns[f"{name}_flag_near_edge"][:] = maxima.near_edge
        columns[f"{name}_flag_resetToPeak"][:] = reset
        columns[f"{name}_flag_badError"][:] = bad_error
        columns[f"{name}_flag"][:] = (maxima.state != kernel.GOOD) | bad_error | strayed

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:
        columns[f"{self.name}_flag"][rows] = True
        columns[f"{self.name}_flag_edge"][rows] = off_image

    def _maxima(self, batch: SourceBatch) -> SmoothedMaxima:
        from ..kernels.ellipses import determinant_radius
        from ..kernels.sdss_centroid import smoothed_maxima

        psf = batch.psf_kernels
        return smoothed_maxima(
            batch.exposure.image,
            batch.variance,
            batch.x_in_array,
            batch.y_in_array,
            psf.images,
            psf.heights,
            psf.widths,
            np.where(psf.valid, determinant_radius(batch.psf_moments), np.nan),
            min_peak=self.config.peakMin,
            width_factor=self.config.wfac,
            max_binning=self.config.binmax,
        )

    def _has_strayed(self, batch: SourceBatch, x: FloatArray, y: FloatArray) -> BoolArray:
        """Tell which centroids are outside their footprint, too far from its peak, or cannot be checked."""
        peak_x, peak_y = batch.peaks
        strayed = np.zeros(len(batch), dtype=bool)
        if self.config.doFootprintCheck:
            strayed |= ~_contain(batch.footprints, x, y) | np.isnan(peak_x)
        if self.config.maxDistToPeak > 0.0:
            strayed |= ~(np.hypot(x - peak_x, y - peak_y) <= self.config.maxDistToPeak)
        return strayed


def _contain(footprints: Spans, x: FloatArray, y: FloatArray) -> BoolArray:
    """Tell whether each footprint contains the nearest pixel of a position."""
    owner = np.repeat(np.arange(len(footprints)), np.diff(footprints.first))
    column, row = nearest_pixel(x)[owner], nearest_pixel(y)[owner]
    is_hit = (footprints.y == row) & (footprints.x0 <= column) & (column <= footprints.x1)
    inside = np.zeros(len(footprints), dtype=bool)
    inside[owner[is_hit]] = True
    return inside


registry.register("base_SdssCentroid", SdssCentroid)
