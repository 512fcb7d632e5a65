"""ForcedPlugin: what a plugin declares and does; the batch that it measures; the registry."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from lsst.pex.config import Config, Field, Registry

from ..catalog.schema import Columns, Schema
from ..conventions import BoolArray, FloatArray, IntArray
from ..errors import ConfigurationError, ExposureError
from ..exposure import Exposure, Wcs
from ..psf.base import KernelImages, Psf, Stamps

CENTROID_ORDER = 0.0
FLUX_ORDER = 2.0

INVALID_PSF_FLAG = "base_InvalidPsf_flag"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceCatalog:
    """The sources to measure: who and where they are.

    Parameters
    ----------
    id
        int64, shape (n,).
    ra, dec
        ICRS, radians, shape (n,); NaN where unknown.
    columns
        Other columns of the same length, such as ``parent``, ``deblend_nChild``, and the centroid in
        the reference image, ``slot_Centroid_x`` and ``slot_Centroid_y``.
    """

    id: IntArray
    ra: FloatArray
    dec: FloatArray
    columns: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.id)

    def take(self, rows: IntArray | slice) -> ReferenceCatalog:
        """Return some of the rows."""
        return ReferenceCatalog(
            id=self.id[rows],
            ra=self.ra[rows],
            dec=self.dec[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
        )


class SourceBatch:
    """Sources that are measured together, all with their centre on the image.

    Parameters
    ----------
    exposure
        The image.
    reference
        The sources' rows of the reference catalog.
    columns
        Output arrays of the same length; plugins fill them in place.
    x, y
        Centres in the image's pixel frame.
    footprint_scaling
        Footprints are the PSF's second-moment ellipse with its axes multiplied by this.
    """

    def __init__(
        self,
        exposure: Exposure,
        reference: ReferenceCatalog,
        columns: Columns,
        x: FloatArray,
        y: FloatArray,
        *,
        footprint_scaling: float,
    ) -> None:
        self.exposure = exposure
        self.reference = reference
        self.columns = columns
        self.x = x
        self.y = y
        self._footprint_scaling = footprint_scaling

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
        kernels = self._psf_kernels
        stamps = self.psf.images(self.x, self.y) if kernels is None else kernels.shifted_to(self.x, self.y)
        self.columns[INVALID_PSF_FLAG] |= ~stamps.valid
        return stamps

    @cached_property
    def footprint_moments(self) -> FloatArray:
        """Second moments of the footprint ellipses, shape (n, 3): xx, yy, xy in pixel^2."""
        kernels = self._psf_kernels
        moments = self.psf.moments(self.x, self.y) if kernels is None else kernels.moments()
        return moments * self._footprint_scaling**2

    @cached_property
    def _psf_kernels(self) -> KernelImages | None:
        """Kernel images at the centres, if both the images and the moments of the PSF come from them."""
        return self.psf.kernel_images(self.x, self.y) if self.psf.draws_kernels_first else None


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
    leaves NaN and sets flags.

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
    """

    ConfigClass: ClassVar[type[ForcedPluginConfig]] = ForcedPluginConfig
    execution_order: ClassVar[float] = FLUX_ORDER
    aperture_corrected: ClassVar[bool] = False
    """Whether ``<name>_instFlux`` is one that aperture corrections apply to."""

    def __init__(self, config: Any, name: str, schema: Schema, metadata: dict[str, Any]) -> None:
        self.config = config
        self.name = name
        self.declare(schema, metadata)

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
            For each of them, True if the centre is outside the image, False if it is not finite.
        """


class CentroidPlugin(ForcedPlugin):
    """A plugin that says where the sources are; it sees all of them at once."""

    execution_order = CENTROID_ORDER

    def declare(self, schema: Schema, metadata: dict[str, Any]) -> None:  # noqa: ARG002
        schema.add_field(f"{self.name}_x", "float64", "transformed reference centroid column", "pix")
        schema.add_field(f"{self.name}_y", "float64", "transformed reference centroid row", "pix")

    @abstractmethod
    def locate(
        self, reference: ReferenceCatalog, exposure_wcs: Wcs, reference_wcs: Wcs
    ) -> tuple[FloatArray, FloatArray]:
        """Return the centres x, y in the exposure's pixel frame; NaN where they are undefined."""

    def measure(self, batch: SourceBatch) -> None:
        """Do nothing: the columns hold what `locate` returned."""

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
