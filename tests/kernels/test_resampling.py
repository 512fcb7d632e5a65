"""Resampled images against their numpy twin."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from forcedphot.conventions import FloatArray
from forcedphot.kernels.resampling import resample, unions
from forcedphot.kernels.warp import tap_table

from . import reference_resampling
from .comparison import LAYOUTS, PARITY, SHAPE, assert_close, noise_image

N_FRACTIONS = 1009
SPACING = 7
RESULT_SHAPE = 36, 43

type Turn = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]

TURNS: dict[str, Turn] = {
    "shift": lambda x, y: (x + 1.2345, y - 3.2119),
    "half pixels": lambda x, y: (x - 2.5, y + 7.5),
    "turned and stretched": lambda x, y: (0.81 * x - 0.43 * y + 9.017, 0.45 * x + 0.79 * y - 2.403),
    "upside down": lambda x, y: (45.503 - 1.17 * x, 39.301 - 0.94 * y),
    "bent": lambda x, y: (x + 0.003 * x * y - 1.507, y + 0.004 * x**2 + 0.707),
}
"""Where the pixels of the result come from; all of them beyond the image, too."""


def nodes(turn: Turn) -> tuple[FloatArray, FloatArray, FloatArray]:
    rows, columns = (-(-(side - 1) // SPACING) + 1 for side in RESULT_SHAPE)
    y, x = SPACING * np.indices((rows, columns)).astype(np.float64)
    source_x, source_y = turn(x, y)
    return source_x, source_y, 1.0 + 0.01 * x - 0.004 * y


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("n_taps", [2, 6])
@pytest.mark.parametrize("turn", TURNS)
def test_parity(rng: np.random.Generator, turn: str, n_taps: int, layout: Callable[[Any], Any]) -> None:
    image, variance = noise_image(rng)
    bits = np.where(rng.random(SHAPE) < 0.05, 1 << rng.integers(0, 31, SHAPE), 0).astype(np.int32)
    taps = tap_table(n_taps, N_FRACTIONS)
    places = nodes(TURNS[turn])
    found = resample(layout(image), layout(variance), layout(bits), *places, SPACING, taps, RESULT_SHAPE)
    expected = reference_resampling.resample(
        image.astype(np.float64), variance.astype(np.float64), bits, *places, SPACING, taps, RESULT_SHAPE
    )
    assert 0 < np.isfinite(expected[0]).sum() < expected[0].size
    assert_close(found[0], expected[0], np.full(RESULT_SHAPE, 1e4))
    assert_close(found[1], expected[1], np.full(RESULT_SHAPE, 1e4))
    np.testing.assert_array_equal(found[2], expected[2])
    assert found[2].any()


def test_a_flat_image_stays_flat() -> None:
    flat = np.ones(SHAPE, dtype=np.float32)
    source_x, source_y, area = nodes(TURNS["turned and stretched"])
    found, variance, _ = resample(
        flat, flat, flat.astype(np.uint8), source_x, source_y, area, SPACING, tap_table(6, 100), RESULT_SHAPE
    )
    inside = np.isfinite(found)
    y, x = np.indices(RESULT_SHAPE)
    expected = 1.0 + 0.01 * x - 0.004 * y
    assert_close(found[inside], expected[inside], expected[inside], 10 * PARITY)
    assert (variance[inside] < 1.1 * expected[inside] ** 2).all()


def test_an_undefined_place_is_nan() -> None:
    flat = np.ones(SHAPE, dtype=np.float32)
    source_x, source_y, area = nodes(TURNS["shift"])
    source_x[2, 2] = np.nan
    found, variance, bits = resample(
        flat, flat, flat.astype(np.uint8), source_x, source_y, area, SPACING, tap_table(6, 100), RESULT_SHAPE
    )
    around = np.s_[SPACING + 1 : 3 * SPACING, SPACING + 1 : 3 * SPACING]
    assert np.isnan(found[around]).all()
    assert np.isnan(variance[around]).all()
    assert (bits[around] == 0).all()
    assert np.isfinite(found[3 * SPACING :, 3 * SPACING :]).any()


def test_an_image_smaller_than_the_taps() -> None:
    small = np.ones((5, 40), dtype=np.float32)
    found, variance, bits = resample(
        small, small, small.astype(np.uint8), *nodes(TURNS["shift"]), SPACING, tap_table(6, 100), RESULT_SHAPE
    )
    assert np.isnan(found).all()
    assert np.isnan(variance).all()
    assert not bits.any()


@pytest.mark.parametrize("size", [1, 2, 6])
def test_unions(rng: np.random.Generator, size: int) -> None:
    bits = np.where(rng.random(SHAPE) < 0.05, 1 << rng.integers(0, 16, SHAPE), 0).astype(np.uint16)
    windows = np.lib.stride_tricks.sliding_window_view(bits, (size, size))
    np.testing.assert_array_equal(unions(bits, size), np.bitwise_or.reduce(windows, axis=(2, 3)))
