"""Measured catalogs under the names of Rubin's tables: fluxes in nJy, and columns under other names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..catalog.flux_units import photo_calib_of
from ..catalog.source_catalog import SourceCatalog
from ..conventions import FloatArray, IntArray
from ..exposure import Exposure

_INST_FLUX = "_instFlux"

type Values = dict[str, npt.NDArray[Any]]
"""Arrays by the names of a table's columns."""


def flux_values(catalog: SourceCatalog, exposure: Exposure | None, fluxes: Mapping[str, str]) -> Values:
    """Return fluxes in nJy, their errors and flags.

    Parameters
    ----------
    catalog
        What was measured.
    exposure
        The image, for its calibration; None if there was none to measure on.
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


def flux_scale(catalog: SourceCatalog, exposure: Exposure | None) -> FloatArray:
    """Return nJy per unit of the image for each source; NaN if there is none."""
    if exposure is None:
        return np.full(len(catalog), np.nan)
    x, y = (np.asarray(catalog[f"slot_Centroid_{axis}"], dtype=np.float64) for axis in ("x", "y"))
    return photo_calib_of(exposure).scale(x, y)


def renamed(catalog: SourceCatalog, source: str, target: str) -> Values:
    """Return the columns ``source`` and ``source_...``, their names beginning with ``target`` instead."""
    return {
        target + name.removeprefix(source): values
        for name, values in catalog.columns.items()
        if name == source or name.startswith(f"{source}_")
    }


def added_values(
    catalog: SourceCatalog, plugins: Iterable[str], exposure: Exposure | None, prefix: str = ""
) -> Values:
    """Return the columns of some plugins under their own names, with their units; fluxes in nJy.

    Parameters
    ----------
    catalog
        What was measured.
    plugins
        What begins the names of the columns.
    exposure
        The image, for its calibration; None if there was none to measure on.
    prefix
        Put before all names.

    Returns
    -------
    Astropy's Columns; ``..._instFlux`` is called ``..._flux``.
    """
    from astropy.table import Column

    beginnings = tuple(f"{plugin}_" for plugin in plugins)
    fields = [field for field in catalog.schema if field.name.startswith(beginnings)]
    if not fields:
        return {}
    scale = flux_scale(catalog, exposure)
    values: Values = {}
    for field in fields:
        column, unit = catalog[field.name], field.unit
        name = prefix + field.name
        if field.name.endswith((_INST_FLUX, f"{_INST_FLUX}Err")):
            column, unit = column * scale, "nJy"
            name = name.replace(_INST_FLUX, "_flux")
        values[name] = Column(column, unit=unit or None, description=field.doc)
    return values


def picked(catalog: SourceCatalog, columns: Mapping[str, str]) -> Values:
    """Return some columns, given by their new names and their old ones."""
    return {target: catalog[source] for target, source in columns.items()}


def pixel_flags(catalog: SourceCatalog) -> Values:
    """Return the flags of mask planes under the sources."""
    return renamed(catalog, "base_PixelFlags_flag", "pixelFlags")


def ccd_visit_id[Number: (int, IntArray)](visit: Number, detector: Number) -> Number:
    """Return the number that DP0.2 has for a detector in a visit: the digits of both."""
    return visit * 1000 + detector
