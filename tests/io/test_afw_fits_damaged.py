"""Damaged, truncated and hostile ExposureF files."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forcedphot.errors import FileFormatError, ForcedPhotError, UnsafeContentError
from forcedphot.io.afw_fits.reader import read_afw_exposure
from forcedphot.io.read import sniff_format

Golden = Callable[[str], Path]


Change = Callable[..., Path]


def edit_index(column: str, object_id: int, value: int) -> Callable[[Any], None]:
    def edit(hdus: Any) -> None:
        index = hdus["ARCHIVE_INDEX"].data
        index[column][index["id"] == object_id] = value

    return edit


def edit_card(hdu: int | str, card: str, value: Any) -> Callable[[Any], None]:
    def edit(hdus: Any) -> None:
        hdus[hdu].header[card] = value

    return edit


def edit_cell(table: str, column: str, value: Any) -> Callable[[Any], None]:
    def edit(hdus: Any) -> None:
        hdus[table].data[column][0] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (edit_card(0, "ARCHIVE_ID_PSF", 77), "no object 77"),
        (edit_card(0, "ARCHIVE_ID_PSF", -1), "no object -1"),
        (edit_card(0, "ARCHIVE_ID_PSF", "nine"), "no object nine"),
        (edit_card(0, "ARCHIVE_ID_PSF", 2), "ApertureCorrections; a Psf is expected"),
        (edit_card(0, "AR_HDU", 99), "HDU 99 should be the archive's index"),
        (edit_card(0, "AR_HDU", -3), "should be the archive's index"),
        (edit_card(0, "AR_HDU", 2), "HDU 2 should be the archive's index"),
        (edit_card(0, "AR_HDU", 6), "has no column 'id'"),
        (edit_card(0, "AR_HDU", "five"), "ValueError"),
        (edit_index("cat.archive", 9, 99), "table 99 of the archive, for a KernelPsf, is missing"),
        (edit_index("cat.archive", 9, -4), "table -4"),
        (edit_index("cat.archive", 9, 3), "no column 'kernel'"),
        (edit_index("row0", 9, 5), "rows 5..5 of a table of 1"),
        (edit_index("row0", 9, -1), "rows -1"),
        (edit_index("nrows", 9, 10**9), "of a table of 1"),
        (edit_index("nrows", 9, 0), "0 rows where one"),
        (edit_index("nrows", 9, -1), "rows 0"),
        (edit_cell("ApCorrMap", "field", 2), "refers to itself"),
        (edit_cell("KernelPsf", "kernel", 55), "no object 55"),
        (edit_cell("FixedKernel", "dimensions_x", 10**9), "pixels large"),
        (edit_cell("FixedKernel", "image", np.nan), "finite"),
        (edit_cell("ChebyshevBoundedField", "order_x", 10**9), "the order 1000000000 in x"),
        (edit_cell("ChebyshevBoundedField", "order_x", 3), "coefficients"),
        (edit_cell("ChebyshevBoundedField", "bbox_max_x", -9999), "the box"),
        (edit_card("MASK", "MP_BAD", 40), "bit 40"),
        (edit_card("MASK", "MP_BAD", "one"), "mask cannot be read"),
        (edit_card("IMAGE", "CRVAL1A", 1e300), "origin"),
        (edit_card("IMAGE", "CRVAL1A", "left"), "image cannot be read"),
    ],
)
def test_damaged_archives(change: Change, edit: Callable[[Any], None], message: str) -> None:
    path = change(edit)
    with pytest.raises(FileFormatError, match=message) as caught:
        read_afw_exposure(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "edit",
    [edit_cell("KernelPsf", "kernel", 2), edit_cell("FixedKernel", "center_x", 19)],
    ids=["class", "centre"],
)
def test_other_kernels_are_not_supported(change: Change, edit: Callable[[Any], None]) -> None:
    exposure = read_afw_exposure(change(edit))
    assert exposure.psf is None
    assert exposure.metadata["UNREAD_PSF"] == "KernelPsf"


def test_no_image_plane(change: Change) -> None:
    def edit(hdus: Any) -> None:
        hdus["IMAGE"].header.update(EXTTYPE="PICTURE", EXTNAME="PICTURE")

    with pytest.raises(FileFormatError, match="no image plane"):
        read_afw_exposure(change(edit))


def test_planes_of_different_shapes(change: Change) -> None:
    def edit(hdus: Any) -> None:
        hdus["VARIANCE"].data = hdus["VARIANCE"].data[:-1]

    with pytest.raises(FileFormatError, match="shape"):
        read_afw_exposure(change(edit))


def test_hostile_psf_names_file_and_class(change: Change, tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    def edit(hdus: Any) -> None:
        payload = f"cposix\nsystem\n(Vtouch {mark}\ntR.".encode()
        column = fits.Column("bytes", f"1QB({len(payload)})", array=[np.frombuffer(payload, np.uint8)])
        old = hdus["PiffPsf"]
        new = fits.BinTableHDU.from_columns([column], name="PiffPsf")
        new.header.update({card: old.header[card] for card in ("EXTTYPE", "AR_CATN", "AR_NAME")})
        hdus[hdus.index_of("PiffPsf")] = new

    path = change(edit, "driver/piff_pixel")
    with pytest.raises(UnsafeContentError, match=r"posix\.system") as caught:
        read_afw_exposure(path)
    with fits.open(path) as hdus:
        position = hdus.index_of("PiffPsf")
    assert f"{path}: the PSF is unsafe (HDU {position + 1} (PIFFPSF)): " in str(caught.value)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["FixedKernel", "ChebyshevBoundedField", "IMAGE", "MASK", "VARIANCE"])
def test_errors_name_the_hdu(change: Change, name: str) -> None:
    """Of objects that others refer to, the one that is damaged; of planes, each by itself."""
    numbers = []

    def edit(hdus: Any) -> None:
        hdu = hdus[name]
        numbers.append(hdus.index_of(name) + 1)
        if isinstance(hdu, fits.BinTableHDU):
            hdu.header["TTYPE3"] = "renamed"
        else:
            hdu.data = hdu.data[np.newaxis]

    path = change(edit)
    with pytest.raises(FileFormatError) as caught:
        read_afw_exposure(path)
    assert f"(HDU {numbers[0]} ({name}))" in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"SIMPLE  =                    T", b"x" * 5000, b"\x1f\x8b" + bytes(100), bytes(2880)]
)
def test_other_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.fits"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"other\.fits"):
        read_afw_exposure(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        read_afw_exposure(tmp_path / "absent.fits")


def hdu_places(path: Path) -> list[tuple[int, int]]:
    """Return where each HDU and its data begin."""
    with fits.open(path) as hdus:
        return [(info["hdrLoc"], info["datLoc"]) for info in (hdu.fileinfo() for hdu in hdus)]


def test_negative_sizes(golden: Golden, tmp_path: Path) -> None:
    content = (golden("driver/kernel_psf") / "exposure.fits").read_bytes()
    card = b"PCOUNT  =                    0"
    path = tmp_path / "negative.fits"
    path.write_bytes(content.replace(card, b"PCOUNT  =             -9999999", 2))
    for read in (read_afw_exposure, sniff_format):
        with pytest.raises(FileFormatError, match=r"negative\.fits"):
            read(path)


@pytest.mark.parametrize("name", ["driver/piff_pixel/exposure.fits", "exposures/piff_compressed.fits"])
def test_truncated_files(golden: Golden, tmp_path: Path, name: str) -> None:
    source = golden(name)
    content = source.read_bytes()
    lengths = {1, 80, 2879, 2880, len(content) - 1, len(content) - 2880}
    for header, data in hdu_places(source):
        lengths |= {header + 100, data - 1, data, data + 1, data + 100}
    path = tmp_path / "truncated.fits"
    for length in sorted(lengths - {len(content)}):
        path.write_bytes(content[:length])
        with pytest.raises(FileFormatError, match=r"truncated\.fits"):
            read_afw_exposure(path)


@pytest.fixture(scope="module")
def small_file(golden: Golden, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A golden file with few pixels, so that mutations hit the rest."""
    path = tmp_path_factory.mktemp("fuzz") / "small.fits"
    with fits.open(golden("driver/piff_pixel") / "exposure.fits") as hdus:
        for plane in ("IMAGE", "MASK", "VARIANCE"):
            hdus[plane].data = hdus[plane].data[:20, :20].copy()
        hdus.writeto(path)
    return path


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutations_raise_our_errors_only(small_file: Path, tmp_path: Path, data: st.DataObject) -> None:
    path = Path(shutil.copy(small_file, tmp_path / "mutated.fits"))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.sampled_from(b"\x00\x01\x7f\x80\xff 0179'=TFEX/-"))
    path.write_bytes(content)
    error, exposure = None, None
    try:
        exposure = read_afw_exposure(path)
    except ForcedPhotError as caught:
        error = str(caught)
    if exposure is not None:
        assert exposure.image.ndim == 2
    else:
        assert error is not None
        assert "HDU" in error or "no FITS file: it begins with" in error
