"""Peak likelihoods: the image interpolated at each centre, times the area of the PSF."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import BoolArray, FloatArray
from .compiling import kernel


class InterpolatedPixels(NamedTuple):
    """Values at n positions, each of shape (n,); NaN where the interpolation leaves the image."""

    value: FloatArray
    variance: FloatArray
    leaves_image: BoolArray


def interpolated_pixels(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    order: int,
) -> InterpolatedPixels:
    """Interpolate an image and its variance with a separable Lanczos kernel.

    With the nearest pixel c of a position, f = position - c, and k from 1 - order to order where f
    is not negative, else from -order to order - 1: the weights are sinc(u) sinc(u / order),
    u = k - f, normalised to sum 1 in each axis. Variances are weighted with their squares.

    Parameters
    ----------
    image, variance
        Shape (height, width).
    x, y
        Positions in array coordinates, shape (n,), finite.
    order
        Of the Lanczos kernel, which has twice as many taps.
    """
    n = len(x)
    result = InterpolatedPixels(np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, dtype=bool))
    _interpolated_pixels(image, variance, x, y, order, *result)
    return result


def effective_areas(images: FloatArray) -> FloatArray:
    """Compute sum(M)^2 / sum(M^2) of images of shape (n, height, width): shape (n,), pixels."""
    is_broadcast = images.strides[0] == 0
    result = np.empty(min(len(images), 1) if is_broadcast else len(images))
    _effective_areas(images, result)
    return np.broadcast_to(result, len(images)) if is_broadcast else result


@kernel
def _interpolated_pixels(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    order: int,
    value: FloatArray,
    value_variance: FloatArray,
    leaves_image: BoolArray,
) -> None:
    height, width = image.shape
    taps_x, taps_y = np.empty(2 * order), np.empty(2 * order)
    for i in range(len(x)):
        first_x, first_y = _lanczos_taps(x[i], order, taps_x), _lanczos_taps(y[i], order, taps_y)
        if first_x < 0 or first_y < 0 or first_x + 2 * order > width or first_y + 2 * order > height:
            leaves_image[i] = True
            continue
        total = total_variance = 0.0
        for row in range(2 * order):
            row_total = row_variance = 0.0
            for column in range(2 * order):
                tap = taps_x[column]
                row_total += tap * image[first_y + row, first_x + column]
                row_variance += tap * tap * variance[first_y + row, first_x + column]
            total += taps_y[row] * row_total
            total_variance += taps_y[row] * taps_y[row] * row_variance
        value[i] = total
        value_variance[i] = total_variance


@kernel
def _lanczos_taps(position: float, order: int, taps: FloatArray) -> int:
    """Fill the taps that interpolate at a position, and return the pixel of the first."""
    pixel = math.floor(position + 0.5)
    fraction = position - pixel
    first = 1 - order if fraction >= 0.0 else -order
    total = 0.0
    for s in range(2 * order):
        u = math.pi * (first + s - fraction)
        if abs(u) < 1e-12:
            taps[s] = 1.0
        elif abs(u) < order * math.pi:
            taps[s] = order * math.sin(u) * math.sin(u / order) / (u * u)
        else:
            taps[s] = 0.0
        total += taps[s]
    for s in range(2 * order):
        taps[s] /= total
    return int(pixel + first)


@kernel
def _effective_areas(images: FloatArray, result: FloatArray) -> None:
    for i in range(len(result)):
        total = squares = 0.0
        for row in images[i]:
            for value in row:
                total += value
                squares += value * value
        result[i] = total * total / squares
