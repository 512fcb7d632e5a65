"""Axes of images: pixels along two sides and, if wanted, a grid of right ascension and declination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units
from astropy.coordinates import ICRS, SkyCoord
from astropy.visualization.wcsaxes import WCSAxes
from astropy.visualization.wcsaxes.frame import RectangularFrame
from astropy.visualization.wcsaxes.wcsapi import transform_coord_meta_from_wcs
from astropy.wcs.wcsapi import BaseLowLevelWCS

from ..conventions import Box
from ..exposure import Wcs

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

_PLACE = (0.1, 0.15, 0.7, 0.7)
_GRID = {"color": "#ffb000", "alpha": 0.6, "linestyle": "-", "linewidth": 0.7}


class SkyOfPixels(BaseLowLevelWCS):
    """Any of our WCSs as astropy understands them (APE 14): pixels in the image's frame, ICRS degrees."""

    pixel_n_dim = 2
    world_n_dim = 2
    world_axis_physical_types = ("pos.eq.ra", "pos.eq.dec")
    world_axis_units = ("deg", "deg")

    def __init__(self, wcs: Wcs) -> None:
        self._wcs = wcs

    def pixel_to_world_values(self, *pixel_arrays: Any) -> tuple[Any, Any]:
        """Return ra and dec in degrees."""
        x, y = np.broadcast_arrays(*(np.asarray(pixels, dtype=np.float64) for pixels in pixel_arrays))
        ra, dec = self._wcs.pixel_to_sky(x.ravel(), y.ravel())
        return np.degrees(ra).reshape(x.shape), np.degrees(dec).reshape(x.shape)

    def world_to_pixel_values(self, *world_arrays: Any) -> tuple[Any, Any]:
        """Return x and y."""
        ra, dec = np.broadcast_arrays(*(np.asarray(angles, dtype=np.float64) for angles in world_arrays))
        x, y = self._wcs.sky_to_pixel(np.radians(ra.ravel()), np.radians(dec.ravel()))
        return x.reshape(ra.shape), y.reshape(ra.shape)

    @property
    def world_axis_object_components(self) -> list[tuple[str, int, str]]:
        """How astropy makes sky coordinates of numbers, and back."""
        return [("sky", 0, "spherical.lon.degree"), ("sky", 1, "spherical.lat.degree")]

    @property
    def world_axis_object_classes(self) -> dict[str, Any]:
        """The class of these sky coordinates."""
        return {"sky": (SkyCoord, (), {"frame": ICRS(), "unit": (units.deg, units.deg)})}


def add_sky_axes(figure: FigureBase, wcs: Wcs, box: Box) -> Any:
    """Add axes with pixels at the left and at the bottom, and a sky grid labelled at the right and the top.

    Parameters
    ----------
    wcs
        Of the image's pixel frame.
    box
        The pixels that will be drawn, of which the middle tells on which side which coordinate is labelled.

    Returns
    -------
    The axes, whose data coordinates are pixels.
    """
    # Constrained layout cannot place such axes: room for labels and colour bar is left by hand.
    root: Any = figure.figure
    root.set_layout_engine("none")
    axes: Any = figure.add_axes(_PLACE, axes_class=WCSAxes)
    for coordinate, side, name in zip(axes.coords, "bl", "xy", strict=True):
        coordinate.set_ticks_position(side)
        coordinate.set_ticklabel_position(side)
        coordinate.set_axislabel_position(side)
        coordinate.set_axislabel(f"{name} (pixels)")
    transform, description = transform_coord_meta_from_wcs(SkyOfPixels(wcs), RectangularFrame)
    sky = axes.get_coords_overlay(transform, description)
    sides = ("t", "r") if _ra_runs_along_x(wcs, box) else ("r", "t")
    for coordinate, side, name in zip(sky, sides, ("RA", "Dec"), strict=True):
        coordinate.set_ticks_position(side)
        coordinate.set_ticklabel_position(side)
        coordinate.set_axislabel_position(side)
        coordinate.set_axislabel(f"{name} (ICRS)")
        coordinate.grid(**_GRID)
    return axes


def _ra_runs_along_x(wcs: Wcs, box: Box) -> bool:
    x, y = box.x0 + (box.width - 1) / 2.0, box.y0 + (box.height - 1) / 2.0
    _, dec = wcs.pixel_to_sky(np.array([x, x + 1.0, x]), np.array([y, y, y + 1.0]))
    return bool(abs(dec[1] - dec[0]) <= abs(dec[2] - dec[0]))
