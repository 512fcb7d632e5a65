"""The table access service on ten million rows, beside PostgreSQL with pgSphere, and with fifty clients."""

import argparse
import asyncio
import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from forcedphot.tap.engine import Engine, Limits
from forcedphot.tap.holdings import HeldColumn, HeldSchema, HeldTable, HoldingsSnapshot
from forcedphot.tap.sky_index import write_indexed
from forcedphot.tap.tables import TableSource, parquet_table
from measuring import keep, print_table

ROWS = 10_000_000
RA, DEC, SIDE = 53.0, -28.0, 10.0
"""Middle and side of the field, degrees: as dense as Rubin's previews, 100,000 rows per square degree."""

RADII = {'1"': 1 / 3600, "1'": 1 / 60, "1 deg": 1.0}
REPEATS = {'1"': 100, "1'": 100, "1 deg": 15}
MATCHED = 10_000
CLIENTS = 50
SECONDS = 60.0
_TOLERANCE = 1e-9
"""By which pgSphere widens circles, radians."""

_POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


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
    plain, indexed = folder / "plain.parquet", folder / "objects.parquet"
    pq.write_table(table, plain)
    write_indexed(plain, indexed, "ra", "dec")
    plain.unlink()
    return parquet_table("dp1.Object", [indexed], "ra", "dec")


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


class PgSphere:
    """A server of its own, on a socket in a folder; results are read as the text that psql writes."""

    name = "PostgreSQL with pgSphere"

    def __init__(self, folder: Path, server: int) -> None:
        self._folder = folder
        self._server = server
        command = ["psql", "-X", "-q", "-At", "-F,", "-v", "ON_ERROR_STOP=1", "-h", str(folder), "-U", "bench"]
        self._psql = subprocess.Popen(
            [*command, "-d", "postgres"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1 << 20
        )

    def ask(self, query: str) -> int:
        """Run statements; return the number of rows that come back."""
        assert self._psql.stdin is not None
        assert self._psql.stdout is not None
        self._psql.stdin.write(f"{query};\n\\echo that is all\n".encode())
        self._psql.stdin.flush()
        for rows, line in enumerate(self._psql.stdout):
            if line == b"that is all\n":
                return rows
        raise RuntimeError(f"psql has ended: {query}")

    def load(self, table: TableSource) -> int:
        """Copy the rows in their order on the sky, and index the positions; return nothing of interest."""
        file = self._folder / "objects.csv"
        rows = pq.read_table(table.files[0], columns=[column.name for column in table.columns.values()])
        pa_csv.write_csv(rows, file, pa_csv.WriteOptions(include_header=False))
        file.chmod(0o644)
        columns = "objectid bigint, ra float8, dec float8, r_psfflux float8, r_psffluxerr float4, patch smallint"
        self.ask(f"CREATE EXTENSION pg_sphere; CREATE UNLOGGED TABLE raw ({columns})")
        self.ask(f"COPY raw FROM '{file}' (FORMAT csv)")
        file.unlink()
        position = "spoint(radians(ra), radians(dec)) AS pos"
        self.ask(f"CREATE UNLOGGED TABLE object AS SELECT *, {position} FROM raw; DROP TABLE raw")  # noqa: S608
        return self.ask("CREATE INDEX ON object USING gist (pos); VACUUM ANALYZE object")

    def cpu_seconds(self) -> float:
        """Return the processor time of the server, of its processes, and of those that have ended."""
        seconds = _ticks(self._server, 4)
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if _stat(int(folder.name))[1] == str(self._server):
                    seconds += _ticks(int(folder.name), 2)
        return seconds / os.sysconf("SC_CLK_TCK")

    def cone(self, ra: float, dec: float, radius: float) -> int:
        circle = f"scircle(spoint(radians({ra!r}), radians({dec!r})), radians({radius!r}) - {_TOLERANCE})"
        return self.ask(f"SELECT objectid, ra, dec, r_psfflux FROM object WHERE pos <@ {circle}")  # noqa: S608

    def aggregate(self) -> int:
        return self.ask("SELECT patch, count(*), avg(r_psfflux) FROM object GROUP BY patch")

    def match(self, positions: pa.Table) -> int:
        file = self._folder / "positions.csv"
        pa_csv.write_csv(positions, file, pa_csv.WriteOptions(include_header=False))
        file.chmod(0o644)
        self.ask(
            f"CREATE TEMP TABLE p (n int, ra float8, dec float8); COPY p FROM '{file}' (FORMAT csv); ANALYZE p"
        )
        circle = f"scircle(spoint(radians(p.ra), radians(p.dec)), radians(1.0 / 3600) - {_TOLERANCE})"
        rows = self.ask(f"SELECT p.n, o.objectid FROM p JOIN object AS o ON o.pos <@ {circle}")  # noqa: S608
        self.ask("DROP TABLE p")
        return rows

    def close(self) -> None:
        assert self._psql.stdin is not None
        self._psql.stdin.close()
        self._psql.wait(timeout=30)


def _stat(process: int) -> list[str]:
    """Return what the system says of a process, from its state on; its parent is the second (Linux)."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def _ticks(process: int, fields: int) -> int:
    return sum(int(value) for value in _stat(process)[11 : 11 + fields])


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[PgSphere]:
    """Run a server on a socket in a folder; it does not run as root, so that it gets a user if we are."""
    binaries, data = _POSTGRES[-1], folder / "data"
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    # 'trust' lets in who can reach the socket, which is in a folder of ours
    command = [str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "bench", "-E", "UTF8", "--no-sync"]
    subprocess.run(command, user=user, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(folder),
        "shared_buffers": "2GB",
        "work_mem": "256MB",
        "maintenance_work_mem": "1GB",
        "max_wal_size": "8GB",
        "max_parallel_workers_per_gather": "2",
        "random_page_cost": "1.1",
        "fsync": "off",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    server = subprocess.Popen(
        [binaries / "postgres", "-D", data, *options], user=user, stderr=subprocess.DEVNULL, cwd=folder
    )
    try:
        ready = [str(binaries / "pg_isready"), "-q", "-h", str(folder)]
        while subprocess.run(ready, check=False).returncode:
            assert server.poll() is None, "PostgreSQL does not start"
            time.sleep(0.2)
        database = PgSphere(folder, server.pid)
        try:
            yield database
        finally:
            database.close()
    finally:
        server.terminate()
        server.wait(timeout=60)


def missing_pgsphere() -> str:
    """Say what is missing of PostgreSQL with pgSphere; nothing if all is there."""
    if not _POSTGRES or shutil.which("psql") is None:
        return "PostgreSQL is not installed"
    version = _POSTGRES[-1].parent.name
    if not Path(f"/usr/share/postgresql/{version}/extension/pg_sphere.control").exists():
        return f"pgSphere for PostgreSQL {version} is not installed"
    if os.geteuid() == 0 and "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
        return "there is no user postgres to run the server as"
    return ""


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


class BenchHoldings:
    """One table, as a service has it."""

    def __init__(self, table: TableSource) -> None:
        held = HeldTable(table, "Objects", tuple(HeldColumn(column) for column in table.columns.values()))
        self._snapshot = HoldingsSnapshot((HeldSchema("dp1", "", (held,)),), (), (), Engine([table]))

    def snapshot(self) -> HoldingsSnapshot:
        return self._snapshot


def serve(folder: Path, descriptor: int) -> None:
    """Serve the table on a socket that the bench has opened."""
    import uvicorn

    from forcedphot.tap.service import ServiceSettings, create_app

    table = parquet_table("dp1.Object", [folder / "objects.parquet"], "ra", "dec")
    app = create_app(BenchHoldings(table), ServiceSettings(data=folder / "service"))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
    server.run(sockets=[socket.socket(fileno=descriptor)])


def resident_mib(process: int) -> float:
    """Return the memory that a process holds (Linux)."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("memory can only be measured on Linux")


async def one_client(number: int, address: str, end: float, runs: list[tuple[float, int]]) -> None:
    """Ask until the time is over: small circles, now and then a large one, an aggregate, or a match."""
    rng = np.random.default_rng(number)
    async with httpx.AsyncClient(timeout=120.0) as client:
        while time.monotonic() < end:
            (ra, dec), kind = centres(1, int(rng.integers(1 << 40)))[0], rng.uniform()
            query = cone(ra, dec, 1 / 60)
            if kind < 0.02:
                query = cone(ra, dec, 0.3)
            elif kind < 0.04:
                query = "SELECT patch, COUNT(*) AS n FROM dp1.Object GROUP BY patch"
            elif kind < 0.3:
                query = cone(ra, dec, 1 / 3600)
            fields = {"LANG": "ADQL", "QUERY": query, "RESPONSEFORMAT": "csv" if kind < 0.5 else "votable"}
            start = time.perf_counter()
            answer = await client.post(f"{address}/tap/sync", data=fields)
            is_good = answer.status_code == 200 and b'value="ERROR"' not in answer.content
            runs.append((time.perf_counter() - start, 1 if is_good else 0))


async def all_clients(address: str, process: int, seconds: float) -> tuple[list[tuple[float, int]], list[float]]:
    """Let all clients ask at once; return what each request took, and the server's memory, once a second."""
    runs: list[tuple[float, int]] = []
    memory: list[float] = []
    end = time.monotonic() + seconds

    async def watch() -> None:
        while True:
            memory.append(resident_mib(process))
            await asyncio.sleep(1.0)

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(one_client(number, address, end, runs) for number in range(CLIENTS)))
    watcher.cancel()
    return runs, memory


