"""forcedphot serve: the tables and images of a Butler repository, for TAP clients and browsers."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import stat
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from ..errors import ConfigurationError, needs_extra
from .command import Command, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import uvicorn
    from starlette.types import Receive, Scope, Send

    from ..tap.holdings import HoldingsSnapshot
    from ..tap.local_services import LocalService

_SHORTEST_TOKEN = 16
_SECONDS_TO_END = 5
"""What requests have to end when the service is stopped."""


@click.command(
    "serve",
    cls=Command,
    epilog="\b\nExamples:\n"
    "  forcedphot serve surveys/dp1\n"
    "  forcedphot serve dp1 --port 8081 --collections u/me/forced,LSSTComCam/DP1\n"
    "  forcedphot serve surveys/dp1 --host 0.0.0.0 --token-file tokens.txt",
)
@click.argument("repository", metavar="REPO")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0 for all.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port to listen at; 0 for any that is free.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where jobs, their results and indexed copies of large tables are kept."
    "  [default: a folder for each repository in the user's own]",
)
@click.option(
    "--collections",
    metavar="NAME[,NAME...]",
    help="Collections to look in, the first that has something first.  [default: all]",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Who may ask: a line for each, NAME TOKEN.",
)
@click.option("--no-token", is_flag=True, help="Serve whoever reaches the address, also from other machines.")
@click.option(
    "--url",
    metavar="URL",
    help="What clients call the service, if it is behind a proxy; one that takes the path of the URL away.",
)
@click.option("--until-stdin-ends", is_flag=True, hidden=True, help="Stop when standard input ends.")
def command(
    repository: str,
    host: str,
    port: int,
    data: Path | None,
    collections: str | None,
    token_file: Path | None,
    no_token: bool,
    url: str | None,
    until_stdin_ends: bool,
) -> None:
    """Answer queries on the tables and images of the Butler repository REPO.

    REPO is a folder, or what Butler(...) takes. Clients are pyvo, TOPCAT, stilts and the like (TAP 1.1), and
    browsers. Files are read where they are, and never changed; what pipelines add is seen by itself.
    """
    if url is not None and not _is_url(url):
        raise ConfigurationError(
            f"--url {url} is no URL that clients can use; expected one as https://example.org/survey."
        )
    tokens = {} if token_file is None else _read_tokens(token_file)
    from ..tap.service.settings import LOOPBACK, ServiceSettings

    is_local = host in LOOPBACK
    # by a proxy, which has an address of its own
    is_reached = not is_local or (url is not None and urlsplit(url).hostname not in LOOPBACK)
    if is_reached and not tokens and not no_token:
        raise ConfigurationError(
            f"{url or host} can be reached from other machines: say who may ask with --token-file, "
            "or that everybody may with --no-token."
        )
    if is_reached and not tokens:
        click.echo("warning: everybody who reaches this machine can read the repository", err=True)
    with needs_extra("service"):
        import uvicorn
        from starlette.responses import PlainTextResponse

        from ..tap.page.routes import page_routes
        from ..tap.repository.files import FILES, file_routes
        from ..tap.service.app import create_app
    from ..tap.local_services import LocalService, data_folder, normalize
    from ..tap.repository.holdings import RepositoryHoldings

    data = data_folder(repository) if data is None else data
    with _listen(host, port) as listening:
        name = socket.getfqdn() if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared only
        name = f"[{name}]" if ":" in name else name
        base_url = (url or f"http://{name}:{listening.getsockname()[1]}").rstrip("/")
        chosen = [part.strip() for part in (collections or "").split(",") if part.strip()]
        holdings = RepositoryHoldings(repository, f"{base_url}{FILES}", chosen, data / "index")
        snapshot = holdings.snapshot()
        _check(repository, snapshot)
        hosts = (*LOOPBACK, urlsplit(base_url).hostname or "") if is_local else ("*",)
        settings = ServiceSettings(data, base_url=url, tokens=tokens, allowed_hosts=hosts)
        app = create_app(holdings, settings, [*page_routes(), *file_routes(holdings)])

        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await app(scope, receive, send)
            except asyncio.CancelledError:
                # the service stops, and this has taken too long; what has begun to be sent just ends
                with contextlib.suppress(RuntimeError):
                    await PlainTextResponse("The service stops.", 503)(scope, receive, send)

        server = uvicorn.Server(
            uvicorn.Config(
                handle,
                log_level="warning",
                access_log=False,
                lifespan="off",
                ws="none",
                root_path=urlsplit(base_url).path,
                timeout_graceful_shutdown=_SECONDS_TO_END,
            )
        )
        if until_stdin_ends:
            threading.Thread(target=_stop_at_end_of_stdin, args=[server], daemon=True).start()

        async def serve() -> None:
            # by ourselves, so that an error in it is one for the command line
            async with app.router.lifespan_context(app):
                with _found_by_others(LocalService(base_url, normalize(repository), os.getpid()), data):
                    holdings.make_copies()
                    _announce(base_url, snapshot)
                    with _stopped_by_signals(server):
                        await server.serve(sockets=[listening])

        asyncio.run(serve())


@contextlib.contextmanager
def _found_by_others(service: LocalService, data: Path) -> Iterator[None]:
    """Have `get_tap_service` find a service, if the user's own folder can be written to."""
    from ..tap.local_services import registered

    with contextlib.ExitStack() as until_the_end:
        try:
            until_the_end.enter_context(registered(service, data))
        except OSError as error:
            click.echo(f"warning: get_tap_service finds this service by its URL only: {error}", err=True)
        yield


