"""The simulated sky: stars, variables, galaxies with supernovae, blends, and what appears or moves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..conventions import FloatArray, IntArray
from .light_curves import relative_flux
from .placement import Layout
from .plan import SurveyPlan
from .sky_groups import (
    Group,
    make_galaxies,
    make_moving,
    make_rising,
    make_stars,
    make_supernovae,
    make_variables,
    put_side_by_side,
)
from .truth import build_table, columns, join_tables, positions_at

if TYPE_CHECKING:
    from astropy.table import Table


@dataclass(frozen=True, slots=True, eq=False)
class PointSources:
    """Point sources at one time in one band.

    Parameters
    ----------
    ids
        Of the truth table, int64, shape (n,).
    ra_deg, dec_deg
        ICRS, shape (n,).
    flux
        nJy, shape (n,); 0 for a transient that has not risen.
    """

    ids: IntArray
    ra_deg: FloatArray
    dec_deg: FloatArray
    flux: FloatArray


@dataclass(frozen=True, eq=False)
class Sky:
    """All sources of a survey; the module `truth` explains the columns.

    Parameters
    ----------
    stars
        Stars, variables and transients.
    galaxies
        Galaxies and hosts of transients.
    moving
        What is somewhere else in every visit; the columns are those of ``stars``.
    """

    stars: Table
    galaxies: Table
    moving: Table

    def truth(self) -> Table:
        """Return all sources in one table."""
        tables = (self.stars, self.moving, self.galaxies)
        return join_tables(tables, columns(self._bands, of_points=True, of_galaxies=True))

    def point_sources(self, band: str, mjd: float) -> PointSources:
        """Return all point sources where they are, and as bright as they are, at a time (MJD, TAI)."""
        ra, dec = positions_at(self._points, mjd)
        flux = np.asarray(self._points[f"{band}_flux"]) * relative_flux(self._points, band, mjd)
        return PointSources(np.asarray(self._points["id"]), ra, dec, flux)

    def reference_point_sources(self, band: str) -> PointSources:
        """Return what a template shows: stars and variables with their mean fluxes, at the epoch."""
        lasting = self.stars[~np.asarray(self.stars["is_transient"])]
        ids, ra, dec, flux = (np.asarray(lasting[name]) for name in ("id", "ra", "dec", f"{band}_flux"))
        return PointSources(ids, ra, dec, flux)

    @property
    def _bands(self) -> list[str]:
        return [name.removesuffix("_flux") for name in self.galaxies.colnames if name.endswith("_flux")]

    @cached_property
    def _points(self) -> Table:
        return join_tables([self.stars, self.moving], columns(self._bands, of_points=True, of_galaxies=False))


def make_sky(plan: SurveyPlan) -> Sky:
    """Make the sky of a survey; equal plans have equal skies.

    The field, which is the patches with data, has as many stars, variables, galaxies and transients as the size
    says (variables are not counted as stars); what is observed beyond it is as dense. One transient in the field
    has no host and begins in the middle of the survey; one object moves across the field.
    """
    size, layout = plan.size, Layout.of(plan)
    times = [visit.mjd for visit in plan.visits]
    survey = (min(times), max(times))
    rng = np.random.default_rng([plan.seed, 2])
    stars = make_stars(rng, layout, size.n_stars)
    variables = make_variables(rng, layout, size.n_variables, survey[0])
    galaxies = make_galaxies(rng, layout, size.n_galaxies)
    put_side_by_side(rng, layout, stars, galaxies)
    supernovae = make_supernovae(rng, layout, size.n_transients - 1, galaxies, survey)
    others = np.concatenate([group.positions for group in (stars, variables, galaxies)], axis=1)
    rising = make_rising(rng, layout.lonely(rng, others), survey, int(supernovae.values["id"][-1]) + 1)
    moving = make_moving(rng, layout, plan.tract_wcs, survey)
    return Sky(
        _table(plan, survey, stars, variables, supernovae, rising, is_galaxies=False),
        _table(plan, survey, galaxies, is_galaxies=True),
        _table(plan, survey, moving, is_galaxies=False),
    )


def _table(plan: SurveyPlan, survey_mjd: tuple[float, float], *groups: Group, is_galaxies: bool) -> Table:
    """Return a table of groups, with their positions on the sky at the middle of the survey."""
    wanted = columns(plan.size.bands, of_points=not is_galaxies, of_galaxies=is_galaxies)
    tables = []
    for group in groups:
        ra, dec = plan.tract_wcs.wcs_pix2world(*group.positions, 0)
        values = group.columns() | {"ra": ra, "dec": dec, "epoch_mjd": sum(survey_mjd) / 2}
        tables.append(build_table(wanted, values))
    return join_tables(tables, wanted)
