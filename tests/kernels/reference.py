"""The slow and obvious numpy twin of each kernel, one source at a time: what the kernels are checked against.

Written from the formulas and not from the kernels; every sum runs in float64. Not for measuring.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from forcedphot.conventions import BoolArray, FloatArray, FloatValues

_ORDER = 5


class PsfFlux(NamedTuple):
    """The fit of a point source; NaN where no pixel was left."""

    flux: float
    flux_err: float
    area: float
    chi2: float
    n_pixels: int
    clipped: bool


class ApertureFlux(NamedTuple):
    """The sum within an aperture; NaN where it was truncated."""

    flux: float
    flux_err: float
    aperture_truncated: bool
    coefficients_truncated: bool


class SourceBits(NamedTuple):
    """Mask bits of a source, as Python integers."""

    footprint: int
    center_any: int
    center_all: int


def lanczos_weights(fraction: float) -> dict[int, float]:
    """Return the Lanczos-5 weight of each whole offset, normalised to sum 1.

    Parameters
    ----------
    fraction
        Shift, pixels, within [-0.5, 0.5].
    """
    offsets = np.arange(-_ORDER, _ORDER + 1)
    u = offsets - fraction
    weights = np.where(np.abs(u) < _ORDER, np.sinc(u) * np.sinc(u / _ORDER), 0.0)
    weights /= weights.sum()
    return dict(zip(offsets.tolist(), weights.tolist(), strict=True))


def shift_image(image: FloatArray, shift_x: float, shift_y: float) -> FloatArray:
    """Shift an image by a fraction of a pixel, with zeros beyond its edges.

    ``out[y, x] = sum_ij w_i w_j image[y - i, x - j]``; no shift where both fractions are 0.

    Parameters
    ----------
    image
        Shape (height, width).
    shift_x, shift_y
        Pixels, within [-0.5, 0.5]; the content moves by +shift.
    """
    if shift_x == 0 and shift_y == 0:
        return image.copy()
    height, width = image.shape
    padded = np.pad(image, _ORDER)
    result = np.zeros(image.shape)
    for i, weight_y in lanczos_weights(shift_y).items():
        for j, weight_x in lanczos_weights(shift_x).items():
            moved = padded[_ORDER - i : _ORDER - i + height, _ORDER - j : _ORDER - j + width]
            result += weight_y * weight_x * moved
    return result


def warp_image(
    image: FloatArray,
    to_source: FloatArray,
    offset_x: float,
    offset_y: float,
    half_height: int,
    half_width: int,
    n_taps: int,
    n_fractions: int,
) -> FloatArray:
    """Warp one image about its middle pixel, and normalise it to sum 1.

    The pixel d from the middle of the result is the image interpolated at ``to_source @ d + offset``:
    ``sum_ij w_i w_j image[y + i, x + j]`` with the pixel (x, y) at or below that place, i and j from
    1 - n_taps / 2 to n_taps / 2, and the weights for the fraction f from there: for two taps
    1 - |i - f|, else those of a Lanczos kernel of order n_taps / 2, with sum 1. f is rounded to the
    middle of one of equal parts of a pixel. 0 where x or y is less than -2 or more than the image's
    width or height.

    Parameters
    ----------
    image
        Shape (height, width), odd.
    to_source
        Shape (2, 2).
    offset_x, offset_y
        Pixels.
    half_height, half_width
        The result reaches that far from its middle.
    n_taps
        Even.
    n_fractions
        Number of parts.
    """
    height, width = image.shape
    order = n_taps // 2
    margin = order + 2
    padded = np.pad(image, margin)
    offsets = np.arange(1 - order, order + 1)
    result = np.zeros((2 * half_height + 1, 2 * half_width + 1))
    for dy in range(-half_height, half_height + 1):
        for dx in range(-half_width, half_width + 1):
            moved_x, moved_y = to_source @ np.array([dx, dy], dtype=np.float64)
            places = moved_x + offset_x + width // 2, moved_y + offset_y + height // 2
            pixels = [math.floor(place) for place in places]
            if not (-2 <= pixels[0] <= width and -2 <= pixels[1] <= height):
                continue
            weights = []
            for place, pixel in zip(places, pixels, strict=True):
                u = offsets - (math.floor((place - pixel) * n_fractions) + 0.5) / n_fractions
                values = 1.0 - np.abs(u) if order == 1 else np.sinc(u) * np.sinc(u / order)
                weights.append(values / values.sum())
            columns, rows = (pixel + margin + offsets for pixel in pixels)
            result[half_height + dy, half_width + dx] = weights[1] @ padded[np.ix_(rows, columns)] @ weights[0]
    return result / result.sum()


def fit_psf_flux(
    image: FloatValues,
    variance: FloatValues,
    mask: npt.NDArray[np.integer[Any]],
    bad_bits: int,
    model: FloatArray,
    column: int,
    row: int,
) -> PsfFlux:
    """Fit the flux of one point source, unweighted.

    Parameters
    ----------
    image, variance, mask
        Shape (height, width).
    bad_bits
        Pixels with any of these mask bits are left out.
    model
        PSF image.
    column, row
        Array indices of the model's first pixel; may be outside the image.
    """
    m, d, v = [], [], []
    clipped = False
    for (model_y, model_x), value in np.ndenumerate(model):
        y, x = row + model_y, column + model_x
        if not (0 <= y < image.shape[0] and 0 <= x < image.shape[1]):
            clipped = True
        elif not int(mask[y, x]) & bad_bits:
            m.append(value)
            d.append(float(image[y, x]))
            v.append(float(variance[y, x]))
    if not m:
        return PsfFlux(math.nan, math.nan, math.nan, math.nan, 0, clipped)
    models, data, variances = np.array(m), np.array(d), np.array(v)
    with np.errstate(all="ignore"):
        norm = np.sum(models**2)
        flux = np.sum(models * data) / norm
        flux_err = np.sqrt(np.sum(models**2 * variances)) / norm
        chi2 = np.sum((data - flux * models) ** 2 / variances)
        area = np.sum(models) ** 2 / norm
    return PsfFlux(float(flux), float(flux_err), float(area), float(chi2), len(m), clipped)


def circle_leaves_image(shape: tuple[int, ...], x: float, y: float, radius: float) -> bool:
    """Tell whether a circle reaches beyond the outer edges of the image's pixels."""
    height, width = shape
    return x - radius < -0.5 or y - radius < -0.5 or x + radius > width - 0.5 or y + radius > height - 0.5


