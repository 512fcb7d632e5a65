"""The report of a simulated survey: its catalogs beside the truth, in numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..conventions import AB_ZERO_POINT_NJY, BoolArray, FloatArray, IntArray
from ..errors import ConfigurationError
from .plan import SurveyPlan
from .pulls import FORCED_FLUXES, is_reliable, robust_sigma, statistics, visit_ids
from .repository import stored_plan
from .truth_matching import TrueSources, find_objects, tract_pixels
from .varying import summarize_varying, varying_fluxes

if TYPE_CHECKING:
    from astropy.table import Column, Table

DETECTION_LIMIT = 5.0
"""Signal to noise, in a band, from which on an object counts as found in it."""

PULL_LIMITS = (10.0, 100.0)
"""True signal to noise of stars with pulls.

Of fainter ones, only those are found for which noise adds up; of brighter ones on coadds, errors of the PSF are as
large as noise.
"""

FLOOR_LIMIT = 200.0
"""Signal to noise of stars that show what is wrong with their fluxes beside noise."""

COLOUR = ("r", "i")
"""The bands of the colour that is compared."""

_NEEDED = ("truth", "object", "forced_source", "dia_object", "dia_forced_source")
_BIN_MAG = 0.5
_COLOUR_BIN_MAG = 1.0
_SHIFT_PIX = 60.0

type StringArray = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False)
class SurveyReport:
    """How well the catalogs of a survey tell the truth.

    Parameters
    ----------
    completeness
        By ``band`` and true magnitude, ``mag_low`` to ``mag_high``: numbers of ``stars``, ``isolated`` ones of
        them, and ``galaxies``, and how many of each are found (``stars_found`` and so on): an object is there,
        with a PSF flux of 5 sigma in the band.
    purity
        By ``band`` and measured PSF magnitude: numbers of ``objects`` of 5 sigma; how many of them are ``real``,
        which is at the position of a true source; and how many would be ``by_chance``, elsewhere.
    pulls
        (measured - true) / error of isolated constant stars of 10 to 100 sigma, by ``image`` (visit, difference,
        coadd, or deblended: on coadds, where the deblender found something beside them), ``band`` and ``visit``
        (0: all of the band): ``n``, ``mean``, ``median``, ``rms`` about the mean, ``sigma`` from the median
        absolute deviation, and ``outliers`` beyond 5.
    floor
        Of those of more than 200 sigma: measured / true flux, ``offset`` of the median from 1 (from 0 for
        differences), ``sigma`` from the median absolute deviation, the errors' median ``noise``, and the ``floor``
        that is left of sigma when noise is taken from it.
    colours
        Of such stars of more than 10 sigma on coadds, not deblended, by true magnitude in r: r - i, ``bias``, the
        median of measured less true colour, its scatter ``sigma``, and the median error ``noise``; magnitudes.
    varying
        Pulls of forced fluxes of variables and transients, by ``kind``, ``image`` (visit or difference) and
        ``band``.
    stars
        The fluxes that pulls come from: ``image``, ``band``, ``visit``, ``true_id``, ``true_flux``, ``expected``
        (0 on differences), ``flux`` and ``flux_err``, nJy.
    varying_fluxes
        Those that ``varying`` comes from; see `varying.varying_fluxes`.
    rising
        The truth of the transient that begins in the middle of the survey, one row.
    """

    completeness: Table
    purity: Table
    pulls: Table
    floor: Table
    colours: Table
    varying: Table
    stars: Table
    varying_fluxes: Table
    rising: Table

    def tables(self) -> dict[str, Table]:
        """Return all tables but those of single sources, by their names."""
        single = ("stars", "varying_fluxes", "rising")
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in single}


def make_report(repository: str | Path) -> SurveyReport:
    """Compare the catalogs of a simulated survey with its truth.

    Parameters
    ----------
    repository
        Folder of the Butler's repository of a complete survey, with tables of objects and of forced sources.

    Raises
    ------
    ConfigurationError
        If it is no such survey.
    """
    plan = stored_plan(repository)
    truth_table, objects, forced, dia_objects, dia_forced = _read_tables(repository, plan)
    truth = TrueSources.of(plan, truth_table)
    if "detect_isPrimary" in objects.colnames:
        objects = objects[np.asarray(objects["detect_isPrimary"])]
    x, y = tract_pixels(plan, objects["coord_ra"], objects["coord_dec"])
    found = find_objects(truth, x, y)
    stars = _star_fluxes(plan, truth, objects, forced, found)
    dec = "dec" if "dec" in dia_objects.colnames else "decl"
    dia_found = find_objects(truth, *tract_pixels(plan, dia_objects["ra"], dia_objects[dec]))
    ids, dia_ids = _ids(objects["objectId"], found), _ids(dia_objects["diaObjectId"], dia_found)
    varying = varying_fluxes(plan, truth, forced, ids, dia_forced, dia_ids)
    return SurveyReport(
        completeness=_completeness(plan, truth, objects, found),
        purity=_purity(plan, truth, objects, x, y),
        pulls=_pulls(plan, stars),
        floor=_floor(plan, stars),
        colours=_colours(stars),
        varying=summarize_varying(plan, varying),
        stars=stars,
        varying_fluxes=varying,
        rising=truth_table[np.asarray(truth_table["light_curve"]) == "rising"],
    )


def magnitudes(flux_njy: npt.ArrayLike) -> FloatArray:
    """Return AB magnitudes; NaN of what is not positive."""
    flux = np.asarray(flux_njy, dtype=np.float64)
    result: FloatArray = AB_ZERO_POINT_NJY - 2.5 * np.log10(np.where(flux > 0, flux, np.nan))
    return result


def _read_tables(repository: str | Path, plan: SurveyPlan) -> list[Table]:
    """Read truth, objects and forced sources, those of all patches in one table."""
    from astropy.table import vstack
    from lsst.daf.butler import Butler

    profile, tables = plan.profile, []
    if not profile.datasets.keys() >= set(_NEEDED):
        raise ConfigurationError(
            f"{repository} is of the profile {profile.name}, which has no tables of objects and forced sources."
        )
    config = str(Path(repository) / "butler.yaml")
    with Butler.from_config(config, collections=profile.collection, writeable=False) as butler:
        for role in _NEEDED:
            dataset = profile.datasets[role]
            refs = butler.query_datasets(dataset.name, limit=None, explain=False)
            n_wanted = len(plan.patches) if "patch" in dataset.dimensions else 1
            if len(refs) < n_wanted:
                raise ConfigurationError(
                    f"{repository} has {len(refs)} of {n_wanted} {dataset.name}; forcedphot simulate completes it."
                )
            parts = [butler.get(ref) for ref in sorted(refs)]
            tables.append(vstack(parts, metadata_conflicts="silent"))
    return tables


def _ids(ids: Column, found: IntArray) -> IntArray:
    """Return the id of each source's object, -1 where there is none."""
    return np.append(np.asarray(ids, dtype=np.int64), -1)[found]


