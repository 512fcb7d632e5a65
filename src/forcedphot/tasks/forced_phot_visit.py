"""ForcedPhotVisitTask: objects and DIA objects, measured on the image of a detector and on its difference."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from lsst.pex.config import ChoiceField, ConfigurableField, Field
from lsst.pipe.base import (
    AnnotatedPartialOutputsError,
    NoWorkFound,
    PipelineTaskConfig,
    PipelineTaskConnections,
    Struct,
)
from lsst.pipe.base.connectionTypes import Input, Output

from ..aperture_correction import ApplyApCorrTask
from ..conventions import IntArray
from ..errors import ConfigurationError, ForcedPhotError
from ..exposure import Exposure
from ..measurement import ForcedMeasurementTask
from ..references import REFERENCE_SCHEMA
from .datasets import naming, read, read_calibrated, read_columns, reading
from .forced_sources import (
    UNPLACED,
    ForcedImages,
    ForcedTargets,
    TargetMeasurement,
    measure_targets,
    needed_plugins,
)
from .logged_task import LoggedTask
from .points import FOOTPRINT_SCALING, POINT_PLUGINS, PointMeasurement, configure_points

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.sphgeom import Region

_VISIT_DETECTOR = ("instrument", "visit", "detector")
_TRACT = ("skymap", "tract")
_PATCH = (*_TRACT, "patch")

_OBJECT_COLUMNS = ("objectId", "coord_ra", "coord_dec", "parentObjectId", "patch")
_FLAG_COLUMNS = ("detect_isPatchInner", "detect_isTractInner", "detect_isPrimary")
_DIA_OBJECT_COLUMNS = (("diaObjectId",), ("ra",), ("dec", "decl"))
"""Each under one of its names."""


class ForcedPhotVisitConnections(PipelineTaskConnections, dimensions=_VISIT_DETECTOR):  # type: ignore[call-arg]
    """What `ForcedPhotVisitTask` reads and writes."""

    visitImage = Input(
        doc="The image to measure on", name="visit_image", storageClass="VisitImage", dimensions=_VISIT_DETECTOR
    )
    differenceImage = Input(
        doc="The same less its template; without one, fluxes on it are NaN and flagged",
        name="difference_image",
        storageClass="DifferenceImage",
        dimensions=_VISIT_DETECTOR,
        minimum=0,
    )
    objects = Input(
        doc="Objects of the tracts, or patches, that overlap with the image",
        name="object",
        storageClass="ArrowAstropy",
        dimensions=_TRACT,
        multiple=True,
        deferLoad=True,
        minimum=0,
    )
    diaObjects = Input(
        doc="DIA objects of the tracts that overlap with the image",
        name="dia_object",
        storageClass="ArrowAstropy",
        dimensions=_TRACT,
        multiple=True,
        deferLoad=True,
        minimum=0,
    )
    coadds = Input(
        doc="Coadds in the image's band: not read, but their patches are those that DIA objects can be in",
        name="deep_coadd",
        storageClass="CellCoadd",
        dimensions=(*_PATCH, "band"),
        multiple=True,
        deferLoad=True,
        minimum=0,
    )
    forcedSources = Output(
        doc="Objects measured on this image",
        name="object_forced_source_visit_detector",
        storageClass="ArrowAstropy",
        dimensions=_VISIT_DETECTOR,
    )
    diaForcedSources = Output(
        doc="DIA objects measured on this image",
        name="dia_object_forced_source_visit_detector",
        storageClass="ArrowAstropy",
        dimensions=_VISIT_DETECTOR,
    )

    def __init__(self, *, config: Any = None) -> None:
        super().__init__(config=config)
        self.visitImage = dataclasses.replace(self.visitImage, storageClass=config.visitImageStorageClass)
        self.differenceImage = dataclasses.replace(
            self.differenceImage, storageClass=config.differenceImageStorageClass
        )
        self.coadds = dataclasses.replace(self.coadds, storageClass=config.coaddStorageClass)
        self.objects = dataclasses.replace(
            self.objects,
            storageClass=config.objectsStorageClass,
            dimensions=_PATCH if config.objectsByPatch else _TRACT,
        )
        if not config.doDifference:
            del self.differenceImage
        if not config.doObjects:
            del self.objects
            del self.forcedSources
        if not config.doDiaObjects:
            del self.diaObjects
            del self.coadds
            del self.diaForcedSources


class ForcedPhotVisitConfig(PipelineTaskConfig, pipelineConnections=ForcedPhotVisitConnections):  # type: ignore[call-arg]
    """Configuration of `ForcedPhotVisitTask`."""

    measurement = ConfigurableField(
        doc="Subtask to measure on the visit image; what other plugins than the tables' measure is added to them",
        target=ForcedMeasurementTask,
    )
    measurementDiff = ConfigurableField(
        doc="Subtask to measure on the difference image, likewise", target=ForcedMeasurementTask
    )
    doApCorr = Field[bool](doc="Apply aperture corrections, where the images have them?", default=True)
    applyApCorr = ConfigurableField(
        doc="Subtask to apply aperture corrections, on both images", target=ApplyApCorrTask
    )
    psfFootprintScaling = Field[float](
        doc="Axes of the ellipses that are the footprints, in those of the PSF's second moments",
        default=FOOTPRINT_SCALING,
    )
    release = ChoiceField[str](
        doc="Whose tables are made of the measurements",
        allowed={
            "dp1": "those of Data Preview 1",
            "dp02": "those of Data Preview 0.2: local calibrations and backgrounds are measured too",
        },
        default="dp1",
    )
    doObjects = Field[bool](doc="Measure objects?", default=True)
    doDiaObjects = Field[bool](doc="Measure DIA objects?", default=True)
    doDifference = Field[bool](doc="Measure on the difference image too?", default=True)
    objectsByPatch = Field[bool](doc="Is there a table of objects for each patch, not tract?", default=False)
    objectsStorageClass = ChoiceField[str](
        doc="What objects are in",
        allowed={
            "ArrowAstropy": "tables of objects, as in Rubin's releases",
            "SourceCatalog": "reference catalogs of patches, from which such tables are made",
        },
        default="ArrowAstropy",
    )
    visitImageStorageClass = Field[str](
        doc="Storage class of the images, such as VisitImage, ForcedPhotExposure or ExposureF",
        default="VisitImage",
    )
    differenceImageStorageClass = Field[str](
        doc="Storage class of the difference images", default="DifferenceImage"
    )
    coaddStorageClass = Field[str](doc="Storage class of the coadds", default="CellCoadd")

    def setDefaults(self) -> None:
        """Measure what the tables of Data Preview 1 have."""
        super().setDefaults()
        for measurement in (self.measurement, self.measurementDiff):
            configure_points(measurement)

    def validate(self) -> None:
        """Refuse to measure nothing, less than the tables have, or catalogs of tracts."""
        super().validate()
        if not (self.doObjects or self.doDiaObjects):
            raise ConfigurationError("There is nothing to measure: set doObjects or doDiaObjects to True.")
        if self.objectsStorageClass == "SourceCatalog" and not self.objectsByPatch:
            raise ConfigurationError("Reference catalogs are those of patches: set objectsByPatch to True.")
        for name, needed in (("measurement", needed_plugins(self.release)), ("measurementDiff", POINT_PLUGINS)):
            missing = [plugin for plugin in needed if plugin not in getattr(self, name).plugins.names]
            if missing:
                raise ConfigurationError(
                    f"The tables of {self.release} have columns of {', '.join(missing)}; "
                    f"add that to {name}.plugins.names."
                )


class ForcedPhotVisitTask(LoggedTask):
    """Measures all objects and DIA objects that are on one detector in one visit, neighbours left in place."""

    ConfigClass = ForcedPhotVisitConfig
    _DefaultName = "forcedPhotVisit"

    config: Any
    measurement: ForcedMeasurementTask
    measurementDiff: ForcedMeasurementTask

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._measurement = TargetMeasurement(
            *(self._make_measurement(name) for name in ("measurement", "measurementDiff"))
        )

    def _make_measurement(self, name: str) -> PointMeasurement:
        self.makeSubtask(name, refSchema=REFERENCE_SCHEMA)
        measurement = getattr(self, name)
        corrections = None
        if self.config.doApCorr:
            corrections = self.config.applyApCorr.apply(
                name=name.replace("measurement", "applyApCorr"),
                parentTask=self,
                schema=measurement.schema,
                fluxes=measurement.corrected_fluxes,
            )
        return PointMeasurement(measurement, corrections, self.config.psfFootprintScaling)

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Read the images and the needed columns of the tables, measure, and write the tables.

        Raises
        ------
        ForcedPhotError
            If the visit image, or all else, cannot be used; the message names the dataset.
        AnnotatedPartialOutputsError
            If the difference image, or the tables of objects or of DIA objects, cannot be used: what does not need
            them is written. `lsst.pipe.base` decides whether that is a failure.
        NoWorkFound
            If there is no object on the image.
        """
        problems: list[ForcedPhotError] = []

        def tried[**P, Found](find: Callable[P, Found], *arguments: P.args, **options: P.kwargs) -> Found | None:
            try:
                return find(*arguments, **options)
            except ForcedPhotError as error:
                self.log.error("%s", error)
                problems.append(error)
                return None

        image = read_calibrated(butlerQC, inputRefs.visitImage)
        difference_ref = getattr(inputRefs, "differenceImage", None)
        difference = None if difference_ref is None else tried(read_calibrated, butlerQC, difference_ref)
        objects = tried(_read_objects, butlerQC, getattr(inputRefs, "objects", ()))
        patches = {
            (ref.dataId["tract"], ref.dataId["patch"]): ref.dataId.patch.region
            for ref in getattr(inputRefs, "coadds", ())
        }
        dia_objects = tried(_read_dia_objects, butlerQC, getattr(inputRefs, "diaObjects", ()), patches)
        try:
            with naming(inputRefs.visitImage):
                outputs = self.run(image, difference, objects, dia_objects)
        except NoWorkFound:
            if problems:
                raise problems[0] from None
            raise
        butlerQC.put(outputs, outputRefs)
        if problems:
            raise AnnotatedPartialOutputsError.annotate(problems[0], self, log=self.log) from problems[0]

    def run(
        self,
        visitImage: Exposure,
        differenceImage: Exposure | None,
        objects: Sequence[ForcedTargets] | None,
        diaObjects: Sequence[ForcedTargets] | None,
    ) -> Struct:
        """Measure objects and DIA objects on an image and on its difference.

        Parameters
        ----------
        visitImage
            Calibrated, with the ids of visit and detector. Without a PSF, all fluxes on it are NaN and flagged.
        differenceImage
            The same less its template; None if there is none.
        objects, diaObjects
            What overlaps, on the image or not. None to make no table of them.

        Returns
        -------
        A Struct with a table for each output, a row for each object on the image: ``forcedSources`` and
        ``diaForcedSources``, None where none is to be made. Columns are those of both releases, a target's ``id``,
        and after them what other plugins than the tables' measure; see `measure_targets`.

        Raises
        ------
        ExposureError
            If an image has no WCS or calibration.
        NoWorkFound
            If there is no object on the image.
        """
        wanted = {
            "forcedSources": objects if self.config.doObjects else None,
            "diaForcedSources": diaObjects if self.config.doDiaObjects else None,
        }
        with self.timer("run"):
            images = ForcedImages(visitImage, differenceImage)
            tables = {
                output: None if targets is None else self._measure(targets, images)
                for output, targets in wanted.items()
            }
        n_rows = {output: len(table) for output, table in tables.items() if table is not None}
        if not any(n_rows.values()):
            raise NoWorkFound(f"There is no object on the image ({visitImage.identity}).")
        self.log.info(
            "Measured %s on %s, %s a difference image",
            ", ".join(f"{n} {output}" for output, n in n_rows.items()),
            visitImage.identity,
            "without" if differenceImage is None else "with",
        )
        self.metadata["n_rows"] = sum(n_rows.values())
        return Struct(**tables)

    def _measure(self, targets: Sequence[ForcedTargets], images: ForcedImages) -> Table:
        from astropy.table import Table

        together = ForcedTargets.concatenate(targets)
        return Table(measure_targets(self.config.release, together, images, self._measurement))


