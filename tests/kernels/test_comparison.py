"""The comparison of the other tests must fail where there is a difference."""

import numpy as np
import pytest

from .comparison import PARITY, assert_close

EXPECTED = np.array([1.0, -200.0, np.nan, np.inf])
SCALE = np.array([1.0, 200.0, 1.0, 1.0])


def test_equal_values_pass() -> None:
    assert_close(EXPECTED * (1.0 + 0.9 * PARITY), EXPECTED, SCALE)


@pytest.mark.parametrize(
    "found",
    [
        EXPECTED * (1.0 + 2.0 * PARITY),
        EXPECTED + np.array([0.0, 300.0 * PARITY, 0.0, 0.0]),
        np.array([np.nan, -200.0, np.nan, np.inf]),
        np.array([1.0, -200.0, 0.0, np.inf]),
        np.array([1.0, -200.0, np.nan, -np.inf]),
        np.array([1.0, -200.0, np.inf, np.nan]),
        np.append(EXPECTED, 1.0),
        np.tile(EXPECTED, (2, 1)),
    ],
)
def test_a_perturbed_result_is_reported(found: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    with pytest.raises(AssertionError):
        assert_close(found, EXPECTED, SCALE)
