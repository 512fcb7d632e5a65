"""Catalog calculations: one module a family; importing this package registers them."""

from . import extendedness, footprint_area
from .base import CatalogCalculationPlugin, CatalogCalculationPluginConfig, registry
from .task import CatalogCalculationConfig, CatalogCalculationTask

__all__ = [
    "CatalogCalculationConfig",
    "CatalogCalculationPlugin",
    "CatalogCalculationPluginConfig",
    "CatalogCalculationTask",
    "extendedness",
    "footprint_area",
    "registry",
]
