"""KernelImagePsf and the Gaussians: sums, shifts, moments of known covariance, refusals."""

from typing import Any

import numpy as np
import pytest

from forcedphot.conventions import FloatArray
from forcedphot.errors import ExposureError
from forcedphot.psf import DoubleGaussianPsf, GaussianPsf, KernelImagePsf

from ..kernels import reference

SIZE_TOLERANCE = 1e-4
"""Of adaptive moments, relative: that of the iteration."""


def elliptical(xx: float, yy: float, xy: float, height: int, width: int) -> FloatArray:
    rows, columns = np.indices((height, width), dtype=np.float64)
    x, y = columns - width // 2, rows - height // 2
    image: FloatArray = np.exp(-0.5 * (yy * x**2 - 2 * xy * x * y + xx * y**2) / (xx * yy - xy**2))
    return image


def test_the_kernel_is_normalised_and_kept_from_changes() -> None:
    kernel = elliptical(4.0, 3.0, 1.0, 21, 25) * 7.0
    before = kernel.copy()
    psf = KernelImagePsf(kernel)
    np.testing.assert_array_equal(kernel, before)
    assert psf.kernel.sum() == pytest.approx(1.0, abs=1e-14)
    assert psf.stamp_shape == (21, 25)
    with pytest.raises(ValueError, match="read-only"):
        psf.kernel[3, 3] = 0.0
    kernel[:] = 0.0
    np.testing.assert_allclose(psf.kernel, before / before.sum(), rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, ">f8"])
def test_kernels_of_other_types(dtype: Any) -> None:
    kernel = np.round(1000 * elliptical(4.0, 3.0, 1.0, 21, 25)).astype(dtype)
    psf = KernelImagePsf(kernel)
    assert psf.kernel.dtype == np.float64
    assert psf.kernel.dtype.isnative
    np.testing.assert_allclose(psf.kernel, kernel / kernel.sum(dtype=np.float64), rtol=1e-14)


def test_images_are_the_shifted_kernel(rng: np.random.Generator) -> None:
    psf = KernelImagePsf(elliptical(4.0, 3.0, 1.0, 21, 25))
    # The first position is a whole pixel, which is not shifted; the others must not depend on it.
    x, y = np.append(120.0, rng.uniform(-50, 12_000, 10)), np.append(-7.0, rng.uniform(-50, 12_000, 10))
    stamps = psf.images(x, y)
    column, row = np.floor(x + 0.5), np.floor(y + 0.5)
    np.testing.assert_array_equal(stamps.x0, column - 12)
    np.testing.assert_array_equal(stamps.y0, row - 10)
    for i in range(len(x)):
        shift = [float(np.float32(p - pixel)) for p, pixel in ((x[i], column[i]), (y[i], row[i]))]
        np.testing.assert_allclose(stamps.images[i], reference.shift_image(psf.kernel, *shift), rtol=0, atol=1e-16)
    np.testing.assert_array_equal(stamps.images[0], psf.kernel)
    # Lanczos keeps the sum where the image ends in zeros; these wings end at exp(-12).
    np.testing.assert_allclose(stamps.images.sum(axis=(1, 2)), 1.0, atol=1e-4)


def test_half_pixels_go_to_the_upper_one() -> None:
    psf = GaussianPsf(1.5, 15)
    stamps = psf.images(np.array([10.5, -0.5]), np.array([-3.5, 4.0]))
    assert stamps.x0.tolist() == [11 - 7, 0 - 7]
    assert stamps.y0.tolist() == [-3 - 7, 4 - 7]


@pytest.mark.parametrize("moments", [(4.0, 4.0, 0.0), (5.0, 3.0, 0.0), (3.0, 6.0, 1.8), (4.0, 3.0, -1.5)])
def test_moments_are_the_covariance(moments: tuple[float, float, float]) -> None:
    psf = KernelImagePsf(elliptical(*moments, 41, 45))
    found = psf.moments(np.zeros(3), np.zeros(3))
    assert found.shape == (3, 3)
    np.testing.assert_allclose(found, np.tile(moments, (3, 1)), rtol=0, atol=SIZE_TOLERANCE * max(moments))


def test_moments_that_do_not_converge_are_nan() -> None:
    psf = KernelImagePsf(np.eye(1))
    assert np.isnan(psf.moments(np.zeros(2), np.zeros(2))).all()


@pytest.mark.parametrize(("width", "height"), [(25, None), (31, 25), (25, 31)])
def test_gaussian(width: int, height: int | None) -> None:
    psf = GaussianPsf(1.7, width, height)
    assert psf.stamp_shape == (height or width, width)
    assert psf.kernel.sum() == pytest.approx(1.0, abs=1e-14)
    expected = elliptical(1.7**2, 1.7**2, 0.0, *psf.stamp_shape)
    np.testing.assert_allclose(psf.kernel, expected / expected.sum(), rtol=1e-12)
    np.testing.assert_array_equal(psf.moments(np.zeros(2), np.zeros(2)), [[1.7**2, 1.7**2, 0.0]] * 2)
    iterated = KernelImagePsf(psf.kernel).moments(np.zeros(1), np.zeros(1))
    np.testing.assert_allclose(iterated[0], [1.7**2, 1.7**2, 0.0], rtol=0, atol=SIZE_TOLERANCE * 1.7**2)


def test_double_gaussian() -> None:
    psf = DoubleGaussianPsf(1.5, 3.0, 0.2, 41)
    expected = elliptical(2.25, 2.25, 0.0, 41, 41) + 0.2 * elliptical(9.0, 9.0, 0.0, 41, 41)
    np.testing.assert_allclose(psf.kernel, expected / expected.sum(), rtol=1e-12)
    xx, yy, xy = psf.moments(np.zeros(1), np.zeros(1))[0]
    assert xx == pytest.approx(yy, rel=1e-9)
    assert xy == pytest.approx(0.0, abs=1e-9)
    assert 2.25 < xx < 9.0


def test_double_gaussian_without_the_second_is_a_gaussian() -> None:
    np.testing.assert_array_equal(DoubleGaussianPsf(1.5, 3.0, 0.0, 25).kernel, GaussianPsf(1.5, 25).kernel)


@pytest.mark.parametrize("shape", [(4, 5), (5, 4), (0, 0), (5,), (3, 5, 5)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ExposureError, match="odd height and width; got shape"):
        KernelImagePsf(np.ones(shape))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1e6])
def test_bad_pixels_are_refused(bad: float) -> None:
    kernel = np.ones((5, 5))
    kernel[2, 2] = bad
    with pytest.raises(ExposureError, match="finite pixels and a positive sum"):
        KernelImagePsf(kernel)


@pytest.mark.parametrize("sigma", [0.0, -1.0, np.nan, np.inf])
def test_sigmas_that_are_none_are_refused(sigma: float) -> None:
    with pytest.raises(ExposureError, match="sigma of a Gaussian PSF is positive"):
        GaussianPsf(sigma, 25)
    with pytest.raises(ExposureError, match="sigma of a Gaussian PSF is positive"):
        DoubleGaussianPsf(1.5, sigma, 0.1, 25)


@pytest.mark.parametrize(("width", "height"), [(24, None), (25, 24), (0, None), (-3, None)])
def test_gaussians_of_even_size_are_refused(width: int, height: int | None) -> None:
    with pytest.raises(ExposureError, match="odd height and width"):
        GaussianPsf(1.5, width, height)
