"""Background, variance, input count and local calibrations against the pipelines' own tables."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.table import Table

from forcedphot import Exposure

from .forced import exposure_path, measure_case
from .single_frame import measure_single_frame

RELATIVE = 1e-5
"""Of background, variance, WCS and calibration."""


def assert_agree(
    ours: Mapping[str, npt.NDArray[Any]], expected: Table, plugins: Iterable[str], relative: float = RELATIVE
) -> None:
    """Require equal flags and counts, and all else within the tolerance."""
    names = [name for name in expected.colnames if name.startswith(tuple(plugins))]
    assert len(names) >= 3
    for name in names:
        values, golden = np.asarray(ours[name]), np.asarray(expected[name])
        assert values.dtype == golden.dtype, name
        if golden.dtype.kind == "f":
            np.testing.assert_allclose(values, golden, rtol=relative, err_msg=name)
        else:
            np.testing.assert_array_equal(values, golden, err_msg=name)


def assert_same_description(ours: Table, expected: Table, plugins: Iterable[str]) -> None:
    """Require the same columns in the same order, units and documentation."""
    chosen = [
        [
            (name, table[name].unit, table[name].description)
            for name in table.colnames
            if name.startswith(tuple(plugins))
        ]
        for table in (ours, expected)
    ]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize(
    ("case", "plugins"),
    [
        (
            "all_plugins/field",
            ("base_InputCount", "base_LocalBackground", "base_LocalPhotoCalib", "base_LocalWcs"),
        ),
        ("all_plugins/default_forced", ("base_LocalBackground",)),
    ],
)
def test_forced(golden: Callable[[str], Path], case: str, plugins: tuple[str, ...]) -> None:
    ours, expected = measure_case(golden(case), ["base_TransformedCentroid", *plugins])
    assert_agree(ours, expected, plugins)
    assert_same_description(ours, expected, plugins)


@pytest.mark.parametrize("case", ["all_plugins/field", "neighbours/pairs_heavy", "all_plugins/single_frame"])
def test_variance_of_the_pipelines_shapes(golden: Callable[[str], Path], case: str) -> None:
    folder = golden(case)
    expected = Table.read(folder / "measured.ecsv")
    ours, _ = measure_single_frame("base_Variance", Exposure.read(exposure_path(folder)), expected)
    for name in ("value", "flag", "flag_emptyFootprint"):
        name = f"base_Variance_{name}"
        np.testing.assert_allclose(ours[name], expected[name], rtol=RELATIVE, err_msg=name)


def test_background_of_the_pipelines_centroids(golden: Callable[[str], Path]) -> None:
    folder = golden("all_plugins/single_frame")
    expected = Table.read(folder / "measured.ecsv")
    ours, _ = measure_single_frame("base_LocalBackground", Exposure.read(folder / "exposure.fits"), expected)
    assert expected["base_LocalBackground_flag"].any()
    for name in ("instFlux", "instFluxErr", "flag", "flag_noGoodPixels", "flag_noPsf"):
        name = f"base_LocalBackground_{name}"
        np.testing.assert_allclose(ours[name], expected[name], rtol=RELATIVE, err_msg=name)
