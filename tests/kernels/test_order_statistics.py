"""Order statistics against sorting, for values of all kinds."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot.kernels.order_statistics import put_into_bins, quantile, value_of_rank, workspace

type Values = npt.NDArray[np.float32]

FLOATS = st.floats(width=32, allow_nan=False)


def ordered(values: Values) -> list[float]:
    """Ask for the values of all ranks, in an order that is not that of the ranks."""
    space = workspace(len(values) + 3)
    space.values[: len(values)] = values
    space.values[len(values) :] = np.nan
    put_into_bins(space, len(values))
    found = np.empty(len(values))
    for rank in np.argsort(np.sin(np.arange(len(values)))).tolist():
        found[rank] = value_of_rank(space, rank)
    return found.tolist()


@settings(deadline=None)  # the first call compiles
@given(st.lists(FLOATS, min_size=1, max_size=120))
def test_any_values(listed: list[float]) -> None:
    values = np.array(listed, dtype=np.float32)
    assert ordered(values) == np.sort(values).tolist()


@settings(deadline=None)  # the first call compiles
@given(
    st.lists(st.sampled_from([0.0, -0.0, 1.0, 1.5, np.inf, -np.inf, 3e38, -3e38, 1e-45]), min_size=1, max_size=200)
)
def test_few_different_and_extreme_values(listed: list[float]) -> None:
    values = np.array(listed, dtype=np.float32)
    assert ordered(values) == np.sort(values).tolist()


@pytest.mark.parametrize("n", [1, 2, 31, 32, 300, 3000])
@pytest.mark.parametrize("scale", [1e-40, 1.0, 1e30, 1e37])
def test_noise_with_outliers(rng: np.random.Generator, n: int, scale: float) -> None:
    values = (scale * rng.normal(0.3, 1.0, n)).astype(np.float32)
    values[rng.random(n) < 0.1] *= np.float32(1e6 if scale < 1e30 else 0.01)
    space = workspace(n)
    space.values[:] = values
    put_into_bins(space, n)
    np.testing.assert_array_equal(space.values, values)
    for fraction in (0.0, 0.25, 0.5, 0.75, 1.0):
        expected = np.quantile(values.astype(np.float64), fraction)
        np.testing.assert_allclose(quantile(space, n, fraction), expected, rtol=1e-14)


def test_bins_divide_noise(rng: np.random.Generator) -> None:
    """Otherwise all of the work would be left to the search within a bin."""
    space = workspace(2000)
    space.values[:] = rng.normal(1000.0, 10.0, 2000)
    put_into_bins(space, 2000)
    assert np.diff(space.first)[1:-1].max() < 60
