"""ForcedPlugin: what a plugin declares and does; the batch that it measures; the registry."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from lsst.pex.config import Config, Field, Registry

from ..catalog.footprint import FootprintColumn, ShapedFootprints, first_peaks, spans_of
from ..catalog.schema import Columns, Schema
from ..catalog.source_catalog import SourceCatalog
from ..conventions import BoolArray, FloatArray, IntArray, Spans
from ..errors import ConfigurationError, ExposureError
from ..exposure import Exposure, Wcs
from ..psf.base import KernelImages, Psf, Stamps

CENTROID_ORDER = 0.0
SHAPE_ORDER = 1.0
FLUX_ORDER = 2.0

INVALID_PSF_FLAG = "base_InvalidPsf_flag"


class SourceBatch:
    """Sources that are measured together, all with their centre on the image.

    Parameters
    ----------
    exposure
        The image to measure; where neighbours are replaced by noise, with these sources only.
    columns
        Output arrays by field; plugins fill them in place.
    schema
        The output's fields and aliases.
    x, y
        Centres in the image's pixel frame.
    reference
        All of the reference catalog.
    rows
        These sources' rows of it.
    reference_wcs
        WCS of the reference catalog's positions in pixels.
    footprints
        The pixels that belong to each source; None for none.
    unreplaced_image
        The image before neighbours were replaced; the exposure's if None.

    Attributes
    ----------
    reaches
        How far from the centres plugins have read the image, by name, where that is known only then; see
        `ForcedPlugin.reach`.
    """

    def __init__(
        self,
        exposure: Exposure,
        columns: Columns,
        schema: Schema,
        x: FloatArray,
        y: FloatArray,
        *,
        reference: SourceCatalog,
        rows: IntArray,
        reference_wcs: Wcs,
        footprints: FootprintColumn | None = None,
        unreplaced_image: npt.NDArray[np.float32] | None = None,
    ) -> None:
        self.exposure = exposure
        self.columns = columns
        self.schema = schema
        self.x = x
        self.y = y
        self.rows = rows
        self.reference_wcs = reference_wcs
        self.unreplaced_image = exposure.image if unreplaced_image is None else unreplaced_image
        self.reaches: dict[str, float | FloatArray] = {}
        self._reference = reference
        self._footprints = footprints

    def __len__(self) -> int:
        return len(self.x)

    @property
    def x_in_array(self) -> FloatArray:
        """Centres as array coordinates, column."""
        return self.x - self.exposure.x0

    @property
    def y_in_array(self) -> FloatArray:
        """Centres as array coordinates, row."""
        return self.y - self.exposure.y0

    @cached_property
    def reference(self) -> SourceCatalog:
        """The sources' rows of the reference catalog."""
        return self._reference[self.rows]

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return an output array by the name of a field or an alias, such as ``slot_Shape_xx``.

        Raises
        ------
        UnknownFieldError
            If there is no such field.
        """
        return self.columns[self.schema.resolve(name)]

    @property
    def psf(self) -> Psf:
        """The exposure's PSF.

        Raises
        ------
        ExposureError
            If the exposure has none.
        """
        if self.exposure.psf is None:
            raise ExposureError(missing_component(self.exposure, "PSF"))
        return self.exposure.psf

    @property
    def variance(self) -> npt.NDArray[np.float32]:
        """The exposure's variance plane.

        Raises
        ------
        ExposureError
            If the exposure has none.
        """
        if self.exposure.variance is None:
            raise ExposureError(missing_component(self.exposure, "variance plane"))
        return self.exposure.variance

    @cached_property
    def psf_images(self) -> Stamps:
        """PSF images at the centres; sources without a valid PSF are flagged as they are found."""
        if self.psf.draws_kernels_first:
            stamps = self.psf_kernels.shifted_to(self.x, self.y)
        else:
            stamps = self.psf.images(self.x, self.y)
        self.columns[INVALID_PSF_FLAG] |= ~stamps.valid
        return stamps

    @cached_property
    def psf_kernels(self) -> KernelImages:
        """The PSF at the centres, in the middle of the images; sources without one are flagged."""
        kernels = self.psf.kernel_images(self.x, self.y)
        self.columns[INVALID_PSF_FLAG] |= ~kernels.valid
        return kernels

    @property
    def psf_valid(self) -> BoolArray:
        """Whether there is a PSF at each centre."""
        return self.psf_images.valid

    @cached_property
    def psf_moments(self) -> FloatArray:
        """Adaptive second moments of the PSF at the centres, shape (n, 3): xx, yy, xy in pixel^2; NaN if none."""
        if self.psf.draws_kernels_first:
            return self.psf_kernels.moments()
        return self.psf.moments(self.x, self.y)

    @cached_property
    def footprints(self) -> Spans:
        """The sources' footprints, in the image's pixel frame; empty where there is none."""
        if self._footprints is None:
            return Spans.of([np.zeros((0, 3), dtype=np.int64)] * len(self))
        footprints = self._footprints[self.rows]
        if isinstance(footprints, ShapedFootprints):
            return footprints.spans(self.psf_moments)
        return spans_of(footprints)

    @cached_property
    def peaks(self) -> tuple[FloatArray, FloatArray]:
        """First peaks of the footprints, x and y in the image's pixel frame; NaN where there is none."""
        if self._footprints is None:
            nowhere = np.full(len(self), np.nan)
            return nowhere, nowhere
        return first_peaks(self._footprints[self.rows])


