"""ext_shapeHSM_HsmSourceMoments, HsmSourceMomentsRound, HsmPsfMoments: adaptive moments of sources and PSF."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from lsst.pex.config import Field, ListField

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray, FloatArray, nearest_pixel
from ..errors import ConfigurationError
from .bad_pixels import bad_pixels
from .base import SHAPE_ORDER, ForcedPlugin, ForcedPluginConfig, SourceBatch, registry
from .footprint_reach import footprint_reach

if TYPE_CHECKING:
    from ..kernels.hsm_moments import HsmMoments

SHAPE_FLAGS = {
    "flag": "General failure flag, set if anything went wrong",
    "flag_no_pixels": "No pixels to measure",
    "flag_not_contained": "Center not contained in footprint bounding box",
    "flag_parent_source": "Parent source, ignored",
    "flag_galsim": "GalSim failure",
}
"""Flags of all HSM plugins. The pipelines declare them, but set the first alone; so do these plugins."""

_MOMENT_FLAGS = SHAPE_FLAGS | {
    "flag_invalid_param": "Invalid combination of moments",
    "flag_edge": "Variance undefined outside image edge",
    "flag_no_psf": "Exposure lacks PSF",
}


class HsmMomentsConfig(ForcedPluginConfig):
    """Configuration that all HSM moments share."""

    roundMoments = Field[bool](doc="Use a circle as weight?", default=False)
    addFlux = Field[bool](doc="Store the flux of the matching Gaussian?", default=False)
    subtractCenter = Field[bool](doc="Store x and y relative to the center that was started from?", default=False)


class HsmSourceMomentsConfig(HsmMomentsConfig):
    """Configuration of ext_shapeHSM_HsmSourceMoments."""

    badMaskPlanes = ListField[str](
        doc="Mask planes, in either vocabulary, whose pixels count as 0", default=["BAD", "SAT"]
    )


class HsmSourceMomentsRoundConfig(HsmSourceMomentsConfig):
    """Configuration of ext_shapeHSM_HsmSourceMomentsRound."""

    def setDefaults(self) -> None:
        super().setDefaults()
        self.roundMoments = True

    def validate(self) -> None:
        """Refuse another weight."""
        super().validate()
        if not self.roundMoments:
            raise ConfigurationError(
                "roundMoments of ext_shapeHSM_HsmSourceMomentsRound is True; for an ellipse as weight, use "
                "ext_shapeHSM_HsmSourceMoments."
            )


class HsmPsfMomentsConfig(HsmMomentsConfig):
    """Configuration of ext_shapeHSM_HsmPsfMoments."""

    useSourceCentroidOffset = Field[bool](
        doc="Measure the PSF as it is drawn at the source, off the middle of its pixel? If not, as it is drawn "
        "with its origin in the middle of a pixel.",
        default=False,
    )

    def setDefaults(self) -> None:
        super().setDefaults()
        self.subtractCenter = True


class HsmMomentsPlugin(ForcedPlugin):
    """Moments weighted by the Gaussian that matches what is measured, as galsim.hsm finds it."""

    execution_order = SHAPE_ORDER
    subject: ClassVar[str]
    """What is measured."""
    center_label: ClassVar[str] = "Centroid"
    moments_label: ClassVar[str] = "Adaptive moments"

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        name, subject = self.name, self.subject
        for flag, doc in _MOMENT_FLAGS.items():
            schema.add_field(f"{name}_{flag}", "bool", doc)
        self.use_centroid(schema)
        for axis in ("x", "y"):
            schema.add_field(
                f"{name}_{axis}",
                "float64",
                f"{self.center_label} of the {subject} via the HSM shape algorithm",
                "pix",
            )
        for moment in ("xx", "yy", "xy"):
            schema.add_field(
                f"{name}_{moment}",
                "float64",
                f"{self.moments_label} of the {subject} via the HSM shape algorithm",
                "pix2",
            )
        if self.config.addFlux:
            schema.add_field(f"{name}_Flux", "float64", f"Flux of the {subject} via the HSM shape algorithm")

    @abstractmethod
    def find_moments(self, batch: SourceBatch, psf_sigma: FloatArray) -> tuple[HsmMoments, FloatArray, FloatArray]:
        """Measure, given the PSF's size in pixels; return the moments, and the x and y that were started from."""

    def measure(self, batch: SourceBatch) -> None:
        columns, name = batch.columns, self.name
        psf_sigma = np.sqrt(0.5 * (batch.psf_moments[:, 0] + batch.psf_moments[:, 1]))
        moments, start_x, start_y = self.find_moments(batch, psf_sigma)
        is_relative = self.config.subtractCenter
        columns[f"{name}_x"][:] = moments.x - start_x if is_relative else moments.x
        columns[f"{name}_y"][:] = moments.y - start_y if is_relative else moments.y
        columns[f"{name}_xx"][:] = moments.xx
        columns[f"{name}_yy"][:] = moments.yy
        columns[f"{name}_xy"][:] = moments.xy
        if self.config.addFlux:
            # Without an ellipse, the pipelines store no flux.
            columns[f"{name}_Flux"][:] = np.where(np.isnan(moments.xx), np.nan, moments.flux)
        columns[f"{name}_flag"][:] = np.isnan(moments.xx)

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:  # noqa: ARG002
        columns[f"{self.name}_flag"][rows] = True


