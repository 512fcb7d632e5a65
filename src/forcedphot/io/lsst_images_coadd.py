"""Coadds become the CellCoadd of lsst.images, whose PSF and aperture corrections are constant within cells."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np

from ..conventions import BoolArray, Box, CellGrid, FloatArray
from ..errors import ExposureError
from ..exposure import CellField, Exposure, Field, PhotoCalib, Wcs
from ..psf import CellPsf, KernelImagePsf, Psf
from .lsst_images_parts import metadata_for_lsst_images, planes_for_lsst_images, warn_of_loss
from .lsst_images_psf import WORTH_SAYING, box_for_lsst_images, difference
from .lsst_images_wcs import projection_for_lsst_images

_LOG = logging.getLogger(__name__)

_CELL_SIDE = 50  # pixels
_SAME = 1e-12
_UNKNOWN = "unknown"
_NO_HOME = ("visit_info", "detector", "summary_stats", "coadd_inputs", "valid_polygon")


def cell_coadd(exposure: Exposure, wcs: Wcs, psf: Psf, *, sample_psf: bool) -> Any:
    """Turn an exposure into a CellCoadd.

    Pixels in another unit than one of flux density are multiplied by their calibration, to nJy: the type has
    no place for a calibration.

    Parameters
    ----------
    exposure
        It has a variance.
    wcs, psf
        Its own. The PSF of a cell coadd keeps its cells; for others, cells of 50 x 50 pixels begin at the
        image's origin.
    sample_psf
        Take the kernel images at the centres of cells for those of the cells, where they vary.

    Raises
    ------
    ExposureError
        If the PSF varies and shall not be sampled, or the calibration varies.
    """
    from lsst.images import TractFrame
    from lsst.images.cells import CellCoadd

    identity, box = exposure.identity, exposure.bbox
    if not sample_psf and not isinstance(psf, CellPsf | KernelImagePsf):
        raise ExposureError(
            f"The PSF of a CellCoadd is constant within cells, and a {type(psf).__name__} varies; ask for it "
            "to be sampled (--sample-psf, or sample_psf=True), and every cell gets the kernel image at its centre."
        )
    unknown = [name for name in ("skymap", "tract", "band") if getattr(identity, name) is None]
    if unknown:
        _LOG.warning(
            "Nothing is known of %s, which cell coadds have: placeholders are written", ", ".join(unknown)
        )
    lost = [name for name in ("patch", "visit") if getattr(identity, name) is not None]
    warn_of_loss(exposure, "CellCoadd", _NO_HOME, lost)
    exposure = _calibrated(exposure)
    cells = _Cells(psf.grid if isinstance(psf, CellPsf) else CellGrid(box, _CELL_SIDE, _CELL_SIDE))
    frame = TractFrame(
        skymap=identity.skymap or _UNKNOWN, tract=identity.tract or 0, bbox=box_for_lsst_images(box)
    )
    kernels = cells.kernels(psf)
    bounds = cells.bounds(missing=np.isnan(kernels).any(axis=(2, 3)))
    found = difference(psf, CellPsf(kernels, cells.grid), box)
    if not found.stamps <= WORTH_SAYING:
        _LOG.warning(
            "The %s is stored as a kernel image for each cell of %d x %d pixels; its stamps differ by up to %.1g "
            "of their peak",
            type(psf).__name__,
            cells.grid.cell_width,
            cells.grid.cell_height,
            found.stamps,
        )
    if found.lost > 0:
        _LOG.warning("There is no PSF in cells without one at their centre, %.0f%% of the image", 100 * found.lost)
    image, mask, variance = planes_for_lsst_images(exposure, exposure.unit, is_coadd=True)
    coadd = CellCoadd(
        image,
        mask=mask,
        variance=variance,
        sky_projection=projection_for_lsst_images(wcs, frame, box),
        band=identity.band,
        psf=cells.psf(kernels, bounds),
        aperture_corrections={
            name: cells.field(name, field, bounds) for name, field in (exposure.aperture_corrections or {}).items()
        },
    )
    coadd.metadata = metadata_for_lsst_images(exposure)
    return coadd


class _Cells:
    """A grid of cells, and what is constant within them."""

    def __init__(self, grid: CellGrid) -> None:
        box = grid.box
        self.grid = grid
        self._shape = -(-box.height // grid.cell_height), -(-box.width // grid.cell_width)
        # Of the part of each cell that is inside the box.
        self._x, self._y = np.meshgrid(
            _centres(box.x0, box.x_stop, grid.cell_width), _centres(box.y0, box.y_stop, grid.cell_height)
        )

    def kernels(self, psf: Psf) -> FloatArray:
        """Draw the kernel image of each cell, shape (rows, columns, height, width); NaN where there is none."""
        images, valid = psf.kernel_images(self._x.ravel(), self._y.ravel())[:2]
        images = np.array(images)
        images[~valid] = np.nan
        return images.reshape(*self._shape, *images.shape[1:])

    def bounds(self, missing: BoolArray) -> Any:
        """Describe the cells to lsst.images, which wants whole ones."""
        from lsst.images import YX
        from lsst.images.cells import CellGrid as ImagesGrid
        from lsst.images.cells import CellGridBounds, CellIJ

        rows, columns = self._shape
        width, height = columns * self.grid.cell_width, rows * self.grid.cell_height
        whole = box_for_lsst_images(Box(self.grid.box.x0, self.grid.box.y0, width, height))
        grid = ImagesGrid(bbox=whole, cell_shape=YX(y=self.grid.cell_height, x=self.grid.cell_width))
        absent = frozenset(CellIJ(i=int(i), j=int(j)) for i, j in np.argwhere(missing))
        return CellGridBounds(grid=grid, bbox=whole, missing=absent)

    def psf(self, kernels: FloatArray, bounds: Any) -> Any:
        """Make a PSF of lsst.images of the kernel images."""
        from lsst.images.cells import CellPointSpreadFunction

        return CellPointSpreadFunction(kernels, bounds)

    def field(self, name: str, field: Field, bounds: Any) -> Any:
        """Take a field's values at the centres of cells; say how much that changes it."""
        from lsst.images.cells import CellField as ImagesField

        values = field.evaluate(self._x.ravel(), self._y.ravel()).reshape(self._shape)
        box = self.grid.box
        x, y = np.meshgrid(np.linspace(box.x0, box.x_stop - 1, 50), np.linspace(box.y0, box.y_stop - 1, 50))
        exact = field.evaluate(x.ravel(), y.ravel())
        change = np.abs(CellField(self.grid, values).evaluate(x.ravel(), y.ravel()) - exact)
        if np.nanmax(change, initial=0.0) > _SAME:
            _LOG.warning(
                "The aperture correction %s is stored as one value a cell, which changes it by up to %.1g",
                name,
                np.nanmax(change),
            )
        return ImagesField(bounds, values)


