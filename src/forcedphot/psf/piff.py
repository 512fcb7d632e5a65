"""PiffPsf: models fitted by Piff; grids aligned with the pixels are drawn many at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from ..conventions import BoolArray, FloatArray, nearest_pixel
from ..errors import ExposureError
from .base import KernelImages, Psf, Stamps, normalised

_PIFF_LOCK = Lock()  # Piff models keep state between calls (PixelGrid's _maxk, cached galsim objects)
_DRAWING_ERRORS = (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)
_POSITION_NAMES = frozenset({"x", "y", "u", "v"})
_BLOCK = 64  # stamps drawn at once: grids, weights and stamps of a block stay in the cache


class PiffPsf(Psf):
    """A PSF model of the package Piff, for one image.

    A `piff.SimplePSF` of a PixelGrid, interpolated by a polynomial, whose WCS is a plain
    `galsim.PixelScale` is linear and separable, and is drawn with matrix products. Every other
    model is drawn by Piff itself, position by position. Stamps have sum 1, as those of the
    pipelines' PiffPsf.

    Parameters
    ----------
    piff_psf
        A ``piff.PSF`` for a single chip, interpolated in position only; held, not copied.
    stamp_size
        Side of the stamps, pixels, odd.

    Raises
    ------
    ExposureError
        If the model needs properties of the star other than its position (a chromatic PSF), or
        covers several chips, or the stamp size is not odd and positive.
    """

    def __init__(self, piff_psf: Any, stamp_size: int) -> None:
        if stamp_size < 1 or stamp_size % 2 == 0:
            raise ExposureError(f"PSF stamps have an odd size; got {stamp_size}.")
        others = sorted(set(piff_psf.interp_property_names) - _POSITION_NAMES)
        if others:
            raise ExposureError(
                f"This Piff PSF depends on {', '.join(others)} besides the position. "
                "Chromatic PSFs are not supported."
            )
        if len(piff_psf.wcs) != 1:
            raise ExposureError(f"A Piff PSF of one chip is expected; this one has {len(piff_psf.wcs)}.")
        self.piff_psf = piff_psf
        self._size = int(stamp_size)
        self._grid = _AlignedGrid.from_piff(piff_psf, self._size)

    @property
    def stamp_shape(self) -> tuple[int, int]:
        return self._size, self._size

    def images(self, x: FloatArray, y: FloatArray) -> Stamps:
        """Draw the image of a point source at each position; no Lanczos shift is involved."""
        column, row = nearest_pixel(x), nearest_pixel(y)
        if self._grid is not None:
            images, valid = self._grid.images(x, y, x - column, y - row)
        else:
            images, valid = self._drawn_by_piff(x, y, centred=False)
        return Stamps.placed(KernelImages.of_one_shape(images, valid), column, row)

    def kernel_images(self, x: FloatArray, y: FloatArray) -> KernelImages:
        if self._grid is not None:
            return KernelImages.of_one_shape(*self._grid.kernel_images(x, y))
        return KernelImages.of_one_shape(*self._drawn_by_piff(x, y, centred=True))

    def _drawn_by_piff(self, x: FloatArray, y: FloatArray, *, centred: bool) -> tuple[FloatArray, BoolArray]:
        """Let Piff draw one stamp after the other; NaN where it cannot."""
        images = np.full((len(x), *self.stamp_shape), np.nan)
        with _PIFF_LOCK, np.errstate(all="ignore"):
            for i in range(len(x)):
                try:
                    images[i] = self._draw(float(x[i]), float(y[i]), centred=centred)
                except _DRAWING_ERRORS:  # Piff and galsim raise these where a model is undefined
                    continue
        return normalised(images)

    def _draw(self, x: float, y: float, *, centred: bool) -> FloatArray:
        import galsim

        half = self._size // 2
        # Piff's own stamps round exact half pixels down, the conventions of this package up.
        column, row = int(nearest_pixel(x)), int(nearest_pixel(y))
        bounds = galsim.BoundsI(column - half, column + half, row - half, row + half)
        image = galsim.Image(bounds, dtype=float)
        self.piff_psf.draw(x, y, image=image, center=True if centred else None)
        array: FloatArray = image.array
        return array


@dataclass(frozen=True)
class _AlignedGrid:
    """A PixelGrid along the pixel axes: stamp = Wy G Wx^T, where G is linear in polynomials of x, y.

    W[X, g] is the grid's interpolant at pixel X - the position's fraction - grid point g, which is
    what galsim's InterpolatedImage sums when Piff draws it.
    """

    basis: FloatArray
    """The grid that each polynomial term multiplies, shape (terms, side^2)."""
    exponents: npt.NDArray[np.intp]
    """Of each coordinate (row) in each term (column)."""
    axes: tuple[int, ...]
    """Of each coordinate: 0 if it is x or u, 1 if it is y or v."""
    axis_scales: tuple[float, ...]
    """Of each coordinate: from pixels to the polynomials' argument."""
    side: int
    """Side of the grid, points."""
    pixel_size: float
    """Size of a pixel in units of the grid's spacing."""
    interpolant: Any
    """A ``galsim.Interpolant``."""
    stamp_size: int

    @classmethod
    def from_piff(cls, piff_psf: Any, stamp_size: int) -> _AlignedGrid | None:
        """View a Piff PSF; None if it is of another kind."""
        import galsim
        import piff

        if type(piff_psf) is not piff.SimplePSF or piff_psf.pointing is not None:
            return None
        (wcs,) = piff_psf.wcs.values()
        model, interp = piff_psf.model, piff_psf.interp
        if not (
            type(wcs) is galsim.PixelScale
            and type(model) is piff.PixelGrid
            and type(interp) is piff.BasisPolynomial
            and type(model.interp) in (galsim.Lanczos, galsim.Quintic, galsim.Cubic, galsim.Linear)
            and np.shape(interp.q)[:1] == (model.size**2,)
        ):
            return None
        keys = tuple(interp.property_names)
        return cls(
            basis=np.ascontiguousarray(interp.q.T, dtype=np.float64),
            exponents=np.array(np.nonzero(interp._mask)),
            axes=tuple(0 if key in "xu" else 1 for key in keys),
            axis_scales=tuple(1.0 if key in "xy" else wcs.scale for key in keys),
            side=model.size,
            pixel_size=wcs.scale / model.scale,
            interpolant=model.interp,
            stamp_size=stamp_size,
        )

    def images(
        self, x: FloatArray, y: FloatArray, fraction_x: FloatArray, fraction_y: FloatArray
    ) -> tuple[FloatArray, BoolArray]:
        """Draw stamps of sum 1 at positions whose fractions, from the nearest pixels, are given."""
        result = np.empty((len(x), self.stamp_size, self.stamp_size))
        terms = self._terms(x, y)
        # BLAS multiplies such small matrices faster than a loop compiled for any size would.
        for start in range(0, len(x), _BLOCK):
            block = slice(start, start + _BLOCK)
            grids = (terms[block] @ self.basis).reshape(-1, self.side, self.side)
            weights_x, weights_y = self._weights(fraction_x[block]), self._weights(fraction_y[block])
            np.matmul(weights_y @ grids, weights_x.transpose(0, 2, 1), out=result[block])
        return normalised(result)

    def kernel_images(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Draw centred stamps of sum 1: combinations of the basis grids, resampled once."""
        images = (self._terms(x, y) @ self._centred_basis).reshape(-1, self.stamp_size, self.stamp_size)
        return normalised(images)

    @cached_property
    def _centred_basis(self) -> FloatArray:
        weights = self._weights(np.zeros(1))[0]
        grids = self.basis.reshape(-1, self.side, self.side)
        centred: FloatArray = (weights @ grids @ weights.T).reshape(-1, self.stamp_size**2)
        return centred

    def _terms(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Evaluate the polynomial terms, shape (n, terms)."""
        terms = np.ones((len(x), self.exponents.shape[1]))
        for axis, scale, powers in zip(self.axes, self.axis_scales, self.exponents, strict=True):
            coordinate = scale * (y if axis else x)
            terms *= np.power.outer(coordinate, powers)
        return terms

    def _weights(self, fraction: FloatArray) -> FloatArray:
        """Evaluate the interpolant between pixels and grid points along an axis.

        Returns
        -------
        Shape (n, stamp size, side); read-only, not contiguous.
        """
        pixels = np.arange(self.stamp_size) - self.stamp_size // 2
        points = np.arange(self.side) - self.side // 2
        if abs(self.pixel_size - 1.0) > 1e-13:
            offsets = (pixels - fraction[:, np.newaxis])[:, :, np.newaxis] * self.pixel_size - points
            values: FloatArray = self.interpolant.xval(offsets.ravel()).reshape(offsets.shape)
            return values
        # Only the differences of whole pixels count, and few of them are in the interpolant's range.
        lags = np.arange(pixels[0] - points[-1], pixels[-1] - points[0] + 1)
        near = np.flatnonzero(np.abs(lags) <= np.ceil(self.interpolant.xrange))
        offsets = lags[near] - fraction[:, np.newaxis]
        taps = np.zeros((len(fraction), len(lags)))
        taps[:, near] = self.interpolant.xval(offsets.ravel()).reshape(offsets.shape)
        return sliding_window_view(taps, self.side, axis=1)[:, :, ::-1]
