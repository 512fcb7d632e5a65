"""WarpedPsf: a PSF seen through a change of pixel coordinates; what warping has in common."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple, Protocol

import numpy as np

from ..conventions import BoolArray, FloatArray, IntArray, nearest_pixel
from ..errors import ExposureError
from .base import KernelImages, Psf, Stamps

_STEP = 1.0  # of finite differences, pixels
_NOISE = 1e-8  # of finite differences and of positions, pixels: what is that close to whole numbers is one
_FINEST = 100_000  # fractions of a pixel, beyond which more make no difference
_MAX_ORDER = 10
_FARTHEST = 2.0**31  # from 0, pixels
_MAX_STRETCH = 200.0
_MAX_HALF_SIDE = 511
_MAX_MODELS = 100_000


class PixelTransform(Protocol):
    """A change of pixel coordinates, float64 of shape (n,); NaN where it is undefined."""

    def to_source(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return where positions of the warped image come from."""
        ...


@dataclass(frozen=True)
class WarpingKernel:
    """An interpolation, by afw's name for it: ``bilinear`` or ``lanczos3`` (2 to 10).

    Parameters
    ----------
    name
        Its name.
    n_fractions
        Positions are rounded to so many fractions of a pixel, as in afw's cache of kernels; 0 for no
        rounding that matters.

    Raises
    ------
    ExposureError
        If there is no such kernel.
    """

    name: str
    n_fractions: int = 10_000

    def __post_init__(self) -> None:
        match = re.fullmatch(r"lanczos(\d{1,2})", self.name)
        if self.name != "bilinear" and not (match and 2 <= int(match[1]) <= _MAX_ORDER):
            raise ExposureError(
                f"The warping kernels are bilinear and lanczos2 to lanczos{_MAX_ORDER}; got {self.name!r}."
            )

    @cached_property
    def taps(self) -> FloatArray:
        """The weights, as `forcedphot.kernels.warp.tap_table` returns them."""
        n_taps = 2 if self.name == "bilinear" else 2 * int(self.name.removeprefix("lanczos"))
        return _shared_taps(n_taps, min(self.n_fractions, _FINEST) if self.n_fractions > 0 else _FINEST)


@lru_cache(maxsize=4)
def _shared_taps(n_taps: int, size: int) -> FloatArray:
    from ..kernels.warp import tap_table

    return tap_table(n_taps, size)


