"""Flux columns in the image's own unit or in nanojansky, and AB magnitudes beside them."""

import numpy as np

from ..conventions import FloatArray
from ..errors import ExposureError
from ..exposure import Exposure, PhotoCalib
from ..exposure.photo_calib import ab_magnitude
from .schema import Columns, Schema


def has_photo_calib(exposure: Exposure) -> bool:
    """Tell whether an exposure's pixels can be calibrated to nJy."""
    from astropy import units

    return exposure.photo_calib is not None or (
        exposure.unit is not None and exposure.unit.is_equivalent(units.nJy)
    )


def photo_calib_of(exposure: Exposure) -> PhotoCalib:
    """Return the calibration of an exposure's pixels to nJy.

    Raises
    ------
    ExposureError
        If it has none, and its unit is no flux density.
    """
    from astropy import units

    if exposure.photo_calib is not None:
        return exposure.photo_calib
    if not has_photo_calib(exposure):
        raise ExposureError(
            f"The exposure ({exposure.identity}) has neither a photometric calibration nor a unit of flux "
            f"density (its unit is {exposure.unit or 'unknown'}), so its fluxes cannot be given in nJy or as "
            "magnitudes. Give it a photo_calib, or ask for the flux unit 'ct' without magnitudes."
        )
    assert exposure.unit is not None  # noqa: S101 - it is what makes it calibrated
    return PhotoCalib(float(exposure.unit.to(units.nJy)))


def convert_fluxes(
    schema: Schema, columns: Columns, unit: str, scale: FloatArray | None
) -> tuple[Schema, Columns]:
    """Rename the ``_instFlux`` columns to ``_flux``, in another unit.

    Parameters
    ----------
    schema, columns
        The catalog; not changed, but its other columns are shared.
    unit
        Name of the new unit.
    scale
        New unit per old one for each row; None leaves the numbers as they are.
    """
    converted = Schema(aliases=schema.aliases)
    result: Columns = {}
    for field in schema:
        values = columns[field.name]
        if "_instFlux" not in field.name:
            converted.add(field)
        else:
            name = field.name.replace("_instFlux", "_flux")
            converted.add_field(name, field.dtype, field.doc.replace("instFlux", "flux"), unit)
            field = converted[name]
            if scale is not None:
                values = values * scale
        result[field.name] = values
    return converted, result


def add_magnitudes(schema: Schema, columns: Columns, scale: FloatArray) -> tuple[Schema, Columns]:
    """Put AB magnitudes and their errors behind every flux and its error.

    Parameters
    ----------
    schema, columns
        The catalog; not changed, but its columns are shared.
    scale
        nJy per unit of the fluxes, for each row.
    """
    extended = Schema(aliases=schema.aliases)
    result: Columns = {}
    for field in schema:
        extended.add(field)
        result[field.name] = columns[field.name]
        flux = field.name.removesuffix("Err")
        if flux != field.name and flux.endswith(("_instFlux", "_flux")) and flux in schema:
            prefix = flux.rsplit("_", 1)[0]
            extended.add_field(f"{prefix}_mag", "float64", f"AB magnitude of {flux}", "mag(AB)")
            extended.add_field(f"{prefix}_magErr", "float64", "1-sigma magnitude uncertainty", "mag")
            result[f"{prefix}_mag"], result[f"{prefix}_magErr"] = ab_magnitude(
                columns[flux].astype(np.float64) * scale, columns[field.name].astype(np.float64) * scale
            )
    return extended, result
