"""SourceCatalog: columns under a schema, indexed by name, row or condition; footprints beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from ..errors import InputTableError
from .footprint import Footprint, FootprintColumn, ShapedFootprints
from .schema import Columns, Field, Schema, SchemaItem
from .tables import to_table

if TYPE_CHECKING:
    from astropy.table import Table

    from ..exposure import PhotoCalib

_SCHEMA_META = "schema"

type Rows = slice | npt.NDArray[np.bool_] | npt.NDArray[np.integer[Any]] | Sequence[int]


class SourceCatalog:
    """A table of sources: one array a field, all of the same length.

    Parameters
    ----------
    schema
        The fields; shared, not copied.
    columns
        An array for each of them: shape (n,), or (n, size) for arrays. Held, not copied.
    metadata
        What else is known of the catalog; a list is what was recorded several times.
    footprints
        One a row, or None where there is none; None for a catalog without.
    kind
        What the pipelines call this sort of catalog: SOURCE, SIMPLE, EXPOSURE or BASE. To read a SOURCE catalog
        they need its first fields to be id, coord_ra, coord_dec (angles) and parent.
    archive
        Objects beside the rows of an EXPOSURE catalog (PSFs, WCSs, ...), as they are stored in a file.

    Raises
    ------
    InputTableError
        If a column is missing, or lengths differ.
    """

    def __init__(
        self,
        schema: Schema,
        columns: Mapping[str, npt.NDArray[Any]],
        metadata: Mapping[str, Any] | None = None,
        *,
        footprints: Iterable[Footprint | None] | None = None,
        kind: str = "SOURCE",
        archive: bytes | None = None,
    ) -> None:
        missing = [field.name for field in schema if field.name not in columns]
        if missing:
            raise InputTableError(f"There are no columns for the fields {', '.join(missing)}.")
        self.schema = schema
        self.columns: Columns = {field.name: columns[field.name] for field in schema}
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.kind = kind
        self.archive = archive
        self.footprints: FootprintColumn | None = (
            footprints
            if footprints is None or isinstance(footprints, ShapedFootprints)
            else _object_array(footprints)
        )
        lengths = {name: len(values) for name, values in self.columns.items()}
        if self.footprints is not None:
            lengths["footprints"] = len(self.footprints)
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{name} has {n}" for name, n in list(lengths.items())[:5])
            raise InputTableError(f"The columns of a catalog differ in length: {shown} rows.")
        self._length = next(iter(lengths.values()), 0)

    @classmethod
    def from_table(cls, table: Table) -> SourceCatalog:
        """Make a catalog of an astropy table, with its units and descriptions; the arrays are shared.

        Masked values become NaN, 0, False or empty. Tables that `asAstropy` made give what they were made from,
        but for footprints; all others become catalogs of the kind BASE.
        """
        from astropy.table import Table

        table = Table(table, copy=False)  # quantities become columns with units
        meta = dict(table.meta)
        stored: Any = {"fields": {}, "aliases": {}, "kind": "BASE"}
        if _is_stored_schema(meta.get(_SCHEMA_META)):
            stored = meta.pop(_SCHEMA_META)
        fields = [_field_of(table[name], name, stored["fields"].get(name, {})) for name in table.colnames]
        columns = {field.name: _values_of(table[field.name]) for field in fields}
        return cls(Schema(fields, stored["aliases"]), columns, meta, kind=str(stored["kind"]))

    @classmethod
    def concatenate(cls, catalogs: Sequence[SourceCatalog]) -> SourceCatalog:
        """Put catalogs of equal schemas one after the other; the metadata are those of the first.

        Raises
        ------
        InputTableError
            If there are none, or their schemas or kinds differ.
        """
        if not catalogs:
            raise InputTableError("There are no catalogs to put together.")
        first = catalogs[0]
        for i, catalog in enumerate(catalogs):
            if catalog.schema != first.schema or catalog.kind != first.kind:
                raise InputTableError(f"Catalog {i} has another schema than the first; select common fields.")
        columns = {name: np.concatenate([catalog.columns[name] for catalog in catalogs]) for name in first.columns}
        footprints = None
        if any(catalog.footprints is not None for catalog in catalogs):
            footprints = [fp for catalog in catalogs for fp in catalog._footprint_list()]
        # Rows refer to stored objects by numbers that mean something in their own archive only.
        archive = first.archive if all(catalog.archive is first.archive for catalog in catalogs) else None
        return cls(first.schema, columns, first.metadata, footprints=footprints, kind=first.kind, archive=archive)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[SourceRecord]:
        return (SourceRecord(self, i) for i in range(len(self)))

    def __repr__(self) -> str:
        return f"<SourceCatalog: {len(self)} rows, {len(self.schema)} fields>"

    def __str__(self) -> str:
        return str(self.asAstropy(aliases=False))

    @overload
    def __getitem__(self, key: str | SchemaItem | Field) -> npt.NDArray[Any]: ...
    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> SourceRecord: ...
    @overload
    def __getitem__(self, key: Rows) -> SourceCatalog: ...
    def __getitem__(self, key: Any) -> npt.NDArray[Any] | SourceRecord | SourceCatalog:
        """Return a column, by name or alias; a row, by number; or a catalog of some rows.

        Slices share the arrays; conditions and lists of row numbers copy.

        Raises
        ------
        UnknownFieldError
            If there is no such field.
        IndexError
            If there is no such row, or a condition is of another length.
        """
        if isinstance(key, str | SchemaItem | Field):
            return self.get(key)
        if isinstance(key, int | np.integer):
            index = int(key) + len(self) if key < 0 else int(key)
            if not 0 <= index < len(self):
                raise IndexError(f"There is no row {key} in a catalog of {len(self)}.")
            return SourceRecord(self, index)
        rows = key if isinstance(key, slice) else _row_selection(key)
        return SourceCatalog(
            self.schema,
            {name: values[rows] for name, values in self.columns.items()},
            self.metadata,
            footprints=None if self.footprints is None else self.footprints[rows],
            kind=self.kind,
            archive=self.archive,
        )

    def __setitem__(self, key: str | SchemaItem | Field, values: npt.ArrayLike) -> None:
        """Fill a column, which keeps its type."""
        self.get(key)[:] = values

    def get(self, key: str | SchemaItem | Field) -> npt.NDArray[Any]:
        """Return a column by name, by alias, or by what `Schema.find` returned; the array itself, not a copy.

        Raises
        ------
        UnknownFieldError
            If there is no such field.
        """
        name = key.key if isinstance(key, SchemaItem) else key.name if isinstance(key, Field) else key
        return self.columns[self.schema.resolve(name)]

    def find(self, value: int, field: str = "id") -> SourceRecord | None:
        """Return the first row with an id, or another value of a field; None if there is none."""
        rows = np.flatnonzero(self.get(field) == value)
        return SourceRecord(self, int(rows[0])) if len(rows) else None

    def extract(self, *globs: str) -> dict[str, npt.NDArray[Any]]:
        """Return the columns whose names or aliases fit patterns, as `Schema.extract` finds them."""
        return {name: self.columns[item.key] for name, item in self.schema.extract(*globs).items()}

    def with_columns(self, fields: Mapping[Field, npt.NDArray[Any]]) -> SourceCatalog:
        """Return a catalog with further columns behind its own, which are shared.

        Raises
        ------
        ConfigurationError
            If there is such a field already.
        """
        schema = self.schema.copy()
        columns = dict(self.columns)
        for field, values in fields.items():
            columns[schema.add(field)] = values
        return SourceCatalog(
            schema, columns, self.metadata, footprints=self.footprints, kind=self.kind, archive=self.archive
        )

    def calibrated(self, photo_calib: PhotoCalib, fields: Sequence[str] | None = None) -> SourceCatalog:
        """Return a catalog with fluxes in nJy and AB magnitudes behind the columns; see `calibrate_catalog`."""
        from .calibration import calibrate_catalog

        return calibrate_catalog(self, photo_calib, fields)

    def copy(self) -> SourceCatalog:
        """Return a catalog with a schema and arrays of its own; footprints, which never change, are shared."""
        return SourceCatalog(
            self.schema.copy(),
            {name: values.copy() for name, values in self.columns.items()},
            self.metadata,
            footprints=self.footprints,
            kind=self.kind,
            archive=self.archive,
        )

    def getSchema(self) -> Schema:
        """Return the schema."""
        return self.schema

    def getMetadata(self) -> dict[str, Any]:
        """Return the metadata."""
        return self.metadata

    def asAstropy(self, *, aliases: bool = True) -> Table:
        """Make an astropy table that shares the arrays.

        Parameters
        ----------
        aliases
            Give every field again under each of its aliases, right after it, as the pipelines do. If not, the
            aliases are in the table's ``meta``, where `from_table` finds them.
        """
        if aliases:
            return to_table(self.schema, self.columns, self.metadata)
        stored = {
            "fields": {field.name: _not_in_a_column(field) for field in self.schema},
            "aliases": dict(self.schema.aliases),
            "kind": self.kind,
        }
        return to_table(Schema(self.schema), self.columns, {**self.metadata, _SCHEMA_META: stored})

    def _footprint_list(self) -> list[Footprint | None]:
        return [None] * len(self) if self.footprints is None else list(self.footprints)


class SourceRecord:
    """One row of a catalog: a view, made when it is asked for."""

    __slots__ = ("catalog", "index")

    def __init__(self, catalog: SourceCatalog, index: int) -> None:
        self.catalog = catalog
        self.index = index

    def __getitem__(self, key: str | SchemaItem | Field) -> Any:
        """Return the value of a field, by name or alias."""
        return self.catalog.get(key)[self.index]

    def get(self, key: str | SchemaItem | Field) -> Any:
        """Return the value of a field, by name or alias."""
        return self[key]

    def getId(self) -> int:
        """Return the id."""
        return int(self["id"])

    def getSchema(self) -> Schema:
        """Return the catalog's schema."""
        return self.catalog.schema

    def getFootprint(self) -> Footprint | None:
        """Return the footprint; None if there is none."""
        return None if self.catalog.footprints is None else self.catalog.footprints[self.index]

    def extract(self, *globs: str) -> dict[str, Any]:
        """Return the values of the fields whose names or aliases fit patterns."""
        return {name: values[self.index] for name, values in self.catalog.extract(*globs).items()}

    def __repr__(self) -> str:
        return f"<SourceRecord: row {self.index} of {self.catalog!r}>"


