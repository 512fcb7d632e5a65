"""Tokens, names of hosts, and requests that other sites' pages send."""

import contextlib
from collections.abc import Callable

import pytest
from starlette.applications import Starlette

from .conftest import BASE, TestClient

TOKENS = {"a" * 20: "anna", "b" * 20: "bert"}
ANNA, BERT = ({"Authorization": f"Bearer {token}"} for token in TOKENS)
QUERY = {"QUERY": "SELECT COUNT(*) FROM dp1.Object"}

Serve = Callable[..., contextlib.AbstractContextManager[TestClient]]


@pytest.mark.parametrize(
    "path", ["/tap/sync", "/tap/async", "/tap/tables", "/tap/examples", "/tap/async/xyz/phase"]
)
def test_those_without_a_token_are_asked_for_one(serve: Serve, path: str) -> None:
    with serve(tokens=TOKENS) as client:
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic %%%"}):
            answer = client.get(path, headers=headers)
            assert answer.status_code == 401
            assert "Bearer" in answer.headers["www-authenticate"]


def test_what_a_service_is_can_be_asked_without_a_token(serve: Serve) -> None:
    with serve(tokens=TOKENS) as client:
        assert client.get("/tap/availability").status_code == 200
        assert "ivo://ivoa.net/sso#BearerToken" in client.get("/tap/capabilities").text


def test_a_token_is_asked_for_behind_a_proxy_too(make_app: Callable[..., Starlette]) -> None:
    with TestClient(make_app(tokens=TOKENS), BASE, root_path="/proxied") as client:
        assert client.get("/proxied/tap/sync", params=QUERY).status_code == 401
        assert client.get("/proxied/tap/sync", params=QUERY, headers=ANNA).status_code == 200
        assert client.get("/proxied/tap/availability").status_code == 200
        missing = client.get("/proxied/tap/nothing", headers=ANNA)
        assert (missing.status_code, missing.headers["content-type"]) == (404, "application/x-votable+xml")


def test_a_token_opens_the_service(serve: Serve) -> None:
    with serve(tokens=TOKENS) as client:
        assert client.get("/tap/sync", params=QUERY, headers=ANNA).status_code == 200
        assert client.get("/tap/sync", params=QUERY, auth=("anyone", "b" * 20)).status_code == 200


def test_jobs_are_their_owners(serve: Serve) -> None:
    with serve(tokens=TOKENS) as client:
        job = client.post("/tap/async", data=QUERY, headers=ANNA).headers["location"]
        for path in ("", "/phase", "/results/result", "/parameters"):
            assert client.get(job + path, headers=BERT).status_code == 403
        assert client.delete(job, headers=BERT).status_code == 403
        assert client.post(f"{job}/phase", data={"PHASE": "RUN"}, headers=BERT).status_code == 403
        assert "jobref" not in client.get("/tap/async", headers=BERT).text
        assert "<uws:ownerId>anna</uws:ownerId>" in client.get("/tap/async", headers=ANNA).text
        assert client.get(f"{job}/owner", headers=ANNA).text == "anna"
        upload = {**QUERY, "UPLOAD": f"t,{job}/results/result"}
        assert client.post("/tap/sync", data=upload, headers=BERT).status_code == 403


def test_another_sites_page_cannot_ask_in_a_users_name(serve: Serve) -> None:
    with serve() as client:
        elsewhere = {"Sec-Fetch-Site": "cross-site"}
        assert client.post("/tap/async", data=QUERY, headers=elsewhere).status_code == 403
        assert client.post("/tap/async", data=QUERY, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303
        # what browsers send to addresses that are neither https nor of their own machine
        for origin, status in (("https://evil.example", 403), ("null", 403), (BASE, 303)):
            assert client.post("/tap/async", data=QUERY, headers={"Origin": origin}).status_code == status
        assert client.get("/tap/sync", params=QUERY, headers={"Host": "evil.example"}).status_code == 400
        assert client.get("/tap/sync", params=QUERY, headers={"Host": "localhost:8080"}).status_code == 200


def test_a_form_from_the_address_behind_a_proxy_is_taken(serve: Serve) -> None:
    with serve(base_url="https://example.org/survey") as client:
        own = {"Origin": "https://example.org"}
        assert client.post("/tap/async", data=QUERY, headers=own).status_code == 303
