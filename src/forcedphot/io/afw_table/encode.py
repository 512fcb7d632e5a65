"""Schema and arrays as the bytes of one table HDU, in afw's layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...catalog.schema import Field, Schema
from ...errors import OutputError
from .table_hdu import CURRENT_VERSION, VERSION_CARD

_BLOCK = 2880

_CODES = {"uint8": "B", "int16": "I", "uint16": "I", "int32": "J", "int64": "K", "float32": "E", "float64": "D"}
_STORED = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_UNSIGNED_16 = 32768
_TEMPLATE_COMMENT = "Field template used by lsst.afw.table"
_STANDARD_KEY_LENGTH = 8
_MAX_COLUMNS = 999

type Cards = list[tuple[Any, ...]]
"""Cards to put behind a table's own: key and value, or key, value and comment."""


class _Table:
    """A table while it is put together: header, columns of bytes, heap."""

    def __init__(self, n_rows: int) -> None:
        from astropy.io import fits

        self.n_rows = n_rows
        self.cards = fits.Header()
        self.columns: list[npt.NDArray[np.uint8]] = []
        self.heap = bytearray()

    def add(self, name: str, form: str, raw: npt.NDArray[np.uint8], comment: str) -> int:
        """Add a column of bytes, shape (n, width); return its number, from 1.

        Raises
        ------
        OutputError
            If FITS has no place for it.
        """
        self.columns.append(raw)
        number = len(self.columns)
        if number > _MAX_COLUMNS:
            raise OutputError(
                f"A FITS table has at most {_MAX_COLUMNS} columns besides flags; {name} is one more."
            )
        self.card(f"TTYPE{number}", name, comment)
        self.card(f"TFORM{number}", form, "format of field")
        return number

    def card(self, key: str, value: Any, comment: str = "") -> None:
        """Append a card of any name, also one that stands there already.

        Raises
        ------
        OutputError
            If FITS has no place for it.
        """
        from astropy.io import fits

        is_standard = len(key) <= _STANDARD_KEY_LENGTH and key == key.upper()
        try:
            card = fits.Card(key if is_standard else f"HIERARCH {key}", value, comment)
            str(card)  # it is formatted, and refused, only when it is asked for
        except (ValueError, fits.VerifyError) as error:
            raise OutputError(f"{key} = {value!r} cannot be written into a FITS header: {error}.") from error
        self.cards.append(card, end=True)


def encode_table(
    schema: Schema,
    columns: Mapping[str, npt.NDArray[Any]],
    n_rows: int,
    further: Cards,
    *,
    last: Cards | None = None,
) -> bytes:
    """Return a table as the bytes of a FITS HDU.

    Parameters
    ----------
    schema, columns
        Fields and arrays.
    n_rows
        Their length.
    further
        Cards before the version's.
    last
        Cards behind it.

    Raises
    ------
    OutputError
        If a field is of a type, or has a value, that such tables cannot hold.
    """
    table = _Table(n_rows)
    _add_flags(table, schema, columns)
    n_flags = 0
    for field in schema:
        if field.dtype == "bool" and field.size is None:
            n_flags += 1
            table.card(f"TFLAG{n_flags}", field.name)
            if field.doc:
                table.card(f"TFDOC{n_flags}", field.doc)
        else:
            _add_column(table, field, columns[field.name])
    for alias, target in sorted(schema.aliases.items()):
        table.card("ALIAS", f"{alias}:{target}")
    for card in [*further, (VERSION_CARD, CURRENT_VERSION), *(last or [])]:
        table.card(*card)
    return _hdu(table)


def _add_flags(table: _Table, schema: Schema, columns: Mapping[str, npt.NDArray[Any]]) -> None:
    flags = [columns[field.name] for field in schema if field.dtype == "bool" and field.size is None]
    if flags:
        raw = np.packbits(np.stack(flags, axis=1).astype(np.bool_), axis=1)
        number = table.add("flags", f"{len(flags)}X", raw, "bits for all Flag fields; see also TFLAGn")
        table.card("FLAGCOL", number, "Column number for the bitflags.")


