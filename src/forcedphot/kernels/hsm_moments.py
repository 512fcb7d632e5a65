"""Adaptive moments as galsim.hsm finds them (Hirata & Seljak 2003, MNRAS 343, 459), for many sources at once."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import FloatArray, IntArray
from .compiling import kernel

# The settings of galsim.hsm.HSMParams() that the pipelines use.
_MAX_ITERATIONS = 400
_CONVERGED = 1e-6  # change of the weight in a step, relative to its size
_LARGEST_STEP = 0.25  # likewise
_LARGEST_MOMENT = 8000.0  # pixel^2
_LARGEST_SHIFT = 15.0  # pixels
_LARGEST_RADIUS_SQUARED = -2.0 * math.log(_CONVERGED / 10.0)  # beyond it, in units of the weight's, nothing counts


class HsmMoments(NamedTuple):
    """Results for n images, each of shape (n,); all NaN where the iteration fails."""

    x: FloatArray
    """Centre of the weight, in the frame of the given centres."""
    y: FloatArray
    xx: FloatArray
    """Second moments, pixel^2; NaN also where they are those of no ellipse."""
    yy: FloatArray
    xy: FloatArray
    flux: FloatArray
    """Of the matching Gaussian: twice the weighted sum."""

    @classmethod
    def failed(cls, n: int) -> "HsmMoments":
        """Make the arrays, filled with NaN."""
        return cls(*(np.full(n, np.nan) for _ in cls._fields))


def hsm_source_moments(
    image: npt.NDArray[np.float32],
    mask: npt.NDArray[np.integer[Any]],
    bad_bits: int,
    boxes: IntArray,
    x: FloatArray,
    y: FloatArray,
    sigma: FloatArray,
    *,
    is_round: bool,
) -> HsmMoments:
    """Measure the adaptive moments of sources, each in its box.

    The weight is a Gaussian whose centre and size, and unless ``is_round`` whose shape, are changed
    step by step until they are the source's own.

    Parameters
    ----------
    image
        Shape (height, width).
    mask
        Bit image of the same shape; not looked at where ``bad_bits`` is 0.
    bad_bits
        Pixels with any of these mask bits count as 0.
    boxes
        Shape (n, 4): first column, first row, last column, last row, as array indices; what is not
        on the image is left out.
    x, y
        First centres in array coordinates, shape (n,); sources whose box lacks the nearest pixel fail.
    sigma
        First sizes, pixels, shape (n,).
    is_round
        Whether the weight is a circle: the moments are then its size with the ellipticity that the
        source has under it.
    """
    height, width = image.shape
    low = np.maximum(boxes[:, :2], 0)
    high = np.minimum(boxes[:, 2:], (width - 1, height - 1))
    result = HsmMoments.failed(len(x))
    signed_bits = int(np.uint64(bad_bits).astype(np.int64))  # bit 63 is the sign
    _hsm_source_moments(image, mask, signed_bits, low, high, x, y, sigma, is_round, *result)
    return result


def hsm_stamp_moments(
    images: FloatArray,
    x0: IntArray,
    y0: IntArray,
    height: IntArray,
    width: IntArray,
    x: FloatArray,
    y: FloatArray,
    sigma: FloatArray,
    *,
    is_round: bool,
) -> HsmMoments:
    """Measure the adaptive moments of stamps, as `hsm_source_moments` does those of sources.

    Parameters
    ----------
    images
        Shape (n, h, w); may be a broadcast of fewer images.
    x0, y0
        Column and row of each stamp's first pixel, shape (n,).
    height, width
        Shape (n,): sizes of the stamps, each in the middle of its array and an even number of pixels
        smaller.
    x, y, sigma, is_round
        As `hsm_source_moments` takes them, in the frame of ``x0`` and ``y0``.
    """
    result = HsmMoments.failed(len(x))
    _hsm_stamp_moments(images, x0, y0, height, width, x, y, sigma, is_round, *result)
    return result


@kernel
def _hsm_source_moments(
    image: npt.NDArray[np.float32],
    mask: npt.NDArray[np.integer[Any]],
    bad_bits: int,
    low: IntArray,
    high: IntArray,
    x: FloatArray,
    y: FloatArray,
    sigma: FloatArray,
    is_round: bool,
    out_x: FloatArray,
    out_y: FloatArray,
    out_xx: FloatArray,
    out_yy: FloatArray,
    out_xy: FloatArray,
    out_flux: FloatArray,
) -> None:
    size = 0
    for i in range(len(x)):
        size = max(size, (high[i, 0] - low[i, 0] + 1) * (high[i, 1] - low[i, 1] + 1))
    pixels = np.empty(size)
    for i in range(len(x)):
        x0, y0 = low[i, 0], low[i, 1]
        height, width = high[i, 1] - y0 + 1, high[i, 0] - x0 + 1
        if height < 1 or width < 1:
            continue
        for row in range(height):
            for column in range(width):
                is_bad = bad_bits != 0 and mask[y0 + row, x0 + column] & bad_bits != 0
                pixels[row * width + column] = 0.0 if is_bad else image[y0 + row, x0 + column]
        found = _moments(pixels[: height * width], width, x[i] - x0, y[i] - y0, sigma[i], is_round)
        out_x[i], out_y[i] = found[0] + x0, found[1] + y0
        out_xx[i], out_yy[i], out_xy[i], out_flux[i] = found[2], found[3], found[4], found[5]


@kernel
def _hsm_stamp_moments(
    images: FloatArray,
    x0: IntArray,
    y0: IntArray,
    height: IntArray,
    width: IntArray,
    x: FloatArray,
    y: FloatArray,
    sigma: FloatArray,
    is_round: bool,
    out_x: FloatArray,
    out_y: FloatArray,
    out_xx: FloatArray,
    out_yy: FloatArray,
    out_xy: FloatArray,
    out_flux: FloatArray,
) -> None:
    _, array_height, array_width = images.shape
    pixels = np.empty(array_height * array_width)
    for i in range(len(x)):
        first_row, first_column = (array_height - height[i]) // 2, (array_width - width[i]) // 2
        for row in range(height[i]):
            for column in range(width[i]):
                pixels[row * width[i] + column] = images[i, first_row + row, first_column + column]
        found = _moments(pixels[: height[i] * width[i]], width[i], x[i] - x0[i], y[i] - y0[i], sigma[i], is_round)
        out_x[i], out_y[i] = found[0] + x0[i], found[1] + y0[i]
        out_xx[i], out_yy[i], out_xy[i], out_flux[i] = found[2], found[3], found[4], found[5]


@kernel
def _moments(
    pixels: FloatArray, width: int, x: float, y: float, sigma: float, is_round: bool
) -> tuple[float, float, float, float, float, float]:
    """Return x, y, xx, yy, xy and flux of an image, whose rows lie one after the other in ``pixels``."""
    height = len(pixels) // width
    if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5 and 0.0 < sigma < np.inf):
        return np.nan, np.nan, np.nan, np.nan, np.nan, np.nan
    if is_round:
        x, y, sigma, e1, e2, total = _round_weight(pixels, width, x, y, sigma)
        roundness_squared = 1.0 - e1 * e1 - e2 * e2
        mean = sigma * sigma / math.sqrt(roundness_squared) if roundness_squared > 0.0 else np.nan
        return x, y, mean * (1.0 + e1), mean * (1.0 - e1), mean * e2, 2.0 * total
    x, y, xx, yy, xy, total = _elliptical_weight(pixels, width, x, y, sigma)
    if not xx * yy - xy * xy > 0.0:
        xx = yy = xy = np.nan
    return x, y, xx, yy, xy, 2.0 * total


@kernel
def _elliptical_weight(
    pixels: FloatArray, width: int, x: float, y: float, sigma: float
) -> tuple[float, float, float, float, float, float]:
    """Return x, y, xx, yy and xy of the weight that matches the image, and the weighted sum."""
    failed = np.nan, np.nan, np.nan, np.nan, np.nan, np.nan
    columns, rows = np.empty(len(pixels)), np.empty(len(pixels))
    for i in range(len(pixels)):
        columns[i], rows[i] = i % width, i // width
    first_x, first_y = x, y
    xx = yy = sigma * sigma
    xy = 0.0
    for _ in range(_MAX_ITERATIONS):
        determinant = xx * yy - xy * xy
        if not (xx > 0.0 and yy > 0.0 and 0.0 < determinant < np.inf):
            return failed
        total, sum_x, sum_y, sum_xx, sum_yy, sum_xy = _weighted_sums(
            pixels, columns, rows, width, x, y, xx, yy, xy
        )
        minor = 0.5 * (xx + yy - math.hypot(xx - yy, 2.0 * xy))  # of the weight's variances along its axes
        if not minor > 0.0:
            return failed
        length = math.sqrt(minor)
        step_x = _bounded(2.0 * sum_x / (total * length))
        step_y = _bounded(2.0 * sum_y / (total * length))
        step_xx = _bounded((4.0 * sum_xx / total - 2.0 * xx) / minor)
        step_yy = _bounded((4.0 * sum_yy / total - 2.0 * yy) / minor)
        step_xy = _bounded((4.0 * sum_xy / total - 2.0 * xy) / minor)
        largest = max(abs(step_x), abs(step_y), abs(step_xx), abs(step_yy), abs(step_xy))
        x += step_x * length
        y += step_y * length
        xx += step_xx * minor
        yy += step_yy * minor
        xy += step_xy * minor
        if not (
            max(abs(xx), abs(yy), abs(xy)) <= _LARGEST_MOMENT
            and max(abs(x - first_x), abs(y - first_y)) <= _LARGEST_SHIFT
            and math.isfinite(step_x + step_y + step_xx + step_yy + step_xy)
        ):
            return failed
        if largest * max(sigma / length, 1.0) <= _CONVERGED:
            return x, y, xx, yy, xy, total
    return failed


@kernel
def _weighted_sums(
    pixels: FloatArray,
    columns: FloatArray,
    rows: FloatArray,
    width: int,
    x: float,
    y: float,
    xx: float,
    yy: float,
    xy: float,
) -> tuple[float, float, float, float, float, float]:
    """Return the sums of W I, W I dx, W I dy, W I dx^2, W I dy^2 and W I dx dy, d from the weight's centre."""
    determinant = xx * yy - xy * xy
    half_xx, half_yy, minus_xy = -0.5 * yy / determinant, -0.5 * xx / determinant, xy / determinant
    half_height = math.sqrt(_LARGEST_RADIUS_SQUARED * yy)
    first = max(math.ceil(y - half_height), 0) * width
    last = (math.floor(y + half_height) + 1) * width
    # Slices indexed from 0 need no check for negative indices, and so vectorise.
    values, at_x, at_y = pixels[first:last], columns[first:last], rows[first:last]
    total = sum_x = sum_y = sum_xx = sum_yy = sum_xy = 0.0
    for i in range(len(values)):
        dx, dy = at_x[i] - x, at_y[i] - y
        exponent = (half_xx * dx + minus_xy * dy) * dx + half_yy * dy * dy
        weighted = _exponential(exponent) * values[i]
        weighted = weighted if exponent >= -0.5 * _LARGEST_RADIUS_SQUARED else 0.0
        total += weighted
        sum_x += weighted * dx
        sum_y += weighted * dy
        sum_xx += weighted * dx * dx
        sum_yy += weighted * dy * dy
        sum_xy += weighted * dx * dy
    return total, sum_x, sum_y, sum_xx, sum_yy, sum_xy