def _read_objects(butler: Any, refs: Iterable[Any]) -> list[ForcedTargets]:
    """Read objects of tracts or patches."""
    found = []
    for ref in refs:
        if ref.datasetType.storageClass_name == "SourceCatalog":
            handle = read(butler, ref)
            with reading(ref):
                targets = ForcedTargets.of_references(handle.get())
            found.append(targets.placed(ref.dataId["tract"], ref.dataId["patch"]))
            continue
        needed = [(name,) for name in _OBJECT_COLUMNS]
        targets = ForcedTargets.of_objects(read_columns(butler, ref, needed, _FLAG_COLUMNS))
        found.append(targets.placed(ref.dataId["tract"], targets.patches))
    return found


def _read_dia_objects(
    butler: Any, refs: Iterable[Any], patches: Mapping[tuple[int, int], Region]
) -> list[ForcedTargets]:
    """Read DIA objects of tracts, and tell in which of the patches they are."""
    found = []
    for ref in refs:
        targets = ForcedTargets.of_dia_objects(read_columns(butler, ref, _DIA_OBJECT_COLUMNS))
        tract = ref.dataId["tract"]
        regions = {patch: region for (of_tract, patch), region in patches.items() if of_tract == tract}
        found.append(targets.placed(tract, nearest_patches(targets, regions)))
    return found


def nearest_patches(targets: ForcedTargets, regions: Mapping[int, Region]) -> IntArray:
    """Return the patch whose middle is nearest to each target, of those that contain it; `UNPLACED` if none does.

    Patches are squares of one size that overlap at their borders: the nearest middle is that of the patch in whose
    inner part, without overlap, a target is.

    Parameters
    ----------
    targets
        Of one tract.
    regions
        Of its patches, with their overlap.
    """
    ra, dec = np.radians(targets.ra_deg), np.radians(targets.dec_deg)
    directions = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    nearest = np.full(len(targets), UNPLACED)
    nearness = np.full(len(targets), -np.inf)
    for patch, region in regions.items():
        middle = region.getBoundingCircle().getCenter()
        cosine = np.array([middle.x(), middle.y(), middle.z()]) @ directions
        is_nearer = (cosine > nearness) & region.contains(ra, dec)
        nearest[is_nearer], nearness[is_nearer] = patch, cosine[is_nearer]
    return nearest
