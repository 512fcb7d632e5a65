"""Images of lsst.images (Data Preview 2): VisitImage, DifferenceImage and CellCoadd become an Exposure.

Importing this module does not import lsst.images, which takes seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..conventions import Box, CellGrid, FloatArray
from ..errors import ExposureError
from ..exposure import CellField, ChebyshevField, Exposure, Field, FilterLabel, Identity, Mask, PhotoCalib
from ..exposure.wcs import transform_with_ast
from ..psf import CellPsf, GaussianPsf, Psf
from . import lsst_images_info

if TYPE_CHECKING:
    from astropy.units import UnitBase

_LOG = logging.getLogger(__name__)

CALIBRATION_ERROR = "PHOTOCALIB_MEAN_ERR"
CALIBRATION_MEAN = "PHOTOCALIB_MEAN"
"""Metadata in which files converted from ExposureF keep what a photometric scaling has no place for."""


def exposure_from_lsst_images(image: Any, *, whole: Box | None = None) -> Exposure:
    """View an image of lsst.images as an Exposure.

    Pixels are held, not copied, wherever their type and memory layout permit.

    Parameters
    ----------
    image
        A VisitImage, DifferenceImage or CellCoadd.
    whole
        The box of the whole image, if this is a part of one.

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
    box = lsst_images_info.box_from_lsst_images(image.bbox)
    is_coadd = isinstance(image, CellCoadd)
    label = FilterLabel(image.band, None if is_coadd else image.physical_filter)
    # Absent from coadds of more than one patch, and from visits; tests leave out the detector.
    patch, detector = getattr(image, "patch", None), getattr(image, "detector", None)
    return Exposure(
        image=float_pixels(image.image.array),
        variance=float_pixels(image.variance.array),
        mask=mask_from_lsst_images(image.mask),
        x0=box.x0,
        y0=box.y0,
        wcs=SkyProjectionWcs(image.sky_projection),
        psf=psf,
        aperture_corrections=fields_from_lsst_images(image.aperture_corrections),
        photo_calib=photo_calib_from_lsst_images(
            image.unit, getattr(image, "photometric_scaling", None), whole or box, metadata
        ),
        unit=image.unit,
        identity=identity_from_lsst_images(image.sky_projection.pixel_frame, label, patch),
        visit_info=None if is_coadd else lsst_images_info.visit_info_from_lsst_images(image.obs_info),
        detector=None if detector is None else lsst_images_info.detector_from_lsst_images(detector),
        summary_stats=None if is_coadd else lsst_images_info.summary_stats_from_lsst_images(image.summary_stats),
        valid_polygon=lsst_images_info.polygon_from_lsst_images(image.bounds),
        metadata=metadata,
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
    return Mask(np.ascontiguousarray(packed, dtype=packed.dtype.newbyteorder("=")), planes)


class SkyProjectionWcs:
    """A WCS held as a SkyProjection of lsst.images, whose sky is ICRS.

    Parameters
    ----------
    sky_projection
        Held, and used by one thread at a time, because AST is beneath it.
    """

    def __init__(self, sky_projection: Any) -> None:
        self.sky_projection = sky_projection
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


def float_pixels(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return an array as contiguous float32; itself if it is."""
    return np.ascontiguousarray(array, dtype=np.float32)


def fields_from_lsst_images(fields: Any) -> dict[str, Field] | None:
    """Turn a mapping of fields of lsst.images into ours; None if it is empty."""
    return {name: _field(field) for name, field in fields.items()} if fields else None


def _field(field: Any) -> Field:
    from lsst.images import cells, fields

    if isinstance(field, fields.ChebyshevField):
        return ChebyshevField(lsst_images_info.box_from_lsst_images(field.bounds.bbox), field.coefficients)
    if isinstance(field, cells.CellField):
        values = np.full(field.bounds.subgrid_size.as_tuple(), np.nan)
        for index in field.bounds.cell_indices():
            values[(index - field.bounds.subgrid_start).as_tuple()] = field.value_in_cell(index)
        return CellField(_cell_grid(field.bounds), values)
    return LsstImagesField(field)


def _cell_grid(bounds: Any) -> CellGrid:
    # Arrays of values per cell cover the part of the patch's grid that is within the bounds.
    return CellGrid(
        lsst_images_info.box_from_lsst_images(bounds.bbox), bounds.grid.cell_shape.x, bounds.grid.cell_shape.y
    )


def _read_psf(image: Any) -> tuple[Psf | None, str | None]:
    """Return the PSF, or None and the name of the class that could not be read."""
    from lsst.images.serialization import ArchiveReadError

    try:
        psf = image.psf
    except ArchiveReadError as error:
        warn_of_unread_psf(error)
        return None, type(error).__name__
    converted = psf_from_lsst_images(psf)
    return converted, type(psf).__name__ if converted is None else None


def warn_of_unread_psf(error: Exception) -> None:
    """Log the first line of what lsst.images says of a PSF that it cannot read."""
    reason = (str(error).splitlines() or ["no message"])[0]
    _LOG.warning("The PSF of this image cannot be read: %s", reason)


def psf_from_lsst_images(psf: Any) -> Psf | None:
    """Turn a PSF of lsst.images into ours; None, and a warning, if there is none for its class."""
    from lsst.images import cells, psfs

    if isinstance(psf, psfs.GaussianPointSpreadFunction):
        return GaussianPsf(psf.sigma, psf.kernel_bbox.x.size, psf.kernel_bbox.y.size)
    if isinstance(psf, psfs.PiffWrapper):
        from ..psf.piff import PiffPsf

        return PiffPsf(psf.piff_psf, stamp_size=psf.kernel_bbox.x.size)
    if isinstance(psf, cells.CellPointSpreadFunction):
        return _cell_psf(psf)
    _LOG.warning("PSFs of class %s are not supported; the exposure has no PSF.", type(psf).__name__)
    return None


def _cell_psf(psf: Any) -> CellPsf:
    bounds = psf.bounds
    kernels = np.full((*bounds.subgrid_size.as_tuple(), *psf.kernel_bbox.shape), np.nan)
    for index in bounds.cell_indices():
        kernels[(index - bounds.subgrid_start).as_tuple()] = psf[index].array
    return CellPsf(kernels, _cell_grid(bounds))


def photo_calib_from_lsst_images(
    unit: UnitBase, scaling: Any, box: Box, metadata: Mapping[str, Any]
) -> PhotoCalib | None:
    """Find the way from the image's unit to nJy; None if there is none.

    ``photometric_scaling`` tells how a raw image becomes a calibrated one; it is of use only where it
    has not been applied already. The metadata have its error, and its mean if it varies, in files that were
    converted from ExposureF.
    """
    from astropy import units

    error = float(metadata.get(CALIBRATION_ERROR, 0.0))
    if unit.is_equivalent(units.nJy):
        return PhotoCalib(float(unit.to(units.nJy)), error)
    if scaling is None or not (unit * scaling.unit).is_equivalent(units.nJy):
        return None
    field = _field(scaling * float((unit * scaling.unit).to(units.nJy)))
    centre = np.array([box.x0 + (box.width - 1) / 2]), np.array([box.y0 + (box.height - 1) / 2])
    mean = float(metadata.get(CALIBRATION_MEAN, field.evaluate(*centre)[0]))
    return PhotoCalib(mean, error, None if scaling.is_constant else field)


def identity_from_lsst_images(frame: Any, label: FilterLabel, patch: Any) -> Identity:
    """Find out which image this is.

    Parameters
    ----------
    frame
        The pixel frame of its sky projection, a DetectorFrame or a TractFrame.
    label
        Its filter.
    patch
        Its PatchDefinition, if it has one.
    """
    return Identity(
        instrument=getattr(frame, "instrument", None),
        visit=getattr(frame, "visit", None),
        detector=getattr(frame, "detector", None),
        band=label.band,
        physical_filter=label.physical,
        skymap=getattr(frame, "skymap", None),
        tract=getattr(frame, "tract", None),
        patch=None if patch is None else patch.id,
    )
