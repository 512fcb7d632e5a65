"""Peak likelihood fluxes against the pipelines' own, and on images with another origin."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from forcedphot import Exposure
from forcedphot.catalog.schema import Columns

from .forced import differences, measure_case
from .single_frame import measure_single_frame

CASE = "all_plugins/peak_likelihood"
NAME = "base_PeakLikelihoodFlux"


def test_forced(golden: Callable[[str], Path]) -> None:
    ours, expected = measure_case(golden(CASE))
    assert differences(ours, expected) == []
    assert np.isfinite(expected[f"{NAME}_instFlux"]).sum() > 30


@pytest.mark.parametrize("origin", [(1000, 5), (-40, 20000), (0, -3)])
def test_the_origin_changes_nothing(golden: Callable[[str], Path], origin: tuple[int, int]) -> None:
    folder = golden(CASE)
    exposure = Exposure.read(folder / "exposure.fits")
    assert (exposure.x0, exposure.y0) == (0, 0)
    measured = Table.read(folder / "measured.ecsv")

    def measure(x0: int, y0: int) -> Columns:
        table = Table(
            {f"slot_{name}": np.zeros(len(measured)) for name in ("Shape_xx", "Shape_yy", "Shape_xy")}
            | {f"slot_{slot}_flag": np.zeros(len(measured), dtype=bool) for slot in ("Centroid", "Shape")}
            | {
                "slot_Centroid_x": measured["slot_Centroid_x"] + x0,
                "slot_Centroid_y": measured["slot_Centroid_y"] + y0,
            }
        )
        moved = dataclasses.replace(exposure, x0=x0, y0=y0)
        columns, _ = measure_single_frame(NAME, moved, table)
        return columns

    here, there = measure(0, 0), measure(*origin)
    for name in ("instFlux", "instFluxErr"):
        # Positions far from 0 have fewer digits after the point.
        error = here[f"{NAME}_instFluxErr"]
        np.testing.assert_allclose(
            there[f"{NAME}_{name}"] / error, here[f"{NAME}_{name}"] / error, rtol=0, atol=1e-8
        )
    np.testing.assert_array_equal(there[f"{NAME}_flag"], here[f"{NAME}_flag"])


def test_centres_near_edges_are_flagged(golden: Callable[[str], Path]) -> None:
    exposure = Exposure.read(golden(CASE) / "exposure.fits")
    right, top = exposure.bbox.x_stop - 1, exposure.bbox.y_stop - 1
    x = np.array([3.0, 2.9, 3.6, right - 3.9, right - 3.1, right - 3.0, 50.0, 50.0, 50.0, 50.0])
    y = np.array([50.0, 50.0, 50.0, 50.0, 50.0, 50.0, 2.9, 3.0, top - 3.1, top - 3.0])
    table = Table({"slot_Centroid_x": x, "slot_Centroid_y": y})
    for name in ("slot_Shape_xx", "slot_Shape_yy", "slot_Shape_xy"):
        table[name] = 0.0
    table["slot_Centroid_flag"] = table["slot_Shape_flag"] = False
    columns, _ = measure_single_frame(NAME, exposure, table)
    # Of eight pixels, four are on the side that the centre leans to, which is the right where it is at a pixel.
    flagged = np.array([False, True, False, False, False, True, True, False, False, True])
    np.testing.assert_array_equal(columns[f"{NAME}_flag"], flagged)
    np.testing.assert_array_equal(np.isnan(columns[f"{NAME}_instFlux"]), flagged)
