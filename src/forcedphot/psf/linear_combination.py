"""LinearCombinationPsf: basis images whose amplitudes are polynomials of the position."""

import math

import numpy as np

from ..conventions import FloatArray
from ..errors import ExposureError
from .base import KernelImages, Psf, normalised


class LinearCombinationPsf(Psf):
    """The sum of images times polynomials of x and y (afw's LinearCombinationKernel, PcaPsf).

    Parameters
    ----------
    components
        Shape (components, height, width), odd, finite, centred on the middle pixel. The
        combinations are normalised to sum 1, these are not.
    coefficients
        Shape (components, terms): of 1, x, y, x^2, x y, y^2, x^3, ... in each component's
        amplitude, with x and y in pixels.

    Raises
    ------
    ExposureError
        If the shapes are others, or a number is not finite.
    """

    def __init__(self, components: FloatArray, coefficients: FloatArray) -> None:
        components = np.array(components, dtype=np.float64, order="C")
        coefficients = np.array(coefficients, dtype=np.float64, order="C")
        if components.ndim != 3 or components.shape[1] % 2 == 0 or components.shape[2] % 2 == 0:
            raise ExposureError(
                f"The components of a PSF have shape (components, odd, odd); got {components.shape}."
            )
        if coefficients.ndim != 2 or len(coefficients) != len(components):
            raise ExposureError(
                f"The {len(components)} components of a PSF have a row of coefficients each; "
                f"got the shape {coefficients.shape}."
            )
        if not (np.isfinite(components).all() and np.isfinite(coefficients).all()):
            raise ExposureError("The components of a PSF, and their coefficients, are finite; these are not.")
        order = (math.isqrt(8 * coefficients.shape[1] + 1) - 3) // 2
        self._exponents = np.array([(n - j, j) for n in range(order + 1) for j in range(n + 1)]).T
        if self._exponents.size != 2 * coefficients.shape[1] or not coefficients.shape[1]:
            raise ExposureError(
                f"A polynomial of x and y has 1, 3, 6, 10, ... coefficients; got {coefficients.shape[1]}."
            )
        self._components = components
        self._coefficients = coefficients

    @property
    def stamp_shape(self) -> tuple[int, int]:
        """(height, width) of the stamps, both odd."""
        return self._components.shape[1], self._components.shape[2]

    def kernel_images(self, x: FloatArray, y: FloatArray) -> KernelImages:
        terms = np.power.outer(x, self._exponents[0]) * np.power.outer(y, self._exponents[1])
        flat = self._components.reshape(len(self._components), -1)
        images = (terms @ self._coefficients.T @ flat).reshape(-1, *self.stamp_shape)
        return KernelImages.of_one_shape(*normalised(images))
