"""Places in FITS files, FILE or FILE[EXT], as the command line and other programs write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import FileFormatError, ForcedPhotError, RemoteFileError
from .fits_file import BoxError, FitsFile, Hdu, open_fits
from .resources import is_uri

_PLACE = re.compile(r"(?P<file>.*?)(\[(?P<name>[^\[\],]*)(,(?P<version>\d+))?\])?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FitsPlace:
    """A FITS file, and which of its HDUs."""

    file: str | Path
    """A path, or a URI."""
    hdu: int | str | tuple[str, int] | None = None
    """Number (the primary one is 0), name, or name and version; None if not said."""

    def __str__(self) -> str:
        if self.hdu is None:
            return str(self.file)
        return f"{self.file}[{','.join(map(str, self.hdu)) if isinstance(self.hdu, tuple) else self.hdu}]"


def place_of(text: str | Path, *, file: str | Path | None = None) -> FitsPlace:
    """Take FILE[EXT] apart.

    Parameters
    ----------
    text
        FILE, FILE[2], FILE[SCI], FILE[SCI,1]; or [SCI] alone, for the file below. A file of exactly this
        name is that file.
    file
        For places without a file.

    Raises
    ------
    FileFormatError
        If it has no file.
    """
    if not str(text):
        raise FileFormatError("A place in a FITS file is FILE or FILE[EXT]; got nothing.")
    if not is_uri(text) and Path(text).exists():
        return FitsPlace(text)
    match = _PLACE.fullmatch(str(text))
    assert match is not None  # noqa: S101 - the pattern matches every text
    found = match["file"] or file
    if found is None:
        raise FileFormatError(f"{text} names no file; write FILE{text}.")
    name, version = match["name"], match["version"]
    if not name:
        return FitsPlace(found)
    if name.strip().isdecimal() and version is None:
        return FitsPlace(found, int(name))
    return FitsPlace(found, name.strip() if version is None else (name.strip(), int(version)))


@contextmanager
def open_hdu(place: FitsPlace, suits: Callable[[Hdu], int]) -> Iterator[tuple[Hdu, FitsFile]]:
    """Open a file, and find the HDU of a place in it.

    Parameters
    ----------
    place
        Where. Without an HDU, the first that suits best.
    suits
        Tells how well an HDU suits; 0 if it does not.

    Yields
    ------
    The HDU, and all of them.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If it is no FITS file, or damaged, or has no such HDU.
    """
    try:
        with open_fits(place.file) as hdus:
            yield _find(place, hdus, suits), hdus
    except (BoxError, FileNotFoundError, RemoteFileError):
        raise
    except ForcedPhotError as error:
        raise FileFormatError(f"{place} cannot be used: {str(error).rstrip('.')}.") from error
    except Exception as error:  # astropy raises many types on damaged files
        raise FileFormatError(f"{place} is no FITS file, or damaged: {type(error).__name__}: {error}") from error


def _find(place: FitsPlace, hdus: FitsFile, suits: Callable[[Hdu], int]) -> Hdu:
    names = ", ".join(f"{i} {hdu.name}".rstrip() for i, hdu in enumerate(hdus))
    if place.hdu is None:
        best = max(hdus, key=suits)
        if not suits(best):
            raise FileFormatError(f"nothing in it is of the kind that is wanted; it has the HDUs {names}")
        return best
    named = [hdu for i, hdu in enumerate(hdus) if _is_called(hdu, i, place.hdu)]
    if not named:
        raise FileFormatError(f"it has no such HDU; it has {names}")
    if not suits(named[0]):
        raise FileFormatError(f"this HDU holds nothing of the kind that is wanted; the file has {names}")
    return named[0]


def _is_called(hdu: Hdu, index: int, called: int | str | tuple[str, int]) -> bool:
    if isinstance(called, int):
        return index == called
    name, version = called if isinstance(called, tuple) else (called, None)
    return hdu.name.upper() == name.upper() and version in (None, hdu.header.get("EXTVER", 1))
