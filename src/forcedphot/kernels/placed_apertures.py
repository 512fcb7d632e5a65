"""Circular and elliptical apertures of one source: what they cover, and the weights of sinc apertures."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import BoolArray, FloatArray, IntArray
from .compiling import kernel
from .ellipses import row_extent
from .elliptical_apertures import pixel_centre_sums, split_positions
from .elliptical_sinc import fill_coefficients
from .lanczos import N_TAPS
from .sinc import shift_coefficients, shift_taps, weighted_sums

_LARGEST = 1e9  # pixels; what is farther is on no image

type Box = tuple[int, int, int, int]
"""First column and row, and those after the last, in the array."""


class Positions(NamedTuple):
    """Centres of n apertures, each of shape (n,), in array coordinates; see `positions`."""

    x: FloatArray
    y: FloatArray
    column: IntArray
    """Of the pixel nearest to the centre of a sinc aperture."""
    row: IntArray
    shift_x: FloatArray
    """Centre of a sinc aperture minus that pixel, within [-0.5, 0.5]."""
    shift_y: FloatArray
    is_defined: BoolArray
    """Whether the centre is finite."""


def positions(x: FloatArray, y: FloatArray, x0: int, y0: int) -> Positions:
    """Place apertures on an array whose first pixel is (x0, y0) in the frame of x and y, shape (n,).

    The centres of sinc apertures are rounded to float32 in that frame, as in the original.
    """
    is_defined = (np.abs(x) < _LARGEST) & (np.abs(y) < _LARGEST)
    column, shift_x = split_positions(x, is_defined)
    row, shift_y = split_positions(y, is_defined)
    return Positions(x - x0, y - y0, column - x0, row - y0, shift_x, shift_y, is_defined)


class Ellipses(NamedTuple):
    """The elliptical apertures of n sources."""

    positions: Positions
    moments: FloatArray
    """Shape (n, 3), as in `ellipses`."""
    is_defined: BoolArray
    """Shape (n,); the others are left out."""
    is_sinc: bool
    """Whether they are sinc apertures, all with coefficients of the size of the tables."""


class Tables(NamedTuple):
    """What the apertures of all sources have in common."""

    cosine: npt.NDArray[np.float32]
    """From `elliptical_sinc`, as the next two."""
    sine: npt.NDArray[np.float32]
    bessel_pieces: FloatArray
    coefficients: npt.NDArray[np.float32]
    """Of circular sinc apertures: flat images, one a row."""
    sizes: IntArray
    """Pixels that each of those has on a side."""
    sinc_radii: FloatArray
    """Of the circles that are sinc apertures, pixels."""
    circle_radii: FloatArray
    """Of those that are sums over pixel centres, pixels."""


class Apertures(NamedTuple):
    """The a apertures of one source; the last is the ellipse."""

    shapes: FloatArray
    """Shape (a, 5): x, y, and the moments xx, yy, xy; array coordinates."""
    cores: IntArray
    """Shape (a, 4): the box that has to be on a cut-out, as `Box`."""
    extents: IntArray
    """Shape (a, 4): the box of the pixels that are summed, as `Box`."""
    sizes: IntArray
    """Shape (a,): of sinc coefficients; 0 for sums over pixel centres."""
    weights: npt.NDArray[np.float32]
    """Shape (a, m): those coefficients, shifted."""


@kernel
def place_circles(
    circles: Positions, i: int, tables: Tables, scratch: npt.NDArray[np.float32], apertures: Apertures
) -> None:
    """Fill what `Apertures` has of a source's circles."""
    column, row, shift_x, shift_y = circles.column[i], circles.row[i], circles.shift_x[i], circles.shift_y[i]
    taps_x, taps_y = np.empty(N_TAPS), np.empty(N_TAPS)
    low_x, low_y = shift_taps(shift_x, shift_y, taps_x, taps_y)
    n_sinc = len(tables.sinc_radii)
    for k in range(n_sinc):
        size, square = tables.sizes[k], tables.sinc_radii[k] * tables.sinc_radii[k]
        coefficients = tables.coefficients[k, : size * size]
        shift_coefficients(coefficients, size, taps_x, taps_y, low_x, low_y, scratch, apertures.weights[k])
        _place_sinc(k, column, row, shift_x, shift_y, square, square, size, apertures)
    for j in range(len(tables.circle_radii)):
        k, square = n_sinc + j, tables.circle_radii[j] * tables.circle_radii[j]
        x, y = circles.x[i], circles.y[i]
        _set_shape(apertures.shapes[k], x, y, square, square, 0.0)
        _set_touched_box(apertures.cores[k], x, y, square, square)
        apertures.extents[k] = apertures.cores[k]


