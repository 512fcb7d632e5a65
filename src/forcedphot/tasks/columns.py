"""Tables of the survey with the names, types, units and descriptions of Rubin's schemas (lsst-sdm-schemas).

A table has the columns of its schema that are measured here, in the schema's order. `missing_columns` lists the
others, and why they are missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import ConfigurationError, InputTableError

if TYPE_CHECKING:
    from astropy.table import Table

type Release = Literal["dp1", "dp02"]
"""Whose names a table has: those of Data Preview 1 or of Data Preview 0.2."""

SCHEMA_BANDS = "ugrizy"
"""Bands that the schemas have columns for."""

_RESOURCES = MappingProxyType({"dp1": "dp1", "dp02": "dp02_dc2"})
_DTYPES = MappingProxyType(
    {"boolean": "bool", "int": "int32", "long": "int64", "float": "float32", "double": "float64", "char": "U"}
)

_REASONS: tuple[tuple[str, str], ...] = (
    (r"time_processed", "the same survey is made of the same bytes, whenever it is made"),
    (r".*(cModel|bd(E[12]|Re[BD]|Chi2|Flux[BD])).*", "no galaxy models are fitted"),
    (r"(._)?(sersic|psfModel).*", "no galaxy models are fitted"),
    (r".*gaap.*", "images are not matched to one PSF"),
    (r".*hsm_moments.*", "moments of higher orders are not measured on coadds"),
    (r"(._)?(epoch|inputCount).*", "the visits that a cell is made of are not read with a coadd"),
    (r".*calib_.*", "the calibration is simulated; no source was used for it"),
    (r"ebv|reliability", "there is no dust map, and no classifier of differences"),
    (
        r"(._)?deblend_(?!nChild$|nPeaks$|peak_center_[xy]$|skipped$|isolatedParent$).*",
        "of deblenders not used here",
    ),
    (r".*pixelFlags_(clipped|inexact_psf|sensor_edge).*", "the coadds have no such mask planes"),
    (r"pixelFlags_(streak|injected).*", "no streaks are looked for, and no sources injected"),
    (r"(is)?[dD]ip(ole)?.*", "no dipoles are fitted"),
    (r"shape_flag_(no_pixels|not_contained|parent_source)", "shapes on differences are those of base_SdssShape"),
    (r"trail.*", "no trails are fitted"),
    (r"centroid_(neg|pos)_flag", "no dipoles are fitted"),
    (r".*sincCoeffsTruncated", "apertures of 12 pixels have no such coefficients"),
    (r"refFwhm|._fwhm", "the schema does not say what they are: their unit is no length"),
    (r"jacobian.*", "the area of pixels is not measured"),
    (r"normCompTophat.*", "there is no normalised compensated top-hat flux"),
)


@dataclass(frozen=True, slots=True)
class SdmColumn:
    """A column of a schema.

    Parameters
    ----------
    name
        Its name.
    dtype
        Name of a numpy type; ``U`` for strings.
    unit
        As the schema spells it; empty for none.
    description
        What it holds.
    """

    name: str
    dtype: str
    unit: str
    description: str


@cache
def schema_columns(release: Release, table: str) -> tuple[SdmColumn, ...]:
    """Return all columns that a release's schema has for a table, such as Object or DiaSource.

    Raises
    ------
    ConfigurationError
        If there is no such release or table.
    """
    tables = _schema_tables(release)
    if table not in tables:
        raise ConfigurationError(f"The schema of {release} has no table {table!r}; it has {', '.join(tables)}.")
    return tables[table]


@cache
def _schema_tables(release: Release) -> Mapping[str, tuple[SdmColumn, ...]]:
    if release not in _RESOURCES:
        raise ConfigurationError(f"There is no release {release!r}; there are {', '.join(_RESOURCES)}.")
    import yaml
    from felis.datamodel import Schema
    from lsst.resources import ResourcePath

    text = ResourcePath(f"resource://lsst.sdm.schemas/{_RESOURCES[release]}.yaml").read()
    # Schema.from_uri would load it in Python, for a second.
    content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - it is safe
    schema = Schema.model_validate(content, context={"id_generation": True})
    return MappingProxyType({table.name: tuple(map(_column, table.columns)) for table in schema.tables})


def _column(column: Any) -> SdmColumn:
    kind = str(getattr(column.datatype, "value", column.datatype))
    unit = column.ivoa_unit or column.fits_tunit or ""
    return SdmColumn(column.name, _DTYPES.get(kind, kind), str(unit), column.description or "")


def build_table(release: Release, table: str, values: Mapping[str, npt.ArrayLike]) -> Table:
    """Make a table of the columns of a schema for which there are values.

    Parameters
    ----------
    release, table
        Which schema.
    values
        By column, shape (n,) or (); what the schema has not is left out, so that releases which name the same
        thing differently share the values.

    Raises
    ------
    InputTableError
        If values differ in length.
    """
    from astropy.table import Column, Table

    arrays = {name: np.asarray(value) for name, value in values.items()}
    lengths = {len(array) for array in arrays.values() if array.ndim}
    if len(lengths) != 1:
        raise InputTableError(f"The columns of {table} should have one length; got {sorted(lengths)}.")
    n_rows = lengths.pop()
    return Table(
        [
            Column(
                np.broadcast_to(arrays[column.name], n_rows).astype(column.dtype),
                column.name,
                unit=column.unit or None,
                description=column.description,
            )
            for column in schema_columns(release, table)
            if column.name in arrays
        ]
    )


def missing_columns(release: Release, table: str, present: Iterable[str], bands: Sequence[str]) -> dict[str, str]:
    """Tell why columns of a schema are not in a table.

    Parameters
    ----------
    release, table
        Which schema.
    present
        Columns of the table.
    bands
        Bands of the survey.

    Returns
    -------
    Reasons by column; an empty one where none is known.
    """
    known = set(present)
    return {
        column.name: _reason(column.name, bands)
        for column in schema_columns(release, table)
        if column.name not in known
    }


def _reason(name: str, bands: Sequence[str]) -> str:
    band = re.match(r"([ugrizy])(_|PSFlux|TOTFlux)", name)
    if band and band[1] not in bands:
        return f"the survey does not observe in {band[1]}"
    return next((reason for pattern, reason in _REASONS if re.fullmatch(pattern, name)), "")
