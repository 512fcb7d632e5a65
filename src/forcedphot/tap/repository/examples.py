"""Queries to begin with, for the tables that are there."""

from collections.abc import Iterable, Mapping

from ..adql import translate
from ..errors import QueryError
from ..holdings import Example, HeldSchema
from ..known_schemas import OBSCORE
from ..tables import TableSource

_EXAMPLES = (
    Example(
        "Objects around a position",
        "Point sources with their magnitudes",
        """SELECT TOP 50 objectId, coord_ra, coord_dec, {band}_psfMag, {band}_psfFlux
FROM dp1.Object
WHERE CONTAINS(POINT('ICRS', coord_ra, coord_dec), CIRCLE('ICRS', {ra}, {dec}, 0.1)) = 1
  AND refExtendedness < 0.5 AND {band}_psfMag < 26 AND {band}_psfMag > 17""",
    ),
    Example(
        "Sources on a visit image",
        "The brightest first",
        """SELECT TOP 50 sourceId, ra, dec, psfFlux
FROM dp1.Source
WHERE visit = {visit} AND detector = {detector} AND extendedness < 0.5
ORDER BY psfFlux DESC""",
    ),
    Example(
        "Light curve",
        "Of the object with the most variable flux in one band",
        """SELECT v.expMidptMJD, f.band, f.psfFlux, f.psfFluxErr, f.psfDiffFlux
FROM dp1.ForcedSource AS f
JOIN dp1.Visit AS v ON v.visit = f.visit
JOIN (SELECT TOP 1 objectId, MAX(psfDiffFlux) - MIN(psfDiffFlux) AS reach
      FROM dp1.ForcedSource WHERE band = '{band}' GROUP BY objectId ORDER BY reach DESC) AS o
  ON o.objectId = f.objectId
ORDER BY expMidptMJD""",
    ),
    Example(
        "Forced sources by band",
        "How many there are",
        """SELECT band, COUNT(*) AS n
FROM dp1.ForcedSource
GROUP BY band
ORDER BY band""",
    ),
    Example(
        "Objects around a position",
        "Calibrated fluxes, the nearest first",
        """SELECT TOP 50 objectId, coord_ra, coord_dec, {band}_psfFlux, {band}_extendedness,
  DISTANCE(POINT('ICRS', coord_ra, coord_dec), POINT('ICRS', {ra}, {dec})) AS separation
FROM dp02_dc2_catalogs.Object
WHERE CONTAINS(POINT('ICRS', coord_ra, coord_dec), CIRCLE('ICRS', {ra}, {dec}, 0.1)) = 1
  AND detect_isPrimary = 1
ORDER BY separation""",
    ),
    Example(
        "Light curve",
        "Of the object with the most variable flux in one band",
        """SELECT v.expMidptMJD, f.band, f.psfFlux, f.psfFluxErr, f.psfDiffFlux
FROM dp02_dc2_catalogs.ForcedSource AS f
JOIN dp02_dc2_catalogs.CcdVisit AS v ON v.ccdVisitId = f.ccdVisitId
JOIN (SELECT TOP 1 objectId, MAX(psfDiffFlux) - MIN(psfDiffFlux) AS reach
      FROM dp02_dc2_catalogs.ForcedSource WHERE band = '{band}' GROUP BY objectId ORDER BY reach DESC) AS o
  ON o.objectId = f.objectId
ORDER BY expMidptMJD""",
    ),
    Example(
        "Forced sources by band",
        "How many there are",
        """SELECT band, COUNT(*) AS n
FROM dp02_dc2_catalogs.ForcedSource
GROUP BY band
ORDER BY band""",
    ),
    Example(
        "Simulated stars",
        "The truth, where the survey is simulated",
        """SELECT TOP 100 id, ra, dec, {band}_flux, is_variable
FROM datasets.truth_summary
WHERE kind = 'star'
ORDER BY {band}_flux DESC""",
    ),
    Example(
        "Images of a position",
        "With links to the files",
        """SELECT TOP 100 dataproduct_subtype, lsst_band, t_min, s_resolution, access_estsize, access_url
FROM ivoa.ObsCore
WHERE CONTAINS(POINT('ICRS', {ra}, {dec}), s_region) = 1
ORDER BY t_min""",
    ),
    Example(
        "Columns with fluxes",
        "What there is, as the service describes itself",
        """SELECT table_name, column_name, unit, description
FROM TAP_SCHEMA.columns
WHERE unit = 'nJy'
ORDER BY table_name, column_index""",
    ),
)


def examples(schemas: Iterable[HeldSchema], tables: Mapping[str, TableSource]) -> tuple[Example, ...]:
    """Choose the examples that can be run, with places and visits that exist.

    Parameters
    ----------
    schemas
        Among them ivoa, whose images say where there are data.
    tables
        All of them, by name in lower case.
    """
    places = _places(schemas)
    chosen = []
    for example in _EXAMPLES:
        try:
            query = example.query.format_map(places)
            translate(query, tables)
        except (KeyError, QueryError):  # what it is about does not exist here
            continue
        chosen.append(Example(example.name, example.description, query))
    return tuple(chosen)


def _places(schemas: Iterable[HeldSchema]) -> dict[str, str]:
    """Take what queries name from the first image of a visit, and the first coadd."""
    images = next(schema.tables[0].source.data for schema in schemas if schema.name == OBSCORE)
    names = {"ra": "s_ra", "dec": "s_dec", "band": "lsst_band", "visit": "lsst_visit", "detector": "lsst_detector"}
    places: dict[str, str] = {}
    for row in [] if images is None else images.select(list(names.values())).to_pylist():
        for name, column in names.items():
            value = row[column]
            if value is not None:
                places.setdefault(name, f"{value:.4f}" if isinstance(value, float) else str(value))
    return places
