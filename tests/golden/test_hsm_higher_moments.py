"""Moments of third and fourth order against the pipelines' own, single-frame."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.table import Table

from forcedphot import Exposure

from .single_frame import measure_single_frame, read_footprints

CASE = "all_plugins/kron_hsm_convolved"
PLUGINS = {
    "ext_shapeHSM_HigherOrderMomentsSource": "ext_shapeHSM_HsmSourceMoments",
    "ext_shapeHSM_HigherOrderMomentsPSF": "ext_shapeHSM_HsmPsfMoments",
}
"""And where their second moments come from."""


def measure(folder: Path, plugin: str, expected: Table) -> Mapping[str, npt.NDArray[Any]]:
    """Measure from the pipelines' second moments."""
    given = {
        f"{PLUGINS[plugin]}_{part}": np.asarray(expected[f"{PLUGINS[plugin]}_{part}"])
        for part in ("x", "y", "xx", "yy", "xy", "flag")
    }
    ours, schema = measure_single_frame(
        plugin,
        Exposure.read(folder / "reference_exposure.fits"),
        expected,
        footprints=read_footprints(folder / "reference_footprints.npz"),
        given=given,
    )
    for field in schema:
        if field.name in expected.colnames and field.name not in given:
            assert field.doc == expected[field.name].description
    return {name: ours[name] for name in ours if name.startswith(f"{plugin}_")}


def assert_agree(ours: Mapping[str, npt.NDArray[Any]], expected: Table, plugin: str) -> None:
    names = [name for name in expected.colnames if name.startswith(f"{plugin}_") and "_badCentroid" not in name]
    assert list(ours) == names
    assert len(names) == 10
    np.testing.assert_array_equal(ours[f"{plugin}_flag"], expected[f"{plugin}_flag"])
    for name in names[1:]:
        # Relative to the moments of even order of a Gaussian, which are 1/4 and more; odd ones may be 0.
        np.testing.assert_allclose(ours[name], np.asarray(expected[name]), rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_single_frame(golden: Callable[[str], Path], plugin: str) -> None:
    folder = golden(CASE)
    expected = Table.read(folder / "reference_measured.ecsv")
    assert_agree(measure(folder, plugin, expected), expected, plugin)
    assert np.isfinite(expected[f"{plugin}_04"]).sum() > 60


def test_psf_drawn_at_the_source(golden: Callable[[str], Path]) -> None:
    folder = golden(CASE)
    expected = Table.read(folder / "reference_measured_options.ecsv")
    plugin = "ext_shapeHSM_HigherOrderMomentsPSF"
    assert_agree(measure(folder, plugin, expected), expected, plugin)


def test_nothing_is_under_a_weight_far_away(golden: Callable[[str], Path]) -> None:
    # Centres relative to the sources, with which the pipelines leave NaN without a flag.
    folder = golden(CASE)
    expected = Table.read(folder / "reference_measured_options.ecsv")
    plugin = "ext_shapeHSM_HigherOrderMomentsSource"
    ours = measure(folder, plugin, expected)
    assert ours[f"{plugin}_flag"].all()
    for name in list(ours)[1:]:
        assert np.isnan(ours[name]).all()
        assert np.isnan(expected[name]).all()


def test_a_difference_is_reported(golden: Callable[[str], Path]) -> None:
    expected = Table.read(golden(CASE) / "reference_measured.ecsv")
    plugin = "ext_shapeHSM_HigherOrderMomentsSource"
    ours = {name: np.array(expected[name]) for name in expected.colnames if name.startswith(f"{plugin}_")}
    assert_agree(ours, expected, plugin)
    ours[f"{plugin}_13"] += 2e-4
    with pytest.raises(AssertionError):
        assert_agree(ours, expected, plugin)
