"""Small skies, for tests of what draws them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.table import Table

from forcedphot.conventions import FloatArray
from forcedphot.exposure.wcs import AstropyWcs
from forcedphot.survey.plan import DetectorPlan
from forcedphot.survey.sky import PointSources, Sky
from forcedphot.survey.truth import build_table, columns

BANDS = ("g", "r", "i")
EPOCH_MJD = 60000.0


def to_sky(detector: DetectorPlan, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return ra and dec in degrees."""
    ra, dec = AstropyWcs(detector.wcs).pixel_to_sky(x, y)
    return np.degrees(ra), np.degrees(dec)


def points_at(detector: DetectorPlan, x: Any, y: Any, flux: Any) -> PointSources:
    x, y, flux = (np.array(values, dtype=np.float64) for values in (x, y, flux))
    return PointSources(np.arange(len(x)), *to_sky(detector, x, y), flux)


def stars_at(detector: DetectorPlan, x: FloatArray, y: FloatArray, values: Mapping[str, Any]) -> Table:
    return _table(detector, x, y, values, of_points=True)


def galaxies_at(detector: DetectorPlan, x: Any, y: Any, **values: Any) -> Table:
    defaults = {"kind": "galaxy", "bulge_sersic_index": 4.0, "disk_sersic_index": 1.0}
    x, y = np.array(x, dtype=np.float64), np.array(y, dtype=np.float64)
    return _table(detector, x, y, {**defaults, **values}, of_points=False)


def sky_of(detector: DetectorPlan, stars: Table | None = None, galaxies: Table | None = None) -> Sky:
    nobody = np.zeros(0)
    no_points = stars_at(detector, nobody, nobody, {})
    no_galaxies = galaxies_at(detector, nobody, nobody)
    return Sky(
        no_points if stars is None else stars, no_galaxies if galaxies is None else galaxies, no_points.copy()
    )


def _table(
    detector: DetectorPlan, x: FloatArray, y: FloatArray, values: Mapping[str, Any], *, of_points: bool
) -> Table:
    ra, dec = to_sky(detector, x, y)
    place = {"id": np.arange(1, len(x) + 1), "ra": ra, "dec": dec, "epoch_mjd": EPOCH_MJD}
    wanted = columns(BANDS, of_points=of_points, of_galaxies=not of_points)
    return build_table(wanted, {**place, **values})
