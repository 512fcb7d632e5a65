"""Sinc apertures: sums of the band-limited image within a circle (Bickerton & Lupton 2013, MNRAS 431, 1275)."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..conventions import BoolArray, FloatArray, FloatValues, IntArray
from .circles import ApertureFluxes, leaves_image
from .compiling import kernel
from .lanczos import N_TAPS, ORDER, lanczos5_taps, weigh_along


@lru_cache(maxsize=64)
def sinc_coefficients(radius: float) -> npt.NDArray[np.float32]:
    """Compute the weights that sum a band-limited image within a circle.

    The inverse discrete Fourier transform of the circle's own transform, r J1(2 pi r k) / k
    (pi r^2 at k = 0), on a grid of odd size with frequencies up to half a cycle per pixel.

    Parameters
    ----------
    radius
        Radius of the circle, pixels, positive.

    Returns
    -------
    Image of shape (2 h - 1, 2 h - 1), h = 2^ceil(log2(2 radius)) and at least 8, centred on its
    middle pixel, where the circle's centre is. Read-only.
    """
    from scipy.special import j1

    half = max(8, 2 ** math.ceil(math.log2(2.0 * radius)))
    size = 2 * half - 1
    frequency = (np.arange(size) - (half - 1)) / size
    k = np.hypot(frequency[:, np.newaxis], frequency[np.newaxis, :])
    with np.errstate(invalid="ignore"):
        transform = np.where(k > 0, radius * j1(2.0 * math.pi * radius * k) / k, math.pi * radius**2)
    image = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(transform)).real)
    coefficients = np.ascontiguousarray(image, dtype=np.float32)
    coefficients.setflags(write=False)
    return coefficients


def sinc_aperture_fluxes(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    column: IntArray,
    row: IntArray,
    shift_x: FloatArray,
    shift_y: FloatArray,
    radii: FloatArray,
    coefficients: Sequence[npt.NDArray[np.float32]],
) -> ApertureFluxes:
    """Sum the image under sinc apertures (meas_base's ApertureFlux with sinc photometry).

    flux = sum(C D) and flux_err = sqrt(sum(C^2 V)), with the coefficient image C shifted to the
    source by Lanczos-5. A frame of C keeps its unshifted values, as in the original: in each axis 5
    pixels at the low and 4 at the high end for a positive shift, 4 and 5 otherwise.

    Parameters
    ----------
    image, variance
        Shape (height, width).
    column, row
        Array indices of the pixel nearest to each centre, shape (n,).
    shift_x, shift_y
        Centre minus that pixel, shape (n,), within [-0.5, 0.5].
    radii
        Shape (r,), pixels.
    coefficients
        For each radius an image of odd size, at least 11, from `sinc_coefficients`.
    """
    sizes = np.array([len(coefficient) for coefficient in coefficients])
    packed = np.zeros((len(sizes), sizes.max() ** 2), dtype=np.float32)
    for k, coefficient in enumerate(coefficients):
        packed[k, : coefficient.size] = coefficient.ravel()
    result = ApertureFluxes.empty(len(radii), len(column))
    _sinc_aperture_fluxes(image, variance, column, row, shift_x, shift_y, radii, packed, sizes, *result)
    return result


@kernel
def _sinc_aperture_fluxes(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    column: IntArray,
    row: IntArray,
    shift_x: FloatArray,
    shift_y: FloatArray,
    radii: FloatArray,
    coefficients: npt.NDArray[np.float32],
    sizes: IntArray,
    flux: FloatArray,
    flux_err: FloatArray,
    aperture_truncated: BoolArray,
    coefficients_truncated: BoolArray,
) -> None:
    height, width = image.shape
    taps_x = np.empty(N_TAPS)
    taps_y = np.empty(N_TAPS)
    scratch = np.zeros(coefficients.shape[1], dtype=np.float32)
    weights = np.zeros(coefficients.shape[1], dtype=np.float32)
    for i in range(len(column)):
        low_x, low_y = shift_taps(shift_x[i], shift_y[i], taps_x, taps_y)
        for k in range(len(radii)):
            size = sizes[k]
            x0, y0 = column[i] - size // 2, row[i] - size // 2
            if x0 < 0 or y0 < 0 or x0 + size > width or y0 + size > height:
                coefficients_truncated[k, i] = True
                if leaves_image(column[i] + shift_x[i], row[i] + shift_y[i], radii[k], width, height):
                    aperture_truncated[k, i] = True
                    continue
            unshifted = coefficients[k, : size * size]
            shift_coefficients(unshifted, size, taps_x, taps_y, low_x, low_y, scratch, weights)
            flux[k, i], flux_err[k, i] = weighted_sums(weights, size, image, variance, x0, y0)


@kernel
def shift_taps(shift_x: float, shift_y: float, taps_x: FloatArray, taps_y: FloatArray) -> tuple[int, int]:
    """Fill the taps of a shift; return how many pixels it leaves as they are at the low ends, -1 for no shift."""
    low_x = ORDER - lanczos5_taps(shift_x, taps_x)
    low_y = ORDER - lanczos5_taps(shift_y, taps_y)
    return (low_x, low_y) if shift_x != 0.0 or shift_y != 0.0 else (-1, -1)


@kernel
def shift_coefficients(
    unshifted: npt.NDArray[np.float32],
    size: int,
    taps_x: FloatArray,
    taps_y: FloatArray,
    low_x: int,
    low_y: int,
    scratch: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
) -> None:
    """Shift a flat coefficient image by what `shift_taps` has prepared, all but a frame of it.

    ``scratch`` and ``weights``, which is filled, have room for at least ``size``^2 pixels.
    """
    if low_x < 0:
        for pixel in range(size * size):
            weights[pixel] = unshifted[pixel]
        return
    weigh_along(unshifted, taps_x, 1, scratch[low_x:])
    weigh_along(scratch, taps_y, size, weights[low_y * size : size * size])
    _restore_frame(unshifted, size, low_x, low_y, weights)


@kernel
def _restore_frame(
    unshifted: npt.NDArray[np.float32], size: int, low_x: int, low_y: int, weights: npt.NDArray[np.float32]
) -> None:
    """Put the unshifted values back into the frame that the shift cannot reach."""
    high_x, high_y = low_x + size - N_TAPS + 1, low_y + size - N_TAPS + 1
    for pixel in range(low_y * size):
        weights[pixel] = unshifted[pixel]
    for pixel in range(high_y * size, size * size):
        weights[pixel] = unshifted[pixel]
    for y in range(low_y, high_y):
        for x in range(low_x):
            weights[y * size + x] = unshifted[y * size + x]
        for x in range(high_x, size):
            weights[y * size + x] = unshifted[y * size + x]


@kernel
def weighted_sums(
    weights: npt.NDArray[np.float32],
    size: int,
    image: FloatValues,
    variance: FloatValues,
    x0: int,
    y0: int,
) -> tuple[float, float]:
    """Sum the part of a weight image at (x0, y0) that lies on the image; return flux and error."""
    height, width = image.shape
    x_start, y_start = max(x0, 0), max(y0, 0)
    n_columns = np.uint64(min(x0 + size, width) - x_start)
    total = total_variance = 0.0
    for y in range(y_start, min(y0 + size, height)):
        # Unsigned indices need no check for negative ones, and so vectorise.
        image_row, first = np.uint64(y), np.uint64(x_start)
        weight_first = np.uint64((y - y0) * size + x_start - x0)
        for x in range(n_columns):
            weight = np.float64(weights[weight_first + x])
            total += weight * image[image_row, first + x]
            total_variance += weight * weight * variance[image_row, first + x]
    return total, math.sqrt(total_variance)
