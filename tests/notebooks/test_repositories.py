"""Repositories of a notebook: found by their labels, given, or simulated."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lsst.daf.butler import Butler

from forcedphot.errors import ConfigurationError
from forcedphot.notebooks import repositories
from forcedphot.notebooks.repositories import default_folder, find_repositories, index_environment
from forcedphot.survey import SimulatedSurvey
from forcedphot.survey.labels import add_label


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Path, str, str]]:
    """Record what would be simulated; nothing has a label."""
    calls: list[tuple[Path, str, str]] = []

    def simulate(path: Path, *, profile: str, size: str, seed: int, progress: bool) -> SimpleNamespace:
        calls.append((path, profile, size))
        return SimpleNamespace()

    monkeypatch.setattr(repositories, "simulate", simulate)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DAF_BUTLER_REPOSITORY_INDEX", raising=False)
    monkeypatch.delenv("DAF_BUTLER_REPOSITORIES", raising=False)
    return calls


def test_a_label_that_is_known_is_taken(
    made: list[Any], simulated: Callable[[str], SimulatedSurvey], monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = simulated("dp1")
    monkeypatch.setenv("DAF_BUTLER_REPOSITORY_INDEX", str(survey.index))
    labels = find_repositories(["dp1"])
    assert labels["dp1"].removeprefix("file://").rstrip("/") == str(survey.repository)
    assert made == []


def test_what_has_no_label_is_simulated_for_all_notebooks(made: list[Any], tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "forcedphot" / "surveys" / "tiny"
    assert default_folder("tiny") == folder
    labels = find_repositories(["dp1", "hsc"], size="tiny", progress=False)
    assert labels == {"dp1": str(folder / "dp1"), "hsc": str(folder / "hsc")}
    assert made == [(folder / "dp1", "dp1", "tiny"), (folder / "hsc", "hsc", "tiny")]
    (folder / "dp1").mkdir()
    (folder / "dp1" / "survey.json").write_text('{"profile": "dp1", "size": "tiny", "seed": 1}')
    add_label(folder / "repos.yaml", "dp1", folder / "dp1")
    find_repositories(["dp1"], size="tiny")
    assert len(made) == 2  # it was complete
    (folder / "repos.yaml").unlink()
    find_repositories(["dp1"], repository=folder / "dp1", size="small")
    assert made[2:] == [(folder / "dp1", "dp1", "tiny")]  # it stays what it is
    with pytest.raises(ConfigurationError, match="profile dp1, not of hsc"):
        find_repositories(["hsc"], repository=folder / "dp1")


def test_a_repository_that_is_given(made: list[Any], tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "butler.yaml").write_text("")
    assert find_repositories(["dp1"], repository=real) == {"dp1": str(real)}
    assert made == []
    assert find_repositories(["dp1"], repository=tmp_path / "new") == {"dp1": str(tmp_path / "new")}
    assert made == [(tmp_path / "new", "dp1", "small")]
    for profiles in ([], ["dp1", "hsc"]):
        with pytest.raises(ConfigurationError, match="--profile"):
            find_repositories(profiles, repository=real)


def test_the_butler_of_a_kernel_knows_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAF_BUTLER_REPOSITORIES", "other: /nowhere")
    with index_environment({"dp1": "/somewhere"}) as environment:
        monkeypatch.delenv("DAF_BUTLER_REPOSITORIES")
        for name in ("DAF_BUTLER_REPOSITORIES", "DAF_BUTLER_REPOSITORY_INDEX"):
            if name in environment:
                monkeypatch.setenv(name, environment[name])
        assert Butler.get_known_repos() == {"dp1"}
        assert Butler.get_repo_uri("dp1").ospath.rstrip("/") == "/somewhere"
