"""Kron radii done slowly: the twin of `forcedphot.kernels.kron`."""

import math
from typing import NamedTuple

import numpy as np

from forcedphot.conventions import FloatArray, FloatValues

from .reference_ellipses import leaves_image


class KronRadius(NamedTuple):
    """The Kron radius of a source; NaN where it could not be measured."""

    radius: float
    radius_for_radius: float
    off_image: bool
    no_light: bool
    is_small: bool


def smooth(image: FloatValues, sigma: float) -> FloatArray:
    """Convolve with a Gaussian cut off at two sigma; NaN where that reaches beyond the image."""
    half = int(2 * sigma)
    result = np.full(image.shape, np.nan)
    offsets = np.arange(-half, half + 1)
    taps = np.exp(-0.5 * (offsets[:, np.newaxis] ** 2 + offsets**2) / sigma**2)
    taps /= taps.sum()
    height, width = image.shape
    for y in range(half, height - half):
        for x in range(half, width - half):
            result[y, x] = np.sum(taps * image[y - half : y + half + 1, x - half : x + half + 1])
    return result


def measure_kron_radius(
    image: FloatValues, x: float, y: float, matrix: FloatArray, n_sigma: float, n_iterations: int
) -> KronRadius:
    """Measure the mean elliptical radius of the light about one source at (x, y) in array coordinates."""
    radius = radius_for_radius = math.nan
    axis_ratio = math.sqrt(np.divide(*np.linalg.eigvalsh(matrix)))
    shape = matrix / math.sqrt(np.linalg.det(matrix))
    previous = math.sqrt(math.sqrt(np.linalg.det(matrix)))
    rows, columns = np.indices(image.shape)
    dx, dy = columns - x, rows - y
    distance = np.stack([dx, dy])
    # Along the major axis, as the original's r.
    r = np.sqrt(np.einsum("iyx,ij,jyx->yx", distance, np.linalg.inv(shape), distance) / axis_ratio)
    central = np.hypot(dx, dy) < 0.5
    pixel = 0.38259771140356325 * (1 + np.hypot(dx, dy) / math.sqrt(2))
    r_of_light = np.where(central, np.hypot(r, pixel), r)
    for iteration in range(n_iterations):
        outer = n_sigma * previous
        if leaves_image(image.shape, x, y, outer**2 * shape):
            return KronRadius(radius, radius_for_radius, iteration == 0, False, False)
        radius_for_radius = outer
        inside = r * math.sqrt(axis_ratio) <= outer
        light = image[inside].sum(dtype=np.float64)
        moment = np.sum(r_of_light[inside] * image[inside], dtype=np.float64)
        if not (light > 0 and moment > 0):
            return KronRadius(math.nan, radius_for_radius, False, True, False)
        radius = moment / light * math.sqrt(axis_ratio)
        if radius <= previous:
            return KronRadius(radius, radius_for_radius, False, False, iteration == 0)
        previous = radius
    return KronRadius(radius, radius_for_radius, False, False, False)
