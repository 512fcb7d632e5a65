"""Stamps with noise: against numpy's Mersenne twister and the normal distribution."""

import math

import numpy as np
import pytest

from forcedphot.conventions import FloatArray, IntArray
from forcedphot.kernels import noisy_stamps as module
from forcedphot.kernels.noisy_stamps import noisy_stamps

NO_MASK = np.zeros((0, 0), dtype=np.int32)


def integers(seed: int, n: int) -> list[int]:
    state = np.empty(625, dtype=np.int64)
    module._seed(state, seed)
    return [int(module._integer(state)) for _ in range(n)]


def noise(seeds: IntArray, shape: tuple[int, int]) -> FloatArray:
    n, at = len(seeds), np.zeros(len(seeds), dtype=np.int64)
    height, width = at + shape[0], at + shape[1]
    images = np.zeros((n, *shape))
    variance = np.zeros(shape, dtype=np.float32)
    return noisy_stamps(
        images, at, at, height, width, np.ones(n), seeds, variance, NO_MASK, 0, constant_variance=1.0
    )


@pytest.mark.parametrize("seed", [1, 500, 4357, 2**32 - 1, 2**40 + 5, -3])
def test_integers_are_those_of_the_mersenne_twister(seed: int) -> None:
    twin = np.random.RandomState(seed & 0xFFFFFFFF)
    expected = twin.randint(0, 2**32, size=1300, dtype=np.uint32)
    np.testing.assert_array_equal(integers(seed, 1300), expected)


def test_a_seed_of_0_is_4357() -> None:
    assert integers(0, 5) == integers(4357, 5)


def test_strips_have_equal_areas_and_end_at_the_top() -> None:
    ends, tops = module._ENDS, module._TOPS
    assert len(ends) == len(tops) == 128
    areas = ends * -np.diff([*tops, 0.0])
    np.testing.assert_allclose(areas, areas[-1], rtol=1e-8)
    np.testing.assert_allclose(tops[1:], np.exp(-0.5 * ends[:-1] ** 2), rtol=1e-12)


def test_noise_is_normal() -> None:
    numbers = np.sort(noise(np.array([11]), (60, 60)).ravel())
    cumulative = np.array([0.5 * math.erfc(-number / math.sqrt(2.0)) for number in numbers])
    steps = (np.arange(3600) + 0.5) / 3600
    # Kolmogorov's distribution: larger once in 10^5.
    assert np.abs(cumulative - steps).max() < 2.5 / np.sqrt(3600)
    assert numbers[0] < -3.0
    assert numbers[-1] > 3.0


def test_noise_of_a_source_does_not_depend_on_the_others() -> None:
    together = noise(np.array([5, 6, 5]), (7, 9))
    np.testing.assert_array_equal(together[0], together[2])
    np.testing.assert_array_equal(together[1], noise(np.array([6]), (7, 9))[0])
    assert (together[0] != together[1]).all()


def test_flux_variance_bad_pixels_and_edges(rng: np.random.Generator) -> None:
    variance = rng.uniform(0.5, 2.0, (20, 24)).astype(np.float32)
    mask = np.where(rng.random((20, 24)) < 0.2, 4, 1).astype(np.int32)
    images = np.full((4, 7, 9), np.nan)
    heights, widths = np.array([5, 7, 7, 7]), np.array([9, 5, 5, 5])
    images[0, 1:6], images[1:, :, 2:7] = rng.random((5, 9)), rng.random((7, 5))
    x0, y0 = np.array([3, 19, 20, 4]), np.array([15, 0, 2, -1])
    flux, seeds = np.array([3.0, -2.0, 1.0, 1.0]), np.array([1, 2, 3, 4])
    found = noisy_stamps(images, x0, y0, heights, widths, flux, seeds, variance, mask, 4)
    for i, stamp in ((0, np.s_[1:6, :]), (1, np.s_[:, 2:7])):
        part = np.s_[y0[i] : y0[i] + heights[i], x0[i] : x0[i] + widths[i]]
        normals = noise(seeds[i : i + 1], (int(heights[i]), int(widths[i])))[0]
        expected = images[i][stamp] * flux[i] + normals * np.sqrt(variance[part].astype(np.float64))
        np.testing.assert_allclose(found[i][stamp], np.where(mask[part] & 4, 0.0, expected), rtol=1e-12)
    assert np.isnan(found[2:]).all()
    anywhere = noisy_stamps(images, x0, y0, heights, widths, flux, seeds, variance, mask, 4, constant_variance=4.0)
    normals = noise(seeds[2:3], (7, 5))[0]
    on_image = np.s_[2:9, 20:24]
    expected = images[2, :, 2:7] + 2.0 * normals
    expected[:, :4][(mask[on_image] & 4) != 0] = 0.0
    np.testing.assert_allclose(anywhere[2, :, 2:7], expected, rtol=1e-12)
