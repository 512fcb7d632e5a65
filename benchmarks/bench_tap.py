"""The table access service on ten million rows, beside PostgreSQL with pgSphere, and with fifty clients."""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from forcedphot.tap.engine import Engine, Limits
from forcedphot.tap.tables import TableSource
from measuring import keep, print_table
from pgsphere import PgSphere, missing_pgsphere, postgres
from tap_clients import load
from tap_field import DEC, RA, centres, cone, make_table

ROWS = 10_000_000
RADII = {'1"': 1 / 3600, "1'": 1 / 60, "1 deg": 1.0}
REPEATS = {'1"': 100, "1'": 100, "1 deg": 15}
MATCHED = 10_000
SECONDS = 60.0


def timed(function: Callable[[], int]) -> tuple[float, int]:
    """Return the seconds that a call takes, and what it returns."""
    start = time.perf_counter()
    value = function()
    return time.perf_counter() - start, value


def summary(what: str, system: str, runs: list[tuple[float, int]], cpu_seconds: float) -> dict[str, Any]:
    """Summarize runs: milliseconds of each, processor time on average, and rows of all of them."""
    times = np.array([seconds for seconds, _ in runs]) * 1000
    return {
        "query": what,
        "by": system,
        "runs": len(runs),
        "median ms": float(np.median(times)),
        "99th percentile ms": float(np.quantile(times, 0.99)),
        "CPU ms": cpu_seconds * 1000 / len(runs),
        "rows": sum(rows for _, rows in runs),
    }


class Ours:
    """The engine, in this process; results are read as Arrow tables."""

    name = "forcedphot"

    def __init__(self, table: TableSource) -> None:
        self._engine = Engine([table], Limits(seconds=600))

    def cpu_seconds(self) -> float:
        return time.process_time()

    def cone(self, ra: float, dec: float, radius: float) -> int:
        return self._ask(cone(ra, dec, radius))

    def aggregate(self) -> int:
        return self._ask("SELECT patch, COUNT(*), AVG(r_psfFlux) FROM dp1.Object GROUP BY patch")

    def match(self, positions: pa.Table) -> int:
        condition = "CONTAINS(POINT(o.ra, o.dec), CIRCLE(p.ra, p.dec, 1.0 / 3600)) = 1"
        query = f"SELECT p.n, o.objectId FROM TAP_UPLOAD.p AS p JOIN dp1.Object AS o ON {condition}"  # noqa: S608
        return self._ask(query, {"p": positions})

    def _ask(self, query: str, uploads: dict[str, pa.Table] | None = None) -> int:
        with self._engine.query(query, uploads) as result:
            return int(result.read_all().num_rows)


def measure(system: Ours | PgSphere) -> list[dict[str, Any]]:
    """Time all queries; each kind is run once before the clock does."""
    rows = []

    def add(what: str, calls: list[Callable[[], int]]) -> None:
        calls[0]()
        before = system.cpu_seconds()
        runs = [timed(call) for call in calls]
        rows.append(summary(what, system.name, runs, system.cpu_seconds() - before))

    for name, radius in RADII.items():
        add(f"cone of {name}", [partial(system.cone, *at, radius) for at in centres(REPEATS[name], 7)])
    add("count and mean by patch, all rows", [system.aggregate] * 5)
    for name, spread in (("all over the field", 1.0), ("of one square degree", 0.1)):
        positions = np.array([RA, DEC]) + spread * (np.array(centres(MATCHED, 9)) - [RA, DEC])
        upload = pa.table({"n": np.arange(MATCHED), "ra": positions[:, 0], "dec": positions[:, 1]})
        add(f'match of {MATCHED:,} positions within 1", {name}', [partial(system.match, upload)] * 3)
    return rows


def compare(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Set the medians side by side; both must have found the same rows."""
    rows = []
    for own, other in zip(ours, theirs, strict=True):
        assert own["rows"] == other["rows"], (own, other)
        wall = own["median ms"] / other["median ms"]
        # the system counts in steps of ten milliseconds
        cpu = own["CPU ms"] / other["CPU ms"] if other["CPU ms"] > 0.5 else "-"
        rows.append({"query": own["query"], "our median / theirs": wall, "our CPU / theirs": cpu})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of the many clients")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"rows": arguments.rows}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        table = make_table(folder, arguments.rows)
        ours = measure(Ours(table))
        print_table(f"{arguments.rows:,} rows, in this process", ours)
        figures["engine"] = ours
        missing = missing_pgsphere()
        if missing:
            print(f"\nNot compared with pgSphere: {missing}.")
        else:
            (folder / "postgres").mkdir()
            with postgres(folder / "postgres") as database:
                seconds, _ = timed(partial(database.load, table))
                theirs = measure(database)
            shutil.rmtree(folder / "postgres")
            print_table(f"PostgreSQL with pgSphere on the same rows, which took {seconds:,.0f} s to load", theirs)
            figures["pgsphere"] = theirs
            figures["pgsphere_load_seconds"] = seconds
            figures["ratios"] = compare(ours, theirs)
            print_table("Side by side", figures["ratios"])
        figures["load"] = load(folder, arguments.seconds)
        print_table("Many clients over HTTP", [figures["load"]])
    keep("tap", figures)


if __name__ == "__main__":
    main()
