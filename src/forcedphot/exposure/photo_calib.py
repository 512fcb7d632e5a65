"""PhotoCalib: from an image's own unit to nanojansky and AB magnitudes."""

from dataclasses import dataclass

import numpy as np

from ..conventions import AB_ZERO_POINT_NJY, FloatArray
from .fields import Field

AB_ZERO_NJY = 10.0 ** (-48.6 / 2.5) * 1e32
"""Flux density of magnitude 0: 10^(-48.6/2.5) erg/s/cm^2/Hz in nJy."""


@dataclass(frozen=True, slots=True)
class PhotoCalib:
    """A photometric calibration: nJy = flux * calibration.

    Parameters
    ----------
    mean
        Mean calibration, nJy per unit of the image.
    mean_err
        Its 1-sigma error; enters the error of calibrated fluxes.
    field
        Calibration as a function of position, used instead of the mean where given.
    """

    mean: float
    mean_err: float = 0.0
    field: Field | None = None

    def scale(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the calibration at positions ``x, y`` (pixels, shape (n,)), nJy per unit of the image."""
        if self.field is None:
            return np.full(np.shape(x), self.mean, dtype=np.float64)
        return self.field.evaluate(x, y)

    def to_nanojansky(
        self, flux: FloatArray, flux_err: FloatArray, x: FloatArray, y: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Calibrate fluxes and their 1-sigma errors, all of shape (n,); NaN stays NaN."""
        scale = self.scale(x, y)
        calibrated = flux * scale
        return calibrated, np.hypot(flux_err * scale, calibrated * (self.mean_err / self.mean))


def ab_magnitude(flux_njy: FloatArray, flux_err_njy: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Turn fluxes in nJy into AB magnitudes and their 1-sigma errors.

    A flux that is not positive has no magnitude: NaN, in both.
    """
    positive = np.where(flux_njy > 0, flux_njy, np.nan)
    return (
        AB_ZERO_POINT_NJY - 2.5 * np.log10(positive),
        2.5 / np.log(10.0) * flux_err_njy / positive,
    )
