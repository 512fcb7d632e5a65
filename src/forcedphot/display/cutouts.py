"""Cutouts: the part of an exposure around a position on the sky."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..conventions import Box, nearest_pixel
from ..errors import ConfigurationError, ExposureError, OffImageError
from ..exposure import Exposure, Mask, Wcs


def cutout_box(wcs: Wcs | None, whole: Box, ra: float, dec: float, size: int) -> Box:
    """Return the pixels around a position, as far as the image has them.

    Parameters
    ----------
    wcs
        Of the image.
    whole
        The image's box.
    ra, dec
        ICRS, degrees.
    size
        Width and height, pixels.

    Raises
    ------
    ConfigurationError
        If the size has no pixels.
    ExposureError
        If there is no WCS.
    OffImageError
        If none of the pixels is in the image.
    """
    if size < 1:
        raise ConfigurationError(f"A cutout has at least one pixel; got the size {size}.")
    if wcs is None:
        raise ExposureError("This image has no WCS, so that no sky position can be found on it.")
    x, y = wcs.sky_to_pixel(np.radians([float(ra)]), np.radians([float(dec)]))
    if np.isfinite([x, y]).all():
        column, row = (int(nearest_pixel(position)[0]) for position in (x, y))
        found = Box(column - size // 2, row - size // 2, size, size).intersection(whole)
        if 0 not in found.shape:
            return found
    raise OffImageError(
        f"The cutout of {size} pixels at RA {ra}, Dec {dec} deg is outside the image ({whole}): "
        f"the position is at x {x[0]:.1f}, y {y[0]:.1f}."
    )


def cutout(exposure: Exposure, ra: float, dec: float, size: int) -> Exposure:
    """Return the part of an exposure around a position; its pixels are views, its origin that of the part.

    Parameters
    ----------
    exposure
        Its PSF, WCS and the like are those of the cutout too.
    ra, dec
        ICRS, degrees; the pixel that holds them is in the middle, or right and above it in an even size.
    size
        Width and height, pixels; less where the image ends.

    Raises
    ------
    ConfigurationError, ExposureError, OffImageError
        As `cutout_box` does.
    """
    box = cutout_box(exposure.wcs, exposure.bbox, ra, dec, size)
    part = np.s_[
        box.y0 - exposure.y0 : box.y_stop - exposure.y0,
        box.x0 - exposure.x0 : box.x_stop - exposure.x0,
    ]
    return replace(
        exposure,
        image=exposure.image[part],
        variance=None if exposure.variance is None else exposure.variance[part],
        mask=None if exposure.mask is None else Mask(exposure.mask.array[part], exposure.mask.planes),
        x0=box.x0,
        y0=box.y0,
    )
