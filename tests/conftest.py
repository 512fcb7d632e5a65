"""Fixtures that every test may use: golden data and random numbers."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from forcedphot.survey import SimulatedSurvey, simulate
from forcedphot.survey.labels import add_label

_REPOSITORY = Path(__file__).resolve().parents[1]
_GOLDEN_FOLDERS = (_REPOSITORY / "tests" / "data", _REPOSITORY.parent / "shared" / "golden")


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Path]:
    """Find a case of the golden data by its name, such as ``driver/visit_gaussian``; skip where it is absent."""

    def find(name: str) -> Path:
        for folder in _GOLDEN_FOLDERS:
            if (folder / name).exists():
                return folder / name
        pytest.skip(f"golden data {name!r} are not in tests/data, nor in ../shared/golden beside the repository")

    return find


@pytest.fixture(scope="session", autouse=True)
def _own_data_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what services remember out of the user's folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data_home")))
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    """Seeded, so that a failure repeats."""
    return np.random.default_rng(20260518)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SimulatedSurvey]:
    """Simulate the tiny survey of a profile when first asked for; all test processes share it, and only read.

    Each has an index of its own: the Butler remembers what it has read of one.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder = folder / "surveys"
    folder.mkdir(exist_ok=True)

    @cache
    def find(profile: str) -> SimulatedSurvey:
        index, record = folder / f"{profile}.yaml", folder / f"{profile}.json"
        with FileLock(folder / f"{profile}.lock"):
            if not record.exists():
                survey = simulate(
                    folder / profile, profile=profile, size="tiny", index=index, n_processes=2, progress=False
                )
                record.write_text(json.dumps(asdict(survey), default=str), encoding="utf-8")
        found = json.loads(record.read_text(encoding="utf-8"))
        return SimulatedSurvey(**{**found, "repository": Path(found["repository"]), "index": index})

    return find


@pytest.fixture(scope="module")
def own_survey(
    simulated: Callable[[str], SimulatedSurvey], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], SimulatedSurvey]:
    """Copy the tiny survey of a profile, for a module whose tests write to it."""

    @cache
    def copy(profile: str) -> SimulatedSurvey:
        survey = simulated(profile)
        folder = tmp_path_factory.mktemp("own_survey")
        shutil.copytree(survey.repository, folder / profile)
        index = folder / "repos.yaml"
        add_label(index, survey.label, folder / profile)
        return replace(survey, repository=folder / profile, index=index)

    return copy


@pytest.fixture(scope="module")
def forgotten_stack_names() -> Iterator[None]:
    """Undo at the module's end what ``import forcedphot.butler``, or ``lsst_names``, does to the process."""
    import lsst

    with pytest.MonkeyPatch.context() as patch:
        for variable in ("PYTHONPATH", "DAF_BUTLER_CONFIG_PATH"):
            patch.setenv(variable, "")  # unlike a removed one, a changed one comes back
        patch.setattr(sys, "path", list(sys.path))
        patch.setattr(lsst, "__path__", list(lsst.__path__))
        yield
    # Others may have put finders there meanwhile, which have to stay.
    sys.meta_path[:] = [finder for finder in sys.meta_path if not _is_ours(finder)]
    names = [name for name in sys.modules if f"{name}.".startswith("lsst.obs.") or _is_stand_in(name)]
    for name in (*names, "forcedphot.butler", "forcedphot.lsst_names"):
        sys.modules.pop(name, None)
        package, _, attribute = name.rpartition(".")
        if package in sys.modules:
            vars(sys.modules[package]).pop(attribute, None)
    if "lsst.daf.butler" in sys.modules:
        from lsst.daf.butler import StorageClassFactory

        StorageClassFactory().reset()


def _is_stand_in(name: str) -> bool:
    """Tell whether a loaded module is one of ours by a name of the stack."""
    loader = getattr(getattr(sys.modules[name], "__spec__", None), "loader", None)
    return name.startswith("lsst.") and _is_ours(loader)


def _is_ours(finder: object) -> bool:
    """Tell whether it finds or loads modules by names of the stack."""
    return type(finder).__module__ == "forcedphot.stack.finder"
