"""Shapes, centroids and Gaussian fluxes against the pipelines' own, forced and single-frame."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.table import Table

from forcedphot import Exposure
from forcedphot.kernels import sdss_centroid
from forcedphot.kernels.sdss_centroid import smoothed_maxima
from forcedphot.kernels.sdss_shape import adaptive_shapes

from .forced import differences, measure_case

PLUGINS = [
    "base_TransformedCentroid",
    "base_TransformedShape",
    "base_SdssShape",
    "base_SdssCentroid",
    "base_GaussianFlux",
]
ROUND = 1e-9
"""Of xy, relative to the size: where a shape is round, xy is what rounding leaves."""


def names_of(plugins: list[str], expected: Table) -> list[str]:
    return [name for name in expected.colnames if any(name.startswith(f"{plugin}_") for plugin in plugins)]


@pytest.mark.parametrize("case", ["field", "default_forced"])
def test_forced(case: str, golden: Callable[[str], Path]) -> None:
    ours, expected = measure_case(golden(f"all_plugins/{case}"), PLUGINS)
    names = names_of(PLUGINS, expected)
    assert differences(ours, expected, names) == []
    assert [name for name in ours.colnames if name in names] == names
    assert expected["base_SdssCentroid_flag_resetToPeak"].sum() == 3


def test_from_another_image(golden: Callable[[str], Path]) -> None:
    folder = golden("all_plugins/kron_hsm_convolved")
    plugins = [plugin for plugin in PLUGINS if plugin != "base_SdssCentroid"]
    ours, expected = measure_case(
        folder,
        plugins,
        reference_wcs=Exposure.read_component(folder / "reference_exposure.fits", "wcs"),
        reference_aliases=json.loads((folder / "reference_schema.json").read_text())["aliases"],
    )
    names = names_of(plugins, expected)
    assert differences(ours, expected, [name for name in names if name != "base_TransformedShape_xy"]) == []
    xy, golden_xy = ours["base_TransformedShape_xy"], np.asarray(expected["base_TransformedShape_xy"])
    allowed = 1e-4 * np.abs(golden_xy) + ROUND * np.asarray(expected["base_TransformedShape_xx"])
    np.testing.assert_array_equal(np.isnan(xy), np.isnan(golden_xy))
    assert (np.isnan(xy) | (np.abs(xy - golden_xy) <= allowed)).all()
    assert expected["base_TransformedShape_flag"].sum() == 11


SINGLE_FRAME = {
    "all_plugins/single_frame": ("exposure", "measured", "footprints"),
    "all_plugins/kron_hsm_convolved": ("reference_exposure", "reference_measured", "reference_footprints"),
}


def peaks(path: Path, n: int) -> npt.NDArray[np.float64]:
    """Read the first peak of each footprint, shape (n, 2): x, y."""
    stored = np.load(path, allow_pickle=False)
    return np.array([stored[f"peaks_{i}"][0, :2] for i in range(n)], dtype=np.float64)


@pytest.mark.parametrize("case", SINGLE_FRAME)
def test_centroids_from_peaks(case: str, golden: Callable[[str], Path]) -> None:
    folder, (image, table, footprints) = golden(case), SINGLE_FRAME[case]
    exposure, expected = Exposure.read(folder / f"{image}.fits"), Table.read(folder / f"{table}.ecsv")
    assert exposure.psf is not None
    assert exposure.variance is not None
    x, y = peaks(folder / f"{footprints}.npz", len(expected)).T
    psf = exposure.psf.kernel_images(x, y)
    xx, yy, xy = exposure.psf.moments(x, y).T
    found = smoothed_maxima(
        exposure.image,
        exposure.variance,
        x - exposure.x0,
        y - exposure.y0,
        psf.images,
        psf.heights,
        psf.widths,
        (xx * yy - xy**2) ** 0.25,
    )
    flags = {
        "edge": found.state == sdss_centroid.EDGE,
        "near_edge": found.near_edge,
        "noSecondDerivative": found.state == sdss_centroid.NO_SECOND_DERIVATIVE,
        "notAtMaximum": found.state == sdss_centroid.NOT_AT_MAXIMUM,
    }
    for flag, values in flags.items():
        np.testing.assert_array_equal(values, expected[f"base_SdssCentroid_flag_{flag}"], err_msg=flag)
    assert flags["near_edge"].sum() > 10
    kept = ~np.asarray(expected["base_SdssCentroid_flag_resetToPeak"])
    columns: dict[str, Any] = {
        "x": found.x + exposure.x0,
        "y": found.y + exposure.y0,
        "xErr": found.x_err,
        "yErr": found.y_err,
    }
    for name, values in columns.items():
        golden_values = np.asarray(expected[f"base_SdssCentroid_{name}"])
        error = np.asarray(expected[f"base_SdssCentroid_{name[0]}Err"])
        allowed = 1e-3 * np.where(np.isnan(error), 0.0, error) + 1e-9 * np.abs(golden_values)
        np.testing.assert_array_equal(np.isnan(values), np.isnan(golden_values))
        close = np.abs(values - golden_values) <= allowed
        assert (close | np.isnan(golden_values) | ~kept).all(), name


@pytest.mark.parametrize("case", SINGLE_FRAME)
def test_shapes_at_centroids(case: str, golden: Callable[[str], Path]) -> None:
    folder, (image, table, _) = golden(case), SINGLE_FRAME[case]
    exposure, expected = Exposure.read(folder / f"{image}.fits"), Table.read(folder / f"{table}.ecsv")
    assert exposure.variance is not None
    x, y = np.asarray(expected["slot_Centroid_x"]), np.asarray(expected["slot_Centroid_y"])
    found = adaptive_shapes(exposure.image, exposure.variance, x - exposure.x0, y - exposure.y0)
    for moment in ("xx", "yy", "xy"):
        golden_values = np.asarray(expected[f"base_SdssShape_{moment}"])
        error = np.asarray(expected[f"base_SdssShape_{moment}Err"])
        allowed = np.fmax(1e-4 * np.abs(golden_values), 1e-3 * error)
        values = getattr(found, moment)
        assert ((np.abs(values - golden_values) <= allowed) | (np.isnan(values) & np.isnan(golden_values))).all()
        np.testing.assert_allclose(getattr(found, f"{moment}_err"), error, rtol=1e-3)
    bad = np.asarray(expected["base_SdssShape_flag"])
    np.testing.assert_array_equal(found.problems != 0, bad)
    assert 0 < bad.sum() < len(bad) / 2
