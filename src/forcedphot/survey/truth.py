"""The truth table: what is in the simulated sky, a row each.

Of every source: ``id``, unique; ``kind``: star, variable, transient, moving, galaxy, or host, a galaxy with a
transient; ``ra`` and ``dec`` at ``epoch_mjd``; and ``{band}_flux`` in each band of the survey: the mean of what
varies, and the maximum of transients. ``is_variable`` and ``is_transient`` tell which have a light curve.

Of point sources: ``pm_ra`` and ``pm_dec``, their motion, which `positions_at` follows; ``light_curve``: constant,
rr_lyrae, sinusoid, random_walk, supernova or rising; and what `light_curves.relative_flux` needs to evaluate it:
``amplitude_mag`` in r, the range of periodic ones and the standard deviation of random walks; ``period_day``;
``timescale_day`` of random walks, and of the fall of supernovae in r; ``start_mjd``, before which there is
nothing; ``peak_mjd``, when they are brightest; ``light_curve_seed``. ``host_id`` is a transient's galaxy.

Of galaxies: ``bulge_fraction`` of the flux; ``bulge_half_light_radius_arcsec`` and
``disk_half_light_radius_arcsec`` along the major axis; ``bulge_sersic_index`` and ``disk_sersic_index``;
``axis_ratio`` and ``position_angle_deg`` of both.

``neighbour_id`` is the source beside which one has been put, to make a blend.

What a column does not apply to is NaN, 0, False, or "constant".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from astropy.table import Table

    from ..conventions import FloatArray

DAYS_PER_YEAR = 365.25
MAS_PER_DEGREE = 3_600_000.0


@dataclass(frozen=True, slots=True)
class TruthColumn:
    """A column of the truth table.

    Parameters
    ----------
    default
        Of rows to which it does not apply; its type is the column's.
    unit
        Empty for a pure number.
    description
        What it is.
    """

    default: float | int | bool | str
    unit: str
    description: str


_IDENTITY = {
    "id": TruthColumn(0, "", "Unique id"),
    "kind": TruthColumn("", "", "star, variable, transient, moving, galaxy or host"),
    "ra": TruthColumn(np.nan, "deg", "Right ascension at the epoch, ICRS"),
    "dec": TruthColumn(np.nan, "deg", "Declination at the epoch, ICRS"),
    "epoch_mjd": TruthColumn(np.nan, "d", "Epoch of the position, MJD, TAI"),
}
_POINT_SOURCE = {
    "pm_ra": TruthColumn(0.0, "mas / yr", "Motion to the east, times cos(dec) at the epoch"),
    "pm_dec": TruthColumn(0.0, "mas / yr", "Motion to the north"),
    "is_variable": TruthColumn(False, "", "Whether it varies around a mean"),
    "is_transient": TruthColumn(False, "", "Whether it begins with nothing"),
    "light_curve": TruthColumn("constant", "", "Kind of light curve"),
    "amplitude_mag": TruthColumn(np.nan, "mag", "Range if periodic, standard deviation if a random walk; in r"),
    "period_day": TruthColumn(np.nan, "d", "Period"),
    "timescale_day": TruthColumn(np.nan, "d", "Time scale of a random walk, or of a supernova's fall in r"),
    "start_mjd": TruthColumn(np.nan, "d", "Before this there is nothing, MJD, TAI"),
    "peak_mjd": TruthColumn(np.nan, "d", "A time of maximum, MJD, TAI"),
    "light_curve_seed": TruthColumn(0, "", "Seed of a random walk"),
    "host_id": TruthColumn(0, "", "Id of a transient's host galaxy"),
}
_GALAXY = {
    "bulge_fraction": TruthColumn(np.nan, "", "Of the flux, in all bands"),
    "bulge_half_light_radius_arcsec": TruthColumn(np.nan, "arcsec", "Of the bulge, along the major axis"),
    "disk_half_light_radius_arcsec": TruthColumn(np.nan, "arcsec", "Of the disc, along the major axis"),
    "bulge_sersic_index": TruthColumn(np.nan, "", "Sersic index of the bulge"),
    "disk_sersic_index": TruthColumn(np.nan, "", "Sersic index of the disc"),
    "axis_ratio": TruthColumn(np.nan, "", "Minor to major axis, of bulge and disc"),
    "position_angle_deg": TruthColumn(np.nan, "deg", "Of the major axis, from north to east"),
}
_BLEND = {"neighbour_id": TruthColumn(0, "", "Id of the source beside which it has been put")}


def columns(bands: Sequence[str], *, of_points: bool, of_galaxies: bool) -> Mapping[str, TruthColumn]:
    """Return the columns of point sources, of galaxies, or of both, in their order."""
    fluxes = {
        f"{band}_flux": TruthColumn(np.nan, "nJy", f"Flux in {band}: mean, or a transient's maximum")
        for band in bands
    }
    points, galaxies = _POINT_SOURCE if of_points else {}, _GALAXY if of_galaxies else {}
    return MappingProxyType({**_IDENTITY, **fluxes, **points, **galaxies, **_BLEND})


def build_table(wanted: Mapping[str, TruthColumn], values: Mapping[str, Any]) -> Table:
    """Return a table with all columns; those without values have the default in every row.

    Parameters
    ----------
    values
        By column, shape (n,) or (); those of ``id`` have shape (n,).
    """
    from astropy.table import Column, Table

    n_rows = len(values["id"])
    return Table(
        [
            Column(
                np.broadcast_to(values.get(name, column.default), n_rows).astype(_dtype(column)),
                name,
                unit=column.unit or None,
                description=column.description,
            )
            for name, column in wanted.items()
        ]
    )


def join_tables(tables: Sequence[Table], wanted: Mapping[str, TruthColumn]) -> Table:
    """Stack tables that have some of the columns."""
    values = {
        name: np.concatenate(
            [
                np.asarray(table[name]) if name in table.colnames else np.full(len(table), column.default)
                for table in tables
            ]
        )
        for name, column in wanted.items()
    }
    return build_table(wanted, values)


def positions_at(sources: Table, mjd: float) -> tuple[FloatArray, FloatArray]:
    """Return right ascension and declination in degrees, ICRS, of point sources at a time (MJD, TAI)."""
    degrees = (mjd - np.asarray(sources["epoch_mjd"])) / (DAYS_PER_YEAR * MAS_PER_DEGREE)
    ra, dec = np.asarray(sources["ra"]), np.asarray(sources["dec"])
    return (
        ra + np.asarray(sources["pm_ra"]) * degrees / np.cos(np.radians(dec)),
        dec + np.asarray(sources["pm_dec"]) * degrees,
    )


def _dtype(column: TruthColumn) -> np.dtype[Any]:
    # Texts are as long as the longest word, so that all tables of all skies have one schema.
    return np.dtype("U11") if isinstance(column.default, str) else np.asarray(column.default).dtype
