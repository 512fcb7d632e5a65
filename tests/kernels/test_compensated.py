"""Compensated apertures against their numpy twins."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot.conventions import FloatArray
from forcedphot.kernels.compensated import (
    CompensatedFluxes,
    box_fits,
    box_mask_bits,
    compensated_gaussian_fluxes,
)

from . import reference_compensated as reference
from .comparison import LAYOUTS, PARITY, FloatImage, assert_close, noise_image, positions, read_only

SHAPES = [(1.5, 2.0, 8), (2.0, 1.5, 8), (3.0, 2.0, 16), (1.0, 3.0, 1)]


def assert_parity(
    found: CompensatedFluxes,
    image: FloatImage,
    variance: FloatImage,
    x: FloatArray,
    y: FloatArray,
    shape: tuple[float, float, int],
) -> None:
    finite_image = np.where(np.isfinite(image), image, 0.0)
    finite_variance = np.where(np.isfinite(variance), variance, 0.0)

    def weigh(data: FloatImage, noise: FloatImage) -> FloatArray:
        return np.array(
            [
                reference.compensated_gaussian(data, noise, x_one, y_one, *shape)
                for x_one, y_one in zip(x.tolist(), y.tolist(), strict=True)
            ]
        )

    expected = weigh(image, variance)
    scale = 100.0 * np.nan_to_num(weigh(finite_image, finite_image**2)[:, 1]) + 1.0
    error_scale = np.nan_to_num(weigh(finite_image, finite_variance)[:, 1])
    assert_close(found.flux, expected[:, 0], scale)
    assert_close(found.flux_err, expected[:, 1], 10.0 * error_scale + 1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_all_kinds_of_positions(rng: np.random.Generator, shape: tuple[float, float, int]) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng)
    found = compensated_gaussian_fluxes(image, variance, x, y, *shape)
    assert_parity(found, image, variance, x, y, shape)
    fits = box_fits(x, y, shape[2], image.shape)
    assert 3 < fits.sum() < len(x) - 3
    np.testing.assert_array_equal(np.isfinite(found.flux), fits)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_mask_bits(rng: np.random.Generator, dtype: type[np.integer[Any]]) -> None:
    mask = np.zeros((41, 47), dtype=dtype)
    for bit in range(7):
        mask[rng.random(mask.shape) < 0.002] |= dtype(1 << bit)
    x, y = positions(rng)
    x, y = np.append(x, [-30.0, 700.0]), np.append(y, [10.0, -3.0])
    for half_width in (0, 2, 8):
        found = box_mask_bits(mask, x, y, half_width)
        expected = [reference.box_bits(mask, *at, half_width) for at in zip(x.tolist(), y.tolist(), strict=True)]
        np.testing.assert_array_equal(found, np.array(expected, dtype=np.uint64))
        assert len(set(found.tolist())) > 3 or half_width == 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(rng: np.random.Generator, layout: str) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng, 5)
    found = compensated_gaussian_fluxes(
        LAYOUTS[layout](image), LAYOUTS[layout](variance), read_only(x), read_only(y), *SHAPES[0]
    )
    assert_parity(found, image, variance, x, y, SHAPES[0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_pixel_only_spoils_the_boxes_over_it(rng: np.random.Generator, bad: float) -> None:
    image, variance = noise_image(rng)
    x, y = positions(rng)
    before = compensated_gaussian_fluxes(image, variance, x, y, *SHAPES[0])
    image[20, 23] = bad
    variance[21, 22] = bad
    after = compensated_gaussian_fluxes(image, variance, x, y, *SHAPES[0])
    fits = np.isfinite(before.flux)
    over = (np.abs(np.floor(x) - 23) <= 8) & (np.abs(np.floor(y) - 20) <= 8)
    assert 3 < (over & fits).sum() < fits.sum() - 3
    assert not np.isfinite(after.flux[over]).any()
    np.testing.assert_array_equal(after.flux[fits & ~over], before.flux[fits & ~over])
    over = (np.abs(np.floor(x) - 22) <= 8) & (np.abs(np.floor(y) - 21) <= 8)
    assert not np.isfinite(after.flux_err[over]).any()
    np.testing.assert_array_equal(after.flux_err[fits & ~over], before.flux_err[fits & ~over])


def test_a_matching_gaussian_has_its_flux_on_any_background() -> None:
    rows, columns = np.indices((101, 101))
    for x, y in ((50.0, 50.0), (50.3, 49.8), (50.5, 50.5)):
        source = 1000.0 * np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / 9.0) / (18.0 * np.pi)
        image = (source + 7.0).astype(np.float32)
        variance = np.full_like(image, 2.0)
        found = compensated_gaussian_fluxes(image, variance, np.array([x]), np.array([y]), 3.0, 2.0, 40)
        assert found.flux[0] == pytest.approx(1000.0, abs=1e-3)
        # Of a constant variance, the error of the weights' integral.
        assert found.flux_err[0] == pytest.approx(np.sqrt(2.0 * 4.0 * np.pi * 9.0 * 5.0 / 4.0), rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    x=st.floats(12.0, 30.0),
    y=st.floats(12.0, 27.0),
    dx=st.integers(-3, 3),
    dy=st.integers(-3, 3),
    factor=st.floats(0.25, 4.0),
)
def test_moved_and_scaled(x: float, y: float, dx: int, dy: int, factor: float) -> None:
    image, variance = noise_image(np.random.default_rng(5))
    moved_image, moved_variance = (np.roll(plane, (dy, dx), axis=(0, 1)) for plane in (image, variance))
    before = compensated_gaussian_fluxes(image, variance, np.array([x]), np.array([y]), *SHAPES[0])
    scale, square = np.float32(factor), np.float32(factor) ** 2
    after = compensated_gaussian_fluxes(
        moved_image * scale, moved_variance * square, np.array([x + dx]), np.array([y + dy]), *SHAPES[0]
    )
    assert np.isfinite(before.flux).all()
    assert after.flux[0] == pytest.approx(before.flux[0] * scale, abs=1e-5 * before.flux_err[0] * scale)
    assert after.flux_err[0] == pytest.approx(before.flux_err[0] * scale, rel=1e-5)


@pytest.mark.parametrize("name", ["flux", "flux_err"])
def test_a_perturbed_sum_is_reported(rng: np.random.Generator, name: str) -> None:
    image, variance = noise_image(rng)
    x, y = np.array([20.3]), np.array([20.0])
    found = compensated_gaussian_fluxes(image, variance, x, y, *SHAPES[0])
    getattr(found, name)[0] += 1e6 * PARITY * np.abs(found.flux_err[0])
    with pytest.raises(AssertionError, match="beyond the tolerance"):
        assert_parity(found, image, variance, x, y, SHAPES[0])
