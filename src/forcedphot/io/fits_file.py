"""Opening FITS files that may be damaged: what would send astropy in circles is found before it does."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from ..errors import FileFormatError

WARNINGS_LOCK = Lock()
"""To hold while warnings are ignored: their filters belong to the process, not to a thread."""

_GZIP_START = b"\x1f\x8b"


def is_gzip(path: Path) -> bool:
    """Tell by its first bytes whether a file is compressed with gzip."""
    with path.open("rb") as stream:
        return stream.read(len(_GZIP_START)) == _GZIP_START


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
