"""LinearCombinationPsf (PcaPsf): against the real pipeline's stamps, and its polynomials."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forcedphot.errors import ExposureError
from forcedphot.io.afw_fits.reader import read_afw_exposure
from forcedphot.psf import GaussianPsf, LinearCombinationPsf

Golden = Callable[[str], Path]


def make_psf() -> LinearCombinationPsf:
    """Make a Gaussian that becomes wider and lopsided over the image."""
    core, wide = GaussianPsf(1.7, 21).kernel, GaussianPsf(2.6, 21).kernel
    lopsided = core * (np.arange(21) - 10.0)
    coefficients = np.array([[2.0, 0, 0, 0, 0, 0], [0.1, 1e-3, 0, 0, 1e-6, 0], [0.0, 0, 1e-4, 0, 0, 1e-6]])
    return LinearCombinationPsf(np.array([core, wide, lopsided]), coefficients)


def test_stamps_and_moments_are_those_of_the_pipeline(golden: Golden) -> None:
    expected = json.loads(golden("exposures/pca_psf.json").read_text())
    psf = read_afw_exposure(golden("exposures/pca_psf.fits")).psf
    assert isinstance(psf, LinearCombinationPsf)
    x, y = np.array(expected["positions"]).T.copy()
    stamps, moments = psf.images(x, y), psf.moments(x, y)
    with np.load(golden("exposures/pca_psf.npz")) as stored:
        for i, description in enumerate(expected["psf"]):
            stamp = stored[f"stamp_{i}"]
            np.testing.assert_allclose(stamps.images[i], stamp, rtol=0, atol=1e-6 * stamp.max())
            assert (stamps.x0[i], stamps.y0[i]) == (description["x0"], description["y0"])
            found = [description[name] for name in ("ixx", "iyy", "ixy")]
            np.testing.assert_allclose(moments[i], found, rtol=1e-4, atol=1e-5)


def test_amplitudes_are_polynomials() -> None:
    psf = make_psf()
    x, y = np.array([0.0, 100.0, 31.0]), np.array([0.0, 50.0, -12.0])
    kernels = psf.kernel_images(x, y)
    assert kernels.valid.all()
    core, wide, lopsided = psf._components
    for i in range(3):
        amplitude = 0.1 + 1e-3 * x[i] + 1e-6 * x[i] * y[i], 1e-4 * y[i] + 1e-6 * y[i] ** 2
        expected = 2.0 * core + amplitude[0] * wide + amplitude[1] * lopsided
        np.testing.assert_allclose(kernels.images[i], expected / expected.sum(), rtol=0, atol=1e-15)


def test_where_nothing_is_left_it_is_undefined() -> None:
    psf = LinearCombinationPsf(np.ones((1, 3, 3)), np.array([[1.0, -0.01, 0.0]]))
    stamps = psf.images(np.array([10.0, 100.0]), np.zeros(2))
    assert stamps.valid.tolist() == [True, False]
    assert np.isnan(stamps.images[1]).all()


@pytest.mark.parametrize(
    ("components", "coefficients", "message"),
    [
        (np.ones((1, 4, 3)), np.ones((1, 1)), r"got \(1, 4, 3\)"),
        (np.ones((3, 3)), np.ones((1, 1)), r"got \(3, 3\)"),
        (np.ones((2, 3, 3)), np.ones((1, 1)), "2 components"),
        (np.ones((1, 3, 3)), np.ones((1, 2)), "1, 3, 6, 10, ... coefficients; got 2"),
        (np.ones((1, 3, 3)), np.ones((1, 0)), "got 0"),
        (np.full((1, 3, 3), np.nan), np.ones((1, 1)), "finite"),
        (np.ones((1, 3, 3)), np.full((1, 1), np.inf), "finite"),
    ],
)
def test_impossible_models_are_refused(components: Any, coefficients: Any, message: str) -> None:
    with pytest.raises(ExposureError, match=message):
        LinearCombinationPsf(components, coefficients)
