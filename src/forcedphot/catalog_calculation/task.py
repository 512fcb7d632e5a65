"""CatalogCalculationTask: columns that follow from other columns, after all measurement."""

from typing import Any

from lsst.pex.config import Config

from ..catalog.schema import Schema
from ..catalog.source_catalog import SourceCatalog
from ..task import Task
from .base import registry


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
