"""example_Median: the median of the pixels in a box around each position."""

from typing import Any

import numpy as np
from lsst.pex.config import Field

from forcedphot import ForcedPlugin, ForcedPluginConfig, Schema
from forcedphot.catalog.schema import Columns
from forcedphot.conventions import BoolArray, nearest_pixel
from forcedphot.plugins import SourceBatch


class MedianConfig(ForcedPluginConfig):
    """Configuration of example_Median."""

    halfWidth = Field[int](doc="The box has 2 halfWidth + 1 pixels on a side", default=2)


class Median(ForcedPlugin):
    """The median of the pixels in a box."""

    ConfigClass = MedianConfig

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:
        schema.add_field(f"{self.name}_value", "float64", "median of the pixels in the box", "ct")
        schema.add_field(f"{self.name}_flag", "bool", "General Failure Flag")

    def measure(self, batch: SourceBatch) -> None:
        # One source at a time is slow, but nothing more is needed.
        h, exposure = self.config.halfWidth, batch.exposure
        column, row = nearest_pixel(batch.x_in_array).astype(int), nearest_pixel(batch.y_in_array).astype(int)
        for i in range(len(batch)):
            box = np.s_[row[i] - h : row[i] + h + 1, column[i] - h : column[i] + h + 1]
            if min(row[i], column[i]) < h:
                # What is raised here flags this source, and this one only.
                raise ValueError(f"the box around {batch.x[i]:.1f}, {batch.y[i]:.1f} leaves the image")
            batch.columns[f"{self.name}_value"][i] = np.median(exposure.image[box])

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:
        columns[f"{self.name}_flag"][rows] = True
