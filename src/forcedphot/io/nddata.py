"""Astropy's NDData and CCDData become exposures, and exposures become CCDData."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import ExposureError
from ..exposure import AstropyWcs, Exposure, Mask
from .plain_fits import inverse_of

if TYPE_CHECKING:
    from astropy.nddata import CCDData, NDData


def exposure_from_nddata(nddata: NDData, **components: Any) -> Exposure:
    """View an NDData or CCDData as an exposure.

    Parameters
    ----------
    nddata
        Two-dimensional data. An uncertainty of any kind that astropy converts to a variance
        becomes the variance plane; where an inverse variance is not positive, pixels are BAD. A boolean mask
        becomes the plane BAD, an integer one needs ``mask`` below; ``psf`` a kernel image; ``unit``, ``wcs`` and
        ``meta`` are taken as they are.
    components
        Arguments of `Exposure.from_arrays`, each instead of what ``nddata`` says.

    Raises
    ------
    ExposureError
        If the data, or an uncertainty or mask, are of no such kind.
    """
    found: dict[str, Any] = {"unit": nddata.unit, "metadata": dict(nddata.meta)}
    if nddata.wcs is not None:
        found["wcs"] = nddata.wcs
    if getattr(nddata, "psf", None) is not None:
        found["psf"] = nddata.psf
    bad = None
    if nddata.uncertainty is not None and "variance" not in components:
        found["variance"], bad = _variance(nddata)
    if nddata.mask is not None and "mask" not in components:
        mask = np.asarray(nddata.mask)
        if mask.dtype != np.bool_:
            raise ExposureError(
                f"The mask of this {type(nddata).__name__} is of the type {mask.dtype}, whose bits it does not "
                "name; pass mask and mask_planes."
            )
        bad = mask if bad is None else mask | bad
    if bad is not None:
        found["mask"] = bad
    return Exposure.from_arrays(nddata.data, **(found | components))


def exposure_to_ccddata(exposure: Exposure, *, bad_planes: tuple[str, ...] | None = None) -> CCDData:
    """Turn an exposure into a CCDData; pixels are shared, not copied.

    What CCDData has no place for (mask planes, aperture corrections, calibration) is left behind. The PSF becomes
    its kernel image at the image's centre, and a WCS that FITS cannot hold is refitted; warnings say how much that
    changes them.

    Parameters
    ----------
    exposure
        What is converted.
    bad_planes
        Mask planes whose pixels become masked; those of pixels without a value of their own (BAD,
        SAT, NO_DATA, as far as the image has them) if None.

    Raises
    ------
    ExposureError
        If the image does not have one of the planes that were named, or its WCS is none that FITS can hold.
    """
    from astropy.nddata import CCDData, VarianceUncertainty

    from .plain_fits_writer import central_kernel

    unit = exposure.unit if exposure.unit is not None else "adu"
    return CCDData(
        exposure.image,
        unit=unit,
        uncertainty=None if exposure.variance is None else VarianceUncertainty(exposure.variance),
        mask=None if exposure.mask is None else _bad_pixels(exposure.mask, bad_planes),
        wcs=_array_wcs(exposure),
        psf=None if exposure.psf is None else central_kernel(exposure.psf, exposure.bbox),
        meta=dict(exposure.metadata),
    )


def _array_wcs(exposure: Exposure) -> Any:
    """Return the WCS as an ``astropy.wcs.WCS`` of the image's array; None if it has none."""
    from astropy.wcs import WCS

    from .lsst_images_wcs import wcs_header

    if exposure.wcs is None:
        return None
    if isinstance(exposure.wcs, AstropyWcs):
        return exposure.wcs.array_wcs(exposure.x0, exposure.y0)
    return WCS(wcs_header(exposure.wcs, exposure.bbox))


def _variance(nddata: NDData) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
    """Return the variance, and which pixels are bad for having none, where an inverse says so."""
    from astropy.nddata import InverseVariance, MissingDataAssociationException, VarianceUncertainty

    bad = None
    try:
        with np.errstate(divide="ignore"):
            converted = nddata.uncertainty.represent_as(VarianceUncertainty)
    except (TypeError, ValueError, MissingDataAssociationException) as error:
        raise ExposureError(
            f"The uncertainty of this {type(nddata).__name__}, {type(nddata.uncertainty).__name__}, has no "
            "variance; pass variance."
        ) from error
    variance = np.asarray(converted.array)
    if isinstance(nddata.uncertainty, InverseVariance):
        variance, bad = inverse_of(np.asarray(nddata.uncertainty.array))
    if converted.unit is not None and nddata.unit is not None:
        # It may be in another unit than the data, such as mJy for Jy.
        variance = variance * converted.unit.to(nddata.unit**2)
    return variance, bad


def _bad_pixels(mask: Mask, planes: tuple[str, ...] | None) -> npt.NDArray[np.bool_]:
    if planes is None:
        planes = tuple(name for name in ("BAD", "SAT", "NO_DATA") if mask.find(name) is not None)
    bad: npt.NDArray[np.bool_] = (mask.array & mask.bits(planes)) != 0
    return bad
