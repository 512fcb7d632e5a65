"""Moments of higher order of sources and stamps, in the frame in which their second moments are a circle's."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..conventions import FloatArray, IntArray
from .compiling import kernel


def moment_orders(min_order: int, max_order: int) -> list[tuple[int, int]]:
    """List the orders (p, q) in x and y of all moments whose order p + q is in a range, both ends included."""
    return [(p, order - p) for order in range(min_order, max_order + 1) for p in range(order + 1)]


def source_higher_moments(
    image: npt.NDArray[np.float32],
    mask: npt.NDArray[np.integer[Any]],
    bad_bits: int,
    boxes: IntArray,
    x: FloatArray,
    y: FloatArray,
    moments: FloatArray,
    orders: list[tuple[int, int]],
    *,
    is_bad_zero: bool,
) -> FloatArray:
    """Measure the weighted means of u^p v^q of sources, each in its box.

    (u, v) is M^(-1/2) times the distance from the centre, for the second moments M, and the weight is the image
    times W = exp(-(u^2 + v^2) / 2).

    Parameters
    ----------
    image
        Shape (height, width).
    mask
        Bit image of the same shape; not looked at where ``bad_bits`` is 0.
    bad_bits
        Pixels with any of these mask bits are bad.
    boxes
        Shape (n, 4): first column, first row, last column, last row, as array indices; what is not
        on the image is left out.
    x, y
        Centres in array coordinates, shape (n,).
    moments
        Second moments, shape (n, 3): xx, yy, xy, pixel^2.
    orders
        The m pairs (p, q).
    is_bad_zero
        Whether bad pixels count as 0; if not, they count as W, scaled to the sum of the others.

    Returns
    -------
    Shape (n, m); NaN where the second moments are no ellipse or there is nothing under the weight.
    """
    height, width = image.shape
    low = np.maximum(boxes[:, :2], 0)
    high = np.minimum(boxes[:, 2:], (width - 1, height - 1))
    result = np.full((len(x), len(orders)), np.nan)
    signed_bits = int(np.uint64(bad_bits).astype(np.int64))  # bit 63 is the sign
    powers = np.array(orders, dtype=np.int64).reshape(-1, 2)
    _source_higher_moments(image, mask, signed_bits, low, high, x, y, moments, powers, is_bad_zero, result)
    return result


def stamp_higher_moments(
    images: FloatArray,
    x: FloatArray,
    y: FloatArray,
    heights: IntArray,
    widths: IntArray,
    moments: FloatArray,
    orders: list[tuple[int, int]],
) -> FloatArray:
    """Measure stamps, as `source_higher_moments` does sources.

    Parameters
    ----------
    images
        Shape (n, h, w).
    x, y
        Centres relative to the middle pixel, shape (n,).
    heights, widths
        Shape (n,): sizes of the stamps, each in the middle of its array and an even number of pixels
        smaller.
    moments, orders
        As `source_higher_moments` takes them.
    """
    result = np.full((len(x), len(orders)), np.nan)
    powers = np.array(orders, dtype=np.int64).reshape(-1, 2)
    _stamp_higher_moments(images, x, y, heights, widths, moments, powers, result)
    return result


@kernel
def _source_higher_moments(
    image: npt.NDArray[np.float32],
    mask: npt.NDArray[np.integer[Any]],
    bad_bits: int,
    low: IntArray,
    high: IntArray,
    x: FloatArray,
    y: FloatArray,
    moments: FloatArray,
    powers: IntArray,
    is_bad_zero: bool,
    result: FloatArray,
) -> None:
    for i in range(len(x)):
        x0, y0 = low[i, 0], low[i, 1]
        height, width = high[i, 1] - y0 + 1, high[i, 0] - x0 + 1
        if height < 1 or width < 1:
            continue
        pixels, is_good = np.empty((height, width)), np.ones((height, width), dtype=np.bool_)
        for row in range(height):
            for column in range(width):
                pixels[row, column] = image[y0 + row, x0 + column]
                if bad_bits != 0 and mask[y0 + row, x0 + column] & bad_bits != 0:
                    is_good[row, column] = False
        _higher_moments(pixels, is_good, x[i] - x0, y[i] - y0, moments[i], powers, is_bad_zero, result[i])


@kernel
def _stamp_higher_moments(
    images: FloatArray,
    x: FloatArray,
    y: FloatArray,
    heights: IntArray,
    widths: IntArray,
    moments: FloatArray,
    powers: IntArray,
    result: FloatArray,
) -> None:
    _, array_height, array_width = images.shape
    is_good = np.ones((array_height, array_width), dtype=np.bool_)
    for i in range(len(x)):
        height, width = heights[i], widths[i]
        top, left = (array_height - height) // 2, (array_width - width) // 2
        pixels = images[i, top : top + height, left : left + width]
        middle_x, middle_y = float(width // 2), float(height // 2)
        _higher_moments(
            pixels, is_good[:height, :width], middle_x + x[i], middle_y + y[i], moments[i], powers, True, result[i]
        )


@kernel
def _higher_moments(
    pixels: FloatArray,
    is_good: npt.NDArray[np.bool_],
    x: float,
    y: float,
    moments: FloatArray,
    powers: IntArray,
    is_bad_zero: bool,
    result: FloatArray,
) -> None:
    """Fill the moments of an image whose centre is at x, y in its array coordinates."""
    xx, yy, xy = moments[0], moments[1], moments[2]
    determinant = xx * yy - xy * xy
    if not (xx > 0.0 and yy > 0.0 and 0.0 < determinant < np.inf and math.isfinite(x) and math.isfinite(y)):
        return
    # The inverse of the square root of the matrix (Hirata & Seljak 2003, equation 6).
    root = math.sqrt(determinant)
    scale = 1.0 / math.sqrt(determinant * (xx + yy + 2.0 * root))
    u_x, v_y, cross = scale * (yy + root), scale * (xx + root), -scale * xy
    height, width = pixels.shape
    weights = np.empty((height, width))
    good_flux = good_weight = 0.0
    for row in range(height):
        for column in range(width):
            u = u_x * (column - x) + cross * (row - y)
            v = cross * (column - x) + v_y * (row - y)
            weights[row, column] = math.exp(-0.5 * (u * u + v * v))
            if is_good[row, column]:
                good_flux += pixels[row, column]
                good_weight += weights[row, column]
    filling = 0.0 if is_bad_zero or good_weight == 0.0 else good_flux / good_weight
    largest = powers.max() if len(powers) > 0 else 0
    u_powers, v_powers = np.ones(largest + 1), np.ones(largest + 1)
    sums = np.zeros(len(powers))
    total = 0.0
    for row in range(height):
        for column in range(width):
            u = u_x * (column - x) + cross * (row - y)
            v = cross * (column - x) + v_y * (row - y)
            weight = weights[row, column]
            value = weight * (pixels[row, column] if is_good[row, column] else weight * filling)
            for k in range(largest):
                u_powers[k + 1], v_powers[k + 1] = u_powers[k] * u, v_powers[k] * v
            total += value
            for k in range(len(powers)):
                sums[k] += value * u_powers[powers[k, 0]] * v_powers[powers[k, 1]]
    if total != 0.0:
        for k in range(len(powers)):
            result[k] = sums[k] / total
