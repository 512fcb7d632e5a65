"""What a service says of itself: VOSI's availability and tables, DALI's examples."""

from collections.abc import Iterable
from datetime import UTC, datetime

from vo_models.voresource.types import UTCTimestamp
from vo_models.vosi.availability.models import Availability

from ..holdings import Example, ForeignKey, HeldColumn, HeldSchema, HeldTable, HoldingsSnapshot
from ..identifiers import delimited
from ..votable_types import votable_type
from .xml_text import attributes, content

_HEADER = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACES = (
    'xmlns:vosi="http://www.ivoa.net/xml/VOSITables/v1.0" xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)


def availability(since: datetime, available: bool, note: str) -> bytes:
    """Say whether the service works, and since when it runs."""
    up_since = UTCTimestamp.fromisoformat(since.astimezone(UTC).isoformat(timespec="seconds"))
    document = Availability(available=available, up_since=up_since, note=[note] if note else []).to_xml(
        skip_empty=True, encoding="UTF-8", xml_declaration=True
    )
    return document if isinstance(document, bytes) else document.encode()


def tableset(snapshot: HoldingsSnapshot, with_columns: bool) -> bytes:
    """Describe all tables."""
    schemas = "".join(_schema(schema, snapshot.keys, with_columns) for schema in snapshot.schemas)
    return f"{_HEADER}<vosi:tableset {_NAMESPACES}>\n{schemas}</vosi:tableset>\n".encode()


def one_table(snapshot: HoldingsSnapshot, name: str) -> bytes | None:
    """Describe a table; None if there is none of that name."""
    for schema in snapshot.schemas:
        for table in schema.tables:
            if table.source.name.lower() == name.lower():
                inside = _table_content(table, snapshot.keys, with_columns=True)
                return f'{_HEADER}<vosi:table {_NAMESPACES} type="table">\n{inside}</vosi:table>\n'.encode()
    return None


def examples_page(examples: Iterable[Example]) -> bytes:
    """Write a page of queries that people and programs can read."""
    written = "".join(
        f'<div id="example-{number}" resource="#example-{number}" typeof="example">\n'
        f'<h2 property="name">{content(example.name)}</h2>\n'
        f'<p property="description">{content(example.description)}</p>\n'
        f'<pre property="query">{content(example.query)}</pre>\n</div>\n'
        for number, example in enumerate(examples, start=1)
    )
    return (
        f"{_HEADER}<!DOCTYPE html>\n"
        '<html xmlns="http://www.w3.org/1999/xhtml" lang="en">\n<head><title>Examples of queries</title></head>\n'
        f'<body vocab="http://www.ivoa.net/rdf/examples#">\n<h1>Examples of queries</h1>\n{written}</body>\n'
        "</html>\n"
    ).encode()


def _element(name: str, text: str) -> str:
    return f"<{name}>{content(text)}</{name}>\n" if text else ""


def _schema(schema: HeldSchema, keys: Iterable[ForeignKey], with_columns: bool) -> str:
    tables = "".join(
        f'<table type="table">\n{_table_content(table, keys, with_columns)}</table>\n' for table in schema.tables
    )
    described = _element("name", schema.name) + _element("description", schema.description)
    return f"<schema>\n{described}{tables}</schema>\n"


def _table_content(table: HeldTable, keys: Iterable[ForeignKey], with_columns: bool) -> str:
    described = _element("name", table.source.name) + _element("description", table.description)
    if not with_columns:
        return described
    columns = "".join(map(_column, table.columns))
    own = (key for key in keys if key.from_table.lower() == table.source.name.lower())
    return described + columns + "".join(map(_key, own))


def _column(column: HeldColumn) -> str:
    metadata = column.metadata
    kind = votable_type(metadata)
    declared = attributes(arraysize=kind.arraysize, extendedType=kind.xtype)
    parts = [
        _element("name", delimited(metadata.name)),
        _element("description", metadata.description),
        _element("unit", metadata.unit),
        _element("ucd", metadata.ucd),
        _element("utype", metadata.utype),
        f'<dataType xsi:type="vs:VOTableType"{declared}>{kind.datatype}</dataType>\n',
        _element("flag", "indexed" if column.indexed else ""),
        _element("flag", "principal" if column.principal else ""),
    ]
    return f'<column std="{str(column.standard).lower()}">\n{"".join(parts)}</column>\n'


def _key(key: ForeignKey) -> str:
    pairs = "".join(
        f"<fkColumn>{_element('fromColumn', here)}{_element('targetColumn', there)}</fkColumn>\n"
        for here, there in (map(delimited, pair) for pair in key.columns)
    )
    described = _element("description", key.description)
    return f"<foreignKey>\n{_element('targetTable', key.to_table)}{pairs}{described}</foreignKey>\n"
