"""One table of an afw FITS file: its header as a schema, its columns as arrays."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...catalog.schema import Columns, Field, Schema
from ...errors import FileFormatError
from ..fits_file import Hdu
from .columns import ColumnFormat, TableBytes, parse_format
from .old_versions import OLD_SLOTS, old_aliases, split_compound

_LOG = logging.getLogger(__name__)

CURRENT_VERSION = 3
VERSION_CARD = "AFW_TABLE_VERSION"
TYPE_CARD = "AFW_TYPE"
ARCHIVE_CARD = "AR_HDU"

_DTYPES = {"B": "uint8", "J": "int32", "K": "int64", "E": "float32", "D": "float64", "A": "str"}
_FITS_CARDS = {
    "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "TFIELDS", "THEAP", "CHECKSUM",
    "DATASUM", "LONGSTRN", "COMMENT", "HISTORY", "", "FLAGCOL", "ALIAS", VERSION_CARD, TYPE_CARD, ARCHIVE_CARD,
}  # fmt: skip
_COLUMN_CARDS = {
    "TTYPE", "TFORM", "TDOC", "TUNIT", "TCCLS", "TFLAG", "TFDOC", "TZERO", "TSCAL", "TNULL", "TDISP", "TDIM",
}  # fmt: skip


_EMPTY_COMMENT = "label for field"
"""What CFITSIO writes behind a name without documentation."""


@dataclass(frozen=True, slots=True)
class HeaderItem:
    """What a header says of one field.

    Parameters
    ----------
    name, doc, unit
        Of the field.
    template
        The pipelines' word for how the field is stored: Scalar, Angle, Array, and others in old files.
    column
        The column, from 0; -1 for a flag.
    bit
        The bit of the flag column, from 0; -1 for a column.
    """

    name: str
    doc: str
    unit: str
    template: str
    column: int
    bit: int


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table as it is read.

    Parameters
    ----------
    schema, columns
        Fields and arrays.
    kind
        The AFW_TYPE card: SOURCE, SIMPLE, EXPOSURE, BASE.
    metadata
        The header's other cards; those that stand there several times are lists.
    archive_hdu
        Position of the archive's index in the file, from 0; None if the header names none.
    """

    schema: Schema
    columns: Columns
    kind: str
    metadata: dict[str, Any]
    archive_hdu: int | None


def is_afw_table(header: Any) -> bool:
    """Tell whether a header is of a table that afw wrote."""
    return "TFIELDS" in header and (VERSION_CARD in header or TYPE_CARD in header)


def is_table_card(name: str) -> bool:
    """Tell whether a card describes the table itself, and is no metadata."""
    prefix = name.rstrip("0123456789")
    return name in _FITS_CARDS or (prefix != name and prefix in _COLUMN_CARDS)


def table_version(header: Any) -> int:
    """Return the version of a table; tables of a type but without a version are the oldest."""
    return int(header.get(VERSION_CARD, 0 if TYPE_CARD in header else CURRENT_VERSION))


def read_table(hdu: Hdu) -> StoredTable:
    """Read a table.

    Raises
    ------
    FileFormatError
        If it is no table, or damaged.
    """
    if not hdu.is_table:
        raise FileFormatError("it is no table")
    header = hdu.header.with_comments()
    if str(header.get("XTENSION", "")).strip() != "BINTABLE":
        raise FileFormatError("it is no binary table")
    version = table_version(header)
    formats = [parse_format(str(header[f"TFORM{i + 1}"])) for i in range(int(header["TFIELDS"]))]
    flag_column = int(header.get("FLAGCOL", 0)) - 1
    items = [item for item in _header_items(header, formats) if item.column != flag_column or item.bit >= 0]
    schema = Schema(aliases=_stored_aliases(header, version))
    for alias, target in old_aliases(items, version).items():
        schema.set_alias(alias, target)
    if version == 0:
        items = [replace(item, name=item.name.replace("flags", "flag", 1)) for item in items]
    table = TableBytes(hdu, formats)
    columns: Columns = {}
    flags = _flags(table, formats, flag_column, items)
    for item in items:
        if item.bit >= 0:
            columns[schema.add(Field(item.name, "bool", item.doc))] = flags[item.bit]
            continue
        if not formats[item.column].is_known:
            _LOG.warning("Column %s has a format that catalogs do not have; it is not read.", item.name)
            continue
        values = table.column(item.column, float(header.get(f"TZERO{item.column + 1}", 0.0)))
        for field, part in split_compound(item, values) or [_whole(item, formats[item.column], values)]:
            columns[schema.add(field)] = part
    return StoredTable(schema, columns, _kind(header), _metadata(header), _archive_hdu(header))


