"""What a tile-compressed image says of its tiles, checked before astropy decompresses them.

Its decompressors in C believe the header: with lies, they read and write outside their memory. That of gzip makes
of a tile whatever becomes of it, up to a thousand times its size.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable
from itertools import count

import numpy as np

from ..errors import FileFormatError
from .afw_table.columns import parse_format
from .fits_file import Hdu

_MAX_TILE_PIXELS = 1 << 27  # in C, their bytes are counted in 32 bits
_RICE = ("RICE_1", "RICE_ONE")
_RICE_BYTES = (1, 2, 4)
_MAX_RICE_BLOCK = 64
GZIP = 31
"""The window size of zlib that says that the data have gzip's header and check sum."""
_MAX_GZIP_RATIO = 1032
_HARMLESS_BYTES = 1 << 28
_MAX_PIXEL_BYTES = 8
_PLIO_HEADER_WORDS = 5


def check_tiles(hdu: Hdu) -> None:
    """Raise unless astropy can decompress the tiles of an image without harm; other HDUs are left alone.

    Raises
    ------
    FileFormatError
        If its tiles have no size or an absurd one, parameters that do not exist, or other sizes than they say.
    """
    if not hdu.is_compressed:
        return
    kind = hdu.header.get("ZCMPTYPE")
    n_pixels = _tile_pixels(hdu)
    if kind in _RICE:
        _check_rice(hdu)
    elif kind == "PLIO_1":
        _check_plio(hdu)
    for name in ("COMPRESSED_DATA", "GZIP_COMPRESSED_DATA"):
        if str(kind).startswith("GZIP") or name.startswith("GZIP"):
            _check_gzip(hdu, name, n_pixels * _MAX_PIXEL_BYTES)


def check_all_tiles(hdus: Iterable[Hdu]) -> None:
    """Check all images of a file, as `check_tiles` does; the error names the HDU."""
    for hdu in hdus:
        try:
            check_tiles(hdu)
        except FileFormatError as error:
            raise FileFormatError(f"{hdu}: {error}") from error


def _tile_pixels(hdu: Hdu) -> int:
    """Return the number of pixels of the largest tile."""
    shape = hdu.shape[::-1]
    sides = [hdu.header.get(f"ZTILE{i}", length if i == 1 else 1) for i, length in enumerate(shape, 1)]
    if not all(isinstance(side, int) and side > 0 for side in sides):
        raise FileFormatError(f"its tiles have the sides {', '.join(map(str, sides))}")
    n_pixels: int = math.prod(map(min, sides, shape))
    if n_pixels > _MAX_TILE_PIXELS:
        raise FileFormatError(f"its tiles have {n_pixels} pixels; at most {_MAX_TILE_PIXELS} can be read")
    return n_pixels


def _check_rice(hdu: Hdu) -> None:
    header = hdu.header
    numbers = next(i for i in count(1) if f"ZNAME{i}" not in header)
    given = {str(header[f"ZNAME{i}"]).upper(): header.get(f"ZVAL{i}") for i in reversed(range(1, numbers))}
    block, n_bytes = given.get("BLOCKSIZE", 32), given.get("BYTEPIX", 4)
    if n_bytes not in _RICE_BYTES or not isinstance(block, int) or not 0 < block <= _MAX_RICE_BLOCK:
        raise FileFormatError(f"its tiles are compressed in blocks of {block} pixels of {n_bytes} bytes")


def _check_plio(hdu: Hdu) -> None:
    """Check the lengths in the headers of lists of pixels."""
    for start, size in _places(hdu, "COMPRESSED_DATA", "I", more_than=0):
        n_words = size // 2
        header = np.frombuffer(hdu.read(start, start + 2 * min(n_words, _PLIO_HEADER_WORDS)), ">i2").tolist()
        header += [0] * (_PLIO_HEADER_WORDS - len(header))
        is_old = header[2] > 0
        length = header[2] if is_old else (header[4] << 15) + header[3]
        if not length <= n_words or (not is_old and header[1] < 0):
            raise FileFormatError(f"a tile is a list of {length} words, of which it has {n_words}")


def _check_gzip(hdu: Hdu, name: str, most: int) -> None:
    """Unpack tiles that may be far too large, to no more than they may have."""
    harmless = _HARMLESS_BYTES // _MAX_GZIP_RATIO
    if hdu.data_size > harmless:
        for start, size in _places(hdu, name, "BIJ", more_than=harmless):
            _check_unpacked(hdu.read(start, start + size), most)


def _check_unpacked(packed: bytes, most: int) -> None:
    total = 0
    inflater = zlib.decompressobj(GZIP)
    while packed:
        try:
            total += len(inflater.decompress(packed, most - total + 1))
        except zlib.error as error:
            raise FileFormatError(f"a tile cannot be decompressed: {error}") from error
        if total > most:
            raise FileFormatError(f"a tile has {total} bytes or more; it should have {most} at most")
        packed = inflater.unconsumed_tail
        if inflater.eof:  # there may be another one behind it
            packed = inflater.unused_data.lstrip(b"\0")
            inflater = zlib.decompressobj(GZIP)


def _places(hdu: Hdu, name: str, codes: str, *, more_than: int) -> list[tuple[int, int]]:
    """List where a column's tiles of more than some bytes begin in the data, and their bytes."""
    header = hdu.header
    formats = [parse_format(str(header[f"TFORM{i}"])) for i in range(1, header["TFIELDS"] + 1)]
    names = [header.get(f"TTYPE{i}") for i in range(1, len(formats) + 1)]
    if name not in names:
        return []
    index = names.index(name)
    column, first = formats[index], sum(form.width for form in formats[:index])
    width, n_rows = header["NAXIS1"], header["NAXIS2"]
    if column.code not in codes or column.repeat != 1 or not column.descriptor or first + column.width > width:
        raise FileFormatError(f"its column {name} holds no tiles")
    rows = np.frombuffer(hdu.read(0, width * n_rows), np.uint8).reshape(n_rows, width)
    pairs = np.ascontiguousarray(rows[:, first : first + column.width])
    counts, offsets = pairs.view(">i4" if column.descriptor == "P" else ">i8").astype(np.int64).T
    heap = header.get("THEAP", width * n_rows)
    most = (hdu.data_size - heap) // column.element_width
    plausible = (counts >= 0) & (counts <= most) & (offsets >= 0) & (offsets <= hdu.data_size)
    sizes = counts * column.element_width
    if not plausible.all() or (heap + offsets + sizes > hdu.data_size).any():
        raise FileFormatError("the places of its tiles are outside the HDU")
    large = sizes > more_than
    return list(zip((heap + offsets[large]).tolist(), sizes[large].tolist(), strict=True))
