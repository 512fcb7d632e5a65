"""Compensated apertures and interpolated pixels done slowly: twins of two modules of `forcedphot.kernels`."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from forcedphot.conventions import FloatArray, FloatValues


def box_around(x: float, y: float, half_width: int, shape: tuple[int, ...]) -> tuple[slice, slice] | None:
    """Return rows and columns of the box about the pixel at or below the centre; None where it does not fit."""
    for position, size in ((x, shape[1]), (y, shape[0])):
        for middle in (math.floor(position), math.floor(position + 0.5)):
            if middle - half_width < 0 or middle + half_width >= size:
                return None
    row, column = math.floor(y), math.floor(x)
    return (
        slice(row - half_width, row + half_width + 1),
        slice(column - half_width, column + half_width + 1),
    )


def compensated_gaussian(
    image: FloatValues, variance: FloatValues, x: float, y: float, sigma: float, ratio: float, half_width: int
) -> tuple[float, float]:
    """Weigh with the difference of two Gaussians of integral 1; return flux and error."""
    box = box_around(x, y, half_width, image.shape)
    if box is None:
        return math.nan, math.nan
    rows, columns = np.indices(image.shape)
    r2 = (columns[box] - x) ** 2 + (rows[box] - y) ** 2
    inner, outer = (np.exp(-0.5 * r2 / s**2) / (2 * math.pi * s**2) for s in (sigma, sigma * ratio))
    weight = inner - outer
    flux = 4 * math.pi * sigma**2 * (ratio**2 + 1) / (ratio**2 - 1) * np.sum(weight * image[box])
    mean_variance = np.sum(weight**2 * variance[box]) / np.sum(weight**2)
    return float(flux), math.sqrt(4 * math.pi * sigma**2 * (ratio**2 + 1) / ratio**2 * mean_variance)


def box_bits(mask: npt.NDArray[np.integer[Any]], x: float, y: float, half_width: int) -> int:
    """Combine the bits of a box; 0 where it leaves the image."""
    box = box_around(x, y, half_width, mask.shape)
    return 0 if box is None else int(np.bitwise_or.reduce(mask[box], axis=None))


def interpolate(
    image: FloatValues, variance: FloatValues, x: float, y: float, order: int
) -> tuple[float, float, bool]:
    """Interpolate with a Lanczos kernel; return value, variance, and whether it leaves the image."""
    weights = np.zeros(image.shape)
    weights[:] = 1.0
    for axis, position in enumerate((y, x)):
        pixel = math.floor(position + 0.5)
        first = pixel - order + (1 if position >= pixel else 0)
        if first < 0 or first + 2 * order > image.shape[axis]:
            return math.nan, math.nan, True
        u = np.arange(image.shape[axis]) - position
        taps = np.where(np.abs(u) < order, np.sinc(u) * np.sinc(u / order), 0.0)
        taps /= taps.sum()
        weights *= taps[:, np.newaxis] if axis == 0 else taps
    used = weights != 0.0
    return (
        float(np.sum(weights[used] * image[used])),
        float(np.sum(weights[used] ** 2 * variance[used])),
        False,
    )


def effective_area(image: FloatArray) -> float:
    """Return the area of the top hat that has the same noise as the image when fitted."""
    return float(image.sum() ** 2 / (image**2).sum())
