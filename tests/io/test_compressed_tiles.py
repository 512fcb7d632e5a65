"""Tiles that are not what the header says, before astropy's C code believes it; and honest ones of all kinds."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from forcedphot import Exposure
from forcedphot.errors import FileFormatError
from forcedphot.io import compressed_tiles

SHAPE = (64, 48)


def write(path: Path, kind: str, dtype: Any = np.int32, **options: Any) -> Path:
    image = np.random.default_rng(1).integers(0, 1000, SHAPE).astype(dtype)
    hdu = fits.CompImageHDU(image, compression_type=kind, tile_shape=(16, SHAPE[1]), name="IMAGE", **options)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path


def set_card(path: Path, name: str, value: Any) -> None:
    data = bytearray(path.read_bytes())
    place = data.index(f"{name:8}= ".encode(), 2880)
    data[place : place + 80] = f"{name:8}= {value:>20}".ljust(80).encode()
    path.write_bytes(data)


_KINDS = ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1"]


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("PLIO_1", np.int32), *((kind, dtype) for kind in _KINDS for dtype in (np.int32, np.float32))],
)
def test_honest_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, dtype: Any) -> None:
    monkeypatch.setattr(compressed_tiles, "_HARMLESS_BYTES", 0)  # unpack each tile of gzip
    path = write(tmp_path / "image.fits", kind, dtype)
    with fits.open(path) as hdus:
        np.testing.assert_array_equal(Exposure.read(path).image, hdus[1].data)


def test_tiles_that_could_not_be_quantised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed_tiles, "_HARMLESS_BYTES", 0)
    image = np.full(SHAPE, 3.5, np.float32)  # without noise they are stored by gzip
    path = tmp_path / "image.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image, compression_type="RICE_1")]).writeto(path)
    np.testing.assert_array_equal(Exposure.read(path).image, image)


@pytest.mark.parametrize(
    ("card", "value", "message"),
    [
        # The first two made astropy read a hundred kilobytes, or four, behind its memory.
        ("ZVAL2", 100_000, "blocks of 32 pixels of 100000 bytes"),
        ("ZVAL2", 8, "blocks of 32 pixels of 8 bytes"),
        ("ZVAL1", 2**30, "blocks of 1073741824 pixels of 4 bytes"),
        ("ZVAL1", 0, "blocks of 0 pixels"),
        ("ZTILE1", 0, "the sides 0, 16"),
        ("ZTILE2", -1, "the sides 48, -1"),
        ("ZTILE2", 1.5, r"the sides 48, 1\.5"),
    ],
)
def test_parameters_that_lie(tmp_path: Path, card: str, value: Any, message: str) -> None:
    path = write(tmp_path / "image.fits", "RICE_1")
    set_card(path, card, value)
    with pytest.raises(FileFormatError, match=rf"image cannot be read \(HDU 2 \(IMAGE\)\): its tiles .*{message}"):
        Exposure.read(path)


def test_tiles_of_which_c_cannot_count_the_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "image.fits", "RICE_1")
    for axis, length in ((1, 32768), (2, 16384)):
        set_card(path, f"ZNAXIS{axis}", length)
        set_card(path, f"ZTILE{axis}", length)
    with pytest.raises(FileFormatError, match="its tiles have 536870912 pixels"):
        Exposure.read(path)


def heap_start(path: Path) -> int:
    with fits.open(path, disable_image_compression=True) as hdus:
        header = hdus[1].header
        return int(hdus[1].fileinfo()["datLoc"] + header["NAXIS1"] * header["NAXIS2"])


@pytest.mark.parametrize("words", [[0, 7, -100, 0x7FFF, 0x7FFF], [0, 0, 0x7FFF, 0, 0], [0, -9, -100, 8, 0]])
def test_lists_of_pixels_longer_than_they_are(tmp_path: Path, words: list[int]) -> None:
    path = write(tmp_path / "image.fits", "PLIO_1")
    data, start = bytearray(path.read_bytes()), heap_start(path)
    data[start : start + 10] = np.array(words, ">i2").tobytes()
    path.write_bytes(data)
    with pytest.raises(FileFormatError, match="a tile is a list of"):
        Exposure.read(path)


def write_gzipped(path: Path, content: bytes) -> Path:
    """Write an image of 8 x 8 pixels, in one tile, that unpacks to something."""
    column = fits.Column("COMPRESSED_DATA", f"1QB({len(content)})", array=[np.frombuffer(content, np.uint8)])
    hdu = fits.BinTableHDU.from_columns([column], name="IMAGE")
    sides = {f"{name}{axis}": 8 for name in ("ZNAXIS", "ZTILE") for axis in (1, 2)}
    hdu.header.update(ZIMAGE=True, ZBITPIX=32, ZNAXIS=2, ZCMPTYPE="GZIP_1", **sides)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(bytes(1_000_000)), "513 bytes or more; it should have 512 at most"),
        (gzip.compress(b"") + bytes(5) + gzip.compress(bytes(1_000_000)), "513 bytes or more"),
        (b"no gzip, but some other data", "a tile cannot be decompressed"),
    ],
)
def test_what_unpacks_to_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.setattr(compressed_tiles, "_HARMLESS_BYTES", 1000)
    with pytest.raises(FileFormatError, match=message):
        Exposure.read(write_gzipped(tmp_path / "image.fits", content))


def test_places_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed_tiles, "_HARMLESS_BYTES", 1000)
    path = write_gzipped(tmp_path / "image.fits", gzip.compress(bytes(256)))
    data, start = bytearray(path.read_bytes()), heap_start(path)
    for place in ([2**40, 0], [10, 2**62], [10, -1]):
        data[start - 16 : start] = np.array(place, ">i8").tobytes()
        path.write_bytes(data)
        with pytest.raises(FileFormatError, match="the places of its tiles are outside the HDU"):
            Exposure.read(path)


def test_images_of_lsst_images_are_checked_too(golden: Callable[[str], Path], tmp_path: Path) -> None:
    data = bytearray(golden("dp2/visit_gaussian/visit_image.fits").read_bytes())
    place = data.index(b"ZTILE1  =")
    data[place + 10 : place + 30] = f"{0:20d}".encode()
    (tmp_path / "image.fits").write_bytes(data)
    with pytest.raises(FileFormatError, match=r"image\.fits .*HDU 2 \(IMAGE\): its tiles have the sides 0, "):
        Exposure.read(tmp_path / "image.fits")
