"""Results as FITS: the number of rows and the widths of texts come first, so that rows wait in a file."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.io import fits

from ..errors import QueryError
from ..tables import ColumnMetadata
from . import cells
from .writer import ResultWriter

MOST_COLUMNS = 999
_BLOCK = 2880
_BYTES_AT_ONCE = 8_000_000
_LETTERS = {
    "boolean": "L",
    "unsignedByte": "B",
    "short": "I",
    "int": "J",
    "long": "K",
    "float": "E",
    "double": "D",
    "char": "A",
    "unicodeChar": "A",
}


class Fits(ResultWriter):
    """One binary table; NULL is NaN, an integer named by TNULL, or an empty text."""

    def __init__(
        self, schema: pa.Schema, columns: Sequence[ColumnMetadata], about: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(schema, columns, about)
        if len(columns) > MOST_COLUMNS:
            message = f"FITS holds {MOST_COLUMNS} columns, the result has {len(columns)}; ask for another format"
            raise QueryError(message)
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115
        self._sink: Any = None
        self._n_rows = 0
        self._widths = np.ones(len(columns), dtype=np.int64)
        self._has_null = np.zeros(len(columns), dtype=bool)

    def rows(self, batch: pa.RecordBatch) -> Iterator[bytes]:
        for piece in cells.pieces(batch):
            arrays = []
            for number, (array, kind) in enumerate(zip(piece.columns, self.kinds, strict=True)):
                simple = _printable(cells.simplified(array, kind))
                if pa.types.is_string(simple.type) or pa.types.is_binary(simple.type):
                    lengths = cells.text_bytes(simple)[0]
                    self._widths[number] = max(self._widths[number], lengths.max())
                elif pa.types.is_list(simple.type):
                    self._widths[number] = max(self._widths[number], cells.list_lengths(simple).max())
                self._has_null[number] |= simple.null_count > 0
                arrays.append(simple)
            simple_batch = pa.record_batch(arrays, names=[str(number) for number in range(len(arrays))])
            if self._sink is None:
                self._sink = pa.ipc.new_stream(self._spool, simple_batch.schema)
            self._sink.write_batch(simple_batch)
            self._n_rows += piece.num_rows
        yield from ()

    def end(self, overflow: bool) -> Iterator[bytes]:
        yield self._header(overflow)
        rows_at_once = max(1, _BYTES_AT_ONCE // self._row_bytes())
        n_bytes = 0
        if self._sink is not None:
            self._sink.close()
            self._spool.seek(0)
            for batch in pa.ipc.open_stream(self._spool):
                # one long text makes all rows long
                for start in range(0, batch.num_rows, rows_at_once):
                    piece = batch.slice(start, rows_at_once)
                    columns = [self._encoded(array, number) for number, array in enumerate(piece.columns)]
                    data = np.concatenate(columns, axis=1).tobytes()
                    n_bytes += len(data)
                    yield data
        yield bytes(-n_bytes % _BLOCK)

    def close(self) -> None:
        self._spool.close()

    def _datatype(self, number: int) -> str:
        datatype = self.kinds[number].datatype
        # all 256 bytes may be values
        return (
            "short"
            if datatype == "unsignedByte" and self._is_single(number) and self._has_null[number]
            else datatype
        )

    def _is_single(self, number: int) -> bool:
        return not self.kinds[number].arraysize

    def _null(self, datatype: str) -> int:
        return int(np.iinfo(np.dtype(cells.BIG_ENDIAN[datatype])).min)

    def _width(self, number: int) -> int:
        size = self.kinds[number].arraysize
        return int(size) if size not in ("", "*") else int(self._widths[number])

    def _row_bytes(self) -> int:
        datatypes = map(self._datatype, range(len(self.columns)))
        sizes = (np.dtype(cells.BIG_ENDIAN.get(datatype, "u1")).itemsize for datatype in datatypes)
        return sum(size * self._width(number) for number, size in enumerate(sizes))

    def _header(self, overflow: bool) -> bytes:
        cards: list[tuple[str, Any]] = []
        for number, column in enumerate(self.columns):
            position, datatype = number + 1, self._datatype(number)
            form = f"{self._width(number)}{_LETTERS[datatype]}"
            cards += [(f"TTYPE{position}", column.name), (f"TFORM{position}", form)]
            if self._has_null[number] and self._is_single(number) and _LETTERS[datatype] in "BIJK":
                cards.append((f"TNULL{position}", self._null(datatype)))
            known = {"TUNIT": column.unit, "TUCD": column.ucd, "TUTYP": column.utype, "TCOMM": column.description}
            cards += [(f"{key}{position}", value) for key, value in known.items() if value]
        header = fits.Header()
        for key, value in (
            ("XTENSION", "BINTABLE"),
            ("BITPIX", 8),
            ("NAXIS", 2),
            ("NAXIS1", self._row_bytes()),
            ("NAXIS2", self._n_rows),
            ("PCOUNT", 0),
            ("GCOUNT", 1),
            ("TFIELDS", len(self.columns)),
            *cards,
            ("OVERFLOW", overflow),
        ):
            header[key] = _ascii(value) if isinstance(value, str) else value
        header.comments["OVERFLOW"] = "whether rows were cut off"
        primary: bytes = fits.PrimaryHDU().header.tostring().encode("ascii")
        return primary + bytes(header.tostring().encode("ascii"))

    def _encoded(self, array: pa.Array, number: int) -> cells.Bytes:
        """Return a column's bytes, shape (n, width)."""
        datatype, width = self._datatype(number), self._width(number)
        if datatype == "boolean":
            values = np.where(array.fill_null(False).to_numpy(zero_copy_only=False), ord("T"), ord("F"))
            values[array.is_null().to_numpy(zero_copy_only=False)] = 0
            return cells.as_bytes(values.astype(np.uint8))
        if pa.types.is_string(array.type) or pa.types.is_binary(array.type):
            lengths, data = cells.text_bytes(array)
            matrix = np.zeros((len(array), width), dtype=np.uint8)
            matrix[np.arange(width) < lengths[:, None]] = data
            return matrix
        if pa.types.is_list(array.type):
            return cells.as_bytes(cells.list_matrix(array, datatype, width))
        is_integer = datatype not in ("float", "double")
        return cells.as_bytes(cells.numbers(array, datatype, self._null(datatype) if is_integer else 0))


def _printable(array: pa.Array) -> pa.Array:
    """Put question marks for what is not ASCII, which is all that FITS has."""
    return pc.replace_substring_regex(array, "[^\\x20-\\x7e]", "?") if pa.types.is_string(array.type) else array


def _ascii(text: str) -> str:
    return "".join(sign if " " <= sign <= "~" else "?" for sign in text)
