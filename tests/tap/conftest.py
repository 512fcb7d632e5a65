"""Tables for queries: positions all over the sky, poles and RA 0 among them, with and without an index."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forcedphot.tap.engine import Engine
from forcedphot.tap.sky_index import write_indexed
from forcedphot.tap.tables import ColumnMetadata, TableSource, parquet_table


def positions(count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Make positions, degrees: all over the sky, and dense where coordinates are odd."""
    rng = np.random.default_rng(7)
    everywhere = rng.uniform(0, 360, count), np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    north = rng.uniform(0, 360, count), 90 - 3 * np.sqrt(rng.uniform(0, 1, count))
    south = rng.uniform(0, 360, count), -90 + 3 * np.sqrt(rng.uniform(0, 1, count))
    wrap = rng.uniform(-3, 3, count) % 360, rng.uniform(-3, 3, count)
    ra, dec = np.concatenate([everywhere, north, south, wrap], axis=1)
    return np.r_[ra, 0.0, 180.0, 12.0, 40.0], np.r_[dec, 90.0, -90.0, 0.0, 0.0]


@pytest.fixture(scope="session")
def sky() -> pa.Table:
    """The rows of the tables sky.plain and sky.indexed."""
    ra, dec = positions()
    number = np.arange(len(ra))
    flux = np.where(number % 10 == 0, np.nan, number * 0.5).astype(np.float32)
    return pa.table(
        {"id": number, "ra": ra, "dec": dec, "flux": flux, "band": np.array(list("ugrizy"))[number % 6]}
    )


@pytest.fixture(scope="session")
def sky_tables(sky: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> list[TableSource]:
    folder = tmp_path_factory.mktemp("sky")
    files: dict[str, list[Path]] = {"plain": [], "indexed": []}
    for part, start in enumerate((0, 9000)):
        plain, indexed = folder / f"plain_{part}.parquet", folder / f"it's indexed {part}.parquet"
        pq.write_table(sky.slice(start, 9000), plain, row_group_size=1000)
        write_indexed(plain, indexed, "ra", "dec")
        files["plain"].append(plain)
        files["indexed"].append(indexed)
    metadata = [
        ColumnMetadata("ra", unit="deg", ucd="pos.eq.ra;meta.main", description="Right ascension"),
        ColumnMetadata("flux", unit="nJy", ucd="phot.flux"),
    ]
    return [parquet_table(f"sky.{name}", paths, "ra", "dec", metadata) for name, paths in files.items()]


@pytest.fixture(scope="session")
def engine(sky_tables: list[TableSource]) -> Engine:
    return Engine(sky_tables)


def ask(engine: Engine, text: str, **further: object) -> list[tuple[object, ...]]:
    """Return the rows of a query's result."""
    with engine.query(text, **further) as result:  # type: ignore[arg-type]
        table = result.read_all()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))