def missing_component(exposure: Exposure, component: str) -> str:
    """Say that an exposure lacks something that the measurement needs."""
    unread = exposure.metadata.get("UNREAD_PSF") if component == "PSF" else None
    reason = f" (its PSF is a {unread}, which cannot be read yet)" if unread else ""
    return (
        f"The exposure ({exposure.identity}) has no {component}{reason}, which the measurement needs. Give it "
        "one, or leave out the plugins that use it."
    )


class ForcedPluginConfig(Config):
    """Configuration that all forced plugins share."""

    doMeasure = Field[bool](doc="Run this plugin? If not, its columns stay empty.", default=True)


class ForcedPlugin(ABC):
    """A measurement of batches of sources at known positions.

    A plugin declares its fields when it is made, fills them in `measure`, and says in `fail` what
    the row of a source looks like that could not be measured. It never raises for one source: it
    leaves NaN and sets flags. What it fills it may read again, as may those that run later.

    Parameters
    ----------
    config
        Its configuration, an instance of ``ConfigClass``.
    name
        The name that it is registered under; begins all its fields.
    schema
        Schema to declare fields in.
    metadata
        Mapping to record settings in that a reader of the table needs.
    reference_schema
        Schema of the reference catalog.

    Attributes
    ----------
    fields
        Names of the fields that it has declared.
    """

    ConfigClass: ClassVar[type[ForcedPluginConfig]] = ForcedPluginConfig
    execution_order: ClassVar[float] = FLUX_ORDER
    measured_last: ClassVar[bool] = False
    """Whether it is measured after all others, in whose slots it starts, wherever its fields stand."""
    aperture_corrected: ClassVar[bool] = False
    """Whether ``<name>_instFlux`` is one that aperture corrections apply to."""

    def __init__(
        self, config: Any, name: str, schema: Schema, metadata: dict[str, Any], reference_schema: Schema
    ) -> None:
        self.config = config
        self.name = name
        self.reference_schema = reference_schema
        self._bad_slots: list[tuple[str, str]] = []
        declared = len(schema)
        self.declare(schema, metadata)
        self.fields = schema.getOrderedNames()[declared:]

    @abstractmethod
    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:
        """Add the plugin's fields to the schema."""

    @abstractmethod
    def measure(self, batch: SourceBatch) -> None:
        """Fill the plugin's columns for all sources of the batch."""

    @abstractmethod
    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:
        """Set the flags of sources that are not measured.

        Parameters
        ----------
        columns
            Output arrays.
        rows
            The rows of those sources.
        off_image
            For each of them, True if the centre is outside the image, False if it is not finite or
            if measuring it raised.
        """

    def reach(self, batch: SourceBatch) -> float | FloatArray:
        """Return how far from each centre `measure` has read the image, pixels; asked after it.

        Where neighbours are replaced by noise, sources that do not reach each other are measured at
        once. The default is what `measure` has put into ``batch.reaches``, or infinity, which is right for
        all, and slow.
        """
        return batch.reaches.get(self.name, np.inf)

    @property
    def corrected_fluxes(self) -> list[str]:
        """Fluxes that aperture corrections apply to, without ``_instFlux``."""
        return [self.name] if self.aperture_corrected else []

    def use_centroid(
        self,
        schema: Schema,
        *,
        label: str = "badCentroid",
        prefix: str | None = None,
        flags: Iterable[str] | None = None,
    ) -> None:
        """Declare that the plugin starts from the centroid slot. Call it in `declare`.

        Parameters
        ----------
        schema
            The schema, in which the slots are set.
        label, prefix
            ``<prefix>_flag_<label>`` becomes an alias of the slot's flag; the prefix is the plugin's name if None.
        flags
            Flags that are set, besides what `measure` sets, where the slot's is; ``<prefix>_flag`` if None.
        """
        self._use_slot(schema, "slot_Centroid", label, prefix or self.name, flags)

    def use_shape(self, schema: Schema, *, label: str = "badShape", prefix: str | None = None) -> None:
        """Declare that the plugin starts from the shape slot; see `use_centroid`."""
        self._use_slot(schema, "slot_Shape", label, prefix or self.name, None)

    def flag_bad_slots(self, batch: SourceBatch) -> None:
        """Set the flags of sources whose centroid or shape, which the plugin starts from, is flagged."""
        for slot_flag, flag in self._bad_slots:
            if slot_flag in batch.columns and flag in batch.columns:
                batch.columns[flag] |= batch.columns[slot_flag]

    def _use_slot(self, schema: Schema, slot: str, label: str, prefix: str, flags: Iterable[str] | None) -> None:
        # The slot's plugin may declare its flag later, or have none.
        if slot in schema.aliases:
            slot_flag = f"{schema.aliases[slot]}_flag"
            schema.set_alias(f"{prefix}_flag_{label}", slot_flag)
            self._bad_slots += [(slot_flag, flag) for flag in (flags or [f"{prefix}_flag"])]


