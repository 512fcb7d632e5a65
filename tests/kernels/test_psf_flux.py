"""PSF fluxes against their numpy twin."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from forcedphot.conventions import FloatArray, IntArray
from forcedphot.kernels.psf_flux import PsfFluxes, psf_fluxes

from . import reference
from .comparison import (
    HARD_POSITIONS,
    LAYOUTS,
    PARITY,
    SHAPE,
    FloatImage,
    assert_close,
    noise_image,
    positions,
    read_only,
)

type Bits = npt.NDArray[np.integer[Any]]

MODEL_SHAPE = 9, 11
NO_MASK = np.zeros((0, 0), dtype=np.int32)


def stamps(rng: np.random.Generator) -> tuple[FloatArray, IntArray, IntArray]:
    """Draw models with wings of either sign at all kinds of positions; the last have no pixel on the image."""
    height, width = MODEL_SHAPE
    x, y = positions(rng)
    column = np.floor(x + 0.5).astype(np.int64) - width // 2
    row = np.floor(y + 0.5).astype(np.int64) - height // 2
    column, row = np.append(column, [-11, 47, 0, -10, 1000]), np.append(row, [0, 0, 41, -8, -1000])
    distance = np.hypot(*np.ogrid[-(height // 2) : height // 2 + 1, -(width // 2) : width // 2 + 1])
    core = np.exp(-0.5 * distance**2 / 4.0)
    return core / core.sum() + rng.normal(0.0, 0.002, (len(column), height, width)), column, row


def fit_all(
    image: FloatImage,
    variance: FloatImage,
    mask: Bits,
    bad_bits: int,
    models: FloatArray,
    column: IntArray,
    row: IntArray,
) -> list[reference.PsfFlux]:
    full_mask = mask if bad_bits else np.zeros(image.shape, dtype=np.int32)
    return [
        reference.fit_psf_flux(image, variance, full_mask, bad_bits, model, x0, y0)
        for model, x0, y0 in zip(models, column.tolist(), row.tolist(), strict=True)
    ]


def field(results: list[reference.PsfFlux], name: str) -> FloatArray:
    return np.array([getattr(result, name) for result in results], dtype=np.float64)


def assert_parity(found: PsfFluxes, image: FloatImage, variance: FloatImage, *others: Any) -> None:
    """Compare with the twin; ``others`` are the other arguments of the kernel."""
    expected = fit_all(image, variance, *others)
    mask, bad_bits, models, column, row = others
    # The same sums over the sizes of their terms.
    sizes = fit_all(np.abs(image), variance, mask, bad_bits, np.abs(models), column, row)
    with np.errstate(all="ignore"):
        one_pixel = image**2 / variance
    one_pixel_chi2 = np.max(one_pixel, where=np.isfinite(one_pixel), initial=1.0)
    np.testing.assert_array_equal(found.n_pixels, field(expected, "n_pixels"))
    np.testing.assert_array_equal(found.clipped, field(expected, "clipped"))
    assert_close(found.flux, field(expected, "flux"), field(sizes, "flux"))
    assert_close(found.flux_err, field(expected, "flux_err"), field(sizes, "flux_err"))
    assert_close(found.area, field(expected, "area"), field(sizes, "area"))
    assert_close(found.chi2, field(expected, "chi2"), field(expected, "chi2") + one_pixel_chi2)


def test_all_kinds_of_positions(rng: np.random.Generator) -> None:
    arguments = *noise_image(rng), NO_MASK, 0, *stamps(rng)
    found = psf_fluxes(*arguments)
    assert_parity(found, *arguments)
    assert 20 < (~found.clipped).sum() < len(found.clipped) - len(HARD_POSITIONS) // 3
    assert (found.n_pixels[-5:-2] == 0).all()
    assert np.isnan(found.flux[-5:-2]).all()


@pytest.mark.parametrize(
    ("dtype", "bad_bits"),
    [
        (np.uint8, 1),
        (np.uint8, 1 << 7),
        (np.uint16, 1 << 15 | 2),
        (np.int32, 1 << 4),
        (np.int32, 1 << 31),
        (np.uint32, 1 << 31),
        (np.int64, 1 << 33),
        (np.int64, 1 << 63),
    ],
)
@pytest.mark.parametrize("fraction", [0.05, 0.9])
def test_bad_pixels(
    rng: np.random.Generator, dtype: type[np.integer[Any]], bad_bits: int, fraction: float
) -> None:
    bad = rng.random(SHAPE) < fraction
    others = rng.integers(0, 2**64, SHAPE, dtype=np.uint64) & ~np.uint64(bad_bits)
    mask = (others | np.where(bad, np.uint64(bad_bits), np.uint64(0))).astype(dtype)
    arguments = *noise_image(rng), mask, bad_bits, *stamps(rng)
    found = psf_fluxes(*arguments)
    assert_parity(found, *arguments)
    assert (found.n_pixels[:6] < np.prod(MODEL_SHAPE)).all()


def test_no_pixel_is_left(rng: np.random.Generator) -> None:
    mask = np.full(SHAPE, 4, dtype=np.uint16)
    arguments = *noise_image(rng), mask, 6, *stamps(rng)
    found = psf_fluxes(*arguments)
    assert_parity(found, *arguments)
    assert not found.n_pixels.any()
    assert np.isnan([found.flux, found.flux_err, found.area, found.chi2]).all()


def test_none_and_one(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    models, column, row = stamps(rng)
    none = psf_fluxes(image, variance, NO_MASK, 0, models[:0], column[:0], row[:0])
    assert [len(values) for values in none] == [0] * 6
    arguments = image, variance, NO_MASK, 0, models[:1], column[:1], row[:1]
    assert_parity(psf_fluxes(*arguments), *arguments)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(rng: np.random.Generator, layout: str) -> None:
    image, variance = noise_image(rng)
    mask = rng.integers(0, 4, SHAPE, dtype=np.int32)
    models, column, row = stamps(rng)
    planes = [LAYOUTS[layout](plane) for plane in (image, variance, mask)]
    for bad_bits in (0, 2):
        found = psf_fluxes(
            planes[0], planes[1], planes[2], bad_bits, read_only(models), read_only(column), read_only(row)
        )
        assert_parity(found, image, variance, mask, bad_bits, models, column, row)


def test_one_model_for_all(rng: np.random.Generator) -> None:
    models, column, row = stamps(rng)
    arguments = *noise_image(rng), NO_MASK, 0, np.broadcast_to(models[0], models.shape), column, row
    assert_parity(psf_fluxes(*arguments), *arguments)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("bad_bits", [0, 1])
def test_a_bad_pixel_only_spoils_the_models_over_it(rng: np.random.Generator, bad: float, bad_bits: int) -> None:
    image, variance = noise_image(rng)
    mask = np.zeros(SHAPE, dtype=np.int32)
    models, column, row = stamps(rng)
    before = psf_fluxes(image, variance, mask, bad_bits, models, column, row)
    image[20, 23] = bad
    after = psf_fluxes(image, variance, mask, bad_bits, models, column, row)
    height, width = MODEL_SHAPE
    over_it = (column <= 23) & (column + width > 23) & (row <= 20) & (row + height > 20)
    assert 3 < over_it.sum() < len(over_it) - 10
    assert not np.isfinite(after.flux[over_it]).any()
    np.testing.assert_array_equal(after.flux[~over_it], before.flux[~over_it])
    np.testing.assert_array_equal(after.flux_err, before.flux_err)
    mask[20, 23] = 1
    masked = psf_fluxes(image, variance, mask, 1, models, column, row)
    np.testing.assert_array_equal(np.isfinite(masked.flux), np.isfinite(before.flux))


def test_zero_variance(rng: np.random.Generator) -> None:
    image, variance = noise_image(rng)
    variance[15:25, :] = 0.0
    arguments = image, variance, NO_MASK, 0, *stamps(rng)
    found = psf_fluxes(*arguments)
    assert_parity(found, *arguments)
    assert np.isinf(found.chi2).any()
    assert found.flux_err[0] == 0.0


def test_zero_models(rng: np.random.Generator) -> None:
    models, column, row = stamps(rng)
    found = psf_fluxes(*noise_image(rng), NO_MASK, 0, np.zeros_like(models), column, row)
    assert np.isnan(found.flux).all()


@pytest.mark.parametrize("name", ["flux", "flux_err", "area", "chi2"])
def test_a_perturbed_fit_is_reported(rng: np.random.Generator, name: str) -> None:
    arguments = *noise_image(rng), NO_MASK, 0, *stamps(rng)
    found = psf_fluxes(*arguments)
    getattr(found, name)[3] *= 1.0 + 1e4 * PARITY
    with pytest.raises(AssertionError, match="beyond the tolerance"):
        assert_parity(found, *arguments)


def test_models_of_different_sizes(rng: np.random.Generator) -> None:
    """A smaller model in the middle of its array is as good as one that fills its array."""
    image, variance = noise_image(rng)
    mask = rng.integers(0, 4, SHAPE, dtype=np.int32)
    models, column, row = stamps(rng)
    height, width = rng.choice([9, 5, 3], len(models)), rng.choice([11, 7, 1], len(models))
    image[20, 23] = np.nan
    for bad_bits in (0, 2):
        found = psf_fluxes(image, variance, mask, bad_bits, models, column, row, height, width)
        for i in range(len(models)):
            low_y, low_x = (9 - height[i]) // 2, (11 - width[i]) // 2
            alone = models[i : i + 1, low_y : low_y + height[i], low_x : low_x + width[i]].copy()
            expected = psf_fluxes(image, variance, mask, bad_bits, alone, column[i : i + 1], row[i : i + 1])
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_allclose(ours[i], theirs[0], rtol=1e-12)
