"""PhotoCalib under the pipelines' names, on numbers, arrays and catalogs."""

from typing import Any

import numpy as np
import pytest

from forcedphot.catalog.schema import Field, Schema
from forcedphot.catalog.source_catalog import SourceCatalog
from forcedphot.conventions import Box, CellGrid
from forcedphot.errors import ConfigurationError
from forcedphot.exposure import CellField, PhotoCalib

PHOTO_CALIB = PhotoCalib(0.5, 0.05)


@pytest.fixture
def catalog() -> SourceCatalog:
    names = ("base_PsfFlux_instFlux", "base_PsfFlux_instFluxErr", "base_SdssCentroid_x", "base_SdssCentroid_y")
    schema = Schema([Field(name, "float64") for name in names], {"slot_Centroid": "base_SdssCentroid"})
    values = ([100.0, -3.0, 0.0, np.nan], [2.0, 2.0, 2.0, 2.0], [0.0, 0.0, 1.0, 1.0], [0.0] * 4)
    return SourceCatalog(schema, dict(zip(names, map(np.array, values), strict=True)))


def test_the_tutorials_magnitudes(catalog: SourceCatalog) -> None:
    PHOTO_CALIB.setThrowOnNegativeFlux(False)
    magnitudes = PHOTO_CALIB.getMagnitude(catalog["base_PsfFlux_instFlux"])
    assert magnitudes[0] == pytest.approx(31.4 - 2.5 * np.log10(50.0))
    assert np.isnan(magnitudes[1:]).all()
    with pytest.raises(ConfigurationError, match="never raise an error"):
        PHOTO_CALIB.setThrowOnNegativeFlux(True)


def test_numbers_and_arrays() -> None:
    assert PHOTO_CALIB.instFluxToNanojansky(100.0) == 50.0
    value, error = PHOTO_CALIB.instFluxToNanojansky(100.0, 2.0)
    assert (value, error) == (50.0, pytest.approx(np.hypot(1.0, 5.0)))
    fluxes = PHOTO_CALIB.instFluxToNanojansky([1, 2], [0, 0])
    assert fluxes.value.tolist() == [0.5, 1.0]
    magnitude = PHOTO_CALIB.instFluxToMagnitude(100.0, 2.0)
    assert magnitude.value == PHOTO_CALIB.instFluxToMagnitude(100.0)
    assert magnitude.error == pytest.approx(2.5 / np.log(10.0) * error / value)


def test_what_it_says_of_itself() -> None:
    assert (PHOTO_CALIB.getCalibrationMean(), PHOTO_CALIB.getCalibrationErr()) == (0.5, 0.05)
    assert PHOTO_CALIB.instFluxToMagnitude(PHOTO_CALIB.getInstFluxAtZeroMagnitude()) == pytest.approx(
        0.0, abs=1e-9
    )


@pytest.fixture
def varying() -> PhotoCalib:
    return PhotoCalib(1.0, 0.0, CellField(CellGrid(Box(0, 0, 2, 1), 1, 1), np.array([[2.0, 4.0]])))


def test_positions(varying: PhotoCalib, catalog: SourceCatalog) -> None:
    assert varying.getLocalCalibration((1.0, 0.0)) == 4.0
    assert varying.instFluxToNanojansky([1.0, 1.0], None, ([0.0, 1.0], [0.0, 0.0])).tolist() == [2.0, 4.0]
    assert varying.instFluxToNanojansky(1.0) == 1.0
    assert varying.instFluxToNanojansky(catalog, "base_PsfFlux")[:2].tolist() == [[200.0, 4.0], [-6.0, 4.0]]


def test_catalogs(catalog: SourceCatalog) -> None:
    fluxes: Any = PHOTO_CALIB.instFluxToNanojansky(catalog, "base_PsfFlux")
    assert fluxes.shape == (4, 2)
    magnitudes: Any = PHOTO_CALIB.instFluxToMagnitude(catalog, "base_PsfFlux")
    assert np.isnan(magnitudes).sum() == 6
    calibrated = PHOTO_CALIB.calibrateCatalog(catalog, ["base_PsfFlux"])
    for i, suffix in enumerate(("", "Err")):
        np.testing.assert_array_equal(calibrated[f"base_PsfFlux_flux{suffix}"], fluxes[:, i])
        np.testing.assert_array_equal(calibrated[f"base_PsfFlux_mag{suffix}"], magnitudes[:, i])
    assert calibrated.schema["base_PsfFlux_flux"].unit == "nJy"
