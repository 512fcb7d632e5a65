"""The page in the service that it belongs to: its forms are what the protocol takes, and its jobs are shown."""

import time
from pathlib import Path

import pytest

from forcedphot.tap.page import page_routes
from forcedphot.tap.service import ServiceSettings, create_app

from .conftest import MemoryHoldings, TestClient
from .test_page import Document

QUERY = "SELECT COUNT(*) AS n FROM dp1.Object"


@pytest.mark.parametrize("token", ["", "s3cret"])
def test_forms_of_the_page_are_taken_by_the_service(holdings: MemoryHoldings, tmp_path: Path, token: str) -> None:
    settings = ServiceSettings(data=tmp_path, tokens={token: "ann", "other": "bob"} if token else {})
    app = create_app(holdings, settings, page_routes())
    headers = {"authorization": f"Bearer {token}"} if token else {}
    with TestClient(app, base_url="http://127.0.0.1", headers=headers) as client:
        answer = client.post("/query", data={"query": QUERY})
        page = Document(answer.text)
        hidden = {
            str(field["name"]): field["value"] for field in page.all("input") if field.get("type") == "hidden"
        }
        formats = [button["value"] for button in page.all("button") if button.get("name") == "RESPONSEFORMAT"]
        results = {
            name: client.post("/tap/sync", data={**hidden, "RESPONSEFORMAT": name}).content for name in formats
        }
        assert results["csv"].split() == [b"n", b"250"]
        assert results["parquet"].startswith(b"PAR1")
        assert results["fits"].startswith(b"SIMPLE")
        assert b"VOTABLE" in results["votable"]

        job = {"REQUEST": "doQuery", "LANG": "ADQL", "PHASE": "RUN", "QUERY": QUERY, "RESPONSEFORMAT": "csv"}
        assert client.post("/tap/async", data=job).status_code == 200
        end = time.monotonic() + 20
        while "COMPLETED" not in (listed := client.get("/jobs").text):
            assert time.monotonic() < end
            time.sleep(0.05)
        (result,) = [link["href"] for link in Document(listed).all("a") if "data-download" in link]
        assert result is not None
        assert client.get(result).text.split() == ["n", "250"]
        if token:
            assert QUERY not in client.get("/jobs", headers={"authorization": "Bearer other"}).text
            assert client.get("/jobs", headers={"authorization": "Bearer wrong"}).status_code == 401


def test_a_page_by_another_name_of_this_machine_is_refused(holdings: MemoryHoldings, tmp_path: Path) -> None:
    app = create_app(holdings, ServiceSettings(data=tmp_path), page_routes())
    with TestClient(app, base_url="http://elsewhere.example") as client:
        assert client.get("/").status_code == 400
