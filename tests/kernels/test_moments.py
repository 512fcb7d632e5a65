"""Adaptive moments against their numpy twin, and against Gaussians of known covariance."""

import numpy as np
import pytest

from forcedphot.conventions import FloatArray
from forcedphot.kernels.moments import adaptive_moments

from . import reference_shapes
from .comparison import read_only

ITERATED = 1e-9
"""Relative: the iteration amplifies the parity of its sums; it ends after the same number of steps."""

ELLIPSES = [(2.9, 2.9, 0.0), (4.0, 2.0, 0.9), (2.0, 4.0, -1.7), (9.0, 8.0, 0.3), (1.0, 1.2, 0.0), (6.0, 3.0, -4.0)]


def gaussian(ellipse: tuple[float, float, float], shape: tuple[int, int]) -> FloatArray:
    xx, yy, xy = ellipse
    rows, columns = np.indices(shape)
    d = np.stack([columns - shape[1] // 2, rows - shape[0] // 2], axis=-1)
    exponent = np.einsum("...i,ij,...j", d, np.linalg.inv([[xx, xy], [xy, yy]]), d)
    image: FloatArray = np.exp(-exponent / 2.0)
    return image / image.sum()


def assert_parity(found: FloatArray, images: FloatArray) -> None:
    expected = []
    for image in images:
        height, width = image.shape
        shape = reference_shapes.shape(image, np.nan, width // 2, height // 2, max_shift=np.inf)
        expected.append(np.full(3, np.nan) if "bad" in shape.problems else shape.moments)
    np.testing.assert_allclose(found, expected, rtol=ITERATED, atol=ITERATED)


@pytest.mark.parametrize("shape", [(25, 25), (21, 41), (41, 21), (5, 5), (3, 9), (1, 1)])
def test_gaussians(shape: tuple[int, int]) -> None:
    images = np.array([gaussian(ellipse, shape) for ellipse in ELLIPSES])
    assert_parity(adaptive_moments(images), images)


def test_moments_are_the_covariance() -> None:
    images = np.array([gaussian(ellipse, (61, 61)) for ellipse in ELLIPSES])
    narrowest = np.array([np.linalg.eigvalsh([[xx, xy], [xy, yy]])[0] for xx, yy, xy in ELLIPSES])
    found, size = adaptive_moments(images), np.array([max(ellipse) for ellipse in ELLIPSES])
    difference = np.abs(found - np.array(ELLIPSES)).max(axis=1) / size
    well_sampled = narrowest > 1.0
    assert well_sampled.sum() == 4
    # The iteration ends when a step changes the size by less than 1e-4.
    assert (difference[well_sampled] < 1e-4).all()
    # Pixels are too coarse to sum a weight and an image of a variance of 1 or below.
    assert (difference < 5e-3).all()


def test_other_profiles(rng: np.random.Generator) -> None:
    rows, columns = np.indices((31, 35))
    radius_squared = (columns - 17.4) ** 2 / 4.0 + (rows - 15.0) ** 2 / 9.0
    moffat = (1.0 + radius_squared / 3.0) ** -2.5
    noisy = gaussian((5.0, 4.0, 1.0), (31, 35)) + rng.normal(0.0, 2e-4, (31, 35))
    ring = np.exp(-((np.sqrt(radius_squared) - 2.0) ** 2))
    images = np.array([moffat, noisy, ring, moffat + 0.02])
    found = adaptive_moments(images)
    assert np.isfinite(found[:2]).all()
    assert_parity(found, images)


def test_unweighted_where_the_weight_does_not_match() -> None:
    rows, columns = np.indices((21, 21))
    two = np.where((np.abs(columns - 10) == 4) & (rows == 10), 1.0, 1e-3)
    found = adaptive_moments(two[np.newaxis])
    assert_parity(found, two[np.newaxis])
    assert found[0, 0] > 4 * found[0, 1]


def test_narrow_images_are_sampled_finely() -> None:
    # Of a Gaussian of 0.4 pixel, the pixels' own width is in what is found.
    images = np.array([gaussian((0.16, 0.16, 0.0), (11, 11)), gaussian((0.16, 0.3, 0.05), (11, 11))])
    found = adaptive_moments(images)
    assert_parity(found, images)
    assert np.isfinite(found).all()


def test_failures_are_nan() -> None:
    point = np.zeros((11, 11))
    point[5, 5] = 1.0
    bad_pixel = gaussian((3.0, 3.0, 0.0), (11, 11))
    bad_pixel[5, 6] = np.nan
    flat = np.ones((11, 11))
    images = np.array([point, np.zeros((11, 11)), -flat, np.full((11, 11), np.nan), bad_pixel, flat])
    found = adaptive_moments(images)
    assert_parity(found, images)
    assert np.isnan(found[:5]).all()


def test_a_bad_image_does_not_spoil_the_next() -> None:
    images = np.array([gaussian(ellipse, (25, 25)) for ellipse in ELLIPSES])
    before = adaptive_moments(images)
    images[2] = np.nan
    after = adaptive_moments(images)
    assert np.isnan(after[2]).all()
    np.testing.assert_array_equal(np.delete(after, 2, axis=0), np.delete(before, 2, axis=0))


def test_none_read_only_and_strided() -> None:
    images = np.array([gaussian(ellipse, (25, 25)) for ellipse in ELLIPSES])
    assert adaptive_moments(images[:0]).shape == (0, 3)
    assert_parity(adaptive_moments(read_only(images)), images)
    turned = images.transpose(0, 2, 1)
    np.testing.assert_allclose(adaptive_moments(turned), adaptive_moments(images)[:, [1, 0, 2]], rtol=2e-4)
    assert_parity(adaptive_moments(turned), turned)


def test_perturbed_moments_are_reported() -> None:
    images = np.array([gaussian(ellipse, (25, 25)) for ellipse in ELLIPSES])
    found = adaptive_moments(images)
    found[1, 2] += 1e-7
    with pytest.raises(AssertionError):
        assert_parity(found, images)
