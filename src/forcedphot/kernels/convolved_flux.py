"""Aperture fluxes on cut-outs that are convolved to a wider seeing, one cut-out for each source and seeing."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import BoolArray, FloatArray, IntArray
from .compiling import kernel
from .convolution import convolve_block, gaussian_taps
from .ellipses import semi_axes
from .elliptical_sinc import bessel_pieces, coefficient_halves, cosine_tables
from .placed_apertures import (
    Apertures,
    Box,
    Ellipses,
    Positions,
    Tables,
    aperture_sums,
    contains,
    place_circles,
    place_ellipse,
)

_LARGEST = 1e9  # pixels; cut-outs are clipped to the image anyhow
_PIXELS_AT_ONCE = 30_000  # that are convolved: they fit in a core's cache


class Convolutions(NamedTuple):
    """How n cut-outs are made and convolved, to s seeings each."""

    seeing: FloatArray
    """Gaussian sigma of the image, pixels, shape (n,); sources where it is not finite are not measured."""
    targets: FloatArray
    """Gaussian sigmas to convolve to, pixels, shape (s,)."""
    kernel_scale: float
    """Half width of the kernels in units of their sigma."""
    boxes: IntArray
    """Footprints' boxes in the array, shape (n, 4): column and row of their first and last pixel.

    A cut-out is its box, grown by `growth` and half the kernel, as far as it is on the image; in a
    frame of half the kernel at its edge it is left as it is.
    """
    growth: IntArray
    """Pixels, shape (n,)."""


class ConvolvedFluxes(NamedTuple):
    """Results for s seeings, a apertures and n sources, of shape (s, a, n)."""

    flux: FloatArray
    """NaN where the aperture leaves the cut-out, or is undefined, or the seeing of the image is."""
    flux_err: FloatArray
    aperture_truncated: BoolArray
    coefficients_truncated: BoolArray
    """Of sinc apertures: part of the coefficient image lay outside the cut-out and was left out."""
    unconvolved: BoolArray
    """Shape (s, n): sources measured on the image as it is, as it is wider already or the cut-out too small."""


def convolved_fluxes(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    convolutions: Convolutions,
    circles: Positions,
    sinc_radii: FloatArray,
    coefficients: Sequence[npt.NDArray[np.float32]],
    circle_radii: FloatArray,
    ellipses: Positions,
    moments: FloatArray,
    max_sinc_radius: float,
) -> ConvolvedFluxes:
    """Sum convolved images within circles and ellipses (meas_extensions_convolved's ConvolvedFlux).

    The kernel is the Gaussian that would widen a Gaussian of the image's seeing to the target;
    variances are convolved with its square. Only pixels under an aperture are convolved.

    Parameters
    ----------
    image, variance
        Shape (height, width).
    convolutions
        What to convolve, and to what.
    circles
        Where the circular apertures are.
    sinc_radii, coefficients
        Radii of sinc apertures, pixels, and the image from `sinc.sinc_coefficients` for each.
    circle_radii
        Radii of apertures that are sums over pixel centres, pixels.
    ellipses
        Where the elliptical apertures are.
    moments
        Shape (n, 3): the ellipses, as in `ellipses`; undefined where not finite or not positive definite.
    max_sinc_radius
        Semi-minor axis, pixels, up to which an ellipse is a sinc aperture.

    Returns
    -------
    The apertures are in the order sinc_radii, circle_radii, ellipse.
    """
    n = len(convolutions.seeing)
    n_seeings = len(convolutions.targets)
    shape = n_seeings, len(sinc_radii) + len(circle_radii) + 1, n
    result = ConvolvedFluxes(
        np.full(shape, np.nan),
        np.full(shape, np.nan),
        np.zeros(shape, dtype=bool),
        np.zeros(shape, dtype=bool),
        np.zeros((n_seeings, n), dtype=bool),
    )
    sizes = np.array([len(coefficient) for coefficient in coefficients], dtype=np.int64)
    packed = np.zeros((len(sizes), sizes.max(initial=1) ** 2), dtype=np.float32)
    for k, coefficient in enumerate(coefficients):
        packed[k, : coefficient.size] = coefficient.ravel()
    major, minor = semi_axes(moments)
    defined = np.isfinite(major) & (minor > 0) & ellipses.is_defined
    halves = np.where(defined & (minor <= max_sinc_radius), coefficient_halves(major), 0)
    moments = np.ascontiguousarray(moments)
    # Together those whose elliptical coefficients are of one size.
    for half in np.unique(halves).tolist():
        sources = np.flatnonzero(halves == half)
        tables = Tables(*cosine_tables(max(half, 1)), bessel_pieces(), packed, sizes, sinc_radii, circle_radii)
        apertures = Ellipses(ellipses, moments, defined, half > 0)
        _convolved_fluxes(image, variance, sources, convolutions, circles, apertures, tables, result)
    return result


@kernel
def _convolved_fluxes(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    sources: IntArray,
    convolutions: Convolutions,
    circles: Positions,
    ellipses: Ellipses,
    tables: Tables,
    result: ConvolvedFluxes,
) -> None:
    n_apertures = len(tables.sinc_radii) + len(tables.circle_radii) + 1
    half = len(tables.cosine)
    n_weights = max(tables.coefficients.shape[1], (2 * half - 1) ** 2)
    apertures = Apertures(
        np.empty((n_apertures, 5)),
        np.empty((n_apertures, 4), dtype=np.int64),
        np.empty((n_apertures, 4), dtype=np.int64),
        np.zeros(n_apertures, dtype=np.int64),
        np.zeros((n_apertures, n_weights), dtype=np.float32),
    )
    in_use = np.empty(n_apertures, dtype=np.bool_)
    unshifted = np.empty((2 * half - 1) ** 2, dtype=np.float32)
    parts = np.empty((4, half, half), dtype=np.float32)
    shift_scratch = np.zeros(n_weights, dtype=np.float32)
    sums = np.empty((n_apertures, 2))
    scratch = np.empty(0)
    for i in sources:
        seeing = convolutions.seeing[i]
        if not math.isfinite(seeing):
            continue
        place_circles(circles, i, tables, shift_scratch, apertures)
        place_ellipse(ellipses, i, tables, image.shape[0], parts, unshifted, shift_scratch, apertures)
        n_defined = n_apertures if ellipses.is_defined[i] else n_apertures - 1
        for s in range(len(convolutions.targets)):
            cut_out, sigma, half_width = _cut_out(convolutions, i, convolutions.targets[s], image.shape)
            result.unconvolved[s, i] = half_width < 0
            half_width = max(half_width, 0)
            window = cut_out[2], cut_out[3], cut_out[0], cut_out[1]
            for k in range(n_defined):
                is_sinc, extent = apertures.sizes[k] > 0, apertures.extents[k]
                is_clipped = is_sinc and not contains(cut_out, extent)
                in_use[k] = (is_sinc and not is_clipped) or contains(cut_out, apertures.cores[k])
                result.coefficients_truncated[s, k, i] = is_clipped
                result.aperture_truncated[s, k, i] = not in_use[k]
                if in_use[k]:
                    window = (
                        min(window[0], max(extent[0], cut_out[0])),
                        min(window[1], max(extent[1], cut_out[1])),
                        max(window[2], min(extent[2], cut_out[2])),
                        max(window[3], min(extent[3], cut_out[3])),
                    )
            if window[0] < window[2] and window[1] < window[3]:
                scratch = _sum_window(
                    image,
                    variance,
                    cut_out,
                    window,
                    (sigma, half_width),
                    apertures,
                    in_use[:n_defined],
                    scratch,
                    sums,
                )
                for k in range(n_defined):
                    if in_use[k]:
                        result.flux[s, k, i], result.flux_err[s, k, i] = sums[k, 0], math.sqrt(sums[k, 1])


@kernel
def _sum_window(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    cut_out: Box,
    window: Box,
    gaussian: tuple[float, int],
    apertures: Apertures,
    in_use: BoolArray,
    scratch: FloatArray,
    sums: FloatArray,
) -> FloatArray:
    """Fill flux and variance under each aperture in use, from a window of a cut-out; return the scratch space.

    Some rows at a time, so that large windows need little memory.
    """
    sigma, half_width = gaussian
    width = window[2] - window[0]
    n_rows = max(_PIXELS_AT_ONCE // width, 2 * half_width + 1)
    sums[: len(in_use)] = 0.0
    for first in range(window[1], window[3], n_rows):
        strip = window[0], first, window[2], min(first + n_rows, window[3])
        height = strip[3] - strip[1]
        n_pixels = width * height
        n_scratch = 2 * n_pixels + half_width + 1 + 3 * (width + 2 * half_width) * (height + 2 * half_width)
        if len(scratch) < n_scratch:
            scratch = np.empty(n_scratch)
        signal = scratch[:n_pixels].reshape((height, width))
        noise = scratch[n_pixels : 2 * n_pixels].reshape((height, width))
        taps = scratch[2 * n_pixels : 2 * n_pixels + half_width + 1]
        rest = scratch[2 * n_pixels + half_width + 1 :]
        gaussian_taps(sigma, half_width, taps)
        _fill_window(image, taps, cut_out, strip, rest, signal)
        taps *= taps
        _fill_window(variance, taps, cut_out, strip, rest, noise)
        for k in range(len(in_use)):
            if in_use[k]:
                flux, flux_err = aperture_sums(apertures, k, strip, signal, noise)
                sums[k, 0] += flux
                sums[k, 1] += flux_err * flux_err
    return scratch


@kernel
def _cut_out(convolutions: Convolutions, i: int, target: float, shape: tuple[int, int]) -> tuple[Box, float, int]:
    """Return a cut-out, and sigma and half width of the kernel to convolve it with.

    Where there is nothing to convolve with, or no room to, it is the image, and the half width is -1.
    """
    seeing = convolutions.seeing[i]
    sigma = math.sqrt(max(target * target - seeing * seeing, 0.0))
    half_width = int(min(convolutions.kernel_scale * sigma + 0.5, _LARGEST))
    growth = convolutions.growth[i] + half_width
    box = convolutions.boxes[i]
    x_start, x_stop = max(box[0] - growth, 0), min(box[2] + growth + 1, shape[1])
    y_start, y_stop = max(box[1] - growth, 0), min(box[3] + growth + 1, shape[0])
    is_empty = box[2] < box[0] or box[3] < box[1]
    if target < seeing or is_empty or min(x_stop - x_start, y_stop - y_start) < 2 * half_width + 1:
        return (0, 0, shape[1], shape[0]), 0.0, -1
    return (x_start, y_start, x_stop, y_stop), sigma, half_width


@kernel
def _fill_window(
    plane: npt.NDArray[np.float32],
    taps: FloatArray,
    cut_out: Box,
    window: Box,
    scratch: FloatArray,
    result: FloatArray,
) -> None:
    """Fill a window of a cut-out with the convolved pixels, or in the cut-out's frame with those of the image."""
    half_width = len(taps) - 1
    x_start, x_stop = max(window[0], cut_out[0] + half_width), min(window[2], cut_out[2] - half_width)
    y_start, y_stop = max(window[1], cut_out[1] + half_width), min(window[3], cut_out[3] - half_width)
    if half_width == 0 or (x_start, y_start, x_stop, y_stop) != window:
        for y in range(len(result)):
            result[y] = plane[window[1] + y, window[0] : window[2]]
    if half_width > 0 and x_start < x_stop and y_start < y_stop:
        inner = result[y_start - window[1] : y_stop - window[1], x_start - window[0] : x_stop - window[0]]
        convolve_block(plane, taps, half_width, y_start, x_start, scratch, inner)