class HsmSourceMoments(HsmMomentsPlugin):
    """The moments of the source, in the box around its footprint."""

    ConfigClass = HsmSourceMomentsConfig
    subject = "source"

    def find_moments(self, batch: SourceBatch, psf_sigma: FloatArray) -> tuple[HsmMoments, FloatArray, FloatArray]:
        from ..kernels.hsm_moments import hsm_source_moments

        exposure = batch.exposure
        mask, bad_bits = bad_pixels(exposure, self.config.badMaskPlanes)
        moments = hsm_source_moments(
            exposure.image,
            mask,
            bad_bits,
            batch.footprints.boxes() - np.array([exposure.x0, exposure.y0, exposure.x0, exposure.y0]),
            batch.x_in_array,
            batch.y_in_array,
            2.5 * psf_sigma,
            is_round=self.config.roundMoments,
        )
        return moments._replace(x=moments.x + exposure.x0, y=moments.y + exposure.y0), batch.x, batch.y

    def reach(self, batch: SourceBatch) -> FloatArray:
        return footprint_reach(batch)


class HsmSourceMomentsRound(HsmSourceMoments):
    """The moments of the source under a circular weight."""

    ConfigClass = HsmSourceMomentsRoundConfig


class HsmPsfMoments(HsmMomentsPlugin):
    """The moments of the PSF at the source."""

    ConfigClass = HsmPsfMomentsConfig
    subject = "PSF"

    def find_moments(self, batch: SourceBatch, psf_sigma: FloatArray) -> tuple[HsmMoments, FloatArray, FloatArray]:
        from ..kernels.hsm_moments import HsmMoments, hsm_stamp_moments

        is_round = self.config.roundMoments
        if self.config.useSourceCentroidOffset:
            stamps = batch.psf_images
            moments = hsm_stamp_moments(
                stamps.images,
                stamps.x0,
                stamps.y0,
                stamps.heights,
                stamps.widths,
                batch.x,
                batch.y,
                psf_sigma,
                is_round=is_round,
            )
            return moments, batch.x, batch.y
        kernels = batch.psf_kernels
        # One image for all sources is measured once.
        n = min(1, len(batch)) if kernels.images.strides[0] == 0 else len(batch)
        middle = np.zeros(n)
        moments = hsm_stamp_moments(
            kernels.images[:n],
            -(kernels.widths[:n] // 2),
            -(kernels.heights[:n] // 2),
            kernels.heights[:n],
            kernels.widths[:n],
            middle,
            middle,
            psf_sigma[:n],
            is_round=is_round,
        )
        x, y = nearest_pixel(batch.x), nearest_pixel(batch.y)
        moments = HsmMoments(*(np.broadcast_to(values, len(batch)) for values in moments))
        return moments._replace(x=moments.x + x, y=moments.y + y), x, y

    def reach(self, batch: SourceBatch) -> float:  # noqa: ARG002
        return 0.0


registry.register("ext_shapeHSM_HsmSourceMoments", HsmSourceMoments)
registry.register("ext_shapeHSM_HsmSourceMomentsRound", HsmSourceMomentsRound)
registry.register("ext_shapeHSM_HsmPsfMoments", HsmPsfMoments)
