"""Images of visits for a repository: VisitImage and DifferenceImage of lsst.images, and what describes them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..conventions import AB_ZERO_POINT_NJY
from ..errors import ExposureError
from ..exposure import ConstantField, Detector, Exposure, Orientation, SummaryStats, VisitInfo
from ..exposure.wcs import AstropyWcs
from ..io.lsst_images_parts import field_for_lsst_images
from ..io.lsst_images_writer import exposure_to_lsst_images
from .plan import EXPOSURE_TIME_S, PIXEL_SCALE_ARCSEC, DetectorPlan, SurveyPlan, VisitPlan

if TYPE_CHECKING:
    from .visits import VisitArrays

_MJD_J2000 = 51_544.5
_N_SIGMA_LIMIT = 5.0
_KERNEL_SIDE_PIX = 21  # of the kernel that matches templates
_RAFTS = (*range(1, 4), *range(10, 15), *range(20, 25), *range(30, 35), *range(41, 44))
_DETECTORS_PER_RAFT = 9
_COMCAM_RAFT = 22


@dataclass(frozen=True, slots=True)
class Site:
    """Where a camera is, and what is known of it.

    Parameters
    ----------
    longitude_deg, latitude_deg, elevation_m
        Of the telescope; longitudes are positive to the east.
    pixel_mm
        Side of a pixel.
    """

    longitude_deg: float
    latitude_deg: float
    elevation_m: float
    pixel_mm: float


_PACHON = Site(-70.749417, -30.244639, 2663.0, 0.010)
_SITES = MappingProxyType(
    {"LSSTComCam": _PACHON, "LSSTCam-imSim": _PACHON, "HSC": Site(-155.476667, 19.825556, 4139.0, 0.015)}
)


def detector_name(instrument: str, number: int) -> str:
    """Return the name of a detector: of its raft and its place there in LSST's cameras, its number in others."""
    if instrument == "HSC":
        return f"{number:03d}"
    raft, place = divmod(number, _DETECTORS_PER_RAFT)
    raft = _COMCAM_RAFT if instrument == "LSSTComCam" else _RAFTS[raft]
    return f"R{raft:02d}_S{place // 3}{place % 3}"


def visit_image(plan: SurveyPlan, visit: VisitPlan, detector: DetectorPlan, arrays: VisitArrays) -> Any:
    """Make the VisitImage of one detector in one visit."""
    return _visit_image(plan, visit, detector, arrays.visit_exposure())