def _row_selection(key: Any) -> npt.NDArray[Any]:
    rows = np.asarray(key)
    return rows.astype(np.int64) if rows.size == 0 and rows.dtype != np.bool_ else rows


def _object_array(values: Iterable[Any]) -> npt.NDArray[Any]:
    listed = list(values)
    array = np.empty(len(listed), dtype=object)
    array[:] = listed
    return array


def _is_stored_schema(value: Any) -> bool:
    """Tell whether something is what `SourceCatalog.asAstropy` keeps of a schema, and nobody else's."""
    if not (isinstance(value, Mapping) and {"fields", "aliases", "kind"} <= set(value)):
        return False
    fields, aliases = value["fields"], value["aliases"]
    return (
        isinstance(fields, Mapping)
        and isinstance(aliases, Mapping)
        and all(isinstance(extra, Mapping) for extra in fields.values())
        and all(isinstance(name, str) for pair in aliases.items() for name in pair)
    )


def _not_in_a_column(field: Field) -> dict[str, Any]:
    """Return what an astropy column does not say of a field."""
    extra: dict[str, Any] = {"unit": field.unit} if field.unit else {}
    if field.is_angle:
        extra["angle"] = True
    if field.dtype == "str" or field.is_variable:
        extra |= {"size": field.size, "dtype": field.dtype}
    return extra


def _field_of(column: Any, name: str, extra: Mapping[str, Any]) -> Field:
    kind, shape = column.dtype.kind, column.shape[1:]
    size = int(np.prod(shape)) if shape else None
    dtype = column.dtype.newbyteorder("=").name
    if kind in "US":
        dtype, size = "str", column.dtype.itemsize // (4 if kind == "U" else 1)
    elif kind == "O" and "dtype" not in extra:
        raise InputTableError(f"Column '{name}' holds Python objects; a catalog holds numbers and strings.")
    unit = extra.get("unit", str(column.unit or ""))
    return Field(
        name,
        extra.get("dtype", dtype),
        column.description or "",
        unit,
        extra.get("size", size),
        is_angle=bool(extra.get("angle", False)),
    )


def _values_of(column: Any) -> npt.NDArray[Any]:
    values = column
    if np.ma.isMaskedArray(values):
        fill: Any = {"f": np.nan, "U": "", "S": b""}.get(values.dtype.kind, 0)
        values = values.filled(fill)
    values = np.asarray(values)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8")
    if values.ndim > 2:
        values = values.reshape(len(values), -1)
    native: npt.NDArray[Any] = values.astype(values.dtype.newbyteorder("="), copy=False)
    return native
