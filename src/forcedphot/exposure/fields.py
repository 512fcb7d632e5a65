"""Fields: functions of pixel position, evaluated for many positions at once."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ..conventions import Box, CellGrid, FloatArray
from ..errors import ExposureError

_MAX_FACTORS = 1000


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

    def evaluate(self, x: FloatArray, y: FloatArray) -> FloatArray:  # noqa: ARG002
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
        return np.asarray(np.polynomial.chebyshev.chebval2d(scaled_y, scaled_x, self.coefficients), np.float64)


@dataclass(frozen=True, slots=True)
class ProductField:
    """The product of some fields.

    Raises
    ------
    ExposureError
        If there are absurdly many: products within products, of which a file may describe more than it holds.
    """

    factors: tuple[Field, ...]

    def __post_init__(self) -> None:
        if self.n_factors > _MAX_FACTORS:
            raise ExposureError(f"A field is the product of {self.n_factors} others, which takes too long.")

    @property
    def n_factors(self) -> int:
        """How many fields are multiplied, those of products within it included."""
        return sum(part.n_factors if isinstance(part, ProductField) else 1 for part in self.factors)

    def evaluate(self, x: FloatArray, y: FloatArray) -> FloatArray:
        product = np.ones(np.shape(x))
        for factor in self.factors:
            product *= factor.evaluate(x, y)
        return product


@dataclass(frozen=True, slots=True)
class CellField:
    """One value per cell of a regular grid.

    Parameters
    ----------
    grid
        The cells.
    values
        Shape (rows, columns); NaN for a missing cell.
    """

    grid: CellGrid
    values: npt.NDArray[np.float64]

    def evaluate(self, x: FloatArray, y: FloatArray) -> FloatArray:
        return self.grid.look_up(self.values, x, y)
