"""Columns of a FITS binary table, from its header and bytes to arrays.

astropy's own reader trusts a header's sizes; this one checks them against the data before it allocates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import FileFormatError
from ..fits_file import Hdu

_FORMAT = re.compile(r"(\d{0,9})([PQ]?)([A-Z])\s*(?:\(\d*\))?.*")
_TYPES = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8", "A": "S", "X": "u1", "L": "S1"}
_OTHER_WIDTHS = {"C": 8, "M": 16}
_UNSIGNED_16 = 32768
_MAX_TEXT_BYTES = 1 << 30
_BYTES_PER_CHARACTER = 4


@dataclass(frozen=True, slots=True)
class ColumnFormat:
    """A TFORM card, parsed.

    Parameters
    ----------
    repeat
        Elements a row; bits for ``X``.
    code
        The letter of the element type.
    descriptor
        ``P`` or ``Q`` if the elements are in the heap, with 32- or 64-bit counts and offsets; otherwise empty.
    """

    repeat: int
    code: str
    descriptor: str

    @property
    def width(self) -> int:
        """Bytes a row in the table itself."""
        if self.descriptor:
            return self.repeat * (8 if self.descriptor == "P" else 16)
        if self.code == "X":
            return (self.repeat + 7) // 8
        return self.repeat * self.element_width

    @property
    def element_width(self) -> int:
        """Bytes an element."""
        if self.code in _OTHER_WIDTHS:
            return _OTHER_WIDTHS[self.code]
        return 1 if self.code in "AXL" else np.dtype(_TYPES[self.code]).itemsize

    @property
    def is_known(self) -> bool:
        """Whether catalogs have such columns."""
        return self.code in _TYPES and self.code != "L"


def parse_format(text: str) -> ColumnFormat:
    """Parse the value of a TFORM card.

    Raises
    ------
    FileFormatError
        If it is none.
    """
    match = _FORMAT.fullmatch(text.strip())
    if match is None or match[3] not in {*_TYPES, *_OTHER_WIDTHS}:
        raise FileFormatError(f"{text!r} is no format of a column")
    return ColumnFormat(int(match[1] or 1), match[3], match[2])


class TableBytes:
    """The rows and the heap of a binary table.

    Parameters
    ----------
    hdu
        The table's HDU.
    formats
        The formats of all columns, in order.

    Raises
    ------
    FileFormatError
        If the columns do not make up the rows, or the data are not all there.
    """

    def __init__(self, hdu: Hdu, formats: list[ColumnFormat]) -> None:
        header = hdu.header
        width, n_rows = int(header["NAXIS1"]), int(header["NAXIS2"])
        heap_size = int(header.get("PCOUNT", 0))
        columns_width = sum(column.width for column in formats)
        if columns_width != width or n_rows < 0 or heap_size < 0:
            raise FileFormatError(f"its columns take {columns_width} bytes a row, but its rows {width}")
        gap = int(header.get("THEAP", width * n_rows)) - width * n_rows
        if not 0 <= gap <= heap_size or width * n_rows + heap_size > hdu.data_size:
            raise FileFormatError("its rows and its heap do not fit in its data")
        data = hdu.read(0, width * n_rows + heap_size)
        self.n_rows = n_rows
        self._rows = np.frombuffer(data, np.uint8, width * n_rows).reshape(n_rows, width)
        self._heap = data[width * n_rows + gap :]
        self._offsets = np.concatenate([[0], np.cumsum([column.width for column in formats])]).tolist()
        self._formats = formats

    def column(self, index: int, zero: float = 0.0) -> npt.NDArray[Any]:
        """Return a column in native byte order.

        Parameters
        ----------
        index
            Its place among the columns, from 0.
        zero
            Its TZERO card: 32768 makes 16-bit integers unsigned.

        Returns
        -------
        Shape (n,) for one element a row, otherwise (n, elements); texts have shape (n,); columns in the heap are
        arrays of arrays.

        Raises
        ------
        FileFormatError
            If a row refers to something outside the heap.
        """
        column = self._formats[index]
        if column.descriptor:
            return self._variable(index, zero)
        raw = np.ascontiguousarray(self._rows[:, self._offsets[index] : self._offsets[index + 1]])
        if column.code == "A":
            return _texts([row.tobytes() for row in raw], column.repeat)
        if column.repeat == 0:
            return np.empty((self.n_rows, 0), dtype=_native(_TYPES[column.code], zero))
        values = _decode(raw, column.code, zero)
        return values[:, 0] if column.repeat == 1 else values

    def bits(self, index: int) -> npt.NDArray[np.bool_]:
        """Return a column of bits, shape (bits, n): each bit's values are contiguous."""
        raw = self._rows[:, self._offsets[index] : self._offsets[index + 1]]
        unpacked = np.unpackbits(raw, axis=1)[:, : self._formats[index].repeat]
        return np.ascontiguousarray(unpacked.T).view(np.bool_)

    def _variable(self, index: int, zero: float) -> npt.NDArray[Any]:
        column = self._formats[index]
        raw = np.ascontiguousarray(self._rows[:, self._offsets[index] : self._offsets[index + 1]])
        pairs = raw.view(">i4" if column.descriptor == "P" else ">i8").astype(np.int64)
        counts = pairs[:, 0] if column.repeat else np.zeros(self.n_rows, dtype=np.int64)
        starts = pairs[:, 1] if column.repeat else counts
        size = len(self._heap)
        width = column.element_width
        if column.repeat > 1 or ((counts < 0) | (starts < 0) | (counts > size) | (starts > size)).any():
            raise FileFormatError("a row refers to something outside the heap")
        # Rows that share their elements would make much of a small file.
        if (starts + counts * width > size).any() or int(counts.sum()) * width > size:
            raise FileFormatError("its rows refer to more than the heap has")
        parts = [
            self._heap[start : start + count * width]
            for start, count in zip(starts.tolist(), counts.tolist(), strict=True)
        ]
        if column.code == "A":
            return _texts(parts, int(counts.max(initial=0)))
        values = np.empty(self.n_rows, dtype=object)
        values[:] = [_decode(np.frombuffer(part, np.uint8), column.code, zero) for part in parts]
        return values


def _decode(raw: npt.NDArray[np.uint8], code: str, zero: float) -> npt.NDArray[Any]:
    values = raw.view(_TYPES[code])
    if code == "I" and zero == _UNSIGNED_16:
        return (values.astype(np.int32) + _UNSIGNED_16).astype(np.uint16)
    if zero != 0:
        raise FileFormatError(f"columns with TZERO {zero} are not known")
    return values.astype(_native(_TYPES[code], zero))


def _native(code: str, zero: float) -> np.dtype[Any]:
    return np.dtype(np.uint16) if zero else np.dtype(code).newbyteorder("=")


def _texts(parts: list[bytes], length: int) -> npt.NDArray[np.str_]:
    """Make texts of bytes; all that follows a null byte is padding, and so are blanks at the end."""
    if len(parts) * length * _BYTES_PER_CHARACTER > _MAX_TEXT_BYTES:
        raise FileFormatError(f"{len(parts)} texts of up to {length} characters are too many")
    decoded = [_text(part) for part in parts]
    return np.array(decoded, dtype=f"U{max(length, 1)}")


def _text(part: bytes) -> str:
    text = part.partition(b"\0")[0].rstrip(b" ")
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")
