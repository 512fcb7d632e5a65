"""Clipped means in annuli against their numpy twin."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from forcedphot.conventions import FloatArray
from forcedphot.kernels.local_background import LocalBackgrounds, local_backgrounds

from . import reference_local
from .comparison import LAYOUTS, PARITY, SHAPE, FloatImage, assert_close, noise_image, positions, read_only

type Bits = npt.NDArray[np.integer[Any]]

RADII = np.array(
    [
        (5.0, 12.0),
        (2.3, 8.7),
        (0.0, 6.2),
        (0.4, 1.1),
        (7.0, 7.4),
        (5.0, 5.0),
        (30.0, 300.0),
        (3.0, 1e9),
        (np.nan, np.nan),
        (3.0, np.inf),
        (0.1, 0.3),
    ]
)
"""Inner and outer radius; of exact ones, no pixel that lies on the circle has coordinates that round."""


def sources(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Pair every position with all radii; some centres are off the image."""
    x, y = positions(rng, 12)
    x, y = np.append(x, [-6.2, 50.0, -500.0]), np.append(y, [20.0, 47.3, 700.0])
    n = len(x)
    return np.repeat(x, len(RADII)), np.repeat(y, len(RADII)), np.tile(RADII, (n, 1))


def outlying_image(rng: np.random.Generator) -> FloatImage:
    """Draw noise with outliers on both sides, some of them not finite."""
    image, _ = noise_image(rng)
    image[rng.random(SHAPE) < 0.05] += 3000.0
    image[rng.random(SHAPE) < 0.03] -= 800.0
    for value in (np.nan, np.inf, -np.inf):
        image[rng.random(SHAPE) < 0.01] = value
    return image


def mask_image(rng: np.random.Generator, dtype: type[np.integer[Any]] = np.int32) -> Bits:
    mask: Bits = (rng.random(SHAPE) < 0.1).astype(dtype) * dtype(4) + (rng.random(SHAPE) < 0.2).astype(dtype)
    return mask


def assert_parity(
    found: LocalBackgrounds,
    image: FloatImage,
    mask: Bits,
    bad_bits: int,
    x: FloatArray,
    y: FloatArray,
    radii: FloatArray,
    clipping: tuple[float, int] = (3.0, 3),
) -> None:
    expected = [
        reference_local.local_background(image, mask, bad_bits, x[i], y[i], radii[i, 0], radii[i, 1], *clipping)
        for i in range(len(x))
    ]
    mean, sigma, n_pixels = (np.array(part) for part in zip(*expected, strict=True))
    assert found.n_pixels.tolist() == n_pixels.tolist()
    # Of the pixels' sizes; a mean of pixels on both sides of 0 is smaller.
    scale = np.full(len(x), 10.0 * float(np.abs(image[np.isfinite(image)]).max()))
    assert_close(found.mean, mean, scale)
    # A variance that is 0 but for rounding is the square of a sigma that is not.
    assert_close(found.sigma**2, sigma**2, scale**2, PARITY)


def measured(image: FloatImage, mask: Bits, bad_bits: int, x: FloatArray, y: FloatArray, radii: FloatArray) -> Any:
    return local_backgrounds(image, mask, bad_bits, x, y, radii[:, 0], radii[:, 1], 3.0, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_all_kinds_of_positions(rng: np.random.Generator, dtype: type[np.integer[Any]]) -> None:
    image, mask = outlying_image(rng), mask_image(rng, dtype)
    x, y, radii = sources(rng)
    found = measured(image, mask, 4, x, y, radii)
    assert_parity(found, image, mask, 4, x, y, radii)
    assert (found.n_pixels > 300).any()
    assert (found.n_pixels == 1).any()


def test_without_mask(rng: np.random.Generator) -> None:
    image, none = outlying_image(rng), np.zeros((0, 0), dtype=np.int32)
    x, y, radii = sources(rng)
    assert_parity(measured(image, none, 0, x, y, radii), image, none, 0, x, y, radii)


@pytest.mark.parametrize(("n_sigma", "n_iterations"), [(3.0, 1), (2.0, 2), (1.0, 9), (50.0, 3)])
def test_clipping(rng: np.random.Generator, n_sigma: float, n_iterations: int) -> None:
    image, mask = outlying_image(rng), mask_image(rng)
    x, y, radii = sources(rng)
    found = local_backgrounds(image, mask, 4, x, y, radii[:, 0], radii[:, 1], n_sigma, n_iterations)
    assert_parity(found, image, mask, 4, x, y, radii, (n_sigma, n_iterations))


def test_constant_image(rng: np.random.Generator) -> None:
    image, mask = np.full(SHAPE, 12.25, dtype=np.float32), mask_image(rng)
    x, y, radii = sources(rng)
    found = measured(image, mask, 4, x, y, radii)
    several = found.n_pixels > 1
    assert (found.mean[found.n_pixels > 0] == 12.25).all()
    assert (found.sigma[several] == 0.0).all()
    assert np.isnan(found.sigma[~several]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nothing_but_bad_pixels(rng: np.random.Generator, value: float) -> None:
    x, y, radii = sources(rng)
    mask = mask_image(rng)
    for image, bits in (
        (np.full(SHAPE, value, dtype=np.float32), mask),
        (np.ones(SHAPE, dtype=np.float32), mask | np.int32(4)),
    ):
        found = measured(image, bits, 4, x, y, radii)
        assert (found.n_pixels == 0).all()
        assert np.isnan(found.mean).all()
        assert np.isnan(found.sigma).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(rng: np.random.Generator, layout: str) -> None:
    image, mask = outlying_image(rng), mask_image(rng)
    x, y, radii = sources(rng)
    found = measured(LAYOUTS[layout](image), LAYOUTS[layout](mask), 4, read_only(x), read_only(y), radii)
    assert_parity(found, image, mask, 4, x, y, radii)


def test_none_and_any_order(rng: np.random.Generator) -> None:
    image, mask = outlying_image(rng), mask_image(rng)
    x, y, radii = sources(rng)
    assert [len(part) for part in measured(image, mask, 4, x[:0], y[:0], radii[:0])] == [0, 0, 0]
    together = measured(image, mask, 4, x, y, radii)
    order = rng.permutation(len(x))
    for part, again in zip(together, measured(image, mask, 4, x[order], y[order], radii[order]), strict=True):
        np.testing.assert_array_equal(part[order], again)


def test_a_perturbed_annulus_is_reported(rng: np.random.Generator) -> None:
    image, mask = outlying_image(rng), mask_image(rng)
    x, y, radii = sources(rng)
    for found in (measured(image, mask, 4, x, y, radii * 1.05), measured(image, mask, 5, x, y, radii)):
        with pytest.raises(AssertionError):
            assert_parity(found, image, mask, 4, x, y, radii)
