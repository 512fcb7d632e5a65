"""Plain FITS files of an exposure: image, mask, variance and a kernel image of the PSF, for any program."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from ..conventions import Box, FloatArray
from ..exposure import Exposure, Mask
from ..exposure.photo_calib import AB_ZERO_NJY
from ..psf import Psf
from .atomic import atomic_output
from .fits_header import astropy_silent
from .lsst_images_parts import warn_of_loss
from .lsst_images_wcs import wcs_header

_LOG = logging.getLogger(__name__)

_NO_HOME = (
    "aperture_corrections",
    "visit_info",
    "detector",
    "summary_stats",
    "coadd_inputs",
    "valid_polygon",
)
_ARCHIVE_CARDS = ("AR_", "ARCHIVE_ID_", "EXTTYPE", "FLUXMAG0", "JSON", "INDX", "FMTVER", "DATAMODL")
_STRUCTURE_CARDS = (
    "SIMPLE",
    "BITPIX",
    "NAXIS",
    "EXTEND",
    "XTENSION",
    "PCOUNT",
    "GCOUNT",
    "CHECKSUM",
    "DATASUM",
    "CONTINUE",
)
_LONGEST_NAME = 40  # behind which there is room for any number
_SAME = 1e-6


def write_plain_fits(exposure: Exposure, path: str | Path, *, overwrite: bool = False) -> None:
    """Write an exposure as a FITS file with a header WCS, which `Exposure.read` and most programs read.

    The HDUs are IMAGE, MASK (its planes' bits in cards ``MP_NAME``), VARIANCE, as far as the exposure has
    them, and PSF, the kernel image at the image's centre. LTV cards have the image's origin, FLUXMAG0 the
    calibration. What has no place is named in a warning.

    Parameters
    ----------
    path
        Where to; the file is written whole or not at all.
    overwrite
        Replace an existing file.

    Raises
    ------
    ExposureError
        If the WCS is none that a FITS header can hold.
    OutputError
        If the file cannot be written.
    """
    from astropy.io import fits

    warn_of_loss(exposure, "plain FITS file", _NO_HOME, _lost_calibration(exposure))
    with astropy_silent():
        header = _image_header(exposure)
        hdus = [fits.PrimaryHDU(header=_primary_header(exposure)), fits.ImageHDU(exposure.image, header, "IMAGE")]
        if exposure.unit is not None:
            hdus[1].header["BUNIT"] = exposure.unit.to_string()
        if exposure.mask is not None:
            hdus.append(_mask_hdu(exposure.mask, header))
        if exposure.variance is not None:
            hdus.append(fits.ImageHDU(exposure.variance, header, "VARIANCE"))
            if exposure.unit is not None:
                hdus[-1].header["BUNIT"] = (exposure.unit**2).to_string()
        if exposure.psf is not None and (kernel := central_kernel(exposure.psf, exposure.bbox)) is not None:
            hdus.append(fits.ImageHDU(kernel, name="PSF"))
        with atomic_output(path, overwrite=overwrite) as temporary:
            fits.HDUList(hdus).writeto(temporary)


def _image_header(exposure: Exposure) -> Any:
    from astropy.io.fits import Header

    header = Header()
    if exposure.wcs is not None:
        header = wcs_header(exposure.wcs, exposure.bbox)
    header["LTV1"], header["LTV2"] = -exposure.x0, -exposure.y0
    return header


def _primary_header(exposure: Exposure) -> Any:
    """Keep the cards of the file that the exposure came from, but for those that say how it was built."""
    from astropy.io.fits import Header

    header = Header()
    for name, value in exposure.metadata.items():
        if name.startswith((*_ARCHIVE_CARDS, *_STRUCTURE_CARDS)) or not isinstance(
            value, bool | int | float | str
        ):
            continue
        if len(name) > _LONGEST_NAME:  # astropy would notice it too late
            _LOG.debug("The card %s has too long a name", name)
            continue
        try:
            header[name] = value
        except ValueError:  # texts that are not ASCII, numbers that are not finite
            _LOG.debug("The card %s cannot be written", name)
    calibration = exposure.photo_calib
    if calibration is not None:
        header["FLUXMAG0"] = AB_ZERO_NJY / calibration.mean, "flux of AB magnitude 0"
        header["FLUXMAG0ERR"] = AB_ZERO_NJY / calibration.mean**2 * calibration.mean_err
    for card, value in (("FILTER", exposure.identity.physical_filter), ("INSTRUME", exposure.identity.instrument)):
        if value is not None:
            header[card] = value
    return header


def _mask_hdu(mask: Mask, header: Any) -> Any:
    from astropy.io import fits

    array = mask.array
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        # FITS integers are signed; the bits stay where they are.
        array = array.view(array.dtype.str.replace("u", "i"))
    hdu = fits.ImageHDU(array, header, "MASK")
    for name, bit in mask.planes.items():
        hdu.header[f"MP_{name}"] = bit
    return hdu


def central_kernel(psf: Psf, box: Box) -> FloatArray | None:
    """Draw a PSF at an image's centre, and log how much it differs in the corners.

    Returns
    -------
    Its kernel image, shape (height, width); where it is undefined at the centre, that of a corner, and None where
    it is undefined there too.
    """
    left, right, low, high = box.x0, box.x_stop - 1, box.y0, box.y_stop - 1
    x = np.array([(left + right) / 2, left, right, left, right], dtype=np.float64)
    y = np.array([(low + high) / 2, low, low, high, high], dtype=np.float64)
    kernels, valid = psf.kernel_images(x, y)[:2]
    name = type(psf).__name__
    if not valid.any():
        _LOG.warning("The %s is left out: it is undefined at the image's centre, and in its corners", name)
        return None
    found = kernels[valid]
    kernel: FloatArray = found[0].copy()
    change = np.abs(found - kernel).max() / np.abs(kernel).max()
    if not change < _SAME:
        _LOG.warning(
            "The %s becomes its kernel image at (%g, %g); it changes by up to %.1g of its peak in the corners",
            name,
            x[valid][0],
            y[valid][0],
            change,
        )
    return kernel


def _lost_calibration(exposure: Exposure) -> list[str]:
    calibration = exposure.photo_calib
    return ["the calibration's variation"] if calibration is not None and calibration.field is not None else []
