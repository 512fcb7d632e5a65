"""Files that are never written: what astropy has built, as the readers see it."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from astropy.io import fits

from forcedphot.io.fits_file import FitsFile
from forcedphot.io.resources import Source


def stored(hdus: Sequence[Any]) -> FitsFile:
    """Bring HDUs into the form of a file, and open that."""
    stream = BytesIO()
    fits.HDUList(list(hdus)).writeto(stream)
    return FitsFile(Source("memory", stream, len(stream.getvalue())))
