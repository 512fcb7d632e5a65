"""Opening FITS files that may be damaged: a directory of HDUs whose sizes are checked before any is used."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any, overload

import numpy as np

from ..conventions import Box
from ..errors import ExposureError, FileFormatError
from .fits_header import CARD_LENGTH, FitsHeader, astropy_silent
from .resources import SizedReader, Source, open_source

_BLOCK = 2880
_END = b"END     "
_PRIMARY = b"SIMPLE  ="
_EXTENSION = b"XTENSION"
_MAX_HEADER_BLOCKS = 10_000
_MAX_HDUS = 10_000
_MAX_COUNT = 999
_MAX_WCS_COUNT = 99
_WCS_COUNT = re.compile(r"WCSAXES[A-Z]?|[AB]P?_ORDER[A-Z]?")
_BITPIX = (8, 16, 32, 64, -32, -64)
_EMPTY_PRIMARY = b"".join(
    card.encode().ljust(CARD_LENGTH)
    for card in (
        f"{'SIMPLE':8}= {'T':>20}",
        f"{'BITPIX':8}= {8:20d}",
        f"{'NAXIS':8}= {0:20d}",
        f"{'EXTEND':8}= {'T':>20}",
        "END",
    )
).ljust(_BLOCK)


class BoxError(ExposureError):
    """A box that was asked for is not inside the image; nothing is wrong with the file."""


def check_inside(name: object, box: Box, image: Box) -> None:
    """Raise unless a box that was asked for has pixels, all of them in the image.

    Raises
    ------
    BoxError
        If not, or if it is no box of whole pixels.
    """
    if not isinstance(box, Box):
        raise BoxError(f"The part of an image to read is a forcedphot.conventions.Box, not {type(box)}.")
    if not all(isinstance(side, int | np.integer) for side in (box.x0, box.y0, box.width, box.height)):
        raise BoxError(f"A box has whole pixels; this one has {box!r}.")
    if box.width < 1 or box.height < 1 or box.intersection(image) != box:
        raise BoxError(
            f"The box {box} is not inside the image of {name}, which covers {image}; "
            "ask for a part of it, for example with Box.intersection."
        )


class Hdu:
    """One HDU of an open file; what is large is read when it is asked for.

    Parameters
    ----------
    stream
        The file.
    number
        Which of its HDUs, from 1.
    header
        Its header as it is stored: of a tile-compressed image, that of the table which has the tiles.
    header_start, data_start
        Where it begins in the file, and where its data do, bytes.
    data_size
        Bytes of its data, without what pads them to whole blocks.
    """

    def __init__(
        self,
        stream: IO[bytes],
        number: int,
        header: FitsHeader,
        header_start: int,
        data_start: int,
        data_size: int,
    ) -> None:
        self.number = number
        self.header = header
        self.header_start = header_start
        self.data_size = data_size
        self._stream = stream
        self._data_start = data_start
        self._stack = ExitStack()

    def __str__(self) -> str:
        return f"HDU {self.number} ({self.name})" if self.name else f"HDU {self.number}"

    @property
    def stop(self) -> int:
        """Where it ends in the file, bytes."""
        return self._data_start + _padded(self.data_size)

    @property
    def name(self) -> str:
        """Its EXTNAME, empty if it has none."""
        return str(self.header.get("EXTNAME") or "").strip()

    @property
    def is_table(self) -> bool:
        """Whether it is a table, that of a compressed image included."""
        return "TFIELDS" in self.header

    @cached_property
    def is_compressed(self) -> bool:
        """Whether it is a tile-compressed image."""
        return self.header.get("ZIMAGE") is True and self.is_table

    @property
    def is_image(self) -> bool:
        """Whether it is an image, compressed or not."""
        return self.is_compressed or not self.is_table

    @property
    def bitpix(self) -> int:
        """The type of an image's pixels, as the header has it."""
        return _integer(self.header, f"{self._prefix}BITPIX")

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape of an image, rows before columns."""
        dimensions = range(_integer(self.header, f"{self._prefix}NAXIS"), 0, -1)
        return tuple(_integer(self.header, f"{self._prefix}NAXIS{i}") for i in dimensions)

    @property
    def _prefix(self) -> str:
        return "Z" if self.is_compressed else ""

    def read(self, start: int, stop: int) -> bytes:
        """Read some of the data.

        Parameters
        ----------
        start, stop
            Bytes, counted from where the data begin.

        Raises
        ------
        FileFormatError
            If these are outside the data.
        """
        self._seek(start, stop)
        data = self._stream.read(stop - start)
        if len(data) != stop - start:
            raise FileFormatError(f"its data end after {start + len(data)} bytes; it should have {self.data_size}")
        return data

    def read_into(self, array: Any, start: int) -> None:
        """Fill a contiguous array with the data from a byte on, as `read` would read them."""
        target = memoryview(array).cast("B")
        self._seek(start, start + len(target))
        n_read = self._stream.readinto(target)  # type: ignore[attr-defined]
        if n_read != len(target):
            raise FileFormatError(f"its data end after {start + n_read} bytes; it should have {self.data_size}")

    def _seek(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= self.data_size:
            raise FileFormatError(f"its bytes {start} to {stop} are asked for; it has {self.data_size}")
        self._stream.seek(self._data_start + start)

    @cached_property
    def astropy(self) -> Any:
        """The same as an HDU of astropy, for images that only astropy can read."""
        from astropy.io import fits

        window = self._stack.enter_context(_Window(self._stream, self.header_start, self.stop))
        with astropy_silent():
            hdus = self._stack.enter_context(fits.open(window, memmap=False, lazy_load_hdus=True))
            return hdus[1]

    def close(self) -> None:
        """Close what astropy has opened."""
        self._stack.close()


class FitsFile(Sequence[Hdu]):
    """The HDUs of an open file.

    Parameters
    ----------
    source
        The file, open.

    Raises
    ------
    FileFormatError
        If the file ends too early, or an HDU has a size that cannot be.
    """

    def __init__(self, source: Source) -> None:
        self._stream = source.stream
        self._hdus = list(_directory(source))

    def __len__(self) -> int:
        return len(self._hdus)

    @overload
    def __getitem__(self, index: int) -> Hdu: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Hdu]: ...

    def __getitem__(self, index: int | slice) -> Hdu | Sequence[Hdu]:
        return self._hdus[index]

    def stored(self, first: int, last: int) -> bytes:
        """Return HDUs as they are stored, headers and data; the last one is included."""
        start, stop = self._hdus[first].header_start, self._hdus[last].stop
        self._stream.seek(start)
        return self._stream.read(stop - start)

    def close(self) -> None:
        """Close what astropy has opened; the file itself stays open."""
        for hdu in self._hdus:
            hdu.close()


@contextmanager
def open_fits(place: str | Path | Source) -> Iterator[FitsFile]:
    """Open a FITS file, gzipped or not, and read all its headers.

    Raises
    ------
    FileFormatError
        If the file ends too early, or an HDU has a size that cannot be.
    Exception
        Whatever astropy raises on other damage.
    """
    with open_source(place) as source:
        hdus = FitsFile(source)
        try:
            yield hdus
        finally:
            hdus.close()


def only_image(hdus: Sequence[Hdu]) -> Hdu | None:
    """Return the HDU of the image of a file that holds nothing else; None if the file is not so."""
    with_data = [hdu for hdu in hdus if hdu.header.get("NAXIS", 0) > 0]
    if len(with_data) == 1 and with_data[0].is_image and len(with_data[0].shape) == 2:
        return with_data[0]
    return None


def _directory(source: Source) -> Iterator[Hdu]:
    """Find all HDUs, and check that they follow each other and are all there."""
    start = 0
    for number in range(1, _MAX_HDUS + 1):
        source.stream.seek(start)
        raw = _raw_header(source.stream, number)
        if not raw:
            return
        header = FitsHeader(raw, number)
        try:
            _check_counts(header)
            size = _data_size(header)
        except FileFormatError as error:
            raise FileFormatError(f"damaged: the size of HDU {number} cannot be: {error}") from error
        hdu = Hdu(source.stream, number, header, start, start + len(raw), size)
        if hdu.stop > source.size:
            raise FileFormatError(
                f"truncated: HDU {number} should end at byte {hdu.stop}, but the file at {source.size}"
            )
        yield hdu
        start = hdu.stop
    raise FileFormatError(f"damaged: it has more than {_MAX_HDUS} HDUs")


def _raw_header(stream: IO[bytes], number: int) -> bytes:
    """Read the header at the current place; nothing if the file ends there."""
    blocks: list[bytes] = []
    for _ in range(_MAX_HEADER_BLOCKS):
        block = stream.read(_BLOCK)
        if not blocks and number > 1 and not block.startswith(_EXTENSION):
            # Tapes had blocks of nothing at the end, and files that were copied from them still have.
            if block.strip(b"\0 "):
                raise FileFormatError(f"damaged: HDU {number} begins with {block[:8]!r}, not {_EXTENSION!r}")
            return b""
        if not blocks and number == 1 and not block.startswith(_PRIMARY):
            raise FileFormatError(f"no FITS file: it begins with {block[:8]!r}")
        blocks.append(block)
        if len(block) < _BLOCK:
            raise FileFormatError(f"truncated: the header of HDU {number} has no end")
        if any(block.startswith(_END, i) for i in range(0, _BLOCK, CARD_LENGTH)):
            return b"".join(blocks)
    raise FileFormatError(f"damaged: the header of HDU {number} has no end")


def _check_counts(header: FitsHeader) -> None:
    """Raise if there is more of anything than may be: astropy and lsst.images would count to any number."""
    for name in ("NAXIS", "ZNAXIS", "TFIELDS"):
        if name in header and _integer(header, name) > _MAX_COUNT:
            raise FileFormatError(f"its {name} is {header[name]}")
    for name in filter(_WCS_COUNT.fullmatch, header):
        if isinstance(header[name], int | float) and header[name] > _MAX_WCS_COUNT:
            raise FileFormatError(f"its {name} is {header[name]}")


def _data_size(header: FitsHeader) -> int:
    """Return the bytes of the data that a header announces."""
    lengths = [_integer(header, f"NAXIS{i}") for i in range(1, _integer(header, "NAXIS") + 1)]
    if not lengths:
        return 0
    bitpix = header.get("BITPIX")
    if isinstance(bitpix, bool) or bitpix not in _BITPIX:
        raise FileFormatError(f"its BITPIX is {bitpix!r}")
    n_groups, n_more = (
        _integer(header, name) if name in header else i for name, i in (("GCOUNT", 1), ("PCOUNT", 0))
    )
    return abs(int(bitpix)) // 8 * n_groups * (n_more + math.prod(lengths))


def _integer(header: FitsHeader, name: str) -> int:
    value = header.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or (value < 0 and not name.endswith("BITPIX")):
        raise FileFormatError(f"its {name} is {'missing' if value is None else repr(value)}")
    return value


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


class _Window(SizedReader):
    """One HDU of a file, behind an empty primary one, as a file of its own: nothing outside can be reached."""

    mode = "rb"

    def __init__(self, stream: IO[bytes], start: int, stop: int) -> None:
        super().__init__(_BLOCK + stop - start)
        self._stream = stream
        self._start = start

    def read(self, size: int = -1) -> bytes:
        left = max(self._size - self._position, 0)
        size = left if size < 0 else min(size, left)
        head = _EMPTY_PRIMARY[self._position : self._position + size]
        if len(head) < size:
            self._stream.seek(self._start + self._position + len(head) - _BLOCK)
            head += self._stream.read(size - len(head))
        self._position += len(head)
        return head