def load(folder: Path, seconds: float) -> dict[str, Any]:
    """Run the service in a process of its own, and ask it with many clients at once."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        command = [sys.executable, __file__, "--serve", str(folder), str(listener.fileno())]
        server = subprocess.Popen(command, pass_fds=[listener.fileno()])
    try:
        with httpx.Client(timeout=60.0) as client:
            client.get(f"{address}/tap/availability").raise_for_status()
            fields = {"LANG": "ADQL", "QUERY": cone(RA, DEC, 1 / 60)}
            client.post(f"{address}/tap/sync", data=fields).raise_for_status()
        before = resident_mib(server.pid)
        runs, memory = asyncio.run(all_clients(address, server.pid, seconds))
        after = resident_mib(server.pid)
    finally:
        server.terminate()
        server.wait(timeout=60)
    times = np.array([taken for taken, _ in runs]) * 1000
    return {
        "clients": CLIENTS,
        "seconds": seconds,
        "requests": len(runs),
        "errors": sum(not is_good for _, is_good in runs),
        "per second": len(runs) / seconds,
        "median ms": float(np.median(times)),
        "99th percentile ms": float(np.quantile(times, 0.99)),
        "MiB before": before,
        "MiB at most": max(memory),
        "MiB after": after,
    }


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
    parser.add_argument("--serve", nargs=2, metavar=("FOLDER", "SOCKET"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(Path(arguments.serve[0]), int(arguments.serve[1]))
        return
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
