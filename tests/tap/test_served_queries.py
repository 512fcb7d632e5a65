"""The queries of the documents, and others, over HTTP as clients send them: equal to what astropy computes."""

import gc
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from time import sleep
from typing import Any

import numpy as np
import pytest
import requests
import uvicorn
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table, vstack
from pyvo.dal import TAPService

from forcedphot.survey import SimulatedSurvey
from forcedphot.tap import get_tap_service
from forcedphot.tap.repository.files import FILES, file_routes
from forcedphot.tap.repository.holdings import RepositoryHoldings
from forcedphot.tap.service import ServiceSettings, create_app

type Ask = Callable[..., Table]

# pyvo leaves the connections of answers that it has read to the garbage collector
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@contextmanager
def served(repository: Path, data: Path, tokens: dict[str, str] | None = None) -> Iterator[str]:
    """Run a service in a thread; yield its URL."""
    config = uvicorn.Config("", port=0, log_level="error")
    with config.bind_socket() as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        holdings = RepositoryHoldings(repository, url + FILES)
        app = create_app(holdings, ServiceSettings(data, tokens=tokens or {}), file_routes(holdings))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
        thread = threading.Thread(target=server.run, args=[[listening]], daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            sleep(0.01)
        try:
            yield url
        finally:
            server.should_exit = True
            thread.join(30)


@pytest.fixture(scope="module")
def survey(simulated: Callable[[str], SimulatedSurvey]) -> SimulatedSurvey:
    return simulated("dp1")


@pytest.fixture(scope="module")
def url(survey: SimulatedSurvey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(survey.repository, tmp_path_factory.mktemp("service")) as url:
        yield url


@pytest.fixture(scope="module")
def service(url: str) -> Iterator[TAPService]:
    yield get_tap_service("tap", url=f"{url}/tap")
    gc.collect()  # while the warnings of this module are as they are


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, service: TAPService) -> Ask:
    """Run a query as clients do: at once, or as the documents do, as a job."""

    def at_once(query: str, **further: Any) -> Table:
        return service.run_sync(query, **further).to_table()

    def as_a_job(query: str, **further: Any) -> Table:
        job = service.submit_job(query, **further)
        job.run()
        job.wait(phases=["COMPLETED", "ERROR"])
        if job.phase == "ERROR":
            job.raise_if_error()
        assert job.phase == "COMPLETED"
        table = job.fetch_result().to_table()
        job.delete()
        return table

    return at_once if request.param == "sync" else as_a_job


@pytest.fixture(scope="module")
def tables(survey: SimulatedSurvey) -> dict[str, Table]:
    """The tables as the Butler reads them."""
    from lsst.daf.butler import Butler

    with Butler.from_config(str(survey.repository), collections=survey.collection) as butler:
        names = ("object", "source", "object_forced_source", "visit_table")
        return {
            name: vstack([butler.get(ref) for ref in butler.query_datasets(name)], metadata_conflicts="silent")
            for name in names
        }


def _positions(table: Table, ra: str = "coord_ra", dec: str = "coord_dec") -> SkyCoord:
    return SkyCoord(np.asarray(table[ra]), np.asarray(table[dec]), unit="deg")


def test_the_documents_query_of_objects(ask: Ask, tables: dict[str, Table]) -> None:
    band, ra, dec = "r", 53.09, -28.105
    objects = tables["object"]
    patch = objects["patch"][0]
    query = f"""SELECT TOP 50 objectId, coord_ra, coord_dec, {band}_psfMag, {band}_psfFlux
FROM dp1.Object
WHERE CONTAINS(POINT('ICRS', coord_ra, coord_dec),
CIRCLE('ICRS', {ra}, {dec}, 0.1)) = 1
AND refExtendedness < 0.5
AND {band}_psfMag < 26 AND {band}_psfMag > 17
AND tract = 5063
AND patch = {patch}"""
    found = ask(query)
    wanted = (_positions(objects).separation(SkyCoord(ra, dec, unit="deg")).deg <= 0.1) & (
        objects["refExtendedness"] < 0.5
    )
    wanted &= (objects["r_psfMag"] < 26) & (objects["r_psfMag"] > 17) & (objects["patch"] == patch)
    expected = objects[wanted]
    assert len(found) == min(50, len(expected)) > 10
    by_id = {row["objectId"]: row for row in expected}
    for row in found:
        assert row["r_psfFlux"] == by_id[row["objectId"]]["r_psfFlux"]
        assert row["coord_ra"] == by_id[row["objectId"]]["coord_ra"]
    assert found["coord_ra"].unit == u.deg
    assert found["r_psfFlux"].unit == u.nJy


def test_the_documents_query_of_sources(ask: Ask, tables: dict[str, Table]) -> None:
    sources = tables["source"]
    visit, detector, ra, dec = sources["visit"][0], sources["detector"][0], sources["ra"][0], sources["dec"][0]
    query = f"""SELECT TOP 50 sourceId, ra, dec, psfFlux
FROM dp1.Source
WHERE CONTAINS(POINT('ICRS', ra, dec),
CIRCLE('ICRS', {ra}, {dec}, 0.005)) = 1
AND extendedness < 0.5
AND visit = {visit}
AND detector = {detector}"""
    found = ask(query)
    near = _positions(sources, "ra", "dec").separation(SkyCoord(ra, dec, unit="deg")).deg <= 0.005
    expected = sources[near & (sources["extendedness"] < 0.5)]
    expected = expected[(expected["visit"] == visit) & (expected["detector"] == detector)]
    assert 0 < len(expected) <= 50
    expected.sort("sourceId")
    found.sort("sourceId")
    for name in ("sourceId", "ra", "dec", "psfFlux"):
        np.testing.assert_array_equal(found[name], expected[name])


def test_a_light_curve_joins_forced_sources_visits_and_objects(ask: Ask, tables: dict[str, Table]) -> None:
    forced = tables["object_forced_source"]
    identifiers, counts = np.unique(forced["objectId"], return_counts=True)
    identifier = identifiers[np.argmax(counts)]
    found = ask(
        f"""SELECT v.expMidptMJD, f.band, f.psfFlux, o.coord_ra FROM dp1.ForcedSource AS f
JOIN dp1.Visit AS v ON v.visit = f.visit JOIN dp1.Object AS o ON o.objectId = f.objectId
WHERE o.objectId = {identifier} ORDER BY v.expMidptMJD, f.detector"""
    )
    mjd = dict(zip(tables["visit_table"]["visit"], tables["visit_table"]["expMidptMJD"], strict=True))
    own = forced[forced["objectId"] == identifier]
    own["mjd"] = [mjd[visit] for visit in own["visit"]]
    own.sort(["mjd", "detector"])
    assert len(own) > 2
    np.testing.assert_array_equal(found["expMidptMJD"], own["mjd"])
    np.testing.assert_array_equal(
        np.ma.filled(found["psfFlux"].astype(float), np.nan), own["psfFlux"].astype(float)
    )
    np.testing.assert_array_equal(found["band"], own["band"])


def test_a_count_by_band(ask: Ask, tables: dict[str, Table]) -> None:
    found = ask("SELECT band, COUNT(*) AS n FROM dp1.ForcedSource GROUP BY band ORDER BY band")
    bands, counts = np.unique(tables["object_forced_source"]["band"], return_counts=True)
    assert list(found["band"]) == list(bands)
    assert list(found["n"]) == list(counts)


def _crossmatch(tables: dict[str, Table]) -> tuple[Table, set[tuple[int, int]]]:
    """Make 10,000 positions, most of them near objects, and match them within an arcsecond."""
    rng = np.random.default_rng(5)
    objects = tables["object"]
    n = 10_000
    row = rng.integers(len(objects), size=n)
    offset = rng.uniform(-2, 2, (2, n)) / 3600
    mine = Table(
        {
            "id": np.arange(n),
            "ra": objects["coord_ra"][row] + offset[0] / np.cos(np.radians(objects["coord_dec"][row])),
            "dec": objects["coord_dec"][row] + offset[1],
        }
    )
    pairs = _positions(objects).search_around_sky(_positions(mine, "ra", "dec"), 1 * u.arcsec)
    first, second = pairs[0], pairs[1]
    return mine, set(zip(first.tolist(), np.asarray(objects["objectId"])[second].tolist(), strict=True))


_CROSSMATCH = """SELECT m.id, o.objectId FROM TAP_UPLOAD.mine AS m JOIN dp1.Object AS o
ON CONTAINS(POINT('ICRS', o.coord_ra, o.coord_dec), CIRCLE('ICRS', m.ra, m.dec, 1.0 / 3600)) = 1"""


def test_ten_thousand_uploaded_positions_are_matched(ask: Ask, tables: dict[str, Table]) -> None:
    mine, expected = _crossmatch(tables)
    found = ask(_CROSSMATCH, uploads={"mine": mine})
    assert len(expected) > 1000
    assert set(zip(found["id"].tolist(), found["objectId"].tolist(), strict=True)) == expected


_POLYGON = [(53.080, -28.110), (53.098, -28.112), (53.105, -28.101), (53.084, -28.097)]


def _in_polygon(positions: SkyCoord) -> np.ndarray:
    """Tell which positions are within: on one side of all the great circles between vertices."""
    vertices = SkyCoord(_POLYGON, unit="deg").cartesian.xyz.value.T
    points = positions.cartesian.xyz.value
    sides = [np.cross(vertices[i], vertices[(i + 1) % 4]) @ points for i in range(4)]
    return np.all(np.array(sides) > 0, axis=0) | np.all(np.array(sides) < 0, axis=0)


_POLYGON_QUERY = f"""SELECT objectId FROM dp1.Object WHERE 1 = CONTAINS(POINT('ICRS', coord_ra, coord_dec),
POLYGON('ICRS', {", ".join(f"{ra}, {dec}" for ra, dec in _POLYGON)})) ORDER BY objectId"""


def test_a_polygon(ask: Ask, tables: dict[str, Table]) -> None:
    inside = _in_polygon(_positions(tables["object"]))
    assert 5 < inside.sum() < len(inside) - 5
    assert ask(_POLYGON_QUERY)["objectId"].tolist() == sorted(tables["object"]["objectId"][inside].tolist())


def test_the_nearest_come_first(ask: Ask, tables: dict[str, Table]) -> None:
    found = ask(
        """SELECT TOP 20 objectId, DISTANCE(POINT('ICRS', coord_ra, coord_dec), POINT('ICRS', 53.09, -28.105)) AS d
FROM dp1.Object ORDER BY d"""
    )
    distances = _positions(tables["object"]).separation(SkyCoord(53.09, -28.105, unit="deg")).deg
    nearest = np.argsort(distances)[:20]
    assert found["objectId"].tolist() == tables["object"]["objectId"][nearest].tolist()
    np.testing.assert_allclose(found["d"], distances[nearest], rtol=1e-9)
    assert found["d"].unit == u.deg


def test_stilts_asks_and_uploads(url: str, tables: dict[str, Table], tmp_path: Path) -> None:
    stilts = which("stilts")
    if stilts is None:
        pytest.skip("stilts is not installed (Debian's package of that name)")
    mine, expected = _crossmatch(tables)
    mine.write(tmp_path / "mine.vot", format="votable", table_id="mine")
    command = [stilts, "tapquery", f"tapurl={url}/tap", f"adql={' '.join(_CROSSMATCH.split())}", "nupload=1"]
    command += [f"upload1={tmp_path / 'mine.vot'}", "upname1=mine", "sync=false", "delete=finished"]
    subprocess.run(  # noqa: S603 - the program that is to be tried
        [*command, f"out={tmp_path / 'found.csv'}"], check=True, timeout=120, capture_output=True
    )
    found = Table.read(tmp_path / "found.csv")
    assert set(zip(found["id"].tolist(), found["objectId"].tolist(), strict=True)) == expected


def test_pyvo_lists_tables_columns_and_examples(service: TAPService) -> None:
    assert {item.standardid for item in service.capabilities if item.standardid} >= {"ivo://ivoa.net/std/TAP"}
    table = service.tables["dp1.ForcedSource"]
    assert {"objectId", "psfFlux"} <= {column.name for column in table.columns}
    assert {key.targettable for key in table.foreignkeys} == {"dp1.Object", "dp1.Visit"}
    assert len(service.examples) >= 3


def test_an_image_that_obscore_lists_can_be_fetched(url: str, service: TAPService, tmp_path: Path) -> None:
    found = service.search(
        "SELECT TOP 1 * FROM ivoa.ObsCore WHERE dataproduct_subtype = 'lsst.visit_image' ORDER BY obs_id"
    ).to_table()
    row = found[0]
    answer = requests.get(row["access_url"], timeout=30)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == row["access_format"] == "application/fits"
    assert len(answer.content) == pytest.approx(1000 * row["access_estsize"], abs=1000)
    (tmp_path / "image.fits").write_bytes(answer.content)
    with fits.open(tmp_path / "image.fits") as hdus:
        assert hdus["IMAGE"].shape == (row["s_xel2"], row["s_xel1"])
    part = requests.get(row["access_url"], headers={"Range": "bytes=80-159"}, timeout=30)
    assert part.status_code == 206
    assert part.content == answer.content[80:160]
    for path in ("01a1fdbc-948b-7baa-bbde-8677676332c3", "..%2f..%2fbutler.yaml", "%2fetc%2fpasswd", ""):
        assert requests.get(f"{url}{FILES}/{path}", timeout=30).status_code == 404


def test_with_tokens_files_and_queries_are_for_those_who_have_one(
    survey: SimulatedSurvey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "a token for tests"  # noqa: S105
    with served(survey.repository, tmp_path, {token: "me"}) as url:
        monkeypatch.setenv("FORCEDPHOT_TAP_TOKEN", token)
        monkeypatch.setenv("FORCEDPHOT_TAP_URL", f"{url}/tap")
        mine = get_tap_service("tap")
        file_url = mine.search("SELECT TOP 1 access_url FROM ivoa.ObsCore").to_table()["access_url"][0]
        refused = requests.get(file_url, timeout=30)
        assert refused.status_code == 401
        assert "Basic" in refused.headers["www-authenticate"]
        allowed = requests.get(file_url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        assert allowed.status_code == 200
        asked = requests.get(f"{url}/tap/sync?LANG=ADQL&QUERY=SELECT+1+AS+one+FROM+dp1.Visit", timeout=30)
        assert asked.status_code == 401
