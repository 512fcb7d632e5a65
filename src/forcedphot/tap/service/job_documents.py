"""UWS's documents of jobs."""

from collections.abc import Iterable
from datetime import UTC, datetime

from .jobs import ERROR, Job
from .xml_text import attributes, content

_NAMESPACES = (
    'xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)


def written_time(time: datetime) -> str:
    """Write a time as UWS has it."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def jobs_document(jobs: Iterable[Job], url: str) -> bytes:
    """List jobs; ``url`` is that of the list."""
    listed = "".join(
        f"<uws:jobref{_named(id=job.id, href=f'{url}/{job.id}')}>\n{_element('phase', job.phase)}{_names(job)}"
        f"{_time('creationTime', job.created)}</uws:jobref>\n"
        for job in jobs
    )
    return _document("jobs", listed, ' version="1.1"')


def job_document(job: Job, url: str, quote: datetime | None) -> bytes:
    """Describe a job; ``url`` is its own."""
    parts = [
        _element("jobId", job.id),
        _names(job),
        _element("phase", job.phase),
        _time("quote", quote),
        _time("creationTime", job.created),
        _time("startTime", job.started),
        _time("endTime", job.ended),
        _element("executionDuration", str(job.duration)),
        _time("destruction", job.destruction),
        f"<uws:parameters>\n{_parameters(job)}</uws:parameters>\n",
        f"<uws:results>\n{_results(job, url)}</uws:results>\n",
    ]
    if job.phase == ERROR:
        kind = "fatal" if job.is_fatal else "transient"
        message = _element("message", job.error)
        parts.append(f'<uws:errorSummary type="{kind}" hasDetail="true">\n{message}</uws:errorSummary>\n')
    return _document("job", "".join(parts), ' version="1.1"')


def parameters_document(job: Job) -> bytes:
    """List a job's parameters."""
    return _document("parameters", _parameters(job))


def results_document(job: Job, url: str) -> bytes:
    """List a job's results; ``url`` is the job's."""
    return _document("results", _results(job, url))


def _document(name: str, inside: str, declared: str = "") -> bytes:
    header = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return f"{header}<uws:{name} {_NAMESPACES}{declared}>\n{inside}</uws:{name}>\n".encode()


def _named(**values: str) -> str:
    """Return an id and a link, as attributes."""
    href = attributes(**{"xlink:href": values["href"]})
    return f'{attributes(id=values["id"])} xlink:type="simple"{href}'


def _element(name: str, text: str) -> str:
    return f"<uws:{name}>{content(text)}</uws:{name}>\n"


def _time(name: str, time: datetime | None) -> str:
    return _element(name, written_time(time)) if time else f'<uws:{name} xsi:nil="true"/>\n'


def _names(job: Job) -> str:
    run_id = _element("runId", job.run_id) if job.run_id else ""
    return run_id + (_element("ownerId", job.owner) if job.owner else '<uws:ownerId xsi:nil="true"/>\n')


def _parameters(job: Job) -> str:
    return "".join(
        f"<uws:parameter{attributes(id=name)}>{content(value)}</uws:parameter>\n" for name, value in job.parameters
    )


def _results(job: Job, url: str) -> str:
    if not job.has_result:
        return ""
    known = {"size": str(job.n_bytes), "mime-type": job.media_type}
    return f"<uws:result{_named(id='result', href=f'{url}/results/result')}{attributes(**known)}/>\n"
