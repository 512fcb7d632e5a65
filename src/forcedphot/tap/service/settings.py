"""What a service allows, and where it keeps jobs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..engine import Limits

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
"""Names by which a request can call a service that only this machine reaches."""


@dataclass(frozen=True)
class ServiceSettings:
    """What a service allows, and where it keeps jobs.

    Parameters
    ----------
    data
        Folder of jobs and their results; made if it does not exist. No other service may use it.
    base_url
        URL of the service as clients see it, without /tap; that of each request if there is none.
    sync_limits
        Limits of a query on /tap/sync.
    async_limits
        Limits of a job; its time is the job's own execution duration.
    sync_queries, async_queries
        How many of each run at once.
    sync_waiting
        How many more requests to /tap/sync may wait for their turn; others are told to come back.
    sync_wait_seconds
        How long they wait at most.
    max_upload_bytes
        Of all that a request brings.
    max_jobs
        Jobs that are kept; more are refused until some are deleted or destroyed.
    max_result_bytes
        Of one job.
    least_free_bytes
        That jobs leave to others on the disk of ``data``.
    duration, max_duration
        Seconds that a job may run: if it does not say, and at most.
    retention, max_retention
        Seconds that a job is kept: if it does not say, and at most.
    max_wait
        Seconds that a request for a job may wait for its phase to change.
    tokens
        Owner's name by bearer token; if there are any, nobody else is served.
    allowed_hosts
        Names of this machine that requests may use, "*" for any: pages of other sites cannot ask in the name of
        a browser's user who may.
    """

    data: Path
    base_url: str | None = None
    sync_limits: Limits = field(default_factory=lambda: Limits(seconds=60.0, memory_mib=1024))
    async_limits: Limits = field(default_factory=lambda: Limits(memory_mib=2048, rows=10_000_000))
    sync_queries: int = 4
    async_queries: int = 2
    sync_waiting: int = 200
    sync_wait_seconds: float = 30.0
    max_upload_bytes: int = 64 * 1024 * 1024
    max_jobs: int = 1000
    max_result_bytes: int = 8 * 1024**3
    least_free_bytes: int = 1024**3
    duration: int = 600
    max_duration: int = 4 * 3600
    retention: int = 7 * 86400
    max_retention: int = 30 * 86400
    max_wait: int = 60
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    allowed_hosts: tuple[str, ...] = LOOPBACK
