"""SimpleForcedMeasurementTask beside the driver, which measures the same."""

import numpy as np
import pytest

from forcedphot import (
    ForcedMeasurementDriverConfig,
    ForcedMeasurementDriverTask,
    SimpleForcedMeasurementConfig,
    SimpleForcedMeasurementTask,
)
from forcedphot.errors import InputTableError
from forcedphot.simulation import simulate_exposure


def test_it_measures_what_the_driver_does() -> None:
    field = simulate_exposure(shape=(300, 300), n_sources=7, seed=2)
    table = field.catalog["objectId", "coord_ra", "coord_dec"]
    table.rename_columns(["objectId", "coord_ra", "coord_dec"], ["diaObjectId", "ra", "dec"])
    table["note"] = [f"source {i}" for i in range(len(table))]
    config = SimpleForcedMeasurementConfig()
    config.psfFootprintScaling = 2.0

    result = SimpleForcedMeasurementTask(config=config).run(table, field.exposure)

    driver = ForcedMeasurementDriverConfig()
    driver.doApCorr = False
    driver.measurement.plugins.names = config.plugins.names
    expected = ForcedMeasurementDriverTask(config=driver).runFromAstropy(
        field.catalog, field.exposure, psf_footprint_scaling=2.0
    )
    assert result.table.colnames[:4] == ["diaObjectId", "ra", "dec", "note"]
    measured = [name for name in result.table.colnames if name.startswith(("base_", "slot_"))]
    assert measured == [name for name in expected.colnames if name.startswith(("base_", "slot_"))]
    for name in measured:
        np.testing.assert_array_equal(result.table[name], expected[name])
    np.testing.assert_array_equal(result.catalog["id"], table["diaObjectId"])


def test_columns_that_are_to_be_measured() -> None:
    field = simulate_exposure(shape=(300, 300), n_sources=7, seed=2)
    config = SimpleForcedMeasurementConfig()
    config.refCatIdColumn, config.refCatRaColumn, config.refCatDecColumn = "objectId", "coord_ra", "coord_dec"
    table = field.catalog.copy()
    table["base_PsfFlux_instFlux"] = 1.0
    with pytest.raises(InputTableError, match="to be measured: base_PsfFlux_instFlux"):
        SimpleForcedMeasurementTask(config=config).run(table, field.exposure)


def test_execution_order() -> None:
    field = simulate_exposure(shape=(300, 300), n_sources=7, seed=2)
    config = SimpleForcedMeasurementConfig()
    config.refCatIdColumn, config.refCatRaColumn, config.refCatDecColumn = "objectId", "coord_ra", "coord_dec"
    result = SimpleForcedMeasurementTask(config=config).run(field.catalog, field.exposure, endOrder=2.0)
    assert np.isnan(result.table["base_PsfFlux_instFlux"]).all()
    assert np.isfinite(result.table["slot_Centroid_x"]).all()
