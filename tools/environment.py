"""Create the environment of the Makefile, or bring it up to date: environment.py FOLDER EXTRA...

Runs before anything is installed, so it imports the standard library only. Nothing happens if the
folder has the wanted extras and neither the dependencies nor the constraints have changed.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAMP = "forcedphot-environment.json"
_IS_USABLE = "import pip, sys; sys.exit(sys.version_info < (3, 12))"


@dataclass(frozen=True)
class State:
    """What is known of an environment; kept in it as a stamp."""

    adopted: bool
    """Found there, made by somebody else: never removed."""
    place: str
    """Repository and folder when it was made; scripts in it do not survive a move."""
    complete: bool = False
    key: str = ""
    extras: tuple[str, ...] = ()


def main(arguments: Sequence[str]) -> int:
    """Do it; return the exit status."""
    folder, wanted = Path(arguments[0]).absolute(), arguments[1:]
    with _only_one():
        key, state, usable = _key(), _read(folder), _is_usable(folder)
        if state and usable and _fits(state, folder, key, wanted):
            return 0
        if folder.exists() and (state is None or state.adopted):
            if not usable:
                return _fail(
                    f"{folder} was there before and holds no Python >= 3.12 with pip: "
                    "remove it, or choose another folder with make VENV=folder."
                )
            state = State(adopted=True, place=_place(folder))
        elif not (state and usable and state.complete and state.place == _place(folder)):
            # What an interrupted run left cannot be trusted.
            shutil.rmtree(folder, ignore_errors=True)
            state, usable = State(adopted=False, place=_place(folder)), False
        return _install(
            folder, replace(state, key=key, extras=tuple(sorted({*state.extras, *wanted}))), create=not usable
        )


def _install(folder: Path, state: State, *, create: bool) -> int:
    _write(folder, replace(state, complete=False))
    _say(f"Installing into {folder.name} (about a minute the first time) ...")
    if create and not _run(folder, [sys.executable, "-m", "venv", str(folder)]):
        return _fail(f"{folder} could not be created; the log is above.")
    if not _run(folder, _pip(folder, state.extras)):
        return _fail("pip could not install the dependencies; its log is above.")
    _write(folder, replace(state, complete=True))
    return 0


@contextmanager
def _only_one() -> Iterator[None]:
    """Hold a lock that the system releases if this process dies; others wait for it."""
    with (ROOT / "pyproject.toml").open("r+b") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Waiting for another make that installs ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _key() -> str:
    """Digest all that decides what is installed; settings of tools in pyproject.toml do not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    parts = json.dumps([project["build-system"], project["project"]], sort_keys=True)
    return hashlib.sha256(parts.encode() + (ROOT / "constraints.txt").read_bytes()).hexdigest()


def _place(folder: Path) -> str:
    return f"{ROOT}:{folder}"


def _fits(state: State, folder: Path, key: str, wanted: Sequence[str]) -> bool:
    return (
        state.complete and state.key == key and state.place == _place(folder) and set(wanted) <= set(state.extras)
    )


def _is_usable(folder: Path) -> bool:
    python = folder / "bin" / "python"
    if not python.exists():
        return False
    probe = subprocess.run([python, "-I", "-c", _IS_USABLE], capture_output=True, check=False)  # noqa: S603
    return probe.returncode == 0


def _pip(folder: Path, extras: Sequence[str]) -> list[str]:
    return [
        *(str(folder / "bin" / "python"), "-m", "pip", "install"),
        *("--constraint", str(ROOT / "constraints.txt")),
        *("--editable", f"{ROOT}[{','.join(extras)}]"),
    ]


def _run(folder: Path, command: Sequence[str]) -> bool:
    """Run a command with its output in a log, which is shown if it fails."""
    settings = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_USER": "0"}
    path = folder / "install.log"
    with path.open("wb") as log:
        done = subprocess.run(  # noqa: S603
            command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **settings}, check=False
        )
    if done.returncode != 0:
        _say(path.read_text(encoding="utf-8", errors="replace"))
    return done.returncode == 0


def _read(folder: Path) -> State | None:
    """Return None if there is no stamp, or one that cannot be read."""
    try:
        content = json.loads((folder / STAMP).read_bytes())
        return State(**{**content, "extras": tuple(content["extras"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(folder: Path, state: State) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{STAMP}.part"
    temporary.write_text(json.dumps(asdict(state)), encoding="utf-8")
    temporary.replace(folder / STAMP)


def _say(text: str) -> None:
    sys.stderr.write(text.rstrip() + "\n")


def _fail(reason: str) -> int:
    _say(reason)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
