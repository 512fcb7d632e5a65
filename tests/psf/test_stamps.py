"""Stamps are added to an image where they are on it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forcedphot.psf.base import Stamps

_FAR = st.integers(-30, 40)


@given(
    corners=st.lists(st.tuples(_FAR, _FAR), max_size=6),
    origin=st.tuples(st.integers(-5, 5), st.integers(-5, 5)),
    small=st.booleans(),
    seed=st.integers(0, 99),
)
def test_add_to(corners: list[tuple[int, int]], origin: tuple[int, int], small: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, (x0, y0) = len(corners), origin
    places = np.array(corners, dtype=np.int64).reshape(n, 2)
    height, width = (5, 3) if small else (7, 9)
    images, flux = rng.normal(size=(n, 7, 9)), rng.normal(size=n)
    ones = np.ones(n, dtype=np.int64)
    stamps = Stamps(images, places[:, 0], places[:, 1], ones > 0, height * ones, width * ones)
    image = rng.normal(size=(11, 17))

    margin = 60
    expected = np.pad(image, margin)
    top, left = (7 - height) // 2, (9 - width) // 2
    for i, (x, y) in enumerate(corners):
        rows, columns = slice(y - y0 + margin, None), slice(x - x0 + margin, None)
        expected[rows, columns][:height, :width] += flux[i] * images[i, top : top + height, left : left + width]
    stamps.add_to(image, x0, y0, flux)
    np.testing.assert_array_equal(image, expected[margin:-margin, margin:-margin])


def test_the_image_keeps_its_type() -> None:
    one = np.ones(1, dtype=np.int64)
    image = np.zeros((4, 4), dtype=np.float32)
    Stamps(np.full((1, 3, 3), 1 / 3), one, one, one > 0, 3 * one, 3 * one).add_to(image, 0, 0, np.array([3.0]))
    assert image.dtype == np.float32
    assert image[1:, 1:].tolist() == [[1.0] * 3] * 3
    assert image[0].max() == 0.0