def _star_fluxes(plan: SurveyPlan, truth: TrueSources, objects: Table, forced: Table, found: IntArray) -> Table:
    """Collect what was measured of isolated constant stars."""
    from astropy.table import vstack

    stars = np.flatnonzero(truth.is_constant_star & truth.is_isolated & truth.is_covered & (found >= 0))
    star_of = dict(zip(np.asarray(objects["objectId"])[found[stars]].tolist(), stars.tolist(), strict=True))
    forced_star = np.array([star_of.get(each, -1) for each in np.asarray(forced["objectId"]).tolist()])
    visit = visit_ids(forced)
    parts = []
    for band in plan.size.bands:
        in_band = (forced_star >= 0) & (np.asarray(forced["band"]) == band)
        for image, name in FORCED_FLUXES.items():
            rows = np.flatnonzero(in_band & is_reliable(forced, name))
            parts.append(_fluxes(image, band, truth, forced_star[rows], forced[rows], name, visit[rows]))
        name = f"{band}_psfFlux"
        good = stars[is_reliable(objects, name, f"{band}_")[found[stars]]]
        is_child = np.asarray(objects["parentObjectId"])[found[good]] != 0
        for image, seen in (("coadd", good[~is_child]), ("deblended", good[is_child])):
            parts.append(_fluxes(image, band, truth, seen, objects[found[seen]], name, np.zeros_like(seen)))
    return vstack(parts)


