"""base_LocalBackground: the background in an annulus around the source."""

from typing import Any

import numpy as np
from lsst.pex.config import Field, ListField

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray, FloatArray
from ..errors import ConfigurationError
from .bad_pixels import bad_pixels
from .base import INVALID_PSF_FLAG, ForcedPlugin, ForcedPluginConfig, SourceBatch, registry


class LocalBackgroundConfig(ForcedPluginConfig):
    """Configuration of base_LocalBackground."""

    badMaskPlanes = ListField[str](
        doc="Mask planes, in either vocabulary, whose pixels are left out", default=["BAD", "SAT", "NO_DATA"]
    )
    annulusInner = Field[float](
        doc="Inner radius of the annulus as a multiple of the standard deviation of the PSF", default=7.0
    )
    annulusOuter = Field[float](
        doc="Outer radius of the annulus as a multiple of the standard deviation of the PSF", default=15.0
    )
    bgRej = Field[float](doc="Pixels this many standard deviations off are clipped", default=3.0)
    bgIter = Field[int](doc="How often pixels are clipped", default=3)

    def validate(self) -> None:
        """Refuse annuli and clipping that leave no pixel."""
        super().validate()
        if not 0.0 <= self.annulusInner < self.annulusOuter < np.inf:
            raise ConfigurationError(
                "annulusInner is smaller than annulusOuter, and neither is negative; "
                f"got {self.annulusInner} and {self.annulusOuter}."
            )
        if not (self.bgRej > 0.0 and self.bgIter >= 1):
            raise ConfigurationError(
                f"bgRej is positive, and bgIter at least 1; got {self.bgRej} and {self.bgIter}."
            )


class LocalBackground(ForcedPlugin):
    """The clipped mean of the pixels in an annulus, and their standard deviation."""

    ConfigClass = LocalBackgroundConfig

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        name = self.name
        schema.add_field(f"{name}_instFlux", "float64", "background in annulus around source", "ct")
        schema.add_field(f"{name}_instFluxErr", "float64", "1-sigma instFlux uncertainty", "ct")
        schema.add_field(f"{name}_flag", "bool", "General Failure Flag")
        schema.add_field(f"{name}_flag_noGoodPixels", "bool", "no good pixels in the annulus")
        schema.add_field(f"{name}_flag_noPsf", "bool", "no PSF provided")
        self.use_centroid(schema)

    def measure(self, batch: SourceBatch) -> None:
        from ..kernels.local_background import local_backgrounds

        exposure, columns, name = batch.exposure, batch.columns, self.name
        if exposure.psf is None:
            columns[f"{name}_flag_noPsf"][:] = columns[f"{name}_flag"][:] = True
            return
        mask, bad_bits = bad_pixels(exposure, self.config.badMaskPlanes)
        result = local_backgrounds(
            exposure.image,
            mask,
            bad_bits,
            batch.x_in_array,
            batch.y_in_array,
            self._radii(batch, self.config.annulusInner),
            self._radii(batch, self.config.annulusOuter),
            self.config.bgRej,
            self.config.bgIter,
        )
        columns[f"{name}_instFlux"][:] = result.mean
        columns[f"{name}_instFluxErr"][:] = result.sigma
        # Where the PSF has no size there is no annulus, good or bad.
        has_annulus = np.isfinite(batch.psf_moments).all(axis=1)
        if not has_annulus.all():
            columns[INVALID_PSF_FLAG] |= ~batch.psf_valid
        columns[f"{name}_flag_noGoodPixels"][:] = (result.n_pixels == 0) & has_annulus
        columns[f"{name}_flag"][:] = ~(np.isfinite(result.mean) & np.isfinite(result.sigma))

    def reach(self, batch: SourceBatch) -> float | FloatArray:
        if batch.exposure.psf is None:
            return 0.0
        return np.nan_to_num(self._radii(batch, self.config.annulusOuter), nan=0.0)

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:  # noqa: ARG002
        columns[f"{self.name}_flag"][rows] = True

    @staticmethod
    def _radii(batch: SourceBatch, factor: float) -> FloatArray:
        """Return the radii of circles of some standard deviations of the PSF, pixels, shape (n,)."""
        xx, yy, xy = batch.psf_moments.T
        with np.errstate(invalid="ignore"):
            sigma = np.power(xx * yy - xy * xy, 0.25)
        # In single precision, as in the original: it decides which pixels lie in the circle.
        radii: FloatArray = (np.float32(factor) * sigma.astype(np.float32)).astype(np.float64)
        return radii


registry.register("base_LocalBackground", LocalBackground)
