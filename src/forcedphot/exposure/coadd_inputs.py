"""CoaddInputs: the images that a coadd was made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..conventions import BoolArray, Box, FloatArray, IntArray

if TYPE_CHECKING:
    from astropy.table import Table

    from .polygon import Polygon
    from .wcs import Wcs


@dataclass(frozen=True, slots=True)
class InputRegion:
    """Where an input lies.

    Parameters
    ----------
    box
        Its pixels.
    wcs
        Its own; None if it has none.
    valid_polygon
        The part of it that was used, in its own pixel frame; None for all.
    """

    box: Box
    wcs: Wcs | None = None
    valid_polygon: Polygon | None = None

    def contains(self, ra: FloatArray, dec: FloatArray, *, in_valid_polygon: bool) -> BoolArray:
        """Tell which positions lie in it: ICRS, radians, shape (n,). False for NaN, and without a WCS.

        Parameters
        ----------
        ra, dec
            The positions.
        in_valid_polygon
            Whether they should lie in the valid polygon too, where there is one.
        """
        if self.wcs is None:
            return np.zeros(len(ra), dtype=bool)
        x, y = self.wcs.sky_to_pixel(ra, dec)
        inside = self.box.contains(x, y)
        if in_valid_polygon and self.valid_polygon is not None:
            inside &= self.valid_polygon.contains(x, y)
        return inside


@dataclass(frozen=True, slots=True, eq=False)
class CoaddInputs:
    """Tables of inputs: whatever the file says of each in numbers, such as id, box, weight.

    Parameters
    ----------
    visits
        One row a visit: ``id``, ``bbox_min_x``, ...
    ccds
        One row a detector of a visit: ``id``, ``visit``, ``ccd``, ``weight``, ...
    ccd_regions
        Where each of these detectors lies.
    """

    visits: Table
    ccds: Table
    ccd_regions: tuple[InputRegion, ...] = ()

    @property
    def all_located(self) -> bool:
        """Whether it is known where each detector lies."""
        return len(self.ccd_regions) == len(self.ccds) and all(part.wcs is not None for part in self.ccd_regions)

    def count_ccds(self, ra: FloatArray, dec: FloatArray, *, in_valid_polygon: bool) -> IntArray:
        """Count the detectors that contain positions, as `InputRegion.contains` says; shape (n,)."""
        count = np.zeros(len(ra), dtype=np.int64)
        for part in self.ccd_regions:
            count += part.contains(ra, dec, in_valid_polygon=in_valid_polygon)
        return count