def _centres(start: int, stop: int, step: int) -> FloatArray:
    first = np.arange(start, stop, step)
    last = np.minimum(first + step, stop) - 1
    centres: FloatArray = np.floor((first + last) / 2.0)
    return centres


def _calibrated(exposure: Exposure) -> Exposure:
    """Bring pixels to nJy by their calibration, unless they are in a unit of flux density."""
    from astropy import units

    unit, calibration = exposure.unit, exposure.photo_calib
    if calibration is None:
        return exposure if unit is not None else replace(exposure, unit=units.adu)
    if unit is not None and unit.is_equivalent(units.nJy):
        factor = calibration.mean / float(unit.to(units.nJy))
    else:
        factor, unit = calibration.mean, units.nJy
    if calibration.field is None and abs(factor - 1.0) < _SAME:
        return replace(exposure, unit=unit)
    if calibration.field is not None or exposure.variance is None:
        raise ExposureError(
            "A CellCoadd has no place for a calibration that varies over the image; write a visit image instead "
            "(--to visit-image, or kind='visit-image')."
        )
    _LOG.warning(
        "Pixels are multiplied by %.7g, so that they are in %s: a CellCoadd has no calibration", factor, unit
    )
    return replace(
        exposure,
        image=exposure.image * np.float32(factor),
        variance=exposure.variance * np.float32(factor**2),
        unit=unit,
        photo_calib=PhotoCalib(calibration.mean / factor, calibration.mean_err / factor),
    )
