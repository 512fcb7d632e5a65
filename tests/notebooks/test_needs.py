"""What a notebook needs is found in its strings and names, without running it."""

import pytest

from forcedphot.notebooks.needs import Needs, find_needs


@pytest.mark.parametrize(
    ("sources", "profiles"),
    [
        (['butler = Butler("dp1", collections="LSSTComCam/DP1")'], ("dp1",)),
        (["config = 'dp02'\ncollections = '2.2i/runs/DP0.2'"], ("dp02",)),
        (["butler = dafPersist.Butler(inputs='DATA/rerun/coaddForcedPhot')"], ("hsc",)),
        (["%matplotlib inline\n!ls 'dp02'\nlabel = 'dp1'", "other = 'hsc'"], ("dp1", "hsc")),
        (["# 'dp1' is only spoken of", "text = 'the label dp1'"], ()),
        (["this is 'dp1', and no Python", "label = 'dp02'"], ("dp02",)),
        ([], ()),
    ],
)
def test_profiles_by_strings(sources: list[str], profiles: tuple[str, ...]) -> None:
    assert find_needs(sources) == Needs(profiles, uses_tap=False)


@pytest.mark.parametrize(
    ("source", "uses_tap"),
    [
        ("from lsst.rsp import get_tap_service", True),
        ("import lsst.rsp\nservice = lsst.rsp.get_tap_service('tap')", True),
        ("print('get_tap_service')", False),
    ],
)
def test_the_service_by_its_function(source: str, uses_tap: bool) -> None:
    assert find_needs([source]).uses_tap == uses_tap
