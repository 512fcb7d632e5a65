"""What a service has: schemas, tables, keys and example queries; whatever it finds them in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .engine import Engine
from .tables import ColumnMetadata, TableSource


@dataclass(frozen=True, slots=True)
class HeldColumn:
    """A column as the service describes it.

    Parameters
    ----------
    metadata
        Name, type, unit and so on.
    principal
        Whether a client should show it among the first.
    indexed
        Whether selecting by it is quick.
    standard
        Whether a standard defines it.
    """

    metadata: ColumnMetadata
    principal: bool = False
    indexed: bool = False
    standard: bool = False


@dataclass(frozen=True, slots=True)
class HeldTable:
    """A table as the service describes it; columns in order."""

    source: TableSource
    description: str
    columns: tuple[HeldColumn, ...]


@dataclass(frozen=True, slots=True)
class HeldSchema:
    """A schema and its tables."""

    name: str
    description: str
    tables: tuple[HeldTable, ...]


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Columns of a table that name rows of another: pairs (from, to)."""

    from_table: str
    to_table: str
    columns: tuple[tuple[str, str], ...]
    description: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """A query to begin with."""

    name: str
    description: str
    query: str


@dataclass(frozen=True, slots=True)
class HoldingsSnapshot:
    """What there is at one moment, TAP_SCHEMA included, and the engine that answers queries on it."""

    schemas: tuple[HeldSchema, ...]
    keys: tuple[ForeignKey, ...]
    examples: Sequence[Example]
    engine: Engine


class Holdings(Protocol):
    """Where a service's tables are found."""

    def snapshot(self) -> HoldingsSnapshot:
        """Return what there is now; quick if nothing has changed since the last call. Safe in any thread."""
        ...
