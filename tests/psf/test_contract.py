"""What every Psf promises, whatever the model."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from forcedphot.conventions import Box, CellGrid, FloatArray, nearest_pixel
from forcedphot.psf import CellPsf, DoubleGaussianPsf, GaussianPsf, KernelImagePsf, PiffPsf, Psf, PsfexPsf

from .test_coadd import make_psf as coadd
from .test_linear_combination import make_psf as linear_combination
from .test_piff import galsim, make_psf
from .test_psfex import make_psf as psfex
from .test_warped import make_psf as warped


def lopsided() -> KernelImagePsf:
    rows, columns = np.indices((17, 21))
    return KernelImagePsf(np.exp(-0.5 * ((columns - 10.2) ** 2 / 5.0 + (rows - 7.9) ** 2 / 3.0)))


def cells() -> CellPsf:
    kernels = np.array([[GaussianPsf(1.5, 15).kernel, GaussianPsf(2.0, 15).kernel, np.full((15, 15), np.nan)]])
    return CellPsf(kernels, CellGrid(Box(-50, -50, 150, 200), 50, 200))


def piff_along_pixels() -> PiffPsf:
    return PiffPsf(make_psf(np.random.default_rng(1)), 15)


def piff_along_sky() -> PiffPsf:
    wcs = galsim.AffineTransform(0.198, 0.004, -0.003, 0.202)
    return PiffPsf(make_psf(np.random.default_rng(1), wcs=wcs, order=1), 15)


CASES: dict[str, Callable[[], Psf]] = {
    "GaussianPsf": lambda: GaussianPsf(1.7, 21, 25),
    "CoaddPsf": coadd,
    "DoubleGaussianPsf": lambda: DoubleGaussianPsf(1.5, 3.0, 0.1, 31),
    "KernelImagePsf": lopsided,
    "CellPsf": cells,
    "LinearCombinationPsf": linear_combination,
    "PiffPsf": piff_along_pixels,
    "PiffPsf along the sky": piff_along_sky,
    "PsfexPsf": psfex,
    "WarpedPsf": warped,
}

X = np.array([10.0, 10.5, -0.5, 3.25, 44.0, 120.7, -49.1, 31.4])
Y = np.array([10.0, -7.5, 88.1, 20.0, 60.5, 10.2, -12.0, 99.8])


@pytest.fixture(params=CASES)
def psf(request: pytest.FixtureRequest) -> Psf:
    make = CASES[request.param]
    return make()


def subclasses(parent: type) -> Iterator[type]:
    children: list[type] = parent.__subclasses__()
    for child in children:
        yield child
        yield from subclasses(child)


def test_every_class_has_a_case() -> None:
    models = {model.__name__ for model in subclasses(Psf) if model.__module__.startswith("forcedphot.psf")}
    assert models == {name.split()[0] for name in CASES}


def test_stamps_have_the_promised_form(psf: Psf) -> None:
    stamps = psf.images(X, Y)
    height, width = stamps.images.shape[1:]
    assert height % 2 == width % 2 == 1
    for sizes, largest in ((stamps.heights[stamps.valid], height), (stamps.widths[stamps.valid], width)):
        assert sizes.dtype == np.int64
        assert (sizes % 2 == 1).all()
        assert sizes.max() == largest
    assert stamps.stamp(0).shape == (stamps.heights[0], stamps.widths[0])
    assert stamps.images.dtype == np.float64
    assert stamps.images.flags.c_contiguous
    for corner in (stamps.x0, stamps.y0):
        assert corner.dtype == np.int64
    # PSFEx rounds half pixels down.
    nearest = (lambda p: np.ceil(p - 0.5)) if isinstance(psf, PsfexPsf) else nearest_pixel
    np.testing.assert_array_equal(stamps.x0, nearest(X) - stamps.widths // 2)
    np.testing.assert_array_equal(stamps.y0, nearest(Y) - stamps.heights // 2)
    assert stamps.valid.dtype == np.bool_
    assert stamps.valid.any()
    assert np.isfinite(stamps.images[stamps.valid]).all()
    assert np.isnan(stamps.images[~stamps.valid]).all()
    # A shifted stamp loses a little at its edges.
    for i in np.flatnonzero(stamps.valid).tolist():
        assert stamps.stamp(i).sum() == pytest.approx(1.0, abs=2e-3)


def test_stamps_are_centred_on_the_position(psf: Psf) -> None:
    stamps = psf.images(X, Y)
    kernels = psf.kernel_images(X, Y)
    rows, columns = np.indices(stamps.images.shape[1:])
    for i in np.flatnonzero(stamps.valid):
        # Squared, so that noise in the wings does not count.
        stamp, kernel = stamps.images[i] ** 2, kernels.images[i] ** 2
        moved_x = (stamp * columns).sum() / stamp.sum() - (kernel * columns).sum() / kernel.sum()
        moved_y = (stamp * rows).sum() / stamp.sum() - (kernel * rows).sum() / kernel.sum()
        middle_x, middle_y = stamps.x0[i] + stamps.widths[i] // 2, stamps.y0[i] + stamps.heights[i] // 2
        assert moved_x == pytest.approx(X[i] - middle_x, abs=0.03)
        assert moved_y == pytest.approx(Y[i] - middle_y, abs=0.03)


def test_kernel_images_have_the_promised_form(psf: Psf) -> None:
    images, valid, heights, widths = psf.kernel_images(X, Y)
    stamps = psf.images(X, Y)
    assert images.shape == stamps.images.shape
    assert images.dtype == np.float64
    for found, expected in ((valid, stamps.valid), (heights, stamps.heights), (widths, stamps.widths)):
        np.testing.assert_array_equal(found, expected)
    assert np.isnan(images[~valid]).all()
    inside = np.abs(np.indices(images.shape[1:]) - np.array(images.shape[1:]).reshape(2, 1, 1) // 2)
    for i in np.flatnonzero(valid):
        around = (inside[0] > heights[i] // 2) | (inside[1] > widths[i] // 2)
        assert (images[i][around] == 0.0).all()
    np.testing.assert_allclose(images[valid].sum(axis=(1, 2)), 1.0, rtol=1e-12)


def test_moments_have_the_promised_form(psf: Psf) -> None:
    moments = psf.moments(X, Y)
    assert moments.shape == (len(X), 3)
    valid = psf.images(X, Y).valid
    assert np.isnan(moments[~valid]).all()
    xx, yy, xy = moments[valid].T
    assert (xx > 0).all()
    assert (xx * yy > xy**2).all()


def test_no_positions(psf: Psf) -> None:
    none = np.empty(0)
    stamps = psf.images(none, none)
    images, valid, *_ = psf.kernel_images(none, none)
    assert stamps.images.shape == images.shape
    assert len(images) == 0
    assert stamps.x0.shape == stamps.y0.shape == stamps.valid.shape == valid.shape == (0,)
    assert stamps.x0.dtype == np.int64
    assert psf.moments(none, none).shape == (0, 3)


def test_positions_do_not_depend_on_each_other(psf: Psf) -> None:
    stamps, moments = psf.images(X, Y), psf.moments(X, Y)
    for i in range(len(X)):
        x, y = X[i : i + 1], Y[i : i + 1]
        np.testing.assert_allclose(psf.images(x, y).stamp(0), stamps.stamp(i), rtol=0, atol=1e-14)
        np.testing.assert_allclose(psf.moments(x, y)[0], moments[i], rtol=1e-10, atol=1e-10)


def test_positions_are_only_read(psf: Psf) -> None:
    x, y = X.copy(), Y.copy()
    for values in (x, y):
        values.setflags(write=False)
    psf.images(x, y)
    psf.kernel_images(x, y)
    psf.moments(x, y)


def test_results_belong_to_the_caller(psf: Psf) -> None:
    before = psf.images(X, Y).images.copy()
    psf.images(X, Y).images[:] = 0.0
    np.testing.assert_array_equal(psf.images(X, Y).images, before)


def test_two_threads(psf: Psf) -> None:
    """Both start on a model that has not been used yet, and get what one alone gets."""
    rng = np.random.default_rng(4)
    chunks = [rng.uniform(-49.0, 90.0, (2, 40)) for _ in range(8)]

    def evaluate(chunk: FloatArray) -> tuple[FloatArray, FloatArray]:
        x, y = chunk
        return psf.images(x, y).images, psf.moments(x, y)

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(evaluate, chunks))
    for found, chunk in zip(together, chunks, strict=True):
        for ours, alone in zip(found, evaluate(chunk), strict=True):
            np.testing.assert_array_equal(ours, alone)
