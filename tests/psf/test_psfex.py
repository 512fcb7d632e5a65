"""PsfexPsf: against the real pipeline's stamps, and what it promises where those are wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forcedphot.errors import ExposureError
from forcedphot.io.afw_fits.reader import read_afw_exposure
from forcedphot.psf import PsfexPsf

Golden = Callable[[str], Path]


def make_psf(*, step: float = 0.5, side: int = 31, degree: int = 2) -> PsfexPsf:
    """Make a model whose core moves and widens over the image."""
    grid = np.arange(side) - side // 2
    core = np.exp(-0.5 * (grid[:, np.newaxis] ** 2 / 3.1**2 + (grid - 0.4) ** 2 / 3.4**2))
    rng = np.random.default_rng(3)
    n_terms = (degree + 1) * (degree + 2) // 2
    basis = core * rng.normal(0.0, 0.02, (n_terms, side, side))
    basis[0] = core
    return PsfexPsf(basis, degree, step, (100.0, 80.0), (150.0, 160.0))


def load(folder: Path) -> tuple[PsfexPsf, Any]:
    psf = read_afw_exposure(folder / "exposure.fits").psf
    assert isinstance(psf, PsfexPsf)
    return psf, np.load(folder / "psf_stamps.npz")


def test_stamps_and_kernels_are_those_of_the_pipeline(golden: Golden) -> None:
    psf, stored = load(golden("driver/psfex"))
    x, y = stored["xy"].T.copy()
    stamps, kernels = psf.images(x, y), psf.kernel_images(x, y)
    assert stamps.valid.all()
    assert psf.stamp_shape == (25, 25)
    np.testing.assert_array_equal(stamps.x0, np.floor(x + 0.5) - 12)
    np.testing.assert_array_equal(stamps.y0, np.floor(y + 0.5) - 12)
    for i in range(len(x)):
        stamp, kernel = stored[f"stamp_{i}"], stored[f"kernel_{i}"]
        # The original sums in single precision.
        np.testing.assert_allclose(stamps.images[i], stamp, rtol=0, atol=1e-6 * stamp.max())
        np.testing.assert_allclose(kernels.images[i], kernel, rtol=0, atol=1e-6 * kernel.max())


def test_special_positions(golden: Golden) -> None:
    """Exact half pixels are as in the original; where truncation moves its box, or its centre, ours stay."""
    psf, stored = load(golden("driver/psfex"))
    x, y = stored["special_xy"].T.copy()
    stamps = psf.images(x, y)
    np.testing.assert_array_equal(stamps.x0 + 12, np.ceil(x - 0.5))
    np.testing.assert_array_equal(stamps.y0 + 12, np.ceil(y - 0.5))
    truncated = np.trunc([x, y]) <= -1
    corner_x, corner_y = stored["special_box"].T[:2] - truncated
    for i in range(len(x)):
        expected = stored[f"special_{i}"]
        moved_x, moved_y = corner_x[i] - stamps.x0[i], corner_y[i] - stamps.y0[i]
        assert moved_x in (0, 1)
        assert moved_y in (0, 1)
        # Another box has another sum.
        atol = (1e-3 if moved_x or moved_y else 1e-6) * expected.max()
        common = expected[: 25 - moved_y, : 25 - moved_x]
        np.testing.assert_allclose(stamps.images[i, moved_y:, moved_x:], common, rtol=0, atol=atol)


def test_stamps_do_not_depend_on_where_zero_is() -> None:
    psf = make_psf(degree=0)
    x = np.array([-7.0, -3.5, -0.75, -0.25, 0.25, 0.5])
    stamps, moved = psf.images(x, -x), psf.images(x + 64.0, -x + 32.0)
    np.testing.assert_allclose(stamps.images, moved.images, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(moved.x0 - stamps.x0, 64)
    np.testing.assert_array_equal(moved.y0 - stamps.y0, 32)


@pytest.mark.parametrize(("step", "side", "size"), [(0.5, 31, 15), (0.4, 25, 11), (0.25, 33, 9), (1.0, 9, 9)])
def test_size_of_the_stamps(step: float, side: int, size: int) -> None:
    psf = make_psf(step=step, side=side)
    assert psf.stamp_shape == (size, size)
    stamps = psf.images(np.array([50.3]), np.array([70.9]))
    assert stamps.images.shape == (1, size, size)
    np.testing.assert_allclose(stamps.images.sum(), 1.0, rtol=1e-6)


def test_pixels_beside_the_grid_are_empty() -> None:
    """A stamp that is made odd has a pixel more than the grid covers."""
    psf = make_psf(step=1.0, side=10)
    assert psf.stamp_shape == (11, 11)
    image = psf.kernel_images(np.zeros(1), np.zeros(1)).images[0]
    assert not image[10].any()
    assert not image[:, 10].any()
    assert image[9].any()


@pytest.mark.parametrize(
    ("basis", "degree", "step", "scale", "message"),
    [
        (np.ones((3, 5, 5)), 2, 0.5, 1.0, r"degree 2 has 6 grids; got the shape \(3, 5, 5\)"),
        (np.ones((1, 5, 5)), 10**9, 0.5, 1.0, "degree 1000000000"),
        (np.ones((1, 5, 5)), -3, 0.5, 1.0, "degree -3"),
        (np.ones((1, 5, 5)), 0, 0.0, 1.0, "step 0"),
        (np.ones((1, 5, 5)), 0, np.nan, 1.0, "step nan"),
        (np.ones((1, 5, 5)), 0, 0.5, 0.0, r"scale \(1.0, 0.0\)"),
        (np.ones((1, 5, 5)), 0, 0.1, 1.0, "pixels"),
        (np.ones((1, 5, 5)), 0, 1e30, 1.0, "pixels"),
    ],
)
def test_impossible_models_are_refused(basis: Any, degree: int, step: float, scale: float, message: str) -> None:
    with pytest.raises(ExposureError, match=message):
        PsfexPsf(basis, degree, step, (0.0, 0.0), (1.0, scale))
