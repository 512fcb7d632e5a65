"""base_ClassificationExtendedness, base_ClassificationSizeExtendedness: stars and galaxies."""

import numpy as np
from lsst.pex.config import Field

from ..catalog.schema import Schema
from ..catalog.source_catalog import SourceCatalog
from ..conventions import BoolArray
from ..errors import ConfigurationError
from .base import CatalogCalculationPlugin, CatalogCalculationPluginConfig, registry


class ClassificationExtendednessConfig(CatalogCalculationPluginConfig):
    """Configuration of base_ClassificationExtendedness."""

    fluxRatio = Field[float](
        doc="A source is extended if its PSF flux is at most this part of its model flux",
        default=0.95,
    )
    modelErrFactor = Field[float](doc="This many errors of the model flux are added to it", default=0.0)
    psfErrFactor = Field[float](doc="This many errors of the PSF flux are added to it", default=0.0)


class ClassificationExtendedness(CatalogCalculationPlugin):
    """1 for sources whose model flux is larger than their PSF flux, 0 for others; by the slots of both fluxes."""

    ConfigClass = ClassificationExtendednessConfig

    def declare(self, schema: Schema) -> None:
        _require(self.name, schema, ["slot_ModelFlux_instFlux", "slot_PsfFlux_instFlux"])
        schema.add_field(f"{self.name}_value", "float64", "Set to 1 for extended sources, 0 for point sources.")
        schema.add_field(f"{self.name}_flag", "bool", "Set to 1 for any fatal failure.")

    def calculate(self, catalog: SourceCatalog) -> None:
        config = self.config
        model = config.fluxRatio * catalog["slot_ModelFlux_instFlux"]
        psf = catalog["slot_PsfFlux_instFlux"]
        # Without the factors, errors may be NaN.
        if config.modelErrFactor:
            model = model + config.modelErrFactor * catalog["slot_ModelFlux_instFluxErr"]
        if config.psfErrFactor:
            psf = psf + config.psfErrFactor * catalog["slot_PsfFlux_instFluxErr"]
        failed = (
            np.isnan(model) | np.isnan(psf) | _flag(catalog, "slot_ModelFlux") | _flag(catalog, "slot_PsfFlux")
        )
        catalog[f"{self.name}_value"] = np.where(failed, np.nan, np.where(model < psf, 0.0, 1.0))
        catalog[f"{self.name}_flag"] = failed


class ClassificationSizeExtendednessConfig(CatalogCalculationPluginConfig):
    """Configuration of base_ClassificationSizeExtendedness."""

    exponent = Field[float](
        doc="The difference in size is in units of the PSF's size, xx + yy, to the power of this", default=0.5
    )


class ClassificationSizeExtendedness(CatalogCalculationPlugin):
    """How likely a source is a galaxy by its size: from 0, that of the PSF, to 1; by the slots of both shapes."""

    ConfigClass = ClassificationSizeExtendednessConfig

    def declare(self, schema: Schema) -> None:
        sizes = [f"slot_{slot}_{part}" for slot in ("Shape", "PsfShape") for part in ("xx", "yy")]
        _require(self.name, schema, sizes)
        schema.add_field(
            f"{self.name}_value", "float64", "Measure of being a galaxy based on trace of second order moments"
        )
        schema.add_field(f"{self.name}_flag", "bool", "Moments-based classification failed")

    def calculate(self, catalog: SourceCatalog) -> None:
        size = catalog["slot_Shape_xx"] + catalog["slot_Shape_yy"]
        psf_size = catalog["slot_PsfShape_xx"] + catalog["slot_PsfShape_yy"]
        with np.errstate(all="ignore"):
            chi = (size - psf_size) / psf_size**self.config.exponent
            value = -np.expm1(-0.5 * chi * chi)
        failed = _flag(catalog, "slot_Shape") | np.isnan(value)
        catalog[f"{self.name}_value"] = np.where(failed, np.nan, value)
        catalog[f"{self.name}_flag"] = failed


def _require(plugin: str, schema: Schema, names: list[str]) -> None:
    """Refuse schemas that lack fields."""
    missing = [name for name in names if not schema.has(name)]
    if missing:
        raise ConfigurationError(
            f"{plugin} needs {', '.join(missing)}, which no plugin fills; set the slots of the measurement."
        )


def _flag(catalog: SourceCatalog, slot: str) -> BoolArray:
    """Return the flag of what fills a slot; False if it has none."""
    if catalog.schema.has(f"{slot}_flag"):
        flag: BoolArray = catalog[f"{slot}_flag"]
        return flag
    return np.zeros(len(catalog), dtype=bool)


registry.register("base_ClassificationExtendedness", ClassificationExtendedness)
registry.register("base_ClassificationSizeExtendedness", ClassificationSizeExtendedness)
