"""The numpy twin of resampling: one pixel after the other."""

import numpy as np

from forcedphot.conventions import FloatArray, IntArray
from forcedphot.kernels.resampling import Integers


def bilinear(nodes: FloatArray, spacing: int, x: int, y: int) -> float:
    """Interpolate between the four nodes around a pixel."""
    row, column = min(y // spacing, len(nodes) - 2), min(x // spacing, nodes.shape[1] - 2)
    up, right = y / spacing - row, x / spacing - column
    corners = nodes[row : row + 2, column : column + 2]
    return float(np.array([1.0 - up, up]) @ corners @ np.array([1.0 - right, right]))


def resample(
    image: FloatArray,
    variance: FloatArray,
    bits: Integers,
    source_x: FloatArray,
    source_y: FloatArray,
    area: FloatArray,
    spacing: int,
    taps: FloatArray,
    shape: tuple[int, int],
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Weigh the square of pixels around each place."""
    size, n = taps.shape
    result, result_variance = np.full(shape, np.nan), np.full(shape, np.nan)
    result_bits = np.zeros(shape, dtype=np.int64)
    for y, x in np.ndindex(shape):
        place_x, place_y = bilinear(source_x, spacing, x, y), bilinear(source_y, spacing, x, y)
        if not np.isfinite(place_x + place_y):
            continue
        column, row = int(np.floor(place_x)), int(np.floor(place_y))
        first_column, first_row = column - n // 2 + 1, row - n // 2 + 1
        part = np.s_[first_row : first_row + n, first_column : first_column + n]
        if first_row < 0 or first_column < 0 or image[part].shape != (n, n):
            continue
        weights = np.outer(taps[int((place_y - row) * size)], taps[int((place_x - column) * size)])
        weights = weights * bilinear(area, spacing, x, y)
        result[y, x] = (weights * image[part]).sum()
        result_variance[y, x] = (weights**2 * variance[part]).sum()
        result_bits[y, x] = np.bitwise_or.reduce(bits[part], axis=None)
    return result, result_variance, result_bits
