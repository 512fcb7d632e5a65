"""Multi-band photometry: magnitudes of the same objects in several bands, and which of them to trust."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from .conventions import BoolArray, FloatArray
from .errors import ConfigurationError, InputTableError
from .exposure import PhotoCalib
from .exposure.photo_calib import ab_magnitude

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.daf.butler import Butler, DatasetRef

    from .catalog.source_catalog import SourceCatalog

OBJECT_TABLES = ("object", "objectTable", "objectTable_tract")
"""Dataset types with all bands of an object in one row."""

FORCED_CATALOGS, REFERENCE_CATALOGS = "deepCoadd_forced_src", "deepCoadd_ref"
"""Dataset types of repositories with a catalog for each band: these, and what they refer to."""

COADDS = ("deepCoadd_calexp", "deepCoadd")
"""Names of the coadds that these were measured on; a repository has one."""

_PRIMARY = "detect_isPrimary"
_FLUX, _EXTENDEDNESS = "base_PsfFlux", "base_ClassificationExtendedness"
_OBJECT_COLUMNS = ("objectId", "coord_ra", "coord_dec", "tract", "patch", "refExtendedness")


def read_bands(
    butler: Butler, bands: Sequence[str], *, tract: int | None = None, patch: int | None = None
) -> Table:
    """Read PSF magnitudes of all objects of a repository, from object tables or from forced catalogs of coadds.

    Parameters
    ----------
    butler
        Where; its default collections are searched, or all if it has none. To read catalogs,
        ``import forcedphot.butler`` before it is opened.
    bands
        Such as r and i.
    tract, patch
        Only objects of these; of all if None.

    Returns
    -------
    A row for each object, with the columns that `of_catalogs` describes, ``tract`` and ``patch``.

    Raises
    ------
    ConfigurationError
        If there are no such tables.
    InputTableError
        If a table lacks a column, or catalogs of different bands have different objects.
    """
    from astropy.table import Table, vstack

    if not bands or len(set(bands)) < len(bands):
        raise ConfigurationError(f"The bands {', '.join(bands)} should be different ones, such as r and i.")
    wanted = {key: value for key, value in (("tract", tract), ("patch", patch)) if value is not None}
    names = (*OBJECT_TABLES, FORCED_CATALOGS)
    known = {dataset.name for dataset in butler.registry.queryDatasetTypes(names, missing=[])}
    for name in (name for name in names if name in known):
        read = _read_catalogs if name == FORCED_CATALOGS else partial(_read_objects, name=name)
        parts = list(read(butler, bands, wanted))
        table = vstack(parts, metadata_conflicts="silent") if parts else Table()
        if len(table) and patch is not None:
            # Tables of a whole tract have all of its patches.
            table = table[np.asarray(table["patch"]) == patch]
        if len(table):
            return table
    place = ", ".join(f"{key} {value}" for key, value in wanted.items()) or "any patch"
    collections = ", ".join(butler.collections.defaults) or "any collection"
    raise ConfigurationError(f"There are no rows of {' or '.join(names)}, of {place}, in {collections}.")


def of_catalogs(
    forced: Mapping[str, SourceCatalog], calibrations: Mapping[str, PhotoCalib], reference: SourceCatalog
) -> Table:
    """Put the forced catalogs of a patch side by side, calibrated.

    Parameters
    ----------
    forced
        By band: catalogs of the same rows as the reference.
    calibrations
        By band: those of the coadds.
    reference
        The catalog that tells which rows are primary.

    Returns
    -------
    ``id``, ``ra`` and ``dec`` (degrees, ICRS); in each band ``{band}_psfFlux`` and ``{band}_psfFluxErr`` (nJy),
    ``{band}_psfMag`` and ``{band}_psfMagErr`` (AB), and ``{band}_is_good``, that the flux has no flag;
    ``is_primary``: the object is in the inner part of its patch and tract, deblended, and no piece of empty sky;
    and ``is_stellar``: it is no larger than the PSF, in the last band.

    Raises
    ------
    InputTableError
        If the catalogs have different rows.
    """
    columns: dict[str, Any] = {
        "id": reference["id"],
        "ra": np.degrees(reference["coord_ra"]),
        "dec": np.degrees(reference["coord_dec"]),
    }
    for band, catalog in forced.items():
        if not np.array_equal(catalog["id"], reference["id"]):
            raise InputTableError(f"The rows of the forced catalog in {band} are not those of its reference.")
        calibrated = calibrations[band].calibrateCatalog(catalog, [_FLUX])
        flux, flux_err = calibrated[f"{_FLUX}_flux"], calibrated[f"{_FLUX}_fluxErr"]
        columns |= _of_band(band, flux, flux_err, ~catalog[f"{_FLUX}_flag"])
    extendedness = forced[list(forced)[-1]][f"{_EXTENDEDNESS}_value"]
    return _table(columns, reference[_PRIMARY], extendedness)


def of_objects(objects: Table, bands: Sequence[str]) -> Table:
    """Take some bands of a table of objects, of Data Preview 0.2 or 1.

    Parameters
    ----------
    objects
        Those of Data Preview 1 are all primary.
    bands
        Such as r and i.

    Returns
    -------
    As `of_catalogs`; ``is_stellar`` is that of the reference band.

    Raises
    ------
    InputTableError
        If a column is missing.
    """
    missing = [name for name in _needed_columns(bands) if name not in objects.colnames]
    if missing:
        raise InputTableError(f"The table of objects has no column {', '.join(missing)}.")
    values = {
        name: np.ma.filled(np.ma.asarray(objects[name]), _filling(objects[name])) for name in objects.colnames
    }
    columns: dict[str, Any] = {
        "id": values["objectId"],
        "ra": values["coord_ra"],
        "dec": values["coord_dec"],
        "tract": values["tract"],
        "patch": values["patch"],
    }
    for band in bands:
        flux, flux_err = (values[f"{band}_psfFlux{suffix}"].astype(np.float64) for suffix in ("", "Err"))
        columns |= _of_band(band, flux, flux_err, ~values[f"{band}_psfFlux_flag"].astype(bool))
    is_primary = np.ones(len(objects), dtype=bool)
    if _PRIMARY in objects.colnames:  # what is not known to be primary may be there twice
        is_primary = np.ma.filled(np.ma.asarray(objects[_PRIMARY]), False)
    return _table(columns, is_primary, values["refExtendedness"])


def select_stars(table: Table, bands: Sequence[str], *, signal_to_noise: float = 0.0) -> BoolArray:
    """Choose what a colour-magnitude diagram of stars shows: what is primary, stellar and good in all bands.

    Parameters
    ----------
    table
        Of `read_bands`, `of_catalogs` or `of_objects`.
    bands
        Those that are compared.
    signal_to_noise
        Of the flux, in each band, at least.

    Returns
    -------
    Shape (n,).
    """
    selected: BoolArray = np.asarray(table["is_primary"]) & np.asarray(table["is_stellar"])
    for band in bands:
        flux, flux_err = np.asarray(table[f"{band}_psfFlux"]), np.asarray(table[f"{band}_psfFluxErr"])
        selected &= np.asarray(table[f"{band}_is_good"]) & (flux > 0) & (flux >= signal_to_noise * flux_err)
    return selected


def _read_objects(
    butler: Butler, bands: Sequence[str], wanted: Mapping[str, int], *, name: str
) -> Iterator[Table]:
    for ref in _find(butler, name, wanted):
        columns = set(butler.get(ref.makeComponentRef("columns")))
        chosen = [column for column in (*_needed_columns(bands), _PRIMARY) if column in columns]
        yield of_objects(butler.get(ref, storageClass="ArrowAstropy", parameters={"columns": chosen}), bands)


def _read_catalogs(butler: Butler, bands: Sequence[str], wanted: Mapping[str, int]) -> Iterator[Table]:
    known = {dataset.name for dataset in butler.registry.queryDatasetTypes(COADDS, missing=[])}
    coadds = next((name for name in COADDS if name in known), COADDS[0])
    in_band = {
        (name, _patch(ref), ref.dataId["band"]): ref
        for name in (FORCED_CATALOGS, coadds)
        for ref in _find(butler, name, wanted)
    }
    for ref in _find(butler, REFERENCE_CATALOGS, wanted):
        patch = _patch(ref)
        for name, band in product((FORCED_CATALOGS, coadds), bands):
            if (name, patch, band) not in in_band:
                raise ConfigurationError(f"There is no {name} in {band} of {ref.dataId}.")
        forced = {band: butler.get(in_band[FORCED_CATALOGS, patch, band]) for band in bands}
        calibrations = {band: _read_calibration(butler, in_band[coadds, patch, band]) for band in bands}
        table = of_catalogs(forced, calibrations, butler.get(ref))
        for dimension in ("tract", "patch"):
            table[dimension] = ref.dataId[dimension]
        yield table


def _patch(ref: DatasetRef) -> tuple[Any, ...]:
    return tuple(ref.dataId[name] for name in ("skymap", "tract", "patch"))


def _read_calibration(butler: Butler, coadd: DatasetRef) -> PhotoCalib:
    """Read the calibration of a coadd, and nothing else of it."""
    if "photoCalib" in coadd.datasetType.storageClass.allComponents():
        calibration: PhotoCalib = butler.get(coadd.makeComponentRef("photoCalib"))
        return calibration
    from astropy import units

    return PhotoCalib(float(butler.get(coadd.makeComponentRef("unit")).to(units.nJy)))


def _find(butler: Butler, name: str, wanted: Mapping[str, int]) -> list[DatasetRef]:
    """Find one dataset for each data id of a tract and patch; in all collections if there are no default ones."""
    chosen = butler.collections.defaults
    found = butler.query_datasets(
        name, collections=chosen or "*", find_first=bool(chosen), limit=None, explain=False
    )
    refs = [
        ref
        for ref in found
        if all(ref.dataId[key] == value for key, value in wanted.items() if key in ref.dataId.dimensions)
    ]
    if len({ref.dataId for ref in refs}) < len(refs):
        raise ConfigurationError(f"Several collections have {name}; name those to search.")
    return sorted(refs)


def _needed_columns(bands: Sequence[str]) -> list[str]:
    return [*_OBJECT_COLUMNS, *(f"{band}_psfFlux{suffix}" for band in bands for suffix in ("", "Err", "_flag"))]


def _filling(column: Any) -> Any:
    """Return what stands for a masked value: a flag that is not known is set."""
    return {"f": np.nan, "b": True}.get(column.dtype.kind)


def _of_band(band: str, flux: FloatArray, flux_err: FloatArray, is_good: BoolArray) -> dict[str, Any]:
    magnitude, magnitude_err = ab_magnitude(flux, flux_err)
    return {
        f"{band}_psfFlux": flux,
        f"{band}_psfFluxErr": flux_err,
        f"{band}_psfMag": magnitude,
        f"{band}_psfMagErr": magnitude_err,
        f"{band}_is_good": is_good,
    }


def _table(columns: dict[str, Any], is_primary: BoolArray, extendedness: FloatArray) -> Table:
    from astropy import units
    from astropy.table import Table as NewTable

    columns |= {"is_primary": np.asarray(is_primary, dtype=bool), "is_stellar": np.asarray(extendedness) < 1.0}
    table = NewTable(columns)
    for name in table.colnames:
        for ending, unit in (("ra", units.deg), ("dec", units.deg), ("Flux", units.nJy), ("FluxErr", units.nJy)):
            if name == ending or name.endswith(f"_psf{ending}"):
                table[name].unit = unit
        if name.endswith(("_psfMag", "_psfMagErr")):
            table[name].unit = units.mag
    return table
