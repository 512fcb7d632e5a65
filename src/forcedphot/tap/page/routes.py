"""The page's routes: each answers with a whole page, of which the script takes the part that has changed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from ..dialect import MAX_CHARACTERS
from ..engine import Cancellation
from ..errors import QueryError, QueryLimitError
from ..holdings import HoldingsSnapshot
from ..identifiers import delimited
from ..service.access import comes_from_elsewhere
from . import access, browsing, plots
from .cells import ROWS_PER_PAGE, cells, is_number
from .jobs import list_jobs
from .kept_results import MAX_ROWS, KeptResult, KeptResults, run
from .mistakes import Mistake, find_mistake
from .plots import PlotChoice

_HERE = Path(__file__).parent
_MOST_AT_ONCE = 2
_SECONDS_BETWEEN_LOOKS = 0.5
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    # with none at all, browsers hide from us, too, where a form comes from
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_PLOT_HEADERS = {
    **_HEADERS,
    "Cache-Control": "private, max-age=600",
    # for one who opens it by itself
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
}
_FORMATS = {"votable": "VOTable", "csv": "CSV", "fits": "FITS", "parquet": "Parquet"}
"""Formats of results that the page offers: the service's names, and what is written on the buttons."""


def page_routes() -> list[BaseRoute]:
    """Return the page's routes, for an application whose state has ``holdings``, ``settings`` and ``jobs``."""
    page = _Page()
    return [
        Route("/", page.home, name="page"),
        Route("/tables", page.tables),
        Route("/tables/{name}", page.table),
        Route("/query", page.query, methods=["POST"]),
        Route("/results/{name}", page.result),
        Route("/results/{name}/plot.svg", page.plot),
        Route("/jobs", page.jobs),
        Mount("/page", StaticFiles(directory=_HERE / "static")),
    ]


