"""Compensated apertures: weights that sum to nothing, so that a constant background drops out."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import BoolArray, FloatArray
from .compiling import kernel


class CompensatedFluxes(NamedTuple):
    """Results for n sources, each of shape (n,); NaN where the weights did not fit on the image."""

    flux: FloatArray
    flux_err: FloatArray


def compensated_gaussian_fluxes(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    sigma: float,
    ratio: float,
    half_width: int,
) -> CompensatedFluxes:
    """Weigh the pixels with a Gaussian less a wider one (meas_base's CompensatedGaussianFlux).

    With g(s) = exp(-r^2 / (2 s^2)), t = ratio and the weights W = g(sigma) - g(t sigma) / t^2 on
    the box of `box_fits`: flux = N sum(W D) with N = 2 (t^2 + 1) / (t^2 - 1), and
    flux_err^2 = 4 pi sigma^2 (t^2 + 1) / t^2 * sum(W^2 V) / sum(W^2). A source that is a Gaussian
    of this sigma has its whole flux.

    Parameters
    ----------
    image, variance
        Shape (height, width).
    x, y
        Centres in array coordinates, shape (n,), finite.
    sigma
        Of the narrower Gaussian, pixels.
    ratio
        Of the wider Gaussian's sigma to this; greater than 1.
    half_width
        Of the box, pixels.
    """
    result = CompensatedFluxes(np.full(len(x), np.nan), np.full(len(x), np.nan))
    _compensated_gaussian_fluxes(image, variance, x, y, sigma, ratio, half_width, *result)
    return result


def box_mask_bits(
    mask: npt.NDArray[np.integer[Any]], x: FloatArray, y: FloatArray, half_width: int
) -> npt.NDArray[np.uint64]:
    """Combine the mask bits of all pixels in the box of `box_fits`; 0 where it does not fit.

    Parameters
    ----------
    mask
        Bit image, shape (height, width).
    x, y
        Centres in array coordinates, shape (n,), finite.
    half_width
        Of the box, pixels.

    Returns
    -------
    Shape (n,).
    """
    result = np.zeros(len(x), dtype=np.uint64)
    _box_mask_bits(mask, x, y, half_width, result)
    return result


def box_fits(x: FloatArray, y: FloatArray, half_width: int, shape: tuple[int, ...]) -> BoolArray:
    """Tell around which centres a box lies within an image.

    The box has 2 half_width + 1 pixels on a side, the middle one of which is the pixel at or below
    the centre in each axis; a box about the nearest pixel has to fit, too.

    Parameters
    ----------
    x, y
        Centres in array coordinates, shape (n,).
    half_width
        Pixels.
    shape
        (height, width) of the image.

    Returns
    -------
    Shape (n,).
    """
    result = np.ones(len(x), dtype=bool)
    for position, size in ((x, shape[1]), (y, shape[0])):
        result &= (np.floor(position) >= half_width) & (np.floor(position + 0.5) + half_width <= size - 1)
    return result


@kernel
def _compensated_gaussian_fluxes(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    sigma: float,
    ratio: float,
    half_width: int,
    flux: FloatArray,
    flux_err: FloatArray,
) -> None:
    height, width = image.shape
    squared = ratio * ratio
    flux_norm = 2.0 * (squared + 1.0) / (squared - 1.0)
    variance_norm = 4.0 * math.pi * sigma * sigma * (squared + 1.0) / squared
    size = 2 * half_width + 1
    inner, outer = np.empty(size), np.empty(size)
    for i in range(len(x)):
        if not _fits(x[i], width, half_width) or not _fits(y[i], height, half_width):
            continue
        first = math.floor(x[i]) - half_width
        for column in range(size):
            exponent = -0.5 * ((first + column - x[i]) / sigma) ** 2
            inner[column] = math.exp(exponent)
            outer[column] = math.exp(exponent / squared) / ratio
        total = total_variance = total_squares = 0.0
        for row in range(math.floor(y[i]) - half_width, math.floor(y[i]) + half_width + 1):
            exponent = -0.5 * ((row - y[i]) / sigma) ** 2
            inner_y = math.exp(exponent)
            outer_y = math.exp(exponent / squared) / ratio
            data, noise = image[row, first : first + size], variance[row, first : first + size]
            for column in range(size):
                weight = inner_y * inner[column] - outer_y * outer[column]
                total += weight * data[column]
                total_variance += weight * weight * noise[column]
                total_squares += weight * weight
        flux[i] = flux_norm * total
        flux_err[i] = math.sqrt(variance_norm * total_variance / total_squares)


@kernel
def _box_mask_bits(
    mask: npt.NDArray[np.integer[Any]],
    x: FloatArray,
    y: FloatArray,
    half_width: int,
    result: npt.NDArray[np.uint64],
) -> None:
    height, width = mask.shape
    for i in range(len(x)):
        if not _fits(x[i], width, half_width) or not _fits(y[i], height, half_width):
            continue
        first = math.floor(x[i]) - half_width
        bits = np.uint64(0)
        for row in range(math.floor(y[i]) - half_width, math.floor(y[i]) + half_width + 1):
            for column in range(first, first + 2 * half_width + 1):
                bits |= np.uint64(mask[row, column])
        result[i] = bits


@kernel
def _fits(position: float, size: int, half_width: int) -> bool:
    return math.floor(position) >= half_width and math.floor(position + 0.5) + half_width <= size - 1
