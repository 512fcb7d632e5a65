"""Jobs: what is known of each, kept in a folder of its own so that it survives the service."""

import asyncio
import json
import secrets
import shutil
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Self

import pyarrow as pa

from .parameters import Parameters

PENDING, QUEUED, EXECUTING = "PENDING", "QUEUED", "EXECUTING"
COMPLETED, ERROR, ABORTED = "COMPLETED", "ERROR", "ABORTED"
ACTIVE = frozenset({PENDING, QUEUED, EXECUTING})
"""Phases that a job leaves by itself, or when it is told to."""

PHASES = frozenset({*ACTIVE, COMPLETED, ERROR, ABORTED, "HELD", "SUSPENDED", "UNKNOWN", "ARCHIVED"})

CONTROLS = frozenset({"PHASE", "ACTION", "EXECUTIONDURATION", "DESTRUCTION", "WAIT"})
"""Parameters that say what is to be done with a job; they are none of its query."""

_RECORD = "job.json"
_TIMES = ("created", "destruction", "started", "ended")


@dataclass
class Job:
    """A query that runs while nobody waits.

    Parameters
    ----------
    id
        Random, so that nobody guesses it.
    folder
        Of its record, its uploads and its result.
    owner
        Name of the one whose token made it; None if there are no tokens.
    created, destruction
        UTC.
    duration
        Seconds that it may run.
    parameters
        Names in upper case, and values.
    uploads
        Names of the tables that came with it, and of their files.
    phase
        As UWS names it.
    started, ended
        UTC, once it has.
    attempts
        How often it has begun to run.
    error
        What is wrong, if it is in phase ERROR.
    is_fatal
        Whether the same query would end in the same error.
    media_type, extension, n_bytes
        Of the result, once there is one.
    """

    id: str
    folder: Path
    owner: str | None
    created: datetime
    destruction: datetime
    duration: int
    parameters: list[tuple[str, str]] = field(default_factory=list)
    uploads: dict[str, str] = field(default_factory=dict)
    phase: str = PENDING
    started: datetime | None = None
    ended: datetime | None = None
    attempts: int = 0
    error: str = ""
    is_fatal: bool = True
    media_type: str = ""
    extension: str = ""
    n_bytes: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False, compare=False)

    @property
    def run_id(self) -> str | None:
        """What the client calls it."""
        return next((value for name, value in self.parameters if name == "RUNID"), None)

    @property
    def result(self) -> Path:
        """File of the result."""
        return self.folder / "result"

    @property
    def unfinished(self) -> Path:
        """File of the result while it is written."""
        return self.folder / "result.new"

    @property
    def is_active(self) -> bool:
        """Whether it can still change by itself, or when it is told to run."""
        return self.phase in ACTIVE

    @property
    def has_result(self) -> bool:
        """Whether there is a result to fetch."""
        return self.phase == COMPLETED and self.result.exists()

    def edit(self, parameters: Parameters) -> None:
        """Put parameters, and the tables that came with them, for those of the same name."""
        names = {name for name, _ in parameters.values}
        kept = [(name, value) for name, value in self.parameters if name not in names]
        self.parameters = [*kept, *((name, value) for name, value in parameters.values if name not in CONTROLS)]
        if "UPLOAD" in names:
            for file in self.uploads.values():
                (self.folder / file).unlink(missing_ok=True)
            self.uploads = {}
        for name, table in parameters.uploads.items():
            file = f"upload_{secrets.token_hex(8)}.arrow"
            with pa.OSFile(str(self.folder / file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
            self.uploads[name] = file

    def enter(self, phase: str) -> None:
        """Change the phase, and wake those who wait for that."""
        self.phase = phase
        waiting, self.changed = self.changed, asyncio.Event()
        waiting.set()

    def save(self) -> None:
        """Write the record, so that a crash leaves either the old one or the new one."""
        kept = (item.name for item in fields(self) if item.init and item.name != "folder")
        record = {name: getattr(self, name) for name in kept}
        for name in _TIMES:
            record[name] = record[name].isoformat() if record[name] else None
        new = self.folder / f"{_RECORD}.new"
        new.write_text(json.dumps(record, indent=1), encoding="utf-8")
        new.replace(self.folder / _RECORD)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a record.

        Raises
        ------
        ValueError, TypeError, KeyError, OSError
            If there is none, or it is damaged.
        """
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        for name in _TIMES:
            record[name] = datetime.fromisoformat(record[name]) if record[name] else None
        record["parameters"] = [(name, value) for name, value in record["parameters"]]
        return cls(folder=folder, **record)

    def read_uploads(self) -> dict[str, pa.Table]:
        """Return the tables that came with the job."""
        tables = {}
        for name, file in self.uploads.items():
            with pa.OSFile(str(self.folder / file), "rb") as source:
                tables[name] = pa.ipc.open_file(source).read_all()
        return tables

    def remove(self) -> None:
        """Remove all files."""
        shutil.rmtree(self.folder, ignore_errors=True)
