"""Forced photometry for Rubin Observatory images, without the LSST stack.

The names below are imported when they are first used, so that ``import forcedphot`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "ApplyApCorrConfig": "aperture_correction",
    "ApplyApCorrTask": "aperture_correction",
    "CatalogCalculationConfig": "catalog_calculation",
    "CatalogCalculationTask": "catalog_calculation",
    "DetectorExposureIdGeneratorConfig": "id_generator",
    "DetectorVisitIdGeneratorConfig": "id_generator",
    "Exposure": "exposure",
    "ForcedMeasurementConfig": "measurement_config",
    "ForcedMeasurementDriverConfig": "driver",
    "ForcedMeasurementDriverTask": "driver",
    "ForcedMeasurementTask": "measurement",
    "ForcedPlugin": "plugins",
    "ForcedPluginConfig": "plugins",
    "IdGenerator": "id_generator",
    "PhotoCalib": "exposure",
    "Schema": "catalog.schema",
    "SimpleForcedMeasurementConfig": "simple_measurement",
    "SimpleForcedMeasurementTask": "simple_measurement",
    "SkyMapIdGeneratorConfig": "id_generator",
    "SourceCatalog": "catalog.source_catalog",
    "measure": "one_call",
}

__all__ = [
    "ApplyApCorrConfig",
    "ApplyApCorrTask",
    "CatalogCalculationConfig",
    "CatalogCalculationTask",
    "DetectorExposureIdGeneratorConfig",
    "DetectorVisitIdGeneratorConfig",
    "Exposure",
    "ForcedMeasurementConfig",
    "ForcedMeasurementDriverConfig",
    "ForcedMeasurementDriverTask",
    "ForcedMeasurementTask",
    "ForcedPlugin",
    "ForcedPluginConfig",
    "IdGenerator",
    "PhotoCalib",
    "Schema",
    "SimpleForcedMeasurementConfig",
    "SimpleForcedMeasurementTask",
    "SkyMapIdGeneratorConfig",
    "SourceCatalog",
    "measure",
]

if TYPE_CHECKING:
    from .aperture_correction import ApplyApCorrConfig, ApplyApCorrTask
    from .catalog.schema import Schema
    from .catalog.source_catalog import SourceCatalog
    from .catalog_calculation import CatalogCalculationConfig, CatalogCalculationTask
    from .driver import ForcedMeasurementDriverConfig, ForcedMeasurementDriverTask
    from .exposure import Exposure, PhotoCalib
    from .id_generator import (
        DetectorExposureIdGeneratorConfig,
        DetectorVisitIdGeneratorConfig,
        IdGenerator,
        SkyMapIdGeneratorConfig,
    )
    from .measurement import ForcedMeasurementTask
    from .measurement_config import ForcedMeasurementConfig
    from .one_call import measure
    from .plugins import ForcedPlugin, ForcedPluginConfig
    from .simple_measurement import SimpleForcedMeasurementConfig, SimpleForcedMeasurementTask


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
