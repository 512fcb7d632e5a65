"""The Butler repository of a simulated survey: its dimensions, dataset types and collections."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from ..conventions import Box
from ..errors import ConfigurationError, OutputError
from ..exposure.wcs import AstropyWcs
from ..io.formatters import REPOSITORY_CONFIG
from .images import visit_info
from .plan import EXPOSURE_TIME_S, SurveyPlan, VisitPlan
from .profiles import Profile, find_profile, find_size

if TYPE_CHECKING:
    from astropy.wcs import WCS
    from lsst.daf.butler import Butler
    from lsst.sphgeom import ConvexPolygon

_PLAN_FILE = "survey.json"
_DAY_S = 86_400.0
_NOON_MJD = 0.5  # days of observations begin at noon


def runs(profile: Profile) -> dict[str, str]:
    """Return the RUN collections: for ``images`` and for ``catalogs``."""
    return {kind: f"{profile.collection}/{kind}" for kind in ("catalogs", "images")}


def create_repository(path: str | Path, plan: SurveyPlan, connection: str | None = None) -> Butler:
    """Make the repository of a survey, with all but its datasets; whole or not at all.

    Parameters
    ----------
    path
        Folder that is not there yet, or empty.
    plan
        Which survey it is.
    connection
        URI of a PostgreSQL database, without password; None for SQLite, in the folder. Tables are made in it
        before the folder is complete: if that fails they stay there.

    Returns
    -------
    A Butler that may write.

    Raises
    ------
    ConfigurationError
        If the connection is no URI of PostgreSQL, has a password, or needs a package that is not installed.
    OutputError
        If the folder is not empty, or cannot be made.
    """
    from lsst.daf.butler import Butler, Config

    config = Config(REPOSITORY_CONFIG)
    config["datastore", "formatters", "SourceCatalog"] = "forcedphot.io.formatters.CatalogFormatter"
    if connection is not None:
        config["registry", "db"] = _checked(connection)
    path = Path(path).absolute()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise OutputError(f"{path} exists and is not the repository of a simulated survey; give another folder.")
    temporary = path.with_name(f"forcedphot-{uuid.uuid4().hex}")  # the Butler takes what has a dot for a file
    try:
        Butler.makeRepo(str(temporary), config)
        with Butler.from_config(str(temporary), writeable=True) as butler:
            _fill(butler, plan)
        (temporary / _PLAN_FILE).write_text(json.dumps(_describe(plan)) + "\n", encoding="utf-8")
        temporary.replace(path)
    except ModuleNotFoundError as error:
        if connection is None:
            raise
        raise ConfigurationError(
            f"{connection} needs the package {error.name}, which is not installed."
        ) from error
    except OSError as error:
        raise OutputError(f"The repository {path} cannot be made: {error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return open_repository(path, plan)


def open_repository(path: str | Path, plan: SurveyPlan, connection: str | None = None) -> Butler:
    """Open the repository of a survey that `create_repository` has made, perhaps of an earlier version.

    Dataset types that profiles have got since then are registered.

    Parameters
    ----------
    path, plan
        Its folder, and which survey it should be.
    connection
        The database that it should be in; any if None.

    Returns
    -------
    A Butler that may write.

    Raises
    ------
    ConfigurationError
        If it is the repository of another survey, or in another database.
    """
    from lsst.daf.butler import Butler, Config

    found = stored_plan(path)
    if found != plan:
        raise ConfigurationError(
            f"{path} is of another survey: profile {found.profile.name}, size {found.size.name}, "
            f"seed {found.seed}. Ask for that, or give another folder."
        )
    config = Config(str(Path(path) / "butler.yaml"))
    if connection not in (None, config["registry", "db"]):
        raise ConfigurationError(
            f"{path} is kept in {config['registry', 'db']}, not in the database that is asked for. Leave it out, "
            "or give another folder."
        )
    butler = Butler.from_config(config, writeable=True, collections=plan.profile.collection)
    _register_datasets(butler, plan.profile)
    return butler


def _register_datasets(butler: Butler, profile: Profile) -> None:
    """Register the dataset types of a profile that are not there yet."""
    from lsst.daf.butler import DatasetType

    for dataset in profile.datasets.values():
        butler.registry.registerDatasetType(
            DatasetType(dataset.name, dataset.dimensions, dataset.storage_class, universe=butler.dimensions)
        )


def is_survey(path: str | Path) -> bool:
    """Tell whether a folder is the repository of a simulated survey."""
    return (Path(path) / _PLAN_FILE).is_file()


def stored_plan(path: str | Path) -> SurveyPlan:
    """Return the plan that a repository was made for.

    Raises
    ------
    ConfigurationError
        If it was not made for one.
    """
    if not is_survey(path):
        raise ConfigurationError(f"{path} is not the repository of a simulated survey: it has no {_PLAN_FILE}.")
    file = Path(path) / _PLAN_FILE
    try:
        described = json.loads(file.read_text(encoding="utf-8"))
        profile, size, seed = (described[name] for name in ("profile", "size", "seed"))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{file} is not that of a simulated survey.") from error
    return SurveyPlan(find_profile(profile), find_size(size), seed)


def _describe(plan: SurveyPlan) -> dict[str, Any]:
    return {"profile": plan.profile.name, "size": plan.size.name, "seed": plan.seed}


def _checked(connection: str) -> str:
    url = urlsplit(connection)
    if url.scheme.partition("+")[0] != "postgresql":
        raise ConfigurationError(
            f"{connection!r} is no connection to PostgreSQL, such as postgresql+psycopg2://user@host/database; "
            "without one, SQLite is used."
        )
    if url.password is not None:
        raise ConfigurationError(
            "The connection has a password, which would be stored in the repository; "
            "put it into ~/.pgpass or the Butler's db-auth.yaml."
        )
    return connection


def _fill(butler: Butler, plan: SurveyPlan) -> None:
    """Insert dimension records and collections."""
    from lsst.daf.butler import CollectionType

    from .instruments import INSTRUMENTS

    profile, registry = plan.profile, butler.registry
    for run in runs(profile).values():
        butler.collections.register(run)
    butler.collections.register(profile.collection, CollectionType.CHAINED)
    butler.collections.redefine_chain(profile.collection, list(runs(profile).values()))
    with registry.transaction():
        INSTRUMENTS[profile.instrument]().register(registry)
        for element, records in (_visit_records(plan) | _sky_records(plan)).items():
            registry.insertDimensionData(element, *records)


def _visit_records(plan: SurveyPlan) -> dict[str, list[dict[str, Any]]]:
    from astropy.time import Time, TimeDelta
    from lsst.daf.butler import Timespan

    def timespan(mjd: float, length_s: float) -> Timespan:
        begin = Time(mjd, format="mjd", scale="tai")
        return Timespan(begin, begin + TimeDelta(length_s, format="sec"))

    instrument = {"instrument": plan.profile.instrument}
    nights = {visit.day_obs: np.floor(visit.mjd - _NOON_MJD) + _NOON_MJD for visit in plan.visits}
    return {
        "day_obs": [{**instrument, "id": day, "timespan": timespan(noon, _DAY_S)} for day, noon in nights.items()],
        "visit": [
            {
                **instrument,
                **_describe_visit(plan, visit),
                "timespan": timespan(visit.mjd, EXPOSURE_TIME_S),
                "region": _region([(detector.wcs, detector.box) for detector in visit.detectors]),
            }
            for visit in plan.visits
        ],
        "visit_system_membership": [{**instrument, "visit": visit.id, "visit_system": 0} for visit in plan.visits],
        "visit_detector_region": [
            {
                **instrument,
                "visit": visit.id,
                "detector": detector.id,
                "region": _region([(detector.wcs, detector.box)]),
            }
            for visit in plan.visits
            for detector in visit.detectors
        ],
    }


def _describe_visit(plan: SurveyPlan, visit: VisitPlan) -> dict[str, Any]:
    info = visit_info(plan, visit)
    return {
        "id": visit.id,
        "name": str(visit.id),
        "day_obs": visit.day_obs,
        "seq_num": visit.seq_num,
        "physical_filter": visit.physical_filter,
        "exposure_time": EXPOSURE_TIME_S,
        "target_name": info.object_name,
        "observation_reason": info.observation_reason,
        "science_program": info.science_program,
        "azimuth": info.boresight_azimuth_deg,
        "zenith_angle": 90.0 - info.boresight_altitude_deg,
    }


def _sky_records(plan: SurveyPlan) -> dict[str, list[dict[str, Any]]]:
    """Return skymap, tract and all patches of the tract, whether they have data or not."""
    profile, wcs = plan.profile, plan.tract_wcs
    tract = {"skymap": profile.skymap, "tract": profile.tract}
    geometry = (plan.tract_box, plan.size.patch_inner_pix, wcs.wcs.crval.tolist(), wcs.wcs.crpix.tolist())
    return {
        "skymap": [
            {
                "name": profile.skymap,
                "hash": hashlib.sha1(repr(geometry).encode(), usedforsecurity=False).digest(),
                "tract_max": profile.tract + 1,
                "patch_nx_max": profile.patches_per_side,
                "patch_ny_max": profile.patches_per_side,
            }
        ],
        "tract": [{"skymap": profile.skymap, "id": profile.tract, "region": _region([(wcs, plan.tract_box)])}],
        "patch": [
            {
                **tract,
                "id": patch.id,
                "cell_x": patch.column,
                "cell_y": patch.row,
                "region": _region([(wcs, patch.outer)]),
            }
            for patch in plan.all_patches
        ],
    }


def _region(images: list[tuple[WCS, Box]]) -> ConvexPolygon:
    """Return what images cover, with what is between them."""
    from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d

    corners = []
    for wcs, box in images:
        x, y = np.array([box.x0, box.x_stop]) - 0.5, np.array([box.y0, box.y_stop]) - 0.5
        ra, dec = AstropyWcs(wcs).pixel_to_sky(x[[0, 1, 1, 0]], y[[0, 0, 1, 1]])
        corners += [
            UnitVector3d(LonLat.fromRadians(*place)) for place in zip(ra.tolist(), dec.tolist(), strict=True)
        ]
    return ConvexPolygon(corners)
