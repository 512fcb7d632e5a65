"""Models in files of PSFEx (.psf), and kernel images in FITS files, as PSFs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import FileFormatError
from ..psf import KernelImagePsf, Psf, PsfexPsf
from .afw_fits.planes import image_box, pixels
from .fits_file import Hdu
from .fits_place import FitsPlace, open_hdu

_COLUMN = "PSF_MASK"
_MAX_DEGREE = 20
_MAX_PIXELS = 2**28


def read_psf_file(place: FitsPlace, *, x0: int = 0, y0: int = 0) -> Psf:
    """Read a PSF from a file of PSFEx, or from an image of odd size in a FITS file.

    Parameters
    ----------
    place
        Where it is; without an HDU the first PSFEx model in the file, or else the first image.
    x0, y0
        Pixel coordinates of the first pixel of the image that the model was fitted to, which is (1, 1) to
        PSFEx.

    Raises
    ------
    FileNotFoundError, FileFormatError
        If there is no such file, or nothing of that kind in it, or it is damaged.
    """
    with open_hdu(place, _holds_psf) as (hdu, _):
        if _is_psfex(hdu):
            return _psfex_psf(hdu, x0, y0)
        return KernelImagePsf(pixels(hdu, None, image_box(hdu)).astype(np.float64))


def is_image(hdu: Hdu) -> int:
    """Tell whether an HDU holds a two-dimensional image: 1 or 0."""
    return int(hdu.is_image and len(hdu.shape) == 2)


def _is_psfex(hdu: Hdu) -> bool:
    return hdu.is_table and not hdu.is_compressed and _COLUMN in [hdu.header.get(f"TTYPE{i}") for i in (1, 2, 3)]


def _holds_psf(hdu: Hdu) -> int:
    """Tell how good a candidate an HDU is for holding a PSF: 0 if it is none."""
    return 2 if _is_psfex(hdu) else is_image(hdu)


def _psfex_psf(hdu: Hdu, x0: int, y0: int) -> PsfexPsf:
    header = hdu.header
    n_axes = _integer(header, "POLNAXIS", 0, 2, default=0)
    degree, offset, scale = 0, [0.0, 0.0], [1.0, 1.0]
    if n_axes:
        axes = {_axis(header, i + 1): i + 1 for i in range(n_axes)}
        if set(axes) != {"X", "Y"} or _integer(header, "POLNGRP", 1, 2, default=1) != 1:
            raise FileFormatError(
                "its PSFEx model depends on other than one polynomial of X_IMAGE and Y_IMAGE; fit one that does "
                "(PSFVAR_KEYS X_IMAGE,Y_IMAGE and PSFVAR_GROUPS 1,1)"
            )
        if axes["X"] != 1:
            raise FileFormatError(
                "its PSFEx model has Y_IMAGE before X_IMAGE; fit one with PSFVAR_KEYS X_IMAGE,Y_IMAGE"
            )
        degree = _integer(header, "POLDEG1", 0, _MAX_DEGREE)
        offset = [_number(header, f"POLZERO{i}") for i in (1, 2)]
        scale = [_number(header, f"POLSCAL{i}") for i in (1, 2)]
    n_grids = (degree + 1) * (degree + 2) // 2
    width, height = (_integer(header, f"PSFAXIS{i}", 1, _MAX_PIXELS) for i in (1, 2))
    values = np.asarray(hdu.astropy.data[_COLUMN])
    if len(values) != 1 or values.size != n_grids * height * width:
        raise FileFormatError(
            f"its PSFEx model has {values.size} pixels in {len(values)} rows; it should have {n_grids} grids of "
            f"{width} x {height} in one"
        )
    return PsfexPsf(
        values.reshape(n_grids, height, width).astype(np.float64),
        degree,
        _number(header, "PSF_SAMP"),
        # The first pixel is (1, 1) to SExtractor and PSFEx.
        (offset[0] - 1.0 + x0, offset[1] - 1.0 + y0),
        (scale[0], scale[1]),
    )


def _axis(header: Any, number: int) -> str:
    """Return X or Y for a polynomial in an image coordinate, or else the name of what it depends on."""
    name = str(header.get(f"POLNAME{number}", f"{'XY'[number - 1]}_IMAGE")).strip()
    return name[0] if name.endswith("_IMAGE") and name[:1] in ("X", "Y") else name


def _integer(header: Any, card: str, low: int, high: int, *, default: int | None = None) -> int:
    value = header.get(card, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise FileFormatError(f"its PSFEx model has {card} = {value!r}, not a whole number from {low} to {high}")
    return value


def _number(header: Any, card: str) -> float:
    value = header.get(card)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise FileFormatError(f"its PSFEx model has {card} = {value!r}, not a number")
    return float(value)
