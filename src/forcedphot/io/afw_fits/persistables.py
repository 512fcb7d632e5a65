"""Readers of stored objects, by the class name in the archive.

A new class is one decorated function here, or in another module that the package imports.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...conventions import Box
from ...errors import FileFormatError
from ...exposure.fields import ChebyshevField, ConstantField, Field, ProductField
from ...exposure.filter_label import FilterLabel
from ...exposure.photo_calib import AB_ZERO_NJY, PhotoCalib
from ...exposure.wcs import AstWcs
from .archive import PersistableReader, StoredObject, UnsupportedObjectError
from .ast_text import checked_ast_text

PERSISTABLES: dict[str, PersistableReader] = {}
"""Class name in the archive -> reader."""

_MAX_CHEBYSHEV_ORDER = 100


def persistable[F: Callable[[StoredObject], Any]](*class_names: str) -> Callable[[F], F]:
    """Register a function as the reader of objects of these classes."""

    def register(reader: F) -> F:
        PERSISTABLES.update(dict.fromkeys(class_names, reader))
        return reader

    return register


@dataclass(frozen=True, slots=True)
class ApertureCorrections:
    """Fields by flux column, and the columns whose field is of a class that cannot be read."""

    fields: dict[str, Field]
    unread: dict[str, str]


@persistable("SkyWcs")
def _sky_wcs(stored: StoredObject) -> AstWcs:
    data = stored.rows().bytes("wcs")
    # Version, class, whether the WCS came from FITS cards; then what AST's Channel wrote.
    parts = data.decode("ascii").split(" ", 3)
    if len(parts) != 4 or parts[:2] != ["1", "SkyWcs"]:
        raise FileFormatError(f"a SkyWcs begins with '1 SkyWcs', this one with {data[:20]!r}")
    wcs = AstWcs.from_text(checked_ast_text(parts[3].splitlines()))
    # AST finds out what does not fit together when it is used.
    somewhere = np.zeros(1)
    wcs.sky_to_pixel(*wcs.pixel_to_sky(somewhere, somewhere))
    return wcs


@persistable("ApCorrMap")
def _aperture_corrections(stored: StoredObject) -> ApertureCorrections:
    rows = stored.rows()
    fields: dict[str, Field] = {}
    unread: dict[str, str] = {}
    names, ids = rows.column("name").tolist(), rows.column("field").tolist()
    for name, field_id in zip(names, ids, strict=True):
        try:
            # mypy wants a concrete class where a protocol serves as well.
            fields[name.strip()] = stored.read(field_id, Field)  # type: ignore[type-abstract]
        except UnsupportedObjectError as error:
            unread[name.strip()] = error.class_name
    return ApertureCorrections(fields, unread)


@persistable("ChebyshevBoundedField")
def _chebyshev_field(stored: StoredObject) -> ChebyshevField:
    rows = stored.rows()
    x0, y0 = rows.integer("bbox_min_x"), rows.integer("bbox_min_y")
    box = Box(x0, y0, rows.integer("bbox_max_x") - x0 + 1, rows.integer("bbox_max_y") - y0 + 1)
    order_x = rows.integer("order_x")
    coefficients = rows.array("coefficients")
    if min(box.shape) < 1 or not 0 <= order_x <= _MAX_CHEBYSHEV_ORDER:
        raise FileFormatError(f"a Chebyshev field has the box {box} and the order {order_x} in x")
    if len(coefficients) == 0 or len(coefficients) % (order_x + 1):
        raise FileFormatError(f"a Chebyshev field of order {order_x} in x has {len(coefficients)} coefficients")
    return ChebyshevField(box, coefficients.reshape(-1, order_x + 1))


@persistable("PhotoCalib")
def _photo_calib(stored: StoredObject) -> PhotoCalib:
    rows = stored.rows()
    # Before there were versions, calibrations were in maggies.
    unit_njy = 1.0 if "version" in rows and rows.integer("version") >= 1 else AB_ZERO_NJY
    mean, mean_err = rows.number("calibrationMean") * unit_njy, rows.number("calibrationErr") * unit_njy
    if not 0 < mean < math.inf:
        raise UnsupportedObjectError(stored.class_name, f" where the mean is {mean}")
    # A constant calibration has a field too; it says no more than the mean.
    if rows.flag("isConstant"):
        return PhotoCalib(mean, mean_err)
    field = stored.read(rows.integer("field"), Field)  # type: ignore[type-abstract]
    return PhotoCalib(mean, mean_err, field if unit_njy == 1.0 else ProductField((field, ConstantField(unit_njy))))


@persistable("FilterLabel")
def _filter_label(stored: StoredObject) -> FilterLabel:
    rows = stored.rows()
    return FilterLabel(
        band=rows.text("band") if rows.flag("band_exists") else None,
        physical=rows.text("physical") if rows.flag("physical_exists") else None,
    )
