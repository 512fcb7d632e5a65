"""What describes an exposure - visit, detector, statistics, mask planes, fields - as the types of lsst.images.

Importing this module does not import lsst.images, which takes seconds. The other way is `lsst_images_info`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import numpy as np

from ..conventions import Box
from ..errors import ExposureError
from ..exposure import (
    ChebyshevField,
    CoaddInputs,
    ConstantField,
    Detector,
    Exposure,
    Field,
    Mask,
    ProductField,
    SummaryStats,
    VisitInfo,
)
from ..exposure.mask import PIPELINE_TO_IMAGES
from .lsst_images import LsstImagesField
from .lsst_images_psf import box_for_lsst_images

_LOG = logging.getLogger(__name__)

_NO_HOME_IN_VISIT = ("mid_mjd_ut1", "earth_rotation_angle_deg")
_LATITUDES = ("boresight_dec_deg", "boresight_altitude_deg", "latitude_deg")
_RIGHT_ANGLE_DEG = 90.0
_RADIANS_PER_MM = 1e-4  # of a camera of which nothing is known


def visit_info_for_lsst_images(
    exposure: Exposure, instrument: str, physical_filter: str, detector_number: int
) -> Any:
    """Turn what is known of the visit into an ObservationInfo."""
    from astro_metadata_translator import ObservationInfo
    from astropy import units
    from astropy.coordinates import AltAz, Angle, EarthLocation, SkyCoord

    info, identity, detector = exposure.visit_info or VisitInfo(), exposure.identity, exposure.detector
    visit = info.visit if info.visit is not None else identity.visit
    found: dict[str, Any] = {
        "instrument": instrument,
        "physical_filter": physical_filter,
        "visit_id": visit,
        "exposure_id": visit,
        "detector_num": detector_number,
        "detector_exposure_id": info.exposure_id,
        "observation_type": info.observation_type,
        "science_program": info.science_program,
        "observation_reason": info.observation_reason,
        "object": info.object_name,
        "has_simulated_content": info.has_simulated_content,
    }
    if detector is not None:
        found |= {"detector_unique_name": detector.name, "detector_serial": detector.serial}
    for name, value, unit in (
        ("exposure_time", info.exposure_time_s, units.s),
        ("dark_time", info.dark_time_s, units.s),
        ("temperature", info.air_temperature_celsius + 273.15, units.K),
        ("pressure", info.air_pressure_pascal, units.Pa),
        ("focus_z", info.focus_z_mm, units.mm),
    ):
        if math.isfinite(value):
            found[name] = value * unit
    for name, value in (
        ("boresight_airmass", info.boresight_airmass),
        ("relative_humidity", info.humidity_percent),
    ):
        if math.isfinite(value):
            found[name] = value
    if math.isfinite(info.boresight_rotation_deg):
        found["boresight_rotation_angle"] = Angle(info.boresight_rotation_deg, units.deg)
        found["boresight_rotation_coord"] = info.rotation_type.lower()
    if math.isfinite(info.boresight_ra_deg) and abs(info.boresight_dec_deg) <= _RIGHT_ANGLE_DEG:
        found["tracking_radec"] = SkyCoord(info.boresight_ra_deg, info.boresight_dec_deg, unit="deg", frame="icrs")
    if math.isfinite(info.longitude_deg + info.elevation_m) and abs(info.latitude_deg) <= _RIGHT_ANGLE_DEG:
        found["location"] = EarthLocation.from_geodetic(
            info.longitude_deg * units.deg, info.latitude_deg * units.deg, info.elevation_m * units.m
        )
    if math.isfinite(info.mid_mjd_tai):
        found |= _times(info)
    if math.isfinite(info.boresight_azimuth_deg) and abs(info.boresight_altitude_deg) <= _RIGHT_ANGLE_DEG:
        found["altaz_begin"] = AltAz(
            az=info.boresight_azimuth_deg * units.deg,
            alt=info.boresight_altitude_deg * units.deg,
            obstime=found.get("datetime_begin"),
            location=found.get("location"),
        )
    return ObservationInfo(**{name: value for name, value in found.items() if value is not None})


def _times(info: VisitInfo) -> dict[str, Any]:
    from astropy import units
    from astropy.time import Time

    middle = Time(info.mid_mjd_tai, format="mjd", scale="tai")
    half = (info.exposure_time_s if math.isfinite(info.exposure_time_s) else 0.0) / 2 * units.s
    return {"datetime_begin": middle - half, "datetime_end": middle + half}


def unstored_visit_info(info: VisitInfo | None) -> list[str]:
    """List what a visit info says that ObservationInfo has no place for, or that is no latitude."""
    if info is None:
        return []
    no_home = [name for name in _NO_HOME_IN_VISIT if math.isfinite(getattr(info, name))]
    return no_home + [name for name in _LATITUDES if abs(getattr(info, name)) > _RIGHT_ANGLE_DEG]


def detector_for_lsst_images(exposure: Exposure, number: int, instrument: str) -> Any:
    """Turn a detector into one of lsst.images, in a camera of only this detector.

    Without a detector, one of that number and without a name takes its place: a visit image must have one.
    """
    from astropy import units
    from lsst.images import cameras

    detector = exposure.detector
    if detector is None:
        detector = Detector(name="unknown", number=number, serial="", purpose="SCIENCE", box=exposure.bbox)
    orientation = detector.orientation
    placed: dict[str, Any] = {"focal_plane_x": math.nan, "focal_plane_y": math.nan, "focal_plane_z": math.nan}
    if orientation is not None:
        placed = {
            "focal_plane_x": orientation.focal_plane_x_mm,
            "focal_plane_y": orientation.focal_plane_y_mm,
            "focal_plane_z": orientation.focal_plane_z_mm,
            "pixel_reference_x": orientation.reference_x_pixel,
            "pixel_reference_y": orientation.reference_y_pixel,
            "yaw": orientation.yaw_deg * units.deg,
            "pitch": orientation.pitch_deg * units.deg,
            "roll": orientation.roll_deg * units.deg,
        }
    purposes = {purpose.value for purpose in cameras.DetectorType}
    return cameras.Detector(
        cameras.DetectorAttributes(
            name=detector.name,
            id=detector.number,
            type=cameras.DetectorType(detector.purpose if detector.purpose in purposes else "SCIENCE"),
            serial=detector.serial,
            bbox=box_for_lsst_images(detector.box),
            orientation=cameras.Orientation(**placed),
            pixel_size=detector.pixel_width_mm,
            physical_type=detector.physical_type or "",
        ),
        amplifiers=[_amplifier(amplifier) for amplifier in detector.amplifiers],
        frames=_camera_of(detector, instrument, exposure.summary_stats),
        visit=exposure.identity.visit,
    )


def _amplifier(amplifier: Any) -> Any:
    from lsst.images import cameras
    from lsst.images.cameras import _amplifier as stored  # it has no public name

    return cameras.Amplifier(
        name=amplifier.name,
        bbox=box_for_lsst_images(amplifier.box),
        # Unknown here, and of no use once an image is assembled.
        readout_corner=stored.ReadoutCorner.LL,
        nominal_calibrations=stored.AmplifierCalibrations(
            gain=amplifier.gain_electron_per_adu,
            read_noise=amplifier.read_noise_electron,
            saturation=amplifier.saturation_adu,
            suspect_level=amplifier.suspect_level_adu,
            linearity_coefficients=np.zeros(4),
            linearity_type="PROPORTIONAL",
        ),
    )


def _camera_of(detector: Detector, instrument: str, stats: SummaryStats | None) -> Any:
    """Make the least that a camera's coordinate frames can be: the detector's pixels in its focal plane.

    The distortions of the optics are not in an ExposureF file; field angles are therefore nominal, with the
    image's own scale where that is known.
    """
    from lsst.images._transforms import _ast  # the public classes take these, whichever AST is installed
    from lsst.images.cameras import CameraFrameSet

    box, pixel = detector.box, detector.pixel_width_mm
    pixel = pixel if math.isfinite(pixel) and pixel > 0 else 0.01
    pixel_scale = math.nan if stats is None else stats.pixel_scale_arcsec
    scale = math.radians(pixel_scale / 3600.0) / pixel if pixel_scale > 0 else _RADIANS_PER_MM
    plane = _ast.Frame(2, "Ident=FOCAL_PLANE,Domain=FOCAL_PLANE,Unit(1)=mm,Unit(2)=mm")
    angle = _ast.Frame(2, "Ident=FIELD_ANGLE,Domain=FIELD_ANGLE,Unit(1)=rad,Unit(2)=rad")
    name = f"DETECTOR_{detector.number:03d}"
    pixels = _ast.Frame(
        2,
        f"Ident={name},Domain={name},Unit(1)=pixel,Unit(2)=pixel,Bottom(1)={box.x0},Top(1)={box.x_stop},"
        f"Bottom(2)={box.y0},Top(2)={box.y_stop}",
    )
    frames = _ast.FrameSet(plane)
    frames.addFrame(1, _ast.ZoomMap(2, scale), angle)
    frames.addFrame(1, _to_pixels(detector, pixel), pixels)
    return CameraFrameSet(instrument, frames)


def _to_pixels(detector: Detector, pixel_mm: float) -> Any:
    """Map the focal plane (mm) to the detector's pixels."""
    from lsst.images._transforms import _ast

    place = detector.orientation
    if place is None:
        return _ast.ZoomMap(2, 1.0 / pixel_mm)
    yaw = math.radians(place.yaw_deg)
    turned = np.array([[math.cos(yaw), math.sin(yaw)], [-math.sin(yaw), math.cos(yaw)]])
    return (
        _ast.ShiftMap([-place.focal_plane_x_mm, -place.focal_plane_y_mm])
        .then(_ast.MatrixMap(turned))
        .then(_ast.ZoomMap(2, 1.0 / pixel_mm))
        .then(_ast.ShiftMap([place.reference_x_pixel, place.reference_y_pixel]))
    )