class CentroidPlugin(ForcedPlugin):
    """A plugin that says where the sources are; it sees all of them at once."""

    execution_order = CENTROID_ORDER

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        schema.add_field(f"{self.name}_x", "float64", "transformed reference centroid column", "pix")
        schema.add_field(f"{self.name}_y", "float64", "transformed reference centroid row", "pix")
        if self.reference_schema.has("slot_Centroid_flag"):
            schema.add_field(f"{self.name}_flag", "bool", "whether the reference centroid is marked as bad")

    @abstractmethod
    def locate(
        self, reference: SourceCatalog, exposure_wcs: Wcs, reference_wcs: Wcs
    ) -> tuple[FloatArray, FloatArray]:
        """Return the centres x, y in the exposure's pixel frame; NaN where they are undefined."""

    def flag(self, reference: SourceCatalog, columns: Columns) -> None:
        """Set the flags of centres that are marked as bad in the reference catalog."""
        if f"{self.name}_flag" in columns:
            columns[f"{self.name}_flag"][:] = reference["slot_Centroid_flag"]

    def measure(self, batch: SourceBatch) -> None:
        """Do nothing: the columns hold what `locate` returned."""

    def reach(self, batch: SourceBatch) -> float:  # noqa: ARG002
        """Return 0: no pixel is read."""
        return 0.0

    def fail(self, columns: Columns, rows: slice, off_image: BoolArray) -> None:
        """Do nothing: the columns hold what `locate` returned."""


registry = Registry(ForcedPluginConfig)
"""Forced plugins by name."""


def check_plugin_names(names: Iterable[str]) -> None:
    """Refuse names that no plugin is registered under.

    Raises
    ------
    ConfigurationError
        Naming the plugin, the most similar one there is, and all others.
    """
    for name in names:
        if name not in registry:
            similar = difflib.get_close_matches(name, list(registry), n=1, cutoff=0.4)
            hint = f" Did you mean {similar[0]}?" if similar else ""
            raise ConfigurationError(
                f"There is no plugin {name!r}.{hint} The plugins are: {', '.join(sorted(registry))}."
            )
