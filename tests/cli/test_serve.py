"""forcedphot serve: what it refuses before it serves, and a service that a program starts for itself."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from click.testing import Result

from forcedphot.errors import ConfigurationError
from forcedphot.survey import SimulatedSurvey
from forcedphot.tap import get_tap_service
from forcedphot.tap.local_services import LocalService, data_folder, normalize, registered, running

type Run = Callable[..., Result]

_TOKEN = "0123456789abcdef"  # noqa: S105
_PROGRAM = """
import sys
from forcedphot.tap import get_tap_service
service = get_tap_service("tap", repository=sys.argv[1], start=True)
same = get_tap_service("tap", repository=sys.argv[1], start=True)
assert same.baseurl == service.baseurl == get_tap_service().baseurl
print(len(service.search("SELECT visit FROM dp1.Visit").to_table()), service.baseurl)
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    for variable in ("FORCEDPHOT_TAP_URL", "EXTERNAL_TAP_URL", "FORCEDPHOT_TAP_TOKEN"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def repository(simulated: Callable[[str], SimulatedSurvey]) -> Path:
    return simulated("dp1").repository


@pytest.fixture
def empty_repository(tmp_path: Path) -> Path:
    from lsst.daf.butler import Butler

    Butler.makeRepo(str(tmp_path / "empty"))
    return tmp_path / "empty"


def test_what_is_no_repository_is_refused(run: Run, tmp_path: Path) -> None:
    message = run("serve", tmp_path / "nothing", "--port", 0, exit_code=2).stderr
    assert "is no Butler repository" in message


def test_a_repository_without_tables_and_images_is_refused(run: Run, empty_repository: Path) -> None:
    assert "has no tables" in run("serve", empty_repository, "--port", 0, exit_code=2).stderr


def test_an_unknown_collection_is_refused(run: Run, repository: Path) -> None:
    message = run("serve", repository, "--port", 0, "--collections", "u/nobody", exit_code=2).stderr
    assert "no collection 'u/nobody'; it has LSSTComCam/DP1" in message


def test_a_port_that_another_has_is_refused(run: Run, repository: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = run("serve", repository, "--port", port, exit_code=2).stderr
    assert f"127.0.0.1 port {port} cannot be listened at: another program has it; give another --port" in message


def test_behind_a_proxy_it_is_below_the_path_of_its_url_and_stops_soon(
    run: Run, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = []

    async def serve(self: uvicorn.Server, **_: object) -> None:
        configured.append((self.config.root_path, self.config.timeout_graceful_shutdown))

    monkeypatch.setattr(uvicorn.Server, "serve", serve)
    # whoever cannot write there can serve all the same
    (tmp_path / "home").write_text("a file")
    url = "https://example.org/survey"
    result = run("serve", repository, "--port", 0, "--url", url, "--no-token", "--data", tmp_path / "data")
    assert configured == [("/survey", 5)]
    assert f"TAP, for TOPCAT, stilts and pyvo:  {url}/tap" in result.stdout
    assert "warning: get_tap_service finds this service by its URL only" in result.stderr


@pytest.mark.parametrize("url", ["example.org", "ftp://example.org", "https://[", "https:///a", "http://a.org/?b"])
def test_a_url_that_is_none_is_refused(run: Run, repository: Path, url: str) -> None:
    assert "is no URL that clients can use" in run("serve", repository, "--url", url, exit_code=2).stderr


def test_a_folder_that_cannot_be_used_is_refused(run: Run, repository: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    message = run("serve", repository, "--port", 0, "--data", tmp_path / "file" / "data", exit_code=22).stderr
    assert "jobs cannot be kept in" in message


@pytest.mark.parametrize(
    "address",
    [("--host", "0.0.0.0"), ("--host", "192.0.2.1"), ("--url", "https://example.org")],  # noqa: S104
)
def test_other_machines_need_a_token(run: Run, repository: Path, address: tuple[str, str]) -> None:
    message = run("serve", repository, *address, exit_code=2).stderr
    assert "--token-file" in message
    assert "--no-token" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no tokens"),
        ("# nobody\n", "has no tokens"),
        ("me short\n", "line 1: expected a name and a token of at least 16"),
        (f"me {_TOKEN}\nyou {_TOKEN} more\n", "line 2"),
        (f"me {_TOKEN}\nyou {_TOKEN}\n", "line 2: the token of you is that of me"),
    ],
)
def test_tokens_that_are_none_are_refused(
    run: Run, repository: Path, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "tokens"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    assert message in run("serve", repository, "--token-file", path, exit_code=2).stderr


def test_a_token_file_that_is_no_text_is_refused(run: Run, repository: Path, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_bytes(b"me \xff\xfe")
    message = run("serve", repository, "--token-file", tmp_path / "tokens", exit_code=2).stderr
    assert "tokens cannot be read" in message


def test_tokens_that_others_can_read_are_warned_of(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"me {_TOKEN}\n", encoding="utf-8")
    path.chmod(0o644)
    message = run("serve", tmp_path / "nothing", "--port", 0, "--token-file", path, exit_code=2).stderr
    assert "warning: others can read the tokens" in message


def test_a_program_can_start_a_service_which_ends_with_it(repository: Path) -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _PROGRAM, str(repository)], capture_output=True, text=True, check=True, timeout=120
    )
    count, url = done.stdout.split()
    assert int(count) == 4
    assert running() == []
    host, port = url.removeprefix("http://").removesuffix("/tap").split(":")
    with pytest.raises(ConnectionRefusedError), socket.create_connection((host, int(port)), timeout=5):
        pass


def test_a_service_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"did not start: .*is no Butler repository"):
        get_tap_service(repository=tmp_path / "nothing", start=True)


@pytest.fixture
def two_services(tmp_path: Path) -> Iterator[list[LocalService]]:
    services = [
        LocalService(f"http://127.0.0.1:{port}", str(tmp_path / name), os.getpid())
        for port, name in ((1, "first"), (2, "second"))
    ]
    with registered(services[0], tmp_path / "a"), registered(services[1], tmp_path / "b"):
        os.utime(next((tmp_path / "home").rglob("*.json")))
        yield services


def test_the_service_is_found_by_what_it_serves(
    two_services: list[LocalService], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {service.url for service in running()} == {service.url for service in two_services}
    for service in two_services:
        assert get_tap_service(repository=service.repository).baseurl == f"{service.url}/tap"
    with pytest.raises(ConfigurationError, match=r"No service runs for .*third; give start=True"):
        get_tap_service(repository=tmp_path / "third")
    assert get_tap_service().baseurl == f"{running()[0].url}/tap"
    monkeypatch.setenv("EXTERNAL_TAP_URL", "http://elsewhere/tap")
    assert get_tap_service("tap").baseurl == "http://elsewhere/tap"
    monkeypatch.setenv("FORCEDPHOT_TAP_URL", "http://ours/tap")
    assert get_tap_service("tap").baseurl == "http://ours/tap"
    assert get_tap_service("tap", url="http://that/tap").baseurl == "http://that/tap"


def test_without_any_service_it_says_how_to_start_one() -> None:
    with pytest.raises(ConfigurationError, match="forcedphot serve REPO"):
        get_tap_service()
    with pytest.raises(ConfigurationError, match="There is no service 'ssotap' here"):
        get_tap_service("ssotap")
    with pytest.raises(ConfigurationError, match="of which repository"):
        get_tap_service(start=True)


def test_a_service_whose_process_is_gone_is_not_listed(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
    gone.wait()
    with registered(LocalService("http://127.0.0.1:1", "x", gone.pid), tmp_path):
        assert running() == []


def test_each_repository_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "survey").mkdir()
    monkeypatch.chdir(tmp_path)
    assert data_folder("survey") == data_folder(tmp_path / "survey")
    assert data_folder("survey") != data_folder("another")
    assert normalize("a/label") == "a/label"


def test_importing_the_client_loads_no_database_and_no_pyvo() -> None:
    script = "import forcedphot.tap, sys; print({'duckdb', 'pyvo', 'starlette', 'astropy'} & set(sys.modules))"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
