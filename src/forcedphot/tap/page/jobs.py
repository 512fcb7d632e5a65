"""The jobs of the one who asks, as the page lists them."""

from typing import TYPE_CHECKING, NamedTuple

from starlette.requests import Request

from ..service.jobs import EXECUTING, QUEUED
from .access import owner

if TYPE_CHECKING:
    from ..service.manager import JobManager

MAX_JOBS = 100
_MAX_CHARACTERS = 300


class ListedJob(NamedTuple):
    """A job as the page shows it.

    Parameters
    ----------
    created
        UTC.
    query
        Its beginning.
    error
        What is wrong, if there is an error.
    """

    id: str
    phase: str
    created: str
    query: str
    error: str

    @property
    def is_active(self) -> bool:
        """Whether its phase will change by itself."""
        return self.phase in (QUEUED, EXECUTING)


def list_jobs(request: Request) -> list[ListedJob]:
    """List jobs, the latest first."""
    manager: JobManager = request.app.state.jobs
    return [
        ListedJob(
            job.id,
            job.phase,
            f"{job.created:%Y-%m-%d %H:%M:%S}",
            next((value for name, value in job.parameters if name == "QUERY"), "")[:_MAX_CHARACTERS],
            job.error[:_MAX_CHARACTERS],
        )
        for job in manager.listed(owner(request))[:MAX_JOBS]
    ]
