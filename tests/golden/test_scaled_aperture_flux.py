"""base_ScaledApertureFlux against the pipelines'."""

from collections.abc import Callable
from pathlib import Path

from .forced import differences, measure_case

NAME = "base_ScaledApertureFlux"


def test_field(golden: Callable[[str], Path]) -> None:
    ours, expected = measure_case(golden("all_plugins/field"), ["base_TransformedCentroid", NAME])
    names = [name for name in expected.colnames if name.startswith(NAME)]
    assert [name for name in ours.colnames if name.startswith(NAME)] == names
    assert differences(ours, expected, names) == []
    assert ours[f"{NAME}_flag_sincCoeffsTruncated"].any()
