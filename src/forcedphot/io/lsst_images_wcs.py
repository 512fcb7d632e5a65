"""WCSs for lsst.images and for FITS headers: AST's own text, or a FITS WCS, and a check that nothing was lost."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from ..conventions import Box, FloatArray
from ..errors import ExposureError
from ..exposure import AstropyWcs, AstWcs, Wcs
from .lsst_images import SkyProjectionWcs
from .lsst_images_psf import box_for_lsst_images

_LOG = logging.getLogger(__name__)

_TOLERANCE_DEG = 1e-9
_GOOD_DEG = 0.001 / 3600
_ROUGHEST_DEG = 0.01 / 3600
_N_CHECKS = 11
_N_FITTED = 12
_SIP_DEGREE = 4


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
    _check_same(wcs, SkyProjectionWcs(projection), box)
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

    A WCS that FITS cannot hold is approximated by TAN-SIP, and a warning says how well.

    Raises
    ------
    ExposureError
        If it is approximated to worse than 10 milliarcseconds.
    """
    header = _exact_header(wcs, box)
    apart = np.inf if header is None else _apart_deg(wcs, _header_wcs(header, box), box)
    if apart <= _TOLERANCE_DEG:
        return header
    if not apart <= _GOOD_DEG:
        header = _fitted_header(wcs, box)
        apart = _apart_deg(wcs, _header_wcs(header, box), box)
    if not apart <= _ROUGHEST_DEG:
        raise ExposureError(
            f"The WCS of this image, a {type(wcs).__name__}, is none that a FITS header can hold: positions would "
            f"be up to {apart * 3600:.1g} arcsec off. Write a file of lsst.images instead."
        )
    _LOG.warning("A FITS header holds the WCS of this image to %.1g arcsec only", apart * 3600)
    return header


def _exact_header(wcs: Wcs, box: Box) -> Any:
    """Write a WCS as FITS has it, if it is of such a form; None if it is not."""
    from astropy import units
    from lsst.images import GeneralFrame

    if isinstance(wcs, AstropyWcs):
        return wcs.array_wcs(box.x0, box.y0).to_header(relax=True)
    found = projection_for_lsst_images(wcs, GeneralFrame(unit=units.pix), box).as_fits_wcs(
        box_for_lsst_images(box)
    )
    return None if found is None else found.to_header(relax=True)


def _fitted_header(wcs: Wcs, box: Box) -> Any:
    """Fit a TAN-SIP WCS."""
    from astropy.coordinates import SkyCoord
    from astropy.wcs.utils import fit_wcs_from_points

    x, y = _grid(box, _N_FITTED)
    sky = SkyCoord(*wcs.pixel_to_sky(x, y), unit="rad")
    return fit_wcs_from_points((x - box.x0, y - box.y0), sky, sip_degree=_SIP_DEGREE).to_header(relax=True)


def _header_wcs(header: Any, box: Box) -> AstropyWcs:
    from astropy.wcs import WCS

    return AstropyWcs(WCS(header), x0=box.x0, y0=box.y0)


def _check_same(wcs: Wcs, converted: Wcs, box: Box) -> None:
    apart = _apart_deg(wcs, converted, box)
    if not apart <= _TOLERANCE_DEG:
        raise ExposureError(
            f"The WCS of this image is not the same in lsst.images: positions are up to {apart:.2g} deg apart. "
            "Has it distortions that are kept in tables?"
        )


def _apart_deg(wcs: Wcs, other: Wcs, box: Box) -> float:
    """Return how far positions of two WCSs are apart at most."""
    x, y = _grid(box, _N_CHECKS)
    ra, dec = wcs.pixel_to_sky(x, y)
    other_ra, other_dec = other.pixel_to_sky(x, y)
    turn = (other_ra - ra + np.pi) % (2 * np.pi) - np.pi
    return float(np.degrees(np.max(np.hypot(turn * np.cos(dec), other_dec - dec))))


def _grid(box: Box, n: int) -> tuple[FloatArray, FloatArray]:
    x, y = np.meshgrid(np.linspace(box.x0, box.x_stop - 1, n), np.linspace(box.y0, box.y_stop - 1, n))
    return x.ravel(), y.ravel()
