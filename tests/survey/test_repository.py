"""The repository itself: dimension records, dataset types, collections, and what is refused."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from lsst.daf.butler import Butler, CollectionType
from lsst.pipe.base import Instrument
from lsst.sphgeom import LonLat, UnitVector3d

from forcedphot.errors import ConfigurationError, OutputError
from forcedphot.survey import simulate
from forcedphot.survey.images import detector_name
from forcedphot.survey.instruments import HSC, INSTRUMENTS
from forcedphot.survey.labels import add_label, check_label, read_labels
from forcedphot.survey.plan import SurveyPlan
from forcedphot.survey.profiles import PROFILES, find_profile, find_size
from forcedphot.survey.repository import create_repository, open_repository, runs, stored_plan


def plan_of(profile: str, seed: int = 1) -> SurveyPlan:
    return SurveyPlan(find_profile(profile), find_size("tiny"), seed)


@pytest.fixture(scope="module", params=PROFILES)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Butler, SurveyPlan]]:
    """A repository without datasets."""
    plan = plan_of(request.param)
    with create_repository(tmp_path_factory.mktemp("made") / "a.survey", plan) as butler:
        yield butler, plan


def direction(ra_deg: float, dec_deg: float) -> UnitVector3d:
    return UnitVector3d(LonLat.fromDegrees(ra_deg, dec_deg))


def test_dimension_records(made: tuple[Butler, SurveyPlan]) -> None:
    butler, plan = made
    profile, rows, columns = plan.profile, *plan.size.patches_shape
    assert [record.name for record in butler.query_dimension_records("instrument")] == [profile.instrument]
    detectors = {record.id: record.full_name for record in butler.query_dimension_records("detector")}
    assert detectors == {i: detector_name(profile.instrument, i) for i in range(len(detectors))}
    assert set(profile.detectors) < set(detectors) or len(detectors) == 9
    filters = {record.name: record.band for record in butler.query_dimension_records("physical_filter")}
    assert filters == {name: band for band, name in profile.physical_filters.items()}
    patches = butler.query_dimension_records("patch")
    assert len(patches) == profile.patches_per_side**2 > rows * columns
    assert all(patch.cell_y * profile.patches_per_side + patch.cell_x == patch.id for patch in patches)
    memberships = butler.query_dimension_records("visit_system_membership")
    assert {record.visit for record in memberships} == {visit.id for visit in plan.visits}


def test_visits_are_in_their_nights_and_point_where_they_should(made: tuple[Butler, SurveyPlan]) -> None:
    butler, plan = made
    records = {record.id: record for record in butler.query_dimension_records("visit")}
    nights = {record.id: record.timespan for record in butler.query_dimension_records("day_obs")}
    assert list(records) == [visit.id for visit in plan.visits]
    for visit in plan.visits:
        record = records[visit.id]
        assert (record.physical_filter, record.day_obs) == (visit.physical_filter, visit.day_obs)
        assert record.region.contains(direction(visit.ra_deg, visit.dec_deg))
        assert nights[record.day_obs].contains(record.timespan)
        assert record.timespan.begin.tai.mjd == pytest.approx(visit.mjd, abs=1e-9)
        assert (record.timespan.end - record.timespan.begin).sec == pytest.approx(record.exposure_time)


def test_regions_are_those_of_the_pixels(made: tuple[Butler, SurveyPlan]) -> None:
    butler, plan = made
    where = {"instrument": plan.profile.instrument, "skymap": plan.profile.skymap}
    visit = plan.visits[1]
    whole = butler.query_dimension_records("visit", visit=visit.id, **where)[0].region
    for detector in visit.detectors:
        (record,) = butler.query_dimension_records(
            "visit_detector_region", visit=visit.id, detector=detector.id, **where
        )
        last = detector.box.width - 1
        for x, y, inside in ((0, 0, True), (last, last, True), (-1, 0, False), (last, last + 1, False)):
            place = direction(*detector.wcs.all_pix2world(x, y, 0))
            assert record.region.contains(place) is inside
            assert whole.contains(place) or not inside
    for patch in plan.patches:
        (record,) = butler.query_dimension_records("patch", tract=plan.profile.tract, patch=patch.id, **where)
        corner = patch.outer.x0, patch.outer.y0
        assert record.region.contains(direction(*plan.tract_wcs.wcs_pix2world(*corner, 0)))
        assert not record.region.contains(direction(*plan.tract_wcs.wcs_pix2world(corner[0] - 1, corner[1], 0)))


def test_dataset_types_and_collections(made: tuple[Butler, SurveyPlan]) -> None:
    butler, plan = made
    for dataset in plan.profile.datasets.values():
        found = butler.get_dataset_type(dataset.name)
        assert (set(found.dimensions.required), found.storageClass_name) == (
            set(dataset.dimensions),
            dataset.storage_class,
        )
    info = butler.collections.get_info(plan.profile.collection)
    assert info.type is CollectionType.CHAINED
    assert set(info.children) == set(runs(plan.profile).values())
    assert {butler.collections.get_info(run).type for run in info.children} == {CollectionType.RUN}


def test_instruments_are_found_by_the_names_in_the_repository(made: tuple[Butler, SurveyPlan]) -> None:
    butler, plan = made
    instrument = Instrument.fromName(plan.profile.instrument, butler.registry)
    assert type(instrument) is INSTRUMENTS[plan.profile.instrument]
    instrument.register(butler.registry)  # again: nothing changes
    assert len(butler.query_dimension_records("instrument")) == 1
    with pytest.raises(ConfigurationError, match="no raw images"):
        instrument.getRawFormatter({"exposure": 1})


def test_names_of_detectors() -> None:
    assert detector_name("LSSTCam-imSim", 175) == "R42_S11"
    assert detector_name("LSSTComCam", 4) == "R22_S11"
    assert HSC()._detector_record(104)["purpose"] == "FOCUS"
    assert HSC()._detector_record(49) == {
        "instrument": "HSC",
        "id": 49,
        "full_name": "049",
        "name_in_raft": "049",
        "raft": None,
        "purpose": "SCIENCE",
    }


def test_a_repository_knows_which_survey_it_is(made: tuple[Butler, SurveyPlan], tmp_path: Path) -> None:
    butler, plan = made
    root = butler._config.configDir.ospath
    assert stored_plan(root) == plan
    with pytest.raises(ConfigurationError, match=r"of another survey: .* seed 1"):
        open_repository(root, plan_of(plan.profile.name, seed=2))
    with pytest.raises(ConfigurationError, match="not the repository of a simulated survey"):
        stored_plan(tmp_path)


def test_a_repository_of_an_earlier_version_gets_new_dataset_types(tmp_path: Path) -> None:
    plan = plan_of("hsc")
    with create_repository(tmp_path / "a", plan) as butler:
        butler.registry.removeDatasetType("deepCoadd_meas")
    with open_repository(tmp_path / "a", plan) as butler:
        assert butler.get_dataset_type("deepCoadd_meas").storageClass_name == "SourceCatalog"
        assert butler.query_datasets("deepCoadd_meas", explain=False) == []


def test_what_is_there_is_not_made_a_repository(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(OutputError, match="exists and is not"):
            create_repository(path, plan_of("dp1"))
    with pytest.raises(OutputError, match="cannot be made"):
        create_repository(tmp_path / "file" / "survey", plan_of("dp1"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_repository_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forcedphot.survey.repository._fill", lambda *_: np.zeros(2)[5])
    with pytest.raises(IndexError):
        create_repository(tmp_path / "survey", plan_of("dp1"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("connection", "message"),
    [
        ("mysql://host/database", "no connection to PostgreSQL"),
        ("database", "no connection to PostgreSQL"),
        ("postgresql://ada:secret@host/database", "has a password"),
        ("postgresql+pg8000://host/database", "needs the package pg8000"),
    ],
)
def test_connections_that_are_refused(tmp_path: Path, connection: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        create_repository(tmp_path / "survey", plan_of("dp1"), connection)
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_postgresql(tmp_path: Path) -> None:
    connection = os.environ.get("FORCEDPHOT_TEST_POSTGRESQL")
    if connection is None:
        pytest.skip("FORCEDPHOT_TEST_POSTGRESQL names no empty database")
    plan = plan_of("dp1")
    survey = simulate(tmp_path / "survey", size="tiny", connection=connection, progress=False)
    assert survey.n_new == survey.n_datasets > len(plan.visits)
    assert not (tmp_path / "survey" / "gen3.sqlite3").exists()
    with open_repository(tmp_path / "survey", plan) as butler:
        assert len(butler.query_dimension_records("patch")) == 100
        ref = butler.query_datasets("deep_coadd", where="patch.region OVERLAPS POINT(53.088, -28.105)")[0]
        assert butler.get(ref).band in "ri"


def test_labels(tmp_path: Path) -> None:
    index, repository = tmp_path / "repos.yaml", tmp_path / "survey"
    index.write_text("main: s3://bucket/main\nold: /not/there/any/more\n", encoding="utf-8")
    repository.mkdir()
    for label in ("dp1", "old"):
        add_label(index, label, repository)
    add_label(index, "dp1", repository)
    text = f"main: s3://bucket/main\nold: {repository}\ndp1: {repository}\n"
    assert index.read_text(encoding="utf-8") == text
    for label in ("main", "dp1"):
        with pytest.raises(ConfigurationError, match=f"has the label '{label}' for"):
            check_label(index, label, tmp_path / "another")
    assert index.read_text(encoding="utf-8") == text


def test_a_label_is_that_of_the_same_folder_by_another_path(tmp_path: Path) -> None:
    (tmp_path / "survey").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "survey")
    add_label(tmp_path / "repos.yaml", "dp1", tmp_path / "survey")
    check_label(tmp_path / "repos.yaml", "dp1", tmp_path / "link")


def test_labels_that_are_added_at_once_are_all_kept(tmp_path: Path) -> None:
    index, labels = tmp_path / "repos.yaml", [f"survey_{number}" for number in range(16)]
    with ThreadPoolExecutor(len(labels)) as pool:
        list(pool.map(lambda label: add_label(index, label, tmp_path / label), labels))
    assert read_labels(index) == {label: str(tmp_path / label) for label in labels}


def test_an_index_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="There is no folder"):
        simulate(tmp_path / "survey", size="tiny", index=tmp_path / "nowhere" / "repos.yaml")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("repos.json", "{}", "ending .yaml"),
        ("repos.yaml", "dp1: [", "is no YAML"),
        ("repos.yaml", "- dp1", "something else"),
        ("repos.yaml", "dp1: 5", "something else"),
    ],
)
def test_an_index_that_is_none(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message):
        simulate(tmp_path / "survey", size="tiny", index=tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_options_that_are_refused(tmp_path: Path) -> None:
    arguments: list[dict[str, object]] = [{"profile": "dp9"}, {"size": "huge"}, {"n_processes": 0}, {"seed": -1}]
    for wrong in arguments:
        call: Callable[..., object] = simulate
        with pytest.raises(ConfigurationError, match=r"dp9|huge|At least one|not -1"):
            call(tmp_path / "survey", **wrong)
    assert list(tmp_path.iterdir()) == []
