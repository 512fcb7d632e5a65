"""base_Blendedness: how much of the light at a source is its neighbours'."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from lsst.pex.config import Field

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray, FloatArray
from .base import SHAPE_ORDER, ForcedPlugin, ForcedPluginConfig, SourceBatch, registry
from .footprint_reach import footprint_reach

if TYPE_CHECKING:
    from ..kernels.blendedness import WeightedMoments

_BLENDEDNESS = "Measure of how much the flux is affected by neighbors: (1 - child_instFlux/parent_instFlux).  "
_ON = {
    "raw": 'Operates on the "raw" pixel values.',
    "abs": (
        'Operates on the absolute value of the pixels to try to obtain a "de-noised" value.  '
        "See section 4.9.11 of Bosch et al. 2018, PASJ, 70, S5 for details."
    ),
}
_WEIGHTED = "measured with a Gaussian weight matched to the child.  "


class BlendednessConfig(ForcedPluginConfig):
    """Configuration of base_Blendedness."""

    doOld = Field[bool](doc="Compare the pixels in the footprint with and without neighbors?", default=True)
    doFlux = Field[bool](doc="Store the Gaussian-weighted fluxes?", default=True)
    doShape = Field[bool](doc="Store the Gaussian-weighted shapes?", default=True)
    nSigmaWeightMax = Field[float](doc="How far the weight reaches, in units of its sigma", default=3.0)


class Blendedness(ForcedPlugin):
    """Fluxes and shapes under the shape slot's Gaussian: of the child, and of the parent, the image as it was.

    Where neighbours are not replaced by noise, child and parent are the same. The pipelines have these
    fields in forced measurement but leave them empty; here they are what single-frame measurement has.
    """

    ConfigClass = BlendednessConfig
    execution_order = SHAPE_ORDER
    measured_last = True

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        name = self.name
        if self.config.doOld:
            schema.add_field(
                f"{name}_old",
                "float64",
                "Blendedness from dot products: (child.dot(parent)/child.dot(child) - 1)",
            )
        if self.config.doFlux:
            for kind, pixels in _ON.items():
                schema.add_field(f"{name}_{kind}", "float64", _BLENDEDNESS + pixels)
                for whose in ("child", "parent"):
                    schema.add_field(
                        f"{name}_{kind}_{whose}_instFlux",
                        "float64",
                        f"Instrumental flux of the {whose}, {_WEIGHTED}{pixels}",
                        "ct",
                    )
        if self.config.doShape:
            for kind, pixels in _ON.items():
                for whose in ("child", "parent"):
                    for moment in ("xx", "yy", "xy"):
                        schema.add_field(
                            f"{name}_{kind}_{whose}_{moment}",
                            "float64",
                            f"Shape of the {whose}, {_WEIGHTED}{pixels}",
                            "pix2",
                        )
        if self.config.doFlux or self.config.doShape:
            schema.add_field(f"{name}_flag", "bool", "General Failure Flag")
            schema.add_field(f"{name}_flag_noCentroid", "bool", "Object has no centroid")
            schema.add_field(f"{name}_flag_noShape", "bool", "Object has no shape")

    def measure(self, batch: SourceBatch) -> None:
        config, columns, name = self.config, batch.columns, self.name
        is_blended = batch.unreplaced_image is not batch.exposure.image
        if config.doOld:
            columns[f"{name}_old"][:] = self._excess_over_child(batch) if is_blended else 0.0
        if not (config.doFlux or config.doShape):
            return
        child = self._weighted_moments(batch, batch.exposure.image)
        parent = self._weighted_moments(batch, batch.unreplaced_image) if is_blended else child
        if batch.schema.has("slot_Centroid_flag"):
            columns[f"{name}_flag_noCentroid"][:] = batch.column("slot_Centroid_flag")
        no_shape = ~_are_ellipses(_shapes(batch))
        if batch.schema.has("slot_Shape_flag"):
            no_shape |= batch.column("slot_Shape_flag")
        columns[f"{name}_flag_noShape"][:] = no_shape
        columns[f"{name}_flag"][:] = no_shape
        for kind in _ON:
            for whose, moments in (("child", child), ("parent", parent)):
                if config.doFlux:
                    columns[f"{name}_{kind}_{whose}_instFlux"][:] = getattr(moments, f"{kind}_flux")
                if config.doShape:
                    for moment in ("xx", "yy", "xy"):
                        columns[f"{name}_{kind}_{whose}_{moment}"][:] = getattr(moments, f"{kind}_{moment}")
        if config.doFlux:
            with np.errstate(invalid="ignore", divide="ignore"):
                columns[f"{name}_raw"][:] = 1.0 - child.raw_flux / parent.raw_flux
                columns[f"{name}_abs"][:] = 1.0 - child.abs_flux / parent.abs_flux
            columns[f"{name}_flag"] |= parent.abs_flux == 0.0

    def reach(self, batch: SourceBatch) -> FloatArray:
        """Return the distance to the corner of the box around the weight or, if it is compared, the footprint."""
        shapes = _shapes(batch)
        trace = np.where(_are_ellipses(shapes), shapes[:, 0] + shapes[:, 1], 0.0)
        reach: FloatArray = self.config.nSigmaWeightMax * np.sqrt(trace)
        return np.maximum(reach, footprint_reach(batch)) if self.config.doOld else reach

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:  # noqa: ARG002
        if self.config.doFlux or self.config.doShape:
            columns[f"{self.name}_flag"][rows] = True

    def _weighted_moments(self, batch: SourceBatch, image: npt.NDArray[np.float32]) -> WeightedMoments:
        from ..kernels.blendedness import weighted_moments

        return weighted_moments(
            image, batch.variance, batch.x_in_array, batch.y_in_array, _shapes(batch), self.config.nSigmaWeightMax
        )

    @staticmethod
    def _excess_over_child(batch: SourceBatch) -> FloatArray:
        from ..kernels.blendedness import excess_over_child

        exposure = batch.exposure
        footprints = batch.footprints.shifted(-exposure.x0, -exposure.y0)
        return excess_over_child(exposure.image, batch.unreplaced_image, footprints)


def _shapes(batch: SourceBatch) -> FloatArray:
    """Return the shape slot's second moments, shape (n, 3): xx, yy, xy, pixel^2."""
    return np.stack([batch.column(f"slot_Shape_{moment}") for moment in ("xx", "yy", "xy")], axis=1)


def _are_ellipses(shapes: FloatArray) -> BoolArray:
    """Tell which second moments are finite and positive definite."""
    xx, yy, xy = shapes.T
    with np.errstate(invalid="ignore", over="ignore"):
        determinant = xx * yy - xy * xy
        result: BoolArray = (xx > 0.0) & (yy > 0.0) & (determinant > 0.0) & np.isfinite(determinant)
    return result


registry.register("base_Blendedness", Blendedness)
