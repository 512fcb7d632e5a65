"""Fields: functions of pixel position, evaluated for many positions at once."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ..conventions import Box, FloatArray


@runtime_checkable
class Field(Protocol):
    """A scalar function of position in an image's pixel frame."""

    def evaluate(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the values at ``x, y`` (pixels, shape (n,)); NaN where the field is undefined."""
        ...


@dataclass(frozen=True, slots=True)
class ConstantField:
    """The same value everywhere."""

    value: float

    def evaluate(self, x: FloatArray, y: FloatArray) -> FloatArray:
        return np.full(np.shape(x), self.value, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class ChebyshevField:
    """A polynomial in Chebyshev functions of the first kind, on a box scaled to [-1, 1].

    Parameters
    ----------
    box
        The box; its outer pixel edges are at -1 and 1 (afw's ChebyshevBoundedField).
    coefficients
        Shape (order_y + 1, order_x + 1): ``c[j, i]`` multiplies T_j(y) T_i(x).
    """

    box: Box
    coefficients: npt.NDArray[np.float64]

    def evaluate(self, x: FloatArray, y: FloatArray) -> FloatArray:
        scaled_x = 2.0 * (np.asarray(x) - self.box.x0 + 0.5) / self.box.width - 1.0
        scaled_y = 2.0 * (np.asarray(y) - self.box.y0 + 0.5) / self.box.height - 1.0
        values: FloatArray = np.polynomial.chebyshev.chebval2d(scaled_y, scaled_x, self.coefficients)
        return values


@dataclass(frozen=True, slots=True)
class CellField:
    """One value per cell of a regular grid.

    Parameters
    ----------
    box
        All the cells.
    cell_width, cell_height
        Size of a cell, pixels.
    values
        Shape (rows, columns); NaN for a missing cell.
    """

    box: Box
    cell_width: int
    cell_height: int
    values: npt.NDArray[np.float64]

    def evaluate(self, x: FloatArray, y: FloatArray) -> FloatArray:
        result = np.full(np.shape(x), np.nan)
        inside = self.box.contains(x, y)
        column, row = cell_index(self.box, self.cell_width, self.cell_height, x[inside], y[inside])
        result[inside] = self.values[row, column]
        return result


def cell_index(
    box: Box, cell_width: int, cell_height: int, x: FloatArray, y: FloatArray
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the (column, row) of the cell that holds each position's nearest pixel."""
    column = np.floor((np.floor(x + 0.5) - box.x0) / cell_width).astype(np.int64)
    row = np.floor((np.floor(y + 0.5) - box.y0) / cell_height).astype(np.int64)
    return column, row
