"""Moments of the PSF with the source's noise against the pipelines' own, single-frame: the same random numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.table import Table

from forcedphot import Exposure
from forcedphot.errors import ExposureError

from .single_frame import measure_single_frame

CASE = "all_plugins/kron_hsm_convolved"
PLUGIN = "ext_shapeHSM_HsmPsfMomentsDebiased"
UNDECIDED_ID = 1060
"""A negative flux as large as the noise: after 200 steps its last digits decide whether the iteration ends."""


def measure(folder: Path, table: str, **settings: Any) -> tuple[dict[str, npt.NDArray[Any]], Table]:
    expected = Table.read(folder / table)
    expected = expected[expected["id"] != UNDECIDED_ID]
    flux = np.array(expected["base_PsfFlux_instFlux"])
    if "base_PsfFlux_apCorr" in expected.colnames:  # the flux as it was before
        flux /= np.asarray(expected["base_PsfFlux_apCorr"])
    exposure = Exposure.read(folder / "reference_exposure.fits")
    given = {"id": np.asarray(expected["id"]), "slot_PsfFlux_instFlux": flux}
    ours, schema = measure_single_frame(PLUGIN, exposure, expected, settings=settings, given=given)
    for field in schema:
        if field.name.startswith(f"{PLUGIN}_"):
            assert field.doc == expected[field.name].description
    return ours, expected


@pytest.mark.parametrize("table", ["reference_measured.ecsv", "reference_measured_options.ecsv"])
def test_single_frame(golden: Callable[[str], Path], table: str) -> None:
    ours, expected = measure(golden(CASE), table)
    for name in [name for name in expected.colnames if name.startswith(f"{PLUGIN}_flag")]:
        if "_badCentroid" not in name:
            np.testing.assert_array_equal(ours[name], expected[name], err_msg=name)
    for part in ("x", "y", "xx", "yy", "xy"):
        name = f"{PLUGIN}_{part}"
        np.testing.assert_allclose(ours[name], np.asarray(expected[name]), rtol=1e-4, atol=1e-6, err_msg=name)
    assert np.isfinite(ours[f"{PLUGIN}_xx"]).sum() > 80
    assert ours[f"{PLUGIN}_flag_edge"].sum() == 4


def test_other_noise(golden: Callable[[str], Path]) -> None:
    ours, expected = measure(golden(CASE), "reference_measured.ecsv", seedOffset=1)
    name = f"{PLUGIN}_xx"
    is_measured = np.isfinite(np.asarray(expected[name])) & np.isfinite(ours[name])
    assert (ours[name][is_measured] != np.asarray(expected[name])[is_measured]).all()


def test_noise_of_the_metadata_must_be_there(golden: Callable[[str], Path]) -> None:
    with pytest.raises(ExposureError, match="BGMEAN"):
        measure(golden(CASE), "reference_measured.ecsv", noiseSource="meta")
