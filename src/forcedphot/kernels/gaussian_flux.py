"""Gaussian fluxes: images weighted by elliptical Gaussians of given shapes."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import FloatArray
from .compiling import kernel
from .moments import LARGEST_WEIGHT, SMALLEST_DETERMINANT, box_radius, needs_fine_samples, weighted_sums


class GaussianFluxes(NamedTuple):
    """Results for n sources, each of shape (n,); NaN where the shape is no ellipse."""

    flux: FloatArray
    flux_err: FloatArray
    radius: FloatArray
    """Half the side of the box of pixels that was read, pixels."""


def gaussian_fluxes(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    moments: FloatArray,
    background: float = 0.0,
) -> GaussianFluxes:
    """Weight the image by a Gaussian about each position (meas_base's GaussianFlux).

    With G = exp(-d^T Q^-1 d / 2): flux = 2 sum(G D), which is right for a source of that shape, and
    flux_err = 2 sqrt(V pi sqrt(det Q)), V being the variance at the position, rounded down. A Gaussian
    too narrow for a sample a pixel is summed with 16, and its flux is 16 times too large, as the original's.

    Parameters
    ----------
    image, variance
        Shape (height, width).
    x, y
        Centres in array coordinates, shape (n,), used as float32, as the original does. Off the image, or
        not finite, nothing is measured.
    moments
        Second moments Q, shape (n, 3): xx, yy, xy, pixel^2.
    background
        Subtracted from each pixel.
    """
    n = len(x)
    result = GaussianFluxes(np.full(n, np.nan), np.full(n, np.nan), np.zeros(n))
    _gaussian_fluxes(image, variance, x, y, np.ascontiguousarray(moments), background, *result)
    return result


@kernel
def _gaussian_fluxes(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    moments: FloatArray,
    background: float,
    flux: FloatArray,
    flux_err: FloatArray,
    radius: FloatArray,
) -> None:
    height, width = image.shape
    scratch = np.empty(width + 1)
    for i in range(len(x)):
        column, row = x[i] + 0.5, y[i] + 0.5
        if not (0.0 <= column < width and 0.0 <= row < height):
            continue
        xx, yy, xy = moments[i]
        determinant = xx * yy - xy * xy
        if not (SMALLEST_DETERMINANT <= determinant < np.inf and xx > 0.0):
            continue
        weight_xx, weight_yy, weight_xy = yy / determinant, xx / determinant, -xy / determinant
        if not max(weight_xx, weight_yy) <= LARGEST_WEIGHT:
            continue
        radius[i] = box_radius(xx, yy)
        is_fine = needs_fine_samples(xx, yy, determinant)
        sums = weighted_sums(
            image,
            float(np.float32(x[i])),
            float(np.float32(y[i])),
            background,
            radius[i],
            is_fine,
            weight_xx,
            weight_yy,
            weight_xy,
            scratch,
        )
        flux[i] = 2.0 * sums.total
        noise = float(variance[max(int(y[i]), 0), max(int(x[i]), 0)])
        flux_err[i] = 2.0 * math.sqrt(noise * math.pi * math.sqrt(determinant))
