"""Cold start: imports, and the first call with and without the cache of compiled kernels."""

import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from measuring import keep, print_table

IMPORT = "import forcedphot; forcedphot.ForcedMeasurementDriverTask"
FIRST_CALL = """
import logging, time
logging.disable(logging.WARNING)
import forcedphot
from forcedphot.simulation import simulate_exposure
field = simulate_exposure(shape=(500, 500), n_sources=10, seed=1, margin=80.0)
start = time.perf_counter()
forcedphot.measure(field.exposure, field.catalog)
print(time.perf_counter() - start)
"""


def run(code: str, cache: str | None = None) -> tuple[float, str]:
    """Run Python code in a new process; return its wall time and output."""
    environment = dict(os.environ)
    if cache is not None:
        environment["NUMBA_CACHE_DIR"] = cache
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    return time.perf_counter() - start, done.stdout


def main() -> None:
    rows: list[dict[str, Any]] = []
    empty = min(run("pass")[0] for _ in range(3))
    for name, code in (("import forcedphot", "import forcedphot"), ("import the driver", IMPORT)):
        rows.append({"step": name, "seconds": min(run(code)[0] for _ in range(3)) - empty})
    with tempfile.TemporaryDirectory() as cache:
        rows.append({"step": "first call, kernels compiled", "seconds": float(run(FIRST_CALL, cache)[1])})
        rows.append({"step": "first call, kernels from the cache", "seconds": float(run(FIRST_CALL, cache)[1])})
    print_table("Cold start", rows)
    keep("start", {"start": rows})


if __name__ == "__main__":
    main()