@kernel
def _exponential(exponent: float) -> float:
    """Return exp of a number from -17 to 0, to a relative 1e-12: a polynomial, for exp does not vectorise."""
    t = exponent / 64.0
    value = 1.0 / 3628800.0
    value = value * t + 1.0 / 362880.0
    value = value * t + 1.0 / 40320.0
    value = value * t + 1.0 / 5040.0
    value = value * t + 1.0 / 720.0
    value = value * t + 1.0 / 120.0
    value = value * t + 1.0 / 24.0
    value = value * t + 1.0 / 6.0
    value = value * t + 0.5
    value = value * t + 1.0
    value = value * t + 1.0
    value *= value
    value *= value
    value *= value
    value *= value
    value *= value
    return value * value


@kernel
def _round_weight(
    pixels: FloatArray, width: int, x: float, y: float, sigma: float
) -> tuple[float, float, float, float, float, float]:
    """Return x, y and sigma of the weight that matches the image, e1 and e2 under it, and the weighted sum."""
    first_sigma = sigma
    weight, u = np.empty(width), np.empty(width)
    for _ in range(_MAX_ITERATIONS):
        total, mean_u, mean_v, mean_uu, mean_vv, _ = _round_means(pixels, x, y, sigma, weight, u)
        step_x, step_y = _bounded(2.0 * mean_u), _bounded(2.0 * mean_v)
        step_sigma = _bounded(mean_uu + mean_vv - 1.0)
        largest = max(abs(step_x), abs(step_y), abs(step_sigma)) * max(first_sigma / sigma, 1.0)
        x += step_x * sigma
        y += step_y * sigma
        sigma += step_sigma * sigma
        if not math.isfinite(x + y + sigma):
            break
        if largest <= _CONVERGED:
            total, mean_u, mean_v, mean_uu, mean_vv, mean_uv = _round_means(pixels, x, y, sigma, weight, u)
            return x, y, sigma, mean_uu - mean_vv, 2.0 * mean_uv, total
    return np.nan, np.nan, np.nan, np.nan, np.nan, np.nan


