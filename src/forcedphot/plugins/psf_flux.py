"""base_PsfFlux: the flux of a point source at the position."""

from typing import Any

import numpy as np
import numpy.typing as npt
from lsst.pex.config import ListField

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray
from ..errors import ExposureError
from .base import ForcedPlugin, ForcedPluginConfig, SourceBatch, missing_component, registry


class PsfFluxConfig(ForcedPluginConfig):
    """Configuration of base_PsfFlux."""

    badMaskPlanes = ListField[str](
        doc="Mask planes, in either vocabulary, whose pixels are left out of the fit", default=[]
    )


class PsfFlux(ForcedPlugin):
    """Linear least-squares fit of the PSF image to the pixels, all weighted alike."""

    ConfigClass = PsfFluxConfig
    aperture_corrected = True

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        name = self.name
        schema.add_field(
            f"{name}_instFlux", "float64", "instFlux derived from linear least-squares fit of PSF model", "ct"
        )
        schema.add_field(f"{name}_instFluxErr", "float64", "1-sigma instFlux uncertainty", "ct")
        schema.add_field(f"{name}_area", "float32", "effective area of PSF", "pix")
        schema.add_field(f"{name}_chi2", "float32", "chi2 of the fitted PSF")
        schema.add_field(f"{name}_npixels", "int32", "number of pixels that were included in the PSF fit", "pix")
        schema.add_field(f"{name}_flag", "bool", "General Failure Flag")
        schema.add_field(
            f"{name}_flag_noGoodPixels", "bool", "not enough non-rejected pixels in data to attempt the fit"
        )
        schema.add_field(
            f"{name}_flag_edge",
            "bool",
            "object was too close to the edge of the image to use the full PSF model",
        )
        self.use_centroid(schema)

    def measure(self, batch: SourceBatch) -> None:
        from ..kernels.psf_flux import psf_fluxes

        exposure, columns, name = batch.exposure, batch.columns, self.name
        bad_bits = 0
        mask: npt.NDArray[np.integer[Any]] = np.zeros((0, 0), dtype=np.int32)
        if self.config.badMaskPlanes:
            if exposure.mask is None:
                raise ExposureError(missing_component(exposure, "mask"))
            bad_bits = exposure.mask.bits(self.config.badMaskPlanes)
            mask = exposure.mask.array
        stamps = batch.psf_images
        result = psf_fluxes(
            exposure.image,
            batch.variance,
            mask,
            bad_bits,
            stamps.images,
            stamps.x0 - exposure.x0,
            stamps.y0 - exposure.y0,
            stamps.heights,
            stamps.widths,
        )
        no_pixels = stamps.valid & (result.n_pixels == 0)
        columns[f"{name}_instFlux"][:] = result.flux
        columns[f"{name}_instFluxErr"][:] = result.flux_err
        columns[f"{name}_area"][:] = result.area
        columns[f"{name}_chi2"][:] = result.chi2
        columns[f"{name}_npixels"][:] = np.where(stamps.valid, result.n_pixels, 0)
        columns[f"{name}_flag_noGoodPixels"][:] = no_pixels
        columns[f"{name}_flag_edge"][:] = stamps.valid & result.clipped
        # A missing PSF or no pixel leaves NaN.
        columns[f"{name}_flag"][:] = result.clipped | ~np.isfinite(result.flux) | ~np.isfinite(result.flux_err)

    def reach(self, batch: SourceBatch) -> float:
        return float(max(batch.psf_images.images.shape[1:]))

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:
        columns[f"{self.name}_flag"][rows] = True
        columns[f"{self.name}_flag_edge"][rows] = off_image


registry.register("base_PsfFlux", PsfFlux)
