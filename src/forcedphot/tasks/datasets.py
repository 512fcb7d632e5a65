"""Datasets that quanta read: what cannot be used is named, with its data ID."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..catalog.flux_units import photo_calib_of
from ..driver import as_exposure
from ..errors import ExposureError, FileFormatError, ForcedPhotError, InputTableError
from ..exposure import Exposure, Identity
from ..plugins.base import missing_component

if TYPE_CHECKING:
    import numpy.typing as npt
    from astropy.table import Table


def name_of(ref: Any) -> str:
    """Return a dataset's type and data ID."""
    return f"{ref.datasetType.name} of {ref.dataId}"


@contextmanager
def reading(ref: Any) -> Iterator[None]:
    """Turn whatever goes wrong while a dataset is read into an error that names it.

    Raises
    ------
    FileFormatError
        If it cannot be read.
    """
    try:
        yield
    except (MemoryError, FileFormatError):
        raise
    except Exception as error:
        raise FileFormatError(f"The dataset {name_of(ref)} cannot be read: {error}") from error


@contextmanager
def naming(ref: Any) -> Iterator[None]:
    """Put a dataset's name before what errors say of it."""
    try:
        yield
    except (ForcedPhotError, LookupError) as error:
        error.args = (f"{name_of(ref)}: {error}", *error.args[1:])
        raise


def read(butler: Any, ref: Any) -> Any:
    """Read a dataset of a quantum.

    Parameters
    ----------
    butler
        The quantum's.
    ref
        The dataset.

    Raises
    ------
    FileFormatError
        If it cannot be read.
    """
    with reading(ref):
        return butler.get(ref)


def read_exposure(butler: Any, ref: Any) -> Exposure:
    """Read an image of any storage class; the repository knows better than the file what it is of.

    Raises
    ------
    FileFormatError
        If it cannot be read.
    ExposureError
        If it has no WCS.
    """
    image = read(butler, ref)
    with reading(ref):
        exposure = as_exposure(image)
    mapping = butler.quantum.dataId.mapping
    identity = Identity(**{name: mapping[name] for name in Identity.__slots__ if name in mapping})
    exposure = dataclasses.replace(exposure, identity=identity)
    if exposure.wcs is None:
        raise ExposureError(f"{name_of(ref)}: {missing_component(exposure, 'WCS')}")
    return exposure


def read_calibrated(butler: Any, ref: Any) -> Exposure:
    """Read an image whose fluxes can be given in nJy, as `read_exposure` does."""
    exposure = read_exposure(butler, ref)
    with naming(ref):
        photo_calib_of(exposure)
    return exposure


def read_columns(butler: Any, ref: Any, needed: Sequence[Sequence[str]], optional: Sequence[str] = ()) -> Table:
    """Read numbers of a table.

    Parameters
    ----------
    butler
        The quantum's.
    ref
        The table.
    needed
        Columns that it must have, each under one of several names.
    optional
        Columns that are left out if it does not have them.

    Returns
    -------
    The columns without their descriptions. Where a row has no number, it is NaN or, of integers and flags, 0.

    Raises
    ------
    FileFormatError
        If it cannot be read.
    InputTableError
        If it lacks a needed column.
    """
    from astropy.table import Table

    handle = read(butler, ref)
    with reading(ref):
        present = set(handle.get(component="columns"))
    missing = [names[0] for names in needed if present.isdisjoint(names)]
    if missing:
        raise InputTableError(f"The table {name_of(ref)} has no column {', '.join(missing)}.")
    chosen = [name for names in (*needed, optional) for name in names if name in present]
    with reading(ref):
        # As one of astropy, the descriptions of all its columns would be parsed: for longer than an image takes.
        columns = handle.get(parameters={"columns": chosen}, storageClass="ArrowTable")
        return Table({name: _numbers(columns[name]) for name in chosen})


def _numbers(column: Any) -> npt.NDArray[Any]:
    import pyarrow as pa

    if not pa.types.is_floating(column.type):
        column = column.fill_null(pa.scalar(0).cast(column.type))
    numbers: npt.NDArray[Any] = column.to_numpy()
    return numbers
