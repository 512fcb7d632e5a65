"""PSF images with the noise of the image, from the random numbers that the pipelines have for a seed."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..conventions import FloatArray, IntArray
from .compiling import kernel

_WORDS = 624  # of the state of the Mersenne twister MT19937 (Matsumoto & Nishimura 1998)
_N_STRIPS = 128
_TAIL_START = 3.44428647676  # of a ziggurat of 128 strips whose lowest has an exponential tail
_INTEGERS = 2.0**24  # numbers of 24 bits choose a place in a strip


def _strips() -> tuple[FloatArray, FloatArray]:
    """Return the right ends of strips of equal area that cover exp(-x^2 / 2), from the top; and their tops."""
    low = math.exp(-0.5 * _TAIL_START**2)
    lowest_width = _TAIL_START + 1.0 / _TAIL_START
    ends, tops = [lowest_width, _TAIL_START], [low]
    while len(ends) < _N_STRIPS:
        tops.append(tops[-1] + low * lowest_width / ends[-1])
        ends.append(math.sqrt(-2.0 * math.log(tops[-1])))
    return np.array(ends[::-1]), np.array([1.0, *tops[::-1]])


_ENDS, _TOPS = _strips()


def noisy_stamps(
    images: FloatArray,
    x0: IntArray,
    y0: IntArray,
    heights: IntArray,
    widths: IntArray,
    flux: FloatArray,
    seeds: IntArray,
    variance: npt.NDArray[np.float32],
    mask: npt.NDArray[np.integer[Any]],
    bad_bits: int,
    constant_variance: float | None = None,
) -> FloatArray:
    """Multiply stamps with fluxes, add Gaussian noise, and set bad pixels to 0.

    Parameters
    ----------
    images
        Shape (n, h, w).
    x0, y0
        Array indices of each stamp's first pixel, shape (n,); may be outside the image.
    heights, widths
        Shape (n,): sizes of the stamps, each in the middle of its array and an even number of pixels
        smaller.
    flux, seeds
        Shape (n,): of each stamp.
    variance
        Of the noise, shape of the image.
    mask, bad_bits
        Pixels of the image with any of these bits are bad; the mask is not looked at where they are 0.
    constant_variance
        Of the noise in all pixels, in place of ``variance``.

    Returns
    -------
    Shape (n, h, w); NaN for stamps that leave an image whose variance is used.
    """
    result = np.full(images.shape, np.nan)
    signed_bits = int(np.uint64(bad_bits).astype(np.int64))  # bit 63 is the sign
    is_constant = constant_variance is not None
    _noisy_stamps(
        images,
        x0,
        y0,
        heights,
        widths,
        flux,
        seeds,
        variance,
        mask,
        signed_bits,
        is_constant,
        constant_variance if constant_variance is not None else 0.0,
        _ENDS,
        _TOPS,
        result,
    )
    return result


@kernel
def _noisy_stamps(
    images: FloatArray,
    x0: IntArray,
    y0: IntArray,
    heights: IntArray,
    widths: IntArray,
    flux: FloatArray,
    seeds: IntArray,
    variance: npt.NDArray[np.float32],
    mask: npt.NDArray[np.integer[Any]],
    bad_bits: int,
    is_constant: bool,
    constant_variance: float,
    ends: FloatArray,
    tops: FloatArray,
    result: FloatArray,
) -> None:
    image_height, image_width = variance.shape
    _, array_height, array_width = images.shape
    state = np.empty(_WORDS + 1, dtype=np.int64)
    for i in range(len(seeds)):
        height, width = heights[i], widths[i]
        is_inside = 0 <= x0[i] <= image_width - width and 0 <= y0[i] <= image_height - height
        if not (is_inside or is_constant):
            continue
        top, left = (array_height - height) // 2, (array_width - width) // 2
        _seed(state, seeds[i])
        for row in range(height):
            for column in range(width):
                x, y = x0[i] + column, y0[i] + row
                normal = _normal(state, ends, tops)
                noise_variance = constant_variance if is_constant else np.float64(variance[y, x])
                sigma = math.sqrt(noise_variance) if noise_variance >= 0.0 else np.nan
                value = images[i, top + row, left + column] * flux[i] + normal * sigma
                if bad_bits != 0 and 0 <= x < image_width and 0 <= y < image_height and mask[y, x] & bad_bits != 0:
                    value = 0.0
                result[i, top + row, left + column] = value


@kernel
def _seed(state: IntArray, seed: int) -> None:
    """Start the generator; its last word counts what was taken since the state was renewed."""
    state[0] = 4357 if seed == 0 else seed & 0xFFFFFFFF
    for i in range(1, _WORDS):
        state[i] = (1812433253 * (state[i - 1] ^ (state[i - 1] >> 30)) + i) & 0xFFFFFFFF
    state[_WORDS] = _WORDS


@kernel
def _integer(state: IntArray) -> int:
    """Take the next number of 32 bits."""
    if state[_WORDS] == _WORDS:
        for i in range(_WORDS):
            mixed = (state[i] & 0x80000000) | (state[(i + 1) % _WORDS] & 0x7FFFFFFF)
            state[i] = state[(i + 397) % _WORDS] ^ (mixed >> 1) ^ (0x9908B0DF * (mixed & 1))
        state[_WORDS] = 0
    value = int(state[state[_WORDS]])
    state[_WORDS] += 1
    value ^= value >> 11
    value ^= (value << 7) & 0x9D2C5680
    value ^= (value << 15) & 0xEFC60000
    return value ^ (value >> 18)


@kernel
def _normal(state: IntArray, ends: FloatArray, tops: FloatArray) -> float:
    """Take the next normal number: a place in the strips that is under the Gaussian (Marsaglia & Tsang 2000)."""
    while True:
        bits = _integer(state)
        strip = bits & 0x7F
        sign = 1.0 if bits & 0x80 else -1.0
        place = bits >> 8
        x = sign * place * float(ends[strip] / _INTEGERS)
        # Whole numbers decide, as in the pipelines.
        if strip > 0 and place < math.floor(_INTEGERS * (ends[strip - 1] / ends[strip])):
            return x
        if strip < _N_STRIPS - 1:
            top, bottom = tops[strip], tops[strip + 1]
            y = bottom + (top - bottom) * (_integer(state) / 2.0**32)
        else:
            distance = _TAIL_START - math.log(1.0 - _integer(state) / 2.0**32) / _TAIL_START
            y = math.exp(-_TAIL_START * (distance - 0.5 * _TAIL_START)) * (_integer(state) / 2.0**32)
            x = sign * distance
        if y < math.exp(-0.5 * x * x):
            return x
