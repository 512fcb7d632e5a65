"""Plugins that raise: what they fail on is flagged and empty, the rest is measured, and the run ends well."""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from forcedphot import ForcedMeasurementTask, SourceCatalog
from forcedphot.catalog.schema import Columns, Schema
from forcedphot.conventions import BoolArray
from forcedphot.errors import ExposureError
from forcedphot.measurement_config import ForcedMeasurementConfig
from forcedphot.plugins import ForcedPlugin, SourceBatch, registry
from forcedphot.references import REFERENCE_SCHEMA, reference_catalog
from forcedphot.simulation import simulate_exposure

CENTROID = "base_TransformedCentroidFromCoord"


class Moody(ForcedPlugin):
    """Writes first, and then raises for every third source."""

    error: type[Exception] = ZeroDivisionError

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:
        schema.add_field(f"{self.name}_value", "float64", "id of the source")
        schema.add_field(f"{self.name}_count", "int32", "1")
        schema.add_field(f"{self.name}_flag", "bool", "General Failure Flag")

    def measure(self, batch: SourceBatch) -> None:
        batch.columns[f"{self.name}_value"][:] = batch.reference["id"]
        batch.columns[f"{self.name}_count"][:] = 1
        if (batch.reference["id"] % 3 == 0).any():
            raise self.error("every third")

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:
        columns[f"{self.name}_flag"][rows] = True


class Lacking(Moody):
    """Needs what no source can have."""

    error = ExposureError


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    plugins = {"test_Moody": Moody, "test_Lacking": Lacking}
    for name, plugin in plugins.items():
        registry.register(name, plugin)
    yield
    for name in plugins:
        del registry._dict[name]


def measure(plugin: str, *, replaced: bool = False, n_threads: int = 1) -> SourceCatalog:
    field = simulate_exposure(shape=(400, 400), n_sources=300, seed=3)
    ids, ra, dec = (np.asarray(field.catalog[name]) for name in ("objectId", "coord_ra", "coord_dec"))
    reference = reference_catalog(ids, np.radians(ra), np.radians(dec))
    config = ForcedMeasurementConfig()
    config.plugins.names = [CENTROID, "base_PsfFlux", plugin]
    config.slots.centroid, config.slots.shape = CENTROID, None
    config.doReplaceWithNoise = replaced
    task = ForcedMeasurementTask(refSchema=REFERENCE_SCHEMA, config=config)
    catalog = task.generateMeasCat(field.exposure, reference)
    task.attachPsfShapeFootprints(catalog, field.exposure)
    task.run(catalog, field.exposure, reference, n_threads=n_threads)
    return catalog


@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_what_raises_is_flagged_and_empty(
    caplog: pytest.LogCaptureFixture, replaced: bool, n_threads: int
) -> None:
    with caplog.at_level(logging.WARNING):
        catalog = measure("test_Moody", replaced=replaced, n_threads=n_threads)
    is_bad = catalog["objectId"] % 3 == 0
    assert 90 < is_bad.sum() < 110
    np.testing.assert_array_equal(catalog["test_Moody_flag"], is_bad)
    np.testing.assert_array_equal(catalog["test_Moody_value"], np.where(is_bad, np.nan, catalog["objectId"]))
    np.testing.assert_array_equal(catalog["test_Moody_count"], ~is_bad)
    assert np.isfinite(catalog["base_PsfFlux_instFlux"]).all()
    assert "test_Moody raised ZeroDivisionError: every third" in caplog.text


def test_what_the_image_lacks_ends_the_run() -> None:
    with pytest.raises(ExposureError, match="every third"):
        measure("test_Lacking")
