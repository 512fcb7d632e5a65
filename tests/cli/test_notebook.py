"""Notebooks on the command line: what is said of one that fails, and a kernel for Jupyter."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

type Run = Callable[..., Result]


def write(path: Path, *sources: str) -> Path:
    cells: list[dict[str, Any]] = [{"cell_type": "markdown", "id": "text", "metadata": {}, "source": "# Title"}]
    for number, source in enumerate(sources):
        empty: dict[str, Any] = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
        cells.append({**empty, "id": f"cell{number}", "source": source})
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def test_a_cell_that_fails_is_named_with_its_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "data.txt").write_text("found")
    notebook = write(
        tmp_path / "here" / "broken.ipynb",
        "print(open('data.txt').read())",
        "x = 1\nfrom lsst.meas.base import SingleFrameMeasurementTask\ny = 2",
        "print('never')",
    )
    before = notebook.read_text()
    message = run("notebook", notebook, "-q", exit_code=31).stderr
    assert "broken.ipynb: Code cell 2 of 3 failed, line 2 (from lsst.meas.base import Single" in message
    assert "StackNameError: There is no SingleFrameMeasurementTask in lsst.meas.base here" in message
    assert message.rstrip().endswith("Outputs until there are in broken-executed.ipynb.")
    executed = json.loads(Path("broken-executed.ipynb").read_text())
    assert "".join(executed["cells"][1]["outputs"][0]["text"]) == "found\n"  # paths begin at the notebook
    assert executed["cells"][2]["outputs"][0]["output_type"] == "error"
    assert executed["cells"][3]["outputs"] == []
    assert notebook.read_text() == before


def test_what_is_no_notebook(run: Run, tmp_path: Path) -> None:
    assert "There is no notebook" in run("notebook", tmp_path / "none.ipynb", exit_code=1).stderr
    for text in ("no JSON", "[]", "{}", '{"cells": 3, "nbformat": 4, "nbformat_minor": 5}'):
        (tmp_path / "text.ipynb").write_text(text)
        assert "text.ipynb is no notebook" in run("notebook", tmp_path / "text.ipynb", exit_code=31).stderr


def test_an_output_that_exists_is_kept(run: Run, tmp_path: Path) -> None:
    notebook = write(tmp_path / "one.ipynb", "label = 'dp1'")
    before = notebook.read_text()
    assert "exists" in run("notebook", notebook, "-o", notebook, exit_code=8).stderr
    assert notebook.read_text() == before


def test_a_kernel_for_jupyter(run: Run, tmp_path: Path) -> None:
    for _ in range(2):  # the second takes the first one's place
        said = run("kernel", "--prefix", tmp_path).stdout
    folder = tmp_path / "share" / "jupyter" / "kernels" / "forcedphot"
    assert str(folder) in said
    command = json.loads((folder / "kernel.json").read_text())["argv"]
    assert command[-1] == "{connection_file}"
    # The launcher is found, and has the stack's names.
    done = subprocess.run([*command[:-3], "lsst.nothing"], capture_output=True, text=True, check=False)  # noqa: S603
    assert "No module named lsst.nothing" in done.stderr


def test_a_kernel_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "share").write_text("no folder")
    assert "cannot be installed" in run("kernel", "--prefix", tmp_path, exit_code=8).stderr
