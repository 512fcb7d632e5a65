"""A service over a few tables in memory."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from starlette.applications import Starlette

from forcedphot.tap.engine import Engine, Limits
from forcedphot.tap.holdings import Example, ForeignKey, HeldColumn, HeldSchema, HeldTable, HoldingsSnapshot
from forcedphot.tap.service import ServiceSettings, create_app
from forcedphot.tap.tables import ColumnMetadata, TableSource, memory_table
from forcedphot.tap.tap_schema import with_tap_schema

with warnings.catch_warnings():
    # it wants a successor of httpx
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient as TestClient

N_ROWS = 5000
BASE = "http://127.0.0.1"
FOREVER = (
    "SELECT COUNT(*) FROM dp1.Object a, dp1.Object b, dp1.Object c "
    "WHERE SIN(a.coord_ra * b.coord_ra + c.coord_ra) > 2"
)
"""A query that would run for hours."""


class MemoryHoldings:
    """Tables in memory that stay as they are."""

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        objects = pa.table(
            {
                "objectId": np.arange(N_ROWS),
                "coord_ra": rng.uniform(53, 54, N_ROWS),
                "coord_dec": rng.uniform(-28, -27, N_ROWS),
                "g_psfFlux": np.where(np.arange(N_ROWS) % 7 == 0, np.nan, rng.uniform(1, 1e4, N_ROWS)),
                "band": np.array(list("ugrizy"))[np.arange(N_ROWS) % 6],
            }
        )
        metadata = [
            ColumnMetadata("objectId", ucd="meta.id;src;meta.main", description="Unique id"),
            ColumnMetadata("coord_ra", unit="deg", ucd="pos.eq.ra;meta.main"),
            ColumnMetadata("coord_dec", unit="deg", ucd="pos.eq.dec;meta.main"),
            ColumnMetadata("g_psfFlux", unit="nJy", ucd="phot.flux", description="Flux of a PSF & more"),
        ]
        visits = pa.table({"visit": [1, 2, 3], "objectId": [0, 1, 2]})
        sources = [
            memory_table("dp1.Object", objects, "coord_ra", "coord_dec", metadata),
            memory_table("dp1.Visit", visits),
        ]
        schema = HeldSchema("dp1", "A few tables", tuple(_held(source) for source in sources))
        keys = [ForeignKey("dp1.Visit", "dp1.Object", (("objectId", "objectId"),), "the object of a visit")]
        schemas, all_keys = with_tap_schema([schema], keys)
        engine = Engine(table.source for schema in schemas for table in schema.tables)
        examples = [Example("All & more", "What there is", "SELECT TOP 10 * FROM dp1.Object WHERE g_psfFlux < 10")]
        self._snapshot = HoldingsSnapshot(schemas, all_keys, examples, engine)

    def snapshot(self) -> HoldingsSnapshot:
        return self._snapshot


def _held(source: TableSource) -> HeldTable:
    columns = tuple(HeldColumn(column, principal=True) for column in source.columns.values())
    return HeldTable(source, f"The table {source.name}", columns)


@pytest.fixture(scope="session")
def holdings() -> MemoryHoldings:
    return MemoryHoldings()


@pytest.fixture
def make_app(holdings: MemoryHoldings, tmp_path: Path) -> Callable[..., Starlette]:
    """Make a service; all of one test have the same folder."""

    def make(**settings: object) -> Starlette:
        few = {"sync_limits": Limits(seconds=20.0, memory_mib=512, rows=20_000, upload_rows=2000)}
        return create_app(holdings, ServiceSettings(tmp_path / "data", **{**few, **settings}))  # type: ignore[arg-type]

    return make


@pytest.fixture
def serve(make_app: Callable[..., Starlette]) -> Callable[..., contextlib.AbstractContextManager[TestClient]]:
    """Return a client of a service that runs in ``with``."""

    @contextlib.contextmanager
    def run(**settings: object) -> Iterator[TestClient]:
        with TestClient(make_app(**settings), BASE, follow_redirects=False) as client:
            yield client

    return run


@pytest.fixture
def client(serve: Callable[..., contextlib.AbstractContextManager[TestClient]]) -> Iterator[TestClient]:
    with serve() as client:
        yield client
