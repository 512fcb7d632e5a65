"""Convolution of parts of an image with Gaussians."""

import math

import numpy as np
import numpy.typing as npt

from ..conventions import FloatArray
from .compiling import kernel


@kernel
def gaussian_taps(sigma: float, half_width: int, taps: FloatArray) -> None:
    """Fill ``taps[k] = exp(-k^2 / (2 sigma^2))``, k from 0 to half_width, so that both sides sum to 1."""
    taps[0] = 1.0
    total = 1.0
    for k in range(1, half_width + 1):
        taps[k] = math.exp(-0.5 * (k / sigma) * (k / sigma))
        total += 2.0 * taps[k]
    for k in range(half_width + 1):
        taps[k] /= total


@kernel
def convolve_block(
    plane: npt.NDArray[np.float32],
    taps: FloatArray,
    half_width: int,
    row: int,
    column: int,
    scratch: FloatArray,
    result: FloatArray,
) -> None:
    """Fill ``result[y, x] = sum_kl taps[|k|] taps[|l|] plane[row + y + k, column + x + l]``.

    k and l run from -half_width to half_width, and all those pixels must exist.

    Parameters
    ----------
    plane
        Shape (height, width).
    taps
        Shape (half_width + 1,) at least.
    half_width
        Pixels.
    row, column
        Array indices of the result's first pixel.
    scratch
        Shape (3 (h + 2 half_width) (w + 2 half_width),) at least.
    result
        Shape (h, w).
    """
    height, width = result.shape
    # Rows follow each other in flat arrays, margins included, so that one long loop runs through all.
    stride = width + 2 * half_width
    n_rows = height + 2 * half_width
    padded, sums_y, sums_xy = scratch, scratch[n_rows * stride :], scratch[2 * n_rows * stride :]
    for y in range(n_rows):
        values = plane[row - half_width + y, column - half_width : column + width + half_width]
        copied = padded[y * stride : (y + 1) * stride]
        for x in range(stride):
            copied[x] = values[x]
    n = height * stride
    _weigh_both_sides(padded, taps, half_width, stride, sums_y[:n])
    _weigh_both_sides(sums_y, taps, half_width, 1, sums_xy[: n - 2 * half_width])
    for y in range(height):
        result[y] = sums_xy[y * stride : y * stride + width]


@kernel
def _weigh_both_sides(
    values: FloatArray, taps: FloatArray, half_width: int, step: int, result: FloatArray
) -> None:
    """Fill ``result[x] = sum_k taps[|k|] values[x + (half_width + k) step]``."""
    n = len(result)
    center = values[half_width * step :]
    for x in range(n):
        result[x] = taps[0] * center[x]
    k = 1
    # Four taps at a time, so that the sums are read and written less often.
    while k + 3 <= half_width:
        first, last = (half_width - k) * step, (half_width + k) * step
        a0, a1, a2, a3 = (
            values[first:],
            values[first - step :],
            values[first - 2 * step :],
            values[first - 3 * step :],
        )
        b0, b1, b2, b3 = values[last:], values[last + step :], values[last + 2 * step :], values[last + 3 * step :]
        t0, t1, t2, t3 = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
        for x in range(n):
            result[x] += t0 * (a0[x] + b0[x]) + t1 * (a1[x] + b1[x]) + t2 * (a2[x] + b2[x]) + t3 * (a3[x] + b3[x])
        k += 4
    while k <= half_width:
        a0, b0 = values[(half_width - k) * step :], values[(half_width + k) * step :]
        t0 = taps[k]
        for x in range(n):
            result[x] += t0 * (a0[x] + b0[x])
        k += 1
