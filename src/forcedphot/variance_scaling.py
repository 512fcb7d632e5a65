"""ScaleVarianceTask: brings the variance plane to the scatter that the image shows."""

from typing import Any

import numpy as np
import numpy.typing as npt
from lsst.pex.config import Config, Field, ListField

from .errors import ExposureError
from .exposure import Exposure
from .plugins.base import missing_component
from .task import Task

_SIGMA_PER_QUARTILE_RANGE = 0.74
"""Standard deviation of a Gaussian in units of its interquartile range."""


class ScaleVarianceConfig(Config):
    """Configuration of `ScaleVarianceTask`."""

    binSize = Field[int](doc="Size of the background mesh, pixels", default=32)
    maskPlanes = ListField[str](
        doc="Pixels with these mask planes are not looked at, where the image has them",
        default=["DETECTED", "DETECTED_NEGATIVE", "BAD", "SAT", "NO_DATA", "INTRP"],
    )
    limit = Field[float](doc="Largest factor that is believed", default=10.0)


class ScaleVarianceTask(Task):
    """Measures by which factor the variance plane falls short of the image's own noise.

    Parameters
    ----------
    arguments
        Those of `Task`.
    """

    ConfigClass = ScaleVarianceConfig
    _DefaultName = "scaleVariance"

    def run(self, exposure: Exposure) -> tuple[Exposure, float]:
        """Return the exposure with a scaled variance plane, and the factor.

        The factor is the squared robust width of the background-subtracted image in units of its
        error, over the unmasked pixels. Where that is over the limit, it is the squared width of
        the image over its median variance.

        Raises
        ------
        ExposureError
            If there is no variance plane, no good pixel, or both factors are over the limit.
        """
        if exposure.variance is None:
            raise ExposureError(missing_component(exposure, "variance plane"))
        residual, variance = self._background_pixels(exposure, exposure.variance)
        factor = _robust_variance(residual / np.sqrt(variance))
        if not factor <= self.config.limit:
            self.log.warning("Variance factor %g from pixels is over the limit; using the whole image", factor)
            factor = _robust_variance(residual) / float(np.median(variance))
        if not factor <= self.config.limit:
            raise ExposureError(
                f"The variance plane of the exposure ({exposure.identity}) would have to be multiplied by "
                f"{factor:g}, over the limit of {self.config.limit:g} (scaleVariance.limit); is it in the "
                "square of the image's unit?"
            )
        self.log.info("Variance plane scaled by %f", factor)
        scaled = exposure.variance * np.float32(factor)
        return exposure.with_variance(scaled, VARIANCE_SCALE=factor), factor

    def _background_pixels(
        self, exposure: Exposure, variance: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return the background-subtracted image and the variance at the good pixels, flat."""
        import sep

        bad = ~(np.isfinite(exposure.image) & (variance > 0))
        if exposure.mask is not None:
            names = [name for name in self.config.maskPlanes if exposure.mask.find(name) is not None]
            bad |= (exposure.mask.array & exposure.mask.bits(names)) != 0
        if bad.all():
            raise ExposureError(
                f"The exposure ({exposure.identity}) has no pixel without {', '.join(self.config.maskPlanes)} "
                "to compare its variance plane with."
            )
        size = self.config.binSize
        image = np.where(bad, np.float32(0), exposure.image)
        background = sep.Background(image, mask=bad, bw=size, bh=size, fw=1, fh=1)
        background.subfrom(image)
        return image[~bad], variance[~bad]


def _robust_variance(values: npt.NDArray[Any]) -> float:
    first, third = np.percentile(values, [25, 75])
    return float((_SIGMA_PER_QUARTILE_RANGE * (third - first)) ** 2)
