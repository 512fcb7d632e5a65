"""/tap/async: the life of jobs, as UWS has it."""

import contextlib
import shutil
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import anyio
import pytest
from starlette.applications import Starlette
from starlette.types import Message
from vo_models.uws.models import Jobs

from forcedphot.errors import ForcedPhotError
from forcedphot.tap.service import manager
from forcedphot.tap.service.jobs import Job
from forcedphot.tap.service.parameters import Parameters

from .conftest import FOREVER, N_ROWS, TestClient

Serve = Callable[..., contextlib.AbstractContextManager[TestClient]]
COUNT = {"QUERY": "SELECT COUNT(*) AS n FROM dp1.Object", "RESPONSEFORMAT": "csv", "LANG": "ADQL"}


def create(client: TestClient, **asked: str) -> str:
    answer = client.post("/tap/async", data={**COUNT, **asked})
    assert answer.status_code == 303
    return str(answer.headers["location"])


def phase(client: TestClient, job: str) -> str:
    return str(client.get(f"{job}/phase").text)


def finished(client: TestClient, job: str) -> str:
    """Wait until a job has ended; return its phase."""
    for _ in range(40):
        client.get(job, params={"WAIT": "5"})
        if phase(client, job) not in ("PENDING", "QUEUED", "EXECUTING"):
            break
    return phase(client, job)


def described(client: TestClient, job: str) -> ElementTree.Element:
    return ElementTree.fromstring(client.get(job).text)  # noqa: S314 - our own


def test_a_job_runs_from_its_creation_to_its_result(client: TestClient) -> None:
    job = create(client, RUNID="mine")
    assert phase(client, job) == "PENDING"
    assert client.get(f"{job}/results/result").status_code == 404
    answer = client.post(f"{job}/phase", data={"PHASE": "RUN"})
    assert (answer.status_code, answer.headers["location"]) == (303, job)
    assert finished(client, job) == "COMPLETED"
    result = client.get(f"{job}/results/result")
    assert (result.text, result.headers["content-type"]) == (f"n\n{N_ROWS}\n", "text/csv;header=present")
    assert client.get(f"{job}/results/result", headers={"Range": "bytes=0-0"}).text == "n"
    tree = described(client, job)
    assert tree.find("{*}runId").text == "mine"
    assert tree.find("{*}results/{*}result").get("{http://www.w3.org/1999/xlink}href") == f"{job}/results/result"
    assert {item.get("id"): item.text for item in tree.find("{*}parameters")} == {**COUNT, "RUNID": "mine"}
    times = [
        str(tree.find(f"{{*}}{name}").text) for name in ("creationTime", "startTime", "endTime", "destruction")
    ]
    assert times == sorted(times)
    assert "results/result" in client.get(f"{job}/results").text
    assert COUNT["QUERY"] in client.get(f"{job}/parameters").text


def test_a_job_can_be_run_as_it_is_made(client: TestClient) -> None:
    job = create(client, PHASE="RUN", EXECUTIONDURATION="77")
    assert client.get(f"{job}/executionduration").text == "77"
    assert finished(client, job) == "COMPLETED"
    assert client.post(f"{job}/phase", data={"PHASE": "RUN"}).status_code == 400


def test_what_is_wrong_with_a_query_is_told_by_its_job(client: TestClient) -> None:
    job = create(client, QUERY="SELECT nothing FROM dp1.Object", PHASE="RUN")
    assert finished(client, job) == "ERROR"
    summary = described(client, job).find("{*}errorSummary")
    assert summary.get("type") == "fatal"
    assert "line 1, column 8" in str(summary.find("{*}message").text)
    assert "line 1, column 8" in client.get(f"{job}/error").text
    assert client.get(f"{job}/results/result").status_code == 404
    for missing in ({"QUERY": ""}, {"MAXREC": "x"}, {"LANG": "SQL"}, {"RESPONSEFORMAT": "x"}):
        assert finished(client, create(client, PHASE="RUN", **missing)) == "ERROR"


