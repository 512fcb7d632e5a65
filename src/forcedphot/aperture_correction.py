"""ApplyApCorrTask: multiplies fluxes by the exposure's aperture corrections."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from lsst.pex.config import Config, DictField, Field, ListField

from .catalog.schema import Schema
from .catalog.source_catalog import SourceCatalog
from .conventions import Box
from .exposure import Field as PositionField
from .plugins import registry
from .task import Task


class ApplyApCorrConfig(Config):
    """Configuration of `ApplyApCorrTask`."""

    ignoreList = ListField[str](doc="Flux fields (without _instFlux) that are left uncorrected", default=[])
    doFlagApCorrFailures = Field[bool](
        doc="Set a flux's general failure flag where it could not be corrected?", default=True
    )
    proxies = DictField(
        keytype=str,
        itemtype=str,
        doc="Fluxes corrected with another's correction: names without _instFlux",
        default={},
    )


class ApplyApCorrTask(Task):
    """Applies aperture corrections to the flux columns that plugins registered for it.

    Parameters
    ----------
    schema
        Schema of the catalogs; the fields ``_apCorr``, ``_apCorrErr`` and ``_flag_apCorr`` of each
        flux are added.
    fluxes
        Flux fields to correct, without ``_instFlux``; all of the schema that plugins register under their own
        name if None.
    arguments
        Those of `Task`.
    """

    ConfigClass = ApplyApCorrConfig
    _DefaultName = "applyApCorr"

    def __init__(self, schema: Schema, fluxes: Iterable[str] | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        if fluxes is None:
            fluxes = sorted(name for name in registry if registry[name].aperture_corrected)
        self.fluxes = [
            name
            for name in sorted({*fluxes, *self.config.proxies})
            if f"{name}_instFlux" in schema and name not in self.config.ignoreList
        ]
        for name in self.fluxes:
            schema.add_field(f"{name}_apCorr", "float64", f"aperture correction applied to {name}")
            schema.add_field(
                f"{name}_apCorrErr",
                "float64",
                f"standard deviation of aperture correction applied to {name}",
            )
            schema.add_field(f"{name}_flag_apCorr", "bool", f"set if unable to aperture correct {name}")

    def run(
        self, catalog: SourceCatalog, apCorrMap: Mapping[str, PositionField], *, bbox: Box | None = None
    ) -> None:
        """Correct the fluxes of a catalog in place.

        Flux and error are multiplied by the correction at the source; its own error is taken as 0,
        as in the pipelines. Where the correction is missing, not finite or not positive, they are
        left as they are and flagged.

        Parameters
        ----------
        catalog
            The catalog, with a slot for centroids.
        apCorrMap
            Corrections by name, such as ``base_PsfFlux_instFlux``.
        bbox
            The image's box: what is outside it cannot be corrected. None for no limit.
        """
        x, y = catalog["slot_Centroid_x"], catalog["slot_Centroid_y"]
        columns = catalog.columns
        self.log.info("Applying aperture corrections to %d instFlux fields", len(self.fluxes))
        located = np.isfinite(x) & np.isfinite(y)
        if bbox is not None:
            located &= bbox.contains(x, y)
        for name in self.fluxes:
            model = apCorrMap.get(f"{self.config.proxies.get(name, name)}_instFlux")
            factor = np.full(len(x), np.nan)
            if model is None:
                self.log.warning("The image has no aperture correction for %s; its fluxes are flagged", name)
            else:
                factor[located] = model.evaluate(x[located], y[located])
            good = np.isfinite(factor) & (factor > 0)
            columns[f"{name}_apCorr"][good] = factor[good]
            columns[f"{name}_apCorrErr"][good] = 0.0
            columns[f"{name}_flag_apCorr"][~good] = True
            for flux in (f"{name}_instFlux", f"{name}_instFluxErr"):
                columns[flux][good] *= factor[good]
            if self.config.doFlagApCorrFailures:
                columns[f"{name}_flag"][~good] = True
