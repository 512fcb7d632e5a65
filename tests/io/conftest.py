"""Small images of lsst.images, made without files and without the LSST stack; changed copies of golden files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import astropy.wcs
import numpy as np
import pytest
from astropy.io import fits

WIDTH, HEIGHT = 60, 40
PLANE_NAMES = ("NO_DATA", "SATURATED", "COSMIC_RAY", "BAD", "DETECTED", "SUSPECT", "INTERPOLATED", "STREAK")


def tan_wcs(x0: int, y0: int) -> astropy.wcs.WCS:
    """A tangent plane with 0.2 arcsec pixels, for the pixel frame (not the array)."""
    wcs = astropy.wcs.WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crpix = [x0 + WIDTH / 2 + 1, y0 + HEIGHT / 2 + 1]
    wcs.wcs.crval = [53.1, -28.1]
    wcs.wcs.cd = np.array([[-0.2 / 3600, 0.0], [0.0, 0.2 / 3600]])
    wcs.wcs.set()
    return wcs


def make_mask(n_planes: int, bbox: Any, dtype: Any = np.uint8) -> Any:
    from lsst.images import Mask, MaskPlane, MaskSchema

    names = [*PLANE_NAMES, *(f"PLANE_{i}" for i in range(len(PLANE_NAMES), n_planes))][:n_planes]
    return Mask(0, schema=MaskSchema([MaskPlane(name, name) for name in names], dtype=dtype), bbox=bbox)


@pytest.fixture
def make_visit_image() -> Callable[..., Any]:
    """Build a VisitImage; keywords replace what its constructor gets."""

    def make(*, unit: Any = u.nJy, n_planes: int = 10, cls: Any = None, **components: Any) -> Any:
        from astro_metadata_translator import ObservationInfo
        from lsst.images import Box, DetectorFrame, Image, SkyProjection, VisitImage
        from lsst.images.psfs import GaussianPointSpreadFunction

        box = Box.factory[5 : 5 + HEIGHT, -7 : -7 + WIDTH]
        frame = DetectorFrame(instrument="TestCam", visit=12, detector=3, bbox=box)
        projection = SkyProjection.from_fits_wcs(tan_wcs(-7, 5), frame, pixel_bounds=box)
        pixels = np.random.default_rng(1).normal(size=(HEIGHT, WIDTH)).astype(np.float32)
        return (cls or VisitImage)(
            Image(pixels, bbox=box, unit=unit, sky_projection=projection),
            variance=Image(np.full_like(pixels, 2.0), bbox=box, unit=unit**2),
            **{
                "mask": make_mask(n_planes, box),
                "obs_info": ObservationInfo(instrument="TestCam", physical_filter="r_test"),
                "psf": GaussianPointSpreadFunction(1.7, stamp_size=25, bounds=box),
                "detector": None,  # measured without; only files need it
                "band": "r",
            }
            | components,
        )

    return make


@pytest.fixture
def make_cell_coadd() -> Callable[..., Any]:
    """Build a CellCoadd of 2 x 3 cells of 20 px in a larger patch; the cell (1, 2) of the image is missing."""

    def make(*, with_patch: bool = True) -> Any:
        from lsst.images import YX, Box, Image, SkyProjection, TractFrame
        from lsst.images.cells import (
            CellCoadd,
            CellField,
            CellGrid,
            CellGridBounds,
            CellIJ,
            CellPointSpreadFunction,
            PatchDefinition,
        )

        patch = Box.factory[1000:1100, 2000:2100]
        box = Box.factory[1020 : 1020 + HEIGHT, 2040 : 2040 + WIDTH]
        frame = TractFrame(skymap="skymap", tract=7, bbox=Box.factory[0:5000, 0:5000])
        projection = SkyProjection.from_fits_wcs(tan_wcs(2040, 1020), frame, pixel_bounds=patch)
        grid = CellGrid(bbox=patch, cell_shape=YX(y=20, x=20))
        bounds = CellGridBounds(grid=grid, bbox=box, missing=frozenset({CellIJ(i=2, j=4)}))
        kernels = np.zeros((2, 3, 5, 7))
        kernels[:, :, 2, 3] = 1.0
        kernels[0, 1, 2, 3], kernels[0, 1, 2, 4] = 0.75, 0.25
        kernels[1, 2] = np.nan
        corrections = np.array([[1.0, 1.1, 1.2], [1.3, 1.4, np.nan]])
        pixels = np.random.default_rng(2).normal(size=(HEIGHT, WIDTH)).astype(np.float32)
        return CellCoadd(
            Image(pixels, bbox=box, unit=u.nJy, sky_projection=projection),
            mask=make_mask(8, box),
            variance=Image(np.ones_like(pixels), bbox=box, unit=u.nJy**2),
            band="i",
            psf=CellPointSpreadFunction(kernels, bounds),
            aperture_corrections={"base_PsfFlux_instFlux": CellField(bounds, corrections)},
            patch=PatchDefinition(id=14, index=YX(y=1, x=2), inner_bbox=patch, cells=grid) if with_patch else None,
        )

    return make


@pytest.fixture
def change(golden: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """Write a changed copy of a golden file."""

    def write(edit: Callable[[Any], None], name: str = "driver/kernel_psf") -> Path:
        path = tmp_path / "changed.fits"
        with fits.open(golden(name) / "exposure.fits") as hdus:
            edit(hdus)
            hdus.writeto(path)
        return path

    return write
