"""Images whose tiles are compressed with GZIP_2, as afw compresses masks and variances: each decompressed once.

astropy decompresses every such tile twice, and reads a header for each.
"""

from __future__ import annotations

import re
import sys
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import FileFormatError
from ..compressed_tiles import GZIP
from ..fits_file import Hdu

_DESCRIPTOR = re.compile(r"1?([PQ])B(\(\d+\))?")
PIXEL_TYPES = {8: "u1", 16: "i2", 32: "i4", 64: "i8", -32: "f4", -64: "f8"}
"""Types of pixels by BITPIX, of any byte order."""
SCALING_CARDS = frozenset({"BSCALE", "BZERO", "BLANK"})
"""Cards that say that pixels are not stored as they are."""


def read_rows(hdu: Hdu, start: int, stop: int) -> npt.NDArray[Any] | None:
    """Read whole rows of a tile-compressed image.

    Parameters
    ----------
    hdu
        The HDU of the image.
    start, stop
        The rows.

    Returns
    -------
    Shape (stop - start, width), native byte order; None for an image that is not compressed in whole
    rows with GZIP_2 and without loss, which astropy can read.

    Raises
    ------
    FileFormatError
        If a tile is damaged, or of another size than the image says.
    """
    table = hdu.header
    height, width = hdu.shape
    tile_height, tile_width = table.get("ZTILE2", 1), table.get("ZTILE1", width)
    if table.get("ZCMPTYPE") != "GZIP_2" or tile_width != width or not 0 < tile_height <= height:
        return None
    # Of numbers with fractions, only those that were made integers have a ZBLANK in use.
    if {*SCALING_CARDS, "ZSCALE", "ZZERO", *(["ZBLANK"] if hdu.bitpix > 0 else [])} & table.keys():
        return None
    kind = _DESCRIPTOR.fullmatch(str(table["TFORM1"]))
    columns = {table.get(f"TTYPE{i}") for i in range(1, table["TFIELDS"] + 1)}
    if kind is None or table["TTYPE1"] != "COMPRESSED_DATA" or {"ZSCALE", "ZZERO"} & columns:
        return None
    first, last = start // tile_height, -(-stop // tile_height)
    stored = hdu.read(first * table["NAXIS1"], last * table["NAXIS1"])
    raw = np.frombuffer(stored, np.uint8).reshape(last - first, -1)
    number = np.dtype(">i4" if kind[1] == "P" else ">i8")
    lengths, offsets = raw[:, : 2 * number.itemsize].copy().view(number).T.tolist()
    if min(lengths) < 1:
        return None  # such a tile is in another column
    heap = table.get("THEAP", table["NAXIS1"] * table["NAXIS2"])
    low, high = min(offsets), max(map(sum, zip(offsets, lengths, strict=True)))
    if low < 0 or heap + high > hdu.data_size:
        raise FileFormatError("the places of its tiles are outside the HDU")
    content = memoryview(hdu.read(heap + low, heap + high))
    dtype = np.dtype(PIXEL_TYPES[hdu.bitpix])
    image = np.empty((min(last * tile_height, height) - first * tile_height, width), dtype)
    for i, (length, offset) in enumerate(zip(lengths, offsets, strict=True)):
        rows = image[i * tile_height : (i + 1) * tile_height]
        _unshuffle(_inflate(content[offset - low : offset - low + length], rows.nbytes), rows)
    return image[start - first * tile_height : stop - first * tile_height]


def _inflate(content: memoryview, size: int) -> bytes:
    """Decompress a tile that should have some size; no more than that is made of it."""
    inflater = zlib.decompressobj(GZIP)
    try:
        data = inflater.decompress(content, size + 1)
    except zlib.error as error:
        raise FileFormatError(f"a tile cannot be decompressed: {error}") from error
    if len(data) != size:
        raise FileFormatError(f"a tile has {len(data)} bytes or more; it should have {size}")
    return data


def _unshuffle(data: bytes, rows: npt.NDArray[Any]) -> None:
    """Fill rows from all first bytes of their numbers, all second bytes, and so on, the most significant first."""
    size = rows.dtype.itemsize
    planes = np.frombuffer(data, np.uint8).reshape(size, *rows.shape)
    target = rows.view(np.uint8).reshape(*rows.shape, size)
    for i in range(size):
        target[..., size - 1 - i if sys.byteorder == "little" else i] = planes[i]
