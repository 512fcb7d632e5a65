"""base_InputCount: how many images of a coadd contain the source."""

from typing import Any

from lsst.pex.config import Field

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray
from .base import SHAPE_ORDER, ForcedPlugin, ForcedPluginConfig, SourceBatch, registry


class InputCountConfig(ForcedPluginConfig):
    """Configuration of base_InputCount."""

    inValidPolygon = Field[bool](
        doc="Count only images whose valid polygon contains the source? The pipelines count by the boxes.",
        default=False,
    )


class InputCount(ForcedPlugin):
    """The number of detectors, of those that the coadd was made of, that contain the source's centre."""

    ConfigClass = InputCountConfig
    execution_order = SHAPE_ORDER

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        name = self.name
        schema.add_field(f"{name}_flag", "bool", "Set for any fatal failure")
        schema.add_field(
            f"{name}_value", "int32", "Number of images contributing at center, not including anyclipping"
        )
        schema.add_field(f"{name}_flag_noInputs", "bool", "No coadd inputs available")
        self.use_centroid(schema)

    def measure(self, batch: SourceBatch) -> None:
        columns, name = batch.columns, self.name
        inputs, wcs = batch.exposure.coadd_inputs, batch.exposure.wcs
        if inputs is None or wcs is None:
            columns[f"{name}_flag_noInputs"][:] = inputs is None
            columns[f"{name}_flag"][:] = True
            return
        ra, dec = wcs.pixel_to_sky(batch.x, batch.y)
        columns[f"{name}_value"][:] = inputs.count_ccds(ra, dec, in_valid_polygon=self.config.inValidPolygon)
        columns[f"{name}_flag"][:] = not inputs.all_located

    def flag_bad_slots(self, batch: SourceBatch) -> None:
        """Do nothing: the count at a bad centroid counts, as in the pipelines; the alias tells."""

    def reach(self, batch: SourceBatch) -> float:  # noqa: ARG002
        return 0.0

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:  # noqa: ARG002
        columns[f"{self.name}_flag"][rows] = True


registry.register("base_InputCount", InputCount)