def _fluxes(
    image: str, band: str, truth: TrueSources, stars: IntArray, table: Table, name: str, visit: IntArray
) -> Table:
    from astropy.table import Table as NewTable

    true_flux = np.asarray(truth.table[f"{band}_flux"])[stars]
    return NewTable(
        {
            "image": np.full(len(stars), image, dtype="U10"),
            "band": np.full(len(stars), band, dtype="U1"),
            "visit": visit,
            "true_id": np.asarray(truth.table["id"])[stars],
            "true_flux": true_flux,
            "expected": np.zeros(len(stars)) if image == "difference" else true_flux,
            "flux": np.asarray(table[name]),
            "flux_err": np.asarray(table[f"{name}Err"]),
        }
    )


def _completeness(plan: SurveyPlan, truth: TrueSources, objects: Table, found: IntArray) -> Table:
    kind = np.asarray(truth.table["kind"])
    kinds = {
        "stars": truth.is_constant_star,
        "isolated": truth.is_constant_star & truth.is_isolated,
        "galaxies": np.isin(kind, ("galaxy", "host")),
    }
    rows = []
    for band in plan.size.bands:
        magnitude = magnitudes(truth.table[f"{band}_flux"])
        is_found = (found >= 0) & _is_significant(objects, band)[found]
        for low, in_bin in _bins(magnitude, truth.is_covered, _BIN_MAG):
            row: dict[str, Any] = {"band": band, "mag_low": low, "mag_high": low + _BIN_MAG}
            for name, chosen in kinds.items():
                row |= {
                    name: int((in_bin & chosen).sum()),
                    f"{name}_found": int((in_bin & chosen & is_found).sum()),
                }
            rows.append(row)
    return _table(rows)


def _purity(plan: SurveyPlan, truth: TrueSources, objects: Table, x: FloatArray, y: FloatArray) -> Table:
    is_real, by_chance = truth.is_real(x, y), truth.is_real(x + _SHIFT_PIX, y + _SHIFT_PIX)
    rows = []
    for band in plan.size.bands:
        magnitude = magnitudes(objects[f"{band}_psfFlux"])
        for low, in_bin in _bins(magnitude, _is_significant(objects, band), _BIN_MAG):
            rows.append(
                {
                    "band": band,
                    "mag_low": low,
                    "mag_high": low + _BIN_MAG,
                    "objects": int(in_bin.sum()),
                    "real": int((in_bin & is_real).sum()),
                    "by_chance": int((in_bin & by_chance).sum()),
                }
            )
    return _table(rows)


def star_pulls(stars: Table) -> tuple[FloatArray, BoolArray]:
    """Return (measured - true) / error of a report's stars, and which of them count."""
    error = np.asarray(stars["flux_err"])
    pull = (np.asarray(stars["flux"]) - np.asarray(stars["expected"])) / error
    signal_to_noise = np.asarray(stars["true_flux"]) / error
    low, high = PULL_LIMITS
    return pull, (signal_to_noise > low) & (signal_to_noise < high)


def _pulls(plan: SurveyPlan, stars: Table) -> Table:
    pull, counts = star_pulls(stars)
    visits = np.asarray(stars["visit"])
    rows = []
    for image, band, in_band in _images(plan, stars):
        rows.append({"image": image, "band": band, "visit": 0, **statistics(pull[in_band & counts])})
        if image in FORCED_FLUXES:
            rows += [
                {"image": image, "band": band, "visit": visit, **statistics(pull[chosen & counts])}
                for visit in np.unique(visits[in_band]).tolist()
                for chosen in (in_band & (visits == visit),)
            ]
    return _table(rows)


