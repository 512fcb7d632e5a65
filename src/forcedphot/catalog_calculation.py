"""CatalogCalculationTask: columns that follow from other columns, after all measurement."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from lsst.pex.config import Config, Registry

from .catalog.schema import Schema
from .catalog.source_catalog import SourceCatalog
from .task import Task


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


class CatalogCalculationConfig(Config):
    """Configuration of `CatalogCalculationTask`."""

    plugins = registry.makeField(doc="Calculations to run, and their configuration", default=[], multi=True)


class CatalogCalculationTask(Task):
    """Runs catalog calculations, by execution order and name.

    Parameters
    ----------
    schema
        Schema of the columns; the calculations' fields are added.
    arguments
        Those of `Task`.
    """

    ConfigClass = CatalogCalculationConfig
    _DefaultName = "catalogCalculation"

    def __init__(self, *, schema: Schema, **arguments: Any) -> None:
        super().__init__(**arguments)
        names = sorted(self.config.plugins.names, key=lambda name: (registry[name].execution_order, name))
        self.plugins = [registry[name](self.config.plugins[name], name, schema) for name in names]

    def run(self, measCat: SourceCatalog) -> None:
        """Fill the calculations' columns of a catalog in place."""
        for plugin in self.plugins:
            plugin.calculate(measCat)
