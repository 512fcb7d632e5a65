"""CatalogCalculationPlugin: what a calculation declares and does; the registry."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from lsst.pex.config import Config, Registry

from ..catalog.schema import Schema
from ..catalog.source_catalog import SourceCatalog


class CatalogCalculationPluginConfig(Config):
    """Configuration that all catalog calculations share."""


class CatalogCalculationPlugin(ABC):
    """A calculation on a finished catalog.

    Parameters
    ----------
    config
        Its configuration.
    name
        The name it is registered under; begins all its fields.
    schema
        Schema to declare fields in.
    """

    ConfigClass: ClassVar[type[CatalogCalculationPluginConfig]] = CatalogCalculationPluginConfig
    execution_order: ClassVar[float] = 5.0

    def __init__(self, config: Any, name: str, schema: Schema) -> None:
        self.config = config
        self.name = name
        self.declare(schema)

    @abstractmethod
    def declare(self, schema: Schema) -> None:
        """Add the plugin's fields to the schema."""

    @abstractmethod
    def calculate(self, catalog: SourceCatalog) -> None:
        """Fill the plugin's columns from the others, ``catalog[name]`` by field or alias."""


registry = Registry(CatalogCalculationPluginConfig)
"""Catalog calculations by name."""
