"""CellPsf: the kernel of the cell that a position lies in; nothing in missing cells and outside."""

import numpy as np
import pytest

from forcedphot.conventions import Box, CellGrid, FloatArray
from forcedphot.errors import ExposureError
from forcedphot.psf import CellPsf, GaussianPsf

GRID = CellGrid(Box(1000, -200, 150, 80), 50, 40)
SIGMAS = np.array([[1.2, 1.4, 1.6], [1.8, np.nan, 2.2]])


def kernels() -> FloatArray:
    stack = np.full((2, 3, 21, 25), np.nan)
    for cell, sigma in np.ndenumerate(SIGMAS):
        if np.isfinite(sigma):
            stack[cell] = GaussianPsf(float(sigma), 25, 21).kernel
    return stack


@pytest.fixture
def psf() -> CellPsf:
    return CellPsf(kernels(), GRID)


# Each cell's corners, rounded half up: pixels 1000..1049, 1050..1099, 1100..1149; -200..-161, -160..-121.
X = np.array([999.5, 1049.49, 1049.5, 1099.4, 1149.49, 999.6, 1049.4, 1149.0])
Y = np.array([-200.5, -160.51, -200.0, -161.0, -190.0, -160.5, -120.51, -121.0])
CELLS = [(0, 0), (0, 0), (0, 1), (0, 1), (0, 2), (1, 0), (1, 0), (1, 2)]


def test_kernels_are_those_of_the_cell(psf: CellPsf) -> None:
    images, valid, *_ = psf.kernel_images(X, Y)
    assert valid.all()
    np.testing.assert_array_equal(images, [kernels()[cell] for cell in CELLS])


def test_images_are_those_of_a_constant_psf_with_the_same_kernel(psf: CellPsf) -> None:
    stamps = psf.images(X, Y)
    assert psf.stamp_shape == (21, 25)
    for i, cell in enumerate(CELLS):
        alone = GaussianPsf(float(SIGMAS[cell]), 25, 21).images(X[i : i + 1], Y[i : i + 1])
        np.testing.assert_array_equal(stamps.images[i], alone.images[0])
        assert (stamps.x0[i], stamps.y0[i]) == (alone.x0[0], alone.y0[0])


def test_moments_are_those_of_the_cell(psf: CellPsf) -> None:
    expected = [[SIGMAS[cell] ** 2, SIGMAS[cell] ** 2, 0.0] for cell in CELLS]
    found = psf.moments(X, Y)
    # The iteration's tolerance of 1e-4, and for the narrowest what pixels are too coarse for.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    np.testing.assert_array_equal(psf.moments(X[::-1], Y[::-1]), found[::-1])


@pytest.mark.parametrize(
    ("x", "y"),
    [(1075.0, -140.0), (999.4, -190.0), (1149.5, -190.0), (1020.0, -200.6), (1020.0, -120.5), (-1e6, 1e6)],
)
def test_missing_cells_and_outside(psf: CellPsf, x: float, y: float) -> None:
    positions = np.array([1010.0, x, 1120.0]), np.array([-190.0, y, -130.0])
    stamps = psf.images(*positions)
    images, valid, *_ = psf.kernel_images(*positions)
    assert stamps.valid.tolist() == valid.tolist() == [True, False, True]
    for stack in (stamps.images, images, psf.moments(*positions)):
        assert np.isnan(stack[1]).all()
        assert np.isfinite(stack[[0, 2]]).all()


@pytest.mark.parametrize("shape", [(2, 3, 21, 24), (2, 3, 20, 25), (21, 25), (6, 21, 25)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ExposureError, match=r"have shape \(rows, columns, odd, odd\); got"):
        CellPsf(np.ones(shape), GRID)


@pytest.mark.parametrize("shape", [(3, 2, 21, 25), (2, 4, 21, 25), (1, 3, 21, 25)])
def test_other_numbers_of_cells_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ExposureError, match=f"as many as its cells, 2 x 3; got {shape[0]} x {shape[1]}"):
        CellPsf(np.ones(shape), GRID)
