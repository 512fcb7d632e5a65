"""Mask bits under footprints and around centres."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import FloatArray
from .compiling import kernel


class MaskBits(NamedTuple):
    """Bits found for n sources, each uint64 of shape (n,)."""

    footprint: npt.NDArray[np.uint64]
    """Set in any pixel of the footprint."""
    center_any: npt.NDArray[np.uint64]
    """Set in any of the 3 x 3 pixels around the centre."""
    center_all: npt.NDArray[np.uint64]
    """Set in all of them."""


def mask_bits(mask: npt.NDArray[np.integer[Any]], x: FloatArray, y: FloatArray, moments: FloatArray) -> MaskBits:
    """Combine the mask bits of each source's pixels, as far as they are on the image.

    The footprint has the pixels whose centres lie in the ellipse d^T Q^-1 d <= 1 about the source,
    with the second moments Q (afw's SpanSet.fromShape).

    Parameters
    ----------
    mask
        Bit image, shape (height, width).
    x, y
        Centres in array coordinates, shape (n,), finite.
    moments
        Shape (n, 3): xx, yy, xy, pixel^2. Where they are no ellipse (NaN) the footprint is empty.
    """
    result = MaskBits(*(np.zeros(len(x), dtype=np.uint64) for _ in range(3)))
    _mask_bits(mask, x, y, np.ascontiguousarray(moments), *result)
    return result


@kernel
def _mask_bits(
    mask: npt.NDArray[np.integer[Any]],
    x: FloatArray,
    y: FloatArray,
    moments: FloatArray,
    footprint: npt.NDArray[np.uint64],
    center_any: npt.NDArray[np.uint64],
    center_all: npt.NDArray[np.uint64],
) -> None:
    height, width = mask.shape
    for i in range(len(x)):
        column, row = math.floor(x[i] + 0.5), math.floor(y[i] + 0.5)
        everywhere = ~np.uint64(0)
        anywhere = np.uint64(0)
        n_center = 0
        for y_pixel in range(max(row - 1, 0), min(row + 2, height)):
            for x_pixel in range(max(column - 1, 0), min(column + 2, width)):
                bits = np.uint64(mask[y_pixel, x_pixel])
                anywhere |= bits
                everywhere &= bits
                n_center += 1
        center_any[i] = anywhere
        if n_center > 0:
            center_all[i] = everywhere
        xx, yy, xy = moments[i, 0], moments[i, 1], moments[i, 2]
        determinant = xx * yy - xy * xy
        if not (determinant > 0.0 and xx > 0.0):
            continue
        half_height = math.sqrt(yy)
        for y_pixel in range(
            max(math.ceil(y[i] - half_height), 0), min(math.floor(y[i] + half_height), height - 1) + 1
        ):
            dy = y_pixel - y[i]
            half_width = math.sqrt(max(determinant * (yy - dy * dy), 0.0)) / yy
            middle = x[i] + dy * xy / yy
            start, stop = max(math.ceil(middle - half_width), 0), min(math.floor(middle + half_width) + 1, width)
            for x_pixel in range(start, stop):
                footprint[i] |= np.uint64(mask[y_pixel, x_pixel])