def test_a_pending_job_can_be_changed(client: TestClient) -> None:
    job = create(client, QUERY="SELECT nothing")
    assert client.post(f"{job}/parameters", data={"query": COUNT["QUERY"], "MAXREC": "5"}).status_code == 303
    assert client.post(f"{job}/executionduration", data={"EXECUTIONDURATION": "30"}).status_code == 303
    assert client.get(f"{job}/executionduration").text == "30"
    client.post(f"{job}/executionduration", data={"EXECUTIONDURATION": "0"})
    assert client.get(f"{job}/executionduration").text == str(4 * 3600)
    client.post(f"{job}/phase", data={"PHASE": "RUN"})
    assert finished(client, job) == "COMPLETED"
    for path in ("parameters", "executionduration"):
        answer = client.post(f"{job}/{path}", data={"QUERY": "x", "EXECUTIONDURATION": "1"})
        assert answer.status_code == 400
        assert "only one that is PENDING" in answer.text


@pytest.mark.parametrize("before", ["QUEUED", "EXECUTING"])
def test_a_job_can_be_aborted(serve: Serve, before: str) -> None:
    with serve(async_queries=1) as client:
        first = create(client, QUERY=FOREVER, PHASE="RUN")
        second = create(client, QUERY=FOREVER, PHASE="RUN")
        job = first if before == "EXECUTING" else second
        while phase(client, first) != "EXECUTING":
            time.sleep(0.02)
        assert phase(client, job) == before
        assert client.post(f"{job}/phase", data={"PHASE": "ABORT"}).status_code == 303
        assert phase(client, job) == "ABORTED"
        client.post(f"{first}/phase", data={"PHASE": "ABORT"})
        client.post(f"{second}/phase", data={"PHASE": "ABORT"})
        assert finished(client, create(client, PHASE="RUN")) == "COMPLETED"
        assert phase(client, job) == "ABORTED"


@pytest.mark.parametrize("how", ["DELETE", "ACTION"])
def test_a_job_can_be_deleted_while_it_runs(serve: Serve, tmp_path: Path, how: str) -> None:
    with serve() as client:
        job = create(client, QUERY=FOREVER, PHASE="RUN")
        answer = client.delete(job) if how == "DELETE" else client.post(job, data={"ACTION": "DELETE"})
        assert (answer.status_code, answer.headers["location"]) == (303, "http://127.0.0.1/tap/async")
        assert client.get(job).status_code == 404
    assert not list((tmp_path / "data" / "jobs").iterdir())


def test_a_job_that_takes_too_long_is_stopped(client: TestClient) -> None:
    job = create(client, QUERY=FOREVER, PHASE="RUN", EXECUTIONDURATION="1")
    assert finished(client, job) == "ERROR"
    assert described(client, job).find("{*}errorSummary").get("type") == "transient"
    assert "more than 1 seconds" in client.get(f"{job}/error").text


def test_a_result_that_is_too_large_is_not_kept(serve: Serve, tmp_path: Path) -> None:
    with serve(max_result_bytes=1000) as client:
        job = create(client, QUERY="SELECT * FROM dp1.Object", PHASE="RUN")
        assert finished(client, job) == "ERROR"
        assert "more than 1000 bytes" in client.get(f"{job}/error").text
    assert not list(tmp_path.rglob("result*"))


def test_jobs_are_listed_by_phase_and_time(client: TestClient) -> None:
    def listed(**asked: object) -> list[str]:
        answer = client.get("/tap/async", params=asked)
        assert answer.status_code == 200
        return [str(item.job_id) for item in Jobs.from_xml(answer.content).jobref or []]

    first, second = create(client), create(client, PHASE="RUN")
    finished(client, second)
    between = datetime.now(UTC)
    third = create(client)
    names = [job.rpartition("/")[2] for job in (first, second, third)]
    assert listed() == names[::-1]
    assert listed(LAST=2) == names[:0:-1]
    assert listed(PHASE="COMPLETED") == [names[1]]
    assert listed(PHASE=["PENDING", "COMPLETED"]) == names[::-1]
    assert listed(AFTER=between.isoformat(timespec="milliseconds").replace("+00:00", "Z")) == [names[2]]
    for wrong in ({"PHASE": "TIRED"}, {"LAST": "0"}, {"LAST": "x"}, {"AFTER": "yesterday"}):
        assert client.get("/tap/async", params=wrong).status_code == 400


