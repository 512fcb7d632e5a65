"""CellPsf: one kernel image for each cell of a coadd."""

import numpy as np

from ..conventions import CellGrid, FloatArray
from ..errors import ExposureError
from .base import KernelImages, Psf


class CellPsf(Psf):
    """A PSF that is constant within each cell of a regular grid (cell coadds).

    Parameters
    ----------
    kernels
        Shape (rows, columns, height, width), odd stamps of sum 1, centred; NaN for a missing cell.
    grid
        The cells.

    Raises
    ------
    ExposureError
        If the kernels have another shape, or are not as many as the cells.
    """

    def __init__(self, kernels: FloatArray, grid: CellGrid) -> None:
        if kernels.ndim != 4 or kernels.shape[2] % 2 == 0 or kernels.shape[3] % 2 == 0:
            raise ExposureError(
                f"The kernels of a cell PSF have shape (rows, columns, odd, odd); got {kernels.shape}."
            )
        cells = -(-grid.box.height // grid.cell_height), -(-grid.box.width // grid.cell_width)
        if kernels.shape[:2] != cells:
            raise ExposureError(
                f"The kernels of a cell PSF are as many as its cells, {cells[0]} x {cells[1]}; got "
                f"{kernels.shape[0]} x {kernels.shape[1]}."
            )
        self._kernels = np.ascontiguousarray(kernels, dtype=np.float64)
        self.grid = grid
        self._cell_moments: FloatArray | None = None

    @property
    def stamp_shape(self) -> tuple[int, int]:
        return self._kernels.shape[2], self._kernels.shape[3]

    def kernel_images(self, x: FloatArray, y: FloatArray) -> KernelImages:
        images = self.grid.look_up(self._kernels, x, y)
        return KernelImages.of_one_shape(images, np.isfinite(images).all(axis=(1, 2)))

    def moments(self, x: FloatArray, y: FloatArray) -> FloatArray:
        if self._cell_moments is None:
            from ..kernels.moments import adaptive_moments

            rows, columns = self._kernels.shape[:2]
            flat = self._kernels.reshape(rows * columns, *self.stamp_shape)
            self._cell_moments = adaptive_moments(flat).reshape(rows, columns, 3)
        return self.grid.look_up(self._cell_moments, x, y)
