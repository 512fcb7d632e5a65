"""Image HDUs of afw files: which is which plane, their pixels or those in a box, origin, unit and header WCS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...conventions import Box
from ...errors import FileFormatError
from ...exposure import AstropyWcs, Mask, Wcs
from ..compressed_tiles import check_tiles
from ..fits_file import Hdu, only_image
from ..fits_header import astropy_silent
from .shuffled_tiles import PIXEL_TYPES, SCALING_CARDS, read_rows

if TYPE_CHECKING:
    from astropy.units import UnitBase

_MAX_PIXELS = 2**30
_MAX_ORIGIN = 2**31


def plane_hdus(hdus: Sequence[Hdu]) -> dict[str, Hdu]:
    """Find the image HDUs by name: the planes IMAGE, MASK and VARIANCE, as far as the file has them, and others.

    In a file of nothing but one image, this is the IMAGE.
    """
    found: dict[str, Hdu] = {}
    for hdu in hdus:
        if hdu.is_image:
            for card in ("EXTTYPE", "EXTNAME"):
                found.setdefault(str(hdu.header.get(card)), hdu)
    if "IMAGE" not in found and (image := only_image(hdus)) is not None:
        found["IMAGE"] = image
    return found


def image_box(hdu: Hdu) -> Box:
    """Return the box of an image, without reading it.

    Raises
    ------
    FileFormatError
        If it is no two-dimensional image of reasonable size, or its origin is not.
    """
    shape = hdu.shape
    if len(shape) != 2 or not 0 < shape[0] * shape[1] <= _MAX_PIXELS:
        raise FileFormatError(f"its shape is {shape}")
    x0, y0 = _origin(hdu.header)
    return Box(x0, y0, shape[1], shape[0])


def pixels(hdu: Hdu, box: Box | None, image: Box) -> npt.NDArray[Any]:
    """Read an image, or the part of it in a box, in native byte order.

    Parameters
    ----------
    hdu
        The HDU.
    box
        The part to read; None for all. Of a tile-compressed image only the tiles are decompressed that
        the box needs, of others only the rows are read.
    image
        The box of the image.

    Returns
    -------
    A writable array of its own.

    Raises
    ------
    FileFormatError
        If this plane is not of the shape of the image.
    """
    if hdu.shape != image.shape:
        raise FileFormatError(f"its shape is {hdu.shape}; the image's is {image.shape}")
    rows, columns = _slices(box or image, image)
    read = read_rows(hdu, rows.start, rows.stop) if hdu.is_compressed else _stored_rows(hdu, rows)
    if read is not None:
        return np.ascontiguousarray(read[:, columns])
    check_tiles(hdu)
    if box is None or box == image:
        values = hdu.astropy.data
        del hdu.astropy.data
        return _native(values)
    if hdu.is_compressed:
        return _native(hdu.astropy.section[rows, columns].copy())
    # astropy would read the part of each row by itself.
    return _native(hdu.astropy.section[rows, :][:, columns].copy())


def _stored_rows(hdu: Hdu, rows: slice) -> npt.NDArray[Any] | None:
    """Read whole rows of an image whose pixels are stored as they are; None if they are scaled."""
    if SCALING_CARDS & hdu.header.keys():
        return None
    stored = np.dtype(PIXEL_TYPES[hdu.bitpix]).newbyteorder(">")
    values = np.empty((rows.stop - rows.start, hdu.shape[1]), stored)
    hdu.read_into(values, rows.start * hdu.shape[1] * stored.itemsize)
    return _native(values)


def float_pixels(hdu: Hdu, box: Box | None, image: Box) -> npt.NDArray[np.float32]:
    """Read an image as float32; the arguments and errors are those of `pixels`."""
    return np.ascontiguousarray(pixels(hdu, box, image), dtype=np.float32)


def mask(hdu: Hdu, box: Box | None, image: Box) -> Mask:
    """Read a mask and the names of its planes; the arguments and errors are those of `pixels`."""
    bits = pixels(hdu, box, image)
    if bits.dtype.kind == "f" and hdu.bitpix > 0:
        # A BLANK card made astropy turn integers into floats, and those of its value into NaN.
        header = hdu.header
        blank = header.get("BLANK", header.get("ZBLANK", 0)) * header.get("BSCALE", 1) + header.get("BZERO", 0)
        bits = np.nan_to_num(bits, nan=blank).astype(np.int64)
    planes = {name.removeprefix("MP_"): int(value) for name, value in hdu.header.items() if name.startswith("MP_")}
    return Mask(np.ascontiguousarray(bits), planes)


def unit(header: Any) -> UnitBase | None:
    """Return the unit of an image's pixels; None if it is not given, or unknown to astropy."""
    from astropy.units import Unit, UnrecognizedUnit

    text = header.get("BUNIT")
    if not isinstance(text, str) or not text.strip():
        return None
    parsed: UnitBase = Unit(text, parse_strict="silent")
    return None if isinstance(parsed, UnrecognizedUnit) else parsed


def header_wcs(hdu: Hdu, image: Box) -> Wcs | None:
    """Read the WCS of the image's header, which counts from the first pixel; None if it has none."""
    from astropy.wcs import WCS

    header = hdu.astropy.header if hdu.is_compressed else hdu.header.with_comments()
    with astropy_silent():  # deprecated spellings of cards, which astropy understands
        wcs = WCS(header, naxis=2)
    return AstropyWcs(wcs, x0=image.x0, y0=image.y0) if wcs.has_celestial else None


def _slices(box: Box, image: Box) -> tuple[slice, slice]:
    """Return where a box is in the array of an image."""
    return slice(box.y0 - image.y0, box.y_stop - image.y0), slice(box.x0 - image.x0, box.x_stop - image.x0)


def _native(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Bring an array that nobody else holds into native byte order, in its own memory where that is writable."""
    if values.dtype.isnative:
        return values
    native = values.dtype.newbyteorder("=")
    if values.flags.writeable and values.flags.c_contiguous:
        return values.byteswap(inplace=True).view(native)
    return values.astype(native)


def _origin(header: Any) -> tuple[int, int]:
    """Find the pixel coordinates of the first pixel: afw writes them as WCS "A" and as LTV cards."""
    origin = []
    for axis in (1, 2):
        if f"CRVAL{axis}A" in header:
            value = header[f"CRVAL{axis}A"] - header.get(f"CRPIX{axis}A", 1.0) + 1.0
        else:
            value = -header.get(f"LTV{axis}", 0.0)
        if not abs(value) < _MAX_ORIGIN:
            raise FileFormatError(f"its origin on axis {axis} is {value}")
        origin.append(round(value))
    return origin[0], origin[1]
