"""Footprints: the pixels that belong to a source, its peaks, and what the deblender gave it of the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from ..conventions import Box, FloatArray, IntArray, Spans, nearest_pixel
from ..errors import ExposureError
from .schema import Field, Schema

if TYPE_CHECKING:
    from ..exposure import Exposure
    from ..psf import Psf
    from .source_catalog import SourceCatalog

PEAK_SCHEMA = Schema(
    [
        Field("id", "int64", "unique ID"),
        Field("f_x", "float32", "subpixel column position", "pixel"),
        Field("f_y", "float32", "subpixel row position", "pixel"),
        Field("i_x", "int32", "column position of highest pixel", "pixel"),
        Field("i_y", "int32", "row position of highest pixel", "pixel"),
        Field("peakValue", "float32", "value of [smoothed] image at peak position", "count"),
    ]
)
"""What is known of every peak."""

type FootprintColumn = npt.NDArray[np.object_] | ShapedFootprints
"""A footprint, or None, for each row of a catalog."""

_CHUNK = 256
"""PSFs drawn at once."""

_NO_SPANS = np.zeros((0, 3), dtype=np.int32)


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


class ShapedFootprints(Sequence["Footprint | None"]):
    """Footprints that are ellipses of the PSF's second moments; each is made when it is asked for.

    Parameters
    ----------
    exposure
        The image that they are on, with its PSF.
    x, y
        Centres in the image's pixel frame, shape (n,); off the image, or NaN, there is no footprint.
    scaling
        The ellipses' axes are those of the moments multiplied by this.
    """

    def __init__(self, exposure: Exposure, x: FloatArray, y: FloatArray, scaling: float) -> None:
        self.exposure = exposure
        self.x = x
        self.y = y
        self.scaling = scaling

    @property
    def _psf(self) -> Psf:
        if self.exposure.psf is None:
            raise ExposureError(
                f"The exposure ({self.exposure.identity}) has no PSF, which gives the footprints their shape."
            )
        return self.exposure.psf

    def __len__(self) -> int:
        return len(self.x)

    @overload
    def __getitem__(self, key: int) -> Footprint | None: ...
    @overload
    def __getitem__(self, key: Any) -> ShapedFootprints: ...
    def __getitem__(self, key: Any) -> Footprint | ShapedFootprints | None:
        if not isinstance(key, int | np.integer):
            return ShapedFootprints(self.exposure, self.x[key], self.y[key], self.scaling)
        x, y = self.x[key], self.y[key]
        if not self.exposure.bbox.contains(x, y):
            return None
        spans = self[np.array([key])].spans()
        column, row = int(nearest_pixel(x)), int(nearest_pixel(y))
        value = self.exposure.image[row - self.exposure.y0, column - self.exposure.x0]
        return Footprint(
            spans=np.stack([spans.y, spans.x0, spans.x1], axis=1).astype(np.int32), peaks=_peak(column, row, value)
        )

    def __iter__(self) -> Iterator[Footprint | None]:
        return (self[i] for i in range(len(self)))

    def spans(self, psf_moments: FloatArray | None = None) -> Spans:
        """Return the pixels of all of them.

        Parameters
        ----------
        psf_moments
            The PSF's second moments at the centres, shape (n, 3), where they are known already.
        """
        from ..kernels.spans import ellipse_spans

        if psf_moments is None:
            psf_moments = np.full((len(self), 3), np.nan)
            inside = np.flatnonzero(self.exposure.bbox.contains(self.x, self.y))
            for start in range(0, len(inside), _CHUNK):
                rows = inside[start : start + _CHUNK]
                psf_moments[rows] = self._psf.moments(self.x[rows], self.y[rows])
        return ellipse_spans(self.x, self.y, psf_moments * self.scaling**2, self.exposure.bbox)


def first_peaks(footprints: FootprintColumn) -> tuple[FloatArray, FloatArray]:
    """Return x and y of each footprint's first peak, in the image's pixel frame; NaN where there is none."""
    if isinstance(footprints, ShapedFootprints):
        x, y = nearest_pixel(footprints.x), nearest_pixel(footprints.y)
        is_off = ~footprints.exposure.bbox.contains(x, y)
        x[is_off] = y[is_off] = np.nan
        return x, y
    x, y = np.full((2, len(footprints)), np.nan)
    for i, footprint in enumerate(footprints):
        if footprint is not None and len(footprint.peaks):
            x[i], y[i] = footprint.peaks["f_x"][0], footprint.peaks["f_y"][0]
    return x, y


def spans_of(footprints: FootprintColumn) -> Spans:
    """Return the pixels of a catalog's footprints; none where there is no footprint."""
    if isinstance(footprints, ShapedFootprints):
        return footprints.spans()
    return Spans.of([_NO_SPANS if footprint is None else footprint.spans for footprint in footprints])


def _peak(column: int, row: int, value: float) -> SourceCatalog:
    from .source_catalog import SourceCatalog

    values = {"id": 1, "f_x": column, "f_y": row, "i_x": column, "i_y": row, "peakValue": value}
    columns = {field.name: np.array([values[field.name]], dtype=field.dtype) for field in PEAK_SCHEMA}
    return SourceCatalog(PEAK_SCHEMA, columns, kind="BASE")
