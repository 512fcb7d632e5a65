"""Files of PSFEx are read as the pipelines' PsfexPsf of the same model is drawn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from forcedphot import Exposure
from forcedphot.errors import FileFormatError
from forcedphot.io.fits_place import FitsPlace, place_of
from forcedphot.io.psfex_file import read_psf_file
from forcedphot.psf import KernelImagePsf, PsfexPsf

type Golden = Callable[[str], Path]


def write_psfex(path: Path, psf: PsfexPsf, degree: int, step: float, **cards: Any) -> Path:
    """Write a model as PSFEx does, with positions that begin at 1."""
    n_grids, height, width = psf._basis.shape
    mask = fits.Column("PSF_MASK", f"{n_grids * height * width}E", dim=f"({width}, {height}, {n_grids})")
    hdu = fits.BinTableHDU.from_columns([mask], nrows=1, name="PSF_DATA")
    hdu.data["PSF_MASK"][0] = psf._basis
    header = {
        "LOADED": 100, "ACCEPTED": 90, "CHI2": 1.1, "POLNAXIS": 2,
        "POLGRP1": 1, "POLNAME1": "X_IMAGE", "POLZERO1": psf._offset[0] + 1, "POLSCAL1": psf._scale[0],
        "POLGRP2": 1, "POLNAME2": "Y_IMAGE", "POLZERO2": psf._offset[1] + 1, "POLSCAL2": psf._scale[1],
        "POLNGRP": 1, "POLDEG1": degree, "PSF_FWHM": 3.5, "PSF_SAMP": step, "PSFNAXIS": 3,
        "PSFAXIS1": width, "PSFAXIS2": height, "PSFAXIS3": n_grids,
    }  # fmt: skip
    for name, value in (header | cards).items():
        if value is not None:
            hdu.header[name] = value
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path


@pytest.fixture
def model(rng: np.random.Generator) -> PsfexPsf:
    dy, dx = np.mgrid[-10:11, -12:13]
    basis = np.exp(-0.5 * (dx**2 + dy**2) / 3.0**2) * rng.normal(1, [[[1e-3]], [[0.1]], [[0.1]]], (3, 21, 25))
    return PsfexPsf(basis.astype(np.float32).astype(np.float64), 1, 0.5, (99.5, 149.5), (60.0, 80.0))


def test_the_pipelines_draw_the_same(golden: Golden, tmp_path: Path) -> None:
    case = golden("driver/psfex")
    exposure = Exposure.read(case / "exposure.fits")
    assert isinstance(exposure.psf, PsfexPsf)
    write_psfex(tmp_path / "model.psf", exposure.psf, 2, 0.5)
    psf = read_psf_file(place_of(tmp_path / "model.psf"))
    truth = np.load(case / "psf_stamps.npz")
    x, y = truth["xy"].T
    found, kernels = psf.images(x, y), psf.kernel_images(x, y).images
    for i in range(len(x)):
        stamp, kernel = truth[f"stamp_{i}"], truth[f"kernel_{i}"]
        np.testing.assert_allclose(found.images[i], stamp, rtol=0, atol=1e-6 * stamp.max())
        np.testing.assert_allclose(kernels[i], kernel, rtol=0, atol=1e-6 * kernel.max())


def test_first_pixel(model: PsfexPsf, tmp_path: Path) -> None:
    write_psfex(tmp_path / "model.psf", model, 1, 0.5)
    x, y = np.array([100.0, 30.2]), np.array([150.0, 10.7])
    psf = read_psf_file(place_of(tmp_path / "model.psf"), x0=1000, y0=-50)
    np.testing.assert_allclose(psf.kernel_images(x + 1000, y - 50).images, model.kernel_images(x, y).images)


def test_a_constant_model(model: PsfexPsf, tmp_path: Path) -> None:
    constant = PsfexPsf(model._basis[:1], 0, 0.5, (0.0, 0.0), (1.0, 1.0))
    write_psfex(tmp_path / "model.psf", constant, 0, 0.5, POLNAXIS=0, POLNAME1=None, POLZERO1=None, POLDEG1=None)
    x = np.array([3.0, 700.0])
    found = read_psf_file(place_of(tmp_path / "model.psf")).kernel_images(x, x).images
    np.testing.assert_array_equal(found, constant.kernel_images(x, x).images)


@pytest.mark.parametrize(
    ("cards", "reason"),
    [
        ({"POLNAME2": "MAG_AUTO"}, "other than one polynomial of X_IMAGE and Y_IMAGE"),
        ({"POLNAXIS": 1}, "other than one polynomial"),
        ({"POLNGRP": 2}, "other than one polynomial"),
        ({"POLNAME1": "Y_IMAGE", "POLNAME2": "X_IMAGE"}, "Y_IMAGE before X_IMAGE"),
        ({"POLDEG1": 2}, r"it should have 6 grids of 25 x 21"),
        ({"POLDEG1": 2000}, "POLDEG1 = 2000, not a whole number from 0 to 20"),
        ({"PSF_SAMP": None}, "PSF_SAMP = None, not a number"),
        ({"PSF_SAMP": -1.0}, "positive step"),
        ({"POLSCAL1": 0.0}, "which are not 0"),
        ({"PSFAXIS1": "x"}, "PSFAXIS1 = 'x'"),
        ({"PSFAXIS2": 5}, "1575 pixels in 1 rows"),
    ],
)
def test_models_that_are_refused(model: PsfexPsf, tmp_path: Path, cards: dict[str, Any], reason: str) -> None:
    write_psfex(tmp_path / "model.psf", model, 1, 0.5, **cards)
    with pytest.raises(FileFormatError, match=reason) as caught:
        read_psf_file(place_of(tmp_path / "model.psf"))
    assert str(tmp_path / "model.psf") in str(caught.value)


def test_kernel_images(tmp_path: Path) -> None:
    kernel = np.outer([1.0, 2.0, 1.0], [1.0, 3.0, 5.0, 3.0, 1.0])
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(kernel, name="KERNEL"), fits.ImageHDU(kernel[:2], name="EVEN")]
    fits.HDUList(hdus).writeto(tmp_path / "psf.fits")
    for place in ("psf.fits", "psf.fits[1]", "psf.fits[kernel]", "psf.fits[KERNEL,1]"):
        psf = read_psf_file(place_of(f"{tmp_path}/{place}"))
        assert isinstance(psf, KernelImagePsf)
        np.testing.assert_allclose(psf.kernel, kernel / kernel.sum())
    with pytest.raises(FileFormatError, match=r"psf\.fits\[EVEN\] cannot be used: .*odd height and width"):
        read_psf_file(place_of(f"{tmp_path}/psf.fits[EVEN]"))
    with pytest.raises(FileFormatError, match=r"no such HDU; it has 0, 1 KERNEL, 2 EVEN"):
        read_psf_file(place_of(f"{tmp_path}/psf.fits[3]"))
    with pytest.raises(FileFormatError, match="nothing of the kind"):
        read_psf_file(place_of(f"{tmp_path}/psf.fits[0]"))


def test_no_psf_at_all(tmp_path: Path) -> None:
    fits.PrimaryHDU().writeto(tmp_path / "empty.fits")
    with pytest.raises(FileFormatError, match="nothing in it is of the kind that is wanted"):
        read_psf_file(place_of(tmp_path / "empty.fits"))
    (tmp_path / "text.psf").write_text("no FITS")
    with pytest.raises(FileFormatError, match=r"text\.psf"):
        read_psf_file(place_of(tmp_path / "text.psf"))
    with pytest.raises(FileNotFoundError, match="absent"):
        read_psf_file(place_of(tmp_path / "absent.psf"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.fits", FitsPlace("a.fits")),
        ("a.fits[2]", FitsPlace("a.fits", 2)),
        ("a.fits[ SCI ]", FitsPlace("a.fits", "SCI")),
        ("a.fits[SCI,2]", FitsPlace("a.fits", ("SCI", 2))),
        ("a[1].fits[SCI]", FitsPlace("a[1].fits", "SCI")),
        ("a[1].fits", FitsPlace("a[1].fits")),
        ("a.fits[]", FitsPlace("a.fits")),
        ("[WHT]", FitsPlace("image.fits", "WHT")),
        ("https://host/a.fits[SCI]", FitsPlace("https://host/a.fits", "SCI")),
    ],
)
def test_places(text: str, expected: FitsPlace) -> None:
    assert place_of(text, file="image.fits") == expected


def test_places_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"\[WHT\] names no file; write FILE\[WHT\]"):
        place_of("[WHT]")
    with pytest.raises(FileFormatError, match="got nothing"):
        place_of("")
    named_so = tmp_path / "a[1]"
    named_so.write_text("")
    assert place_of(named_so) == FitsPlace(named_so)
    assert str(place_of("a.fits[SCI,2]")) == "a.fits[SCI,2]"
    assert str(place_of("a.fits[3]")) == "a.fits[3]"
