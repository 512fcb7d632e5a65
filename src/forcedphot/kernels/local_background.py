"""The background around sources: clipped means within annuli."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import FloatArray, IntArray
from .clipping import clipped_statistics
from .compiling import kernel
from .order_statistics import workspace


class LocalBackgrounds(NamedTuple):
    """The background around n sources, arrays of shape (n,)."""

    mean: FloatArray
    """Clipped mean; NaN where no pixel is left."""
    sigma: FloatArray
    """Standard deviation of what was not clipped; NaN for a single pixel."""
    n_pixels: IntArray
    """Good pixels in the annulus, before clipping."""


def local_backgrounds(
    image: npt.NDArray[np.float32],
    mask: npt.NDArray[np.integer[Any]],
    bad_bits: int,
    x: FloatArray,
    y: FloatArray,
    inner_radius: FloatArray,
    outer_radius: FloatArray,
    n_sigma: float,
    n_iterations: int,
) -> LocalBackgrounds:
    """Average the pixels around each source, without bad and outlying ones.

    An annulus has the pixels on the image whose centres lie in the outer and not in the inner circle.
    Pixels are clipped first about the median, by the quartiles; then about the mean, by the standard
    deviation of those that were left, all pixels anew (afw's MEANCLIP and STDEVCLIP).

    Parameters
    ----------
    image
        Shape (height, width). Pixels that are not finite are left out.
    mask
        Bit image of the same shape; may be empty if ``bad_bits`` is 0.
    bad_bits
        Pixels with any of these bits are left out.
    x, y
        Centres in array coordinates, shape (n,), finite.
    inner_radius, outer_radius
        Pixels, shape (n,); where the outer one is not finite there are no pixels.
    n_sigma
        Pixels further off than this many standard deviations are clipped.
    n_iterations
        How often, at least 1.
    """
    mean, sigma = np.full(len(x), np.nan), np.full(len(x), np.nan)
    n_pixels = np.zeros(len(x), dtype=np.int64)
    _local_backgrounds(
        image,
        mask,
        mask.dtype.type(bad_bits),
        x,
        y,
        np.ascontiguousarray(inner_radius),
        np.ascontiguousarray(outer_radius),
        float(n_sigma),
        n_iterations,
        mean,
        sigma,
        n_pixels,
    )
    return LocalBackgrounds(mean, sigma, n_pixels)


@kernel
def _local_backgrounds(
    image: npt.NDArray[np.float32],
    mask: npt.NDArray[np.integer[Any]],
    bad_bits: Any,
    x: FloatArray,
    y: FloatArray,
    inner_radius: FloatArray,
    outer_radius: FloatArray,
    n_sigma: float,
    n_iterations: int,
    mean: FloatArray,
    sigma: FloatArray,
    n_pixels: IntArray,
) -> None:
    height, width = image.shape
    space = workspace(0)
    for i in range(len(x)):
        outer, inner = outer_radius[i], inner_radius[i]
        if not 0.0 <= outer < np.inf:
            continue
        first_row, last_row = (
            int(max(math.ceil(y[i] - outer), 0.0)),
            int(min(math.floor(y[i] + outer), height - 1.0)),
        )
        first_column = int(max(math.ceil(x[i] - outer), 0.0))
        last_column = int(min(math.floor(x[i] + outer), width - 1.0))
        # A column more than the box has, in case a square root is rounded up.
        room = max(last_row - first_row + 1, 0) * (max(last_column - first_column + 1, 0) + 1)
        if room > len(space.values):
            space = workspace(room)
        values = space.values
        n = 0
        for row in range(first_row, last_row + 1):
            dy = row - y[i]
            half = math.sqrt(max(outer * outer - dy * dy, 0.0))
            start, stop = max(math.ceil(x[i] - half), 0.0), min(math.floor(x[i] + half), width - 1.0) + 1.0
            hole_start = hole_stop = stop
            if inner > 0.0 and dy * dy <= inner * inner:
                half = math.sqrt(inner * inner - dy * dy)
                hole_start = min(max(math.ceil(x[i] - half), start), stop)
                hole_stop = min(max(math.floor(x[i] + half) + 1.0, hole_start), stop)
            n = _append_good(image[row], mask, bad_bits, row, int(start), int(hole_start), values, n)
            n = _append_good(image[row], mask, bad_bits, row, int(hole_stop), int(stop), values, n)
        n_pixels[i] = n
        if n == 0:
            continue
        mean[i], sigma[i] = clipped_statistics(space, n, n_sigma, n_iterations)


@kernel
def _append_good(
    pixels: npt.NDArray[np.float32],
    mask: npt.NDArray[np.integer[Any]],
    bad_bits: Any,
    row: int,
    start: int,
    stop: int,
    values: npt.NDArray[np.float32],
    n: int,
) -> int:
    """Copy the good pixels of a part of a row behind n values; return how many there are then."""
    for column in range(start, stop):
        value = pixels[column]
        is_good = abs(value) < np.inf
        if bad_bits != 0:
            is_good = is_good and (mask[row, column] & bad_bits) == 0
        values[n] = value
        n += is_good
    return n
