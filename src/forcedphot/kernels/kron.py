"""Kron fluxes: sums within ellipses that are multiples of the Kron radius, the mean radius of the light."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import BoolArray, FloatArray
from .compiling import kernel
from .ellipses import (
    determinant_radius,
    ellipse_leaves_image,
    row_extent,
    scaled_to_radius,
    semi_axes,
    transformed,
)
from .elliptical_apertures import EllipticalFluxes, elliptical_aperture_fluxes

SMALLEST_RADIUS = float(np.finfo(np.float64).eps)
"""Pixels; a smaller Kron radius is none."""

KRON_RADIUS_OF_GAUSSIAN = math.sqrt(math.pi / 2.0)
"""In units of its sigma."""

_MEAN_RADIUS_OF_PIXEL = 0.38259771140356325  # of a square of uniform light, about its centre


class KronRadii(NamedTuple):
    """Kron radii measured on an image, each of shape (n,)."""

    radius: FloatArray
    """sqrt(a b), pixels; NaN where it could not be measured."""
    radius_for_radius: FloatArray
    """sqrt(a b) of the ellipse in which it was measured last, pixels."""
    off_image: BoolArray
    """The first such ellipse is not all on the image."""
    no_light: BoolArray
    """The light in such an ellipse is not positive."""
    is_small: BoolArray
    """The first radius measured is not larger than that of the source's own second moments."""


def kron_apertures(shapes: FloatArray, radius: FloatArray, jacobians: FloatArray) -> FloatArray:
    """Return ellipses of given shapes and Kron radii, mapped to another image.

    Parameters
    ----------
    shapes
        Second moments in the image where the radius was measured, shape (n, 3): xx, yy, xy, pixel^2.
    radius
        Kron radii sqrt(a b) in that image, pixels, shape (n,).
    jacobians
        Derivatives of the other image's pixel coordinates by this one's, shape (n, 2, 2).

    Returns
    -------
    Shape (n, 3): the moments (see `ellipses`) of ellipses whose determinant radius is the Kron radius in the
    other image; NaN where the radius is not positive or the shape is no ellipse.
    """
    return transformed(scaled_to_radius(shapes, np.where(radius >= SMALLEST_RADIUS, radius, np.nan)), jacobians)


def kron_fluxes(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    apertures: FloatArray,
    *,
    n_radius_for_flux: float,
    max_sinc_radius: float,
    x0: int = 0,
    y0: int = 0,
) -> EllipticalFluxes:
    """Sum the image within multiples of Kron apertures (KronAperture::measureFlux).

    Any image will do, such as a convolved cut-out of the one that the apertures are for.

    Parameters
    ----------
    image, variance
        Shape (height, width).
    x, y
        Centres in the frame in which the array's first pixel is (x0, y0), shape (n,).
    apertures
        As `kron_apertures` returns them.
    n_radius_for_flux
        Multiple of the Kron radius.
    max_sinc_radius
        Pixels: semi-minor axis, multiplied, above which the sum is that of the pixels whose centres are inside.

    Returns
    -------
    NaN, and ``aperture_truncated``, where the ellipse leaves the image; NaN where the aperture is NaN.
    """
    moments = n_radius_for_flux**2 * apertures
    return elliptical_aperture_fluxes(
        image, variance, x, y, moments, x0=x0, y0=y0, max_sinc_radius=max_sinc_radius
    )


def psf_kron_radius(psf_moments: FloatArray, smoothing_sigma: float) -> FloatArray:
    """Return the Kron radii of Gaussians with the PSF's moments, smoothed like the image, pixels, shape (n,)."""
    return KRON_RADIUS_OF_GAUSSIAN * np.hypot(determinant_radius(psf_moments), max(0.0, smoothing_sigma))


