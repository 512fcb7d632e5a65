"""tools/environment.py: installs when something has changed, and never twice, halfway or over others' work."""

import fcntl
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

_TOOL = Path(__file__).resolve().parents[2] / "tools" / "environment.py"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("environment_tool", _TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def environment(tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the script a repository of its own; ``runs`` records commands, which are not run.

    A folder counts as usable when the command that creates it has been recorded.
    """
    root = tmp_path / "repository"
    root.mkdir()
    (root / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\n[project]\nname = 'a'\n[tool.ruff]\nline-length = 100\n", encoding="utf-8"
    )
    (root / "constraints.txt").write_text("numpy==2.0\n", encoding="utf-8")
    runs: list[str] = []

    def run(folder: Path, command: Sequence[str]) -> bool:
        if "venv" in command:
            (folder / "bin").mkdir()
            (folder / "bin" / "python").touch()
        runs.append("create" if "venv" in command else command[-1].removeprefix(str(root)))
        return not tool.pip_fails or "venv" in command

    monkeypatch.setattr(tool, "ROOT", root)
    monkeypatch.setattr(tool, "_run", run)
    monkeypatch.setattr(tool, "_is_usable", lambda folder: (folder / "bin" / "python").exists())
    vars(tool).update(runs=runs, pip_fails=False)
    return tool


def _make(environment: Any, *extras: str) -> list[str]:
    """Bring the environment up to date; return what was run for it."""
    environment.runs.clear()
    assert environment.main([str(environment.ROOT / "env"), *extras]) == 0
    return list(environment.runs)


def test_it_installs_once(environment: Any) -> None:
    assert _make(environment, "dev") == ["create", "[dev]"]
    assert _make(environment, "dev") == []


def test_another_extra_is_added(environment: Any) -> None:
    _make(environment, "dev")
    assert _make(environment, "dev", "bench") == ["[bench,dev]"]
    assert _make(environment, "dev") == []


@pytest.mark.parametrize(
    ("file", "old", "new", "runs"),
    [
        ("constraints.txt", "2.0", "2.1", ["[dev]"]),
        ("pyproject.toml", "'a'", "'b'", ["[dev]"]),
        ("pyproject.toml", "= 100", "= 115", []),
    ],
    ids=["constraint", "project", "setting of a tool"],
)
def test_it_installs_again_when_what_is_installed_changes(
    environment: Any, file: str, old: str, new: str, runs: list[str]
) -> None:
    _make(environment, "dev")
    path = environment.ROOT / file
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert _make(environment, "dev") == runs


def test_an_interrupted_one_is_made_anew(environment: Any, capsys: pytest.CaptureFixture[str]) -> None:
    environment.pip_fails = True
    assert environment.main([str(environment.ROOT / "env"), "dev"]) == 1
    assert "pip could not install" in capsys.readouterr().err
    environment.pip_fails = False
    assert _make(environment, "dev") == ["create", "[dev]"]


def test_a_moved_or_broken_one_is_made_anew(environment: Any) -> None:
    _make(environment, "dev")
    stamp = environment.ROOT / "env" / environment.STAMP
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "place": "elsewhere"}), encoding="utf-8")
    assert _make(environment, "dev") == ["create", "[dev]"]
    (environment.ROOT / "env" / "bin" / "python").unlink()
    assert _make(environment, "dev") == ["create", "[dev]"]


def test_what_others_made_is_used_but_never_removed(environment: Any, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = environment.ROOT / "env" / "bin" / "python"
    theirs.parent.mkdir(parents=True)
    assert environment.main([str(environment.ROOT / "env"), "dev"]) == 1
    assert "remove it, or choose another folder" in capsys.readouterr().err
    theirs.touch()
    environment.pip_fails = True
    assert environment.main([str(environment.ROOT / "env"), "dev"]) == 1
    environment.pip_fails = False
    assert _make(environment, "dev") == ["[dev]"]
    assert _make(environment, "dev") == []


def test_only_one_installs_at_a_time(environment: Any) -> None:
    path = environment.ROOT / "pyproject.toml"
    with environment._only_one(), path.open("r+b") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with path.open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_log_of_a_failure_is_shown(tool: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool._run(tmp_path, [sys.executable, "-c", "print('all is well')"])
    assert capsys.readouterr().err == ""
    assert not tool._run(tmp_path, [sys.executable, "-c", "raise SystemExit('no such package')"])
    assert "no such package" in capsys.readouterr().err
