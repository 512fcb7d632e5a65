"""Measured catalogs under the names of Rubin's tables: fluxes in nJy, and columns under other names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..catalog.flux_units import photo_calib_of
from ..catalog.source_catalog import SourceCatalog
from ..conventions import FloatArray, IntArray
from ..exposure import Exposure

type Values = dict[str, npt.NDArray[Any]]
"""Arrays by the names of a table's columns."""


def flux_values(catalog: SourceCatalog, exposure: Exposure, fluxes: Mapping[str, str]) -> Values:
    """Return fluxes in nJy, their errors and flags.

    Parameters
    ----------
    fluxes
        Names of columns, and what they are measured as, without ``_instFlux``.
    """
    scale = flux_scale(catalog, exposure)
    values: Values = {}
    for target, source in fluxes.items():
        values[target] = catalog[f"{source}_instFlux"] * scale
        values[f"{target}Err"] = catalog[f"{source}_instFluxErr"] * scale
        values |= renamed(catalog, f"{source}_flag", f"{target}_flag")
    return values


def flux_scale(catalog: SourceCatalog, exposure: Exposure) -> FloatArray:
    """Return nJy per unit of the image for each source."""
    x, y = (np.asarray(catalog[f"slot_Centroid_{axis}"], dtype=np.float64) for axis in ("x", "y"))
    return photo_calib_of(exposure).scale(x, y)


def renamed(catalog: SourceCatalog, source: str, target: str) -> Values:
    """Return the columns ``source`` and ``source_...``, their names beginning with ``target`` instead."""
    return {
        target + name.removeprefix(source): values
        for name, values in catalog.columns.items()
        if name == source or name.startswith(f"{source}_")
    }


def picked(catalog: SourceCatalog, columns: Mapping[str, str]) -> Values:
    """Return some columns, given by their new names and their old ones."""
    return {target: catalog[source] for target, source in columns.items()}


def pixel_flags(catalog: SourceCatalog) -> Values:
    """Return the flags of mask planes under the sources."""
    return renamed(catalog, "base_PixelFlags_flag", "pixelFlags")


def ccd_visit_id[Number: (int, IntArray)](visit: Number, detector: Number) -> Number:
    """Return the number that DP0.2 has for a detector in a visit: the digits of both."""
    return visit * 1000 + detector
