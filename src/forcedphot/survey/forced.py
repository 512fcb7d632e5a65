"""Forced sources: all objects of a patch on all visit and difference images, measured at the same positions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..conventions import BoolArray, FloatArray, IntArray
from ..errors import ExposureError
from ..exposure import Exposure
from ..id_generator import IdGenerator
from ..plugins.base import INVALID_PSF_FLAG, missing_component
from .columns import Release, build_table
from .measured_columns import Values, flux_values, pixel_flags, renamed
from .points import POINT_PLUGINS, measure_points
from .sources import ccd_visit_id

if TYPE_CHECKING:
    from astropy.table import Table

_LOCAL_PLUGINS = ("base_LocalBackground", "base_LocalPhotoCalib", "base_LocalWcs")


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


@dataclass(frozen=True, slots=True, eq=False)
class ForcedTargets:
    """What is measured; all arrays have shape (n,).

    Parameters
    ----------
    ids, parents
        Of the objects or DIA objects.
    ra_deg, dec_deg
        ICRS.
    is_patch_inner, is_tract_inner, is_primary
        What DP0.2's forced sources repeat of the objects; without effect on those of DIA objects.
    """

    ids: IntArray
    parents: IntArray
    ra_deg: FloatArray
    dec_deg: FloatArray
    is_patch_inner: BoolArray
    is_tract_inner: BoolArray
    is_primary: BoolArray

    @classmethod
    def of_objects(cls, table: Table) -> ForcedTargets:
        """Take the rows of a table of objects of either release; those of DP1 are all primary."""
        yes = np.ones(len(table), dtype=bool)

        def column(name: str) -> Any:
            return np.asarray(table[name]) if name in table.colnames else yes

        return cls(
            ids=column("objectId"),
            parents=column("parentObjectId"),
            ra_deg=column("coord_ra"),
            dec_deg=column("coord_dec"),
            is_patch_inner=column("detect_isPatchInner"),
            is_tract_inner=column("detect_isTractInner"),
            is_primary=column("detect_isPrimary"),
        )

    @classmethod
    def of_dia_objects(cls, table: Table) -> ForcedTargets:
        """Take the rows of a table of DIA objects of either release."""
        yes = np.ones(len(table), dtype=bool)
        return cls(
            ids=np.asarray(table["diaObjectId"]),
            parents=np.zeros(len(table), dtype=np.int64),
            ra_deg=np.asarray(table["ra"], dtype=np.float64),
            dec_deg=np.asarray(table["dec" if "dec" in table.colnames else "decl"], dtype=np.float64),
            is_patch_inner=yes,
            is_tract_inner=yes,
            is_primary=yes,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: BoolArray) -> ForcedTargets:
        """Return some of them."""
        return ForcedTargets(*(getattr(self, name)[rows] for name in self.__slots__))


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
    parts = [_measure_on(release, targets, image) for image in images]
    return _table(release, "ForcedSource", parts, {"objectId": "id"}, skymap, tract, patch, ids)


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
    parts = [_measure_on(release, targets, image) for image in images]
    return _table(release, "ForcedSourceOnDiaObject", parts, {"diaObjectId": "id"}, skymap, tract, patch, ids)


def _measure_on(release: Release, targets: ForcedTargets, images: ForcedImages) -> Values:
    """Measure the targets on one visit image and its difference; those off the image are left out."""
    exposure, difference = images.visit_image, images.difference_image
    if exposure.wcs is None:
        raise ExposureError(missing_component(exposure, "WCS"))
    identity = exposure.identity
    if identity.visit is None or identity.detector is None:
        raise ExposureError(f"The exposure ({identity}) does not say which visit and detector it is of.")
    ra, dec = np.radians(targets.ra_deg), np.radians(targets.dec_deg)
    seen = targets.take(exposure.bbox.contains(*exposure.wcs.sky_to_pixel(ra, dec)))
    ra, dec = np.radians(seen.ra_deg), np.radians(seen.dec_deg)
    plugins = (*POINT_PLUGINS, *(_LOCAL_PLUGINS if release == "dp02" else ()))
    direct = measure_points(exposure, seen.ids, ra, dec, plugins)
    values: Values = {
        "id": seen.ids,
        "parentObjectId": seen.parents,
        "coord_ra": seen.ra_deg,
        "coord_dec": seen.dec_deg,
        "visit": np.full(len(seen), identity.visit),
        "detector": np.full(len(seen), identity.detector),
        "ccdVisitId": np.full(len(seen), ccd_visit_id(identity.visit, identity.detector)),
        "band": np.full(len(seen), identity.band or ""),
        **flux_values(direct, exposure, {"psfFlux": "base_PsfFlux"}),
        **_difference_values(difference, seen, ra, dec),
        **pixel_flags(direct),
        "invalidPsfFlag": direct[INVALID_PSF_FLAG],
        "detect_isPatchInner": seen.is_patch_inner,
        "detect_isTractInner": seen.is_tract_inner,
        "detect_isPrimary": seen.is_primary,
    }
    for measured in ("LocalBackground", "LocalPhotoCalib", "LocalPhotoCalibErr", "LocalWcs"):
        values |= renamed(direct, f"base_{measured}", measured[0].lower() + measured[1:])
    return values


def _difference_values(
    difference: Exposure | None, seen: ForcedTargets, ra: FloatArray, dec: FloatArray
) -> Values:
    """Return fluxes on the difference image; without one they are NaN and flagged."""
    if difference is None:
        missing, failed = np.full(len(seen), np.nan), np.ones(len(seen), dtype=bool)
        return {
            "psfDiffFlux": missing,
            "psfDiffFluxErr": missing,
            "psfDiffFlux_flag": failed,
            "diff_PixelFlags_nodataCenter": failed,
        }
    measured = measure_points(difference, seen.ids, ra, dec)
    return {
        **flux_values(measured, difference, {"psfDiffFlux": "base_PsfFlux"}),
        "diff_PixelFlags_nodataCenter": measured["base_PixelFlags_flag_nodataCenter"],
    }


def _table(
    release: Release,
    name: str,
    parts: Sequence[Values],
    targets: dict[str, str],
    skymap: str,
    tract: int,
    patch: int,
    ids: IdGenerator,
) -> Table:
    """Stack what was measured on the images.

    Parameters
    ----------
    targets
        Name of the column of the targets' ids, and where they are in the parts.
    """
    if not parts:
        raise ExposureError(
            f"No image overlaps with patch {patch} of tract {tract}; there is nothing to measure on."
        )
    values: Values = {column: np.concatenate([part[column] for part in parts]) for column in parts[0]}
    values |= {column: values[source] for column, source in targets.items()}
    row_ids = ids.arange(1, len(values["id"]) + 1)
    values |= {"forcedSourceId": row_ids, "forcedSourceOnDiaObjectId": row_ids}
    values |= {"skymap": np.array(skymap), "tract": np.array(tract), "patch": np.array(patch)}
    return build_table(release, name, values)
