"""Many clients that ask the table access service at once, which runs in a process of its own."""

import asyncio
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from forcedphot.tap.engine import Engine
from forcedphot.tap.holdings import HeldColumn, HeldSchema, HeldTable, HoldingsSnapshot
from forcedphot.tap.tables import TableSource
from tap_field import DEC, RA, centres, cone, open_table

CLIENTS = 50


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

    table = open_table(folder)
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
        command = [sys.executable, __file__, str(folder), str(listener.fileno())]
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


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
