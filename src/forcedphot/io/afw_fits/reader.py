"""Reading ExposureF files: planes, origin and unit from the image HDUs, the rest from archive and header."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...conventions import Box
from ...errors import ExposureError, FileFormatError, ForcedPhotError, RemoteFileError, UnsafeContentError
from ...exposure import (
    AstWcs,
    CoaddInputs,
    Detector,
    Exposure,
    FilterLabel,
    Identity,
    Mask,
    PhotoCalib,
    SummaryStats,
    VisitInfo,
    Wcs,
)
from ...exposure.fields import Field
from ...exposure.polygon import Polygon
from ...psf.base import Psf
from ...psf.kernel_image import KernelImagePsf
from ..fits_file import BoxError, FitsFile, check_inside, open_fits
from ..resources import Source
from . import info_persistables, planes, visit_cards  # noqa: F401 -- the first registers its classes
from .archive import Archive, UnsupportedObjectError
from .persistables import PERSISTABLES, ApertureCorrections

if TYPE_CHECKING:
    from astropy.units import UnitBase

_LOG = logging.getLogger(__name__)

_READ = {
    "SKYWCS", "WCS", "PSF", "AP_CORR_MAP", "PHOTOCALIB", "FILTER", "DETECTOR", "VISITINFO", "SUMMARY_STATS",
    "COADD_INPUTS", "VALID_POLYGON",
}  # fmt: skip
_ID_CARD = "ARCHIVE_ID_"


def read_afw_exposure(path: str | Path | Source, bbox: Box | None = None) -> Exposure:
    """Read an ExposureF FITS file as the Science Pipelines (lsst.afw) write them.

    A component of a class that cannot be read leaves the rest readable: it is None, a warning is
    logged, and the metadata have the class under ``UNREAD_<COMPONENT>``, such as ``UNREAD_PSF``.

    Parameters
    ----------
    path
        The file; its HDUs may be tile-compressed, the file gzipped.
    bbox
        The part of the image to read, in its pixel frame; all else is whole. None for all pixels.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ExposureError
        If ``bbox`` is not inside the image.
    FileFormatError
        If the file is damaged, truncated, or no ExposureF file.
    UnsafeContentError
        If its PSF is a pickle that asks for something outside the allow-list; nothing of it is run.
    """
    with _open_exposure(path) as file:
        return file.exposure(bbox)


def read_afw_component(path: str | Path | Source, name: str, bbox: Box | None = None) -> Any:
    """Read one component of an ExposureF FITS file, and no pixels but those of ``image``, ``variance``, ``mask``.

    Parameters
    ----------
    path
        The file.
    name
        One of `COMPONENTS`.
    bbox
        The part of a plane to read, in the image's pixel frame; None for all. Other components are whole.

    Returns
    -------
    What `Exposure` has under that name, or `FilterLabel` for ``filter``; None if the file has no such
    component, or one of a class that cannot be read.

    Raises
    ------
    ExposureError
        If there is no component of that name, or ``bbox`` is not inside the image.
    FileNotFoundError, FileFormatError, UnsafeContentError
        As for `read_afw_exposure`.
    """
    if name not in COMPONENTS:
        raise ExposureError(f"There is no component {name!r}; the components are {', '.join(COMPONENTS)}.")
    with _open_exposure(path) as file:
        return COMPONENTS[name](file) if bbox is None else file.part(name, bbox)


@contextmanager
def _open_exposure(path: str | Path | Source) -> Iterator[_ExposureFile]:
    """Open a file; say in all errors which file it is."""
    try:
        with open_fits(path) as hdus:
            yield _ExposureFile(str(path), hdus)
    except (FileNotFoundError, PermissionError, BoxError, RemoteFileError):
        raise
    except UnsafeContentError as error:
        raise UnsafeContentError(f"{path}: {error} Nothing of it was run.") from error
    except ForcedPhotError as error:
        raise FileFormatError(f"{path}: {error}") from error
    except Exception as error:  # astropy raises many types on damaged files
        raise FileFormatError(f"{path} is no FITS file, or damaged: {type(error).__name__}: {error}") from error


class _ExposureFile:
    """An open file, read piece by piece."""

    def __init__(self, path: str, hdus: FitsFile) -> None:
        self._path = path
        self._header = hdus[0].header
        self._unread: dict[str, str] = {}
        index = self._header.get("AR_HDU")
        with _reading("archive's index", f"HDU {index}"):
            self._archive = None if index is None else Archive(hdus, int(index) - 1, PERSISTABLES)
        self._planes = planes.plane_hdus(hdus)
        if "IMAGE" not in self._planes:
            raise FileFormatError("no image plane: none of its HDUs has the EXTTYPE or EXTNAME 'IMAGE'")
        self._image_hdu = self._planes["IMAGE"]
        with _reading("image", self._image_hdu):
            self._box = planes.image_box(self._image_hdu)

    def exposure(self, bbox: Box | None) -> Exposure:
        """Read everything, or of the pixels those in a box.

        Raises
        ------
        FileFormatError
            If a part is damaged; the message names the part.
        """
        if bbox is not None:
            self._check_inside(bbox)
        detector, label = self.detector(), self.filter()
        self._note_the_rest()
        box = self._box if bbox is None else bbox
        return Exposure(
            image=self.image(bbox),
            variance=self.variance(bbox),
            mask=self.mask(bbox),
            x0=box.x0,
            y0=box.y0,
            wcs=self.wcs(),
            psf=self.psf(),
            aperture_corrections=self.aperture_corrections(),
            photo_calib=self.photo_calib(),
            unit=self.unit(),
            identity=self._identity(label, detector),
            visit_info=self.visit_info(),
            detector=detector,
            summary_stats=self.summary_stats(),
            coadd_inputs=self.coadd_inputs(),
            valid_polygon=self.valid_polygon(),
            metadata=self.metadata() | self._unread,
        )

    def part(self, name: str, bbox: Box) -> Any:
        """Read a component; of a plane, the pixels in a box."""
        self._check_inside(bbox)
        cuts = {"image": self.image, "variance": self.variance, "mask": self.mask}
        return cuts[name](bbox) if name in cuts else COMPONENTS[name](self)

    def bbox(self) -> Box:
        return self._box

    def image(self, bbox: Box | None = None) -> Any:
        with _reading("image", self._image_hdu):
            return planes.float_pixels(self._image_hdu, bbox, self._box)

    def variance(self, bbox: Box | None = None) -> Any:
        hdu = self._planes.get("VARIANCE")
        with _reading("variance", hdu):
            return None if hdu is None else planes.float_pixels(hdu, bbox, self._box)

    def mask(self, bbox: Box | None = None) -> Mask | None:
        hdu = self._planes.get("MASK")
        with _reading("mask", hdu):
            return None if hdu is None else planes.mask(hdu, bbox, self._box)

    def unit(self) -> UnitBase | None:
        with _reading("unit", self._image_hdu):
            return planes.unit(self._image_hdu.header)

    def wcs(self) -> Wcs | None:
        wcs: Wcs | None = self._component("SKYWCS", AstWcs)
        if wcs is None:
            with _reading("WCS", self._image_hdu):
                wcs = planes.header_wcs(self._image_hdu, self._box)
        # Files written before 2018 have it in their archive too; afw reads the header's.
        # mypy wants a concrete class where an abstract one serves as well, here and below.
        return wcs or self._component("WCS", Wcs)  # type: ignore[type-abstract]

    def psf(self) -> Psf | None:
        hdu = self._planes.get("PSF")
        if hdu is None or self._archive is not None:
            return self._component("PSF", Psf)  # type: ignore[type-abstract]
        # Plain files, such as ours, have a kernel image; what others call so is left alone.
        try:
            with _reading("PSF", hdu):
                return KernelImagePsf(planes.pixels(hdu, None, planes.image_box(hdu)))
        except FileFormatError as error:
            _LOG.warning("%s: %s", self._path, error)
        return None

    def aperture_corrections(self) -> dict[str, Field] | None:
        corrections = self._component("AP_CORR_MAP", ApertureCorrections)
        if corrections is None:
            return None
        for name, class_name in corrections.unread.items():
            _LOG.warning(
                "%s: the aperture correction %s is a %s, which cannot be read", self._path, name, class_name
            )
        return corrections.fields

    def photo_calib(self) -> PhotoCalib | None:
        return self._component("PHOTOCALIB", PhotoCalib) or visit_cards.photo_calib(self._header)

    def filter(self) -> FilterLabel | None:
        return self._component("FILTER", FilterLabel) or visit_cards.filter_label(self._header)

    def visit_info(self) -> VisitInfo | None:
        return self._component("VISITINFO", VisitInfo) or visit_cards.visit_info(self._header)

    def detector(self) -> Detector | None:
        return self._component("DETECTOR", Detector)

    def summary_stats(self) -> SummaryStats | None:
        return self._component("SUMMARY_STATS", SummaryStats)

    def coadd_inputs(self) -> CoaddInputs | None:
        return self._component("COADD_INPUTS", CoaddInputs)

    def valid_polygon(self) -> Polygon | None:
        return self._component("VALID_POLYGON", Polygon)

    def identity(self) -> Identity:
        return self._identity(self.filter(), self.detector())

    def metadata(self) -> dict[str, Any]:
        with _reading("primary header", "HDU 1"):
            return visit_cards.cards(self._header)

    def _identity(self, label: FilterLabel | None, detector: Detector | None) -> Identity:
        with _reading("data id", "HDU 1"):
            return visit_cards.identity(self._header, label, None if detector is None else detector.number)

    def _component[T](self, name: str, expected: type[T]) -> T | None:
        """Read an object of the archive by its role; None if it is absent or of an unknown class."""
        object_id = self._header.get(f"{_ID_CARD}{name}", self._header.get(f"{name}_ID", 0))
        if self._archive is None or object_id == 0:
            return None
        with _reading(name, archive=self._archive):
            try:
                return self._archive.read(object_id, expected)
            except UnsupportedObjectError as error:
                self._unread[f"UNREAD_{name}"] = error.class_name
                _LOG.warning("%s: the %s was not read: %s", self._path, name, error)
        return None

    def _check_inside(self, bbox: Box) -> None:
        check_inside(self._path, bbox, self._box)

    def _note_the_rest(self) -> None:
        """Say what the archive has that nothing here uses, such as transmission curves."""
        for card in self._header:
            name = card.removeprefix(_ID_CARD)
            if name != card and name not in _READ:
                _LOG.debug("%s: the %s is not read", self._path, name)


COMPONENTS: dict[str, Callable[[_ExposureFile], Any]] = {
    method.__name__: method
    for method in (
        _ExposureFile.bbox,
        _ExposureFile.wcs,
        _ExposureFile.psf,
        _ExposureFile.photo_calib,
        _ExposureFile.aperture_corrections,
        _ExposureFile.visit_info,
        _ExposureFile.detector,
        _ExposureFile.filter,
        _ExposureFile.identity,
        _ExposureFile.summary_stats,
        _ExposureFile.coadd_inputs,
        _ExposureFile.valid_polygon,
        _ExposureFile.unit,
        _ExposureFile.metadata,
        _ExposureFile.image,
        _ExposureFile.variance,
        _ExposureFile.mask,
    )
}
"""What `read_afw_component` reads, by name."""


@contextmanager
def _reading(part: str, place: object = None, archive: Archive | None = None) -> Iterator[None]:
    """Say in errors which part of the file could not be read, and in which HDU it is."""
    try:
        yield
    except RemoteFileError:
        raise
    except Exception as error:  # astropy, numpy and AST raise many types on damaged content
        where = archive.failed_in if archive else place
        if isinstance(error, UnsafeContentError):
            raise UnsafeContentError(f"the {part} is unsafe ({where}): {error}") from error
        reason = error if isinstance(error, ForcedPhotError) else f"{type(error).__name__}: {error}"
        raise FileFormatError(f"the {part} cannot be read ({where}): {reason}") from error