class _Page:
    """The endpoints, and the results that they keep."""

    def __init__(self) -> None:
        self._results = KeptResults()
        self._turns = asyncio.Semaphore(_MOST_AT_ONCE)
        # those that wait hold no thread that queries need
        self._drawing = asyncio.Semaphore(1)
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["delimited"] = delimited

    async def home(self, request: Request) -> Response:
        """Show tables, and a query to begin with."""
        return await self._query_page(request, query=request.query_params.get("query", ""))

    async def tables(self, request: Request) -> Response:
        """Show the tables and columns that a search finds; all tables without one."""
        text = request.query_params.get("search", "")[:200]
        snapshot = await self._snapshot(request)
        found = browsing.search(snapshot, text) if snapshot and text.strip() else None
        return self._render(request, "tables.html", snapshot=snapshot, search=text, found=found, table=None)

    async def table(self, request: Request) -> Response:
        """Show the columns of a table."""
        snapshot = await self._snapshot(request)
        table = browsing.find_table(snapshot, request.path_params["name"]) if snapshot else None
        status = 200 if table or not snapshot else 404
        return self._render(request, "tables.html", status, snapshot=snapshot, search="", found=None, table=table)

    async def query(self, request: Request) -> Response:
        """Run a query, and lead to its result."""
        if comes_from_elsewhere(request):
            return await self._query_page(request, 403, mistake=Mistake("this form belongs to another site"))
        async with request.form(max_files=0, max_fields=10, max_part_size=1_000_000) as form:
            typed, text = (str(form.get(name, "")) for name in ("token", "query"))
        query = text.replace("\r\n", "\n")
        if not access.is_allowed(request, typed):
            mistake = Mistake("this service asks for a token, and this is none of its tokens")
            return await self._query_page(request, 401, query=query[:MAX_CHARACTERS], mistake=mistake)
        try:
            result = await self._run(request, query)
        except (QueryError, QueryLimitError) as error:
            shown = query[:MAX_CHARACTERS]
            return await self._query_page(request, 400, query=shown, mistake=find_mistake(query, error))
        return RedirectResponse(f"{_root(request)}/results/{self._results.add(result)}", 303, _HEADERS)

    async def result(self, request: Request) -> Response:
        """Show a part of a result's rows, and a plot of them."""
        name = request.path_params["name"]
        kept = self._results.get(name)
        if kept is None:
            mistake = Mistake("this result is no longer kept; run the query again")
            return await self._query_page(request, 404, mistake=mistake)
        pages = max(1, -(-kept.rows.num_rows // ROWS_PER_PAGE))
        asked = request.query_params.get("page", "1")
        page = min(int(asked), pages) if asked.isdecimal() and len(asked) < 9 else 1
        choice = _choice(request, kept)
        shown = {
            "name": name,
            "kept": kept,
            "page": max(1, page),
            "pages": pages,
            "first_row": (max(1, page) - 1) * ROWS_PER_PAGE + 1,
            "rows": cells(kept, max(1, page)),
            "numbers": [is_number(item.type) for item in kept.rows.schema],
            "plottable": plots.plottable(kept),
            "choice": choice,
            "plot_query": urlencode(_fields(choice)) if choice else "",
        }
        return await self._query_page(request, query=kept.query, result=shown)

    async def plot(self, request: Request) -> Response:
        """Draw a plot of a result."""
        kept = self._results.get(request.path_params["name"])
        choice = _choice(request, kept) if kept else None
        if kept is None or choice is None:
            return Response("no such plot", 404, _HEADERS, "text/plain")
        async with self._drawing:
            drawing = await run_in_threadpool(kept.plot, choice, lambda: plots.draw(kept, choice))
        return Response(drawing, headers=_PLOT_HEADERS, media_type="image/svg+xml")

    async def jobs(self, request: Request) -> Response:
        """List the jobs of the one who asks."""
        allowed = access.is_allowed(request)
        jobs = list_jobs(request) if allowed else []
        return self._render(request, "jobs.html", 200 if allowed else 401, jobs=jobs)

    async def _snapshot(self, request: Request) -> HoldingsSnapshot | None:
        """Return what there is, if the one who asks may see it."""
        if not access.is_allowed(request):
            return None
        snapshot: HoldingsSnapshot = await run_in_threadpool(request.app.state.holdings.snapshot)
        return snapshot

    async def _run(self, request: Request, query: str) -> KeptResult:
        cancellation = Cancellation()
        engine = (await run_in_threadpool(request.app.state.holdings.snapshot)).engine
        settings = request.app.state.settings
        try:
            async with asyncio.timeout(settings.sync_wait_seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise QueryLimitError("Too many queries are running; try again.") from None
        try:
            async with _stopped_with(request, cancellation):
                return await run_in_threadpool(run, engine, query, cancellation, settings.sync_limits)
        finally:
            self._turns.release()

    async def _query_page(
        self,
        request: Request,
        status: int = 200,
        *,
        query: str = "",
        mistake: Mistake | None = None,
        result: dict[str, Any] | None = None,
    ) -> Response:
        snapshot = await self._snapshot(request)
        return self._render(
            request,
            "query.html",
            status,
            snapshot=snapshot,
            query=query or (snapshot.examples[0].query if snapshot and snapshot.examples else ""),
            mistake=mistake,
            result=result,
            formats=_FORMATS,
            max_rows=MAX_ROWS,
            search="",
            found=None,
            table=None,
        )

    def _render(self, request: Request, template: str, status: int = 200, **known: Any) -> Response:
        known |= {"root": _root(request), "needs_token": access.needs_token(request)}
        return HTMLResponse(self._templates.get_template(template).render(known), status, _HEADERS)


@contextlib.asynccontextmanager
async def _stopped_with(request: Request, cancellation: Cancellation) -> AsyncIterator[None]:
    """Stop a query when the one who asked goes away, or the service stops."""

    async def watch() -> None:
        while not await request.is_disconnected():
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
        cancellation.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()
        # for when the service stops; a query that has ended does not mind
        cancellation.cancel()


def _root(request: Request) -> str:
    """Return the path that the application is reached under, without a slash at its end."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def _choice(request: Request, kept: KeptResult) -> PlotChoice | None:
    """Read what is to be plotted; where the request does not say, or names no such columns, choose."""
    asked = request.query_params
    known = {column.name for column in plots.plottable(kept)}
    x, y = asked.get("x", ""), asked.get("y", "")
    first = plots.first_choice(kept)
    is_dark = "dark" in asked
    if first is None or x not in known or (y and y not in known):
        return first and PlotChoice(first.x, first.y, first.is_sky, first.flip_x, first.flip_y, is_dark)
    return PlotChoice(x, y, bool(y) and "sky" in asked, "flip_x" in asked, "flip_y" in asked, is_dark)


def _fields(choice: PlotChoice) -> dict[str, str]:
    flags = {"sky": choice.is_sky, "flip_x": choice.flip_x, "flip_y": choice.flip_y}
    return {"x": choice.x, "y": choice.y, **{name: "1" for name, value in flags.items() if value}}
