"""PiffPsf: against the real pipeline's stamps, and the fast path against Piff's own drawing."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forcedphot.errors import ExposureError
from forcedphot.io.afw_fits.reader import read_afw_exposure
from forcedphot.psf import PiffPsf

galsim = pytest.importorskip("galsim")
piff = pytest.importorskip("piff")

Golden = Callable[[str], Path]


def make_psf(
    rng: np.random.Generator,
    *,
    side: int = 15,
    grid_scale: float = 0.2,
    wcs: Any = None,
    interpolant: Any = None,
    keys: tuple[str, ...] = ("x", "y"),
    order: int | tuple[int, ...] = 2,
) -> Any:
    """Make a Piff PSF: a Gaussian grid, changed a little by every polynomial term."""
    model = piff.PixelGrid(grid_scale, side, interp=interpolant or galsim.Lanczos(5))
    interp = piff.BasisPolynomial(order, keys=keys)
    n_terms = len(interp.constant())
    grid = np.arange(side) - side // 2
    core = np.exp(-0.5 * (grid[:, np.newaxis] ** 2 + (grid - 0.3) ** 2) / 1.9**2)
    scale = 1.0 if set(keys) <= {"x", "y"} else 5.0
    interp.q = rng.normal(0.0, 0.02, (side**2, n_terms)) * core.reshape(-1, 1)
    interp.q *= (scale / 200.0) ** np.sum(np.nonzero(interp._mask), axis=0)
    interp.q[:, 0] = core.ravel()
    psf = piff.SimplePSF(model, interp)
    psf.wcs = {0: wcs or galsim.PixelScale(0.2)}
    psf.pointing = None
    return psf


def draw(psf: Any, x: float, y: float, size: int, **options: Any) -> Any:
    array = psf.draw(x, y, stamp_size=size, **options).array
    return array / array.sum()


@pytest.mark.parametrize("case", ["piff_pixel", "piff_sky"])
def test_stamps_are_those_of_the_pipeline(golden: Golden, case: str) -> None:
    folder = golden(f"driver/{case}")
    psf = read_afw_exposure(folder / "exposure.fits").psf
    assert isinstance(psf, PiffPsf)
    with np.load(folder / "psf_stamps.npz") as stored:
        x, y = stored["xy"].T.copy()
        expected = np.array([stored[f"stamp_{i}"] for i in range(len(x))])
    stamps = psf.images(x, y)
    assert stamps.valid.all()
    assert stamps.images.shape == (len(x), *psf.stamp_shape)
    np.testing.assert_allclose(stamps.images, expected, rtol=0, atol=1e-12 * expected.max())
    np.testing.assert_array_equal(stamps.x0, np.floor(x + 0.5) - psf.stamp_shape[1] // 2)
    np.testing.assert_array_equal(stamps.y0, np.floor(y + 0.5) - psf.stamp_shape[0] // 2)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"side": 14},
        {"side": 31},
        {"grid_scale": 0.16},
        {"grid_scale": 0.3, "interpolant": "Lanczos(11)"},
        {"keys": ("u", "v")},
        {"keys": ("y", "x"), "order": (1, 3)},
        {"keys": ("x",)},
        {"interpolant": "Quintic()"},
        {"interpolant": "Linear()"},
    ],
    ids=str,
)
def test_fast_path_agrees_with_piff(rng: np.random.Generator, options: dict[str, Any]) -> None:
    interpolants = {"Lanczos(11)": galsim.Lanczos(11), "Quintic()": galsim.Quintic(), "Linear()": galsim.Linear()}
    name = options.pop("interpolant", None)
    model = make_psf(rng, interpolant=interpolants.get(name), **options)
    psf = PiffPsf(model, 21)
    assert psf._grid is not None
    x = np.concatenate([rng.uniform(-100, 200, 70), [50.0, 50.25]])
    y = np.concatenate([rng.uniform(-100, 200, 70), [-3.0, 7.0]])
    stamps = psf.images(x, y)
    kernels, valid, *_ = psf.kernel_images(x, y)
    assert valid.all()
    for i in range(len(x)):
        atol = 1e-12 * stamps.images[i].max()
        np.testing.assert_allclose(stamps.images[i], draw(model, x[i], y[i], 21), rtol=0, atol=atol)
        centred = draw(model, x[i], y[i], 21, center=True)
        np.testing.assert_allclose(kernels[i], centred, rtol=0, atol=atol)


@pytest.mark.parametrize("wcs", ["pixels", "sky"])
def test_half_pixels_round_up(rng: np.random.Generator, wcs: str) -> None:
    affine = galsim.AffineTransform(0.198, 0.004, -0.003, 0.202, origin=galsim.PositionD(30.0, 40.0))
    model = make_psf(rng, wcs=affine if wcs == "sky" else None)
    psf = PiffPsf(model, 21)
    x, y = np.array([10.5, -0.5]), np.array([20.5, 3.0])
    stamps = psf.images(x, y)
    np.testing.assert_array_equal(stamps.x0, [11 - 10, 0 - 10])
    np.testing.assert_array_equal(stamps.y0, [21 - 10, 3 - 10])
    wide = model.draw(10.5, 20.5, stamp_size=41).array  # centred on Piff's choice, (10, 20)
    cut = wide[11:32, 11:32]
    np.testing.assert_allclose(stamps.images[0], cut / cut.sum(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("wcs", ["pixels", "sky"])
def test_undefined_positions_do_not_lose_the_others(rng: np.random.Generator, wcs: str) -> None:
    affine = galsim.AffineTransform(0.198, 0.004, -0.003, 0.202)
    model = make_psf(rng, wcs=affine if wcs == "sky" else None, order=1)
    # The grid is 1 - x / 128 times itself: nothing is left at x = 128.
    model.interp.q = model.interp.q[:, :1] * np.array([1.0, 0.0, -1 / 128])
    psf = PiffPsf(model, 21)
    x, y = np.array([10.0, 128.0, 20.0]), np.zeros(3)
    stamps = psf.images(x, y)
    kernels, valid, *_ = psf.kernel_images(x, y)
    for images, flags in ((stamps.images, stamps.valid), (kernels, valid)):
        assert flags.tolist() == [True, False, True]
        assert np.isnan(images[1]).all()
        np.testing.assert_allclose(images[[0, 2]].sum(axis=(1, 2)), 1.0, rtol=1e-12)


def test_no_positions(rng: np.random.Generator) -> None:
    psf = PiffPsf(make_psf(rng), 21)
    assert psf.images(np.empty(0), np.empty(0)).images.shape == (0, 21, 21)
    assert psf.kernel_images(np.empty(0), np.empty(0))[0].shape == (0, 21, 21)


def test_other_models_are_drawn_by_piff() -> None:
    interp = piff.Mean()
    interp.mean = np.array([1.2, 0.05, -0.03])
    model = piff.SimplePSF(piff.Gaussian(include_pixel=False), interp)
    model.wcs = {0: galsim.PixelScale(0.5)}
    model.pointing = None
    psf = PiffPsf(model, 15)
    stamps = psf.images(np.array([7.2]), np.array([9.9]))
    np.testing.assert_allclose(stamps.images[0], draw(model, 7.2, 9.9, 15), rtol=0, atol=1e-12)


def test_chromatic_psf_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ExposureError, match=r"ri_color.*Chromatic"):
        PiffPsf(make_psf(rng, keys=("x", "y", "ri_color"), order=1), 21)


def test_even_stamps_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ExposureError, match="odd size; got 20"):
        PiffPsf(make_psf(rng), 20)


def test_several_chips_are_refused(rng: np.random.Generator) -> None:
    model = make_psf(rng)
    model.wcs[1] = galsim.PixelScale(0.2)
    with pytest.raises(ExposureError, match="one chip"):
        PiffPsf(model, 21)


def test_import_stays_light() -> None:
    code = "import forcedphot.psf, sys; sys.exit('piff' in sys.modules or 'galsim' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603
