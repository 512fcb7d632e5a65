"""Queries whose result is the answer to the request; they stop when the client goes away."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from ..engine import Cancellation
from ..errors import QueryError, QueryLimitError
from ..holdings import Holdings
from .errors import ServiceError, error_response
from .parameters import ParameterReader, TapRequest, tap_request
from .queries import answer
from .settings import ServiceSettings

_log = logging.getLogger(__name__)
_SECONDS_TO_TAKE = 30.0
"""What a client has beyond the query's own time to take the rest of its result."""


class SyncQueries:
    """Answers /tap/sync.

    Parameters
    ----------
    holdings
        What can be queried.
    settings
        Limits.
    reader
        Of parameters.
    """

    def __init__(self, holdings: Holdings, settings: ServiceSettings, reader: ParameterReader) -> None:
        self.holdings = holdings
        self.settings = settings
        self._reader = reader
        self._slots = asyncio.Semaphore(settings.sync_queries)
        self._waiting = 0

    async def endpoint(self, request: Request) -> Response:
        """Answer a request."""
        return _Answer(self, tap_request(await self._reader.read(request)))

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until the query may run.

        Raises
        ------
        ServiceError
            If too many wait already, or the wait is too long.
        """
        busy = ServiceError("too many queries are running; try again", 503, {"Retry-After": "10"})
        if self._slots.locked() and self._waiting >= self.settings.sync_waiting:
            raise busy
        self._waiting += 1
        try:
            async with asyncio.timeout(self.settings.sync_wait_seconds):
                await self._slots.acquire()
        except TimeoutError:
            raise busy from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()


class _Answer(Response):
    """Runs a query while it is sent."""

    def __init__(self, queries: SyncQueries, request: TapRequest) -> None:
        super().__init__()
        self._queries = queries
        self._request = request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cancellation = Cancellation()
        watch = asyncio.create_task(_stop_when_gone(receive, cancellation))
        try:
            async with self._queries.turn():
                await self._run(send, cancellation)
        except (ServiceError, QueryError, QueryLimitError) as error:
            await error_response(error)(scope, receive, send)
        finally:
            watch.cancel()

    async def _run(self, send: Send, cancellation: Cancellation) -> None:
        """Send the result.

        Raises
        ------
        QueryError, QueryLimitError
            If there is none; nothing has been sent then.
        """
        limits = self._queries.settings.sync_limits
        parts = answer(self._queries.holdings, self._request, limits, cancellation, mark_errors=True)
        # a client that reads too slowly leaves its place to others
        deadline = asyncio.get_running_loop().time() + limits.seconds + _SECONDS_TO_TAKE

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout_at(deadline):
                await send(message)

        # this task may be cancelled while a thread makes the next part, when the service stops
        working = threading.Lock()

        def next_part() -> bytes:
            with working:
                return next(parts, b"")

        def close() -> None:
            with working:
                parts.close()

        has_begun = False
        try:
            part = await run_in_threadpool(next_part)
            has_begun = True
            await send_in_time({"type": "http.response.start", "status": 200, "headers": self._result_headers()})
            while part:
                await send_in_time({"type": "http.response.body", "body": part, "more_body": True})
                part = await run_in_threadpool(next_part)
            await send_in_time({"type": "http.response.body", "body": b"", "more_body": False})
        except (QueryError, QueryLimitError) as error:
            if not has_begun:
                raise
            # the format cannot tell it; that the end is missing does
            _log.warning("A result was cut short: %s", error)
        except OSError:
            _log.info("A client went away, or took its result too slowly.")
        finally:
            cancellation.cancel("its result is no longer wanted")
            await run_in_threadpool(close)

    def _result_headers(self) -> list[tuple[bytes, bytes]]:
        form = self._request.form
        disposition = f'inline; filename="result.{form.extension}"'
        return [
            (b"content-type", form.media_type.encode()),
            (b"content-disposition", disposition.encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]


async def _stop_when_gone(receive: Receive, cancellation: Cancellation) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    cancellation.cancel("the client has gone")
