"""KernelImagePsf: one kernel image for the whole exposure; Gaussians are drawn into one."""

import numpy as np

from ..conventions import FloatArray
from ..errors import ExposureError
from .base import KernelImages, Psf


class KernelImagePsf(Psf):
    """A PSF that is the same pixel image everywhere (afw's KernelPsf of a FixedKernel).

    Parameters
    ----------
    kernel
        Image centred on its middle pixel, odd height and width, finite, with a positive sum; it is
        normalised to sum 1.

    Raises
    ------
    ExposureError
        If the kernel is none of these.
    """

    def __init__(self, kernel: FloatArray) -> None:
        kernel = np.array(kernel, dtype=np.float64, order="C")
        if kernel.ndim != 2 or kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
            raise ExposureError(f"A PSF kernel image has odd height and width; got shape {kernel.shape}.")
        if not np.isfinite(kernel).all() or kernel.sum() <= 0:
            raise ExposureError("A PSF kernel image has finite pixels and a positive sum; this one has not.")
        kernel /= kernel.sum()
        kernel.setflags(write=False)
        self.kernel = kernel
        self._moments: FloatArray | None = None

    @property
    def stamp_shape(self) -> tuple[int, int]:
        return self.kernel.shape[0], self.kernel.shape[1]

    def kernel_images(self, x: FloatArray, y: FloatArray) -> KernelImages:  # noqa: ARG002
        return KernelImages.of_one_shape(np.broadcast_to(self.kernel, (len(x), *self.kernel.shape)))

    def moments(self, x: FloatArray, y: FloatArray) -> FloatArray:  # noqa: ARG002
        if self._moments is None:
            from ..kernels.moments import adaptive_moments

            self._moments = adaptive_moments(self.kernel[np.newaxis])[0]
        return np.broadcast_to(self._moments, (len(x), 3))


class GaussianPsf(KernelImagePsf):
    """A circular Gaussian (afw's GaussianPsf).

    Parameters
    ----------
    sigma
        Standard deviation, pixels.
    width, height
        Odd size of the kernel image.
    """

    def __init__(self, sigma: float, width: int, height: int | None = None) -> None:
        height = width if height is None else height
        super().__init__(_gaussian(sigma, width, height))
        self.sigma = float(sigma)
        self._moments = np.array([sigma**2, sigma**2, 0.0])


class DoubleGaussianPsf(KernelImagePsf):
    """The sum of two concentric circular Gaussians (afw's DoubleGaussianPsf).

    Parameters
    ----------
    sigma1, sigma2
        Standard deviations, pixels.
    b
        Central amplitude of the second relative to the first.
    width, height
        Odd size of the kernel image.
    """

    def __init__(self, sigma1: float, sigma2: float, b: float, width: int, height: int | None = None) -> None:
        height = width if height is None else height
        core = _gaussian(sigma1, width, height)
        if b != 0.0:
            core = core + b * _gaussian(sigma2, width, height)
        super().__init__(core)
        self.sigma1, self.sigma2, self.b = float(sigma1), float(sigma2), float(b)


def _gaussian(sigma: float, width: int, height: int) -> FloatArray:
    """Draw exp(-r^2 / (2 sigma^2)), central amplitude 1."""
    if not 0 < sigma < np.inf:
        raise ExposureError(f"The sigma of a Gaussian PSF is positive and finite; got {sigma}.")
    x = np.arange(width) - width // 2
    y = np.arange(height) - height // 2
    image: FloatArray = np.exp(-0.5 * (x[np.newaxis, :] ** 2 + y[:, np.newaxis] ** 2) / sigma**2)
    return image
