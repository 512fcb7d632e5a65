"""The page in a browser, by keyboard: a query is typed and run; rows, plot and mistakes are seen."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette

from .chromium import EXECUTABLE, browser
from .conftest import HOSTILE, MemoryHoldings, Settings, make_app

pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason="Chromium is not installed")

_SUMMARY = "document.getElementById('summary')?.textContent ?? ''"


@contextmanager
def served(app: Starlette) -> Iterator[str]:
    """Serve an application on loopback; yield its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=10)


def test_a_query_by_keyboard(holdings: MemoryHoldings, tmp_path: Path) -> None:
    app, guarded = make_app(holdings), make_app(holdings, Settings(tokens={"s3cret": "ann"}))
    with served(app) as address, served(guarded) as guarded_address, browser(tmp_path / "profile") as tab:
        tab.open(f"{address}/")
        # the skip link, five links of the head, then the query
        while tab.evaluate("document.activeElement.id") != "query":
            tab.press("Tab", code=9)
        tab.evaluate("document.activeElement.select()")
        tab.type("SELECT objectId, coord_ra, coord_dec FROM dp1.Object WHERE coord_ra < 1")
        tab.press("Tab", code=9)
        assert tab.evaluate("document.activeElement.textContent") == "Run"
        tab.press("Enter", code=13)
        tab.wait(f"({_SUMMARY}).includes('rows')")
        assert tab.evaluate("document.querySelectorAll('#rows tbody tr').length") == 100
        assert tab.evaluate("location.pathname").startswith("/results/")
        assert "rows" in tab.evaluate("document.getElementById('status').textContent")
        tab.wait("document.querySelector('#plot img').complete")
        assert tab.evaluate("document.querySelector('#plot img').naturalWidth") > 300

        tab.evaluate("document.querySelector('[data-focus]').focus()")
        tab.press("Enter", code=13)
        tab.wait("document.querySelector('#rows .pages').textContent.includes('page 2')")
        assert tab.evaluate("document.activeElement.id") == "rows-title"

        tab.evaluate("document.getElementById('query').focus(); document.activeElement.select()")
        tab.type("SELECT objectId,\n  r_psfMa FROM dp1.Object")
        tab.press("Enter", code=13, control=True)
        tab.wait("document.getElementById('mistake') !== null")
        assert tab.evaluate("getSelection().toString()") == "r_psfMa"
        assert tab.evaluate("document.activeElement.id") == "query"

        tab.evaluate("document.querySelector('#browser a[href$=Hostile]').click()")
        tab.wait("document.querySelector('#browser button.insert code') !== null")
        tab.evaluate("document.getElementById('query').value = ''")
        tab.evaluate("document.querySelectorAll('#browser button.insert')[1].click()")
        quoted = HOSTILE.replace('"', '""')
        assert tab.evaluate("document.getElementById('query').value") == f'"{quoted}"'
        tab.evaluate("document.getElementById('query').value = 'SELECT * FROM dp1.Hostile'")
        tab.evaluate("document.getElementById('query-form').requestSubmit()")
        tab.wait(f"({_SUMMARY}).startsWith('2 rows')")
        assert HOSTILE in tab.evaluate("document.querySelector('#rows tbody').textContent")
        # what a mistake answers with is no fault of the page
        faults = [message for message in tab.messages if "400 (Bad Request)" not in message]
        assert faults == []

        tab.open(f"{guarded_address}/")
        assert "asks for a token" in tab.evaluate("document.getElementById('browser').textContent")
        tab.evaluate("document.getElementById('token').focus()")
        tab.type("s3cret")
        tab.press("Enter", code=13)
        tab.wait("document.getElementById('browser').textContent.includes('dp1.Object')")
        tab.evaluate("document.getElementById('query').value = 'SELECT COUNT(*) AS n FROM dp1.Object'")
        tab.evaluate("document.getElementById('query-form').requestSubmit()")
        tab.wait(f"({_SUMMARY}).startsWith('1 row,')")
        assert tab.evaluate("document.cookie + JSON.stringify(localStorage)") == "{}"
        assert "s3cret" not in tab.evaluate("location.href + document.documentElement.outerHTML")
