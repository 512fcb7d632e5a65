"""PSF fluxes: the linear fit of one scale to the pixels under each PSF image."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import BoolArray, FloatArray, IntArray
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
    model_height: IntArray | None = None,
    model_width: IntArray | None = None,
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
    model_height, model_width
        Shape (n,): sizes of the models, each in the middle of its array and an even number of
        pixels smaller; those of the arrays if not given.
    """
    n, array_height, array_width = models.shape
    if model_height is None:
        model_height = np.full(n, array_height)
    if model_width is None:
        model_width = np.full(n, array_width)
    result = PsfFluxes(
        np.full(n, np.nan),
        np.full(n, np.nan),
        np.full(n, np.nan),
        np.full(n, np.nan),
        np.zeros(n, dtype=np.int32),
        np.zeros(n, dtype=bool),
    )
    signed_bits = int(np.uint64(bad_bits).astype(np.int64))  # bit 63 is the sign
    _psf_fluxes(
        image,
        variance,
        mask,
        signed_bits,
        models,
        model_column,
        model_row,
        model_height,
        model_width,
        *result,
    )
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
    model_height: IntArray,
    model_width: IntArray,
    flux: FloatArray,
    flux_err: FloatArray,
    area: FloatArray,
    chi2: FloatArray,
    n_pixels: npt.NDArray[np.int32],
    clipped: BoolArray,
) -> None:
    height, width = image.shape
    n, array_height, array_width = models.shape
    size = array_height * array_width
    kept_model = np.empty((1, size))
    kept_image = np.empty((1, size), dtype=np.float32)
    kept_variance = np.empty((1, size), dtype=np.float32)
    for i in range(n):
        x0, y0 = model_column[i], model_row[i]
        x_start, x_stop = max(x0, 0), min(x0 + model_width[i], width)
        y_start, y_stop = max(y0, 0), min(y0 + model_height[i], height)
        clipped[i] = x_stop - x_start < model_width[i] or y_stop - y_start < model_height[i]
        if x_stop <= x_start or y_stop <= y_start:
            continue
        # From here on (x0, y0) is where the array's first pixel would be.
        x0 -= (array_width - model_width[i]) // 2
        y0 -= (array_height - model_height[i]) // 2
        if bad_bits == 0:
            n_pixels[i] = (x_stop - x_start) * (y_stop - y_start)
            flux[i], flux_err[i], area[i], chi2[i] = _fit(
                models[i], image, variance, x_start, x_stop, y_start, y_stop, x0, y0
            )
            continue
        used = 0
        for y in range(y_start, y_stop):
            for x in range(x_start, x_stop):
                if mask[y, x] & bad_bits == 0:
                    kept_model[0, used] = models[i, y - y0, x - x0]
                    kept_image[0, used] = image[y, x]
                    kept_variance[0, used] = variance[y, x]
                    used += 1
        n_pixels[i] = used
        if used > 0:
            flux[i], flux_err[i], area[i], chi2[i] = _fit(
                kept_model, kept_image, kept_variance, 0, used, 0, 1, 0, 0
            )


@kernel
def _fit(
    model: FloatArray,
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    x_start: int,
    x_stop: int,
    y_start: int,
    y_stop: int,
    x0: int,
    y0: int,
) -> tuple[float, float, float, float]:
    """Fit the model, whose first pixel is at (x0, y0), to a box of pixels; return flux, error, area, chi2."""
    sum_m = sum_mm = sum_md = sum_mmv = 0.0
    for y in range(y_start, y_stop):
        # Slices indexed from 0 need no check for negative indices, and so vectorise.
        m = model[y - y0, x_start - x0 : x_stop - x0]
        d, v = image[y, x_start:x_stop], variance[y, x_start:x_stop]
        for x in range(len(d)):
            sum_m += m[x]
            sum_mm += m[x] * m[x]
            sum_md += m[x] * d[x]
            sum_mmv += m[x] * m[x] * v[x]
    flux = sum_md / sum_mm
    chi2 = 0.0
    for y in range(y_start, y_stop):
        m = model[y - y0, x_start - x0 : x_stop - x0]
        d, v = image[y, x_start:x_stop], variance[y, x_start:x_stop]
        for x in range(len(d)):
            residual = d[x] - flux * m[x]
            chi2 += residual * residual / v[x]
    return flux, math.sqrt(sum_mmv) / sum_mm, sum_m * sum_m / sum_mm, chi2
