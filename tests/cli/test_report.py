"""forcedphot report."""

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from forcedphot.survey import SimulatedSurvey

type Run = Callable[..., Result]


def test_report(run: Run, simulated: Callable[[str], SimulatedSurvey], tmp_path: Path) -> None:
    text = run("report", simulated("dp1").repository, "--output", tmp_path).stdout
    for word in ("Completeness", "Purity", "Pulls", "difference", "Measured less true r - i", "transient"):
        assert word in text
    assert (tmp_path / "report.png").stat().st_size > 20_000
    assert (tmp_path / "light_curve.png").stat().st_size > 10_000
    numbers = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert set(numbers) == {"completeness", "purity", "pulls", "floor", "colours", "varying"}
    row = next(row for row in numbers["pulls"] if row["image"] == "visit" and row["band"] == "i")
    assert row["visit"] == 0
    assert f"{row['mean']:.4f} {row['median']:>7.4f}" in text


def test_what_is_no_survey_is_refused(run: Run, tmp_path: Path) -> None:
    result = run("report", tmp_path, exit_code=2)
    assert "is not the repository of a simulated survey" in " ".join(result.stderr.split())
