"""ext_shapeHSM_HigherOrderMomentsSource, HigherOrderMomentsPSF: what second moments leave open."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from lsst.pex.config import Field, ListField

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray, FloatArray, nearest_pixel
from ..errors import ConfigurationError
from .bad_pixels import bad_pixels
from .base import FLUX_ORDER, ForcedPlugin, ForcedPluginConfig, SourceBatch, registry
from .footprint_reach import footprint_reach


class HigherOrderMomentsConfig(ForcedPluginConfig):
    """Configuration that both share."""

    min_order = Field[int](doc="Lowest order of the moments", default=3)
    max_order = Field[int](doc="Highest order of the moments", default=4)

    def validate(self) -> None:
        """Refuse orders that there are not."""
        super().validate()
        if not 0 <= self.min_order <= self.max_order:
            raise ConfigurationError(
                f"min_order is 0 or more, and max_order not less; got {self.min_order} and {self.max_order}."
            )


class HigherOrderMomentsSourceConfig(HigherOrderMomentsConfig):
    """Configuration of ext_shapeHSM_HigherOrderMomentsSource."""

    badMaskPlanes = ListField[str](doc="Mask planes, in either vocabulary, of bad pixels", default=["BAD", "SAT"])
    setMaskedPixelsToZero = Field[bool](
        doc="Count bad pixels as 0? If not, they count as the Gaussian of the second moments.", default=False
    )


class HigherOrderMomentsPSFConfig(HigherOrderMomentsConfig):
    """Configuration of ext_shapeHSM_HigherOrderMomentsPSF."""

    useSourceCentroidOffset = Field[bool](
        doc="Measure the PSF as it is drawn at the source, off the middle of its pixel? Then "
        "ext_shapeHSM_HsmPsfMoments is to have subtractCenter.",
        default=False,
    )


class HigherOrderMoments(ForcedPlugin):
    """Moments in the frame in which the second moments, those of an HSM plugin, are a circle's."""

    execution_order = FLUX_ORDER
    subject: ClassVar[str]
    """What is measured."""
    second_moments: ClassVar[str]
    """The plugin that finds the second moments."""

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        from ..kernels.hsm_higher_moments import moment_orders

        if not schema.has(f"{self.second_moments}_xx"):
            raise ConfigurationError(f"{self.name} needs {self.second_moments}; add it to the plugins.")
        schema.add_field(f"{self.name}_flag", "bool", "General failure flag, set if anything went wrong")
        self._orders = moment_orders(self.config.min_order, self.config.max_order)
        for p, q in self._orders:
            schema.add_field(f"{self.name}_{p}{q}", "float64", f"Higher order moments M_{p}{q} for {self.subject}")

    @abstractmethod
    def find_moments(self, batch: SourceBatch, second: FloatArray) -> FloatArray:
        """Measure, given the second moments, shape (n, 3); return the higher ones, shape (n, number of orders)."""

    def measure(self, batch: SourceBatch) -> None:
        second = np.stack([batch.columns[f"{self.second_moments}_{part}"] for part in ("xx", "yy", "xy")], axis=1)
        second[batch.columns[f"{self.second_moments}_flag"]] = np.nan
        found = self.find_moments(batch, second)
        for (p, q), values in zip(self._orders, found.T, strict=True):
            batch.columns[f"{self.name}_{p}{q}"][:] = values
        batch.columns[f"{self.name}_flag"][:] = np.isnan(found).any(axis=1)

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:  # noqa: ARG002
        columns[f"{self.name}_flag"][rows] = True


class HigherOrderMomentsSource(HigherOrderMoments):
    """The moments of the source, in the box around its footprint, about the centre of the second moments."""

    ConfigClass = HigherOrderMomentsSourceConfig
    subject = "source"
    second_moments = "ext_shapeHSM_HsmSourceMoments"

    def find_moments(self, batch: SourceBatch, second: FloatArray) -> FloatArray:
        from ..kernels.hsm_higher_moments import source_higher_moments

        exposure = batch.exposure
        mask, bad_bits = bad_pixels(exposure, self.config.badMaskPlanes)
        return source_higher_moments(
            exposure.image,
            mask,
            bad_bits,
            batch.footprints.boxes() - np.array([exposure.x0, exposure.y0, exposure.x0, exposure.y0]),
            batch.columns[f"{self.second_moments}_x"] - exposure.x0,
            batch.columns[f"{self.second_moments}_y"] - exposure.y0,
            second,
            self._orders,
            is_bad_zero=self.config.setMaskedPixelsToZero,
        )

    def reach(self, batch: SourceBatch) -> FloatArray:
        return footprint_reach(batch)


class HigherOrderMomentsPSF(HigherOrderMoments):
    """The moments of the PSF at the source."""

    ConfigClass = HigherOrderMomentsPSFConfig
    subject = "PSF"
    second_moments = "ext_shapeHSM_HsmPsfMoments"

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:
        super().declare(schema, metadata)
        self.use_centroid(schema)

    def find_moments(self, batch: SourceBatch, second: FloatArray) -> FloatArray:
        from ..kernels.hsm_higher_moments import stamp_higher_moments

        if self.config.useSourceCentroidOffset:
            stamps = batch.psf_images
            x = batch.x - nearest_pixel(batch.x) + batch.columns[f"{self.second_moments}_x"]
            y = batch.y - nearest_pixel(batch.y) + batch.columns[f"{self.second_moments}_y"]
            return stamp_higher_moments(stamps.images, x, y, stamps.heights, stamps.widths, second, self._orders)
        kernels = batch.psf_kernels
        middle = np.zeros(len(batch))
        return stamp_higher_moments(
            kernels.images, middle, middle, kernels.heights, kernels.widths, second, self._orders
        )

    def reach(self, batch: SourceBatch) -> float:  # noqa: ARG002
        return 0.0


registry.register("ext_shapeHSM_HigherOrderMomentsSource", HigherOrderMomentsSource)
registry.register("ext_shapeHSM_HigherOrderMomentsPSF", HigherOrderMomentsPSF)
