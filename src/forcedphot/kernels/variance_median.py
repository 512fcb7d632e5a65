"""Medians of the variance within ellipses."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import FloatArray, IntArray
from .compiling import kernel
from .order_statistics import put_into_bins, quantile, workspace


class VarianceMedians(NamedTuple):
    """The variance around n sources, arrays of shape (n,)."""

    median: FloatArray
    """NaN where no pixel is left, or the variance of one is NaN."""
    n_pixels: IntArray
    """Good pixels in the ellipse."""


def variance_medians(
    variance: npt.NDArray[np.float32],
    mask: npt.NDArray[np.integer[Any]],
    bad_bits: int,
    x: FloatArray,
    y: FloatArray,
    moments: FloatArray,
) -> VarianceMedians:
    """Find the median variance of the pixels in the ellipse d^T Q^-1 d <= 1 about each source.

    Parameters
    ----------
    variance
        Shape (height, width).
    mask
        Bit image of the same shape; may be empty if ``bad_bits`` is 0.
    bad_bits
        Pixels with any of these bits are left out.
    x, y
        Centres in array coordinates, shape (n,), finite.
    moments
        Second moments Q, shape (n, 3): xx, yy, xy, pixel^2. Where they are no ellipse (NaN) there are no pixels.
    """
    median, n_pixels = np.full(len(x), np.nan), np.zeros(len(x), dtype=np.int64)
    _variance_medians(
        variance, mask, mask.dtype.type(bad_bits), x, y, np.ascontiguousarray(moments), median, n_pixels
    )
    return VarianceMedians(median, n_pixels)


@kernel
def _variance_medians(
    variance: npt.NDArray[np.float32],
    mask: npt.NDArray[np.integer[Any]],
    bad_bits: Any,
    x: FloatArray,
    y: FloatArray,
    moments: FloatArray,
    median: FloatArray,
    n_pixels: IntArray,
) -> None:
    height, width = variance.shape
    space = workspace(0)
    for i in range(len(x)):
        xx, yy, xy = moments[i, 0], moments[i, 1], moments[i, 2]
        determinant = xx * yy - xy * xy
        # Also false for NaN and infinity.
        if not (0.0 < determinant < np.inf and 0.0 < xx < np.inf):
            continue
        half_height, half_width = math.sqrt(yy), math.sqrt(xx)
        first_row = int(max(math.ceil(y[i] - half_height), 0.0))
        last_row = int(min(math.floor(y[i] + half_height), height - 1.0))
        first_column = int(max(math.ceil(x[i] - half_width), 0.0))
        last_column = int(min(math.floor(x[i] + half_width), width - 1.0))
        # A column more than the box has, in case a square root is rounded up.
        room = max(last_row - first_row + 1, 0) * (max(last_column - first_column + 1, 0) + 1)
        if room > len(space.values):
            space = workspace(room)
        values = space.values
        n = n_nan = 0
        for row in range(first_row, last_row + 1):
            dy = row - y[i]
            half_width = math.sqrt(max(determinant * (yy - dy * dy), 0.0)) / yy
            middle = x[i] + dy * xy / yy
            start = int(max(math.ceil(middle - half_width), 0.0))
            stop = int(min(math.floor(middle + half_width), width - 1.0)) + 1
            for column in range(start, stop):
                value = variance[row, column]
                is_good = bad_bits == 0 or (mask[row, column] & bad_bits) == 0
                values[n] = value
                n += is_good
                n_nan += is_good and value != value
        n_pixels[i] = n
        if n > 0 and n_nan == 0:
            put_into_bins(space, n)
            median[i] = quantile(space, n, 0.5)
