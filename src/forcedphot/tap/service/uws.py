"""/tap/async: the tree of resources that UWS has for jobs."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from .address import base_url
from .errors import VOTABLE_TYPE, ServiceError
from .job_documents import job_document, jobs_document, parameters_document, results_document, written_time
from .jobs import ERROR, PENDING, PHASES, Job
from .manager import JobManager
from .parameters import ParameterReader, Parameters
from .settings import ServiceSettings
from .votable import error_document

_XML = "text/xml"
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII)


def owner(request: Request) -> str | None:
    """Return the name of the one who asks; None if there are no tokens."""
    name: str | None = request.state.owner
    return name


class ResultUrls:
    """Finds results of jobs by their URLs, which UPLOAD may have: this service fetches nothing from elsewhere.

    Parameters
    ----------
    manager
        Of the jobs.
    settings
        Limits.
    """

    def __init__(self, manager: JobManager, settings: ServiceSettings) -> None:
        self._manager = manager
        self._settings = settings

    def document(self, request: Request, url: str) -> bytes:
        """Return the result at a URL.

        Raises
        ------
        ServiceError
            If the URL is of something else, or the result is too large.
        """
        job_id = re.fullmatch(re.escape(f"{base_url(request)}/tap/async/") + "([0-9a-f]+)/results/result", url)
        if job_id is None:
            message = f"this service fetches nothing from elsewhere, as {url[:80]}; it takes its own jobs' results"
            raise ServiceError(f"{message}, and tables that are sent with the request, as param:PART")
        job = self._manager.get(job_id[1], owner(request))
        if not job.has_result:
            raise ServiceError(f"the job {job.id} is {job.phase}; it has no result")
        if job.n_bytes > self._settings.max_upload_bytes:
            raise ServiceError(
                f"the result of {job.id} is larger than {self._settings.max_upload_bytes} bytes", 413
            )
        return job.result.read_bytes()


class JobResources:
    """Handlers of requests for jobs.

    Parameters
    ----------
    manager
        Of the jobs.
    settings
        Limits.
    reader
        Of parameters.
    """

    def __init__(self, manager: JobManager, settings: ServiceSettings, reader: ParameterReader) -> None:
        self._manager = manager
        self._settings = settings
        self._reader = reader

    def routes(self) -> list[BaseRoute]:
        """Return the routes below /tap."""
        both, get = ["GET", "POST"], ["GET"]
        job = "/async/{job_id}"
        return [
            Route("/async", self._list, methods=get),
            Route("/async", self._create, methods=["POST"]),
            Route(job, self._job, methods=["GET"]),
            Route(job, self._act, methods=["POST"]),
            Route(job, self._delete, methods=["DELETE"]),
            Route(f"{job}/phase", self._of_job(self._phase), methods=both),
            Route(f"{job}/executionduration", self._of_job(self._duration), methods=both),
            Route(f"{job}/destruction", self._of_job(self._destruction), methods=both),
            Route(f"{job}/quote", self._of_job(self._quote), methods=get),
            Route(f"{job}/owner", self._of_job(self._owner), methods=get),
            Route(f"{job}/error", self._of_job(self._error), methods=get),
            Route(f"{job}/parameters", self._of_job(self._parameters), methods=both),
            Route(f"{job}/results", self._of_job(self._results), methods=get),
            Route(f"{job}/results/result", self._of_job(self._result), methods=get),
        ]

    async def _list(self, request: Request) -> Response:
        asked = await self._reader.read(request)
        phases = {phase.upper() for phase in asked.all("PHASE")}
        if unknown := phases - PHASES:
            raise ServiceError(f"there is no phase {min(unknown)[:50]!r}; there are {', '.join(sorted(PHASES))}")
        after = asked.one("AFTER")
        since = read_time("AFTER", after) if after else None
        last = asked.whole_number("LAST", 1)
        jobs = [
            job
            for job in self._manager.listed(owner(request))
            if (not phases or job.phase in phases) and (since is None or job.created > since)
        ]
        return Response(jobs_document(jobs[:last], f"{base_url(request)}/tap/async"), media_type=_XML)

    async def _create(self, request: Request) -> Response:
        asked = await self._reader.read(request)
        phase = asked.one("PHASE")
        if phase is not None and phase.upper() != "RUN":
            raise ServiceError(f"PHASE of a new job can be RUN; it is {phase[:50]!r}")
        duration = asked.whole_number("EXECUTIONDURATION", 0)
        destruction = asked.one("DESTRUCTION")
        time = read_time("DESTRUCTION", destruction) if destruction else None
        job = self._manager.create(asked, owner(request))
        if duration is not None:
            self._manager.set_duration(job, duration)
        if time is not None:
            self._manager.set_destruction(job, time)
        if phase is not None:
            self._manager.run(job)
        return self._to(request, job)

    async def _job(self, request: Request) -> Response:
        asked = await self._reader.read(request)
        job = self._manager.get(request.path_params["job_id"], owner(request))
        seconds = asked.whole_number("WAIT", -1)
        phase = asked.one("PHASE")
        if seconds is not None and job.is_active and (phase is None or phase.upper() == job.phase):
            await self._wait(request, job, seconds)
        url = f"{base_url(request)}/tap/async/{job.id}"
        return Response(job_document(job, url, self._manager.quote(job)), media_type=_XML)

    async def _wait(self, request: Request, job: Job, seconds: int) -> None:
        """Wait until the job's phase changes, or the client goes away."""
        longest = self._settings.max_wait
        changed = asyncio.create_task(job.changed.wait())
        gone = asyncio.create_task(_gone(request))
        try:
            timeout = longest if seconds < 0 else min(seconds, longest)
            await asyncio.wait({changed, gone}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            gone.cancel()

    async def _act(self, request: Request) -> Response:
        asked = await self._reader.read(request)
        job = self._manager.get(request.path_params["job_id"], owner(request))
        action = asked.one("ACTION")
        if action is not None and action.upper() == "DELETE":
            self._manager.delete(job)
            return self._to(request, None)
        if action is not None:
            raise ServiceError(f"ACTION can be DELETE; it is {action[:50]!r}")
        if asked.one("PHASE") is not None:
            return self._change_phase(request, job, asked)
        self._edit(job, asked)
        return self._to(request, job)

    async def _delete(self, request: Request) -> Response:
        self._manager.delete(self._manager.get(request.path_params["job_id"], owner(request)))
        return self._to(request, None)

    def _of_job(
        self, handle: Callable[[Request, Job, Parameters], Response]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            # first, as the job may be deleted meanwhile
            asked = await self._reader.read(request)
            return handle(request, self._manager.get(request.path_params["job_id"], owner(request)), asked)

        return endpoint

    def _phase(self, request: Request, job: Job, asked: Parameters) -> Response:
        return (
            self._change_phase(request, job, asked) if request.method == "POST" else PlainTextResponse(job.phase)
        )

    def _change_phase(self, request: Request, job: Job, asked: Parameters) -> Response:
        phase = (asked.one("PHASE") or "").upper()
        if phase == "ABORT":
            self._manager.abort(job)
        elif phase != "RUN":
            raise ServiceError(f"PHASE can be RUN or ABORT; it is {phase[:50]!r}")
        elif job.phase != PENDING:
            raise ServiceError(f"the job is {job.phase}; only one that is PENDING can be run")
        else:
            self._manager.run(job)
        return self._to(request, job)

    def _duration(self, request: Request, job: Job, asked: Parameters) -> Response:
        if request.method == "POST":
            seconds = asked.whole_number("EXECUTIONDURATION", 0)
            if seconds is None:
                raise ServiceError("EXECUTIONDURATION is missing: expected seconds")
            self._refuse_begun(job)
            self._manager.set_duration(job, seconds)
            return self._to(request, job)
        return PlainTextResponse(str(job.duration))

    def _destruction(self, request: Request, job: Job, asked: Parameters) -> Response:
        if request.method == "POST":
            self._manager.set_destruction(job, read_time("DESTRUCTION", asked.one("DESTRUCTION") or ""))
            return self._to(request, job)
        return PlainTextResponse(written_time(job.destruction))

    def _quote(self, request: Request, job: Job, asked: Parameters) -> Response:  # noqa: ARG002
        quote = self._manager.quote(job)
        return PlainTextResponse(written_time(quote) if quote else "")

    def _owner(self, request: Request, job: Job, asked: Parameters) -> Response:  # noqa: ARG002
        return PlainTextResponse(job.owner or "")

    def _error(self, request: Request, job: Job, asked: Parameters) -> Response:  # noqa: ARG002
        if job.phase != ERROR:
            raise ServiceError(f"the job is {job.phase}; there is no error", 404)
        return Response(error_document(job.error), media_type=VOTABLE_TYPE)

    def _parameters(self, request: Request, job: Job, asked: Parameters) -> Response:
        if request.method == "POST":
            self._edit(job, asked)
            return self._to(request, job)
        return Response(parameters_document(job), media_type=_XML)

    def _results(self, request: Request, job: Job, asked: Parameters) -> Response:  # noqa: ARG002
        return Response(results_document(job, f"{base_url(request)}/tap/async/{job.id}"), media_type=_XML)

    def _result(self, request: Request, job: Job, asked: Parameters) -> Response:  # noqa: ARG002
        if not job.has_result:
            raise ServiceError(f"the job is {job.phase}; it has no result", 404)
        response = FileResponse(
            job.result,
            filename=f"{job.id}.{job.extension}",
            content_disposition_type="inline",
        )
        # as it was asked for: without the character set that would be put there for texts
        response.headers["Content-Type"] = job.media_type
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    def _edit(self, job: Job, asked: Parameters) -> None:
        self._refuse_begun(job)
        job.edit(asked)
        job.save()

    @staticmethod
    def _refuse_begun(job: Job) -> None:
        if job.phase != PENDING:
            raise ServiceError(f"the job is {job.phase}; only one that is PENDING can be changed")

    @staticmethod
    def _to(request: Request, job: Job | None) -> Response:
        """Send the client to a job, or to the list of jobs."""
        where = f"/{job.id}" if job else ""
        return RedirectResponse(f"{base_url(request)}/tap/async{where}", 303)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def read_time(name: str, text: str) -> datetime:
    """Read a time as DALI has it; without a zone it is UTC.

    Raises
    ------
    ServiceError
        If it is none.
    """
    wrong = ServiceError(f"{name} must be a time as 2027-01-31T12:00:00Z; it is {text[:50]!r}")
    if not _DATE.fullmatch(text.strip()):
        raise wrong
    try:
        time = datetime.fromisoformat(text.strip())
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise wrong from None
