"""The TAP service as an ASGI application."""

import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from ..errors import QueryError, QueryLimitError
from ..holdings import Holdings, HoldingsSnapshot
from . import vosi
from .access import TapAccess
from .address import base_url
from .body_limit import BodyLimit
from .capabilities import capabilities
from .errors import ServiceError, error_response
from .manager import JobManager
from .parameters import ParameterReader
from .settings import ServiceSettings
from .sync import SyncQueries
from .uws import JobResources, ResultUrls

_log = logging.getLogger(__name__)
_XML = "text/xml"


def create_app(holdings: Holdings, settings: ServiceSettings, page_routes: Sequence[BaseRoute] = ()) -> Starlette:
    """Make a service.

    Parameters
    ----------
    holdings
        What can be queried.
    settings
        Where jobs are kept, and what is allowed.
    page_routes
        Further routes, which find ``holdings``, ``settings`` and ``jobs`` in the application's state.

    Returns
    -------
    An application whose lifespan must be run, as servers do. One process may serve it.
    """
    # it would write a line for every damaged form
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    jobs = JobManager(holdings, settings)
    reader = ParameterReader(
        max(settings.sync_limits.upload_rows, settings.async_limits.upload_rows),
        ResultUrls(jobs, settings).document,
    )
    sync = SyncQueries(holdings, settings, reader)
    about = _About(holdings, settings)
    tap: list[BaseRoute] = [
        Route("/sync", sync.endpoint, methods=["GET", "POST"]),
        *JobResources(jobs, settings, reader).routes(),
        Route("/availability", about.availability),
        Route("/capabilities", about.capabilities),
        Route("/tables", about.tables),
        Route("/tables/{name:path}", about.table),
        Route("/examples", about.examples),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with jobs.lifespan():
            yield

    access = Middleware(TapAccess, tokens=settings.tokens)
    app = Starlette(
        routes=[Route("/tap", _to_page), Mount("/tap", routes=tap, middleware=[access]), *page_routes],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=list(settings.allowed_hosts), www_redirect=False),
            Middleware(BodyLimit, most_bytes=settings.max_upload_bytes),
        ],
        exception_handlers={
            ServiceError: _refused,
            QueryError: _refused,
            QueryLimitError: _refused,
            HTTPException: _http_error,
            OSError: _not_kept,
            ClientDisconnect: _gone,
            Exception: _failed,
        },
        lifespan=lifespan,
    )
    app.state.holdings, app.state.settings, app.state.jobs = holdings, settings, jobs
    return app


class _About:
    """What the service says of itself."""

    def __init__(self, holdings: Holdings, settings: ServiceSettings) -> None:
        self._holdings = holdings
        self._settings = settings
        self._since = datetime.now(UTC)

    async def availability(self, _: Request) -> Response:
        try:
            await self._snapshot()
        except Exception:  # noqa: BLE001 - that it is not available is what is asked for
            _log.exception("The tables cannot be found.")
            return Response(vosi.availability(self._since, False, "the tables cannot be found"), media_type=_XML)
        return Response(vosi.availability(self._since, True, ""), media_type=_XML)

    async def capabilities(self, request: Request) -> Response:
        document = capabilities(f"{base_url(request)}/tap", self._settings, await self._snapshot())
        return Response(document, media_type=_XML)

    async def tables(self, request: Request) -> Response:
        detail = request.query_params.get("detail", "max").lower()
        if detail not in ("min", "max"):
            raise ServiceError(f"detail can be min or max; it is {detail[:50]!r}")
        snapshot = await self._snapshot()
        document = await run_in_threadpool(vosi.tableset, snapshot, detail == "max")
        return Response(document, media_type=_XML)

    async def table(self, request: Request) -> Response:
        name = request.path_params["name"]
        document = vosi.one_table(await self._snapshot(), name)
        if document is None:
            raise ServiceError(f"there is no table {name[:100]!r}", 404)
        return Response(document, media_type=_XML)

    async def examples(self, _: Request) -> Response:
        examples = (await self._snapshot()).examples
        return Response(vosi.examples_page(examples), media_type="application/xhtml+xml")

    async def _snapshot(self) -> HoldingsSnapshot:
        return await run_in_threadpool(self._holdings.snapshot)


async def _to_page(request: Request) -> Response:
    return RedirectResponse(f"{base_url(request)}/", 303)


async def _refused(_: Request, error: Exception) -> Response:
    return error_response(error)


async def _not_kept(_: Request, error: Exception) -> Response:
    _log.error("A file cannot be read or written.", exc_info=error)
    return error_response(ServiceError("the service cannot use its files; its log says why", 503))


async def _gone(_: Request, error: Exception) -> Response:
    _log.info("A client went away while it was sending.", exc_info=error)
    return Response(status_code=400)


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    root = request.scope.get("app_root_path", request.scope.get("root_path", ""))
    if request.scope["path"].removeprefix(root).startswith("/tap/"):
        return error_response(ServiceError(error.detail, error.status_code, error.headers))
    return Response(error.detail, error.status_code, dict(error.headers or {}), "text/plain")


async def _failed(_: Request, error: Exception) -> Response:
    _log.error("A request failed.", exc_info=error)
    return error_response(ServiceError("the service failed; its log says why", 500))
