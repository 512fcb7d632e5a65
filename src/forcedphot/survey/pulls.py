"""Pulls: measured less true fluxes, in units of the error; and which measurements are to be trusted."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from ..conventions import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from astropy.table import Table

FORCED_FLUXES = MappingProxyType({"visit": "psfFlux", "difference": "psfDiffFlux"})
"""Fluxes of forced sources, by the image that they are measured on."""

_MAD_TO_SIGMA = 1.4826
_OUTLIER = 5.0
_UNRELIABLE = ("bad", "cr", "edge", "inexact_psf", "interpolated", "nodata", "offimage", "saturated", "suspect")


def is_reliable(table: Table, flux: str, prefix: str = "") -> BoolArray:
    """Tell which fluxes are there, and not flagged.

    Parameters
    ----------
    table
        Objects or forced sources.
    flux
        Name of the flux.
    prefix
        Of the names of pixel flags.
    """
    names = [f"{flux}_flag", *(f"{prefix}pixelFlags_{name}" for name in _UNRELIABLE)]
    reliable: BoolArray = np.isfinite(np.asarray(table[flux]))
    for name in names:
        if name in table.colnames:
            reliable &= ~np.asarray(table[name])
    return reliable


def visit_ids(forced: Table) -> IntArray:
    """Return the visit of each forced source of either release."""
    return np.asarray(forced["visit"] if "visit" in forced.colnames else forced["ccdVisitId"] // 1000)


def statistics(values: FloatArray) -> dict[str, float]:
    """Describe pulls: their number, mean and median, rms about the mean, robust sigma, and outliers beyond 5."""
    if not len(values):
        return {"n": 0, "mean": np.nan, "median": np.nan, "rms": np.nan, "sigma": np.nan, "outliers": 0}
    return {
        "n": len(values),
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "rms": float(values.std()),
        "sigma": robust_sigma(values),
        "outliers": int((np.abs(values) > _OUTLIER).sum()),
    }


def robust_sigma(values: FloatArray) -> float:
    """Return the standard deviation of a Gaussian with these values' median absolute deviation."""
    return float(_MAD_TO_SIGMA * np.median(np.abs(values - np.median(values)))) if len(values) else np.nan
