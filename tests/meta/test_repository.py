"""Sizes and contents of the files in the repository; every check has a twin that it must fail."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_MAX_LINES = 400
_MACHINE_PATH = re.compile(r"(?<![\w.~$}*/-])/(?:work|root|home|Users|mnt|scratch)/[\w.-]+")


def too_long(source: str, name: str) -> list[str]:
    lines = len(source.splitlines())
    return [f"{name} has {lines} lines: is there a room missing?"] if lines > _MAX_LINES else []


def machine_paths(text: str, name: str) -> list[str]:
    """List absolute paths that exist on one machine only."""
    return [
        f"{name}:{number}: {match[0]}"
        for number, line in enumerate(text.splitlines(), 1)
        for match in _MACHINE_PATH.finditer(line)
    ]


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Yield name and content of the tracked files that are text."""
    git = shutil.which("git")
    if git is None or not (_ROOT / ".git").exists():
        pytest.skip("not in a git repository: nothing says which files are tracked")
    listing = subprocess.run([git, "ls-files", "-z"], cwd=_ROOT, capture_output=True, check=True)  # noqa: S603
    for name in listing.stdout.decode().split("\0"):
        path = _ROOT / name
        if name and path.is_file():
            try:
                yield name, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def test_no_module_is_too_long() -> None:
    modules = list((_ROOT / "src").rglob("*.py"))
    assert len(modules) > 10
    assert [fault for path in modules for fault in too_long(path.read_text(encoding="utf-8"), path.name)] == []


def test_a_module_that_is_too_long_is_reported() -> None:
    assert too_long("\n" * (_MAX_LINES + 1), "long.py") != []
    assert too_long("\n" * _MAX_LINES, "short.py") == []


def test_no_tracked_file_names_a_path_of_one_machine() -> None:
    texts = list(tracked_texts())
    assert len(texts) > 10
    assert [fault for name, text in texts for fault in machine_paths(text, name)] == []


@pytest.mark.parametrize("start", ["home", "Users", "root"])
def test_a_path_of_one_machine_is_reported(start: str) -> None:
    assert machine_paths(f'first line\npath = "/{start}/ada/images"', "bad.py") == [f"bad.py:2: /{start}/ada"]


def test_other_paths_are_not_reported() -> None:
    text = "/usr/bin/python3, ~/home/ada, https://example.org/home/ada, tests/home/ada, ${HOME}/work/x"
    assert machine_paths(text, "good.md") == []
