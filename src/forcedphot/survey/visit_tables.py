"""Tables of visits, and of detectors of visits, as the data previews have them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..exposure import SummaryStats
from ..tasks.columns import Release, build_table
from ..tasks.table_values import ccd_visit_id
from .images import visit_info
from .plan import EXPOSURE_TIME_S, DetectorPlan, SurveyPlan, VisitPlan

if TYPE_CHECKING:
    from astropy.table import Table

_FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
_CORNERS = ("llc", "lrc", "urc", "ulc")


def visit_table(plan: SurveyPlan, release: Release) -> Table:
    """Make the table of all visits."""
    rows = []
    for visit in plan.visits:
        info = visit_info(plan, visit)
        rows.append(
            {
                **_describe(visit),
                "visit": visit.id,
                "ra": visit.ra_deg,
                "dec": visit.dec_deg,
                "decl": visit.dec_deg,
                "azimuth": info.boresight_azimuth_deg,
                "altitude": info.boresight_altitude_deg,
                "zenithDistance": 90.0 - info.boresight_altitude_deg,
                "airmass": info.boresight_airmass,
            }
        )
    return build_table(release, "Visit", _columns(rows))


def visit_detector_table(
    plan: SurveyPlan, release: Release, statistics: Mapping[tuple[int, int], SummaryStats]
) -> Table:
    """Make the table of all detectors in all visits.

    Parameters
    ----------
    plan, release
        Of the survey, and whose columns it has.
    statistics
        Of the visit images, by visit and detector.
    """
    return build_table(
        release,
        "CcdVisit",
        _columns(
            [
                _describe_detector(visit, detector, statistics[visit.id, detector.id])
                for visit in plan.visits
                for detector in visit.detectors
            ]
        ),
    )


def _describe_detector(visit: VisitPlan, detector: DetectorPlan, statistics: SummaryStats) -> dict[str, Any]:
    corners = zip(_CORNERS, statistics.ra_corners_deg, statistics.dec_corners_deg, strict=True)
    return {
        **_describe(visit),
        **{f"{corner}{name}": value for corner, ra, dec in corners for name, value in (("ra", ra), ("dec", dec))},
        "ccdVisitId": ccd_visit_id(visit.id, detector.id),
        "visitId": visit.id,
        "detector": detector.id,
        "ra": statistics.ra_deg,
        "dec": statistics.dec_deg,
        "decl": statistics.dec_deg,
        "pixelScale": statistics.pixel_scale_arcsec,
        "zenithDistance": statistics.zenith_distance_deg,
        "zeroPoint": statistics.zero_point_mag,
        "psfSigma": statistics.psf_sigma_pixels,
        "seeing": statistics.psf_sigma_pixels * _FWHM_PER_SIGMA * statistics.pixel_scale_arcsec,
        "skyBg": statistics.sky_background_adu,
        "skyNoise": statistics.sky_noise_adu,
        "magLim": statistics.magnitude_limit,
        "darkTime": EXPOSURE_TIME_S,
        "xSize": detector.box.width,
        "ySize": detector.box.height,
    }


def _describe(visit: VisitPlan) -> dict[str, Any]:
    return {
        "physical_filter": visit.physical_filter,
        "band": visit.band,
        "skyRotation": visit.rotation_deg,
        "expTime": EXPOSURE_TIME_S,
        "expMidptMJD": visit.middle_mjd,
        "obsStartMJD": visit.mjd,
    }


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}