def difference_image(plan: SurveyPlan, visit: VisitPlan, detector: DetectorPlan, arrays: VisitArrays) -> Any:
    """Make the DifferenceImage of one detector in one visit.

    Its kernel, which makes the template's PSF that of the visit, changes nothing: templates are drawn with that
    PSF.
    """
    from lsst.images import DifferenceImage
    from lsst.images.convolution_kernels import ImageBasisConvolutionKernel
    from lsst.images.fields import ChebyshevField

    image = _visit_image(plan, visit, detector, arrays.difference_exposure())
    basis = np.zeros((1, _KERNEL_SIDE_PIX, _KERNEL_SIDE_PIX))
    basis[0, _KERNEL_SIDE_PIX // 2, _KERNEL_SIDE_PIX // 2] = 1.0
    return DifferenceImage(
        image.image,
        mask=image.mask,
        variance=image.variance,
        sky_projection=image.sky_projection,
        bounds=image.bounds,
        obs_info=image.obs_info,
        summary_stats=image.summary_stats,
        photometric_scaling=image.photometric_scaling,
        psf=image.psf,
        detector=image.detector,
        aperture_corrections=image.aperture_corrections,
        band=image.band,
        kernel=ImageBasisConvolutionKernel(basis, [ChebyshevField(image.bbox, np.array([[1.0]]))]),
        templates=[],
        metadata=image.metadata,
    )


def _visit_image(plan: SurveyPlan, visit: VisitPlan, detector: DetectorPlan, exposure: Exposure) -> Any:
    from astropy import units

    described = replace(
        exposure,
        visit_info=visit_info(plan, visit),
        detector=detector_description(plan, detector),
        summary_stats=summary_stats(plan, visit, detector, exposure),
    )
    image = exposure_to_lsst_images(described, kind="visit-image")
    image.photometric_scaling = field_for_lsst_images(
        ConstantField(1.0 / visit.gain), detector.box, units.nJy / units.electron
    )
    return image


def visit_info(plan: SurveyPlan, visit: VisitPlan) -> VisitInfo:
    """Describe when, where and how a visit was taken."""
    site = _SITES[plan.profile.instrument]
    azimuth, altitude = horizontal_deg(site, visit.middle_mjd, visit.ra_deg, visit.dec_deg)
    return VisitInfo(
        visit=visit.id,
        exposure_time_s=EXPOSURE_TIME_S,
        dark_time_s=EXPOSURE_TIME_S,
        mid_mjd_tai=visit.middle_mjd,
        boresight_ra_deg=visit.ra_deg,
        boresight_dec_deg=visit.dec_deg,
        boresight_azimuth_deg=azimuth,
        boresight_altitude_deg=altitude,
        boresight_airmass=1.0 / math.sin(math.radians(altitude)) if altitude > 0 else math.nan,
        boresight_rotation_deg=visit.rotation_deg,
        rotation_type="SKY",
        longitude_deg=site.longitude_deg,
        latitude_deg=site.latitude_deg,
        elevation_m=site.elevation_m,
        instrument=plan.profile.instrument,
        observation_type="science",
        science_program="simulated",
        observation_reason="survey",
        object_name=plan.profile.label,
        has_simulated_content=True,
    )


def horizontal_deg(site: Site, mjd: float, ra_deg: float, dec_deg: float) -> tuple[float, float]:
    """Return azimuth, from north to east, and altitude, to half a degree: without precession and refraction."""
    turns = 0.7790572732640 + 1.00273781191135448 * (mjd - _MJD_J2000)
    hour_angle = math.radians(360.0 * (turns % 1.0) + site.longitude_deg - ra_deg)
    dec, latitude = math.radians(dec_deg), math.radians(site.latitude_deg)
    north = math.sin(dec) * math.cos(latitude) - math.cos(dec) * math.sin(latitude) * math.cos(hour_angle)
    east = -math.cos(dec) * math.sin(hour_angle)
    up = math.sin(dec) * math.sin(latitude) + math.cos(dec) * math.cos(latitude) * math.cos(hour_angle)
    return math.degrees(math.atan2(east, north)) % 360.0, math.degrees(math.asin(up))


def detector_description(plan: SurveyPlan, detector: DetectorPlan) -> Detector:
    """Describe a detector and its place in the focal plane."""
    instrument = plan.profile.instrument
    pixel, box = _SITES[instrument].pixel_mm, detector.box
    return Detector(
        name=detector_name(instrument, detector.id),
        number=detector.id,
        serial=f"simulated-{detector.id:03d}",
        purpose="SCIENCE",
        box=box,
        orientation=Orientation(
            focal_plane_x_mm=detector.focal_plane_pix[0] * pixel,
            focal_plane_y_mm=detector.focal_plane_pix[1] * pixel,
            reference_x_pixel=box.x0 + (box.width - 1) / 2,
            reference_y_pixel=box.y0 + (box.height - 1) / 2,
        ),
        pixel_width_mm=pixel,
        pixel_height_mm=pixel,
        physical_type="CCD",
    )


def summary_stats(plan: SurveyPlan, visit: VisitPlan, detector: DetectorPlan, exposure: Exposure) -> SummaryStats:
    """Find the statistics of an image: of its PSF, place, noise and depth.

    The limiting magnitude is that of a point source with a signal of 5 sigma of the sky's noise. Fluxes of sky and
    noise are nJy, as the image's pixels are.

    Raises
    ------
    ExposureError
        If the image has no PSF or variance.
    """
    box = detector.box
    middle = np.array([box.x0 + (box.width - 1) / 2]), np.array([box.y0 + (box.height - 1) / 2])
    edges = np.array([box.x0, box.x_stop]) - 0.5, np.array([box.y0, box.y_stop]) - 0.5
    corners = edges[0][[0, 1, 1, 0]], edges[1][[0, 0, 1, 1]]
    wcs, psf, variance = AstropyWcs(detector.wcs), exposure.psf, exposure.variance
    if psf is None or variance is None:
        raise ExposureError(f"An image without a PSF or a variance has no statistics ({exposure.identity}).")
    ra, dec = np.degrees(wcs.pixel_to_sky(*middle))
    corners_ra, corners_dec = np.degrees(wcs.pixel_to_sky(*corners))
    ixx, iyy, ixy = psf.moments(*middle)[0].tolist()
    kernel = psf.kernel_images(*middle).images[0]
    area = float(kernel.sum() ** 2 / (kernel**2).sum())
    faintest = _N_SIGMA_LIMIT * math.sqrt(area) * visit.sky_sigma_njy
    site = _SITES[plan.profile.instrument]
    _, altitude = horizontal_deg(site, visit.middle_mjd, float(ra[0]), float(dec[0]))
    return SummaryStats(
        psf_sigma_pixels=(ixx * iyy - ixy**2) ** 0.25,
        psf_area_pixels2=area,
        psf_ixx_pixels2=ixx,
        psf_iyy_pixels2=iyy,
        psf_ixy_pixels2=ixy,
        ra_deg=float(ra[0]),
        dec_deg=float(dec[0]),
        ra_corners_deg=tuple(corners_ra.tolist()),
        dec_corners_deg=tuple(corners_dec.tolist()),
        pixel_scale_arcsec=PIXEL_SCALE_ARCSEC,
        zenith_distance_deg=90.0 - altitude,
        exposure_time_s=EXPOSURE_TIME_S,
        zero_point_mag=AB_ZERO_POINT_NJY,
        magnitude_limit=AB_ZERO_POINT_NJY - 2.5 * math.log10(faintest),
        sky_background_adu=0.0,
        sky_noise_adu=visit.sky_sigma_njy,
        mean_variance_adu2=float(variance[np.isfinite(variance)].mean()),
    )
