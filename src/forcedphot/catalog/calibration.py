"""Photometric calibration of whole catalogs: fluxes in nJy and AB magnitudes beside the instrumental ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..conventions import FloatArray
from ..errors import UnknownFieldError
from ..exposure import PhotoCalib
from ..exposure.photo_calib import ab_magnitude
from .schema import SLOT_PREFIX, Field
from .source_catalog import SourceCatalog

_SUFFIX = "_instFlux"


def calibrate_catalog(
    catalog: SourceCatalog, photo_calib: PhotoCalib, fields: Sequence[str] | None = None
) -> SourceCatalog:
    """Add ``X_flux`` (nJy) and ``X_mag`` (AB) for every ``X_instFlux``, and their errors.

    A flux that is not positive has the magnitude NaN.

    Parameters
    ----------
    catalog
        Not changed; its columns are shared. A calibration that varies over the image needs its centroid slot.
    photo_calib
        The calibration.
    fields
        Which fluxes, with or without ``_instFlux``, or slots; all if None.

    Raises
    ------
    UnknownFieldError
        If there is no such flux, or no centroid where one is needed.
    ConfigurationError
        If the catalog has a field of the new name already.
    """
    scale = scale_of_rows(catalog, photo_calib)
    relative_err = photo_calib.mean_err / photo_calib.mean
    added = {}
    for name in _flux_fields(catalog, fields):
        flux = catalog[name].astype(np.float64) * scale
        has_err = _has(catalog, f"{name}Err")
        inst_err = catalog[f"{name}Err"].astype(np.float64) if has_err else np.full(len(catalog), np.nan)
        err = np.hypot(inst_err * scale, flux * relative_err)
        magnitude, magnitude_err = ab_magnitude(flux, err)
        prefix = name.removesuffix(_SUFFIX)
        added[Field(f"{prefix}_flux", "float64", f"calibrated flux of {name}", "nJy")] = flux
        if has_err:
            added[Field(f"{prefix}_fluxErr", "float64", "1-sigma uncertainty of the flux", "nJy")] = err
        added[Field(f"{prefix}_mag", "float64", f"AB magnitude of {name}", "mag(AB)")] = magnitude
        if has_err:
            added[Field(f"{prefix}_magErr", "float64", "1-sigma magnitude uncertainty", "mag")] = magnitude_err
    return catalog.with_columns(added)


def scale_of_rows(catalog: SourceCatalog, photo_calib: PhotoCalib) -> FloatArray:
    """Return nJy per instrumental flux for each row, shape (n,)."""
    if photo_calib.field is None:
        return np.full(len(catalog), photo_calib.mean)
    return photo_calib.scale(catalog["slot_Centroid_x"], catalog["slot_Centroid_y"])


def _flux_fields(catalog: SourceCatalog, fields: Sequence[str] | None) -> list[str]:
    if fields is None:
        return [name for name in catalog.schema.getOrderedNames() if name.endswith(_SUFFIX)]
    names = [name if name.endswith(_SUFFIX) else f"{name}{_SUFFIX}" for name in fields]
    return [catalog.schema.resolve(name) if name.startswith(SLOT_PREFIX) else name for name in names]


def _has(catalog: SourceCatalog, name: str) -> bool:
    try:
        catalog.schema.resolve(name)
    except UnknownFieldError:
        return False
    return True
