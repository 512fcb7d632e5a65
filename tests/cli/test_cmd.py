"""forcedphot cmd."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from click.testing import Result
from lsst.daf.butler import Butler

from forcedphot.survey import SimulatedSurvey

type Run = Callable[..., Result]


@pytest.mark.usefixtures("forgotten_stack_names")
@pytest.mark.parametrize("profile", ["dp1", "hsc"])
def test_diagram(run: Run, simulated: Callable[[str], SimulatedSurvey], tmp_path: Path, profile: str) -> None:
    figure, table = tmp_path / "diagram.png", tmp_path / "stars.ecsv"
    result = run("cmd", simulated(profile).repository, "--bands", "r,i", "-o", figure, "--table", table)
    assert figure.stat().st_size > 10_000
    written = Table.read(table)
    counts = [int(word) for word in result.stdout.replace(",", "").split() if word.isdigit()]
    assert counts[0] == len(written)
    assert counts[-1] == written["is_shown"].sum() > 20
    assert counts == sorted(counts, reverse=True)
    assert np.isfinite(written["r_psfMag"][written["is_shown"]]).all()
    assert result.stderr == ""
    run("cmd", simulated(profile).repository, "-o", figure, exit_code=8)


def test_one_collection_is_to_be_named(
    run: Run, own_survey: Callable[[str], SimulatedSurvey], tmp_path: Path
) -> None:
    survey, figure = own_survey("dp1"), tmp_path / "diagram.png"
    with Butler.from_config(str(survey.repository), writeable=True, collections=survey.collection) as butler:
        butler.collections.register("u/me/copy")
        ref = butler.query_datasets("object")[0]
        butler.put(butler.get(ref), "object", ref.dataId, run="u/me/copy")
    assert "Several collections have object" in run("cmd", survey.repository, "-o", figure, exit_code=2).stderr
    run("cmd", survey.repository, "--collections", survey.collection, "-o", figure)
    assert figure.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--bands", "r"], "'r' is no pair of bands"),
        (["--bands", "r,r"], "The bands r, r should be different ones"),
        (["--patch", 3], "or deepCoadd_forced_src, of patch 3, in any collection"),
        (["--collections", "nowhere"], "cannot find the tables: No collection with name 'nowhere'"),
        (["--snr", "-1"], "-1.0 is not in the range x>=0"),
    ],
)
def test_what_is_not_there(
    run: Run, simulated: Callable[[str], SimulatedSurvey], tmp_path: Path, options: list[object], message: str
) -> None:
    result = run("cmd", simulated("dp1").repository, "-o", tmp_path / "diagram.png", *options, exit_code=2)
    assert message in " ".join(result.stderr.split())
    assert not list(tmp_path.iterdir())
