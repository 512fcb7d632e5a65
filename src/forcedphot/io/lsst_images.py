"""Images of lsst.images (Data Preview 2): VisitImage, DifferenceImage and CellCoadd become an Exposure.

Importing this module does not import lsst.images, which takes seconds.
"""

from __future__ import annotations

import gzip
import logging
import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..conventions import Box, CellGrid, FloatArray
from ..errors import ExposureError, FileFormatError, UnsafeContentError
from ..exposure import CellField, ChebyshevField, Exposure, Field, Identity, Mask, PhotoCalib
from ..exposure.wcs import transform_with_ast
from ..psf import CellPsf, GaussianPsf, Psf
from .fits_file import is_gzip

if TYPE_CHECKING:
    from astropy.units import UnitBase

_LOG = logging.getLogger(__name__)

# Without brackets and quotes nothing can be called, looked up or quoted.
_HARMLESS = re.compile(r"[\w.:/+ -]*(\[\d+\])?")
_ARGUMENT = r"[\w.+-]+(=[\w.+-]+)?"
_ARGUMENTS = rf"({_ARGUMENT}(, ?{_ARGUMENT})*)?"
_INTERPOLANT = re.compile(
    r"galsim\.(Nearest|SincInterpolant|Linear|Cubic|Quintic|Lanczos)"
    rf"\({_ARGUMENTS}((, ?)?gsparams=galsim\.GSParams\({_ARGUMENTS}\))?\)"
)


def read_lsst_images(path: str | Path) -> Exposure:
    """Read a FITS file that lsst.images has written.

    Parameters
    ----------
    path
        A visit image, difference image or cell coadd.

    Raises
    ------
    FileFormatError
        If the file is damaged, or lsst.images cannot read it, or it holds something else.
    UnsafeContentError
        If its Piff PSF has texts that Piff would run as code; nothing of it is run.
    """
    from lsst.images.serialization import open_archive

    path = Path(path)
    try:
        # A name that does not tell of the compression would mislead lsst.images.
        source = BytesIO(gzip.decompress(path.read_bytes())) if is_gzip(path) else str(path)
        with open_archive(source, format="fits", partial=False) as archive:
            _check_piff_texts(path, getattr(archive.get_tree(), "psf", None))
            image = archive.read()
    except (UnsafeContentError, ImportError):
        raise
    except Exception as error:  # lsst.images, pydantic, astropy and Piff raise what they like on damaged files
        raise FileFormatError(
            f"{path} cannot be read by lsst.images ({type(error).__name__}: {_first_line(error)}); "
            "it is damaged, truncated, or of a version that the installed lsst-images does not know."
        ) from error
    try:
        return exposure_from_lsst_images(image)
    except TypeError as error:
        raise FileFormatError(f"{path} cannot be measured: {error}") from error


def exposure_from_lsst_images(image: Any) -> Exposure:
    """View an image of lsst.images as an Exposure.

    Pixels are held, not copied, wherever their type and memory layout permit.

    Parameters
    ----------
    image
        A VisitImage, DifferenceImage or CellCoadd.

    Raises
    ------
    TypeError
        If ``image`` is none of these.
    ExposureError
        If its mask has more than 64 planes.
    """
    from lsst.images import VisitImage
    from lsst.images.cells import CellCoadd

    if not isinstance(image, VisitImage | CellCoadd):
        raise TypeError(
            "Expected a VisitImage, DifferenceImage or CellCoadd of lsst.images; "
            f"got {type(image).__module__}.{type(image).__qualname__}."
        )
    metadata = dict(image.metadata)
    psf, unread = _read_psf(image)
    if unread is not None:
        metadata["UNREAD_PSF"] = unread
    corrections = image.aperture_corrections
    box = _box(image.bbox)
    return Exposure(
        image=_pixels(image.image.array),
        variance=_pixels(image.variance.array),
        mask=mask_from_lsst_images(image.mask),
        x0=box.x0,
        y0=box.y0,
        wcs=SkyProjectionWcs(image.sky_projection),
        psf=psf,
        aperture_corrections=(
            {name: _field(field) for name, field in corrections.items()} if corrections else None
        ),
        photo_calib=_photo_calib(image.unit, getattr(image, "photometric_scaling", None), box),
        unit=image.unit,
        identity=_coadd_identity(image) if isinstance(image, CellCoadd) else _visit_identity(image),
        metadata=metadata,
    )


def _check_piff_texts(path: Path, psf: Any) -> None:
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


def mask_from_lsst_images(mask: Any) -> Mask:
    """Turn the bytes of each pixel into one integer.

    Parameters
    ----------
    mask
        A Mask of lsst.images, whose array has shape (height, width, elements).

    Returns
    -------
    A view where the elements of a pixel lie together and make up 1, 2, 4 or 8 bytes; else a copy.

    Raises
    ------
    ExposureError
        If a pixel has more than 64 bits.
    """
    array = mask.array
    element_bits = 8 * array.dtype.itemsize
    n_bytes = array.shape[2] * array.dtype.itemsize
    if n_bytes > 8:
        raise ExposureError(f"The mask has {8 * n_bytes} bits a pixel; at most 64 can be used.")
    planes = {}
    for name in mask.schema.names:
        bit = mask.schema.bit(name)
        planes[name] = element_bits * int(bit.index) + int(bit.mask).bit_length() - 1
    width = next(size for size in (1, 2, 4, 8) if size >= n_bytes)
    elements = width // array.dtype.itemsize
    if elements != array.shape[2] or array.strides[2] != array.dtype.itemsize:
        padded = np.zeros((*array.shape[:2], elements), dtype=array.dtype)
        padded[..., : array.shape[2]] = array
        array = padded
    packed = array.view(np.dtype(f"<u{width}"))[..., 0]
    return Mask(packed.astype(packed.dtype.newbyteorder("="), copy=False), planes)


