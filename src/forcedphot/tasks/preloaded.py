"""What quanta have in common, for the server of their processes: it loads this before it copies itself."""

import gc
from contextlib import suppress

import numpy as np
from astropy.wcs import WCS
from lsst.daf.butler import DimensionUniverse

from ..exposure import AstropyWcs, Exposure, Mask
from ..psf import KernelImagePsf
from .points import measure_points

_SIZE = 41


def load_kernels() -> None:
    """Measure a point, so that the machine code is in memory, and in that of all copies of the process.

    It starts no threads, which copies would not have.
    """
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.cdelt = wcs.wcs.crval = 1e-4, 1e-4
    wcs.wcs.crpix = _SIZE // 2 + 1, _SIZE // 2 + 1
    offsets = np.arange(_SIZE) - _SIZE // 2
    profile = np.exp(-0.1 * offsets**2)
    image = np.outer(profile, profile)
    exposure = Exposure(
        image=image.astype(np.float32),
        variance=np.ones_like(image, dtype=np.float32),
        mask=Mask(np.zeros_like(image, dtype=np.uint16), {"SAT": 0}),
        wcs=AstropyWcs(wcs),
        psf=KernelImagePsf(image[10:-10, 10:-10]),
    )
    centre = np.radians([1e-4])
    measure_points(exposure, np.array([1]), centre, centre)


with suppress(Exception):  # the quanta would fail likewise, and say why
    DimensionUniverse()  # the usual one, which takes long to read
    load_kernels()
gc.freeze()  # looking through all this for garbage would copy its pages in each process
