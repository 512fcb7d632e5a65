"""ext_shapeHSM_HsmPsfMomentsDebiased: moments of the PSF with as much noise as the source has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsst.pex.config import ChoiceField, Field, ListField

from ..conventions import FloatArray, nearest_pixel
from ..errors import ExposureError
from ..psf.base import Stamps
from .bad_pixels import bad_pixels
from .base import FLUX_ORDER, SourceBatch, registry
from .hsm_moments import HsmPsfMoments, HsmPsfMomentsConfig

if TYPE_CHECKING:
    from ..kernels.hsm_moments import HsmMoments


class HsmPsfMomentsDebiasedConfig(HsmPsfMomentsConfig):
    """Configuration of ext_shapeHSM_HsmPsfMomentsDebiased."""

    noiseSource = ChoiceField[str](
        doc="Where the variance of the noise comes from",
        allowed={"meta": "the BGMEAN entry of the metadata", "variance": "the variance plane"},
        default="variance",
    )
    seedOffset = Field[int](doc="The seed of the noise is this added to the source's id", default=0)
    badMaskPlanes = ListField[str](
        doc="Mask planes, in either vocabulary, whose pixels count as 0", default=["BAD", "SAT"]
    )

    def setDefaults(self) -> None:
        super().setDefaults()
        self.useSourceCentroidOffset = True


class HsmPsfMomentsDebiased(HsmPsfMoments):
    """The moments of the PSF with the source's flux, noise and bad pixels, which are as biased as the source's."""

    ConfigClass = HsmPsfMomentsDebiasedConfig
    execution_order = FLUX_ORDER + 0.1
    center_label = "Debiased centroid"
    moments_label = "Debiased adaptive moments"

    def find_moments(self, batch: SourceBatch, psf_sigma: FloatArray) -> tuple[HsmMoments, FloatArray, FloatArray]:
        from ..kernels.hsm_moments import hsm_stamp_moments
        from ..kernels.noisy_stamps import noisy_stamps

        exposure = batch.exposure
        if self.config.useSourceCentroidOffset:
            x, y, stamps = batch.x, batch.y, batch.psf_images
        else:
            x, y = nearest_pixel(batch.x), nearest_pixel(batch.y)
            stamps = Stamps.placed(batch.psf_kernels, x, y)
        in_array_x, in_array_y = stamps.x0 - exposure.x0, stamps.y0 - exposure.y0
        height, width = exposure.image.shape
        leaves = (in_array_x < 0) | (in_array_x + stamps.widths > width)
        leaves |= (in_array_y < 0) | (in_array_y + stamps.heights > height)
        batch.columns[f"{self.name}_flag_edge"][:] = leaves & stamps.valid
        images = noisy_stamps(
            stamps.images,
            in_array_x,
            in_array_y,
            stamps.heights,
            stamps.widths,
            batch.column("slot_PsfFlux_instFlux"),
            batch.columns["id"] + self.config.seedOffset,
            batch.variance,
            *bad_pixels(exposure, self.config.badMaskPlanes),
            constant_variance=self._constant_variance(batch),
        )
        moments = hsm_stamp_moments(
            images,
            stamps.x0,
            stamps.y0,
            stamps.heights,
            stamps.widths,
            x,
            y,
            psf_sigma,
            is_round=self.config.roundMoments,
        )
        return moments, x, y

    def _constant_variance(self, batch: SourceBatch) -> float | None:
        if self.config.noiseSource == "variance":
            return None
        mean = batch.exposure.metadata.get("BGMEAN")
        if mean is None:
            raise ExposureError(
                f"The exposure ({batch.exposure.identity}) has no BGMEAN in its metadata, which {self.name} takes "
                "the noise from; set its noiseSource to 'variance'."
            )
        return float(mean)


registry.register("ext_shapeHSM_HsmPsfMomentsDebiased", HsmPsfMomentsDebiased)
