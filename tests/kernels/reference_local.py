"""Obvious numpy twins of the kernels that look at the surroundings of sources."""

from typing import Any

import numpy as np
import numpy.typing as npt

from forcedphot.conventions import BoolArray, FloatArray


def offsets(shape: tuple[int, int], x: float, y: float) -> tuple[FloatArray, FloatArray]:
    """Return dx, dy of all pixels from a centre."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return columns - x, rows - y


def good_pixels(
    values: npt.NDArray[np.float32], mask: npt.NDArray[np.integer[Any]], bad_bits: int, inside: BoolArray
) -> FloatArray:
    """Return the values of the pixels inside that have none of the bits."""
    if bad_bits:
        inside = inside & ((mask & mask.dtype.type(bad_bits)) == 0)
    return values[inside].astype(np.float64)


def clipped_statistics(values: FloatArray, n_sigma: float, n_iterations: int) -> tuple[float, float]:
    """Return clipped mean and standard deviation: about the median by the quartiles, then by themselves."""
    low, center, high = np.quantile(values, [0.25, 0.5, 0.75])
    limit = n_sigma * 0.741301109252802 * (high - low)
    sigma = np.nan
    for _ in range(n_iterations):
        kept = values[np.abs(values - center) <= limit]
        if len(kept) == 0:
            return np.nan, np.nan
        center = kept.mean()
        sigma = np.sqrt(((kept - center) ** 2).sum() / (len(kept) - 1)) if len(kept) > 1 else np.nan
        if len(values) > 1:
            limit = n_sigma * sigma
    return float(center), float(sigma)


def local_background(
    image: npt.NDArray[np.float32],
    mask: npt.NDArray[np.integer[Any]],
    bad_bits: int,
    x: float,
    y: float,
    inner_radius: float,
    outer_radius: float,
    n_sigma: float,
    n_iterations: int,
) -> tuple[float, float, int]:
    """Return mean, standard deviation and number of pixels of one annulus."""
    dx, dy = offsets(image.shape, x, y)
    inside = dx * dx + dy * dy <= outer_radius**2
    if inner_radius > 0.0:
        inside &= ~(dx * dx + dy * dy <= inner_radius**2)
    if not 0.0 <= outer_radius < np.inf:
        inside[:] = False
    values = good_pixels(image, mask, bad_bits, inside)
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return np.nan, np.nan, 0
    return *clipped_statistics(values, n_sigma, n_iterations), len(values)


def variance_median(
    variance: npt.NDArray[np.float32],
    mask: npt.NDArray[np.integer[Any]],
    bad_bits: int,
    x: float,
    y: float,
    moments: FloatArray,
) -> tuple[float, int]:
    """Return the median of one ellipse, and the number of its pixels."""
    xx, yy, xy = moments
    determinant = xx * yy - xy * xy
    if not (0.0 < determinant < np.inf and 0.0 < xx < np.inf):
        return np.nan, 0
    dx, dy = offsets(variance.shape, x, y)
    inside = (yy * dx * dx - 2.0 * xy * dx * dy + xx * dy * dy) / determinant <= 1.0
    values = good_pixels(variance, mask, bad_bits, inside)
    return (float(np.median(values)), len(values)) if len(values) else (np.nan, 0)
