"""WarpedPsf: against the real pipeline's stamps, and changes of coordinates whose effect is known."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from forcedphot.conventions import FloatArray
from forcedphot.errors import ExposureError
from forcedphot.io.afw_fits.reader import read_afw_exposure
from forcedphot.psf import GaussianPsf, KernelImagePsf, LinearCombinationPsf, WarpedPsf, WarpingKernel

Golden = Callable[[str], Path]

LANCZOS3 = WarpingKernel("lanczos3")
TURNED = np.array([[0.9, 0.3], [-0.25, 1.1]])


class Affine:
    """A linear change of pixel coordinates."""

    def __init__(self, matrix: FloatArray, shift: tuple[float, float] = (0.0, 0.0)) -> None:
        self.inverse, self.shift = np.linalg.inv(matrix), np.array(shift)

    def to_source(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        source_x, source_y = self.inverse @ (np.stack([x, y]) - self.shift[:, np.newaxis])
        return source_x, source_y


def make_psf() -> WarpedPsf:
    return WarpedPsf(GaussianPsf(1.9, 21, 25), Affine(TURNED, (3.3, -2.6)), LANCZOS3)


def covariances(psf: WarpedPsf, n: int = 3) -> FloatArray:
    x = np.linspace(10.0, 90.0, n)
    return psf.moments(x, x[::-1])


def test_stamps_and_moments_are_those_of_the_pipeline(golden: Golden) -> None:
    expected = json.loads(golden("exposures/warped_psf.json").read_text())
    psf = read_afw_exposure(golden("exposures/warped_psf.fits")).psf
    assert isinstance(psf, WarpedPsf)
    x, y = np.array(expected["positions"]).T.copy()
    stamps, moments = psf.images(x, y), psf.moments(x, y)
    with np.load(golden("exposures/warped_psf.npz")) as stored:
        for i, description in enumerate(expected["psf"]):
            stamp = stored[f"stamp_{i}"]
            np.testing.assert_allclose(stamps.stamp(i), stamp, rtol=0, atol=1e-6 * stamp.max())
            assert (stamps.x0[i], stamps.y0[i]) == (description["x0"], description["y0"])
            found = [description[name] for name in ("ixx", "iyy", "ixy")]
            np.testing.assert_allclose(moments[i], found, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["bilinear", "lanczos2", "lanczos3", "lanczos4", "lanczos5"])
def test_a_gaussian_is_turned_and_stretched(name: str) -> None:
    psf = WarpedPsf(GaussianPsf(2.2, 31), Affine(TURNED), WarpingKernel(name, 0))
    expected = 2.2**2 * TURNED @ TURNED.T
    # Bilinear interpolation widens.
    tolerance = 0.2 if name == "bilinear" else 0.03
    for xx, yy, xy in covariances(psf):
        np.testing.assert_allclose([[xx, xy], [xy, yy]], expected, rtol=0, atol=tolerance * 2.2**2)


def test_the_psf_is_taken_where_the_position_comes_from() -> None:
    narrow, wide = GaussianPsf(1.5, 25).kernel, GaussianPsf(2.5, 25).kernel
    varying = LinearCombinationPsf(np.array([narrow, wide]), np.array([[1.0, -0.01, 0.0], [0.0, 0.01, 0.0]]))
    psf = WarpedPsf(varying, Affine(np.eye(2), (50.0, 0.0)), LANCZOS3)
    x, y = np.array([50.0, 100.0, 150.0]), np.zeros(3)
    expected = varying.moments(x - 50.0, y)
    np.testing.assert_allclose(psf.moments(x, y), expected, rtol=2e-4, atol=1e-4)
    assert expected[2, 0] > 2 * expected[0, 0]


def test_without_a_change_nothing_but_rounding_changes() -> None:
    psf = GaussianPsf(1.9, 21)
    warped = WarpedPsf(psf, Affine(np.eye(2), (7.0, 3.0)), WarpingKernel("lanczos3", 10**9))
    kernels = warped.kernel_images(np.array([20.0, 30.3]), np.array([11.0, 12.7]))
    assert kernels.images.shape == (2, 21, 21)
    # The smallest part of a pixel is 1e-5.
    expected = np.broadcast_to(psf.kernel, (2, 21, 21))
    np.testing.assert_allclose(kernels.images, expected, rtol=0, atol=1e-5 * psf.kernel.max())


def test_the_last_digit_of_a_whole_number_does_not_matter() -> None:
    psf = GaussianPsf(1.9, 21)
    exact, almost = (
        WarpedPsf(psf, Affine(np.array([[0.0, -1.0], [1.0, noise]]), (noise, 5.0 - noise)), LANCZOS3)
        for noise in (0.0, 3e-11)
    )
    x, y = np.array([20.0, 31.5]), np.array([17.25, 8.0])
    expected = exact.kernel_images(x, y).images
    np.testing.assert_allclose(almost.kernel_images(x, y).images, expected, rtol=0, atol=1e-12)


def test_warped_twice() -> None:
    """Stamps of different sizes are warped again."""

    class Growing:
        """Stretches more to the right."""

        def to_source(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
            return 100.0 * np.log1p(x / 100.0), y.copy()

    once = WarpedPsf(GaussianPsf(2.0, 25), Growing(), LANCZOS3)
    turned = Affine(np.array([[0.0, -1.0], [1.0, 0.0]]))
    twice = WarpedPsf(once, turned, LANCZOS3)
    x, y = np.array([5.0, 30.0, 60.0]), np.array([12.0, 14.0, 18.0])
    before = once.kernel_images(x, y)
    assert len(set(before.widths.tolist())) == 3
    after = twice.kernel_images(-y, x)
    np.testing.assert_array_equal(after.heights, before.widths)
    np.testing.assert_array_equal(after.widths, before.heights)
    xx, yy, xy = once.moments(x, y).T
    np.testing.assert_allclose(twice.moments(-y, x), np.stack([yy, xx, -xy], axis=1), rtol=0.02, atol=0.02)


def test_where_it_is_undefined() -> None:
    class Half:
        """Undefined on the left, stretches beyond measure far to the right, cannot be inverted at x = 50."""

        def to_source(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
            source = np.where(x > 80.0, 1e-4 * x, np.where(np.abs(x - 50.0) < 3.0, 50.0, x))
            source = np.where(x < -20.0, 1e300 * x, source)
            return np.where(np.abs(x + 10.0) < 10.0, np.nan, source), y

    x = np.array([-10.0, 20.0, 50.0, 90.0, -30.0])
    stamps = WarpedPsf(GaussianPsf(2.0, 25), Half(), LANCZOS3).images(x, np.zeros(5))
    assert stamps.valid.tolist() == [False, True, False, False, False]
    assert stamps.widths.tolist() == [0, 25, 0, 0, 0]
    assert np.isnan(stamps.images[[0, 2, 3, 4]]).all()


def test_absurdly_large_stamps_are_undefined() -> None:
    psf = WarpedPsf(KernelImagePsf(np.ones((101, 101))), Affine(150.0 * np.eye(2)), LANCZOS3)
    assert not psf.images(np.zeros(2), np.zeros(2)).valid.any()


@pytest.mark.parametrize(
    "name", ["", "nearest", "lanczos", "lanczos0", "lanczos1", "lanczos11", "lanczos3 ", "Lanczos3"]
)
def test_unknown_kernels_are_refused(name: str) -> None:
    with pytest.raises(ExposureError, match="bilinear and lanczos2 to lanczos10"):
        WarpingKernel(name)


def test_too_many_models_are_refused() -> None:
    class Many(GaussianPsf):
        n_models = 200_000

    with pytest.raises(ExposureError, match="made of 200000 others"):
        WarpedPsf(Many(2.0, 25), Affine(np.eye(2)), LANCZOS3)
