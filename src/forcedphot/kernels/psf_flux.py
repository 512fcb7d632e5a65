"""PSF fluxes: the linear fit of one scale to the pixels under each PSF image."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import BoolArray, FloatArray, FloatValues, IntArray
from .compiling import kernel


class PsfFluxes(NamedTuple):
    """Results for n sources, each of shape (n,); NaN and 0 where no pixel was left."""

    flux: FloatArray
    flux_err: FloatArray
    area: FloatArray
    chi2: FloatArray
    n_pixels: npt.NDArray[np.int32]
    clipped: BoolArray
    """The PSF image reached over the edge of the image."""


def psf_fluxes(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    mask: npt.NDArray[np.integer[Any]],
    bad_bits: int,
    models: FloatArray,
    model_column: IntArray,
    model_row: IntArray,
) -> PsfFluxes:
    """Fit the flux of a point source at each position, unweighted (meas_base's PsfFlux).

    With the model M, data D and variance V over the pixels used: flux = sum(M D) / sum(M^2),
    flux_err = sqrt(sum(M^2 V)) / sum(M^2), area = sum(M)^2 / sum(M^2),
    chi2 = sum((D - flux M)^2 / V).

    Parameters
    ----------
    image, variance
        Shape (height, width).
    mask
        Bit image of the same shape; not looked at where ``bad_bits`` is 0.
    bad_bits
        Pixels with any of these mask bits are left out.
    models
        PSF images, shape (n, h, w).
    model_column, model_row
        Array indices of each model's first pixel, shape (n,); may be outside the image.
    """
    n = len(models)
    result = PsfFluxes(
        np.full(n, np.nan),
        np.full(n, np.nan),
        np.full(n, np.nan),
        np.full(n, np.nan),
        np.zeros(n, dtype=np.int32),
        np.zeros(n, dtype=bool),
    )
    _psf_fluxes(image, variance, mask, bad_bits, models, model_column, model_row, *result)
    return result


@kernel
def _psf_fluxes(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    mask: npt.NDArray[np.integer[Any]],
    bad_bits: int,
    models: FloatArray,
    model_column: IntArray,
    model_row: IntArray,
    flux: FloatArray,
    flux_err: FloatArray,
    area: FloatArray,
    chi2: FloatArray,
    n_pixels: npt.NDArray[np.int32],
    clipped: BoolArray,
) -> None:
    height, width = image.shape
    n, model_height, model_width = models.shape
    kept = np.empty((3, model_width))
    for i in range(n):
        x0, y0 = model_column[i], model_row[i]
        x_start, x_stop = max(x0, 0), min(x0 + model_width, width)
        y_start, y_stop = max(y0, 0), min(y0 + model_height, height)
        clipped[i] = x_stop - x_start < model_width or y_stop - y_start < model_height
        if x_stop <= x_start or y_stop <= y_start:
            continue
        sum_m = sum_mm = sum_md = sum_mmv = 0.0
        for y in range(y_start, y_stop):
            model = models[i, y - y0, x_start - x0 : x_stop - x0]
            data, noise = image[y, x_start:x_stop], variance[y, x_start:x_stop]
            if bad_bits == 0:
                row = _sums(model, data, noise)
                used = len(model)
            else:
                used = _keep(model, data, noise, mask[y, x_start:x_stop], bad_bits, kept)
                row = _sums(kept[0, :used], kept[1, :used], kept[2, :used])
            n_pixels[i] += used
            sum_m += row[0]
            sum_mm += row[1]
            sum_md += row[2]
            sum_mmv += row[3]
        if n_pixels[i] == 0:
            continue
        flux[i] = sum_md / sum_mm
        flux_err[i] = math.sqrt(sum_mmv) / sum_mm
        area[i] = sum_m * sum_m / sum_mm
        chi2[i] = 0.0
        for y in range(y_start, y_stop):
            model = models[i, y - y0, x_start - x0 : x_stop - x0]
            data, noise = image[y, x_start:x_stop], variance[y, x_start:x_stop]
            if bad_bits == 0:
                chi2[i] += _chi2(model, data, noise, flux[i])
            else:
                used = _keep(model, data, noise, mask[y, x_start:x_stop], bad_bits, kept)
                chi2[i] += _chi2(kept[0, :used], kept[1, :used], kept[2, :used], flux[i])


@kernel
def _keep(
    model: FloatArray,
    data: npt.NDArray[np.float32],
    noise: npt.NDArray[np.float32],
    bits: npt.NDArray[np.integer[Any]],
    bad_bits: int,
    kept: FloatArray,
) -> int:
    """Copy the pixels of a row that have no bad bits into kept; return how many they are."""
    used = 0
    for x in range(len(model)):
        if bits[x] & bad_bits == 0:
            kept[0, used] = model[x]
            kept[1, used] = data[x]
            kept[2, used] = noise[x]
            used += 1
    return used


@kernel
def _sums(m: FloatArray, d: FloatValues, v: FloatValues) -> tuple[float, float, float, float]:
    """Return the sums of m, m^2, m d and m^2 v."""
    sum_m = sum_mm = sum_md = sum_mmv = 0.0
    for x in range(len(m)):
        sum_m += m[x]
        sum_mm += m[x] * m[x]
        sum_md += m[x] * d[x]
        sum_mmv += m[x] * m[x] * v[x]
    return sum_m, sum_mm, sum_md, sum_mmv


@kernel
def _chi2(m: FloatArray, d: FloatValues, v: FloatValues, flux: float) -> float:
    total = 0.0
    for x in range(len(m)):
        residual = d[x] - flux * m[x]
        total += residual * residual / v[x]
    return total