@contextlib.contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Have the server put all away when it is told to stop, and end well."""
    # the server would send the signal to itself again in the end, before all is put away
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment]
    before = {number: signal.signal(number, server.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    is_web = parts.scheme in ("http", "https") and bool(parts.hostname)
    return is_web and text.isascii() and not (parts.query or parts.fragment)


def _read_tokens(path: Path) -> Mapping[str, str]:
    """Read names by token, and warn if others can read them, too."""
    tokens: dict[str, str] = {}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, token = line.strip().partition(" ")
        token = token.strip()
        if len(token) < _SHORTEST_TOKEN or not token.isascii() or " " in token:
            raise ConfigurationError(
                f"{path}, line {number}: expected a name and a token of at least {_SHORTEST_TOKEN} letters and "
                "digits, with a space between."
            )
        if token in tokens:
            raise ConfigurationError(f"{path}, line {number}: the token of {name} is that of {tokens[token]}.")
        tokens[token] = name
    if not tokens:
        raise ConfigurationError(f"{path} has no tokens: a line for each, NAME TOKEN.")
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        click.echo(f"warning: others can read the tokens in {path}; chmod 600 prevents it", err=True)
    return tokens


def _listen(host: str, port: int) -> socket.socket:
    """Take the port, so that it is known before anything is read whether it is free."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        hint = "another program has it; give another --port" if error.errno == errno.EADDRINUSE else error.strerror
        raise ConfigurationError(f"{host} port {port} cannot be listened at: {hint}.") from error


def _check(repository: str, snapshot: HoldingsSnapshot) -> None:
    if all(table.source.data is not None for schema in snapshot.schemas for table in schema.tables):
        images = snapshot.engine.tables["ivoa.obscore"].data
        if images is None or not images.num_rows:
            raise ConfigurationError(
                f"{repository} has no tables in Parquet files, and no images; give --collections that have."
            )


def _announce(base_url: str, snapshot: HoldingsSnapshot) -> None:
    for schema in snapshot.schemas:
        names = [table.source.name.partition(".")[2] for table in schema.tables]
        say(f"{schema.name}: {', '.join(names)}")
    say("")
    say(f"Page for browsers:  {base_url}/")
    say(f"TAP, for TOPCAT, stilts and pyvo:  {base_url}/tap")
    say("In Python:")
    say("  from forcedphot.tap import get_tap_service")
    say("  service = get_tap_service()")
    if snapshot.examples:
        query = " ".join(snapshot.examples[0].query.split())
        say(f'  service.search("""{query}""").to_table()')
    say("Ctrl-C stops it.")


def _stop_at_end_of_stdin(server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True
