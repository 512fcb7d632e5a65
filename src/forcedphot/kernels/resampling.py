"""Images resampled onto another grid of pixels, with their variances and mask bits."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..conventions import FloatArray, FloatValues, IntArray
from .compiling import kernel

type Integers = npt.NDArray[np.integer[Any]]


def resample(
    image: FloatValues,
    variance: FloatValues,
    bits: Integers,
    source_x: FloatArray,
    source_y: FloatArray,
    area: FloatArray,
    spacing: int,
    taps: FloatArray,
    shape: tuple[int, int],
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Interpolate an image at the places of another image's pixels, and keep the flux of sources.

    The place of a pixel, and its area, are interpolated bilinearly between nodes. The pixel is the sum of the
    image's pixels near that place, weighted with the taps and the area; its variance is the sum of theirs with
    the weights squared. Neighbours share pixels, so their errors are correlated (afw's warpImage).

    Parameters
    ----------
    image, variance
        Shape (height, width).
    bits
        Mask of the image, of the same shape.
    source_x, source_y
        Places of the nodes in the image's array, pixels, shape (rows, columns). Node (i, j) is the pixel
        (i, j) * spacing of the result.
    area
        Of a pixel of the result at each node, in pixels of the image.
    spacing
        Pixels from node to node.
    taps
        What `forcedphot.kernels.warp.tap_table` returns.
    shape
        Of the result; its last pixels lie on the last nodes, or before them.

    Returns
    -------
    Pixels and their variances, NaN where the image does not have all the pixels that are weighted; and the union
    of the bits of these, 0 there.
    """
    n_taps = taps.shape[1]
    result, result_variance = np.full(shape, np.nan), np.full(shape, np.nan)
    result_bits = np.zeros(shape, dtype=np.int64)
    if min(image.shape) >= n_taps:
        _compiled(n_taps)(
            np.ascontiguousarray(image),
            np.ascontiguousarray(variance),
            unions(bits, n_taps).astype(np.int64),
            np.ascontiguousarray(source_x),
            np.ascontiguousarray(source_y),
            np.ascontiguousarray(area),
            spacing,
            taps.ravel(),
            result,
            result_variance,
            result_bits,
        )
    return result, result_variance, result_bits


def unions(bits: Integers, size: int) -> Integers:
    """Return the union of the bits of every square of pixels that is inside an image.

    Parameters
    ----------
    bits
        Shape (height, width).
    size
        Of the squares.

    Returns
    -------
    Shape (height - size + 1, width - size + 1), by the square's first pixel.
    """
    for axis in (0, 1):
        n = bits.shape[axis] - size + 1
        joined = bits.take(range(n), axis)
        for step in range(1, size):
            joined |= bits.take(range(step, step + n), axis)
        bits = joined
    return bits


@cache
def _compiled(n_taps: int) -> Callable[..., None]:
    """Return the kernel for a number of taps, a constant in it: so that loops over taps are unrolled."""
    tap_count = np.uint64(n_taps)
    before = n_taps // 2 - 1

    @kernel
    def fill(
        image: FloatValues,
        variance: FloatValues,
        bits: IntArray,
        source_x: FloatArray,
        source_y: FloatArray,
        area: FloatArray,
        spacing: int,
        taps: FloatArray,
        result: FloatArray,
        result_variance: FloatArray,
        result_bits: IntArray,
    ) -> None:
        height, width = image.shape
        pixels, variances = image.reshape(image.size), variance.reshape(variance.size)
        size = len(taps) // n_taps
        n_rows, n_columns = source_x.shape
        node_x, node_y, node_area = np.empty(n_columns), np.empty(n_columns), np.empty(n_columns)
        for y in range(result.shape[0]):
            row = min(y // spacing, n_rows - 2)
            up = y / spacing - row
            for j in range(n_columns):
                node_x[j] = (1.0 - up) * source_x[row, j] + up * source_x[row + 1, j]
                node_y[j] = (1.0 - up) * source_y[row, j] + up * source_y[row + 1, j]
                node_area[j] = (1.0 - up) * area[row, j] + up * area[row + 1, j]
            for x in range(result.shape[1]):
                column = min(x // spacing, n_columns - 2)
                right = x / spacing - column
                place_x = (1.0 - right) * node_x[column] + right * node_x[column + 1] - before
                place_y = (1.0 - right) * node_y[column] + right * node_y[column + 1] - before
                if not (0.0 <= place_x < width - n_taps + 1 and 0.0 <= place_y < height - n_taps + 1):
                    continue
                first_x, first_y = int(place_x), int(place_y)
                taps_x = np.uint64(min(int((place_x - first_x) * size), size - 1) * n_taps)
                taps_y = np.uint64(min(int((place_y - first_y) * size), size - 1) * n_taps)
                first = np.uint64(first_y * width + first_x)
                value, noise = 0.0, 0.0
                for j in range(tap_count):
                    row_value, row_noise = 0.0, 0.0
                    for k in range(tap_count):
                        tap = taps[taps_x + k]
                        row_value += tap * pixels[first + k]
                        row_noise += tap * tap * variances[first + k]
                    tap = taps[taps_y + j]
                    value += tap * row_value
                    noise += tap * tap * row_noise
                    first += np.uint64(width)
                pixel_area = (1.0 - right) * node_area[column] + right * node_area[column + 1]
                result[y, x] = value * pixel_area
                result_variance[y, x] = noise * pixel_area * pixel_area
                result_bits[y, x] = bits[first_y, first_x]

    return fill