def sum_circle(image: FloatValues, variance: FloatValues, x: float, y: float, radius: float) -> ApertureFlux:
    """Sum the pixels whose centres lie in a circle.

    Parameters
    ----------
    image, variance
        Shape (height, width).
    x, y
        Centre in array coordinates.
    radius
        Pixels.
    """
    if circle_leaves_image(image.shape, x, y, radius):
        return ApertureFlux(math.nan, math.nan, True, False)
    rows, columns = np.indices(image.shape)
    inside = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    return ApertureFlux(
        float(image[inside].sum(dtype=np.float64)),
        math.sqrt(variance[inside].sum(dtype=np.float64)),
        False,
        False,
    )


def sinc_coefficients(radius: float) -> FloatArray:
    """Compute the weights of a band-limited circle by a plain sum over frequencies.

    ``C[y, x] = sum_kl T(|k|) exp(2 pi i (k_y y + k_x x)) / size^2``, x and y counted from the middle.
    """
    from scipy.special import j1

    half = 8
    while half < 2 * radius:
        half *= 2
    size = 2 * half - 1
    steps = np.arange(-(half - 1), half)
    transform = np.empty((size, size))
    for (i, j), _ in np.ndenumerate(transform):
        k = math.hypot(steps[i] / size, steps[j] / size)
        transform[i, j] = radius * j1(2 * math.pi * radius * k) / k if k > 0 else math.pi * radius**2
    wave = np.exp(2j * math.pi * np.outer(steps, steps) / size)
    coefficients: FloatArray = (wave @ transform @ wave.T).real / size**2
    return coefficients


def sum_sinc_aperture(
    image: FloatValues,
    variance: FloatValues,
    column: int,
    row: int,
    shift_x: float,
    shift_y: float,
    radius: float,
) -> ApertureFlux:
    """Sum the image under a sinc aperture whose frame keeps its unshifted coefficients.

    Parameters
    ----------
    image, variance
        Shape (height, width).
    column, row
        Array indices of the pixel nearest to the centre.
    shift_x, shift_y
        Centre minus that pixel.
    radius
        Pixels.
    """
    unshifted = sinc_coefficients(radius)
    size = len(unshifted)
    weights = unshifted.copy()
    if shift_x != 0 or shift_y != 0:
        low_x, low_y = (5 if shift > 0 else 4 for shift in (shift_x, shift_y))
        inner = np.s_[low_y : size - (9 - low_y), low_x : size - (9 - low_x)]
        weights[inner] = shift_image(unshifted, shift_x, shift_y)[inner]
    x0, y0 = column - size // 2, row - size // 2
    height, width = image.shape
    y, x = np.indices(weights.shape) + np.array([y0, x0])[:, np.newaxis, np.newaxis]
    on_image = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    if not on_image.all() and circle_leaves_image(image.shape, column + shift_x, row + shift_y, radius):
        return ApertureFlux(math.nan, math.nan, True, True)
    c, pixels = weights[on_image], (y[on_image], x[on_image])
    flux = np.sum(c * image[pixels])
    flux_err = np.sqrt(np.sum(c**2 * variance[pixels]))
    return ApertureFlux(float(flux), float(flux_err), False, not on_image.all())


def combine_mask_bits(mask: npt.NDArray[np.integer[Any]], x: float, y: float, moments: FloatArray) -> SourceBits:
    """Combine the mask bits of one source's footprint and of the 3 x 3 pixels around its centre.

    Parameters
    ----------
    mask
        Bit image, shape (height, width); the bits of negative numbers are those of 64-bit ones.
    x, y
        Centre in array coordinates.
    moments
        xx, yy, xy of the ellipse d^T Q^-1 d <= 1; no ellipse has no pixels.
    """
    rows, columns = np.indices(mask.shape)
    near = (np.abs(columns - math.floor(x + 0.5)) <= 1) & (np.abs(rows - math.floor(y + 0.5)) <= 1)
    inside: BoolArray = np.zeros(mask.shape, dtype=bool)
    xx, yy, xy = moments
    if xx > 0 and xx * yy - xy * xy > 0:
        dx, dy = columns - x, rows - y
        inside = yy * dx**2 - 2 * xy * dx * dy + xx * dy**2 <= xx * yy - xy * xy
    footprint = center_any = 0
    center_all = (1 << 64) - 1 if near.any() else 0
    for bits, in_footprint, in_center in zip(mask.ravel().tolist(), inside.flat, near.flat, strict=True):
        unsigned = bits % (1 << 64)
        footprint |= unsigned if in_footprint else 0
        center_any |= unsigned if in_center else 0
        center_all &= unsigned if in_center else -1
    return SourceBits(footprint, center_any, center_all)
