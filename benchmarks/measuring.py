"""What the benchmarks share: the image, timing, memory, and how figures are kept."""

import json
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from forcedphot import Exposure
from forcedphot.conventions import FloatArray
from forcedphot.psf import Psf
from forcedphot.simulation import simulate_exposure

OUTPUT = Path("bench_output")
SHAPE = (4000, 4072)


def make_exposure(psf: Psf | None = None) -> Exposure:
    """Simulate a full-size visit image with some stars."""
    return simulate_exposure(shape=SHAPE, n_sources=2000, seed=1, psf=psf).exposure


def make_positions(exposure: Exposure, n: int, *, margin: float = 75.0) -> tuple[Table, FloatArray, FloatArray]:
    """Draw n positions that keep the largest aperture on the image; return a table, and x and y."""
    rng = np.random.default_rng(n)
    box = exposure.bbox
    x = rng.uniform(box.x0 + margin, box.x_stop - 1 - margin, n)
    y = rng.uniform(box.y0 + margin, box.y_stop - 1 - margin, n)
    assert exposure.wcs is not None
    ra, dec = exposure.wcs.pixel_to_sky(x, y)
    return Table({"objectId": np.arange(n), "coord_ra": np.degrees(ra), "coord_dec": np.degrees(dec)}), x, y


def seconds(function: Callable[[], Any], *, repeats: int = 5) -> float:
    """Call a function several times, once before the clock runs; return the shortest time of a call.

    The shortest is what the code costs; the rest is what else the machine was doing.
    """
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def peak_growth_bytes(function: Callable[[], Any]) -> int:
    """Return by how much the process's peak memory exceeds what it holds before the call (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _memory_bytes("VmRSS")
    function()
    return _memory_bytes("VmHWM") - before


def _memory_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}; memory can only be measured on Linux")


def print_table(title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows of equal keys as a table."""
    print(f"\n{title}")
    cells = [[_format(value) for value in row.values()] for row in rows]
    heads = list(rows[0])
    widths = [max(len(row[i]) for row in [heads, *cells]) for i in range(len(heads))]
    for row in [heads, *cells]:
        print("  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def _format(value: Any) -> str:
    return (
        f"{value:,.3g}"
        if isinstance(value, float) and abs(value) < 100
        else (f"{value:,.0f}" if isinstance(value, int | float) else str(value))
    )


def keep(name: str, figures: dict[str, Any]) -> None:
    """Write figures with the machine and the versions they were measured with."""
    OUTPUT.mkdir(exist_ok=True)
    packages = ("forcedphot", "numpy", "numba", "astropy", "photutils", "sep", "piff")
    environment = {
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "processor": _processor(),
        **{package: version(package) for package in packages},
    }
    (OUTPUT / f"{name}.json").write_text(json.dumps({"environment": environment, **figures}, indent=2))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()
