"""Footprints: the pixels that belong to a source, its peaks, and what the deblender gave it of the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..conventions import Box, IntArray
from .source_catalog import SourceCatalog


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Footprint:
    """A set of pixels with peaks; a heavy one also has pixel values.

    Parameters
    ----------
    spans
        int32, shape (n, 3): row y, first and last column x0, x1 (inclusive), in the image's pixel frame.
    peaks
        One row a peak: ``f_x``, ``f_y`` (pixels), ``i_x``, ``i_y``, ``peakValue``, and
        what else the detection recorded.
    image, mask, variance
        Values of the pixels, shape (area,), span by span; None if the footprint is not heavy.
    """

    spans: npt.NDArray[np.int32]
    peaks: SourceCatalog
    image: npt.NDArray[Any] | None = None
    mask: npt.NDArray[Any] | None = None
    variance: npt.NDArray[Any] | None = None

    @property
    def is_heavy(self) -> bool:
        """Whether it has pixel values."""
        return self.image is not None

    @property
    def area(self) -> int:
        """The number of pixels."""
        return int(self._widths.sum())

    @property
    def bbox(self) -> Box:
        """The smallest box that holds all pixels."""
        if not len(self.spans):
            return Box(0, 0, 0, 0)
        y, x0, x1 = (self.spans[:, i].astype(np.int64) for i in range(3))
        left, bottom = int(x0.min()), int(y.min())
        return Box(left, bottom, int(x1.max()) - left + 1, int(y.max()) - bottom + 1)

    def pixels(self) -> tuple[IntArray, IntArray]:
        """Return the columns x and rows y of all pixels, each of shape (area,), in the order of the values."""
        widths = self._widths
        first = np.cumsum(widths) - widths
        x = np.arange(int(widths.sum())) - np.repeat(first, widths) + np.repeat(self.spans[:, 1], widths)
        return x.astype(np.int64), np.repeat(self.spans[:, 0], widths).astype(np.int64)

    @property
    def _widths(self) -> IntArray:
        widths: IntArray = self.spans[:, 2].astype(np.int64) - self.spans[:, 1] + 1
        return widths
