"""VisitInfo: when, where and how a visit was taken."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitInfo:
    """The circumstances of an observation, as far as the file says.

    Numbers are NaN, ids and texts None where they are unknown. Angles are degrees, the boresight is
    ICRS, and times are those of the middle of the exposure.

    Parameters
    ----------
    visit
        Id of the exposure of the whole focal plane.
    exposure_id
        Id of the exposure of this detector.
    mid_mjd_tai
        Modified Julian date, TAI.
    mid_mjd_ut1
        Modified Julian date, UT1.
    boresight_azimuth_deg, boresight_altitude_deg
        Refracted, apparent, topocentric.
    rotation_type
        What the rotation angle is relative to: SKY, HORIZON, MOUNT or UNKNOWN.
    longitude_deg
        Of the telescope, positive east of Greenwich.
    focus_z_mm
        Distance from focus.
    """

    visit: int | None = None
    exposure_id: int | None = None
    exposure_time_s: float = math.nan
    dark_time_s: float = math.nan
    mid_mjd_tai: float = math.nan
    mid_mjd_ut1: float = math.nan
    earth_rotation_angle_deg: float = math.nan
    boresight_ra_deg: float = math.nan
    boresight_dec_deg: float = math.nan
    boresight_azimuth_deg: float = math.nan
    boresight_altitude_deg: float = math.nan
    boresight_airmass: float = math.nan
    boresight_rotation_deg: float = math.nan
    rotation_type: str = "UNKNOWN"
    longitude_deg: float = math.nan
    latitude_deg: float = math.nan
    elevation_m: float = math.nan
    air_temperature_celsius: float = math.nan
    air_pressure_pascal: float = math.nan
    humidity_percent: float = math.nan
    focus_z_mm: float = math.nan
    instrument: str | None = None
    observation_type: str | None = None
    science_program: str | None = None
    observation_reason: str | None = None
    object_name: str | None = None
    has_simulated_content: bool = False