def test_a_request_can_wait_for_a_phase_to_change(client: TestClient) -> None:
    job = create(client)
    began = time.monotonic()
    client.get(job, params={"WAIT": "1"})
    assert time.monotonic() - began > 0.9
    client.get(job, params={"WAIT": "30", "PHASE": "EXECUTING"})  # it is in another phase already
    starter = threading.Timer(0.3, client.post, [f"{job}/phase"], {"data": {"PHASE": "RUN"}})
    starter.start()
    client.get(job, params={"WAIT": "-1"})
    assert phase(client, job) != "PENDING"
    finished(client, job)
    client.get(job, params={"WAIT": "30"})
    assert time.monotonic() - began < 25


def test_a_quote_is_made_of_what_jobs_took(client: TestClient) -> None:
    assert client.get(f"{create(client)}/quote").text == ""
    finished(client, create(client, PHASE="RUN"))
    quote = datetime.fromisoformat(client.get(f"{create(client)}/quote").text)
    assert timedelta() < quote - datetime.now(UTC) < timedelta(minutes=1)


def test_jobs_survive_a_restart(serve: Serve) -> None:
    with serve(async_queries=1) as client:
        done = create(client, PHASE="RUN")
        assert finished(client, done) == "COMPLETED"
        pending, running, queued = create(client), create(client, QUERY=FOREVER), create(client)
        for job in (running, queued):
            client.post(f"{job}/phase", data={"PHASE": "RUN"})
        while phase(client, running) != "EXECUTING":
            time.sleep(0.02)
    with serve(async_queries=1) as client:
        assert client.get(f"{done}/results/result").text == f"n\n{N_ROWS}\n"
        assert phase(client, pending) == "PENDING"
        assert phase(client, queued) == "QUEUED"
        assert phase(client, running) in ("QUEUED", "EXECUTING")
        client.post(f"{running}/phase", data={"PHASE": "ABORT"})
        assert finished(client, queued) == "COMPLETED"


def test_a_job_that_ran_when_the_service_died_begins_again_but_not_for_ever(serve: Serve, tmp_path: Path) -> None:
    with serve() as client:
        jobs = [create(client), create(client)]
        for job in jobs:
            client.post(f"{job}/phase", data={"PHASE": "RUN"})
            finished(client, job)
    for attempts, job in enumerate(jobs, start=1):
        record = tmp_path / "data" / "jobs" / job.rpartition("/")[2] / "job.json"
        text = (
            record.read_text()
            .replace('"COMPLETED"', '"EXECUTING"')
            .replace('"attempts": 1', f'"attempts": {attempts}')
        )
        record.write_text(text)
    with serve() as client:
        assert [finished(client, job) for job in jobs] == ["COMPLETED", "ERROR"]
        assert "the service stopped 2 times" in client.get(f"{jobs[1]}/error").text


def test_a_damaged_record_is_left_alone(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "jobs" / "broken"
    folder.mkdir(parents=True)
    (folder / "job.json").write_text("{")
    with serve() as client:
        assert client.get("/tap/async/broken").status_code == 404
    assert folder.exists()


def test_jobs_are_destroyed_in_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager, "_SECONDS_BETWEEN_SWEEPS", 0.05)
    with serve() as client:
        kept, old = create(client), create(client)
        soon = (datetime.now(UTC) + timedelta(seconds=0.2)).isoformat()
        assert client.post(f"{old}/destruction", data={"DESTRUCTION": soon}).status_code == 303
        far = client.post(f"{kept}/destruction", data={"DESTRUCTION": "2999-01-01T00:00:00Z"})
        assert far.status_code == 303
        assert datetime.fromisoformat(client.get(f"{kept}/destruction").text) < datetime.now(UTC) + timedelta(
            days=31
        )
        assert client.post(f"{kept}/destruction", data={"DESTRUCTION": "soon"}).status_code == 400
        time.sleep(0.5)
        assert client.get(old).status_code == 404
        assert client.get(kept).status_code == 200


