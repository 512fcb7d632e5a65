"""Pixels of footprints taken out of images and put in; groups of sources that do not see each other."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..conventions import BoolArray, IntArray
from .compiling import kernel

_CELL = 16  # pixels: how finely groups are told apart


@kernel
def mark_spans(covered: BoolArray, y: IntArray, x0: IntArray, x1: IntArray) -> None:
    """Set the pixels of spans, in array coordinates, as far as they are on the image."""
    height, width = covered.shape
    for j in range(len(y)):
        if 0 <= y[j] < height:
            for x in range(max(x0[j], 0), min(x1[j] + 1, width)):
                covered[y[j], x] = True


@kernel
def swap_pixels(
    image: npt.NDArray[np.float32],
    y: IntArray,
    x0: IntArray,
    x1: IntArray,
    values: npt.NDArray[np.float32],
    *,
    forwards: bool,
) -> None:
    """Exchange the pixels of spans with values, one a pixel; pixels beyond the image are passed over.

    Spans may overlap: swapping forwards and then backwards restores both.
    """
    height, width = image.shape
    position = 0 if forwards else len(values)
    for k in range(len(y)):
        j = k if forwards else len(y) - 1 - k
        n_pixels = x1[j] - x0[j] + 1
        if not forwards:
            position -= n_pixels
        if 0 <= y[j] < height:
            for i in range(n_pixels):
                x = x0[j] + i
                if 0 <= x < width:
                    value = image[y[j], x]
                    image[y[j], x] = values[position + i]
                    values[position + i] = value
        if forwards:
            position += n_pixels


def take_pixels(
    image: npt.NDArray[np.float32], y: IntArray, x0: IntArray, x1: IntArray
) -> npt.NDArray[np.float32]:
    """Return the pixels of spans, one after the other; 0 beyond the image."""
    values = np.zeros(int((x1 - x0 + 1).sum()), dtype=np.float32)
    _take_pixels(image, y, x0, x1, values)
    return values


@kernel
def _take_pixels(
    image: npt.NDArray[np.float32], y: IntArray, x0: IntArray, x1: IntArray, values: npt.NDArray[np.float32]
) -> None:
    height, width = image.shape
    position = 0
    for j in range(len(y)):
        for x in range(x0[j], x1[j] + 1):
            if 0 <= y[j] < height and 0 <= x < width:
                values[position] = image[y[j], x]
            position += 1


def assign_groups(seen: IntArray, inked: IntArray, shape: tuple[int, int]) -> IntArray:
    """Number groups of sources none of which sees another's pixels.

    Sources are taken in order, each into the first group that has room for it.

    Parameters
    ----------
    seen, inked
        Boxes in array coordinates, shape (n, 4): first x, first y, last x, last y of what a source's measurement
        may look at, and of the pixels that are put in for it. The first should contain the second.
    shape
        Of the image.

    Returns
    -------
    Group of each source, shape (n,), from 0.
    """
    limits = np.array([shape[1] - 1, shape[0] - 1] * 2)
    seen_cells, inked_cells = (np.clip(boxes, 0, limits) // _CELL for boxes in (seen, inked))
    group = np.full(len(seen), -1)
    grid = (shape[0] // _CELL + 1, shape[1] // _CELL + 1)
    number = 0
    while (group < 0).any():
        taken: npt.NDArray[Any] = np.zeros((2, *grid), dtype=np.uint8)
        _fill_group(seen_cells, inked_cells, taken[0], taken[1], group, number)
        number += 1
    return group


@kernel
def _fill_group(
    seen: IntArray,
    inked: IntArray,
    seen_cells: npt.NDArray[np.uint8],
    inked_cells: npt.NDArray[np.uint8],
    group: IntArray,
    number: int,
) -> None:
    for i in range(len(group)):
        if group[i] >= 0:
            continue
        is_free = True
        for y in range(seen[i, 1], seen[i, 3] + 1):
            for x in range(seen[i, 0], seen[i, 2] + 1):
                is_free &= inked_cells[y, x] == 0
            if not is_free:
                break
        if is_free:
            for y in range(inked[i, 1], inked[i, 3] + 1):
                for x in range(inked[i, 0], inked[i, 2] + 1):
                    is_free &= seen_cells[y, x] == 0
                if not is_free:
                    break
        if is_free:
            group[i] = number
            seen_cells[seen[i, 1] : seen[i, 3] + 1, seen[i, 0] : seen[i, 2] + 1] = 1
            inked_cells[inked[i, 1] : inked[i, 3] + 1, inked[i, 0] : inked[i, 2] + 1] = 1
