"""Centroids: the maximum of the image smoothed with the PSF, from 3 x 3 pixels around the nearest."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import BoolArray, FloatArray, FloatValues, IntArray
from .compiling import kernel

_QUARTIC = 1.33  # of the quartic term, relative to that of a Gaussian
_LARGEST_SHIFT = 10.0  # pixels, of the parabola's maximum
_FALLBACK_SIGMA = 0.5  # pixels, of the Gaussian for sources near the edge
_FALLBACK_SIZE = 5
_UNKNOWN_ERROR = 1e3  # pixels, where there is neither peak nor curvature

GOOD, NEAR_EDGE, EDGE, NO_SECOND_DERIVATIVE, NOT_AT_MAXIMUM, NO_PSF = range(6)
"""States of `SmoothedMaxima`: measured; measured with a narrow Gaussian instead of the PSF, because that
leaves the image; and the reasons why not: even the Gaussian leaves it, the smoothed image is flat, or has a
larger neighbour; there is no PSF."""


class SmoothedMaxima(NamedTuple):
    """Results for n sources, each of shape (n,)."""

    x: FloatArray
    """Array coordinates; the start where there is no maximum."""
    y: FloatArray
    x_err: FloatArray
    """NaN where there is no maximum."""
    y_err: FloatArray
    state: IntArray
    """GOOD or one of the others."""
    near_edge: BoolArray
    """The narrow Gaussian was tried."""
    reach: FloatArray
    """How far from the start pixels were read, in x or in y, pixels."""


def smoothed_maxima(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    kernels: FloatArray,
    kernel_height: IntArray,
    kernel_width: IntArray,
    sigma: FloatArray,
    *,
    min_peak: float = -1.0,
    width_factor: float = 1.5,
    max_binning: int = 16,
) -> SmoothedMaxima:
    """Find the maximum of the smoothed image near each position (meas_base's SdssCentroid).

    Sources that are wider than the PSF, or further from the pixel, are measured again in an image of which
    2, 4, ... pixels are averaged, in x or in y.

    Parameters
    ----------
    image, variance
        Shape (height, width).
    x, y
        Start in array coordinates, shape (n,). Off the image, or not finite, the state is EDGE.
    kernels
        PSF images centred on their middle pixel, shape (n, h, w), odd.
    kernel_height, kernel_width
        Sizes of each, in the middle of its array, shape (n,).
    sigma
        The PSF's determinant radius, pixels, shape (n,); NaN where there is none.
    min_peak
        Peaks below this are measured in a binned image too; all are good if it is negative.
    width_factor
        Largest squared width and squared distance from the pixel of a good measurement, in units of
        ``1 + sigma^2`` binned pixels.
    max_binning
        Largest number of pixels to average in each direction.
    """
    n = len(x)
    result = SmoothedMaxima(
        x.copy(),
        y.copy(),
        np.full(n, np.nan),
        np.full(n, np.nan),
        np.full(n, EDGE),
        np.zeros(n, dtype=bool),
        np.zeros(n),
    )
    _smoothed_maxima(
        image,
        variance,
        kernels,
        kernel_height,
        kernel_width,
        sigma,
        _fallback(),
        min_peak,
        width_factor,
        max_binning,
        *result,
    )
    return result


def _fallback() -> FloatArray:
    """Draw the Gaussian for sources near the edge."""
    offsets = np.arange(_FALLBACK_SIZE) - _FALLBACK_SIZE // 2
    profile = np.exp(-0.5 * (offsets / _FALLBACK_SIGMA) ** 2)
    image: FloatArray = profile[:, np.newaxis] * profile
    return image / image.sum()


class _Maximum(NamedTuple):
    """A maximum in smoothed pixels, relative to the central one."""

    state: int
    x: float
    y: float
    x_err: float
    y_err: float
    width_x: float
    """Squared width without the smoothing, pixel^2."""
    width_y: float
    peak: float


@kernel
def _smoothed_maxima(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    kernels: FloatArray,
    kernel_height: IntArray,
    kernel_width: IntArray,
    sigma: FloatArray,
    fallback: FloatArray,
    min_peak: float,
    width_factor: float,
    max_binning: int,
    x: FloatArray,
    y: FloatArray,
    x_err: FloatArray,
    y_err: FloatArray,
    state: IntArray,
    near_edge: BoolArray,
    reach: FloatArray,
) -> None:
    height, width = image.shape
    full_height, full_width = kernels.shape[1:]
    patch_shape = max(full_height, _FALLBACK_SIZE) + 2, max(full_width, _FALLBACK_SIZE) + 2
    values, noise = np.empty(patch_shape), np.empty(patch_shape)
    contiguous = np.empty(full_height * full_width)  # a copy, as kernels may be broadcast
    smooth, smooth_noise = np.empty((3, 3)), np.empty((3, 3))
    for i in range(len(x)):
        nearest_x, nearest_y = x[i] + 0.5, y[i] + 0.5
        if not (0.0 <= nearest_x < width and 0.0 <= nearest_y < height):
            continue
        if not sigma[i] > 0.0:
            state[i] = NO_PSF
            continue
        column, row = int(nearest_x), int(nearest_y)
        start_x, start_y = x[i], y[i]
        low_y = (full_height - kernel_height[i]) // 2
        low_x = (full_width - kernel_width[i]) // 2
        psf = contiguous[: kernel_height[i] * kernel_width[i]].reshape((kernel_height[i], kernel_width[i]))
        _copy(kernels[i], low_y, low_x, psf.shape[0], psf.shape[1], psf)
        smoothing = sigma[i]
        bin_x = bin_y = binning = 1
        found = _Maximum(GOOD, 0.0, 0.0, np.nan, np.nan, np.nan, np.nan, np.nan)
        while binning <= max_binning:
            if not _is_inside(row, bin_y, psf.shape[0], height) or not _is_inside(
                column, bin_x, psf.shape[1], width
            ):
                psf, smoothing = fallback, _FALLBACK_SIGMA
                near_edge[i] = True
                if not _is_inside(row, bin_y, psf.shape[0], height) or not _is_inside(
                    column, bin_x, psf.shape[1], width
                ):
                    state[i] = EDGE
                    near_edge[i] = False
                    break
            reach[i] = max(reach[i], bin_x * (psf.shape[1] // 2 + 3), bin_y * (psf.shape[0] // 2 + 3))
            _average(image, variance, row, column, bin_y, bin_x, psf.shape[0] + 2, psf.shape[1] + 2, values, noise)
            _smooth(values, noise, psf, smooth, smooth_noise)
            # What one pixel's variance would be, before binning and smoothing.
            smooth_noise *= bin_x * bin_y * 4.0 * math.pi * smoothing * smoothing
            found = _maximum(smooth, smooth_noise, smoothing)
            state[i] = found.state
            if found.state != GOOD:
                break
            # The central binned pixel begins with the central pixel.
            shift_x = (found.x + 0.5) * bin_x - 0.5
            shift_y = (found.y + 0.5) * bin_y - 0.5
            x_err[i], y_err[i] = found.x_err * bin_x, found.y_err * bin_y
            x[i], y[i] = column + shift_x, row + shift_y
            if near_edge[i]:
                state[i] = NEAR_EDGE
                break
            limit = width_factor * (1.0 + smoothing * smoothing)
            is_wide_x = not (found.width_x < limit and shift_x * shift_x < limit * bin_x * bin_x)
            is_wide_y = not (found.width_y < limit and shift_y * shift_y < limit * bin_y * bin_y)
            if not (is_wide_x or is_wide_y) and (binning > 1 or min_peak < 0.0 or found.peak > min_peak):
                break
            bin_x *= 2 if is_wide_x else 1
            bin_y *= 2 if is_wide_y else 1
            binning *= 2
        if state[i] != GOOD and state[i] != NEAR_EDGE:
            x[i], y[i] = start_x, start_y
            x_err[i] = y_err[i] = np.nan


@kernel
def _copy(image: FloatValues, row: int, column: int, n_rows: int, n_columns: int, patch: FloatArray) -> None:
    for y in range(n_rows):
        for x in range(n_columns):
            patch[y, x] = image[row + y, column + x]


@kernel
def _is_inside(centre: int, binning: int, kernel_size: int, size: int) -> bool:
    """Tell whether the image has all pixels of the original's cut-out, which is larger than it needs."""
    first = centre - binning * (2 + kernel_size // 2)
    return first >= 0 and first + binning * (kernel_size + 4) <= size


@kernel
def _average(
    image: FloatValues,
    variance: FloatValues,
    row: int,
    column: int,
    bin_y: int,
    bin_x: int,
    n_rows: int,
    n_columns: int,
    values: FloatArray,
    noise: FloatArray,
) -> None:
    """Fill patches with means of blocks of pixels, and their variances; the middle block starts at the centre."""
    first_row, first_column = row - bin_y * (n_rows // 2), column - bin_x * (n_columns // 2)
    if bin_x == 1 and bin_y == 1:
        _copy(image, first_row, first_column, n_rows, n_columns, values)
        _copy(variance, first_row, first_column, n_rows, n_columns, noise)
        return
    n_pixels = float(bin_x * bin_y)
    for j in range(n_rows):
        for i in range(n_columns):
            total = total_noise = 0.0
            for y in range(first_row + j * bin_y, first_row + (j + 1) * bin_y):
                for x in range(first_column + i * bin_x, first_column + (i + 1) * bin_x):
                    total += image[y, x]
                    total_noise += variance[y, x]
            values[j, i] = total / n_pixels
            noise[j, i] = total_noise / (n_pixels * n_pixels)


@kernel
def _smooth(
    values: FloatArray, noise: FloatArray, psf: FloatArray, smooth: FloatArray, smooth_noise: FloatArray
) -> None:
    """Correlate patches with a PSF, and with its square, at the 3 x 3 central pixels."""
    height, width = psf.shape
    for j in range(3):
        for i in range(3):
            total = total_noise = 0.0
            for y in range(height):
                v, n, p = values[y + j, i : i + width], noise[y + j, i : i + width], psf[y]
                for x in range(width):
                    total += p[x] * v[x]
                    total_noise += p[x] * p[x] * n[x]
            smooth[j, i], smooth_noise[j, i] = total, total_noise


@kernel
def _maximum(smooth: FloatArray, noise: FloatArray, sigma: float) -> _Maximum:
    """Find the maximum of 3 x 3 pixels that were smoothed by ``sigma``; ``noise`` is of unsmoothed ones."""
    centre = smooth[1, 1]
    curvature_x = 2.0 * centre - smooth[1, 0] - smooth[1, 2]
    curvature_y = 2.0 * centre - smooth[0, 1] - smooth[2, 1]
    slope_x, slope_y = 0.5 * (smooth[1, 2] - smooth[1, 0]), 0.5 * (smooth[2, 1] - smooth[0, 1])
    if curvature_x == 0.0 or curvature_y == 0.0:
        return _Maximum(NO_SECOND_DERIVATIVE, 0.0, 0.0, np.nan, np.nan, np.nan, np.nan, np.nan)
    if curvature_x < 0.0 or curvature_y < 0.0:
        return _Maximum(NOT_AT_MAXIMUM, 0.0, 0.0, np.nan, np.nan, np.nan, np.nan, np.nan)
    parabola_x, parabola_y = slope_x / curvature_x, slope_y / curvature_y
    if abs(parabola_x) > _LARGEST_SHIFT or abs(parabola_y) > _LARGEST_SHIFT:
        return _Maximum(NO_SECOND_DERIVATIVE, 0.0, 0.0, np.nan, np.nan, np.nan, np.nan, np.nan)
    peak = centre + 0.5 * (slope_x * parabola_x + slope_y * parabola_y)
    x, y = parabola_x, parabola_y
    width_x, width_y = peak / curvature_x, peak / curvature_y
    quartic = _QUARTIC
    below_x = _stripe_maximum(smooth[0, 0], smooth[0, 1], smooth[0, 2])
    middle_x = _stripe_maximum(smooth[1, 0], smooth[1, 1], smooth[1, 2])
    above_x = _stripe_maximum(smooth[2, 0], smooth[2, 1], smooth[2, 2])
    left_y = _stripe_maximum(smooth[0, 0], smooth[1, 0], smooth[2, 0])
    middle_y = _stripe_maximum(smooth[0, 1], smooth[1, 1], smooth[2, 1])
    right_y = _stripe_maximum(smooth[0, 2], smooth[1, 2], smooth[2, 2])
    if math.isnan(below_x + middle_x + above_x + left_y + middle_y + right_y):
        quartic = 0.0
    else:
        # Where the ridges through the stripes' maxima cross, in two steps from the parabola's maximum.
        tilt_x, bend_x = 0.5 * (above_x - below_x), middle_x - 0.5 * (below_x + above_x)
        tilt_y, bend_y = 0.5 * (right_y - left_y), middle_y - 0.5 * (left_y + right_y)
        nearly_x = middle_x + parabola_y * (tilt_x - parabola_y * bend_x)
        nearly_y = middle_y + parabola_x * (tilt_y - parabola_x * bend_y)
        x = middle_x + nearly_y * (tilt_x - nearly_y * bend_x)
        y = middle_y + nearly_x * (tilt_y - nearly_x * bend_y)
        width_x -= (1.0 + 6.0 * parabola_x * parabola_x) / 4.0
        width_y -= (1.0 + 6.0 * parabola_y * parabola_y) / 4.0
    sky_noise = (noise.sum() - noise[1, 1]) / 8.0
    return _Maximum(
        GOOD,
        x,
        y,
        _error(sky_noise, noise[1, 1], peak, slope_x, curvature_x, sigma, quartic),
        _error(sky_noise, noise[1, 1], peak, slope_y, curvature_y, sigma, quartic),
        max(width_x - sigma * sigma, sigma * sigma),
        max(width_y - sigma * sigma, sigma * sigma),
        peak,
    )


@kernel
def _stripe_maximum(before: float, centre: float, after: float) -> float:
    """Return the maximum of a Gaussian through three pixels, to fourth order; NaN if there is none within one."""
    down, up = centre - after, centre - before
    curvature = down + up
    if not (curvature > 0.0 and centre > 0.0):
        return np.nan
    place = 0.5 * (after - before) / curvature * (1.0 + _QUARTIC * down * up / (curvature * centre))
    return place if abs(place) < 1.0 else np.nan


@kernel
def _error(
    sky_noise: float,
    source_noise: float,
    peak: float,
    slope: float,
    curvature: float,
    sigma: float,
    quartic: float,
) -> float:
    """Propagate the variances of slope and curvature, which smoothing correlates, to a maximum."""
    smallest = float(np.finfo(np.float32).tiny)
    if abs(peak) < smallest or abs(curvature) < smallest:
        return _UNKNOWN_ERROR
    area = math.pi * sigma * sigma
    fourth, third = math.exp(-0.25 / (sigma * sigma)), math.exp(-1.0 / (3.0 * sigma * sigma))
    whole = math.exp(-1.0 / (sigma * sigma))
    slope_variance = sky_noise / (8.0 * area) * (1.0 - whole)
    slope_variance += source_noise / (12.0 * area) * (third - whole)
    curvature_variance = sky_noise / (2.0 * area) * (3.0 - 4.0 * fourth + whole)
    curvature_variance += source_noise / (3.0 * area) * (2.0 - 3.0 * third + whole)
    ratio = slope / curvature
    by_slope = 1.0 / curvature + quartic / (4.0 * peak) * (1.0 - 12.0 * ratio * ratio)
    by_curvature = ratio / curvature - quartic / (4.0 * peak) * 8.0 * ratio * ratio / curvature
    squared = slope_variance * by_slope * by_slope + curvature_variance * by_curvature * by_curvature
    return math.sqrt(squared) if squared >= 0.0 else np.nan
