"""Footprints of an afw catalog: from the archive behind it, or from the columns of version 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...catalog.footprint import PEAK_SCHEMA, Footprint
from ...catalog.source_catalog import SourceCatalog
from ...errors import FileFormatError
from ..afw_fits.archive import Archive, Rows, StoredObject
from .table_hdu import read_table

OLD_COLUMN_CARDS = ("SPANCOL", "PEAKCOL", "HVYPIXCO", "HVYMSKCO", "HVYVARCO")
"""Cards of version 0 with the numbers of the columns that hold footprints."""

HEAVY_CLASSES = {
    "HeavyFootprintF": "float32",
    "HeavyFootprintD": "float64",
    "HeavyFootprintI": "int32",
    "HeavyFootprintU": "uint16",
}
"""Classes of footprints with pixel values, and the type of those."""

_SPAN_FIELDS = ("y", "x0", "x1")
_HEAVY_FIELDS = ("image", "mask", "variance")
_OLD_HEAVY_TYPES = ("float32", "int32", "float32")


def read_archived(hdus: Any, index_hdu: int, ids: npt.NDArray[Any]) -> list[Footprint | None]:
    """Read the footprints of a catalog's rows.

    Parameters
    ----------
    hdus
        The file.
    index_hdu
        Position of the archive's index, from 0.
    ids
        The object of each row; 0 for none.

    Raises
    ------
    FileFormatError
        If an object is missing, or is damaged or no footprint.
    """
    if not ids.any():
        return [None] * len(ids)
    tables = _Tables()
    readers = {"SpanSet": tables.spans, "Footprint": tables.footprint}
    archive = Archive(hdus, index_hdu, readers | dict.fromkeys(HEAVY_CLASSES, tables.footprint))
    return [archive.read(number, Footprint) if number else None for number in ids.tolist()]


class _Tables:
    """The tables of an archive, each read once, as catalogs of all objects that share them."""

    def __init__(self) -> None:
        self._tables: dict[int, SourceCatalog] = {}
        self._n_taken: dict[int, int] = {}

    def rows(self, rows: Rows) -> SourceCatalog:
        """Return the rows of one object.

        Raises
        ------
        FileFormatError
            If objects share rows, which would make much of a small file.
        """
        hdu, part = rows.place
        table = self._tables.get(id(hdu))
        if table is None:
            stored = read_table(hdu)
            table = SourceCatalog(stored.schema, stored.columns, kind="BASE")
            self._tables[id(hdu)] = table
        taken = self._n_taken.get(id(hdu), 0) + len(rows)
        if taken > len(table):
            raise FileFormatError(f"objects share rows of a table of {len(table)}")
        self._n_taken[id(hdu)] = taken
        return table[part]

    def spans(self, stored: StoredObject) -> npt.NDArray[np.int32]:
        """Read a SpanSet: rows of y, x0, x1."""
        return _spans(self.rows(stored.rows()))

    def footprint(self, stored: StoredObject) -> Footprint:
        """Read a footprint: its spans, or the object that has them; its peaks; the values of a heavy one."""
        first = self.rows(stored.rows())
        if "id" in first.schema and len(first) == 1:
            spans = stored.read(int(first["id"][0]), np.ndarray)
        else:
            spans = _spans(first)  # before there were SpanSets
        peaks = self.rows(stored.rows(1))
        if stored.class_name not in HEAVY_CLASSES:
            return Footprint(spans=spans, peaks=peaks)
        values = self.rows(stored.rows(2))
        missing = [name for name in _HEAVY_FIELDS if name not in values.schema]
        if missing or len(values) != 1:
            raise FileFormatError(f"the values of a {stored.class_name} are not one row of {_HEAVY_FIELDS}")
        image, mask, variance = (values[name][0] for name in _HEAVY_FIELDS)
        return _checked(Footprint(spans=spans, peaks=peaks, image=image, mask=mask, variance=variance))


def _spans(table: SourceCatalog) -> npt.NDArray[np.int32]:
    missing = [name for name in _SPAN_FIELDS if name not in table.schema]
    if missing:
        raise FileFormatError(f"a table of spans has no column {missing[0]!r}")
    return _checked_spans(np.stack([table[name] for name in _SPAN_FIELDS], axis=1))


def _checked_spans(spans: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    if spans.dtype != np.int32 or (spans[:, 2].astype(np.int64) < spans[:, 1].astype(np.int64)).any():
        raise FileFormatError("a span ends before it starts")
    return spans


def _checked(footprint: Footprint) -> Footprint:
    area = footprint.area
    for values in (footprint.image, footprint.mask, footprint.variance):
        shape = getattr(values, "shape", None)
        if shape != (area,):
            raise FileFormatError(f"a footprint of {area} pixels has values of shape {shape}")
    return footprint


def read_from_columns(columns: Mapping[str, npt.NDArray[Any]]) -> list[Footprint | None]:
    """Make footprints of the columns of version 0: an array of spans, of peaks and of values for each row.

    Parameters
    ----------
    columns
        Arrays of arrays, by the cards that named them.

    Raises
    ------
    FileFormatError
        If one is missing, or the numbers do not fit together.
    """
    heavy_cards = OLD_COLUMN_CARDS[2:]
    heavy = [columns[card] for card in heavy_cards if card in columns]
    if not {"SPANCOL", "PEAKCOL"} <= set(columns) or len(heavy) not in (0, len(heavy_cards)):
        raise FileFormatError(f"it has only some of the columns of footprints: {', '.join(columns)}")
    footprints: list[Footprint | None] = []
    for row, (spans, peaks) in enumerate(zip(columns["SPANCOL"], columns["PEAKCOL"], strict=True)):
        if len(spans) % 3 or len(peaks) % 3:
            raise FileFormatError(f"the spans or peaks of row {row} are not three numbers each")
        shape = Footprint(
            spans=_checked_spans(np.asarray(spans, dtype=np.int32).reshape(-1, 3)),
            peaks=_old_peaks(np.asarray(peaks, dtype=np.float32).reshape(-1, 3)),
        )
        values = [np.asarray(column[row], dtype) for column, dtype in zip(heavy, _OLD_HEAVY_TYPES, strict=False)]
        if values and len(values[0]):
            image, mask, variance = values
            shape = _checked(
                Footprint(spans=shape.spans, peaks=shape.peaks, image=image, mask=mask, variance=variance)
            )
        footprints.append(shape)
    return footprints


def _old_peaks(peaks: npt.NDArray[np.float32]) -> SourceCatalog:
    columns = PEAK_SCHEMA.allocate(len(peaks))
    columns["id"][:] = np.arange(1, len(peaks) + 1)
    for i, name in enumerate(("f_x", "f_y", "peakValue")):
        columns[name][:] = peaks[:, i]
    finite = np.where(np.isfinite(peaks), np.clip(peaks, -(2.0**30), 2.0**30), 0.0)
    columns["i_x"][:], columns["i_y"][:] = (np.floor(finite[:, i] + 0.5).astype(np.int32) for i in range(2))
    return SourceCatalog(PEAK_SCHEMA, columns, kind="BASE")
