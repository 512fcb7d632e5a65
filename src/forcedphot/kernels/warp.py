"""Warps: images resampled under a linear map, and added up with weights."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from ..conventions import BoolArray, FloatArray, IntArray
from .compiling import kernel


def tap_table(n_taps: int, size: int) -> FloatArray:
    """Compute the weights of an interpolation for equally spaced fractions of a pixel.

    Row i is for the fraction (i + 0.5) / size, and has the weights of the pixels
    1 - n_taps / 2, ..., n_taps / 2 from the one below; their sum is 1. Like afw's warping kernels,
    whose cache this is.

    Parameters
    ----------
    n_taps
        2 for bilinear interpolation, or twice the order of a Lanczos kernel.
    size
        Number of fractions.

    Returns
    -------
    Shape (size, n_taps).
    """
    order = n_taps // 2
    fraction = (np.arange(size) + 0.5) / size
    if order == 1:
        return np.stack([1.0 - fraction, fraction], axis=1)
    u = np.arange(1 - order, order + 1) - fraction[:, np.newaxis]
    taps: FloatArray = np.sinc(u) * np.sinc(u / order)
    return taps / taps.sum(axis=1, keepdims=True)


def add_warped(
    images: FloatArray,
    heights: IntArray,
    widths: IntArray,
    to_source: FloatArray,
    offset_x: FloatArray,
    offset_y: FloatArray,
    taps: FloatArray,
    half_heights: IntArray,
    half_widths: IntArray,
    weight: float,
    rows: IntArray,
    result: FloatArray,
) -> BoolArray:
    """Warp images about their centre, normalise each to sum 1, and add them, times a weight, to others.

    The pixel d from the middle of the warped image is interpolated at ``to_source @ d + offset``
    from the middle of the image. Beyond the image there are zeros; further than two pixels below
    or one above it nothing is interpolated (afw's warpImage on a padded image).

    Parameters
    ----------
    images
        Shape (n, height, width).
    heights, widths
        Odd sizes of the images, which stand in the middle of their arrays, shape (n,).
    to_source
        Shape (n, 2, 2).
    offset_x, offset_y
        Pixels, shape (n,).
    taps
        What `tap_table` returns.
    half_heights, half_widths
        Pixels to either side of the middle one in the warped images, shape (n,).
    weight
        Factor.
    rows
        Which of the results each warped image is added to, shape (n,).
    result
        Shape (m, height, width), odd, large enough; added to in place.

    Returns
    -------
    Which images could be normalised, shape (n,); the others are not added.
    """
    added = np.zeros(len(images), dtype=bool)
    _compiled(taps.shape[1])(
        np.ascontiguousarray(images),
        heights,
        widths,
        np.ascontiguousarray(to_source),
        np.ascontiguousarray(offset_x),
        np.ascontiguousarray(offset_y),
        taps.ravel(),
        half_heights,
        half_widths,
        weight,
        rows,
        result,
        added,
    )
    return added


@cache
def _compiled(n_taps: int) -> Callable[..., None]:
    """Return the kernel for a number of taps, a constant in it: so that loops over taps are unrolled."""
    # Unsigned indices need no check for negative ones, and so loops over them vectorise.
    tap_count = np.uint64(n_taps)
    margin = n_taps // 2 + 1

    @kernel
    def add(
        images: FloatArray,
        heights: IntArray,
        widths: IntArray,
        to_source: FloatArray,
        offset_x: FloatArray,
        offset_y: FloatArray,
        taps: FloatArray,
        half_heights: IntArray,
        half_widths: IntArray,
        weight: float,
        rows: IntArray,
        result: FloatArray,
        added: BoolArray,
    ) -> None:
        n, array_height, array_width = images.shape
        stride = array_width + 2 * margin
        padded = np.zeros((array_height + 2 * margin, stride))
        flat = padded.reshape(padded.size)
        warped = np.empty(result.shape[1:])
        # Of a line of pixels: where their taps start, in the image and in the table.
        first = np.empty(result.shape[2], dtype=np.uint64)
        tap_x, tap_y = np.empty_like(first), np.empty_like(first)
        size = len(taps) // n_taps
        for i in range(n):
            height, width = heights[i], widths[i]
            _fill_middle(images[i], height, width, padded, margin)
            half_height, half_width = half_heights[i], half_widths[i]
            step_x, step_y = to_source[i, 0, 0], to_source[i, 1, 0]
            total = 0.0
            for y in range(2 * half_height + 1):
                # The place of the line's first pixel in the image, counted from two pixels before its first.
                dy = y - half_height
                start_x = to_source[i, 0, 1] * dy + offset_x[i] + (width // 2 + 2) - step_x * half_width
                start_y = to_source[i, 1, 1] * dy + offset_y[i] + (height // 2 + 2) - step_y * half_width
                start, stop = _part_inside(
                    start_x, step_x, width + 3.0, start_y, step_y, height + 3.0, 2 * half_width + 1
                )
                for x in range(start, stop):
                    place_x, place_y = start_x + step_x * x, start_y + step_y * x
                    column, row = int(place_x), int(place_y)
                    tap_x[x] = np.uint64(min(int((place_x - column) * size), size - 1) * n_taps)
                    tap_y[x] = np.uint64(min(int((place_y - row) * size), size - 1) * n_taps)
                    first[x] = np.uint64(row * stride + column)
                line = warped[y]
                line[:] = 0.0
                for x in range(start, stop):
                    place, taps_x, taps_y = first[x], tap_x[x], tap_y[x]
                    value = 0.0
                    for j in range(tap_count):
                        row_sum = 0.0
                        for k in range(tap_count):
                            row_sum += flat[place + k] * taps[taps_x + k]
                        value += taps[taps_y + j] * row_sum
                        place += np.uint64(stride)
                    line[x] = value
                    total += value
            if total == 0.0 or not math.isfinite(total):
                continue
            added[i] = True
            _add_middle(warped, half_height, half_width, weight / total, result[rows[i]])

    return add


@kernel
def _fill_middle(image: FloatArray, height: int, width: int, padded: FloatArray, margin: int) -> None:
    """Copy the middle of an image, and put zeros around it."""
    padded[:] = 0.0
    low_y, low_x = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    for y in range(height):
        for x in range(width):
            padded[margin + y, margin + x] = image[low_y + y, low_x + x]


@kernel
def _part_inside(
    start_x: float, step_x: float, stop_x: float, start_y: float, step_y: float, stop_y: float, n: int
) -> tuple[int, int]:
    """Find which of n places on a line have 0 <= x < stop_x and 0 <= y < stop_y: from one to before another."""
    low, high = 0.0, n - 1.0
    for start, step, stop in ((start_x, step_x, stop_x), (start_y, step_y, stop_y)):
        if step > 0.0:
            low, high = max(low, -start / step), min(high, (stop - start) / step)
        elif step < 0.0:
            low, high = max(low, (stop - start) / step), min(high, -start / step)
        elif not 0.0 <= start < stop:
            return 0, 0
    if not low <= high + 2.0:
        return 0, 0
    # The quotients' last digits may be wrong.
    first, last = max(math.ceil(low) - 1, 0), min(math.floor(high) + 1, n - 1)
    while first <= last and not (
        0.0 <= start_x + step_x * first < stop_x and 0.0 <= start_y + step_y * first < stop_y
    ):
        first += 1
    while first <= last and not (
        0.0 <= start_x + step_x * last < stop_x and 0.0 <= start_y + step_y * last < stop_y
    ):
        last -= 1
    return first, last + 1


@kernel
def _add_middle(image: FloatArray, half_height: int, half_width: int, factor: float, result: FloatArray) -> None:
    """Add the first pixels of an image, times a factor, to the middle of another."""
    low_y, low_x = result.shape[0] // 2 - half_height, result.shape[1] // 2 - half_width
    for y in range(2 * half_height + 1):
        line, sums = image[y], result[low_y + y, low_x:]
        for x in range(2 * half_width + 1):
            sums[x] += factor * line[x]
