"""ApplyApCorrTask by itself: which fluxes it corrects, proxies, and what the image has no correction for."""

import numpy as np

from forcedphot import ApplyApCorrConfig, ApplyApCorrTask, ForcedMeasurementTask, SourceCatalog
from forcedphot.conventions import Box
from forcedphot.exposure import ConstantField
from forcedphot.measurement_config import ForcedMeasurementConfig
from forcedphot.references import REFERENCE_SCHEMA

CENTROID = "base_TransformedCentroidFromCoord"
FLUXES = ["base_PsfFlux", "undeblended_base_PsfFlux"]


def task() -> ForcedMeasurementTask:
    config = ForcedMeasurementConfig()
    config.plugins.names = [CENTROID, "base_PsfFlux", "base_CircularApertureFlux"]
    config.undeblended.names = ["base_PsfFlux"]
    config.slots.centroid, config.slots.shape = CENTROID, None
    return ForcedMeasurementTask(refSchema=REFERENCE_SCHEMA, config=config)


def correct(
    config: ApplyApCorrConfig, measurement: ForcedMeasurementTask, *, default: bool = False
) -> SourceCatalog:
    fluxes = None if default else measurement.corrected_fluxes
    corrections = ApplyApCorrTask(schema=measurement.schema, fluxes=fluxes, config=config)
    catalog = SourceCatalog(measurement.schema, measurement.schema.allocate(3))
    for name in FLUXES:
        catalog[f"{name}_instFlux"], catalog[f"{name}_instFluxErr"] = 100.0, 10.0
    catalog["slot_Centroid_x"], catalog["slot_Centroid_y"] = [5.0, 500.0, np.nan], 5.0
    corrections.run(catalog, {"base_PsfFlux_instFlux": ConstantField(1.5)}, bbox=Box(0, 0, 10, 10))
    return catalog


def test_registered_fluxes_are_corrected_on_the_image() -> None:
    for default in (False, True):
        catalog = correct(ApplyApCorrConfig(), task(), default=default)
        np.testing.assert_array_equal(catalog["base_PsfFlux_instFlux"], [150.0, 100.0, 100.0])
        np.testing.assert_array_equal(catalog["base_PsfFlux_instFluxErr"], [15.0, 10.0, 10.0])
        np.testing.assert_array_equal(catalog["base_PsfFlux_flag_apCorr"], [False, True, True])
        # An image has no corrections of undeblended fluxes, which are none the worse for it.
        assert not catalog.schema.has("undeblended_base_PsfFlux_apCorr")
        assert not catalog["undeblended_base_PsfFlux_flag"].any()
        assert not catalog.schema.has("base_CircularApertureFlux_3_0_apCorr")


def test_undeblended_fluxes_have_proxies() -> None:
    config = ApplyApCorrConfig()
    config.proxies = {"undeblended_base_PsfFlux": "base_PsfFlux"}
    catalog = correct(config, task())
    np.testing.assert_array_equal(catalog["undeblended_base_PsfFlux_instFlux"], [150.0, 100.0, 100.0])
    np.testing.assert_array_equal(catalog["undeblended_base_PsfFlux_flag"], [False, True, True])
