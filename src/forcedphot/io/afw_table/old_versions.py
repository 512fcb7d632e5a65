"""What versions 0 to 2 of afw tables had otherwise: names, slots, and several numbers in one column."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...catalog.schema import Field

if TYPE_CHECKING:
    from .table_hdu import HeaderItem

OLD_SLOTS = {
    "PSF_FLUX": "slot_PsfFlux",
    "AP_FLUX": "slot_ApFlux",
    "INST_FLUX": "slot_GaussianFlux",
    "MODEL_FLUX": "slot_ModelFlux",
    "CALIB_FLUX": "slot_CalibFlux",
    "CENTROID": "slot_Centroid",
    "SHAPE": "slot_Shape",
}
"""In version 0 a card ``<key>_SLOT`` says what fills a slot."""

_INSTRUMENTAL_UNITS = ("count", "dn", "adu")
_POINT = ("x", "y")
_MOMENTS = ("xx", "yy", "xy")
_COVARIANCES = {"Covariance(Point)": _POINT, "Covariance(Moments)": _MOMENTS}

type Parts = list[tuple[Field, npt.NDArray[Any]]]


def old_aliases(items: Iterable[HeaderItem], version: int) -> dict[str, str]:
    """Return the aliases that give old fields the names of today.

    Version 0 said ``flags`` and ``_err``; version 1 ``Sigma`` for ``Err``; versions 1 and 2 ``flux`` for
    ``instFlux``. The flags of version 0 are renamed, so their aliases are the old names.
    """
    aliases: dict[str, str] = {}
    for item in items:
        if version == 0:
            aliases |= _aliases_of_version_0(item)
        elif version < 3:
            name = item.name
            if version < 2 and name.endswith("Sigma"):
                name = name.replace("Sigma", "Err", 1)
            if _is_instrumental_flux(item):
                name = name.replace("flux", "instFlux", 1)
            if name != item.name:
                aliases[name] = item.name
    return aliases


def _aliases_of_version_0(item: HeaderItem) -> dict[str, str]:
    name = item.name
    if "flags" in name:
        prefix = name[: name.find("flags")]
        return {f"{prefix}flags": f"{prefix}flag"}
    if _is_instrumental_flux(item):
        if name.endswith("_err"):
            return {name.replace("_err", "_instFluxErr", 1): name}
        return {f"{name}_instFlux": name}
    if name.endswith("_err") and item.template in _COVARIANCES:
        prefix = name.removesuffix("_err")
        return {f"{prefix}_{part}": f"{name}_{part}" for part in _covariance_names(_COVARIANCES[item.template])}
    return {}


def _is_instrumental_flux(item: HeaderItem) -> bool:
    if "flux" not in item.name:
        return False
    # CModel wrote its fluxes without a unit.
    if "modelfit_CModel" in item.name and not item.unit:
        return True
    return any(unit in item.unit.lower() for unit in _INSTRUMENTAL_UNITS)


def split_compound(item: HeaderItem, values: npt.NDArray[Any]) -> Parts:
    """Split a column of points, coordinates, moments or covariances into fields of one number each.

    Parameters
    ----------
    item
        What the header says of the column.
    values
        Shape (n, elements).

    Returns
    -------
    Fields and their arrays, shape (n,); nothing if it is an ordinary column.
    """
    size = values.shape[1] if values.ndim == 2 else 1
    name, doc, unit, dtype = item.name, item.doc, item.unit, values.dtype.name
    if item.template == "Point" and size == 2:
        return [(Field(f"{name}_{part}", dtype, doc, unit), values[:, i]) for i, part in enumerate(_POINT)]
    if item.template == "Coord" and size == 2:
        return [
            (Field(f"{name}_{part}", dtype, doc, "rad", is_angle=True), values[:, i])
            for i, part in enumerate(("ra", "dec"))
        ]
    if item.template == "Moments" and size == 3:
        return [(Field(f"{name}_{part}", dtype, doc, "pixel^2"), values[:, i]) for i, part in enumerate(_MOMENTS)]
    parts = _COVARIANCES.get(item.template, ())
    if item.template == "Covariance" and size > 1:
        parts = tuple(str(i) for i in range(round(0.5 * (np.sqrt(1 + 8 * size) - 1))))
    if not parts or len(parts) * (len(parts) + 1) != 2 * size:
        return []
    return _split_covariance(item, parts, values)


def _split_covariance(item: HeaderItem, parts: tuple[str, ...], values: npt.NDArray[Any]) -> Parts:
    """Split a packed symmetric matrix; its diagonal becomes 1-sigma uncertainties."""
    docs = [f"1-sigma uncertainty on {part}" for part in parts]
    split: Parts = []
    for i in range(len(parts)):
        variance = values[:, i * (i + 1) // 2 + i]
        with np.errstate(invalid="ignore"):
            sigma = np.sqrt(variance)
        split.append((Field(f"{item.name}_{parts[i]}Err", values.dtype.name, docs[i], _root(item.unit)), sigma))
    for i in range(len(parts)):
        for j in range(i + 1, len(parts)):
            doc = f"uncertainty covariance between {parts[i]} and {parts[j]}"
            name = f"{item.name}_{parts[i]}_{parts[j]}_Cov"
            field = Field(name, values.dtype.name, doc, item.unit)
            split.append((field, values[:, j * (j + 1) // 2 + i]))
    return split


def _covariance_names(parts: tuple[str, ...]) -> list[str]:
    n = len(parts)
    return [f"{part}Err" for part in parts] + [
        f"{parts[i]}_{parts[j]}_Cov" for i in range(n) for j in range(i + 1, n)
    ]


def _root(unit: str) -> str:
    """Return the unit of the square root of something: ``pixel`` for ``pixel^2``."""
    base, caret, power = unit.partition("^")
    if not caret or not power.isdecimal() or int(power) % 2:
        return ""
    return base if power == "2" else f"{base}^{int(power) // 2}"
