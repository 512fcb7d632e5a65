"""What describes images of lsst.images - visit, detector, statistics - as the types of `forcedphot.exposure`."""

from __future__ import annotations

import math
from typing import Any

from ..conventions import Box
from ..exposure import Amplifier, Detector, Orientation, SummaryStats, VisitInfo
from ..exposure.polygon import Polygon


def box_from_lsst_images(bbox: Any) -> Box:
    """Turn a Box of lsst.images into ours."""
    return Box(bbox.x.start, bbox.y.start, bbox.x.size, bbox.y.size)


def visit_info_from_lsst_images(info: Any) -> VisitInfo:
    """Turn an ObservationInfo, as lsst.images has it, into a `VisitInfo`."""
    begin, end = info.datetime_begin, info.datetime_end
    sky, horizontal, place = info.tracking_radec, info.altaz_begin, info.location
    return VisitInfo(
        visit=info.visit_id,
        exposure_id=info.detector_exposure_id,
        exposure_time_s=_value(info.exposure_time, "s"),
        dark_time_s=_value(info.dark_time, "s"),
        mid_mjd_tai=math.nan if begin is None or end is None else float((begin + (end - begin) / 2).tai.mjd),
        boresight_ra_deg=math.nan if sky is None else float(sky.icrs.ra.deg),
        boresight_dec_deg=math.nan if sky is None else float(sky.icrs.dec.deg),
        boresight_azimuth_deg=math.nan if horizontal is None else float(horizontal.az.deg),
        boresight_altitude_deg=math.nan if horizontal is None else float(horizontal.alt.deg),
        boresight_airmass=math.nan if info.boresight_airmass is None else float(info.boresight_airmass),
        boresight_rotation_deg=_value(info.boresight_rotation_angle, "deg"),
        rotation_type=(info.boresight_rotation_coord or "unknown").upper(),
        longitude_deg=math.nan if place is None else float(place.lon.deg),
        latitude_deg=math.nan if place is None else float(place.lat.deg),
        elevation_m=math.nan if place is None else _value(place.height, "m"),
        air_temperature_celsius=_value(info.temperature, "K") - 273.15,
        air_pressure_pascal=_value(info.pressure, "Pa"),
        humidity_percent=math.nan if info.relative_humidity is None else float(info.relative_humidity),
        focus_z_mm=_value(info.focus_z, "mm"),
        instrument=info.instrument,
        observation_type=info.observation_type,
        science_program=info.science_program,
        observation_reason=info.observation_reason,
        object_name=info.object,
        has_simulated_content=bool(info.has_simulated_content),
    )


def detector_from_lsst_images(detector: Any) -> Detector:
    """Turn a Detector of lsst.images into ours."""
    orientation = detector.orientation
    return Detector(
        name=detector.name,
        number=detector.id,
        serial=detector.serial,
        purpose=str(detector.type).upper(),
        box=box_from_lsst_images(detector.bbox),
        orientation=Orientation(
            focal_plane_x_mm=orientation.focal_plane_x,
            focal_plane_y_mm=orientation.focal_plane_y,
            focal_plane_z_mm=orientation.focal_plane_z,
            reference_x_pixel=orientation.pixel_reference_x,
            reference_y_pixel=orientation.pixel_reference_y,
            yaw_deg=_value(orientation.yaw, "deg"),
            pitch_deg=_value(orientation.pitch, "deg"),
            roll_deg=_value(orientation.roll, "deg"),
        ),
        pixel_width_mm=detector.pixel_size,
        pixel_height_mm=detector.pixel_size,
        physical_type=detector.physical_type or None,
        amplifiers=tuple(_amplifier(amplifier) for amplifier in detector.amplifiers),
    )


def summary_stats_from_lsst_images(stats: Any) -> SummaryStats:
    """Turn ObservationSummaryStats of lsst.images into `SummaryStats`."""
    return SummaryStats.from_pipeline_names(stats.model_dump(exclude={"min_read_version", "metadata", "indirect"}))


def polygon_from_lsst_images(bounds: Any) -> Polygon | None:
    """Turn the polygon that bounds an image of lsst.images into ours; None for other bounds."""
    from lsst.images import Polygon as ImagesPolygon

    return Polygon(bounds.x_vertices, bounds.y_vertices) if isinstance(bounds, ImagesPolygon) else None


def _amplifier(amplifier: Any) -> Amplifier:
    box = box_from_lsst_images(amplifier.bbox)
    nominal = amplifier.nominal_calibrations
    if nominal is None:
        return Amplifier(name=amplifier.name, box=box)
    return Amplifier(
        name=amplifier.name,
        box=box,
        gain_electron_per_adu=nominal.gain,
        read_noise_electron=nominal.read_noise,
        saturation_adu=nominal.saturation,
        suspect_level_adu=nominal.suspect_level,
    )


def _value(quantity: Any, unit: str) -> float:
    return math.nan if quantity is None else float(quantity.to_value(unit))
