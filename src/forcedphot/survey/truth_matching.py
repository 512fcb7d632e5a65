"""Truth matching: which catalog objects are which true sources, and which stars have nobody beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..conventions import BoolArray, FloatArray, IntArray
from .plan import PIXEL_SCALE_ARCSEC, SurveyPlan
from .truth import positions_at

if TYPE_CHECKING:
    from astropy.table import Table

MATCH_RADIUS_ARCSEC = 0.6
"""An object this far from a true source is that source: half a PSF."""

# With larger ones, pulls are the same, of fewer stars.
_REACH_ARCSEC = 2.0
_REACH_PER_DECADE_ARCSEC = 0.5
_REACH_PER_HALF_LIGHT_RADIUS = 2.0
_FAINT_NJY = 100.0
_REACH_OF_MOVING_ARCSEC = 6.0


@dataclass(frozen=True, slots=True, eq=False)
class TrueSources:
    """The sources of a truth table that catalogs are compared with.

    Parameters
    ----------
    table
        All rows of the truth table.
    x, y
        At the epoch, pixels of the tract, shape (n,).
    is_covered
        Where all bands have half of their visits or more, and the patches have their inner parts, shape (n,).
    is_isolated
        With no other source within its reach, which grows with its flux and its size, shape (n,).
    is_alone_in_differences
        Of what varies: with no other such source within its reach, shape (n,).
    apparitions
        x, y of what moves, in every visit, shape (2, m).
    """

    table: Table
    x: FloatArray
    y: FloatArray
    is_covered: BoolArray
    is_isolated: BoolArray
    is_alone_in_differences: BoolArray
    apparitions: FloatArray

    @classmethod
    def of(cls, plan: SurveyPlan, table: Table) -> TrueSources:
        """Take the truth table of a survey."""
        x, y = tract_pixels(plan, table["ra"], table["dec"])
        moving = table[np.asarray(table["kind"]) == "moving"]
        places = [tract_pixels(plan, *positions_at(moving, visit.mjd)) for visit in plan.visits]
        apparitions = np.concatenate(places, axis=1)
        varies = np.asarray(table["is_variable"]) | np.asarray(table["is_transient"])
        alone = np.ones(len(table), dtype=bool)
        alone[varies] = _isolated(plan, table[varies], x[varies], y[varies], apparitions)
        return cls(
            table=table,
            x=x,
            y=y,
            is_covered=_covered(plan, table, x, y),
            is_isolated=_isolated(plan, table, x, y, apparitions),
            is_alone_in_differences=alone,
            apparitions=apparitions,
        )

    @property
    def is_constant_star(self) -> BoolArray:
        """Which ones are stars that do not vary, shape (n,)."""
        result: BoolArray = np.asarray(self.table["kind"]) == "star"
        return result

    def nearest(self, x: FloatArray, y: FloatArray) -> IntArray:
        """Find the source at each of some positions in the tract.

        Returns
        -------
        Rows, shape (n,); -1 where there is none.
        """
        return _nearest(self.x, self.y, x, y)

    def is_real(self, x: FloatArray, y: FloatArray) -> BoolArray:
        """Tell at which positions in the tract there is a source, or something that moves in any visit."""
        result: BoolArray = (self.nearest(x, y) >= 0) | (
            _nearest(self.apparitions[0], self.apparitions[1], x, y) >= 0
        )
        return result


def find_objects(truth: TrueSources, x: FloatArray, y: FloatArray) -> IntArray:
    """Find the object at each true source.

    Parameters
    ----------
    x, y
        Of the objects, pixels of the tract.

    Returns
    -------
    Rows of the objects, shape (number of sources,); -1 where there is none.
    """
    return _nearest(x, y, truth.x, truth.y)


def tract_pixels(plan: SurveyPlan, ra_deg: FloatArray, dec_deg: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return x, y in the tract's pixel frame; positions that are not finite are far from all others."""
    x, y = plan.tract_wcs.wcs_world2pix(np.asarray(ra_deg), np.asarray(dec_deg), 0)
    return np.nan_to_num(x, nan=-1e9), np.nan_to_num(y, nan=-1e9)


def _nearest(x: FloatArray, y: FloatArray, at_x: FloatArray, at_y: FloatArray) -> IntArray:
    from scipy.spatial import cKDTree

    if not len(x):
        return np.full(len(at_x), -1)
    radius = MATCH_RADIUS_ARCSEC / PIXEL_SCALE_ARCSEC
    distance, row = cKDTree(np.stack([x, y], axis=1)).query(np.stack([at_x, at_y], axis=1))
    result: IntArray = np.where(distance < radius, row, -1)
    return result


def _covered(plan: SurveyPlan, table: Table, x: FloatArray, y: FloatArray) -> BoolArray:
    covered: BoolArray = plan.field_box.contains(x, y)
    for band in plan.size.bands:
        n_visits = np.zeros(len(x), dtype=np.int64)
        for visit in plan.visits:
            for detector in visit.detectors if visit.band == band else ():
                # The inverse of the distortion need not converge far from the detector.
                near = detector.wcs.all_world2pix(table["ra"], table["dec"], 0, quiet=True)
                n_visits += detector.box.contains(*near)
        covered &= n_visits >= plan.size.n_visits / 2
    return covered


def _isolated(plan: SurveyPlan, table: Table, x: FloatArray, y: FloatArray, apparitions: FloatArray) -> BoolArray:
    from scipy.spatial import cKDTree

    flux = np.max([np.asarray(table[f"{band}_flux"]) for band in plan.size.bands], axis=0)
    size = np.nanmax(
        [
            np.zeros(len(table)),
            np.asarray(table["bulge_half_light_radius_arcsec"]),
            np.asarray(table["disk_half_light_radius_arcsec"]),
        ],
        axis=0,
    )
    brightness = np.log10(np.maximum(flux / _FAINT_NJY, 1.0))
    reach = (
        _REACH_ARCSEC + _REACH_PER_DECADE_ARCSEC * brightness + _REACH_PER_HALF_LIGHT_RADIUS * size
    ) / PIXEL_SCALE_ARCSEC
    tree = cKDTree(np.stack([x, y], axis=1))
    isolated = np.ones(len(table), dtype=bool)
    for row, near in enumerate(tree.query_ball_point(np.stack([x, y], axis=1), reach)):
        isolated[[other for other in near if other != row]] = False
    for near in tree.query_ball_point(apparitions.T, _REACH_OF_MOVING_ARCSEC / PIXEL_SCALE_ARCSEC):
        isolated[near] = False
    return isolated
