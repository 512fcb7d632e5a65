"""The archive of objects inside an afw FITS file: index, tables, objects by id.

An index row says which rows of which table hold (a part of) an object; integer columns of those
rows refer to other objects by id, 0 for none. Objects of a class and schema share a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import FileFormatError
from ..afw_table.columns import TableBytes, parse_format
from ..fits_file import Hdu

_MAX_DEPTH = 50

type PersistableReader = Callable[[StoredObject], Any]


class UnsupportedObjectError(FileFormatError):
    """A stored object of a class that cannot be read; the rest of the file can."""

    def __init__(self, class_name: str, reason: str = "") -> None:
        super().__init__(f"Objects of the class {class_name} cannot be read{reason}")
        self.class_name = class_name


class _Table:
    """A table whose columns are decoded when they are asked for.

    Parameters
    ----------
    hdu
        The table's HDU.

    Raises
    ------
    FileFormatError
        If it is no table, or damaged.
    """

    def __init__(self, hdu: Hdu) -> None:
        header = hdu.header
        formats = [parse_format(str(header[f"TFORM{i + 1}"])) for i in range(int(header["TFIELDS"]))]
        self.hdu = hdu
        self._bytes = TableBytes(hdu, formats)
        self._is_bits = [form.code == "X" and not form.descriptor for form in formats]
        self._position = {str(header.get(f"TTYPE{i + 1}")): i for i in reversed(range(len(formats)))}
        self._columns: dict[str, npt.NDArray[Any]] = {}

    def __len__(self) -> int:
        return self._bytes.n_rows

    def __contains__(self, name: str) -> bool:
        return name in self._position

    @property
    def names(self) -> list[str]:
        """The names of the columns, in their order."""
        return list(reversed(self._position))

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return a column, shape (rows,) or (rows, elements); bits are truth values.

        Raises
        ------
        FileFormatError
            If there is no such column, or it is damaged.
        """
        if name not in self:
            raise FileFormatError(f"{self.hdu} has no column {name!r}")
        if name not in self._columns:
            i = self._position[name]
            zero = float(self.hdu.header.get(f"TZERO{i + 1}", 0.0))
            self._columns[name] = self._bytes.bits(i).T if self._is_bits[i] else self._bytes.column(i, zero)
        return self._columns[name]


