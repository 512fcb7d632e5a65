"""Results as VOTable, written batch by batch: binary2 and tabledata."""

import binascii
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..tables import ColumnMetadata
from ..votable_types import VotableType, votable_type
from . import cells
from .writer import ResultWriter
from .xml_text import FORBIDDEN, attributes, content

_NAMESPACES = (
    'xmlns="http://www.ivoa.net/xml/VOTable/v1.3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://www.ivoa.net/xml/VOTable/v1.3 http://www.ivoa.net/xml/VOTable/VOTable-1.4.xsd"'
)
_INFINITIES = cells.Infinities("NaN", "+Inf", "-Inf")
_BEYOND_BMP_END = "\\x{FFFE}\\x{FFFF}"


def document_start(status: str, message: str = "", about: Mapping[str, str] | None = None) -> str:
    """Begin a document up to what DALI wants to know of the query."""
    infos = "".join(f"<INFO{attributes(name=name, value=value)}/>\n" for name, value in (about or {}).items())
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<VOTABLE version="1.4" {_NAMESPACES}>\n'
        f'<RESOURCE type="results">\n{status_info(status, message)}{infos}'
    )


def status_info(status: str, message: str = "") -> str:
    """Say how the query went: OK, OVERFLOW or ERROR."""
    return f'<INFO name="QUERY_STATUS" value="{status}">{content(message)}</INFO>\n'


def error_document(message: str) -> bytes:
    """Return DALI's error document."""
    return f"{document_start('ERROR', message)}</RESOURCE>\n</VOTABLE>\n".encode()


def fields(columns: Sequence[ColumnMetadata]) -> str:
    """Declare columns."""
    written = []
    for column in columns:
        kind = votable_type(column)
        known = attributes(
            name=column.name or "column",
            datatype=kind.datatype,
            arraysize=kind.arraysize,
            unit=column.unit,
            ucd=column.ucd,
            utype=column.utype,
            xtype=kind.xtype,
        )
        described = f"<DESCRIPTION>{content(column.description)}</DESCRIPTION>" if column.description else ""
        written.append(f"<FIELD{known}>{described}</FIELD>\n")
    return "".join(written)


class _Votable(ResultWriter):
    """What both serializations share."""

    opening = ""
    closing = ""

    def begin(self) -> bytes:
        table = f"<TABLE>\n{fields(self.columns)}<DATA>{self.opening}"
        return (document_start("OK", about=self.about) + table).encode()

    def end(self, overflow: bool) -> Iterator[bytes]:
        yield self._finished(status_info("OVERFLOW") if overflow else "")

    def broken(self, message: str) -> bytes | None:
        return self._finished(status_info("ERROR", message))

    def _finished(self, status: str) -> bytes:
        return f"{self.closing}</DATA>\n</TABLE>\n{status}</RESOURCE>\n</VOTABLE>\n".encode()


class Tabledata(_Votable):
    """Rows as XML, which any tool and any eye can read."""

    opening = "<TABLEDATA>\n"
    closing = "</TABLEDATA>"

    def rows(self, batch: pa.RecordBatch) -> Iterator[bytes]:
        for piece in cells.pieces(batch):
            columns = [self._escaped(array, kind) for array, kind in zip(piece.columns, self.kinds, strict=True)]
            lines = pc.binary_join_element_wise(*columns, "</TD><TD>").to_pylist()
            yield f"<TR><TD>{'</TD></TR>\n<TR><TD>'.join(lines)}</TD></TR>\n".encode()

    @staticmethod
    def _escaped(array: pa.Array, kind: VotableType) -> pa.Array:
        written = cells.texts(cells.simplified(array, kind), _INFINITIES).fill_null("")
        if kind.datatype in ("char", "unicodeChar"):
            for sign, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;")):
                written = pc.replace_substring(written, sign, escaped)
            written = pc.replace_substring_regex(written, f"[{FORBIDDEN}{_BEYOND_BMP_END}]", "\ufffd")
        return written


