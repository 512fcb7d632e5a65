"""What the stack's modules hold here: our objects by the stack's names, and what takes the place of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


def _same(place: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, place)


_MEASUREMENT = _same(
    "forcedphot",
    "ForcedMeasurementConfig",
    "ForcedMeasurementTask",
)
_SIMPLE_MEASUREMENT = _same("forcedphot", "SimpleForcedMeasurementConfig", "SimpleForcedMeasurementTask")
_APERTURE_CORRECTION = _same("forcedphot", "ApplyApCorrConfig", "ApplyApCorrTask")
_CALCULATION = _same("forcedphot", "CatalogCalculationConfig", "CatalogCalculationTask")
_ID_GENERATORS = _same(
    "forcedphot",
    "DetectorExposureIdGeneratorConfig",
    "DetectorVisitIdGeneratorConfig",
    "IdGenerator",
    "SkyMapIdGeneratorConfig",
)
_COADD = _same(
    "forcedphot.tasks.forced_phot_coadd",
    "ForcedPhotCoaddConfig",
    "ForcedPhotCoaddConnections",
    "ForcedPhotCoaddTask",
)

MODULES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "lsst.afw": {},
        "lsst.afw.display": _same("forcedphot.display", "Display", "setDefaultBackend"),
        "lsst.daf": {},
        "lsst.daf.persistence": _same("forcedphot.stack.old_butler", "Butler"),
        "lsst.drp": {},
        "lsst.drp.tasks": {},
        "lsst.drp.tasks.forcedPhotCoadd": _COADD,
        "lsst.meas": {},
        "lsst.meas.base": {
            **_APERTURE_CORRECTION,
            **_CALCULATION,
            **_COADD,
            **_ID_GENERATORS,
            **_MEASUREMENT,
            **_SIMPLE_MEASUREMENT,
        },
        "lsst.meas.base.applyApCorr": _APERTURE_CORRECTION,
        "lsst.meas.base.catalogCalculation": _CALCULATION,
        "lsst.meas.base.forcedMeasurement": _MEASUREMENT,
        "lsst.meas.base.forcedPhotCoadd": _COADD,
        "lsst.meas.base.simple_forced_measurement": _SIMPLE_MEASUREMENT,
        "lsst.pipe": {},
        "lsst.pipe.tasks": {},
        "lsst.pipe.tasks.measurementDriver": _same(
            "forcedphot", "ForcedMeasurementDriverConfig", "ForcedMeasurementDriverTask"
        ),
        "lsst.rsp": _same("forcedphot.tap", "get_tap_service"),
    }
)
"""Modules of the stack; what is in them, and which module of ours it is from, under the same name."""

SHARED = frozenset({"lsst", "lsst.daf", "lsst.drp", "lsst.meas", "lsst.obs", "lsst.pipe"})
"""Packages whose parts are installed by different distributions: one may be there and another not."""

INSTEAD: Mapping[str, str] = MappingProxyType(
    {
        "lsst.afw.cameraGeom": "an exposure's detector is forcedphot.exposure.Detector, without the optics",
        "lsst.afw.detection": "footprints are in forcedphot.catalog.footprint; nothing detects sources",
        "lsst.afw.fits": "forcedphot.Exposure.read and Exposure.read_component read files and parts of them",
        "lsst.afw.geom": "a WCS is forcedphot.exposure.Wcs or lsst.images' SkyProjection",
        "lsst.afw.image": "images are forcedphot.Exposure (Exposure.read reads ExposureF files) or of lsst.images",
        "lsst.afw.math": "numpy, scipy and astropy do this on the arrays of an exposure",
        "lsst.afw.table": "catalogs are forcedphot.SourceCatalog under a forcedphot.Schema; "
        "forcedphot.io.source_catalogs reads and writes them",
        "lsst.geom": "positions are arrays of numbers or astropy's SkyCoord, boxes forcedphot.conventions.Box",
        "lsst.ip": "neither instrument signatures nor image differences are made here",
        "lsst.meas.algorithms": "sources are not detected, nor PSFs modelled; both are read with the images",
        "lsst.meas.base.ForcedPhotCcdTask": "forcedphot.tasks.ForcedPhotVisitTask measures on visits",
        "lsst.meas.base.ForcedPlugin": "a plugin measures batches, as docs/architecture.md shows: "
        "derive from forcedphot.ForcedPlugin",
        "lsst.meas.base.ForcedPluginConfig": "derive from forcedphot.ForcedPluginConfig",
        "lsst.meas.base.SingleFrameMeasurementTask": "only known positions are measured; "
        "use ForcedMeasurementTask",
        "lsst.meas.deblender": "blends are not taken apart; neighbours can be replaced by noise",
        "lsst.meas.extensions": "the plugins of these packages are registered under their names all the same",
        "lsst.obs": "images are read by forcedphot.butler, without the camera's package",
        "lsst.pipe.tasks.measurementDriver.MultiBandMeasurementDriverTask": "it detects and deblends; "
        "use ForcedMeasurementDriverTask with known positions",
        "lsst.pipe.tasks.measurementDriver.SingleBandMeasurementDriverTask": "it detects and deblends; "
        "use ForcedMeasurementDriverTask with known positions",
        "lsst.pipe.tasks.postprocess": "forcedphot.tasks.ForcedSourceTableTask makes tables of forced sources",
        "lsst.skymap": "tracts and patches are dimensions of the Butler",
    }
)
"""What to use instead of modules, and of objects in them, that do not exist here."""
