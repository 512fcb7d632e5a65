"""Polygon: the part of an image that is valid."""

import numpy as np

from ..conventions import BoolArray, FloatArray
from ..errors import ExposureError

_BLOCK = 64  # edges looked at together


class Polygon:
    """A polygon in an image's pixel frame.

    Parameters
    ----------
    x, y
        Vertices, pixels, shape (m,), finite, at least three; the last may repeat the first.

    Raises
    ------
    ExposureError
        If they are no polygon.
    """

    def __init__(self, x: FloatArray, y: FloatArray) -> None:
        x, y = np.array(x, dtype=np.float64), np.array(y, dtype=np.float64)
        if x.ndim != 1 or x.shape != y.shape or len(x) < 3 or not np.isfinite([x, y]).all():
            raise ExposureError(
                f"A polygon has at least three finite vertices; got x of shape {x.shape}, y of shape {y.shape}."
            )
        self.x, self.y = x, y

    def contains(self, x: FloatArray, y: FloatArray) -> BoolArray:
        """Tell which positions lie inside, by the even-odd rule; False for NaN.

        Parameters
        ----------
        x, y
            Pixels, shape (n,).
        """
        inside = np.zeros(len(x), dtype=bool)
        next_x, next_y = np.roll(self.x, -1), np.roll(self.y, -1)
        for start in range(0, len(self.x), _BLOCK):
            edges = np.s_[start : start + _BLOCK, np.newaxis]
            x1, y1, x2, y2 = self.x[edges], self.y[edges], next_x[edges], next_y[edges]
            across = (y1 <= y) != (y2 <= y)
            # Edges along x are never crossed.
            slope = (x2 - x1) / np.where(y1 == y2, 1.0, y2 - y1)
            with np.errstate(over="ignore", invalid="ignore"):
                crossed = across & (x < x1 + (y - y1) * slope)
            inside ^= np.count_nonzero(crossed, axis=0) % 2 == 1
        return inside
