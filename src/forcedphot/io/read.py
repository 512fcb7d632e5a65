"""read_exposure: find out what a file is, by its content, and call its reader."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FileFormatError, RemoteFileError
from .fits_file import Hdu, only_image, open_fits
from .resources import Source, local_path, open_source

if TYPE_CHECKING:
    from ..conventions import Box
    from ..exposure import Exposure

_LSST_IMAGES_CARDS = ("FMTVER", "JSONADDR", "DATAMODL")
_LSST_IMAGES_SCHEMAS = ("visit_image", "difference_image", "cell_coadd")
_IMAGE_PLANE = "IMAGE"
_FITS_START = b"SIMPLE  ="
_FIRST_HEADER_BYTES = 2880 * 40
_SUPPORTED = (
    "Supported are ExposureF files of the pipelines, visit images, difference images and cell coadds of "
    "lsst.images, and files of one plain image; images of other surveys are read with what goes with them by "
    "Exposure.from_fits, and arrays are taken by Exposure.from_arrays."
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
        A local file, or a URI that lsst.resources knows, such as ``https://`` and ``s3://``; with ``bbox``, only
        the needed parts of a remote file are fetched if the server can do that.
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
    RemoteFileError
        If it is a remote file that cannot be fetched.
    UnsafeContentError
        If its PSF is a pickle that asks for classes outside the allow-list.
    """
    with _open_image(path, whole=bbox is None) as source:
        if _has_archive(source) or sniff_format(source) is ImageFormat.AFW:
            from .afw_fits.reader import read_afw_exposure

            return read_afw_exposure(source, bbox)
        from .lsst_images_file import read_lsst_images

        return read_lsst_images(source, bbox)


def read_component(path: str | Path, name: str, bbox: Box | None = None) -> Any:
    """Read one part of any supported image file, without the rest: see `Exposure.read_component`."""
    with _open_image(path) as source:
        if _has_archive(source) or sniff_format(source) is ImageFormat.AFW:
            from .afw_fits.reader import read_afw_component

            return read_afw_component(source, name, bbox)
        from .lsst_images_file import read_lsst_component

        return read_lsst_component(source, name, bbox)


def sniff_format(path: str | Path | Source) -> ImageFormat:
    """Tell the format of an image file from its headers, without reading pixels.

    Parameters
    ----------
    path
        A local or remote file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If it is none of the supported formats.
    """
    with _open_image(path) as source:
        try:
            with open_fits(source) as hdus:
                return _format_of(source, hdus)
        except FileFormatError as error:
            named = str(error) if str(source) in str(error) else f"{source} cannot be read: {error}."
            raise FileFormatError(named) from error
        except RemoteFileError:
            raise
        except Exception as error:  # astropy raises many types on damaged files
            raise FileFormatError(
                f"The FITS headers of {source} cannot be read ({error}); the file is damaged or truncated, "
                "get it again."
            ) from error


@contextmanager
def _open_image(path: str | Path | Source, *, whole: bool = False) -> Iterator[Source]:
    """Open a file that begins as FITS does."""
    if not isinstance(path, Source) and (local := local_path(path)) is not None and local.is_dir():
        raise FileFormatError(f"{path} is not a file. Give the path of one image. {_SUPPORTED}")
    with open_source(path, whole=whole) as source:
        _check_start(source)
        yield source


def _has_archive(source: Source) -> bool:
    """Tell by the first header alone whether this is an ExposureF file with an archive, as nearly all are."""
    source.stream.seek(0)
    header = source.stream.read(_FIRST_HEADER_BYTES)
    names = [header[i : i + 8] for i in range(0, len(header), 80)]
    end = names.index(b"END     ") if b"END     " in names else len(names)
    return b"AR_HDU  " in names[:end] and b"FMTVER  " not in names[:end]


def _check_start(source: Source) -> None:
    """Raise unless a file begins as FITS does."""
    source.stream.seek(0)
    start = source.stream.read(len(_FITS_START))
    if not start:
        raise FileFormatError(f"{source} is empty; its download or its writing must have failed. Get it again.")
    if start != _FITS_START:
        raise FileFormatError(f"{source} is not a FITS file: it begins with {start!r}. {_SUPPORTED}")


def _format_of(source: Source, hdus: Sequence[Hdu]) -> ImageFormat:
    primary = hdus[0].header
    if all(card in primary for card in _LSST_IMAGES_CARDS):
        schema = str(primary["DATAMODL"]).rsplit("/", 1)[-1].rsplit("-", 1)[0]
        if schema not in _LSST_IMAGES_SCHEMAS:
            raise FileFormatError(f"{source} is an lsst.images file of the kind {schema!r}. {_SUPPORTED}")
        _check_length(source, primary)
        return ImageFormat.LSST_IMAGES
    if "AR_HDU" in primary or _IMAGE_PLANE in _plane_names(hdus) or only_image(hdus) is not None:
        return ImageFormat.AFW
    raise FileFormatError(
        f"{source} is a FITS file, but not of a format that holds all that a measurement needs. {_SUPPORTED}"
    )


def _check_length(source: Source, primary: Mapping[str, Any]) -> None:
    """Raise if a file of lsst.images ends before its last part, the index."""
    expected = primary.get("INDXADDR", 0) + primary.get("INDXSIZE", 0)
    if source.size < expected:
        raise FileFormatError(f"{source} is truncated: it should have {expected} bytes and has {source.size}.")


def _plane_names(hdus: Iterable[Hdu]) -> set[str]:
    # Before 2015 the pipelines named their extensions with EXTTYPE only.
    return {str(hdu.header.get(card, "")).strip() for hdu in hdus for card in ("EXTNAME", "EXTTYPE")}
