"""Clipped statistics of images against their numpy twin."""

import numpy as np
import pytest

from forcedphot.kernels.clipping import clipped_mean_and_sigma

from .reference_local import clipped_statistics


@pytest.mark.parametrize("n_iterations", [1, 3])
def test_images(rng: np.random.Generator, n_iterations: int) -> None:
    image = rng.normal(5.0, 2.0, (40, 50)).astype(np.float32)
    image[:4] += 100.0
    image[10, 10], image[11, 11] = np.nan, -np.inf
    found = clipped_mean_and_sigma(image, 3.0, n_iterations)
    expected = clipped_statistics(image[np.isfinite(image)].astype(np.float64), 3.0, n_iterations)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    wide = np.empty((40, 100), dtype=np.float32)[:, ::2]
    wide[:] = image
    assert clipped_mean_and_sigma(wide, 3.0, n_iterations) == found


def test_few_pixels() -> None:
    assert np.isnan(clipped_mean_and_sigma(np.full((2, 2), np.nan, dtype=np.float32), 3.0, 3)).all()
    mean, sigma = clipped_mean_and_sigma(np.array([[4.0]], dtype=np.float32), 3.0, 3)
    assert (mean, np.isnan(sigma)) == (4.0, True)
    assert clipped_mean_and_sigma(np.full((3, 3), 2.0, dtype=np.float32), 3.0, 3) == (2.0, 0.0)
