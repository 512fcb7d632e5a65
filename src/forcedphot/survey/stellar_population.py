"""Stars as they are counted at high galactic latitude: magnitudes, colours and proper motions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..conventions import FloatArray

_SIN_LATITUDE = 0.8
_SOLAR_RADIUS_PC = 8000.0
_HALO_FLATTENING = 0.64
_HALO_EXPONENT, _OUTER_HALO_EXPONENT = -2.8, -4.5
_HALO_BREAK_PC = 25_000.0
_KM_S_PER_PC_ARCSEC_YR = 4.74
_COLOUR_SCATTER = 0.025

_R_I_EDGES = np.linspace(0.05, 1.9, 149)
_MODULUS_EDGES = np.linspace(4.0, 19.5, 156)

# Stars per magnitude near the Sun: a dip at K dwarfs, a maximum at M dwarfs.
_LUMINOSITY_MAGNITUDE = np.array([3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 15.0])
_LUMINOSITY_FUNCTION = np.array([1.2, 2.5, 3.0, 2.6, 2.2, 2.5, 4.0, 6.5, 9.0, 8.0, 5.5, 3.0])
_GIANT_LUMINOSITY_FUNCTION = 0.06


@dataclass(frozen=True, slots=True)
class _Component:
    """A part of the Galaxy.

    Parameters
    ----------
    density
        In the Sun's neighbourhood, relative.
    scale_height_pc
        Of a disc; None for the halo.
    faintness_mag
        By how much its stars are fainter than those of the disc of the same colour: they are poorer in metals.
    r_i
        Bluest and reddest colour.
    giants
        Whether it is the giants.
    velocity_km_s
        Dispersion.
    """

    density: float
    scale_height_pc: float | None
    faintness_mag: float
    r_i: tuple[float, float]
    giants: bool
    velocity_km_s: float


_COMPONENTS = (
    _Component(1.0, 300.0, 0.0, (0.10, 1.9), False, 25.0),
    _Component(0.12, 900.0, 0.3, (0.12, 1.9), False, 50.0),
    _Component(0.12, 900.0, 0.0, (0.22, 0.42), True, 50.0),
    _Component(0.005, None, 0.9, (0.06, 1.9), False, 150.0),
    _Component(0.005, None, 0.0, (0.18, 0.40), True, 150.0),
)


@dataclass(frozen=True, slots=True, eq=False)
class StellarSample:
    """Some stars.

    Parameters
    ----------
    magnitudes
        AB, by band: g, r and i; shape (n,).
    proper_motion
        East and north, mas / yr, shape (2, n).
    """

    magnitudes: dict[str, FloatArray]
    proper_motion: FloatArray


def draw_stars(rng: np.random.Generator, n_stars: int, i_range: tuple[float, float]) -> StellarSample:
    """Draw stars of the thin disc, the thick disc and the halo.

    The blue plume of the colour-magnitude diagram, at r - i of 0.1 to 0.3, is the turn-off of the thick disc and
    the halo at many distances, with some giants; the red plume is the M dwarfs of the discs, which are the most
    frequent stars and differ little in colour.

    Parameters
    ----------
    i_range
        Limits of the i magnitude.
    """
    r_i = 0.5 * (_R_I_EDGES[1:] + _R_I_EDGES[:-1])
    modulus = 0.5 * (_MODULUS_EDGES[1:] + _MODULUS_EDGES[:-1])
    weight = np.stack([_counts(component, r_i, modulus, i_range) for component in _COMPONENTS])
    cell = rng.choice(weight.size, n_stars, p=weight.ravel() / weight.sum())
    kind, colour_bin, modulus_bin = np.unravel_index(cell, weight.shape)
    colour = r_i[colour_bin] + np.diff(_R_I_EDGES)[colour_bin] * rng.uniform(-0.5, 0.5, n_stars)
    distance = modulus[modulus_bin] + np.diff(_MODULUS_EDGES)[modulus_bin] * rng.uniform(-0.5, 0.5, n_stars)
    absolute = np.empty(n_stars)
    velocity = np.array([component.velocity_km_s for component in _COMPONENTS])[kind]
    for index, component in enumerate(_COMPONENTS):
        absolute[kind == index] = _absolute_magnitude(component, colour[kind == index])
    i = np.clip(absolute - colour + distance, *i_range)
    r = i + colour + rng.normal(0.0, _COLOUR_SCATTER, n_stars)
    g = r + _g_r(colour) + rng.normal(0.0, _COLOUR_SCATTER, n_stars)
    motion = rng.normal(0.0, 1.0, (2, n_stars)) * velocity / (_KM_S_PER_PC_ARCSEC_YR * _parsecs(distance)) * 1000
    return StellarSample({"g": g, "r": r, "i": i}, motion)


def _counts(
    component: _Component, r_i: FloatArray, modulus: FloatArray, i_range: tuple[float, float]
) -> FloatArray:
    """Return how many stars there are in bins of colour and distance modulus, relative, shape of both."""
    magnitude = _absolute_magnitude(component, r_i)
    luminosity_function = (
        np.full(len(r_i), _GIANT_LUMINOSITY_FUNCTION)
        if component.giants
        else np.interp(magnitude, _LUMINOSITY_MAGNITUDE, _LUMINOSITY_FUNCTION)
    )
    in_colour = (r_i >= component.r_i[0]) & (r_i <= component.r_i[1])
    of_colour = luminosity_function * np.abs(np.gradient(magnitude, r_i)) * in_colour
    distance = _parsecs(modulus)
    i = (magnitude - r_i)[:, None] + modulus
    seen = (i >= i_range[0]) & (i <= i_range[1])
    return of_colour[:, None] * (_density(component, distance) * distance**3) * seen


def _density(component: _Component, distance_pc: FloatArray) -> FloatArray:
    height = distance_pc * _SIN_LATITUDE
    if component.scale_height_pc is not None:
        return component.density * np.exp(-height / component.scale_height_pc)
    radius_squared = _SOLAR_RADIUS_PC**2 + (1 - _SIN_LATITUDE**2) * distance_pc**2
    halo_radius = np.sqrt(radius_squared + (height / _HALO_FLATTENING) ** 2)
    inner = (halo_radius / _SOLAR_RADIUS_PC) ** _HALO_EXPONENT
    outer = np.maximum(halo_radius / _HALO_BREAK_PC, 1.0) ** (_OUTER_HALO_EXPONENT - _HALO_EXPONENT)
    result: FloatArray = component.density * inner * outer
    return result


def _absolute_magnitude(component: _Component, r_i: FloatArray) -> FloatArray:
    """Return M_r: of giants a straight branch, of dwarfs the relation of Juric et al. (2008), their equation 2."""
    if component.giants:
        return 3.2 - 14.0 * (r_i - 0.18)
    coefficients = [3.2 + component.faintness_mag, 13.30, -11.50, 5.40, -0.70]
    return np.asarray(np.polynomial.polynomial.polyval(r_i, coefficients), dtype=np.float64)


def _g_r(r_i: FloatArray) -> FloatArray:
    """Return g - r on the stellar locus (Juric et al. 2008, equation 4)."""
    exponent = np.polynomial.polynomial.polyval(r_i, [-0.050, -1.68, -2.45, -4.9])
    return np.asarray(1.39 * (1 - np.exp(exponent)), dtype=np.float64)


def _parsecs(modulus: FloatArray) -> FloatArray:
    result: FloatArray = 10 ** (modulus / 5 + 1)
    return result
