"""Tables that come with a query: VOTable, looked through for what could harm before astropy reads it."""

import io
import math
import threading
import warnings
from typing import Any
from xml.parsers import expat

import numpy as np
import pyarrow as pa
from astropy.io.votable import parse
from astropy.io.votable.exceptions import W46, W49, W51

from .errors import ServiceError

_MOST_COLUMNS = 500
_MOST_BYTES_PER_VALUE = 65_536
_MOST_BYTES = 512 * 1024 * 1024
_DEEPEST = 20
_BYTES = {"short": 2, "int": 4, "long": 8, "float": 4, "double": 8, "floatComplex": 8, "doubleComplex": 16}
_INTEGERS = frozenset({"unsignedByte", "short", "int", "long"})
# warnings are switched off for the whole process
_lock = threading.Lock()


def read_upload(name: str, document: bytes, most_rows: int) -> pa.Table:
    """Read a table.

    Parameters
    ----------
    name
        As the query knows it.
    document
        VOTable.
    most_rows
        It may have.

    Raises
    ------
    ServiceError
        If it cannot be used.
    """
    try:
        _Inspection(most_rows).inspect(document)
        with _lock, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", W49)
            for changes_values in (W46, W51):
                warnings.simplefilter("error", changes_values)
            table = next(parse(io.BytesIO(document), verify="warn").iter_tables(), None)
            if table is None:
                raise ServiceError("there is no TABLE in it")
            if caught and any(field.datatype in _INTEGERS and field.values.null is None for field in table.fields):
                raise ServiceError("an integer is empty, which is NULL only from version 1.3 of VOTable on")
            if len(table.array) > most_rows:
                raise ServiceError(f"it has more than {most_rows} rows", 413)
            arrays = [_column(table.array[field.ID], field) for field in table.fields]
            fields = [_field(field, array) for field, array in zip(table.fields, arrays, strict=True)]
        names = [field.name.lower() for field in fields]
        if len(set(names)) != len(names):
            raise ServiceError("two columns have one name; names must differ by more than case")
        if not names:
            raise ServiceError("it has no columns")
        return pa.table(arrays, schema=pa.schema(fields))
    except ServiceError as error:
        raise ServiceError(f"the upload {name} cannot be used: {error}", error.status) from None
    except Exception as error:  # noqa: BLE001 - astropy raises whatever a damaged document leads to
        message = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ServiceError(f"the upload {name} is no VOTable that can be read: {message}") from None


class _Inspection:
    """Looks through a document, and refuses what reaches out of it or grows when it is read."""

    def __init__(self, most_rows: int) -> None:
        self._most_rows = most_rows
        self._depth = 0
        self._rows = 0
        self._bytes_per_row = 0
        self._columns = 0
        self._wants_rows = False

    def inspect(self, document: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = self._doctype
        try:
            parser.Parse(document, True)
        except expat.ExpatError as error:
            raise ServiceError(f"it is no XML: {error}") from None

    def _doctype(self, *_: Any) -> None:
        raise ServiceError("a document type declaration is not allowed")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ServiceError(f"its elements are nested more than {_DEEPEST} deep")
        tag = name.rpartition(" ")[2]
        if self._wants_rows and tag not in ("TABLEDATA", "BINARY", "BINARY2"):
            raise ServiceError(f"its data are {tag[:30]}; expected TABLEDATA, BINARY or BINARY2")
        # astropy makes the rows that TABLE declares, of whatever is in memory, unless there are data to fill them
        self._wants_rows = tag == "DATA"
        tag = tag.upper()
        if tag == "TR":
            self._count(self._rows + 1)
        elif tag == "TABLE":
            self._rows = self._bytes_per_row = self._columns = 0
            rows = attributes.get("nrows", "0").strip()
            if not rows.isdecimal() or len(rows) > 12:
                raise ServiceError(f"nrows is {rows[:30]!r}, which is no number of rows")
            self._count(int(rows), keep=False)
        elif tag in ("FIELD", "PARAM"):
            self._size(attributes)
        elif tag == "STREAM":
            if "href" in attributes:
                raise ServiceError("its data are elsewhere (STREAM has a href); this service fetches nothing")
            if attributes.get("encoding", "base64").lower() != "base64":
                raise ServiceError("its STREAM is not encoded as base64")

    def _end(self, _: str) -> None:
        self._depth -= 1
        if self._wants_rows:
            raise ServiceError("its DATA is empty; expected TABLEDATA, BINARY or BINARY2")

    def _count(self, rows: int, keep: bool = True) -> None:
        if rows > self._most_rows:
            raise ServiceError(f"it has more than {self._most_rows} rows", 413)
        if rows * self._bytes_per_row > _MOST_BYTES:
            raise ServiceError("its values need too much memory", 413)
        if keep:
            self._rows = rows

    def _size(self, attributes: dict[str, str]) -> None:
        self._columns += 1
        if self._columns > _MOST_COLUMNS:
            raise ServiceError(f"it has more than {_MOST_COLUMNS} columns")
        sizes = attributes.get("arraysize", "1").strip().removesuffix("*").removesuffix("x").split("x")
        if not all(size.isdecimal() and len(size) < 10 for size in sizes if size):
            raise ServiceError(f"arraysize {attributes['arraysize'][:30]!r} has no meaning")
        n_bytes = _BYTES.get(attributes.get("datatype", ""), 4) * math.prod(int(size) for size in sizes if size)
        if n_bytes > _MOST_BYTES_PER_VALUE:
            raise ServiceError(f"values of {n_bytes} bytes are too large")
        self._bytes_per_row += n_bytes


def _field(field: Any, array: pa.Array) -> pa.Field:
    unit = field.unit.to_string() if hasattr(field.unit, "to_string") else str(field.unit or "")
    known = {"unit": unit, "ucd": field.ucd, "utype": field.utype, "xtype": field.xtype}
    metadata = {key: str(value) for key, value in known.items() if value}
    if field.description:
        metadata["description"] = str(field.description)
    return pa.field(field.name or field.ID, array.type, metadata=metadata)


def _column(values: Any, field: Any) -> pa.Array:
    """Return a column; masked values are NULL, arrays become lists."""
    masked = np.ma.asarray(values)
    mask = np.ma.getmaskarray(masked)
    data = masked.data
    if data.dtype.kind == "O":
        return _objects(masked)
    if data.ndim > 1:
        flat = data.reshape(len(data), -1)
        whole = mask.reshape(len(data), -1).all(axis=1)
        return pa.array([None if hidden else row.tolist() for row, hidden in zip(flat, whole, strict=True)])
    if data.dtype.kind == "c":
        raise ServiceError(f"column {field.name} is complex, which ADQL does not know")
    if data.dtype.kind in "US":
        texts = [None if hidden else _text(value) for value, hidden in zip(data, mask, strict=True)]
        return pa.array(texts, pa.string())
    native = data.astype(data.dtype.newbyteorder("="))
    return pa.array(native, mask=mask)


def _objects(masked: Any) -> pa.Array:
    cells = [None if value is np.ma.masked else value for value in masked]
    if any(isinstance(cell, np.ndarray) for cell in cells):
        lists = [
            np.ma.filled(cell.astype(float), np.nan).ravel().tolist() if isinstance(cell, np.ndarray) else None
            for cell in cells
        ]
        return pa.array(lists, pa.list_(pa.float64()))
    return pa.array([None if cell is None else _text(cell) for cell in cells], pa.string())


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
