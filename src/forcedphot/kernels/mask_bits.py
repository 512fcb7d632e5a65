"""Mask bits under footprints and around centres."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import FloatArray, IntArray, Spans
from .compiling import kernel


class MaskBits(NamedTuple):
    """Bits found for n sources, each uint64 of shape (n,)."""

    footprint: npt.NDArray[np.uint64]
    """Set in any pixel of the footprint."""
    center_any: npt.NDArray[np.uint64]
    """Set in any of the 3 x 3 pixels around the centre."""
    center_all: npt.NDArray[np.uint64]
    """Set in all of them."""


def mask_bits(mask: npt.NDArray[np.integer[Any]], x: FloatArray, y: FloatArray, footprints: Spans) -> MaskBits:
    """Combine the mask bits of each source's pixels, as far as they are on the image.

    Parameters
    ----------
    mask
        Bit image, shape (height, width).
    x, y
        Centres in array coordinates, shape (n,), finite.
    footprints
        The sources' n footprints, in array coordinates.
    """
    result = MaskBits(*(np.zeros(len(x), dtype=np.uint64) for _ in range(3)))
    _mask_bits(mask, x, y, footprints.y, footprints.x0, footprints.x1, footprints.first, *result)
    return result


@kernel
def _mask_bits(
    mask: npt.NDArray[np.integer[Any]],
    x: FloatArray,
    y: FloatArray,
    span_y: IntArray,
    span_x0: IntArray,
    span_x1: IntArray,
    first_span: IntArray,
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
        for j in range(first_span[i], first_span[i + 1]):
            if 0 <= span_y[j] < height:
                for x_pixel in range(max(span_x0[j], 0), min(span_x1[j] + 1, width)):
                    footprint[i] |= np.uint64(mask[span_y[j], x_pixel])