def summary_stats_for_lsst_images(stats: SummaryStats | None) -> tuple[Any, list[str]]:
    """Turn statistics into those of lsst.images, and list those that it does not know."""
    from lsst.images import ObservationSummaryStats

    if stats is None:
        return ObservationSummaryStats(), []
    values: dict[str, Any] = {
        member.metadata["name"]: getattr(stats, member.name)
        for member in fields(stats)
        if "name" in member.metadata
    }
    values |= stats.others
    known = {name: value for name, value in values.items() if name in ObservationSummaryStats.model_fields}
    lost = [name for name, value in values.items() if name not in known and not np.isnan(value).all()]
    return ObservationSummaryStats(**known), lost


def mask_for_lsst_images(mask: Mask | None, box: Box, *, is_coadd: bool) -> Any:
    """Turn a mask into one of lsst.images; bits keep their numbers, planes get their new names."""
    from lsst.images import Mask as ImagesMask
    from lsst.images import MaskPlane, MaskSchema, _mask

    if mask is None:
        return ImagesMask(0, schema=MaskSchema([]), bbox=box_for_lsst_images(box))
    known = {**_mask.get_legacy_optional_mask_planes(), **_mask.get_legacy_difference_image_mask_planes()}
    if is_coadd:
        known |= _mask.get_legacy_non_cell_coadd_mask_planes()
    descriptions = {plane.name: plane.description for plane in known.values()}
    by_bit = {
        bit: MaskPlane(new, descriptions.get(new, f"{name} of the file that this was converted from."))
        for name, bit in mask.planes.items()
        for new in [PIPELINE_TO_IMAGES.get(name, name)]
    }
    schema = MaskSchema([by_bit.get(bit) for bit in range(max(by_bit, default=-1) + 1)], dtype=np.uint8)
    itemsize = mask.array.dtype.itemsize
    little = np.ascontiguousarray(mask.array.astype(mask.array.dtype.newbyteorder("<"), copy=False))
    array = little.view(np.uint8).reshape(*little.shape, itemsize)
    return ImagesMask(
        np.ascontiguousarray(array[..., : max(math.ceil(len(schema) / 8), 1)]),
        schema=schema,
        bbox=box_for_lsst_images(box),
    )


