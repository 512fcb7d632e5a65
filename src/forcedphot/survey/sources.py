"""Sources: what is detected and measured on one visit image, or on one difference image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..catalog.source_catalog import SourceCatalog
from ..conventions import IntArray
from ..errors import ExposureError
from ..exposure import Exposure, Identity
from ..id_generator import IdGenerator
from ..tasks.columns import Release, build_table
from ..tasks.points import measure_points
from ..tasks.table_values import Values, ccd_visit_id, flux_values, picked, pixel_flags, renamed
from .deblending import deblend
from .detection import Detections, detect, detect_both_signs, negated
from .measured_columns import (
    APERTURES,
    centroid_values,
    common_values,
    pixel_areas_arcsec2,
    psf_flux_flags,
)
from .measuring import DIFFERENCE_PLUGINS, VISIT_PLUGINS, family_catalog, measure

if TYPE_CHECKING:
    from astropy.table import Table

_HTM_LEVEL = 20
_VISIT_SYSTEM = 1  # by counter and day, as in the pipelines


def measure_sources(
    exposure: Exposure, ids: IdGenerator, *, exposure_id: int = 0, detections: Detections | None = None
) -> SourceCatalog:
    """Detect, deblend and measure the sources of a visit image.

    Parameters
    ----------
    exposure
        The image, with its background subtracted.
    ids
        Makes the sources' ids.
    exposure_id
        Seed of the noise in place of neighbours.
    detections
        What `detect` found, if it was asked before.
    """
    footprints = (detect(exposure) if detections is None else detections).footprints
    detected = family_catalog(footprints, deblend(exposure, footprints), ids)
    return measure(exposure, detected, VISIT_PLUGINS, exposure_id=exposure_id)


def measure_dia_sources(
    difference: Exposure,
    ids: IdGenerator,
    *,
    exposure_id: int = 0,
    detections: tuple[Detections, Detections] | None = None,
) -> SourceCatalog:
    """Detect, deblend and measure the sources of a difference image, positive ones first, then negative ones.

    Parameters
    ----------
    difference
        The image.
    ids
        Makes the sources' ids.
    exposure_id
        Seed of the noise in place of neighbours.
    detections
        What `detect_both_signs` found, if it was asked before.
    """
    positive, negative = detect_both_signs(difference) if detections is None else detections
    found = ((1, difference, positive), (-1, negated(difference), negative))
    catalogs = [_of_one_sign(*of_sign, exposure_id) for of_sign in found]
    together = SourceCatalog.concatenate(catalogs)
    # Ids were counted for each sign by itself, from 1, and so are the parents'.
    offset = np.repeat([0, len(catalogs[0])], [len(catalog) for catalog in catalogs])
    new_ids = ids.arange(0, len(together) + 1)
    is_child = together["parent"] > 0
    together["parent"] = np.where(is_child, new_ids[np.where(is_child, together["parent"] + offset, 0)], 0)
    together["id"] = new_ids[1:]
    return together


def _of_one_sign(sign: int, exposure: Exposure, detections: Detections, exposure_id: int) -> SourceCatalog:
    """Measure on an image on which the sources are positive; their fluxes have the sign."""
    detected = family_catalog(detections.footprints, deblend(exposure, detections.footprints), IdGenerator())
    catalog = measure(exposure, detected, DIFFERENCE_PLUGINS, exposure_id=exposure_id)
    for name in catalog.columns:
        if name.endswith("_instFlux"):
            catalog[name] = sign * catalog[name]
    return catalog


def source_table(release: Release, catalog: SourceCatalog, exposure: Exposure) -> Table:
    """Make the table of sources of one image.

    Parameters
    ----------
    release
        Whose names it has: DP1's source, or DP0.2's sourceTable.
    catalog
        What `measure_sources` returned.
    exposure
        The image.
    """
    centroids = centroid_values(catalog, exposure)
    fluxes = {
        "psfFlux": "base_PsfFlux",
        "gaussianFlux": "base_GaussianFlux",
        "calibFlux": "base_CircularApertureFlux_12_0",
        "sky": "base_LocalBackground",
        **APERTURES,
    }
    values = {
        **_image_values(exposure.identity),
        **centroids,
        "coord_ra": centroids["ra"],
        "coord_dec": centroids["dec"],
        **common_values(catalog),
        **flux_values(catalog, exposure, fluxes),
        **psf_flux_flags(catalog),
        **renamed(catalog, "base_SdssCentroid_flag", "centroid_flag"),
        **renamed(catalog, "base_LocalBackground", "localBackground"),
        **renamed(catalog, "base_LocalPhotoCalib", "localPhotoCalib"),
        **renamed(catalog, "base_LocalPhotoCalibErr", "localPhotoCalibErr"),
        **renamed(catalog, "base_LocalWcs", "localWcs"),
        **renamed(catalog, "base_Variance", "variance"),
        **renamed(catalog, "ext_shapeHSM_HsmPsfMoments_flag", "hsmPsfMoments_flag"),
        **{
            name: values
            for radius in (12, 17, 35, 50)
            for name, values in renamed(
                catalog, f"base_CircularApertureFlux_{radius}_0", f"apFlux_{radius}_0"
            ).items()
        },
        "footprintArea_value": catalog["base_FootprintArea_value"],
        "detect_isPrimary": catalog["deblend_nChild"] == 0,
        # Blank positions are measured on coadds only; every blend is deblended.
        "sky_source": np.array(False),
        "deblend_skipped": np.array(False),
        **picked(catalog, {"sourceId": "id", "parentSourceId": "parent", "deblend_nChild": "deblend_nChild"}),
    }
    return build_table(release, "Source", values)


def dia_source_table(
    release: Release, catalog: SourceCatalog, difference: Exposure, visit_image: Exposure, midpoint_mjd: float
) -> Table:
    """Make the table of sources of one difference image; diaObjectId is 0 until they are associated.

    Parameters
    ----------
    release
        Whose names it has: DP1's dia_source, or DP0.2's diaSourceTable.
    catalog
        What `measure_dia_sources` returned.
    difference
        The image.
    visit_image
        The image that it is the difference of, on which the sources' positions are measured too.
    midpoint_mjd
        Of the exposure, TAI.
    """
    centroids = centroid_values(catalog, difference)
    fluxes = flux_values(
        catalog, difference, {"psfFlux": "base_PsfFlux", "apFlux": "base_CircularApertureFlux_12_0"}
    )
    direct = measure_points(visit_image, catalog["id"], catalog["coord_ra"], catalog["coord_dec"])
    total = flux_values(direct, visit_image, {"scienceFlux": "base_PsfFlux"})
    shapes = {
        **{f"i{part}": catalog[f"base_SdssShape_{part}"] for part in ("xx", "yy", "xy")},
        **{f"i{part}PSF": catalog[f"base_SdssShape_psf_{part}"] for part in ("xx", "yy", "xy")},
    }
    area = pixel_areas_arcsec2(catalog, difference)
    # DP0.2 says so; DP1, that it is that of the detection.
    detected_flux = "apFlux" if release == "dp02" else "psfFlux"
    with np.errstate(all="ignore"):
        significance = np.abs(fluxes[detected_flux] / fluxes[f"{detected_flux}Err"])
    values = {
        **_image_values(difference.identity),
        **centroids,
        "coord_ra": centroids["ra"],
        "coord_dec": centroids["dec"],
        **fluxes,
        "psFlux": fluxes["psfFlux"],
        "psFluxErr": fluxes["psfFluxErr"],
        **renamed(catalog, "base_PsfFlux_flag", "psfFlux_flag"),
        **renamed(catalog, "base_CircularApertureFlux_12_0_flag", "apFlux_flag"),
        "snr": significance,
        "scienceFlux": total["scienceFlux"],
        "scienceFluxErr": total["scienceFluxErr"],
        "totFlux": total["scienceFlux"],
        "totFluxErr": total["scienceFluxErr"],
        **renamed(direct, "base_PsfFlux_flag", "forced_PsfFlux_flag"),
        **{name: moments * area for name, moments in shapes.items()},
        **renamed(catalog, "base_SdssShape_flag", "shape_flag"),
        **pixel_flags(catalog),
        "centroid_flag": catalog["base_SdssCentroid_flag"],
        "extendedness": catalog["base_ClassificationSizeExtendedness_value"],
        "bboxSize": _box_sizes(catalog),
        "diaObjectId": np.array(0),
        "ssObjectId": np.array(0),
        "midpointMjdTai": np.array(midpoint_mjd),
        "midPointTai": np.array(midpoint_mjd),
        "filterName": np.array(difference.identity.band),
        "pixelId": htm_index(centroids["ra"], centroids["dec"]),
        **picked(
            catalog,
            {
                "diaSourceId": "id",
                "parentDiaSourceId": "parent",
                "psfChi2": "base_PsfFlux_chi2",
                "psfNdata": "base_PsfFlux_npixels",
            },
        ),
    }
    return build_table(release, "DiaSource", values)


def htm_index(ra_deg: Any, dec_deg: Any) -> IntArray:
    """Return the pixels of the hierarchical triangular mesh, of level 20, that positions are in; 0 for NaN."""
    from lsst.sphgeom import HtmPixelization, LonLat, UnitVector3d

    mesh = HtmPixelization(_HTM_LEVEL)
    return np.array(
        [
            mesh.index(UnitVector3d(LonLat.fromDegrees(float(ra), float(dec)))) if np.isfinite(ra + dec) else 0
            for ra, dec in zip(ra_deg, dec_deg, strict=True)
        ],
        dtype=np.int64,
    )


def _image_values(identity: Identity) -> Values:
    if identity.visit is None or identity.detector is None:
        raise ExposureError(f"The exposure ({identity}) does not say which visit and detector it is of.")
    return {
        "visit": np.array(identity.visit),
        "detector": np.array(identity.detector),
        "ccdVisitId": np.array(ccd_visit_id(identity.visit, identity.detector)),
        "band": np.array(identity.band),
        "physical_filter": np.array(identity.physical_filter),
        "instrument": np.array(identity.instrument),
        "visit_system": np.array(_VISIT_SYSTEM),
    }


def _box_sizes(catalog: SourceCatalog) -> IntArray:
    """Return the longer side of the box around each footprint, pixels."""
    boxes = [record.getFootprint() for record in catalog]
    return np.array([max(found.bbox.shape) if found is not None else 0 for found in boxes], dtype=np.int64)
