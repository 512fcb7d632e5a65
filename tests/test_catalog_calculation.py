"""Catalog calculations see the corrected fluxes, and their columns are in the table."""

from collections.abc import Iterator

import numpy as np
import pytest
from lsst.pex.config import Field

from forcedphot import ForcedMeasurementDriverConfig, ForcedMeasurementDriverTask
from forcedphot.catalog.schema import Schema
from forcedphot.catalog.source_catalog import SourceCatalog
from forcedphot.catalog_calculation import CatalogCalculationPlugin, CatalogCalculationPluginConfig, registry
from forcedphot.simulation import simulate_exposure


class SignalToNoiseConfig(CatalogCalculationPluginConfig):
    factor = Field[float](doc="Factor", default=1.0)


class SignalToNoise(CatalogCalculationPlugin):
    ConfigClass = SignalToNoiseConfig

    def declare(self, schema: Schema) -> None:
        schema.add_field(f"{self.name}_value", "float64", "PSF flux over its error")

    def calculate(self, catalog: SourceCatalog) -> None:
        ratio = catalog["base_PsfFlux_instFlux"] / catalog["base_PsfFlux_instFluxErr"]
        catalog[f"{self.name}_value"][:] = self.config.factor * ratio


class Rounded(SignalToNoise):
    execution_order = 6.0  # after the other

    def calculate(self, catalog: SourceCatalog) -> None:
        catalog[f"{self.name}_value"][:] = np.round(catalog["test_SignalToNoise_value"])


@pytest.fixture
def config() -> Iterator[ForcedMeasurementDriverConfig]:
    plugins = {"test_SignalToNoise": SignalToNoise, "test_Rounded": Rounded}
    for name, plugin in plugins.items():
        registry.register(name, plugin)
    config = ForcedMeasurementDriverConfig()
    config.doRunCatalogCalculation = True
    config.catalogCalculation.plugins.names = list(plugins)
    config.catalogCalculation.plugins["test_SignalToNoise"].factor = 2.0
    yield config
    for name in plugins:
        del registry._dict[name]


def test_calculations_follow_measurement_and_correction(config: ForcedMeasurementDriverConfig) -> None:
    field = simulate_exposure(shape=(300, 300), n_sources=5, seed=1)

    table = ForcedMeasurementDriverTask(config=config).runFromAstropy(field.catalog, field.exposure)

    expected = 2.0 * table["base_PsfFlux_instFlux"] / table["base_PsfFlux_instFluxErr"]
    np.testing.assert_array_equal(table["test_SignalToNoise_value"], expected)
    np.testing.assert_array_equal(table["test_Rounded_value"], np.round(expected))
    # Fields are declared in the order of execution.
    assert table.colnames[-2:] == ["test_SignalToNoise_value", "test_Rounded_value"]
