"""/tap/sync: parameters, limits, errors, and clients that go away."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Generator
from urllib.parse import urlencode

import anyio
import pytest
from starlette.applications import Starlette
from starlette.types import Message

from forcedphot.tap.engine import Cancellation, Limits
from forcedphot.tap.errors import QueryError
from forcedphot.tap.service import sync

from .conftest import BASE, FOREVER, N_ROWS, TestClient

Serve = Callable[..., contextlib.AbstractContextManager[TestClient]]
COUNT = "SELECT COUNT(*) AS n FROM dp1.Object"


@pytest.mark.parametrize("name", ["query", "QUERY", "Query"])
def test_a_query_is_answered_by_get_and_by_post(client: TestClient, name: str) -> None:
    asked = {name: COUNT, "format": "csv", "LANG": "ADQL-2.0", "request": "doQuery", "unknown": "x"}
    answers = [
        client.get("/tap/sync", params=asked),
        client.post("/tap/sync", data=asked),
        client.post("/tap/sync", data=asked, files={"nothing": b""}),
    ]
    for answer in answers:
        assert (answer.status_code, answer.text) == (200, f"n\n{N_ROWS}\n")
        assert answer.headers["content-type"] == "text/csv;header=present"


def test_rows_are_cut_off_at_maxrec(client: TestClient) -> None:
    def ask(**further: str) -> str:
        asked = {"QUERY": "SELECT objectId FROM dp1.Object", "RESPONSEFORMAT": "votable/td", **further}
        return str(client.get("/tap/sync", params=asked).text)

    assert ask(MAXREC="3").count("<TR>") == 3
    assert 'value="OVERFLOW"' in ask(MAXREC="3")
    assert ask(MAXREC="0").count("<TR>") == 0
    assert "<FIELD" in ask(MAXREC="0")
    assert ask().count("<TR>") == N_ROWS
    assert 'value="OVERFLOW"' not in ask()


@pytest.mark.parametrize(
    ("asked", "status", "message"),
    [
        ({"QUERY": "SELECT nothing FROM dp1.Object"}, 400, "line 1, column 8: there is no column 'nothing'"),
        ({"QUERY": ""}, 400, "QUERY is missing"),
        ({}, 400, "QUERY is missing"),
        ({"QUERY": "DROP TABLE dp1.Object"}, 400, "line 1, column 1"),
        ({"QUERY": COUNT, "LANG": "PQL"}, 400, "LANG can be ADQL"),
        ({"QUERY": COUNT, "REQUEST": "getCapabilities"}, 400, "REQUEST can be doQuery"),
        ({"QUERY": COUNT, "MAXREC": "-1"}, 400, "MAXREC must be a whole number, 0 or more"),
        ({"QUERY": COUNT, "MAXREC": "\u0663"}, 400, "MAXREC must be a whole number"),
        ({"QUERY": COUNT, "FORMAT": "application/json"}, 400, "there is no format"),
        ({"QUERY": [COUNT, "SELECT 1 AS n FROM dp1.Object"]}, 400, "QUERY is given 2 times"),
        ({"QUERY": COUNT, "UPLOAD": "t,http://127.0.0.1/secret"}, 400, "fetches nothing from elsewhere"),
        ({"QUERY": COUNT, "UPLOAD": "t,file:///etc/passwd"}, 400, "fetches nothing from elsewhere"),
        ({"QUERY": COUNT, "UPLOAD": "t,param:part"}, 400, "the request has no part &#x27;part&#x27;"),
        ({"QUERY": COUNT, "UPLOAD": "t"}, 400, "NAME,param:PART"),
        ({"QUERY": 'SELECT "\x00\x0b" FROM dp1.Object'}, 400, "QUERY_STATUS"),
    ],
)
def test_what_is_wrong_is_said_in_a_votable(
    client: TestClient, asked: dict[str, object], status: int, message: str
) -> None:
    answer = client.post("/tap/sync", data=asked)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/x-votable+xml"
    assert 'name="QUERY_STATUS" value="ERROR"' in answer.text
    assert message.replace("&#x27;", "'") in answer.text


def test_a_body_of_another_kind_is_refused(client: TestClient) -> None:
    answer = client.post("/tap/sync", content=b"{}", headers={"content-type": "application/json"})
    assert answer.status_code == 415


@pytest.mark.parametrize("charset", ["undefined", "unicode_escape", "utf-8; charset=undefined", "utf-80"])
def test_forms_in_odd_encodings_are_refused(client: TestClient, charset: str) -> None:
    body = f'--x\r\nContent-Disposition: form-data; name="QUERY"\r\n\r\n{COUNT}\r\n--x--\r\n'
    for given, status in ((f"charset={charset}", 415), ('charset="UTF-8"', 200), ("charset=us-ascii", 200)):
        kind = {"content-type": f"multipart/form-data; {given}; boundary=x"}
        assert client.post("/tap/sync", content=body, headers=kind).status_code == status


def test_a_request_that_is_too_large_is_refused(serve: Serve) -> None:
    with serve(max_upload_bytes=10_000) as client:
        asked = {"QUERY": COUNT + " " * 20_000}
        assert client.post("/tap/sync", data=asked).status_code == 413
        form = {"content-type": "application/x-www-form-urlencoded"}
        assert client.post("/tap/sync", content=iter([b"QUERY=", b"x" * 20_000]), headers=form).status_code == 413
        assert client.get("/tap/sync", params={"QUERY": COUNT}).status_code == 200


def test_parameters_that_are_too_long_together_are_refused(client: TestClient) -> None:
    asked = {"QUERY": COUNT, **{f"P{number}": "x" * 600_000 for number in range(2)}}
    assert client.post("/tap/async", data=asked).status_code == 413


def test_a_query_that_takes_too_long_is_stopped(serve: Serve) -> None:
    with serve(sync_limits=Limits(seconds=0.5)) as client:
        began = time.monotonic()
        answer = client.post("/tap/sync", data={"QUERY": FOREVER})
        assert time.monotonic() - began < 15
    assert answer.status_code == 400
    assert "it took more than 0.5 seconds" in answer.text


def test_those_who_come_when_too_many_wait_are_told_to_come_back(serve: Serve) -> None:
    with serve(sync_limits=Limits(seconds=3), sync_queries=1, sync_waiting=0) as client:
        first = threading.Thread(target=client.post, args=("/tap/sync",), kwargs={"data": {"QUERY": FOREVER}})
        first.start()
        time.sleep(0.7)
        answer = client.get("/tap/sync", params={"QUERY": COUNT})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
        assert "too many queries" in answer.text
        first.join()
        assert client.get("/tap/sync", params={"QUERY": COUNT}).status_code == 200


def test_those_who_wait_get_their_turn(serve: Serve) -> None:
    with serve(sync_queries=1, sync_waiting=20) as client:
        answers: list[int] = []

        def ask() -> None:
            answers.append(client.get("/tap/sync", params={"QUERY": COUNT}).status_code)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [200] * 8


async def ask(app: Starlette, query: str, stays: anyio.Event) -> list[Message]:
    """Ask as a client that goes away when `stays` is set; return what is sent to it."""
    sent: list[Message] = []
    has_asked = False

    async def receive() -> Message:
        nonlocal has_asked
        if not has_asked:
            has_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await stays.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/tap/sync",
        "root_path": "",
        "scheme": "http",
        "query_string": urlencode({"QUERY": query, "FORMAT": "csv"}).encode(),
        "headers": [(b"host", BASE.removeprefix("http://").encode())],
        "app": app,
    }
    async with app.router.lifespan_context(app):
        await app(scope, receive, send)
    return sent


def test_a_query_stops_when_its_client_goes_away(make_app: Callable[..., Starlette]) -> None:
    async def leave() -> list[Message]:
        stays = anyio.Event()
        asyncio.get_running_loop().call_later(0.5, stays.set)
        return await ask(make_app(), FOREVER, stays)

    began = time.monotonic()
    sent = anyio.run(leave)
    assert time.monotonic() - began < 15
    assert b"the client has gone" in b"".join(message.get("body", b"") for message in sent)


def test_a_client_that_goes_away_while_it_sends_is_no_error(
    make_app: Callable[..., Starlette], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        return

    async def leave() -> None:
        headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/x-www-form-urlencoded")]
        request = {"type": "http", "method": "POST", "path": "/tap/sync", "query_string": b"", "headers": headers}
        async with app.router.lifespan_context(app):
            await app(request, receive, send)

    anyio.run(leave)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_query_stops_when_the_service_gives_its_request_up(
    make_app: Callable[..., Starlette], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def endless(*given: object, **_: object) -> Generator[bytes]:
        stopped = threading.Event()
        next(item for item in given if isinstance(item, Cancellation)).attach(lambda _: stopped.set())
        try:
            yield b"n\n1\n"
            assert stopped.wait(30)
            # as long as it takes a database to stop
            time.sleep(0.2)
            yield b"2\n"
        finally:
            ended.set()

    async def give_up() -> None:
        asking = asyncio.create_task(ask(make_app(), COUNT, anyio.Event()))
        await asyncio.sleep(0.5)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert ended.is_set()

    monkeypatch.setattr(sync, "answer", endless)
    anyio.run(give_up)


def test_a_result_that_breaks_off_is_not_ended(
    make_app: Callable[..., Starlette], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Generator[bytes]:
        yield b"n\n1\n"
        raise QueryError("a value cannot be computed")

    async def take() -> list[Message]:
        return await ask(make_app(), COUNT, anyio.Event())

    monkeypatch.setattr(sync, "answer", broken)
    sent = anyio.run(take)
    assert [message.get("body") for message in sent] == [None, b"n\n1\n"]
    assert sent[-1]["more_body"]


def test_a_result_comes_in_parts(client: TestClient) -> None:
    asked = {
        "QUERY": "SELECT a.objectId, b.band FROM dp1.Object a, dp1.Visit v, dp1.Object b WHERE b.objectId < 2"
    }
    with client.stream("GET", "/tap/sync", params=asked) as answer:
        assert "content-length" not in answer.headers
        assert sum(map(len, answer.iter_bytes())) > 100_000
