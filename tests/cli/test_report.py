"""forcedphot report."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from click.testing import Result

from forcedphot.cli.report import _plain
from forcedphot.survey import SimulatedSurvey

type Run = Callable[..., Result]


def test_report(run: Run, simulated: Callable[[str], SimulatedSurvey], tmp_path: Path) -> None:
    text = run("report", simulated("dp1").repository, "--output", tmp_path).stdout
    for word in ("Completeness", "Purity", "Pulls", "difference", "Measured less true r - i", "transient"):
        assert word in text
    assert (tmp_path / "report.png").stat().st_size > 20_000
    assert (tmp_path / "light_curve.png").stat().st_size > 10_000
    numbers = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert not list(tmp_path.glob(".*"))
    assert set(numbers) == {"completeness", "purity", "pulls", "floor", "colours", "varying"}
    row = next(row for row in numbers["pulls"] if row["image"] == "visit" and row["band"] == "i")
    assert row["visit"] == 0
    assert f"{row['mean']:.4f} {row['median']:>7.4f}" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is not the repository of a simulated survey"),
        ("{", "survey.json is not that of a simulated survey"),
        ('{"name": "another"}', "survey.json is not that of a simulated survey"),
        ("[]", "survey.json is not that of a simulated survey"),
    ],
)
def test_what_is_no_survey_is_refused(run: Run, tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "survey.json").write_text(text)
    result = run("report", tmp_path, exit_code=2)
    assert message in " ".join(result.stderr.split())


def test_numbers_that_json_has_not() -> None:
    table = Table({"band": ["r", "i", "g"], "n": [1, 2, 3], "rms": [np.nan, np.inf, 0.5]})
    rows = json.loads(json.dumps(_plain({"some": table, "none": Table(rows=[])}), allow_nan=False))
    assert [row["rms"] for row in rows["some"]] == [None, None, 0.5]
    assert rows["some"][0] == {"band": "r", "n": 1, "rms": None}
    assert rows["none"] == []
