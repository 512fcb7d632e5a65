"""Services on this machine: where their data are, and which are running."""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

_RECORD = "service.json"
TAP = "/tap"
"""Where a service has TAP, below its URL."""


@dataclass(frozen=True, slots=True)
class LocalService:
    """A service that runs.

    Parameters
    ----------
    url
        Without /tap.
    repository
        As `normalize` has it.
    process_id
        Of its process.
    """

    url: str
    repository: str
    process_id: int


def normalize(repository: str | Path) -> str:
    """Return the full path of a folder, and a Butler's label as it is."""
    path = Path(repository).expanduser()
    return str(path.resolve()) if path.exists() else str(repository)


def data_folder(repository: str | Path) -> Path:
    """Return where the data of a repository's service are if nothing else is said."""
    name = normalize(repository)
    readable = re.sub(r"\W+", "_", Path(name).name)
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return _data_home() / f"{readable}-{digest}"


@contextlib.contextmanager
def registered(service: LocalService, data: Path) -> Iterator[None]:
    """Let others find a service as long as it runs."""
    data.mkdir(parents=True, exist_ok=True)
    home = _data_home()
    home.mkdir(parents=True, exist_ok=True)
    record = _record(data)
    record.write_text(json.dumps(asdict(service)), encoding="utf-8")
    try:
        yield
    finally:
        if _read(record) == service:
            record.unlink(missing_ok=True)


def running() -> list[LocalService]:
    """List the services that say that they run, the latest first; one that was killed may be among them."""
    records = sorted(_data_home().glob(f"*.{_RECORD}"), key=_modified, reverse=True)
    found = (_read(record) for record in records)
    return [service for service in found if service is not None and _is_alive(service.process_id)]


def _data_home() -> Path:
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share") / "forcedphot" / "tap"


def _record(data: Path) -> Path:
    """Return the file that says where a service is; in one place for all, wherever their data are."""
    return _data_home() / f"{hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:12]}.{_RECORD}"


def _read(record: Path) -> LocalService | None:
    try:
        return LocalService(**json.loads(record.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # it ends just now, or is of another version
        return None


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
