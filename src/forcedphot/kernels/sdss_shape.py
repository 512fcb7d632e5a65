"""Adaptive shapes of sources: moments, centroids and fluxes of matched elliptical Gaussians, with errors."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import FloatArray, IntArray
from .compiling import kernel
from .moments import UNWEIGHTED, UNWEIGHTED_BAD, measure_ellipse


class AdaptiveShapes(NamedTuple):
    """Results for n sources, each of shape (n,); NaN where they could not be measured."""

    xx: FloatArray
    """Second moments, pixel^2."""
    yy: FloatArray
    xy: FloatArray
    xx_err: FloatArray
    yy_err: FloatArray
    xy_err: FloatArray
    x: FloatArray
    """Weighted centroid, array coordinates."""
    y: FloatArray
    flux: FloatArray
    """Of the Gaussian."""
    flux_err: FloatArray
    flux_xx_covariance: FloatArray
    flux_yy_covariance: FloatArray
    flux_xy_covariance: FloatArray
    problems: IntArray
    """Bits, as `forcedphot.kernels.moments` has them."""
    radius: FloatArray
    """Half the side of the largest box of pixels that was read, pixels."""


def adaptive_shapes(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    *,
    background: float = 0.0,
    max_shift: float = 2.0,
    max_iterations: int = 100,
    ellipticity_tolerance: float = 1e-5,
    size_tolerance: float = 1e-4,
) -> AdaptiveShapes:
    """Match an elliptical Gaussian to the image about each position (meas_base's SdssShape).

    The errors are those of a least-squares fit of amplitude and moments with the variance V of the central
    pixel: with N = pi sqrt(det Q) and the amplitude A, var(A) = 2 V / N, cov(A, Q_ij) = -2 V Q_ij / (N A),
    cov(Q_ij, Q_kl) = 4 V (Q_ik Q_jl + Q_il Q_jk) / (N A^2).

    Parameters
    ----------
    image, variance
        Shape (height, width).
    x, y
        Centres in array coordinates, shape (n,), used as float32, as the original does. Off the image, or
        not finite, nothing is measured.
    background, max_shift, max_iterations, ellipticity_tolerance, size_tolerance
        As in `forcedphot.kernels.moments.measure_ellipse`.
    """
    n = len(x)
    result = AdaptiveShapes._make([*np.full((13, n), np.nan), np.full(n, UNWEIGHTED_BAD), np.zeros(n)])
    _adaptive_shapes(
        image,
        variance,
        x,
        y,
        background,
        max_shift,
        max_iterations,
        ellipticity_tolerance,
        size_tolerance,
        *result,
    )
    return result


@kernel
def _adaptive_shapes(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    background: float,
    max_shift: float,
    max_iterations: int,
    ellipticity_tolerance: float,
    size_tolerance: float,
    xx: FloatArray,
    yy: FloatArray,
    xy: FloatArray,
    xx_err: FloatArray,
    yy_err: FloatArray,
    xy_err: FloatArray,
    centroid_x: FloatArray,
    centroid_y: FloatArray,
    flux: FloatArray,
    flux_err: FloatArray,
    flux_xx_covariance: FloatArray,
    flux_yy_covariance: FloatArray,
    flux_xy_covariance: FloatArray,
    problems: IntArray,
    radius: FloatArray,
) -> None:
    height, width = image.shape
    scratch = np.empty(width + 1)
    for i in range(len(x)):
        column, row = x[i] + 0.5, y[i] + 0.5
        if not (0.0 <= column < width and 0.0 <= row < height):
            continue
        ellipse = measure_ellipse(
            image,
            float(np.float32(x[i])),
            float(np.float32(y[i])),
            background,
            max_shift,
            max_iterations,
            ellipticity_tolerance,
            size_tolerance,
            scratch,
        )
        problems[i], radius[i] = ellipse.problems, ellipse.radius
        centroid_x[i], centroid_y[i] = ellipse.x, ellipse.y
        xx[i], yy[i], xy[i] = ellipse.xx, ellipse.yy, ellipse.xy
        if ellipse.problems & (UNWEIGHTED | UNWEIGHTED_BAD):
            continue
        # A Gaussian times itself has half its flux.
        flux[i] = 2.0 * ellipse.total
        noise = float(variance[int(row), int(column)])
        if not noise > 0.0:
            continue
        area = math.pi * math.sqrt(xx[i] * yy[i] - xy[i] * xy[i])
        amplitude = ellipse.total / area
        noise /= area
        flux_err[i] = math.sqrt(2.0 * noise) * 2.0 * area
        xx_err[i] = math.sqrt(8.0 * noise) * xx[i] / amplitude
        yy_err[i] = math.sqrt(8.0 * noise) * yy[i] / amplitude
        xy_err[i] = math.sqrt(4.0 * noise * (xx[i] * yy[i] + xy[i] * xy[i])) / amplitude
        covariance = -2.0 * noise / amplitude * 2.0 * area
        flux_xx_covariance[i] = covariance * xx[i]
        flux_yy_covariance[i] = covariance * yy[i]
        flux_xy_covariance[i] = covariance * xy[i]