def stencil(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the positions, and those a step to either side of them, each of shape (5, n)."""
    nothing = np.zeros_like(x)
    dx = np.array([nothing, nothing + _STEP, nothing - _STEP, nothing, nothing])
    return x + dx, y + dx[[0, 3, 3, 1, 2]]


class Linearised(NamedTuple):
    """A transform near n positions."""

    x: FloatArray
    """Where the nearest pixels of the positions come from, shape (n,)."""
    y: FloatArray
    """The same for y."""
    to_source: FloatArray
    """Derivatives, shape (n, 2, 2): of x, then y, by x and y of the warped image."""
    to_warped: FloatArray
    """Their inverse."""
    valid: BoolArray
    """Where the transform is defined, can be inverted, and does not stretch beyond measure, shape (n,)."""

    @classmethod
    def from_stencil(cls, x: FloatArray, y: FloatArray, moved_x: FloatArray, moved_y: FloatArray) -> Linearised:
        """Take the transform from where it moves the positions' `stencil`, shape (5, n).

        Like afw's linearizeTransform at the position, here by central differences.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return cls._from_moved(x, y, np.stack([moved_x, moved_y]))

    @classmethod
    def _from_moved(cls, x: FloatArray, y: FloatArray, moved: FloatArray) -> Linearised:
        """Take the transform from where it moves the stencil, shape (2, 5, n)."""
        derivatives = _without_noise((moved[:, [1, 3]] - moved[:, [2, 4]]) / (2.0 * _STEP))
        to_pixel = nearest_pixel(x) - x, nearest_pixel(y) - y
        source = moved[:, 0] + derivatives[:, 0] * to_pixel[0] + derivatives[:, 1] * to_pixel[1]
        to_source = np.moveaxis(derivatives, 2, 0)
        (a, b), (c, d) = derivatives
        determinant = a * d - b * c
        valid = (np.abs(source) < _FARTHEST).all(axis=0) & np.isfinite(determinant) & (determinant != 0.0)
        inverse = np.array([[d, -b], [-c, a]]) / np.where(valid, determinant, np.nan)
        to_warped = np.moveaxis(inverse, 2, 0)
        valid &= np.abs(inverse).max(axis=(0, 1), initial=0.0) <= _MAX_STRETCH
        source_x, source_y = _without_noise(source)
        return cls(source_x, source_y, to_source, to_warped, valid)

    def take(self, which: BoolArray) -> Linearised:
        """Return some of the positions."""
        return Linearised(
            self.x[which], self.y[which], self.to_source[which], self.to_warped[which], self.valid[which]
        )

    def half_sides(self, stamps: Stamps) -> tuple[IntArray, IntArray]:
        """Return how far warped stamps reach from their middle pixel, in y and in x.

        That is as many whole pixels as the outer corners of the originals are away.
        """
        stretch = np.abs(self.to_warped)
        reach = 0.5 * np.stack([stamps.widths, stamps.heights], axis=1)[:, :, np.newaxis]
        half_width, half_height = np.floor(stretch @ reach)[:, :, 0].T.astype(np.int64)
        return half_height, half_width


def _without_noise(values: FloatArray) -> FloatArray:
    """Round what is all but a whole number.

    Images with the same WCS are then not interpolated between a pixel and the next, depending on
    the last digit.
    """
    whole = np.rint(values)
    return np.where(np.abs(values - whole) < _NOISE, whole, values)


class WarpedSum:
    """The weighted mean of warped stamps at n positions, centred on the middle pixel.

    Parameters
    ----------
    n
        Number of positions.
    kernel
        The interpolation.
    """

    def __init__(self, n: int, kernel: WarpingKernel) -> None:
        self._taps = kernel.taps
        self._images = np.zeros((n, 1, 1))
        self._weights = np.zeros(n)
        self._half_height = np.zeros(n, dtype=np.int64)
        self._half_width = np.zeros(n, dtype=np.int64)
        self._failed = np.zeros(n, dtype=bool)

    def add(self, psf: Psf, near: Linearised, rows: IntArray, weight: float) -> None:
        """Add a PSF as it is seen through a transform.

        Its image at the source of each nearest pixel is warped about that place by the transform's
        derivatives, and normalised (meas_algorithms' WarpedPsf).

        Parameters
        ----------
        psf
            The PSF before the transform.
        near
            The transform at some of the positions.
        rows
            Which of the positions these are.
        weight
            Factor.
        """
        from ..kernels.warp import add_warped

        self._failed[rows[~near.valid]] = True
        near, rows = near.take(near.valid), rows[near.valid]
        stamps = psf.images(near.x, near.y)
        half_height, half_width = near.half_sides(stamps)
        drawn = stamps.valid & (np.maximum(half_height, half_width) <= _MAX_HALF_SIDE)
        self._failed[rows[~drawn]] = True
        if not drawn.all():
            stamps = stamps.take(drawn)
            near, rows, half_height, half_width = (
                near.take(drawn),
                rows[drawn],
                half_height[drawn],
                half_width[drawn],
            )
        self._make_room(rows, half_height, half_width)
        added = add_warped(
            stamps.images,
            stamps.heights,
            stamps.widths,
            near.to_source,
            near.x - (stamps.x0 + stamps.widths // 2),
            near.y - (stamps.y0 + stamps.heights // 2),
            self._taps,
            half_height,
            half_width,
            weight,
            rows,
            self._images,
        )
        self._failed[rows[~added]] = True
        self._weights[rows] += weight

    def mean(self) -> KernelImages:
        """Return the mean; invalid where nothing was added, or something could not be."""
        valid = (self._weights != 0.0) & ~self._failed
        self._images /= np.where(valid, self._weights, np.nan)[:, np.newaxis, np.newaxis]
        return KernelImages(
            self._images,
            valid,
            np.where(valid, 2 * self._half_height + 1, 0),
            np.where(valid, 2 * self._half_width + 1, 0),
        )

    def _make_room(self, rows: IntArray, half_height: IntArray, half_width: IntArray) -> None:
        """Enlarge the images where stamps are to be added."""
        self._half_height[rows] = np.maximum(self._half_height[rows], half_height)
        self._half_width[rows] = np.maximum(self._half_width[rows], half_width)
        more_y = max(int(half_height.max(initial=0)) - self._images.shape[1] // 2, 0)
        more_x = max(int(half_width.max(initial=0)) - self._images.shape[2] // 2, 0)
        if more_y or more_x:
            self._images = np.pad(self._images, ((0, 0), (more_y, more_y), (more_x, more_x)))


class WarpedPsf(Psf):
    """A PSF seen through a change of pixel coordinates (meas_algorithms' WarpedPsf).

    Parameters
    ----------
    undistorted
        The PSF before.
    transform
        The change.
    kernel
        The interpolation.
    """

    draws_kernels_first = True

    def __init__(self, undistorted: Psf, transform: PixelTransform, kernel: WarpingKernel) -> None:
        self.undistorted = undistorted
        self.transform = transform
        self.kernel = kernel
        self._n_models = checked_number([undistorted])

    @property
    def n_models(self) -> int:
        return self._n_models

    def kernel_images(self, x: FloatArray, y: FloatArray) -> KernelImages:
        around_x, around_y = stencil(x, y)
        moved_x, moved_y = self.transform.to_source(around_x.ravel(), around_y.ravel())
        near = Linearised.from_stencil(x, y, moved_x.reshape(5, -1), moved_y.reshape(5, -1))
        total = WarpedSum(len(x), self.kernel)
        total.add(self.undistorted, near, np.arange(len(x)), 1.0)
        return total.mean()


def checked_number(psfs: list[Psf]) -> int:
    """Add up the models that PSFs are made of.

    Raises
    ------
    ExposureError
        If there are absurdly many: PSFs within PSFs, of which a file may describe more than it holds.
    """
    number = sum(psf.n_models for psf in psfs)
    if number > _MAX_MODELS:
        raise ExposureError(f"A PSF is made of {number} others, which would take too long to draw.")
    return number
