"""PsfexPsf: models fitted by PSFEx, grids of pixels that vary as a polynomial of the position."""

from functools import cached_property

import numpy as np

from ..conventions import FloatArray
from ..errors import ExposureError
from .base import KernelImages, Psf, Stamps, normalised

_LANCZOS_ORDER = 5
_MAX_SIDE = 4095  # of a stamp, pixels
_BLOCK = 64  # stamps drawn at once: grids, weights and stamps of a block stay in the cache


class PsfexPsf(Psf):
    """A PSF model of PSFEx (meas_extensions_psfex's PsfexPsf).

    The grid at (x, y) is the sum of the basis grids times 1, u, u^2, ..., v, u v, ..., with u and v
    the position less ``offset``, over ``scale``. It is resampled to pixels, in each axis, with a
    Lanczos-5 kernel of the grid's spacing whose weights are normalised for every pixel (PSFEx's
    vignet_resample); pixels whose centre lies outside the grid are 0. Stamps have sum 1, in single
    precision.

    Parameters
    ----------
    basis
        Shape (terms, height, width): a grid for each polynomial term.
    degree
        Degree of the polynomial.
    step
        Spacing of the grid, pixels.
    offset, scale
        Of x and y, pixels.

    Raises
    ------
    ExposureError
        If the number of grids is not that of the terms, the stamps would have less than a pixel or
        absurdly many, or the step, an offset or a scale cannot be.
    """

    def __init__(
        self,
        basis: FloatArray,
        degree: int,
        step: float,
        offset: tuple[float, float],
        scale: tuple[float, float],
    ) -> None:
        n_terms = (degree + 1) * (degree + 2) // 2
        if basis.ndim != 3 or degree < 0 or len(basis) != n_terms:
            raise ExposureError(
                f"A PSFEx model of degree {degree} has {n_terms} grids; got the shape {basis.shape}."
            )
        if not (np.isfinite([step, *offset, *scale]).all() and min(step, *np.abs(scale)) > 0):
            raise ExposureError(
                "A PSFEx model has a positive step, and finite offsets and scales, which are not 0; "
                f"got step {step}, offset {offset}, scale {scale}."
            )
        self._basis = np.array(basis, dtype=np.float64, order="C")
        self._exponents = np.array([(i, j) for j in range(degree + 1) for i in range(degree + 1 - j)]).T
        # In single precision as in the original: it decides which pixels lie on the grid.
        self._pixel = float(np.float32(1.0) / np.float32(step))
        self._offset, self._scale = offset, scale
        sides = [int(side * min(float(np.float32(step)), _MAX_SIDE)) for side in basis.shape[1:]]
        if not 1 <= min(sides) <= max(sides) <= _MAX_SIDE:
            raise ExposureError(
                f"PSFEx grids of {basis.shape[1:]} points, step {step}, make stamps of {sides} pixels."
            )
        self._height, self._width = (side + 1 - side % 2 for side in sides)

    @property
    def stamp_shape(self) -> tuple[int, int]:
        """(height, width) of the stamps, both odd."""
        return self._height, self._width

    def images(self, x: FloatArray, y: FloatArray) -> Stamps:
        """Draw the image of a point source at each position.

        No second resampling is involved. Half pixels, within 3e-8, are rounded down, as in the
        original.
        """
        (column, fraction_x), (row, fraction_y) = _split(x), _split(y)
        result = np.empty((len(x), *self.stamp_shape))
        terms = self._terms(x, y)
        shape = self._basis.shape[1:]
        for start in range(0, len(x), _BLOCK):
            block = slice(start, start + _BLOCK)
            grids = (terms[block] @ self._basis.reshape(len(self._basis), -1)).reshape(-1, *shape)
            weights_x = self._weights(fraction_x[block], shape[1], self._width)
            weights_y = self._weights(fraction_y[block], shape[0], self._height)
            np.matmul(weights_y @ grids, weights_x.transpose(0, 2, 1), out=result[block])
        # The original adds pixel after pixel in single precision, so that sums are 1 within 1e-6 only.
        flat = result.reshape(len(x), self._height * self._width)
        total = np.add.accumulate(flat, axis=1, dtype=np.float32)[:, -1:]
        flat /= np.where(total == 0.0, np.nan, total)
        valid = np.isfinite(flat).all(axis=1)
        flat[~valid] = np.nan
        return Stamps.placed(KernelImages.of_one_shape(result, valid), column, row)

    def kernel_images(self, x: FloatArray, y: FloatArray) -> KernelImages:
        images = (self._terms(x, y) @ self._centred_basis).reshape(-1, *self.stamp_shape)
        return KernelImages.of_one_shape(*normalised(images))

    @cached_property
    def _centred_basis(self) -> FloatArray:
        """The basis in pixels, shape (terms, height * width)."""
        centre = np.zeros(1)
        weights_x = self._weights(centre, self._basis.shape[2], self._width)[0]
        weights_y = self._weights(centre, self._basis.shape[1], self._height)[0]
        centred: FloatArray = (weights_y @ self._basis @ weights_x.T).reshape(len(self._basis), -1)
        return centred

    def _terms(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Evaluate the polynomial terms, shape (n, terms)."""
        u, v = (x - self._offset[0]) / self._scale[0], (y - self._offset[1]) / self._scale[1]
        terms: FloatArray = np.power.outer(u, self._exponents[0]) * np.power.outer(v, self._exponents[1])
        return terms

    def _weights(self, fraction: FloatArray, n_points: int, n_pixels: int) -> FloatArray:
        """Weigh grid points for each pixel along an axis, shape (n, n_pixels, n_points)."""
        pixels = np.arange(n_pixels) - n_pixels // 2
        # Where the pixels lie on the grid, in its spacing, from its first point.
        place = n_points // 2 + (pixels - fraction[:, np.newaxis]) * self._pixel
        first = np.floor(place).astype(np.int64) - _LANCZOS_ORDER
        points = first[:, :, np.newaxis] + np.arange(2 * _LANCZOS_ORDER + 2)
        u = points - place[:, :, np.newaxis]
        on_grid = (points >= 0) & (points < n_points)
        taps = np.where(on_grid & (np.abs(u) <= _LANCZOS_ORDER), np.sinc(u) * np.sinc(u / _LANCZOS_ORDER), 0.0)
        total = taps.sum(axis=2, keepdims=True)
        taps /= np.where(total > 0.0, total, 1.0)
        taps[(place < 0.0) | (place > n_points - 1.0)] = 0.0
        # All taps beside the grid, which are 0, go to one more point, which is left out.
        weights = np.zeros((len(fraction), n_pixels, n_points + 1))
        np.put_along_axis(weights, np.where(on_grid, points, n_points), taps, axis=2)
        return weights[:, :, :n_points]


def _split(position: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Split positions into a pixel and the rest, within [-0.5, 0.5].

    The rest is rounded to float32 first, as in the original, and then what is at most 0.5 stays.
    """
    pixel = np.floor(position)
    fraction = (position - pixel).astype(np.float32).astype(np.float64)
    carry = fraction > 0.5
    return pixel + carry, fraction - carry
