"""Elliptical apertures: sinc sums up to a semi-minor axis, sums over pixel centres above it."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import BoolArray, FloatArray, FloatValues, IntArray, nearest_pixel
from .compiling import kernel
from .ellipses import ellipse_leaves_image, row_extent, semi_axes
from .elliptical_sinc import coefficient_halves, sum_elliptical_sinc

_FARTHEST = 2.0**31  # pixels; centres and ellipses beyond this are on no image


class EllipticalFluxes(NamedTuple):
    """Results for n sources, each of shape (n,); NaN where the aperture was truncated or undefined."""

    flux: FloatArray
    flux_err: FloatArray
    aperture_truncated: BoolArray
    coefficients_truncated: BoolArray
    """Of sinc apertures: part of the coefficient image lay outside the image and was left out."""


def elliptical_aperture_fluxes(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    moments: FloatArray,
    *,
    x0: int = 0,
    y0: int = 0,
    max_sinc_radius: float = math.inf,
) -> EllipticalFluxes:
    """Sum the image within an ellipse around each centre (meas_base's ApertureFlux).

    Where the semi-minor axis is at most ``max_sinc_radius`` the sum is that of the band-limited image, with
    coefficients as meas_base's SincCoeffs computes them, shifted to the source by Lanczos-5; above it, and
    where the semi-major axis is beyond `elliptical_sinc.LARGEST_SEMI_AXIS`, that of the pixels whose centres
    lie in the ellipse. An infinite ``max_sinc_radius`` is computeSincFlux.

    Parameters
    ----------
    image, variance
        Shape (height, width).
    x, y
        Centres in the frame in which the array's first pixel is (x0, y0), shape (n,). Sinc apertures are
        put there rounded to float32, as in the original.
    moments
        Shape (n, 3): xx, yy, xy, pixel^2, of the ellipses that bound the apertures (see `ellipses`).
    max_sinc_radius
        Pixels.

    Returns
    -------
    NaN and no flag where the centre or the ellipse is not finite or not positive definite.
    """
    n = len(x)
    result = EllipticalFluxes(np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, bool), np.zeros(n, bool))
    major, minor = semi_axes(moments)
    defined = (np.abs(x) < _FARTHEST) & (np.abs(y) < _FARTHEST) & np.isfinite(major) & (minor > 0)
    halves = np.where(defined & (minor <= max_sinc_radius), coefficient_halves(major), 0)
    if halves.any():
        column, shift_x = split_positions(x, halves > 0)
        row, shift_y = split_positions(y, halves > 0)
        for half in np.unique(halves[halves > 0]).tolist():
            sources = np.flatnonzero(halves == half)
            sum_elliptical_sinc(
                image, variance, column - x0, row - y0, shift_x, shift_y, moments, half, sources, *result
            )
    over_centres = np.flatnonzero(defined & (halves == 0))
    if len(over_centres):
        _sum_pixel_centres(image, variance, x - x0, y - y0, moments, over_centres, *result[:3])
    return result


def aperture_reach(moments: FloatArray, *, max_sinc_radius: float = math.inf) -> FloatArray:
    """Return how far from its centre each aperture takes pixels, at most, pixels, shape (n,); 0 if undefined."""
    major, minor = semi_axes(moments)
    halves = np.where(minor <= max_sinc_radius, coefficient_halves(major), 0)
    over_centres = np.where(np.isfinite(minor), major + 1.0, 0.0)
    reach: FloatArray = np.where(halves > 0, math.sqrt(2.0) * halves, over_centres)
    return reach


def split_positions(position: FloatArray, used: BoolArray) -> tuple[IntArray, FloatArray]:
    """Split positions, rounded to float32, into the nearest pixel and the rest; 0 where they are not used."""
    rounded = np.where(used, position, 0.0).astype(np.float32).astype(np.float64)
    pixel = nearest_pixel(rounded)
    return pixel.astype(np.int64), rounded - pixel


@kernel
def _sum_pixel_centres(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    moments: FloatArray,
    sources: IntArray,
    flux: FloatArray,
    flux_err: FloatArray,
    truncated: BoolArray,
) -> None:
    height, width = image.shape
    for i in sources:
        xx, yy, xy = moments[i, 0], moments[i, 1], moments[i, 2]
        if ellipse_leaves_image(x[i], y[i], xx, yy, width, height):
            truncated[i] = True
            continue
        flux[i], flux_err[i] = pixel_centre_sums(image, variance, x[i], y[i], xx, yy, xy)


@kernel
def pixel_centre_sums(
    image: FloatValues,
    variance: FloatValues,
    x: float,
    y: float,
    xx: float,
    yy: float,
    xy: float,
) -> tuple[float, float]:
    """Sum the pixels whose centres lie in an ellipse that leaves the image at most up and down.

    Returns flux and error.
    """
    half_height = math.sqrt(yy)
    total = total_variance = 0.0
    for row in range(max(math.ceil(y - half_height), 0), min(math.floor(y + half_height) + 1, len(image))):
        left, right = row_extent(xx, yy, xy, row - y)
        start, stop = math.ceil(x + left), math.floor(x + right) + 1
        data, noise = image[row, start:stop], variance[row, start:stop]
        for column in range(len(data)):
            total += data[column]
            total_variance += noise[column]
    return total, math.sqrt(total_variance)
