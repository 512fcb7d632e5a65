"""Notebooks are read, run from the first cell to the last in a kernel of their own, and written with outputs."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, TYPE_CHECKING, Any

from ..errors import needs_extra
from ..io.atomic import atomic_output
from .errors import NotebookError
from .kernel import KERNEL_NAME, write_kernel

if TYPE_CHECKING:
    from nbformat import NotebookNode

_FORMAT = 4
_BACKEND = "module://matplotlib_inline.backend_inline"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    MissingExtraError
        If the package that reads notebooks is not installed.
    NotebookError
        If it is none.
    """
    with needs_extra("notebook"):
        import nbformat
    if not path.is_file():
        raise FileNotFoundError(f"There is no notebook {path}.")
    try:
        content: NotebookNode = nbformat.read(path, as_version=_FORMAT)  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, AttributeError, KeyError, nbformat.ValidationError) as error:
        raise NotebookError(f"{path} is no notebook: {error}") from error
    return content


def code_cells(notebook: NotebookNode) -> list[str]:
    """Return the sources of the code cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def write_notebook(notebook: NotebookNode, path: Path, *, overwrite: bool = False) -> None:
    """Write a notebook, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    import nbformat

    with atomic_output(path, overwrite=overwrite) as temporary:
        nbformat.write(notebook, temporary)  # type: ignore[no-untyped-call]


def execute(
    notebook: NotebookNode,
    *,
    folder: Path,
    environment: Mapping[str, str],
    timeout_s: int | None = None,
    progress: bool = True,
) -> None:
    """Run all cells in a kernel with the stack's names; they get their outputs, and stay what they are.

    Parameters
    ----------
    notebook
        Also has the outputs until then if a cell fails.
    folder
        Where its relative paths begin.
    environment
        Environment variables of the kernel.
    timeout_s
        How long one cell may take; None: as long as it does.
    progress
        Show a progress bar on standard error.

    Raises
    ------
    MissingExtraError
        If the packages that run notebooks are not installed.
    NotebookError
        If a cell fails, takes too long, or ends the kernel; it names the cell, the line and the error.
    """
    with needs_extra("notebook"):
        import ipykernel  # noqa: F401 - the kernel's, which could only say so on its console
        from jupyter_client.kernelspec import KernelSpecManager
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    running: list[int] = [0]

    with _kernel_folder() as (kernels, console), _progress(notebook, show=progress) as advance:
        manager = AsyncKernelManager(
            kernel_name=KERNEL_NAME,
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(kernels)]),
            connection_file=str(kernels / "connection.json"),
            # Where there are sockets with owners, nobody else can listen.
            transport="ipc" if os.name == "posix" else "tcp",
        )
        client = NotebookClient(
            notebook,
            km=manager,
            timeout=timeout_s,
            record_timing=False,
            resources={"metadata": {"path": str(folder)}},
            on_cell_start=lambda cell, cell_index: running.append(cell_index),  # noqa: ARG005 - nbclient's
            on_cell_executed=lambda cell, cell_index, execute_reply: advance(),  # noqa: ARG005 - nbclient's
        )
        options: dict[str, Any] = {
            "env": {**environment, "MPLBACKEND": _BACKEND},
            "stdout": console,
            "stderr": console,
        }
        try:
            _run_interruptibly(
                lambda: client.async_execute(cleanup_kc=True, **options),
                lambda: manager.shutdown_kernel(now=True),
            )
        except CellExecutionError as error:
            raise NotebookError(_describe_failure(notebook, running[-1], error.ename, error.evalue)) from error
        except CellTimeoutError as error:
            raise NotebookError(f"{_place(notebook, running[-1])} took more than {timeout_s} s.") from error
        except DeadKernelError as error:
            said = _last_line(console)
            raise NotebookError(f"{_place(notebook, running[-1])} ended the kernel{said}.") from error
        except RuntimeError as error:
            raise NotebookError(f"The kernel did not start{_last_line(console)}.") from error


@contextmanager
def _kernel_folder() -> Iterator[tuple[Path, IO[bytes]]]:
    """Give a folder with the description of a kernel, and a file for what it prints on its console."""
    with TemporaryDirectory(prefix="forcedphot-") as folder, TemporaryFile() as console:
        write_kernel(Path(folder) / KERNEL_NAME)
        yield Path(folder), console


def _run_interruptibly(run: Callable[[], Coroutine[Any, Any, Any]], stop: Callable[[], Awaitable[None]]) -> None:
    """Run something to its end, or stop it by Ctrl-C, which reaches the main thread."""

    async def stop_now() -> None:
        await stop()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: asyncio.run(run()))
        try:
            running.result()
        except KeyboardInterrupt:
            asyncio.run(stop_now())
            running.exception()  # that its kernel is gone
            raise


def _last_line(console: IO[bytes]) -> str:
    """Return what a kernel has said last on its console."""
    console.seek(0)
    lines = console.read().decode("utf-8", "replace").strip().splitlines()
    return f"; the last that it said: {lines[-1].strip()}" if lines else ", and said nothing"


def _place(notebook: NotebookNode, index: int) -> str:
    n_code_cells = len(code_cells(notebook))
    number = sum(cell.cell_type == "code" for cell in notebook.cells[: index + 1])
    return f"Code cell {number} of {n_code_cells}"


def _describe_failure(notebook: NotebookNode, index: int, name: str, value: str) -> str:
    """Say which cell failed, in which line, and why."""
    cell = notebook.cells[index]
    line = _line_number(cell)
    lines = cell.source.splitlines()
    where = f", line {line} ({lines[line - 1].strip()})" if line is not None and line <= len(lines) else ""
    return f"{_place(notebook, index)} failed{where}: {name}: {_COLOURS.sub('', value)}"


def _line_number(cell: NotebookNode) -> int | None:
    """Read from the traceback which line of a cell it begins in; None if it does not say."""
    tracebacks = [output.traceback for output in cell.outputs if output.output_type == "error"]
    text = _COLOURS.sub("", "\n".join(tracebacks[-1])) if tracebacks else ""
    found = re.search(rf"Cell In\[{cell.execution_count}\], line (\d+)", text)
    return int(found[1]) if found else None


@contextmanager
def _progress(notebook: NotebookNode, *, show: bool) -> Iterator[Callable[[], None]]:
    if not show:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Running cells", total=len(code_cells(notebook)))
        yield lambda: bar.advance(task)
