"""Tables and columns as the page lists them, and the search among them."""

from typing import NamedTuple

from ..holdings import HeldColumn, HeldSchema, HeldTable, HoldingsSnapshot

MAX_COLUMNS = 300


class Found(NamedTuple):
    """What a search has found.

    Parameters
    ----------
    tables
        Those whose own name or description has all words, and those with columns that do: with these columns.
    is_cut
        Whether there are more columns.
    """

    tables: list[tuple[HeldTable, list[HeldColumn]]]
    is_cut: bool


def search(snapshot: HoldingsSnapshot, text: str) -> Found:
    """Find tables and columns whose name, unit, UCD or description has all words of a text."""
    words = text.lower().split()
    found: list[tuple[HeldTable, list[HeldColumn]]] = []
    count = 0
    for table in all_tables(snapshot):
        columns = [column for column in table.columns if _has_all(words, *_texts(column))]
        kept = columns[: MAX_COLUMNS - count]
        count += len(columns)
        if kept or _has_all(words, table.source.name, table.description):
            found.append((table, kept))
    return Found(found, count > MAX_COLUMNS)


def all_tables(snapshot: HoldingsSnapshot) -> list[HeldTable]:
    """List the tables of all schemas."""
    schemas: tuple[HeldSchema, ...] = snapshot.schemas
    return [table for schema in schemas for table in schema.tables]


def find_table(snapshot: HoldingsSnapshot, name: str) -> HeldTable | None:
    """Find a table by its name, which may be in any case."""
    return next((table for table in all_tables(snapshot) if table.source.name.lower() == name.lower()), None)


def _texts(column: HeldColumn) -> tuple[str, ...]:
    metadata = column.metadata
    return metadata.name, metadata.unit, metadata.ucd, metadata.description


def _has_all(words: list[str], *texts: str) -> bool:
    text = "\n".join(texts).lower()
    return all(word in text for word in words)
