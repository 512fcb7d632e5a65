"""The primary header of an afw file: visit info, identity and the calibration of older files."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np

from ...exposure import FilterLabel, Identity, PhotoCalib, VisitInfo
from ...exposure.photo_calib import AB_ZERO_NJY
from ..fits_header import FitsHeader
from .info_persistables import MJD_OF_UNIX_EPOCH, NANOSECONDS_PER_DAY

_LOG = logging.getLogger(__name__)

_NUMBERS = {
    "exposure_time_s": "EXPTIME",
    "dark_time_s": "DARKTIME",
    "mid_mjd_ut1": "MJD-AVG-UT1",
    "earth_rotation_angle_deg": "AVG-ERA",
    "boresight_ra_deg": "BORE-RA",
    "boresight_dec_deg": "BORE-DEC",
    "boresight_azimuth_deg": "BORE-AZ",
    "boresight_altitude_deg": "BORE-ALT",
    "boresight_airmass": "BORE-AIRMASS",
    "boresight_rotation_deg": "BORE-ROTANG",
    "longitude_deg": "OBS-LONG",
    "latitude_deg": "OBS-LAT",
    "elevation_m": "OBS-ELEV",
    "air_temperature_celsius": "AIRTEMP",
    "air_pressure_pascal": "AIRPRESS",
    "humidity_percent": "HUMIDITY",
    "focus_z_mm": "FOCUSZ",
}
_TEXTS = {
    "instrument": "INSTRUMENT",
    "observation_type": "OBSTYPE",
    "science_program": "PROGRAM",
    "observation_reason": "REASON",
    "object_name": "OBJECT",
}
_TIMES = ("DATE-AVG", "TIME-MID")


def visit_info(header: FitsHeader) -> VisitInfo | None:
    """Read the cards in which afw keeps the visit info; None if there are none.

    Damaged cards count as absent, as in afw: nothing is measured with them.
    """
    cards = {"EXPID", "IDNUM", *_NUMBERS.values(), *_TEXTS.values(), *_TIMES}
    if not any(card in header for card in cards):
        return None
    numbers: dict[str, Any] = {name: _number(header.get(card)) for name, card in _NUMBERS.items()}
    texts: dict[str, Any] = {name: str(header.get(card, "")).strip() or None for name, card in _TEXTS.items()}
    return VisitInfo(
        visit=_integer(header.get("IDNUM")),
        exposure_id=_integer(header.get("EXPID")),
        mid_mjd_tai=_mid_mjd_tai(header),
        rotation_type=str(header.get("ROTTYPE", "UNKNOWN")),
        has_simulated_content=header.get("HAS-SIMULATED-CONTENT") is True,
        **numbers,
        **texts,
    )


def identity(header: FitsHeader, label: FilterLabel | None, detector: int | None) -> Identity:
    """Find out which image this is.

    Parameters
    ----------
    header
        The Butler's cards go before the others.
    label, detector
        Filter and detector of the archive.
    """

    def text(dimension: str, *others: str) -> str | None:
        value = _card(header, dimension, *others)
        return None if value is None else str(value)

    def integer(dimension: str, *others: str) -> int | None:
        value = _card(header, dimension, *others)
        return None if value is None else int(value)

    return Identity(
        instrument=text("INSTRUMENT", "INSTRUMENT", "INSTRUME"),
        visit=integer("VISIT", "IDNUM"),
        detector=integer("DETECTOR") if detector is None else detector,
        band=text("BAND") or (None if label is None else label.band),
        physical_filter=text("PHYSICAL_FILTER") or (None if label is None else label.physical),
        skymap=text("SKYMAP"),
        tract=integer("TRACT"),
        patch=integer("PATCH"),
    )


def filter_label(header: FitsHeader) -> FilterLabel | None:
    """Read the filter of files written before 2020, which is a card; None if it is absent or unknown."""
    name = header.get("FILTER")
    return FilterLabel.from_name(name) if isinstance(name, str) else None


def photo_calib(header: FitsHeader) -> PhotoCalib | None:
    """Read the calibration of files written before 2019: the flux of magnitude 0; None if it is none."""
    flux, flux_err = _number(header.get("FLUXMAG0")), _number(header.get("FLUXMAG0ERR", 0.0))
    mean = AB_ZERO_NJY / flux if flux > 0 else math.nan
    return PhotoCalib(mean, mean * flux_err / flux) if 0 < mean < math.inf else None


def cards(header: FitsHeader) -> dict[str, Any]:
    """Return all cards of a header that have a name and a value; None for an empty value, the last of a name."""
    return dict(header.all_items())


def _card(header: FitsHeader, dimension: str, *others: str) -> Any:
    """Return the Butler's card of a data id's dimension, else the first other card that exists."""
    for name in (f"LSST BUTLER DATAID {dimension}", *others):
        value = header.get(name)
        if value not in (None, "", "_unknown_"):
            return value
    return None


def _number(value: Any) -> float:
    try:  # some old files have numbers as texts
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _integer(value: Any) -> int | None:
    return value or None if isinstance(value, int) else None


def _mid_mjd_tai(header: FitsHeader) -> float:
    """Return the time of DATE-AVG, which is TAI, or of the older TIME-MID, which is UTC; NaN if there is none."""
    try:
        if "DATE-AVG" in header and str(header.get("TIMESYS", "")).strip() == "TAI":
            time = np.datetime64(str(header["DATE-AVG"]).strip(), "ns")
            return float(time.astype(np.int64) / NANOSECONDS_PER_DAY + MJD_OF_UNIX_EPOCH)
        if "DATE-AVG" not in header and "TIME-MID" in header:
            from astropy.time import Time

            text = str(header["TIME-MID"]).strip().removesuffix("Z")
            return float(Time(text, format="isot", scale="utc").tai.mjd)
    except ValueError as error:
        _LOG.debug("The time of the exposure cannot be read: %s", error)
    return math.nan
