"""CoaddPsf: the PSF of a coadd, from the PSFs of the images that it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..conventions import BoolArray, Box, FloatArray
from ..errors import ExposureError
from .base import KernelImages, Psf
from .warped import Linearised, WarpedSum, WarpingKernel, checked_number, stencil

if TYPE_CHECKING:
    from ..exposure.polygon import Polygon
    from ..exposure.wcs import Wcs


@dataclass(frozen=True, slots=True)
class CoaddInput:
    """An image that a coadd was made of.

    Parameters
    ----------
    psf, wcs
        Its own.
    box
        Its pixels.
    weight
        In the coadd.
    valid_polygon
        The part of it that was used, in its own pixel frame; None for all.
    """

    psf: Psf
    wcs: Wcs
    box: Box
    weight: float
    valid_polygon: Polygon | None = None

    def contains(self, x: FloatArray, y: FloatArray) -> BoolArray:
        """Tell which positions, in its own pixel frame, shape (n,), lie in its used part; False for NaN."""
        inside = self.box.contains(x, y)
        if self.valid_polygon is not None:
            inside &= self.valid_polygon.contains(x, y)
        return inside


class CoaddPsf(Psf):
    """The weighted mean of the PSFs of those inputs that contain a position (meas_algorithms' CoaddPsf).

    Each is warped from its image to the coadd, and has sum 1. Where no input contains the position,
    the PSF is undefined. All positions go through each input together.

    Parameters
    ----------
    inputs
        The images, at least one.
    wcs
        The coadd's.
    kernel
        The interpolation.

    Raises
    ------
    ExposureError
        If there are no inputs, or a weight is not finite.
    """

    draws_kernels_first = True

    def __init__(self, inputs: Sequence[CoaddInput], wcs: Wcs, kernel: WarpingKernel) -> None:
        if not inputs or not np.isfinite([part.weight for part in inputs]).all():
            raise ExposureError(f"A coadd's PSF has inputs of finite weights; got {len(inputs)} inputs.")
        self.inputs = tuple(inputs)
        self.wcs = wcs
        self.kernel = kernel
        self._n_models = checked_number([part.psf for part in inputs])

    @property
    def n_models(self) -> int:
        return self._n_models

    def kernel_images(self, x: FloatArray, y: FloatArray) -> KernelImages:
        around_x, around_y = stencil(x, y)
        ra, dec = self.wcs.pixel_to_sky(around_x.ravel(), around_y.ravel())
        ra, dec = ra.reshape(5, -1), dec.reshape(5, -1)
        total = WarpedSum(len(x), self.kernel)
        for part in self.inputs:
            here_x, here_y = part.wcs.sky_to_pixel(ra[0], dec[0])
            rows = np.flatnonzero(part.contains(here_x, here_y))
            if len(rows) == 0:
                continue
            beside_x, beside_y = part.wcs.sky_to_pixel(ra[1:, rows].ravel(), dec[1:, rows].ravel())
            near = Linearised.from_stencil(
                x[rows],
                y[rows],
                np.vstack([here_x[rows], beside_x.reshape(4, -1)]),
                np.vstack([here_y[rows], beside_y.reshape(4, -1)]),
            )
            total.add(part.psf, near, rows, part.weight)
        return total.mean()
