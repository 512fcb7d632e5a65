"""Sub-pixel shifts with a separable Lanczos-5 kernel (afw's offsetImage)."""

import math

import numpy as np

from ..conventions import FloatArray, FloatValues
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
    offset = 0 if fraction > 0.0 else 1
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
def _shift_images(images: FloatArray, shift_x: FloatArray, shift_y: FloatArray, result: FloatArray) -> None:
    n_images, height, width = images.shape
    # Rows have zeros between them, and the shifted rows have zero rows around them, so that one
    # pass over a flat array runs through all rows.
    stride = width + N_TAPS
    padded = np.zeros((height + 1, stride))
    flat = padded.reshape(padded.size)
    shifted_x = np.zeros((height + N_TAPS) * width)
    rows_x = np.zeros(height * stride)
    taps = np.empty(N_TAPS)
    filled_with = -1
    for i in range(len(shift_x)):
        source = i if n_images > 1 else 0
        image = images[source]
        if shift_x[i] == 0.0 and shift_y[i] == 0.0:
            for y in range(height):
                for x in range(width):
                    result[i, y, x] = image[y, x]
            continue
        if source != filled_with:
            for y in range(height):
                for x in range(width):
                    padded[y, ORDER + x] = image[y, x]
            filled_with = source
        offset = lanczos5_taps(shift_x[i], taps)
        weigh_along(flat[offset:], taps, 1, rows_x)
        for y in range(height):
            for x in range(width):
                shifted_x[(ORDER + y) * width + x] = rows_x[y * stride + x]
        offset = lanczos5_taps(shift_y[i], taps)
        weigh_along(shifted_x[offset * width :], taps, width, result[i].reshape(height * width))


@kernel
def weigh_along(values: FloatValues, taps: FloatArray, step: int, result: FloatValues) -> None:
    """Fill ``result[x] = sum(taps[s] * values[x + s * step])`` as far as the values reach.

    The sum is unrolled and the arrays are flat, so that one long loop vectorises over x. Sums are
    in the type of the values.
    """
    v0, v1, v2, v3, v4 = values, values[step:], values[2 * step :], values[3 * step :], values[4 * step :]
    v5, v6, v7, v8 = values[5 * step :], values[6 * step :], values[7 * step :], values[8 * step :]
    v9 = values[9 * step :]
    t = taps.astype(values.dtype)
    t0, t1, t2, t3, t4, t5, t6, t7, t8, t9 = t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], t[9]
    for x in range(min(len(v9), len(result))):
        result[x] = (
            t0 * v0[x]
            + t1 * v1[x]
            + t2 * v2[x]
            + t3 * v3[x]
            + t4 * v4[x]
            + t5 * v5[x]
            + t6 * v6[x]
            + t7 * v7[x]
            + t8 * v8[x]
            + t9 * v9[x]
        )
