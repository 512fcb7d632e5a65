"""The field of the benchmark of TAP: its table, places in it, and circles."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from forcedphot.tap.sky_index import write_indexed
from forcedphot.tap.tables import TableSource, parquet_table

RA, DEC, SIDE = 53.0, -28.0, 10.0
"""Middle and side of the field, degrees: as dense as Rubin's previews, 100,000 rows per square degree."""


def make_table(folder: Path, rows: int) -> TableSource:
    """Make the objects, ordered on the sky."""
    rng = np.random.default_rng(1)
    low, high = (np.sin(np.radians(DEC + side * SIDE / 2)) for side in (-1, 1))
    width = SIDE / np.cos(np.radians(DEC))
    table = pa.table(
        {
            "objectId": np.arange(rows),
            "ra": RA + rng.uniform(-width / 2, width / 2, rows),
            "dec": np.degrees(np.arcsin(rng.uniform(low, high, rows))),
            "r_psfFlux": rng.lognormal(6, 2, rows),
            "r_psfFluxErr": rng.uniform(1, 5, rows).astype(np.float32),
            "patch": rng.integers(0, 100, rows).astype(np.int16),
        }
    )
    plain = folder / "plain.parquet"
    pq.write_table(table, plain)
    write_indexed(plain, _file(folder), "ra", "dec")
    plain.unlink()
    return open_table(folder)


def open_table(folder: Path) -> TableSource:
    """Return the table that has been made in a folder."""
    return parquet_table("dp1.Object", [_file(folder)], "ra", "dec")


def _file(folder: Path) -> Path:
    return folder / "objects.parquet"


def centres(count: int, seed: int) -> list[tuple[float, float]]:
    """Draw positions in the field, away from its rim."""
    rng = np.random.default_rng(seed)
    offsets = rng.uniform(-SIDE / 2 + 1.1, SIDE / 2 - 1.1, (count, 2))
    return [(float(RA + ra), float(DEC + dec)) for ra, dec in offsets]


def cone(ra: float, dec: float, radius: float) -> str:
    """Write a cone search in ADQL."""
    circle = f"CIRCLE('ICRS', {ra!r}, {dec!r}, {radius!r})"
    return (
        "SELECT objectId, ra, dec, r_psfFlux FROM dp1.Object "  # noqa: S608
        f"WHERE CONTAINS(POINT('ICRS', ra, dec), {circle}) = 1"
    )
