"""Medians of variances in ellipses against their numpy twin."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from forcedphot.conventions import FloatArray
from forcedphot.kernels.variance_median import VarianceMedians, variance_medians

from . import reference_local
from .comparison import LAYOUTS, SHAPE, FloatImage, noise_image, positions, read_only

type Bits = npt.NDArray[np.integer[Any]]

MOMENTS = np.array(
    [
        (26.01, 26.01, 0.0),
        (60.0, 12.0, 15.0),
        (12.0, 60.0, -25.9),
        (40.0, 40.0, 39.9),
        (0.01, 0.01, 0.0),
        (0.3, 90.0, 0.0),
        (900.0, 700.0, -100.0),
        (1e9, 1e8, 0.0),
        (np.nan, 4.0, 0.0),
        (4.0, np.nan, 0.0),
        (4.0, 4.0, np.nan),
        (np.inf, 4.0, 0.0),
        (4.0, 4.0, 5.0),
        (0.0, 0.0, 0.0),
        (-4.0, -4.0, 0.0),
    ]
)


def sources(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Pair every position with all ellipses; some centres are off the image."""
    x, y = positions(rng, 12)
    x, y = np.append(x, [-1.2, 48.0, -500.0]), np.append(y, [20.0, 43.3, 700.0])
    n = len(x)
    return np.repeat(x, len(MOMENTS)), np.repeat(y, len(MOMENTS)), np.tile(MOMENTS, (n, 1))


def mask_image(rng: np.random.Generator, dtype: type[np.integer[Any]] = np.int32) -> Bits:
    mask: Bits = (rng.random(SHAPE) < 0.3).astype(dtype) * dtype(4) + (rng.random(SHAPE) < 0.2).astype(dtype)
    return mask


def assert_parity(
    found: VarianceMedians,
    variance: FloatImage,
    mask: Bits,
    bad_bits: int,
    x: FloatArray,
    y: FloatArray,
    moments: FloatArray,
) -> None:
    expected = [
        reference_local.variance_median(variance, mask, bad_bits, x[i], y[i], moments[i]) for i in range(len(x))
    ]
    median, n_pixels = (np.array(part) for part in zip(*expected, strict=True))
    assert found.n_pixels.tolist() == n_pixels.tolist()
    np.testing.assert_allclose(found.median, median, rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_all_kinds_of_positions(rng: np.random.Generator, dtype: type[np.integer[Any]]) -> None:
    _, variance = noise_image(rng)
    mask = mask_image(rng, dtype)
    x, y, moments = sources(rng)
    found = variance_medians(variance, mask, 4, x, y, moments)
    assert_parity(found, variance, mask, 4, x, y, moments)
    assert (found.n_pixels > 1000).any()
    assert (found.n_pixels == 1).any()


def test_without_mask(rng: np.random.Generator) -> None:
    _, variance = noise_image(rng)
    none = np.zeros((0, 0), dtype=np.int32)
    x, y, moments = sources(rng)
    assert_parity(variance_medians(variance, none, 0, x, y, moments), variance, none, 0, x, y, moments)


def test_variances_that_are_not_finite(rng: np.random.Generator) -> None:
    """One NaN makes the median NaN, unless it is masked; infinity is a large variance."""
    _, variance = noise_image(rng)
    variance[rng.random(SHAPE) < 0.3] = np.inf
    variance[20, 23] = variance[10, 11] = np.nan
    mask = mask_image(rng)
    mask[20, 23], mask[10, 11] = 0, 4
    x, y, moments = sources(rng)
    found = variance_medians(variance, mask, 4, x, y, moments)
    assert_parity(found, variance, mask, 4, x, y, moments)
    assert (np.isnan(found.median) & (found.n_pixels > 0)).any()


def test_only_masked_pixels(rng: np.random.Generator) -> None:
    _, variance = noise_image(rng)
    x, y, moments = sources(rng)
    found = variance_medians(variance, np.full(SHAPE, 6, dtype=np.int32), 4, x, y, moments)
    assert (found.n_pixels == 0).all()
    assert np.isnan(found.median).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(rng: np.random.Generator, layout: str) -> None:
    _, variance = noise_image(rng)
    mask = mask_image(rng)
    x, y, _ = sources(rng)
    moments = np.broadcast_to(MOMENTS[1], (len(x), 3))
    found = variance_medians(LAYOUTS[layout](variance), LAYOUTS[layout](mask), 4, read_only(x), y, moments)
    assert_parity(found, variance, mask, 4, x, y, moments)


def test_none_and_any_order(rng: np.random.Generator) -> None:
    _, variance = noise_image(rng)
    mask = mask_image(rng)
    x, y, moments = sources(rng)
    assert [len(part) for part in variance_medians(variance, mask, 4, x[:0], y[:0], moments[:0])] == [0, 0]
    together = variance_medians(variance, mask, 4, x, y, moments)
    order = rng.permutation(len(x))
    for part, again in zip(
        together, variance_medians(variance, mask, 4, x[order], y[order], moments[order]), strict=True
    ):
        np.testing.assert_array_equal(part[order], again)


def test_a_perturbed_ellipse_is_reported(rng: np.random.Generator) -> None:
    _, variance = noise_image(rng)
    mask = mask_image(rng)
    x, y, moments = sources(rng)
    for found in (
        variance_medians(variance, mask, 4, x, y, moments * 1.05),
        variance_medians(variance, mask, 5, x, y, moments),
    ):
        with pytest.raises(AssertionError):
            assert_parity(found, variance, mask, 4, x, y, moments)