def field_for_lsst_images(field: Field, box: Box, unit: Any = None) -> Any:
    """Turn a field into one of lsst.images.

    Raises
    ------
    ExposureError
        If it has no counterpart.
    """
    from lsst.images import fields as images

    if isinstance(field, ConstantField):
        return images.ChebyshevField(box_for_lsst_images(box), np.array([[field.value]]), unit=unit)
    if isinstance(field, ChebyshevField):
        coefficients = np.array(field.coefficients, dtype=np.float64)
        return images.ChebyshevField(box_for_lsst_images(field.box), coefficients, unit=unit)
    if isinstance(field, ProductField):
        first, *rest = field.factors
        operands = [field_for_lsst_images(first, box, unit), *(field_for_lsst_images(part, box) for part in rest)]
        return images.ProductField(operands)
    if isinstance(field, LsstImagesField):
        return field.field if unit is None or field.field.unit is not None else field.field * unit
    raise ExposureError(f"lsst.images has no field like {type(field).__name__}.")


def planes_for_lsst_images(exposure: Exposure, unit: Any, *, is_coadd: bool) -> tuple[Any, Any, Any]:
    """Turn image, mask and variance into planes of lsst.images; pixels are held, not copied."""
    from lsst.images import Image

    box = box_for_lsst_images(exposure.bbox)
    return (
        Image(exposure.image, bbox=box, unit=unit),
        mask_for_lsst_images(exposure.mask, exposure.bbox, is_coadd=is_coadd),
        Image(exposure.variance, bbox=box, unit=unit**2),
    )


def metadata_for_lsst_images(exposure: Exposure) -> dict[str, Any]:
    """Return header cards of the types that JSON has; others become texts."""
    plain: dict[str, Any] = {}
    for name, value in exposure.metadata.items():
        value = value.item() if isinstance(value, np.generic) else value
        is_plain = value is None or isinstance(value, bool | int | str)
        # JSON has no numbers that are not finite.
        plain[str(name)] = value if is_plain or (isinstance(value, float) and math.isfinite(value)) else str(value)
    return plain


def warn_of_loss(exposure: Exposure, kind: str, components: Iterable[str], others: Iterable[str]) -> None:
    """Name the components that a type of lsst.images has no place for, as far as the exposure has them."""
    lost = [name for name in components if _says_something(getattr(exposure, name))] + list(others)
    if lost:
        _LOG.warning("A %s has no place for %s, which are left behind", kind, ", ".join(lost))


def _says_something(component: Any) -> bool:
    return component is not None and (not isinstance(component, CoaddInputs) or len(component.ccds) > 0)
