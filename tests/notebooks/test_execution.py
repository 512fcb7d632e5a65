"""How runs of notebooks end that do not end well, without running a kernel."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import nbclient
import pytest
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode, from_dict

from forcedphot.errors import MissingExtraError
from forcedphot.notebooks.errors import NotebookError
from forcedphot.notebooks.execution import execute


@pytest.fixture
def notebook() -> NotebookNode:
    code: dict[str, Any] = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    cells: list[Any] = [{"cell_type": "markdown", "metadata": {}, "source": "# Title"}]
    cells += [{**code, "source": source} for source in ("x = 1", "y = 2", "z = 3")]
    whole: NotebookNode = from_dict({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})  # type: ignore[no-untyped-call]
    return whole


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Let kernels be as they are not: start a cell, say something on the console, and end with an error."""

    def end_with(error: Exception, said: bytes) -> dict[str, Any]:
        given: dict[str, Any] = {}

        class Client:
            def __init__(self, notebook: NotebookNode, **options: Any) -> None:
                self.notebook = notebook
                given.update(options)

            async def async_execute(self, *, stdout: IO[bytes], **options: Any) -> None:
                given.update(options)
                await asyncio.sleep(0)
                given["on_cell_start"](cell=self.notebook.cells[2], cell_index=2)
                stdout.write(said)
                raise error

        monkeypatch.setattr(nbclient, "NotebookClient", Client)
        return given

    return end_with


@pytest.mark.parametrize(
    ("error", "said", "message"),
    [
        (CellTimeoutError("slow"), b"", "Code cell 2 of 3 took more than 7 s."),
        (DeadKernelError("dead"), b"", "Code cell 2 of 3 ended the kernel, and said nothing."),
        (
            DeadKernelError("dead"),
            b"a warning\nout of memory\n",
            "Code cell 2 of 3 ended the kernel; the last that it said: out of memory.",
        ),
        (RuntimeError("no reply"), b"no socket\n", "The kernel did not start; the last that it said: no socket."),
    ],
)
def test_what_is_said_of_kernels(
    notebook: NotebookNode,
    client: Callable[..., dict[str, Any]],
    tmp_path: Path,
    error: Exception,
    said: bytes,
    message: str,
) -> None:
    given = client(error, said)
    with pytest.raises(NotebookError) as caught:
        execute(notebook, folder=tmp_path, environment={"A": "b"}, timeout_s=7, progress=False)
    assert str(caught.value) == message
    assert (given["timeout"], given["env"]["A"]) == (7, "b")
    assert given["resources"] == {"metadata": {"path": str(tmp_path)}}


def test_without_a_kernel(notebook: NotebookNode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", None)
    with pytest.raises(
        MissingExtraError, match=r"ipykernel is not installed: pip install 'forcedphot\[notebook\]'"
    ):
        execute(notebook, folder=tmp_path, environment={}, progress=False)
