"""PhotoCalib: from an image's own unit to nanojansky and AB magnitudes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from ..conventions import AB_ZERO_POINT_NJY, FloatArray
from ..errors import ConfigurationError, ExposureError
from .fields import Field

AB_ZERO_NJY = 10.0 ** (-48.6 / 2.5) * 1e32
"""Flux density of magnitude 0: 10^(-48.6/2.5) erg/s/cm^2/Hz in nJy."""


class Measurement(NamedTuple):
    """A value and its 1-sigma error, or arrays of them."""

    value: Any
    error: Any


class Calibratable(Protocol):
    """A catalog: columns by name or alias, that can be calibrated."""

    def __getitem__(self, key: str, /) -> npt.NDArray[Any]: ...

    def calibrated(self, photo_calib: "PhotoCalib", fields: Sequence[str] | None = None) -> Self:
        """Return a catalog with calibrated fluxes and magnitudes."""
        ...


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

    Raises
    ------
    ExposureError
        If the mean is not positive and finite.
    """

    mean: float
    mean_err: float = 0.0
    field: Field | None = None

    def __post_init__(self) -> None:
        if not 0 < self.mean < math.inf:
            raise ExposureError(f"A calibration has a positive mean; this one's is {self.mean} nJy.")

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

    def instFluxToNanojansky(
        self,
        inst_flux: npt.ArrayLike | Calibratable,
        inst_flux_err: npt.ArrayLike | str | None = None,
        point: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    ) -> Any:
        """Calibrate fluxes, as the pipelines' method of that name does.

        Parameters
        ----------
        inst_flux, inst_flux_err
            Fluxes in the image's unit, numbers or arrays, and their errors if there are any. Or a catalog, and the
            name of its fluxes without ``_instFlux``.
        point
            Where they are: x and y, pixels. None for the mean calibration.

        Returns
        -------
        Fluxes in nJy; with errors, a `Measurement`; for a catalog, fluxes and errors, shape (n, 2).
        """
        if isinstance(inst_flux_err, str):
            return self._of_catalog(inst_flux, inst_flux_err)
        flux = np.asarray(inst_flux, dtype=np.float64)
        scale = self.mean if point is None else self.scale(*(np.asarray(p, dtype=np.float64) for p in point))
        if inst_flux_err is None:
            return (flux * scale)[()]
        err = np.hypot(np.asarray(inst_flux_err) * scale, flux * scale * (self.mean_err / self.mean))
        return Measurement((flux * scale)[()], err[()])

    def instFluxToMagnitude(
        self,
        inst_flux: npt.ArrayLike | Calibratable,
        inst_flux_err: npt.ArrayLike | str | None = None,
        point: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    ) -> Any:
        """Turn fluxes into AB magnitudes; those that are not positive into NaN. See `instFluxToNanojansky`."""
        if isinstance(inst_flux_err, str):
            calibrated = self._of_catalog(inst_flux, inst_flux_err)
            return np.stack(ab_magnitude(calibrated[:, 0], calibrated[:, 1]), axis=1)
        if inst_flux_err is None:
            flux = np.asarray(self.instFluxToNanojansky(inst_flux, None, point))
            return ab_magnitude(flux, np.zeros_like(flux))[0][()]
        flux, err = self.instFluxToNanojansky(inst_flux, inst_flux_err, point)
        magnitude, magnitude_err = ab_magnitude(flux, err)
        return Measurement(magnitude[()], magnitude_err[()])

    def getMagnitude(self, inst_flux: npt.ArrayLike, inst_flux_err: npt.ArrayLike | None = None) -> Any:
        """Do what `instFluxToMagnitude` does, under its name of before 2018."""
        return self.instFluxToMagnitude(inst_flux, inst_flux_err)

    def setThrowOnNegativeFlux(self, throw: bool) -> None:
        """Accept that negative fluxes have no magnitude: they are always NaN here.

        Raises
        ------
        ConfigurationError
            If they should raise.
        """
        if throw:
            raise ConfigurationError("Negative fluxes have the magnitude NaN; they never raise an error.")

    def calibrateCatalog[C: Calibratable](self, catalog: C, fields: Sequence[str] | None = None) -> C:
        """Return a catalog with fluxes in nJy and AB magnitudes added; see `catalog.calibration`."""
        return catalog.calibrated(self, fields)

    def getCalibrationMean(self) -> float:
        """Return the mean calibration, nJy per unit of the image."""
        return self.mean

    def getCalibrationErr(self) -> float:
        """Return the error of the mean calibration."""
        return self.mean_err

    def getLocalCalibration(self, point: tuple[float, float]) -> float:
        """Return the calibration at a position x, y (pixels), nJy per unit of the image."""
        x, y = (np.array([coordinate], dtype=np.float64) for coordinate in point)
        return float(self.scale(x, y)[0])

    def getInstFluxAtZeroMagnitude(self) -> float:
        """Return the flux, in the image's unit, of a source of magnitude 0."""
        return AB_ZERO_NJY / self.mean

    def _of_catalog(self, catalog: Any, name: str) -> FloatArray:
        flux, err = (catalog[f"{name}_instFlux{suffix}"].astype(np.float64) for suffix in ("", "Err"))
        x, y = flux, flux  # a constant calibration asks only how many there are
        if self.field is not None:
            x, y = catalog["slot_Centroid_x"], catalog["slot_Centroid_y"]
        return np.stack(self.to_nanojansky(flux, err, x, y), axis=1)


def ab_magnitude(flux_njy: FloatArray, flux_err_njy: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Turn fluxes in nJy into AB magnitudes and their 1-sigma errors.

    A flux that is not positive has no magnitude: NaN, in both.
    """
    positive = np.where(flux_njy > 0, flux_njy, np.nan)
    return (
        AB_ZERO_POINT_NJY - 2.5 * np.log10(positive),
        2.5 / np.log(10.0) * flux_err_njy / positive,
    )
