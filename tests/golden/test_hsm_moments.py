"""HSM moments of sources and PSF against the pipelines' own, forced and single-frame."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from astropy.table import Table

from forcedphot import Exposure

from .forced import measure_case
from .single_frame import measure_single_frame, read_footprints

CASE = "all_plugins/kron_hsm_convolved"
PLUGINS = [f"ext_shapeHSM_Hsm{what}" for what in ("SourceMoments", "SourceMomentsRound", "PsfMoments")]
RELATIVE = 1e-4


def assert_agree(ours: Any, expected: Table, plugin: str) -> None:
    """Require equal flags, and moments within the tolerance of the size, positions within that of its root."""
    names = [name for name in expected.colnames if name.startswith(f"{plugin}_")]
    size = np.abs(np.asarray(expected[f"{plugin}_xx"])) + np.abs(np.asarray(expected[f"{plugin}_yy"]))
    for name in names:
        if "_flag" in name:
            if "_flag_badCentroid" not in name:
                np.testing.assert_array_equal(ours[name], expected[name], err_msg=name)
            continue
        values, golden = np.asarray(ours[name]), np.asarray(expected[name])
        np.testing.assert_array_equal(np.isnan(values), np.isnan(golden), err_msg=name)
        if name.endswith("_Flux"):
            allowed = RELATIVE * np.abs(golden)
        elif name.endswith(("_x", "_y")):
            allowed = RELATIVE * np.sqrt(size)
        elif name.endswith("_xy"):
            allowed = RELATIVE * np.abs(golden) + 1e-3 * RELATIVE * size  # it may be 0
        else:
            allowed = RELATIVE * np.abs(golden)
        finite = np.isfinite(golden)
        assert (np.abs(values - golden)[finite] <= allowed[finite]).all(), name
    assert len([name for name in names if "_flag" not in name]) >= 5
    assert np.isfinite(np.asarray(expected[f"{plugin}_xx"])).sum() > 70


def test_forced(golden: Callable[[str], Path]) -> None:
    folder = golden(CASE)
    ours, expected = measure_case(
        folder,
        ["base_TransformedCentroid", *PLUGINS],
        reference_wcs=Exposure.read(folder / "reference_exposure.fits").wcs,
        reference_aliases={"slot_Centroid": "base_SdssCentroid", "slot_Shape": "base_SdssShape"},
        with_aperture_corrections=False,
    )
    for plugin in PLUGINS:
        assert_agree(ours, expected, plugin)
        for name in [name for name in expected.colnames if name.startswith(f"{plugin}_")]:
            assert ours[name].dtype == expected[name].dtype, name
            assert ours[name].unit == expected[name].unit, name
            assert ours[name].description == expected[name].description, name
    chosen = [name for name in expected.colnames if name.startswith("ext_shapeHSM_")]
    assert [name for name in ours.colnames if name.startswith("ext_shapeHSM_")] == chosen


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("options", ["", "_options"])
def test_single_frame(golden: Callable[[str], Path], plugin: str, options: str) -> None:
    folder = golden(CASE)
    settings = yaml.safe_load((folder / "config.yaml").read_text())["reference_options"][plugin] if options else {}
    expected = Table.read(folder / f"reference_measured{options}.ecsv")
    ours, _ = measure_single_frame(
        plugin,
        Exposure.read(folder / "reference_exposure.fits"),
        expected,
        settings=settings,
        footprints=read_footprints(folder / "reference_footprints.npz"),
    )
    assert_agree(ours, expected, plugin)


def test_a_difference_is_reported(golden: Callable[[str], Path]) -> None:
    expected = Table.read(golden(CASE) / "measured.ecsv")
    ours = expected.copy()
    assert_agree(ours, expected, PLUGINS[0])
    ours[f"{PLUGINS[0]}_xx"] *= 1.0002
    with pytest.raises(AssertionError):
        assert_agree(ours, expected, PLUGINS[0])
