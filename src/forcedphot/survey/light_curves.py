"""Light curves: how bright a variable or transient source is at a time, from its row in a truth table alone."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..conventions import FloatArray

if TYPE_CHECKING:
    from astropy.table import Table

type StringArray = npt.NDArray[np.str_]

PERIODIC = ("rr_lyrae", "sinusoid")
"""Light curves that have a period."""

VARIABLE = (*PERIODIC, "random_walk")
"""Light curves around a mean."""

TRANSIENT = ("supernova", "rising")
"""Light curves that begin with nothing."""

_RISE_FRACTION = MappingProxyType({"rr_lyrae": 0.15, "sinusoid": 0.5})
_NATURAL_PER_MAGNITUDE = 0.4 * np.log(10)
_N_WAVES = 128

# Stars and quasars vary more in the blue, and supernovae fade faster there.
_PERIODIC_AMPLITUDE = MappingProxyType({"g": 1.3, "r": 1.0, "i": 0.8})
_RANDOM_WALK_AMPLITUDE = MappingProxyType({"g": 1.1, "r": 1.0, "i": 0.9})
_SUPERNOVA_TIMESCALE = MappingProxyType({"g": 0.75, "r": 1.0, "i": 1.25})


def relative_flux(sources: Table, band: str, mjd: npt.ArrayLike) -> FloatArray:
    """Return fluxes, divided by those in the column ``{band}_flux``.

    Parameters
    ----------
    sources
        The columns light_curve and those that it needs: see `truth.COLUMNS`.
    band
        g, r or i.
    mjd
        TAI, any shape.

    Returns
    -------
    Shape (len(sources), *shape of mjd): 1 for what is constant; 1 on average over all times for what is variable;
    1 at most for transients, and 0 before they begin.
    """
    times = np.asarray(mjd, dtype=np.float64)
    result = np.ones((len(sources), times.size))
    light_curve = np.asarray(sources["light_curve"])
    for names, evaluate in _LIGHT_CURVES.items():
        rows = np.flatnonzero(np.isin(light_curve, names))
        if len(rows):
            result[rows] = evaluate(sources[rows], band, times.ravel())
    return result.reshape(len(sources), *times.shape)


def _periodic(sources: Table, band: str, mjd: FloatArray) -> FloatArray:
    """Swing between two magnitudes: along a cosine, or with a rise that is shorter than the fall."""
    rise = np.array([_RISE_FRACTION[str(name)] for name in sources["light_curve"]])[:, None]
    amplitude = _column(sources, "amplitude_mag") * _PERIODIC_AMPLITUDE[band]
    phase = np.mod((mjd - _column(sources, "peak_mjd")) / _column(sources, "period_day"), 1.0)
    angle = np.where(phase < 1 - rise, phase / (1 - rise), (phase - 1) / rise) * np.pi
    return _exponential_of_cosine(amplitude / 2 * _NATURAL_PER_MAGNITUDE, angle)


def _exponential_of_cosine(scale: FloatArray, angle: FloatArray) -> FloatArray:
    # I0 is the mean of exp(scale cos(angle)), and of its halves, so also that of a curve with a shortened rise.
    result: FloatArray = np.exp(scale * np.cos(angle)) / np.i0(scale)
    return result


def _random_walk(sources: Table, band: str, mjd: FloatArray) -> FloatArray:
    """Return a damped random walk of the magnitude, with the covariance sigma^2 exp(-|t| / tau).

    It is a sum of waves at random frequencies, distributed as the walk's power, a Lorentzian: so it can be
    evaluated at any time without those before it.
    """
    scale = _column(sources, "amplitude_mag") * _RANDOM_WALK_AMPLITUDE[band] * _NATURAL_PER_MAGNITUDE
    walk = np.empty((len(sources), len(mjd)))
    columns = ("light_curve_seed", "timescale_day", "epoch_mjd")
    for row, (seed, timescale, epoch) in enumerate(zip(*(sources[name] for name in columns), strict=True)):
        rng = np.random.default_rng(int(seed))
        # One frequency from each of equally probable ranges: each single walk then has all time scales.
        quantile = (np.arange(_N_WAVES) + rng.random(_N_WAVES)) / _N_WAVES
        frequency = np.tan(0.5 * np.pi * quantile) / timescale
        phase = rng.uniform(0.0, 2 * np.pi, _N_WAVES)
        walk[row] = np.cos(np.multiply.outer(mjd - epoch, frequency) + phase).sum(axis=1)
    result: FloatArray = np.exp(scale * walk * np.sqrt(2 / _N_WAVES) - scale**2 / 2)
    return result


def _supernova(sources: Table, band: str, mjd: FloatArray) -> FloatArray:
    """Rise with the square of time, level off at the peak, and fall exponentially."""
    start, peak = _column(sources, "start_mjd"), _column(sources, "peak_mjd")
    risen = np.clip((mjd - start) / (peak - start), 0.0, 1.0)
    fallen = np.maximum(mjd - peak, 0.0) / (_column(sources, "timescale_day") * _SUPERNOVA_TIMESCALE[band])
    flux = risen**2 * (3 - 2 * risen) * 2 * np.exp(-fallen) / (1 + np.exp(-2 * fallen))
    # Next to the peak, rounding can lift it above 1.
    result: FloatArray = np.minimum(flux, 1.0)
    return result


def _rising(sources: Table, band: str, mjd: FloatArray) -> FloatArray:  # noqa: ARG001
    """Rise with the square of time, and stay."""
    start, peak = _column(sources, "start_mjd"), _column(sources, "peak_mjd")
    risen: FloatArray = np.clip((mjd - start) / (peak - start), 0.0, 1.0)
    return risen**2


def _column(sources: Table, name: str) -> FloatArray:
    return np.asarray(sources[name], dtype=np.float64)[:, None]


_LIGHT_CURVES: MappingProxyType[tuple[str, ...], Callable[[Table, str, FloatArray], FloatArray]] = (
    MappingProxyType(
        {PERIODIC: _periodic, ("random_walk",): _random_walk, ("supernova",): _supernova, ("rising",): _rising}
    )
)
