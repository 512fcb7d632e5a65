"""Association: sources on difference images at one position, at any time and in any band, are one DIA object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..conventions import FloatArray, IntArray
from ..id_generator import IdGenerator
from ..tasks.columns import Release, build_table
from ..tasks.table_values import Values, ccd_visit_id
from .light_curve_statistics import (
    PSF_FLUX_STATISTICS,
    SCIENCE_FLUX_STATISTICS,
    psf_flux_statistics,
    science_flux_statistics,
)
from .sources import htm_index

if TYPE_CHECKING:
    from astropy.table import Table

_NAMES = {
    "dp1": {"dec": "dec", "mjd": "midpointMjdTai", "band": "band", "flux": "psfFlux", "science": "scienceFlux"},
    "dp02": {"dec": "decl", "mjd": "midPointTai", "band": "filterName", "flux": "psFlux", "science": "totFlux"},
}


def associate(
    release: Release,
    dia_sources: Table,
    ids: IdGenerator,
    *,
    bands: str = "gri",
    radius_arcsec: float = 0.5,
) -> tuple[Table, Table]:
    """Associate sources by position, and summarise their light curves.

    Images are taken in the order of time. Each source joins the nearest object within the radius that has no
    source of this image yet, the closest pairs first; or becomes a new object. The position of an object is the
    mean of its sources'. Parents of blends are left with the object 0.

    Parameters
    ----------
    release
        Whose names the tables have.
    dia_sources
        Tables that `dia_source_table` made, of any number of images, stacked.
    ids
        Makes the objects' ids.
    bands
        Bands to summarise.
    radius_arcsec
        How far a source may be from its object.

    Returns
    -------
    dia_sources
        A copy with diaObjectId filled.
    dia_objects
        A row for each object; in bands without sources numbers of points are 0 and all else is NaN.
    """
    names = _NAMES[release]
    sources = dia_sources.copy()
    is_parent = np.isin(sources["diaSourceId"], sources["parentDiaSourceId"])
    ra, dec = (np.radians(np.asarray(sources[name], dtype=np.float64)) for name in ("ra", names["dec"]))
    usable = np.flatnonzero(~is_parent & np.isfinite(ra) & np.isfinite(dec))
    vectors = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    mjd = np.asarray(sources[names["mjd"]], dtype=np.float64)
    detector = _image_numbers(sources)
    order = usable[np.lexsort((np.asarray(sources["diaSourceId"])[usable], detector[usable], mjd[usable]))]
    member = np.full(len(sources), -1)
    n_objects = _match(vectors, order, np.stack([mjd, detector], axis=1), member, np.radians(radius_arcsec / 3600))
    object_ids = ids.arange(1, n_objects + 1)
    sources["diaObjectId"][:] = np.where(member >= 0, np.append(object_ids, 0)[member], 0)
    return sources, _dia_objects(release, sources, object_ids, member, vectors, bands)


def _image_numbers(sources: Table) -> IntArray:
    """Return a number for each source that is the same for those of one image."""
    if "ccdVisitId" in sources.colnames:
        return np.asarray(sources["ccdVisitId"], dtype=np.int64)
    visit, detector = (np.asarray(sources[name], dtype=np.int64) for name in ("visit", "detector"))
    return ccd_visit_id(visit, detector)


def _match(vectors: FloatArray, order: IntArray, images: FloatArray, member: IntArray, radius: float) -> int:
    """Fill the number of each source's object; return how many objects there are."""
    from scipy.spatial import cKDTree

    totals = np.zeros((0, 3))
    breaks = np.flatnonzero(np.any(np.diff(images[order], axis=0) != 0, axis=1)) + 1
    for rows in np.split(order, breaks):
        free = np.ones(len(rows), dtype=bool)
        if len(totals) and len(rows):
            tree = cKDTree(totals / np.linalg.norm(totals, axis=1, keepdims=True))
            near = cKDTree(vectors[rows]).sparse_distance_matrix(tree, radius, output_type="ndarray")
            taken: set[int] = set()
            for pair in near[np.argsort(near["v"], kind="stable")]:
                source, found = int(pair["i"]), int(pair["j"])
                if free[source] and found not in taken:
                    taken.add(found)
                    free[source] = False
                    member[rows[source]] = found
                    totals[found] += vectors[rows[source]]
        new = rows[free]
        member[new] = len(totals) + np.arange(len(new))
        totals = np.concatenate([totals, vectors[new]])
    return len(totals)


def _dia_objects(
    release: Release, sources: Table, object_ids: IntArray, member: IntArray, vectors: FloatArray, bands: str
) -> Table:
    names = _NAMES[release]
    n = len(object_ids)
    in_object = member >= 0
    totals = np.stack([np.bincount(member[in_object], v, n) for v in vectors[in_object].T], axis=1).reshape(n, 3)
    ra = np.degrees(np.arctan2(totals[:, 1], totals[:, 0])) % 360.0
    dec = np.degrees(np.arctan2(totals[:, 2], np.hypot(totals[:, 0], totals[:, 1])))
    mjd = np.asarray(sources[names["mjd"]], dtype=np.float64)
    last = np.full(n, -np.inf)
    np.maximum.at(last, member[in_object], mjd[in_object])
    values: Values = {
        "diaObjectId": object_ids,
        "ra": ra,
        "dec": dec,
        "decl": dec,
        "radecMjdTai": last,
        "radecTai": last,
        "nDiaSources": np.bincount(member[in_object], minlength=n),
        "pixelId": htm_index(ra, dec),
        **_band_statistics(sources, names, member, n, bands),
    }
    return build_table(release, "DiaObject", {_spelled(release, name): array for name, array in values.items()})


def _band_statistics(
    sources: Table, names: dict[str, str], member: IntArray, n_objects: int, bands: str
) -> Values:
    columns = {
        name: np.asarray(sources[name], dtype=np.float64)
        for name in (names["mjd"], *(f"{names[kind]}{err}" for kind in ("flux", "science") for err in ("", "Err")))
    }
    band_of = np.asarray(sources[names["band"]])
    statistics = (*PSF_FLUX_STATISTICS, *SCIENCE_FLUX_STATISTICS)
    values: Values = {}
    for band in bands:
        rows = np.flatnonzero((member >= 0) & (band_of == band))
        rows = rows[np.argsort(member[rows], kind="stable")]
        filled: dict[str, Any] = {name: np.full(n_objects, np.nan) for name in statistics}
        filled["psfFluxNdata"][:] = 0.0
        for group in np.split(rows, np.flatnonzero(np.diff(member[rows])) + 1) if len(rows) else ():
            mjd, flux, flux_err, science, science_err = (column[group] for column in columns.values())
            found = psf_flux_statistics(mjd, flux, flux_err) | science_flux_statistics(science, science_err)
            for name, value in found.items():
                filled[name][member[group[0]]] = value
        values |= {f"{band}_{name}": array for name, array in filled.items()}
    return values


def _spelled(release: Release, name: str) -> str:
    """Return how a release spells a column of a band: DP0.2 has rPSFluxMean for r_psfFluxMean."""
    if release == "dp1":
        return name
    return name.replace("_psfFlux", "PSFlux").replace("_scienceFlux", "TOTFlux")
