"""The tables of a repository: all that is there, as it is, with Rubin's names; and what comes later."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from forcedphot.errors import ConfigurationError
from forcedphot.survey import SimulatedSurvey
from forcedphot.tap.holdings import HoldingsSnapshot
from forcedphot.tap.identifiers import delimited
from forcedphot.tap.repository.discovery import FoundTable
from forcedphot.tap.repository.holdings import RepositoryHoldings
from forcedphot.tap.repository.indexed_copies import IndexedCopies
from forcedphot.tap.repository.parquet_tables import describe_table
from forcedphot.tap.votable_types import votable_type

_TABLES = {
    "dp1": [
        *("Object", "Source", "ForcedSource", "DiaSource", "DiaObject", "ForcedSourceOnDiaObject"),
        *("CoaddPatches", "Visit", "CcdVisit"),
    ],
    "dp02_dc2_catalogs": [
        *("Object", "Source", "ForcedSource", "DiaObject", "DiaSource", "ForcedSourceOnDiaObject"),
        *("Visit", "CcdVisit", "CoaddPatches"),
    ],
}
_SCHEMAS = {"dp1": "dp1", "dp02": "dp02_dc2_catalogs", "hsc": None}


def rows(snapshot: HoldingsSnapshot, query: str) -> list[dict[str, Any]]:
    with snapshot.engine.query(query) as result:
        found: list[dict[str, Any]] = result.read_all().to_pylist()
    return found


@pytest.fixture(scope="module", params=_SCHEMAS)
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def snapshot(profile: str, simulated: Callable[[str], SimulatedSurvey]) -> HoldingsSnapshot:
    return RepositoryHoldings(simulated(profile).repository).snapshot()


def test_tables_have_rubins_names(profile: str, snapshot: HoldingsSnapshot) -> None:
    schemas = {schema.name: [table.source.name for table in schema.tables] for schema in snapshot.schemas}
    name = _SCHEMAS[profile]
    assert list(schemas) == [*([name] if name else []), "datasets", "ivoa", "TAP_SCHEMA"]
    if name:
        assert schemas[name] == [f"{name}.{table}" for table in _TABLES[name]]
    assert schemas["datasets"] == ["datasets.truth_summary"]
    assert schemas["ivoa"] == ["ivoa.ObsCore"]


def test_tap_schema_lists_all_that_can_be_selected_and_nothing_else(snapshot: HoldingsSnapshot) -> None:
    listed = rows(snapshot, "SELECT * FROM TAP_SCHEMA.columns ORDER BY table_name, column_index")
    tables = rows(snapshot, "SELECT * FROM TAP_SCHEMA.tables")
    assert {row["table_name"] for row in listed} == {row["table_name"] for row in tables}
    assert len(tables) == len(snapshot.engine.tables)
    for table in tables:
        columns = [row for row in listed if row["table_name"] == table["table_name"]]
        with snapshot.engine.query(f"SELECT TOP 1 * FROM {table['table_name']}") as result:
            types = [votable_type(column) for column in result.columns]
            found = [(delimited(column.name), column.unit, column.ucd) for column in result.columns]
        assert [(row["column_name"], row["unit"] or "", row["ucd"] or "") for row in columns] == found
        assert [(row["datatype"], row["arraysize"] or "", row["xtype"] or "") for row in columns] == types


def test_every_column_of_every_file_is_there_with_every_row(snapshot: HoldingsSnapshot) -> None:
    for schema in snapshot.schemas:
        for table in schema.tables:
            for file in table.source.files:
                assert [column.metadata.name for column in table.columns] == pq.read_schema(file).names
            if table.source.files:
                n_rows = sum(pq.read_metadata(file).num_rows for file in table.source.files)
                counted = rows(snapshot, f"SELECT COUNT(*) AS n FROM {table.source.name}")
                assert counted == [{"n": n_rows}]
                assert n_rows > 0


def test_tap_schema_describes_itself_and_its_keys(profile: str, snapshot: HoldingsSnapshot) -> None:
    schemas = rows(snapshot, "SELECT schema_name, description FROM TAP_SCHEMA.schemas ORDER BY schema_index")
    assert [row["schema_name"] for row in schemas] == [schema.name for schema in snapshot.schemas]
    assert all(row["description"] for row in schemas)
    keys = rows(
        snapshot,
        "SELECT k.*, c.from_column, c.target_column FROM TAP_SCHEMA.keys AS k "
        "JOIN TAP_SCHEMA.key_columns AS c ON c.key_id = k.key_id",
    )
    columns = rows(snapshot, "SELECT table_name, column_name FROM TAP_SCHEMA.columns")
    known = {(row["table_name"], row["column_name"]) for row in columns}
    assert {(row["from_table"], row["from_column"]) for row in keys} <= known
    assert {(row["target_table"], row["target_column"]) for row in keys} <= known
    pairs = {(row["from_table"], row["target_table"]) for row in keys}
    assert ("TAP_SCHEMA.columns", "TAP_SCHEMA.tables") in pairs
    if schema := _SCHEMAS[profile]:
        assert (f"{schema}.ForcedSource", f"{schema}.Object") in pairs


def test_rubins_schemas_say_what_columns_are(simulated: Callable[[str], SimulatedSurvey]) -> None:
    snapshot = RepositoryHoldings(simulated("dp1").repository).snapshot()
    found = rows(
        snapshot,
        "SELECT column_name, unit, ucd, description, principal, std FROM TAP_SCHEMA.columns "
        "WHERE table_name = 'dp1.Object' AND column_name IN ('coord_ra', 'r_psfFlux')",
    )
    by_name = {row["column_name"]: row for row in found}
    assert by_name["coord_ra"]["ucd"] == "pos.eq.ra;meta.main"
    assert by_name["coord_ra"]["principal"] == 1
    assert by_name["r_psfFlux"]["unit"] == "nJy"
    assert all(row["description"] and row["std"] == 0 for row in found)
    truth = rows(
        snapshot,
        "SELECT unit, description FROM TAP_SCHEMA.columns "
        "WHERE table_name = 'datasets.truth_summary' AND column_name = 'r_flux'",
    )
    assert truth[0]["unit"] == "nJy"
    assert truth[0]["description"]


def test_examples_can_be_run(snapshot: HoldingsSnapshot) -> None:
    assert len(snapshot.examples) >= 3
    for example in snapshot.examples:
        assert rows(snapshot, example.query), example.name


def _add_forced_table(survey: SimulatedSurvey, run: str) -> Table:
    """Put a table of one patch, with other fluxes, into a RUN collection of its own."""
    from lsst.daf.butler import Butler

    with Butler.from_config(str(survey.repository), writeable=True) as butler:
        ref = butler.query_datasets("object_forced_source", survey.collection)[0]
        table = butler.get(ref)
        table["psfFlux"] = 2 * table["psfFlux"]
        butler.collections.register(run)
        butler.put(table, "object_forced_source", ref.dataId, run=run)
    return table


def test_what_is_added_is_seen_and_does_not_hide_the_surveys(
    own_survey: Callable[[str], SimulatedSurvey],
) -> None:
    survey = own_survey("dp1")
    holdings = RepositoryHoldings(survey.repository, check_seconds=0.0)
    before = holdings.snapshot()
    assert holdings.snapshot() is before
    table = _add_forced_table(survey, "u/me/forced")
    after = holdings.snapshot()
    assert after is not before
    assert [schema.name for schema in after.schemas] == ["dp1", "u_me_forced", "datasets", "ivoa", "TAP_SCHEMA"]
    ratios = rows(
        after,
        "SELECT m.psfFlux / f.psfFlux AS ratio FROM u_me_forced.ForcedSource AS m JOIN dp1.ForcedSource AS f "
        "ON m.objectId = f.objectId AND m.visit = f.visit AND m.detector = f.detector WHERE f.psfFlux <> 0",
    )
    assert len(ratios) == np.sum(np.isfinite(table["psfFlux"]))
    np.testing.assert_allclose([row["ratio"] for row in ratios], 2.0, rtol=1e-6)
    assert ("u_me_forced.ForcedSource", "dp1.Object") in {(key.from_table, key.to_table) for key in after.keys}
    # the collections that are asked for come in the place of the survey's, the first that has a patch first
    chosen = RepositoryHoldings(survey.repository, collections=["u/me/forced", survey.collection]).snapshot()
    assert "u_me_forced" not in {schema.name for schema in chosen.schemas}
    assert rows(chosen, "SELECT COUNT(*) AS n FROM dp1.ForcedSource") == rows(
        after, "SELECT COUNT(*) AS n FROM dp1.ForcedSource"
    )
    patch = table["patch"][0]
    total = rows(chosen, f"SELECT SUM(psfFlux) AS total FROM dp1.ForcedSource WHERE patch = {patch}")
    assert total[0]["total"] == pytest.approx(np.nansum(np.asarray(table["psfFlux"], float)), rel=1e-6)


def test_a_large_repository_is_read_while_queries_are_answered(
    own_survey: Callable[[str], SimulatedSurvey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forcedphot.tap.repository.holdings._IMAGES_AT_ONCE", 0)
    survey = own_survey("dp1")
    holdings = RepositoryHoldings(survey.repository, check_seconds=0.0)
    before = holdings.snapshot()
    _add_forced_table(survey, "u/me/later")
    assert holdings.snapshot() is before
    deadline = monotonic() + 60
    while holdings.snapshot() is before and monotonic() < deadline:
        sleep(0.05)
    assert "u_me_later.forcedsource" in holdings.snapshot().engine.tables


def test_what_is_removed_is_gone(own_survey: Callable[[str], SimulatedSurvey]) -> None:
    from lsst.daf.butler import Butler

    survey = own_survey("dp1")
    holdings = RepositoryHoldings(survey.repository, check_seconds=0.0)
    with Butler.from_config(str(survey.repository), writeable=True) as butler:
        butler.pruneDatasets(
            butler.query_datasets("truth_summary", survey.collection), purge=True, unstore=True, disassociate=True
        )
    assert "datasets.truth_summary" not in holdings.snapshot().engine.tables


def test_a_repository_that_cannot_be_read_for_a_while_stays_as_it_was(
    own_survey: Callable[[str], SimulatedSurvey], caplog: pytest.LogCaptureFixture
) -> None:
    survey = own_survey("dp1")
    holdings = RepositoryHoldings(survey.repository, check_seconds=0.0)
    before = holdings.snapshot()
    database = survey.repository / "gen3.sqlite3"
    hidden = database.rename(database.with_suffix(".hidden"))
    assert holdings.snapshot() is before
    assert "cannot be read now" in caplog.text
    database.unlink(missing_ok=True)
    hidden.rename(database)
    assert holdings.snapshot().engine.tables.keys() == before.engine.tables.keys()


def test_large_tables_are_indexed_as_soon_as_they_have_copies(
    simulated: Callable[[str], SimulatedSurvey], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "forcedphot.tap.repository.holdings.IndexedCopies"
    monkeypatch.setattr(name, partial(IndexedCopies, rows_worth_a_copy=100))
    holdings = RepositoryHoldings(simulated("dp1").repository, index_folder=tmp_path, check_seconds=0.0)
    query = "SELECT table_name, column_name FROM TAP_SCHEMA.columns WHERE indexed = 1 ORDER BY column_name"
    before = holdings.snapshot()
    assert rows(before, query) == []
    cone = "SELECT id FROM datasets.truth_summary WHERE CONTAINS(POINT(ra, dec), CIRCLE(53.09, -28.1, 0.02)) = 1"
    expected = rows(before, f"{cone} ORDER BY id")
    holdings.make_copies()
    deadline = monotonic() + 60
    while not holdings.snapshot().engine.tables["datasets.truth_summary"].has_index and monotonic() < deadline:
        sleep(0.05)
    after = holdings.snapshot()
    indexed = {(row["table_name"], row["column_name"]) for row in rows(after, query)}
    assert {("datasets.truth_summary", "ra"), ("datasets.truth_summary", "dec")} <= indexed
    assert ("dp1.Visit", "ra") not in indexed
    assert len(expected) > 3
    assert rows(after, f"{cone} ORDER BY id") == expected
    assert "_healpix_29" not in after.engine.tables["datasets.truth_summary"].columns


def test_a_repository_in_a_database_server_is_read_now_and_then(
    simulated: Callable[[str], SimulatedSurvey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forcedphot.tap.repository.holdings._database_file", lambda repository: None)
    holdings = RepositoryHoldings(simulated("hsc").repository, check_seconds=0.0)
    first = holdings.snapshot()
    # reading takes part of a second: it is left alone for twenty times as long
    assert holdings.snapshot() is first
    holdings._checked = -float("inf")
    assert holdings.snapshot() is not first


@pytest.mark.parametrize("collections", [["nothing/of/the/kind"], ["LSSTComCam/DP1", "another"]])
def test_collections_that_do_not_exist_are_named(
    collections: list[str], simulated: Callable[[str], SimulatedSurvey]
) -> None:
    with pytest.raises(ConfigurationError, match=f"no collection '{collections[-1]}'; it has LSSTComCam/DP1"):
        RepositoryHoldings(simulated("dp1").repository, collections=collections)


def test_what_is_no_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no Butler repository"):
        RepositoryHoldings(tmp_path / "nowhere")


def _files(tmp_path: Path, *tables: dict[str, object]) -> FoundTable:
    paths = tuple(tmp_path / f"{number}.parq" for number in range(len(tables)))
    for path, table in zip(paths, tables, strict=True):
        pq.write_table(pa.table(table), path)
    return FoundTable("datasets", "mine", "mine", paths)


def test_columns_that_all_files_have_are_of_a_type_that_holds_all_values(tmp_path: Path) -> None:
    found = _files(
        tmp_path,
        {"id": pa.array([1], pa.int32()), "x": [1.5], "only_here": [1]},
        {"x": pa.array([2.5], pa.float32()), "id": pa.array([2**40], pa.int64())},
    )
    # no file has the wider type of both columns: one of them cannot be shown
    table = describe_table(found)
    assert table is not None
    assert [column.metadata.name for column in table.columns] in (["id"], ["x"])
    wider = _files(
        tmp_path,
        {"id": pa.array([1], pa.int32()), "x": [1.5]},
        {"x": [2.5], "id": pa.array([2**40], pa.int64()), "only_here": ["text"]},
    )
    table = describe_table(wider)
    assert table is not None
    assert {column.metadata.name: column.metadata.datatype for column in table.columns} == {
        "x": "double",
        "id": "int64",
    }
    from forcedphot.tap.engine import Engine

    with Engine([table.source]).query("SELECT id, x FROM datasets.mine ORDER BY id") as result:
        assert result.read_all().to_pydict() == {"id": [1, 2**40], "x": [1.5, 2.5]}


def test_files_with_nothing_in_common_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert describe_table(_files(tmp_path, {"a": [1]}, {"b": [1]})) is None
    assert "no column in common" in caplog.text


def test_a_damaged_file_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "0.parq").write_bytes(b"PAR1 not so")
    assert describe_table(FoundTable("datasets", "mine", "mine", (tmp_path / "0.parq",))) is None
    assert "datasets.mine is left out" in caplog.text
