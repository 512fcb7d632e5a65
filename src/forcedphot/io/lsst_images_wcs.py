"""WCSs for lsst.images and for FITS headers: AST's own text, or a FITS WCS, and a check that nothing was lost."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..conventions import Box
from ..errors import ExposureError
from ..exposure import AstropyWcs, AstWcs, Wcs
from .lsst_images import SkyProjectionWcs
from .lsst_images_psf import box_for_lsst_images

_TOLERANCE_DEG = 1e-9
_N_CHECKS = 11


def projection_for_lsst_images(wcs: Wcs, frame: Any, box: Box) -> Any:
    """Turn a WCS into a SkyProjection of lsst.images.

    Parameters
    ----------
    wcs
        One over AST, astropy or lsst.images.
    frame
        The DetectorFrame or TractFrame of its pixels.
    box
        The image's box, in which the two are compared.

    Raises
    ------
    ExposureError
        If it is another, or AST does not understand it, or to less than 1e-9 deg.
    """
    from lsst.images import SkyProjection
    from lsst.images._transforms import _ast  # the public method takes these, whichever AST is installed

    if isinstance(wcs, AstWcs):
        text = wcs.to_text()
    elif isinstance(wcs, SkyProjectionWcs):
        text = wcs.sky_projection.show()
    elif isinstance(wcs, AstropyWcs):
        x0, y0 = wcs.origin
        try:
            text = SkyProjection.from_fits_wcs(_without_reverse(wcs.wcs), frame, x0=x0, y0=y0).show()
        except Exception as error:  # AST's errors are of many types
            raise ExposureError(f"AST does not understand this FITS WCS: {error}.") from error
    else:
        raise ExposureError(f"lsst.images has no WCS like {type(wcs).__name__}.")
    frame_set = _ast.FrameSet.fromString(text)
    frame_set.system = "ICRS"  # AST converts from other systems when it is set here, not in the frame
    projection = SkyProjection.from_ast_frame_set(frame_set, frame, pixel_bounds=box_for_lsst_images(box))
    _check_same(wcs, SkyProjectionWcs(projection), box, "in lsst.images")
    return projection


def _without_reverse(wcs: Any) -> Any:
    """Leave out a header's reverse SIP polynomials, approximations that AST would take for the inverse."""
    if wcs.sip is None or wcs.sip.ap is None:
        return wcs
    from astropy.wcs import Sip

    forward = wcs.deepcopy()
    forward.sip = Sip(wcs.sip.a, wcs.sip.b, None, None, wcs.sip.crpix)
    return forward


def wcs_header(wcs: Wcs, box: Box) -> Any:
    """Turn a WCS into an ``astropy.io.fits.Header`` for the image's array.

    Raises
    ------
    ExposureError
        If FITS cannot hold it, to 1e-9 deg.
    """
    from astropy import units
    from astropy.wcs import WCS
    from lsst.images import GeneralFrame

    if isinstance(wcs, AstropyWcs):
        found = wcs.array_wcs(box.x0, box.y0)
    else:
        projection = projection_for_lsst_images(wcs, GeneralFrame(unit=units.pix), box)
        found = projection.as_fits_wcs(box_for_lsst_images(box))
    if found is None:
        raise ExposureError(
            f"The WCS of this image, a {type(wcs).__name__}, is none that a FITS header can hold; write a file of "
            "lsst.images instead."
        )
    header = found.to_header(relax=True)
    _check_same(wcs, AstropyWcs(WCS(header), x0=box.x0, y0=box.y0), box, "as a FITS header has it")
    return header


def _check_same(wcs: Wcs, converted: Wcs, box: Box, where: str) -> None:
    x, y = np.meshgrid(
        np.linspace(box.x0, box.x_stop - 1, _N_CHECKS), np.linspace(box.y0, box.y_stop - 1, _N_CHECKS)
    )
    ra, dec = wcs.pixel_to_sky(x.ravel(), y.ravel())
    other_ra, other_dec = converted.pixel_to_sky(x.ravel(), y.ravel())
    turn = (other_ra - ra + np.pi) % (2 * np.pi) - np.pi
    apart = np.degrees(np.nanmax(np.hypot(turn * np.cos(dec), other_dec - dec)))
    if not apart <= _TOLERANCE_DEG:
        raise ExposureError(
            f"The WCS of this image is not the same {where}: positions are up to {apart:.2g} deg apart. "
            "Has it distortions that are kept in tables?"
        )
