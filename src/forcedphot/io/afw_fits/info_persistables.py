"""Readers of stored objects that describe an image: visit, detector, inputs, statistics, older calibrations.

Importing this module registers them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ...conventions import Box
from ...errors import FileFormatError
from ...exposure.coadd_inputs import CoaddInputs, InputRegion
from ...exposure.detector import Amplifier, Detector, Orientation
from ...exposure.fields import Field, ProductField
from ...exposure.photo_calib import AB_ZERO_NJY, PhotoCalib
from ...exposure.summary_stats import SummaryStats
from ...exposure.visit_info import VisitInfo
from ...exposure.wcs import AstropyWcs, Wcs
from . import exposure_rows
from .archive import Rows, StoredObject, UnsupportedObjectError
from .persistables import persistable

MJD_OF_UNIX_EPOCH = 40587.0
NANOSECONDS_PER_DAY = 86_400_000_000_000
_NO_TIME = np.iinfo(np.int64).min
_VISIT_INFO_VERSION = 4
_ROTATION_TYPES = ("UNKNOWN", "SKY", "HORIZON", "MOUNT")
_DETECTOR_TYPES = ("SCIENCE", "FOCUS", "GUIDER", "WAVEFRONT")
_MAX_STATISTICS_BYTES = 100_000
_MAX_LINE, _MAX_BRACKETS = 200, 100
_NESTED = frozenset(
    {
        "wcs", "psf", "calib", "photoCalib", "apCorrMap", "validPolygon", "visitInfo", "transmissionCurve",
        "detector",
    }
)  # fmt: skip
"""Columns of an exposure catalog that hold ids of other objects."""


@persistable("VisitInfo")
def _visit_info(stored: StoredObject) -> VisitInfo:
    rows = stored.rows()
    version = rows.integer("version") if "version" in rows else 0
    if version > _VISIT_INFO_VERSION:
        raise UnsupportedObjectError(stored.class_name, f" in version {version}")
    nanoseconds = rows.integer("tai")
    time = math.nan if nanoseconds == _NO_TIME else nanoseconds / NANOSECONDS_PER_DAY + MJD_OF_UNIX_EPOCH
    return VisitInfo(
        visit=(rows.integer("idnum") or None) if version >= 2 else None,
        exposure_id=rows.integer("exposureid") or None,
        exposure_time_s=rows.number("exposuretime"),
        dark_time_s=rows.number("darktime"),
        mid_mjd_tai=time,
        mid_mjd_ut1=rows.number("ut1"),
        earth_rotation_angle_deg=_degrees(rows, "era"),
        boresight_ra_deg=_degrees(rows, "boresightradec_ra"),
        boresight_dec_deg=_degrees(rows, "boresightradec_dec"),
        boresight_azimuth_deg=_degrees(rows, "boresightazalt_az"),
        boresight_altitude_deg=_degrees(rows, "boresightazalt_alt"),
        boresight_airmass=rows.number("boresightairmass"),
        boresight_rotation_deg=_degrees(rows, "boresightrotangle"),
        rotation_type=_name_of(rows.integer("rottype"), _ROTATION_TYPES),
        longitude_deg=_degrees(rows, "longitude"),
        latitude_deg=_degrees(rows, "latitude"),
        elevation_m=rows.number("elevation"),
        air_temperature_celsius=rows.number("airtemperature"),
        air_pressure_pascal=rows.number("airpressure"),
        humidity_percent=rows.number("humidity"),
        focus_z_mm=rows.number("focusz") if version >= 3 else math.nan,
        instrument=rows.text("instrumentlabel") or None if version >= 1 else None,
        observation_type=rows.text("observationType") or None if version >= 4 else None,
        science_program=rows.text("scienceProgram") or None if version >= 4 else None,
        observation_reason=rows.text("observationReason") or None if version >= 4 else None,
        object_name=rows.text("object") or None if version >= 4 else None,
        has_simulated_content=version >= 4 and rows.flag("hasSimulatedContent"),
    )


@persistable("Detector")
def _detector(stored: StoredObject) -> Detector:
    rows = stored.rows()
    x0, y0 = rows.integer("bbox_min_x"), rows.integer("bbox_min_y")
    return Detector(
        name=rows.text("name"),
        number=rows.integer("id"),
        serial=rows.text("serial"),
        purpose=_name_of(rows.integer("type"), _DETECTOR_TYPES),
        box=Box(x0, y0, rows.integer("bbox_max_x") - x0 + 1, rows.integer("bbox_max_y") - y0 + 1),
        orientation=Orientation(
            focal_plane_x_mm=rows.number("fpPosition_x"),
            focal_plane_y_mm=rows.number("fpPosition_y"),
            focal_plane_z_mm=rows.number("fpPosition_z") if "fpPosition_z" in rows else 0.0,
            reference_x_pixel=rows.number("refPoint_x"),
            reference_y_pixel=rows.number("refPoint_y"),
            yaw_deg=_degrees(rows, "yaw"),
            pitch_deg=_degrees(rows, "pitch"),
            roll_deg=_degrees(rows, "roll"),
        ),
        pixel_width_mm=rows.number("pixelSize_x"),
        pixel_height_mm=rows.number("pixelSize_y"),
        physical_type=(rows.text("physicalType") or None) if "physicalType" in rows else None,
        amplifiers=_amplifiers(stored.rows(1)),
    )


def _amplifiers(rows: Rows) -> tuple[Amplifier, ...]:
    boxes = zip(
        *(rows.column(f"bbox_{part}").tolist() for part in ("min_x", "min_y", "extent_x", "extent_y")), strict=True
    )
    numbers = zip(
        *(rows.column(name).tolist() for name in ("gain", "readnoise", "saturation", "suspectlevel")), strict=True
    )
    return tuple(
        Amplifier(
            name=name,
            box=Box(*box),
            gain_electron_per_adu=float(gain),
            read_noise_electron=float(noise),
            saturation_adu=float(saturation),
            suspect_level_adu=float(suspect),
        )
        for name, box, (gain, noise, saturation, suspect) in zip(rows.texts("name"), boxes, numbers, strict=True)
    )


@persistable("ExposureSummaryStats")
def _summary_stats(stored: StoredObject) -> SummaryStats:
    import yaml

    text = stored.rows().bytes("bytes")
    # The loader in C is ten times as fast and as safe, but deep nesting would crash it. A level takes a
    # bracket or a character of a line.
    too_deep = max(map(len, text.splitlines()), default=0) > _MAX_LINE or text.count(b"[") > _MAX_BRACKETS
    if len(text) > _MAX_STATISTICS_BYTES or too_deep or text.count(b"{") > _MAX_BRACKETS:
        raise FileFormatError("the summary statistics are damaged: too long, or too deeply nested")
    try:
        values = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
        if not isinstance(values, dict):
            raise FileFormatError(f"the summary statistics are a {type(values).__name__}, not named values")
        return SummaryStats.from_pipeline_names(values)
    except (yaml.YAMLError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise FileFormatError(f"the summary statistics are damaged: {error}") from error


@persistable("CoaddInputs")
def _coadd_inputs(stored: StoredObject) -> CoaddInputs:
    from astropy.table import Table

    visits, ccds = (
        Table({name: values for name in rows.names if (values := _numbers(rows, name)) is not None}, copy=False)
        for rows in (stored.rows(0), stored.rows(1))
    )
    rows = stored.rows(1)
    places = zip(
        _wcs_of(stored, rows), exposure_rows.boxes(rows), exposure_rows.valid_polygons(stored, rows), strict=True
    )
    return CoaddInputs(visits, ccds, tuple(InputRegion(box, wcs, polygon) for wcs, box, polygon in places))


def _wcs_of(stored: StoredObject, rows: Rows) -> list[Wcs | None]:
    """Read the WCS of each row; None for those without, or with one of a class that cannot be read."""
    found: list[Wcs | None] = []
    for wcs_id in rows.column("wcs").tolist() if "wcs" in rows else [0] * len(rows):
        try:
            found.append(stored.read(wcs_id, Wcs) if wcs_id else None)  # type: ignore[type-abstract]
        except UnsupportedObjectError:
            found.append(None)
    return found


def _numbers(rows: Rows, name: str) -> npt.NDArray[Any] | None:
    """Return a column of numbers in native byte order; None for others, and for the ids of nested objects."""
    values = rows.column(name)
    if name in _NESTED or values.dtype.kind not in "biuf" or name == "flags":
        return None
    return values.astype(values.dtype.newbyteorder("="))


@persistable("ProductBoundedField")
def _product_field(stored: StoredObject) -> ProductField:
    ids = stored.rows().column("id").tolist()
    if not ids:
        raise FileFormatError("a product of fields has no factors")
    # mypy wants a concrete class where a protocol serves as well.
    return ProductField(tuple(stored.read(field_id, Field) for field_id in ids))  # type: ignore[type-abstract]


@persistable("Calib")
def _calib(stored: StoredObject) -> PhotoCalib:
    """Read a calibration as it was before 2019: the flux of magnitude 0."""
    rows = stored.rows()
    flux, flux_err = rows.number("fluxmag0"), rows.number("fluxmag0.err")
    if not (flux > 0 and math.isfinite(flux)):
        raise UnsupportedObjectError(stored.class_name, f" where magnitude 0 has the flux {flux}")
    mean = AB_ZERO_NJY / flux
    return PhotoCalib(mean, mean * flux_err / flux)


@persistable("TanWcs", "Wcs")
def _tan_wcs(stored: StoredObject) -> AstropyWcs:
    """Read a WCS as it was before 2018: cards of a FITS header as columns, counting pixels from 0."""
    from astropy.wcs import WCS, Sip

    rows = stored.rows()
    wcs = WCS(naxis=2)
    wcs.wcs.crval = _pair(rows, "crval")
    wcs.wcs.crpix = _pair(rows, "crpix") + 1.0
    wcs.wcs.cd = rows.array("cd").reshape(2, 2).T
    wcs.wcs.ctype = [rows.text("ctype1"), rows.text("ctype2")]
    wcs.wcs.cunit = [rows.text("cunit1"), rows.text("cunit2")]
    wcs.wcs.radesys, wcs.wcs.equinox = rows.text("radesys"), rows.number("equinox")
    if len(stored.tables) > 1:
        distortion = stored.rows(1)
        wcs.sip = Sip(*(_square(distortion, name) for name in ("A", "B", "Ap", "Bp")), wcs.wcs.crpix)
    wcs.wcs.set()
    if not wcs.has_celestial:
        raise UnsupportedObjectError(stored.class_name, f" with axes {', '.join(wcs.wcs.ctype)}")
    return AstropyWcs(wcs)


def _pair(rows: Rows, name: str) -> npt.NDArray[np.float64]:
    if name in rows:
        return rows.array(name)
    return np.array([rows.number(f"{name}_x"), rows.number(f"{name}_y")])


def _square(rows: Rows, name: str) -> npt.NDArray[np.float64] | None:
    """Return a square matrix that is stored by columns; None if it is empty."""
    values = rows.array(name)
    size = math.isqrt(len(values))
    if size**2 != len(values):
        raise FileFormatError(f"the distortion matrix {name} has {len(values)} elements")
    return np.ascontiguousarray(values.reshape(size, size).T) if size else None


def _degrees(rows: Rows, name: str) -> float:
    return math.degrees(rows.number(name))


def _name_of(number: int, names: tuple[str, ...]) -> str:
    return names[number] if 0 <= number < len(names) else "UNKNOWN"
