"""PSF-corrected shapes against the pipelines' own, single-frame."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.table import Table

from forcedphot import Exposure
from forcedphot.catalog.schema import Schema
from forcedphot.errors import ConfigurationError
from forcedphot.plugins import registry
from forcedphot.plugins.hsm_shapes import HsmShapeConfig

from .single_frame import measure_single_frame, read_footprints

CASE = "all_plugins/kron_hsm_convolved"
PLUGINS = [f"ext_shapeHSM_HsmShape{method}" for method in ("Regauss", "Bj", "Linear", "Ksb")]


def assert_agree(ours: Mapping[str, npt.NDArray[Any]], expected: Table, plugin: str) -> None:
    """Require equal flags, and shapes within 1e-4 or 1e-3 of their error."""
    names = [name for name in expected.colnames if name.startswith(f"{plugin}_") and "_badCentroid" not in name]
    assert [name for name in ours if name.startswith(f"{plugin}_")] == names
    for name in names:
        values, golden = np.asarray(ours[name]), np.asarray(expected[name])
        if golden.dtype == bool:
            np.testing.assert_array_equal(values, golden, err_msg=name)
            continue
        np.testing.assert_array_equal(np.isnan(values), np.isnan(golden), err_msg=name)
        allowed = 1e-4 * np.abs(golden)
        if name[-2:] in ("e1", "e2", "g1", "g2"):
            allowed = np.maximum(allowed, 1e-3 * np.asarray(expected[f"{plugin}_sigma"]))
        finite = np.isfinite(golden)
        assert (np.abs(values - golden)[finite] <= allowed[finite]).all(), name


@pytest.mark.parametrize("plugin", PLUGINS)
def test_single_frame(golden: Callable[[str], Path], plugin: str) -> None:
    folder = golden(CASE)
    expected = Table.read(folder / "reference_measured.ecsv")
    ours, schema = measure_single_frame(
        plugin,
        Exposure.read(folder / "reference_exposure.fits"),
        expected,
        footprints=read_footprints(folder / "reference_footprints.npz"),
    )
    assert_agree(ours, expected, plugin)
    for field in schema:
        assert field.doc == expected[field.name].description
        assert field.unit == str(expected[field.name].unit or "")


def test_parents_are_left_out(golden: Callable[[str], Path]) -> None:
    folder = golden(CASE)
    expected = Table.read(folder / "reference_measured.ecsv")
    n_children = np.where(expected["id"] % 2 == 0, 2.0, 0.0)
    ours, _ = measure_single_frame(
        PLUGINS[0],
        Exposure.read(folder / "reference_exposure.fits"),
        expected,
        settings={"deblendNChild": "deblend_nChild"},
        footprints=read_footprints(folder / "reference_footprints.npz"),
        given={"deblend_nChild": n_children},
    )
    flag, resolution = ours[f"{PLUGINS[0]}_flag"], ours[f"{PLUGINS[0]}_resolution"]
    is_left_out = n_children > 0
    assert is_left_out.sum() > 30
    assert flag[is_left_out].all()
    assert np.isnan(resolution[is_left_out]).all()
    np.testing.assert_array_equal(flag[~is_left_out], expected[f"{PLUGINS[0]}_flag"][~is_left_out])


def test_the_number_of_children_must_be_there() -> None:
    config = HsmShapeConfig()
    config.deblendNChild = "deblend_nChild"
    with pytest.raises(ConfigurationError, match="copyColumns"):
        registry[PLUGINS[0]](config, PLUGINS[0], Schema(), {}, Schema())


def test_a_difference_is_reported(golden: Callable[[str], Path]) -> None:
    expected = Table.read(golden(CASE) / "reference_measured.ecsv")
    plugin = PLUGINS[0]
    ours = {
        name: np.array(expected[name])
        for name in expected.colnames
        if name.startswith(f"{plugin}_") and "_badCentroid" not in name
    }
    assert_agree(ours, expected, plugin)
    ours[f"{plugin}_resolution"] *= 1.0002
    with pytest.raises(AssertionError):
        assert_agree(ours, expected, plugin)
