"""Footprints as the HDUs of an afw archive: the index, and a table for each class, part and schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...catalog.footprint import Footprint
from ...catalog.schema import Columns, Field, Schema
from ...errors import OutputError
from .encode import Cards, encode_table
from .footprints import HEAVY_CLASSES

_INDEX = Schema(
    [
        Field(
            "id", "int32", "Archive ID of the persistable object that owns the records pointed at by this entry"
        ),
        Field(
            "cat.archive",
            "int32",
            "index of the catalog this entry points to, from the perspective of the archive",
        ),
        Field(
            "cat.persistable",
            "int32",
            "index of the catalog this entry points to, from the perspective of the Persistable",
        ),
        Field("row0", "int32", "first row used by the persistable object in this catalog"),
        Field("nrows", "int32", "number of rows used by the persistable object in this catalog"),
        Field("name", "str", "unique name for the persistable object's class", size=64),
        Field("module", "str", "Python module that should be imported to register the object's factory", size=64),
    ]
)
_SPAN_ID = Schema([Field("id", "int32", "id of the SpanSet catalog")])
_SPANS = Schema(
    [
        Field("y", "int32", "The row of the span", "pixel"),
        Field("x0", "int32", "First column of span (inclusive)", "pixel"),
        Field("x1", "int32", "Second column of span (inclusive)", "pixel"),
    ]
)
_NUMBER_COMMENT = "# of this catalog in the archive"


@dataclass
class _ArchiveTable:
    """Rows of objects of one class that have the same schema."""

    class_name: str
    schema: Schema
    parts: list[Columns] = field(default_factory=list)
    n_rows: int = 0


class _ArchiveWriter:
    """An archive while it is put together."""

    def __init__(self) -> None:
        self._tables: list[_ArchiveTable] = []
        self._index: list[tuple[int, int, int, int, int, str, str]] = []
        self._n_objects = 0

    def add(self, footprint: Footprint) -> int:
        """Add a footprint and its spans; return the number of the footprint."""
        spans: Columns = {name: footprint.spans[:, i] for i, name in enumerate(_SPANS.getOrderedNames())}
        span_id = self._add_object("SpanSet", "lsst.afw.geom", [(_SPANS, spans)])
        parts = [
            (_SPAN_ID, {"id": np.array([span_id], dtype=np.int32)}),
            (footprint.peaks.schema, footprint.peaks.columns),
        ]
        class_name = "Footprint"
        if footprint.image is not None:
            class_name = _heavy_class(footprint.image)
            values = {
                "image": footprint.image,
                # The pipelines' heavy footprints have all three; those of deblenders often know the image only.
                "mask": _or_zeros(footprint.mask, footprint.image, np.int32),
                "variance": _or_zeros(footprint.variance, footprint.image, np.float32),
            }
            parts.append((_heavy_schema(values), {name: _only_row(array) for name, array in values.items()}))
        return self._add_object(class_name, "lsst.afw.detection", parts)

    def encode(self) -> bytes:
        """Return all HDUs: the index, then the tables."""
        dtypes = [f"U{item.size}" if item.dtype == "str" else item.dtype for item in _INDEX]
        listed: list[tuple[Any, ...]] = list(zip(*self._index, strict=True)) or [()] * len(dtypes)
        columns = {
            item.name: np.array(values, dtype=dtype)
            for item, values, dtype in zip(_INDEX, listed, dtypes, strict=True)
        }
        cards: Cards = [
            ("EXTTYPE", "ARCHIVE_INDEX"),
            ("EXTNAME", "ARCHIVE_INDEX"),
            ("AR_CATN", 0, _NUMBER_COMMENT),
            ("AR_NCAT", len(self._tables) + 1, "# of catalogs in the archive, with the index"),
        ]
        hdus = [encode_table(_INDEX, columns, len(self._index), cards)]
        versions: Counter[str] = Counter()
        for number, table in enumerate(self._tables, 1):
            versions[table.class_name] += 1
            hdus.append(_encode_part(table, number, versions[table.class_name]))
        return b"".join(hdus)

    def _add_object(self, class_name: str, module: str, parts: list[tuple[Schema, Columns]]) -> int:
        """Add an object that has these rows in tables of its class; return its number."""
        self._n_objects += 1
        for order, (schema, columns) in enumerate(parts):
            number, table = self._table(class_name, schema)
            n_rows = len(next(iter(columns.values()), ()))
            self._index.append((self._n_objects, number, order, table.n_rows, n_rows, class_name, module))
            table.parts.append(columns)
            table.n_rows += n_rows
        return self._n_objects

    def _table(self, class_name: str, schema: Schema) -> tuple[int, _ArchiveTable]:
        """Return the table that objects of a class share for a schema, and its number."""
        for number, table in enumerate(self._tables, 1):
            if table.class_name == class_name and table.schema == schema:
                return number, table
        self._tables.append(_ArchiveTable(class_name, schema))
        return len(self._tables), self._tables[-1]


def _encode_part(table: _ArchiveTable, number: int, version: int) -> bytes:
    columns = {item.name: np.concatenate([part[item.name] for part in table.parts]) for item in table.schema}
    cards: Cards = [("EXTTYPE", "ARCHIVE_DATA"), ("AR_CATN", number, _NUMBER_COMMENT)]
    if version > 1:
        cards.append(("EXTVER", version))
    cards += [("AR_NAME", table.class_name, "Class name for objects stored here"), ("EXTNAME", table.class_name)]
    return encode_table(table.schema, columns, table.n_rows, cards)


def _or_zeros(values: npt.NDArray[Any] | None, image: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.zeros(image.shape, dtype=dtype) if values is None else values


def _heavy_class(image: npt.NDArray[Any]) -> str:
    for name, dtype in HEAVY_CLASSES.items():
        if image.dtype == dtype:
            return name
    raise OutputError(f"There are no footprints with pixel values of the type {image.dtype}.")


def _heavy_schema(values: Mapping[str, npt.NDArray[Any]]) -> Schema:
    units = {"image": "count", "mask": "", "variance": "count^2"}
    return Schema(
        Field(name, array.dtype.name, f"{name} pixels for HeavyFootprint", units[name], 0)
        for name, array in values.items()
    )


def _only_row(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    row = np.empty(1, dtype=object)
    row[0] = array
    return row


def encode_footprints(footprints: list[Footprint | None]) -> tuple[bytes, npt.NDArray[np.int32]]:
    """Return the HDUs of an archive, and the number of each footprint in it, 0 for none."""
    archive = _ArchiveWriter()
    ids = [0 if footprint is None else archive.add(footprint) for footprint in footprints]
    return archive.encode(), np.array(ids, dtype=np.int32)
