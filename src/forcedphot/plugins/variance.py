"""base_Variance: the variance of the pixels around the source."""

from typing import Any

import numpy as np
from lsst.pex.config import Field, ListField

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray
from .bad_pixels import bad_pixels
from .base import FLUX_ORDER, ForcedPlugin, ForcedPluginConfig, SourceBatch, registry


class VarianceConfig(ForcedPluginConfig):
    """Configuration of base_Variance."""

    scale = Field[float](doc="Factor to multiply the axes of the shape with", default=5.0)
    mask = ListField[str](
        doc="Mask planes, in either vocabulary, whose pixels are left out",
        default=["DETECTED", "DETECTED_NEGATIVE", "BAD", "SAT"],
    )


class Variance(ForcedPlugin):
    """The median variance in the ellipse of the shape slot, enlarged so that it reaches the background."""

    ConfigClass = VarianceConfig
    execution_order = FLUX_ORDER

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        name = self.name
        schema.add_field(f"{name}_flag", "bool", "Set for any fatal failure")
        schema.add_field(f"{name}_value", "float64", "Variance at object position")
        schema.add_field(
            f"{name}_flag_emptyFootprint", "bool", "Set to True when the footprint has no usable pixels"
        )
        self.use_centroid(schema)

    def measure(self, batch: SourceBatch) -> None:
        from ..kernels.variance_median import variance_medians

        columns, name = batch.columns, self.name
        mask, bad_bits = bad_pixels(batch.exposure, self.config.mask)
        moments = np.stack([batch.column(f"slot_Shape_{part}") for part in ("xx", "yy", "xy")], axis=1)
        result = variance_medians(
            batch.variance,
            mask,
            bad_bits,
            batch.x_in_array,
            batch.y_in_array,
            moments * self.config.scale**2,
        )
        columns[f"{name}_value"][:] = result.median
        columns[f"{name}_flag_emptyFootprint"][:] = result.n_pixels == 0
        columns[f"{name}_flag"][:] = np.isnan(result.median)

    def flag_bad_slots(self, batch: SourceBatch) -> None:
        """Do nothing: the variance around a bad centroid counts, as in the pipelines; the alias tells."""

    def reach(self, batch: SourceBatch) -> float:  # noqa: ARG002
        return 0.0

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:  # noqa: ARG002
        columns[f"{self.name}_flag"][rows] = True


registry.register("base_Variance", Variance)
