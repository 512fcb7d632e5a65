"""base_TransformedShape: the reference catalog's shapes, as they are on the image."""

from typing import Any

import numpy as np

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray, FloatArray
from ..errors import ConfigurationError, ExposureError
from .base import SHAPE_ORDER, ForcedPlugin, SourceBatch, missing_component, registry


class TransformedShape(ForcedPlugin):
    """The reference shape, mapped by the two WCS, linearised at the reference centroid."""

    execution_order = SHAPE_ORDER

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        name = self.name
        schema.add_field(f"{name}_xx", "float64", "transformed reference shape x^2 moment", "pix2")
        schema.add_field(f"{name}_yy", "float64", "transformed reference shape y^2 moment", "pix2")
        schema.add_field(f"{name}_xy", "float64", "transformed reference shape xy moment", "pix2")
        if self.reference_schema.has("slot_Shape_flag"):
            schema.add_field(f"{name}_flag", "bool", "whether the reference shape is marked as bad")

    def measure(self, batch: SourceBatch) -> None:
        columns, name = batch.columns, self.name
        shapes = self._reference_shapes(batch)
        if batch.exposure.wcs is None:
            raise ExposureError(missing_component(batch.exposure, "WCS"))
        if batch.reference_wcs is not batch.exposure.wcs:
            from ..exposure.transform import linearize_between

            x, y = batch.reference["slot_Centroid_x"], batch.reference["slot_Centroid_y"]
            matrix = linearize_between(batch.reference_wcs, batch.exposure.wcs, x, y)
            shapes = matrix @ shapes @ matrix.transpose(0, 2, 1)
        columns[f"{name}_xx"][:] = shapes[:, 0, 0]
        columns[f"{name}_yy"][:] = shapes[:, 1, 1]
        columns[f"{name}_xy"][:] = shapes[:, 0, 1]
        if f"{name}_flag" in columns:
            columns[f"{name}_flag"][:] = batch.reference["slot_Shape_flag"] | ~np.isfinite(shapes).all(axis=(1, 2))

    def reach(self, batch: SourceBatch) -> float:  # noqa: ARG002
        """Return 0: no pixel is read."""
        return 0.0

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:  # noqa: ARG002
        if f"{self.name}_flag" in columns:
            columns[f"{self.name}_flag"][rows] = True

    def _reference_shapes(self, batch: SourceBatch) -> FloatArray:
        """Return the reference's second moments, pixel^2, shape (n, 2, 2)."""
        needed = ["slot_Shape_xx", "slot_Shape_yy", "slot_Shape_xy", "slot_Centroid_x", "slot_Centroid_y"]
        missing = [field for field in needed if not self.reference_schema.has(field)]
        if missing:
            raise ConfigurationError(
                f"{self.name} needs {', '.join(missing)} of the reference catalog, which has none; "
                "give it one with centroids and shapes, or use base_SdssShape."
            )
        xx, yy, xy = (batch.reference[f"slot_Shape_{moment}"] for moment in ("xx", "yy", "xy"))
        return np.stack([xx, xy, xy, yy], axis=1).astype(np.float64).reshape(-1, 2, 2)


registry.register("base_TransformedShape", TransformedShape)
