"""Circles: sums over the pixels whose centres lie within a radius."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import BoolArray, FloatArray
from .compiling import kernel

# Cumulative sums along rows cost one pass over the box of all sources, and then two look-ups a row
# and circle instead of a sum: worth while where a source has fewer pixels of that box than this.
_BOX_PIXELS_PER_SOURCE = 4000


class ApertureFluxes(NamedTuple):
    """Results for r radii and n sources, each of shape (r, n); NaN where the aperture was truncated."""

    flux: FloatArray
    flux_err: FloatArray
    aperture_truncated: BoolArray
    coefficients_truncated: BoolArray
    """Of sinc apertures: part of the coefficient image lay outside the image and was left out."""

    @classmethod
    def empty(cls, n_radii: int, n_sources: int) -> "ApertureFluxes":
        """Make results that say nothing yet."""
        shape = n_radii, n_sources
        return cls(np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, bool), np.zeros(shape, bool))


def circle_fluxes(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    radii: FloatArray,
) -> ApertureFluxes:
    """Sum the pixels whose centres lie in a circle (meas_base's ApertureFlux, naive photometry).

    Where the sources are close together their rows are summed up once for all of them, which
    changes results by rounding only (1e-13 of the sum of a row of the image).

    Parameters
    ----------
    image, variance
        Shape (height, width).
    x, y
        Centres in array coordinates, shape (n,), finite.
    radii
        Shape (r,), pixels.
    """
    result = ApertureFluxes.empty(len(radii), len(x))
    if len(x) == 0 or len(radii) == 0:
        return result
    height, width = image.shape
    largest = radii.max() + 1.0
    x_start, x_stop = max(int(x.min() - largest), 0), min(int(x.max() + largest) + 2, width)
    y_start, y_stop = max(int(y.min() - largest), 0), min(int(y.max() + largest) + 2, height)
    n_rows, n_columns = max(y_stop - y_start, 0), max(x_stop - x_start, 0)
    if n_rows * n_columns > _BOX_PIXELS_PER_SOURCE * len(x):
        n_rows = 0
    cumulative = np.empty((n_rows, n_columns + 1, 2))
    is_finite = np.empty(n_rows, dtype=np.bool_)
    _cumulative_sums(image, variance, x_start, y_start, cumulative, is_finite)
    _circle_fluxes(image, variance, x, y, radii, x_start, y_start, cumulative, is_finite, *result[:3])
    return result


@kernel
def _cumulative_sums(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    x_start: int,
    y_start: int,
    cumulative: FloatArray,
    is_finite: BoolArray,
) -> None:
    """Sum up each row of image and variance from the box's left edge; mark rows that are all finite."""
    n_rows, n_sums, _ = cumulative.shape
    for row in range(n_rows):
        data = image[y_start + row, x_start : x_start + n_sums - 1]
        noise = variance[y_start + row, x_start : x_start + n_sums - 1]
        sums = cumulative[row]
        total = total_variance = 0.0
        sums[0, 0] = sums[0, 1] = 0.0
        for column in range(len(data)):
            total += data[column]
            total_variance += noise[column]
            sums[column + 1, 0] = total
            sums[column + 1, 1] = total_variance
        is_finite[row] = math.isfinite(total) and math.isfinite(total_variance)


@kernel
def _circle_fluxes(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    radii: FloatArray,
    x_start: int,
    y_start: int,
    cumulative: FloatArray,
    is_finite: BoolArray,
    flux: FloatArray,
    flux_err: FloatArray,
    truncated: BoolArray,
) -> None:
    height, width = image.shape
    has_sums = len(cumulative) > 0
    for i in range(len(x)):
        for k in range(len(radii)):
            radius = radii[k]
            if leaves_image(x[i], y[i], radius, width, height):
                truncated[k, i] = True
                continue
            total = total_variance = 0.0
            for row in range(math.ceil(y[i] - radius), math.floor(y[i] + radius) + 1):
                half_width = math.sqrt(max(radius * radius - (row - y[i]) * (row - y[i]), 0.0))
                start, stop = math.ceil(x[i] - half_width), math.floor(x[i] + half_width) + 1
                if has_sums and is_finite[row - y_start]:
                    sums = cumulative[row - y_start]
                    total += sums[stop - x_start, 0] - sums[start - x_start, 0]
                    total_variance += sums[stop - x_start, 1] - sums[start - x_start, 1]
                else:
                    data, noise = image[row, start:stop], variance[row, start:stop]
                    for column in range(len(data)):
                        total += data[column]
                        total_variance += noise[column]
            flux[k, i] = total
            flux_err[k, i] = math.sqrt(total_variance)


@kernel
def leaves_image(x: float, y: float, radius: float, width: int, height: int) -> bool:
    """Tell whether the pixels that a circle touches are not all in the image."""
    return (
        math.floor(x - radius + 0.5) < 0
        or math.floor(y - radius + 0.5) < 0
        or math.ceil(x + radius - 0.5) > width - 1
        or math.ceil(y + radius - 0.5) > height - 1
    )
