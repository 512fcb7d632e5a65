"""The small survey under pipetask, BPS with Parsl, and a run that is killed and resumed: minutes of work."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from lsst.daf.butler import Butler

from forcedphot.survey import simulate

PIPELINE = "resource://forcedphot/pipelines/dp1-forced-all.yaml"
INPUT = "LSSTComCam/DP1"
TABLES = ("object_forced_source", "dia_object_forced_source", "object_forced_measurement")
BIN = Path(sys.executable).parent
BPS = f"""
includeConfigs: resource://forcedphot/pipelines/bps/local.yaml
pipelineYaml: {PIPELINE}
project: forcedphot
campaign: test
payload:
  payloadName: forced
  butlerConfig: ${{PWD}}/survey
  inCollection: {INPUT}
  dataQuery: ""
  output: u/bps
cluster:
  visits:
    partitionMaxSize: 15
"""

type Contents = dict[tuple[object, ...], dict[str, npt.NDArray[Any]]]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, forgotten_stack_names: None) -> Iterator[Path]:
    """Stand in a folder with the survey; its catalogs have a storage class of the stack."""
    import forcedphot.butler  # noqa: F401 - for what it does

    found = tmp_path_factory.mktemp("small")
    simulate(found / "survey", profile="dp1", size="small", progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(found)
        patch.setenv("PWD", str(found))
        patch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
        yield found


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> Contents:
    options = ["-b", "survey", "-i", INPUT, "-o", "u/pipetask", "--register-dataset-types", "-p", PIPELINE]
    subprocess.run(["pipetask", "run", *options], check=True)  # noqa: S603, S607
    return contents("u/pipetask")


def contents(collection: str) -> Contents:
    """Return the columns of a collection's tables, by their names and data IDs."""
    found: Contents = {}
    with Butler.from_config("survey") as butler:
        for name in TABLES:
            for ref in butler.query_datasets(name, collections=collection, find_first=True, explain=False):
                if ref.run.startswith(collection):
                    table = butler.get(ref)
                    columns = getattr(table, "columns", None) or table
                    values = {column: np.asarray(columns[column]) for column in columns}
                    found[name, *ref.dataId.required_values] = values
    return found


def assert_same(found: Contents, expected: Contents) -> None:
    assert found.keys() == expected.keys()
    for key, columns in expected.items():
        assert list(found[key]) == list(columns)
        for column, values in columns.items():
            other = found[key][column]
            assert other.dtype == values.dtype
            assert other.tobytes() == values.tobytes(), (key, column)


@pytest.mark.skipif(
    sys.version_info < (3, 12, 9) or (3, 13) <= sys.version_info < (3, 13, 2),
    reason="this Python's zipfile loses its place in larger quantum graphs",
)
def test_bps_makes_the_same_tables(folder: Path, undisturbed: Contents) -> None:
    (folder / "forced.yaml").write_text(BPS, encoding="utf-8")
    subprocess.run(["bps", "--log-level", "WARNING", "submit", "forced.yaml"], check=True)  # noqa: S607
    assert len(undisturbed) == 4 + 4 + 12
    assert_same(contents("u/bps"), undisturbed)


def test_a_killed_run_resumes(folder: Path, undisturbed: Contents) -> None:
    command = ["forcedphot", "run", "survey", "-o", "u/killed", "-j", "2", "--quiet"]
    with subprocess.Popen(command, start_new_session=True) as process:  # noqa: S603
        while len(list((folder / "survey" / "u" / "killed").glob("*/*_metadata/**/*.json"))) < 20:
            assert process.poll() is None
            time.sleep(0.2)
        os.killpg(process.pid, signal.SIGKILL)
    assert len(contents("u/killed")) < len(undisturbed)
    subprocess.run([*command, "--skip-existing"], check=True)  # noqa: S603
    assert_same(contents("u/killed"), undisturbed)