def _floor(plan: SurveyPlan, stars: Table) -> Table:
    true_flux, error = np.asarray(stars["true_flux"]), np.asarray(stars["flux_err"])
    deviation = (np.asarray(stars["flux"]) - np.asarray(stars["expected"])) / true_flux
    rows = []
    for image, band, in_band in _images(plan, stars):
        chosen = in_band & (true_flux > FLOOR_LIMIT * error)
        noise = float(np.median(error[chosen] / true_flux[chosen])) if chosen.any() else np.nan
        sigma = robust_sigma(deviation[chosen])
        rows.append(
            {
                "image": image,
                "band": band,
                "n": int(chosen.sum()),
                "offset": float(np.median(deviation[chosen])) if chosen.any() else np.nan,
                "sigma": sigma,
                "noise": noise,
                "floor": float(np.sqrt(max(sigma**2 - noise**2, 0.0))),
            }
        )
    return _table(rows)


def star_colours(stars: Table) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return true magnitudes in r, measured less true r - i on coadds, and its errors, of a report's stars."""
    on_coadds = stars[np.asarray(stars["image"]) == "coadd"]
    first, second = (on_coadds[np.asarray(on_coadds["band"]) == band] for band in COLOUR)
    _, rows, others = np.intersect1d(first["true_id"], second["true_id"], return_indices=True)
    wrong, variance = np.zeros(len(rows)), np.zeros(len(rows))
    significant = np.ones(len(rows), dtype=bool)
    for table, sign in ((first[rows], 1.0), (second[others], -1.0)):
        flux, error = np.asarray(table["flux"]), np.asarray(table["flux_err"])
        significant &= np.asarray(table["true_flux"]) > PULL_LIMITS[0] * error
        wrong += sign * (magnitudes(flux) - magnitudes(table["true_flux"]))
        variance += (2.5 / np.log(10) * error / flux) ** 2
    magnitude = magnitudes(first["true_flux"][rows])
    return magnitude[significant], wrong[significant], np.sqrt(variance[significant])


def _colours(stars: Table) -> Table:
    magnitude, wrong, noise = star_colours(stars)
    return _table(
        [
            {
                "mag_low": low,
                "mag_high": low + _COLOUR_BIN_MAG,
                "n": int(in_bin.sum()),
                "bias": float(np.median(wrong[in_bin])),
                "sigma": robust_sigma(wrong[in_bin]),
                "noise": float(np.median(noise[in_bin])),
            }
            for low, in_bin in _bins(magnitude, np.ones(len(magnitude), dtype=bool), _COLOUR_BIN_MAG)
        ]
    )


def _images(plan: SurveyPlan, stars: Table) -> Iterator[tuple[str, str, BoolArray]]:
    image, band = np.asarray(stars["image"]), np.asarray(stars["band"])
    for each in ("visit", "difference", "coadd", "deblended"):
        for name in plan.size.bands:
            yield each, name, (image == each) & (band == name)


def _is_significant(objects: Table, band: str) -> BoolArray:
    result: BoolArray = np.asarray(objects[f"{band}_psfFlux"]) > DETECTION_LIMIT * np.asarray(
        objects[f"{band}_psfFluxErr"]
    )
    return result


def _bins(magnitude: FloatArray, chosen: BoolArray, width: float) -> Iterator[tuple[float, BoolArray]]:
    """Yield the lower bound of each bin of magnitudes that has any, and which ones are in it."""
    number = np.floor(np.where(np.isfinite(magnitude), magnitude, -1.0) / width)
    chosen = chosen & (number >= 0)
    for each in np.unique(number[chosen]):
        yield float(each * width), chosen & (number == each)


def _table(rows: list[dict[str, Any]]) -> Table:
    from astropy.table import Table as NewTable

    return NewTable(rows=rows)
