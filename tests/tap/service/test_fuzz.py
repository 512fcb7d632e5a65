"""Hostile requests end in an answer that says what is wrong with them, never in a fault of the service."""

import contextlib
import importlib.util
import random
import sys
from collections.abc import Callable
from pathlib import Path

from forcedphot.tap.engine import Limits

from .conftest import TestClient

_TOOL = Path(__file__).resolve().parents[3] / "tools" / "fuzz_tap.py"
N_REQUESTS = 300


def test_hostile_requests_are_answered(
    serve: Callable[..., contextlib.AbstractContextManager[TestClient]],
) -> None:
    spec = importlib.util.spec_from_file_location("fuzz_tap", _TOOL)
    assert spec
    tool = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = tool
    spec.loader.exec_module(tool)
    limits = Limits(seconds=0.5, memory_mib=256)
    with serve(sync_limits=limits, max_wait=0, max_jobs=50) as client:
        fuzzer = tool.Fuzzer(client, random.Random(5))  # noqa: S311 - it repeats
        for _ in range(N_REQUESTS):
            fuzzer.send()  # what the service does not handle is raised here
        assert fuzzer.faults == []
        assert fuzzer.slowest < tool.SECONDS_PER_REQUEST
        assert {200, 303, 400, 404, 405} < set(fuzzer.statuses)
        assert client.get("/tap/availability").status_code == 200
