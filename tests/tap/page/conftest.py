"""A service of a few tables in memory, some of whose names and values would be markup if they were let."""

import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from starlette.applications import Starlette

from forcedphot.tap.engine import Engine, Limits
from forcedphot.tap.holdings import Example, HeldColumn, HeldSchema, HeldTable, HoldingsSnapshot
from forcedphot.tap.page import page_routes
from forcedphot.tap.tables import ColumnMetadata, TableSource, memory_table

with warnings.catch_warnings():
    # it wants a successor of httpx
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

__all__ = ["TestClient"]

HOSTILE = "<script>alert(1)</script>\"'&{{ 7 * 7 }}<img src=x onerror=alert(2)>"
ROWS = 250


@dataclass
class MemoryHoldings:
    """Holdings that do not change."""

    held: HoldingsSnapshot

    def snapshot(self) -> HoldingsSnapshot:
        return self.held


@dataclass
class Settings:
    """Those that the page looks at."""

    tokens: dict[str, str] = field(default_factory=dict)
    sync_limits: Limits = field(default_factory=lambda: Limits(seconds=5.0))
    sync_wait_seconds: float = 5.0
    base_url: str | None = None


@dataclass
class ListedJob:
    """What the page looks at of a job."""

    id: str
    phase: str
    parameters: list[tuple[str, str]]
    error: str = ""
    created: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class Jobs:
    """Jobs by owner."""

    jobs: dict[str | None, list[ListedJob]] = field(default_factory=dict)

    def listed(self, owner: str | None) -> list[ListedJob]:
        return self.jobs.get(owner, [])


@pytest.fixture(scope="session")
def holdings() -> MemoryHoldings:
    """Return an ordinary table and a hostile one, both of memory."""
    rng = np.random.default_rng(5)
    objects = pa.table(
        {
            "objectId": 611254385447534870 + np.arange(ROWS),
            "coord_ra": (359.9 + rng.uniform(0, 0.2, ROWS)) % 360,
            "coord_dec": -28.1 + rng.uniform(-0.1, 0.1, ROWS),
            "r_psfMag": np.where(np.arange(ROWS) % 5 == 0, np.nan, rng.normal(20, 1, ROWS)),
            "band": np.array(list("ugrizy"))[np.arange(ROWS) % 6],
        }
    )
    metadata = [
        ColumnMetadata("objectId", ucd="meta.id;meta.main", description="Unique number"),
        ColumnMetadata("coord_ra", unit="deg", ucd="pos.eq.ra;meta.main", description="Right ascension"),
        ColumnMetadata("coord_dec", unit="deg", ucd="pos.eq.dec;meta.main"),
        ColumnMetadata("r_psfMag", unit="mag(AB)", ucd="phot.mag", description="Magnitude in r"),
    ]
    hostile = pa.table(
        {HOSTILE: [1.0, 2.0], "$\\frac{": [1e308, -1e308], "text": [HOSTILE, "javascript:alert(3)"]}
    )
    described = [ColumnMetadata(HOSTILE, unit=HOSTILE, description=HOSTILE)]
    tables = [
        _held(memory_table("dp1.Object", objects, "coord_ra", "coord_dec", metadata), "Objects of the coadds."),
        _held(memory_table("dp1.Hostile", hostile, metadata=described), HOSTILE),
    ]
    examples = [
        Example("All objects", "Every one of them.", "SELECT * FROM dp1.Object"),
        Example(HOSTILE, HOSTILE, f"SELECT '{HOSTILE}'"),
    ]
    schemas = (HeldSchema("dp1", "Data Preview 1", tuple(tables)), HeldSchema(HOSTILE, HOSTILE, ()))
    engine = Engine([table.source for table in tables], Limits(seconds=5.0))
    return MemoryHoldings(HoldingsSnapshot(schemas, (), examples, engine))


def _held(source: TableSource, description: str) -> HeldTable:
    return HeldTable(source, description, tuple(HeldColumn(column) for column in source.columns.values()))


def make_app(holdings: MemoryHoldings, settings: Settings | None = None, jobs: Jobs | None = None) -> Starlette:
    """Return an application of the page alone."""
    app = Starlette(routes=page_routes())
    app.state.holdings, app.state.settings, app.state.jobs = holdings, settings or Settings(), jobs or Jobs()
    return app