class Rows:
    """Some rows of a table.

    Parameters
    ----------
    table
        The table.
    start, stop
        The rows.
    """

    def __init__(self, table: _Table, start: int, stop: int) -> None:
        self._table = table
        self._range = slice(start, stop)
        self._count = stop - start

    def __len__(self) -> int:
        return self._count

    def __contains__(self, name: str) -> bool:
        return name in self._table

    @property
    def place(self) -> tuple[Hdu, slice]:
        """The table's HDU and which of its rows these are, for readers that take a table as a whole."""
        return self._table.hdu, self._range

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return self._table.names

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return a column, shape (rows,) or (rows, elements).

        Raises
        ------
        FileFormatError
            If there is no such column.
        """
        return self._table.column(name)[self._range]

    def integer(self, name: str) -> int:
        """Return the value of the only row."""
        return int(self._only(name))

    def number(self, name: str) -> float:
        """Return the value of the only row."""
        return float(self._only(name))

    def text(self, name: str) -> str:
        """Return the value of the only row."""
        return _text(self._only(name))

    def texts(self, name: str) -> list[str]:
        """Return the values of a column of texts."""
        return [_text(value) for value in self.column(name)]

    def array(self, name: str) -> npt.NDArray[np.float64]:
        """Return the elements of the only row, in native byte order."""
        return np.array(self._only(name), dtype=np.float64).ravel()

    def bytes(self, name: str) -> bytes:
        """Return the byte array of the only row."""
        return np.asarray(self._only(name), dtype=np.uint8).tobytes()

    def flag(self, name: str) -> bool:
        """Return a flag of the only row: a bit of the column that the header's TFLAGn names.

        Raises
        ------
        FileFormatError
            If there is no such flag.
        """
        header = self._table.hdu.header
        bits = np.atleast_1d(self._only("flags"))
        for number in range(1, len(bits) + 1):
            if header.get(f"TFLAG{number}") == name:
                return bool(bits[number - 1])
        raise FileFormatError(f"{self._table.hdu} has no flag {name!r}")

    def _only(self, name: str) -> Any:
        if len(self) != 1:
            raise FileFormatError(f"{self._table.hdu} has {len(self)} rows where one is expected")
        return self.column(name)[0]


def _text(value: Any) -> str:
    """Make one text of a cell: texts of any length come as arrays of characters, where blanks are empty."""
    if isinstance(value, np.ndarray):
        return "".join(character or " " for character in value.tolist()).strip()
    return str(value).strip()


@dataclass(frozen=True)
class StoredObject:
    """An object as it is stored: its class and rows, one `Rows` for each of its tables."""

    class_name: str
    tables: list[Rows]
    archive: Archive

    def rows(self, table: int = 0) -> Rows:
        """Return the rows in one of the object's own tables.

        Raises
        ------
        FileFormatError
            If the object has no such table.
        """
        if table >= len(self.tables):
            raise FileFormatError(f"a {self.class_name} has {len(self.tables)} tables; one is missing")
        return self.tables[table]

    def read[T](self, object_id: int, expected: type[T]) -> T:
        """Read an object that this one refers to."""
        return self.archive.read(object_id, expected)


@dataclass(frozen=True)
class _IndexRow:
    table: int
    order: int
    start: int
    count: int
    class_name: str


class Archive:
    """The objects of a file, read when they are asked for, each once.

    Parameters
    ----------
    hdus
        The file.
    index_hdu
        Position of the index in the file, from 0.
    readers
        For each class name the function that reads a `StoredObject` into an object.

    Raises
    ------
    FileFormatError
        If the index is no table of the expected columns.
    """

    def __init__(self, hdus: Sequence[Hdu], index_hdu: int, readers: Mapping[str, PersistableReader]) -> None:
        self._hdus = hdus
        self._index_hdu = index_hdu
        self._readers = readers
        self._objects: dict[int, Any] = {}
        self._being_read: list[int] = []
        self._tables: dict[int, _Table] = {}
        self._failed_in: str | None = None
        if not 0 < index_hdu < len(hdus) or not hdus[index_hdu].is_table:
            raise FileFormatError(f"HDU {index_hdu + 1} should be the archive's index, but is no table")
        self._index = self._read_index()

    def __contains__(self, object_id: int) -> bool:
        return object_id in self._index

    @property
    def failed_in(self) -> str:
        """The HDU of the object that could not be read; that of the index if it was not found."""
        return self._failed_in or f"HDU {self._index_hdu + 1}"

    def class_name(self, object_id: int) -> str:
        """Return the class of a stored object.

        Raises
        ------
        FileFormatError
            If there is no such object.
        """
        if object_id not in self._index:
            raise FileFormatError(f"the archive has no object {object_id}")
        return self._index[object_id][0].class_name

    def read[T](self, object_id: int, expected: type[T]) -> T:
        """Read an object.

        Parameters
        ----------
        object_id
            Its id in the archive.
        expected
            What it should be.

        Raises
        ------
        FileFormatError
            If there is no such object, it refers to itself, or is damaged or something else.
        UnsupportedObjectError
            If it, or an object that it refers to, is of a class without a reader.
        """
        if object_id not in self._objects:
            class_name = self.class_name(object_id)
            if object_id in self._being_read or len(self._being_read) >= _MAX_DEPTH:
                raise FileFormatError(f"object {object_id} ({class_name}) refers to itself")
            reader = self._readers.get(class_name)
            if reader is None:
                raise UnsupportedObjectError(class_name)
            self._being_read.append(object_id)
            try:
                self._objects[object_id] = reader(self._stored(object_id))
            except UnsupportedObjectError:
                raise
            except Exception:
                # Of objects within each other the innermost is the damaged one.
                self._failed_in = self._failed_in or self._place(object_id)
                raise
            finally:
                self._being_read.pop()
        found = self._objects[object_id]
        # A protocol such as Field is checked by its methods, as isinstance does.
        if not isinstance(found, expected):
            raise FileFormatError(
                f"object {object_id} is a {type(found).__name__}; a {expected.__name__} is expected"
            )
        return found

    def _read_index(self) -> dict[int, list[_IndexRow]]:
        table = self._table(self._index_hdu)
        names = ("id", "cat.archive", "cat.persistable", "row0", "nrows", "name")
        index: dict[int, list[_IndexRow]] = {}
        for values in zip(*(table.column(name).tolist() for name in names), strict=True):
            object_id, position, order, start, count, class_name = values
            row = _IndexRow(position, order, start, count, class_name.strip())
            index.setdefault(object_id, []).append(row)
        for parts in index.values():
            parts.sort(key=lambda row: row.order)
        return index

    def _stored(self, object_id: int) -> StoredObject:
        parts = self._index[object_id]
        return StoredObject(parts[0].class_name, [self._rows(part) for part in parts], self)

    def _place(self, object_id: int) -> str:
        position = self._index_hdu + self._index[object_id][0].table
        return str(self._hdus[position]) if 0 <= position < len(self._hdus) else f"HDU {position + 1}"

    def _rows(self, part: _IndexRow) -> Rows:
        position = self._index_hdu + part.table
        if part.table < 1 or position >= len(self._hdus) or not self._hdus[position].is_table:
            raise FileFormatError(f"table {part.table} of the archive, for a {part.class_name}, is missing")
        table = self._table(position)
        if part.start < 0 or part.count < 0 or part.start + part.count > len(table):
            raise FileFormatError(
                f"a {part.class_name} has rows {part.start}..{part.start + part.count - 1} "
                f"of a table of {len(table)}"
            )
        return Rows(table, part.start, part.start + part.count)

    def _table(self, position: int) -> _Table:
        if position not in self._tables:
            self._tables[position] = _Table(self._hdus[position])
        return self._tables[position]
