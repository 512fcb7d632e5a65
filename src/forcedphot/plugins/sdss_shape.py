"""base_SdssShape: adaptive moments of sources, and of the PSF at their centres."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from lsst.pex.config import Field

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray
from .base import SHAPE_ORDER, ForcedPlugin, ForcedPluginConfig, SourceBatch, registry

if TYPE_CHECKING:
    from ..kernels.sdss_shape import AdaptiveShapes

_SHIFT_LIMITS = 2.0, 10.0  # pixels; maxShift is moved into this range


class SdssShapeConfig(ForcedPluginConfig):
    """Configuration of base_SdssShape."""

    background = Field[float](doc="Subtracted from each pixel", default=0.0)
    maxIter = Field[int](doc="Largest number of iterations", default=100, check=lambda value: value > 0)
    maxShift = Field[float](
        doc="Largest shift of the centroid, pixels; 2 if it is less, 10 if it is more", default=0.0
    )
    tol1 = Field[float](doc="Tolerance of the ellipticities", default=1e-5)
    tol2 = Field[float](doc="Relative tolerance of the size", default=1e-4)
    doMeasurePsf = Field[bool](doc="Record the moments of the PSF too?", default=True)


class SdssShape(ForcedPlugin):
    """Second moments under the elliptical Gaussian that matches the source, about the centroid slot."""

    ConfigClass = SdssShapeConfig
    execution_order = SHAPE_ORDER

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        name, doc = self.name, "elliptical Gaussian adaptive moments"
        for moment in ("xx", "yy", "xy"):
            schema.add_field(f"{name}_{moment}", "float64", doc, "pix2")
        for moment in ("xx", "yy", "xy"):
            schema.add_field(f"{name}_{moment}Err", "float32", f"Standard deviation of {moment} moment", "pix2")
        for axis in ("x", "y"):
            schema.add_field(f"{name}_{axis}", "float64", doc, "pix")
        schema.add_field(f"{name}_instFlux", "float64", doc, "ct")
        schema.add_field(f"{name}_instFluxErr", "float64", "1-sigma instFlux uncertainty", "ct")
        if self.config.doMeasurePsf:
            for moment in ("xx", "yy", "xy"):
                schema.add_field(
                    f"{name}_psf_{moment}",
                    "float64",
                    "adaptive moments of the PSF model at the object position",
                    "pix2",
                )
        for moment in ("xx", "yy", "xy"):
            schema.add_field(
                f"{name}_instFlux_{moment}_Cov",
                "float32",
                f"uncertainty covariance between {name}_instFlux and {name}_{moment}",
                "pix2 ct",
            )
        schema.add_field(f"{name}_flag", "bool", "General Failure Flag")
        schema.add_field(f"{name}_flag_unweightedBad", "bool", "Both weighted and unweighted moments were invalid")
        schema.add_field(
            f"{name}_flag_unweighted",
            "bool",
            "Weighted moments converged to an invalid value; using unweighted moments",
        )
        schema.add_field(f"{name}_flag_shift", "bool", "centroid shifted by more than the maximum allowed amount")
        schema.add_field(f"{name}_flag_maxIter", "bool", "Too many iterations in adaptive moments")
        if self.config.doMeasurePsf:
            schema.add_field(f"{name}_flag_psf", "bool", "Failure in measuring PSF model shape")
        self.use_centroid(schema)

    def flag_bad_slots(self, batch: SourceBatch) -> None:
        """Do nothing: a shape is not bad because its centroid is flagged, as in the pipelines."""

    def measure(self, batch: SourceBatch) -> None:
        from ..kernels import moments

        columns, name = batch.columns, self.name
        shapes = self._shapes(batch)
        batch.reaches[name] = np.sqrt(2.0) * (shapes.radius + 1.0)
        for moment in ("xx", "yy", "xy"):
            columns[f"{name}_{moment}"][:] = getattr(shapes, moment)
            columns[f"{name}_{moment}Err"][:] = getattr(shapes, f"{moment}_err")
            columns[f"{name}_instFlux_{moment}_Cov"][:] = getattr(shapes, f"flux_{moment}_covariance")
        columns[f"{name}_x"][:] = shapes.x + batch.exposure.x0
        columns[f"{name}_y"][:] = shapes.y + batch.exposure.y0
        columns[f"{name}_instFlux"][:] = shapes.flux
        columns[f"{name}_instFluxErr"][:] = shapes.flux_err
        flags = {
            "unweightedBad": moments.UNWEIGHTED_BAD,
            "unweighted": moments.UNWEIGHTED,
            "shift": moments.SHIFTED,
            "maxIter": moments.NOT_CONVERGED,
        }
        for flag, bit in flags.items():
            columns[f"{name}_flag_{flag}"][:] = shapes.problems & bit != 0
        is_degenerate = ~(shapes.xx * shapes.yy >= (1.0 + 1e-6) * shapes.xy**2)
        columns[f"{name}_flag"][:] = (shapes.problems != 0) | is_degenerate
        if self.config.doMeasurePsf:
            psf = batch.psf_moments
            for i, moment in enumerate(("xx", "yy", "xy")):
                columns[f"{name}_psf_{moment}"][:] = psf[:, i]
            columns[f"{name}_flag_psf"][:] = ~np.isfinite(psf).all(axis=1)

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:  # noqa: ARG002
        columns[f"{self.name}_flag"][rows] = True

    def _shapes(self, batch: SourceBatch) -> AdaptiveShapes:
        from ..kernels.sdss_shape import adaptive_shapes

        return adaptive_shapes(
            batch.exposure.image,
            batch.variance,
            batch.x_in_array,
            batch.y_in_array,
            background=self.config.background,
            max_shift=float(np.clip(self.config.maxShift, *_SHIFT_LIMITS)),
            max_iterations=self.config.maxIter,
            ellipticity_tolerance=self.config.tol1,
            size_tolerance=self.config.tol2,
        )


registry.register("base_SdssShape", SdssShape)