def _header_items(header: Any, formats: list[ColumnFormat]) -> list[HeaderItem]:
    """List fields in the order in which the header names them: flags stand between the columns."""
    items = []
    for card in header.cards:
        key, number = card.keyword[:5], card.keyword[5:]
        if key not in ("TTYPE", "TFLAG") or not number.isdecimal():
            continue
        index = int(number) - 1
        is_flag = key == "TFLAG"
        comment = "" if card.comment == _EMPTY_COMMENT else card.comment
        doc = str(header.get(f"{'TFDOC' if is_flag else 'TDOC'}{number}", comment))
        if is_flag:
            items.append(HeaderItem(str(card.value), doc, "", "", -1, index))
        elif not 0 <= index < len(formats):
            raise FileFormatError(f"it has {len(formats)} columns, but a name of column {number}")
        else:
            unit, template = (str(header.get(f"{card_name}{number}", "")) for card_name in ("TUNIT", "TCCLS"))
            items.append(HeaderItem(str(card.value), doc, unit, template, index, -1))
    return items


def _flags(
    table: TableBytes, formats: list[ColumnFormat], column: int, items: list[HeaderItem]
) -> npt.NDArray[np.bool_]:
    """Return all flags, shape (bits, n)."""
    bits = [item.bit for item in items if item.bit >= 0]
    if not bits:
        return np.empty((0, table.n_rows), dtype=np.bool_)
    if not 0 <= column < len(formats) or formats[column].code != "X" or formats[column].descriptor:
        raise FileFormatError(f"its flags should be in column {column + 1}, which is no column of bits")
    if min(bits) < 0 or max(bits) >= formats[column].repeat:
        raise FileFormatError(f"it has {formats[column].repeat} flags, but a name of flag {max(bits) + 1}")
    return table.bits(column)


def _whole(item: HeaderItem, form: ColumnFormat, values: npt.NDArray[Any]) -> tuple[Field, npt.NDArray[Any]]:
    """Return the field of a column that is one field, and its array in the field's shape."""
    if form.code == "A":
        return Field(item.name, "str", item.doc, item.unit, 0 if form.descriptor else form.repeat), values
    if item.template == "Angle" and form.code == "D" and values.ndim == 1:
        if item.unit not in ("", "rad"):
            raise FileFormatError(f"the angle {item.name} is in {item.unit}; angles are in rad")
        return Field(item.name, "float64", item.doc, "rad", is_angle=True), values
    if form.descriptor or form.repeat == 0:
        field = Field(item.name, _DTYPES.get(form.code, "uint16"), item.doc, item.unit, 0)
        return field, values if form.descriptor else field.allocate(len(values))
    size = form.repeat if form.repeat > 1 or item.template == "Array" else None
    field = Field(item.name, values.dtype.name, item.doc, item.unit, size)
    return field, values[:, np.newaxis] if size == 1 else values


def _stored_aliases(header: Any, version: int) -> dict[str, str]:
    aliases = {}
    texts = [str(card.value) for card in header.cards if card.keyword == "ALIAS"]
    for text in texts:
        alias, colon, target = text.partition(":")
        if not colon:
            raise FileFormatError(f"{text!r} is no alias")
        aliases[alias] = target
    if version == 0:
        slots = {slot: header.get(f"{key}_SLOT") for key, slot in OLD_SLOTS.items()}
        aliases |= {slot: str(target) for slot, target in slots.items() if target}
    return aliases


def _kind(header: Any) -> str:
    return str(header.get(TYPE_CARD, "BASE")).strip()


def _archive_hdu(header: Any) -> int | None:
    # The card counts from 1.
    return int(header[ARCHIVE_CARD]) - 1 if ARCHIVE_CARD in header else None


def _metadata(header: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    several: set[str] = set()
    for card in header.cards:
        name = card.keyword
        if is_table_card(name):
            continue
        value = card.value if isinstance(card.value, bool | int | float | str) else None
        if name not in metadata:
            metadata[name] = value
        elif name in several:
            metadata[name].append(value)
        else:
            several.add(name)
            metadata[name] = [metadata[name], value]
    return metadata
