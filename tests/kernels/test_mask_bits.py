"""Mask bits of footprints and centres against their numpy twin."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from forcedphot.conventions import Box, FloatArray
from forcedphot.kernels.mask_bits import MaskBits, mask_bits
from forcedphot.kernels.spans import ellipse_spans

from . import reference
from .comparison import LAYOUTS, SHAPE, positions, read_only

type Bits = npt.NDArray[np.integer[Any]]

DTYPES: list[type[np.integer[Any]]] = [np.uint8, np.uint16, np.int32, np.uint32, np.int64]

MOMENTS = np.array(
    [
        # Through pixel centres, exactly; where roots round, a pixel on the ellipse may fall on either side.
        (25.0, 25.0, 0.0),
        (26.01, 26.01, 0.0),
        (60.0, 12.0, 15.0),
        (12.0, 60.0, -25.9),
        (40.0, 40.0, 39.9),
        (0.01, 0.01, 0.0),
        (0.3, 90.0, 0.0),
        (900.0, 700.0, -100.0),
        (np.nan, 4.0, 0.0),
        (4.0, np.nan, 0.0),
        (4.0, 4.0, 5.0),
        (0.0, 0.0, 0.0),
        (-4.0, -4.0, 0.0),
    ]
)


def sources(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Pair every position with some of the ellipses; some centres are off the image."""
    x, y = positions(rng, 60)
    x, y = np.append(x, [-1.2, 48.0, 10.0, -500.0]), np.append(y, [20.0, -1.4, 43.0, 700.0])
    x, y = np.tile(x, 3), np.tile(y, 3)
    return x, y, MOMENTS[np.arange(len(x)) % len(MOMENTS)]


def sparse_mask(rng: np.random.Generator, dtype: type[np.integer[Any]]) -> Bits:
    """Set each bit in one pixel of 50, so that footprints differ in the bits that they have."""
    n_bits = 8 * np.dtype(dtype).itemsize
    bits = np.zeros(SHAPE, dtype=np.uint64)
    for bit in range(n_bits):
        bits[rng.random(SHAPE) < 0.02] |= np.uint64(1 << bit)
    mask = bits.astype(dtype)
    mask[:3, :] |= mask.dtype.type(5)
    return mask


def bits_of(mask: Bits, x: FloatArray, y: FloatArray, moments: FloatArray) -> MaskBits:
    """Combine the bits of elliptical footprints, clipped to the image."""
    return mask_bits(mask, x, y, ellipse_spans(x, y, moments, Box(0, 0, mask.shape[1], mask.shape[0])))


def assert_parity(found: MaskBits, mask: Bits, x: FloatArray, y: FloatArray, moments: FloatArray) -> None:
    expected = [
        reference.combine_mask_bits(mask, column, row, q)
        for column, row, q in zip(x.tolist(), y.tolist(), moments, strict=True)
    ]
    for name in MaskBits._fields:
        values = getattr(found, name)
        assert values.dtype == np.uint64
        assert values.tolist() == [getattr(e, name) for e in expected], name


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_kinds_of_positions(rng: np.random.Generator, dtype: type[np.integer[Any]]) -> None:
    mask = sparse_mask(rng, dtype)
    x, y, moments = sources(rng)
    found = bits_of(mask, x, y, moments)
    assert_parity(found, mask, x, y, moments)
    assert found.center_all.any()
    assert len(np.unique(found.footprint)) > 20


@pytest.mark.parametrize(("x", "y"), [(20.0, 20.0), (20.5, 20.0), (0.0, 0.0), (20.3, 19.9)])
def test_footprint_pixel_by_pixel(x: float, y: float) -> None:
    """A mask with one pixel set shows whether that pixel belongs to the footprint."""
    moments = np.array([[30.0, 18.0, 11.0]])
    for column in range(12, 30):
        for row in range(13, 28):
            mask = np.zeros(SHAPE, dtype=np.uint8)
            mask[row, column] = 1
            found = bits_of(mask, np.array([x]), np.array([y]), moments)
            assert_parity(found, mask, np.array([x]), np.array([y]), moments)


def test_none_and_one(rng: np.random.Generator) -> None:
    mask = sparse_mask(rng, np.int32)
    x, y, moments = sources(rng)
    assert [len(values) for values in bits_of(mask, x[:0], y[:0], moments[:0])] == [0] * 3
    assert_parity(bits_of(mask, x[:1], y[:1], moments[:1]), mask, x[:1], y[:1], moments[:1])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(rng: np.random.Generator, layout: str) -> None:
    mask = sparse_mask(rng, np.int32)
    x, y, _ = sources(rng)
    moments = np.broadcast_to(MOMENTS[2], (len(x), 3))
    found = bits_of(LAYOUTS[layout](mask), read_only(x), read_only(y), moments)
    assert_parity(found, mask, x, y, moments)


def test_all_and_no_bits(rng: np.random.Generator) -> None:
    x, y, moments = sources(rng)
    for dtype in DTYPES:
        for value in (0, np.iinfo(dtype).max, np.iinfo(dtype).min):
            mask = np.full(SHAPE, value, dtype=dtype)
            assert_parity(bits_of(mask, x, y, moments), mask, x, y, moments)


def test_a_perturbed_footprint_is_reported(rng: np.random.Generator) -> None:
    mask = sparse_mask(rng, np.int32)
    x, y, moments = sources(rng)
    with pytest.raises(AssertionError):
        assert_parity(bits_of(mask, x, y, moments * 1.05), mask, x, y, moments)
    with pytest.raises(AssertionError):
        assert_parity(bits_of(mask, x + 0.5, y, moments), mask, x, y, moments)