def _add_column(table: _Table, field: Field, values: npt.NDArray[Any]) -> None:
    if field.dtype == "str":
        form, raw = _text_column(table, field, values)
        template = "String"
    elif field.dtype not in _CODES:
        raise OutputError(f"The field {field.name} is of the type {field.dtype}, which afw's tables do not have.")
    elif field.is_variable:
        form, raw = _heap_column(table, _CODES[field.dtype], [_encode(row, field).tobytes() for row in values])
        template = "Array"
    else:
        code, size = _CODES[field.dtype], field.size or 1
        form, width = f"{size}{code}", size * np.dtype(_STORED[code]).itemsize
        raw = _encode(values, field).reshape(table.n_rows, width)
        template = "Angle" if field.is_angle else "Scalar" if field.size is None else "Array"
    number = table.add(field.name, form, raw, "")
    if field.dtype == "uint16":
        table.card(f"TSCAL{number}", 1)
        table.card(f"TZERO{number}", _UNSIGNED_16)
    if field.doc:
        table.card(f"TDOC{number}", field.doc)
    if field.unit:
        table.card(f"TUNIT{number}", field.unit)
    table.card(f"TCCLS{number}", template, _TEMPLATE_COMMENT)


def _encode(values: npt.NDArray[Any], field: Field) -> npt.NDArray[np.uint8]:
    """Return numbers as bytes, the elements of a row one after the other."""
    stored = _STORED[_CODES[field.dtype]]
    if field.dtype == "uint16":
        values = values.astype(np.int32) - _UNSIGNED_16
    encoded = np.ascontiguousarray(values.astype(stored)).reshape(-1)
    return encoded.view(np.uint8)


def _text_column(table: _Table, field: Field, values: npt.NDArray[Any]) -> tuple[str, npt.NDArray[np.uint8]]:
    texts = [str(text).encode("utf-8") for text in values]
    if field.size == 0:
        return _heap_column(table, "A", texts)
    width = field.size or max((len(text) for text in texts), default=1) or 1
    longest = max(texts, key=len, default=b"")
    if len(longest) > width:
        raise OutputError(f"The field {field.name} has {width} bytes a text, but {longest.decode()!r} has more.")
    raw = np.array(texts, dtype=f"S{width}").view(np.uint8).reshape(table.n_rows, width)
    return f"{width}A", raw


def _heap_column(table: _Table, code: str, parts: list[bytes]) -> tuple[str, npt.NDArray[np.uint8]]:
    """Put the elements of each row into the heap; return descriptors: counts and offsets."""
    width = 1 if code == "A" else np.dtype(_STORED[code]).itemsize
    counts = np.array([len(part) // width for part in parts], dtype=np.int64)
    offsets = len(table.heap) + np.concatenate([[0], np.cumsum(counts * width)])[: len(parts)]
    for part in parts:
        table.heap += part
    descriptors = np.stack([counts, offsets], axis=1).astype(">i8")
    return f"1Q{code}({counts.max(initial=0)})", descriptors.view(np.uint8).reshape(len(parts), 16)


def _hdu(table: _Table) -> bytes:
    from astropy.io import fits

    rows = np.concatenate([np.empty((table.n_rows, 0), np.uint8), *table.columns], axis=1)
    header = fits.Header()
    for key, value, comment in (
        ("XTENSION", "BINTABLE", "binary table extension"),
        ("BITPIX", 8, "8-bit bytes"),
        ("NAXIS", 2, "2-dimensional binary table"),
        ("NAXIS1", rows.shape[1], "width of table in bytes"),
        ("NAXIS2", table.n_rows, "number of rows in table"),
        ("PCOUNT", len(table.heap), "size of special data area"),
        ("GCOUNT", 1, "one data group (required keyword)"),
        ("TFIELDS", len(table.columns), "number of fields in each row"),
    ):
        header[key] = (value, comment)
    header.extend(table.cards, end=True)
    data = rows.tobytes() + bytes(table.heap)
    text: str = header.tostring()
    return text.encode("ascii") + data + b"\0" * (-len(data) % _BLOCK)
