"""read_exposure: find out what a file is, by its content, and call its reader."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FileFormatError
from .fits_file import is_gzip, only_image, open_fits

if TYPE_CHECKING:
    from ..conventions import Box
    from ..exposure import Exposure

_LSST_IMAGES_CARDS = ("FMTVER", "JSONADDR", "DATAMODL")
_LSST_IMAGES_SCHEMAS = ("visit_image", "difference_image", "cell_coadd")
_AFW_PLANES = {"IMAGE", "MASK", "VARIANCE"}
_FITS_START = b"SIMPLE  ="
_FIRST_HEADER_BYTES = 2880 * 40
_SUPPORTED = (
    "Supported are ExposureF files of the pipelines, visit images, difference images and cell coadds of "
    "lsst.images, and files of one plain image; other images can be passed as arrays: Exposure.from_arrays."
)


class ImageFormat(Enum):
    """The formats of image files that can be read."""

    LSST_IMAGES = auto()
    AFW = auto()


def read_exposure(path: str | Path, bbox: Box | None = None) -> Exposure:
    """Read any supported image file; its content decides, never its name.

    Parameters
    ----------
    path
        A local file.
    bbox
        The part of the image to read, in its pixel frame; None for all.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ExposureError
        If ``bbox`` is not inside the image.
    FileFormatError
        If the file is empty, damaged, truncated, a directory or of another kind.
    UnsafeContentError
        If its PSF is a pickle that asks for classes outside the allow-list.
    """
    if _has_archive(path) or sniff_format(path) is ImageFormat.AFW:
        from .afw_fits.reader import read_afw_exposure

        return read_afw_exposure(path, bbox)
    from .lsst_images_file import read_lsst_images

    return read_lsst_images(path, bbox)


def read_component(path: str | Path, name: str) -> Any:
    """Read one part of any supported image file, without the pixels: see `Exposure.read_component`."""
    if _has_archive(path) or sniff_format(path) is ImageFormat.AFW:
        from .afw_fits.reader import read_afw_component

        return read_afw_component(path, name)
    from .lsst_images_file import read_lsst_component

    return read_lsst_component(path, name)


def sniff_format(path: str | Path) -> ImageFormat:
    """Tell the format of an image file from its headers, without reading pixels.

    Parameters
    ----------
    path
        A local file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If it is none of the supported formats.
    """
    path = Path(path)
    _check_start(path)
    try:
        with open_fits(path) as hdus:
            return _format_of(path, hdus)
    except FileFormatError as error:
        raise FileFormatError(str(error) if str(path) in str(error) else f"{path} is {error}.") from error
    except Exception as error:  # astropy raises many types on damaged files
        raise FileFormatError(
            f"The FITS headers of {path} cannot be read ({error}); the file is damaged or truncated, get it again."
        ) from error


def _has_archive(path: str | Path) -> bool:
    """Tell by the first header alone whether this is an ExposureF file with an archive, as nearly all are."""
    path = Path(path)
    _check_start(path)
    try:
        with gzip.open(path) if is_gzip(path) else path.open("rb") as stream:
            header = stream.read(_FIRST_HEADER_BYTES)
    except (OSError, EOFError):
        return False  # sniff_format says why
    names = [header[i : i + 8] for i in range(0, len(header), 80)]
    end = names.index(b"END     ") if b"END     " in names else len(names)
    return b"AR_HDU  " in names[:end] and b"FMTVER  " not in names[:end]


def _check_start(path: Path) -> None:
    """Raise unless the path is a file that begins as FITS does."""
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if not path.is_file():
        raise FileFormatError(f"{path} is not a file. Give the path of one image. {_SUPPORTED}")
    try:
        with gzip.open(path) if is_gzip(path) else path.open("rb") as stream:
            start = stream.read(len(_FITS_START))
    except (OSError, EOFError) as error:
        raise FileFormatError(f"{path} cannot be read: {error}.") from error
    if not start:
        raise FileFormatError(f"{path} is empty; its download or its writing must have failed. Get it again.")
    if start != _FITS_START:
        raise FileFormatError(f"{path} is not a FITS file: it begins with {start!r}. {_SUPPORTED}")


def _format_of(path: Path, hdus: Sequence[Any]) -> ImageFormat:
    primary = hdus[0].header
    if all(card in primary for card in _LSST_IMAGES_CARDS):
        schema = str(primary["DATAMODL"]).rsplit("/", 1)[-1].rsplit("-", 1)[0]
        if schema not in _LSST_IMAGES_SCHEMAS:
            raise FileFormatError(f"{path} is an lsst.images file of the kind {schema!r}. {_SUPPORTED}")
        _check_length(path, primary)
        return ImageFormat.LSST_IMAGES
    if "AR_HDU" in primary or _plane_names(hdus) >= _AFW_PLANES or only_image(hdus) is not None:
        return ImageFormat.AFW
    raise FileFormatError(
        f"{path} is a FITS file, but not of a format that holds all that a measurement needs. {_SUPPORTED}"
    )


def _check_length(path: Path, primary: Mapping[str, Any]) -> None:
    """Raise if a file of lsst.images ends before its last part, the index."""
    expected, size = primary.get("INDXADDR", 0) + primary.get("INDXSIZE", 0), path.stat().st_size
    if size < expected and not is_gzip(path):
        raise FileFormatError(f"{path} is truncated: it should have {expected} bytes and has {size}.")


def _plane_names(hdus: Iterable[Any]) -> set[str]:
    # Before 2015 the pipelines named their extensions with EXTTYPE only.
    return {str(hdu.header.get(card, "")).strip() for hdu in hdus for card in ("EXTNAME", "EXTTYPE")}
