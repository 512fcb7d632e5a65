"""The directory of HDUs: what may be, what may not, and what astropy sees through it."""

from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from forcedphot import Exposure
from forcedphot.errors import FileFormatError
from forcedphot.io.fits_file import FitsFile
from forcedphot.io.resources import Source

from . import fits_in_memory

type Golden = Callable[[str], Path]


def some_hdus() -> list[Any]:
    image = np.arange(12, dtype=np.int16).reshape(3, 4)
    table = fits.BinTableHDU.from_columns(
        [fits.Column("a", "J", array=[1, 2]), fits.Column("b", "PE()", array=[[1.0], []])]
    )
    return [
        fits.PrimaryHDU(image),
        fits.ImageHDU(image.astype(np.float32), name="second"),
        table,
        fits.CompImageHDU(image.astype(np.int32), name="third"),
        fits.ImageHDU(),
    ]  # fmt: skip


def opened(data: bytes) -> FitsFile:
    return FitsFile(Source("memory", BytesIO(data), len(data)))


@cache
def stored_bytes() -> bytes:
    stream = BytesIO()
    fits.HDUList(some_hdus()).writeto(stream)
    return stream.getvalue()


def test_places_are_those_of_astropy() -> None:
    data = stored_bytes()
    hdus = opened(data)
    with fits.open(BytesIO(data), disable_image_compression=True) as expected:
        assert len(hdus) == len(expected)
        for ours, theirs in zip(hdus, expected, strict=True):
            place = theirs.fileinfo()
            assert (ours.header_start, ours.stop) == (place["hdrLoc"], place["datLoc"] + place["datSpan"])
            assert ours.name.upper() == theirs.name.removeprefix("PRIMARY")
            assert ours.is_table == hasattr(theirs, "columns")
    assert [hdu.is_image for hdu in hdus] == [True, True, False, True, True]
    assert [hdus[i].shape for i in (0, 1, 3, 4)] == [(3, 4), (3, 4), (3, 4), ()]
    assert [hdus[i].bitpix for i in (0, 1, 3)] == [16, -32, 32]
    assert hdus.stored(1, 3) == data[hdus[1].header_start : hdus[3].stop]


def test_astropy_reads_through_the_window() -> None:
    hdus = fits_in_memory.stored(some_hdus())
    for i in (1, 3):
        np.testing.assert_array_equal(hdus[i].astropy.data, np.arange(12).reshape(3, 4))
        np.testing.assert_array_equal(hdus[i].astropy.section[1:3, 2:4], [[6, 7], [10, 11]])
    hdus.close()


def test_reading_stays_inside_the_data() -> None:
    hdu = fits_in_memory.stored(some_hdus())[0]
    assert hdu.read(0, 4) == b"\0\0\0\1"
    for start, stop in ((-1, 3), (0, 25), (3, 2)):
        with pytest.raises(FileFormatError, match="are asked for; it has 24"):
            hdu.read(start, stop)
    with pytest.raises(FileFormatError, match="are asked for"):
        hdu.read_into(np.empty(13, np.int16), 0)


@pytest.mark.parametrize(
    ("card", "value", "message"),
    [
        ("NAXIS1", -4, "NAXIS1 is -4"),
        ("NAXIS1", 4.5, r"NAXIS1 is 4\.5"),
        ("NAXIS1", 10**18, "truncated: HDU 2 should end at byte"),
        ("NAXIS", 1000, "NAXIS is 1000"),
        ("NAXIS", 3, "NAXIS3 is missing"),
        ("BITPIX", 7, "BITPIX is 7"),
        ("BITPIX", True, "BITPIX is True"),
        ("PCOUNT", -1, "PCOUNT is -1"),
        ("GCOUNT", "one", "GCOUNT is 'one'"),
        ("TFIELDS", 2**31, "TFIELDS is 2147483648"),
        ("ZNAXIS", 2**31, "ZNAXIS is 2147483648"),
        ("WCSAXES", 2**31, "WCSAXES is 2147483648"),
        ("A_ORDERB", 100, "A_ORDERB is 100"),
        ("XTENSION", None, "truncated|damaged"),
    ],
)
def test_sizes_that_cannot_be(card: str, value: Any, message: str) -> None:
    data = bytearray(stored_bytes())
    start = opened(bytes(data))[1].header_start
    place = data.find(f"{card:8}=".encode(), start, start + 2880)
    place = place if place >= 0 else data.find(b"EXTNAME ", start)
    shown = f"'{value}'" if isinstance(value, str) else {True: "T", None: ""}.get(value, value)
    data[place : place + 80] = f"{card if value is not None else 'OTHER':8}= {shown:>20}".ljust(80).encode()
    with pytest.raises(FileFormatError, match=message):
        opened(bytes(data))


def test_what_follows_the_last_hdu() -> None:
    data = stored_bytes()
    assert len(opened(data + bytes(2880))) == len(some_hdus())
    with pytest.raises(FileFormatError, match="HDU 6 begins with b'what fol'"):
        opened(data + b"what follows".ljust(2880))
    with pytest.raises(FileFormatError, match="truncated: the header of HDU 6"):
        opened(data + b"XTENSION".ljust(2879))
    with pytest.raises(FileFormatError, match="truncated: HDU 4"):
        opened(data[: opened(data)[3].stop - 2880])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutations_raise_our_errors_only(data: st.DataObject) -> None:
    content = bytearray(stored_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(content) // 80 - 1)) * 80 + data.draw(st.integers(0, 30))
        content[place] = data.draw(st.integers(0, 255))
    try:
        hdus = opened(bytes(content))
    except FileFormatError:
        return
    assert all(hdu.stop <= len(content) for hdu in hdus)


def test_columns_without_end_in_files_of_lsst_images(golden: Golden, tmp_path: Path) -> None:
    data = bytearray((golden("dp2/visit_gaussian") / "visit_image.fits").read_bytes())
    place = data.index(b"TFIELDS =")
    data[place + 10 : place + 30] = f"{2**31:20d}".encode()
    path = tmp_path / "image.fits"
    path.write_bytes(data)
    for read in (Exposure.read, lambda file: Exposure.read_component(file, "wcs")):
        with pytest.raises(FileFormatError, match=r"image\.fits.*TFIELDS is 2147483648"):
            read(path)


def test_kernels_of_no_cell(golden: Golden, tmp_path: Path) -> None:
    path = golden("dp2/cell_coadd") / "deep_coadd.fits"
    data = bytearray(path.read_bytes())
    place = data.index(b"ZNAXIS4 =")  # the only stack of stacks of images: a kernel for each cell
    data[place + 10 : place + 30] = f"{0:20d}".encode()
    (tmp_path / "coadd.fits").write_bytes(data)
    with pytest.raises(FileFormatError, match=r"coadd\.fits"):
        Exposure.read(tmp_path / "coadd.fits")
