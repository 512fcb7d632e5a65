"""Sinc apertures of any ellipse: coefficients computed for each source, on their way to the sum.

The coefficient image is the inverse discrete Fourier transform of the ellipse's own transform, as in
meas_base's SincCoeffs. That is real and the same at -k as at k, so it is the sum of a part even in both
frequencies and a part odd in both, whose transforms are products with small tables of cosines and sines: for
the sizes that occur cheaper than a fast Fourier transform, and nothing is interpolated but J1(z) / z.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import BoolArray, FloatArray, IntArray
from .compiling import kernel
from .ellipses import ellipse_leaves_image
from .lanczos import N_TAPS
from .sinc import shift_coefficients, shift_taps, weighted_sums

LARGEST_SEMI_AXIS = 256.0
"""Pixels; larger ellipses would need coefficient images of more than 1023 pixels a side."""

_SMALLEST_HALF = 8
_STEPS_PER_UNIT = 16.0  # of the table of J1(z) / z: its cubic pieces are good to 1e-9


class _CosineTables(NamedTuple):
    """``[j, k]`` of size 2 h - 1: cos and sin of 2 pi j k / size, each of shape (h, h)."""

    cosine: npt.NDArray[np.float32]
    sine: npt.NDArray[np.float32]


def coefficient_halves(semi_major: FloatArray) -> IntArray:
    """Return h of each ellipse's coefficient image of 2 h - 1 pixels a side, shape (n,).

    h = 2^ceil(log2(2 a)), at least 8; 0 where the semi-major axis is NaN or beyond `LARGEST_SEMI_AXIS`.
    """
    usable = semi_major <= LARGEST_SEMI_AXIS
    exponent = np.ceil(np.log2(2.0 * np.where(usable, np.maximum(semi_major, 1.0), 1.0)))
    return np.where(usable, np.maximum(2**exponent, _SMALLEST_HALF), 0).astype(np.int64)


def sum_elliptical_sinc(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    column: IntArray,
    row: IntArray,
    shift_x: FloatArray,
    shift_y: FloatArray,
    moments: FloatArray,
    half: int,
    sources: IntArray,
    flux: FloatArray,
    flux_err: FloatArray,
    aperture_truncated: BoolArray,
    coefficients_truncated: BoolArray,
) -> None:
    """Sum the image under sinc apertures whose coefficient images have one size, for some of the sources.

    Parameters
    ----------
    image, variance
        Shape (height, width).
    column, row, shift_x, shift_y
        Nearest pixels of the centres, array indices, and the rest within [-0.5, 0.5], shape (n,).
    moments
        Shape (n, 3): the ellipses, positive definite for these sources.
    half
        As `coefficient_halves` returns it for these sources.
    sources
        Which sources, shape (m,).
    flux, flux_err, aperture_truncated, coefficients_truncated
        Shape (n,), filled for these sources; a flux stays as it is where the aperture leaves the image.
    """
    _sum_elliptical_sinc(
        image,
        variance,
        column,
        row,
        shift_x,
        shift_y,
        moments,
        sources,
        *cosine_tables(half),
        bessel_pieces(),
        flux,
        flux_err,
        aperture_truncated,
        coefficients_truncated,
    )


def elliptical_sinc_coefficients(xx: float, yy: float, xy: float) -> npt.NDArray[np.float32]:
    """Compute the coefficient image of one ellipse, shape (2 h - 1, 2 h - 1), centred on its middle pixel."""
    mean = 0.5 * (xx + yy)
    semi_major = math.sqrt(mean + math.hypot(0.5 * (xx - yy), xy))
    half = int(coefficient_halves(np.array([semi_major]))[0])
    size = 2 * half - 1
    scratch = np.empty((4, half, half), dtype=np.float32)
    result = np.empty(size * size, dtype=np.float32)
    fill_coefficients(xx, yy, xy, *cosine_tables(half), bessel_pieces(), scratch, result)
    return result.reshape(size, size)


@lru_cache(maxsize=8)
def cosine_tables(half: int) -> _CosineTables:
    """Tabulate cosines and sines for coefficient images of 2 half - 1 pixels a side."""
    index = np.arange(half)
    # Whole numbers of turns are taken away before rounding.
    angle = 2.0 * math.pi / (2 * half - 1) * (index[:, np.newaxis] * index % (2 * half - 1))
    return _CosineTables(np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32))


@lru_cache(maxsize=1)
def bessel_pieces() -> FloatArray:
    """Tabulate J1(z) / z as cubics, shape (n, 4), as far as the largest ellipse and frequency need."""
    from scipy.special import jv

    n_pieces = math.ceil(2.0 * math.pi * LARGEST_SEMI_AXIS * math.sqrt(0.5) * _STEPS_PER_UNIT) + 1
    z = np.arange(1, n_pieces + 1) / _STEPS_PER_UNIT
    value = np.concatenate([[0.5], jv(1, z) / z])
    slope = np.concatenate([[0.0], -jv(2, z) / z]) / _STEPS_PER_UNIT
    rise = np.diff(value)
    return np.stack(
        [value[:-1], slope[:-1], 3.0 * rise - 2.0 * slope[:-1] - slope[1:], slope[:-1] + slope[1:] - 2.0 * rise],
        axis=1,
    )


@kernel
def _sum_elliptical_sinc(
    image: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    column: IntArray,
    row: IntArray,
    shift_x: FloatArray,
    shift_y: FloatArray,
    moments: FloatArray,
    sources: IntArray,
    cosine: npt.NDArray[np.float32],
    sine: npt.NDArray[np.float32],
    pieces: FloatArray,
    flux: FloatArray,
    flux_err: FloatArray,
    aperture_truncated: BoolArray,
    coefficients_truncated: BoolArray,
) -> None:
    height, width = image.shape
    half = len(cosine)
    size = 2 * half - 1
    parts = np.empty((4, half, half), dtype=np.float32)
    unshifted = np.empty(size * size, dtype=np.float32)
    scratch = np.zeros(size * size, dtype=np.float32)
    weights = np.empty(size * size, dtype=np.float32)
    taps_x = np.empty(N_TAPS)
    taps_y = np.empty(N_TAPS)
    for i in sources:
        xx, yy, xy = moments[i, 0], moments[i, 1], moments[i, 2]
        x0, y0 = column[i] - (half - 1), row[i] - (half - 1)
        if x0 < 0 or y0 < 0 or x0 + size > width or y0 + size > height:
            coefficients_truncated[i] = True
            if ellipse_leaves_image(column[i] + shift_x[i], row[i] + shift_y[i], xx, yy, width, height):
                aperture_truncated[i] = True
                continue
        fill_coefficients(xx, yy, xy, cosine, sine, pieces, parts, unshifted)
        low_x, low_y = shift_taps(shift_x[i], shift_y[i], taps_x, taps_y)
        shift_coefficients(unshifted, size, taps_x, taps_y, low_x, low_y, scratch, weights)
        flux[i], flux_err[i] = weighted_sums(weights, size, image, variance, x0, y0)


@kernel
def fill_coefficients(
    xx: float,
    yy: float,
    xy: float,
    cosine: npt.NDArray[np.float32],
    sine: npt.NDArray[np.float32],
    pieces: FloatArray,
    parts: npt.NDArray[np.float32],
    result: npt.NDArray[np.float32],
) -> None:
    """Fill a flat coefficient image of (2 h - 1)^2 pixels; ``parts`` is scratch space of shape (4, h, h)."""
    half = len(cosine)
    size = 2 * half - 1
    even, odd, transformed, product = parts[0], parts[1], parts[2], parts[3]
    is_tilted = xy != 0.0
    _fill_transform(xx, yy, xy, pieces, even, odd, is_tilted)
    _multiply(even, cosine, transformed)
    _multiply(cosine, transformed, even)
    if is_tilted:
        _multiply(odd, sine, transformed)
        _multiply(sine, transformed, product)
    else:
        product[:] = 0.0
    middle = half - 1
    for y in range(half):
        above, below = (middle + y) * size + middle, (middle - y) * size + middle
        for x in range(half):
            straight = even[y, x] - product[y, x]
            result[above + x] = straight
            result[below - x] = straight
        for x in range(1, half):
            mirrored = even[y, x] + product[y, x]
            result[above - x] = mirrored
            result[below + x] = mirrored


@kernel
def _fill_transform(
    xx: float,
    yy: float,
    xy: float,
    pieces: FloatArray,
    even: npt.NDArray[np.float32],
    odd: npt.NDArray[np.float32],
    is_tilted: bool,
) -> None:
    """Fill the parts of an ellipse's transform, 2 pi a b J1(z) / z with z = 2 pi sqrt(k^T M k).

    ``[k_y, k_x]`` for frequencies from 0, each multiplied by the number of frequencies that it stands
    for, and by the size of the image to the power -2.
    """
    half = len(even)
    size = 2 * half - 1
    unit = 2.0 * math.pi / size
    scale = unit / size * math.sqrt(xx * yy - xy * xy)
    for j in range(half):
        weight_y = scale if j == 0 else 2.0 * scale
        for i in range(half):
            weight = 0.5 * weight_y if i == 0 else weight_y
            square, cross = xx * i * i + yy * j * j, 2.0 * xy * i * j
            plus = _bessel_ratio(unit * math.sqrt(max(square + cross, 0.0)), pieces)
            minus = plus
            if is_tilted:
                minus = _bessel_ratio(unit * math.sqrt(max(square - cross, 0.0)), pieces)
                odd[j, i] = weight * (plus - minus)
            even[j, i] = weight * (plus + minus)


@kernel
def _bessel_ratio(z: float, pieces: FloatArray) -> float:
    """Return J1(z) / z."""
    place = z * _STEPS_PER_UNIT
    index = int(place)
    t = place - index
    piece = pieces[index]
    ratio: float = piece[0] + t * (piece[1] + t * (piece[2] + t * piece[3]))
    return ratio


@kernel
def _multiply(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32], result: npt.NDArray[np.float32]) -> None:
    """Fill the matrix product of square matrices of a size that is a multiple of four."""
    n = len(a)
    for i in range(n):
        target = result[i]
        target[:] = 0.0
        for k in range(0, n, 4):
            a0, a1, a2, a3 = a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3]
            b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
            for j in range(len(target)):
                target[j] += (a0 * b0[j] + a1 * b1[j]) + (a2 * b2[j] + a3 * b3[j])
