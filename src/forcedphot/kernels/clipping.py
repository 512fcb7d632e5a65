"""Means and standard deviations of values without outliers."""

import math

import numpy as np
import numpy.typing as npt

from .compiling import kernel
from .order_statistics import Workspace, put_into_bins, quantile, workspace

_SIGMA_OF_QUARTILES = 0.741301109252802
"""Standard deviation of a Gaussian, in units of the distance of its quartiles, as afw has it."""


@kernel
def clipped_mean_and_sigma(
    image: npt.NDArray[np.float32], n_sigma: float, n_iterations: int
) -> tuple[float, float]:
    """Return mean and standard deviation of an image's finite pixels; NaN if there are none left.

    Parameters
    ----------
    image
        Of any shape.
    n_sigma, n_iterations
        As for `clipped_statistics`.
    """
    space = workspace(image.size)
    n = 0
    for value in image.flat:
        space.values[n] = value
        n += int(abs(value) < np.inf)
    if n == 0:
        return np.nan, np.nan
    return clipped_statistics(space, n, n_sigma, n_iterations)


@kernel
def clipped_statistics(space: Workspace, n: int, n_sigma: float, n_iterations: int) -> tuple[float, float]:
    """Return mean and standard deviation of the first n values of a workspace, without outliers.

    Clipped are those further than ``n_sigma`` standard deviations from the centre: at first the median and what
    the quartiles say, then the mean and the standard deviation of what was left (afw's MEANCLIP and STDEVCLIP).
    """
    put_into_bins(space, n)
    center = quantile(space, n, 0.5)
    limit = n_sigma * _SIGMA_OF_QUARTILES * (quantile(space, n, 0.75) - quantile(space, n, 0.25))
    mean = variance = np.nan
    for _ in range(n_iterations):
        mean, variance = _clipped(space.values[:n], center, limit)
        center = mean
        if n > 1:
            limit = n_sigma * math.sqrt(variance)
    return mean, math.sqrt(variance)


@kernel
def _clipped(values: npt.NDArray[np.float32], center: float, limit: float) -> tuple[float, float]:
    """Return mean and variance of the values within a limit of the center; NaN if there are none."""
    n, total, squares = 0, 0.0, 0.0
    for k in range(len(values)):
        offset = float(values[k]) - center
        is_inside = abs(offset) <= limit
        offset = offset if is_inside else 0.0
        n += is_inside
        total += offset
        squares += offset * offset
    if n == 0:
        return np.nan, np.nan
    mean = total / n
    if n == 1:
        return center + mean, np.nan
    # Below 0 by rounding only.
    return center + mean, max((squares / n - mean * mean) * n / (n - 1.0), 0.0)
