"""Warps: visit images resampled onto the pixels of a patch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..conventions import Box, FloatArray, IntArray
from ..errors import ExposureError
from ..exposure import Exposure, Wcs
from ..psf.warped import WarpingKernel

WARPING_KERNEL = WarpingKernel("lanczos3")
"""As the pipelines have it."""

_SPACING_PIX = 10


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """An image on the pixels of another.

    Parameters
    ----------
    box
        In the other's pixel frame.
    image, variance
        Shape (height, width); NaN where the image does not reach.
    bits
        Union of the mask bits of the pixels that are behind each pixel.
    """

    box: Box
    image: FloatArray
    variance: FloatArray
    bits: IntArray


@dataclass(frozen=True)
class ThroughSky:
    """The change of pixel coordinates from an image to a warp of it.

    Parameters
    ----------
    source, target
        WCS of the image and of the warp.
    """

    source: Wcs
    target: Wcs

    def to_source(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return where positions of the warp, pixels, shape (n,), are in the image."""
        return self.source.sky_to_pixel(*self.target.pixel_to_sky(x, y))


def warp_to(wcs: Wcs, box: Box, exposure: Exposure) -> Warp | None:
    """Warp an image onto a part of the sky.

    The change of coordinates is exact at every tenth pixel, and interpolated bilinearly between. Pixels are
    multiplied by their area, so that fluxes stay what they are.

    Parameters
    ----------
    wcs, box
        Of the pixels onto which it is warped.
    exposure
        With a variance and a WCS.

    Returns
    -------
    The part of the box that the image may reach; None if it does not reach it.

    Raises
    ------
    ExposureError
        If the image has no variance or WCS.
    """
    from ..kernels.resampling import resample

    if exposure.variance is None or exposure.wcs is None:
        raise ExposureError(f"An image without a variance or a WCS cannot be coadded ({exposure.identity}).")
    nodes = _Nodes.of(ThroughSky(exposure.wcs, wcs), box).near(exposure.bbox)
    if nodes is None:
        return None
    bits = np.zeros(exposure.image.shape, dtype=np.uint8) if exposure.mask is None else exposure.mask.array
    image, variance, joined = resample(
        exposure.image,
        exposure.variance,
        bits,
        nodes.source_x - exposure.x0,
        nodes.source_y - exposure.y0,
        nodes.area,
        _SPACING_PIX,
        WARPING_KERNEL.taps,
        nodes.box.shape,
    )
    return Warp(nodes.box, image, variance, joined)


@dataclass(frozen=True, eq=False)
class _Nodes:
    """Places in an image of every tenth pixel of a box, the first of which is the box's first.

    The last lie on the box's last pixels, or beyond them.
    """

    box: Box
    source_x: FloatArray
    source_y: FloatArray

    @classmethod
    def of(cls, transform: ThroughSky, box: Box) -> _Nodes:
        """Compute the places."""
        # Three at least, of which derivatives are taken.
        rows, columns = (max(-(-(side - 1) // _SPACING_PIX) + 1, 3) for side in box.shape)
        x, y = np.meshgrid(box.x0 + _SPACING_PIX * np.arange(columns), box.y0 + _SPACING_PIX * np.arange(rows))
        source = transform.to_source(x.ravel().astype(np.float64), y.ravel().astype(np.float64))
        return cls(box, *(places.reshape(rows, columns) for places in source))

    @cached_property
    def area(self) -> FloatArray:
        """Area of a pixel at each node, in pixels of the image."""
        x_by_y, x_by_x = np.gradient(self.source_x, _SPACING_PIX, edge_order=2)
        y_by_y, y_by_x = np.gradient(self.source_y, _SPACING_PIX, edge_order=2)
        area: FloatArray = np.abs(x_by_x * y_by_y - x_by_y * y_by_x)
        return area

    def near(self, image_box: Box) -> _Nodes | None:
        """Leave out rows and columns of nodes that are beyond the image, except for two next to it."""
        inside = (self.source_x > image_box.x0 - 0.5) & (self.source_x < image_box.x_stop - 0.5)
        inside &= (self.source_y > image_box.y0 - 0.5) & (self.source_y < image_box.y_stop - 0.5)
        if not inside.any():
            return None
        first_row, stop_row = _range(inside.any(axis=1))
        first_column, stop_column = _range(inside.any(axis=0))
        box = self.box.intersection(
            Box(
                self.box.x0 + _SPACING_PIX * first_column,
                self.box.y0 + _SPACING_PIX * first_row,
                _SPACING_PIX * (stop_column - 1 - first_column) + 1,
                _SPACING_PIX * (stop_row - 1 - first_row) + 1,
            )
        )
        part = np.s_[first_row:stop_row, first_column:stop_column]
        return _Nodes(box, self.source_x[part], self.source_y[part])


def _range(marked: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[int, int]:
    """Return the first and last marked number, each with two more beyond it where there are some, and one more."""
    found = np.flatnonzero(marked)
    return max(int(found[0]) - 2, 0), min(int(found[-1]) + 3, len(marked))
