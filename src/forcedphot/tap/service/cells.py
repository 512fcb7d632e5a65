"""Values of a result's columns as its formats need them: few types, bytes in rows, texts."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import QueryError
from ..votable_types import VotableType

_CELLS_PER_PIECE = 400_000
_BYTES_PER_PIECE = 8_000_000
_ARROW_TYPES = {
    "boolean": "bool_",
    "unsignedByte": "uint8",
    "short": "int16",
    "int": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
}

BIG_ENDIAN = {"unsignedByte": "u1", "short": ">i2", "int": ">i4", "long": ">i8", "float": ">f4", "double": ">f8"}
"""Numpy's names of the numbers, as VOTable and FITS store them."""

Bytes = npt.NDArray[np.uint8]


class Infinities(NamedTuple):
    """How a format writes what is no finite number."""

    nan: str
    positive: str
    negative: str


def pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cut a batch so that the formats' copies of a piece stay small, however wide the table is."""
    by_cells = _CELLS_PER_PIECE // max(1, batch.num_columns)
    by_bytes = _BYTES_PER_PIECE * batch.num_rows // max(1, batch.nbytes)
    rows = max(1, min(by_cells, by_bytes))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def simplified(array: pa.Array, kind: VotableType) -> pa.Array:
    """Return a column in the Arrow type that stands for its VOTable type; dates become texts.

    Raises
    ------
    QueryError
        If a value does not fit, as the largest unsigned integers, and NULL in arrays of integers.
    """
    try:
        if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
            texts = array.cast(pa.timestamp("us"), safe=False).cast(pa.string())
            return pc.replace_substring(texts, " ", "T", max_replacements=1)
        if kind.datatype == "char":
            return pc.replace_substring_regex(_as_text(array), "[^\\x00-\\x7f]", "?")
        if kind.datatype == "unicodeChar":
            return _as_text(array)
        if pa.types.is_nested(array.type):
            lists = array.cast(pa.list_(_arrow_type(kind.datatype)))
            if kind.datatype not in ("float", "double") and lists.flatten().null_count:
                raise QueryError("an array of integers has a NULL in it, which only FORMAT=parquet can tell")
            return lists
        if pa.types.is_large_binary(array.type):
            return array.cast(pa.binary())
        if pa.types.is_binary(array.type):
            return array
        return array.cast(_arrow_type(kind.datatype))
    except pa.ArrowException as error:
        message = f"a value cannot be written as {kind.datatype}: {str(error).splitlines()[0]}; try CAST"
        raise QueryError(message) from None


def _as_text(array: pa.Array) -> pa.Array:
    if pa.types.is_string(array.type):
        return array
    if pa.types.is_nested(array.type):
        return pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())
    return array.cast(pa.string())


def _arrow_type(datatype: str) -> pa.DataType:
    return getattr(pa, _ARROW_TYPES[datatype])()


def numbers(array: pa.Array, datatype: str, null: int = 0) -> npt.NDArray[Any]:
    """Return numbers, shape (n,), most significant byte first; NULL is NaN, or ``null`` for integers."""
    empty = float("nan") if datatype in ("float", "double") else null
    typed = array.cast(_arrow_type(datatype))
    filled = typed.fill_null(empty) if typed.null_count else typed
    values: npt.NDArray[Any] = filled.to_numpy(zero_copy_only=False)
    return values.astype(BIG_ENDIAN[datatype])


def as_bytes(values: npt.NDArray[Any]) -> Bytes:
    """Return the bytes of values, shape (n, bytes of a row)."""
    size = values.dtype.itemsize * math.prod(values.shape[1:])
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), size)


def text_bytes(array: pa.Array) -> tuple[npt.NDArray[np.int64], Bytes]:
    """Return the lengths of texts or binary values in bytes, shape (n,), and all bytes in a row; NULL is empty."""
    filled = array.fill_null(b"" if pa.types.is_binary(array.type) else "") if array.null_count else array
    _, offsets_buffer, data_buffer = filled.buffers()
    if not len(filled):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint8)
    offsets = np.frombuffer(offsets_buffer, dtype=np.int32)[filled.offset : filled.offset + len(filled) + 1]
    data = np.frombuffer(data_buffer, dtype=np.uint8) if data_buffer is not None else np.zeros(0, dtype=np.uint8)
    return np.diff(offsets).astype(np.int64), data[offsets[0] : offsets[-1]]


def utf16_bytes(array: pa.Array) -> tuple[npt.NDArray[np.int64], Bytes]:
    """Return the lengths of texts in UTF-16 units, shape (n,), and all units' bytes."""
    lengths, data = text_bytes(array)
    if not len(data) or data.max() < 128:
        wide = np.zeros((len(data), 2), dtype=np.uint8)
        wide[:, 1] = data
        return lengths, wide.reshape(-1)
    encoded = [(text or "").encode("utf-16-be", "replace") for text in array.to_pylist()]
    return np.array([len(text) // 2 for text in encoded]), np.frombuffer(b"".join(encoded), dtype=np.uint8)


def list_lengths(array: pa.Array) -> npt.NDArray[np.int64]:
    """Return the numbers of elements of lists, shape (n,); NULL has none."""
    lengths: npt.NDArray[np.int32] = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    return lengths.astype(np.int64)


def list_matrix(array: pa.Array, datatype: str, width: int) -> npt.NDArray[Any]:
    """Return lists as rows of equal length, shape (n, width), filled up with NaN, or zeros for integers."""
    lengths = np.minimum(list_lengths(array), width)
    values = numbers(array.flatten(), datatype)
    fill = np.nan if datatype in ("float", "double") else 0
    matrix = np.full((len(array), width), fill, dtype=BIG_ENDIAN[datatype])
    inside = np.arange(width) < lengths[:, None]
    if len(values) == lengths.sum():
        matrix[inside] = values
    else:
        starts = np.cumsum(list_lengths(array)) - list_lengths(array)
        matrix[inside] = values[(starts[:, None] + np.arange(width))[inside]]
    return matrix


def texts(array: pa.Array, infinities: Infinities) -> pa.Array:
    """Return values as texts; lists have spaces between their elements, NULL stays."""
    if pa.types.is_string(array.type):
        return array
    if pa.types.is_binary(array.type):
        values = [None if value is None else " ".join(map(str, value)) for value in array.to_pylist()]
        return pa.array(values, pa.string())
    if pa.types.is_list(array.type):
        elements = texts(array.flatten(), infinities).fill_null(infinities.nan)
        offsets = np.concatenate([[0], np.cumsum(list_lengths(array))]).astype(np.int32)
        joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), elements), " ")
        return pc.if_else(array.is_valid(), joined, None)
    written = array.cast(pa.string())
    if pa.types.is_floating(array.type) and not pc.all(pc.is_finite(array)).as_py():
        for found, wanted in zip(("nan", "inf", "-inf"), infinities, strict=True):
            written = pc.if_else(pc.equal(written, found), wanted, written)
    return written
