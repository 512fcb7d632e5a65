"""Warps against their numpy twin."""

import numpy as np
import pytest

from forcedphot.conventions import FloatArray, IntArray
from forcedphot.kernels.warp import add_warped, tap_table

from . import reference
from .comparison import PARITY, assert_close, read_only

N_FRACTIONS = 1009
SIZES = [(9, 11), (5, 3), (1, 1), (9, 7), (3, 11)]
"""(height, width) of images that stand in the middle of arrays of 9 x 11."""

IDENTITY = [[1.0, 0.0], [0.0, 1.0]]
MATRICES = [
    IDENTITY,
    [[0.0, -1.0], [1.0, 0.0]],
    [[0.8017, -0.5023], [0.5529, 0.7031]],
    [[-1.3037, 0.1041], [0.2043, -0.6047]],
    [[0.3153, 0.0], [0.0, 2.3059]],
    [[0.9061, 0.9067], [0.0, 0.7071]],
]
"""No place is where fractions are rounded the one way or the other, depending on a last digit."""

OFFSETS = [(0.0, 0.0), (0.3, -0.45), (0.5, -0.5), (-1e-9, 0.25)]


class Warp:
    """Arguments of the kernel for every size, matrix and offset."""

    def __init__(self, rng: np.random.Generator, n_taps: int) -> None:
        cases = [(size, matrix, offset) for size in SIZES for matrix in MATRICES for offset in OFFSETS]
        n = len(cases)
        self.images = rng.normal(0.3, 1.0, (n, 9, 11))
        self.heights = np.array([size[0] for size, _, _ in cases])
        self.widths = np.array([size[1] for size, _, _ in cases])
        self.to_source = np.array([matrix for _, matrix, _ in cases])
        self.offset_x, self.offset_y = np.array([offset for _, _, offset in cases]).T.copy()
        self.half_heights = rng.integers(0, 8, n)
        self.half_widths = rng.integers(0, 8, n)
        self.n_taps = n_taps

    def image(self, i: int) -> FloatArray:
        height, width = self.heights[i], self.widths[i]
        low_y, low_x = (9 - height) // 2, (11 - width) // 2
        return self.images[i, low_y : low_y + height, low_x : low_x + width]

    def expected(self, i: int) -> FloatArray:
        return reference.warp_image(
            self.image(i),
            self.to_source[i],
            self.offset_x[i],
            self.offset_y[i],
            self.half_heights[i],
            self.half_widths[i],
            self.n_taps,
            N_FRACTIONS,
        )

    def add_to(self, result: FloatArray, rows: IntArray, weight: float = 1.0) -> list[bool]:
        found: list[bool] = add_warped(
            self.images,
            self.heights,
            self.widths,
            self.to_source,
            self.offset_x,
            self.offset_y,
            tap_table(self.n_taps, N_FRACTIONS),
            self.half_heights,
            self.half_widths,
            weight,
            rows,
            result,
        ).tolist()
        return found


def middle(array: FloatArray, half_height: int, half_width: int) -> FloatArray:
    y, x = array.shape[0] // 2, array.shape[1] // 2
    return array[y - half_height : y + half_height + 1, x - half_width : x + half_width + 1]


@pytest.mark.parametrize("n_taps", [2, 4, 6, 10])
def test_parity(rng: np.random.Generator, n_taps: int) -> None:
    warp = Warp(rng, n_taps)
    n = len(warp.images)
    result = np.zeros((n, 17, 19))
    assert all(warp.add_to(result, np.arange(n)))
    for i in range(n):
        half = warp.half_heights[i], warp.half_widths[i]
        expected = warp.expected(i)
        # Small sums amplify the parity of what is divided by them.
        size = np.abs(expected).max() * max(np.abs(expected).sum(), 1.0)
        assert_close(middle(result[i], *half), expected, np.full(expected.shape, 100.0 * size))
        middle(result[i], *half)[:] = 0.0
        assert not result[i].any()


def test_taps_are_weights() -> None:
    for n_taps in (2, 6):
        taps = tap_table(n_taps, 8)
        assert taps.shape == (8, n_taps)
        np.testing.assert_allclose(taps.sum(axis=1), 1.0, rtol=1e-15)
    np.testing.assert_allclose(tap_table(2, 2), [[0.75, 0.25], [0.25, 0.75]])
    weights = reference.lanczos_weights(0.25)
    # Of order 5, from -4 to 5.
    np.testing.assert_allclose(tap_table(10, 2)[0], [weights[i] for i in range(-4, 6)], atol=1e-15)


def test_weights_and_rows(rng: np.random.Generator) -> None:
    warp = Warp(rng, 6)
    n = len(warp.images)
    alone = np.zeros((n, 17, 19))
    warp.add_to(alone, np.arange(n))
    before = rng.normal(0.0, 1.0, (3, 17, 19))
    result, rows = before.copy(), np.arange(n) % 3
    warp.add_to(result, rows, -2.5)
    for row in range(3):
        expected = before[row] - 2.5 * alone[rows == row].sum(axis=0)
        np.testing.assert_allclose(result[row], expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_what_cannot_be_normalised_is_not_added(rng: np.random.Generator) -> None:
    warp = Warp(rng, 6)
    warp.images[3] = 0.0
    warp.images[5] = np.nan
    result = np.zeros((len(warp.images), 17, 19))
    added = warp.add_to(result, np.arange(len(warp.images)))
    assert [i for i, ok in enumerate(added) if not ok] == [3, 5]
    assert not result[[3, 5]].any()
    assert np.isfinite(result).all()


def test_places_beyond_the_image_count_for_nothing() -> None:
    """An image that is moved away altogether has no sum."""
    one = np.ones(1, dtype=np.int64)
    result = np.zeros((1, 5, 5))
    for offset in (100.0, -100.0, np.nan, np.inf):
        for x, y in ((offset, 0.0), (0.0, offset)):
            arguments = np.array([IDENTITY]), np.array([x]), np.array([y])
            image, size, taps = np.ones((1, 3, 3)), 3 * one, tap_table(6, 10)
            assert not add_warped(image, size, size, *arguments, taps, one, one, 1.0, 0 * one, result)[0]
    assert not result.any()


def test_none_and_read_only(rng: np.random.Generator) -> None:
    none, empty = np.empty(0, dtype=np.int64), np.empty(0)
    taps = read_only(tap_table(6, 10))
    nothing = np.empty((0, 5, 5)), none, none, np.empty((0, 2, 2)), empty, empty
    assert len(add_warped(*nothing, taps, none, none, 1.0, none, np.zeros((0, 1, 1)))) == 0
    warp = Warp(rng, 6)
    expected, found = np.zeros((2, len(warp.images), 17, 19))
    warp.add_to(expected, np.arange(len(warp.images)))
    for name in ("images", "to_source", "offset_x", "heights", "half_widths"):
        setattr(warp, name, read_only(getattr(warp, name)))
    warp.add_to(found, np.arange(len(warp.images)))
    np.testing.assert_array_equal(found, expected)


def test_a_perturbed_warp_is_reported(rng: np.random.Generator) -> None:
    warp = Warp(rng, 6)
    expected = warp.expected(7)
    changed = expected.copy()
    changed[0, 0] += 10 * PARITY * np.abs(expected).max()
    with pytest.raises(AssertionError, match="beyond the tolerance"):
        assert_close(changed, expected, np.full(expected.shape, np.abs(expected).max()))
