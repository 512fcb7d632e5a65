"""Forced sources: all objects of a patch on all visit and difference images, measured at the same positions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ..catalog.source_catalog import SourceCatalog
from ..conventions import BoolArray, FloatArray, IntArray
from ..errors import ExposureError
from ..exposure import Exposure
from ..id_generator import IdGenerator
from ..plugins.base import INVALID_PSF_FLAG, missing_component
from .columns import Release, build_table
from .points import POINT_PLUGINS, PointMeasurement, failed_points, measure_points, usual_measurement
from .table_values import Values, added_values, ccd_visit_id, flux_values, pixel_flags, renamed

if TYPE_CHECKING:
    from astropy.table import Table

type ForcedTable = Literal["ForcedSource", "ForcedSourceOnDiaObject"]
"""What the schemas call the tables of objects and of DIA objects."""

UNPLACED = -1
"""Tract and patch of targets that are in none."""

_TARGET_IDS = MappingProxyType({"ForcedSource": "objectId", "ForcedSourceOnDiaObject": "diaObjectId"})
_LOCAL_PLUGINS = ("base_LocalBackground", "base_LocalPhotoCalib", "base_LocalWcs")
_DIFFERENCE_PREFIX = "diff_"


@dataclass(frozen=True, slots=True, eq=False)
class ForcedImages:
    """What one detector saw in one visit.

    Parameters
    ----------
    visit_image
        Calibrated, with the ids of visit and detector.
    difference_image
        The same less its template; None if there is none.
    """

    visit_image: Exposure
    difference_image: Exposure | None


class TargetMeasurement(NamedTuple):
    """What measures targets.

    Parameters
    ----------
    direct, difference
        On visit images, and on differences.
    """

    direct: PointMeasurement
    difference: PointMeasurement


def needed_plugins(release: Release) -> tuple[str, ...]:
    """Return the plugins that the tables of a release are made of: on visit images.

    On differences those are `POINT_PLUGINS`.
    """
    return (*POINT_PLUGINS, *(_LOCAL_PLUGINS if release == "dp02" else ()))


@dataclass(frozen=True, slots=True, eq=False)
class ForcedTargets:
    """What is measured; all arrays have shape (n,).

    Parameters
    ----------
    ids, parents
        Of the objects or DIA objects.
    ra_deg, dec_deg
        ICRS.
    tracts, patches
        Where they are; `UNPLACED` where that is not known.
    is_patch_inner, is_tract_inner, is_primary
        What DP0.2's forced sources repeat of the objects; without effect on those of DIA objects.
    """

    ids: IntArray
    parents: IntArray
    ra_deg: FloatArray
    dec_deg: FloatArray
    tracts: IntArray
    patches: IntArray
    is_patch_inner: BoolArray
    is_tract_inner: BoolArray
    is_primary: BoolArray

    @classmethod
    def of_objects(cls, table: Table) -> ForcedTargets:
        """Take the rows of a table of objects of either release; those of DP1 are all primary."""
        yes, nowhere = np.ones(len(table), dtype=bool), np.full(len(table), UNPLACED)

        def column(name: str, default: Any = yes) -> Any:
            return np.asarray(table[name]) if name in table.colnames else default

        return cls(
            ids=column("objectId"),
            parents=column("parentObjectId"),
            ra_deg=column("coord_ra"),
            dec_deg=column("coord_dec"),
            tracts=column("tract", nowhere),
            patches=column("patch", nowhere),
            is_patch_inner=column("detect_isPatchInner"),
            is_tract_inner=column("detect_isTractInner"),
            is_primary=column("detect_isPrimary"),
        )

    @classmethod
    def of_references(cls, catalog: SourceCatalog) -> ForcedTargets:
        """Take the rows of a reference catalog; where it does not say what is primary, all are."""
        yes, nowhere = np.ones(len(catalog), dtype=bool), np.full(len(catalog), UNPLACED)

        def flag(name: str) -> BoolArray:
            return np.asarray(catalog[name]) if catalog.schema.has(name) else yes

        return cls(
            ids=catalog["id"],
            parents=catalog["parent"],
            ra_deg=np.degrees(catalog["coord_ra"]),
            dec_deg=np.degrees(catalog["coord_dec"]),
            tracts=nowhere,
            patches=nowhere,
            is_patch_inner=flag("detect_isPatchInner"),
            is_tract_inner=flag("detect_isTractInner"),
            is_primary=flag("detect_isPrimary"),
        )

    @classmethod
    def of_dia_objects(cls, table: Table) -> ForcedTargets:
        """Take the rows of a table of DIA objects of either release."""
        yes, nowhere = np.ones(len(table), dtype=bool), np.full(len(table), UNPLACED)
        return cls(
            ids=np.asarray(table["diaObjectId"]),
            parents=np.zeros(len(table), dtype=np.int64),
            ra_deg=np.asarray(table["ra"], dtype=np.float64),
            dec_deg=np.asarray(table["dec" if "dec" in table.colnames else "decl"], dtype=np.float64),
            tracts=nowhere,
            patches=nowhere,
            is_patch_inner=yes,
            is_tract_inner=yes,
            is_primary=yes,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: BoolArray) -> ForcedTargets:
        """Return some of them."""
        return ForcedTargets(*(getattr(self, name)[rows] for name in self.__slots__))

    def placed(self, tract: int, patches: int | IntArray) -> ForcedTargets:
        """Return the same in a tract, and in one patch of it, or each in its own."""
        return replace(
            self, tracts=np.full(len(self), tract), patches=np.broadcast_to(np.asarray(patches), len(self))
        )

    @classmethod
    def concatenate(cls, parts: Sequence[ForcedTargets]) -> ForcedTargets:
        """Put targets one after the other; there may be none."""
        if not parts:
            ids, degrees, flags = np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0, dtype=bool)
            return cls(ids, ids, degrees, degrees, ids, ids, flags, flags, flags)
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))


def forced_source_table(
    release: Release,
    targets: ForcedTargets,
    images: Iterable[ForcedImages],
    *,
    skymap: str,
    tract: int,
    patch: int,
    ids: IdGenerator,
) -> Table:
    """Measure objects on all images that they are on; see `measure_forced_sources`.

    Parameters
    ----------
    release
        Whose names the table has: DP1's object_forced_source, or DP0.2's forcedSourceTable.
    targets
        The objects of a patch.
    images
        All images that overlap with it; read one after the other.
    skymap, tract, patch
        Where the objects are.
    ids
        Makes the ids of DP0.2's rows.
    """
    parts = [measure_targets(release, targets.placed(tract, patch), image) for image in images]
    _check_overlap(parts, tract, patch)
    return build_forced_table(release, "ForcedSource", parts, skymap=skymap, ids=ids)


def dia_forced_source_table(
    release: Release,
    targets: ForcedTargets,
    images: Iterable[ForcedImages],
    *,
    skymap: str,
    tract: int,
    patch: int,
    ids: IdGenerator,
) -> Table:
    """Do for DIA objects what `forced_source_table` does for objects."""
    parts = [measure_targets(release, targets.placed(tract, patch), image) for image in images]
    _check_overlap(parts, tract, patch)
    return build_forced_table(release, "ForcedSourceOnDiaObject", parts, skymap=skymap, ids=ids)


def measure_targets(
    release: Release, targets: ForcedTargets, images: ForcedImages, measurement: TargetMeasurement | None = None
) -> Values:
    """Measure targets on one visit image and its difference; those off the image are left out.

    Parameters
    ----------
    release
        Whose tables the result shall have all columns of.
    targets
        What is measured.
    images
        A visit image and its difference. Without a difference, or on an image without a PSF, fluxes are NaN and
        flagged.
    measurement
        What measures, with the release's `needed_plugins`; no more than these if None.

    Returns
    -------
    Arrays by column, all of one length; targets' ids as ``id``. What other plugins measure has their names, after
    ``diff_`` on the difference, and fluxes ``_flux``, in nJy.

    Raises
    ------
    ExposureError
        If the visit image has no WCS, or does not say which visit and detector it is of.
    """
    exposure, difference = images.visit_image, images.difference_image
    if exposure.wcs is None:
        raise ExposureError(missing_component(exposure, "WCS"))
    identity = exposure.identity
    if identity.visit is None or identity.detector is None:
        raise ExposureError(f"The exposure ({identity}) does not say which visit and detector it is of.")
    ra, dec = np.radians(targets.ra_deg), np.radians(targets.dec_deg)
    seen = targets.take(exposure.bbox.contains(*exposure.wcs.sky_to_pixel(ra, dec)))
    ra, dec = np.radians(seen.ra_deg), np.radians(seen.dec_deg)
    if measurement is None:
        measurement = TargetMeasurement(usual_measurement(needed_plugins(release)), usual_measurement())
    ccd_visit = ccd_visit_id(identity.visit, identity.detector)
    direct = measure_points(exposure, seen.ids, ra, dec, measurement.direct, exposure_id=ccd_visit)
    values: Values = {
        "id": seen.ids,
        "parentObjectId": seen.parents,
        "coord_ra": seen.ra_deg,
        "coord_dec": seen.dec_deg,
        "tract": seen.tracts,
        "patch": seen.patches,
        "visit": np.full(len(seen), identity.visit),
        "detector": np.full(len(seen), identity.detector),
        "ccdVisitId": np.full(len(seen), ccd_visit),
        "band": np.full(len(seen), identity.band or ""),
        **flux_values(direct, exposure, {"psfFlux": "base_PsfFlux"}),
        **_difference_values(difference, seen, ra, dec, measurement.difference, ccd_visit),
        **pixel_flags(direct),
        "invalidPsfFlag": direct[INVALID_PSF_FLAG],
        "detect_isPatchInner": seen.is_patch_inner,
        "detect_isTractInner": seen.is_tract_inner,
        "detect_isPrimary": seen.is_primary,
    }
    for measured in ("LocalBackground", "LocalPhotoCalib", "LocalPhotoCalibErr", "LocalWcs"):
        values |= renamed(direct, f"base_{measured}", measured[0].lower() + measured[1:])
    added = measurement.direct.added_plugins((*POINT_PLUGINS, *_LOCAL_PLUGINS))
    return values | added_values(direct, added, exposure)


def _difference_values(
    difference: Exposure | None,
    seen: ForcedTargets,
    ra: FloatArray,
    dec: FloatArray,
    points: PointMeasurement,
    exposure_id: int,
) -> Values:
    """Return fluxes on the difference image; without one they are NaN and flagged."""
    if difference is None:
        measured = failed_points(seen.ids, ra, dec, points)
        no_data = np.ones(len(seen), dtype=bool)
    else:
        measured = measure_points(difference, seen.ids, ra, dec, points, exposure_id=exposure_id)
        no_data = measured["base_PixelFlags_flag_nodataCenter"]
    return {
        **flux_values(measured, difference, {"psfDiffFlux": "base_PsfFlux"}),
        "diff_PixelFlags_nodataCenter": no_data,
        **added_values(measured, points.added_plugins(POINT_PLUGINS), difference, _DIFFERENCE_PREFIX),
    }


def build_forced_table(
    release: Release, name: ForcedTable, parts: Sequence[Values], *, skymap: str, ids: IdGenerator
) -> Table:
    """Stack what `measure_targets` measured.

    Parameters
    ----------
    release, name
        Which table.
    parts
        At least one.
    skymap
        What the tracts and patches are of.
    ids
        Makes the ids of DP0.2's rows.
    """
    values: Values = {column: np.concatenate([part[column] for part in parts]) for column in parts[0]}
    row_ids = ids.arange(1, len(values["id"]) + 1)
    values |= {"forcedSourceId": row_ids, "forcedSourceOnDiaObjectId": row_ids}
    values |= {_TARGET_IDS[name]: values["id"], "skymap": np.array(skymap)}
    return build_table(release, name, values)


def _check_overlap(parts: Sequence[Values], tract: int, patch: int) -> None:
    if not parts:
        raise ExposureError(
            f"No image overlaps with patch {patch} of tract {tract}; there is nothing to measure on."
        )
