"""What varies: forced fluxes of variables and transients beside their true light curves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..conventions import FloatArray, IntArray
from .light_curves import relative_flux
from .plan import SurveyPlan
from .pulls import FORCED_FLUXES, is_reliable, statistics, visit_ids
from .truth_matching import TrueSources

if TYPE_CHECKING:
    from astropy.table import Table

KINDS = ("variable", "transient")
"""Kinds of sources that vary."""

_CERTAIN = 10.0


def varying_fluxes(
    plan: SurveyPlan, truth: TrueSources, forced: Table, found: IntArray, dia_forced: Table, dia_found: IntArray
) -> Table:
    """Collect the forced fluxes of variables, at objects, and of transients, at DIA objects.

    Variables count that have nobody near; on visit images, so do transients, which leaves those without host; on
    differences, where what is constant is gone, transients that have nothing near that varies. Templates have the
    mean flux of variables, and nothing of transients. A transient counts if it has 10 sigma in some visit: of
    fainter ones, those are found for which noise adds up.

    Parameters
    ----------
    plan, truth
        Of the survey.
    forced, dia_forced
        Forced sources of all objects and of all DIA objects.
    found, dia_found
        ``objectId`` or ``diaObjectId`` of each true source, shape (number of sources,); -1 where there is none.

    Returns
    -------
    ``kind``, ``true_id``, ``light_curve``, ``image`` (visit or difference), ``band``, ``visit``, ``mjd`` of the
    exposure's middle, ``true_flux`` at that time, ``expected`` on the image, ``flux`` and ``flux_err``, nJy.
    """
    from astropy.table import vstack

    parts = []
    for kind, table, id_name, ids in (
        ("variable", forced, "objectId", found),
        ("transient", dia_forced, "diaObjectId", dia_found),
    ):
        is_alone = truth.is_isolated if kind == "variable" else truth.is_alone_in_differences
        is_one = (np.asarray(truth.table["kind"]) == kind) & truth.is_covered & is_alone & (ids >= 0)
        for source in np.flatnonzero(is_one):
            rows = table[np.asarray(table[id_name]) == ids[source]]
            parts += list(_of_source(plan, truth, int(source), rows))
    return vstack(parts, metadata_conflicts="silent")


def varying_pulls(fluxes: Table) -> FloatArray:
    """Return (measured - expected) / error of `varying_fluxes`, shape (n,)."""
    result: FloatArray = (np.asarray(fluxes["flux"]) - np.asarray(fluxes["expected"])) / np.asarray(
        fluxes["flux_err"]
    )
    return result


def summarize_varying(plan: SurveyPlan, fluxes: Table) -> Table:
    """Describe the pulls by kind, image and band."""
    from astropy.table import Table as NewTable

    pull = varying_pulls(fluxes)
    kind, image, band = (np.asarray(fluxes[name]) for name in ("kind", "image", "band"))
    return NewTable(
        rows=[
            {
                "kind": each,
                "image": on,
                "band": name,
                **statistics(pull[(kind == each) & (image == on) & (band == name)]),
            }
            for each in KINDS
            for on in FORCED_FLUXES
            for name in plan.size.bands
        ]
    )


def _of_source(plan: SurveyPlan, truth: TrueSources, source: int, forced: Table) -> Iterator[Table]:
    """Yield the fluxes of a source on each kind of image."""
    from astropy.table import Table as NewTable

    row = truth.table[[source]]
    is_transient = bool(row["is_transient"][0])
    times = {visit.id: visit.middle_mjd for visit in plan.visits}
    visits, bands = visit_ids(forced), np.asarray(forced["band"]).astype(str)
    mjd = np.array([times[visit] for visit in visits.tolist()])
    mean, true_flux = np.zeros(len(forced)), np.zeros(len(forced))
    for band in plan.size.bands:
        of_band = bands == band
        mean[of_band] = row[f"{band}_flux"][0]
        true_flux[of_band] = mean[of_band] * relative_flux(row, band, mjd[of_band])[0]
    for image, name in FORCED_FLUXES.items():
        if image == "visit" and not truth.is_isolated[source]:
            continue
        flux, error = np.asarray(forced[name]), np.asarray(forced[f"{name}Err"])
        good = np.flatnonzero(is_reliable(forced, name))
        if is_transient and not (true_flux[good] > _CERTAIN * error[good]).any():
            continue
        in_template = np.zeros(len(forced)) if is_transient or image == "visit" else mean
        n = len(good)
        yield NewTable(
            {
                "kind": np.full(n, str(row["kind"][0]), dtype="U9"),
                "true_id": np.full(n, int(row["id"][0])),
                "light_curve": np.full(n, str(row["light_curve"][0]), dtype="U11"),
                "image": np.full(n, image, dtype="U10"),
                "band": bands[good],
                "visit": visits[good],
                "mjd": mjd[good],
                "true_flux": true_flux[good],
                "expected": (true_flux - in_template)[good],
                "flux": flux[good],
                "flux_err": error[good],
            }
        )
