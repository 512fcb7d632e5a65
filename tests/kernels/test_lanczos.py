"""Lanczos-5 shifts against their numpy twin."""

import numpy as np
import pytest

from forcedphot.conventions import FloatArray
from forcedphot.kernels.lanczos import N_TAPS, lanczos5_taps, shift_images

from . import reference
from .comparison import PARITY, assert_close, read_only

FRACTIONS = [0.0, 0.5, -0.5, 0.25, -0.31, 1e-9, -1e-9, float(np.float32(0.1))]


def every_shift() -> tuple[FloatArray, FloatArray]:
    shift_x, shift_y = np.meshgrid(FRACTIONS, FRACTIONS)
    return shift_x.ravel(), shift_y.ravel()


def expected_shifts(images: FloatArray, shift_x: FloatArray, shift_y: FloatArray) -> FloatArray:
    shifted = [reference.shift_image(*arguments) for arguments in zip(images, shift_x, shift_y, strict=True)]
    return np.array(shifted)


def assert_shifted(found: FloatArray, images: FloatArray, shift_x: FloatArray, shift_y: FloatArray) -> None:
    expected = expected_shifts(images, shift_x, shift_y)
    # The sizes of a pixel's ten weights add up to less than 1.8 in each axis.
    assert_close(found, expected, np.full(found.shape, 4.0 * np.abs(images).max()))


@pytest.mark.parametrize("fraction", [*FRACTIONS, 0.1, 0.49999999])
def test_taps_are_the_weights(fraction: float) -> None:
    taps = np.empty(N_TAPS)
    offset = lanczos5_taps(fraction, taps)
    weights = reference.lanczos_weights(fraction)
    # Tap s multiplies the pixel s + offset - 5, which moves by as much the other way.
    assert_close(taps, [weights[5 - s - offset] for s in range(N_TAPS)], np.ones(N_TAPS))
    assert sum(weights.values()) == pytest.approx(1.0, abs=1e-15)


def test_small_shapes(rng: np.random.Generator) -> None:
    shift_x, shift_y = every_shift()
    for shape in [(1, 1), (1, 9), (5, 3), (11, 7)]:
        images = rng.normal(0.0, 10.0, (len(shift_x), *shape))
        assert_shifted(shift_images(images, shift_x, shift_y), images, shift_x, shift_y)


def test_large_stamps(rng: np.random.Generator) -> None:
    shift_x, shift_y = rng.uniform(-0.5, 0.5, (2, 20))
    images = rng.normal(0.0, 10.0, (20, 41, 35))
    assert_shifted(shift_images(images, shift_x, shift_y), images, shift_x, shift_y)


def test_one_image_for_all_shifts(rng: np.random.Generator) -> None:
    shift_x, shift_y = every_shift()
    image = rng.normal(0.0, 10.0, (9, 13))
    broadcast = np.broadcast_to(image, (len(shift_x), *image.shape))
    for images in (broadcast, image[np.newaxis], read_only(image[np.newaxis])):
        assert_shifted(shift_images(images, shift_x, shift_y), broadcast, shift_x, shift_y)


def test_none_and_one(rng: np.random.Generator) -> None:
    image = rng.normal(0.0, 10.0, (9, 13))
    none = np.empty(0)
    assert shift_images(np.broadcast_to(image, (0, 9, 13)), none, none).shape == (0, 9, 13)
    assert shift_images(np.empty((0, 9, 13)), none, none).shape == (0, 9, 13)
    one = np.array([0.2])
    assert_shifted(shift_images(np.broadcast_to(image, (1, 9, 13)), one, -one), image[np.newaxis], one, -one)


def test_strided_and_read_only_inputs(rng: np.random.Generator) -> None:
    images = rng.normal(0.0, 10.0, (6, 18, 26))
    shift_x, shift_y = rng.uniform(-0.5, 0.5, (2, 6))
    thinned = images[:, ::2, ::2]
    found = shift_images(thinned, read_only(shift_x), read_only(shift_y))
    assert_shifted(found, thinned, shift_x, shift_y)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_pixel_stays_in_its_image(rng: np.random.Generator, bad: float) -> None:
    images = rng.normal(0.0, 10.0, (5, 15, 15))
    shift_x, shift_y = rng.uniform(-0.5, 0.5, (2, 5))
    before = shift_images(images, shift_x, shift_y)
    images[2, 7, 7] = bad
    after = shift_images(images, shift_x, shift_y)
    assert not np.isfinite(after[2, 7, 7])
    np.testing.assert_array_equal(np.delete(after, 2, axis=0), np.delete(before, 2, axis=0))


def test_a_perturbed_shift_is_reported(rng: np.random.Generator) -> None:
    images = rng.normal(0.0, 10.0, (1, 15, 15))
    shift_x, shift_y = rng.uniform(-0.5, 0.5, (2, 1))
    found = shift_images(images, shift_x, shift_y)
    found[0, 14, 14] += 10.0 * PARITY * 4.0 * np.abs(images).max()
    with pytest.raises(AssertionError, match="beyond the tolerance"):
        assert_shifted(found, images, shift_x, shift_y)
