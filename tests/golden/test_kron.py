"""Kron fluxes against the pipelines', forced and with the radius measured; what differs on purpose is listed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from forcedphot import Exposure
from forcedphot.conventions import BoolArray, Spans
from forcedphot.kernels.measured_kron import KronSettings, MeasuredKron, footprint_radii, measured_kron_fluxes

from .forced import differences, measure_case

NAME = "ext_photometryKron_KronFlux"
ALIASES = {"slot_Centroid": "base_SdssCentroid", "slot_Shape": "base_SdssShape"}
OPTIONS = KronSettings(
    n_sigma=4.0,
    n_iterations=3,
    smoothing_sigma=1.0,
    n_radius_for_flux=2.0,
    max_sinc_radius=7.0,
    minimum_radius=3.0,
)


@pytest.fixture(scope="module")
def folder(golden: Callable[[str], Path]) -> Path:
    return golden("all_plugins/kron_hsm_convolved")


@pytest.fixture(scope="module")
def reference_exposure(folder: Path) -> Exposure:
    return Exposure.read(folder / "reference_exposure.fits")


def test_forced(folder: Path, reference_exposure: Exposure) -> None:
    ours, expected = measure_case(
        folder,
        ["base_TransformedCentroid", NAME],
        reference_wcs=reference_exposure.wcs,
        reference_aliases=ALIASES,
    )
    names = [name for name in expected.colnames if name.startswith(NAME)]
    assert [name for name in ours.colnames if name.startswith(NAME)] == names
    flags = {f"{NAME}_flag{flag}" for flag in ("", "_edge", "_bad_radius", "_bad_shape")}
    assert differences(ours, expected, [name for name in names if name not in flags]) == []
    # The pipelines leave NaN without a flag.
    reference = Table.read(folder / "reference.ecsv")
    is_nan = np.isnan(expected[f"{NAME}_instFlux"])
    np.testing.assert_array_equal(ours[f"{NAME}_flag"], is_nan)
    # Theirs is set where the radius is 0.
    assert (is_nan & ~np.asarray(expected[f"{NAME}_flag"])).sum() == 8
    radius = np.asarray(reference[f"{NAME}_radius"])
    xx, yy, xy = (np.asarray(reference[f"base_SdssShape_{name}"]) for name in ("xx", "yy", "xy"))
    is_ellipse = xx * yy > xy**2
    at_six_sigma = radius == reference[f"{NAME}_radius_for_radius"]
    np.testing.assert_array_equal(ours[f"{NAME}_flag_bad_radius"], ~(radius > 0) | at_six_sigma)
    np.testing.assert_array_equal(ours[f"{NAME}_flag_bad_shape"], ~is_ellipse)
    np.testing.assert_array_equal(ours[f"{NAME}_flag_edge"], is_nan & (radius > 0) & is_ellipse)
    assert np.isfinite(ours[f"{NAME}_instFlux"][at_six_sigma]).all()


@pytest.mark.parametrize(
    ("file", "settings"),
    [("reference_measured.ecsv", KronSettings()), ("reference_measured_options.ecsv", OPTIONS)],
)
def test_measured(folder: Path, reference_exposure: Exposure, file: str, settings: KronSettings) -> None:
    expected = Table.read(folder / file)
    ours = measure(folder, reference_exposure, expected, settings)
    theirs = {name: np.asarray(expected[f"{NAME}_{column(name)}"]) for name in MeasuredKron._fields}
    correction = np.asarray(expected[f"{NAME}_apCorr"]) if f"{NAME}_apCorr" in expected.colnames else 1.0
    # Where the radius is left at the size of the ellipse in which it was measured.
    is_wrong = theirs["radius"] == theirs["radius_for_radius"]
    # Sources without a shape whose radius cannot be measured.
    is_wrong |= theirs["flag_bad_radius"] & theirs["flag_bad_shape"]
    if settings.n_iterations > 1:
        # The same made these leave the image.
        is_wrong |= theirs["flag_edge"] & ~ours.flag_edge
        assert is_wrong.sum() == 33 + 8 + 6
    else:
        assert is_wrong.sum() == 3 + 2
    assert_flags(ours, theirs, ~is_wrong)
    error = theirs["flux_err"]
    for name in ("flux", "flux_err"):
        found = np.where(is_wrong, np.nan, getattr(ours, name) * correction)
        goal = np.where(is_wrong, np.nan, theirs[name])
        np.testing.assert_array_equal(np.isnan(found), np.isnan(goal))
        assert np.nanmax(np.abs(found - goal) / (1e-5 * np.abs(goal) + 1e-3 * error)) < 1.0
    for name in ("radius", "radius_for_radius", "psf_radius"):
        # The pipelines give no radius where its aperture left the image.
        compared = ~is_wrong & ~theirs["flag_edge"]
        np.testing.assert_allclose(getattr(ours, name)[compared], theirs[name][compared], rtol=1e-6)


def measure(folder: Path, exposure: Exposure, table: Table, settings: KronSettings) -> MeasuredKron:
    """Measure on the reference image, from the table's centroids and shapes."""
    assert exposure.psf is not None
    assert exposure.variance is not None
    x, y = np.asarray(table["base_SdssCentroid_x"]), np.asarray(table["base_SdssCentroid_y"])
    shapes = np.stack([np.asarray(table[f"base_SdssShape_{name}"]) for name in ("xx", "yy", "xy")], axis=1)
    radii = None
    if settings is OPTIONS:
        with np.load(folder / "reference_footprints.npz") as footprints:
            radii = footprint_radii(Spans.of([footprints[f"spans_{row}"] for row in range(len(table))]))
    return measured_kron_fluxes(
        exposure.image,
        exposure.variance,
        x,
        y,
        shapes,
        np.asarray(table["base_SdssShape_flag"]),
        exposure.psf.moments(x, y),
        radii,
        settings=settings,
        x0=exposure.x0,
        y0=exposure.y0,
    )


def column(name: str) -> str:
    """Return the column of a result."""
    return {"flux": "instFlux", "flux_err": "instFluxErr"}.get(name, name)


def assert_flags(ours: MeasuredKron, theirs: dict[str, Any], rows: BoolArray) -> None:
    for name in MeasuredKron._fields:
        if name.startswith("flag"):
            np.testing.assert_array_equal(getattr(ours, name)[rows], theirs[name][rows], err_msg=name)