@kernel
def _round_means(
    pixels: FloatArray, x: float, y: float, sigma: float, weight: FloatArray, u: FloatArray
) -> tuple[float, float, float, float, float, float]:
    """Return the weighted sum, and the weighted means of u, v, u^2, v^2 and u v: offsets in units of sigma.

    ``weight`` and ``u`` are scratch space for a row.
    """
    width = len(u)
    for column in range(width):
        u[column] = (column - x) / sigma
        weight[column] = math.exp(-0.5 * u[column] * u[column])
    total = sum_u = sum_v = sum_uu = sum_vv = sum_uv = 0.0
    for row in range(len(pixels) // width):
        v = (row - y) / sigma
        weight_y = math.exp(-0.5 * v * v)
        values = pixels[row * width : (row + 1) * width]
        row_total = row_u = row_uu = 0.0
        for column in range(len(values)):
            weighted = weight[column] * values[column]
            row_total += weighted
            row_u += weighted * u[column]
            row_uu += weighted * u[column] * u[column]
        total += weight_y * row_total
        sum_u += weight_y * row_u
        sum_v += weight_y * row_total * v
        sum_uu += weight_y * row_uu
        sum_vv += weight_y * row_total * v * v
        sum_uv += weight_y * row_u * v
    return total, sum_u / total, sum_v / total, sum_uu / total, sum_vv / total, sum_uv / total


@kernel
def _bounded(step: float) -> float:
    """Limit a step; NaN stays NaN."""
    if step > _LARGEST_STEP:
        return _LARGEST_STEP
    return -_LARGEST_STEP if step < -_LARGEST_STEP else step
