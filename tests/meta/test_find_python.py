"""tools/find_python.sh: it takes the first interpreter that works, and says what to do without one."""

import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "find_python.sh"
# The script hands each candidate "-I -c PROBE"; these stand-ins answer it, or spoil it for a real interpreter.
_WORKS = 'echo "$0"'
_SHIM = 'echo "command not found" >&2; exit 127'
_REAL = f'exec "{sys.executable}" "$@"'
_SPOILT = f'exec "{sys.executable}" -I -c "import sys; {{change}}; exec(sys.argv[1])" "$3"'
_OLD = _SPOILT.format(change="sys.version_info = (3, 11, 7, 'final', 0)")
_BARE = _SPOILT.format(change="sys.modules['ensurepip'] = None")
_OTHER = _SPOILT.format(change="sys.implementation.name = 'pypy'")


def _fake(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def _find(home: Path, *folders: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script with these folders as PATH and nothing else in the environment but HOME."""
    path = ":".join(map(str, folders))
    return subprocess.run(  # noqa: S603
        ["/bin/sh", str(_SCRIPT)],
        env={"PATH": path, "HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def _found(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_real_interpreter_passes_the_probe(tmp_path: Path) -> None:
    _fake(tmp_path / "bin" / "python3", _REAL)
    assert _found(_find(tmp_path, tmp_path / "bin")) == sys.executable


@pytest.mark.parametrize("body", [_OLD, _BARE, _OTHER, _SHIM], ids=["old", "no ensurepip", "pypy", "shim"])
def test_an_interpreter_that_cannot_build_the_environment_is_passed_over(tmp_path: Path, body: str) -> None:
    _fake(tmp_path / "bin" / "python3.13", body)
    assert _find(tmp_path, tmp_path / "bin").returncode == 1
    working = _fake(tmp_path / "bin" / "python3", _WORKS)
    assert _found(_find(tmp_path, tmp_path / "bin")) == str(working)


def test_a_shim_does_not_hide_the_same_name_further_on(tmp_path: Path) -> None:
    _fake(tmp_path / "shims" / "python3.12", _SHIM)
    working = _fake(tmp_path / "a folder" / "python3.12", _WORKS)
    assert _found(_find(tmp_path, tmp_path / "shims", tmp_path / "a folder")) == str(working)


def test_versions_with_wheels_come_first(tmp_path: Path) -> None:
    fakes = {name: _fake(tmp_path / "bin" / name, _WORKS) for name in ("python3", "python3.14", "python3.12")}
    assert _found(_find(tmp_path, tmp_path / "bin")) == str(fakes["python3.12"])
    fakes["python3.12"].unlink()
    assert _found(_find(tmp_path, tmp_path / "bin")) == str(fakes["python3.14"])
    fakes["python3.14"].unlink()
    assert _found(_find(tmp_path, tmp_path / "bin")) == str(fakes["python3"])


def test_uv_is_asked(tmp_path: Path) -> None:
    working = _fake(tmp_path / "uv pythons" / "python", _WORKS)
    _fake(tmp_path / "bin" / "uv", f'[ "$1 $2 $3 $4" = "python find --system >=3.12" ] && echo "{working}"')
    assert _found(_find(tmp_path, tmp_path / "bin")) == str(working)


@pytest.mark.parametrize("version", ["3.12.1", "3.13.0", "3.14.2", "3.16.0"])
def test_versions_of_pyenv_are_seen_though_not_active(tmp_path: Path, version: str) -> None:
    working = _fake(tmp_path / ".pyenv" / "versions" / version / "bin" / "python", _WORKS)
    _fake(tmp_path / ".pyenv" / "versions" / "3.11.7" / "bin" / "python", _OLD)
    assert _found(_find(tmp_path, tmp_path / "bin")) == str(working)


def test_the_callers_choice_is_the_only_candidate(tmp_path: Path) -> None:
    _fake(tmp_path / "bin" / "python3.13", _WORKS)
    chosen = _fake(tmp_path / "mine" / "python", _WORKS)
    assert _found(_find(tmp_path, tmp_path / "bin", PYTHON=str(chosen))) == str(chosen)
    _fake(chosen, _OLD)
    done = _find(tmp_path, tmp_path / "bin", PYTHON=str(chosen))
    assert done.returncode == 1
    assert f"PYTHON={chosen}" in done.stderr


def test_without_any_it_says_what_to_install(tmp_path: Path) -> None:
    done = _find(tmp_path, tmp_path / "empty")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No Python 3.12 or newer" in done.stderr
    assert "apt install" in done.stderr
    assert "make PYTHON=" in done.stderr
