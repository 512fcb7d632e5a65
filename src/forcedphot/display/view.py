"""View: one picture as it is drawn on a figure, with axes, colour bar, mask overlay and legend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .mask_colours import MaskColours
from .picture import Picture
from .scaling import Scale, ticks

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

_NOT_FINITE = "#4a3b52"
_BAR_WITHOUT_GRID, _BAR_WITH_GRID = 1.03, 1.27
"""Where the colour bar begins, in widths of the image: beyond the labels of the sky grid."""
_TITLE_PAD_WITH_GRID = 42.0  # points
_LEGEND_INCHES = 0.55
"""How far below the image the legend begins, whatever the image's height: beyond the labels of the axis."""


class View:
    """A picture on a figure that has nothing else.

    Parameters
    ----------
    figure
        Where to draw.
    picture
        What to draw; its pixel coordinates become those of the axes.
    scale, colours
        How to draw pixels, and the mask.
    title
        Text above it.
    grid
        Draw a grid of right ascension and declination too, which needs a WCS.
    """

    def __init__(
        self,
        figure: FigureBase,
        picture: Picture,
        scale: Scale,
        colours: MaskColours,
        *,
        title: str,
        grid: bool,
    ) -> None:
        self.picture = picture
        self.axes = _add_axes(figure, picture, grid=grid)
        box = picture.box
        extent = (box.x0 - 0.5, box.x_stop - 0.5, box.y0 - 0.5, box.y_stop - 0.5)
        pixels = np.zeros(box.shape, dtype=np.uint8) if picture.pixels is None else picture.pixels
        norm = (Scale("linear", 0.0, 1.0) if picture.pixels is None else scale).norm(pixels)
        self._image = self.axes.imshow(pixels, origin="lower", extent=extent, cmap=_grey(), norm=norm)
        if picture.pixels is not None:
            start = _BAR_WITH_GRID if grid else _BAR_WITHOUT_GRID
            inset = self.axes.inset_axes([start, 0.0, 0.04, 1.0])
            self._bar = figure.colorbar(self._image, cax=inset, label=picture.unit or None)
            self._bar.set_ticks(ticks(norm).tolist())
        if picture.mask is not None:
            self._overlay = self.axes.imshow(self._paint_mask(colours), origin="lower", extent=extent)
            self._draw_legend(colours)
        self.axes.set_title(title, pad=_TITLE_PAD_WITH_GRID if grid else None)

    @property
    def limits(self) -> tuple[float, float]:
        """The pixel values that are black and white."""
        return float(self._image.norm.vmin), float(self._image.norm.vmax)

    def set_scale(self, scale: Scale) -> None:
        """Change the shades of grey; a mask alone has none."""
        if self.picture.pixels is not None:
            self._image.set_norm(scale.norm(self.picture.pixels))
            self._bar.set_ticks(ticks(self._image.norm).tolist())

    def set_mask_colours(self, colours: MaskColours) -> None:
        """Change the colours of the mask, if there is one."""
        if self.picture.mask is not None:
            self._overlay.set_data(self._paint_mask(colours))
            self._draw_legend(colours)

    def look_at(self, x: float, y: float, width: float, height: float) -> None:
        """Show a part of the image, of a size in pixels around a position."""
        self.axes.set_xlim(x - width / 2.0, x + width / 2.0)
        self.axes.set_ylim(y - height / 2.0, y + height / 2.0)

    def _paint_mask(self, colours: MaskColours) -> npt.NDArray[np.uint8]:
        assert self.picture.mask is not None  # noqa: S101 - for the type checker
        return colours.overlay(self.picture.mask, opaque=self.picture.pixels is None)

    def _draw_legend(self, colours: MaskColours) -> None:
        """Name the colours of the planes that are seen, below the image."""
        from matplotlib.patches import Patch
        from matplotlib.transforms import ScaledTranslation

        drawn = {} if self.picture.mask is None else colours.drawn(self.picture.mask)
        if self.axes.get_legend() is not None:
            self.axes.get_legend().remove()
        if drawn:
            figure = self.axes.get_figure()
            below = ScaledTranslation(0.0, -_LEGEND_INCHES, figure.dpi_scale_trans)
            self.axes.legend(
                handles=[Patch(color=colour, label=name) for name, colour in drawn.items()],
                loc="upper center",
                bbox_to_anchor=(0.5, 0.0),
                bbox_transform=self.axes.transAxes + below,
                ncols=min(len(drawn), 4),
                frameon=False,
                fontsize="small",
            )


def _add_axes(figure: FigureBase, picture: Picture, *, grid: bool) -> Any:
    if grid and picture.wcs is not None:
        from .sky_axes import add_sky_axes

        return add_sky_axes(figure, picture.wcs, picture.box)
    axes = figure.add_subplot(1, 1, 1)
    axes.set(xlabel="x (pixels)", ylabel="y (pixels)")
    axes.ticklabel_format(useOffset=False, style="plain")
    return axes


def _grey() -> Any:
    from matplotlib import colormaps

    return colormaps["gray"].with_extremes(bad=_NOT_FINITE)
