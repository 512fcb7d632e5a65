"""PostgreSQL with pgSphere: a server of its own for a benchmark, and its answers to the same questions."""

import contextlib
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from forcedphot.tap.tables import TableSource

_TOLERANCE = 1e-9
"""By which pgSphere widens circles, radians."""

_POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


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
