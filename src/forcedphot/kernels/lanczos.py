"""Sub-pixel shifts with a separable Lanczos-5 kernel (afw's offsetImage)."""

import math

import numpy as np

from ..conventions import FloatArray
from .compiling import kernel

ORDER = 5
N_TAPS = 2 * ORDER


def shift_images(images: FloatArray, shift_x: FloatArray, shift_y: FloatArray) -> FloatArray:
    """Shift images by fractions of a pixel, with zeros beyond their edges.

    Parameters
    ----------
    images
        Shape (n, height, width), float64; or (1, height, width), or a broadcast of it, for one
        image shifted n times.
    shift_x, shift_y
        Shape (n,), pixels, each within [-0.5, 0.5]. The content moves by +shift.

    Returns
    -------
    Shape (n, height, width).
    """
    if images.strides[0] == 0:
        images = images[:1]
    result = np.empty((len(shift_x), *images.shape[1:]))
    _shift_images(np.ascontiguousarray(images), shift_x, shift_y, result)
    return result


@kernel
def lanczos5_taps(fraction: float, taps: FloatArray) -> int:
    """Fill the ten taps of a shift and return the offset of the first.

    The shifted value is ``sum(taps[s] * padded[x + offset + s])``, where ``padded`` is the data
    with ``ORDER`` more values on each side. Weights are sinc(u) sinc(u / 5) for u = i - fraction,
    normalised to sum 1.
    """
    offset = 0 if fraction >= 0.0 else 1
    total = 0.0
    for s in range(N_TAPS):
        u = math.pi * ((ORDER - s - offset) - fraction)
        if abs(u) < 1e-12:
            value = 1.0
        elif abs(u) < ORDER * math.pi:
            value = ORDER * math.sin(u) * math.sin(u / ORDER) / (u * u)
        else:
            value = 0.0
        taps[s] = value
        total += value
    for s in range(N_TAPS):
        taps[s] /= total
    return offset


@kernel
def _shift_images(
    images: FloatArray, shift_x: FloatArray, shift_y: FloatArray, result: FloatArray
) -> None:
    n_images, height, width = images.shape
    padded = np.zeros(width + N_TAPS)
    rows = np.zeros((height + N_TAPS, width))
    taps_x = np.empty(N_TAPS)
    taps_y = np.empty(N_TAPS)
    for i in range(len(shift_x)):
        image = images[i if n_images > 1 else 0]
        if shift_x[i] == 0.0 and shift_y[i] == 0.0:
            result[i] = image
            continue
        offset_x = lanczos5_taps(shift_x[i], taps_x)
        offset_y = lanczos5_taps(shift_y[i], taps_y)
        for y in range(height):
            padded[ORDER : ORDER + width] = image[y]
            weigh_row(padded[offset_x:], taps_x, rows[ORDER + y])
        for y in range(height):
            weigh_rows(rows[y + offset_y :], taps_y, result[i, y])


@kernel
def weigh_row(values: FloatArray, taps: FloatArray, result: FloatArray) -> None:
    """Fill ``result[x] = sum(taps[s] * values[x + s])``, unrolled so that it vectorises over x."""
    t0, t1, t2, t3, t4 = taps[0], taps[1], taps[2], taps[3], taps[4]
    t5, t6, t7, t8, t9 = taps[5], taps[6], taps[7], taps[8], taps[9]
    for x in range(len(result)):
        result[x] = (
            t0 * values[x]
            + t1 * values[x + 1]
            + t2 * values[x + 2]
            + t3 * values[x + 3]
            + t4 * values[x + 4]
            + t5 * values[x + 5]
            + t6 * values[x + 6]
            + t7 * values[x + 7]
            + t8 * values[x + 8]
            + t9 * values[x + 9]
        )


@kernel
def weigh_rows(rows: FloatArray, taps: FloatArray, result: FloatArray) -> None:
    """Fill ``result[x] = sum(taps[s] * rows[s, x])``, unrolled so that it vectorises over x."""
    t0, t1, t2, t3, t4 = taps[0], taps[1], taps[2], taps[3], taps[4]
    t5, t6, t7, t8, t9 = taps[5], taps[6], taps[7], taps[8], taps[9]
    for x in range(len(result)):
        result[x] = (
            t0 * rows[0, x]
            + t1 * rows[1, x]
            + t2 * rows[2, x]
            + t3 * rows[3, x]
            + t4 * rows[4, x]
            + t5 * rows[5, x]
            + t6 * rows[6, x]
            + t7 * rows[7, x]
            + t8 * rows[8, x]
            + t9 * rows[9, x]
        )
