"""Polygon: what lies inside."""

import numpy as np
import pytest

from forcedphot.errors import ExposureError
from forcedphot.exposure.polygon import Polygon


def test_square() -> None:
    square = Polygon(np.array([1.0, 5.0, 5.0, 1.0]), np.array([2.0, 2.0, 4.0, 4.0]))
    x, y = np.array([3.0, 0.9, 5.1, 3.0, 3.0, np.nan, 3.0]), np.array([3.0, 3.0, 3.0, 1.9, 4.1, 3.0, np.nan])
    assert square.contains(x, y).tolist() == [True, False, False, False, False, False, False]
    far = np.array([1e300, -1e300, np.inf, -np.inf])
    for x, y in ((far, far), (far, far[::-1]), (far, np.full(4, 3.0))):
        assert not square.contains(x, y).any()
    assert square.contains(np.empty(0), np.empty(0)).shape == (0,)


def test_a_closed_list_of_vertices_is_the_same() -> None:
    x, y = np.array([0.0, 9.0, 4.0]), np.array([0.0, 1.0, 8.0])
    points = np.random.default_rng(1).uniform(-1.0, 10.0, (2, 500))
    expected = Polygon(x, y).contains(*points)
    assert 100 < expected.sum() < 300
    np.testing.assert_array_equal(Polygon(np.append(x, 0.0), np.append(y, 0.0)).contains(*points), expected)
    np.testing.assert_array_equal(Polygon(x[::-1], y[::-1]).contains(*points), expected)


def test_many_edges() -> None:
    """A star of 300 edges, against its polar equation."""
    angle = np.arange(300) * 2.0 * np.pi / 300
    radius = np.where(np.arange(300) % 2 == 0, 10.0, 4.0)
    star = Polygon(radius * np.cos(angle), radius * np.sin(angle))
    x, y = np.random.default_rng(2).uniform(-11.0, 11.0, (2, 2000))
    distance = np.hypot(x, y)
    inside = star.contains(x, y)
    assert inside[distance < 3.99].all()
    assert not inside[distance > 10.0].any()
    assert 0.2 < inside[(distance > 4.0) & (distance < 10.0)].mean() < 0.6


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([0.0, 1.0], [0.0, 1.0]),
        ([0.0, 1.0, 2.0], [0.0, 1.0]),
        ([0.0, np.nan, 1.0], [0.0, 1.0, 2.0]),
        ([[0.0]], [[0.0]]),
    ],
)
def test_what_is_no_polygon(x: list[float], y: list[float]) -> None:
    with pytest.raises(ExposureError, match="at least three finite vertices"):
        Polygon(np.array(x), np.array(y))
