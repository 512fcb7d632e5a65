"""forcedphot demo: it measures what it has simulated."""

import re
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from forcedphot.io.catalogs import read_catalog

type Run = Callable[..., Result]


def test_demo(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "a" / "demo"
    text = run("demo", "--output", output).stdout
    medians = [float(number) for number in re.findall(r"median (\S+);", text)]
    assert len(medians) == 2
    assert all(abs(median - 1) < 0.01 for median in medians)
    assert sorted(path.name for path in output.iterdir()) == ["coadd.ecsv", "flux_ratio.png", "visit.ecsv"]
    assert (output / "flux_ratio.png").read_bytes().startswith(b"\x89PNG")
    assert str(read_catalog(output / "coadd.ecsv")["truth_flux"].unit) == "nJy"


def test_folder_that_cannot_be_made(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be made" in run("demo", "--output", tmp_path / "file" / "demo", exit_code=8).stderr


def test_seeds_are_not_negative(run: Run, tmp_path: Path) -> None:
    assert "-1 is not in the range" in run("demo", "--seed", -1, "--output", tmp_path / "demo", exit_code=2).stderr
    assert not (tmp_path / "demo").exists()
