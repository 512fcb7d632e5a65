"""Reading ExposureF files: planes, origin and unit from the image HDUs, the rest from the archive."""

from __future__ import annotations

import errno
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import FileFormatError, ForcedPhotError, UnsafeContentError
from ...exposure import AstropyWcs, AstWcs, Exposure, Identity, Mask, PhotoCalib, Wcs
from ...psf.base import Psf
from ..fits_file import WARNINGS_LOCK, open_fits
from .archive import Archive, UnsupportedObjectError
from .persistables import PERSISTABLES, ApertureCorrections, DetectorNumber, FilterLabel

if TYPE_CHECKING:
    from astropy.units import UnitBase

_LOG = logging.getLogger(__name__)

_MAX_PIXELS = 2**30
_MAX_ORIGIN = 2**31
_AB_ZERO_NJY = 10.0 ** (-48.6 / 2.5) * 1e32
"""Flux density of magnitude 0: 10^(-48.6/2.5) erg/s/cm^2/Hz in nJy."""

_TEXT_CARDS = ("COMMENT", "HISTORY", "")


def read_afw_exposure(path: str | Path) -> Exposure:
    """Read an ExposureF FITS file as the Science Pipelines (lsst.afw) write them.

    A component of a class that cannot be read leaves the rest readable: it is None, a warning is
    logged, and the metadata have the class under ``UNREAD_<COMPONENT>``, such as ``UNREAD_PSF``.

    Parameters
    ----------
    path
        The file; its HDUs may be tile-compressed, the file gzipped.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If the file is damaged, truncated, or no ExposureF file.
    UnsafeContentError
        If its PSF is a pickle that asks for something outside the allow-list; nothing of it is run.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    try:
        with open_fits(path) as hdus:
            return _ExposureFile(path, hdus).exposure()
    except PermissionError:
        raise
    except UnsafeContentError as error:
        raise UnsafeContentError(f"{path}: {error} Nothing of it was run.") from error
    except ForcedPhotError as error:
        raise FileFormatError(f"{path}: {error}") from error
    except Exception as error:  # astropy raises many types on damaged files
        raise FileFormatError(f"{path} is no FITS file, or damaged: {type(error).__name__}: {error}") from error


class _ExposureFile:
    """An open file, read piece by piece."""

    def __init__(self, path: Path, hdus: Any) -> None:
        self._path = path
        self._hdus = hdus
        self._header = hdus[0].header
        self._unread: dict[str, str] = {}
        index = self._header.get("AR_HDU")
        self._archive = None if index is None else Archive(hdus, int(index) - 1, PERSISTABLES)

    def exposure(self) -> Exposure:
        """Read everything.

        Raises
        ------
        FileFormatError
            If a part is damaged; the message names the part.
        """
        image_hdu = self._plane_hdu("IMAGE")
        if image_hdu is None:
            raise FileFormatError("no image plane: none of its HDUs has the EXTTYPE or EXTNAME 'IMAGE'")
        with _reading("image"):
            image = _float_pixels(image_hdu)
            x0, y0 = _origin(image_hdu.header)
        variance_hdu = self._plane_hdu("VARIANCE")
        with _reading("variance"):
            variance = None if variance_hdu is None else _float_pixels(variance_hdu)
        with _reading("WCS"):
            wcs = self._component("SKYWCS", AstWcs) or _header_wcs(image_hdu.header, x0, y0)
        # mypy wants a concrete class where an abstract one serves as well.
        psf = self._component("PSF", Psf)  # type: ignore[type-abstract]
        corrections = self._component("AP_CORR_MAP", ApertureCorrections)
        identity = self._identity()
        photo_calib = self._photo_calib()
        return Exposure(
            image=image,
            variance=variance,
            mask=self._mask(),
            x0=x0,
            y0=y0,
            wcs=wcs,
            psf=psf,
            aperture_corrections=None if corrections is None else self._readable(corrections),
            photo_calib=photo_calib,
            unit=_unit(image_hdu.header),
            identity=identity,
            metadata=self._metadata(),
        )

    def _plane_hdu(self, name: str) -> Any:
        """Find the image HDU of a plane; None if there is none."""
        for hdu in self._hdus:
            if hdu.is_image and name in (hdu.header.get("EXTTYPE"), hdu.header.get("EXTNAME")):
                return hdu
        return None

    def _mask(self) -> Mask | None:
        hdu = self._plane_hdu("MASK")
        if hdu is None:
            return None
        with _reading("mask"):
            bits = _pixels(hdu)
            if bits.dtype.kind == "f" and hdu.header["BITPIX"] > 0:
                # A BLANK card made astropy turn integers into floats.
                bits = bits.astype(np.int32)
            planes = {
                name.removeprefix("MP_"): int(value)
                for name, value in hdu.header.items()
                if name.startswith("MP_")
            }
            return Mask(np.ascontiguousarray(bits, dtype=bits.dtype.newbyteorder("=")), planes)

    def _component[T](self, name: str, expected: type[T]) -> T | None:
        """Read an object of the archive by its role; None if it is absent or of an unknown class."""
        object_id = self._header.get(f"ARCHIVE_ID_{name}", self._header.get(f"{name}_ID", 0))
        if self._archive is None or object_id == 0:
            return None
        with _reading(name):
            try:
                return self._archive.read(object_id, expected)
            except UnsupportedObjectError as error:
                self._unread[f"UNREAD_{name}"] = self._archive.class_name(object_id)
                _LOG.warning("%s: the %s was not read: %s", self._path, name, error)
        return None

    def _readable(self, corrections: ApertureCorrections) -> dict[str, Any]:
        for name, class_name in corrections.unread.items():
            _LOG.warning(
                "%s: the aperture correction %s is a %s, which cannot be read", self._path, name, class_name
            )
        return corrections.fields

    def _photo_calib(self) -> PhotoCalib | None:
        calibration = self._component("PHOTOCALIB", PhotoCalib)
        flux_of_magnitude_0 = self._header.get("FLUXMAG0", 0.0)
        if calibration is not None or not flux_of_magnitude_0 > 0:
            return calibration
        # Files written before 2019.
        mean = _AB_ZERO_NJY / flux_of_magnitude_0
        return PhotoCalib(mean, mean * self._header.get("FLUXMAG0ERR", 0.0) / flux_of_magnitude_0)

    def _identity(self) -> Identity:
        label = self._component("FILTER", FilterLabel) or FilterLabel(None, None)
        detector = self._component("DETECTOR", DetectorNumber)
        with _reading("data id"):
            return Identity(
                instrument=self._text("INSTRUMENT", "INSTRUMENT", "INSTRUME"),
                visit=self._integer("VISIT", "IDNUM"),
                detector=self._integer("DETECTOR") if detector is None else detector.number,
                band=self._text("BAND") or label.band,
                physical_filter=self._text("PHYSICAL_FILTER") or label.physical or self._text("", "FILTER"),
                skymap=self._text("SKYMAP"),
                tract=self._integer("TRACT"),
                patch=self._integer("PATCH"),
            )

    def _card(self, dimension: str, *others: str) -> Any:
        """Return the Butler's card of a data id's dimension, else the first other card that exists."""
        for name in (f"LSST BUTLER DATAID {dimension}", *others):
            value = self._header.get(name)
            if value not in (None, "", "_unknown_"):
                return value
        return None

    def _text(self, dimension: str, *others: str) -> str | None:
        value = self._card(dimension, *others)
        return None if value is None else str(value)

    def _integer(self, dimension: str, *others: str) -> int | None:
        value = self._card(dimension, *others)
        return None if value is None else int(value)

    def _metadata(self) -> dict[str, Any]:
        from astropy.io.fits.card import Undefined

        with _reading("primary header"):
            cards = {
                name: None if isinstance(value, Undefined) else value
                for name, value in self._header.items()
                if name not in _TEXT_CARDS
            }
        return cards | self._unread


@contextmanager
def _reading(part: str) -> Iterator[None]:
    """Say in errors which part of the file could not be read."""
    try:
        yield
    except UnsafeContentError as error:
        raise UnsafeContentError(f"the {part} is unsafe: {error}") from error
    except ForcedPhotError as error:
        raise FileFormatError(f"the {part} cannot be read: {error}") from error
    except Exception as error:  # astropy, numpy and AST raise many types on damaged content
        raise FileFormatError(f"the {part} cannot be read: {type(error).__name__}: {error}") from error


def _pixels(hdu: Any) -> npt.NDArray[Any]:
    """Return the pixels of a plane in the byte order of the file; the HDU forgets them."""
    shape = hdu.shape
    if len(shape) != 2 or not 0 < shape[0] * shape[1] <= _MAX_PIXELS:
        raise FileFormatError(f"its shape is {shape}")
    pixels: npt.NDArray[Any] = hdu.data
    del hdu.data
    return pixels


def _float_pixels(hdu: Any) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(_pixels(hdu), dtype=np.float32)


def _origin(header: Any) -> tuple[int, int]:
    """Find the pixel coordinates of the first pixel: afw writes them as WCS "A" and as LTV cards."""
    origin = []
    for axis in (1, 2):
        if f"CRVAL{axis}A" in header:
            value = header[f"CRVAL{axis}A"] - header.get(f"CRPIX{axis}A", 1.0) + 1.0
        else:
            value = -header.get(f"LTV{axis}", 0.0)
        if not abs(value) < _MAX_ORIGIN:
            raise FileFormatError(f"its origin on axis {axis} is {value}")
        origin.append(round(value))
    return origin[0], origin[1]


def _unit(header: Any) -> UnitBase | None:
    from astropy.units import Unit, UnrecognizedUnit

    text = header.get("BUNIT")
    if not isinstance(text, str) or not text.strip():
        return None
    with _reading("unit"):
        unit: UnitBase = Unit(text, parse_strict="silent")
    return None if isinstance(unit, UnrecognizedUnit) else unit


def _header_wcs(header: Any, x0: int, y0: int) -> Wcs | None:
    """Read the WCS of the image's header, which counts from the first pixel; None if it has none."""
    from astropy.utils.exceptions import AstropyWarning
    from astropy.wcs import WCS

    with WARNINGS_LOCK, warnings.catch_warnings():
        # Deprecated spellings of cards, which astropy understands.
        warnings.simplefilter("ignore", AstropyWarning)
        wcs = WCS(header, naxis=2)
    return AstropyWcs(wcs, x0=x0, y0=y0) if wcs.has_celestial else None
