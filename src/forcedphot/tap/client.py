"""get_tap_service: a client of a local service, in place of lsst.rsp's of Rubin's."""

import atexit
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, needs_extra
from .local_services import TAP, data_folder, normalize, running

if TYPE_CHECKING:
    from pyvo.dal import TAPService

URL_VARIABLES = ("FORCEDPHOT_TAP_URL", "EXTERNAL_TAP_URL")
"""Environment variables with the URL of a service, /tap included; the second is that of lsst.rsp, too."""

TOKEN_VARIABLE = "FORCEDPHOT_TAP_TOKEN"  # noqa: S105 - the name of it
_SECONDS_TO_START = 120.0
_SECONDS_TO_STOP = 10.0


def get_tap_service(
    name: str = "tap",
    *,
    url: str | None = None,
    repository: str | Path | None = None,
    start: bool = False,
    token: str | None = None,
) -> "TAPService":
    """Return a client of a TAP service.

    The service is that of the URL; else the one that runs on this machine for the repository; else that of the
    environment variable FORCEDPHOT_TAP_URL, or of EXTERNAL_TAP_URL, which lsst.rsp knows; else the one that
    ``forcedphot serve`` has started last on this machine.

    Parameters
    ----------
    name
        Only "tap": it is there so that programs written for lsst.rsp work.
    url
        As "http://127.0.0.1:8080/tap".
    repository
        What ``forcedphot serve`` serves: a folder, or a Butler's label.
    start
        Whether to start a service for the repository, if none runs. It ends with this process.
    token
        If the service asks for one; by default that of the environment variable FORCEDPHOT_TAP_TOKEN.

    Returns
    -------
    A pyvo.dal.TAPService.

    Raises
    ------
    ConfigurationError
        If there is no such service, or it does not start.
    MissingExtraError
        If pyvo is not installed.
    """
    if name != "tap":
        raise ConfigurationError(f"There is no service {name!r} here; there is 'tap'.")
    if start and repository is None:
        raise ConfigurationError("Say of which repository a service shall be started: repository=...")
    found = url or _find(repository, start=start)
    with needs_extra("service"):
        import requests
        from pyvo.dal import TAPService
    session = requests.Session()
    if token := token or os.environ.get(TOKEN_VARIABLE):
        session.headers["Authorization"] = f"Bearer {token}"
    return TAPService(found, session=session)


def _find(repository: str | Path | None, *, start: bool) -> str:
    services = running()
    if repository is not None:
        name = normalize(repository)
        urls = [service.url for service in services if service.repository == name]
        if not urls and not start:
            raise ConfigurationError(
                f"No service runs for {repository}; give start=True, or start one: forcedphot serve {repository}"
            )
        return (urls[0] if urls else _start(repository)) + TAP
    if found := next((os.environ[variable] for variable in URL_VARIABLES if os.environ.get(variable)), None):
        return found
    if not services:
        raise ConfigurationError(
            f"No service runs on this machine, and {URL_VARIABLES[0]} is not set; start one: forcedphot serve REPO"
        )
    return services[0].url + TAP


def _start(repository: str | Path) -> str:
    """Start a service in a process of its own, which ends when ours closes its standard input."""
    command = [sys.executable, "-c", "from forcedphot.cli import main; main()", "serve", str(repository)]
    command += ["--port", "0", "--data", str(data_folder(repository)), "--until-stdin-ends", "--quiet"]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors
        )
        atexit.register(_stop, process)
        deadline = time.monotonic() + _SECONDS_TO_START
        while process.poll() is None and time.monotonic() < deadline:
            if urls := [service.url for service in running() if service.process_id == process.pid]:
                return urls[0]
            time.sleep(0.05)
        _stop(process)
        errors.seek(0)
        said = " ".join(errors.read().split()) or f"it took more than {_SECONDS_TO_START:g} seconds"
    raise ConfigurationError(f"The service of {repository} did not start: {said}")


def _stop(process: "subprocess.Popen[Any]") -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    try:
        process.wait(_SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
