"""Neighbours replaced by noise, against the pipelines' tables: plain and heavy footprints, parents, children."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from forcedphot import SourceCatalog
from forcedphot.catalog.footprint import PEAK_SCHEMA, Footprint

from .forced import differences, measure_case

NO_PEAKS = SourceCatalog(PEAK_SCHEMA, PEAK_SCHEMA.allocate(0), kind="BASE")


def stored_footprints(path: Path) -> Any:
    """Read footprints: boxes with pixels, or spans without."""
    stored = np.load(path, allow_pickle=False)
    n = sum(name.startswith("box_") for name in stored)
    footprints = np.empty(n, dtype=object)
    for i in range(n):
        x0, y0, width, height = stored[f"box_{i}"].tolist()
        spans = np.array([(y, x0, x0 + width - 1) for y in range(y0, y0 + height)], dtype=np.int32)
        pixels = stored[f"pixels_{i}"].ravel() if f"pixels_{i}" in stored else None
        if pixels is None:
            spans = stored[f"spans_{i}"]
        footprints[i] = Footprint(spans=spans, peaks=NO_PEAKS, image=pixels)
    return footprints


@pytest.mark.parametrize("case", ["pairs_replaced", "pairs_heavy", "blends"])
def test_tables_agree(case: str, golden: Callable[[str], Path]) -> None:
    folder = golden(f"neighbours/{case}")
    heavy = folder / "heavy.npz"
    footprints = stored_footprints(heavy) if heavy.exists() else None
    ours, expected = measure_case(folder, footprints=footprints, exposure_id=7)
    blendedness = folder / "measured_blendedness.ecsv"
    if blendedness.exists():
        # The original fills it in single-frame measurement alone; this table has those values.
        expected = Table.read(blendedness)
        expected.meta = ours.meta
    names = [name for name in expected.colnames if blendedness.exists() or "Blendedness" not in name]
    assert differences(ours, expected, names) == []
    assert ours.meta == expected.meta