def test_what_cannot_be_kept_is_refused(client: TestClient, tmp_path: Path) -> None:
    job = create(client, PHASE="RUN")
    assert finished(client, job) == "COMPLETED"
    folder = tmp_path / "data" / "jobs"
    (folder / job.rpartition("/")[2] / "result").unlink()
    assert client.get(f"{job}/results/result").status_code == 404
    client.delete(job)
    folder.rmdir()
    assert client.post("/tap/async", data=COUNT).status_code == 503


def refuse_to_save(_: Job) -> None:
    raise OSError(28, "No space left on device")


def test_jobs_go_on_and_go_away_when_nothing_can_be_written(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pending, running = create(client), create(client, QUERY=FOREVER, PHASE="RUN")

    with monkeypatch.context() as patch:
        patch.setattr(Job, "save", refuse_to_save)
        assert client.post("/tap/async", data=COUNT).status_code == 503
        assert client.post(f"{pending}/phase", data={"PHASE": "RUN"}).status_code == 303
        assert finished(client, pending) == "COMPLETED"
        assert f"job {pending.rpartition('/')[2]} is COMPLETED is lost with a restart" in caplog.text
        for job in (pending, running):
            assert client.delete(job).status_code == 303
            assert client.get(job).status_code == 404
    assert finished(client, create(client, PHASE="RUN")) == "COMPLETED"
    assert len(list((tmp_path / "data" / "jobs").iterdir())) == 1


def test_jobs_are_destroyed_while_nothing_can_be_written(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager, "_SECONDS_BETWEEN_SWEEPS", 0.02)
    with serve() as client:
        soon = (datetime.now(UTC) + timedelta(seconds=0.2)).isoformat()
        jobs = [create(client, DESTRUCTION=soon) for _ in range(2)]
        monkeypatch.setattr(Job, "save", refuse_to_save)
        for _ in range(100):
            if [client.get(job).status_code for job in jobs] == [404, 404]:
                break
            time.sleep(0.02)
        assert [client.get(job).status_code for job in jobs] == [404, 404]


def test_a_folder_that_cannot_be_used_is_named(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(ForcedPhotError, match=r"jobs cannot be kept in .*data: Not a directory"), serve():
        pass


def test_what_was_half_written_when_the_service_died_is_removed_and_nobody_sees_it(
    serve: Serve, tmp_path: Path
) -> None:
    with serve() as client:
        job = tmp_path / "data" / "jobs" / create(client).rpartition("/")[2]
    assert job.parent.stat().st_mode & 0o77 == 0, "others of this machine could read results"
    (job / "result.new").write_text("half a res")
    with serve():
        assert [file.name for file in job.iterdir()] == ["job.json"]


def test_a_job_that_is_deleted_while_a_request_comes_is_not_found(make_app: Callable[..., Starlette]) -> None:
    app = make_app()
    statuses = []

    async def ask() -> None:
        async with app.router.lifespan_context(app):
            jobs = app.state.jobs
            job = jobs.create(Parameters(list(COUNT.items())), None)

            async def receive() -> Message:
                jobs.delete(job)
                return {"type": "http.request", "body": b"PHASE=RUN"}

            async def send(message: Message) -> None:
                statuses.append(message.get("status"))

            headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/x-www-form-urlencoded")]
            path = f"/tap/async/{job.id}/phase"
            request = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
            await app(request, receive, send)

    anyio.run(ask)
    assert statuses[0] == 404


def test_jobs_leave_room_on_the_disk(serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with serve(least_free_bytes=1) as client:
        job = create(client)
        monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
        assert client.post(f"{job}/phase", data={"PHASE": "RUN"}).status_code == 303
        assert finished(client, job) == "ERROR"
        assert "no room for its result" in client.get(f"{job}/error").text
        refused = client.post("/tap/async", data=COUNT)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "60")
        assert client.delete(job).status_code == 303
    assert not list((tmp_path / "data" / "jobs").iterdir())


def test_there_is_an_end_to_jobs(serve: Serve) -> None:
    with serve(max_jobs=2) as client:
        create(client)
        job = create(client)
        assert client.post("/tap/async", data=COUNT).status_code == 503
        client.delete(job)
        create(client)


def test_two_services_do_not_share_a_folder(serve: Serve) -> None:
    with serve(), pytest.raises(ForcedPhotError, match="in use by another service"), serve():
        pass
