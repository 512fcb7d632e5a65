"""Reading a compressed visit image: whole, a cutout, single components; beside astropy reading the same planes."""

import logging
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from forcedphot import Exposure
from forcedphot.conventions import Box
from measuring import SHAPE, keep, print_table, seconds

_DATA = Path(__file__).resolve().parents[1] / "tests" / "data" / "driver"
PLANES = ("IMAGE", "MASK", "VARIANCE")
COMPONENTS = ("bbox", "wcs", "psf", "photo_calib", "aperture_corrections")
SIDE = 50


def write_large_copy(source: Path, path: Path, *, compress: bool) -> None:
    """Copy an ExposureF file, with planes of full size, compressed as the pipelines do it."""
    rng = np.random.default_rng(1)
    arrays = {
        "IMAGE": rng.normal(0.0, 12.0, SHAPE).astype(np.float32),
        "MASK": np.where(rng.random(SHAPE) < 0.02, 32, 0).astype(np.int32),
        "VARIANCE": rng.normal(144.0, 5.0, SHAPE).astype(np.float32),
    }
    quantised: dict[str, Any] = {"compression_type": "RICE_1", "quantize_level": 16, "quantize_method": 2}
    lossless: dict[str, Any] = {"compression_type": "GZIP_2", "quantize_level": 0}
    with fits.open(source) as hdus:
        for name in PLANES:
            header = hdus[name].header
            options = quantised if name == "IMAGE" else lossless
            hdus[hdus.index_of(name)] = (
                fits.CompImageHDU(arrays[name], header, name=name, **options)
                if compress
                else fits.ImageHDU(arrays[name], header, name=name)
            )
        hdus.writeto(path)


def read_with_astropy(path: Path) -> list[np.ndarray[Any, Any]]:
    """Read the planes, and bring them into the machine's byte order, which computing needs."""
    with fits.open(path, memmap=False) as hdus:
        planes = [hdus[name].data for name in PLANES]
    return [plane.astype(plane.dtype.newbyteorder("="), copy=False) for plane in planes]


def time_file(case: str, path: Path) -> list[dict[str, Any]]:
    """Time one file; check before that astropy and forcedphot read the same."""
    exposure = Exposure.read(path)
    box = Box(exposure.x0 + 2000, exposure.y0 + 1000, SIDE, SIDE)
    assert exposure.mask is not None
    ours: list[Any] = [exposure.image, exposure.mask.array, exposure.variance]
    for plane, other in zip(ours, read_with_astropy(path), strict=True):
        np.testing.assert_array_equal(plane, other)
    np.testing.assert_array_equal(Exposure.read(path, bbox=box).image, exposure.image[1000:1050, 2000:2050])
    del exposure, ours
    peer = seconds(partial(read_with_astropy, path), repeats=3)
    whole = seconds(partial(Exposure.read, path), repeats=3)
    cutout = seconds(partial(Exposure.read, path, bbox=box), repeats=20)
    rows = [
        {"file": case, "what": "three planes, astropy", "ms": peer * 1e3, "times the whole": peer / whole},
        {"file": case, "what": "whole exposure", "ms": whole * 1e3, "times the whole": 1.0},
        {"file": case, "what": f"cutout {SIDE} x {SIDE}", "ms": cutout * 1e3, "times the whole": cutout / whole},
    ]
    for name in COMPONENTS:
        time = seconds(partial(Exposure.read_component, path, name), repeats=20)
        rows.append({"file": case, "what": name, "ms": time * 1e3, "times the whole": time / whole})
    return rows


def main() -> None:
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")  # astropy's, of cards in old files
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for psf in ("visit_options", "piff_pixel"):
            for compress in (True, False):
                path = Path(folder) / f"{psf}_{compress}.fits"
                write_large_copy(_DATA / psf / "exposure.fits", path, compress=compress)
                case = f"{psf}, {'compressed' if compress else 'plain'}, {path.stat().st_size / 1e6:.0f} MB"
                rows += time_file(case, path)
                path.unlink()
    print_table(f"Reading {SHAPE[1]} x {SHAPE[0]} pixels", rows)
    keep("read", {"read": rows})


if __name__ == "__main__":
    main()
