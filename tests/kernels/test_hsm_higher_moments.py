"""Higher moments against a numpy twin, and against those of Gaussians, which are known."""

import numpy as np
import pytest

from forcedphot.conventions import BoolArray, FloatArray, FloatValues
from forcedphot.kernels.hsm_higher_moments import moment_orders, source_higher_moments, stamp_higher_moments

from .comparison import LAYOUTS, PARITY, assert_close, noise_image

ORDERS = moment_orders(3, 4)
NO_MASK = np.zeros((0, 0), dtype=np.int32)
FLAT = max(PARITY, 1e-10)
"""Of the sums of sizes: the square root of a matrix is found in two ways."""


def twin(
    image: FloatValues,
    x: float,
    y: float,
    moments: FloatArray,
    orders: list[tuple[int, int]],
    is_bad: BoolArray | None = None,
    *,
    is_bad_zero: bool = True,
) -> tuple[list[float], list[float]]:
    """Return the moments, and the same with the terms' sizes."""
    xx, yy, xy = moments
    values, vectors = np.linalg.eigh([[xx, xy], [xy, yy]])
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    rows, columns = np.indices(image.shape)
    u, v = np.einsum("ij,jab->iab", root, np.array([columns - x, rows - y]))
    weight = np.exp(-0.5 * (u**2 + v**2))
    product = weight * image.astype(np.float64)
    if is_bad is not None:
        scale = image[~is_bad].astype(np.float64).sum() / weight[~is_bad].sum()
        product[is_bad] = 0.0 if is_bad_zero else weight[is_bad] ** 2 * scale
    total = product.sum()
    means = [(product * u**p * v**q).sum() / total for p, q in orders]
    sizes = [np.abs(product * u**p * v**q).sum() / abs(total) for p, q in orders]
    return means, sizes


def test_orders() -> None:
    assert moment_orders(3, 4) == [(0, 3), (1, 2), (2, 1), (3, 0), (0, 4), (1, 3), (2, 2), (3, 1), (4, 0)]
    assert moment_orders(0, 0) == [(0, 0)]


@pytest.mark.parametrize("is_bad_zero", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_sources(rng: np.random.Generator, layout: str, *, is_bad_zero: bool) -> None:
    image, _ = noise_image(rng)
    height, width = image.shape
    mask = np.where(rng.random(image.shape) < 0.1, 4, 1).astype(np.int32)
    boxes = np.array([(3, 2, 15, 17), (20, 20, 33, 29), (-5, -3, 9, 8), (40, 30, 60, 60), (10, 10, 10, 10)])
    x, y = boxes[:, [0, 2]].mean(axis=1) + 0.3, boxes[:, [1, 3]].mean(axis=1) - 0.2
    moments = np.array([(4.0, 3.0, 1.0), (9.0, 2.0, -3.5), (1.0, 1.0, 0.0), (20.0, 30.0, 20.0), (1.0, 2.0, 0.5)])
    lay = LAYOUTS[layout]
    found = source_higher_moments(lay(image), lay(mask), 4, boxes, x, y, moments, ORDERS, is_bad_zero=is_bad_zero)
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        left, bottom = max(x0, 0), max(y0, 0)
        part = np.s_[bottom : min(y1 + 1, height), left : min(x1 + 1, width)]
        is_bad = (mask[part] & 4) != 0
        if not is_bad.all():
            expected, sizes = twin(
                image[part], x[i] - left, y[i] - bottom, moments[i], ORDERS, is_bad, is_bad_zero=is_bad_zero
            )
            assert_close(found[i], expected, sizes, FLAT)
    without = source_higher_moments(image, NO_MASK, 0, boxes, x, y, moments, ORDERS, is_bad_zero=True)
    assert_close(without[0], *twin(image[2:18, 3:16], x[0] - 3, y[0] - 2, moments[0], ORDERS), FLAT)


def test_stamps(rng: np.random.Generator) -> None:
    images = np.full((2, 15, 17), np.nan)
    heights, widths = np.array([11, 15]), np.array([13, 9])
    x, y, moments = np.array([0.3, -0.4]), np.array([0.1, 0.2]), np.array([(4.0, 3.0, 1.0), (2.0, 5.0, -1.0)])
    stamps = [rng.random((int(h), int(w))) for h, w in zip(heights, widths, strict=True)]
    images[0, 2:13, 2:15], images[1, :, 4:13] = stamps
    found = stamp_higher_moments(images, x, y, heights, widths, moments, ORDERS)
    for i in range(2):
        middle_x, middle_y = widths[i] // 2, heights[i] // 2
        assert_close(found[i], *twin(stamps[i], middle_x + x[i], middle_y + y[i], moments[i], ORDERS), FLAT)


def test_those_of_a_gaussian() -> None:
    rows, columns = np.indices((61, 61)) - 30.0
    moments = np.array([(6.0, 4.0, 1.5)])
    inverse = np.linalg.inv([[6.0, 1.5], [1.5, 4.0]])
    d = np.stack([columns - 0.3, rows + 0.2], axis=-1)
    image = np.exp(-0.5 * np.einsum("...i,ij,...j", d, inverse, d))
    size = np.array([61])
    orders = moment_orders(0, 4)
    found = stamp_higher_moments(image[None], np.array([0.3]), np.array([-0.2]), size, size, moments, orders)[0]
    # Image times weight is a Gaussian of variance 1/2 in both directions.
    one_dimension = {0: 1.0, 1: 0.0, 2: 0.5, 3: 0.0, 4: 0.75}
    np.testing.assert_allclose(found, [one_dimension[p] * one_dimension[q] for p, q in orders], atol=1e-9)


def test_what_has_no_moments_is_nan_and_spoils_no_other(rng: np.random.Generator) -> None:
    image, _ = noise_image(rng)
    boxes = np.tile([10, 10, 30, 30], (8, 1))
    boxes[1], boxes[2] = (0, 0, -1, -1), (100, 100, 120, 120)
    x, y = np.full(8, 20.0), np.full(8, 20.0)
    x[3], y[4] = np.nan, 1e300
    moments = np.tile([3.0, 4.0, 1.0], (8, 1))
    moments[5], moments[6, 2] = np.nan, 5.0
    found = source_higher_moments(image, NO_MASK, 0, boxes, x, y, moments, ORDERS, is_bad_zero=False)
    np.testing.assert_array_equal(np.isfinite(found).all(axis=1), np.isin(np.arange(8), [0, 7]))
    np.testing.assert_array_equal(found[0], found[7])
    all_bad = np.full(image.shape, 2, dtype=np.uint8)
    for is_bad_zero in (False, True):
        nothing = source_higher_moments(image, all_bad, 2, boxes, x, y, moments, ORDERS, is_bad_zero=is_bad_zero)
        assert np.isnan(nothing).all()


def test_perturbed_moments_are_reported(rng: np.random.Generator) -> None:
    image = rng.random((15, 15))
    size, at, moments = np.array([15]), np.zeros(1), np.array([(4.0, 3.0, 1.0)])
    found = stamp_higher_moments(image[None], at, at, size, size, moments, ORDERS)[0]
    found[2] += 1e-8
    with pytest.raises(AssertionError):
        assert_close(found, *twin(image, 7.0, 7.0, moments[0], ORDERS), FLAT)
