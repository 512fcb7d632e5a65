"""Surveys are measured in one command: what fails is named, the rest goes on, and a rerun completes it."""

import gc
import multiprocessing.process
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from astropy.table import Table
from click.testing import CliRunner, Result
from lsst.daf.butler import Butler
from lsst.pipe.base import Pipeline

from forcedphot.catalog.source_catalog import SourceCatalog
from forcedphot.cli import main
from forcedphot.cli.run import command
from forcedphot.survey import SimulatedSurvey
from forcedphot.tasks.points import measure_points
from forcedphot.tasks.run import _PRELOADED

WHERE = "patch IN (14, 15)"
TABLES = ("object_forced_source", "dia_object_forced_source")
VISIT = {"instrument": "LSSTComCam", "visit": 2024110800245, "detector": 4}
PAGE = Path(__file__).resolve().parents[2] / "docs" / "running.md"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def survey(own_survey: Callable[[str], SimulatedSurvey], forgotten_stack_names: None) -> SimulatedSurvey:
    return own_survey("dp1")


@pytest.fixture(scope="module")
def butler(survey: SimulatedSurvey) -> Iterator[Butler]:
    with Butler.from_config(str(survey.repository), collections=survey.collection) as butler:
        yield butler


@pytest.fixture
def folder(survey: SimulatedSurvey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with the repository that the page names."""
    (tmp_path / "survey").symlink_to(survey.repository)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    return tmp_path


@pytest.fixture
def run(survey: SimulatedSurvey) -> Callable[..., Result]:
    """Call ``forcedphot run`` on visits; check its exit code."""

    def call(*options: str, exit_code: int = 0) -> Result:
        arguments = ["run", str(survey.repository), "--what", "visits", "--where", WHERE, *options]
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == exit_code, result.output
        return result

    return call


@pytest.fixture(scope="module")
def undisturbed(survey: SimulatedSurvey) -> dict[tuple[str, int], bytes]:
    """Run pipetask, and return the contents of its tables."""
    options = [
        "-b",
        str(survey.repository),
        "-i",
        survey.collection,
        "-o",
        "u/pipetask",
        "--register-dataset-types",
    ]
    pipeline = ["-p", "resource://forcedphot/pipelines/dp1-forced-visit.yaml", "-d", WHERE]
    subprocess.run(  # noqa: S603 - our own environment's
        [BIN / "pipetask", "run", *options, *pipeline], check=True
    )
    return contents(survey, "u/pipetask")


def contents(survey: SimulatedSurvey, collection: str) -> dict[tuple[str, int], bytes]:
    """Return the bytes of all tables' columns, with their names and types, but not their provenance."""
    with Butler.from_config(str(survey.repository)) as butler:
        refs = [
            ref
            for name in TABLES
            for ref in butler.query_datasets(name, collections=collection, find_first=True, explain=False)
            if ref.run.startswith(collection)
        ]
        return {(ref.datasetType.name, int(ref.dataId["patch"])): _bytes(butler.get(ref)) for ref in refs}


def _bytes(table: Table) -> bytes:
    array = np.asarray(table.as_array())
    return repr(array.dtype).encode() + array.tobytes()


def test_pipetask_and_the_command_make_the_same_tables(
    survey: SimulatedSurvey,
    run: Callable[..., Result],
    undisturbed: dict[tuple[str, int], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert len(undisturbed) == 4
    monkeypatch.setenv("USER", "me")
    monkeypatch.setenv("LOGNAME", "me")
    result = run()
    assert "12 of 12 quanta are done, 0 of them without work" in result.stdout
    assert contents(survey, "u/me/forced-visits") == undisturbed
    with Butler.from_config(str(survey.repository)) as butler:
        for collection in ("u/pipetask", "u/me/forced-visits"):
            refs = {
                name: butler.query_datasets(name, collections=collection, find_first=True)
                for name in (
                    "forcedPhotVisit_log",
                    "forcedPhotVisit_metadata",
                    "forcedPhotVisit_config",
                    "packages",
                )
            }
            assert [len(found) for found in refs.values()] == [8, 8, 1, 1]
            log = [record.message for record in butler.get(refs["forcedPhotVisit_log"][0])]
            assert any("Measured" in message for message in log), log
            assert "caveats" in butler.get(refs["forcedPhotVisit_metadata"][0])["quantum"]
            tables = butler.query_datasets("object_forced_source", collections=collection, find_first=True)
            table = next(ref for ref in tables if ref.run.startswith(collection))
            provenance = pyarrow.parquet.read_schema(butler.getURI(table).ospath).metadata[b"table_meta_yaml"]
            assert f"LSST.BUTLER.ID: {table.id}".encode() in provenance
            assert b"LSST.BUTLER.INPUT.7.ID: " in provenance
    assert run("--skip-existing").stdout == "All is done already in u/me/forced-visits.\n"


def test_a_corrupt_image_costs_what_is_measured_on_it(
    survey: SimulatedSurvey,
    butler: Butler,
    run: Callable[..., Result],
    undisturbed: dict[tuple[str, int], bytes],
) -> None:
    """The other images are measured, and the same run is completed when the file is back."""
    path = Path(butler.getURI("visit_image", VISIT).ospath)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    try:
        result = run("-o", "u/corrupt", exit_code=13)
    finally:
        path.write_bytes(whole)
    assert result.stdout == ""
    [failed] = [line for line in result.stderr.splitlines() if line.startswith("failed: ")]
    assert "forcedPhotVisit (instrument='LSSTComCam', detector=4, visit=2024110800245): " in failed
    assert "visit_image" in failed
    assert "7 of 12 quanta are done, 0 of them without work; 1 failed, and 4 that need" in result.stderr
    assert contents(survey, "u/corrupt") == {}
    assert "Clobber what failed quanta have left" in run("-o", "u/corrupt", "--extend-run", exit_code=2).stderr
    assert "5 of 5 quanta" in run("-o", "u/corrupt", "--extend-run", "--clobber").stdout
    assert len(butler.collections.get_info("u/corrupt").children) == 3
    assert contents(survey, "u/corrupt") == undisturbed


def test_a_killed_worker_is_named_and_a_new_run_does_the_rest(
    survey: SimulatedSurvey,
    butler: Butler,
    run: Callable[..., Result],
    undisturbed: dict[tuple[str, int], bytes],
) -> None:
    killed: list[str] = []

    def kill_one() -> None:
        while not killed:
            for process in list(vars(multiprocessing.process)["_children"]):
                if process.pid is not None and process.name.startswith("task-") and not killed:
                    os.kill(process.pid, signal.SIGKILL)
                    killed.append(process.name)
            time.sleep(0.01)

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    result = run("-o", "u/killed", "-j", "2", exit_code=13)
    killer.join()
    [failed] = [line for line in result.stderr.splitlines() if line.startswith("failed: ")]
    detector, visit = re.search(r"detector: (\d+), visit: (\d+)", killed[0]).groups()
    assert f"forcedPhotVisit (instrument='LSSTComCam', detector={detector}, visit={visit})" in failed
    assert "its process was killed by signal 9 (Killed)" in failed
    assert "7 of 12 quanta are done" in result.stderr
    assert "5 of 5 quanta" in run("-o", "u/killed", "-j", "2", "--skip-existing").stdout
    assert len(butler.collections.get_info("u/killed").children) == 4
    assert contents(survey, "u/killed") == undisturbed


def test_a_full_disk_stops_what_is_written_to_it(
    survey: SimulatedSurvey, run: Callable[..., Result], undisturbed: dict[tuple[str, int], bytes]
) -> None:
    folder = survey.repository / "u" / "full"
    folder.mkdir(parents=True)
    mount = shutil.which("mount")
    mounting = [mount or "mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(folder)]
    if mount is None or subprocess.run(mounting, check=False, capture_output=True).returncode:  # noqa: S603
        pytest.skip("this user may not mount a small file system, so no disk can be made full")
    try:
        result = run("-o", "u/full", exit_code=13)
        assert "No space left on device" in result.stderr
        assert "failed: forcedPhotVisit (instrument='LSSTComCam', detector=" in result.stderr
        subprocess.run([mount, "-o", "remount,size=10m", str(folder)], check=True)  # noqa: S603
        assert "are done, 0 of them without work" in run("-o", "u/full", "--skip-existing").stdout
        assert contents(survey, "u/full") == undisturbed
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607, S603


def test_a_table_without_a_column_is_named(
    survey: SimulatedSurvey, butler: Butler, run: Callable[..., Result]
) -> None:
    where = {"skymap": "lsst_cells_v1", "tract": 5063}
    table = butler.get("object", where)
    table.remove_column("coord_ra")
    with Butler.from_config(str(survey.repository), run="broken") as writing:
        writing.put(table, "object", where)
    inputs = f"broken,{survey.collection}"
    visit = f"{WHERE} AND visit = {VISIT['visit']}"
    result = run("-i", inputs, "--where", visit, "-o", "u/broken", exit_code=13)
    assert (
        len(re.findall(r"failed: forcedPhotVisit .*object of .*5063.* has no column coord_ra", result.stderr)) == 2
    )
    assert "0 of 6 quanta are done, 0 of them without work; 2 failed, and 4 that need" in result.stderr


def test_a_dry_run_says_what_would_be_done(run: Callable[..., Result], butler: Butler) -> None:
    result = run("--dry-run", "-o", "u/dry", "-c", "forcedPhotVisit:doDiaObjects=false")
    assert result.stdout.splitlines()[1:] == ["  forcedPhotVisit: 8 quanta", "  objectForcedSource: 2 quanta"]
    assert "dp1-forced-visit of " in result.stdout
    assert "from LSSTComCam/DP1 to u/dry" in result.stdout
    assert not butler.collections.query("u/dry*")
    assert "{instrument: 'LSSTComCam', detector: 4, visit: 2024110800245" in run("--dry-run", "-v").stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--where", "detector = 99"], "nothing to measure in LSSTComCam/DP1 of"),
        (["--where", "nonsense ="], "cannot be built"),
        (["--clobber"], "is clobbered: extend that run"),
        (["--extend-run", "-o", "u/none"], "cannot be built"),
        (["--input", "nowhere"], "cannot be built"),
        (["--profile", "dp3"], "no pipeline 'dp3-forced-visit'; there are dp02-forced-visit, dp1-forced-visit"),
        (["--profile", "dp02"], "Name the input collections for dp02-forced-visit: .* are none"),
        (["--what", "coadds", "--profile", "hsc"], "Name the input collections for hsc-forced-coadd"),
        (["-c", "doDiaObjects=false"], "should begin with a task's label and a colon: forcedPhotVisit"),
        (["-c", "forcedPhotVisit:doDia=false"], "doDia"),
        (["-C", "forcedPhotVisit:none.py"], "Python program"),
    ],
)
def test_options_that_do_not_fit_are_refused(run: Callable[..., Result], options: list[str], message: str) -> None:
    result = run(*options, exit_code=2)
    assert result.stdout == ""
    assert re.search(message, result.stderr), result.stderr


def test_catalogs_of_the_stack_need_no_preparation(
    own_survey: Callable[[str], SimulatedSurvey], forgotten_stack_names: None
) -> None:
    repository = str(own_survey("hsc").repository)
    arguments = ["run", repository, "--what", "coadds", "-d", "band = 'r' AND patch = 10", "-o", "u/coadds"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "1 of 1 quanta are done, 0 of them without work" in result.stdout


def test_a_missing_extra_is_named(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lsst.ctrl.mpexec.cli.butler_factory", None)
    assert "pip install 'forcedphot[pipelines]'" in run("--dry-run", exit_code=12).stderr


def test_what_processes_have_in_common_can_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()
    try:
        preloaded = import_module(_PRELOADED[-1])
    finally:
        gc.unfreeze()
    measured: list[SourceCatalog] = []

    def keep(*arguments: Any) -> None:
        measured.append(measure_points(*arguments))

    monkeypatch.setattr(preloaded, "measure_points", keep)
    preloaded.load_kernels()
    assert threading.active_count() == before
    # What fails is passed over when the server starts, and would load no kernels.
    [catalog] = measured
    assert not catalog["base_PsfFlux_flag"][0]
    assert catalog["base_PsfFlux_instFlux"][0] > 0


def test_what_is_preloaded_is_there() -> None:
    for name in _PRELOADED:  # the server passes over what it does not find
        assert find_spec(name) is not None, name


def test_bps_makes_the_same_tables(
    survey: SimulatedSurvey,
    undisturbed: dict[tuple[str, int], bytes],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the page's configuration as it stands, for the patches with data."""
    [text] = re.findall(r"`forced.yaml`:\n\n```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (folder / "forced.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    submission = ["bps", "--log-level", "WARNING", "submit", "-d", WHERE, "--output", "u/bps", "forced.yaml"]
    subprocess.run(submission, check=True, cwd=folder, stderr=subprocess.DEVNULL)  # noqa: S603
    assert contents(survey, "u/bps") == undisturbed
    with Butler.from_config(str(survey.repository)) as butler:
        for name, n_datasets in (("forcedPhotVisit_log", 8), ("forcedPhotVisit_metadata", 8), ("packages", 1)):
            assert len(butler.query_datasets(name, collections="u/bps", find_first=True)) == n_datasets, name
        [log, *_] = butler.query_datasets("forcedPhotVisit_log", collections="u/bps", find_first=True)
        assert any("Measured" in record.message for record in butler.get(log))
    jobs = {path.stem for path in folder.glob("submit/**/logs/**/*.stderr")}
    assert jobs == {"pipetaskInit", "visits_LSSTComCam_001", "tables_lsst_cells_v1_5063_001", "finalJob"}


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # Parsl's
@pytest.mark.parametrize("name", ["local", "slurm", "htcondor"])
def test_sites_are_complete(name: str, folder: Path) -> None:
    """Those of Parsl make its configuration; HTCondor's plugin is not installed."""
    from lsst.ctrl.bps import BPS_DEFAULTS, BPS_SEARCH_ORDER, BpsConfig
    from lsst.ctrl.bps.parsl import get_parsl_config

    (folder / "site.yaml").write_text(
        f"includeConfigs: resource://forcedphot/pipelines/bps/{name}.yaml\nproject: a\ncampaign: b\n", "utf-8"
    )
    config = BpsConfig("site.yaml", BPS_SEARCH_ORDER, defaults=None if name == "htcondor" else BPS_DEFAULTS)
    config["operator"] = "me"
    labels = {
        label.strip()
        for cluster in ("visits", "tables", "coadds")
        for label in config[f".cluster.{cluster}.pipetasks"].split(",")
    }
    pipelines = PAGE.parents[1] / "src" / "forcedphot" / "pipelines"
    assert labels == {
        label for path in pipelines.glob("*.yaml") for label in Pipeline.fromFile(str(path)).task_labels
    }
    assert config[".finalJob.requestCpus"] == 1
    if name == "htcondor":
        assert config["wmsServiceClass"] == "lsst.ctrl.bps.htcondor.HTCondorService"
        return
    [executor] = get_parsl_config(config).executors
    assert type(executor.provider).__name__ == {"local": "LocalProvider", "slurm": "SlurmProvider"}[name]
    if name == "slurm":
        assert executor.provider.walltime == "04:00:00"


def test_the_page_in_python(folder: Path) -> None:
    [code] = re.findall(r"^```py\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    exec(compile(code, PAGE.name, "exec"), {"__name__": "example"})  # noqa: S102 - our own page


def test_the_page_names_options_that_there_are() -> None:
    text = PAGE.read_text(encoding="utf-8")
    commands = re.findall(r"^forcedphot run survey (.*)$", text, re.MULTILINE)
    assert len(commands) == 4
    for line in commands:
        with command.make_context("run", ["survey", *shlex.split(line)]):
            pass
