"""Opening FITS files that may be damaged: what would send astropy in circles is found before it does."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from ..conventions import Box
from ..errors import ExposureError, FileFormatError

WARNINGS_LOCK = Lock()
"""To hold while warnings are ignored: their filters belong to the process, not to a thread."""

_GZIP_START = b"\x1f\x8b"


def is_gzip(path: Path) -> bool:
    """Tell by its first bytes whether a file is compressed with gzip."""
    with path.open("rb") as stream:
        return stream.read(len(_GZIP_START)) == _GZIP_START


class BoxError(ExposureError):
    """A box that was asked for is not inside the image; nothing is wrong with the file."""


def check_inside(path: Path, box: Box, image: Box) -> None:
    """Raise unless a box that was asked for has pixels, all of them in the image.

    Raises
    ------
    BoxError
        If not.
    """
    if box.width < 1 or box.height < 1 or box.intersection(image) != box:
        raise BoxError(
            f"The box {box} is not inside the image of {path}, which covers {image}; "
            "ask for a part of it, for example with Box.intersection."
        )


@contextmanager
def open_fits(path: Path) -> Iterator[Any]:
    """Open a FITS file, gzipped or not, and read all its headers; yield an ``astropy.io.fits.HDUList``.

    Raises
    ------
    FileFormatError
        If the file ends too early, or its HDUs overlap.
    Exception
        Whatever astropy raises on other damage.
    """
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning

    size = np.inf if is_gzip(path) else path.stat().st_size
    # astropy leaves a file open that it opened by name and could not read.
    with path.open("rb") as stream:
        with WARNINGS_LOCK, warnings.catch_warnings():
            # What astropy warns of here is found by the checks below, and by what is then missing.
            warnings.simplefilter("ignore", AstropyWarning)
            hdus = fits.open(stream, memmap=False, lazy_load_hdus=True)
            _check_places(hdus, size)
        with hdus:
            yield hdus


def only_image(hdus: Any) -> Any:
    """Return the HDU of the image of a file that holds nothing else; None if the file is not so."""
    with_data = [hdu for hdu in hdus if hdu.header.get("NAXIS", 0) > 0]
    if len(with_data) == 1 and with_data[0].is_image and len(with_data[0].shape) == 2:
        return with_data[0]
    return None


def _check_places(hdus: Any, size: float) -> None:
    """Read all headers, one after the other: a negative size would send astropy in circles."""
    end = 0
    for i in count():
        try:
            place = hdus[i].fileinfo()
        except IndexError:
            return
        if place["hdrLoc"] < end or place["datSpan"] < 0:
            raise FileFormatError(f"damaged: HDU {i + 1} overlaps the one before, or has a negative size")
        end = place["datLoc"] + place["datSpan"]
        if end > size:
            raise FileFormatError(f"truncated: HDU {i + 1} should end at byte {end}, but the file at {size}")