class SkyProjectionWcs:
    """A WCS held as a SkyProjection of lsst.images, whose sky is ICRS.

    Parameters
    ----------
    sky_projection
        Held, and used by one thread at a time, because AST is beneath it.
    """

    def __init__(self, sky_projection: Any) -> None:
        self._pixel_to_sky = sky_projection.pixel_to_sky_transform

    def sky_to_pixel(self, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
        x, y = transform_with_ast(lambda sky: self._pixel_to_sky.apply_inverse(x=sky[0], y=sky[1]), ra, dec)
        return x, y

    def pixel_to_sky(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        ra, dec = transform_with_ast(lambda pixel: self._pixel_to_sky.apply_forward(x=pixel[0], y=pixel[1]), x, y)
        return ra, dec


@dataclass(frozen=True, slots=True)
class LsstImagesField:
    """A field of lsst.images of a type that has no counterpart here (spline, sum, product).

    Parameters
    ----------
    field
        A BaseField of lsst.images.
    """

    field: Any

    def evaluate(self, x: FloatArray, y: FloatArray) -> FloatArray:
        return np.asarray(self.field(x=x, y=y), dtype=np.float64)


def _pixels(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return array.astype(np.float32, copy=False)


def _box(bbox: Any) -> Box:
    return Box(bbox.x.start, bbox.y.start, bbox.x.size, bbox.y.size)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no message"])[0]


def _field(field: Any) -> Field:
    from lsst.images import cells, fields

    if isinstance(field, fields.ChebyshevField):
        return ChebyshevField(_box(field.bounds.bbox), field.coefficients)
    if isinstance(field, cells.CellField):
        values = np.full(field.bounds.subgrid_size.as_tuple(), np.nan)
        for index in field.bounds.cell_indices():
            values[(index - field.bounds.subgrid_start).as_tuple()] = field.value_in_cell(index)
        return CellField(_cell_grid(field.bounds), values)
    return LsstImagesField(field)


def _cell_grid(bounds: Any) -> CellGrid:
    # Arrays of values per cell cover the part of the patch's grid that is within the bounds.
    return CellGrid(_box(bounds.bbox), bounds.grid.cell_shape.x, bounds.grid.cell_shape.y)


def _read_psf(image: Any) -> tuple[Psf | None, str | None]:
    """Return the PSF, or None and the name of the class that could not be read."""
    from lsst.images import cells, psfs
    from lsst.images.serialization import ArchiveReadError

    try:
        psf = image.psf
    except ArchiveReadError as error:
        _LOG.warning("The PSF of this image cannot be read: %s", _first_line(error))
        return None, type(error).__name__
    if isinstance(psf, psfs.GaussianPointSpreadFunction):
        return GaussianPsf(psf.sigma, psf.kernel_bbox.x.size, psf.kernel_bbox.y.size), None
    if isinstance(psf, psfs.PiffWrapper):
        from ..psf.piff import PiffPsf

        return PiffPsf(psf.piff_psf, stamp_size=psf.kernel_bbox.x.size), None
    if isinstance(psf, cells.CellPointSpreadFunction):
        return _cell_psf(psf), None
    _LOG.warning("PSFs of class %s are not supported; the exposure has no PSF.", type(psf).__name__)
    return None, type(psf).__name__


def _cell_psf(psf: Any) -> CellPsf:
    bounds = psf.bounds
    kernels = np.full((*bounds.subgrid_size.as_tuple(), *psf.kernel_bbox.shape), np.nan)
    for index in bounds.cell_indices():
        kernels[(index - bounds.subgrid_start).as_tuple()] = psf[index].array
    return CellPsf(kernels, _cell_grid(bounds))


def _photo_calib(unit: UnitBase, scaling: Any, box: Box) -> PhotoCalib | None:
    """Find the way from the image's unit to nJy; None if there is none.

    ``photometric_scaling`` tells how a raw image becomes a calibrated one; it is of use only where it
    has not been applied already.
    """
    from astropy import units

    if unit.is_equivalent(units.nJy):
        return PhotoCalib(float(unit.to(units.nJy)))
    if scaling is None or not (unit * scaling.unit).is_equivalent(units.nJy):
        return None
    field = _field(scaling * float((unit * scaling.unit).to(units.nJy)))
    centre = np.array([box.x0 + (box.width - 1) / 2]), np.array([box.y0 + (box.height - 1) / 2])
    return PhotoCalib(float(field.evaluate(*centre)[0]), field=None if scaling.is_constant else field)


def _visit_identity(image: Any) -> Identity:
    frame = image.sky_projection.pixel_frame
    return Identity(
        instrument=frame.instrument,
        visit=frame.visit,
        detector=frame.detector,
        band=image.band,
        physical_filter=image.physical_filter,
    )


def _coadd_identity(image: Any) -> Identity:
    patch = getattr(image, "patch", None)  # absent from coadds of more than one patch
    return Identity(
        skymap=image.skymap, tract=image.tract, patch=None if patch is None else patch.id, band=image.band
    )