@kernel
def place_ellipse(
    ellipses: Ellipses,
    i: int,
    tables: Tables,
    image_height: int,
    parts: npt.NDArray[np.float32],
    unshifted: npt.NDArray[np.float32],
    scratch: npt.NDArray[np.float32],
    apertures: Apertures,
) -> None:
    """Fill what `Apertures` has of a source's ellipse, if it is defined."""
    if not ellipses.is_defined[i]:
        return
    where, k = ellipses.positions, len(apertures.sizes) - 1
    xx, yy, xy = ellipses.moments[i, 0], ellipses.moments[i, 1], ellipses.moments[i, 2]
    if ellipses.is_sinc:
        size = 2 * len(tables.cosine) - 1
        fill_coefficients(xx, yy, xy, tables.cosine, tables.sine, tables.bessel_pieces, parts, unshifted)
        taps_x, taps_y = np.empty(N_TAPS), np.empty(N_TAPS)
        low_x, low_y = shift_taps(where.shift_x[i], where.shift_y[i], taps_x, taps_y)
        shift_coefficients(unshifted, size, taps_x, taps_y, low_x, low_y, scratch, apertures.weights[k])
        _place_sinc(k, where.column[i], where.row[i], where.shift_x[i], where.shift_y[i], xx, yy, size, apertures)
    else:
        _set_shape(apertures.shapes[k], where.x[i], where.y[i], xx, yy, xy)
        _set_pixel_box(apertures.cores[k], apertures.shapes[k], image_height)
        apertures.extents[k] = apertures.cores[k]


@kernel
def _place_sinc(
    k: int,
    column: int,
    row: int,
    shift_x: float,
    shift_y: float,
    xx: float,
    yy: float,
    size: int,
    apertures: Apertures,
) -> None:
    _set_touched_box(apertures.cores[k], column + shift_x, row + shift_y, xx, yy)
    extent = apertures.extents[k]
    extent[0], extent[1] = column - size // 2, row - size // 2
    extent[2], extent[3] = extent[0] + size, extent[1] + size
    apertures.sizes[k] = size


@kernel
def _set_shape(shape: FloatArray, x: float, y: float, xx: float, yy: float, xy: float) -> None:
    shape[0], shape[1], shape[2], shape[3], shape[4] = x, y, xx, yy, xy


@kernel
def _set_touched_box(box: IntArray, x: float, y: float, xx: float, yy: float) -> None:
    """Fill the box of the pixels that the box around an ellipse touches."""
    half_width, half_height = min(math.sqrt(xx), _LARGEST), min(math.sqrt(yy), _LARGEST)
    box[0], box[1] = math.floor(x - half_width + 0.5), math.floor(y - half_height + 0.5)
    box[2], box[3] = math.ceil(x + half_width - 0.5) + 1, math.ceil(y + half_height - 0.5) + 1


@kernel
def _set_pixel_box(box: IntArray, shape: FloatArray, image_height: int) -> None:
    """Fill the box of the pixels whose centres lie in an ellipse, as far as two rows beyond the image."""
    x, y, xx, yy, xy = shape[0], shape[1], shape[2], shape[3], shape[4]
    half_height = math.sqrt(yy)
    y_start = math.ceil(max(y - half_height, -2.0))
    y_stop = math.floor(min(y + half_height, image_height + 1.0)) + 1
    x_start, x_stop = _LARGEST, -_LARGEST
    box[1], box[3] = y_stop, y_start
    for row in range(y_start, y_stop):
        left, right = row_extent(xx, yy, xy, row - y)
        first, last = math.ceil(max(x + left, -_LARGEST)), math.floor(min(x + right, _LARGEST))
        if first <= last:
            x_start, x_stop = min(x_start, first), max(x_stop, last + 1)
            box[1], box[3] = min(box[1], row), row + 1
    box[0], box[2] = x_start, x_stop


@kernel
def contains(outer: Box, inner: IntArray) -> bool:
    """Tell whether a box, shape (4,), lies within another."""
    return bool(inner[0] >= outer[0] and inner[1] >= outer[1] and inner[2] <= outer[2] and inner[3] <= outer[3])


@kernel
def aperture_sums(
    apertures: Apertures,
    k: int,
    window: Box,
    signal: FloatArray,
    noise: FloatArray,
) -> tuple[float, float]:
    """Sum a window, or some rows of one, under an aperture; return flux and error."""
    size = apertures.sizes[k]
    if size > 0:
        first_x, first_y = apertures.extents[k, 0] - window[0], apertures.extents[k, 1] - window[1]
        return weighted_sums(apertures.weights[k], size, signal, noise, first_x, first_y)
    shape = apertures.shapes[k]
    x, y = shape[0] - window[0], shape[1] - window[1]
    return pixel_centre_sums(signal, noise, x, y, shape[2], shape[3], shape[4])
