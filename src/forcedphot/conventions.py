"""Conventions: pixel origin, axis order, rounding and units, stated once and cited everywhere.

- Pixel centres are at integers. An image has an origin (x0, y0): the centre of its lower-left
  pixel, in the frame of its WCS, PSF and aperture corrections. It need not be (0, 0).
- Arrays are indexed ``[y - y0, x - x0]``; shapes are (height, width). Positions are passed as
  ``x, y``.
- A pixel covers [i - 0.5, i + 0.5): the nearest pixel of p is floor(p + 0.5).
- Angles inside the package are radians, ICRS; tables and messages name their unit.
- Images and variances are float32, masks unsigned or signed integers, PSF images and fluxes
  float64.
- Instrumental fluxes are in the image's unit, called ``ct`` in columns named ``_instFlux``, as the
  pipelines do; calibrated ones are in nJy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

type FloatArray = npt.NDArray[np.float64]
type FloatValues = npt.NDArray[np.floating[Any]]  # float32 or float64
type IntArray = npt.NDArray[np.int64]
type BoolArray = npt.NDArray[np.bool_]

AB_ZERO_POINT_NJY = 31.4
"""AB magnitude of a source of 1 nJy, as the pipelines round it."""


def nearest_pixel(position: npt.ArrayLike) -> FloatArray:
    """Round positions half up to the nearest pixel.

    Parameters
    ----------
    position
        Pixel coordinates, any shape.

    Returns
    -------
    Whole numbers, as float64 so that NaN and infinity pass through.
    """
    return np.floor(np.asarray(position, dtype=np.float64) + 0.5)


@dataclass(frozen=True, slots=True)
class Box:
    """An integer box of pixels, ``x0 <= x < x_stop`` and ``y0 <= y < y_stop``."""

    x0: int
    y0: int
    width: int
    height: int

    @property
    def x_stop(self) -> int:
        return self.x0 + self.width

    @property
    def y_stop(self) -> int:
        return self.y0 + self.height

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), the shape of an array that covers the box."""
        return self.height, self.width

    def contains(self, x: npt.ArrayLike, y: npt.ArrayLike) -> BoolArray:
        """Tell whether the nearest pixel of each position lies in the box; False for NaN."""
        column, row = nearest_pixel(x), nearest_pixel(y)
        inside: BoolArray = (column >= self.x0) & (column < self.x_stop) & (row >= self.y0) & (row < self.y_stop)
        return inside

    def intersection(self, other: "Box") -> "Box":
        """Return the common pixels; width or height is 0 where there are none."""
        x0, y0 = max(self.x0, other.x0), max(self.y0, other.y0)
        return Box(
            x0,
            y0,
            max(min(self.x_stop, other.x_stop) - x0, 0),
            max(min(self.y_stop, other.y_stop) - y0, 0),
        )

    def __str__(self) -> str:
        return f"x {self.x0}..{self.x_stop - 1}, y {self.y0}..{self.y_stop - 1}"


@dataclass(frozen=True, slots=True)
class CellGrid:
    """A regular grid of cells that fills a box; the first cell starts at the box's origin."""

    box: Box
    cell_width: int
    cell_height: int

    def look_up(self, values: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the value of the cell that holds each position's nearest pixel.

        Parameters
        ----------
        values
            Shape (rows, columns, ...): anything per cell.
        x, y
            Positions, pixels, shape (n,).

        Returns
        -------
        Shape (n, ...); NaN for positions outside the grid.
        """
        result = np.full((len(x), *values.shape[2:]), np.nan)
        inside = self.box.contains(x, y)
        column = (nearest_pixel(x[inside]).astype(np.int64) - self.box.x0) // self.cell_width
        row = (nearest_pixel(y[inside]).astype(np.int64) - self.box.y0) // self.cell_height
        result[inside] = values[row, column]
        return result


@dataclass(frozen=True, slots=True)
class Spans:
    """The pixels of n footprints, row by row, in the image's pixel frame.

    Parameters
    ----------
    y, x0, x1
        Row, first and last column (inclusive) of each span, int64, shape (number of spans,).
    first
        The spans of footprint i are those from ``first[i]`` to ``first[i + 1]``; int64, shape (n + 1,).
    """

    y: IntArray
    x0: IntArray
    x1: IntArray
    first: IntArray

    def __len__(self) -> int:
        return len(self.first) - 1

    @classmethod
    def of(cls, footprints: Sequence[npt.NDArray[np.integer[Any]]]) -> "Spans":
        """Join footprints, each of shape (number of spans, 3): y, x0, x1."""
        rows = np.concatenate([np.zeros((0, 3), dtype=np.int64), *footprints]).astype(np.int64)
        first = np.concatenate([[0], np.cumsum([len(spans) for spans in footprints])]).astype(np.int64)
        y, x0, x1 = np.ascontiguousarray(rows.T)
        return cls(y, x0, x1, first)

    def take(self, rows: IntArray) -> "Spans":
        """Return some of the footprints."""
        counts = np.diff(self.first)[rows]
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        index = np.arange(first[-1]) - np.repeat(first[:-1] - self.first[rows], counts)
        return Spans(self.y[index], self.x0[index], self.x1[index], first)

    def shifted(self, dx: int, dy: int) -> "Spans":
        """Return the footprints, moved by whole pixels."""
        return Spans(self.y + dy, self.x0 + dx, self.x1 + dx, self.first)

    def boxes(self) -> IntArray:
        """Return the smallest box around each footprint, shape (n, 4): x and y of its first and last pixel.

        An empty one ends before it begins.
        """
        result = np.tile(np.array([0, 0, -1, -1]), (len(self), 1))
        filled = np.flatnonzero(np.diff(self.first))
        starts = self.first[filled]
        result[filled, 0] = np.minimum.reduceat(self.x0, starts) if len(starts) else 0
        result[filled, 1] = np.minimum.reduceat(self.y, starts) if len(starts) else 0
        result[filled, 2] = np.maximum.reduceat(self.x1, starts) if len(starts) else 0
        result[filled, 3] = np.maximum.reduceat(self.y, starts) if len(starts) else 0
        return result
