"""Galaxies as they are counted: magnitudes, colours, sizes and shapes that go together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..conventions import FloatArray

I_RANGE = (18.0, 25.5)
"""Limits of the i magnitude."""

_LOG_COUNTS_PER_MAGNITUDE = 0.35
_RED_SCATTER, _BLUE_SCATTER = 0.04, 0.12
_RADIUS_SCATTER_DEX = 0.17


@dataclass(frozen=True, slots=True, eq=False)
class GalaxySample:
    """Some galaxies; all arrays have shape (n,).

    Parameters
    ----------
    magnitudes
        AB, by band: g, r and i.
    bulge_fraction
        Of the flux, in every band.
    bulge_radius_arcsec, disk_radius_arcsec
        Half-light radii along the major axis.
    axis_ratio
        Minor to major, of bulge and disc.
    position_angle_deg
        Of the major axis, from north to east.
    """

    magnitudes: dict[str, FloatArray]
    bulge_fraction: FloatArray
    bulge_radius_arcsec: FloatArray
    disk_radius_arcsec: FloatArray
    axis_ratio: FloatArray
    position_angle_deg: FloatArray


def draw_galaxies(rng: np.random.Generator, n_galaxies: int) -> GalaxySample:
    """Draw galaxies of the red sequence, with large bulges, and of the blue cloud, which are mostly discs.

    The fainter, the more distant they are on average, the smaller, and the bluer.
    """
    i = _magnitudes(rng, n_galaxies)
    red = rng.random(n_galaxies) < np.interp(i, I_RANGE, (0.45, 0.12))
    # Gamma of shape 4: a relative scatter of one half.
    redshift = rng.gamma(4.0, 0.25, n_galaxies) * np.interp(i, I_RANGE, (0.15, 0.85))
    scatter = np.where(red, _RED_SCATTER, _BLUE_SCATTER) * rng.normal(0.0, 1.0, (2, n_galaxies))
    g_r = scatter[0] + np.where(
        red,
        np.interp(redshift, (0.0, 0.4, 0.8, 1.5), (0.75, 1.55, 1.75, 1.3)),
        np.interp(redshift, (0.0, 0.4, 0.8, 1.5), (0.35, 0.70, 0.60, 0.35)),
    )
    r_i = scatter[1] + np.where(
        red,
        np.interp(redshift, (0.0, 0.4, 0.8, 1.5), (0.36, 0.55, 1.05, 1.15)),
        np.interp(redshift, (0.0, 0.4, 0.8, 1.5), (0.15, 0.25, 0.50, 0.35)),
    )
    radius = 0.42 * 10 ** (-0.13 * (i - 23.5) + _RADIUS_SCATTER_DEX * rng.normal(0.0, 1.0, n_galaxies))
    radius = np.clip(np.where(red, 0.75, 1.05) * radius, 0.1, 4.0)
    bulge_fraction = np.where(red, rng.beta(5.0, 2.5, n_galaxies), rng.beta(1.2, 6.0, n_galaxies))
    thinnest = np.where(red, 0.5, 0.25)
    return GalaxySample(
        {"g": i + r_i + g_r, "r": i + r_i, "i": i},
        bulge_fraction,
        radius * rng.uniform(0.4, 0.7, n_galaxies),
        radius * rng.uniform(1.0, 1.2, n_galaxies),
        thinnest + (1 - thinnest) * rng.random(n_galaxies),
        rng.uniform(0.0, 180.0, n_galaxies),
    )


def _magnitudes(rng: np.random.Generator, n_galaxies: int) -> FloatArray:
    """Invert the cumulative counts, which are exponential."""
    brightest, faintest = (10 ** (_LOG_COUNTS_PER_MAGNITUDE * limit) for limit in I_RANGE)
    counts = brightest + (faintest - brightest) * rng.random(n_galaxies)
    result: FloatArray = np.log10(counts) / _LOG_COUNTS_PER_MAGNITUDE
    return result
