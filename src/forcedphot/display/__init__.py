"""Pictures: images with masks, positions and sky grids, as afwDisplay shows them; light curves; diagrams.

With ``import forcedphot.display as afwDisplay``, what the documents do with ``lsst.afw.display`` works as printed.
"""

from .colour_magnitude import plot_colour_magnitude
from .cutouts import cutout, cutout_box
from .display import Display, setDefaultBackend
from .light_curve import plot_light_curve
from .scaling import Scale

__all__ = [
    "Display",
    "Scale",
    "cutout",
    "cutout_box",
    "plot_colour_magnitude",
    "plot_light_curve",
    "setDefaultBackend",
]
