"""What schemas say of tables and columns: Rubin's (lsst-sdm-schemas), ObsCore's, and TAP_SCHEMA's own."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .holdings import ForeignKey, HeldColumn, HeldTable
from .tables import ColumnMetadata, TableSource, memory_table

if TYPE_CHECKING:
    import pyarrow as pa

DP1, DP02 = "dp1", "dp02_dc2_catalogs"
OBSCORE, TAP_SCHEMA = "ivoa", "TAP_SCHEMA"

_RESOURCES = {
    DP1: "resource://lsst.sdm.schemas/dp1.yaml",
    DP02: "resource://lsst.sdm.schemas/dp02_dc2.yaml",
    OBSCORE: "resource://lsst.sdm.schemas/dp02_obscore.yaml",
    TAP_SCHEMA: "resource://felis/config/tap_schema/tap_schema_std.yaml",
}


@dataclass(frozen=True, slots=True)
class KnownTable:
    """A table of a schema.

    Parameters
    ----------
    name
        Without its schema.
    description
        What its rows are.
    columns
        By name in lower case, in order; datatypes are Arrow's.
    """

    name: str
    description: str
    columns: Mapping[str, HeldColumn]

    def describe(self, source: TableSource) -> HeldTable:
        """Describe a table by what is known; what a schema calls indexed is so in Rubin's database, not here."""
        columns = []
        for name, column in source.columns.items():
            known = self.columns.get(name)
            columns.append(HeldColumn(column) if known is None else replace(known, metadata=column))
        return HeldTable(source, self.description, tuple(columns))

    def fill(self, table: str, rows: Mapping[str, Any]) -> HeldTable:
        """Make the table in memory.

        Parameters
        ----------
        table
            Schema and name under which it is queried.
        rows
            Values by column; all columns, of one length.
        """
        import pyarrow as pa

        held = list(self.columns.values())
        types = {column.metadata.name: _arrow_type(column.metadata.datatype) for column in held}
        data = pa.table({name: pa.array(rows[name], kind) for name, kind in types.items()})
        ra, dec = ("s_ra", "s_dec") if "s_ra" in types else (None, None)
        return self.describe(memory_table(table, data, ra, dec, [column.metadata for column in held]))


@dataclass(frozen=True, slots=True)
class KnownSchema:
    """A schema; ``keys`` name tables without the schema."""

    name: str
    description: str
    tables: Mapping[str, KnownTable]
    keys: tuple[ForeignKey, ...]


@cache
def known_schema(name: str) -> KnownSchema:
    """Read a schema: `DP1`, `DP02`, `OBSCORE` or `TAP_SCHEMA`."""
    import yaml
    from felis.datamodel import Schema
    from lsst.resources import ResourcePath

    # felis reads them by the loader in Python alone, which takes ten times as long
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    path = ResourcePath(_RESOURCES[name])
    document = yaml.load(path.read(), loader)  # noqa: S506 - a safe one
    schema = Schema.model_validate(document, context={"id_generation": True, "resource_path": path})
    tables = {table.name: _known_table(table, name == TAP_SCHEMA) for table in schema.tables}
    keys = tuple(
        ForeignKey(
            _parts(constraint.columns[0])[0],
            _parts(constraint.referenced_columns[0])[0],
            tuple(
                (_parts(here)[1], _parts(there)[1])
                for here, there in zip(constraint.columns, constraint.referenced_columns, strict=True)
            ),
            constraint.description or "",
        )
        for table in schema.tables
        for constraint in table.constraints
        if hasattr(constraint, "referenced_columns")
    )
    return KnownSchema(name, schema.description or "", MappingProxyType(tables), keys)


def _known_table(table: Any, is_standard: bool) -> KnownTable:
    columns = {column.name.lower(): _known_column(column, is_standard) for column in table.columns}
    return KnownTable(table.name, table.description or "", MappingProxyType(columns))


def _known_column(column: Any, is_standard: bool) -> HeldColumn:
    kind = str(getattr(column.datatype, "value", column.datatype))
    metadata = ColumnMetadata(
        column.name,
        _ARROW_NAMES.get(kind, "string"),
        unit=str(column.ivoa_unit or column.fits_tunit or ""),
        ucd=column.ivoa_ucd or "",
        utype=column.votable_utype or "",
        description=column.description or "",
        xtype=column.votable_xtype if column.votable_xtype in _XTYPES else "",
    )
    return HeldColumn(metadata, principal=bool(column.tap_principal), standard=is_standard or bool(column.tap_std))


_ARROW_NAMES = {
    "boolean": "bool",
    "byte": "int16",
    "short": "int16",
    "int": "int32",
    "long": "int64",
    "float": "float",
    "double": "double",
    "timestamp": "timestamp[us]",
}
"""By felis' names of types; texts of all kinds are strings."""

_XTYPES = {"timestamp", "point", "circle", "polygon"}
"""Those of DALI; felis has others for the types of databases."""


def _arrow_type(name: str) -> "pa.DataType":
    import pyarrow as pa

    return {"int16": pa.int16(), "int32": pa.int32(), "int64": pa.int64(), "double": pa.float64()}.get(
        name, pa.string()
    )


def _parts(reference: str) -> tuple[str, str]:
    """Split felis' name of a column, as "#Object.objectId"."""
    table, _, column = reference.removeprefix("#").partition(".")
    return table, column
