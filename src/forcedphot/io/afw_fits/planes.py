"""Image HDUs of afw files: which is which plane, their pixels or those in a box, origin, unit and header WCS."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...conventions import Box
from ...errors import FileFormatError
from ...exposure import AstropyWcs, Mask, Wcs
from ..fits_file import WARNINGS_LOCK, only_image
from .shuffled_tiles import read_rows

if TYPE_CHECKING:
    from astropy.units import UnitBase

_MAX_PIXELS = 2**30
_MAX_ORIGIN = 2**31


def plane_hdus(hdus: Any) -> dict[str, Any]:
    """Find the image HDUs of the planes IMAGE, MASK and VARIANCE, as far as the file has them.

    In a file of nothing but one image, this is the IMAGE.
    """
    found: dict[str, Any] = {}
    for hdu in hdus:
        if hdu.is_image:
            for card in ("EXTTYPE", "EXTNAME"):
                found.setdefault(hdu.header.get(card), hdu)
    if "IMAGE" not in found and (image := only_image(hdus)) is not None:
        found["IMAGE"] = image
    return found


def image_box(hdu: Any) -> Box:
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


def pixels(hdu: Any, box: Box | None, image: Box) -> npt.NDArray[Any]:
    """Read an image, or the part of it in a box, in native byte order.

    Parameters
    ----------
    hdu
        The HDU; it forgets what was read.
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
    if tuple(hdu.shape) != image.shape:
        raise FileFormatError(f"its shape is {tuple(hdu.shape)}; the image's is {image.shape}")
    whole = box is None or box == image
    rows, columns = (slice(None),) * 2 if whole else _slices(box or image, image)
    if hasattr(hdu, "compression_type"):
        start, stop, _ = rows.indices(image.height)
        shuffled = read_rows(hdu, start, stop)
        if shuffled is not None:
            return np.ascontiguousarray(shuffled[:, columns])
    if whole:
        values = hdu.data
        del hdu.data
        return _native(values)
    if hasattr(hdu, "compression_type"):
        return _native(hdu.section[rows, columns].copy())
    # astropy would read the part of each row by itself.
    return _native(hdu.section[rows, :][:, columns].copy())


def float_pixels(hdu: Any, box: Box | None, image: Box) -> npt.NDArray[np.float32]:
    """Read an image as float32; the arguments and errors are those of `pixels`."""
    return np.ascontiguousarray(pixels(hdu, box, image), dtype=np.float32)


def mask(hdu: Any, box: Box | None, image: Box) -> Mask:
    """Read a mask and the names of its planes; the arguments and errors are those of `pixels`."""
    bits = pixels(hdu, box, image)
    if bits.dtype.kind == "f" and hdu.header["BITPIX"] > 0:
        # A BLANK card made astropy turn integers into floats.
        bits = bits.astype(np.int32)
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


def header_wcs(header: Any, image: Box) -> Wcs | None:
    """Read the WCS of the image's header, which counts from the first pixel; None if it has none."""
    from astropy.utils.exceptions import AstropyWarning
    from astropy.wcs import WCS

    with WARNINGS_LOCK, warnings.catch_warnings():
        # Deprecated spellings of cards, which astropy understands.
        warnings.simplefilter("ignore", AstropyWarning)
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
