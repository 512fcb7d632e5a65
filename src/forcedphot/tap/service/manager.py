"""All jobs: they wait for their turn, run, are stopped, and are destroyed when their time has come."""

import asyncio
import contextlib
import fcntl
import logging
import os
import secrets
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.concurrency import run_in_threadpool

from ..engine import Cancellation
from ..errors import QueryError, QueryLimitError
from ..holdings import Holdings
from .errors import ServiceError
from .jobs import ABORTED, COMPLETED, ERROR, EXECUTING, QUEUED, Job
from .parameters import Parameters, tap_request
from .queries import answer
from .settings import ServiceSettings

_log = logging.getLogger(__name__)
_MOST_ATTEMPTS = 2
_SECONDS_BETWEEN_SWEEPS = 30.0


class JobManager:
    """Keeps and runs jobs; all methods but the threads' own are called in the event loop.

    Parameters
    ----------
    holdings
        What can be queried.
    settings
        Where jobs are kept, and their limits.
    """

    def __init__(self, holdings: Holdings, settings: ServiceSettings) -> None:
        self._holdings = holdings
        self._settings = settings
        self._folder = settings.data / "jobs"
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, tuple[asyncio.Task[None], Cancellation]] = {}
        self._slots = asyncio.Semaphore(settings.async_queries)
        self._stopping = False
        self._durations: list[float] = []

    @contextlib.asynccontextmanager
    async def lifespan(self) -> Any:
        """Take up the jobs of the folder, run them, and put them down at the end.

        Raises
        ------
        ServiceError
            If another service uses the folder, or it cannot be used.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            opened = (self._settings.data / "lock").open("w")
        except OSError as error:
            message = f"jobs cannot be kept in {self._settings.data}: {error.strerror}; give another folder"
            raise ServiceError(message) from error
        with opened as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                message = f"{self._settings.data} is in use by another service; give each a folder of its own"
                raise ServiceError(message) from None
            self._load()
            sweeping = asyncio.create_task(self._sweep())
            try:
                yield
            finally:
                sweeping.cancel()
                await self._stop()

    def listed(self, owner: str | None) -> list[Job]:
        """Return an owner's jobs, the latest first."""
        own = (job for job in self._jobs.values() if job.owner == owner)
        return sorted(own, key=lambda job: job.created, reverse=True)

    def get(self, job_id: str, owner: str | None) -> Job:
        """Return a job.

        Raises
        ------
        ServiceError
            If there is none of that name, or it is another's.
        """
        job = self._jobs.get(job_id)
        if job is None:
            raise ServiceError(f"there is no job {job_id[:80]}", 404)
        if job.owner != owner:
            raise ServiceError(f"the job {job.id} is not yours", 403)
        return job

    def create(self, parameters: Parameters, owner: str | None) -> Job:
        """Make a job that waits to be told to run.

        Raises
        ------
        ServiceError
            If there are too many, or no room for more.
        """
        if len(self._jobs) >= self._settings.max_jobs:
            raise ServiceError("there are too many jobs; delete some", 503, {"Retry-After": "60"})
        if self._is_disk_full():
            raise ServiceError("there is no room for more jobs; delete some", 503, {"Retry-After": "60"})
        now = datetime.now(UTC)
        job_id = secrets.token_hex(12)
        job = Job(
            job_id,
            self._folder / job_id,
            owner,
            created=now,
            destruction=now + timedelta(seconds=self._settings.retention),
            duration=self._settings.duration,
        )
        job.folder.mkdir()
        try:
            job.edit(parameters)
            job.save()
        except OSError:
            job.remove()
            raise
        self._jobs[job.id] = job
        return job

    def set_duration(self, job: Job, seconds: int) -> None:
        """Set how long a pending job may run; 0, and what is too long, become the longest."""
        longest = self._settings.max_duration
        job.duration = min(seconds, longest) if seconds > 0 else longest
        job.save()

    def set_destruction(self, job: Job, time: datetime) -> None:
        """Set when a job is destroyed; what is too late becomes the latest."""
        job.destruction = min(time, job.created + timedelta(seconds=self._settings.max_retention))
        job.save()

    def run(self, job: Job) -> None:
        """Queue a pending job."""
        self._enter(job, QUEUED)
        self._queue(job)

    def abort(self, job: Job) -> None:
        """Stop a job, if it has not ended."""
        if job.is_active:
            job.ended = datetime.now(UTC)
            self._enter(job, ABORTED)
        self._cancel(job)

    def delete(self, job: Job) -> None:
        """Stop a job, and forget it."""
        self._jobs.pop(job.id, None)
        # nothing is written, so that it works on a full disk
        if job.is_active:
            job.enter(ABORTED)
        self._cancel(job)
        job.remove()

    def _cancel(self, job: Job) -> None:
        if job.id in self._running:
            self._running[job.id][1].cancel("the job was aborted")

    def quote(self, job: Job) -> datetime | None:
        """Guess when a job will have ended, by the jobs that have; None if there were none, or it has ended."""
        if not job.is_active or not self._durations:
            return None
        typical = sum(self._durations) / len(self._durations)
        if job.phase == EXECUTING and job.started is not None:
            return max(datetime.now(UTC), job.started + timedelta(seconds=typical))
        ahead = sum(other.phase in (QUEUED, EXECUTING) for other in self._jobs.values() if other is not job)
        rounds = ahead // self._settings.async_queries + 1
        return datetime.now(UTC) + timedelta(seconds=rounds * typical)

    def _load(self) -> None:
        for folder in sorted(self._folder.iterdir()):
            try:
                job = Job.load(folder)
            except (ValueError, TypeError, KeyError, OSError):
                _log.warning("The record of job %s cannot be read; it is left alone.", folder.name)
                continue
            self._jobs[job.id] = job
            job.unfinished.unlink(missing_ok=True)
        for job in sorted(self._jobs.values(), key=lambda job: job.created):
            if job.phase == EXECUTING and job.attempts >= _MOST_ATTEMPTS:
                self._end(job, ERROR, f"the service stopped {job.attempts} times while the job ran")
            elif job.phase in (QUEUED, EXECUTING):
                # a query changes nothing, so that it can begin again
                self._enter(job, QUEUED)
                self._queue(job)

    def _queue(self, job: Job) -> None:
        cancellation = Cancellation()
        task = asyncio.create_task(self._work(job, cancellation))
        self._running[job.id] = task, cancellation
        task.add_done_callback(lambda _: self._running.pop(job.id, None))

    async def _work(self, job: Job, cancellation: Cancellation) -> None:
        async with self._slots:
            if job.phase != QUEUED or self._is_stopping():
                return
            job.started = datetime.now(UTC)
            job.attempts += 1
            self._enter(job, EXECUTING)
            phase, message, is_fatal = COMPLETED, "", True
            try:
                await run_in_threadpool(self._execute, job, cancellation)
            except (ServiceError, QueryError) as error:
                phase, message = ERROR, str(error)
            except QueryLimitError as error:
                phase, message, is_fatal = ERROR, str(error), False
            except Exception:  # noqa: BLE001 - whatever it is, the job must end
                _log.exception("Job %s failed.", job.id)
                phase, message = ERROR, "the service failed; its log says why"
            if job.id not in self._jobs:
                job.remove()  # what was written since it was deleted
            elif job.phase == EXECUTING:
                if self._is_stopping() and phase == ERROR:
                    job.attempts -= 1
                    self._enter(job, QUEUED)
                else:
                    self._end(job, phase, message, is_fatal)

    def _end(self, job: Job, phase: str, message: str = "", is_fatal: bool = True) -> None:
        job.error, job.is_fatal = message, is_fatal
        job.ended = datetime.now(UTC)
        if phase == COMPLETED and job.started is not None:
            self._durations = [*self._durations[-19:], (job.ended - job.started).total_seconds()]
        self._enter(job, phase)

    def _enter(self, job: Job, phase: str) -> None:
        """Change the phase of a job; it goes on where that cannot be written, as on a full disk."""
        job.enter(phase)
        try:
            job.save()
        except OSError as error:
            _log.error("That job %s is %s is lost with a restart: %s", job.id, phase, error)

    def _execute(self, job: Job, cancellation: Cancellation) -> None:
        """Run a job's query in a thread; its result is a file that is either whole or not there."""
        limits = replace(self._settings.async_limits, seconds=float(job.duration))
        job.n_bytes = 0
        try:
            request = tap_request(Parameters(job.parameters, job.read_uploads()))
            with (
                job.unfinished.open("wb") as file,
                contextlib.closing(answer(self._holdings, request, limits, cancellation)) as parts,
            ):
                for part in parts:
                    job.n_bytes += file.write(part)
                    if job.n_bytes > self._settings.max_result_bytes:
                        message = f"its result has more than {self._settings.max_result_bytes} bytes"
                        raise QueryLimitError(f"The query was stopped: {message}.")
                    if self._is_disk_full():
                        message = "there is no room for its result; delete others"
                        raise QueryLimitError(f"The query was stopped: {message}.")
            job.unfinished.replace(job.result)
        except OSError as error:
            if job.phase == ABORTED:
                return
            raise QueryLimitError(f"the job's files cannot be used: {os.strerror(error.errno or 0)}") from error
        finally:
            job.unfinished.unlink(missing_ok=True)
        job.media_type, job.extension = request.form.media_type, request.form.extension

    def _is_disk_full(self) -> bool:
        return shutil.disk_usage(self._folder).free < self._settings.least_free_bytes

    def _is_stopping(self) -> bool:
        return self._stopping

    async def _stop(self) -> None:
        self._stopping = True
        running = list(self._running.values())
        for _, cancellation in running:
            cancellation.cancel("the service stops")
        await asyncio.gather(*(task for task, _ in running), return_exceptions=True)

    async def _sweep(self) -> None:
        while True:
            now = datetime.now(UTC)
            for job in [job for job in self._jobs.values() if job.destruction <= now]:
                self.delete(job)
            await asyncio.sleep(_SECONDS_BETWEEN_SWEEPS)
