"""forcedphot simulate."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from forcedphot.cli.simulate import command
from forcedphot.survey import SimulatedSurvey
from forcedphot.survey.profiles import PROFILES, SIZES

type Run = Callable[..., Result]


def test_a_survey_and_how_to_open_it(
    run: Run, simulated: Callable[[str], SimulatedSurvey], tmp_path: Path
) -> None:
    survey = simulated("dp1")
    index = tmp_path / "labels.yaml"
    options = ("--size", "tiny", "-j", 1, "--label", "mine", "--index", index)
    text = run("simulate", survey.repository, *options).stdout
    assert f"{survey.n_datasets} datasets, 0 of them new" in text
    assert f"export DAF_BUTLER_REPOSITORY_INDEX={index}\n" in text
    assert "Butler('mine', collections='LSSTComCam/DP1')" in text
    assert index.read_text(encoding="utf-8") == f"mine: {survey.repository}\n"


def test_choices_are_those_that_there_are() -> None:
    choices = {parameter.name: getattr(parameter.type, "choices", ()) for parameter in command.params}
    assert set(choices["profile"]) == set(PROFILES)
    assert set(choices["size"]) == set(SIZES)


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        (["--size", "tiny", "--seed", 2], 2, "is of another survey: profile dp1, size tiny, seed 1"),
        (
            ["--size", "tiny", "--db", "postgresql://host/x"],
            2,
            "gen3.sqlite3, not in the database that is asked for",
        ),
        (["--index", "labels.txt"], 2, "should have the ending .yaml"),
        (["--profile", "dp9"], 2, "dp9"),
        (["--processes", 0], 2, "processes"),
    ],
)
def test_what_is_refused(
    run: Run,
    simulated: Callable[[str], SimulatedSurvey],
    options: list[object],
    exit_code: int,
    message: str,
) -> None:
    result = run("simulate", simulated("dp1").repository, *options, exit_code=exit_code)
    assert message in " ".join(result.stderr.split())
