"""TAP_SCHEMA: the tables of a service that describe its tables, themselves included."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .holdings import ForeignKey, HeldSchema, HeldTable
from .identifiers import delimited
from .known_schemas import TAP_SCHEMA, known_schema
from .votable_types import votable_type

type _Rows = list[dict[str, Any]]


def with_tap_schema(
    schemas: Sequence[HeldSchema], keys: Sequence[ForeignKey]
) -> tuple[tuple[HeldSchema, ...], tuple[ForeignKey, ...]]:
    """Add TAP_SCHEMA, which describes all of it.

    Parameters
    ----------
    schemas
        All others, in order.
    keys
        Foreign keys of their tables.

    Returns
    -------
    Schemas and keys, with those of TAP_SCHEMA last.
    """
    known = known_schema(TAP_SCHEMA)
    own_keys = [
        replace(key, from_table=f"{TAP_SCHEMA}.{key.from_table}", to_table=f"{TAP_SCHEMA}.{key.to_table}")
        for key in known.keys
    ]
    # what its tables hold is not needed to describe them
    empty = _schema({name: [] for name in known.tables})
    described, all_keys = [*schemas, empty], [*keys, *own_keys]
    rows: dict[str, _Rows] = {
        "schemas": [
            {"schema_name": schema.name, "description": schema.description, "schema_index": number}
            for number, schema in enumerate(described)
        ],
        "tables": _tables(described),
        "columns": [row for schema in described for table in schema.tables for row in _columns(table)],
        "keys": [
            {
                "key_id": f"key_{number}",
                "from_table": key.from_table,
                "target_table": key.to_table,
                "description": key.description,
            }
            for number, key in enumerate(all_keys)
        ],
        "key_columns": [
            {"key_id": f"key_{number}", "from_column": delimited(here), "target_column": delimited(there)}
            for number, key in enumerate(all_keys)
            for here, there in key.columns
        ],
    }
    return (*schemas, _schema(rows)), tuple(all_keys)


def _schema(rows: dict[str, _Rows]) -> HeldSchema:
    known = known_schema(TAP_SCHEMA)
    tables = [
        table.fill(
            f"{TAP_SCHEMA}.{table.name}",
            {
                column.metadata.name: [row.get(column.metadata.name) for row in rows[table.name]]
                for column in table.columns.values()
            },
        )
        for table in known.tables.values()
    ]
    return HeldSchema(TAP_SCHEMA, known.description, tuple(tables))


def _tables(schemas: Sequence[HeldSchema]) -> _Rows:
    return [
        {
            "schema_name": schema.name,
            "table_name": table.source.name,
            "table_type": "table",
            "description": table.description,
            "table_index": 100 * schema_number + number,
        }
        for schema_number, schema in enumerate(schemas)
        for number, table in enumerate(schema.tables)
    ]


def _columns(table: HeldTable) -> _Rows:
    rows = []
    for number, column in enumerate(table.columns):
        metadata = column.metadata
        kind = votable_type(metadata)
        rows.append(
            {
                "table_name": table.source.name,
                "column_name": delimited(metadata.name),
                "utype": metadata.utype or None,
                "ucd": metadata.ucd or None,
                "unit": metadata.unit or None,
                "description": metadata.description or None,
                "datatype": kind.datatype,
                "arraysize": kind.arraysize or None,
                "xtype": kind.xtype or None,
                "size": int(kind.arraysize) if kind.arraysize.isdecimal() else None,
                "principal": int(column.principal),
                "indexed": int(column.indexed),
                "std": int(column.standard),
                "column_index": number,
            }
        )
    return rows
