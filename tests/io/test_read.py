"""read_exposure finds the reader by content, and says clearly why it cannot."""

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from forcedphot import Exposure
from forcedphot.errors import FileFormatError
from forcedphot.io.read import ImageFormat, read_exposure, sniff_format


@pytest.fixture
def coadd_file(make_cell_coadd: Any, tmp_path: Path) -> Path:
    from lsst.images.serialization import write_archive

    write_archive(make_cell_coadd(), tmp_path / "coadd.fits")
    return tmp_path / "coadd.fits"


def write_planes(path: Path, card: str) -> Path:
    hdus = [fits.PrimaryHDU()]
    for plane in ("IMAGE", "MASK", "VARIANCE"):
        hdu = fits.ImageHDU(np.zeros((4, 5), np.float32))
        hdu.header[card] = plane
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(path)
    return path


def test_lsst_images(coadd_file: Path) -> None:
    assert sniff_format(coadd_file) is ImageFormat.LSST_IMAGES
    assert Exposure.read(str(coadd_file)).identity.patch == 14


@pytest.mark.parametrize("name", ["coadd", "coadd.txt", "coadd.fits.gz"])
def test_name_is_not_asked(coadd_file: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    content = coadd_file.read_bytes()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert read_exposure(path).identity.patch == 14


def test_compressed_without_saying_so(coadd_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "coadd_again.fits"
    path.write_bytes(gzip.compress(coadd_file.read_bytes()))
    assert read_exposure(path).identity.patch == 14


@pytest.mark.parametrize("card", ["EXTNAME", "EXTTYPE"])
def test_planes_of_afw(tmp_path: Path, card: str) -> None:
    assert sniff_format(write_planes(tmp_path / "exposure.fits", card)) is ImageFormat.AFW


def test_archive_of_afw(tmp_path: Path) -> None:
    fits.PrimaryHDU(header=fits.Header({"AR_HDU": 5})).writeto(tmp_path / "exposure.fits")
    assert sniff_format(tmp_path / "exposure.fits") is ImageFormat.AFW


def test_afw_reader_is_called(golden: Callable[[str], Path]) -> None:
    exposure = Exposure.read(golden("driver/visit_gaussian/exposure.fits"))
    assert exposure.image.shape == (480, 512)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no file .*absent\.fits"):
        read_exposure(tmp_path / "absent.fits")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"SIMPLE", "is not a FITS file"),
        (b"objectId,ra,dec\n1,2,3\n", "is not a FITS file: it begins with b'objectId,'"),
        (gzip.compress(b"not an image", mtime=0), "is not a FITS file"),
        (gzip.compress(b"not an image" * 99, mtime=0)[:15], "cannot be unpacked"),
        (b"SIMPLE  =                    T", "header of HDU 1 has no end"),
        (b"SIMPLE  =" + b"\xff" * 5751, "header of HDU 1 has no end"),
    ],
)
def test_not_an_image(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "image.fits"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=reason) as caught:
        read_exposure(path)
    assert str(path) in str(caught.value)


def test_directory(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="is not a file"):
        read_exposure(tmp_path)


def test_other_fits(tmp_path: Path) -> None:
    path = tmp_path / "other.fits"
    images = [fits.PrimaryHDU(np.zeros((4, 5), np.float32)), fits.ImageHDU(np.zeros((4, 5), np.float32))]
    for hdus in (images, [fits.PrimaryHDU(np.zeros((3, 4, 5)))], [fits.PrimaryHDU()]):
        fits.HDUList(hdus).writeto(path, overwrite=True)
        with pytest.raises(FileFormatError, match=r"other\.fits is a FITS file, but .*Exposure\.from_arrays"):
            read_exposure(path)


@pytest.mark.parametrize("hdu", [fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU])
def test_plain_image(tmp_path: Path, hdu: Any) -> None:
    path = tmp_path / "plain.fits"
    pixels = np.arange(20, dtype=np.int16).reshape(4, 5)
    plane = hdu(pixels)
    plane.header.update(BUNIT="adu", LTV1=-10.0)
    fits.HDUList([plane] if hdu is fits.PrimaryHDU else [fits.PrimaryHDU(), plane]).writeto(path)
    exposure = read_exposure(path)
    np.testing.assert_array_equal(exposure.image, pixels)
    assert (exposure.variance, exposure.mask, exposure.psf, exposure.wcs) == (None,) * 4
    assert (exposure.x0, exposure.y0, str(exposure.unit)) == (10, 0, "adu")


def test_other_kind_of_lsst_images(make_cell_coadd: Any, tmp_path: Path) -> None:
    from lsst.images.serialization import write_archive

    write_archive(make_cell_coadd().image, tmp_path / "image.fits")
    with pytest.raises(FileFormatError, match=r"image\.fits is an lsst\.images file of the kind 'image'"):
        read_exposure(tmp_path / "image.fits")


@pytest.mark.parametrize("fraction", [0.05, 0.3, 0.7, 0.98])
def test_truncated(coadd_file: Path, fraction: float) -> None:
    content = coadd_file.read_bytes()
    coadd_file.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(FileFormatError, match=r"coadd\.fits"):
        read_exposure(coadd_file)


def test_damaged_card(coadd_file: Path) -> None:
    content = coadd_file.read_bytes()
    start = content.index(b"INDXSIZE=")
    coadd_file.write_bytes(content[: start + 10] + b"\xff" * 20 + content[start + 30 :])
    with pytest.raises(FileFormatError, match=r"coadd\.fits cannot be read"):
        read_exposure(coadd_file)


def test_lsst_images_is_imported_only_for_its_files(tmp_path: Path) -> None:
    path = write_planes(tmp_path / "exposure.fits", "EXTNAME")
    code = (
        "import sys; from forcedphot.io.read import sniff_format; "
        f"sniff_format({str(path)!r}); print('lsst.images' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert result.stdout.strip() == "False"