class Binary2(_Votable):
    """Rows as bytes, each with a bit per column that tells whether it is NULL."""

    opening = '<BINARY2><STREAM encoding="base64">\n'
    closing = "</STREAM></BINARY2>"
    _rest = b""

    def rows(self, batch: pa.RecordBatch) -> Iterator[bytes]:
        for piece in cells.pieces(batch):
            data = self._rest + rows_bytes(piece, self.kinds)
            # base64 has no padding but at its end
            whole = len(data) // 3 * 3
            self._rest = data[whole:]
            yield binascii.b2a_base64(data[:whole])

    def _finished(self, status: str) -> bytes:
        rest = binascii.b2a_base64(self._rest) if self._rest else b""
        return rest + super()._finished(status)


def rows_bytes(batch: pa.RecordBatch, kinds: Sequence[VotableType]) -> bytes:
    """Return rows in the BINARY2 serialization."""
    n_rows = batch.num_rows
    nulls = np.stack([array.is_null().to_numpy(zero_copy_only=False) for array in batch.columns], axis=1)
    # runs of values of equal size in all rows, each with the values of unequal size that may come after it
    run = [np.packbits(nulls, axis=1)]
    runs: list[tuple[cells.Bytes, tuple[cells.Bytes, cells.Bytes] | None]] = []
    for array, kind in zip(batch.columns, kinds, strict=True):
        encoded = _encoded(cells.simplified(array, kind), kind)
        if isinstance(encoded, np.ndarray):
            run.append(encoded)
        else:
            counts, sizes, data = encoded
            run.append(cells.as_bytes(counts.astype(">u4")))
            runs.append((np.concatenate(run, axis=1), (sizes, data)))
            run = []
    if run:
        runs.append((np.concatenate(run, axis=1), None))
    if len(runs) == 1 and runs[0][1] is None:
        return runs[0][0].tobytes()
    widths = np.zeros(n_rows, dtype=np.int64)
    for block, variable in runs:
        widths += block.shape[1] + (variable[0] if variable else 0)
    position = np.cumsum(widths) - widths
    rows = np.empty(int(widths.sum()), dtype=np.uint8)
    for block, variable in runs:
        rows[position[:, None] + np.arange(block.shape[1])] = block
        position += block.shape[1]
        if variable:
            sizes, data = variable
            offsets = np.cumsum(sizes) - sizes
            rows[np.repeat(position - offsets, sizes) + np.arange(len(data))] = data
            position += sizes
    return rows.tobytes()


def _encoded(array: pa.Array, kind: VotableType) -> "cells.Bytes | tuple[np.ndarray, np.ndarray, cells.Bytes]":
    """Return a column's bytes: shape (n, size), or counts and sizes of shape (n,) and all bytes in a row."""
    if kind.datatype == "boolean":
        values = np.where(array.fill_null(False).to_numpy(zero_copy_only=False), ord("T"), ord("F"))
        values[array.is_null().to_numpy(zero_copy_only=False)] = ord("?")
        return cells.as_bytes(values.astype(np.uint8))
    if kind.datatype == "unicodeChar":
        counts, data = cells.utf16_bytes(array)
        return counts, counts * 2, data
    if pa.types.is_string(array.type) or pa.types.is_binary(array.type):
        counts, data = cells.text_bytes(array)
        return counts, counts, data
    if not kind.arraysize:
        return cells.as_bytes(cells.numbers(array, kind.datatype))
    if kind.arraysize != "*":
        return cells.as_bytes(cells.list_matrix(array, kind.datatype, int(kind.arraysize)))
    elements = cells.as_bytes(cells.numbers(array.flatten(), kind.datatype))
    counts = cells.list_lengths(array)
    size = np.dtype(cells.BIG_ENDIAN[kind.datatype]).itemsize
    return counts, counts * size, elements.reshape(-1)
