"""base_FootprintArea: the size of a source's footprint."""

import numpy as np

from ..catalog.footprint import spans_of
from ..catalog.schema import Schema
from ..catalog.source_catalog import SourceCatalog
from .base import CatalogCalculationPlugin, registry


class FootprintArea(CatalogCalculationPlugin):
    """The number of pixels of a source's footprint; 0 where there is none."""

    def declare(self, schema: Schema) -> None:
        schema.add_field(
            f"{self.name}_value", "int32", "Number of pixels in the source's detection footprint.", "pix"
        )

    def calculate(self, catalog: SourceCatalog) -> None:
        if catalog.footprints is None:
            return
        spans = spans_of(catalog.footprints)
        area = np.concatenate([[0], np.cumsum(spans.x1 - spans.x0 + 1)])
        catalog[f"{self.name}_value"] = np.diff(area[spans.first])


registry.register("base_FootprintArea", FootprintArea)
