"""Tiny surveys, simulated when they are first asked for."""

from collections.abc import Callable, Iterator

import pytest
from lsst.daf.butler import Butler

from forcedphot.survey import SimulatedSurvey
from forcedphot.survey.profiles import PROFILES


@pytest.fixture
def butler(
    simulated: Callable[[str], SimulatedSurvey], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Butler]]:
    """Open the tiny survey of a profile by its label, as the documents do."""
    opened = []

    def open_survey(name: str) -> Butler:
        survey = simulated(name)
        monkeypatch.setenv("DAF_BUTLER_REPOSITORY_INDEX", str(survey.index))
        opened.append(Butler(PROFILES[name].label, collections=PROFILES[name].collection))
        return opened[-1]

    yield open_survey
    for each in opened:
        each.close()
