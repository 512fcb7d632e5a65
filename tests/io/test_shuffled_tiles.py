"""Tiles of GZIP_2: what astropy reads, and damaged ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from forcedphot.errors import FileFormatError
from forcedphot.io.afw_fits.shuffled_tiles import read_rows
from forcedphot.io.fits_file import open_fits

SHAPE = (37, 50)


def write(path: Path, image: np.ndarray[Any, Any], **options: Any) -> Path:
    options = {"compression_type": "GZIP_2", "tile_shape": (1, image.shape[1]), "quantize_level": 0} | options
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image, **options)]).writeto(path)
    return path


def make_image(rng: np.random.Generator, dtype: Any) -> np.ndarray[Any, Any]:
    return (rng.normal(size=SHAPE) * 100).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("tile_height", [1, 5, 37])
@pytest.mark.parametrize(("start", "stop"), [(0, 37), (3, 4), (11, 36), (36, 37)])
def test_rows(
    rng: np.random.Generator, tmp_path: Path, dtype: Any, tile_height: int, start: int, stop: int
) -> None:
    image = make_image(rng, dtype)
    path = write(tmp_path / "tiles.fits", image, tile_shape=(tile_height, SHAPE[1]))
    with open_fits(path) as hdus:
        rows = read_rows(hdus[1], start, stop)
    assert rows is not None
    assert rows.dtype == dtype
    assert rows.dtype.isnative
    np.testing.assert_array_equal(rows, image[start:stop])


@pytest.mark.parametrize(
    "options",
    [
        {"compression_type": "RICE_1"},
        {"compression_type": "GZIP_1"},
        {"tile_shape": (5, 10)},
        {"quantize_level": 16, "quantize_method": 1},
    ],
)
def test_others_are_left_to_astropy(rng: np.random.Generator, tmp_path: Path, options: dict[str, Any]) -> None:
    dtype = np.float32 if "quantize_level" in options else np.int32
    with open_fits(write(tmp_path / "tiles.fits", make_image(rng, dtype), **options)) as hdus:
        assert read_rows(hdus[1], 0, 37) is None


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_scaled_integers_are_left_to_astropy(rng: np.random.Generator, tmp_path: Path, dtype: Any) -> None:
    with open_fits(write(tmp_path / "tiles.fits", abs(make_image(rng, np.int32)).astype(dtype))) as hdus:
        assert read_rows(hdus[1], 0, 37) is None


def heap_start(path: Path) -> int:
    with fits.open(path, disable_image_compression=True) as hdus:
        header = hdus[1].header
        return int(hdus[1].fileinfo()["datLoc"] + header["NAXIS1"] * header["NAXIS2"])


def damage(path: Path, position: int, content: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[position : position + len(content)] = content
    path.write_bytes(data)


@pytest.mark.parametrize("offset", [0, 12, 30])
def test_damaged_tiles(rng: np.random.Generator, tmp_path: Path, offset: int) -> None:
    path = write(tmp_path / "tiles.fits", make_image(rng, np.int32))
    damage(path, heap_start(path) + offset, b"\xff\x00\xff\x00")
    with open_fits(path) as hdus, pytest.raises(FileFormatError, match="tile"):
        read_rows(hdus[1], 0, 37)


def test_tiles_outside_the_file(rng: np.random.Generator, tmp_path: Path) -> None:
    path = write(tmp_path / "tiles.fits", make_image(rng, np.int32))
    place = heap_start(path) - 8 * SHAPE[0]
    for descriptor in ([2**31 - 1, 0], [10, 2**30], [10, -5]):
        damage(path, place, np.array(descriptor, ">i4").tobytes())
        with open_fits(path) as hdus, pytest.raises(FileFormatError, match="outside the HDU"):
            read_rows(hdus[1], 0, 37)


def test_a_tile_larger_than_it_should_be(tmp_path: Path) -> None:
    path = write(tmp_path / "tiles.fits", np.zeros((4, 40_000), np.int32))
    data = path.read_bytes()
    for card, other in ((b"ZNAXIS1 =                40000", b"ZNAXIS1 =                 4000"),):
        data = data.replace(card, other).replace(
            card.replace(b"ZNAXIS1", b"ZTILE1 "), other.replace(b"ZNAXIS1", b"ZTILE1 ")
        )
    path.write_bytes(data)
    with (
        open_fits(path) as hdus,
        pytest.raises(FileFormatError, match="16001 bytes or more; it should have 16000"),
    ):
        read_rows(hdus[1], 0, 4)