def measure_kron_radii(
    image: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    moments: FloatArray,
    *,
    n_sigma: float,
    n_iterations: int,
    smoothing_sigma: float,
) -> KronRadii:
    """Measure the mean elliptical radius of the light about each source (KronAperture::determineRadius).

    The radius is sqrt(a b) of the mean ellipse of the given shape through the pixels of an ellipse ``n_sigma``
    times as large. That is repeated with the measured radius while it grows; the last one measured is taken,
    where the original takes the ellipse in which it was measured if the radius has not grown.

    Parameters
    ----------
    image
        Shape (height, width).
    x, y
        Centres in array coordinates, shape (n,).
    moments
        Second moments to start from, shape (n, 3): xx, yy, xy, pixel^2.
    n_sigma
        Ratio of the ellipse in which the radius is measured and the radius.
    n_iterations
        Number of times to measure.
    smoothing_sigma
        Smooth the image by a Gaussian before, pixels; not if 0 or less.
    """
    n = len(x)
    result = KronRadii(
        np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, bool), np.zeros(n, bool), np.zeros(n, bool)
    )
    smoothed = _smoothed(image, smoothing_sigma) if smoothing_sigma > 0 else image
    major, _ = semi_axes(moments)
    usable = np.flatnonzero(np.isfinite(major) & np.isfinite(x) & np.isfinite(y))
    _measure_kron_radii(smoothed, x, y, moments, usable, n_sigma, n_iterations, *result)
    return result


def _smoothed(image: npt.NDArray[np.float32], sigma: float) -> npt.NDArray[np.float32]:
    """Convolve with a Gaussian cut off at two sigma; NaN where that reaches beyond the image."""
    from scipy.ndimage import correlate1d

    half_width = int(2.0 * sigma)
    taps = np.exp(-0.5 * (np.arange(-half_width, half_width + 1) / sigma) ** 2)
    taps /= taps.sum()
    rows = correlate1d(image, taps, axis=1, mode="constant", cval=np.nan, output=np.float64)
    smoothed: npt.NDArray[np.float32] = correlate1d(
        rows, taps, axis=0, mode="constant", cval=np.nan, output=np.float32
    )
    return smoothed


@kernel
def _measure_kron_radii(
    image: npt.NDArray[np.float32],
    x: FloatArray,
    y: FloatArray,
    moments: FloatArray,
    sources: npt.NDArray[np.intp],
    n_sigma: float,
    n_iterations: int,
    radius: FloatArray,
    radius_for_radius: FloatArray,
    off_image: BoolArray,
    no_light: BoolArray,
    is_small: BoolArray,
) -> None:
    height, width = image.shape
    for i in sources:
        xx, yy, xy = moments[i, 0], moments[i, 1], moments[i, 2]
        # The unit ellipse of this shape; its major axis is the square root of the axis ratio.
        norm = math.sqrt(xx * yy - xy * xy)
        xx, yy, xy = xx / norm, yy / norm, xy / norm
        unit_major = math.sqrt(0.5 * (xx + yy) + math.hypot(0.5 * (xx - yy), xy))
        last = math.sqrt(norm)
        for iteration in range(n_iterations):
            outer = n_sigma * last
            square = outer * outer
            if ellipse_leaves_image(x[i], y[i], square * xx, square * yy, width, height):
                off_image[i] = iteration == 0
                break
            radius_for_radius[i] = outer
            light, mean = _mean_radius(image, x[i], y[i], xx, yy, xy, outer, unit_major)
            if not (light > 0.0 and mean > 0.0):
                no_light[i] = True
                radius[i] = np.nan
                break
            radius[i] = mean
            if mean <= last:
                is_small[i] = iteration == 0
                break
            last = mean


@kernel
def _mean_radius(
    image: npt.NDArray[np.float32],
    x: float,
    y: float,
    xx: float,
    yy: float,
    xy: float,
    outer: float,
    unit_major: float,
) -> tuple[float, float]:
    """Return the light in an ellipse and its mean radius.

    Parameters
    ----------
    xx, yy, xy
        An ellipse of determinant 1.
    outer
        Its factor.
    unit_major
        Its semi-major axis.
    """
    light = moment = 0.0
    half_height = outer * math.sqrt(yy)
    for row in range(math.ceil(y - half_height), math.floor(y + half_height) + 1):
        dy = row - y
        left, right = row_extent(outer * outer * xx, outer * outer * yy, outer * outer * xy, dy)
        start, stop = math.ceil(x + left), math.floor(x + right) + 1
        values = image[row, start:stop]
        for column in range(len(values)):
            dx = start + column - x
            r = math.sqrt(max(yy * dx * dx - 2.0 * xy * dx * dy + xx * dy * dy, 0.0))
            distance = math.hypot(dx, dy)
            if distance < 0.5:
                # Within a pixel the light is nowhere near its centre's radius; along the major axis, as in
                # the original.
                r = math.hypot(r, _MEAN_RADIUS_OF_PIXEL * (1.0 + distance / math.sqrt(2.0)) / unit_major)
            light += values[column]
            moment += r * values[column]
    return light, moment / light
