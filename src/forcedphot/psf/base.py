"""Psf: N positions -> stamps and moments. The protocol, and what models share."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from ..conventions import BoolArray, FloatArray, IntArray, nearest_pixel


class Stamps(NamedTuple):
    """PSF images at n positions.

    All have the same odd shape; each sums to about 1.
    """

    images: FloatArray
    """Shape (n, height, width), C-contiguous."""
    x0: IntArray
    """Column of each stamp's first pixel, shape (n,), in the image's pixel frame."""
    y0: IntArray
    """Row of each stamp's first pixel, shape (n,)."""
    valid: BoolArray
    """False where the model is undefined, shape (n,); such stamps are NaN."""


class Psf(ABC):
    """A point-spread function, evaluated for many positions at once.

    Positions are float64 of shape (n,), finite, in the image's pixel frame. A model defines
    `kernel_images`; the rest follows from it, and a model overrides what it can do better.
    Instances are immutable and may be used by several threads.
    """

    @property
    @abstractmethod
    def stamp_shape(self) -> tuple[int, int]:
        """(height, width) of the stamps, both odd."""

    @abstractmethod
    def kernel_images(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Draw the PSF at each position, centred on the middle pixel.

        Returns
        -------
        images
            Shape (n, height, width), sum 1, float64; NaN where the model is undefined. May be a
            read-only broadcast of fewer images.
        valid
            Shape (n,).
        """

    def images(self, x: FloatArray, y: FloatArray) -> Stamps:
        """Draw the image of a point source at each position, with the image's sampling.

        The kernel image is shifted by position - nearest pixel, rounded to float32, with a
        separable Lanczos-5 kernel; no renormalisation (afw's ImagePsf).
        """
        from ..kernels.lanczos import shift_images

        kernels, valid = self.kernel_images(x, y)
        column, row = nearest_pixel(x), nearest_pixel(y)
        images = shift_images(
            kernels,
            (x - column).astype(np.float32).astype(np.float64),
            (y - row).astype(np.float32).astype(np.float64),
        )
        return self._placed(images, column, row, valid)

    def moments(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the adaptive second moments of the kernel images.

        Returns
        -------
        Shape (n, 3): xx, yy, xy in pixel^2; NaN where they do not converge or the model is
        undefined.
        """
        from ..kernels.moments import adaptive_moments

        kernels, _ = self.kernel_images(x, y)
        return adaptive_moments(kernels)

    def _placed(self, images: FloatArray, column: FloatArray, row: FloatArray, valid: BoolArray) -> Stamps:
        height, width = self.stamp_shape
        return Stamps(
            images,
            column.astype(np.int64) - width // 2,
            row.astype(np.int64) - height // 2,
            valid,
        )
