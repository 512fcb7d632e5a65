"""Psf: N positions -> stamps and moments. The protocol, and what models share."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from ..conventions import BoolArray, FloatArray, IntArray, nearest_pixel


class KernelImages(NamedTuple):
    """PSFs at n positions, each centred on the middle pixel of its image, with sum 1."""

    images: FloatArray
    """Shape (n, height, width), odd; NaN where the model is undefined.

    An image that is smaller than this stands in the middle, with zeros around it. May be a
    read-only broadcast of fewer images.
    """
    valid: BoolArray
    """False where the model is undefined, shape (n,)."""
    heights: IntArray
    """Height of each valid image without the zeros around it, odd, shape (n,)."""
    widths: IntArray
    """Width of each valid image, likewise."""

    @classmethod
    def of_one_shape(cls, images: FloatArray, valid: BoolArray | None = None) -> "KernelImages":
        """Take images that fill their arrays; all are valid unless said otherwise."""
        n, height, width = images.shape
        if valid is None:
            valid = np.ones(n, dtype=bool)
        return cls(images, valid, np.full(n, height), np.full(n, width))

    def shifted_to(self, x: FloatArray, y: FloatArray) -> "Stamps":
        """Place the images at positions, pixels, of shape (n,), as `Psf.images` says."""
        from ..kernels.lanczos import shift_images

        column, row = nearest_pixel(x), nearest_pixel(y)
        images = shift_images(
            self.images,
            (x - column).astype(np.float32).astype(np.float64),
            (y - row).astype(np.float32).astype(np.float64),
        )
        return Stamps.placed(self._replace(images=images), column, row)

    def moments(self) -> FloatArray:
        """Measure the images, as `Psf.moments` says."""
        from ..kernels.moments import adaptive_moments

        return adaptive_moments(self.images)


class Stamps(NamedTuple):
    """PSF images at n positions, each of odd height and width; each sums to about 1.

    The arrays hold the largest. A smaller one stands in the middle of its array; the pixels around
    it belong to nobody.
    """

    images: FloatArray
    """Shape (n, height, width), C-contiguous."""
    x0: IntArray
    """Column of each stamp's first pixel, shape (n,), in the image's pixel frame."""
    y0: IntArray
    """Row of each stamp's first pixel, shape (n,)."""
    valid: BoolArray
    """False where the model is undefined, shape (n,); such stamps are NaN."""
    heights: IntArray
    """Height of each stamp, shape (n,)."""
    widths: IntArray
    """Width of each stamp, shape (n,)."""

    @classmethod
    def placed(cls, kernels: KernelImages, column: FloatArray, row: FloatArray) -> "Stamps":
        """Put the middle pixels of images at the given pixels, shape (n,)."""
        return cls(
            kernels.images,
            column.astype(np.int64) - kernels.widths // 2,
            row.astype(np.int64) - kernels.heights // 2,
            kernels.valid,
            kernels.heights,
            kernels.widths,
        )

    def take(self, which: BoolArray) -> "Stamps":
        """Return some of the stamps."""
        return Stamps(
            self.images[which],
            self.x0[which],
            self.y0[which],
            self.valid[which],
            self.heights[which],
            self.widths[which],
        )

    def stamp(self, i: int) -> FloatArray:
        """Return one stamp, shape (heights[i], widths[i]); a view."""
        _, height, width = self.images.shape
        low_y, low_x = (height - self.heights[i]) // 2, (width - self.widths[i]) // 2
        return self.images[i, low_y : low_y + self.heights[i], low_x : low_x + self.widths[i]]

    def add_to(self, image: npt.NDArray[np.floating[Any]], x0: int, y0: int, flux: FloatArray) -> None:
        """Add the stamps to an image in place, as far as they are on it.

        Parameters
        ----------
        image
            Shape (height, width).
        x0, y0
            Its origin.
        flux
            Of each stamp, shape (n,).
        """
        height, width = image.shape
        columns, rows = (self.x0 - x0).tolist(), (self.y0 - y0).tolist()
        for i, (column, row) in enumerate(zip(columns, rows, strict=True)):
            stamp = self.stamp(i)
            low_x, low_y = max(-column, 0), max(-row, 0)
            high_x, high_y = min(width - column, stamp.shape[1]), min(height - row, stamp.shape[0])
            if low_x < high_x and low_y < high_y:
                part = (stamp[low_y:high_y, low_x:high_x] * flux[i]).astype(image.dtype)
                image[row + low_y : row + high_y, column + low_x : column + high_x] += part


class Psf(ABC):
    """A point-spread function, evaluated for many positions at once.

    Positions are float64 of shape (n,), finite, in the image's pixel frame. A model defines
    `kernel_images`; the rest follows from it, and a model overrides what it can do better.
    Instances are immutable and may be used by several threads.
    """

    draws_kernels_first: ClassVar[bool] = False
    """True if both `images` and `moments` are made of kernel images that take long to draw: who
    needs both calls `kernel_images` once."""

    @property
    def n_models(self) -> int:
        """Of how many models, each drawn, a stamp is made."""
        return 1

    @abstractmethod
    def kernel_images(self, x: FloatArray, y: FloatArray) -> KernelImages:
        """Draw the PSF at each position, centred on the middle pixel, float64."""

    def images(self, x: FloatArray, y: FloatArray) -> Stamps:
        """Draw the image of a point source at each position, with the image's sampling.

        The kernel image is shifted by position - nearest pixel, rounded to float32, with a
        separable Lanczos-5 kernel; no renormalisation (afw's ImagePsf).
        """
        return self.kernel_images(x, y).shifted_to(x, y)

    def moments(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the adaptive second moments of the kernel images.

        Returns
        -------
        Shape (n, 3): xx, yy, xy in pixel^2; NaN where they do not converge or the model is
        undefined.
        """
        return self.kernel_images(x, y).moments()


def normalised(images: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Divide each image by its sum, in place; images whose sum is 0 or not finite become NaN.

    Parameters
    ----------
    images
        Shape (n, height, width).

    Returns
    -------
    The same images, and which of them have such a sum, shape (n,).
    """
    total = images.sum(axis=(1, 2))
    valid = np.isfinite(total) & (total != 0.0)
    total[~valid] = np.nan
    images /= total[:, np.newaxis, np.newaxis]
    return images, valid
