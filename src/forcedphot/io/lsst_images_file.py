"""Files of lsst.images: whole images, parts of them, and single components, after a look at their Piff texts.

Importing this module does not import lsst.images, which takes seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..conventions import Box
from ..errors import ExposureError, FileFormatError, ForcedPhotError, RemoteFileError, UnsafeContentError
from ..exposure import Exposure, FilterLabel
from . import lsst_images, lsst_images_info
from .compressed_tiles import check_all_tiles
from .fits_file import BoxError, check_inside, open_fits
from .lsst_images_psf import box_for_lsst_images
from .resources import Source, open_source

if TYPE_CHECKING:
    from lsst.images.serialization import Reader

# Without brackets and quotes nothing can be called, looked up or quoted.
_HARMLESS = re.compile(r"[\w.:/+ -]*(\[\d+\])?")
_ARGUMENT = r"[\w.+-]+(=[\w.+-]+)?"
_ARGUMENTS = rf"({_ARGUMENT}(, ?{_ARGUMENT})*)?"
_INTERPOLANT = re.compile(
    r"galsim\.(Nearest|SincInterpolant|Linear|Cubic|Quintic|Lanczos)"
    rf"\({_ARGUMENTS}((, ?)?gsparams=galsim\.GSParams\({_ARGUMENTS}\))?\)"
)


def read_lsst_images(path: str | Path | Source, bbox: Box | None = None) -> Exposure:
    """Read a FITS file that lsst.images has written.

    Parameters
    ----------
    path
        A local or remote file: a visit image, difference image or cell coadd.
    bbox
        The part of the image to read, in its pixel frame; None for all. All else is whole, but for the
        PSF of a cell coadd, which has only the cells that the box touches.

    Raises
    ------
    ExposureError
        If ``bbox`` is not inside the image.
    FileFormatError
        If the file is damaged, or lsst.images cannot read it, or it holds something else.
    UnsafeContentError
        If its Piff PSF has texts that Piff would run as code; nothing of it is run.
    """
    with _open_archive(path, partial=bbox is not None) as archive:
        if bbox is None:
            image, whole = archive.read(), None
        else:
            whole = _box(archive)
            image = archive.read(bbox=_part(path, bbox, whole))
    try:
        return lsst_images.exposure_from_lsst_images(image, whole=whole)
    except (ForcedPhotError, ImportError):
        raise
    except Exception as error:  # parts of other types, or that do not fit together
        raise FileFormatError(f"{path} cannot be measured: {type(error).__name__}: {error}") from error


def read_lsst_component(path: str | Path | Source, name: str, bbox: Box | None = None) -> Any:
    """Read one component of a file of lsst.images, and no pixels but those of a plane.

    Parameters
    ----------
    path
        A local or remote file: a visit image, difference image or cell coadd.
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
    FileFormatError, UnsafeContentError
        As for `read_lsst_images`.
    """
    return read_lsst_components(path, (name,), bbox)[0]


def read_lsst_components(path: str | Path | Source, names: Sequence[str], bbox: Box | None = None) -> list[Any]:
    """Read some components of a file of lsst.images, each as `read_lsst_component` does; it is opened once."""
    for name in names:
        if name not in COMPONENTS:
            raise ExposureError(f"There is no component {name!r}; the components are {', '.join(COMPONENTS)}.")
    with _open_archive(path, partial=True) as archive:
        part = None if bbox is None else _part(path, bbox, _box(archive))
        return [
            COMPONENTS[name](archive)
            if part is None or name not in _PLANES
            else _PLANES[name](archive.get_component(name, bbox=part))
            for name in names
        ]


@contextmanager
def _open_archive(path: str | Path | Source, *, partial: bool) -> Iterator[Reader[Any]]:
    """Open a file whose texts are harmless; say in all errors which file it is."""
    from lsst.images.serialization import open_archive

    try:
        with open_source(path, whole=not partial) as source:
            with open_fits(source) as hdus:
                check_all_tiles(hdus)
            source.stream.seek(0)
            # lsst.images is given the content: it would open what a path names in its own ways.
            with open_archive(source.stream, format="fits", partial=partial) as archive:
                _check_piff_texts(path, getattr(archive.get_tree(), "psf", None))
                yield archive
    except (UnsafeContentError, BoxError, ImportError, RemoteFileError):
        raise
    except Exception as error:  # lsst.images, pydantic, astropy and Piff raise what they like on damaged files
        first_line = (str(error).splitlines() or ["no message"])[0]
        raise FileFormatError(
            f"{path} cannot be read by lsst.images ({type(error).__name__}: {first_line}); "
            "it is damaged, truncated, or of a version that the installed lsst-images does not know."
        ) from error


def _check_piff_texts(path: object, psf: Any) -> None:
    """Refuse a stored Piff PSF with any text that is more than a name, a number or an interpolant.

    Piff evaluates some of its settings as Python expressions when it reads a model.
    """
    if not hasattr(psf, "piff"):
        return
    parts: list[Any] = [psf.piff.model_dump()]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            parts += [*part, *part.values()]
        elif isinstance(part, list | tuple | set):
            parts += part
        elif isinstance(part, str) and not _HARMLESS.fullmatch(part) and not _INTERPOLANT.fullmatch(part):
            raise UnsafeContentError(
                f"{path}: its Piff PSF has the setting {part[:100]!r}, which is neither a name nor a "
                "galsim interpolant. Nothing of it was run."
            )


def _optional(archive: Reader[Any], name: str) -> Any:
    """Return a component that only some kinds of images have; None if this one has not."""
    return archive.get_component(name) if hasattr(archive.get_tree(), name) else None


def _box(archive: Reader[Any]) -> Box:
    return lsst_images_info.box_from_lsst_images(archive.get_component("bbox"))


def _part(path: object, bbox: Box, whole: Box) -> Any:
    """Make a box of lsst.images of one that is inside an image."""
    check_inside(path, bbox, whole)
    return box_for_lsst_images(bbox)


def _psf(archive: Reader[Any]) -> Any:
    from lsst.images.serialization import ArchiveReadError

    try:
        return lsst_images.psf_from_lsst_images(archive.get_component("psf"))
    except ArchiveReadError as error:
        lsst_images.warn_of_unread_psf(error)
        return None


def _photo_calib(archive: Reader[Any]) -> Any:
    scaling = _optional(archive, "photometric_scaling")
    return lsst_images.photo_calib_from_lsst_images(
        archive.get_component("unit"), scaling, _box(archive), archive.metadata
    )


def _filter(archive: Reader[Any]) -> FilterLabel:
    info = _optional(archive, "obs_info")
    return FilterLabel(archive.get_component("band"), None if info is None else info.physical_filter)


def _identity(archive: Reader[Any]) -> Any:
    label = _filter(archive)
    frame = archive.get_component("sky_projection").pixel_frame
    return lsst_images.identity_from_lsst_images(frame, label, _optional(archive, "patch"))


def _converted(name: str, convert: Callable[[Any], Any]) -> Callable[[Reader[Any]], Any]:
    """Make a reader of a component that becomes ours by a function; None stays None."""

    def read(archive: Reader[Any]) -> Any:
        component = _optional(archive, name)
        return None if component is None else convert(component)

    return read


_PLANES: dict[str, Callable[[Any], Any]] = {
    "image": lambda plane: lsst_images.float_pixels(plane.array),
    "variance": lambda plane: lsst_images.float_pixels(plane.array),
    "mask": lsst_images.mask_from_lsst_images,
}
COMPONENTS: dict[str, Callable[[Any], Any]] = {
    "bbox": _box,
    "wcs": _converted("sky_projection", lsst_images.SkyProjectionWcs),
    "psf": _psf,
    "photo_calib": _photo_calib,
    "aperture_corrections": _converted("aperture_corrections", lsst_images.fields_from_lsst_images),
    "visit_info": _converted("obs_info", lsst_images_info.visit_info_from_lsst_images),
    "detector": _converted("detector", lsst_images_info.detector_from_lsst_images),
    "filter": _filter,
    "identity": _identity,
    "summary_stats": _converted("summary_stats", lsst_images_info.summary_stats_from_lsst_images),
    "coadd_inputs": lambda _: None,
    "valid_polygon": _converted("bounds", lsst_images_info.polygon_from_lsst_images),
    "unit": lambda archive: archive.get_component("unit"),
    "metadata": lambda archive: dict(archive.metadata),
} | {name: _converted(name, convert) for name, convert in _PLANES.items()}
"""What `read_lsst_component` reads, by name."""
